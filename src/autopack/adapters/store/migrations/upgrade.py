"""Runs the migrations over a connection, inside its transaction."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from autopack.adapters.store.tables import owns

_LOCATION = "autopack.adapters.store:migrations"


def config(connection: sa.Connection) -> Config:
    """What the migration library needs to work on this connection."""
    made = Config()
    made.set_main_option("script_location", _LOCATION)
    made.attributes["connection"] = connection
    return made


def upgrade(connection: sa.Connection) -> None:
    """Bring the database to the newest revision."""
    command.upgrade(config(connection), "head")


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a comparison looks at the thing: the engine's tables are none of our business."""
    return kind != "table" or owns(name)
