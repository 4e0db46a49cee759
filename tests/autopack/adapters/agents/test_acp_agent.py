"""An agent over ACP, from its start to its end: whatever it does, the call ends and nothing is left."""

import json
import os
from contextlib import suppress

import pytest
from agents import OpenRoom, fake_spec, seen
from ended import has_ended

from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind
from autopack.ports import FaultKind, RoomLimits
from autopack.settings import AgentSettings


def test_an_edit_is_the_answer_and_the_ledger_is_its_cost(workshop):
    workshop.ledger = (seen(tokens=(100, 20)), seen(2, tokens=(5, 1)))
    answer = workshop.build(fake_spec("edit"))
    assert answer.failure is None
    assert answer.usage == workshop.watch.usage == Usage(input_tokens=105, output_tokens=21)
    assert (answer.model, answer.stop_reason) == ("scripted-1", "end_turn")
    assert "+MADE = 1" in workshop.worktree.diff()
    assert list(workshop.homes.iterdir()) == []


def test_the_transcript_tells_what_happened_without_secrets(workshop):
    workshop.build(fake_spec("edit"))
    told = workshop.transcript
    assert "agent: I write calc/made.py." in told
    assert "tool: edit · Write calc/made.py · completed" in told
    assert "sk-aaa" not in told
    assert workshop.record["usage_reported"] == "unknown"
    assert workshop.record["sandbox"] == "NONE (a test)"


def test_a_disk_that_takes_no_record_does_not_take_the_answer(workshop):
    workshop.logs.mkdir(parents=True, exist_ok=True)
    for name in ("transcript.txt", "agent.json"):
        (workshop.logs / name).symlink_to("/dev/full")
    workshop.ledger = (seen(tokens=(100, 20)),)
    answer = workshop.build(fake_spec("edit"))
    assert (answer.failure, answer.usage.total_tokens) == (None, 120)
    assert "+MADE = 1" in workshop.worktree.diff()


def test_it_finds_a_home_of_its_own_the_door_and_nothing_of_the_operators(workshop):
    workshop.environ |= {
        "SECRET_TOKEN": "x",
        "DATABASE_URL": "y",
        "HOME": "/root",
        "OPENAI_API_KEY": "the-real-key",
    }
    workshop.build(fake_spec("report"), prompt="Write it.")
    found = workshop.json("calc/found.json")
    env = found["env"]
    assert env["OPENAI_BASE_URL"] == "http://127.0.0.1:9/v1"
    assert env["OPENAI_API_KEY"] == env["ANTHROPIC_API_KEY"] == "door-token"
    assert str(workshop.homes) in env["HOME"]
    assert found["prompt"] == "Write it."
    assert "SECRET_TOKEN" not in env
    assert "DATABASE_URL" not in env
    assert "the-real-key" not in json.dumps(env)


@pytest.mark.parametrize(
    ("scenario", "kind", "named"),
    [
        pytest.param(("fail",), FailureKind.BUILDER_ERROR, "on holiday", id="an error in place of an answer"),
        pytest.param(
            ("edit_then_fail",), FailureKind.BUILDER_ERROR, "on holiday", id="an edit, then an error"
        ),
        pytest.param(("crash",), FailureKind.BUILDER_ERROR, "exit code 3", id="it dies in the middle"),
        pytest.param(("die_at_once",), FailureKind.BUILDER_ERROR, "exit code 1", id="it dies at once"),
        pytest.param(("hook",), FailureKind.PROTECTED_PATH, ".git/hooks/pre-commit", id="a hook is written"),
        pytest.param(
            ("edit", ".git", "x"), FailureKind.PROTECTED_PATH, ".git", id="the worktree's link is written"
        ),
    ],
)
def test_what_ends_badly_is_a_failure_with_its_name(workshop, scenario, kind, named):
    failure = workshop.build(fake_spec(*scenario)).failure
    assert failure is not None
    assert failure.kind is kind
    assert named in failure.message + "".join(failure.details)
    assert failure.hint
    assert not failure.retryable


class TestGitsFilesInARoom:
    """The room of these tests keeps nothing out, so that the agent can do what else the operator would."""

    @pytest.fixture(autouse=True)
    def room(self, workshop):
        workshop.sandbox = OpenRoom(is_confining=True)

    def test_what_it_cannot_have_changed_is_noted_and_costs_no_answer(self, workshop):
        assert workshop.build(fake_spec("hook")).failure is None
        assert workshop.record["git_changed_meanwhile"] == [".git/hooks/pre-commit"]
        assert "+MADE = 1" in workshop.worktree.diff()

    def test_the_worktrees_own_link_is_its_to_leave_alone(self, workshop):
        failure = workshop.build(fake_spec("edit", ".git", "x")).failure
        assert failure is not None
        assert (failure.kind, failure.retryable) == (FailureKind.PROTECTED_PATH, False)

    def test_what_the_operator_lets_it_write_is_held_against_it(self, workshop):
        workshop.writable = (workshop.project.root / ".git",)
        failure = workshop.build(fake_spec("hook")).failure
        assert failure is not None
        assert failure.kind is FailureKind.PROTECTED_PATH


