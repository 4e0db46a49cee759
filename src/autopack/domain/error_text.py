"""Whether two errors are the same one, seen at two times in two places."""

import re

_VALUE_ERRORS = frozenset({"AssertionError", "Failed"})
"""Errors whose text shows the values of the moment."""
_VOLATILE = (
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    # A worktree's place changes from one attempt to the next; a file's own name does not.
    (re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":,;()\[\]]+)+[/\\]"), ""),
    (re.compile(r"\b0x[0-9A-Fa-f]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b"), "#"),
    (re.compile(r"(?<!\w)\d+(?:\.\d+)*(?:ms|s)?(?!\w)"), "#"),
    (re.compile(r"\s+"), " "),
)


def is_same_error(error_type: str, message: str, *, other_type: str, other_message: str) -> bool:
    """Whether type and message agree; of assertions the type alone, of messages what does not vary."""
    if error_type != other_type:
        return False
    return error_type in _VALUE_ERRORS or stable_message(message) == stable_message(other_message)


def stable_message(message: str) -> str:
    """The message without colours, folders, addresses, ids, numbers that stand alone, and extra space."""
    for pattern, text in _VOLATILE:
        message = pattern.sub(text, message)
    return message.strip()
