"""How results look: tables on a terminal, aligned plain lines in a pipe, one document as JSON."""

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TypeVar

import click

from autopack.domain.budget import Usage
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.run import Waiting

STOPPING = "stopping: nothing new is begun; Ctrl-C once more stops what is under way as well"
# Text of agents and tests goes to a terminal here; what would move its cursor or retitle its window is shown.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLES = {
    **dict.fromkeys(("COMPLETE", "added", "ok", "passed"), "green"),
    **dict.fromkeys(("FAILED", "refused", "problem", "failed", "unrunnable"), "red"),
    **dict.fromkeys(("EXECUTING", "GATE", "CI_RUNNING", "warning", "changed", "removed"), "yellow"),
}


_Event = TypeVar("_Event")
_NOBODY_READS = frozenset({errno.EPIPE, errno.EIO})
"""What writing fails with when the other end of a pipe, or of a terminal, is gone."""


def printable(text: str) -> str:
    """The text with every control character but line ends and tabs written out."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def one_line(text: str) -> str:
    """The first line of a text, printable."""
    return printable(text.strip().split("\n", 1)[0])


def say(text: str = "") -> None:
    """Print one or more lines of a result."""
    click.echo(printable(text))


def while_read(show: Callable[[_Event], None]) -> Callable[[_Event], None]:
    """A listener that is still once nobody reads: a reader that leaves must not stop the work it was reading about."""
    has_reader = True

    def show_while_read(event: _Event) -> None:
        nonlocal has_reader
        if has_reader:
            try:
                show(event)
            except OSError as error:
                if error.errno not in _NOBODY_READS:
                    raise
                has_reader = False

    return show_while_read


def print_json(document: object) -> None:
    """Print a result as the one document of ``--json``."""
    # ASCII alone: whatever encoding the other end of the pipe has, the document stays JSON.
    click.echo(json.dumps(to_plain(document), indent=2))


def to_plain(value: object) -> object:
    """A value of the domain as what JSON can say."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, Iterable):
        return [to_plain(item) for item in value]
    return value


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headers; the last column gets what room is left."""
    texts = [[one_line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(headers, texts)
    else:
        _print_plain(headers, texts)


def _print_plain(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_rich(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold", justify="right" if header in _NUMBERS else "left")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    # Without colours means without bold and the like as well: not one escape sequence.
    console = Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")
    console.print(table)


_NUMBERS = frozenset({"attempts", "tokens", "cost", "done", "seconds"})


def when(moment: float) -> str:
    """A time as the operator's clock shows it."""
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006 -- the operator's own time


def describe_usage(usage: Usage) -> str:
    """``1,200 tokens, $0.0300``; an unknown price is called that."""
    tokens = f"{usage.total_tokens:,} tokens{' (estimated)' if usage.is_estimated else ''}"
    return f"{tokens}, {describe_cost(usage)}"


def describe_cost(usage: Usage) -> str:
    """The money that was spent, or that nobody knows it."""
    if usage.cost_usd is None:
        return "price unknown" if usage.total_tokens else "nothing spent"
    rest = f" and {usage.unpriced_tokens:,} tokens of unknown price" if usage.unpriced_tokens else ""
    return f"${usage.cost_usd:,.4f}{rest}"


def describe_counts(counts: Mapping[PhaseState, int]) -> str:
    """``3 COMPLETE, 1 FAILED``, in the order of a phase's life."""
    named = [f"{counts[state]} {state}" for state in PhaseState if counts.get(state)]
    return ", ".join(named) or "no phases"


def reason_of(phase: Phase, waiting: Mapping[str, Waiting]) -> str:
    """Why a phase is where it is, in one line; empty where the state says it all."""
    if phase.awaits_approval:
        return f"awaits approval: autopack approve {phase.run_id}/{phase.phase_id} --why TEXT"
    if phase.state is PhaseState.FAILED:
        kind = f"{phase.failure_kind}: " if phase.failure_kind else ""
        return f"{kind}{one_line(phase.failure_message)}"
    if phase.state is PhaseState.QUEUED and phase.phase_id in waiting:
        return f"waits for {', '.join(waiting[phase.phase_id].needs)}"
    if phase.state is PhaseState.QUEUED and phase.failure_message:
        return f"goes on after: {one_line(phase.failure_message)}"
    if phase.state is PhaseState.SKIPPED and phase.spec.kind is PhaseKind.REMEDIATION:
        return "what it was to mend was mended otherwise"
    return f"commit {phase.commit[:12]}" if phase.commit else ""


def print_phases(phases: Sequence[Phase], waiting: Iterable[Waiting]) -> None:
    """Print one line a phase: name, state, attempts, reason."""
    waits = {entry.phase_id: entry for entry in waiting}
    rows = [(phase.phase_id, phase.state, phase.attempts, reason_of(phase, waits)) for phase in phases]
    print_table(("phase", "state", "attempts", "why"), rows)
