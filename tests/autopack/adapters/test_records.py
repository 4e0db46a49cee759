"""What the record tells of failures, calls and drains as a whole; the same on every database."""

from collections import Counter

import pytest
from drains import GOOD, PARKED, Bench, End, broken, late, overloaded

from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.drain_policy import StopRule
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.forecast import Try
from autopack.domain.go_no_go import Decision, Evidence, count, judge
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind
from autopack.domain.verdicts import AttemptOutcome
from autopack.domain.waste import CallEnd, Saving
from autopack.errors import StoreError
from autopack.ports import BuildAnswer, CallFilter

ALPHA, BETA = broken("No module named 'alpha'"), broken("No module named 'beta'")
DOOMED = End(kind=FailureKind.DOOMED, cause="gamma", calls=0)
WIDE = {"max_fingerprint_repeats": 99, "batch_size": None, "max_attempts_per_phase": 1}


@pytest.fixture
def bench(sql_store, tmp_path):
    return Bench(sql_store, sql_store.drains, tmp_path / "state")


@pytest.fixture
def triage(sql_store):
    return sql_store.triage


def places(rows):
    return [f"{row.run_id}/{row.phase_id}" for row in rows]


# --- failed phases --------------------------------------------------------------------------------------


def test_a_failed_phase_is_told_with_what_its_cause_cost(bench, triage):
    bench.add("r", [broken("No module named 'beta'", tokens=30), BETA], GOOD, failed=ALPHA)
    bench.add("s", GOOD)
    bench.drain(**{**WIDE, "max_attempts_per_phase": 2})
    (only,) = triage.failed_phases()
    assert places([only]) == ["r/p0"]
    assert (only.kind, only.attempts, only.tokens) == (FailureKind.IMPORT_ERROR, 2, 130)
    assert only.fingerprint == bench.store.phase("r", "p0").failure_fingerprint
    first, last = (it.finished_at for it in bench.store.attempts("r", "p0")[1:])
    assert (only.first_seen_at, only.last_seen_at) == (first, last)


def test_failures_are_told_as_they_stood_at_a_time(bench, triage):
    bench.add("r", GOOD, BETA, failed=ALPHA)
    before = triage.failed_phases()
    at = bench.clock.advance(10)
    bench.clock.advance(10)
    bench.drain(**WIDE)
    assert triage.failed_phases(at=at) == before
    assert places(before) == ["r/p0", "r/p1"]
    assert places(triage.failed_phases()) == ["r/p1"]
    assert triage.failed_phases(at=bench.clock.now()) == triage.failed_phases()
    assert triage.failed_phases(at=1.0) == ()


def test_a_phase_that_failed_before_there_were_fingerprints_has_one_all_the_same(bench, triage, sql_store):
    bench.add("r", GOOD, failed=ALPHA)
    (known,) = triage.failed_phases()
    with sql_store._database.writing() as db:
        db.exec_driver_sql("UPDATE phase SET failure_fingerprint = NULL")
        db.exec_driver_sql("UPDATE attempt SET fingerprint = NULL")
    assert triage.failed_phases() == (known,)
    assert triage.failed_phases(at=bench.clock.now()) == (known,)


def test_a_phase_that_was_put_back_does_not_stand_failed(bench, triage):
    bench.add("r", GOOD, GOOD, failed=ALPHA)
    bench.store.requeue_phase("r", "p0", now=bench.clock.now())
    assert places(triage.failed_phases()) == ["r/p1"]


# --- calls ----------------------------------------------------------------------------------------------


def test_every_call_is_told_once_with_the_tokens_of_telemetry(bench, triage):
    bench.add("r", GOOD, broken("'b'", calls=2, tokens=70), DOOMED, late(tokens=5), PARKED, failed=ALPHA)
    bench.add("q", [overloaded(), GOOD])
    bench.drain(DrainKind.QUEUED)
    session = bench.drain(**{**WIDE, "max_timeouts_per_run": 9})
    events = bench.store.telemetry(CallFilter())
    calls = triage.booked_calls()
    assert [(it.address, it.tokens) for it in calls] == [(it.address, it.tokens) for it in events]
    assert sum(it.tokens for it in calls) == sum(bench.store.usage_of(run).total_tokens for run in "rq")
    ours = triage.booked_calls(session_id=session.session_id)
    assert sum(it.tokens for it in ours) == session.total_tokens == 345
    states = Counter((it.final_state, it.is_open, it.failure_kind) for it in ours)
    assert states == {
        (PhaseState.COMPLETE, False, None): 1,
        (PhaseState.FAILED, False, FailureKind.IMPORT_ERROR): 2,
        (PhaseState.FAILED, False, FailureKind.TIMEOUT): 1,
        (PhaseState.GATE, True, None): 1,
    }


