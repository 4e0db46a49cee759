"""A real repository with a real store: its answers written down, and what its phases failed with before."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.adapters.clock import SystemClock
from autopack.bootstrap import DrainRequest, drive_drain
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.drain_policy import DrainLimits, Preset
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainScope, Session
from autopack.domain.verdicts import AttemptOutcome
from autopack.ports import AnswerFormat, BuildAnswer, Store
from benchmarks.drain_waste.backlog import Backlog, Member
from benchmarks.drain_waste.causes import CI, FILES, FORMER_FILES, Cause
from benchmarks.drain_waste.recordings import Recordings, retell

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from project import Project

_LIMIT_TOKENS = 1_000_000
_INPUT_SHARE = 0.75
_DAY_SECONDS = 86_400
_BREAKER = """import sys
from pathlib import Path

words = sys.orig_argv
if words[1:4] == ["-P", "-m", "autopack.autonomous_executor"]:
    name = words[words.index("--run-id") + 1] + "/" + words[words.index("--phase-id") + 1]
    if name in Path(__file__).with_name("broken.txt").read_text().split():
        sys.modules["filelock"] = None
"""
"""Python imports a module of this name at every start; the executor of the phases that it finds lacks a package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A repository, its store and the environment of its attempts."""

    project: Project
    environ: Mapping[str, str]
    breaker: Path
    """Outside of the repository: what a test run reads of the checkout itself is no proof."""

    @property
    def builder(self) -> str:
        """The Builder as the ledger names it."""
        return f"replay:{self.project.root / '.autopack' / 'answers'}"


def make_world(folder: Path) -> World:
    """A repository with one commit at ``main`` and a broken one at ``former``; nothing is planned yet."""
    project = Project.make(folder, FILES)
    project.git("checkout", "-q", "-b", "former")
    project.write(FORMER_FILES)
    project.commit("What was wrong once")
    project.git("checkout", "-q", "main")
    project.configure(f'[ci]\npython = "{sys.executable}"\ncommand = "{CI} tests/unit"\n')
    breaker = folder.with_name(f"{folder.name}-breaker")
    breaker.mkdir()
    (breaker / "sitecustomize.py").write_text(_BREAKER)
    (breaker / "broken.txt").write_text("")
    paths = [str(breaker), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {**project.executor_environ, "PYTHONPATH": os.pathsep.join(paths)}
    return World(project=project, environ=environ, breaker=breaker)


def write_answer(world: World, *, run_id: str, phase_id: str, answer: BuildAnswer) -> None:
    """Have the Builder answer a phase so, at every attempt."""
    folder = world.project.root / ".autopack" / "answers" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{phase_id}.json").write_text(answer.text)


def break_executor(world: World, names: Iterable[str]) -> None:
    """Have the executor of these phases, as ``run/phase``, not import."""
    (world.breaker / "broken.txt").write_text("\n".join(names))


def answer_of(cause: Cause, *, name: str, number: int, tokens: int) -> BuildAnswer:
    """What the Builder says to a phase that meets a cause; the text is that of the stored answer."""
    told = cause.answer(name, number)
    used = Usage(
        input_tokens=round(tokens * _INPUT_SHARE), output_tokens=tokens - round(tokens * _INPUT_SHARE)
    )
    usage = {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens}
    text = json.dumps({**told, "usage": usage})
    is_patch = "patch" in told
    return BuildAnswer(
        format=AnswerFormat.PATCH if is_patch else AnswerFormat.EDITS,
        text=text,
        usage=used,
        model="replay",
    )


def paid(answer: BuildAnswer, failure: FailureReport) -> BuildAnswer:
    """The answer as the ledger keeps it: a refusal is a failure there, and not a change."""
    return replace(answer, failure=failure) if failure.kind is FailureKind.BUILDER_ERROR else answer


def fill(world: World, backlog: Backlog, recordings: Recordings, *, with_answers: bool) -> None:
    """Plan the backlog and have every phase fail once; ``with_answers`` lets real attempts be made."""
    begin = SystemClock().now() - _DAY_SECONDS
    base = world.project.git("rev-parse", "main")
    with world.project.store() as store:
        store.import_plan(backlog.plan(), now=begin)
        for member in backlog.members:
            _fail_once(store, world, member, recordings, base=base, now=begin + member.number)
    if with_answers:
        for member in backlog.members:
            answer = answer_of(
                member.cause, name=member.file_name, number=member.number, tokens=member.tokens
            )
            write_answer(world, run_id=member.run_id, phase_id=member.phase_id, answer=answer)
        break_executor(world, [it.name for it in backlog.members if it.cause.breaks_executor])


def _fail_once(
    store: Store, world: World, member: Member, recordings: Recordings, *, base: str, now: float
) -> None:
    before = member.before
    told = retell(recordings.of(before, looked=member.was_foreseen), member, 1)
    answer = answer_of(before, name=member.file_name, number=member.number, tokens=before.tokens)
    finish_attempt(
        store,
        AttemptAddress(run_id=member.run_id, phase_id=member.phase_id, number=1),
        AttemptOutcome(final_state=PhaseState.FAILED, failure=told.failure),
        answer=None if member.skipped_builder else paid(answer, told.failure),
        builder=world.builder,
        base=base,
        now=now,
    )


def drain(world: World, store: Store, scope: DrainScope, limits: DrainLimits, *, workers: int) -> Session:
    """Drain with a process for each attempt, ``workers`` at a time, as ``autopack drain`` does.

    Raises:
        KeyboardInterrupt: The operator asked for the end; the benchmark ends with the drain.
    """
    outcome = drive_drain(
        world.project.settings,
        store,
        DrainRequest(scope=scope, limits=limits, preset=Preset.DEFAULT),
        workers=workers,
        on_event=lambda _event: None,
        environ=world.environ,
    )
    if outcome.was_interrupted:
        raise KeyboardInterrupt
    return outcome.session


def finish_attempt(
    store: Store,
    address: AttemptAddress,
    outcome: AttemptOutcome,
    *,
    answer: BuildAnswer | None,
    builder: str,
    base: str,
    now: float,
) -> None:
    """Make an attempt through the store alone; an ``answer`` is paid for."""
    lease = store.claim_attempt(address, owner="bench", now=now, is_owner_dead=lambda _owner, _beat: False)
    lease = store.set_base(lease, base)
    if answer is not None:
        call = store.reserve_call(
            lease,
            turn=1,
            builder=builder,
            prompt_hash="recorded",
            expected_tokens=answer.usage.total_tokens,
            limit_tokens=_LIMIT_TOKENS,
            now=now,
        )
        store.settle_call(call.call_id, answer, base_commit=base, duration_seconds=1.0, now=now)
    if outcome.final_state is PhaseState.COMPLETE:
        store.enter_state(lease, PhaseState.GATE, now=now)
        store.enter_state(lease, PhaseState.CI_RUNNING, now=now)
    store.finish_attempt(lease, outcome, now=now)
