"""The ladder of matches: where lines that were quoted from memory stand in a file, at one place or at none."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar, cast

from autopack.domain.change import Passage

T = TypeVar("T")
_LINES_OFF = 3
"""How far a line number of an answer may be off and still decide between places that fit alike."""
_MAX_SHIFTS = 64
"""Places compared for a shift of indentation; a text that occurs more often is not worth a look at all of them."""
_ELISION = "..."
_FOLDED = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f", " "),
    }
)


class FileLines(list[str]):
    """A file's lines, with forms of them that are made once for all passages that are looked for in it."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__(lines)
        self._forms: dict[Callable[[Sequence[str]], object], object] = {}

    def form(self, make: Callable[[Sequence[str]], T]) -> T:
        """What ``make`` makes of the lines, which do not change."""
        if make not in self._forms:
            self._forms[make] = make(self)
        return cast("T", self._forms[make])


def form_of(lines: Sequence[str], make: Callable[[Sequence[str]], T]) -> T:
    """What ``make`` makes of lines, kept where they are a file's."""
    return lines.form(make) if isinstance(lines, FileLines) else make(lines)


class Rung(StrEnum):
    """How far the file's lines and those of the answer may differ; each rung allows what those before it do."""

    EXACT = "exact"
    LINE_ENDS = "line-ends"
    TRAILING_SPACE = "trailing-space"
    INDENTATION = "indentation"
    """All lines are indented by the same white space more, or less."""
    BLANK_EDGE = "blank-edge"
    """A blank line at the beginning or the end of the passage is not in the file."""
    TYPOGRAPHY = "typography"
    """Quotation marks, dashes and spaces are of another kind."""
    ELISION = "elision"
    """``...`` stands for lines between two pieces that occur once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """Lines of a file, from ``start`` up to ``end``, and what they become."""

    start: int
    end: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The one place where a passage belongs."""

    rung: Rung
    splices: tuple[Splice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """Why a passage belongs nowhere."""

    reason: str
    places: tuple[int, ...] = ()
    """Lines, from 0, where it would fit alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    start: int
    more: str = ""
    """Indentation that the file has and the answer has not."""
    less: str = ""
    """Indentation that the answer has and the file has not."""


def find_passage(lines: Sequence[str], passage: Passage) -> Found | NotFound:
    """Look for a passage in a file, on one rung after the other.

    Args:
        lines: The file's lines without LF; those of a file with CRLF end in CR.
        passage: What is looked for; its ``old`` is not empty.

    Returns:
        The place, when a rung finds exactly one. A rung that finds several ends the search, unless what the answer
        says besides (line, head, end of file) names one of them.
    """
    for rung, wanted, drop in _rungs(passage):
        places = _look(lines, wanted, passage, rung)
        if len(places) == 1:
            return _found(lines, passage, wanted, places[0], rung, drop)
        if places:
            starts = tuple(place.start for place in places)
            named = " and ".join(str(start + 1) for start in starts)
            return NotFound(reason=f"fits alike at lines {named}", places=starts)
    return _find_pieces(lines, passage)


def _rungs(passage: Passage) -> Iterator[tuple[Rung, tuple[str, ...], tuple[int, int]]]:
    """Each rung with the lines to look for, and how many blank ones were dropped at either edge."""
    old = passage.old
    yield Rung.EXACT, old, (0, 0)
    if not any(line.strip() for line in old):
        return
    for rung in (Rung.LINE_ENDS, Rung.TRAILING_SPACE, Rung.INDENTATION):
        yield rung, old, (0, 0)
    first, last = int(not old[0].strip()), int(not old[-1].strip())
    for drop in dict.fromkeys(((first, 0), (0, last), (first, last))):
        if any(drop):
            yield Rung.BLANK_EDGE, old[drop[0] : len(old) - drop[1]], drop
    yield Rung.TYPOGRAPHY, old, (0, 0)


def _look(lines: Sequence[str], wanted: Sequence[str], passage: Passage, rung: Rung) -> list[_Place]:
    if rung is Rung.EXACT:
        return _places(lines, wanted, passage)
    if rung is Rung.LINE_ENDS:
        return _places(form_of(lines, _without_cr), _without_cr(wanted), passage)
    if rung is Rung.TYPOGRAPHY:
        lines, wanted = form_of(lines, _folded), _folded(wanted)
    if rung is not Rung.INDENTATION:
        places = _places(form_of(lines, _right_stripped), _right_stripped(wanted), passage)
        if places or rung is Rung.TRAILING_SPACE:
            return places
    return _shifted_places(lines, wanted, passage)


def _places(lines: Sequence[str], wanted: Sequence[str], passage: Passage) -> list[_Place]:
    """The one place of ``wanted``, or two of several when nothing decides between them."""
    found: list[int] = []
    for start in _occurrences(lines, wanted):
        found.append(start)
        if len(found) == 2:
            break
    if len(found) == 2:
        found = _decide(lines, wanted, passage) or found
    return [_Place(start=start) for start in found]


def _occurrences(lines: Sequence[str], wanted: Sequence[str]) -> Iterator[int]:
    # A text is searched by the interpreter's own linear search, many times faster than lists are compared.
    text, needle = form_of(lines, _text), _text(wanted)
    place = text.find(needle)
    counted = line = 0
    while place >= 0:
        line += text.count("\n", counted, place)
        counted = place
        yield line
        place = text.find(needle, place + 1)


def _decide(lines: Sequence[str], wanted: Sequence[str], passage: Passage) -> list[int]:
    """The one of several places that the answer's own words name; empty when they name none or two."""
    size = len(wanted)
    if passage.is_at_end and list(lines[-size:]) == list(wanted):
        return [len(lines) - size]
    if passage.below is not None and (block := _block_below(lines, passage.below)) is not None:
        first, end = block
        found = [first + start for start in _first_two(_occurrences(lines[first:end], wanted))]
        if len(found) == 1:
            return found
    if passage.near_line is None:
        return []
    near = range(max(0, passage.near_line - 1 - _LINES_OFF), passage.near_line + _LINES_OFF)
    found = [start for start in near if list(lines[start : start + size]) == list(wanted)]
    return found if len(found) == 1 else []


def _first_two(places: Iterator[int]) -> list[int]:
    return [place for place, _ in zip(places, range(2), strict=False)]


def _block_below(lines: Sequence[str], head: str) -> tuple[int, int] | None:
    """The lines that are indented deeper than the one line that reads ``head``; None when there is not just one."""
    heads = [number for number, line in enumerate(lines) if line.strip() == head.strip()]
    if len(heads) != 1:
        return None
    first = heads[0] + 1
    depth = _depth(lines[heads[0]])
    end = first
    while end < len(lines) and (not lines[end].strip() or _depth(lines[end]) > depth):
        end += 1
    return first, end


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _shifted_places(lines: Sequence[str], wanted: Sequence[str], passage: Passage) -> list[_Place]:
    stripped, sought = form_of(lines, _stripped), _stripped(wanted)
    places: list[_Place] = []
    for start, _ in zip(_occurrences(stripped, sought), range(_MAX_SHIFTS), strict=False):
        if (place := _shift_at(lines, wanted, start)) is not None:
            places.append(place)
    if len(places) > 1 and (decided := _decide(stripped, sought, passage)):
        places = [place for place in places if place.start in decided] or places
    return places[:2]


def _shift_at(lines: Sequence[str], wanted: Sequence[str], start: int) -> _Place | None:
    first = next(number for number, line in enumerate(wanted) if line.strip())
    theirs, ours = (line[: _depth(line)] for line in (lines[start + first], wanted[first]))
    if theirs.endswith(ours):
        place = _Place(start=start, more=theirs[: len(theirs) - len(ours)])
    elif ours.endswith(theirs):
        place = _Place(start=start, less=ours[: len(ours) - len(theirs)])
    else:
        return None
    fits = all(
        not line.strip() or (place.less + lines[start + number]).rstrip() == (place.more + line).rstrip()
        for number, line in enumerate(wanted)
    )
    return place if fits else None


def _found(
    lines: Sequence[str],
    passage: Passage,
    wanted: Sequence[str],
    place: _Place,
    rung: Rung,
    drop: tuple[int, int],
) -> Found | NotFound:
    new = _without_edges(passage.new, drop)
    end = place.start + len(wanted)
    if place.less and any(line.strip() and not line.startswith(place.less) for line in new):
        reason = (
            f"fits at line {place.start + 1}, but its new lines are indented less than those that it quotes"
        )
        return NotFound(reason=reason, places=(place.start,))
    written = _kept_lines(lines[place.start : end], wanted, new, place)
    return Found(rung=rung, splices=(Splice(start=place.start, end=end, new=written),))


def _without_edges(new: tuple[str, ...], drop: tuple[int, int]) -> tuple[str, ...]:
    first = drop[0] if new and not new[0].strip() else 0
    last = drop[1] if len(new) > first and not new[-1].strip() else 0
    return new[first : len(new) - last]


def _kept_lines(
    theirs: Sequence[str], wanted: Sequence[str], new: Sequence[str], place: _Place
) -> tuple[str, ...]:
    """The new lines; one that the answer only quotes stays as the file has it, in its own white space and signs."""
    positions: dict[str, list[int]] = {}
    for number in reversed(range(len(wanted))):
        positions.setdefault(wanted[number], []).append(number)
    written: list[str] = []
    done = -1
    for line in new:
        known = positions.get(line, [])
        while known and known[-1] <= done:
            known.pop()
        if known:
            done = known[-1]
        written.append(theirs[known[-1]] if known else _shifted(line, place))
    return tuple(written)


def _shifted(line: str, place: _Place) -> str:
    return place.more + line.removeprefix(place.less) if line.strip() else line


def _find_pieces(lines: Sequence[str], passage: Passage) -> Found | NotFound:
    """Match a passage in which ``...`` stands for lines that are left as they are."""
    pieces, news = _split(passage.old), _split(passage.new)
    if len(pieces) < 2:
        return NotFound(reason="stands nowhere in the file")
    if len(pieces) != len(news) or any(not any(line.strip() for line in piece) for piece in pieces):
        return NotFound(reason="has '...' that do not stand between lines, on both sides alike")
    splices: list[Splice] = []
    keys = form_of(lines, _right_stripped)
    for piece, new in zip(pieces, news, strict=True):
        found = _first_two(_occurrences(keys, _right_stripped(piece)))
        if len(found) != 1:
            return NotFound(
                reason=f"has '...', and the piece that begins with {piece[0].strip()[:80]!r} stands"
                f" {'in several places' if found else 'nowhere'}",
                places=tuple(found),
            )
        start, end = found[0], found[0] + len(piece)
        written = _kept_lines(lines[start:end], piece, new, _Place(start=start))
        splices.append(Splice(start=start, end=end, new=written))
    if any(one.end > other.start for one, other in pairwise(splices)):
        return NotFound(reason="has '...', and its pieces stand in another order in the file")
    return Found(rung=Rung.ELISION, splices=tuple(splices))


def _split(lines: Sequence[str]) -> list[tuple[str, ...]]:
    pieces: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == _ELISION:
            pieces.append([])
        else:
            pieces[-1].append(line)
    return [tuple(piece) for piece in pieces]


def _text(lines: Sequence[str]) -> str:
    return "\n".join(("", *lines, ""))


def _without_cr(lines: Sequence[str]) -> FileLines:
    return FileLines(line.removesuffix("\r") for line in lines)


def _right_stripped(lines: Sequence[str]) -> FileLines:
    return FileLines(line.rstrip() for line in lines)


def _stripped(lines: Sequence[str]) -> FileLines:
    return FileLines(line.strip() for line in lines)


def _folded(lines: Sequence[str]) -> FileLines:
    return FileLines(line.translate(_FOLDED) for line in lines)
