"""``autopack logs``."""

import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.following import follow
from autopack.cli.render import print_json, printable, say
from autopack.cli.session import load, open_store
from autopack.cli.show import select_attempts
from autopack.cli.target import Target, TargetType, address_of
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.errors import NotRecordedError, WorkspaceError
from autopack.execution.launch import attempt_folder
from autopack.ports import Store
from autopack.settings import Settings

_OUT, _ERR = "executor.out", "executor.err"


@make_command("logs", epilog="Without N it is the newest attempt.")
@click.argument("target", metavar="RUN/PHASE[/N]", type=TargetType(needs_phase=True))
@click.option("--stderr", "wants_stderr", is_flag=True, help="What the attempt's process wrote to stderr.")
@click.option("--file", "name", metavar="NAME", help="Another file of the attempt; --list names them.")
@click.option("--list", "lists", is_flag=True, help="Name the attempt's files and their sizes.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="The last N lines only.")
@click.option(
    "-f",
    "--follow",
    "follows",
    is_flag=True,
    help="Go on until the attempt ends; without a file: what its Builder says and does.",
)
def command(
    flags: Flags,
    target: Target,
    wants_stderr: bool,
    name: str | None,
    lists: bool,
    tail: int | None,
    follows: bool,
) -> None:
    """Print what an attempt wrote, or writes."""
    if wants_stderr and name:
        raise click.UsageError("--stderr and --file exclude each other")
    if follows and (lists or tail or flags.as_json):
        raise click.UsageError("--follow goes with neither --list nor --tail nor --json")
    if follows:
        _follow(flags, load(flags), target, name or (_ERR if wants_stderr else None))
        return
    folder = _folder(flags, load(flags), target)
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    if lists:
        _print_list(flags, files)
        return
    name = name or (_ERR if wants_stderr else _OUT)
    if name not in files:
        known = ", ".join(files) or "none"
        raise WorkspaceError(f"attempt logs {folder} hold no {name!r}", hint=f"Files there: {known}.")
    lines = _lines(files[name], tail)
    if flags.as_json:
        print_json({"file": files[name], "text": "".join(lines)})
        return
    for line in lines:
        _echo(line)


def _echo(text: str) -> None:
    click.echo(printable(text) if sys.stdout.isatty() else text, nl=False)


def _follow(flags: Flags, settings: Settings, target: Target, name: str | None) -> None:
    with open_store(flags, settings, writes=False) as store:
        address = _newest(store, target)

        def is_over() -> bool:
            attempts = store.attempts(address.run_id, address.phase_id)
            return not any(it.address == address and _is_under_way(it) for it in attempts)

        folder = attempt_folder(settings.state_folder, address)
        if name is not None and folder.resolve() not in (folder / name).resolve().parents:
            raise WorkspaceError(f"{name!r} is no file of the attempt", hint="--list names them.")
        for text in follow(folder, name, is_over):
            _echo(text)


def _is_under_way(attempt: Attempt) -> bool:
    is_waiting = attempt.outcome is not None and attempt.outcome.final_state is attempt.state
    return not attempt.is_finished and not is_waiting


def _newest(store: Store, target: Target) -> AttemptAddress:
    phase = store.phase(target.run_id, str(target.phase_id))
    attempts = select_attempts(store.attempts(target.run_id, phase.phase_id), target)
    if not attempts:
        raise NotRecordedError(
            f"{target.run_id}/{target.phase_id} has no attempt yet", hint=f"autopack run {target.run_id}"
        )
    return address_of(target, attempts[-1].address.number)


def _folder(flags: Flags, settings: Settings, target: Target) -> Path:
    with open_store(flags, settings, writes=False) as store:
        return attempt_folder(settings.state_folder, _newest(store, target))


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _lines(path: Path, tail: int | None) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield from file if tail is None else deque(file, maxlen=tail)


def _print_list(flags: Flags, files: dict[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    if flags.as_json:
        print_json({"files": [{"name": name, "size_bytes": size} for name, size in sizes.items()]})
        return
    for name, size in sizes.items():
        say(f"{size:>12,}  {name}")
