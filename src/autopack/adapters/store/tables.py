"""The tables that hold the truth about plans, phases, attempts and spending.

The engine keeps tables of its own in the same database; ``owns`` tells which are ours.
"""

import sqlalchemy as sa

SCHEMA_REVISION = "0011"
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


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """An index over a part of the rows; the migration that makes it states ``where``."""
    # To state it here would load the dialects of both databases into every process that makes an attempt.
    del where
    return sa.Index(name, *columns, unique=unique)


# Conditions of indexes; a query has to state them in the same words, without parameters, to be served by one.
READY = "state = 'QUEUED' AND missing_needs = 0"
"""The phase waits for nothing but its turn and its time."""
IN_GATE = "state = 'GATE'"
FAILED = "state = 'FAILED'"
STUCK = "state = 'FAILED' AND missing_needs > 0"
"""The phase failed, and needs one that is not COMPLETE any more, or not yet."""
DRAINABLE = "state = 'FAILED' AND missing_needs = 0 AND NOT is_stopped"
"""The phase failed of a cause that is not stopped, and what it needs is still there."""
NO_PROMPT = ""
"""The hash of an answer that nobody was asked for: it is kept in the ledger, and is no call."""
ANSWERED = "state = 'answered'"
"""The Builder's call ended with an answer, which the next estimate learns from."""
_PICK_ORDER = ("sample", "head_rank", "head_idx", "failed", "seq")

run = sa.Table(
    "run",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    # What the next pick needs of the run's phases, kept beside them: a pick is then one look into an index,
    # however large the backlog is. heads.py says what each holds and is the one place that writes them.
    sa.Column("ready_idx", sa.Integer),
    sa.Column("ready_at", sa.Double),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("head_rank", sa.Integer),
    sa.Column("head_idx", sa.Integer),
    sa.Column("head_fingerprint", sa.Text),
    sa.Column("sample", sa.Integer, nullable=False, server_default="0"),
    _partial("ix_run_ready", "seq", where="ready_idx IS NOT NULL"),
    _partial("ix_run_head", *_PICK_ORDER, where="head_rank IS NOT NULL AND ready_idx IS NULL"),
    _partial("ix_run_head_any", *_PICK_ORDER, where="head_rank IS NOT NULL"),
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
    sa.Column("failure_fingerprint", sa.Text),
    sa.Column("failure_rank", sa.Integer, nullable=False, server_default="0"),
    # Whether the fingerprint that the phase failed with is stopped.
    sa.Column("is_stopped", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index(None, "run_id", "idx"),
    sa.Index(None, "run_id", "state"),
    _partial("ix_phase_ready", "run_id", "idx", where=READY),
    _partial("ix_phase_gate", "run_id", "idx", where=IN_GATE),
    _partial("ix_phase_ready_at", "run_id", "retry_at", where=READY),
    _partial("ix_phase_head", "run_id", "failure_rank", "idx", where=DRAINABLE),
    # Without an index over the state alone: SQLite, which has no statistics, would prefer it to the next ones.
    _partial("ix_phase_stuck", "run_id", "idx", where=STUCK),
    _partial("ix_phase_fingerprint", "failure_fingerprint", "is_stopped", "run_id", "idx", where=FAILED),
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
    sa.Column("fingerprint", sa.Text),
    # Whether it failed of a mended cause where the fix was not: known once, for commits do not change.
    sa.Column("lacked_fix", sa.Boolean, nullable=False, server_default=sa.false()),
    # The attempt of the same phase whose answer this one judged again; its outcome tells it as well.
    sa.Column("replayed_from", sa.Integer),
    sa.ForeignKeyConstraint(["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"]),
    sa.Index(None, "is_held", "run_id"),
    _partial("ix_attempt_replay", "run_id", "phase_id", "number", where="replayed_from IS NOT NULL"),
    _partial("ix_attempt_fingerprint", "fingerprint", "finished_at", where="fingerprint IS NOT NULL"),
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
    sa.Column("session_id", sa.Text),
    sa.Column("model", sa.Text),
    # What the estimator learns from: the sort of phase, and what its answer was expected to be.
    sa.Column("category", sa.Text),
    sa.Column("complexity", sa.Text),
    sa.Column("deliverables", sa.Integer),
    sa.Column("predicted_tokens", sa.Integer),
    sa.Column("booked_tokens", sa.Integer),
    sa.Column("booked_usd", sa.Double),
    # What telemetry tells of the answer, beside it: an answer may be megabytes long.
    sa.Column("stop_reason", sa.Text),
    sa.Column("is_truncated", sa.Boolean),
    sa.Column("failure_kind", sa.Text),
    # Words by name, as JSON: which prompts it was asked with, in which format it answered, how its lines were found.
    sa.Column("notes", sa.Text),
    sa.ForeignKeyConstraint(
        ["run_id", "phase_id", "number"], ["attempt.run_id", "attempt.phase_id", "attempt.number"]
    ),
    sa.Index(None, "run_id", "phase_id", "number", "turn"),
    _partial(
        "ix_builder_call_sort",
        *("builder", "category", "complexity", "deliverables", "call_id"),
        where=ANSWERED,
    ),
    _partial("ix_builder_call_builder", "builder", "call_id", where=ANSWERED),
    _partial("ix_builder_call_session", "session_id", "call_id", where="session_id IS NOT NULL"),
)

# What was spent and promised under each limit: ``run:ID``, ``session:ID``, ``day:YYYY-MM-DD`` (UTC). Written in
# the transactions that book the calls, so that asking a budget reads one row.
spending = sa.Table(
    "spending",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Double, nullable=False),
)

