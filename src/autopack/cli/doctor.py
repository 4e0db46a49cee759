"""``autopack doctor``."""

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, print_table, say
from autopack.cli.session import load


@make_command("doctor", epilog="Exit code 1 when there is a problem; a warning alone is none.")
def command(flags: Flags) -> int:
    """Check what Autopack needs to work, and say what to do."""
    from autopack import bootstrap

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
