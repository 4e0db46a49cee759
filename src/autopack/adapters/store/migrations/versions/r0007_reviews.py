"""Reviews of research, and what its attempts gathered."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
_IN_GATE = sa.text("state = 'GATE'")
_ATTEMPT = ["attempt.run_id", "attempt.phase_id", "attempt.number"]


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "review",
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text()),
        sa.Column("phase_id", sa.Text()),
        sa.Column("number", sa.Integer()),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("decided_at", sa.Double()),
        sa.Column("record", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id", "phase_id", "number"], _ATTEMPT, name="fk_review_attempt"),
        sa.PrimaryKeyConstraint("review_id", name="pk_review"),
    )
    op.create_index("ix_review_decided_at", "review", ["decided_at"])
    op.create_index("ix_review_place", "review", ["run_id", "phase_id"])
    op.create_table(
        "research_note",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id", "phase_id", "number"], _ATTEMPT, name="fk_research_note_attempt"),
        sa.PrimaryKeyConstraint("run_id", "phase_id", "number", "step", name="pk_research_note"),
    )
    op.create_index(
        "ix_phase_gate", "phase", ["run_id", "idx"], sqlite_where=_IN_GATE, postgresql_where=_IN_GATE
    )
