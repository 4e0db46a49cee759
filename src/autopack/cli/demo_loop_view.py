"""What the demo shows of its third act in the end: before and after, and what the release came to."""

from dataclasses import asdict

import click

from autopack.cli.demo_loop import Figure, LoopEnd
from autopack.cli.demo_report import phases_as_json
from autopack.cli.render import say

_WIDTH = 45


def loop_as_json(loop: LoopEnd) -> dict[str, object]:
    """The third act as a part of one JSON document."""
    groups = {"before": loop.before, "after": loop.after, "release": loop.release}
    figures = {
        name: [{**asdict(one), "is_as_expected": one.is_as_expected} for one in group]
        for name, group in groups.items()
    }
    return {"is_as_expected": loop.is_as_expected, "phases": phases_as_json(loop.end), **figures}


def print_loop(loop: LoopEnd, *, duration_seconds: float) -> None:
    """Print what changed, what the release came to, and the phases that are not as they must be."""
    say()
    click.secho("Before the mends, and now (in brackets: what it must be)", bold=True)
    for before, after in zip(loop.before, loop.after, strict=True):
        click.echo(f" {_mark(before, after)} {after.name:{_WIDTH}} {_told(before):>17}  ->  {_told(after)}")
    for figure in loop.release:
        click.echo(f" {_mark(figure)} {figure.name:{_WIDTH}} {_told(figure):>17}")
    for phase in loop.end.phases:
        if not phase.is_as_expected:
            text = f"{phase.run_id}/{phase.phase_id} is {phase.verdict}, must be {phase.expected}: {phase.reason}"
            click.secho(f" !! {text}", fg="red")
    say(f"The third act took {duration_seconds:.0f} s. In {loop.end.stage.root}: PLAN.md and report.html")


def _mark(*figures: Figure) -> str:
    if all(figure.is_as_expected for figure in figures):
        return click.style("ok", fg="green")
    return click.style("!!", fg="red")


def _told(figure: Figure) -> str:
    return f"{_number(figure.value)} ({_number(figure.expected)})"


def _number(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
