"""``autopack requeue``."""

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, say
from autopack.cli.session import load, now, open_store
from autopack.cli.target import Target, TargetType
from autopack.domain.run import refuse_own


@make_command("requeue")
@click.argument("target", metavar="RUN/PHASE", type=TargetType(needs_phase=True, takes_number=False))
def command(flags: Flags, target: Target) -> None:
    """Put a failed or skipped phase back into the queue, for one more attempt."""
    refuse_own(target.run_id)
    with open_store(flags, load(flags), writes=True) as store:
        address = store.requeue_phase(target.run_id, str(target.phase_id), now=now())
        identity = store.identity
    if flags.as_json:
        print_json({"database": identity, "next_attempt": address})
    else:
        say(f"{address} is queued; autopack run {target.run_id} makes it")
