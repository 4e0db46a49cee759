import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autopack.domain.failure import FailureKind
from autopack.domain.go_no_go import (
    LADDER,
    Decision,
    Evidence,
    Observation,
    Verdict,
    count,
    judge,
    next_batch_size,
    rung_of,
)
from autopack.domain.interval import wilson

GO, NO_GO, NOT_ENOUGH = Decision.GO, Decision.NO_GO, Decision.NOT_ENOUGH_EVIDENCE
ORDER = [NO_GO, NOT_ENOUGH, GO]


def evidence(attempts, *, imports=0, collection=0, phases=None, events=None):
    phases = attempts if phases is None else phases
    return Evidence(
        attempts=attempts,
        import_failures=imports,
        collection_errors=collection,
        phases=phases,
        phases_with_events=phases if events is None else events,
    )


@pytest.mark.parametrize(
    ("rung", "found", "decision"),
    [
        pytest.param(5, evidence(0), NOT_ENOUGH, id="nothing was drained"),
        pytest.param(5, evidence(4), NOT_ENOUGH, id="one short of the rung"),
        pytest.param(5, evidence(5), GO, id="five clean ones"),
        pytest.param(5, evidence(1, imports=1), NO_GO, id="one import-time failure is one too many"),
        pytest.param(100, evidence(500, imports=1), NO_GO, id="however many went well"),
        pytest.param(
            5, evidence(5, collection=1), NOT_ENOUGH, id="1 of 5 may be chance: 3.6 % is not excluded"
        ),
        pytest.param(5, evidence(5, collection=2), NO_GO, id="2 of 5 exclude 5 %"),
        pytest.param(5, evidence(10, collection=1), NOT_ENOUGH, id="1 of 10"),
        pytest.param(5, evidence(20, collection=1), NO_GO, id="1 of 20 is 5 %, which is not under 5 %"),
        pytest.param(5, evidence(21, collection=1), GO, id="1 of 21 is under 5 %"),
        pytest.param(5, evidence(5, events=5), GO, id="5 of 5 phases with events"),
        pytest.param(5, evidence(5, events=4), GO, id="4 of 5"),
        pytest.param(5, evidence(5, events=3), NOT_ENOUGH, id="3 of 5 are 60 %, which is not over 60 %"),
        pytest.param(5, evidence(5, events=1), NOT_ENOUGH, id="1 of 5 does not exclude 60 %"),
        pytest.param(5, evidence(5, events=0), NO_GO, id="none of 5 does"),
        pytest.param(5, evidence(5, phases=3), NOT_ENOUGH, id="five attempts at three phases"),
        pytest.param(30, evidence(19), NOT_ENOUGH, id="19 attempts do not tell 5 %"),
        pytest.param(30, evidence(20), GO, id="20 do"),
        pytest.param(30, evidence(30, collection=1), GO, id="1 of 30"),
        pytest.param(30, evidence(30, collection=2), NO_GO, id="2 of 30 are 6.7 %"),
        pytest.param(30, evidence(30, phases=15, events=10), GO, id="10 of 15 phases"),
        pytest.param(30, evidence(30, phases=15, events=9), NO_GO, id="9 of 15 phases are 60 %"),
        pytest.param(30, evidence(30, phases=9), NOT_ENOUGH, id="too few phases"),
        pytest.param(100, evidence(72), NOT_ENOUGH, id="72 attempts cannot prove 5 %"),
        pytest.param(100, evidence(73), GO, id="73 can"),
        pytest.param(100, evidence(100, collection=4), GO, id="4 of 100"),
        pytest.param(100, evidence(100, collection=5), NO_GO, id="5 of 100"),
        # 0.05 * 140 is a little over 7 in binary.
        pytest.param(100, evidence(140, collection=7), NO_GO, id="7 of 140 are 5 % exactly"),
    ],
)
def test_the_decision(rung, found, decision):
    assert judge(found, batch_size=rung).decision is decision


def test_the_reasons_tell_numbers_bar_and_strength():
    found = judge(evidence(30, collection=1, phases=28, events=25), batch_size=30)
    assert found.reasons == (
        "import-time failures: 0 of 30, 0.0 % (0.0 % to 11.4 %), must be none: met, not proven",
        (
            "collection and import errors: 1 of 30, 3.3 % (0.6 % to 16.7 %),"
            " must be under 5 % of attempts: met, not proven"
        ),
        "phases with telemetry events: 25 of 28, 89.3 % (72.8 % to 96.3 %), must be over 60 % of phases: proven",
    )


def test_a_no_go_names_what_is_broken_alone():
    found = judge(evidence(30, imports=9, events=12), batch_size=30)
    assert [reason.split(":")[0] for reason in found.reasons] == [
        "import-time failures",
        "phases with telemetry events",
    ]


def test_not_enough_evidence_says_how_much_is_missing():
    found = judge(evidence(3), batch_size=5)
    assert found.reasons[0].endswith("must be none: not enough evidence; 2 more are needed")
    assert [one.missing for one in found.criteria] == [2, 2, 2]


