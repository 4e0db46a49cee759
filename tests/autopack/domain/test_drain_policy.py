"""The rules of a drain: its order, its limits, and what it says of an attempt without a Builder call."""

import pytest

from autopack.domain.drain_policy import (
    PRESETS,
    DrainLimits,
    FailureRank,
    Preset,
    Sample,
    SessionTally,
    Stop,
    StopRule,
    ZeroYield,
    failure_rank,
    nearest_stop,
    sample_of,
    session_stop,
    with_changes,
    zero_yield_reason,
)
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState

LIMITS = DrainLimits(batch_size=10, max_total_seconds=600, max_consecutive_zero_yield=3)


def tally(*, picked=0, failed=0, in_row=0, seconds=0.0):
    return SessionTally(picked=picked, failed=failed, zero_yield_in_row=in_row, elapsed_seconds=seconds)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        pytest.param(Preset.STRICT, (600, 1, 2, 1), id="strict"),
        pytest.param(Preset.DEFAULT, (900, 2, 3, 2), id="default"),
        pytest.param(Preset.LENIENT, (1800, 3, 5, 4), id="lenient"),
    ],
)
def test_presets(preset, expected):
    limits = PRESETS[preset]
    assert limits.batch_size == 10
    assert (
        limits.phase_timeout_seconds,
        limits.max_attempts_per_phase,
        limits.max_fingerprint_repeats,
        limits.max_timeouts_per_run,
    ) == expected


def test_a_preset_with_changes_keeps_what_was_not_changed():
    changed = with_changes(PRESETS[Preset.STRICT], {"batch_size": 3, "max_timeouts_per_run": None})
    assert (changed.batch_size, changed.max_timeouts_per_run, changed.max_fingerprint_repeats) == (3, 1, 2)


@pytest.mark.parametrize(
    ("kind", "rank"),
    [
        pytest.param(None, FailureRank.UNRECORDED, id="no reason"),
        *(
            pytest.param(kind, FailureRank.COLLECTION, id=kind)
            for kind in (
                FailureKind.COLLECTION_ERROR,
                FailureKind.IMPORT_ERROR,
                FailureKind.IMPORT_CRASH,
                FailureKind.DOOMED,
            )
        ),
        pytest.param(FailureKind.DELIVERABLES_MISSING, FailureRank.DELIVERABLES, id="deliverables"),
        pytest.param(FailureKind.PATCH_REJECTED, FailureRank.PATCH, id="patch"),
        pytest.param(FailureKind.TEST_REGRESSION, FailureRank.OTHER, id="tests"),
        pytest.param(FailureKind.CRASHED, FailureRank.OTHER, id="crash"),
        pytest.param(FailureKind.TIMEOUT, FailureRank.TIMEOUT, id="time-out"),
    ],
)
def test_rank(kind, rank):
    assert failure_rank(kind) is rank


def test_every_kind_has_a_rank_that_comes_after_no_reason_and_time_outs_come_last():
    ranks = {kind: failure_rank(kind) for kind in FailureKind}
    assert all(rank > FailureRank.UNRECORDED for rank in ranks.values())
    assert {kind for kind, rank in ranks.items() if rank is max(ranks.values())} == {FailureKind.TIMEOUT}


@pytest.mark.parametrize(
    ("success", "kind", "calls", "is_known", "sample"),
    [
        pytest.param(True, None, 1, False, Sample.PROMISING, id="success"),
        pytest.param(True, None, 0, False, Sample.PROMISING, id="success without a call"),
        pytest.param(False, FailureKind.TIMEOUT, 0, True, Sample.PROMISING, id="time-out"),
        pytest.param(False, FailureKind.TEST_REGRESSION, 2, False, Sample.PROMISING, id="a new failure"),
        pytest.param(False, FailureKind.TEST_REGRESSION, 2, True, Sample.UNPROMISING, id="a known failure"),
        pytest.param(False, FailureKind.DOOMED, 0, False, Sample.UNPROMISING, id="before the Builder"),
    ],
)
def test_sample(success, kind, calls, is_known, sample):
    assert sample_of(success=success, kind=kind, calls=calls, is_known=is_known) is sample


