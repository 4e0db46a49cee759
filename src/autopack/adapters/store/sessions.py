"""Drain sessions: begun, worked on, counted and ended; each function works inside a transaction."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import fingerprints
from autopack.adapters.store.codec import decode, encode
from autopack.adapters.store.tables import drain_attempt, drain_session, fingerprint
from autopack.domain.drain_policy import DrainLimits, Stop, StopRule
from autopack.domain.session import DrainScope, Session
from autopack.errors import LeaseLostError, StoreError

_session = drain_session.c
_item = drain_attempt.c
_ZERO = (
    "active_seconds",
    "picked",
    "total_processed",
    "total_success",
    "total_failed",
    "total_timeouts",
    "total_telemetry_events",
    "total_tokens",
    "tokens_not_spent",
    "zero_yield_in_row",
)


def start(
    db: sa.Connection,
    scope: DrainScope,
    limits: DrainLimits,
    *,
    preset: str,
    owner: str,
    now: float,
    is_owner_dead: Callable[[str, float], bool],
) -> Session:
    """Begin a session; what a dead one left under way is its to finish."""
    session_id = _free_id(db, now)
    row = {
        "session_id": session_id,
        "scope": encode(scope),
        "limits": encode(limits),
        "preset": preset,
        "started_at": now,
        "owner": owner,
        "heartbeat_at": now,
        **dict.fromkeys(_ZERO, 0),
    }
    db.execute(drain_session.insert().values(**row))
    for other in _open_sessions(db):
        if other.session_id != session_id and is_owner_dead(other.owner, other.heartbeat_at):
            _adopt(db, session_id, other.session_id, now=now)
    fingerprints.stop_exhausted(db, limit=limits.max_fingerprint_repeats, session_id=session_id, now=now)
    return read(db, session_id)


def _free_id(db: sa.Connection, now: float) -> str:
    stem = datetime.fromtimestamp(now, UTC).strftime("batch-drain-%Y%m%d-%H%M%S")
    same = _session.session_id == stem
    taken = set(
        db.scalars(sa.select(_session.session_id).where(sa.or_(same, _session.session_id.like(f"{stem}-%"))))
    )
    names = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def _open_sessions(db: sa.Connection) -> Sequence[sa.Row[Any]]:
    unfinished = _session.completed_at.is_(None)
    return db.execute(sa.select(drain_session).where(unfinished).order_by(_session.started_at.desc())).all()


def _adopt(db: sa.Connection, session_id: str, dead_id: str, *, now: float) -> None:
    ours = (_item.session_id == dead_id, _item.booked_at.is_(None))
    moved = db.execute(drain_attempt.update().where(*ours).values(session_id=session_id)).rowcount
    left = Stop(rule=StopRule.INTERRUPTED, seen=moved, limit=0, subject=session_id)
    ended = {"completed_at": now, "stop": encode(left), "picked": _session.picked - moved}
    db.execute(drain_session.update().where(_session.session_id == dead_id).values(**ended))
    grown = {"picked": _session.picked + moved}
    db.execute(drain_session.update().where(_session.session_id == session_id).values(**grown))


def resume(
    db: sa.Connection,
    session_id: str | None,
    *,
    owner: str,
    now: float,
    is_owner_dead: Callable[[str, float], bool],
) -> Session:
    """Go on with a session that was left: the named one, else the newest that is not ended.

    Raises:
        StoreError: There is none, it is ended, or a live process works on it.
    """
    row = _to_resume(db, session_id)
    if row.owner != owner and not is_owner_dead(row.owner, row.heartbeat_at):
        raise StoreError(
            f"session {row.session_id} is being worked on by {row.owner}", hint="Stop that process first."
        )
    mine = {"owner": owner, "heartbeat_at": now}
    db.execute(drain_session.update().where(_session.session_id == row.session_id).values(**mine))
    return read(db, row.session_id)


def _to_resume(db: sa.Connection, session_id: str | None) -> sa.Row[Any]:
    if session_id is None:
        unfinished = _open_sessions(db)
        if not unfinished:
            raise StoreError("there is no session to resume", hint="Leave --resume out to start one.")
        return unfinished[0]
    row = _row(db, session_id)
    if row.completed_at is not None:
        stop = decode(Stop, row.stop) if row.stop else None
        raise StoreError(f"session {session_id} has ended ({stop})", hint="Leave --resume out to start one.")
    return row


def _row(db: sa.Connection, session_id: str) -> sa.Row[Any]:
    row = db.execute(sa.select(drain_session).where(_session.session_id == session_id)).first()
    if row is None:
        raise StoreError(f"there is no session {session_id!r}", hint="`autopack drain sessions` lists them.")
    return row


def touch(db: sa.Connection, session_id: str, *, owner: str, now: float) -> None:
    """Say that the session is worked on, and count the time; raises LeaseLostError when another took it."""
    worked = _session.active_seconds + (now - _session.heartbeat_at)
    ours = (_session.session_id == session_id, _session.owner == owner)
    beat = drain_session.update().where(*ours).values(active_seconds=worked, heartbeat_at=now)
    if db.execute(beat).rowcount == 0:
        raise LeaseLostError(f"session {session_id} was taken over by another process")


def finish(db: sa.Connection, session_id: str, stop: Stop, *, now: float) -> None:
    """End the session; the first word on why stays."""
    ended = {"completed_at": now, "stop": encode(stop)}
    ours = (_session.session_id == session_id, _session.completed_at.is_(None))
    db.execute(drain_session.update().where(*ours).values(**ended))


def read(db: sa.Connection, session_id: str) -> Session:
    """One session with its totals; raises StoreError when there is none."""
    return _to_session(db, _row(db, session_id))


def read_all(db: sa.Connection, *, limit: int) -> tuple[Session, ...]:
    """The newest sessions, newest first."""
    rows = db.execute(sa.select(drain_session).order_by(_session.started_at.desc()).limit(limit)).all()
    return tuple(_to_session(db, row) for row in rows)


def _to_session(db: sa.Connection, row: sa.Row[Any]) -> Session:
    limits = decode(DrainLimits, row.limits)
    return Session(
        session_id=row.session_id,
        scope=decode(DrainScope, row.scope),
        limits=limits,
        preset=row.preset,
        started_at=row.started_at,
        owner=row.owner,
        heartbeat_at=row.heartbeat_at,
        completed_at=row.completed_at,
        stop=decode(Stop, row.stop) if row.stop else None,
        fingerprint_counts=_fingerprint_counts(db, row.session_id),
        stopped_fingerprints=_stopped_by(db, row.session_id),
        stopped_runs=_stopped_runs(db, row.session_id, limits),
        **{name: getattr(row, name) for name in _ZERO},
    )


def _fingerprint_counts(db: sa.Connection, session_id: str) -> dict[str, int]:
    count = sa.func.count().label("size")
    query = (
        sa.select(_item.fingerprint, count)
        .where(_item.session_id == session_id, _item.fingerprint.is_not(None))
        .group_by(_item.fingerprint)
        .order_by(count.desc(), _item.fingerprint)
    )
    return {row.fingerprint: row.size for row in db.execute(query)}


def _stopped_by(db: sa.Connection, session_id: str) -> tuple[str, ...]:
    mine = (fingerprint.c.stopped_by == session_id, fingerprint.c.stopped_at.is_not(None))
    query = sa.select(fingerprint.c.fingerprint).where(*mine).order_by(fingerprint.c.stopped_at)
    return tuple(db.scalars(query))


def _stopped_runs(db: sa.Connection, session_id: str, limits: DrainLimits) -> tuple[str, ...]:
    late = (
        sa.select(_item.run_id)
        .where(_item.session_id == session_id, _item.is_timeout)
        .group_by(_item.run_id)
        .having(sa.func.count() >= limits.max_timeouts_per_run)
        .order_by(_item.run_id)
    )
    return tuple(db.scalars(late))
