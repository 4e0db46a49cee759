"""What every store promises; memory, SQLite and PostgreSQL pass the same tests."""

from dataclasses import replace

import pytest

from autopack.domain.attempt import AttemptAddress
from autopack.domain.baseline import Baseline, BaselineKey
from autopack.domain.budget import Usage
from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState, Scope
from autopack.domain.plan import Plan, PlanAction
from autopack.domain.run import Order, RunSpec
from autopack.domain.session import Pick, Spent
from autopack.domain.spending import OverBudget
from autopack.domain.verdicts import AttemptOutcome, passed
from autopack.errors import IllegalTransitionError, LeaseLostError, NotClaimableError, StoreError
from autopack.ports import AnswerFormat, BuildAnswer, CallFilter, Decision, Foreseen
from autopack.testing import MemoryDrains, MemoryStore

NOW = 1_700_000_000.0
BROKEN = FailureReport(
    kind=FailureKind.IMPORT_ERROR,
    message="no module named shop",
    details=("a", "b"),
    returncode=1,
    duration_seconds=2.5,
    log_paths=("logs/err.txt",),
    evidence="Traceback \x00 \udcff",
    hint="Add the module.",
)
OVERLOADED = FailureReport(
    kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True, retry_after_seconds=30.0
)
DEAD = FailureReport(kind=FailureKind.CRASHED, message="killed by signal 9")
FAILED = AttemptOutcome(final_state=PhaseState.FAILED, failure=BROKEN)
COMPLETE = AttemptOutcome(final_state=PhaseState.COMPLETE, commit="c0ffee", gates=(passed("scope"),))
PARKED = AttemptOutcome(final_state=PhaseState.GATE, gates=(passed("ci"),), usage=Usage(input_tokens=7))


def a_run(*names, run_id="shop", **fields):
    phases = tuple(
        name if isinstance(name, PhaseSpec) else PhaseSpec(phase_id=name, goal=f"do {name}") for name in names
    )
    return RunSpec(run_id=run_id, goal="a shop", phases=phases, **fields)


def filled(store, *runs):
    store.import_plan(Plan(runs=runs), now=NOW)
    for run in runs:
        store.activate_run(run.run_id)
    return store


def at(phase_id, number=1, run_id="shop"):
    return AttemptAddress(run_id=run_id, phase_id=phase_id, number=number)


def claimed(store, phase_id, number=1, *, owner="me", now=NOW, run_id="shop", dead=False):
    return store.claim_attempt(
        at(phase_id, number, run_id), owner=owner, now=now, is_owner_dead=lambda _owner, _beat: dead
    )


def ended(store, phase_id, outcome, number=1, *, run_id="shop"):
    lease = claimed(store, phase_id, number, run_id=run_id)
    if outcome.final_state in {PhaseState.COMPLETE, PhaseState.GATE}:
        store.enter_state(lease, PhaseState.GATE, now=NOW)
        store.enter_state(lease, PhaseState.CI_RUNNING, now=NOW)
    store.finish_attempt(lease, outcome, now=NOW + 5)
    return lease


def reserved(store, lease, *, turn=1, tokens=100, limit=1000, prompt_hash="abc"):
    reservation = store.reserve_call(
        lease,
        turn=turn,
        builder="replay:answers",
        prompt_hash=prompt_hash,
        expected_tokens=tokens,
        limit_tokens=limit,
        now=NOW,
    )
    return None if isinstance(reservation, OverBudget) else reservation.call_id


def settled(store, call_id, **answer):
    store.settle_call(call_id, BuildAnswer(**answer), base_commit="ba5e", duration_seconds=1.5, now=NOW)


