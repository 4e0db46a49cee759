"""``autopack backtest``."""

from collections.abc import Sequence
from pathlib import Path

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, print_table, say
from autopack.cli.session import load, open_store
from autopack.domain.backtest import Backtest
from autopack.domain.drain_policy import Preset
from autopack.triage.backtesting import Comparison, compare, read_policy

_PRESETS = ",".join(Preset)


@make_command("backtest")
@click.option(
    "--policy",
    "policies",
    default=_PRESETS,
    show_default=True,
    metavar="P,…",
    help="What to try: presets, and TOML files with the limits' names.",
)
@click.option(
    "--session", "sessions", multiple=True, metavar="ID", help="These drain sessions alone; repeatable."
)
@click.option("--explore", is_flag=True, help="Look for better limits around the ones used last, too.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the table into an .svg or .png."
)
def command(
    flags: Flags, *, policies: str, sessions: tuple[str, ...], explore: bool, plot: Path | None
) -> None:
    """Go through the recorded drains again under other limits: what these would have cost, saved and lost."""
    settings = load(flags)
    wanted = [read_policy(name.strip()) for name in policies.split(",") if name.strip()]
    with open_store(flags, settings, writes=False) as store:
        found = compare(
            store,
            wanted,
            session_ids=sessions,
            most_tokens=settings.attempt.budget_tokens,
            explores=explore,
        )
    if plot is not None:
        from autopack.triage.plots import save_comparison

        save_comparison(found, plot)
    if flags.as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Comparison) -> None:
    say(f"recorded: {found.attempts} attempts in sessions {found.sessions[0]} to {found.sessions[-1]}")
    headers = ("limits", "attempts", "tokens", "saved", "completions", "lost", "not in the record")
    print_table(headers, _rows([found.used, *found.tests]))
    for test in found.tests:
        if test.refused:
            rules = ", ".join(f"{times} by {rule}" for rule, times in test.refused.items())
            say(f"{test.name} would not have made {sum(test.refused.values())} attempts: {rules}")
    say(f"recommended: {found.recommendation.reason}")
    for line in found.unexplained:
        say(f"the limits in use do not explain {line}: the record is not whole")


def _rows(tests: Sequence[Backtest]) -> list[tuple[object, ...]]:
    return [
        (
            test.name,
            test.made,
            f"{test.tokens_made:,}",
            f"{test.tokens_saved:,}",
            test.completions,
            test.completions_lost,
            _censored(test),
        )
        for test in tests
    ]


def _censored(test: Backtest) -> str:
    if test.censored is None:
        return "any number of attempts"
    return f"up to {test.censored:,} attempts" if test.censored else "nothing"