def test_doing_nothing_is_left_to_the_gates(workshop):
    assert workshop.build(fake_spec("idle")).failure is None
    assert workshop.worktree.diff() == ""


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(("flood",), id="five megabytes of stderr"),
        pytest.param(("long_line",), id="a line of eighty megabytes"),
        pytest.param(("junk",), id="junk between the messages"),
        pytest.param(("ignore_eof",), id="it does not end with its input"),
    ],
)
def test_bad_manners_are_survived(workshop, scenario):
    assert workshop.build(fake_spec(*scenario)).failure is None
    assert workshop.file("calc/made.py") == "MADE = 1\n"


def test_an_endless_log_ends_the_agent(workshop):
    failure = workshop.build(fake_spec("flood_for_good")).failure
    assert failure is not None
    assert "too much" in failure.message


def test_one_that_uses_too_much_of_the_machine_is_no_answer(workshop):
    workshop.sandbox = OpenRoom(limits=RoomLimits(processes=4))
    failure = workshop.build(fake_spec("swarm")).failure
    assert failure is not None
    assert failure.message == "The agent was killed: it used more than 4 processes and threads"
    assert workshop.record["cause"] == "overused"


def test_a_child_that_left_the_session_goes_with_the_agent(workshop):
    assert workshop.build(fake_spec("child", "calc/pid.py")).failure is None
    assert has_ended(int(workshop.file("calc/pid.py").split()[-1]))


@pytest.mark.parametrize(
    ("scenario", "limits", "kind", "named"),
    [
        pytest.param("hang", {"silence_seconds": 1}, FailureKind.TIMEOUT, "for 1 s", id="silent"),
        pytest.param(
            "hang", {"timeout_seconds": 1.0}, FailureKind.TIMEOUT, "longer than 1 s", id="out of time"
        ),
        pytest.param(
            "hang_until_cancelled",
            {"budget_tokens": 10},
            FailureKind.BUDGET_EXCEEDED,
            "budget",
            id="over its budget",
        ),
        pytest.param(
            "stubborn", {"budget_tokens": 10}, FailureKind.BUDGET_EXCEEDED, "budget", id="deaf to all"
        ),
    ],
)
def test_one_that_does_not_end_is_stopped(workshop, scenario, limits, kind, named):
    workshop.ledger = (seen(),)
    silence_seconds = limits.get("silence_seconds", 120)
    workshop.settings = AgentSettings(silence_seconds=silence_seconds)
    rest = {name: value for name, value in limits.items() if name != "silence_seconds"}
    failure = workshop.build(fake_spec(scenario), **rest).failure
    assert failure is not None
    assert failure.kind is kind
    assert named in failure.message
    assert list(workshop.homes.iterdir()) == []


@pytest.mark.parametrize(
    ("refusals", "is_stopped"), [pytest.param(9, False, id="nine"), pytest.param(10, True, id="ten")]
)
def test_one_that_asks_on_past_its_budget_is_stopped(workshop, refusals, is_stopped):
    row = [seen(2 + number, fault=FaultKind.BUDGET, tokens=(0, 0)) for number in range(refusals)]
    workshop.ledger = (seen(), *row)
    workshop.settings = AgentSettings(silence_seconds=1)
    failure = workshop.build(fake_spec("hang_until_cancelled")).failure
    assert failure is not None
    assert failure.kind is FailureKind.BUDGET_EXCEEDED
    assert ("asked 10 times past its budget" in failure.details[0]) == is_stopped


def test_a_door_with_a_fault_at_the_end_names_it_though_the_agent_ended_well(workshop):
    workshop.ledger = (seen(), seen(2, fault=FaultKind.RATE_LIMIT, retry_after_seconds=7.0))
    failure = workshop.build(fake_spec("edit")).failure
    assert failure is not None
    assert (failure.retryable, failure.retry_after_seconds) == (True, 7.0)
    assert "rate limit" in failure.message
    assert "not applied" in failure.message