class TestPlans:
    def test_a_new_run_is_added_with_its_phases_and_waits_for_activation(self, store):
        changes = store.import_plan(Plan(runs=(a_run("build", "check"),)), now=NOW)
        assert [(change.action, change.phase_id) for change in changes] == [
            (PlanAction.ADDED, None),
            (PlanAction.ADDED, "build"),
            (PlanAction.ADDED, "check"),
        ]
        assert store.run("shop").spec == a_run("build", "check")
        assert not store.run("shop").is_active
        assert store.run("shop").created_at == NOW
        assert [(phase.phase_id, phase.index, phase.state) for phase in store.phases("shop")] == [
            ("build", 0, PhaseState.QUEUED),
            ("check", 1, PhaseState.QUEUED),
        ]

    def test_the_same_plan_again_changes_nothing(self, store):
        plan = Plan(runs=(a_run("build", "check"),))
        filled(store, *plan.runs)
        ended(store, "build", COMPLETE)
        before = store.phases("shop")
        assert list(store.import_plan(plan, now=NOW + 60)) == []
        assert store.phases("shop") == before
        assert store.run("shop").is_active

    def test_runs_that_the_plan_does_not_mention_stay(self, store):
        filled(store, a_run("build"))
        store.import_plan(Plan(runs=(a_run("other", run_id="bank"),)), now=NOW)
        assert [progress.run_id for progress in store.runs()] == ["shop", "bank"]

    def test_a_phase_that_has_not_started_changes_moves_and_goes(self, store):
        filled(store, a_run("one", "two", "three", order=Order.INDEPENDENT))
        changed = PhaseSpec(phase_id="three", goal="other", scope=Scope(paths=("src/",)))
        wanted = a_run(changed, "one", "four", order=Order.INDEPENDENT)
        changes = store.import_plan(Plan(runs=(wanted,)), now=NOW + 1)
        assert [(change.action, change.phase_id, change.fields) for change in changes] == [
            (PlanAction.CHANGED, "three", ("goal", "scope", "position")),
            (PlanAction.CHANGED, "one", ("position",)),
            (PlanAction.ADDED, "four", ()),
            (PlanAction.REMOVED, "two", ()),
        ]
        assert store.run("shop").spec == wanted
        assert [phase.spec for phase in store.phases("shop")] == list(wanted.phases)
        assert list(store.import_plan(Plan(runs=(wanted,)), now=NOW + 2)) == []

    def test_what_has_started_is_refused_and_kept(self, store):
        filled(store, a_run("one", "two", "three"))
        ended(store, "one", FAILED)
        other = PhaseSpec(phase_id="one", goal="something else")
        changes = store.import_plan(Plan(runs=(a_run(other, "three", order=Order.INDEPENDENT),)), now=NOW + 9)
        assert [(change.action, change.phase_id) for change in changes] == [
            (PlanAction.REFUSED, None),
            (PlanAction.REFUSED, "one"),
            (PlanAction.CHANGED, "three"),
            (PlanAction.REMOVED, "two"),
        ]
        assert store.run("shop").spec == a_run("one", "three")
        assert store.phase("shop", "one").state is PhaseState.FAILED

    def test_a_requeued_phase_changes_where_it_is_unless_its_attempt_is_to_be_resumed(self, store):
        filled(store, a_run("one", "two"))
        ended(store, "one", FAILED)
        store.requeue_phase("shop", "one", now=NOW + 6)
        other = PhaseSpec(phase_id="one", goal="something else")
        (change,) = store.import_plan(Plan(runs=(a_run(other, "two"),)), now=NOW + 7)
        assert (change.action, change.phase_id) == (PlanAction.CHANGED, "one")
        assert store.phase("shop", "one").spec == store.run("shop").spec.phases[0] == other
        lease = claimed(store, "one", 2)
        store.release_attempt(at("one", 2), token=lease.token, failure=FAILED.failure, now=NOW + 8)
        (change,) = store.import_plan(Plan(runs=(a_run("one", "two"),)), now=NOW + 9)
        assert (change.action, change.phase_id) == (PlanAction.REFUSED, "one")
        assert store.phase("shop", "one").spec == other

    def test_new_phases_fill_the_places_between_those_that_have_started(self, store):
        filled(store, a_run("one", "two"))
        ended(store, "one", COMPLETE)
        wanted = Plan(runs=(a_run("zero", "one", "two", "three"),))
        store.import_plan(wanted, now=NOW + 9)
        assert [(phase.phase_id, phase.index) for phase in store.phases("shop")] == [
            ("one", 0),
            ("zero", 1),
            ("two", 2),
            ("three", 3),
        ]
        again = store.import_plan(wanted, now=NOW + 10)
        assert {change.action for change in again} == {PlanAction.REFUSED}
        assert list(store.next_runnable(now=NOW, limit=5)) == [at("zero")]

    def test_changed_needs_decide_at_once_what_may_go(self, store):
        filled(store, a_run("one", "two"))
        ended(store, "one", FAILED)
        free = PhaseSpec(phase_id="two", goal="do two", needs=())
        store.import_plan(Plan(runs=(a_run("one", free),)), now=NOW)
        assert list(store.next_runnable(now=NOW, limit=5)) == [at("two")]

    @pytest.mark.parametrize(
        "ask",
        [
            pytest.param(lambda store: store.run("shap"), id="run"),
            pytest.param(lambda store: store.phases("shap"), id="phases"),
            pytest.param(lambda store: store.phase("shap", "one"), id="phase of no run"),
            pytest.param(lambda store: store.phase("shop", "ona"), id="phase"),
            pytest.param(lambda store: store.activate_run("shap"), id="activate"),
            pytest.param(lambda store: store.next_address("shop", "ona"), id="address"),
            pytest.param(lambda store: store.requeue_phase("shap", "one", now=NOW), id="requeue"),
            pytest.param(lambda store: claimed(store, "ona"), id="claim"),
        ],
    )
    def test_what_is_not_there_is_an_error_with_near_names(self, store, ask):
        filled(store, a_run("one"))
        with pytest.raises(StoreError, match=r"sh.p") as caught:
            ask(store)
        assert "shop" in caught.value.hint or "one" in caught.value.hint


