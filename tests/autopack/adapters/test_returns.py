"""A mended cause that comes back, in whatever run: noticed by the record, or told to it by whoever can ask git."""

from collections import Counter
from dataclasses import replace

import pytest
from drain_record import FAILED_ONES, WIDE, cause
from mended_record import FIX, Commits, held_record, validated

from autopack.domain.blocker import BlockerEvent, BlockerState, Release
from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.returns import notice_returns
from autopack.triage.release import validate_fix
from autopack.triage.validation import Validated


@pytest.fixture
def record(sql_store):
    return held_record(sql_store)


def fail_on(record, base, *, run="new", failure=None, replayed_from=None):
    """A run that the blocker never held, or one that it did, fails on a base."""
    if run == "new":
        record.backlog(new={"a": None})
    else:
        record.store.requeue_phase(run, "a", now=record.now)
    lease = record.claim(record.store.next_address(run, "a"))
    if base is not None:
        lease = record.store.set_base(lease, base)
    outcome = AttemptOutcome(
        final_state=PhaseState.FAILED, failure=failure or cause("ann"), replayed_from=replayed_from
    )
    record.store.finish_attempt(lease, outcome, now=record.now)


@pytest.mark.parametrize(
    ("base", "options", "is_back"),
    [
        pytest.param("mended", {}, True, id="made on what holds the fix"),
        pytest.param("old", {}, False, id="made on what lacks it"),
        pytest.param(None, {}, True, id="ended before a base was known"),
        pytest.param("mended", {"failure": cause("bob")}, False, id="another cause"),
        pytest.param("mended", {"run": "one"}, True, id="a held run that its release brought the fix"),
        pytest.param("old", {"run": "one"}, False, id="a held run before its release"),
        pytest.param(
            "mended", {"replayed_from": 1}, False, id="a change from before the mend that is bad itself"
        ),
    ],
)
def test_a_mended_cause_in_whatever_run(base, options, is_back, record):
    validated(record)
    fail_on(record, base, **options)
    found = notice_returns(record.store, Commits(), now=record.now)
    blocker = record.store.triage.blocker("B1")
    assert blocker.state is (BlockerState.RECURRED if is_back else BlockerState.VALIDATED)
    assert (len(found), blocker.recurrences, blocker.recurred_in) == (
        (1, 1, f"{options['run']}/a/2" if "run" in options else "new/a/1") if is_back else (0, 0, None)
    )
    newest = record.store.triage.events(blocker)[-1]
    if is_back:
        assert newest.event == "recurred"
        assert f"after the fix {FIX[:12]}" in newest.text
        assert newest.commit == base
    # It is noted once, however often anybody looks.
    assert notice_returns(record.store, Commits(), now=record.now) == ()
    assert record.store.triage.blocker("B1").recurrences == int(is_back)


def test_an_attempt_from_before_the_mend_is_no_return(record):
    record.backlog(new={"a": None})
    lease = record.claim(record.store.next_address("new", "a"))
    lease = record.store.set_base(lease, "mended")
    validated(record)
    outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=cause("ann"))
    record.store.finish_attempt(lease, outcome, now=record.now)
    assert notice_returns(record.store, Commits(), now=record.now) == ()


def test_a_stop_is_lifted_together_with_the_word_that_the_fix_passed(record):
    session = record.start(limits=WIDE.__class__(max_fingerprint_repeats=1))
    record.work(record.pick(session), cause("ann"))
    key = record.key_of("one", "a")
    assert record.drains.fingerprint(key).stopped_at is not None
    (blocker,) = record.store.triage.open_blockers(now=record.now)
    event = BlockerEvent(at=record.now, event="validation passed")
    record.store.triage.validated(blocker, event, fix_commit=FIX, why="mended")
    # As if its process had died here: whoever drains next marks the phases.
    assert all(record.store.phase(run, "a").is_stopped for run in ("one", "two"))
    assert record.drains.fingerprint(key).stopped_at is None
    assert sum(size for size, _ in record.store.triage.release_counts(blocker).values()) == 2
    assert record.pick(record.start()) is not None
    assert not any(record.store.phase(run, "a").is_stopped for run in ("one", "two"))


