"""``autopack init``."""

import os

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, say
from autopack.cli.session import root_of, say_database


@make_command("init", epilog="Doing it twice changes nothing.")
def command(flags: Flags) -> None:
    """Make this repository ready: settings file, database, git exclude."""
    from autopack import bootstrap

    chosen = {"DATABASE_URL": flags.database_url} if flags.database_url else {}
    done = bootstrap.init_repository(root_of(flags), {**os.environ, **chosen})
    say_database(flags, done.identity)
    if flags.as_json:
        print_json({"root": done.settings.root, "database": done.identity, "made": done.made})
        return
    for path in done.made:
        say(f"made: {path}")
    if not done.made:
        say("nothing to do: the repository is ready")
    say(f"next: autopack plan import FILE (settings: {done.settings.config_path})")
