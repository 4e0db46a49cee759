"""Drain sessions: begun, worked on, counted and ended; each function works inside a transaction."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain, count
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import fingerprints, picks
from autopack.adapters.store.codec import decode, encode
from autopack.adapters.store.tables import drain_attempt, drain_session, fingerprint
from autopack.adapters.store.upserts import insert_or
from autopack.domain.drain_policy import DrainLimits, Stop, StopRule
from autopack.domain.session import DrainScope, Session
from autopack.errors import LeaseLostError, StoreError

_session = drain_session.c
_item = drain_attempt.c
# Those of one second are told apart by the number at their end.
_NEWEST = (
    _session.started_at.desc(),
    sa.func.length(_session.session_id).desc(),
    _session.session_id.desc(),
)
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


def start(  # noqa: PLR0913 - what a session is
    db: sa.Connection,
    scope: DrainScope,
    limits: DrainLimits,
    *,
    preset: str,
    owner: str,
    now: float,
    is_owner_dead: Callable[[str, float], bool],
    continues: str | None,
) -> Session:
    """Begin a session, and end those whose processes are dead; ``adopt`` then takes what they left under way."""
    session_id = _insert(
        db,
        {
            "scope": encode(scope),
            "limits": encode(limits),
            "preset": preset,
            "started_at": now,
            "owner": owner,
            "heartbeat_at": now,
            **dict.fromkeys(_ZERO, 0),
            **({} if continues is None else _continue(db, continues)),
        },
    )
    if scope.blocker is None:
        # A release has limits of its own, which are meant for the phases of its blocker and for no other cause.
        fingerprints.stop_exhausted(db, limit=limits.max_fingerprint_repeats, session_id=session_id, now=now)
    for other in _open_sessions(db):
        if other.session_id != session_id and is_owner_dead(other.owner, other.heartbeat_at):
            _end_dead(db, other.session_id, heir=session_id, now=now)
    return read(db, session_id)


def _continue(db: sa.Connection, before_id: str) -> dict[str, Any]:
    """What a further step of a climb begins with."""
    before = _row(db, before_id, is_mine=True)
    root = before.climb or before_id
    db.execute(drain_session.update().where(_session.session_id == before_id).values(climb=root))
    return {"climb": root, "zero_yield_in_row": before.zero_yield_in_row}


def steps_of(db: sa.Connection, session_id: str) -> tuple[str, ...]:
    """The sessions over which a session's limits hold: itself, and the other steps of its climb, in order."""
    climb = db.scalar(sa.select(_session.climb).where(_session.session_id == session_id))
    if climb is None:
        return (session_id,)
    mine = sa.select(_session.session_id).where(_session.climb == climb)
    return tuple(db.scalars(mine.order_by(_session.started_at, _session.session_id)))


def seconds_before(db: sa.Connection, row: sa.Row[Any]) -> float:
    """How long the steps of a climb before this one were worked on."""
    if row.climb is None:
        return 0.0
    others = (_session.climb == row.climb, _session.session_id != row.session_id)
    is_before = _session.started_at <= row.started_at
    total = sa.select(sa.func.coalesce(sa.func.sum(_session.active_seconds), 0.0)).where(*others, is_before)
    return float(db.scalar(total) or 0.0)


def _insert(db: sa.Connection, row: dict[str, Any]) -> str:
    stem = datetime.fromtimestamp(row["started_at"], UTC).strftime("batch-drain-%Y%m%d-%H%M%S")
    numbered = (f"{stem}-{number}" for number in count(2))
    # Another session may begin at this moment; whoever is second takes the next name.
    return next(name for name in chain((stem,), numbered) if _inserted(db, {"session_id": name, **row}))


def _inserted(db: sa.Connection, row: dict[str, Any]) -> bool:
    insert = insert_or(db, drain_session).values(**row).on_conflict_do_nothing()
    return db.execute(insert.returning(_session.session_id)).first() is not None


def _open_sessions(db: sa.Connection) -> Sequence[sa.Row[Any]]:
    unfinished = _session.completed_at.is_(None)
    return db.execute(sa.select(drain_session).where(unfinished).order_by(*_NEWEST)).all()