@pytest.mark.parametrize(
    ("now", "rule"),
    [
        pytest.param(tally(), None, id="nothing done"),
        pytest.param(tally(picked=9, failed=9, in_row=2, seconds=599), None, id="one short of everything"),
        pytest.param(tally(picked=10), StopRule.BATCH_SIZE, id="batch"),
        pytest.param(tally(seconds=600), StopRule.TOTAL_MINUTES, id="time"),
        pytest.param(tally(in_row=3), StopRule.ZERO_YIELD, id="no yield"),
        pytest.param(tally(picked=10, in_row=3), StopRule.ZERO_YIELD, id="what tells most comes first"),
    ],
)
def test_a_session_stops_at_its_limits(now, rule):
    stop = session_stop(now, LIMITS)
    assert (stop and stop.rule) == rule


def test_a_stop_has_its_numbers_in_the_units_of_its_flag():
    stop = session_stop(tally(seconds=660), LIMITS)
    assert (stop.rule, stop.seen, stop.limit, str(stop)) == (
        StopRule.TOTAL_MINUTES,
        11,
        10,
        "max_total_minutes: 11 of 10",
    )


def test_the_first_failure_stops_a_session_only_where_that_was_asked():
    asked = with_changes(LIMITS, {"stop_on_first_failure": True})
    assert session_stop(tally(failed=1), LIMITS) is None
    assert session_stop(tally(failed=1), asked).rule is StopRule.FIRST_FAILURE


def test_no_limit_never_stops():
    unlimited = DrainLimits(batch_size=None)
    assert session_stop(tally(picked=10**6, failed=10**6, in_row=10**6, seconds=1e9), unlimited) is None


@pytest.mark.parametrize(
    ("now", "rule"),
    [
        pytest.param(tally(picked=5, seconds=60), StopRule.BATCH_SIZE, id="half the batch"),
        pytest.param(tally(picked=1, seconds=540), StopRule.TOTAL_MINUTES, id="most of the time"),
        pytest.param(tally(picked=1, in_row=2), StopRule.ZERO_YIELD, id="two of three"),
    ],
)
def test_the_nearest_rule_is_the_one_of_which_most_is_used_up(now, rule):
    assert nearest_stop(now, LIMITS).rule is rule


def test_a_session_without_limits_still_names_what_will_end_it():
    assert nearest_stop(tally(), DrainLimits(batch_size=None)).rule is StopRule.NOTHING_LEFT


def test_a_stop_of_a_part_names_it():
    stop = Stop(rule=StopRule.FINGERPRINT_REPEATS, seen=2, limit=2, subject="1:timeout:abc")
    assert str(stop) == "max_fingerprint_repeats for 1:timeout:abc: 2 of 2"


@pytest.mark.parametrize(
    ("state", "kind", "calls", "had_answer", "reason"),
    [
        pytest.param(PhaseState.COMPLETE, None, 1, False, None, id="a call"),
        pytest.param(PhaseState.COMPLETE, None, 0, True, ZeroYield.SUCCESS_WITHOUT_CALLS, id="success"),
        pytest.param(PhaseState.GATE, None, 0, True, ZeroYield.SUCCESS_WITHOUT_CALLS, id="parked"),
        pytest.param(PhaseState.FAILED, FailureKind.DOOMED, 0, False, ZeroYield.DOOMED, id="doomed"),
        pytest.param(PhaseState.FAILED, FailureKind.TIMEOUT, 0, True, ZeroYield.TIMEOUT, id="time-out"),
        pytest.param(
            PhaseState.FAILED, FailureKind.TEST_REGRESSION, 0, True, ZeroYield.ANSWER_REUSED, id="old answer"
        ),
        pytest.param(
            PhaseState.FAILED, FailureKind.UNRUNNABLE, 0, False, ZeroYield.FAILED_BEFORE_BUILDER, id="before"
        ),
    ],
)
def test_why_there_was_no_call(state, kind, calls, had_answer, reason):
    assert zero_yield_reason(final_state=state, kind=kind, calls=calls, had_answer=had_answer) is reason
