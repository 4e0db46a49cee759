"""What the demo shows at its end: a table of verdicts, the commits, and where to look next."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import wrap

import click

from autopack.cli.demo_play import WAITING, PhaseEnd, Stage, StageEnd
from autopack.cli.render import printable, say
from autopack.domain.phase import PhaseState
from autopack.domain.research import report_key

_WIDTH = 100
_PHASE_WIDTH = 28
_REASON_LINES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """All that the demo did."""

    stages: tuple[StageEnd, ...]
    duration_seconds: float

    @property
    def phases(self) -> tuple[PhaseEnd, ...]:
        """The phases of all stages."""
        return tuple(phase for stage in self.stages for phase in stage.phases)

    @property
    def is_as_expected(self) -> bool:
        """Whether every verdict is the right one."""
        return all(phase.is_as_expected for phase in self.phases)


def result_as_json(result: DemoResult) -> dict[str, object]:
    """The result as one JSON document."""
    return {
        "is_as_expected": result.is_as_expected,
        "duration_seconds": round(result.duration_seconds, 1),
        "repositories": [
            {"name": end.stage.name, "path": end.stage.root, "log": _log(end.stage).splitlines()}
            for end in result.stages
        ],
        "phases": [phase for end in result.stages for phase in phases_as_json(end)],
    }


def phases_as_json(end: StageEnd) -> list[dict[str, object]]:
    """The phases of one repository."""
    return [
        {
            "repository": end.stage.name,
            "run_id": phase.run_id,
            "phase_id": phase.phase_id,
            "expected": phase.expected,
            "verdict": phase.verdict,
            "is_as_expected": phase.is_as_expected,
            "reason": phase.reason,
            "commit": phase.commit,
            "duration_seconds": round(phase.duration_seconds, 2),
            "tokens": phase.tokens,
        }
        for phase in end.phases
    ]


def print_result(result: DemoResult) -> None:
    """Print the table, the logs, one commit in full, and the sums."""
    for end in result.stages:
        print_runs(end)
    _print_logs(result)
    say()
    for line in _sums(result):
        say(line)


def print_runs(end: StageEnd) -> None:
    """Print the phases of one repository, run by run."""
    for run_id, phases in groupby(end.phases, key=lambda phase: phase.run_id):
        say()
        _print_run(run_id, tuple(phases))


def print_next_steps(stages: tuple[StageEnd, ...], *, backlog: Stage) -> None:
    """Print commands with which to look around."""
    say()
    for line in _next_steps(stages, backlog):
        say(line)


def _print_run(run_id: str, phases: tuple[PhaseEnd, ...]) -> None:
    heading = f"    {'phase':{_PHASE_WIDTH}} {'must end as':25} {'verdict':25} {'seconds':>7} {'tokens':>8}"
    click.secho(run_id, bold=True)
    click.secho(heading, dim=True)
    for phase in phases:
        mark = click.style("ok", fg="green") if phase.is_as_expected else click.style("!!", fg="red")
        numbers = f"{phase.duration_seconds:7.1f} {phase.tokens:8,}"
        colour = "green" if phase.verdict == PhaseState.COMPLETE else "yellow"
        verdict = click.style(f"{phase.verdict:25}", fg=colour)
        click.echo(f" {mark} {phase.phase_id:{_PHASE_WIDTH}} {phase.expected:25} {verdict} {numbers}")
        for line in wrap(printable(phase.reason), _WIDTH - 6, max_lines=_REASON_LINES, placeholder=" ..."):
            click.echo(f"      {line}")


def _print_logs(result: DemoResult) -> None:
    for end in result.stages:
        say()
        click.secho(f"{end.stage.name}: git log of the runs' branches", bold=True)
        say(_log(end.stage))
    best = next((end for end in reversed(result.stages) if any(phase.commit for phase in end.phases)), None)
    if best is not None:
        commit = next(phase.commit for phase in best.phases if phase.commit)
        say()
        click.secho("One of these commits", bold=True)
        lines = _git(best.stage, "show", "--stat", "--format=commit %H%n%n%w(96,4,4)%B", commit)
        say("\n".join(line for line in lines.splitlines() if line.strip()))


def _log(stage: Stage) -> str:
    return _git(stage, "log", "--graph", "--oneline", "--decorate=short", "--branches=autopack/*")


def _git(stage: Stage, *arguments: str) -> str:
    command = ["git", "-C", str(stage.root), "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip()


def _sums(result: DemoResult) -> Iterator[str]:
    phases = result.phases
    complete = sum(phase.verdict == PhaseState.COMPLETE for phase in phases)
    waiting = sum(phase.verdict == WAITING for phase in phases)
    kinds = Counter(phase.verdict for phase in phases) - Counter(
        {PhaseState.COMPLETE: complete, WAITING: waiting}
    )
    right = sum(phase.is_as_expected for phase in phases)
    yield (
        f"{len(phases)} phases in {result.duration_seconds:.0f} s: {complete} COMPLETE,"
        f" {kinds.total()} refused for {len(kinds)} different reasons, {waiting} waiting for one that failed."
    )
    yield (
        f"{right} of {len(phases)} verdicts are the expected ones; the answers would have cost"
        f" {sum(phase.tokens for phase in phases):,} tokens."
    )


def _next_steps(stages: tuple[StageEnd, ...], backlog: Stage) -> Iterator[str]:
    stage = stages[-1].stage
    refused = next((it for it in stages[-1].phases if it.reason), stages[-1].phases[0])
    complete = next((it for it in stages[-1].phases if it.commit), stages[-1].phases[0])
    bare = f"{_nearest(Path(sys.executable).parent / 'autopack')} --root"
    program = f"{bare} {_nearest(stage.root)}"
    yield "Look around:"
    yield f"  {program} status"
    yield f"  {program} show {refused.run_id}/{refused.phase_id}"
    yield f"  git -C {_nearest(stage.root)} log -p autopack/{complete.run_id}"
    yield from _reports(stages)
    yield f"  {bare} {_nearest(backlog.root)} drain fingerprints"
    yield "In a repository of your own: autopack init, write a plan, autopack plan import, autopack run."


def _reports(stages: tuple[StageEnd, ...]) -> Iterator[str]:
    """How to read what research found, where a run had some."""
    for end in stages:
        for phase in end.phases:
            key = report_key(phase.phase_id)
            if (
                phase.commit
                and key in _git(end.stage, "show", "--format=", "--name-only", phase.commit).splitlines()
            ):
                yield f"  git -C {_nearest(end.stage.root)} show autopack/{phase.run_id}:{key}"


def _nearest(path: Path) -> Path:
    # Commands are easier to read, and to copy, from the folder that the operator stands in.
    here = Path().absolute()
    return path.relative_to(here) if path.is_relative_to(here) else path