# A provider that asked for patience: every call to it waits, not just the phase that was told.
builder_pause = sa.Table(
    "builder_pause",
    metadata,
    sa.Column("builder", sa.Text, primary_key=True),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("faults", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

# Requests to providers, each for a minute or two: what all workers keep a provider's limits by.
provider_turn = sa.Table(
    "provider_turn",
    metadata,
    sa.Column("turn_id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Index("ix_provider_turn_minute", "provider", "at"),
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

fingerprint = sa.Table(
    "fingerprint",
    metadata,
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("canonical", sa.Text, nullable=False),
    sa.Column("occurrences", sa.Integer, nullable=False),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.Column("first_seen_at", sa.Double, nullable=False),
    sa.Column("last_seen_at", sa.Double, nullable=False),
    sa.Column("first_seen_in", sa.Text, nullable=False),
    sa.Column("last_seen_in", sa.Text, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("stopped_at", sa.Double),
    sa.Column("stopped_by", sa.Text, nullable=False, server_default=""),
    sa.Column("stop_limit", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lifted_at", sa.Double),
    sa.Column("lifted_why", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_fingerprint_occurrences", "occurrences"),
    _partial("ix_fingerprint_stopped", "stopped_at", where="stopped_at IS NOT NULL"),
)

drain_session = sa.Table(
    "drain_session",
    metadata,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("limits", sa.Text, nullable=False),
    sa.Column("preset", sa.Text, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("heartbeat_at", sa.Double, nullable=False),
    sa.Column("completed_at", sa.Double),
    sa.Column("stop", sa.Text),
    sa.Column("active_seconds", sa.Double, nullable=False),
    sa.Column("picked", sa.Integer, nullable=False),
    sa.Column("total_processed", sa.Integer, nullable=False),
    sa.Column("total_success", sa.Integer, nullable=False),
    sa.Column("total_failed", sa.Integer, nullable=False),
    sa.Column("total_timeouts", sa.Integer, nullable=False),
    sa.Column("total_telemetry_events", sa.Integer, nullable=False),
    sa.Column("total_tokens", sa.BigInteger, nullable=False),
    sa.Column("tokens_not_spent", sa.BigInteger, nullable=False),
    sa.Column("zero_yield_in_row", sa.Integer, nullable=False),
    # The first session of the steps that one operator's climb is made of; null for a session by itself.
    sa.Column("climb", sa.Text),
    sa.Index("ix_drain_session_started", "started_at"),
    _partial("ix_drain_session_climb", "climb", where="climb IS NOT NULL"),
)

drain_attempt = sa.Table(
    "drain_attempt",
    metadata,
    sa.Column("session_id", sa.Text, sa.ForeignKey("drain_session.session_id"), primary_key=True),
    # An attempt that was given back after a fault of the surroundings may be taken again, by the same session too.
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("phase_id", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("phase_index", sa.Integer, nullable=False),
    sa.Column("initial_state", sa.Text, nullable=False),
    # What its session was told; one that takes it over from a dead session makes it as it was meant.
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("timeout_seconds", sa.Double, nullable=False),
    sa.Column("sample", sa.Integer, nullable=False),
    sa.Column("expected_fingerprint", sa.Text),
    sa.Column("picked_at", sa.Double, nullable=False),
    sa.Column("booked_at", sa.Double),
    # Whether it counts against the limit of attempts of its phase; a fault of the surroundings does not.
    sa.Column("is_counted", sa.Boolean, nullable=False),
    sa.Column("is_timeout", sa.Boolean, nullable=False),
    sa.Column("fingerprint", sa.Text),
    sa.Column("result", sa.Text),
    sa.ForeignKeyConstraint(["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"]),
    sa.Index("ix_drain_attempt_place", "session_id", "run_id", "phase_id"),
    _partial("ix_drain_attempt_fingerprint", "fingerprint", "booked_at", where="fingerprint IS NOT NULL"),
    # A run has one attempt at a time, whoever drains it.
    _partial("ix_drain_attempt_open", "run_id", where="booked_at IS NULL", unique=True),
)

blocker = sa.Table(
    "blocker",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fingerprint", sa.Text, nullable=False, unique=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("introduced_by", sa.Text, nullable=False),
    sa.Column("fix_commit", sa.Text),
    sa.Column("fixed_at", sa.Double),
    # Which attempt failed of it again after its fix was validated.
    sa.Column("recurred_in", sa.Text),
    sa.Column("recurrences", sa.Integer, nullable=False),
)

blocker_event = sa.Table(
    "blocker_event",
    metadata,
    sa.Column("number", sa.Integer, sa.ForeignKey("blocker.number"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("session_id", sa.Text),
    sa.Column("commit_id", sa.Text),
)

# The phases that a blocker held when its fix was validated, and what became of each.
blocker_phase = sa.Table(
    "blocker_phase",
    metadata,
    sa.Column("number", sa.Integer, sa.ForeignKey("blocker.number"), primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("phase_id", sa.Text, primary_key=True),
    sa.Column("release", sa.Text, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.ForeignKeyConstraint(["run_id", "phase_id"], ["phase.run_id", "phase.phase_id"]),
    sa.Index("ix_blocker_phase_release", "number", "release"),
    sa.Index("ix_blocker_phase_place", "run_id", "phase_id"),
)

decision = sa.Table(
    "decision",
    metadata,
    sa.Column("decision_id", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("session_id", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("numbers", sa.Text, nullable=False),
    sa.Index("ix_decision_at", "at"),
)

_ATTEMPT = ("attempt.run_id", "attempt.phase_id", "attempt.number")

# Reviews of research; one without an attempt is of research outside of any run.
review = sa.Table(
    "review",
    metadata,
    sa.Column("review_id", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text),
    sa.Column("phase_id", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("submitted_at", sa.Double, nullable=False),
    sa.Column("decided_at", sa.Double),
    sa.Column("record", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["run_id", "phase_id", "number"], _ATTEMPT),
    sa.Index("ix_review_decided_at", "decided_at"),
    sa.Index("ix_review_place", "run_id", "phase_id"),
)

# What the steps of an attempt's research gathered, so that it is gathered once.
research_note = sa.Table(
    "research_note",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("phase_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["run_id", "phase_id", "number"], _ATTEMPT),
)
