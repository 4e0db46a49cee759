"""What a command works with: the repository's settings and its store."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from autopack.cli.flags import Flags
from autopack.errors import WorkspaceError
from autopack.ports import Store
from autopack.settings import Settings, find_root, load_settings


def root_of(flags: Flags) -> Path:
    """The repository that is meant: the one named, else the one around the working folder.

    Raises:
        WorkspaceError: There is none, or ``--root`` names a folder that is not the root of one.
    """
    if flags.root is None:
        # The one place that asks where the operator stands.
        return find_root(Path())
    root = flags.root.resolve()
    nearest = find_root(root)
    if nearest != root:
        raise WorkspaceError(f"{root} is not the root of a repository", hint=f"Use --root {nearest}.")
    return root


def load(flags: Flags, *, builder: str | None = None, workers: int | None = None) -> Settings:
    """The settings of the repository that is meant."""
    return load_settings(
        root_of(flags),
        environ=os.environ,
        database_url=flags.database_url,
        builder=builder,
        workers=workers,
    )


@contextmanager
def open_store(flags: Flags, settings: Settings, *, writes: bool) -> Iterator[Store]:
    """The repository's store; a command that writes says first which database that is."""
    from autopack import bootstrap

    tell_warnings()
    with closing(bootstrap.open_store(settings)) as store:
        if writes:
            say_database(flags, store.identity)
        yield store


def say_database(flags: Flags, identity: str) -> None:
    """Tell the operator which database a command writes to."""
    click.echo(f"database: {identity}", err=flags.as_json)


def now() -> float:
    """Seconds since the epoch."""
    from autopack.adapters.clock import SystemClock

    return SystemClock().now()


def start_logging() -> None:
    """Write the program's events to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FieldFormatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("autopack")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def tell_warnings() -> None:
    """Have warnings say their fields, where an operator did not ask for all events: a name alone tells nobody."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_FieldFormatter("%(levelname)s: %(message)s"))


class _FieldFormatter(logging.Formatter):
    """An event's name and its fields on one line."""

    _own = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}

    def format(self, record: logging.LogRecord) -> str:
        said = {name: value for name, value in vars(record).items() if name not in self._own}
        return " ".join((super().format(record), *(f"{name}={value}" for name, value in said.items())))
