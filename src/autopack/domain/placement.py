"""Where the pieces of an answer belong in a file: at exactly one place, or nowhere."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from autopack.domain.change import Hunk, Replacement
from autopack.domain.search import Search
from autopack.errors import PatchError, TooMuchError

_SHOWN_CHARACTERS = 80
_SHOWN_PLACES = 5


def place_hunks(content: bytes, hunks: Sequence[Hunk], search: Search) -> bytes:
    """A file's content after ``hunks``.

    Each hunk goes to its own line where its old lines stand there, else to the one other place where they
    do. Lines are the same when they differ in nothing but their line endings; a line that is kept keeps its
    own, and a line that is added to a file with CRLF gets CRLF.

    Raises:
        PatchError: A hunk fits nowhere, or in several places, or two hunks overlap. One problem a hunk.
        TooMuchError: Too many of them do not stand at their lines.
    """
    lines = split_lines(content)
    keys = [_without_ending(line) for line in lines]
    text = b"".join(keys)
    places: list[tuple[int, Hunk]] = []
    problems: list[str] = []
    for number, hunk in enumerate(hunks, start=1):
        try:
            places.append((_find(hunk, lines, keys, text, search), hunk))
        except TooMuchError:
            raise
        except PatchError as error:
            problems.append(f"hunk {number} (line {hunk.line} of the answer) {error}")
    if not problems:
        places.sort(key=lambda place: (place[0], len(place[1].old)))
        problems = list(_overlaps(places))
    if problems:
        raise PatchError(problems[0], problems=tuple(problems))
    return _join(_rebuild(content, lines, places))


def replace_once(content: bytes, pair: Replacement) -> bytes:
    """A file's content with the one occurrence of a text replaced.

    In a file with CRLF, a text that was given with LF is looked for and written with CRLF.

    Raises:
        PatchError: The text does not occur, or more than once.
    """
    search, replace = pair.search, pair.replace
    if uses_crlf(content) and b"\r" not in search + replace:
        search, replace = (text.replace(b"\n", b"\r\n") for text in (search, replace))
    first = content.find(search)
    if first < 0:
        raise PatchError(f"the text to replace does not occur: {_shown(search)}")
    second = content.find(search, first + 1)
    if second >= 0:
        lines = [content.count(b"\n", 0, place) + 1 for place in (first, second)]
        raise PatchError(f"the text to replace occurs at lines {lines[0]} and {lines[1]}: {_shown(search)}")
    return content[:first] + replace + content[first + len(search) :]


def split_lines(content: bytes) -> list[bytes]:
    """The lines of a file with their endings; only LF ends a line."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def uses_crlf(content: bytes) -> bool:
    """Whether every line of a file, and at least one, ends in CRLF."""
    count = content.count(b"\n")
    return count > 0 and content.count(b"\r\n") == count


def _find(hunk: Hunk, lines: Sequence[bytes], keys: Sequence[bytes], text: bytes, search: Search) -> int:
    old = hunk.old
    if not old:
        return _insertion_place(hunk, lines)
    own = hunk.old_start - 1
    wanted = [_without_ending(line) for line in old]
    if _stands_at(wanted, keys, own):
        return own
    search.look(len(text))
    found = list(islice(_occurrences(b"".join(wanted), text), _SHOWN_PLACES))
    if len(found) == 1:
        return found[0]
    if found:
        raise PatchError(f"fits in several places: at lines {', '.join(str(place + 1) for place in found)}")
    raise PatchError(f"fits nowhere: {_first_difference(wanted, keys, own)}")


def _insertion_place(hunk: Hunk, lines: Sequence[bytes]) -> int:
    if hunk.old_start > len(lines):
        raise PatchError(f"adds lines after line {hunk.old_start}, and the file has {len(lines)}")
    return hunk.old_start


def _stands_at(wanted: Sequence[bytes], keys: Sequence[bytes], place: int) -> bool:
    fits = 0 <= place <= len(keys) - len(wanted)
    return fits and keys[place] == wanted[0] and keys[place : place + len(wanted)] == wanted


def _occurrences(wanted: bytes, text: bytes) -> Iterator[int]:
    """The lines, from 0, at which whole lines stand in a text; it is searched as one, since lists compare slowly."""
    if not wanted.endswith(b"\n"):
        # The last line of a file, and no other.
        first = len(text) - len(wanted)
        if text.endswith(wanted) and (first == 0 or text[first - 1 : first] == b"\n"):
            yield text.count(b"\n", 0, first)
        return
    if text.startswith(wanted):
        yield 0
    line = counted = 0
    place = text.find(b"\n" + wanted)
    while place >= 0:
        line += text.count(b"\n", counted, place + 1)
        counted = place + 1
        yield line
        place = text.find(b"\n" + wanted, place + 1)


def _first_difference(wanted: Sequence[bytes], keys: Sequence[bytes], own: int) -> str:
    for offset, line in enumerate(wanted):
        place = max(own, 0) + offset
        if place >= len(keys):
            return f"the file ends at line {len(keys)}, before {_shown(line)}"
        if keys[place] != line:
            return f"line {place + 1} is {_shown(keys[place])}, not {_shown(line)}"
    return "its old lines do not occur"


def _overlaps(places: Sequence[tuple[int, Hunk]]) -> Iterable[str]:
    end = 0
    for place, hunk in places:
        if place < end:
            yield f"the hunk at line {hunk.line} of the answer overlaps another"
        end = place + len(hunk.old)


def _rebuild(content: bytes, lines: Sequence[bytes], places: Sequence[tuple[int, Hunk]]) -> Iterable[bytes]:
    done = 0
    for place, hunk in places:
        ending = _ending_to_write(content, hunk)
        yield from lines[done:place]
        done = place
        for sign, text in hunk.lines:
            if sign == "+":
                yield _without_ending(text)[:-1] + ending if ending and text.endswith(b"\n") else text
                continue
            if sign == " ":
                yield lines[done]
            done += 1
    yield from lines[done:]


def _ending_to_write(content: bytes, hunk: Hunk) -> bytes:
    """The file's own line ending where the hunk was written with the other one; empty to write as it says."""
    if uses_crlf(content) and not any(text.endswith(b"\r\n") for _, text in hunk.lines):
        return b"\r\n"
    ended = [text for text in hunk.old if text.endswith(b"\n")]
    if ended and b"\r\n" not in content and all(text.endswith(b"\r\n") for text in ended):
        return b"\n"
    return b""


def _join(lines: Iterable[bytes]) -> bytes:
    whole = list(lines)
    for line in whole[:-1]:
        if not line.endswith(b"\n"):
            raise PatchError(f"adds lines after {_shown(line)}, the last line, which has no line ending")
    return b"".join(whole)


def _without_ending(line: bytes) -> bytes:
    return line[:-2] + b"\n" if line.endswith(b"\r\n") else line


def _shown(text: bytes) -> str:
    whole = text.decode("utf-8", "replace").rstrip("\r\n")
    return repr(whole if len(whole) <= _SHOWN_CHARACTERS else f"{whole[:_SHOWN_CHARACTERS]}...")