def test_one_that_kills_its_guard_is_paid_for_and_may_be_tried_again(workshop):
    workshop.ledger = (seen(tokens=(100, 20)), seen(2, fault=FaultKind.CANCELLED, tokens=(5, 0)))
    answer = workshop.build(fake_spec("kill_guard"))
    assert answer.failure is not None
    assert (answer.failure.kind, answer.failure.retryable) == (FailureKind.BUILDER_ERROR, True)
    assert answer.usage == workshop.watch.usage == Usage(input_tokens=105, output_tokens=20)
    assert workshop.record["cause"] == "lost"


def test_one_that_is_not_there_costs_nothing_and_says_what_to_do(workshop):
    answer = workshop.build("acp:/nowhere/agent")
    assert answer.failure is not None
    assert "/nowhere/agent" in answer.failure.message
    assert "whole path" in answer.failure.hint
    assert not answer.failure.retryable
    assert answer.usage == Usage()


def test_work_past_the_door_is_not_booked_as_free(workshop):
    usage = workshop.build(fake_spec("edit"), prompt="x" * 400).usage
    assert usage == workshop.watch.usage == Usage(input_tokens=100, is_estimated=True)


class TestFilesThroughUs:
    @pytest.fixture
    def outside(self, tmp_path):
        secret = tmp_path / "secret.txt"
        secret.write_text("top secret")
        return secret

    @pytest.mark.parametrize(
        "source",
        [
            pytest.param("../secret.txt", id="a way out"),
            pytest.param("link", id="a link"),
            pytest.param("folder/secret.txt", id="a folder that is a link"),
            pytest.param(".git", id="git's own"),
            pytest.param("calc", id="a folder"),
            pytest.param("pipe", id="a pipe"),
            pytest.param("calc/nothing.py", id="nothing"),
        ],
    )
    def test_what_is_no_file_of_the_worktree_is_not_read(self, workshop, outside, source):
        root = workshop.worktree.path
        (root / "link").symlink_to(outside)
        (root / "folder").symlink_to(outside.parent)
        os.mkfifo(root / "pipe")
        workshop.build(fake_spec("read_and_write", source, "calc/copy.txt"))
        assert workshop.file("calc/copy.txt") == "refused"
        assert workshop.json()[0]["code"] < 0

    @pytest.mark.parametrize(
        "target",
        [
            pytest.param("../secret.txt", id="a way out"),
            pytest.param("link", id="a link"),
            pytest.param("folder/secret.txt", id="a folder that is a link"),
            pytest.param(".git/hooks/x", id="git's own"),
            pytest.param("calc", id="a folder"),
        ],
    )
    def test_what_is_no_file_of_the_worktree_is_not_written(self, workshop, outside, target):
        root = workshop.worktree.path
        (root / "link").symlink_to(outside)
        (root / "folder").symlink_to(outside.parent)
        workshop.build(fake_spec("read_and_write", "README.md", target))
        assert workshop.json()[1]["code"] < 0
        assert outside.read_text() == "top secret"

    def test_a_file_is_read_and_written(self, workshop):
        with suppress(FileNotFoundError):
            (workshop.worktree.path / "calc/new").rmdir()
        workshop.build(fake_spec("read_and_write", "README.md", "calc/new/copy.md"))
        assert workshop.file("calc/new/copy.md") == "# calc\n"

    def test_a_file_that_shares_its_content_elsewhere_is_replaced_not_changed(self, workshop, outside):
        os.link(outside, workshop.worktree.path / "shared.txt")
        workshop.build(fake_spec("read_and_write", "README.md", "shared.txt"))
        assert workshop.file("shared.txt") == "# calc\n"
        assert outside.read_text() == "top secret"

    def test_no_terminal_is_given(self, workshop):
        workshop.build(fake_spec("terminal"))
        assert workshop.json()["code"] == -32601
        assert "terminal: refused: id" in workshop.transcript


@pytest.mark.parametrize(
    ("kind", "path", "has_walls", "chosen"),
    [
        pytest.param("edit", "calc/core.py", False, "yes", id="a file of the worktree"),
        pytest.param("edit", "/etc/passwd", True, "no", id="a file elsewhere"),
        pytest.param("execute", "calc", True, "yes", id="a command within walls"),
        pytest.param("execute", "calc", False, "no", id="a command without walls"),
    ],
)
def test_a_permission_is_given_for_the_worktree_alone(workshop, kind, path, has_walls, chosen):
    workshop.sandbox = OpenRoom(is_confining=has_walls)
    workshop.build(fake_spec("permission", kind, path))
    assert workshop.json()["outcome"] == {"outcome": "selected", "optionId": chosen}
    assert f"→ {chosen}" in workshop.transcript
