"""``autopack approve``."""

import getpass

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, say
from autopack.cli.session import load, now, open_store
from autopack.cli.target import Target, TargetType
from autopack.ports import Decision


@make_command("approve")
@click.argument("target", metavar="RUN/PHASE", type=TargetType(needs_phase=True, takes_number=False))
@click.option("--deny", is_flag=True, help="Fail the phase instead.")
@click.option("--why", required=True, metavar="TEXT", help="Kept with the decision.")
def command(flags: Flags, target: Target, deny: bool, why: str) -> None:
    """Decide on a phase that passed its gates and awaits approval."""
    if not why.strip():
        raise click.BadParameter("the text is empty", param_hint="--why")
    decision = Decision(approved=not deny, by=_operator(), why=why.strip(), at=now())
    with open_store(flags, load(flags), writes=True) as store:
        store.decide_approval(target.run_id, str(target.phase_id), decision)
        identity = store.identity
    name = f"{target.run_id}/{target.phase_id}"
    if flags.as_json:
        print_json({"database": identity, "phase": name, "decision": decision})
    else:
        say(f"{name} is denied" if deny else f"{name} is approved; autopack run {target.run_id} goes on")


def _operator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have a number and no name.
        return "unknown"
