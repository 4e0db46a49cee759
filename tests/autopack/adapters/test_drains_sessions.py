"""Drain sessions: begun, left, resumed, taken over, adopted and ended; the same on every record of drains."""

import pytest
from drain_record import FAILED_ONES, NOTHING_LEFT, QUEUED_ONES, WIDE, Record, cause, name

from autopack.domain.drain_policy import StopRule
from autopack.domain.phase import PhaseState
from autopack.errors import LeaseLostError, StoreError


@pytest.fixture
def record(store):
    return Record(store)


def resume(record, session_id=None, *, owner="other", dead=("me",)):
    return record.drains.resume(
        session_id, owner=owner, now=record.now, is_owner_dead=lambda who, _beat: who in dead
    )


def test_a_session_keeps_what_it_was_told(record):
    session = record.start(QUEUED_ONES)
    assert (session.scope, session.limits, session.preset) == (QUEUED_ONES, WIDE, "test")
    assert (session.started_at, session.heartbeat_at, session.owner) == (record.now, record.now, "me")
    assert record.drains.session(session.session_id) == session


def test_sessions_of_one_second_have_names_of_their_own_and_come_newest_first(record):
    names = [record.start().session_id for _ in range(12)]
    assert names[0] == "batch-drain-20231114-221320"
    assert names[1:] == [f"{names[0]}-{number}" for number in range(2, 13)]
    record.clock.advance(1)
    newest = record.start().session_id
    assert [it.session_id for it in record.drains.sessions(limit=3)] == [newest, names[11], names[10]]


def test_an_unknown_session_is_an_error(record):
    with pytest.raises(StoreError, match="there is no session 'nobody'"):
        record.drains.session("nobody")


def test_active_time_is_what_a_controller_worked(record):
    session = record.start()
    record.clock.advance(10)
    record.drains.touch(session.session_id, owner="me", now=record.now)
    record.clock.advance(100)
    resume(record)
    record.clock.advance(5)
    record.drains.touch(session.session_id, owner="other", now=record.now)
    assert record.drains.session(session.session_id).active_seconds == 15


def test_whoever_lost_a_session_hears_of_it(record):
    session = record.start()
    resume(record, session.session_id)
    with pytest.raises(LeaseLostError):
        record.drains.touch(session.session_id, owner="me", now=record.now)


@pytest.mark.parametrize("is_ended", [True, False], ids=["ended", "taken over"])
def test_a_session_that_is_nobodys_or_anothers_picks_nothing(record, is_ended):
    record.backlog(one={"a": cause("ann")})
    session = record.start()
    if is_ended:
        record.drains.finish(session.session_id, NOTHING_LEFT, now=record.now)
    else:
        resume(record, session.session_id)
    with pytest.raises(LeaseLostError):
        record.pick(session)
    assert record.store.phase("one", "a").state is PhaseState.FAILED
    assert record.drains.open_picks() == ()


def test_a_resumed_session_goes_on_where_it_was(record):
    record.backlog(one={"a": cause("ann")}, two={"a": cause("bob")})
    session = record.start()
    pick = record.pick(session)
    again = resume(record)
    assert (again.session_id, again.owner, again.picked) == (session.session_id, "other", 1)
    assert record.drains.open_picks(again.session_id) == (pick,)
    record.work(pick)
    assert record.drain(again) == ["two/a"]
    assert record.drains.session(session.session_id).total_success == 2


def test_the_newest_that_is_not_ended_is_resumed_unless_one_is_named(record):
    old = record.start()
    record.clock.advance(1)
    newest = record.start()
    record.drains.finish(newest.session_id, NOTHING_LEFT, now=record.now)
    assert resume(record).session_id == old.session_id


@pytest.mark.parametrize(
    ("named", "dead", "says"),
    [
        pytest.param("nobody", ("me",), "there is no session 'nobody'", id="unknown"),
        pytest.param("left", (), "is being worked on by me", id="its owner lives"),
        pytest.param("ended", ("me",), "has ended", id="ended"),
    ],
)
def test_what_cannot_be_resumed(record, named, dead, says):
    ended = record.start()
    record.drains.finish(ended.session_id, NOTHING_LEFT, now=record.now)
    left = record.start()
    session_id = {"left": left.session_id, "ended": ended.session_id}.get(named, named)
    with pytest.raises(StoreError, match=says):
        resume(record, session_id, dead=dead)


def test_nothing_to_resume(record):
    with pytest.raises(StoreError, match="no session to resume"):
        resume(record)


def test_the_same_owner_resumes_its_own(record):
    session = record.start()
    assert resume(record, owner="me", dead=()).session_id == session.session_id


def test_the_first_word_on_the_end_stays(record):
    session = record.start()
    record.drains.finish(session.session_id, NOTHING_LEFT, now=record.now)
    ended_at = record.now
    record.clock.advance(9)
    interrupted = type(NOTHING_LEFT)(rule=StopRule.INTERRUPTED, seen=1, limit=1)
    record.drains.finish(session.session_id, interrupted, now=record.now)
    told = record.drains.session(session.session_id)
    assert (told.completed_at, told.stop) == (ended_at, NOTHING_LEFT)


def test_what_a_dead_session_left_under_way_is_adopted_once(record):
    record.backlog(**{run: {"a": cause(run)} for run in ("one", "two", "three", "four")})
    left, living = record.start(owner="left"), record.start(owner="living")
    record.work(record.pick(left))
    picks = [record.pick(left), record.pick(left)]
    other = record.pick(living)
    record.clock.advance(1)
    heir = record.start(dead=("left",))
    assert heir.picked == 2
    adopted = record.drains.open_picks(heir.session_id)
    assert [pick.address for pick in adopted] == [pick.address for pick in picks]
    assert record.drains.open_picks(living.session_id) == (other,)
    dead = record.drains.session(left.session_id)
    assert (dead.picked, dead.total_success, dead.stop.rule) == (1, 1, StopRule.INTERRUPTED)
    assert (dead.completed_at, dead.stop.subject, dead.stop.seen) == (record.now, heir.session_id, 2)

    record.finish(record.claim(picks[0].address), None)
    assert record.book(picks[0]) is None
    assert record.drains.session(left.session_id).total_success == 1
    record.book(adopted[0])
    assert record.drains.session(heir.session_id).total_success == 1
    assert record.pick(heir) is None
    assert record.start(dead=("left",)).picked == 0


def test_results_of_an_heir_are_in_the_order_of_its_picks(record):
    record.backlog(**{run: {"a": cause(run)} for run in ("one", "two", "three")})
    for owner in ("x", "y"):
        record.pick(record.start(owner=owner))
        record.clock.advance(1)
    heir = record.start(dead=("x", "y"))
    record.clock.advance(1)
    own = record.pick(heir)
    for pick in (own, *record.drains.open_picks(heir.session_id)[:2]):
        record.work(pick)
    assert [it.run_id for it in record.drains.results(heir.session_id)][-1] == own.address.run_id
    assert record.drains.session(heir.session_id).total_success == 3
    assert name(own) == "three/a"
    assert record.drains.preview(FAILED_ONES, WIDE, limit=1) == ()