def test_a_fingerprint_of_several_phases_is_a_blocker(bench, triage):
    bench.add("r", GOOD, GOOD, failed=ALPHA)
    bench.add("s", GOOD, failed=BETA)
    assert {it.address.run_id: it.is_blocker for it in triage.booked_calls()} == {"r": True, "s": False}


def reserve(bench, lease, *, expected=40):
    words = {"turn": 1, "builder": "replay:x", "prompt_hash": "h", "expected_tokens": expected}
    return bench.store.reserve_call(lease, limit_tokens=10**6, now=bench.clock.now(), **words).call_id


def settle(bench, call_id, **answer):
    said = {"base_commit": "c", "duration_seconds": 1.0, "now": bench.clock.now()}
    bench.store.settle_call(call_id, BuildAnswer(usage=Usage(input_tokens=7), **answer), **said)


OVERLOAD = FailureReport(kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True)
REFUSED = FailureReport(kind=FailureKind.BUILDER_ERROR, message="refused")


@pytest.mark.parametrize(
    ("answer", "end", "tokens"),
    [
        pytest.param(None, CallEnd.UNDER_WAY, 40, id="under way"),
        pytest.param({"text": "x"}, CallEnd.ANSWERED, 7, id="answered"),
        pytest.param({"failure": OVERLOAD}, CallEnd.FAULT, 7, id="a fault that need not come again"),
        pytest.param({"failure": REFUSED}, CallEnd.ANSWERED, 7, id="a failure that would"),
    ],
)
def test_how_a_call_ended(bench, triage, answer, end, tokens):
    bench.add("r", GOOD)
    lease = bench.dispatcher.begin(AttemptAddress(run_id="r", phase_id="p0", number=1))
    call_id = reserve(bench, lease)
    if answer is not None:
        settle(bench, call_id, **answer)
    (call,) = triage.booked_calls()
    assert (call.end, call.tokens, call.is_open) == (end, tokens, True)


def test_a_call_whose_process_died_is_lost_and_its_phase_may_be_given_up(bench, triage):
    bench.add("r", GOOD)
    address = AttemptAddress(run_id="r", phase_id="p0", number=1)
    lease = bench.dispatcher.begin(address)
    reserve(bench, lease)
    failure = FailureReport(kind=FailureKind.CRASHED, message="its process died")
    bench.store.release_attempt(address, token=lease.token, failure=failure, now=bench.clock.now())
    (call,) = triage.booked_calls()
    assert (call.end, call.tokens, call.is_open) == (CallEnd.LOST, 40, True)


def finish(bench, address, **outcome):
    """An attempt without a call of its own."""
    lease = bench.dispatcher.begin(address)
    lease = bench.store.set_base(lease, outcome.pop("base", "c"))
    if outcome["final_state"] is PhaseState.COMPLETE:
        for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
            bench.store.enter_state(lease, state, now=bench.clock.now())
    bench.store.finish_attempt(lease, AttemptOutcome(**outcome), now=bench.clock.advance(1))


GAMMA = FailureReport(kind=FailureKind.TEST_REGRESSION, message='gamma says "replayed_from":null')
COMPLETE = {"final_state": PhaseState.COMPLETE, "commit": "d"}


@pytest.mark.parametrize(
    ("again", "is_used_later", "is_flaky", "saved"),
    [
        pytest.param(
            {**COMPLETE, "replayed_from": 1, "base": "d"}, True, False, 100, id="it passes on another base"
        ),
        pytest.param(
            {**COMPLETE, "replayed_from": 1, "base": None}, True, True, 100, id="and on the same one"
        ),
        pytest.param(
            {"final_state": PhaseState.FAILED, "failure": GAMMA, "replayed_from": 1, "base": None},
            False,
            True,
            None,
            id="the same base shows another failure",
        ),
        pytest.param(
            {"final_state": PhaseState.FAILED, "failure": GAMMA, "base": None},
            False,
            False,
            None,
            id="no replay",
        ),
    ],
)
def test_an_answer_that_was_judged_again(bench, triage, sql_store, again, is_used_later, is_flaky, saved):
    bench.add("r", GOOD, failed=ALPHA)
    again = dict(again)
    again["base"] = again["base"] or "first"
    with sql_store._database.writing() as db:
        db.exec_driver_sql("UPDATE attempt SET base_commit = 'first'")
    finish(bench, bench.store.requeue_phase("r", "p0", now=bench.clock.now()), **again)
    (call,) = triage.booked_calls()
    assert (call.is_used_later, call.is_flaky) == (is_used_later, is_flaky)
    told = [(it.saving, it.tokens, it.address.number) for it in triage.saved_calls()]
    assert told == ([(Saving.REPLAY, saved, 2)] if saved else [])


