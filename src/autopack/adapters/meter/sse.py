"""Server-sent events, as they come in pieces."""

import re
from collections.abc import Iterator

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_END = 4


class EventSplitter:
    """Cuts a stream of bytes into whole events and keeps the rest."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The events that ``data`` completes, each with the blank line that ends it."""
        # What was looked at before is not looked at again, but for an end that the last piece cut in two.
        start = max(0, len(self._held) - _LONGEST_END + 1)
        self._held += data
        done = 0
        while found := _END.search(self._held, max(start, done)):
            yield bytes(self._held[done : found.end()])
            done = found.end()
        del self._held[:done]

    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._held)


def data_of(event: bytes) -> bytes:
    """The data of an event; empty for one that has none."""
    lines = event.splitlines()
    parts = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(parts)
