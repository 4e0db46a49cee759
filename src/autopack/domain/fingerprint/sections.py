"""Pytest's output cut down to the sections about some of its tests."""

import re
from collections.abc import Iterable

_SECTION = re.compile(r"\n_{3,} ([^\n]{1,500}?) _{3,}(?=\n)")
_END = re.compile(r"\n={3,} ")


def keep_sections(text: str, nodes: Iterable[str]) -> str:
    """The sections that are headed by one of the tests; the whole text where none is."""
    names = {_bare(".".join(node.split("::")[1:])) for node in nodes} - {""}
    text = "\n" + text
    heads = [*_SECTION.finditer(text)]
    ends = [*(head.start() for head in heads[1:]), len(text)]
    kept = [
        _section(text, head, end) for head, end in zip(heads, ends, strict=False) if _bare(head[1]) in names
    ]
    return "".join(kept) or text[1:]


def _bare(name: str) -> str:
    """A test's name without its parameters, which a narrow terminal cuts."""
    return name.partition("[")[0]


def _section(text: str, head: re.Match[str], end: int) -> str:
    found = _END.search(text, head.end(), end)
    return text[head.start() : found.start() if found else end]
