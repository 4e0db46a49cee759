"""What a database is told about how to look something up."""

import sqlalchemy as sa

# What is switched off and still needed seems to cost a fortune, so that PostgreSQL would compile the query first:
# that takes a second.
_FOLLOW_INDEXES = sa.text(
    "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),"
    " set_config('jit', 'off', true)"
)


def follow_indexes(db: sa.Connection) -> None:
    """Have this transaction's queries read an index in its order up to what they want, not sort all that may be.

    PostgreSQL guesses from statistics how much there is to sort. It has none of a backlog that was just imported, and
    would then gather all of it for each pick. SQLite takes the index by itself.
    """
    if db.dialect.name == "postgresql":
        db.execute(_FOLLOW_INDEXES)
