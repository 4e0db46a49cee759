"""``autopack status``."""

import click

from autopack import bootstrap
from autopack.cli.flags import Flags, make_command
from autopack.cli.render import (
    describe_cost,
    describe_counts,
    describe_usage,
    print_json,
    print_phases,
    print_table,
    say,
)
from autopack.cli.session import load, open_store
from autopack.domain.phase import PhaseState
from autopack.domain.run import split_queued
from autopack.ports import RunProgress, Store


@make_command("status", epilog="The newest runs are listed; the totals are of all.")
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="RUNS",
    help="How many runs to list.",
)
@click.option("--all", "is_all", is_flag=True, help="List every run.")
def command(flags: Flags, run_id: str | None, limit: int, is_all: bool) -> None:
    """Show how far all runs are, or each phase of one."""
    settings = load(flags)
    sandbox = bootstrap.known_sandbox(settings)
    with open_store(flags, settings, writes=False) as store:
        if run_id is None:
            _show_runs(flags, store, limit=None if is_all else limit, sandbox=sandbox)
        else:
            _show_run(flags, store, run_id, sandbox=sandbox)
    if sandbox.startswith("NONE") and not flags.as_json:
        say(f"sandbox: {sandbox}: Builders and CI run with your rights")


def _show_runs(flags: Flags, store: Store, *, limit: int | None, sandbox: str) -> None:
    runs, run_count, totals = store.runs(limit=limit), store.count_runs(), store.totals()
    if flags.as_json:
        listed = [_run_document(progress) for progress in runs]
        print_json(
            {
                "database": store.identity,
                "sandbox": sandbox,
                "run_count": run_count,
                "counts": totals,
                "runs": listed,
            },
        )
        return
    if not runs:
        say("no runs yet: autopack plan import FILE")
        return
    states = [state for state in PhaseState if any(progress.counts.get(state) for progress in runs)]
    rows = [
        (
            progress.run_id,
            "yes" if progress.is_active else "no",
            *(progress.counts.get(state) or "" for state in states),
            f"{progress.used.total_tokens:,}",
            describe_cost(progress.used),
        )
        for progress in runs
    ]
    print_table(("run", "active", *states, "tokens", "cost"), rows)
    newest = f" (the newest {len(runs)} are listed)" if len(runs) < run_count else ""
    say(f"{run_count} runs: {describe_counts(totals)}{newest}")


def _run_document(progress: RunProgress) -> dict[str, object]:
    return {
        "run_id": progress.run_id,
        "goal": progress.goal,
        "is_active": progress.is_active,
        "counts": progress.counts,
        "used": progress.used,
    }


def _show_run(flags: Flags, store: Store, run_id: str, *, sandbox: str) -> None:
    run, phases, used = store.run(run_id), store.phases(run_id), store.usage_of(run_id)
    waiting = split_queued(run.spec, phases)[1]
    counts = {state: sum(phase.state is state for phase in phases) for state in PhaseState}
    if flags.as_json:
        waits = {entry.phase_id: entry.needs for entry in waiting}
        listed = [
            {
                "phase_id": phase.phase_id,
                "state": phase.state,
                "attempts": phase.attempts,
                "waits_for": waits.get(phase.phase_id, ()),
                "awaits_approval": phase.awaits_approval,
                "failure_kind": phase.failure_kind,
                "failure_message": phase.failure_message,
                "commit": phase.commit,
            }
            for phase in phases
        ]
        progress = RunProgress(
            run_id=run_id, goal=run.spec.goal, is_active=run.is_active, counts=counts, used=used
        )
        print_json(
            {"database": store.identity, "sandbox": sandbox, **_run_document(progress), "phases": listed}
        )
        return
    print_phases(phases, waiting)
    say(f"{run_id}: {describe_counts(counts)}; {describe_usage(used)}")
    if not run.is_active and any(phase.state is PhaseState.QUEUED for phase in phases):
        say(f"nobody works on it: autopack run {run_id}")
