"""One trivial edit by a Builder, through everything that an attempt goes through, in a repository made for it."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import RunSpec
from autopack.domain.verdicts import AttemptOutcome
from autopack.settings import STATE_FOLDER, CiSettings, Settings

_RUN, _PHASE, _FILE, _TEXT = "doctor", "hello", "hello.txt", "hello\n"
_ADDRESS = AttemptAddress(run_id=_RUN, phase_id=_PHASE, number=1)
_TEST = """import pathlib
import unittest


class HelloTest(unittest.TestCase):
    def test_says_hello(self):
        path = pathlib.Path("hello.txt")
        self.assertTrue(not path.exists() or path.read_text().strip() == "hello")
"""
_GOAL = (
    "Create the file hello.txt in the root of the repository, with the single line: hello. Change nothing else,"
    " run no tests, and stop when the file is written."
)
_BUDGET_TOKENS = 200_000
_AMPLE = 4
"""How many times the tokens of this trial a real phase should at least be allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStep:
    """One part of the chain."""

    name: str
    is_ok: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it."""

    spec: str
    is_ok: bool
    steps: tuple[TrialStep, ...]
    usage: Usage
    duration_seconds: float
    failure: FailureReport | None = None
    advice: tuple[str, ...] = ()
    """What to set, and what to know."""
    logs: Path | None = None
    """Kept when it did not work."""


def try_builder(settings: Settings, spec: str, environ: Mapping[str, str]) -> Trial:
    """Have the Builder make one trivial edit.

    Args:
        settings: Of the operator's repository; all but tests, database and budget holds for the trial too.
        spec: The Builder; one that replays gets an answer made for the trial.
        environ: The operator's environment.

    Raises:
        BuilderError: The specification names none that is there.
        SettingsError: The provider of its model has no address or no key.
    """
    from autopack.bootstrap.executor import executor_over
    from autopack.bootstrap.parts import name_builder, open_store

    # The trial of one that replays gets answers of its own: that the operator's are there is to be seen before.
    name_builder(replace(settings, attempt=replace(settings.attempt, builder=spec)), environ)
    with _repository(settings) as root:
        trial = _settings(settings, root, spec)
        with closing(open_store(trial, create=True)) as store:
            store.import_plan(Plan(runs=(_run(),)), now=0.0)
            store.activate_run(_RUN)
        with executor_over(trial, environ) as executor:
            outcome = executor.execute(_ADDRESS)
        folder = trial.state_folder / "logs" / _RUN / _PHASE / "1"
        record = _read(folder / "builder" / "agent.json")
        is_ok = outcome.final_state is PhaseState.COMPLETE
        return Trial(
            spec=spec,
            is_ok=is_ok,
            steps=tuple(_steps(outcome, record)),
            usage=outcome.usage,
            duration_seconds=outcome.duration_seconds,
            failure=outcome.failure,
            advice=tuple(_advice(outcome, record, spec)),
            logs=None if is_ok else _keep(folder, settings),
        )


def _settings(settings: Settings, root: Path, spec: str) -> Settings:
    sandbox = settings.sandbox

    def absolute(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(settings.root / Path(path).expanduser()) for path in paths)

    if spec.startswith("replay:"):
        spec = f"replay:{STATE_FOLDER}/answers"
    return replace(
        settings,
        root=root,
        database_url=f"sqlite:///{root / STATE_FOLDER / 'autopack.db'}",
        ci=CiSettings(command=f"{sys.executable} -m unittest -q", python=sys.executable),
        attempt=replace(settings.attempt, builder=spec, budget_tokens=_BUDGET_TOKENS),
        sandbox=replace(sandbox, readable=absolute(sandbox.readable), writable=absolute(sandbox.writable)),
        telemetry=replace(settings.telemetry, otlp_endpoint=None),
    )


def _run() -> RunSpec:
    phase = PhaseSpec(phase_id=_PHASE, goal=_GOAL, scope=Scope(paths=(_FILE,)), deliverables=(_FILE,))
    return RunSpec(run_id=_RUN, goal="Try the Builder", phases=(phase,))


@contextmanager
def _repository(settings: Settings) -> Iterator[Path]:
    """A repository of two files; in the state folder, since some agents do not work below a temporary one."""
    from autopack.adapters.git_command import Git

    settings.state_folder.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="doctor-", dir=settings.state_folder))
    try:
        answers = root / STATE_FOLDER / "answers" / _RUN
        answers.mkdir(parents=True)
        edits = {"edits": [{"path": _FILE, "content": _TEXT}]}
        (answers / f"{_PHASE}.json").write_text(json.dumps(edits), "utf-8")
        (root / "README.md").write_text("# A trial\n", "utf-8")
        (root / "test_hello.py").write_text(_TEST, "utf-8")
        git = Git(cwd=root)
        git.run("init", "-q")
        (root / ".git/info").mkdir(exist_ok=True)
        (root / ".git/info/exclude").write_text(f"{STATE_FOLDER}/\n", "utf-8")
        git.run("add", "-A")
        git.run("commit", "-q", "-m", "A trial")
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _keep(folder: Path, settings: Settings) -> Path:
    # Not among the logs of runs: one of them may well have this name.
    kept = settings.state_folder / "doctor"
    shutil.rmtree(kept, ignore_errors=True)
    if folder.is_dir():
        shutil.copytree(folder, kept)
    return kept


def _read(path: Path) -> Mapping[str, object]:
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _steps(outcome: AttemptOutcome, record: Mapping[str, object]) -> Iterator[TrialStep]:
    usage = outcome.usage
    if sandbox := _sandbox(outcome, record):
        yield TrialStep(name="sandbox", is_ok=not sandbox.startswith("NONE"), message=sandbox)
    is_built = bool(outcome.gates) or outcome.final_state is PhaseState.COMPLETE
    failure = outcome.failure
    said = f"{failure.kind}: {failure.message}" if failure is not None and not is_built else "answered"
    yield TrialStep(name="builder", is_ok=is_built, message=said)
    guess = " (estimated)" if usage.is_estimated else ""
    yield TrialStep(
        name="meter",
        is_ok=not usage.is_estimated,
        message=f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out{guess}",
    )
    for gate in outcome.gates:
        words = gate.failure.message if gate.failure is not None else ", ".join(gate.notes)
        yield TrialStep(name=gate.gate, is_ok=not gate.is_blocking, message=words or gate.status)
    if outcome.commit is not None:
        yield TrialStep(name="commit", is_ok=True, message=outcome.commit[:12])


def _sandbox(outcome: AttemptOutcome, record: Mapping[str, object]) -> str:
    """What the programs of an agent were kept in; of any other Builder, the tests of its change."""
    return str(record.get("sandbox", outcome.sandbox))


def _advice(outcome: AttemptOutcome, record: Mapping[str, object], spec: str) -> Iterator[str]:
    usage, failure = outcome.usage, outcome.failure
    if failure is not None and failure.hint:
        yield failure.hint
    if _sandbox(outcome, record).startswith("NONE"):
        yield "What it started ran with your rights; bubblewrap (or the extra `sandbox`) gives it a room of its own."
    if usage.is_estimated:
        yield "The usage is a guess: no model request went through the meter, or its provider tells no numbers."
    if usage.total_tokens:
        yield "This trial is on no account: no budget of a run, a session or a day counts what it used."
    if usage.total_tokens and usage.cost_usd is None:
        yield 'The price of its model is not known: set it in [prices."MODEL"], or money limits do not count it.'
    if outcome.final_state is PhaseState.COMPLETE and usage.total_tokens:
        least = usage.total_tokens * _AMPLE
        yield (
            f"An attempt costs about {usage.total_tokens:,} tokens before any real work:"
            f" give phases a budget_tokens of {least:,} or more."
        )
    if outcome.final_state is PhaseState.COMPLETE:
        yield f'It works. To use it: builder = "{spec}" in .autopack/config.toml, or --builder.'
