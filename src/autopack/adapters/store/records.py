"""What failed, what was tried and what was decided; each function works inside a transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import reading
from autopack.adapters.store.codec import decode, encode
from autopack.adapters.store.tables import (
    attempt,
    builder_call,
    decision,
    drain_attempt,
    drain_session,
    phase,
)
from autopack.domain.bucket import FailedPhase, cause_kind
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.forecast import Try
from autopack.domain.go_no_go import Judgement, Observation
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainResult
from autopack.domain.verdicts import AttemptOutcome
from autopack.ports.triage import StoredJudgement

_phase = phase.c
_attempt = attempt.c
_call = builder_call.c
_item = drain_attempt.c
# In the same words as the index's condition.
_IS_FAILED = sa.literal_column("phase.state = 'FAILED'", sa.Boolean)
Row = sa.Row[Any]


def _tokens_of_attempt() -> sa.Label[int]:
    ours = (
        _call.run_id == _attempt.run_id,
        _call.phase_id == _attempt.phase_id,
        _call.number == _attempt.number,
    )
    spent = sa.select(sa.func.coalesce(sa.func.sum(reading.used_tokens()), 0)).where(*ours)
    return spent.scalar_subquery().label("tokens")


def failed_phases(db: sa.Connection, *, at: float | None = None) -> tuple[FailedPhase, ...]:
    """The phases that stand FAILED, or whose newest verdict stood FAILED at a time."""
    return _failed_now(db) if at is None else _failed_then(db, at)


def _failed_now(db: sa.Connection) -> tuple[FailedPhase, ...]:
    of_same_cause = sa.or_(
        _attempt.fingerprint == _phase.failure_fingerprint,
        # Failed before there were fingerprints.
        sa.and_(_phase.failure_fingerprint.is_(None), _attempt.number == _phase.last_attempt),
    )
    ours = sa.and_(_attempt.run_id == _phase.run_id, _attempt.phase_id == _phase.phase_id, of_same_cause)
    query = (
        sa.select(
            _phase.run_id,
            _phase.phase_id,
            _phase.failure_kind,
            _phase.failure_message,
            _phase.failure_fingerprint.label("fingerprint"),
            _attempt.finished_at,
            _tokens_of_attempt(),
        )
        .join_from(phase, attempt, ours)
        .where(_IS_FAILED, _attempt.finished_at.is_not(None))
        .order_by(_phase.run_id, _phase.phase_id, _attempt.number)
    )
    return tuple(_now(rows) for rows in _by_phase(db.execute(query)))


def _now(rows: Sequence[Row]) -> FailedPhase:
    row = rows[-1]
    kind = FailureKind(row.failure_kind)
    return _failed(
        rows, kind, row.fingerprint or _key_of(FailureReport(kind=kind, message=row.failure_message), row)
    )


def _failed_then(db: sa.Connection, at: float) -> tuple[FailedPhase, ...]:
    query = (
        sa.select(
            _attempt.run_id,
            _attempt.phase_id,
            _attempt.state,
            _attempt.finished_at,
            _attempt.fingerprint,
            sa.case((_attempt.fingerprint.is_(None), _attempt.outcome)).label("outcome"),
            _tokens_of_attempt(),
        )
        .where(_attempt.finished_at <= at)
        .order_by(_attempt.run_id, _attempt.phase_id, _attempt.number)
    )
    phases = _by_phase(db.execute(query))
    return tuple(_then(rows) for rows in phases if rows[-1].state == PhaseState.FAILED)


def _then(rows: Sequence[Row]) -> FailedPhase:
    last = rows[-1]
    if last.fingerprint is None:
        failure = decode(AttemptOutcome, last.outcome).failure
        if failure is not None:
            return _failed(rows[-1:], failure.kind, _key_of(failure, last))
    key = last.fingerprint or ""
    # The key names the kind of the cause, also where the attempt itself was doomed by it.
    return _failed(
        [row for row in rows if row.fingerprint == last.fingerprint], cause_kind(FailureKind.DOOMED, key), key
    )


def _key_of(failure: FailureReport, row: Row) -> str:
    # Compiling the patterns takes a while, and every failure of today has its key.
    from autopack.domain.fingerprint import of_failure  # noqa: PLC0415

    return str(of_failure(failure, place=f"{row.run_id}/{row.phase_id}"))


def _by_phase(rows: Iterable[Row]) -> Iterable[list[Row]]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.run_id, row.phase_id), []).append(row)
    return groups.values()


def _failed(rows: Sequence[Row], kind: FailureKind, key: str) -> FailedPhase:
    return FailedPhase(
        run_id=rows[0].run_id,
        phase_id=rows[0].phase_id,
        fingerprint=key,
        kind=kind,
        attempts=len(rows),
        tokens=sum(int(row.tokens) for row in rows),
        first_seen_at=min(row.finished_at for row in rows),
        last_seen_at=max(row.finished_at for row in rows),
    )


# --- what drained attempts show -------------------------------------------------------------------------


def observations(db: sa.Connection, *, session_id: str | None, newest: int) -> tuple[Observation, ...]:
    """The newest booked attempts of a session, or of all of them, oldest first."""
    query = sa.select(_item.result).where(_item.result.is_not(None))
    if session_id is not None:
        query = query.where(_item.session_id == session_id).order_by(_item.seq.desc())
    else:
        began = drain_session.c.started_at
        query = query.join(drain_session).order_by(began.desc(), _item.session_id.desc(), _item.seq.desc())
    texts = db.scalars(query.limit(newest)).all()
    return tuple(_to_observation(decode(DrainResult, text)) for text in reversed(texts))


def _to_observation(result: DrainResult) -> Observation:
    return Observation(
        run_id=result.run_id,
        phase_id=result.phase_id,
        calls=result.telemetry_events_collected,
        failure_kind=result.failure_kind,
        fingerprint=result.failure_fingerprint,
        is_retryable=result.is_retryable,
        is_replayed=result.replayed,
    )


def tries(db: sa.Connection, *, since: float) -> Mapping[str, Sequence[Try]]:
    """Attempts that drains made of phases which had failed before, by what these had failed with."""
    booked = (_item.is_counted, _item.expected_fingerprint.is_not(None), _item.picked_at >= since)
    query = sa.select(_item.expected_fingerprint, _item.result).where(*booked)
    found: dict[str, list[Try]] = {}
    for row in db.execute(query.order_by(_item.picked_at, _item.session_id, _item.seq)):
        result = decode(DrainResult, row.result)
        tried = Try(tokens=result.tokens_used, is_complete=result.success)
        found.setdefault(row.expected_fingerprint, []).append(tried)
    return found


# --- what was decided -----------------------------------------------------------------------------------


def save_decision(db: sa.Connection, judgement: Judgement, *, session_id: str | None, now: float) -> None:
    """Keep an answer with everything that it was judged by."""
    row = {"session_id": session_id, "at": now, "answer": judgement.decision, "numbers": encode(judgement)}
    db.execute(decision.insert().values(**row))


def read_decisions(db: sa.Connection, *, session_id: str | None, limit: int) -> tuple[StoredJudgement, ...]:
    """The newest answers, newest first."""
    query = sa.select(decision).order_by(decision.c.at.desc(), decision.c.decision_id.desc()).limit(limit)
    if session_id is not None:
        query = query.where(decision.c.session_id == session_id)
    return tuple(
        StoredJudgement(session_id=row.session_id, at=row.at, judgement=decode(Judgement, row.numbers))
        for row in db.execute(query)
    )
