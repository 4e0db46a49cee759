"""Server-sent events, as they come in pieces."""

import re
from collections.abc import Iterator

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_END = 4
LONGEST_EVENT_BYTES = 32 << 20


class EventTooLongError(Exception):
    """What comes has no end, and so is no event."""


class EventSplitter:
    """Cuts a stream of bytes into whole events and keeps the rest."""

    def __init__(self, *, longest_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._held = bytearray()
        self._longest_bytes = longest_bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The events that ``data`` completes, each with the blank line that ends it.

        Raises:
            EventTooLongError: What is held without an end is longer than any event.
        """
        # What was looked at before is not looked at again, but for an end that the last piece cut in two.
        start = max(0, len(self._held) - _LONGEST_END + 1)
        self._held += data
        done = 0
        while found := _END.search(self._held, max(start, done)):
            yield bytes(self._held[done : found.end()])
            done = found.end()
        del self._held[:done]
        if len(self._held) > self._longest_bytes:
            raise EventTooLongError(f"{len(self._held):,} bytes came without the end of an event")

    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._held)


def data_of(event: bytes) -> bytes:
    """The data of an event; empty for one that has none."""
    lines = event.splitlines()
    parts = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(parts)
