"""A run of Autopack's own is in the record like any other, and nothing that picks work finds it in any state."""

import pytest
from drain_record import FAILED_ONES, QUEUED_ONES, WIDE, Record, cause, run_of

from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind, DrainScope

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
