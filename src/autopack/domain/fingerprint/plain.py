"""The last resort: one telling line of an output of which no tool is known."""

import re

from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint.messages import named_line
from autopack.domain.fingerprint.model import Cause
from autopack.domain.fingerprint.templates import template
from autopack.domain.masking import mask_secrets

_TELLING = re.compile(
    r"(?i)error|fatal|fail|exception|cannot|can't|could not|unable|denied|refused|invalid|missing|not found|unknown"
    r"|unrecognized|unsupported|panic|abort|killed|time[d ]*out|expired|reject|not allowed|forbidden|conflict"
)
_BOILERPLATE = re.compile(
    r"finished with status|step failed|Updated phase|^\w*make(?:\[\d+\])?: \*\*\*|complete log of this run"
    r"|exit code \d+\W*$|status code \d+\W*$|Failed to execute goal|full stack trace|Re-run Maven|ELIFECYCLE"
    r"|subprocess-exited-with-error|originates from a subprocess|^(?:hint|note|info|warning):|npm-debug"
    r"|^FAILED \((?:errors|failures)|^\d+ (?:failed|errors?)\b|failed to push some refs|^npm error$|^\[Help \d"
    r"|^To see |^-> |^\S+://\S+$|^Ran \d+ test|^=+|^!+|^-+$|^_+ |^[#>|*]|^\{[\"']|CalledProcessError"
    r"|^(?:plugins|rootdir|configfile|platform|collected|cachedir)\b|starting attempt|Command failed with"
    r"|^[.FEsxX]+(?: +\[ *\d+%\])?$"
)
"""Lines that speak of a failure and say nothing about it."""
_FROM_END = 400


def find_plain_cause(text: str) -> Cause | None:
    """The last line that speaks of a failure, or else the last line, without its values."""
    if cause := named_line(text):
        return cause
    lines = [line.strip() for line in mask_secrets(text[-20_000:]).split("\n")[-_FROM_END:] if line.strip()]
    telling = [
        line
        for line in lines
        if _TELLING.search(line[:_FROM_END]) and not _BOILERPLATE.search(line[:_FROM_END])
    ]
    chosen = telling or [line for line in lines if not _BOILERPLATE.search(line[:_FROM_END])]
    words = template(chosen[-1], keeps_names=True) if chosen else ""
    if not words:
        return None
    return Cause(
        kind=FailureKind.CRASHED, parts=(words,), why="no known tool: the last line that speaks of a failure"
    )