def test_a_stop_that_triage_has_a_name_for_is_told_by_it(record):
    session = record.start(limits=WIDE.__class__(max_fingerprint_repeats=1))
    record.work(record.pick(session), cause("ann"))
    lift = f"autopack drain lift {record.key_of('one', 'a')} --why REASON"
    (held,) = record.drains.held_back(FAILED_ONES, WIDE)
    assert held.hint == lift
    record.store.triage.open_blockers(now=record.now)
    (held,) = record.drains.held_back(FAILED_ONES, WIDE)
    assert held.hint == f"a mend of B1, which autopack remediate plan tells of; or {lift}"


def test_a_release_stops_no_other_cause(record):
    record.backlog(three={"a": cause("bob")})
    record.work(record.pick(record.start(replace(FAILED_ONES, run_id="three"))), cause("bob"))
    key, once = record.key_of("three", "a"), replace(WIDE, max_fingerprint_repeats=1)
    validated(record)
    record.start(replace(FAILED_ONES, blocker=1), once)
    assert record.drains.fingerprint(key).stopped_at is None
    record.start(limits=once)
    assert record.drains.fingerprint(key).stopped_at is not None


class Word:
    """A validation that ends as it is told to."""

    def __init__(self, *, passed):
        self.passed = passed

    def run(self, _validation, _commit):
        return Validated(passed=self.passed, text="looked at")


@pytest.mark.parametrize(
    ("before", "commit", "state", "fix"),
    [
        pytest.param(None, FIX, BlockerState.FIX_PROPOSED, FIX, id="of none that was validated"),
        pytest.param(FIX, "0" * 40, BlockerState.VALIDATED, FIX, id="of another than the validated one"),
        pytest.param(FIX, FIX, BlockerState.RECURRED, FIX, id="of the validated one itself"),
    ],
)
def test_a_validation_that_fails(before, commit, state, fix, record):
    (blocker,) = record.store.triage.open_blockers(now=record.now)
    parts = {"store": record.store, "clock": record.clock}
    if before is not None:
        blocker, _ = validate_fix(blocker, None, before, validator=Word(passed=True), **parts)
    blocker, _ = validate_fix(blocker, None, commit, validator=Word(passed=False), **parts)
    assert (blocker.state, blocker.fix_commit) == (state, fix)
    assert record.store.triage.events(blocker)[-1].event == "validation failed"


@pytest.mark.parametrize(
    ("state", "release"),
    [
        pytest.param(PhaseState.GATE, Release.NEEDS_WORK, id="parked for an approval"),
        pytest.param(PhaseState.FAILED, Release.FAILED, id="failed again"),
    ],
)
def test_what_a_release_notes_of_a_phase(state, release, record):
    blocker = validated(record)
    record.store.triage.mark_unpaid(blocker)
    session = record.start(replace(FAILED_ONES, blocker=1))
    pick = record.pick(session)
    lease = record.claim(pick.address)
    failure = cause("bob") if state is PhaseState.FAILED else None
    record.store.enter_state(lease, PhaseState.GATE, now=record.now)
    record.store.enter_state(lease, PhaseState.CI_RUNNING, now=record.now)
    record.store.finish_attempt(lease, AttemptOutcome(final_state=state, failure=failure), now=record.now)
    record.book(pick)
    counts = record.store.triage.release_counts(blocker)
    sizes = Counter({it: size for it, (size, _) in counts.items()})
    assert sizes == Counter([release, Release.NEEDS_WORK])


def test_a_release_that_stopped_hides_nothing_that_came_back_before_it(record):
    blocker = validated(record)
    fail_on(record, "mended")
    record.clock.advance(10)
    event = BlockerEvent(at=record.now, event="release stopped")
    assert (
        record.store.triage.move_blocker(blocker, BlockerState.VALIDATED, event).fixed_at == blocker.fixed_at
    )
    assert len(notice_returns(record.store, Commits(), now=record.now)) == 1
