"""When a drain stops: each rule by itself, with the numbers that it was judged by."""

import pytest
from drains import GOOD, PARKED, End, broken, late, overloaded

from autopack.cli.drain_view import lines_of
from autopack.domain.drain_policy import StopRule
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.run import Order
from autopack.domain.session import DrainKind

OTHER = broken("No module named 'beta'")
FRESH = [broken(f"No module named '{name}'") for name in ("one", "two", "three", "four", "five")]
WIDE = {"max_fingerprint_repeats": 99, "max_attempts_per_phase": 9, "max_timeouts_per_run": 99}
QUEUED = DrainKind.QUEUED


@pytest.mark.parametrize(
    ("kind", "ends", "limits", "rule", "asked"),
    [
        pytest.param("failed", FRESH, {"batch_size": 3}, StopRule.BATCH_SIZE, 3, id="a batch is a batch"),
        pytest.param("failed", FRESH, {"batch_size": 99}, StopRule.NOTHING_LEFT, 5, id="nothing is left"),
        pytest.param(
            "queued", [GOOD, FRESH[0], GOOD], {"stop_on_first_failure": True}, StopRule.FIRST_FAILURE, 2,
            id="the first failure stops",
        ),
        pytest.param(
            "queued", [GOOD, PARKED, GOOD], {"stop_on_first_failure": True}, StopRule.NOTHING_LEFT, 3,
            id="waiting for an approval is no failure",
        ),
        pytest.param(
            "failed", [broken(f"No module named '{n}'", seconds=25) for n in "abcde"],
            {"max_total_seconds": 60.0}, StopRule.TOTAL_MINUTES, 3, id="a minute is over in the third attempt",
        ),
        pytest.param(
            "failed", [broken(f"No module named '{n}'", calls=0) for n in "abcde"],
            {"max_consecutive_zero_yield": 2}, StopRule.ZERO_YIELD, 2, id="two in a row without a call",
        ),
        pytest.param(
            "failed", [broken("'a'", calls=0), broken("'b'"), broken("'c'", calls=0), broken("'d'", calls=0)],
            {"max_consecutive_zero_yield": 2}, StopRule.ZERO_YIELD, 4, id="a call begins the row anew",
        ),
    ],
)  # fmt: skip
def test_a_session_stops_by_the_first_rule_that_holds(kind, ends, limits, rule, asked, bench):
    bench.add("r", *ends, failed=OTHER if kind == "failed" else None)
    # What they failed with before is one cause; here each fails for one of its own.
    session = bench.drain(DrainKind(kind), **{**WIDE, "max_attempts_per_phase": 1, **limits})
    assert session.stop.rule is rule
    assert len(bench.dispatcher.asked) == asked
    assert session.total_processed == asked
    assert session.completed_at == pytest.approx(bench.clock.now(), abs=1)


def test_minutes_are_counted_on_after_a_resume_and_not_while_nobody_works(bench):
    bench.add("r", *(broken(f"'{n}'", seconds=20) for n in "abcdef"), failed=OTHER)
    limits = {**WIDE, "max_total_seconds": 60.0, "max_attempts_per_phase": 1}
    first = bench.controller(bench.start(**limits))
    first.tick()
    bench.clock.advance(0.5)
    first.tick()
    assert len(bench.dispatcher.asked) == 2
    first.close()
    bench.clock.advance(24 * 3600)
    session = bench.drive(bench.controller(bench.resume()))
    assert session.stop.rule is StopRule.TOTAL_MINUTES
    assert len(bench.dispatcher.asked) == 3
    assert 60 <= session.active_seconds < 70


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_phase_is_tried_as_often_as_the_session_may(most, bench):
    bench.add("r", FRESH, failed=OTHER)
    session = bench.drain(**{**WIDE, "max_attempts_per_phase": most})
    assert bench.dispatcher.asked == [f"r/p0/{n + 2}" for n in range(most)]
    assert session.stop.rule is StopRule.NOTHING_LEFT


@pytest.mark.parametrize("most", [1, 2])
def test_a_run_that_times_out_is_left_alone(most, bench):
    bench.add("slow", late(), late(), late(), failed=OTHER)
    bench.add("quick", GOOD, GOOD, failed=OTHER)
    session = bench.drain(**{**WIDE, "max_attempts_per_phase": 1, "max_timeouts_per_run": most})
    assert sum(place.startswith("slow") for place in bench.dispatcher.asked) == most
    assert sum(place.startswith("quick") for place in bench.dispatcher.asked) == 2
    assert session.stopped_runs == ("slow",)
    assert session.total_timeouts == most


def test_time_outs_of_one_sort_are_one_cause(bench):
    for number in range(4):
        bench.add(f"r{number}", late(), failed=OTHER)
    session = bench.drain(**{**WIDE, "max_fingerprint_repeats": 2})
    (key,) = session.fingerprint_counts
    assert session.stopped_fingerprints == (key,)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_cause_stops_over_all_runs(slots, bench):
    for number in range(6):
        bench.add(f"r{number}", broken(), failed=broken())
    session = bench.drain(slots=slots, max_fingerprint_repeats=2)
    assert len(bench.dispatcher.asked) == 2
    assert len(session.stopped_fingerprints) == 1
    assert session.stop.rule is StopRule.NOTHING_LEFT
    stops = [event.stopped for event in bench.events if event.stopped is not None]
    assert [(stop.rule, stop.seen, stop.limit) for stop in stops] == [(StopRule.FINGERPRINT_REPEATS, 2, 2)]
    assert sorted(stops[0].evidence) == sorted(bench.dispatcher.asked)


