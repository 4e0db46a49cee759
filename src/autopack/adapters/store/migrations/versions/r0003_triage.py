"""Blockers, what was done about each, and decisions to go on or not."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "blocker",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("introduced_by", sa.Text(), nullable=False),
        sa.Column("fix_commit", sa.Text()),
        sa.Column("fixed_at", sa.Double()),
        sa.Column("recurred_in", sa.Text()),
        sa.Column("recurrences", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_blocker"),
        sa.UniqueConstraint("fingerprint", name="uq_blocker_fingerprint"),
    )
    op.create_table(
        "blocker_event",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text()),
        sa.Column("commit_id", sa.Text()),
        sa.ForeignKeyConstraint(["number"], ["blocker.number"], name="fk_blocker_event_blocker"),
        sa.PrimaryKeyConstraint("number", "seq", name="pk_blocker_event"),
    )
    op.create_table(
        "blocker_phase",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["blocker.number"], name="fk_blocker_phase_blocker"),
        sa.ForeignKeyConstraint(
            ["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"], name="fk_blocker_phase_phase"
        ),
        sa.PrimaryKeyConstraint("number", "run_id", "phase_id", name="pk_blocker_phase"),
    )
    op.create_index("ix_blocker_phase_release", "blocker_phase", ["number", "release"])
    op.create_index("ix_blocker_phase_place", "blocker_phase", ["run_id", "phase_id"])
    op.create_table(
        "decision",
        sa.Column("decision_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("session_id", sa.Text()),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decision"),
    )
    op.create_index("ix_decision_at", "decision", ["at"])
