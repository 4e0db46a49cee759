"""What becomes of an attempt whose lease, base or process goes away in its midst."""

import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace

import psutil
import pytest
from project import Project, phase

from autopack import bootstrap
from autopack.adapters.git_worktree import GitWorktree
from autopack.adapters.process_identity import process_identity
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import LeaseLostError
from autopack.ports import Decision

FILES = {"docs/old.txt": "old\n", "docs/other.txt": "other\n", "ci.sh": "test ! -f docs/bad.txt\n"}
# Nothing here takes so long that a heartbeat would be due.
CONFIG = f'[ci]\ncommand = "sh ci.sh"\npython = "{sys.executable}"\n[attempt]\nlease_seconds = 3600\n'
PAID_TOKENS = 30


@pytest.fixture
def project(tmp_path):
    made = Project.make(tmp_path / "repo", FILES)
    made.configure(CONFIG)
    return made


class Struck:
    """A store after one of whose calls something happens to the attempt."""

    def __init__(self, store, call, strike):
        self._store = store
        self._call = call
        self._strike = strike

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*args, **kwargs):
            result = found(*args, **kwargs)
            if (name, *(arg for arg in args if isinstance(arg, PhaseState))) == self._call:
                self._strike(self._store)
            return result

        return call


def attempt(project, phase_id="p", *, after=None, strike=None, replay=Replay.OFF):
    """Make an attempt, every holder before it being taken for dead."""
    with bootstrap.open_executor(
        root=project.root, builder=project.builder, environ=project.executor_environ, replay=replay
    ) as executor:
        struck = Struck(executor.store, after, strike)
        judge = replace(executor.judge, store=struck)
        ours = replace(executor, store=struck, judge=judge, is_owner_dead=lambda _owner, _heartbeat: True)
        return ours.execute(ours.next_address("r", phase_id, None))


def take_over(store):
    address = store.next_address("r", "p")
    store.claim_attempt(address, owner="other:1:2", now=5.0, is_owner_dead=lambda _owner, _heartbeat: True)


class Died(BaseException):
    """Ends an attempt as a kill would: nothing of it is booked."""


def die(_store):
    raise Died


def decide(project, *, approved=True):
    with project.store() as store:
        store.decide_approval("r", "p", Decision(approved=approved, by="Ann", why="seen", at=2.0))


@pytest.mark.parametrize(
    ("after", "commits"),
    [
        pytest.param(("enter_state", PhaseState.GATE), 0, id="before the gates"),
        pytest.param(("enter_state", PhaseState.CI_RUNNING), 0, id="during CI"),
        pytest.param(("usage_of",), 1, id="between its commit and its verdict"),
    ],
)
def test_an_attempt_that_is_taken_over_leaves_the_last_word_to_the_other(after, commits, project):
    project.plan(phase(paths=("docs/",)))
    project.answer(edits={"docs/new.txt": "new\n"})
    with pytest.raises(LeaseLostError):
        attempt(project, after=after, strike=take_over)
    assert len(project.branch_log()) == commits
    outcome = attempt(project)
    assert outcome.final_state is PhaseState.COMPLETE
    assert outcome.usage.total_tokens == PAID_TOKENS
    assert (len(project.branch_log()), project.phase().last_attempt) == (1, 1)


def parked_with_moved_base(project, moved):
    """Phase ``p`` waits for its approval while ``q`` changes the files ``moved``."""
    project.plan(phase("p", paths=("docs/",), requires_approval=True), phase("q", paths=("docs/",)))
    project.answer("p", edits={"docs/old.txt": "of p\n"})
    project.answer("q", edits=moved)
    assert attempt(project, "p").final_state is PhaseState.GATE
    assert attempt(project, "q").final_state is PhaseState.COMPLETE
    decide(project)


def test_a_stored_answer_is_applied_to_a_base_that_moved_elsewhere(project):
    parked_with_moved_base(project, {"docs/other.txt": "of q\n"})
    outcome = attempt(project, "p")
    assert outcome.failure is None
    assert (project.show("docs/old.txt"), project.show("docs/other.txt")) == ("of p", "of q")
    assert outcome.usage.total_tokens == PAID_TOKENS


def test_a_stored_answer_never_overwrites_what_another_phase_changed_since(project):
    parked_with_moved_base(project, {"docs/old.txt": "of q\n"})
    outcome = attempt(project, "p")
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.PATCH_REJECTED
    assert "docs/old.txt" in " ".join(outcome.failure.details)
    assert project.show("docs/old.txt") == "of q"
    assert outcome.usage.total_tokens == PAID_TOKENS


def test_a_commit_on_a_base_that_moved_is_found_after_a_death(project):
    parked_with_moved_base(project, {"docs/other.txt": "of q\n"})
    with pytest.raises(Died):
        attempt(project, "p", after=("usage_of",), strike=die)
    outcome = attempt(project, "p")
    assert (outcome.final_state, outcome.failure) == (PhaseState.COMPLETE, None)
    assert project.branch_log() == ["p: Do p", "q: Do q"]


