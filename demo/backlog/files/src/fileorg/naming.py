"""What a sorted file is called."""

import re

_BLANK = re.compile(r"[\s_]+")


def tidy(name: str) -> str:
    """A file name without outer blanks, inner blanks as one ``-``, its suffix in lower case."""
    stem, dot, suffix = name.strip().rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    return _BLANK.sub("-", stem.strip()) + dot + suffix.lower()
