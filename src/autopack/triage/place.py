"""Where in the repository a failure's cause is believed to be, from the frames that its output shows."""

import re
from collections.abc import Callable, Iterator

from autopack.domain.failure import FailureReport

_FRAME = re.compile(
    r'File "(?P<quoted>[^"\n]{1,400})", line (?P<line>\d{1,7})'
    r"|^(?:E {2,})?(?P<bare>[\w.@+~/\\-]{1,400}\.\w{1,6}):(?P<at>\d{1,7})(?=:| )",
    re.MULTILINE,
)
_NAMED = re.compile(r"(?P<path>[\w.@+~-]+(?:[/\\][\w.@+~-]+)+|[\w@+~-]+\.[a-z]{1,5})")


def find_place(failure: FailureReport, is_file: Callable[[str], bool]) -> str:
    """The innermost frame that lies in the repository, else the first file of it that the failure names.

    Args:
        failure: What failed.
        is_file: Whether a key is a file of the repository.

    Returns:
        ``path:line`` or ``path``; empty when the failure names no file of the repository.
    """
    frames = [f"{key}:{line}" for path, line in _frames(failure) if (key := _in_repository(path, is_file))]
    if frames:
        return frames[-1]
    return next(named_files(failure, is_file), "")


def named_files(failure: FailureReport, is_file: Callable[[str], bool]) -> Iterator[str]:
    """Files of the repository that the failure names, in order, each once; a frame's last."""
    seen: set[str] = set()
    for text in (*failure.details, failure.message, failure.evidence):
        for found in _NAMED.finditer(text):
            key = _in_repository(found["path"], is_file)
            if key and key not in seen:
                seen.add(key)
                yield key


def _frames(failure: FailureReport) -> Iterator[tuple[str, str]]:
    for found in _FRAME.finditer("\n".join((*failure.details, failure.evidence))):
        yield (found["quoted"] or found["bare"], found["line"] or found["at"])


def _in_repository(path: str, is_file: Callable[[str], bool]) -> str:
    """The longest end of a path that is a file of the repository: worktrees lie at many places."""
    parts = path.replace("\\", "/").lstrip("./").split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end and is_file(end)), "")
