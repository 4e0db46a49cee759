"""``autopack run``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import (
    STOPPING,
    describe_counts,
    describe_usage,
    one_line,
    print_json,
    print_phases,
    reason_of,
    say,
    to_plain,
    while_read,
)
from autopack.cli.session import load, open_store
from autopack.domain.phase import Phase, PhaseState
from autopack.ports import Store

if TYPE_CHECKING:
    from autopack.execution.dispatch import RunEvent, RunSummary

INTERRUPTED = 130
STOPPED = 4
OnEvent = Callable[["RunEvent"], None]


@make_command(
    "run",
    epilog="Exit code 0: nothing failed; 1: a phase failed; 4: a budget is spent; 130: interrupted, and it goes on.",
)
@click.argument("run_id", metavar="RUN")
@click.option("--workers", type=click.IntRange(1, 256), help="Attempts side by side.")
@click.option("--builder", metavar="SPEC", help="Who makes the changes; default: the repository's setting.")
def command(flags: Flags, run_id: str, workers: int | None, builder: str | None) -> int:
    """Work one run off and show its verdicts."""
    from autopack import bootstrap

    settings = load(flags, builder=builder, workers=workers)
    with open_store(flags, settings, writes=True) as store, watch(flags, store, run_id) as on_event:
        summary = bootstrap.drive_run(settings, store, run_id, workers=settings.workers, on_event=on_event)
    if flags.as_json:
        print_json(to_plain(summary))
    else:
        _print_summary(summary)
    if summary.was_interrupted:
        return INTERRUPTED
    if summary.stop is not None:
        return STOPPED
    return int(summary.count(PhaseState.FAILED) > 0)


def _print_summary(summary: "RunSummary") -> None:
    print_phases(summary.phases, summary.waiting)
    counts = {state: summary.count(state) for state in PhaseState}
    say(
        f"{summary.run_id}: {describe_counts(counts)}; {describe_usage(summary.used)}; "
        f"{summary.duration_seconds:.0f} s"
    )
    if summary.stop is not None:
        say(f"stopped by {summary.stop}; raise it in [budget], or go on when the day is over")
    if summary.was_interrupted:
        say(f"interrupted; `autopack run {summary.run_id}` goes on where it stopped")
    if failed := next((phase for phase in summary.phases if phase.state is PhaseState.FAILED), None):
        say(f"evidence: autopack show {failed.run_id}/{failed.phase_id}")


@contextmanager
def watch(flags: Flags, store: Store, run_id: str) -> Iterator[OnEvent]:
    """A listener that draws on a terminal, prints lines into a pipe, and is still with ``--json``."""
    if flags.as_json:
        yield lambda _event: None
    elif sys.stdout.isatty():
        with _bar(run_id, store.phases(run_id)) as on_event:
            yield on_event
    else:
        yield while_read(_print_event)


def _print_event(event: "RunEvent") -> None:
    say(describe_event(event))
    sys.stdout.flush()


def describe_event(event: "RunEvent") -> str:
    """``2/5 build FAILED import_error: …``."""
    phase = event.moved
    if phase is None:
        return STOPPING
    return f"{event.done}/{event.total} {phase.phase_id} {phase.state} {reason_of(phase, {})}".rstrip()


@contextmanager
def _bar(run_id: str, phases: Sequence[Phase]) -> Iterator[OnEvent]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, transient=True) as progress:
        done = sum(phase.state.is_terminal for phase in phases)
        task = progress.add_task(one_line(run_id), total=len(phases), completed=done)

        def on_event(event: "RunEvent") -> None:
            progress.update(task, completed=event.done, total=event.total)
            if event.moved is None or not event.moved.state.is_in_flight:
                progress.console.print(Text(one_line(describe_event(event))))

        yield while_read(on_event)
