"""``autopack approve``."""

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.review import decide_by_name
from autopack.cli.target import Target, TargetType
from autopack.domain.review import ReviewDecision


@make_command("approve")
@click.argument("target", metavar="RUN/PHASE", type=TargetType(needs_phase=True, takes_number=False))
@click.option("--deny", is_flag=True, help="Fail the phase instead.")
@click.option("--why", required=True, metavar="TEXT", help="Kept with the decision.")
def command(flags: Flags, target: Target, deny: bool, why: str) -> None:
    """Decide on a phase that awaits approval; short for `autopack review decide`."""
    decision = ReviewDecision.REJECTED if deny else ReviewDecision.APPROVED
    decide_by_name(flags, f"{target.run_id}/{target.phase_id}", decision, why)
