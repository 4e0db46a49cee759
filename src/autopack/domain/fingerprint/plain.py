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
_BOILERPLATE = re.compile(
    r"finished with status|step failed|Updated phase|^\w*make(?:\[\d+\])?: \*\*\*|complete log of this run"
    r"|exit code \d+\W*$|status code \d+\W*$|Failed to execute goal|full stack trace|Re-run Maven|ELIFECYCLE"
    r"|subprocess-exited-with-error|originates from a subprocess|^(?:hint|note|info|warning):|npm-debug"
    r"|^FAILED \((?:errors|failures)|^\d+ (?:failed|errors?)\b|failed to push some refs|^npm error$|^\[Help \d"
    r"|^To see |^For more information"
    r"|^-> |^\S+://\S+$|^Ran \d+ test|^=+|^!+|^-+$|^_+ |^[#>|*]|^\{[\"']|CalledProcessError"
    r"|^(?:plugins|rootdir|configfile|platform|collected|cachedir)\b|starting attempt|Command failed with"
    r"|^[.FEsxX]+(?: +\[ *\d+%\])?$"
)
"""Lines that speak of a failure and say nothing about it."""
_LONGEST = 400
_READ_CHARACTERS = 20_000
_READ_LINES = 100


def find_plain_cause(text: str) -> Cause | None:
    """The last line that speaks of a failure, or else the last line, without its values."""
    return named_line(text) or _of_last_line(mask_secrets(text[-_READ_CHARACTERS:]))


def _of_last_line(text: str) -> Cause | None:
    stripped = (line.strip()[:_LONGEST] for line in reversed(text.split("\n")[-_READ_LINES:]))
    lines = [line for line in stripped if line]
    saying = [line for line in lines if not _BOILERPLATE.search(line)]
    # Among lines that only frame a failure, one that speaks of none is no evidence.
    last = lines[0] if lines and len(saying) == len(lines) else ""
    chosen = next((line for line in saying if _TELLING.search(line.lower())), last)
    words = template(chosen, keeps_names=True)
    if not words:
        return None
    why = "no known tool: the last line that speaks of a failure"
    return Cause(kind=FailureKind.CRASHED, parts=(words,), why=why)
