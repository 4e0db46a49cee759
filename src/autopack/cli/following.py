"""Printing what an attempt writes while it writes it."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

POLL_SECONDS = 0.3
_SAYS_MOST = ("builder/transcript.txt", "builder/stdout.txt", "executor.out")
"""Where the one who looks on learns most, the best first."""
_CHUNK_BYTES = 1 << 16


def follow(folder: Path, name: str | None, is_over: Callable[[], bool]) -> Iterator[str]:
    """The text of a file as it grows, to the end of the attempt.

    Args:
        folder: The attempt's.
        name: The file; None takes what says most, and goes over to what says more once there is some.
        is_over: Whether nothing more will be written.
    """
    shown: Path | None = None
    place, decode = 0, _decoder()
    while True:
        ends = is_over()
        path = folder / name if name is not None else _best(folder)
        if path is not None and path != shown:
            if name is None:
                yield f"==> {path.relative_to(folder)} <==\n"
            shown, place, decode = path, 0, _decoder()
        if shown is not None and shown.exists():
            with shown.open("rb") as file:
                file.seek(place)
                while chunk := file.read(_CHUNK_BYTES):
                    place += len(chunk)
                    yield decode(chunk)
        if ends:
            return
        Event().wait(POLL_SECONDS)


def _decoder() -> Callable[[bytes], str]:
    return codecs.getincrementaldecoder("utf-8")("backslashreplace").decode


def _best(folder: Path) -> Path | None:
    paths = [folder / name for name in _SAYS_MOST]
    return next((path for path in paths if path.is_file() and path.stat().st_size), None)
