"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "baseline",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("commit_id", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("report", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_baseline"),
    )
    op.create_table(
        "run",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_run"),
        sa.UniqueConstraint("seq", name="uq_run_seq"),
    )
    op.create_table(
        "phase",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("requeues", sa.Integer(), nullable=False),
        sa.Column("failure_kind", sa.Text()),
        sa.Column("failure_message", sa.Text(), nullable=False),
        sa.Column("commit_id", sa.Text()),
        sa.Column("retry_at", sa.Double()),
        sa.Column("awaits_approval", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("missing_needs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name="fk_phase_run"),
        sa.PrimaryKeyConstraint("run_id", "phase_id", name="pk_phase"),
    )
    op.create_index("ix_phase_run_id_idx", "phase", ["run_id", "idx"])
    op.create_index(
        "ix_phase_state_missing_needs_run_id_idx_retry_at",
        "phase",
        ["state", "missing_needs", "run_id", "idx", "retry_at"],
    )
    op.create_table(
        "attempt",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("is_held", sa.Boolean(), nullable=False),
        sa.Column("base_commit", sa.Text()),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double()),
        sa.Column("outcome", sa.Text()),
        sa.ForeignKeyConstraint(
            ["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"], name="fk_attempt_phase"
        ),
        sa.PrimaryKeyConstraint("run_id", "phase_id", "number", name="pk_attempt"),
    )
    op.create_index("ix_attempt_is_held_run_id", "attempt", ["is_held", "run_id"])
    op.create_table(
        "phase_need",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("need", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"], name="fk_phase_need_phase"
        ),
        sa.PrimaryKeyConstraint("run_id", "phase_id", "need", name="pk_phase_need"),
    )
    op.create_index("ix_phase_need_run_id_need", "phase_need", ["run_id", "need"])
    op.create_table(
        "approval",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "phase_id", "number"],
            ["attempt.run_id", "attempt.phase_id", "attempt.number"],
            name="fk_approval_attempt",
        ),
        sa.PrimaryKeyConstraint("run_id", "phase_id", "number", name="pk_approval"),
    )
    op.create_table(
        "builder_call",
        sa.Column("call_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_reusable", sa.Boolean(), nullable=False),
        sa.Column("builder", sa.Text(), nullable=False),
        sa.Column("prompt_hash", sa.Text(), nullable=False),
        sa.Column("expected_tokens", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("cached_tokens", sa.Integer()),
        sa.Column("cost_usd", sa.Double()),
        sa.Column("is_estimated", sa.Boolean()),
        sa.Column("answer", sa.Text()),
        sa.Column("base_commit", sa.Text()),
        sa.Column("duration_seconds", sa.Double()),
        sa.Column("reserved_at", sa.Double(), nullable=False),
        sa.Column("settled_at", sa.Double()),
        sa.ForeignKeyConstraint(
            ["run_id", "phase_id", "number"],
            ["attempt.run_id", "attempt.phase_id", "attempt.number"],
            name="fk_builder_call_attempt",
        ),
        sa.PrimaryKeyConstraint("call_id", name="pk_builder_call"),
    )
    op.create_index(
        "ix_builder_call_run_id_phase_id_number_turn",
        "builder_call",
        ["run_id", "phase_id", "number", "turn"],
    )
