"""The tables that hold the truth about plans, phases, attempts and spending.

The engine keeps tables of its own in the same database; ``owns`` tells which are ours.
"""

import sqlalchemy as sa

SCHEMA_REVISION = "0001"
"""The newest migration; an older or newer database is not worked with."""
VERSION_TABLE = "autopack_schema"

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def owns(table_name: str | None) -> bool:
    """Whether the table is one of Autopack's own."""
    return table_name == VERSION_TABLE or table_name in metadata.tables


run = sa.Table(
    "run",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

phase = sa.Table(
    "phase",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
    sa.Column("phase_id", sa.Text, primary_key=True),
    sa.Column("idx", sa.Integer, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_attempt", sa.Integer, nullable=False),
    sa.Column("crashes", sa.Integer, nullable=False),
    sa.Column("requeues", sa.Integer, nullable=False),
    sa.Column("failure_kind", sa.Text),
    sa.Column("failure_message", sa.Text, nullable=False),
    sa.Column("commit_id", sa.Text),
    sa.Column("retry_at", sa.Double),
    sa.Column("awaits_approval", sa.Boolean, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    # How many rows of phase_need name a phase that is not COMPLETE. Kept beside the state so that "what may
    # go now" is one look into an index, however much work waits or is done.
    sa.Column("missing_needs", sa.Integer, nullable=False),
    sa.Index(None, "run_id", "idx"),
    sa.Index(None, "state", "missing_needs", "run_id", "idx", "retry_at"),
)

phase_need = sa.Table(
    "phase_need",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("phase_id", sa.Text, primary_key=True),
    sa.Column("need", sa.Text, primary_key=True),
    sa.ForeignKeyConstraint(["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"]),
    sa.Index(None, "run_id", "need"),
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("phase_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    # True from a claim until the attempt is finished, given back, parked or taken from a dead process.
    sa.Column("is_held", sa.Boolean, nullable=False),
    sa.Column("base_commit", sa.Text),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("heartbeat_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("outcome", sa.Text),
    sa.ForeignKeyConstraint(["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"]),
    sa.Index(None, "is_held", "run_id"),
)

builder_call = sa.Table(
    "builder_call",
    metadata,
    sa.Column("call_id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("phase_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # True for an answer, and for a failure that would come again: neither is paid for twice.
    sa.Column("is_reusable", sa.Boolean, nullable=False),
    sa.Column("builder", sa.Text, nullable=False),
    sa.Column("prompt_hash", sa.Text, nullable=False),
    sa.Column("expected_tokens", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("cached_tokens", sa.Integer),
    sa.Column("cost_usd", sa.Double),
    sa.Column("is_estimated", sa.Boolean),
    sa.Column("answer", sa.Text),
    sa.Column("base_commit", sa.Text),
    sa.Column("duration_seconds", sa.Double),
    sa.Column("reserved_at", sa.Double, nullable=False),
    sa.Column("settled_at", sa.Double),
    sa.ForeignKeyConstraint(
        ["run_id", "phase_id", "number"], ["attempt.run_id", "attempt.phase_id", "attempt.number"]
    ),
    sa.Index(None, "run_id", "phase_id", "number", "turn"),
)

baseline = sa.Table(
    "baseline",
    metadata,
    # The key's parts may be longer than PostgreSQL lets an index entry be.
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("commit_id", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("report", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

approval = sa.Table(
    "approval",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("phase_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("decision", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(
        ["run_id", "phase_id", "number"], ["attempt.run_id", "attempt.phase_id", "attempt.number"]
    ),
)