def fail(project):
    """Book the attempt under way as failed, as if its executor could not be started any more."""
    with project.store() as store:
        address = store.next_address("r", "p")
        dead = {"owner": "w:1:2", "now": 6.0, "is_owner_dead": lambda _owner, _heartbeat: True}
        lease = store.claim_attempt(address, **dead)
        failure = FailureReport(kind=FailureKind.IMPORT_CRASH, message="no module")
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.FAILED, failure=failure), now=7.0)
        store.requeue_phase("r", "p", now=8.0)


def test_a_change_that_is_committed_is_not_paid_for_again_whatever_was_booked(project):
    project.plan(phase(paths=("docs/",)))
    project.answer(edits={"docs/new.txt": "new\n"})
    with pytest.raises(Died):
        attempt(project, after=("usage_of",), strike=die)
    fail(project)
    outcome = attempt(project)
    assert (outcome.final_state, outcome.replayed_from) == (PhaseState.COMPLETE, 1)
    assert [gate.gate for gate in outcome.gates][-1] == "ci"
    assert project.branch_log() == ["p: Do p"]
    assert (outcome.usage.total_tokens, project.phase().last_attempt) == (PAID_TOKENS, 2)


def test_a_replay_that_dies_after_its_commit_is_still_told_as_one(project):
    project.plan(phase(paths=("docs/",)))
    project.answer(edits={"docs/bad.txt": "bad\n"})
    assert attempt(project).final_state is PhaseState.FAILED
    project.write({"ci.sh": "true\n"})
    project.git("branch", "-f", "autopack/r", project.commit("Mend CI"))
    with project.store() as store:
        store.requeue_phase("r", "p", now=2.0)
    with pytest.raises(Died):
        attempt(project, after=("usage_of",), strike=die, replay=Replay.ONLY)
    outcome = attempt(project, replay=Replay.ONLY)
    assert (outcome.final_state, outcome.replayed_from) == (PhaseState.COMPLETE, 1)
    assert [gate.gate for gate in outcome.gates][-1] == "ci"


@pytest.mark.parametrize(
    ("approved", "state", "kind", "log"),
    [
        pytest.param(True, PhaseState.COMPLETE, None, ["p: Do p"], id="approved"),
        pytest.param(False, PhaseState.FAILED, FailureKind.APPROVAL_DENIED, [], id="denied"),
    ],
)
def test_a_parked_attempt_is_decided_after_its_process_ended(approved, state, kind, log, project):
    project.plan(phase(paths=("docs/",), requires_approval=True))
    project.answer(edits={"docs/new.txt": "new\n"})
    parked = project.spawn()
    assert parked.communicate()[0].splitlines()[-1] == "r/p/1 GATE"
    with project.store() as store:
        assert not store.in_flight(), "a worker would bury it as dead"
    decide(project, approved=approved)
    if approved:
        assert project.spawn(number=1).communicate()[0].splitlines()[-1] == "r/p/1 COMPLETE"
    it = project.phase()
    assert (it.state, it.failure_kind, it.crashes, it.last_attempt) == (state, kind, 0, 1)
    assert project.branch_log() == log
    with project.store() as store:
        assert store.usage_of("r").total_tokens == PAID_TOKENS


@contextmanager
def left_running(project):
    """A program that an executor, killed since, had at work on the project; it is no child of ours."""
    host, pid, start = process_identity().split(":")
    owner = f"{host}:{pid}:{int(start) - 1} {project.settings.state_folder}"
    started = subprocess.run(
        ["sh", "-c", "setsid sleep 300 >&- 2>&- & echo $!"],
        env={**project.environ, "AUTOPACK_OWNER": owner},
        check=True,
        capture_output=True,
    )
    stray = psutil.Process(int(started.stdout))
    yield stray
    with suppress(psutil.NoSuchProcess):
        stray.kill()


def runs(process):
    # Its parent may not have looked yet at how it ended.
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_what_a_killed_agent_left_running_is_ended_before_its_change_is_taken(project, monkeypatch):
    project.builder = "command:echo new > docs/new.txt"
    project.plan(phase(paths=("docs/",)))
    take, was_there = GitWorktree.diff, []
    monkeypatch.setattr(GitWorktree, "diff", die)
    with pytest.raises(Died):
        attempt(project)

    def watched(worktree):
        was_there.append(runs(stray))
        return take(worktree)

    monkeypatch.setattr(GitWorktree, "diff", watched)
    with left_running(project) as stray:
        outcome = attempt(project)
    assert outcome.final_state is PhaseState.COMPLETE
    assert (was_there, project.show("docs/new.txt")) == ([False], "new")
