"""What the demo shows of its backlog in the end: the phases, the causes, and what was spent."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

import click

from autopack.cli.demo_findings import BacklogEnd, CauseEnd
from autopack.cli.demo_play import WAITING
from autopack.cli.demo_report import phases_as_json, print_runs
from autopack.cli.render import printable, say
from autopack.domain.phase import PhaseState


def backlog_as_json(backlog: BacklogEnd) -> dict[str, object]:
    """The backlog as a part of one JSON document."""
    return {
        "is_as_expected": backlog.is_as_expected,
        "path": backlog.end.stage.root,
        "phases": phases_as_json(backlog.end),
        "drains": [{**asdict(one), "is_as_expected": one.is_as_expected} for one in backlog.drains],
        "causes": [{**asdict(one), "is_as_expected": one.is_as_expected} for one in backlog.causes],
        "unexpected_fingerprints": backlog.unexpected,
        "tokens": backlog.tokens,
        "tokens_not_spent": backlog.tokens_not_spent,
    }


def print_backlog(backlog: BacklogEnd, *, duration_seconds: float) -> None:
    """Print the table of phases, the table of causes, what did not go as it must, and the sums."""
    say()
    click.secho("How the backlog stands, and how it must", bold=True)
    print_runs(backlog.end)
    _print_causes(backlog)
    for line in _deviations(backlog):
        click.secho(f" !! {line}", fg="red")
    say()
    for line in _sums(backlog, duration_seconds):
        say(line)


def _print_causes(backlog: BacklogEnd) -> None:
    say()
    click.secho("The causes, one fingerprint each (in brackets: how many it must be)", bold=True)
    click.secho(f"    {'attempts':>9} {'holds':>7} {'tokens':>8}  cause", dim=True)
    for cause in backlog.causes:
        mark = click.style("ok", fg="green") if cause.is_as_expected else click.style("!!", fg="red")
        attempts = f"{cause.attempts} ({cause.expected_attempts})"
        holds = f"{cause.holds} ({cause.expected_holds})"
        click.echo(
            f" {mark} {attempts:>9} {holds:>7} {cause.tokens:8,}  {click.style(cause.name, fg='yellow')}"
        )
        canonical = printable(" | ".join(cause.canonical.splitlines()))
        click.echo(f"{'':33}{cause.fingerprint}, {_state(cause)}: {canonical}")


def _state(cause: CauseEnd) -> str:
    return "stopped" if cause.is_stopped else "not stopped"


def _deviations(backlog: BacklogEnd) -> Iterator[str]:
    for number, drain in enumerate(backlog.drains, start=1):
        if not drain.is_as_expected:
            yield (
                f"drain {number} made {drain.attempts} attempts and completed {drain.completed} phases;"
                f" it must make {drain.expected_attempts}, complete {drain.expected_completed},"
                f" and say {drain.must_say!r}"
            )
    yield from (f"{key} belongs to none of the causes" for key in backlog.unexpected)


def _sums(backlog: BacklogEnd, duration_seconds: float) -> Iterator[str]:
    verdicts = Counter(phase.verdict for phase in backlog.end.phases)
    complete, waiting = verdicts[PhaseState.COMPLETE], verdicts[WAITING]
    held = [cause for cause in backlog.causes if cause.holds]
    failed = verdicts.total() - complete - waiting
    yield (
        f"{verdicts.total()} phases in {duration_seconds:.0f} s: {complete} COMPLETE, {failed} failed for"
        f" {len(held)} causes, {waiting} waiting for one that failed."
    )
    attempts = sum(drain.attempts for drain in backlog.drains)
    free = sum(cause.attempts for cause in backlog.causes if not cause.tokens)
    yield (
        f"{len(backlog.drains)} drains made {attempts} attempts and spent {backlog.tokens:,} tokens;"
        f" {free} of the attempts cost none, because they ended before the Builder was asked."
    )
