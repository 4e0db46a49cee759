"""``autopack worker``."""

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import describe_counts, print_json, say
from autopack.cli.session import load, open_store
from autopack.domain.phase import PhaseState


@make_command(
    "worker", epilog="Runs become active with `autopack run`; several workers may share one database."
)
@click.option("--slots", type=click.IntRange(1, 256), help="Attempts side by side.")
@click.option("--once", is_flag=True, help="Stop when nothing may go any more.")
@click.option("--builder", metavar="SPEC", help="Who makes the changes; default: the repository's setting.")
def command(flags: Flags, slots: int | None, once: bool, builder: str | None) -> None:
    """Make attempts of every active run, until interrupted."""
    from autopack import bootstrap

    settings = load(flags, builder=builder, workers=slots)
    with open_store(flags, settings, writes=True) as store:
        bootstrap.serve_worker(settings, store, slots=settings.workers, once=once)
        counts = {**dict.fromkeys(PhaseState, 0), **store.totals()}
        identity = store.identity
    if flags.as_json:
        print_json({"database": identity, "counts": counts})
    else:
        say(f"worker stopped; {describe_counts(counts)}")
