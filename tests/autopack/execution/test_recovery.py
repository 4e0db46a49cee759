"""What follows an attempt that failed, and how an attempt without a verdict gets one."""

from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from project import Project

from autopack.adapters.git import open_workspace
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.finalize import is_committed, trailers
from autopack.execution.recovery import (
    REFUSED_RETURNCODE,
    TRY_AGAIN_RETURNCODE,
    UNUSABLE_RETURNCODE,
    Conclusion,
    pause_seconds,
    settle,
)
from autopack.ports import Finished
from autopack.settings import AttemptSettings
from autopack.testing import FrozenClock, MemoryStore

LIMITS = AttemptSettings(max_transient_retries=2, max_crashes=2)
ADDRESS = AttemptAddress(run_id="r", phase_id="p", number=1)


def failed(*, retryable, after=None):
    failure = FailureReport(
        kind=FailureKind.BUILDER_ERROR, message="429", retryable=retryable, retry_after_seconds=after
    )
    return AttemptOutcome(final_state=PhaseState.FAILED, failure=failure)


def phase(*, requeues=0):
    return Phase(run_id="r", index=0, spec=PhaseSpec(phase_id="p", goal="g"), requeues=requeues)


@pytest.mark.parametrize(
    ("outcome", "requeues", "state"),
    [
        pytest.param(failed(retryable=False), 0, PhaseState.FAILED, id="a deterministic failure ends it"),
        pytest.param(
            failed(retryable=True), 0, PhaseState.QUEUED, id="a fault of the surroundings gives it back"
        ),
        pytest.param(failed(retryable=True), 1, PhaseState.QUEUED, id="and again"),
        pytest.param(failed(retryable=True), 2, PhaseState.FAILED, id="but not for ever"),
        pytest.param(
            AttemptOutcome(final_state=PhaseState.COMPLETE), 0, PhaseState.COMPLETE, id="success stays"
        ),
        pytest.param(AttemptOutcome(final_state=PhaseState.GATE), 0, PhaseState.GATE, id="waiting stays"),
    ],
)
def test_only_faults_of_the_surroundings_are_tried_again(outcome, requeues, state):
    settled = settle(outcome, phase(requeues=requeues), LIMITS, now=100.0)
    assert settled.final_state is state
    assert (settled.retry_at is not None) is (state is PhaseState.QUEUED)


def test_what_the_provider_asked_for_is_kept():
    settled = settle(failed(retryable=True, after=40.0), phase(), LIMITS, now=100.0)
    assert settled.retry_at is not None
    assert 140.0 <= settled.retry_at <= 150.0


def test_pauses_grow_to_a_limit_and_differ_between_phases():
    pauses = [pause_seconds(n, asked_seconds=None, seed="p") for n in range(20)]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 300 * 1.25
    assert len({pause_seconds(3, asked_seconds=None, seed=f"p{n}") for n in range(20)}) > 10


def planned(store):
    run = RunSpec(run_id="r", goal="g", phases=(PhaseSpec(phase_id="p", goal="g"),))
    store.import_plan(Plan(runs=(run,)), now=1.0)
    store.activate_run("r")
    return store


def conclusion_over(store, *, max_crashes=LIMITS.max_crashes, committed=lambda _attempt: False):
    return Conclusion(
        store=store,
        clock=FrozenClock(),
        limits=replace(LIMITS, max_crashes=max_crashes),
        owner="worker",
        is_owner_dead=lambda owner, _heartbeat: owner == "dead",
        is_committed=committed,
    )


class TakenOver(MemoryStore):
    """A store in which another worker takes the attempt just before its end is booked."""

    def finish_attempt(self, lease, outcome, *, now):
        self.take()
        super().finish_attempt(lease, outcome, now=now)

    def release_attempt(self, address, *, token, failure, now):
        super().release_attempt(address, token=token, failure=failure, now=now)
        self.take()

    def take(self):
        self.claim_attempt(ADDRESS, owner="another worker", now=3.0, is_owner_dead=lambda _o, _h: True)