def _end_dead(db: sa.Connection, dead_id: str, *, heir: str, now: float) -> None:
    # Without its owner: a process that merely seemed dead learns of it at its next touch, and commits no pick after
    # this. One that it is committing now is waited for here, and seen by whoever adopts afterwards.
    stop = Stop(rule=StopRule.INTERRUPTED, seen=0, limit=0, subject=heir)
    ended = {"completed_at": now, "stop": encode(stop), "owner": ""}
    is_open = (_session.session_id == dead_id, _session.completed_at.is_(None))
    db.execute(drain_session.update().where(*is_open).values(**ended))


def adopt(db: sa.Connection, session_id: str) -> Session:
    """Take over what ended sessions left under way, which is nobody's; the session with it.

    In a transaction after the one that ended them: between the two nothing can be added any more, and a process
    that died there leaves what the next session finds.
    """
    # Asked of the few attempts under way, each by its key: there are more sessions the longer a backlog lives.
    is_ended = sa.exists().where(_session.session_id == _item.session_id, _session.completed_at.is_not(None))
    is_left = (_item.booked_at.is_(None), is_ended, _item.session_id != session_id)
    # Everybody locks them in the order of the index that they are found by.
    found = sa.select(_item.session_id, _item.seq).where(*is_left).order_by(_item.run_id).with_for_update()
    left = sorted(tuple(row) for row in db.execute(found))
    for dead_id, seq in left:
        ours = drain_attempt.update().where(_item.session_id == dead_id, _item.seq == seq)
        db.execute(ours.values(session_id=session_id, seq=next_seq(session_id)))
    for dead_id, size in Counter(dead_id for dead_id, _ in left).items():
        stop = Stop(rule=StopRule.INTERRUPTED, seen=size, limit=0, subject=session_id)
        fewer = {"picked": _session.picked - size, "stop": encode(stop)}
        db.execute(drain_session.update().where(_session.session_id == dead_id).values(**fewer))
    grown = {"picked": _session.picked + len(left)}
    db.execute(drain_session.update().where(_session.session_id == session_id).values(**grown))
    return read(db, session_id)


def next_seq(session_id: str) -> sa.ScalarSelect[int]:
    """The place of the next attempt of a session, whose row is locked."""
    other = drain_attempt.alias("other")
    newest = sa.func.coalesce(sa.func.max(other.c.seq), 0)
    return sa.select(newest + 1).where(other.c.session_id == session_id).scalar_subquery()


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
        session_id = unfinished[0].session_id
    row = _row(db, session_id, is_mine=True)
    if row.completed_at is not None:
        stop = decode(Stop, row.stop) if row.stop else None
        raise StoreError(f"session {session_id} has ended ({stop})", hint="Leave --resume out to start one.")
    return row


def _row(db: sa.Connection, session_id: str, *, is_mine: bool = False) -> sa.Row[Any]:
    query = sa.select(drain_session).where(_session.session_id == session_id)
    row = db.execute(query.with_for_update() if is_mine else query).first()
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
    rows = db.execute(sa.select(drain_session).order_by(*_NEWEST).limit(limit)).all()
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
        climb=row.climb or "",
        seconds_before=seconds_before(db, row),
        **{name: getattr(row, name) for name in _ZERO},
    )


def _fingerprint_counts(db: sa.Connection, session_id: str) -> dict[str, int]:
    size = sa.func.count().label("size")
    query = (
        sa.select(_item.fingerprint, size)
        .where(_item.session_id == session_id, _item.fingerprint.is_not(None))
        .group_by(_item.fingerprint)
        .order_by(size.desc(), _item.fingerprint)
    )
    return {row.fingerprint: row.size for row in db.execute(query)}


def _stopped_by(db: sa.Connection, session_id: str) -> tuple[str, ...]:
    mine = (fingerprint.c.stopped_by == session_id, fingerprint.c.stopped_at.is_not(None))
    order = (fingerprint.c.stopped_at, fingerprint.c.fingerprint)
    return tuple(db.scalars(sa.select(fingerprint.c.fingerprint).where(*mine).order_by(*order)))


def _stopped_runs(db: sa.Connection, session_id: str, limits: DrainLimits) -> tuple[str, ...]:
    late = picks.late_runs(steps_of(db, session_id), limits)
    return tuple(db.scalars(late.order_by(_item.run_id)))