def test_a_doomed_attempt_saves_what_its_session_expected(bench, triage):
    bench.add("r", DOOMED, End(kind=FailureKind.DOOMED, cause="paid", calls=1), failed=ALPHA)
    bench.add("s", GOOD, failed=DOOMED)
    first = bench.drain(**WIDE, scope={"run_id": "r"})
    saved = triage.saved_calls()
    assert [(str(it.address), it.saving, it.tokens) for it in saved] == [
        ("r/p0/2", Saving.DOOM_CHECK, 50),
        ("s/p0/1", Saving.DOOM_CHECK, 0),
    ]
    assert triage.saved_calls(session_id=first.session_id) == saved[:1]


# --- drained attempts -----------------------------------------------------------------------------------


def test_observations_are_those_of_a_session_or_the_newest_of_all(bench, triage):
    bench.add("r", GOOD, BETA, DOOMED, failed=ALPHA)
    first = bench.drain(**{**WIDE, "batch_size": 2})
    bench.clock.advance(60)
    bench.drain(**WIDE)
    assert places(triage.observations(session_id=first.session_id, newest=9)) == ["r/p0", "r/p1"]
    assert places(triage.observations(newest=2)) == ["r/p1", "r/p2"]
    assert count(triage.observations(newest=99)) == Evidence(
        attempts=4, import_failures=0, collection_errors=2, phases=3, phases_with_events=2
    )


def test_tries_are_told_by_what_their_phase_had_failed_with(bench, triage):
    bench.add("r", GOOD, broken("'b'", tokens=7), [overloaded(), GOOD], failed=ALPHA)
    (key,) = {it.fingerprint for it in triage.failed_phases()}
    began = bench.clock.advance(1)
    bench.drain(**WIDE)
    tries = triage.tries()
    good = Try(tokens=100, is_complete=True)
    assert tries == {key: [good, Try(tokens=7, is_complete=False), good]}
    assert triage.tries(since=began) == tries
    assert triage.tries(since=bench.clock.now() + 1) == {}


def test_a_record_of_drains_holds_every_booked_attempt_and_what_was_left(bench, triage):
    bench.add("r", GOOD, ALPHA, failed=ALPHA)
    bench.add("s", GOOD, failed=BETA)
    session = bench.drain(**{**WIDE, "batch_size": 2})
    record = triage.drain_record()
    (told,) = record.sessions
    assert (told.session_id, told.limits, told.stop) == (
        session.session_id,
        session.limits,
        StopRule.BATCH_SIZE,
    )
    assert told.active_seconds == session.active_seconds
    # r/p1 was not tried; of those that were, none may be tried again.
    assert (told.left_phases, told.held_phases) == (1, 0)
    assert [it.number for it in record.attempts] == [2, 2]
    assert [it.elapsed_seconds for it in record.attempts] == [
        it.picked_at - told.started_at for it in record.attempts
    ]
    assert record == triage.drain_record([session.session_id])
    with pytest.raises(StoreError, match="there is no session 'nobody'"):
        triage.drain_record(["nobody"])


def test_what_was_taken_over_counts_for_its_heir(bench, triage):
    bench.add("r", GOOD, failed=ALPHA)
    left = bench.controller(bench.start(owner="dead"))
    bench.dispatcher.is_idle = True
    left.tick()
    bench.clock.advance(60)
    bench.dispatcher.is_idle = False
    heir = bench.drain(owner="me", is_owner_dead=True)
    record = triage.drain_record()
    (only,) = record.attempts
    assert (only.session_id, only.picked_at, only.elapsed_seconds) == (heir.session_id, heir.started_at, 0.0)


def test_a_lift_is_part_of_the_record(bench, triage):
    bench.add("r", ALPHA, failed=ALPHA)
    (key,) = {it.fingerprint for it in triage.failed_phases()}
    at = bench.clock.advance(5)
    bench.store.drains.lift(key, why="mended", now=at)
    assert [(it.fingerprint, it.at) for it in triage.drain_record().lifts] == [(key, at)]


# --- decisions ------------------------------------------------------------------------------------------


def test_answers_are_kept_with_all_that_they_were_judged_by(triage):
    evidence = Evidence(attempts=30, import_failures=1, collection_errors=0, phases=30, phases_with_events=25)
    no = judge(evidence, batch_size=30)
    yes = judge(
        Evidence(attempts=5, import_failures=0, collection_errors=0, phases=5, phases_with_events=5),
        batch_size=5,
    )
    assert no.decision is Decision.NO_GO
    triage.save_decision(no, session_id="one", now=1.0)
    triage.save_decision(yes, session_id=None, now=2.0)
    assert [(it.session_id, it.at, it.judgement) for it in triage.decisions(limit=9)] == [
        (None, 2.0, yes),
        ("one", 1.0, no),
    ]
    assert [it.judgement for it in triage.decisions(session_id="one", limit=9)] == [no]
    assert len(triage.decisions(limit=1)) == 1
