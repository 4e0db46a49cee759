"""Real coding agents against a scripted provider: the verdict of whole attempts, and every token that was billed.

Installed by `make test-agents`, which alone runs these. Each case is what models and providers do wrong; what the agent
says of it is never asked.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from model_scenes import Scene, say, shell, write
from project import Project, phase

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.testing.provider import serve

pytestmark = pytest.mark.agents
ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv/agents/node_modules/.bin"
# Not below the folder for temporary files, where Codex runs no command.
WORK = ROOT / ".venv/agents-work"
ACP = ["opencode", "codex", "claude", "gemini"]
WITHOUT_V1 = {"claude", "gemini"}
FIRST_CALL_TOKENS = {"opencode": 7_600, "codex": 10_200, "claude": 12_100, "gemini": 13_100}
"""What the first main request weighs; the budget case leaves room for it and no second one."""
MADE = write("calc/made.py", "MADE = 1\n")
INTO_GIT = shell(
    "d=$(git rev-parse --git-common-dir); mkdir -p $d/hooks; echo id > $d/hooks/pre-commit;"
    " git config core.hooksPath /nowhere; git commit -q --allow-empty -m x; echo x > .git; true"
)
PATIENCE = {"timeout": 240, "silence": 120}
SHORT = {"timeout": 45, "silence": 40}


@dataclass(frozen=True)
class Case:
    """What the model does, and what must come of it."""

    steps: tuple
    kind: FailureKind | None
    retryable: bool = False
    named: str = ""
    is_exact: bool = True
    """False where the provider told no usage: a broken or an abandoned stream is estimated."""
    limits: tuple = tuple(PATIENCE.items())
    budget_share: float = 0.0


CASES = {
    "edit": Case((MADE, say()), None),
    "failed turn": Case(
        (MADE, say(status=400, error="no such luck")), FailureKind.BUILDER_ERROR, named="malformed"
    ),
    "truncated": Case((MADE, say("a half of an", stop="length")), FailureKind.BUILDER_ERROR, named="cut off"),
    "429 twice": Case(((say(status=429, headers={"retry-after": "1"}),) * 2 + (MADE, say())), None),
    "429 for good": Case(
        (say(status=429, headers={"retry-after": "3"}),),
        FailureKind.BUILDER_ERROR,
        retryable=True,
        named="rate limit",
        limits=tuple(SHORT.items()),
    ),
    "cut stream": Case(
        (MADE, say("this stream is cut off in the middle of its words", cut_after=5)),
        FailureKind.BUILDER_ERROR,
        retryable=True,
        named="broke off",
        is_exact=False,
        limits=tuple(SHORT.items()),
    ),
    "cancel": Case(
        (MADE, say("this stream hangs in the middle of its words", hang_after=5)),
        FailureKind.TIMEOUT,
        named="heard",
        is_exact=False,
        limits=(("timeout", 240), ("silence", 60)),
    ),
    "budget": Case((MADE, say()), FailureKind.BUDGET_EXCEEDED, budget_share=1.5),
    "outside the scope": Case((write("README.md", "# changed\n"), say()), FailureKind.SCOPE_VIOLATION),
    "into .git": Case((INTO_GIT, say()), FailureKind.EMPTY_CHANGE),
}


def prepare(name: str, way: str, agent: str, upstream: str, case: Case) -> Project:
    root = WORK / f"{way}-{agent}-{name.replace(' ', '-').replace('.', '')}"
    shutil.rmtree(root, ignore_errors=True)
    project = Project.make(root)
    project.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    base = upstream if agent in WITHOUT_V1 else f"{upstream}/v1"
    limits = dict(case.limits)
    project.configure(
        f'[ci]\ncommand = "true"\n[providers.scripted]\nbase_url = "{base}"\n'
        f"[attempt]\nbuilder_timeout_seconds = {limits['timeout']}\n"
        f"[agents]\nsilence_seconds = {limits['silence']}\n"
    )
    project.builder = f"{way}:{agent}?model=scripted-1&provider=scripted"
    budget = round(FIRST_CALL_TOKENS[agent] * case.budget_share) or None
    project.plan(phase(paths=("calc/",), deliverables=("calc/made.py",), budget_tokens=budget))
    return project


def guarded_files(project):
    git = project.root / ".git"
    return {path: path.read_bytes() for path in (git / "config", *sorted((git / "hooks").glob("*")))}


def record(**fields):
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "results.jsonl").open("a") as file:
        file.write(json.dumps(fields) + "\n")


def run(name, way, agent):
    case = CASES[name]
    scene = Scene(list(case.steps))
    with serve(scene) as provider:
        project = prepare(name, way, agent, provider.url, case)
        guarded = guarded_files(project)
        started = time.monotonic()
        outcome = project.attempt()
        seconds = time.monotonic() - started
    told = json.loads((project.root / ".autopack/logs/r/p/1/builder/agent.json").read_text())
    failure = outcome.failure
    record(
        agent=agent,
        way=way,
        case=name,
        state=outcome.final_state,
        kind=failure.kind if failure else None,
        retryable=failure.retryable if failure else None,
        message=failure.message if failure else "",
        cause=told["cause"],
        stop_reason=told["stop_reason"],
        metered=[outcome.usage.input_tokens, outcome.usage.output_tokens, outcome.usage.is_estimated],
        billed=[provider.total.input_tokens, provider.total.output_tokens],
        reported=told["usage_reported"],
        requests=len([it for it in provider.seen if it.dialect]),
        agent_seconds=told["duration_seconds"],
        seconds=round(seconds, 1),
        sandbox=told["sandbox"],
        dialects=sorted({str(it.dialect) for it in provider.seen if it.dialect}),
    )
    assert guarded_files(project) == guarded
    assert list((project.root / ".autopack/agents").iterdir()) == []
    return case, project, outcome, provider, told


def assert_billed(case, outcome, provider):
    metered, billed = outcome.usage, provider.total
    if case.is_exact:
        assert (metered.input_tokens, metered.output_tokens) == (billed.input_tokens, billed.output_tokens)
        assert not metered.is_estimated
        return
    assert metered.is_estimated
    assert metered.input_tokens == pytest.approx(billed.input_tokens, rel=0.02)


@pytest.mark.parametrize("agent", ACP)
@pytest.mark.parametrize("name", CASES)
def test_over_acp(name, agent):
    case, project, outcome, provider, _ = run(name, "acp", agent)
    failure = outcome.failure
    if case.kind is None:
        assert failure is None, failure
        assert outcome.final_state is PhaseState.COMPLETE
        assert project.show("calc/made.py").strip() == "MADE = 1"
    else:
        assert failure is not None
        assert (failure.kind, failure.retryable) == (case.kind, case.retryable), failure
        assert case.named in failure.message
        assert project.branch_log() == []
    assert_billed(case, outcome, provider)


@pytest.mark.parametrize("agent", ACP)
def test_headless(agent):
    case, project, outcome, provider, told = run("edit", "cli", agent)
    assert outcome.failure is None, outcome.failure
    assert project.show("calc/made.py").strip() == "MADE = 1"
    assert_billed(case, outcome, provider)
    reported = told["usage_reported"]
    assert reported != "unknown"
    assert reported["input_tokens"] == pytest.approx(provider.total.input_tokens, rel=0.5)
