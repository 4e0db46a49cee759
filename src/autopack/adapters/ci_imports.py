"""Which modules can be imported, each tried as if it were the only one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autopack.adapters.ci_environment import RECORDER_FOLDER
from autopack.errors import ProcessError
from autopack.ports import Command, Finished, Processes

_CHILD = RECORDER_FOLDER / "autopack_import_child.py"
SECONDS_A_MODULE = 60
_SECONDS_AT_MOST = 600
_LINE_BYTES = 1000
_RECORD_BYTES = 64 * 1024 * 1024


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
        Error text (``Type: message``, ``crash: signal 11``, ``timeout: ...``) by module that failed.

    Raises:
        ProcessError: The child did not tell of every module and end well: nothing is known of any of them then.
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
    finished = processes.run(confine(command))
    if finished.returncode != 0:
        raise _unproven(_how_it_ended(finished, command))
    told = _read(record)
    # What is imported could write such lines as well: then there are more than the child's own.
    if [name for name, _ in told] != list(modules):
        raise _unproven("its record is not that of each module, once and in order")
    return {name: error for name, error in told if error}


def _how_it_ended(finished: Finished, command: Command) -> str:
    if finished.timed_out:
        return f"it did not end within {command.timeout_seconds:g} s"
    said = _last_line(command.stderr_path)
    return f"it ended with exit code {finished.returncode}{f' ({said})' if said else ''}"


def _unproven(why: str) -> ProcessError:
    return ProcessError(
        f"the import check proves nothing: {why}",
        hint="See that the interpreter of CI starts, and that no changed module ends the process that imports it.",
    )


def _read(record: Path) -> list[tuple[str, str]]:
    try:
        with record.open("rb") as file:
            text = file.read(_RECORD_BYTES)
        results = [json.loads(line) for line in text.splitlines()]
        return [(str(result["module"]), str(result["error"])) for result in results]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unproven(f"its record cannot be read ({type(error).__name__})") from error


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LINE_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
