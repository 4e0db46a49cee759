"""``autopack requeue``: a failed phase gets one more attempt, and nothing else does."""

from autopack import bootstrap
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.settings import load_settings


def fail_first_phase(root):
    store = bootstrap.open_store(load_settings(root, environ={}))
    try:
        (first, *_) = store.phases("r")
        address = store.next_address("r", first.phase_id)
        lease = store.claim_attempt(address, owner="test", now=1.0, is_owner_dead=lambda _o, _h: False)
        failure = FailureReport(kind=FailureKind.BUILDER_ERROR, message="no answer")
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.FAILED, failure=failure), now=2.0)
        return first.phase_id
    finally:
        store.close()


def test_a_failed_phase_is_queued_for_its_next_attempt(autopack, planned):
    phase_id = fail_first_phase(planned)
    code, out, _ = autopack("requeue", f"r/{phase_id}")
    assert code == 0
    assert f"r/{phase_id}/2 is queued" in out


def test_a_phase_that_has_not_failed_is_refused_with_a_hint(autopack, planned):
    phase_id = fail_first_phase(planned)
    assert autopack("requeue", f"r/{phase_id}")[0] == 0
    code, _, err = autopack("requeue", f"r/{phase_id}")
    assert code == 1
    assert "QUEUED and cannot be requeued" in err
    assert "hint:" in err
