"""Whole attempts by an agent: a real meter, the sandbox of this machine, gates and CI."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from agents import fake_spec
from ended import has_ended
from leftovers import attempts_of, processes_of
from project import Project, phase

from autopack import bootstrap
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.ports import CallFilter
from autopack.testing.provider import serve
from autopack.testing.provider_wire import Scripted

PROVIDER = "?provider=scripted"


@pytest.fixture
def project(tmp_path):
    return Project.make(tmp_path / "repo")


def prepare(project, upstream, *words, more="", **fields):
    # What CI does is told elsewhere; here its exit code is enough.
    ci = f'[ci]\npython = "{sys.executable}"\ncommand = "true"\n'
    project.configure(f'{ci}{more}\n[providers.scripted]\nbase_url = "{upstream}/v1"\n')
    project.builder = fake_spec(*words, query=PROVIDER)
    project.plan(phase(paths=("calc/",), **fields))


def attempt_of(project):
    """Make an attempt at once, without a look at what is known of its base."""
    with bootstrap.open_executor(
        root=project.root, builder=project.builder, environ=project.executor_environ, is_doom_checked=False
    ) as executor:
        return executor.execute(executor.next_address("r", "p", None))


def usage_of(project):
    with project.store() as store:
        return store.usage_of("r", "p")


def test_an_edit_becomes_a_commit_and_costs_what_the_provider_counted(project):
    with serve(Scripted(text="Sure.", input_tokens=70, output_tokens=7)) as provider:
        prepare(project, provider.url, "model")
        outcome = project.attempt()
    assert outcome.final_state is PhaseState.COMPLETE
    assert project.show("calc/made.py") == "MADE = 1"
    assert usage_of(project).total_tokens == provider.total.total_tokens == 77
    with project.store() as store:
        (call,) = store.telemetry(CallFilter(run_id="r"))
    assert call.notes == {"reported_input_tokens": "1", "reported_output_tokens": "2"}


@pytest.mark.parametrize(
    ("scene", "answers", "kind", "retryable"),
    [
        pytest.param(("edit", "README.md"), [], FailureKind.SCOPE_VIOLATION, False, id="outside the scope"),
        pytest.param(("idle",), [], FailureKind.EMPTY_CHANGE, False, id="nothing"),
        pytest.param(
            ("model", "1"),
            [Scripted(status=429, headers={"retry-after": "7"})],
            FailureKind.BUILDER_ERROR,
            True,
            id="refused, and the turn ends well",
        ),
        pytest.param(
            ("model", "2"),
            [Scripted(), Scripted(status=401)],
            FailureKind.BUILDER_ERROR,
            False,
            id="an edit, then a refusal",
        ),
        pytest.param(
            ("model", "2"),
            [Scripted(), Scripted(stop="length")],
            FailureKind.BUILDER_ERROR,
            False,
            id="cut off",
        ),
        pytest.param(
            ("model", "2"),
            [Scripted(), Scripted(cut_after=1)],
            FailureKind.BUILDER_ERROR,
            True,
            id="broken off",
        ),
        pytest.param(
            ("model", "3"),
            [Scripted(input_tokens=4000)],
            FailureKind.BUDGET_EXCEEDED,
            False,
            id="over its budget",
        ),
    ],
)
def test_what_an_agent_says_of_a_failed_turn_is_not_believed(project, scene, answers, kind, retryable):
    with serve(answers or Scripted()) as provider:
        prepare(project, provider.url, *scene, budget_tokens=5000)
        outcome = attempt_of(project)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.retryable) == (kind, retryable)
    assert project.branch_log() == []


def test_what_no_change_can_hold_is_a_verdict_and_paid_for_once(project):
    project.builder = """command:touch "calc/$(printf '\\377').py"; echo '{"input_tokens": 5, "output_tokens": 6}' > $AUTOPACK_USAGE_FILE"""
    project.plan(phase(paths=("calc/",)))
    outcome = attempt_of(project)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.retryable) == (FailureKind.PATCH_REJECTED, False)
    assert "not UTF-8" in outcome.failure.message
    assert usage_of(project).total_tokens == 11


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_a_write_into_git_is_found_or_cannot_be_made(project, mode):
    prepare(project, "http://127.0.0.1:9", "hook", more=f'[sandbox]\nmode = "{mode}"')
    failure = attempt_of(project).failure
    record = json.loads((project.root / ".autopack/logs/r/p/1/builder/agent.json").read_text())
    was_written = (project.root / ".git/hooks/pre-commit").exists()
    assert was_written == (mode == "off" or record["sandbox"].startswith("NONE"))
    # In a room the folder may be the room's own, and goes with it.
    is_found = failure is not None and failure.kind is FailureKind.PROTECTED_PATH
    assert is_found == was_written
    assert not is_found or ".git/hooks/pre-commit" in failure.message


@pytest.fixture
def doors():
    """A folder for temporary files with a name short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ap-", dir="/tmp") as folder:
        yield Path(folder)


def test_a_killed_attempt_leaves_no_agent_no_home_and_no_door(project, doors):
    project.environ["TMPDIR"] = str(doors)
    homes = project.root / ".autopack/agents"
    with serve(Scripted(hang_after=1)) as provider:
        prepare(project, provider.url, "model")
        attempt = project.spawn()
        assert provider.is_hanging.wait(60)
        (pid,) = attempts_of(project.root)
        others = {*processes_of(project.root), *processes_of(doors)} - {pid}
        assert len(others) > 2
        assert list(homes.iterdir())
        assert list(doors.glob("autopack-door-*"))
        os.kill(pid, signal.SIGKILL)
        attempt.communicate()
        for other in others:
            assert has_ended(other)
    assert list(homes.iterdir()) == []
    assert list(doors.glob("autopack-door-*")) == []
