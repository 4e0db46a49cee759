"""The Builders that need no model: stored answers, and a command that edits the worktree."""

import json
import os
import sys
from pathlib import Path

import pytest

from autopack.adapters.builders.registry import make_builder
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind
from autopack.errors import BuilderError
from autopack.execution.build import BudgetWatch
from autopack.ports import AnswerFormat, BuildRequest, ContextFile

PATCH = "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+one\n"


def request(tmp_path, *, number=1, timeout_seconds=20.0, worktree=None):
    return BuildRequest(
        address=AttemptAddress(run_id="r", phase_id="p", number=number),
        goal="Write a",
        prompt="Write the file a.txt, please.",
        files=(ContextFile(path="docs/ü b.md", text="hello"),),
        scope_paths=("a.txt",),
        deliverables=("a.txt",),
        worktree=worktree,
        log_folder=tmp_path / "logs",
        budget_tokens=1000,
        timeout_seconds=timeout_seconds,
    )


def builder(spec, root):
    return make_builder(spec, root=root, processes=GuardedProcesses(SystemClock()), environ=dict(os.environ))


@pytest.fixture
def answers(tmp_path):
    folder = tmp_path / "answers"
    (folder / "r").mkdir(parents=True)
    return folder


def write(answers: Path, name: str, content):
    path = answers / "r" / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        pytest.param("replay:nowhere", "nowhere", id="a folder that is not there"),
        pytest.param("replay:", "replay:", id="no folder"),
        pytest.param("command:  ", "command:", id="no command"),
        pytest.param("gpt", "gpt", id="an unknown kind"),
        pytest.param("", "''", id="nothing"),
    ],
)
def test_a_specification_that_names_no_builder_is_refused(spec, named, tmp_path):
    with pytest.raises(BuilderError, match=named) as error:
        builder(spec, tmp_path)
    assert error.value.hint


class TestReplay:
    def test_a_patch_is_the_answer_with_its_line_ends_kept(self, answers, tmp_path):
        write(answers, "p.patch", PATCH.replace("\n", "\r\n").encode())
        answer = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10))
        assert answer.text == PATCH.replace("\n", "\r\n")
        assert (answer.format, answer.usage, answer.failure) == (AnswerFormat.PATCH, Usage(), None)

    def test_usage_beside_a_patch_is_what_it_cost(self, answers, tmp_path):
        write(answers, "p.patch", PATCH.encode())
        write(answers, "p.usage.json", {"input_tokens": 7, "output_tokens": 5, "cost_usd": 0.25})
        answer = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10))
        assert answer.usage == Usage(input_tokens=7, output_tokens=5, cost_usd=0.25)

    def test_an_answer_for_this_attempt_goes_before_the_one_for_all(self, answers, tmp_path):
        write(answers, "p.patch", b"for all")
        write(answers, "p.2.patch", b"for the second")
        replay = builder("replay:answers", tmp_path)
        texts = [replay.build(request(tmp_path, number=n), BudgetWatch(10)).text for n in (1, 2, 3)]
        assert texts == ["for all", "for the second", "for all"]

    def test_edits_are_handed_on_as_they_are(self, answers, tmp_path):
        write(answers, "p.json", {"edits": [{"path": "a", "content": "b"}], "usage": {"input_tokens": 1}})
        answer = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10))
        assert answer.format is AnswerFormat.EDITS
        assert json.loads(answer.text)["edits"] == [{"path": "a", "content": "b"}]
        assert answer.usage.total_tokens == 1

    @pytest.mark.parametrize("name", ["p.md", "p.1.md", "p.txt"])
    def test_words_are_handed_on_as_they_are(self, name, answers, tmp_path):
        write(answers, name, b"FILE a\r\n```\r\nb\r\n```\r\n")
        write(answers, "p.usage.json", {"input_tokens": 3})
        answer = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10))
        assert answer.format is AnswerFormat.WORDS
        assert answer.text == "FILE a\r\n```\r\nb\r\n```\r\n"

    def test_a_json_file_may_hold_words(self, answers, tmp_path):
        write(answers, "p.json", {"words": "DELETE a\n", "usage": {"input_tokens": 3}})
        answer = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10))
        assert (answer.format, answer.text) == (AnswerFormat.WORDS, "DELETE a\n")
        assert answer.usage.input_tokens == 3

    def test_a_stored_failure_is_a_failure(self, answers, tmp_path):
        stored = {"kind": "builder_error", "message": "429", "retryable": True, "retry_after_seconds": 3}
        write(answers, "p.json", {"failure": stored, "usage": {"input_tokens": 9}})
        answer = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10))
        assert answer.failure is not None
        assert (answer.failure.retryable, answer.failure.retry_after_seconds) == (True, 3.0)
        assert answer.usage.input_tokens == 9

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            pytest.param(b"{", "p.json", id="broken JSON"),
            pytest.param(b"[]", "object", id="a list"),
            pytest.param(b'{"usage": {"input_tokens": -1}}', "input_tokens", id="negative usage"),
            pytest.param(b'{"usage": 3}', "usage", id="usage of the wrong type"),
            pytest.param(b'{"failure": {"kind": "bad luck"}}', "bad luck", id="an unknown kind of failure"),
        ],
    )
    def test_an_answer_that_cannot_be_read_is_a_builder_error(self, content, named, answers, tmp_path):
        write(answers, "p.json", content)
        failure = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10)).failure
        assert failure is not None
        assert failure.kind is FailureKind.BUILDER_ERROR
        assert named in failure.message
        assert not failure.retryable

    def test_a_missing_answer_says_where_it_was_looked_for(self, answers, tmp_path):
        failure = builder("replay:answers", tmp_path).build(request(tmp_path), BudgetWatch(10)).failure
        assert failure is not None
        assert str(answers / "r") in failure.hint


