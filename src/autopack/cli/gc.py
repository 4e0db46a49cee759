"""``autopack gc``."""

import re

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, say
from autopack.cli.session import load, open_store

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class DurationType(click.ParamType[float]):
    """Reads ``30d``, ``12h``, ``90m``, ``45s`` or ``2w`` as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; wrong use for anything else."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"([0-9]{1,6})([smhdw])", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration; write 30d, 12h, 90m or 45s", param, ctx)
        return float(int(found[1]) * _UNITS[found[2]])


@make_command("gc")
@click.option(
    "--older-than",
    type=DurationType(),
    default="30d",
    show_default=True,
    metavar="AGE",
    help="30d, 12h, 90m.",
)
@click.option("--unmerged", is_flag=True, help="Also branches whose commits are on no other branch.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed and remove nothing.")
def command(flags: Flags, older_than: float, unmerged: bool, dry_run: bool) -> None:
    """Remove worktrees, logs and branches of finished work that are old enough; verdicts stay."""
    from autopack import bootstrap

    settings = load(flags)
    with open_store(flags, settings, writes=not dry_run) as store:
        found = bootstrap.reclaim(
            settings, store, older_than_seconds=older_than, includes_unmerged=unmerged, dry_run=dry_run
        )
        identity = store.identity
    removed = [item for item in found if not item.obstacle]
    stuck = [item for item in found if item.obstacle]
    if flags.as_json:
        print_json({"database": identity, "dry_run": dry_run, "removed": removed, "stuck": stuck})
        return
    verb = "would remove" if dry_run else "removed"
    for item in removed:
        say(f"{verb}: {item.kind} {item.name} ({item.size_bytes / 1e6:.1f} MB)")
    for item in stuck:
        say(f"cannot remove: {item.kind} {item.name} ({item.size_bytes / 1e6:.1f} MB): {item.obstacle}")
    if not found:
        say("nothing is old enough to remove")
