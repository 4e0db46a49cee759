"""A run of Autopack's own is in the record like any other, and nothing that picks work finds it in any state."""

import pytest
from drain_record import FAILED_ONES, QUEUED_ONES, WIDE, Record, cause, run_of
from mended_record import Commits, held_record, validated

from autopack.domain.blocker import BlockerState
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind, DrainScope
from autopack.execution.returns import notice_returns

OWN = "_enrichment"
DEATH = FailureReport(kind=FailureKind.CRASHED, message="died")


@pytest.fixture
def record(store):
    return Record(store)


def never_begun(record):
    """As an import leaves it."""


def given_back(record):
    """As it is when the process of its attempt was found dead."""
    lease = record.claim(record.store.next_address(OWN, "p"))
    record.store.release_attempt(lease.address, token=lease.token, failure=DEATH, now=record.now)


def queued_again(record):
    """As an operator's requeue would leave it."""
    failed(record)
    record.store.requeue_phase(OWN, "p", now=record.now)


def failed(record):
    """As a verdict leaves it."""
    record.attempt(OWN, "p", cause("red"))


@pytest.mark.parametrize(
    ("leave", "state"),
    [
        pytest.param(never_begun, PhaseState.QUEUED, id="never begun"),
        pytest.param(given_back, PhaseState.QUEUED, id="given back"),
        pytest.param(queued_again, PhaseState.QUEUED, id="queued again"),
        pytest.param(failed, PhaseState.SKIPPED, id="failed"),
    ],
)
def test_nothing_that_picks_work_finds_a_run_of_autopacks_own(record, leave, state):
    record.import_runs(run_of(OWN, "p"), run_of("mine", "p"))
    for run_id in (OWN, "mine"):
        record.store.activate_run(run_id)
    leave(record)
    assert record.store.phase(OWN, "p").state is state
    assert [str(it) for it in record.store.next_runnable(now=record.now, limit=9)] == ["mine/p/1"]
    assert record.store.next_runnable(now=record.now, limit=9, run_id=OWN) == ()
    queued = record.start(QUEUED_ONES)
    assert record.drain(queued) == ["mine/p"]
    for scope in (FAILED_ONES, QUEUED_ONES, DrainScope(kind=DrainKind.QUEUED, run_id=OWN)):
        assert record.pick(record.start(scope)) is None
        assert record.drains.preview(scope, WIDE, limit=9) == ()
        assert record.drains.held_back(scope, WIDE) == ()


def test_what_failed_in_a_run_of_autopacks_own_holds_nothing_up(sql_store):
    record = Record(sql_store)
    record.backlog(**{OWN: {"p": cause("red"), "q": cause("red")}, "mine": {"p": cause("red")}})
    assert [it.run_id for it in sql_store.triage.failed_phases()] == ["mine"]
    assert sql_store.triage.open_blockers(now=record.now) == ()


def test_a_cause_is_neither_more_frequent_nor_shared_for_a_run_of_autopacks_own(record):
    record.backlog(mine={"p": cause("red")})
    key = record.key_of("mine", "p")
    record.backlog(**{OWN: {"p": cause("red")}})
    assert (record.key_of(OWN, "p"), record.store.phase(OWN, "p").failure_message) == (
        None,
        cause("red").message,
    )
    known = record.drains.fingerprint(key)
    assert (known.occurrences, known.last_seen_in) == (1, "mine/p/1")


def test_a_run_of_autopacks_own_is_no_evidence_and_brings_no_mended_cause_back(sql_store):
    record = held_record(sql_store)
    blocker = validated(record)
    # Ended before a base was known, as a reading that the provider refuses may.
    record.backlog(**{OWN: {"p": cause("ann")}})
    assert [it.address.run_id for it in sql_store.triage.evidence(blocker.cause.fingerprint, limit=9)] == [
        "two",
        "one",
    ]
    assert notice_returns(sql_store, Commits(), now=record.now) == ()
    assert sql_store.triage.blocker("B1").state is BlockerState.VALIDATED


def test_a_call_for_a_cause_that_autopacks_own_run_met_too_is_not_booked_as_systemic(sql_store):
    record = Record(sql_store)
    record.backlog(mine={"p": None})
    lease = record.claim(sql_store.next_address("mine", "p"))
    sql_store.reserve_call(
        lease, turn=1, builder="b", prompt_hash="h", expected_tokens=9, limit_tokens=99, now=record.now
    )
    record.finish(lease, cause("red"))
    record.backlog(**{OWN: {"p": cause("red")}})
    assert [it.is_blocker for it in sql_store.triage.booked_calls()] == [False]
