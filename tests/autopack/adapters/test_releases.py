"""Runs that fail of a mended cause where its fix is not, and the release that waits for them."""

from dataclasses import replace

import pytest
from drain_record import FAILED_ONES, WIDE, cause
from mended_record import Commits, held_record, late, released, sizes_of, validated, went_well

from autopack.adapters.store.tables import attempt
from autopack.domain.blocker import BlockerEvent, BlockerState, Release
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.returns import notice_returns
from autopack.triage.release import Releaser


@pytest.fixture
def record(sql_store):
    return held_record(sql_store)


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


class Counted(Commits):
    """Commits that count how often they were asked for."""

    def __init__(self):
        self.asked = 0

    def holds(self, head, commit):
        self.asked += 1
        return super().holds(head, commit)


def writes_of(record):
    """The transactions that write from now on."""
    begun, writing = [], record.store._database.writing

    def noted():
        begun.append(1)
        return writing()

    record.store._database.writing = noted
    return begun


@pytest.mark.parametrize(
    "go_on",
    [
        pytest.param(lambda _record: None, id="as they were"),
        pytest.param(
            lambda record: record.store.requeue_phase("new", "a", now=record.now), id="queued again"
        ),
    ],
)
def test_what_is_known_to_lack_the_fix_is_asked_for_and_noted_once(go_on, record):
    validated(record)
    for run in ("new", "newer"):
        late(record, run, notice=False)
    first, again = Counted(), Counted()
    notice_returns(record.store, first, now=record.now)
    assert first.asked > 0
    go_on(record)
    writes = writes_of(record)
    assert notice_returns(record.store, again, now=record.now) == ()
    assert (again.asked, writes) == (0, [])


@pytest.mark.parametrize("state", [PhaseState.QUEUED, PhaseState.SKIPPED])
def test_what_a_release_would_not_take_is_told(state, record):
    blocker = validated(record)
    assert record.store.triage.resting_phases(blocker, limit=5) == ()
    move = {PhaseState.QUEUED: record.store.requeue_phase, PhaseState.SKIPPED: record.store.skip_phase}
    move[state]("two", "a", now=record.now)
    (told,) = record.store.triage.resting_phases(blocker, limit=5)
    assert (told.run_id, told.state) == ("two", state)


def test_a_cause_that_came_back_is_noticed_however_late_and_wherever_its_phase_is_by_then(record):
    validated(record)
    late(record, "new")
    late(record, "newer", base="mended", notice=False)
    record.store.requeue_phase("newer", "a", now=record.now)
    record.attempt("newer", "a", None)
    (found,) = notice_returns(record.store, Commits(), now=record.now)
    assert str(found.address) == "newer/a/1"


def test_a_stop_that_no_limit_set_names_none_once_the_fix_holds_no_more(record):
    blocker = released(record)
    late(record, "new")
    key = blocker.cause.fingerprint
    (told,) = record.drains.held_back(FAILED_ONES, WIDE)
    assert told.reason == "B1, which they failed of, is mended, and their runs lack the fix"
    event = BlockerEvent(at=record.now, event="validation failed")
    record.store.triage.move_blocker(blocker, BlockerState.RECURRED, event)
    (told,) = record.drains.held_back(FAILED_ONES, WIDE)
    assert told.reason == (
        f"fingerprint {key} was stopped where the fix of B1 was missing, and that fix is not valid any more"
    )
    assert told.hint == (
        f"a mend of B1, which autopack remediate plan tells of; or autopack drain lift {key} --why REASON"
    )


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


class Repository(Commits):
    """Commits of which none needs to be brought anywhere."""

    def bring(self, *_args, **_options):
        return "mended"


class Meanwhile:
    """A record of drains that something happens to while the drains of a release are read from it."""

    def __init__(self, drains, happen):
        self._drains, self._happen = drains, happen

    def __getattr__(self, name):
        return getattr(self._drains, name)

    def sessions(self, **options):
        happen, self._happen = self._happen, lambda: None
        happen()
        return self._drains.sessions(**options)


def release(record, blocker, happen):
    store = record.store
    store.drains = Meanwhile(store.drains, happen)
    releaser = Releaser(store=store, workspace=Repository(), clock=record.clock, drain=lambda *_: None)
    return releaser.release(blocker, WIDE)


def test_a_release_that_nothing_came_in_to_is_over(record):
    report = release(record, went_well(record), lambda: None)
    assert (report.blocker.state, report.left, report.drained) == (BlockerState.RELEASED, 0, 2)


def test_a_phase_that_came_in_while_a_release_was_counted_keeps_it_from_ending(record):
    blocker = went_well(record)
    report = release(record, blocker, lambda: late(record, "new"))
    assert (report.blocker.state, report.left) == (BlockerState.VALIDATED, 1)
    assert record.store.triage.events(blocker)[-1].event == "release stopped"
    assert "1 left" in record.store.triage.events(blocker)[-1].text


def test_a_cause_that_came_back_while_a_release_was_counted_stays_recurred(record):
    def come_back():
        late(record, "new", base="mended")

    assert release(record, went_well(record), come_back).blocker.state is BlockerState.RECURRED


def test_nothing_is_held_by_a_release_that_ended_meanwhile(record):
    released(record)
    record.backlog(new={"a": cause("ann")})
    blocker = record.store.triage.blocker("B1")
    record.store.triage.begin_release(blocker, why="mended", now=record.now)
    assert sizes_of(record, blocker) == {Release.DRAINED: 2}


def test_one_that_is_released_with_phases_left_is_noted_again(record):
    blocker = went_well(record)
    late(record, "new")
    event = BlockerEvent(at=record.now, event="released")
    assert record.store.triage.end_release(blocker, event) is None
    # As a record of before says it.
    with record.store._database.writing() as db:
        db.execute(attempt.update().values(lacked_fix=False))
    record.store.triage.move_blocker(blocker, BlockerState.RELEASED, event)
    assert notice_returns(record.store, Commits(), now=record.now) == ()
    assert record.store.triage.blocker("B1").state is BlockerState.VALIDATED
    assert record.drains.fingerprint(blocker.cause.fingerprint).stopped_at is not None
