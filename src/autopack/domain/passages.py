"""Passages put into a file: each at its one place; for each that has none, why, and the file's real lines."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from autopack.domain.change import Passage
from autopack.domain.ladder import FileLines, Found, NotFound, Rung, Splice, find_passage, form_of
from autopack.domain.literal import replaced_at_once
from autopack.domain.search import CLOSE_LOOK, CLOSE_PASSAGE, Search

MOST_MISFITS = 20
"""An answer of which so much does not fit was made for other files; more of it is not worth the time."""
_SHOWN_AROUND = 3
_MAX_SHOWN = 40
_COMMON_LINE = 20
"""A line that occurs more often in a file says nothing about which place was meant."""
_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A passage that has no place in a file."""

    line: int
    """Where it stands in the answer, from 1."""
    reason: str
    excerpt: str
    """The file's own lines, with the passages that were placed, around the place that comes closest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a file comes to with the passages that have a place in it."""

    content: bytes
    rungs: tuple[Rung, ...] = ()
    """How each passage was found that was placed."""
    unplaced: tuple[Unplaced, ...] = ()


def fit_passages(content: bytes, passages: Sequence[Passage], search: Search) -> Fitted:
    """A file with every passage replaced that has one place in it, and what is wrong with each of the others.

    All passages are looked for in the file as it was; of two that overlap, the first in the file is placed. Lines
    written into a file with CRLF get CRLF. Behind ``MOST_MISFITS`` that have no place, none is looked for.

    Raises:
        TooMuchError: They are looked for in more than an answer's edits may be.
    """
    search.look(len(content), times=len(passages))
    if len(passages) == 1 and (made := replaced_at_once(content, passages[0])) is not None:
        return Fitted(content=made[0], rungs=(made[1],))
    return fit_by_lines(content, passages, search)


def fit_by_lines(content: bytes, passages: Sequence[Passage], search: Search) -> Fitted:
    """The same by the long way, which is sure to tell."""
    search.look(len(content), times=CLOSE_LOOK)
    lines, is_ended = _split(content)
    places = _without_overlaps(
        _places(lines, passages, lambda: search.look(len(content), times=CLOSE_PASSAGE))
    )
    passages = passages[: len(places)]
    found = [(one, place) for one, place in zip(passages, places, strict=True) if isinstance(place, Found)]
    splices = sorted((it for _, place in found for it in place.splices), key=_bounds)
    wants_lf = any(_is_converted(passage) for passage, _ in found)
    is_ended = _ends_in_newline([it for it, _ in found], splices, len(lines), is_ended=is_ended)
    written = lines
    if splices:
        written = FileLines(_spliced(lines, splices, _Endings(lines, is_lf_wanted=wants_lf)))
    unplaced = (
        Unplaced(line=one.line, reason=place.reason, excerpt=_excerpt(written, one, _moved(place, splices)))
        for one, place in zip(passages, places, strict=True)
        if isinstance(place, NotFound)
    )
    return Fitted(
        content=_join(written, is_ended=is_ended),
        rungs=tuple(place.rung for _, place in found),
        unplaced=tuple(unplaced),
    )


def adopt_endings(text: str, before: bytes) -> bytes:
    """A whole new text with the line endings of the file that it replaces."""
    lines, _ = _split(before)
    if len(lines) > 1 and all(line.endswith("\r") for line in lines[:-1]) and "\r" not in text:
        text = text.replace("\n", "\r\n")
    return text.encode("utf-8", "surrogateescape")


def _places(
    lines: Sequence[str], passages: Sequence[Passage], look_closely: Callable[[], None]
) -> list[Found | NotFound]:
    places: list[Found | NotFound] = []
    misfits = 0
    for passage in passages:
        place = _place(lines, passage)
        places.append(place)
        if isinstance(place, NotFound) or place.rung is not Rung.EXACT:
            look_closely()
        misfits += isinstance(place, NotFound)
        if misfits == MOST_MISFITS:
            break
    return places


def _place(lines: Sequence[str], passage: Passage) -> Found | NotFound:
    if not passage.old:
        if any(line.strip() for line in lines):
            return NotFound(reason="quotes no line of the file, so nothing says where it belongs")
        return Found(rung=Rung.EXACT, splices=(Splice(start=0, end=len(lines), new=passage.new),))
    place = find_passage(lines, passage)
    if isinstance(place, Found) and passage.final_newline is not None and place.splices[-1].end != len(lines):
        return NotFound(reason="says that the file ends, and it goes on", places=(place.splices[-1].end - 1,))
    return place


@lru_cache(maxsize=1)  # An answer often has many edits of one file in a row.
def _split(content: bytes) -> tuple[FileLines, bool]:
    text = content.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    is_ended = not lines[-1]
    return FileLines(lines[:-1] if is_ended else lines), is_ended


def _join(lines: Sequence[str], *, is_ended: bool) -> bytes:
    if not lines:
        return b""
    text = "\n".join(lines) + ("\n" if is_ended else "")
    return text.encode("utf-8", "surrogateescape")


def _ends_in_newline(
    passages: Sequence[Passage], splices: Sequence[Splice], size: int, *, is_ended: bool
) -> bool:
    said = [passage.final_newline for passage in passages if passage.final_newline is not None]
    if said:
        return said[-1]
    reaches_end = bool(splices) and splices[-1].end == size
    # What is cut off at the end leaves the newline of the line before it.
    return is_ended or (reaches_end and (not splices[-1].new or size == 0))


