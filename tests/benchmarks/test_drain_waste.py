"""How the benchmark of drains judges: its rivals' rules, its bars, and what it does to texts."""

from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from benchmarks.drain_waste.backlog import Backlog, Cell, Member, grid, make_backlog
from benchmarks.drain_waste.causes import BLOCKERS, OVER, USEFUL
from benchmarks.drain_waste.plot import draw, short
from benchmarks.drain_waste.recordings import Recording, retell
from benchmarks.drain_waste.report import ratio, row_of, table
from benchmarks.drain_waste.rivals import (
    Ending,
    original_fingerprint,
    original_rule,
    raw_hash_breaker,
    retry_three,
)
from benchmarks.drain_waste.tally import OURS, OURS_RECORDED, Tally, Try, judge

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.fingerprint import of_failure

BLOCKER, FORESEEN = BLOCKERS[0], BLOCKERS[1]
CELL = Cell(size=20, share=50, blockers=(BLOCKER, FORESEEN))


def member(number, cause=BLOCKER, *, run="r"):
    return Member(
        run_id=run,
        phase_id=f"p{number}",
        number=number,
        cause=cause,
        before=OVER[2] if cause is USEFUL else cause,
        was_foreseen=False,
    )


def backlog(*members):
    return Backlog(CELL, members)


def attempt(text="boom {number}"):
    """Attempts of blocked phases fail with ``text``; those of useful ones succeed."""

    def make(one, number):
        if one.is_useful and number > 1:
            return Ending(is_success=True, tokens=10)
        said = text.format(number=f"{one.name} {number}")
        return Ending(is_success=False, tokens=100, stderr=said, raw=said)

    return make


def tried(tries):
    return Counter(it.member.name for it in tries)


def test_retry_three_stops_at_success():
    tries = list(retry_three(backlog(member(0), member(1, USEFUL)), attempt()))
    assert tried(tries) == {"r/p0": 3, "r/p1": 1}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param("aaaaa", 3, id="its own run ends"),
        pytest.param("aabbcc", 5, id="counted over all runs, each sampled first"),
        pytest.param("abcdefg", 7, id="every other run pays once more"),
    ],
)
def test_original_rule_stops_a_fingerprint_in_its_run_only(runs, expected):
    members = [member(number, run=run) for number, run in enumerate(runs)]
    assert len(list(original_rule(backlog(*members), attempt("boom"), lambda _: 0))) == expected


def test_original_rule_leaves_the_useful_phases_of_a_stopped_run():
    members = [*(member(number) for number in range(3)), member(3, USEFUL)]
    tries = list(original_rule(backlog(*members), attempt("boom"), lambda it: it.is_useful))
    assert tried(tries) == {"r/p0": 1, "r/p1": 1, "r/p2": 1}


def test_original_fingerprint_reads_the_head_without_its_values():
    first = original_fingerprint("Failed 2026-01-02 10:11:12 at /a/b/c.py line 7, 3 of 4" + "x" * 300)
    second = original_fingerprint("Failed 2025-11-30 01:02:03 at /d/c.py line 90, 1 of 2" + "x" * 290)
    assert first == second
    assert first != original_fingerprint("Refused")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("boom", 6, id="five open it and one canary goes"),
        pytest.param("boom {number}", 20, id="texts that differ never open it"),
    ],
)
def test_raw_hash_breaker(text, expected):
    members = [member(number) for number in range(20)]
    assert len(list(raw_hash_breaker(backlog(*members), attempt(text)))) == expected


def test_raw_hash_breaker_lets_all_go_after_a_canary_that_succeeds():
    members = [*(member(number) for number in range(5)), *(member(number, USEFUL) for number in range(5, 8))]
    tries = list(raw_hash_breaker(backlog(*members), attempt("boom")))
    assert len(tries) == 8


def tally(*tries, policy=OURS_RECORDED, keys=None, members=None):
    members = members if members is not None else {it.member for it in tries}
    return Tally(backlog=backlog(*members), policy=policy, tries=tries, keys=keys or {})


