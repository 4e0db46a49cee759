"""``autopack logs``."""

import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from autopack.cli.flags import Flags, make_command
from autopack.cli.render import print_json, printable, say
from autopack.cli.session import load, open_store
from autopack.cli.show import select_attempts
from autopack.cli.target import Target, TargetType, address_of
from autopack.errors import StoreError, WorkspaceError
from autopack.execution.launch import attempt_folder
from autopack.settings import Settings

_OUT, _ERR = "executor.out", "executor.err"


@make_command("logs", epilog="Without N it is the newest attempt.")
@click.argument("target", metavar="RUN/PHASE[/N]", type=TargetType(needs_phase=True))
@click.option("--stderr", "wants_stderr", is_flag=True, help="What the attempt's process wrote to stderr.")
@click.option("--file", "name", metavar="NAME", help="Another file of the attempt; --list names them.")
@click.option("--list", "lists", is_flag=True, help="Name the attempt's files and their sizes.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="The last N lines only.")
def command(
    flags: Flags, target: Target, wants_stderr: bool, name: str | None, lists: bool, tail: int | None
) -> None:
    """Print what an attempt wrote."""
    if wants_stderr and name:
        raise click.UsageError("--stderr and --file exclude each other")
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
        click.echo(printable(line) if sys.stdout.isatty() else line, nl=False)


def _folder(flags: Flags, settings: Settings, target: Target) -> Path:
    with open_store(flags, settings, writes=False) as store:
        attempts = select_attempts(store.attempts(target.run_id, str(target.phase_id)), target)
    if not attempts:
        raise StoreError(
            f"{target.run_id}/{target.phase_id} has no attempt yet", hint=f"autopack run {target.run_id}"
        )
    return attempt_folder(settings.state_folder, address_of(target, attempts[-1].address.number))


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
