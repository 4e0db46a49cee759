"""The last resort: one telling line of an output of which no tool is known."""

import re

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.messages import named_line
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.templates import template
from autopack.domain.masking import mask_secrets

_TELLING = re.compile(
    r"error|fatal|fail|exception|cannot|can't|could not|unable|denied|refused|invalid|missing|not found|unknown"
    r"|unrecognized|unsupported|panic|abort|killed|time[d ]*out|expired|reject|not allowed|requires "
    r"|there is no|no such|forbidden|conflict"
)
# A pattern whose branches all begin with a letter is searched for much faster than one that has an anchor in
# it, so the lines that say nothing are told by two patterns: one for how they begin and one for what they hold.
_FRAME_BEGINS = re.compile(
    r"\w*make(?:\[\d+\])?: \*\*\*|(?:hint|note|info|warning):|FAILED \((?:errors|failures)|\d+ (?:failed|errors?)\b"
    r"|(?:BUILD|Build) (?:FAILED|failed)|Found \d+ error|✖|║|\d+ (?:Error|Warning)\(s\)|\d+ items? had failures"
    r"|Failed! +- Failed:|webpack \S+ compiled with|error: could not compile|(?:Analysis of|-- Configuring)\b"
    r"|npm error$|\[Help \d|To see |For more information|-> |(?=\S++$)\S+?://\S|Ran \d+ test|=|!|-+$|_+ |[#>|*]|\{[\"']"
    r"|(?:plugins|rootdir|configfile|platform|collected|cachedir)\b|[.FEsxX]+(?: +\[ *\d+%\])?$"
)
_FRAME_HOLDS = re.compile(
    r"finished with status|step failed|Updated phase|complete log of this run|exit code \d+\W*$|status code \d+\W*$"
    r"|Failed to execute goal|full stack trace|Re-run Maven|ELIFECYCLE|subprocess-exited-with-error"
    r"|originates from a subprocess|npm-debug|failed to push some refs|CalledProcessError|starting attempt"
    r"|Command failed with"
)
_COUNTING = re.compile(
    r"(?:[\W\d_]++|(?:assertions|be|compiled|completed|deselected|duration|elapsed|error|errors|example|examples"
    r"|fail|failed|failing|fails|failure|failures|file|files|found|in|issues|left|m|ms|pass|passed"
    r"|passing|pending|problem|problems|reformatted|run|s|seconds|skipped|suites|test|tests|time"
    r"|took|total|unchanged|warning|warnings|with|would)(?![^\W\d_]))++",
    re.IGNORECASE,
)
"""A line of nothing but the words of a summary: where it counts what failed, it is the same for every cause."""
_DIGIT = re.compile(r"\d")
_TARGET = re.compile(r"\*\*\* \[(?:[^\]\n:]+:\d+: )?([^\]\n]+)\] Error \d")
_KEY_BEGINS = "-----BEGIN "
_LONGEST = 400
_READ_CHARACTERS = 20_000
_READ_LINES = 100


def find_plain_cause(text: str) -> Cause | None:
    """The last line that speaks of a failure, or else the last line, without its values."""
    return named_line(text) or _of_last_line(_end(text)) or _of_make(text)


def _of_make(text: str) -> Cause | None:
    """The innermost target that make gave up on, where nothing says why."""
    found = _TARGET.search(text) if "*** [" in text else None
    why = "no known tool: the target that make gave up on"
    return Cause(kind=FailureKind.CRASHED, parts=("make", found[1]), why=why) if found else None


def _end(text: str) -> str:
    """The last lines, masked. Of all secrets only private keys go over several lines, and may begin further up."""
    end = text[-_READ_CHARACTERS:]
    return mask_secrets(end if _KEY_BEGINS in end else "\n".join(end.split("\n")[-_READ_LINES:]))


def _of_last_line(text: str) -> Cause | None:
    stripped = (line.strip()[:_LONGEST] for line in reversed(text.split("\n")[-_READ_LINES:]))
    lines = [line for line in stripped if line]
    chosen = next((line for line in lines if _TELLING.search(line.lower()) and not _is_frame(line)), None)
    if chosen is None:
        # Among lines that only frame a failure, one that speaks of none is no evidence.
        chosen = "" if any(map(_is_frame, lines)) else "".join(lines[:1])
    words = template(chosen, keeps_names=True)
    if not words:
        return None
    why = "no known tool: the last line that speaks of a failure"
    return Cause(kind=FailureKind.CRASHED, parts=(words,), why=why)


def _is_frame(line: str) -> bool:
    """Whether a line belongs to every report of a failure and says nothing about this one."""
    return bool(_FRAME_BEGINS.match(line) or _FRAME_HOLDS.search(line) or _only_counts(line))


def _only_counts(line: str) -> bool:
    return bool(_DIGIT.search(line) and _COUNTING.fullmatch(line))