def test_a_stop_outlives_its_session_until_it_is_lifted(bench):
    for number in range(3):
        bench.add(f"r{number}", [broken(), broken(), GOOD], failed=broken())
    (key,) = bench.drain(max_fingerprint_repeats=2).stopped_fingerprints
    bench.clock.advance(3600)
    again = bench.drain(max_fingerprint_repeats=99)
    assert again.total_processed == 0
    assert again.stop.rule is StopRule.NOTHING_LEFT
    (held,) = bench.drains.held_back(again.scope, again.limits)
    assert held.phases == 3
    assert key in held.hint
    bench.drains.lift(key, why="mended", now=bench.clock.now())
    freed = bench.drain(max_fingerprint_repeats=3, max_attempts_per_phase=2)
    assert freed.total_processed > 0


def test_repeats_are_counted_over_sessions(bench):
    for number in range(6):
        bench.add(f"r{number}", broken(), failed=broken())
    seen = []
    for _ in range(5):
        bench.clock.advance(60)
        seen.append(bench.drain(max_fingerprint_repeats=3, batch_size=1).total_processed)
    assert seen == [1, 1, 1, 0, 0]


def test_limits_that_became_narrower_hold_at_once(bench):
    for number in range(6):
        bench.add(f"r{number}", broken(), failed=broken())
    assert bench.drain(max_fingerprint_repeats=9, batch_size=3).total_processed == 3
    session = bench.drain(max_fingerprint_repeats=2)
    assert session.total_processed == 0
    assert len(session.stopped_fingerprints) == 1


def test_a_fault_of_the_surroundings_comes_back_under_its_number_and_counts_nowhere(bench):
    bench.add("r", [overloaded(), overloaded(), GOOD], failed=OTHER)
    session = bench.drain(batch_size=1)
    assert bench.dispatcher.asked == ["r/p0/2"] * 3
    assert (session.total_processed, session.total_success) == (1, 1)
    assert bench.store.phase("r", "p0").attempts == 2


def test_a_provider_that_stays_away_does_not_keep_a_drain_for_ever(bench):
    for number in range(3):
        bench.add(f"r{number}", overloaded(), failed=OTHER)
    session = bench.drain(**WIDE)
    assert (session.stop.rule, session.stop.seen) == (StopRule.SURROUNDINGS, 5)
    assert session.total_failed == session.total_processed == 5
    assert session.fingerprint_counts == {}
    assert {bench.state(f"r{number}/p0") for number in range(3)} == {PhaseState.FAILED}
    # Nothing of this was the phases' doing: another session tries them all.
    bench.script |= {f"r{number}/p0": [GOOD] for number in range(3)}
    assert bench.drain(**WIDE).total_success == 3


def test_a_phase_that_waits_for_an_approval_is_booked_and_did_not_fail(bench):
    bench.add("r", PARKED, failed=OTHER)
    session = bench.drain()
    (result,) = bench.drains.results(session.session_id)
    assert (result.final_state, result.success, result.failure_kind) == (PhaseState.GATE, False, None)
    assert (session.total_processed, session.total_success, session.total_failed) == (1, 0, 0)


def test_a_doomed_attempt_is_told_with_what_it_did_not_spend(bench):
    bench.add("r", End(kind=FailureKind.DOOMED, calls=0), failed=OTHER)
    session = bench.drain(max_attempts_per_phase=1)
    assert (session.total_tokens, session.tokens_not_spent) == (0, 50)


def test_tokens_and_calls_are_those_of_the_ledger(bench):
    bench.add("r", broken(calls=2, tokens=70), GOOD, failed=OTHER)
    session = bench.drain(max_attempts_per_phase=1)
    assert (session.total_tokens, session.total_telemetry_events) == (240, 3)


def test_queued_phases_of_a_strict_run_go_in_order_and_end_with_the_first_failure(bench):
    bench.add("r", GOOD, broken(), GOOD, order=Order.STRICT)
    session = bench.drain(QUEUED, batch_size=None)
    assert bench.dispatcher.asked == ["r/p0/1", "r/p1/1"]
    assert session.stop.rule is StopRule.NOTHING_LEFT


def test_failed_phases_wait_for_queued_ones_of_their_run(bench):
    bench.add("r", GOOD, failed=OTHER)
    bench.add("s", [broken(), GOOD], GOOD)
    bench.drain(QUEUED, batch_size=1)
    assert bench.dispatcher.asked == ["s/p0/1"]
    bench.dispatcher.asked.clear()
    bench.drain(batch_size=None)
    assert bench.dispatcher.asked == ["r/p0/2"]
    bench.drain(batch_size=None, scope={"skip_runs_with_queued": False})
    assert bench.dispatcher.asked == ["r/p0/2", "s/p0/2"]


def test_a_stopped_cause_is_told_with_its_rule_its_numbers_and_its_evidence(bench):
    bench.add("r", *[broken()] * 4, failed=OTHER)
    (key,) = bench.drain(max_fingerprint_repeats=3, max_attempts_per_phase=1).stopped_fingerprints
    (line,) = [line for event in bench.events for line in lines_of(event) if "stopped" in line]
    assert line == (
        f"  max_fingerprint_repeats: cause {key} was seen 3 times of 3 (r/p0/2, r/p1/2, r/p2/2) and is stopped "
        f"everywhere; once it is mended: autopack drain lift {key} --why REASON"
    )