class TestPicking:
    def test_the_first_runnable_phase_of_each_active_run_in_order_of_creation(self, store):
        filled(store, a_run("a1", "a2", run_id="z"), a_run("b1", run_id="a"))
        store.import_plan(Plan(runs=(a_run("c1", run_id="idle"),)), now=NOW)
        assert list(store.next_runnable(now=NOW, limit=5)) == [at("a1", run_id="z"), at("b1", run_id="a")]
        assert list(store.next_runnable(now=NOW, limit=1)) == [at("a1", run_id="z")]
        assert list(store.next_runnable(now=NOW, limit=5, run_id="a")) == [at("b1", run_id="a")]

    def test_a_run_with_an_attempt_under_way_is_left_out(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        claimed(store, "one")
        assert list(store.next_runnable(now=NOW, limit=5)) == []

    def test_a_strict_run_stops_at_its_failed_phase(self, store):
        filled(store, a_run("one", "two"))
        ended(store, "one", FAILED)
        assert list(store.next_runnable(now=NOW, limit=5)) == []

    def test_an_independent_run_goes_on_past_a_failed_phase(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        ended(store, "one", FAILED)
        assert list(store.next_runnable(now=NOW, limit=5)) == [at("two")]

    def test_needs_override_the_order(self, store):
        last = PhaseSpec(phase_id="three", goal="g", needs=("one", "two", "one"))
        filled(store, a_run("one", "two", last, order=Order.INDEPENDENT))
        ended(store, "one", COMPLETE)
        with pytest.raises(NotClaimableError, match="needs two"):
            claimed(store, "three")
        ended(store, "two", COMPLETE)
        assert list(store.next_runnable(now=NOW, limit=5)) == [at("three")]

    def test_a_phase_waits_for_its_time_and_lets_others_go_first(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        ended(
            store, "one", AttemptOutcome(final_state=PhaseState.QUEUED, failure=OVERLOADED, retry_at=NOW + 30)
        )
        assert list(store.next_runnable(now=NOW + 29, limit=5)) == [at("two")]
        assert list(store.next_runnable(now=NOW + 30, limit=5)) == [at("one")]
        assert store.next_retry_at("shop") == NOW + 30
        claimed(store, "one")
        assert store.next_retry_at("shop") is None

    def test_a_phase_that_also_waits_for_others_has_no_retry_time(self, store):
        filled(store, a_run("one", "two"))
        assert store.next_retry_at("shop") is None


class TestClaims:
    def test_a_claim_moves_the_phase_and_starts_the_attempt(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one", owner="host:1:2")
        assert (lease.address, lease.owner, lease.base_commit) == (at("one"), "host:1:2", None)
        assert store.phase("shop", "one").state is PhaseState.EXECUTING
        assert store.phase("shop", "one").last_attempt == 1
        [attempt] = store.attempts("shop", "one")
        assert (attempt.owner, attempt.started_at, attempt.is_finished) == ("host:1:2", NOW, False)
        assert list(store.in_flight()) == [attempt]

    @pytest.mark.parametrize(
        ("phase_id", "number", "message"),
        [
            pytest.param("one", 2, "attempt 1 of its phase is due", id="a later number"),
            pytest.param("one", 0, "attempt 1 of its phase is due", id="no number"),
            pytest.param("two", 1, "needs one", id="a need is missing"),
        ],
    )
    def test_only_the_attempt_that_is_due_can_be_taken(self, store, phase_id, number, message):
        filled(store, a_run("one", "two"))
        with pytest.raises(NotClaimableError, match=message):
            claimed(store, phase_id, number)
        assert list(store.in_flight()) == []

    @pytest.mark.parametrize("outcome", [FAILED, COMPLETE, PARKED], ids=lambda outcome: outcome.final_state)
    def test_an_attempt_that_ended_cannot_be_taken_again(self, store, outcome):
        filled(store, a_run("one"))
        ended(store, "one", outcome)
        with pytest.raises(NotClaimableError):
            claimed(store, "one")

    @pytest.mark.parametrize("phase_id", ["one", "two"])
    def test_a_live_holder_keeps_its_run_to_itself(self, store, phase_id):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        claimed(store, "one", owner="first")
        with pytest.raises(NotClaimableError, match="first is making shop/one/1"):
            claimed(store, phase_id, owner="second")

    def test_the_question_whether_the_owner_is_dead_gets_its_last_heartbeat(self, store):
        filled(store, a_run("one"))
        store.heartbeat(claimed(store, "one", owner="first"), now=NOW + 7)
        asked = []
        with pytest.raises(NotClaimableError):
            store.claim_attempt(
                at("one"), owner="me", now=NOW, is_owner_dead=lambda *about: asked.append(about) is not None
            )
        assert asked == [("first", NOW + 7)]

    def test_a_dead_holder_is_taken_over_and_its_lease_ends(self, store):
        filled(store, a_run("one"))
        old = store.set_base(claimed(store, "one", owner="first"), "ba5e")
        new = claimed(store, "one", owner="second", now=NOW + 99, dead=True)
        assert new.token > old.token
        assert new.base_commit == "ba5e"
        assert store.phase("shop", "one").crashes == 1
        for use in (
            lambda: store.heartbeat(old, now=NOW),
            lambda: store.set_base(old, "other"),
            lambda: store.enter_state(old, PhaseState.GATE, now=NOW),
            lambda: store.finish_attempt(old, FAILED, now=NOW),
            lambda: reserved(store, old),
        ):
            with pytest.raises(LeaseLostError):
                use()
        store.finish_attempt(new, FAILED, now=NOW)
        [attempt] = store.attempts("shop", "one")
        assert (attempt.owner, attempt.started_at) == ("second", NOW)

    def test_a_dead_holder_of_another_phase_is_put_back_first(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        old = claimed(store, "one")
        claimed(store, "two", dead=True)
        assert store.phase("shop", "one").state is PhaseState.QUEUED
        assert store.phase("shop", "one").crashes == 1
        with pytest.raises(LeaseLostError):
            store.finish_attempt(old, FAILED, now=NOW)

    def test_a_refused_claim_leaves_a_dead_holder_alone(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        with pytest.raises(NotClaimableError):
            claimed(store, "one", 2, dead=True)
        store.heartbeat(lease, now=NOW)
        assert store.phase("shop", "one").crashes == 0

    def test_a_base_that_moved_is_noted(self, store):
        filled(store, a_run("one"))
        lease = store.set_base(claimed(store, "one"), "first")
        assert store.set_base(lease, "second").base_commit == "second"
        assert store.attempts("shop", "one")[0].base_commit == "second"

    def test_attempts_under_way_come_with_the_oldest_heartbeat_first(self, store):
        filled(store, a_run("a", run_id="r1"), a_run("b", run_id="r2"))
        first = claimed(store, "a", run_id="r1")
        claimed(store, "b", run_id="r2", now=NOW + 1)
        store.heartbeat(first, now=NOW + 2)
        assert [attempt.address.run_id for attempt in store.in_flight()] == ["r2", "r1"]


class TestVerdicts:
    def test_states_move_by_the_table_only(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        with pytest.raises(IllegalTransitionError):
            store.enter_state(lease, PhaseState.CI_RUNNING, now=NOW)
        with pytest.raises(IllegalTransitionError):
            store.enter_state(lease, PhaseState.FAILED, now=NOW)
        store.enter_state(lease, PhaseState.GATE, now=NOW + 3)
        assert store.phase("shop", "one").state is PhaseState.GATE
        [attempt] = store.in_flight()
        assert attempt.state is PhaseState.GATE

    @pytest.mark.parametrize("state", [PhaseState.COMPLETE, PhaseState.CI_RUNNING, PhaseState.SKIPPED])
    def test_a_verdict_follows_the_table(self, store, state):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        with pytest.raises(IllegalTransitionError):
            store.finish_attempt(lease, AttemptOutcome(final_state=state, commit="c"), now=NOW)
        store.heartbeat(lease, now=NOW)

    def test_complete_keeps_the_commit_and_forgets_the_failure(self, store):
        filled(store, a_run("one"))
        ended(store, "one", FAILED)
        store.requeue_phase("shop", "one", now=NOW)
        ended(store, "one", COMPLETE, 2)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.commit, phase.attempts) == (PhaseState.COMPLETE, "c0ffee", 2)
        assert (phase.failure_kind, phase.failure_message, phase.updated_at) == (None, "", NOW + 5)
        attempt = store.attempts("shop", "one")[1]
        assert (attempt.outcome, attempt.finished_at) == (COMPLETE, NOW + 5)
        assert list(store.in_flight()) == []

    def test_failed_keeps_all_evidence(self, store):
        filled(store, a_run("one"))
        ended(store, "one", FAILED)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.attempts, phase.last_attempt) == (PhaseState.FAILED, 1, 1)
        assert (phase.failure_kind, phase.failure_message) == (BROKEN.kind, BROKEN.message)
        outcome = store.attempts("shop", "one")[0].outcome
        assert replace(outcome, fingerprint=None) == FAILED
        assert outcome.fingerprint
        assert phase.failure_fingerprint == outcome.fingerprint

    def test_secrets_that_programs_printed_are_not_kept(self, store):
        filled(store, a_run("one"))
        key = "sk-ant-" + "a1B2" * 8
        told = replace(BROKEN, message=f"refused: {key}", evidence=f"Authorization: Bearer {key}")
        ended(store, "one", replace(FAILED, failure=told))
        assert key not in repr(store.attempts("shop", "one"))
        assert key not in repr(store.phase("shop", "one"))

    def test_a_retryable_failure_uses_up_no_attempt(self, store):
        filled(store, a_run("one"))
        ended(store, "one", AttemptOutcome(final_state=PhaseState.FAILED, failure=OVERLOADED))
        assert store.phase("shop", "one").attempts == 0
        assert store.requeue_phase("shop", "one", now=NOW) == at("one", 2)

    def test_a_requeued_attempt_goes_on_under_its_number(self, store):
        filled(store, a_run("one"))
        back = AttemptOutcome(final_state=PhaseState.QUEUED, failure=OVERLOADED)
        ended(store, "one", back)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.attempts, phase.requeues) == (PhaseState.QUEUED, 0, 1)
        assert store.next_address("shop", "one") == at("one", 1)
        assert list(store.next_runnable(now=NOW, limit=1)) == [at("one", 1)]
        [attempt] = store.attempts("shop", "one")
        assert (attempt.is_finished, attempt.state, attempt.outcome) == (False, PhaseState.QUEUED, back)
        ended(store, "one", back)
        assert store.phase("shop", "one").requeues == 2
        ended(store, "one", FAILED)
        assert store.phase("shop", "one").requeues == 0

    @pytest.mark.parametrize(
        "outcome",
        [FAILED, COMPLETE, PARKED, AttemptOutcome(final_state=PhaseState.QUEUED)],
        ids=lambda outcome: outcome.final_state,
    )
    def test_the_same_verdict_again_changes_nothing(self, store, outcome):
        filled(store, a_run("one"))
        lease = ended(store, "one", outcome)
        before = (store.phase("shop", "one"), store.attempts("shop", "one"))
        store.finish_attempt(lease, outcome, now=NOW + 50)
        assert (store.phase("shop", "one"), store.attempts("shop", "one")) == before

    def test_another_verdict_under_the_same_lease_is_refused(self, store):
        filled(store, a_run("one"))
        lease = ended(store, "one", FAILED)
        with pytest.raises(LeaseLostError):
            store.finish_attempt(lease, COMPLETE, now=NOW)
        with pytest.raises(LeaseLostError):
            store.heartbeat(lease, now=NOW)

    def test_a_lease_of_an_attempt_that_never_was_is_refused(self, store):
        filled(store, a_run("one"))
        lease = replace(claimed(store, "one"), address=at("one", 9))
        with pytest.raises(LeaseLostError):
            store.finish_attempt(lease, FAILED, now=NOW)

    @pytest.mark.parametrize(
        ("outcome", "crashes"),
        [
            pytest.param(FAILED, 0, id="another failure"),
            pytest.param(
                AttemptOutcome(final_state=PhaseState.FAILED, failure=DEAD), 2, id="given up as crashed"
            ),
            pytest.param(
                AttemptOutcome(final_state=PhaseState.QUEUED, failure=OVERLOADED), 0, id="given back"
            ),
        ],
    )
    def test_crashes_in_a_row_are_forgotten_by_any_other_end(self, store, outcome, crashes):
        filled(store, a_run("one"))
        claimed(store, "one")
        claimed(store, "one", dead=True)
        store.finish_attempt(claimed(store, "one", dead=True), outcome, now=NOW)
        assert store.phase("shop", "one").crashes == crashes


class TestReleases:
    def test_a_dead_process_gives_its_attempt_back_once(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        for _ in range(2):
            store.release_attempt(at("one"), token=lease.token, failure=DEAD, now=NOW + 8)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.crashes, phase.requeues, phase.attempts) == (PhaseState.QUEUED, 1, 0, 0)
        assert store.attempts("shop", "one")[0].outcome == AttemptOutcome(
            final_state=PhaseState.QUEUED, failure=DEAD
        )
        assert list(store.in_flight()) == []
        with pytest.raises(LeaseLostError):
            store.finish_attempt(lease, FAILED, now=NOW)
        assert claimed(store, "one").token > lease.token

    def test_a_stop_by_the_operator_counts_against_nothing(self, store):
        filled(store, a_run("one"))
        store.release_attempt(at("one"), token=claimed(store, "one").token, failure=OVERLOADED, now=NOW)
        phase = store.phase("shop", "one")
        assert (phase.crashes, phase.requeues) == (0, 0)

    @pytest.mark.parametrize("address", [at("one"), at("one", 2), at("two")], ids=str)
    def test_an_old_token_or_another_attempt_releases_nothing(self, store, address):
        filled(store, a_run("one", "two"))
        claimed(store, "one")
        lease = claimed(store, "one", dead=True)
        store.release_attempt(address, token=lease.token - 1, failure=DEAD, now=NOW)
        store.heartbeat(lease, now=NOW)

    def test_a_failed_phase_is_requeued_under_the_next_number(self, store):
        filled(store, a_run("one"))
        claimed(store, "one")
        lease = claimed(store, "one", dead=True)
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.FAILED, failure=DEAD), now=NOW)
        assert store.requeue_phase("shop", "one", now=NOW + 6) == at("one", 2)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.crashes, phase.failure_kind) == (PhaseState.QUEUED, 0, FailureKind.CRASHED)

    @pytest.mark.parametrize("outcome", [None, COMPLETE, PARKED], ids=["queued", "complete", "parked"])
    def test_no_other_phase_is_requeued(self, store, outcome):
        filled(store, a_run("one"))
        if outcome:
            ended(store, "one", outcome)
        with pytest.raises(IllegalTransitionError):
            store.requeue_phase("shop", "one", now=NOW)


class TestApprovals:
    YES = Decision(approved=True, by="ann", why="looks right", at=NOW + 20)
    NO = Decision(approved=False, by="bob", why="wrong place", at=NOW + 20)

    def test_a_parked_phase_is_held_by_nobody_and_keeps_no_other_phase_waiting(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        ended(store, "one", PARKED)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.awaits_approval, phase.attempts) == (PhaseState.GATE, True, 0)
        assert list(store.in_flight()) == []
        assert store.decision(at("one")) is None
        assert list(store.next_runnable(now=NOW, limit=1)) == [at("two")]

    def test_an_approval_lets_the_same_attempt_go_on(self, store):
        filled(store, a_run("one"))
        ended(store, "one", PARKED)
        store.decide_approval("shop", "one", self.YES)
        assert store.decision(at("one")) == self.YES
        phase = store.phase("shop", "one")
        assert (phase.state, phase.awaits_approval) == (PhaseState.QUEUED, False)
        assert list(store.next_runnable(now=NOW, limit=1)) == [at("one", 1)]
        ended(store, "one", COMPLETE)
        assert store.phase("shop", "one").attempts == 1

    def test_a_denial_fails_the_phase_and_keeps_what_was_known(self, store):
        filled(store, a_run("one"))
        ended(store, "one", PARKED)
        store.decide_approval("shop", "one", self.NO)
        phase = store.phase("shop", "one")
        assert (phase.state, phase.failure_kind, phase.attempts) == (
            PhaseState.FAILED,
            FailureKind.APPROVAL_DENIED,
            1,
        )
        assert not phase.awaits_approval
        [attempt] = store.attempts("shop", "one")
        assert (attempt.finished_at, attempt.outcome.gates, attempt.outcome.usage) == (
            NOW + 20,
            PARKED.gates,
            PARKED.usage,
        )
        assert "bob did not approve: wrong place" in phase.failure_message
        assert store.requeue_phase("shop", "one", now=NOW) == at("one", 2)
        assert store.decision(at("one", 2)) is None

    def test_an_attempt_that_is_parked_again_gets_a_second_word(self, store):
        filled(store, a_run("one"))
        ended(store, "one", PARKED)
        store.decide_approval("shop", "one", self.YES)
        ended(store, "one", PARKED)
        store.decide_approval("shop", "one", self.NO)
        assert store.decision(at("one")) == self.NO

    def test_nobody_decides_on_a_phase_that_awaits_nothing(self, store):
        filled(store, a_run("one"))
        with pytest.raises(StoreError, match="awaits no approval"):
            store.decide_approval("shop", "one", self.YES)


class TestBuilderCalls:
    def test_an_answer_is_found_again_with_all_that_belongs_to_it(self, store):
        filled(store, a_run("one"))
        usage = Usage(input_tokens=30, output_tokens=12, cached_tokens=4, cost_usd=0.25)
        text = "diff --git a/ä b/ä\n\x00\ud800" * 1000
        settled(
            store,
            reserved(store, claimed(store, "one")),
            text=text,
            format=AnswerFormat.EDITS,
            usage=usage,
            model="m-1",
            stop_reason="end",
            is_truncated=True,
            notes={"prompt": "task/1 #ab", "rungs": "exact:2"},
        )
        stored = store.stored_answer(at("one"), 1)
        assert stored.answer == BuildAnswer(
            text=text,
            format=AnswerFormat.EDITS,
            usage=usage,
            model="m-1",
            stop_reason="end",
            is_truncated=True,
            notes={"prompt": "task/1 #ab", "rungs": "exact:2"},
        )
        (event,) = store.telemetry(CallFilter(run_id="shop"))
        assert event.notes == stored.answer.notes
        assert (stored.prompt_hash, stored.builder) == ("abc", "replay:answers")
        assert (stored.duration_seconds, stored.base_commit) == (1.5, "ba5e")

    def test_an_answer_that_nobody_was_asked_for_is_kept_and_is_no_call(self, store):
        filled(store, a_run("one"))
        settled(store, reserved(store, claimed(store, "one"), tokens=0, prompt_hash=""), text="a report")
        assert store.stored_answer(at("one"), 1).answer.text == "a report"
        assert store.telemetry(CallFilter(run_id="shop")) == ()
        address, queued = at("one"), PhaseState.QUEUED
        pick = Pick(session_id="s", address=address, phase_index=0, initial_state=queued, picked_at=NOW)
        drains = MemoryDrains(store) if isinstance(store, MemoryStore) else store.drains
        assert drains.spent(pick) == Spent(calls=0, tokens=0, cost_usd=None, had_answer=False)

    def test_turns_and_attempts_have_answers_of_their_own(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        settled(store, reserved(store, lease, turn=2), text="second turn")
        assert store.stored_answer(at("one"), 1) is None
        assert store.stored_answer(at("one"), 2).answer.text == "second turn"
        assert store.stored_answer(at("one", 2), 2) is None

    def test_an_open_reservation_is_no_answer(self, store):
        filled(store, a_run("one"))
        reserved(store, claimed(store, "one"))
        assert store.stored_answer(at("one"), 1) is None

    def test_a_failure_that_would_come_again_is_an_answer_and_a_passing_one_is_not(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        settled(store, reserved(store, lease), failure=BROKEN)
        settled(store, reserved(store, lease), failure=OVERLOADED)
        assert store.stored_answer(at("one"), 1).answer.failure == BROKEN

    def test_the_newest_answer_of_a_turn_counts_and_the_first_of_a_call(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        first, second = reserved(store, lease), reserved(store, lease)
        settled(store, second, text="second call")
        settled(store, first, text="first call")
        settled(store, second, text="second call again")
        assert store.stored_answer(at("one"), 1).answer.text == "second call"

    def test_an_answer_under_a_lost_lease_is_kept_for_the_next_holder(self, store):
        filled(store, a_run("one"))
        call_id = reserved(store, claimed(store, "one"))
        claimed(store, "one", dead=True)
        settled(store, call_id, text="late")
        assert store.stored_answer(at("one"), 1).answer.text == "late"

    def test_an_unknown_call_cannot_be_settled(self, store):
        filled(store, a_run("one"))
        with pytest.raises(StoreError, match="no Builder call 99"):
            settled(store, 99, text="x")

    def test_open_and_settled_calls_of_the_attempt_share_its_budget(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        first = reserved(store, lease, tokens=600, limit=1000)
        assert reserved(store, lease, tokens=401, limit=1000) is None
        settled(store, first, text="x", usage=Usage(input_tokens=100, output_tokens=50, cached_tokens=99))
        assert reserved(store, lease, tokens=851, limit=1000) is None
        assert reserved(store, lease, tokens=850, limit=1000) is not None
        assert reserved(store, lease, tokens=1, limit=1000) is None

    def test_another_attempt_has_a_budget_of_its_own(self, store):
        filled(store, a_run("one"))
        lease = claimed(store, "one")
        reserved(store, lease, tokens=1000, limit=1000)
        store.finish_attempt(lease, FAILED, now=NOW)
        store.requeue_phase("shop", "one", now=NOW)
        assert reserved(store, claimed(store, "one", 2), tokens=1000, limit=1000) is not None

    def test_a_call_that_died_with_its_process_takes_nothing_from_the_budget(self, store):
        filled(store, a_run("one"))
        lost = reserved(store, claimed(store, "one"), tokens=900, limit=1000)
        lease = claimed(store, "one", dead=True)
        assert reserved(store, lease, tokens=900, limit=1000) is not None
        assert store.usage_of("shop", "one").total_tokens == 1800
        settled(store, lost, usage=Usage(input_tokens=50))
        assert reserved(store, lease, tokens=51, limit=1000) is None

    def test_a_lease_that_ended_reserves_nothing(self, store):
        filled(store, a_run("one"))
        lease = ended(store, "one", FAILED)
        with pytest.raises(LeaseLostError):
            reserved(store, lease)

    def test_usage_is_told_by_phase_and_by_run(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        used = Usage(input_tokens=30, output_tokens=12, cached_tokens=4, cost_usd=0.25)
        lease = claimed(store, "one")
        settled(store, reserved(store, lease), usage=used, failure=OVERLOADED)
        settled(store, reserved(store, lease), usage=used)
        assert store.usage_of("shop", "one") == used + used
        store.finish_attempt(lease, FAILED, now=NOW)
        reserved(store, claimed(store, "two"), tokens=100)
        open_call = Usage(input_tokens=100, is_estimated=True)
        assert store.usage_of("shop", "two") == open_call
        assert store.usage_of("shop") == used + used + open_call
        assert store.usage_of("nothing") == Usage()

    def test_a_price_that_is_not_known_is_not_free(self, store):
        filled(store, a_run("one"))
        settled(store, reserved(store, claimed(store, "one")), usage=Usage(input_tokens=5))
        assert store.usage_of("shop") == Usage(input_tokens=5)

    def test_runs_come_with_counts_and_usage(self, store):
        filled(store, a_run("one", "two"), a_run("three", run_id="bank"))
        lease = claimed(store, "one")
        settled(store, reserved(store, lease), usage=Usage(input_tokens=5))
        store.finish_attempt(lease, FAILED, now=NOW)
        first, second = store.runs()
        assert dict(first.counts) == {PhaseState.FAILED: 1, PhaseState.QUEUED: 1}
        assert (first.run_id, first.goal, first.is_active) == ("shop", "a shop", True)
        assert first.used == Usage(input_tokens=5)
        assert (dict(second.counts), second.used) == ({PhaseState.QUEUED: 1}, Usage())

    def test_the_newest_runs_alone_and_the_totals_of_all(self, store):
        filled(store, a_run("one", "two"), a_run("three", run_id="bank"), a_run("four", run_id="cafe"))
        ended(store, "one", FAILED)
        assert [progress.run_id for progress in store.runs(limit=2)] == ["bank", "cafe"]
        assert store.runs(limit=2) == store.runs()[1:]
        assert store.runs(limit=9) == store.runs()
        assert store.count_runs() == 3
        assert dict(store.totals()) == {PhaseState.FAILED: 1, PhaseState.QUEUED: 3}


class TestBaselines:
    KEY = BaselineKey(commit="c", environment="e", command="python -m pytest -q " + "tests/long_name " * 300)

    def test_a_baseline_comes_back_whole_and_the_first_stays(self, store):
        cases = {
            f"t.py::test_{n}": CiCase(node_id=f"t.py::test_{n}", outcome=CiOutcome.PASSED)
            for n in range(2000)
        }
        report = CiReport(command="pytest", stage=CiStage.FINISHED, returncode=0, tests=cases)
        assert store.load_baseline(self.KEY) is None
        store.save_baseline(self.KEY, report, now=NOW)
        store.save_baseline(self.KEY, replace(report, returncode=1), now=NOW)
        assert store.load_baseline(self.KEY) == Baseline(report=report, captured_at=NOW)
        assert store.load_baseline(replace(self.KEY, environment="other")) is None

    def test_a_baseline_makes_way_only_for_one_that_names_it(self, store):
        first, second, third = (
            CiReport(command="pytest", stage=CiStage.NOTHING, returncode=code) for code in (1, 2, 3)
        )
        store.save_baseline(self.KEY, first, now=NOW)
        kept = store.load_baseline(self.KEY)
        store.save_baseline(self.KEY, second, now=NOW + 1, replaces=kept)
        # Another attempt saw the first one too, and came later.
        store.save_baseline(self.KEY, third, now=NOW + 2, replaces=kept)
        assert store.load_baseline(self.KEY) == Baseline(report=second, captured_at=NOW + 1)


def foreseen(store, phase_id, number=1, **changed):
    looked_at = store.phase("shop", phase_id)
    known = {
        "address": at(phase_id, number),
        "phase": looked_at,
        "taken": store.taken("shop"),
        "base_commit": "ba5e",
        "owner": "worker",
        "outcome": FAILED,
        "began_at": NOW,
    }
    return Foreseen(**{**known, **changed})


class TestForeseen:
    def test_it_leaves_what_taking_and_finishing_leave(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        store.book_foreseen(foreseen(store, "one"), now=NOW + 5)
        lease = store.set_base(claimed(store, "two", owner="worker"), "ba5e")
        store.finish_attempt(lease, FAILED, now=NOW + 5)
        (booked,), (made,) = store.attempts("shop", "one"), store.attempts("shop", "two")
        assert replace(booked, address=made.address) == made
        one, two = store.phases("shop")
        assert replace(one, spec=two.spec, index=two.index) == two
        assert store.in_flight() == ()
        assert store.next_runnable(now=NOW + 9, limit=9) == ()

    def test_it_counts_towards_its_cause(self, store):
        filled(store, a_run("one", "two", order=Order.INDEPENDENT))
        for name in ("one", "two"):
            store.book_foreseen(foreseen(store, name), now=NOW)
        one, two = store.phases("shop")
        assert one.failure_fingerprint == two.failure_fingerprint is not None

    def test_taken_grows_with_what_is_made_of_the_run_and_of_no_other(self, store):
        filled(store, a_run("one", "two"), a_run("one", run_id="other"))
        assert (store.taken("shop"), store.taken("other")) == (0, 0)
        lease = claimed(store, "one")
        assert (store.taken("shop"), store.taken("other")) == (None, 0)
        store.release_attempt(lease.address, token=lease.token, failure=DEAD, now=NOW)
        given_back = store.taken("shop")
        ended(store, "one", COMPLETE)
        assert 0 < given_back < store.taken("shop")

    @pytest.mark.parametrize("what", ["held", "made", "begun", "changed", "finished", "waits", "number"])
    def test_what_is_not_as_it_was_looked_at_is_refused(self, what, store):
        needs = PhaseSpec(phase_id="three", goal="g", needs=("two",))
        filled(store, a_run("one", "two", needs, order=Order.INDEPENDENT))
        looked = foreseen(store, "three" if what == "waits" else "one", 2 if what == "number" else 1)
        if what == "held":
            claimed(store, "two")
        elif what == "made":
            ended(store, "two", COMPLETE)
        elif what == "begun":
            lease = claimed(store, "one")
            store.release_attempt(lease.address, token=lease.token, failure=DEAD, now=NOW)
            looked = foreseen(store, "one")
        elif what == "changed":
            changed = PhaseSpec(phase_id="one", goal="something else")
            store.import_plan(Plan(runs=(a_run(changed, "two", needs, order=Order.INDEPENDENT),)), now=NOW)
        elif what == "finished":
            store.book_foreseen(looked, now=NOW)
        before = (store.phases("shop"), store.attempts("shop", "one"))
        with pytest.raises(NotClaimableError):
            store.book_foreseen(looked, now=NOW + 1)
        assert (store.phases("shop"), store.attempts("shop", "one")) == before
