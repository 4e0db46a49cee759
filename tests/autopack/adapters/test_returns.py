"""A mended cause that comes back, in whatever run: noticed by the record, or told to it by whoever can ask git."""

from collections import Counter
from dataclasses import replace

import pytest
from drain_record import FAILED_ONES, WIDE, Record, cause

from autopack.domain.blocker import BlockerEvent, BlockerState, Release
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.returns import notice_returns
from autopack.triage.release import validate_fix
from autopack.triage.validation import Validated

FIX = "f" * 40


@pytest.fixture
def record(sql_store):
    """One cause that holds two runs."""
    record = Record(sql_store)
    record.backlog(one={"a": cause("ann")}, two={"a": cause("ann")})
    return record


class Commits:
    """A history of two commits, the second of which holds the fix."""

    def holds(self, head, commit):
        return (head, commit) == ("mended", FIX)


def validated(record):
    (blocker,) = record.store.triage.open_blockers(now=record.now)
    record.clock.advance(10)
    event = BlockerEvent(at=record.now, event="validation passed")
    blocker = record.store.triage.validated(blocker, event, fix_commit=FIX, why="mended")
    record.drains.mark(blocker.cause.fingerprint)
    record.clock.advance(10)
    return blocker


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


# --- where the fix is not -------------------------------------------------------------------------------


def late(record, run, *, base="old"):
    """A run that the blocker never held fails of its cause."""
    record.backlog(**{run: {"a": None}})
    lease = record.store.set_base(record.claim(record.store.next_address(run, "a")), base)
    outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=cause("ann"))
    record.store.finish_attempt(lease, outcome, now=record.now)
    return notice_returns(record.store, Commits(), now=record.now)


def released(record):
    """A blocker whose phases all went well."""
    blocker = validated(record)
    for run in ("one", "two"):
        record.store.requeue_phase(run, "a", now=record.now)
        record.attempt(run, "a", None)
    event = BlockerEvent(at=record.now, event="released")
    return record.store.triage.move_blocker(blocker, BlockerState.RELEASED, event)


def sizes_of(record, blocker):
    return {it: size for it, (size, _) in record.store.triage.release_counts(blocker).items()}


def test_a_run_that_lacks_the_fix_waits_for_the_next_release_and_is_paid_for_once(record):
    blocker = released(record)
    assert late(record, "new") == ()
    assert record.store.triage.blocker("B1").state is BlockerState.VALIDATED
    assert sizes_of(record, blocker) == {Release.DRAINED: 2, Release.LATE: 1}
    assert record.store.triage.runs_to_release(blocker) == ("new",)
    # No drain asks the Builder for it again, and says what would help.
    session = record.start()
    assert record.pick(session) is None
    (held,) = record.drains.held_back(FAILED_ONES, WIDE)
    assert (held.phases, held.hint) == (1, "autopack remediate release B1")
    # However often anybody looks, it is one event.
    assert notice_returns(record.store, Commits(), now=record.now) == ()
    assert [it.event for it in record.store.triage.events(blocker)].count("late") == 1

    record.store.triage.begin_release(blocker, why="mended", now=record.now)
    record.drains.mark(blocker.cause.fingerprint)
    record.store.triage.mark_conflict(blocker, "new", is_conflict=False)
    assert sizes_of(record, blocker) == {Release.DRAINED: 2, Release.HELD: 1}
    assert record.pick(record.start(replace(FAILED_ONES, blocker=1, replay=Replay.ONLY))) is not None


def test_a_release_under_way_is_not_stopped_by_a_run_that_lacks_the_fix(record):
    blocker = validated(record)
    late(record, "new")
    assert record.drains.fingerprint(blocker.cause.fingerprint).stopped_at is None
    assert sizes_of(record, blocker) == {Release.HELD: 2, Release.LATE: 1}
    assert (
        record.pick(record.start(replace(FAILED_ONES, blocker=1, replay=Replay.ONLY))).address.run_id == "one"
    )


@pytest.mark.parametrize(
    "go_on",
    [
        pytest.param(
            lambda record: record.store.requeue_phase("new", "a", now=record.now), id="queued again"
        ),
        pytest.param(lambda record: record.store.skip_phase("new", "a", now=record.now), id="skipped"),
    ],
)
def test_a_phase_that_moved_on_is_not_noted_as_late(go_on, record):
    blocker = released(record)
    record.backlog(new={"a": None})
    lease = record.store.set_base(record.claim(record.store.next_address("new", "a")), "old")
    outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=cause("ann"))
    record.store.finish_attempt(lease, outcome, now=record.now)
    go_on(record)
    notice_returns(record.store, Commits(), now=record.now)
    assert record.store.triage.blocker("B1").state is BlockerState.RELEASED
    assert sizes_of(record, blocker) == {Release.DRAINED: 2}


def test_what_failed_before_its_blocker_was_mended_and_was_booked_after_is_held_by_its_release(record):
    record.backlog(new={"a": None})
    lease = record.store.set_base(record.claim(record.store.next_address("new", "a")), "old")
    blocker = validated(record)
    outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=cause("ann"))
    record.store.finish_attempt(lease, outcome, now=record.now)
    record.store.triage.begin_release(blocker, why="mended", now=record.now)
    assert sizes_of(record, blocker) == {Release.HELD: 3}