class TestCommand:
    @pytest.fixture
    def worktree(self, tmp_path):
        folder = tmp_path / "tree"
        folder.mkdir()
        return folder

    def run(self, shell, tmp_path, worktree, **options):
        made = request(tmp_path, worktree=worktree, **options)
        return builder(f"command:{shell}", tmp_path).build(made, BudgetWatch(1000))

    def test_it_edits_the_worktree_and_finds_the_task_in_files(self, tmp_path, worktree):
        shell = 'cp "$AUTOPACK_PROMPT_FILE" a.txt; cat "$AUTOPACK_CONTEXT_FOLDER/docs/ü b.md" >> a.txt'
        answer = self.run(shell, tmp_path, worktree)
        assert answer.failure is None
        assert (worktree / "a.txt").read_text() == "Write the file a.txt, please.hello"

    def test_usage_that_it_writes_down_is_booked(self, tmp_path, worktree):
        shell = 'echo \'{"input_tokens": 5, "output_tokens": 6}\' > "$AUTOPACK_USAGE_FILE"'
        assert self.run(shell, tmp_path, worktree).usage == Usage(input_tokens=5, output_tokens=6)

    @pytest.mark.parametrize("shell", ["true", 'echo nonsense > "$AUTOPACK_USAGE_FILE"'])
    def test_usage_that_is_not_told_is_estimated_and_marked_so(self, shell, tmp_path, worktree):
        usage = self.run(shell, tmp_path, worktree).usage
        assert usage.is_estimated
        assert usage.total_tokens > 0

    @pytest.mark.parametrize(
        "told",
        [
            pytest.param({"input_tokens": -5, "output_tokens": 6}, id="tokens back"),
            pytest.param({"input_tokens": 5, "output_tokens": 6, "cached_tokens": -1}, id="cached ones back"),
            pytest.param({"input_tokens": 5, "output_tokens": 6, "cost_usd": -1.5}, id="money back"),
            pytest.param({"input_tokens": 5, "output_tokens": 6, "cost_usd": float("nan")}, id="no amount"),
            pytest.param(
                {"input_tokens": 5, "output_tokens": 6, "cost_usd": float("inf")}, id="all the money"
            ),
            pytest.param({"input_tokens": float("inf"), "output_tokens": 6}, id="endless tokens"),
            pytest.param({"input_tokens": float("nan"), "output_tokens": 6}, id="no number"),
            pytest.param({"input_tokens": 10**30, "output_tokens": 6}, id="more than a database holds"),
            pytest.param({"input_tokens": True, "output_tokens": 6}, id="no count"),
            pytest.param([1], id="no table"),
            pytest.param("[" * 60_000, id="deep"),
            pytest.param('{"input_tokens": 5, "output_tokens": 6}' + " " * 100_000, id="large"),
            pytest.param('{"input_tokens": ' + "9" * 5000 + ', "output_tokens": 6}', id="long"),
        ],
    )
    def test_usage_that_cannot_be_is_estimated(self, told, tmp_path, worktree):
        (worktree / "told").write_text(told if isinstance(told, str) else json.dumps(told))
        usage = self.run('cat told > "$AUTOPACK_USAGE_FILE"', tmp_path, worktree).usage
        assert usage.is_estimated
        assert (usage.total_tokens > 0, usage.cost_usd) == (True, None)

    @pytest.mark.parametrize("place", ["link", "pipe"])
    def test_what_stands_in_for_the_usage_is_not_read(self, place, tmp_path, worktree):
        told = '{"input_tokens": 5, "output_tokens": 6}'
        make = f"echo '{told}' > told; ln -s $PWD/told" if place == "link" else "mkfifo"
        shell = f'rm -f "$AUTOPACK_USAGE_FILE"; {make} "$AUTOPACK_USAGE_FILE"'
        assert self.run(shell, tmp_path, worktree).usage.is_estimated

    def test_a_bad_exit_code_is_a_builder_error_with_evidence(self, tmp_path, worktree):
        failure = self.run("echo no model >&2; exit 7", tmp_path, worktree).failure
        assert failure is not None
        assert (failure.kind, failure.returncode) == (FailureKind.BUILDER_ERROR, 7)
        assert "no model" in failure.evidence

    def test_a_command_that_takes_too_long_is_a_timeout(self, tmp_path, worktree):
        failure = self.run("sleep 60", tmp_path, worktree, timeout_seconds=0.3).failure
        assert failure is not None
        assert failure.kind is FailureKind.TIMEOUT

    def test_a_command_that_does_nothing_leaves_the_verdict_to_the_gates(self, tmp_path, worktree):
        assert self.run("true", tmp_path, worktree).failure is None


