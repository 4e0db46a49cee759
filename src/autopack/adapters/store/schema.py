"""The revision of a database's tables: read on every opening, changed only on request."""

import sqlalchemy as sa

from autopack.adapters.store.database import Database
from autopack.adapters.store.tables import SCHEMA_REVISION, VERSION_TABLE
from autopack.errors import StoreError

# Any number that no other program on the server is likely to lock.
_MIGRATION_LOCK = 7_294_106_551


def check_schema(database: Database) -> None:
    """Refuse a database without Autopack's tables, or with tables of another version.

    Raises:
        StoreError: The hint says whether to run `autopack init` or to upgrade.
    """
    with database.reading() as connection:
        found = _revision(connection)
    if found is None:
        raise StoreError(
            f"{database.place} holds no Autopack tables", hint="Run `autopack init` to make them."
        )
    _refuse_newer(found, database.place)
    if found != SCHEMA_REVISION:
        raise StoreError(
            f"{database.place} has schema {found}, and this Autopack needs {SCHEMA_REVISION}",
            hint="Stop all workers, then run `autopack init` to bring it up to date.",
        )


def migrate(database: Database) -> str:
    """Make the tables, or bring older ones up to date; all or nothing, and one process at a time.

    Returns:
        What was done, for an operator; empty where nothing was.

    Raises:
        StoreError: The tables are newer than this Autopack.
    """
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        found = _revision(connection)
        if found == SCHEMA_REVISION:
            return ""
        if found is not None:
            _refuse_newer(found, database.place)
        # Only `autopack init` needs the migration library, and every attempt's process opens the store.
        from autopack.adapters.store.migrations.upgrade import upgrade  # noqa: PLC0415 - see above

        upgrade(connection)
    if found is None:
        return f"tables in {database.place}"
    return f"schema {SCHEMA_REVISION} of {database.place}, which had {found}"


def _refuse_newer(found: str, place: str) -> None:
    if found > SCHEMA_REVISION:
        raise StoreError(
            f"{place} has schema {found}, which is newer than this Autopack's {SCHEMA_REVISION}",
            hint="Upgrade Autopack, or use another DATABASE_URL.",
        )


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = sa.column("version_num", sa.Text)
    return connection.execute(sa.select(version).select_from(sa.table(VERSION_TABLE))).scalar_one_or_none()
