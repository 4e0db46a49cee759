"""``autopack doctor``."""

from typing import TYPE_CHECKING

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, print_table, say
from autopack.cli.session import load

if TYPE_CHECKING:
    from autopack.bootstrap.trial import Trial


@make_command("doctor", epilog="Exit code 1 when there is a problem; a warning alone is none.")
@click.option(
    "--builder",
    "spec",
    metavar="SPEC",
    help="Have this Builder make one trivial edit through the whole chain, in a repository made for it.",
)
def command(flags: Flags, spec: str | None) -> int:
    """Check what Autopack needs to work, and say what to do."""
    from autopack import bootstrap

    if spec is not None:
        return _show(flags, bootstrap.try_builder(load(flags, builder=spec), spec))
    lines = bootstrap.check_health(load(flags))
    has_problem = any(line.status == "problem" for line in lines)
    if flags.as_json:
        print_json({"is_healthy": not has_problem, "checks": lines})
        return int(has_problem)
    print_table(("check", "status", "what"), [(line.name, line.status, line.message) for line in lines])
    for line in lines:
        if line.hint and line.status != "ok":
            say(f"{line.name}: {line.hint}")
    return int(has_problem)


def _show(flags: Flags, trial: "Trial") -> int:
    if flags.as_json:
        print_json(trial)
        return int(not trial.is_ok)
    rows = [(step.name, "ok" if step.is_ok else "look", step.message) for step in trial.steps]
    print_table(("step", "status", "what"), rows)
    cost = "price unknown" if trial.usage.cost_usd is None else f"${trial.usage.cost_usd:.4f}"
    word = "works" if trial.is_ok else "does not work"
    say(f"{trial.spec} {word}: {trial.duration_seconds:.1f} s, {trial.usage.total_tokens:,} tokens, {cost}")
    for line in trial.advice:
        say(f"- {line}")
    if trial.logs is not None:
        say(f"logs: {trial.logs}")
    return int(not trial.is_ok)
