"""How a function may be called, how it is called, and the calls that a changed signature no longer takes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a function takes, its own ``self`` or ``cls`` left out."""

    positional: tuple[str, ...] = ()
    """Parameters that a position can fill, in order."""
    required: tuple[str, ...] = ()
    """Those of them that have no default."""
    positional_only: int = 0
    """How many of them a keyword cannot fill."""
    keyword_only: tuple[str, ...] = ()
    required_keywords: tuple[str, ...] = ()
    takes_any_positional: bool = False
    takes_any_keyword: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallShape:
    """How one call passes its arguments."""

    positional: int
    keywords: tuple[str, ...] = ()
    is_open: bool = False
    """Whether ``*`` or ``**`` passes more than can be seen."""


def parse_signature(text: str) -> Signature:
    """The signature that a text such as ``a,b=,/,c,*rest,d,**more`` stands for.

    A parameter with a default ends in ``=``; annotations and the defaults themselves are left out.
    """
    positional: list[str] = []
    keyword_only: list[tuple[str, bool]] = []
    required: list[str] = []
    positional_only = 0
    any_positional = any_keyword = after_star = False
    for part in filter(None, text.split(",")):
        name = part.rstrip("=")
        if part == "/":
            positional_only = len(positional)
        elif part.startswith("**"):
            any_keyword = True
        elif part.startswith("*"):
            after_star = True
            any_positional = any_positional or part != "*"
        elif after_star:
            keyword_only.append((name, name == part))
        else:
            positional.append(name)
            required += [name] if name == part else []
    return Signature(
        positional=tuple(positional),
        required=tuple(required),
        positional_only=positional_only,
        keyword_only=tuple(name for name, _ in keyword_only),
        required_keywords=tuple(name for name, is_required in keyword_only if is_required),
        takes_any_positional=any_positional,
        takes_any_keyword=any_keyword,
    )


def accepts(signature: Signature, call: CallShape) -> bool:
    """Whether the call binds; of an open call only what can be seen of it is judged."""
    if call.positional > len(signature.positional) and not signature.takes_any_positional:
        return False
    by_keyword = {*signature.positional[signature.positional_only :], *signature.keyword_only}
    if not signature.takes_any_keyword and not by_keyword.issuperset(call.keywords):
        return False
    if set(signature.positional[: call.positional]).intersection(call.keywords):
        return False
    if call.is_open:
        return True
    filled = {*signature.positional[: call.positional], *call.keywords}
    return filled.issuperset((*signature.required, *signature.required_keywords))


def call_shapes(calls: str, name: str) -> Iterator[CallShape]:
    """The calls of ``name`` in a text of calls such as ``open/2/mode run/1*/``, parted by blanks."""
    for match in re.finditer(rf"(?<!\S){re.escape(name)}/(\d+)(\*?)/(\S*)", calls):
        positional, star, keywords = match.groups()
        yield CallShape(
            positional=int(positional),
            keywords=tuple(filter(None, keywords.split(","))),
            is_open=bool(star),
        )


def breaks_a_call(before: str, after: str, calls: Iterable[CallShape]) -> bool:
    """Whether one of the calls bound to the signature ``before`` and does not bind to ``after``."""
    old, new = parse_signature(before), parse_signature(after)
    return any(accepts(old, call) and not accepts(new, call) for call in calls)
