"""The end of what a program wrote."""

from pathlib import Path

TAIL_BYTES = 4000


def read_tail(path: Path, *, size_bytes: int = TAIL_BYTES) -> str:
    """The end of a text file; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
