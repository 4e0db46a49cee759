"""``autopack requeue``: a failed phase gets one more attempt, and nothing else does."""

from contextlib import closing

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


def test_a_failed_phase_takes_a_corrected_plan_once_it_is_requeued(autopack, autopack_json, planned):
    phase_id = fail_first_phase(planned)
    plan = planned / "plan.yaml"
    plan.write_text(plan.read_text().replace("Do a", "Do it well"))
    code, document = autopack_json("plan", "import", "plan.yaml")
    (change,) = document["changes"]
    assert (code, change["action"], change["fields"]) == (1, "refused", ["goal"])
    assert f"autopack requeue r/{phase_id}" in change["why"]
    assert autopack("requeue", f"r/{phase_id}")[0] == 0
    code, document = autopack_json("plan", "import", "plan.yaml")
    assert (code, document["changes"][0]["action"]) == (0, "changed")
    store = bootstrap.open_store(load_settings(planned, environ={}))
    with closing(store):
        assert store.phase("r", phase_id).spec.goal == "Do it well"
        assert store.next_address("r", phase_id).number == 2


def test_a_phase_that_has_not_failed_is_refused_with_a_hint(autopack, planned):
    phase_id = fail_first_phase(planned)
    assert autopack("requeue", f"r/{phase_id}")[0] == 0
    code, _, err = autopack("requeue", f"r/{phase_id}")
    assert code == 1
    assert "QUEUED and cannot be requeued" in err
    assert "hint:" in err