def _is_converted(passage: Passage) -> bool:
    """Whether an answer writes CRLF in all that it quotes; in a file with LF that is the answer's way, not a wish."""
    return bool(passage.old) and all(line.endswith("\r") for line in passage.old)


class _Endings:
    """The line endings to write in a file."""

    def __init__(self, lines: Sequence[str], *, is_lf_wanted: bool) -> None:
        ended = [line.endswith("\r") for line in lines]
        # The last line may be without any ending, and says nothing then.
        self._is_crlf = any(ended) and all(ended[:-1])
        self._is_lf = not any(ended)
        self._is_lf_wanted = is_lf_wanted

    def written(self, line: str, replaced: Sequence[str]) -> str:
        """A new line with the CR that it is to have."""
        if self._is_crlf or (not self._is_lf and replaced and all(it.endswith("\r") for it in replaced)):
            return line if line.endswith("\r") else f"{line}\r"
        return line.removesuffix("\r") if self._is_lf and self._is_lf_wanted else line


def _spliced(lines: Sequence[str], splices: Sequence[Splice], endings: _Endings) -> Iterator[str]:
    done = 0
    for splice in splices:
        yield from lines[done : splice.start]
        replaced = lines[splice.start : splice.end]
        last = len(splice.new) - 1 if splice.end == len(lines) else None
        for number, line in enumerate(splice.new):
            is_open = number == last and bool(replaced) and not replaced[-1].endswith("\r")
            yield line if is_open else endings.written(line, replaced)
        done = splice.end
    yield from lines[done:]


def _bounds(splice: Splice) -> tuple[int, int]:
    return splice.start, splice.end


def _without_overlaps(places: Sequence[Found | NotFound]) -> list[Found | NotFound]:
    """The same places, but those that reach into one that begins before them."""
    kept = list(places)
    numbered = [(it, n) for n, place in enumerate(places) if isinstance(place, Found) for it in place.splices]
    last: Splice | None = None
    for splice, number in sorted(numbered, key=lambda it: (*_bounds(it[0]), it[1])):
        if isinstance(kept[number], NotFound):
            continue
        if last is not None and (splice.start < last.end or _bounds(splice) == _bounds(last)):
            reason = f"overlaps another passage at line {splice.start + 1} of the file"
            kept[number] = NotFound(reason=reason, places=(splice.start,))
        else:
            last = splice
    return kept


def _moved(place: NotFound, splices: Sequence[Splice]) -> NotFound:
    """A place's lines as they are numbered once the splices are made."""
    return replace(place, places=tuple(start + _shift(start, splices) for start in place.places))


def _shift(line: int, splices: Sequence[Splice]) -> int:
    return sum(len(it.new) - (it.end - it.start) for it in splices if it.end <= line)


def _excerpt(lines: Sequence[str], passage: Passage, place: NotFound) -> str:
    """The file's own lines around each place that was found, or around the one that comes closest."""
    size = max(1, len(passage.old))
    starts = place.places or _closest(lines, passage)
    return "\n...\n".join(_shown(lines, start, start + size) for start in starts)


def _shown(lines: Sequence[str], start: int, end: int) -> str:
    first = max(0, start - _SHOWN_AROUND)
    last = min(len(lines), end + _SHOWN_AROUND, first + _MAX_SHOWN)
    return "\n".join(f"{first + 1 + n}: {line.rstrip()}" for n, line in enumerate(lines[first:last]))


def _closest(lines: Sequence[str], passage: Passage) -> tuple[int, ...]:
    """Where most of the passage's lines stand as they would have to, or else where most of its words do."""
    votes: Counter[int] = Counter()
    positions = form_of(lines, _positions)
    for number, line in enumerate(passage.old):
        known = positions.get(line.strip(), ())
        if line.strip() and len(known) <= _COMMON_LINE:
            votes.update(max(0, position - number) for position in known)
    if votes:
        return (min(votes, key=lambda start: (-votes[start], start)),)
    if (start := _most_words(lines, passage)) is not None:
        return (start,)
    return (
        (passage.near_line - 1,) if passage.near_line is not None and passage.near_line <= len(lines) else ()
    )


def _positions(lines: Sequence[str]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        positions.setdefault(line.strip(), []).append(number)
    return positions


def _words(lines: Sequence[str]) -> list[frozenset[str]]:
    return [frozenset(_WORD.findall(line)) for line in lines]


def _most_words(lines: Sequence[str], passage: Passage) -> int | None:
    offsets: dict[str, int] = {}
    for number, line in enumerate(passage.old):
        for word in _WORD.findall(line):
            offsets.setdefault(word, number)
    wanted = frozenset(offsets)
    found = [wanted & words for words in form_of(lines, _words)]
    counts = Counter(word for words in found for word in words)
    # A word that stands in few lines says more about the place than one that stands in many.
    scores = [sum(1 / counts[word] for word in words) for words in found]
    best = max(range(len(lines)), key=lambda number: scores[number], default=0)
    if not lines or not found[best]:
        return None
    return max(0, best - min(offsets[word] for word in found[best]))
