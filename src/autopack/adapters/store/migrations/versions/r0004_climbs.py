"""Drain sessions that are steps of one climb, and share their limits."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what links them; sessions of before had no limit of faults for a phase."""
    op.add_column("drain_session", sa.Column("climb", sa.Text()))
    op.create_index(
        "ix_drain_session_climb",
        "drain_session",
        ["climb"],
        sqlite_where=sa.text("climb IS NOT NULL"),
        postgresql_where=sa.text("climb IS NOT NULL"),
    )
    limits = sa.column("limits", sa.Text())
    session = sa.table("drain_session", limits)
    unlimited = sa.func.replace(limits, "}", ',"max_faults_per_phase":null}')
    op.execute(session.update().values(limits=unlimited))
