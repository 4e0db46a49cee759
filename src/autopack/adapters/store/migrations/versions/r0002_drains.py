"""Drain sessions, fingerprints, budgets, and what a pick needs of each run."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_READY = "state = 'QUEUED' AND missing_needs = 0"
_DRAINABLE = "state = 'FAILED' AND missing_needs = 0 AND NOT is_stopped"
# Failures of before have no fingerprint and no rank: they are tried first, as phases without a record.
_FILL = """
UPDATE run SET
  ready_idx = (SELECT idx FROM phase WHERE phase.run_id = run.run_id AND state = 'QUEUED' AND missing_needs = 0
    ORDER BY idx LIMIT 1),
  ready_at = (SELECT nullif(min(coalesce(retry_at, 0)), 0) FROM phase
    WHERE phase.run_id = run.run_id AND state = 'QUEUED' AND missing_needs = 0),
  failed = (SELECT count(*) FROM phase WHERE phase.run_id = run.run_id AND state = 'FAILED'),
  head_rank = (SELECT 0 FROM phase WHERE phase.run_id = run.run_id AND state = 'FAILED' AND missing_needs = 0
    ORDER BY idx LIMIT 1),
  head_idx = (SELECT idx FROM phase WHERE phase.run_id = run.run_id AND state = 'FAILED' AND missing_needs = 0
    ORDER BY idx LIMIT 1)
"""


def upgrade() -> None:
    """Add them, and fill what older rows lack."""
    op.add_column("run", sa.Column("ready_idx", sa.Integer()))
    op.add_column("run", sa.Column("ready_at", sa.Double()))
    op.add_column("run", sa.Column("failed", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("run", sa.Column("head_rank", sa.Integer()))
    op.add_column("run", sa.Column("head_idx", sa.Integer()))
    op.add_column("run", sa.Column("head_fingerprint", sa.Text()))
    op.add_column("run", sa.Column("sample", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("phase", sa.Column("failure_fingerprint", sa.Text()))
    op.add_column("phase", sa.Column("failure_rank", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("phase", sa.Column("is_stopped", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("attempt", sa.Column("fingerprint", sa.Text()))
    op.add_column("builder_call", sa.Column("session_id", sa.Text()))
    op.add_column("builder_call", sa.Column("model", sa.Text()))
    op.add_column("builder_call", sa.Column("category", sa.Text()))
    op.add_column("builder_call", sa.Column("complexity", sa.Text()))
    op.add_column("builder_call", sa.Column("deliverables", sa.Integer()))
    op.add_column("builder_call", sa.Column("predicted_tokens", sa.Integer()))
    op.add_column("builder_call", sa.Column("booked_tokens", sa.Integer()))
    op.add_column("builder_call", sa.Column("booked_usd", sa.Double()))
    op.add_column("builder_call", sa.Column("stop_reason", sa.Text()))
    op.add_column("builder_call", sa.Column("is_truncated", sa.Boolean()))
    op.add_column("builder_call", sa.Column("failure_kind", sa.Text()))
    _index(
        "ix_run_head",
        "run",
        ["sample", "head_rank", "head_idx", "failed", "seq"],
        where="head_rank IS NOT NULL AND ready_idx IS NULL",
    )
    _index(
        "ix_run_head_any",
        "run",
        ["sample", "head_rank", "head_idx", "failed", "seq"],
        where="head_rank IS NOT NULL",
    )
    _index("ix_run_ready", "run", ["seq"], where="ready_idx IS NOT NULL")
    _index(
        "ix_phase_fingerprint",
        "phase",
        ["failure_fingerprint", "is_stopped", "run_id", "idx"],
        where="state = 'FAILED'",
    )
    op.create_index("ix_phase_run_id_state", "phase", ["run_id", "state"])
    _index("ix_phase_ready", "phase", ["run_id", "idx"], where=_READY)
    _index("ix_phase_ready_at", "phase", ["run_id", "retry_at"], where=_READY)
    _index("ix_phase_head", "phase", ["run_id", "failure_rank", "idx"], where=_DRAINABLE)
    _index("ix_phase_stuck", "phase", ["run_id", "idx"], where="state = 'FAILED' AND missing_needs > 0")
    _index(
        "ix_attempt_fingerprint", "attempt", ["fingerprint", "finished_at"], where="fingerprint IS NOT NULL"
    )
    _index(
        "ix_builder_call_session", "builder_call", ["session_id", "call_id"], where="session_id IS NOT NULL"
    )
    _index(
        "ix_builder_call_sort",
        "builder_call",
        ["builder", "category", "complexity", "deliverables", "call_id"],
        where="state = 'answered'",
    )
    _index("ix_builder_call_builder", "builder_call", ["builder", "call_id"], where="state = 'answered'")
    _make_tables()
    op.drop_index("ix_phase_state_missing_needs_run_id_idx_retry_at", "phase")
    op.execute(_FILL)


def _make_tables() -> None:
    op.create_table(
        "spending",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_spending"),
    )
    op.create_table(
        "builder_pause",
        sa.Column("builder", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("builder", name="pk_builder_pause"),
    )
    op.create_table(
        "fingerprint",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=False),
        sa.Column("first_seen_in", sa.Text(), nullable=False),
        sa.Column("last_seen_in", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.Double()),
        sa.Column("stopped_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("stop_limit", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lifted_at", sa.Double()),
        sa.Column("lifted_why", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_fingerprint"),
    )
    op.create_index("ix_fingerprint_occurrences", "fingerprint", ["occurrences"])
    _index("ix_fingerprint_stopped", "fingerprint", ["stopped_at"], where="stopped_at IS NOT NULL")
    op.create_table(
        "drain_session",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.Column("preset", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.Column("completed_at", sa.Double()),
        sa.Column("stop", sa.Text()),
        sa.Column("active_seconds", sa.Double(), nullable=False),
        sa.Column("picked", sa.Integer(), nullable=False),
        sa.Column("total_processed", sa.Integer(), nullable=False),
        sa.Column("total_success", sa.Integer(), nullable=False),
        sa.Column("total_failed", sa.Integer(), nullable=False),
        sa.Column("total_timeouts", sa.Integer(), nullable=False),
        sa.Column("total_telemetry_events", sa.Integer(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("tokens_not_spent", sa.BigInteger(), nullable=False),
        sa.Column("zero_yield_in_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_drain_session"),
    )
    op.create_index("ix_drain_session_started", "drain_session", ["started_at"])
    op.create_table(
        "drain_attempt",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("phase_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("phase_index", sa.Integer(), nullable=False),
        sa.Column("initial_state", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("timeout_seconds", sa.Double(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("expected_fingerprint", sa.Text()),
        sa.Column("picked_at", sa.Double(), nullable=False),
        sa.Column("booked_at", sa.Double()),
        sa.Column("is_counted", sa.Boolean(), nullable=False),
        sa.Column("is_timeout", sa.Boolean(), nullable=False),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.ForeignKeyConstraint(
            ["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"], name="fk_drain_attempt_phase"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["drain_session.session_id"], name="fk_drain_attempt_drain_session"
        ),
        sa.PrimaryKeyConstraint("session_id", "seq", name="pk_drain_attempt"),
    )
    op.create_index("ix_drain_attempt_place", "drain_attempt", ["session_id", "run_id", "phase_id"])
    _index(
        "ix_drain_attempt_fingerprint",
        "drain_attempt",
        ["fingerprint", "booked_at"],
        where="fingerprint IS NOT NULL",
    )
    _index("ix_drain_attempt_open", "drain_attempt", ["run_id"], where="booked_at IS NULL", unique=True)


def _index(name: str, table: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
