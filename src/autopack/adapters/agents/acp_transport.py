"""JSON lines to and from an agent, whatever else it puts between them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import IO, Any

CHUNK_BYTES = 1 << 16
MAX_LINE_BYTES = 128 * 1024 * 1024
"""A longer line is skipped; a tool's output may well have 80 MB."""
_WRITE_LIMIT_BYTES = 1 << 20


class LineTransport:
    """Implements the ``Transport`` of the ``acp`` package.

    Session updates are handed on at once, in their order and as they came, so that a kind which the package does not
    know yet costs nothing; other notifications are of no interest. What is no JSON object is counted and skipped.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        source: asyncio.ReadTransport,
        on_update: Callable[[Mapping[str, object]], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._source = source
        self._on_update = on_update
        self._buffer = bytearray()
        self._searched = 0
        self._is_skipping = False
        self.received_bytes = 0
        self.skipped_lines = 0

    async def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        await self._writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next request or answer; None at the end of the stream."""
        while (line := await self._next_line()) is not None:
            message = self._parse(line)
            if message is None:
                continue
            if "id" in message:
                return message
            params = message.get("params")
            update = params.get("update") if isinstance(params, dict) else None
            if message.get("method") == "session/update" and isinstance(update, dict):
                self._on_update(update)
        return None

    async def close(self) -> None:
        """Tell the agent that nothing more will come; what it has not read by now is dropped."""
        pipe = self._writer.transport
        if not pipe.is_closing():
            pipe.abort()
        self._source.close()

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            return message
        self.skipped_lines += 1
        return None

    async def _next_line(self) -> bytes | None:
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._searched = 0
                if not self._is_skipping:
                    return line
                self._is_skipping = False
                continue
            self._searched = len(self._buffer)
            if self._searched > MAX_LINE_BYTES:
                self.skipped_lines += not self._is_skipping
                self._is_skipping = True
            if self._is_skipping:
                self._buffer.clear()
                self._searched = 0
            chunk = await self._reader.read(CHUNK_BYTES)
            if not chunk:
                return None
            self.received_bytes += len(chunk)
            self._buffer += chunk


async def open_transport(
    stdin: IO[bytes], stdout: IO[bytes], on_update: Callable[[Mapping[str, object]], None]
) -> LineTransport:
    """A transport over an agent's pipes, which are its own from now on."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdout)
    pipe, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), stdin
    )
    pipe.set_write_buffer_limits(high=_WRITE_LIMIT_BYTES)
    writer = asyncio.StreamWriter(pipe, protocol, None, loop)
    return LineTransport(reader, writer, source=source, on_update=on_update)
