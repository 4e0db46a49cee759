"""``autopack show``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import describe_usage, print_json, print_phases, reason_of, say
from autopack.cli.session import load, open_store
from autopack.cli.target import Target, TargetType
from autopack.domain.attempt import Attempt
from autopack.domain.failure import FailureReport
from autopack.domain.phase import Phase
from autopack.domain.run import Run, split_queued
from autopack.domain.verdicts import AttemptOutcome, GateVerdict
from autopack.errors import NotRecordedError
from autopack.execution.launch import attempt_folder
from autopack.ports import Store
from autopack.settings import Settings


@make_command("show")
@click.argument("target", metavar="RUN[/PHASE[/N]]", type=TargetType())
def command(flags: Flags, target: Target) -> None:
    """Show a run, a phase with its attempts, or one attempt in full."""
    settings = load(flags)
    with open_store(flags, settings, writes=False) as store:
        if target.phase_id is None:
            _show_run(flags, store, target.run_id)
        else:
            _show_phase(flags, settings, store, target)


def _show_run(flags: Flags, store: Store, run_id: str) -> None:
    run, phases = store.run(run_id), store.phases(run_id)
    if flags.as_json:
        print_json({"run": run, "phases": phases, "used": store.usage_of(run_id)})
        return
    for line in _run_lines(run):
        say(line)
    print_phases(phases, split_queued(run.spec, phases)[1])
    say(f"used: {describe_usage(store.usage_of(run_id))}")


def _run_lines(run: Run) -> Iterator[str]:
    spec = run.spec
    yield f"run: {spec.run_id}"
    yield f"goal: {spec.goal}"
    yield f"base: {spec.base}; branch: autopack/{spec.run_id}; order: {spec.order}"
    if spec.project:
        yield f"project: {spec.project}"


def _show_phase(flags: Flags, settings: Settings, store: Store, target: Target) -> None:
    phase_id = str(target.phase_id)
    phase = store.phase(target.run_id, phase_id)
    attempts = select_attempts(store.attempts(target.run_id, phase_id), target)
    used = store.usage_of(target.run_id, phase_id)
    folders = {
        attempt.address: attempt_folder(settings.state_folder, attempt.address) for attempt in attempts
    }
    if flags.as_json:
        shown = [{"attempt": attempt, "logs": folders[attempt.address]} for attempt in attempts]
        print_json({"phase": phase, "attempts": shown, "used": used})
        return
    run, phases = store.run(target.run_id), store.phases(target.run_id)
    waiting = {entry.phase_id: entry for entry in split_queued(run.spec, phases)[1]}
    if target.number is None:
        for line in _phase_lines(phase, reason_of(phase, waiting)):
            say(line)
        say(f"used: {describe_usage(used)}")
    for attempt in attempts:
        for line in _attempt_lines(attempt, folders[attempt.address]):
            say(line)


def select_attempts(attempts: Sequence[Attempt], target: Target) -> Sequence[Attempt]:
    """The attempts that the target names: one, or all.

    Raises:
        NotRecordedError: There is no attempt of that number.
    """
    if target.number is None:
        return attempts
    chosen = [attempt for attempt in attempts if attempt.address.number == target.number]
    if not chosen:
        known = ", ".join(str(attempt.address.number) for attempt in attempts) or "none yet"
        raise NotRecordedError(
            f"{target.run_id}/{target.phase_id} has no attempt {target.number}",
            hint=f"Its attempts: {known}.",
        )
    return chosen


def _phase_lines(phase: Phase, reason: str) -> Iterator[str]:
    spec = phase.spec
    yield f"phase: {phase.run_id}/{phase.phase_id} ({spec.kind})"
    yield f"state: {phase.state}{f' - {reason}' if reason else ''}"
    yield f"goal: {spec.goal}"
    for name, values in (
        ("scope", spec.scope.paths),
        ("read only", spec.scope.read_only),
        ("deliverables", spec.deliverables),
        ("acceptance", spec.acceptance),
        ("needs", spec.needs or ()),
    ):
        if values:
            yield f"{name}: {', '.join(values)}"
    yield f"checks: {spec.checks.ci or 'as the repository is set'}"


def _attempt_lines(attempt: Attempt, folder: Path) -> Iterator[str]:
    yield ""
    yield f"attempt {attempt.address}: {attempt.state}"
    yield f"  base: {attempt.base_commit or 'not known yet'}"
    if attempt.outcome is None:
        yield f"  held by: {attempt.owner}"
    else:
        yield from (f"  {line}" for line in _outcome_lines(attempt.outcome))
    yield f"  logs: {folder}"


def _outcome_lines(outcome: AttemptOutcome) -> Iterator[str]:
    if outcome.commit:
        yield f"commit: {outcome.commit}"
    yield f"took: {outcome.duration_seconds:.1f} s; {describe_usage(outcome.usage)}"
    if outcome.sandbox:
        yield f"sandbox: {outcome.sandbox}"
    for gate in outcome.gates:
        yield from _gate_lines(gate)
    if outcome.failure:
        yield from _failure_lines(outcome.failure)


def _gate_lines(gate: GateVerdict) -> Iterator[str]:
    why = f" - {gate.failure.message}" if gate.failure else ""
    yield f"gate {gate.gate}: {gate.status}{why}"
    yield from (f"  note: {note}" for note in gate.notes)


def _failure_lines(failure: FailureReport) -> Iterator[str]:
    yield f"failure: {failure.kind}{' (retryable)' if failure.retryable else ''}"
    yield f"  {failure.message}"
    yield from (f"  {detail}" for detail in failure.details)
    returncode = "no program ran" if failure.returncode is None else f"return code {failure.returncode}"
    yield f"  {returncode}, {failure.duration_seconds:.1f} s"
    if failure.hint:
        yield f"  hint: {failure.hint}"
    yield from (f"  log: {path}" for path in failure.log_paths)
    if failure.evidence:
        yield "  evidence:"
        yield from (f"    {line}" for line in failure.evidence.splitlines())
