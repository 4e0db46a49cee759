"""Which modules can be imported, each tried as if it were the only one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autopack.adapters.ci_environment import RECORDER_FOLDER
from autopack.errors import ProcessError
from autopack.ports import Command, Processes

_CHILD = RECORDER_FOLDER / "autopack_import_child.py"
SECONDS_A_MODULE = 60
_SECONDS_AT_MOST = 600


def import_modules(
    processes: Processes,
    command: Command,
    modules: Sequence[str],
    *,
    root: Path,
    record: Path,
    confine: Callable[[Command], Command],
) -> Mapping[str, str]:
    """Import each module in a process of its own below one child.

    Args:
        processes: Runs the child.
        command: The interpreter alone, with the environment, the worktree and the logs to use; its time is
            that of one module, of which more than ``SECONDS_A_MODULE`` is not used.
        modules: Dotted names.
        root: The operator's checkout, from which nothing may be imported.
        record: Where the child writes to.
        confine: Puts the child into its room.

    Returns:
        Error text (``Type: message``, ``crash: signal 11``, ``timeout: ...``) by module that failed; a module
        the child did not get to has failed too.
    """
    if not modules:
        return {}
    seconds = min(command.timeout_seconds, SECONDS_A_MODULE)
    orders = {
        "modules": list(modules),
        "seconds": seconds,
        "root": str(root),
        "worktree": str(command.cwd),
        "record": str(record),
    }
    command = replace(
        command,
        argv=(*command.argv, str(_CHILD)),
        stdin_text=json.dumps(orders),
        timeout_seconds=min(seconds * len(modules) + 30, _SECONDS_AT_MOST),
    )
    try:
        processes.run(confine(command))
    except ProcessError as exc:
        return dict.fromkeys(modules, f"the import check could not be started: {exc}")
    found = _read(record)
    return {name: error for name in modules if (error := found.get(name, _missing(command)))}


def _read(record: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            result = json.loads(line)
            found[str(result["module"])] = str(result["error"])
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _missing(command: Command) -> str:
    try:
        lines = command.stderr_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    last = f": {lines[-1]}" if lines else ""
    return f"the import check ended before this module{last}"