class TestConclusion:
    @pytest.fixture
    def store(self):
        return planned(MemoryStore())

    @pytest.fixture
    def conclusion(self, store):
        return conclusion_over(store)

    def claim(self, store, owner="dead"):
        return store.claim_attempt(ADDRESS, owner=owner, now=2.0, is_owner_dead=lambda _o, _h: True)

    def died(self, returncode=-9, *, cancelled=False):
        return Finished(returncode=returncode, timed_out=False, was_cancelled=cancelled, duration_seconds=1.5)

    def test_a_process_that_never_took_its_attempt_is_an_import_crash(self, store, conclusion, tmp_path):
        (tmp_path / "executor.err").write_text("Traceback\nSyntaxError: expected 'except'\n")
        conclusion.conclude(ADDRESS, self.died(1), token_before=0, logs=tmp_path)
        (attempt,) = store.attempts("r", "p")
        failure = attempt.outcome.failure
        assert store.phase("r", "p").state is PhaseState.FAILED
        assert (failure.kind, failure.returncode) == (FailureKind.IMPORT_CRASH, 1)
        assert failure.message == "SyntaxError: expected 'except'"
        assert failure.duration_seconds == 1.5

    @pytest.mark.parametrize(
        ("returncode", "states"),
        [
            pytest.param(-9, [PhaseState.QUEUED, PhaseState.FAILED], id="killed from outside"),
            pytest.param(-11, [PhaseState.QUEUED, PhaseState.FAILED], id="killed by its interpreter"),
        ],
    )
    def test_a_signal_before_the_first_step_counts_as_a_death(
        self, returncode, states, store, conclusion, tmp_path
    ):
        seen = []
        for _ in states:
            token = conclusion.token_of(ADDRESS)
            conclusion.conclude(ADDRESS, self.died(returncode), token_before=token, logs=tmp_path)
            seen.append(store.phase("r", "p").state)
        assert seen == states
        assert store.phase("r", "p").failure_kind is FailureKind.CRASHED

    @pytest.mark.parametrize(
        "is_taken", [pytest.param(True, id="taken"), pytest.param(False, id="not taken")]
    )
    @pytest.mark.parametrize(
        ("returncode", "state"),
        [
            pytest.param(TRY_AGAIN_RETURNCODE, PhaseState.QUEUED, id="may pass"),
            pytest.param(UNUSABLE_RETURNCODE, PhaseState.FAILED, id="stays"),
        ],
    )
    def test_a_verdict_that_could_not_be_booked_is_a_fault_of_the_surroundings(
        self, returncode, state, is_taken, store, conclusion, tmp_path
    ):
        (tmp_path / "executor.err").write_text("error: its disk is full\nhint: Free some space.\n")
        token = conclusion.token_of(ADDRESS)
        if is_taken:
            self.claim(store)
        conclusion.conclude(ADDRESS, self.died(returncode), token_before=token, logs=tmp_path)
        phase = store.phase("r", "p")
        (attempt,) = store.attempts("r", "p")
        assert (phase.state, phase.crashes) == (state, 0)
        assert (phase.retry_at is not None) is (state is PhaseState.QUEUED)
        assert attempt.outcome.failure.kind is FailureKind.INFRASTRUCTURE
        assert attempt.outcome.failure.message == "its disk is full"

    def test_an_import_crash_is_noticed_for_an_attempt_that_was_given_back_before(
        self, store, conclusion, tmp_path
    ):
        lease = self.claim(store)
        outcome = settle(failed(retryable=True), store.phase("r", "p"), LIMITS, now=3.0)
        store.finish_attempt(lease, outcome, now=3.0)
        conclusion.conclude(ADDRESS, self.died(1), token_before=conclusion.token_of(ADDRESS), logs=tmp_path)
        assert store.phase("r", "p").failure_kind is FailureKind.IMPORT_CRASH

    def test_a_process_that_ended_with_its_verdict_needs_nothing(self, store, conclusion, tmp_path):
        lease = self.claim(store)
        store.enter_state(lease, PhaseState.GATE, now=2.5)
        store.finish_attempt(lease, failed(retryable=False), now=3.0)
        before = store.phase("r", "p")
        conclusion.conclude(ADDRESS, self.died(1), token_before=0, logs=tmp_path)
        assert store.phase("r", "p") == before

    def test_a_process_that_died_is_made_again_until_it_died_too_often(self, store, conclusion, tmp_path):
        states = []
        for _ in range(LIMITS.max_crashes):
            token = conclusion.token_of(ADDRESS)
            self.claim(store)
            conclusion.conclude(ADDRESS, self.died(), token_before=token, logs=tmp_path)
            states.append(store.phase("r", "p").state)
        assert states == [PhaseState.QUEUED, PhaseState.FAILED]
        assert store.phase("r", "p").failure_kind is FailureKind.CRASHED

    def test_an_attempt_whose_commit_is_there_gets_twice_the_patience(self, store, tmp_path):
        conclusion = conclusion_over(store, committed=lambda _attempt: True)
        states = []
        for _ in range(2 * LIMITS.max_crashes):
            token = conclusion.token_of(ADDRESS)
            self.claim(store)
            conclusion.conclude(ADDRESS, self.died(), token_before=token, logs=tmp_path)
            states.append(store.phase("r", "p").state)
        assert states == [PhaseState.QUEUED] * (2 * LIMITS.max_crashes - 1) + [PhaseState.FAILED]

    @pytest.mark.parametrize(
        ("branch", "state"),
        [
            pytest.param("none", PhaseState.FAILED, id="has no commit"),
            pytest.param("foreign", PhaseState.FAILED, id="has the name of one of an earlier database"),
            pytest.param("ours", PhaseState.QUEUED, id="lacks nothing but its verdict"),
        ],
    )
    def test_an_attempt_that_is_too_late_fails_unless_its_commit_is_there(
        self, branch, state, store, tmp_path
    ):
        project = Project.make(tmp_path / "repository", {"a.txt": "a\n"})
        base = project.git("rev-parse", "HEAD")
        if branch != "none":
            commit = project.git(
                "commit-tree", "HEAD^{tree}", "-p", base, "-m", f"p: g\n\n{trailers(ADDRESS)}"
            )
            project.git("update-ref", "refs/heads/autopack/r", commit)
            # A run of the same name begins where the branch of the earlier one ends.
            base = commit if branch == "foreign" else base
        late = replace(self.died(None), timed_out=True)
        store.set_base(self.claim(store), base)
        with closing(open_workspace(project.root, state_folder=tmp_path / "state")) as workspace:
            conclusion = conclusion_over(store, committed=partial(is_committed, workspace))
            conclusion.conclude(ADDRESS, late, token_before=0, logs=tmp_path)
        assert store.phase("r", "p").state is state

    def test_an_operators_stop_is_no_crash(self, store, conclusion, tmp_path):
        for _ in range(LIMITS.max_crashes + 1):
            token = conclusion.token_of(ADDRESS)
            self.claim(store)
            conclusion.conclude(ADDRESS, self.died(None, cancelled=True), token_before=token, logs=tmp_path)
        assert (store.phase("r", "p").state, store.phase("r", "p").crashes) == (PhaseState.QUEUED, 0)

    def test_a_stop_before_the_attempt_was_taken_leaves_it_queued(self, store, conclusion, tmp_path):
        conclusion.conclude(ADDRESS, self.died(None, cancelled=True), token_before=0, logs=tmp_path)
        assert store.phase("r", "p").state is PhaseState.QUEUED
        assert store.attempts("r", "p") == ()

    @pytest.mark.parametrize(
        "returncode",
        [pytest.param(TRY_AGAIN_RETURNCODE, id="booking a fault"), pytest.param(-9, id="booking a death")],
    )
    def test_an_attempt_that_is_taken_over_meanwhile_is_the_others(self, returncode, tmp_path):
        store = planned(TakenOver())
        conclusion = conclusion_over(store, max_crashes=1)
        self.claim(store)
        conclusion.conclude(ADDRESS, self.died(returncode), token_before=0, logs=tmp_path)
        (holder,) = store.in_flight()
        assert holder.owner == "another worker"
        assert store.phase("r", "p").state is PhaseState.EXECUTING

    @pytest.mark.parametrize(
        "finished_with", [pytest.param(REFUSED_RETURNCODE, id="refused"), pytest.param(-9, id="died")]
    )
    def test_somebody_elses_living_attempt_is_left_alone(self, finished_with, store, conclusion, tmp_path):
        self.claim(store, owner="alive")
        conclusion.conclude(ADDRESS, self.died(finished_with), token_before=0, logs=tmp_path)
        assert store.phase("r", "p").state is PhaseState.EXECUTING