ENVIRON = {
    "PATH": os.environ["PATH"],
    "LANG": "C",
    "ANTHROPIC_API_KEY": "secret",
    "OPENAI_API_KEY": "secret",
    "GITHUB_TOKEN": "secret",
    "DATABASE_URL": "postgresql://u:secret@h/d",
    "PROXY": "http://user:secret@proxy",
    "AUTOPACK_BUILDER": "command:true",
}


@pytest.mark.parametrize(
    ("passed", "seen"),
    [
        pytest.param((), {"LANG"}, id="nothing that is a secret"),
        pytest.param(("OPENAI_API_KEY", "NO_SUCH"), {"LANG", "OPENAI_API_KEY"}, id="what the operator names"),
    ],
)
def test_a_command_is_given_the_environment_without_its_secrets(passed, seen, tmp_path):
    made = make_builder(
        f"command:{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'",
        root=tmp_path,
        processes=GuardedProcesses(SystemClock()),
        environ=ENVIRON,
        passed=passed,
    )
    made.build(request(tmp_path, worktree=tmp_path), BudgetWatch(1000))
    told = json.loads((tmp_path / "logs/stdout.txt").read_text())
    assert {name for name in told if name in ENVIRON} - {"PATH"} == seen
    assert ("secret" in json.dumps(told)) == bool(passed)
