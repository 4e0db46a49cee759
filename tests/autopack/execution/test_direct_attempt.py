"""Whole attempts by a model: from the prompt to the commit, with each token booked once."""

import signal
import subprocess
import sys

import pytest
from project import Project, phase

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.execution.prompts import prompt_version
from autopack.ports import CallFilter
from autopack.testing.provider import Scripted, serve

PYTEST = "python -m pytest -q -p no:cacheprovider"
ADD = "    return a + b\n"
DOUBLE = "\n\ndef double(a):\n    return add(a, a)\n"


def block(path, old, new):
    return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


GOOD = block("calc/core.py", ADD, ADD + DOUBLE)
NOTES = "FILE docs/notes.md\n````\nNotes\n````\n"
MISQUOTED = block("calc/core.py", "    return a plus b\n", ADD + DOUBLE)


class Bench:
    """A project whose Builder is a model on loopback."""

    def __init__(self, root, provider, name="anthropic", ci="true", **settings):
        self.provider = provider
        self.project = Project.make(root, builder=f"{name}:scripted-1")
        lines = "".join(f"{key} = {value}\n" for key, value in settings.items())
        self.project.configure(
            f'[ci]\npython = "{sys.executable}"\ncommand = "{ci}"\n'
            f'[providers.{name}]\nbase_url = "{provider.url}"\n[direct]\n{lines}'
        )
        self.project.plan(phase(paths=("calc/", "docs/"), goal="Add a function that doubles"))

    def attempt(self):
        return self.project.attempt()

    def calls(self):
        with self.project.store() as store:
            return store.telemetry(CallFilter(run_id="r"))

    def sums_agree(self):
        """The ledger, the telemetry and the phase hold what the provider billed, to the token."""
        events = self.calls()
        with self.project.store() as store:
            used = store.usage_of("r", "p")
        billed = self.provider.total
        assert (used.input_tokens, used.output_tokens) == (billed.input_tokens, billed.output_tokens)
        assert sum(event.tokens for event in events) == billed.total_tokens
        return True


@pytest.fixture
def bench(tmp_path):
    """Makes a bench for scripted answers; the provider lives as long as the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            patch.delenv(name, raising=False)
        contexts = []

        def make(answers, **options):
            context = serve(answers)
            contexts.append(context)
            return Bench(tmp_path / "repo", context.__enter__(), **options)

        yield make
        for context in contexts:
            context.__exit__(None, None, None)


def test_an_answer_in_blocks_becomes_a_commit(bench):
    it = bench(Scripted(text=f"I add it.\n\n{GOOD}\n{NOTES}"), ci=PYTEST)
    outcome = it.attempt()
    assert (outcome.failure, outcome.final_state) == (None, PhaseState.COMPLETE)
    assert "def double" in it.project.show("calc/core.py")
    assert it.project.show("docs/notes.md") == "Notes"
    (call,) = it.calls()
    assert (call.turn, call.model, call.cost_usd) == (1, "scripted-1", None)
    assert (call.notes["format"], call.notes["rungs"]) == ("blocks", "exact:1")
    assert call.notes["prompt"] == prompt_version()
    assert it.sums_agree()


def test_an_answer_that_leaves_the_scope_is_neither_replied_to_nor_looked_for(bench):
    it = bench(Scripted(text=MISQUOTED + block("tests/test_core.py", "no such line\n", "x\n")))
    outcome = it.attempt()
    assert outcome.failure.kind is FailureKind.SCOPE_VIOLATION
    assert outcome.failure.details == ("Outside scope: tests/test_core.py",)
    assert len(it.calls()) == 1
    assert it.sums_agree()


def test_the_prompt_shows_rules_files_a_map_of_the_rest_and_what_was_done_before(bench):
    it = bench(Scripted(text=GOOD))
    it.attempt()
    it.project.plan(
        phase(paths=("calc/", "docs/"), goal="Add a function that doubles"),
        phase("q", paths=("docs/",), goal="Write it down"),
    )
    it.project.attempt("q")
    first, second = (seen.body for seen in it.provider.seen)
    system = first["system"][0]["text"]
    stable, now = (part["text"] for part in first["messages"][0]["content"])
    assert "<<<<<<< SEARCH" in system
    assert ".github/" in system
    assert "# File calc/core.py" in stable
    assert "def halve(a):" in stable
    assert "tests/test_core.py: test_add()" in stable, "a module that is not shown is on the map"
    assert "Add a function that doubles" in stable
    assert "# The last attempt failed" not in stable + now
    assert "- p: Add a function that doubles (calc/core.py)" in second["messages"][0]["content"][1]["text"]


def test_the_next_attempt_is_told_why_the_last_one_failed(bench):
    it = bench(Scripted(text="FILE README.md\n````\nElsewhere\n````\n"))
    assert it.attempt().failure.kind is FailureKind.SCOPE_VIOLATION
    with it.project.store() as store:
        store.requeue_phase("r", "p", now=9.0)
    it.attempt()
    first, second = (seen.body["messages"][0]["content"] for seen in it.provider.seen)
    assert second[0] == first[0], "what is cached must not change"
    assert "scope_violation" in second[1]["text"]
    assert "README.md" in second[1]["text"]


KILL = """
import os, signal, sys
from autopack import bootstrap
from autopack.adapters.store import SqlStore

settle = SqlStore.settle_call

def killed(self, call_id, answer, **more):
    seen[0] += 1
    if seen[0] == int(sys.argv[1]):
        if sys.argv[2] == "after":
            settle(self, call_id, answer, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    return settle(self, call_id, answer, **more)

seen = [0]
SqlStore.settle_call = killed
from autopack import autonomous_executor
autonomous_executor.main(sys.argv[3:])
"""


@pytest.mark.parametrize(
    ("call", "where"),
    [
        pytest.param(1, "before", id="between the answer and the ledger"),
        pytest.param(1, "after", id="between the answer and the reply"),
        pytest.param(2, "before", id="between the mended answer and the ledger"),
    ],
)
def test_a_kill_around_the_ledger_pays_no_answer_again(call, where, bench):
    it = bench([Scripted(text=NOTES + "\n" + MISQUOTED), Scripted(text=GOOD)])
    project = it.project
    words = ["--root", str(project.root), "--builder", project.builder, "--run-id", "r", "--phase-id", "p"]
    killed = subprocess.run(
        [sys.executable, "-P", "-c", KILL, str(call), where, *words],
        env=project.executor_environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(it.provider.seen) == call
    outcome = it.attempt()
    assert (outcome.failure, outcome.final_state) == (None, PhaseState.COMPLETE)
    assert "def double" in project.show("calc/core.py")
    assert len(it.provider.seen) == 2, "each of the two answers is paid for once"
    assert [call.turn for call in it.calls()] == [1, 2]
    assert it.sums_agree()
    assert not list((project.root / ".autopack").rglob("paid-*"))
