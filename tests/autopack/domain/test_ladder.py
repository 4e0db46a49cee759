"""The matcher: one place or none, in files of any text and size."""

from time import process_time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from autopack.domain.change import Passage
from autopack.domain.drafts import draft_of
from autopack.domain.ladder import Found, NotFound, find_passage
from autopack.domain.literal import replaced_at_once
from autopack.domain.passages import fit_by_lines, fit_passages
from autopack.domain.search import Search

LINE = st.sampled_from(
    ["", " ", "a", "a ", " a", "\ta", "  a", "b", "b\r", "\u201ca\u201d", '"a"', "...", "c d e"]
)
LINES = st.lists(LINE, min_size=1, max_size=12)


def passage(old, new, **more):
    return Passage(line=1, old=tuple(old), new=tuple(new), **more)


@given(LINES, LINES, LINES, st.none() | st.integers(1, 12))
def test_what_is_not_replaced_stays_and_never_two_places_change(lines, old, new, near_line):
    found = find_passage(lines, passage(old, new, near_line=near_line))
    if isinstance(found, NotFound):
        return
    ends = [0]
    for splice in found.splices:
        assert ends[-1] <= splice.start < splice.end <= len(lines)
        ends.append(splice.end)
    pieces = sum(line.strip() == "..." for line in old) + 1
    assert len(found.splices) in {1, pieces}


@given(LINES, st.data())
def test_lines_that_stand_once_are_found_where_they_stand(lines, data):
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, len(lines)))
    old = lines[start:end]
    places = [n for n in range(len(lines)) if lines[n : n + len(old)] == old]
    found = find_passage(lines, passage(old, ["new"]))
    if len(places) == 1:
        assert isinstance(found, Found)
        assert (found.splices[0].start, found.splices[0].end) == (start, end)
    else:
        assert isinstance(found, NotFound)


@given(LINES, LINES, LINES, st.booleans())
def test_all_but_the_place_that_is_replaced_stays_as_it_was(lines, old, new, is_ended):
    # An open last line that is empty is no line.
    assume(is_ended or lines[-1])
    content = "\n".join(lines).encode() + b"\n" * is_ended
    fitted = fit_passages(content, [passage(old, new)], Search())
    after = fitted.content
    if fitted.unplaced:
        assert after == content
    else:
        found = find_passage(lines, passage(old, new))
        assert isinstance(found, Found)
        first, last = found.splices[0].start, found.splices[-1].end
        kept = b"".join(f"{line}\n".encode() for line in lines[:first])
        assert after.startswith(kept)
        rest = "".join(f"{line}\n" for line in lines[last:]).encode()
        assert after.endswith(rest if is_ended else rest.removesuffix(b"\n"))


@given(LINES.map(lambda lines: [line.rstrip("\r") for line in lines]), st.booleans())
def test_a_file_with_crlf_keeps_it_in_every_line(lines, is_ended):
    content = "\r\n".join(["first", *lines]).encode() + (b"\r\n" if is_ended else b"")
    if not lines and not is_ended:
        return
    fitted = fit_passages(content, [passage(["first"], ["one", "two"])], Search())
    assert fitted.content == content.replace(b"first", b"one\r\ntwo", 1)


@given(
    st.lists(st.sampled_from(["", "a", " a", "b ", "a\r", "\u00e9"]), max_size=8),
    st.lists(st.sampled_from(["", "a", " a", "b "]), min_size=1, max_size=3),
    st.lists(st.sampled_from(["", "a", "c"]), max_size=2),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
@example(["a", "a\r"], ["a"], [], b"\r\n", True)
def test_what_is_replaced_at_once_is_what_the_ladder_would_make_of_it(lines, old, new, end, is_open):
    content = b"".join(line.encode() + end for line in lines)
    content = content.removesuffix(end) if is_open else content
    at_once = replaced_at_once(content, passage(old, new))
    if at_once is not None:
        fitted = fit_by_lines(content, [passage(old, new)], Search())
        assert at_once == (fitted.content, fitted.rungs[0])


@given(LINES.map(lambda lines: [f"{n} {line.strip()}" for n, line in enumerate(lines)]), st.data())
def test_each_passage_that_fits_is_placed_whatever_else_does_not(lines, data):
    wanted = data.draw(st.sets(st.integers(0, len(lines) - 1)))
    wrong = data.draw(st.integers(1, 3))
    passages = [passage([lines[number]], [f"new {number}", "more"]) for number in wanted]
    passages += [passage([f"no such line {number}"], ["x"]) for number in range(wrong)]
    fitted = fit_passages(
        "".join(f"{line}\n" for line in lines).encode(), data.draw(st.permutations(passages)), Search()
    )
    written = [
        part for n, line in enumerate(lines) for part in ([f"new {n}", "more"] if n in wanted else [line])
    ]
    assert fitted.content.decode() == "".join(f"{line}\n" for line in written)
    assert len(fitted.unplaced) == wrong


SIZE = 1_000_000
HARD = [
    pytest.param(["x"] * (SIZE // 2), ["x"] * 5000 + ["y"], id="one line all over"),
    pytest.param(
        [" " * (n % 7) + "x" for n in range(SIZE // 5)], ["x", " x"] * 2500 + ["z"], id="indentation all over"
    ),
    pytest.param(["", "a"] * (SIZE // 3), ["", "a"] * 5000 + ["b", ""], id="blank lines all over"),
    pytest.param(
        [f"line {n}" for n in range(SIZE // 12)],
        [f"line {n}" for n in range(7, 9000)] + ["end"],
        id="a long one",
    ),
    pytest.param(["w " * 40] * (SIZE // 80), ["v w"], id="words all over"),
    pytest.param(["x"] * (SIZE // 2), ["x", "...", "x"], id="elision all over"),
]


def test_an_answer_that_fits_nowhere_is_given_up_in_seconds():
    content = "".join(f"    line {n} = value_{n % 97}(word)\n" for n in range(30_000)).encode()
    blocks = "".join(
        f"a.py\n<<<<<<< SEARCH\nline {n} = other\n=======\n>>>>>>> REPLACE\n" for n in range(1100)
    )
    started = process_time()
    draft = draft_of([blocks], {"a.py": (content, "100644")}.get)
    assert process_time() - started < 120
    assert (draft.fits, draft.edits) == (False, ())
    assert draft.problem.startswith("20 of its edits do not fit")


@pytest.mark.parametrize("number", [19, 20, 500])
def test_no_more_than_twenty_passages_without_a_place_are_looked_for(number):
    fitted = fit_passages(b"a\nb\n", [passage(["a"], ["x"]), *[passage(["c"], ["y"])] * number], Search())
    assert len(fitted.unplaced) == min(number, 20)


@pytest.mark.parametrize(("lines", "old"), HARD)
def test_a_megabyte_takes_seconds_at_most(lines, old):
    content = "\n".join(lines).encode()
    started = process_time()
    assert fit_passages(content, [passage(old, ["new"])], Search()).unplaced
    assert process_time() - started < 120
