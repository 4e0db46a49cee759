"""Which answer an attempt judged again, beside its outcome: an index finds the few that did."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_IS_REPLAY = sa.text("replayed_from IS NOT NULL")
_PLACE = ("run_id", "phase_id", "number")
_attempt = sa.table("attempt", *map(sa.column, (*_PLACE, "outcome", "replayed_from")))
# Every field of an outcome is written, so that this is in its text where nothing was replayed and nowhere else:
# inside a text of it each quotation mark has a backslash before it.
_NO_REPLAY = '%"replayed_from":null%'


def upgrade() -> None:
    """Add the column, with what the outcomes of before tell, and its index."""
    op.add_column("attempt", sa.Column("replayed_from", sa.Integer()))
    db = op.get_bind()
    for row in db.execute(sa.select(_attempt).where(_attempt.c.outcome.not_like(_NO_REPLAY))).all():
        ours = (_attempt.c[name] == getattr(row, name) for name in _PLACE)
        told = json.loads(row.outcome).get("replayed_from")
        db.execute(_attempt.update().where(*ours).values(replayed_from=told))
    op.create_index(
        "ix_attempt_replay", "attempt", [*_PLACE], sqlite_where=_IS_REPLAY, postgresql_where=_IS_REPLAY
    )
