"""Agents that do one task and end: programs of their names that say what they were given and print what those print."""

import json
import sys

import pytest
from agents import seen

from autopack.adapters.agents.headless import PROMPT_ARGUMENT_BYTES
from autopack.adapters.agents.presets import PRESETS
from autopack.domain.failure import FailureKind
from autopack.ports import FaultKind
from autopack.settings import AgentSettings

# Writes down what it finds, then does as the file beside it says.
PROGRAM = """#!{python} -IS
import json, os, sys, time
here = os.path.dirname(os.path.abspath(__file__))
said = json.load(open(os.path.join(here, "said.json")))
home = os.environ["HOME"]
files = {{}}
for at, _, names in os.walk(home):
    for name in names:
        files[os.path.relpath(os.path.join(at, name), home)] = open(os.path.join(at, name)).read()
found = {{"argv": sys.argv[1:], "env": dict(os.environ), "files": files, "stdin": sys.stdin.read()}}
json.dump(found, open("calc/said.json", "w"))
sys.stdout.write(said["prints"])
sys.stdout.flush()
if said["hangs"]:
    time.sleep(600)
sys.exit(said["code"])
"""
NAMES = sorted(name for name, preset in PRESETS.items() if preset.headless)


@pytest.fixture
def programs(workshop, tmp_path):
    """Programs of the agents' names on the PATH; told what to print and how to end."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NAMES:
        program = folder / PRESETS[name].headless[0]
        program.write_text(PROGRAM.format(python=getattr(sys, "_base_executable", sys.executable)))
        program.chmod(0o755)
    workshop.environ["PATH"] = f"{folder}:{workshop.environ['PATH']}"

    def say(prints="", *, code=0, hangs=False):
        (folder / "said.json").write_text(json.dumps({"prints": prints, "code": code, "hangs": hangs}))

    say()
    return say


def spec(name):
    return f"cli:{name}?model=model-1"


USAGE = {
    "aider": ("Tokens: 2.7k sent, 10 received.\n", {"input_tokens": 2700, "output_tokens": 10}),
    "claude": (
        '{"type": "system"}\n{"type": "result", "modelUsage": {"m": {"inputTokens": 7, "outputTokens": 2}}}\n',
        {"input_tokens": 7, "output_tokens": 2},
    ),
    "codex": (
        'a warning\n{"type": "turn.completed", "usage": {"input_tokens": 9, "output_tokens": 2}}\n',
        {"input_tokens": 9, "output_tokens": 2},
    ),
    "copilot": ('{"type": "result"}\n', None),
    "gemini": (
        '{\n "stats": {"models": {"m": {"tokens": {"prompt": 9, "candidates": 2}}}}\n}\n',
        {"input_tokens": 9, "output_tokens": 2},
    ),
    "mini": ("mini-swe-agent: done, 2 calls, $0.00\n", None),
    "opencode": (
        '{"type": "step_finish", "part": {"tokens": {"input": 3, "output": 2}}}\n' * 2,
        {"input_tokens": 6, "output_tokens": 4},
    ),
    "pi": (
        '{"type": "message_end", "message": {"usage": {"input": 5, "output": 2, "cacheRead": 1}}}\n',
        {"input_tokens": 6, "output_tokens": 2},
    ),
    "qwen": (
        '[{"type": "system"}, {"type": "result", "usage": {"input_tokens": 9, "output_tokens": 2}}]\n',
        {"input_tokens": 9, "output_tokens": 2},
    ),
    "vibe": ('[{"role": "assistant", "content": "Done."}]\n', None),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_gets_task_model_and_door_and_no_key_and_what_it_prints_stands_beside_the_count(
    workshop, programs, name
):
    prints, usage = USAGE[name]
    programs(prints)
    workshop.ledger = (seen(tokens=(100, 20)),)
    workshop.environ |= {"OPENAI_API_KEY": "the-real-key", "ANTHROPIC_API_KEY": "the-real-key"}
    answer = workshop.build(spec(name), prompt="Write it.")
    assert (answer.failure, answer.usage.total_tokens, answer.stop_reason) == (None, 120, "exit 0")
    found = workshop.json()
    given = found["stdin"] if PRESETS[name].reads_stdin else " ".join(found["argv"])
    assert "Write it." in given
    told = json.dumps(found)
    assert all(it in told for it in ("door-token", "http://127.0.0.1:9", "model-1"))
    assert "the-real-key" not in told
    assert "$" not in "".join(found["argv"]), "every word of the command is filled in"
    assert str(workshop.homes) in found["env"]["HOME"]
    assert list(workshop.homes.iterdir()) == []
    reported = workshop.record["usage_reported"]
    assert (reported if usage is None else {it: reported[it] for it in usage}) == (usage or "unknown")


def test_a_task_that_is_too_long_for_an_argument_is_a_file(workshop, programs):
    prompt = "Write it. " * (PROMPT_ARGUMENT_BYTES // 10 + 1)
    workshop.build(spec("vibe"), prompt=prompt)
    found = workshop.json()
    assert found["files"]["task.md"] == prompt
    assert "task.md: it is your task" in " ".join(found["argv"])


@pytest.mark.parametrize(
    ("ledger", "code", "kind", "named"),
    [
        pytest.param(
            (seen(1, fault=FaultKind.BAD_REQUEST),), 0, FailureKind.BUILDER_ERROR, "no. 1", id="exit 0"
        ),
        pytest.param(
            (seen(1, fault=FaultKind.BUDGET),), 1, FailureKind.BUDGET_EXCEEDED, "budget", id="budget"
        ),
        pytest.param((seen(1),), 3, None, "", id="an exit code says nothing"),
    ],
)
def test_it_is_judged_by_the_wire_whatever_its_exit_code_says(workshop, programs, ledger, code, kind, named):
    workshop.ledger = ledger
    programs(code=code)
    failure = workshop.build(spec("aider")).failure
    assert (failure and failure.kind) == kind
    assert failure is None or named in failure.message


def test_one_that_hangs_is_stopped_and_paid_for(workshop, programs):
    workshop.ledger = (seen(tokens=(100, 20)),)
    workshop.settings = AgentSettings(silence_seconds=1)
    programs(hangs=True)
    answer = workshop.build(spec("mini"))
    assert (answer.failure.kind, answer.usage.total_tokens) == (FailureKind.TIMEOUT, 120)
    assert list(workshop.homes.iterdir()) == []