def test_the_largest_rung_asks_for_a_sample_that_can_prove_its_bar():
    assert wilson(0, 73).high < 0.05 <= wilson(0, 72).high
    assert judge(evidence(73), batch_size=100).criteria[1].verdict is Verdict.PROVEN


SAMPLES = st.builds(
    lambda attempts, imports, collection, phases, events: evidence(
        attempts,
        imports=min(imports, attempts),
        collection=min(collection, attempts - min(imports, attempts)),
        phases=min(phases, attempts),
        events=min(events, phases, attempts),
    ),
    st.integers(0, 200),
    st.integers(0, 3),
    st.integers(0, 20),
    st.integers(0, 200),
    st.integers(0, 200),
)
RUNGS = st.sampled_from(LADDER)


def rank(found, rung):
    return ORDER.index(judge(found, batch_size=rung).decision)


@given(SAMPLES, RUNGS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_more_failures_in_a_sample_never_make_the_answer_better(found, rung, imports, collection, events):
    assume(found.import_failures + found.collection_errors + imports + collection <= found.attempts)
    worse = evidence(
        found.attempts,
        imports=found.import_failures + imports,
        collection=found.collection_errors + collection,
        phases=found.phases,
        events=max(0, found.phases_with_events - events),
    )
    assert rank(worse, rung) <= rank(found, rung)


@given(SAMPLES, RUNGS, st.integers(1, 50))
def test_further_failed_attempts_never_turn_no_go_into_go(found, rung, more):
    assume(judge(found, batch_size=rung).decision is NO_GO)
    worse = evidence(
        found.attempts + more,
        imports=found.import_failures,
        collection=found.collection_errors + more,
        phases=found.phases + more,
        events=found.phases_with_events,
    )
    assert judge(worse, batch_size=rung).decision is NO_GO


@given(SAMPLES)
def test_a_higher_rung_asks_for_no_less(found):
    assert rank(found, 100) <= rank(found, 30) <= rank(found, 5)


@pytest.mark.parametrize(
    ("current", "decision", "size", "why"),
    [
        (5, GO, 30, "from 5 up to 30: every criterion holds"),
        (30, GO, 100, "from 30 up to 100: every criterion holds"),
        (100, GO, 100, "another 100: the ladder ends at 100"),
        (100, NO_GO, 30, "from 100 down to 30: a criterion is broken"),
        (30, NO_GO, 5, "from 30 down to 5: a criterion is broken"),
        (5, NO_GO, 0, "stop: a criterion is broken at 5 already; mend its cause first"),
        (30, NOT_ENOUGH, 30, "another 30: too little is known to go up or down"),
        (10, GO, 30, "from 10 up to 30: every criterion holds"),
        (10, NO_GO, 5, "from 10 down to 5: a criterion is broken"),
        (3, GO, 5, "from 3 up to 5: every criterion holds"),
        (250, NO_GO, 100, "from 250 down to 100: a criterion is broken"),
    ],
)
def test_the_next_batch(current, decision, size, why):
    found = next_batch_size(current, decision)
    assert (found.batch_size, found.why) == (size, why)


@pytest.mark.parametrize(
    ("size", "rung"), [(1, 5), (5, 5), (29, 5), (30, 30), (99, 30), (100, 100), (1000, 100)]
)
def test_a_size_between_rungs_is_judged_on_the_lower_one(size, rung):
    assert rung_of(size) == rung


def seen(phase="p", *, calls=1, **changes):
    return Observation(run_id="r", phase_id=phase, calls=calls, **changes)


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        pytest.param([], evidence(0), id="none"),
        pytest.param([seen(), seen("q")], evidence(2), id="two that called the Builder"),
        pytest.param(
            [seen(calls=0), seen()], evidence(2, phases=1), id="one phase, called at its second try"
        ),
        pytest.param(
            [seen(calls=0, failure_kind=FailureKind.IMPORT_CRASH)],
            evidence(1, imports=1, events=0),
            id="import",
        ),
        pytest.param(
            [seen(calls=0, failure_kind=FailureKind.DOOMED, fingerprint="1:collection_error:aa")],
            evidence(1, collection=1, events=0),
            id="doomed by a collection error",
        ),
        pytest.param([seen(calls=0, is_replayed=True)], evidence(1, phases=0), id="a replay was due no call"),
        pytest.param(
            [seen(calls=0, is_replayed=True), seen()], evidence(2, phases=1), id="a replay, and then a call"
        ),
    ],
)
def test_counting(observations, expected):
    assert count(observations) == expected


def test_faults_of_the_surroundings_are_left_out():
    found = count([seen(), seen("q", calls=0, is_retryable=True, failure_kind=FailureKind.INFRASTRUCTURE)])
    assert (found.attempts, found.phases, found.left_out) == (1, 1, 1)
