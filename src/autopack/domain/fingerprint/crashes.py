"""Programs that were killed or hung: they say little, and the place where it happened is the cause."""

import re
from collections import Counter

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.paths import is_foreign, place_of

_WORKER = re.compile(r"worker '[^'\n]{1,40}' crashed while running '([^'\n:]{1,500})(?:::|')")
_BLAMED = re.compile(r"\n(?:\[gw\d+\] )?(?:\[[ \d]+%\] )?FAILED ([^\n: ]{1,500})::")
_FATAL = re.compile(r"Fatal Python error: ([\w ]{1,80})")
_FRAME = re.compile(r'\n[ ]*File "([^"\n]{1,500})", line \d+,? in ')
_DUMP_FRAME = re.compile(r'\n[ ]*File "([^"\n]{1,500})", line \d+ in ')
_GO_FRAME = re.compile(r"\n\t([^\s:]{1,400}\.go):\d+")
_SESSION = "= test session starts ="
_DOTS = re.compile(r"\n[.FEsxX]{5,}[^\n]{0,200}\Z")
_SESSION_END = re.compile(
    r"\n(?:=+ )?\d+ (?:passed|failed|errors?|skipped|deselected)[^\n]* in [\d.]+s|no tests ran"
)
_NESTED_CODE = re.compile(r"\b(?:rc|exit code|exit status|returncode)\"?[=: ]{1,2}(-\d+|1[34]\d)\b")
_CODE_WORDS = ('rc"', "rc=", "exit code ", "exit status ", "returncode")
_ANY_CODE = re.compile(r"\b(?:rc|returncode)\"?[=: ]{1,2}(-?\d+)\b")
_JOB = re.compile(r"\A[^\n]{0,300}?: line \d+: +\d+ +(?=[A-Z])")
"""What a shell puts before the word of a signal that ended one of its jobs."""
_SIGNAL_WORDS = {
    "Segmentation fault": 11,
    "Aborted": 6,
    "Bus error": 7,
    "Illegal instruction": 4,
    "Killed": 9,
}


def find_crash(text: str) -> Cause | None:
    """A crash or hang that a program reported: a worker's death, a fatal interpreter error, a stack dump."""
    if "crashed while running" in text and (files := _WORKER.findall(text)):
        return crashed(place_of(_most(files)))
    if "node down: Not properly terminated" in text and (files := _BLAMED.findall(text)):
        return crashed(place_of(_most(files)))
    if "+ Timeout +" in text:
        return _hung_in(_FRAME.findall(text))
    if "most recent call first" in text:
        return _dumped(text)
    at = text.find("\npanic: test timed out after ")
    return hung(go_place(text, at)) if at >= 0 else None


def go_place(text: str, start: int) -> str:
    """The first file of the user's in a dump of Go's stacks; empty where there is none."""
    files = (file for file in _GO_FRAME.findall(text, start) if not is_foreign(file))
    return place_of(next(files, ""))


def _dumped(text: str) -> Cause | None:
    # faulthandler prints the innermost frame first.
    own = [file for file in _DUMP_FRAME.findall(text) if not is_foreign(file)]
    if "Timeout (" in text and "Fatal Python error" not in text:
        return _hung_in(own[::-1])
    fatal = _FATAL.search(text)
    return crashed(place_of(own[0]) if own else "", fatal[1] if fatal else "")


def _hung_in(files: list[str]) -> Cause:
    own = [file for file in files if not is_foreign(file)]
    return hung(place_of(own[-1]) if own else "")


def hung(place: str) -> Cause:
    """A hang by its place; how long it was waited for is not part of the cause."""
    return Cause(
        kind=FailureKind.TIMEOUT, parts=("hung", place), why="a hang, by the innermost place of the user's"
    )


def find_silent_death(text: str, returncode: int | None) -> Cause | None:
    """A death that only a return code or a shell's word tells of."""
    signal = _signal(text, returncode)
    how = f"signal {signal}" if signal else _left(text, returncode)
    # The test that ran last is no evidence: what kills a run from outside does not look at its tests.
    return crashed("", how) if how else None


def _left(text: str, returncode: int | None) -> str:
    """How a test session ended that never came to its last line."""
    if (_SESSION in text or _DOTS.search(text, max(0, len(text) - 500))) and not _SESSION_END.search(text):
        return exit_of(text, returncode)
    return ""


def exit_of(text: str, returncode: int | None) -> str:
    """The exit code in words; one that a log tells of counts more than the log's own program's."""
    found = _ANY_CODE.search(text) if any(word in text for word in _CODE_WORDS) else None
    code = found[1] if found else returncode
    return "exit code unknown" if code is None else f"exit code {code}"


def _signal(text: str, returncode: int | None) -> int:
    code = returncode
    if code is None or 0 < code < 128:
        found = _NESTED_CODE.search(text) if any(word in text for word in _CODE_WORDS) else None
        code = int(found[1]) if found else 0
    if code < 0:
        return -code
    if 129 <= code < 160:
        return code - 128
    last = _JOB.sub("", text.rstrip().rpartition("\n")[2])
    return next((number for word, number in _SIGNAL_WORDS.items() if last.startswith(word)), 0)


def crashed(place: str, how: str = "") -> Cause:
    """A crash by its place, or by how it ended where no place is known."""
    return Cause(
        kind=FailureKind.CRASHED,
        parts=("crashed", place or how),
        why="a crash, by the place or else the signal",
    )


def _most(files: list[str]) -> str:
    counts = Counter(files)
    return min(counts, key=lambda file: (-counts[file], file))