def made(one, *, tokens=0):
    return Try(member=one, is_success=one.is_useful, tokens=tokens)


@pytest.mark.parametrize(
    ("tallies", "missed"),
    [
        pytest.param([tally(made(member(0)), made(member(1, USEFUL)))], [], id="all well"),
        pytest.param([tally(*(made(member(n)) for n in range(3)))], ["at most 2"], id="one attempt too many"),
        pytest.param([tally(made(member(0, FORESEEN), tokens=1))], ["no token"], id="paid for what shows"),
        pytest.param([tally(members=[member(0, USEFUL)])], ["no useful"], id="a useful phase untried"),
        pytest.param([tally(keys={"a": frozenset("xy")})], ["one fingerprint"], id="two keys for a cause"),
        pytest.param(
            [tally(keys={"a": frozenset("x"), "b": frozenset("x")})], ["one cause"], id="a key for two"
        ),
        pytest.param(
            [tally(made(member(0), tokens=5)), tally(made(member(0), tokens=6), policy=OURS)],
            ["drains of processes"],
            id="processes and recordings differ",
        ),
        pytest.param([tally(members=[member(0, USEFUL)], policy="retry-3")], [], id="rivals have no bar"),
    ],
)
def test_bars(tallies, missed):
    bars = [bar for bar in judge(tallies, limit=2) if bar.misses]
    assert [bar.name[: len(begin)] for bar, begin in zip(bars, missed, strict=True)] == missed
    assert all("MISSED" in str(bar) for bar in bars)


@pytest.mark.parametrize("cell", grid(), ids=str)
def test_a_backlog_holds_what_its_cell_says(cell):
    made_once, made_again = make_backlog(cell), make_backlog(cell)
    assert made_once == made_again
    assert len(made_once.by_name) == cell.size
    assert len(made_once.useful) == cell.size - cell.size * cell.share // 100
    assert {it.cause for it in made_once.members} - {USEFUL} == set(cell.blockers)
    assert len({it.run_id for it in made_once.members}) <= 56


RECORDING = Recording(
    failure=FailureReport(
        kind=FailureKind.CRASHED,
        message="The attempt ended with exit code 1",
        details=("a", "b"),
        evidence=(
            'Traceback (most recent call last):\n  File "/lab/repo/calc/core.py", line 12, in add\n'
            "ValueError: no rows after 3.21 s\n"
        ),
        returncode=1,
    ),
    stderr="crashed: /lab/repo/docs/run-part.md, request req_00ff\n",
    fingerprint="",
    places={"run-part": "file", "/lab/repo": "root"},
)


def test_retold_texts_differ_and_keep_their_cause():
    told = [retell(RECORDING, member(number), 1) for number in range(5)]
    assert len({it.stderr for it in told}) == len({it.failure.evidence for it in told}) == 5
    assert all("/lab/repo" not in it.stderr + it.failure.evidence for it in told)
    assert len({str(of_failure(it.failure)) for it in told}) == 1
    assert told[0] == retell(RECORDING, member(0), 1)


def test_retold_failure_without_output_stays_without():
    silent = replace(RECORDING, failure=replace(RECORDING.failure, evidence=""))
    assert retell(silent, member(0), 1).failure.evidence == ""


@pytest.mark.parametrize(
    ("wasted", "ours", "shown"), [(0, 0, "-"), (5, 0, "inf"), (6, 4, "1.5"), (0, 4, "0.0")]
)
def test_ratio(wasted, ours, shown):
    assert ratio(wasted, ours) == shown


@pytest.mark.parametrize(("tokens", "shown"), [(0, "0"), (41_200, "41 k"), (1_250_000, "1.2 M")])
def test_short(tokens, shown):
    assert short(tokens) == shown


def test_table_and_picture_show_every_policy():
    policies = ("retry-3", "original rule", "raw-hash breaker", OURS_RECORDED)
    rows = [row_of(tally(made(member(0), tokens=41_000), policy=policy)) for policy in policies]
    assert all(policy in table(rows) for policy in policies)
    picture = draw(rows)
    ET.fromstring(picture)
    assert picture.count("41 k") == len(policies)
