"""Inserts that know what to do about a row that is there; the two databases say it in the same words."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.dialects.sqlite import Insert


def insert_or(db: sa.Connection, table: sa.Table) -> "Insert":
    """An insert with ``on_conflict_do_update`` and ``on_conflict_do_nothing`` for the connection's database."""
    # Each process talks to one kind of database; loading the other's dialect took a tenth of a short attempt.
    if db.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415 - see above

        return insert(table)
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql  # noqa: PLC0415 - see above

    return insert_postgresql(table)  # type: ignore[return-value]  # the same methods, on a class of its own
