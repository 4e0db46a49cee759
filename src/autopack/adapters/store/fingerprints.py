"""What is known of each fingerprint, and which are stopped; each function works inside a writing transaction.

Order of locks, so that no two transactions wait for each other: runs, then fingerprints, then attempts of drains,
then sessions. A stop is therefore made in several transactions: the first notes it, the others, which lock some
runs each, mark their phases; a pick looks at the first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import heads, reading
from autopack.adapters.store.codec import storable
from autopack.adapters.store.tables import FAILED, builder_call, fingerprint, phase, run
from autopack.adapters.store.upserts import insert_or
from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import PhaseState
from autopack.domain.run import is_own
from autopack.domain.session import KnownFingerprint
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError

_known = fingerprint.c
_RUNS_A_STEP = 500
"""Runs whose phases are marked in one transaction: the others' attempts may end meanwhile."""


def note(
    db: sa.Connection, address: AttemptAddress, outcome: AttemptOutcome, *, now: float
) -> tuple[AttemptOutcome, bool]:
    """Give a failed outcome of a backlog its fingerprint and count it; whether that fingerprint is stopped."""
    # What is Autopack's own is nobody's backlog: it makes no cause more frequent, shared, or back again.
    if is_own(address.run_id) or outcome.final_state is not PhaseState.FAILED or outcome.failure is None:
        return outcome, False
    # Compiling the patterns takes a while, and most attempts that start need none.
    from autopack.domain.fingerprint import of_failure  # noqa: PLC0415

    made = of_failure(outcome.failure, place=f"{address.run_id}/{address.phase_id}")
    values = {
        "kind": str(made.kind),
        "canonical": storable(made.canonical),
        "occurrences": 1,
        "seen": 0,
        "first_seen_at": now,
        "last_seen_at": now,
        "first_seen_in": str(address),
        "last_seen_in": str(address),
        "tokens": _tokens_of(db, address),
    }
    stopped_at = _upsert(db, str(made), values)
    return replace(outcome, fingerprint=str(made)), stopped_at is not None


def _tokens_of(db: sa.Connection, address: AttemptAddress) -> int:
    call = builder_call.c
    ours = (call.run_id == address.run_id, call.phase_id == address.phase_id, call.number == address.number)
    return int(
        db.scalar(sa.select(sa.func.coalesce(sa.func.sum(reading.used_tokens()), 0)).where(*ours)) or 0
    )


def _upsert(db: sa.Connection, key: str, values: dict[str, Any]) -> float | None:
    insert = insert_or(db, fingerprint).values(fingerprint=key, **values)
    again = {
        "occurrences": _known.occurrences + 1,
        "tokens": _known.tokens + values["tokens"],
        "last_seen_at": values["last_seen_at"],
        "last_seen_in": values["last_seen_in"],
    }
    upsert = insert.on_conflict_do_update(index_elements=[_known.fingerprint], set_=again)
    stopped_at: float | None = db.scalars(upsert.returning(_known.stopped_at)).one()
    return stopped_at


def lock(db: sa.Connection, key: str) -> sa.Row[int, float | None] | None:
    """Keep others from counting or stopping a fingerprint until this transaction ends; what is known of it."""
    columns = sa.select(_known.seen, _known.stopped_at)
    return db.execute(columns.where(_known.fingerprint == key).with_for_update()).first()


def count_seen(db: sa.Connection, key: str, *, limit: int, session_id: str, now: float) -> int | None:
    """Count one more drained attempt that ended with it; the count where that stopped it, else None."""
    counted = fingerprint.update().where(_known.fingerprint == key).values(seen=_known.seen + 1)
    row = db.execute(counted.returning(_known.seen, _known.stopped_at)).first()
    if row is None or row.stopped_at is not None or row.seen < limit:
        return None
    _stop(db, (key,), limit=limit, session_id=session_id, now=now)
    return int(row.seen)


def stop_exhausted(db: sa.Connection, *, limit: int, session_id: str, now: float) -> None:
    """Stop what was seen often enough already, under limits that were wider then."""
    is_exhausted = (_known.seen >= limit, _known.stopped_at.is_(None))
    query = sa.select(_known.fingerprint).where(*is_exhausted).order_by(_known.fingerprint)
    _stop(db, db.scalars(query.with_for_update()).all(), limit=limit, session_id=session_id, now=now)


def stop(db: sa.Connection, key: str, *, now: float) -> None:
    """Stop a fingerprint that no session counted up to its limit; a mend is known, and not where it is needed."""
    is_free = (_known.fingerprint == key, _known.stopped_at.is_(None))
    stopped = {"stopped_at": now, "stopped_by": "", "stop_limit": 0, "lifted_at": None}
    db.execute(fingerprint.update().where(*is_free).values(**stopped))


def _stop(db: sa.Connection, keys: Sequence[str], *, limit: int, session_id: str, now: float) -> None:
    stopped = {"stopped_at": now, "stopped_by": session_id, "stop_limit": limit, "lifted_at": None}
    db.execute(fingerprint.update().where(_known.fingerprint.in_(keys)).values(**stopped))


def lift(db: sa.Connection, key: str, *, why: str, now: float) -> None:
    """Let a fingerprint be tried again; it is counted from nothing.

    Raises:
        StoreError: There is no such fingerprint.
    """
    lifted = {"stopped_at": None, "seen": 0, "lifted_at": now, "lifted_why": storable(why)}
    if db.execute(fingerprint.update().where(_known.fingerprint == key).values(**lifted)).rowcount == 0:
        raise StoreError(f"there is no fingerprint {key!r}", hint="`autopack drain fingerprints` lists them.")


def mark_some(db: sa.Connection, key: str) -> int:
    """Make failed phases of a fingerprint, those of some runs, say whether it is stopped; how many changed."""
    is_stopped = _is_stopped(db, key)
    # Written as an equation, which an index can answer.
    stale = _failed_with(key, phase.c.is_stopped == (sa.false() if is_stopped else sa.true()))
    some = sa.select(phase.c.run_id).where(*stale).distinct().order_by(phase.c.run_id).limit(_RUNS_A_STEP)
    names = db.scalars(some).all()
    if not names:
        return 0
    ours = sa.select(run.c.run_id).where(run.c.run_id.in_(names))
    locked = db.scalars(ours.order_by(run.c.run_id).with_for_update()).all()
    # Locked only now, so that whoever lifts or stops it meanwhile waits, and then marks what is written here.
    now_known = lock(db, key)
    if now_known is None or (now_known.stopped_at is not None) is not is_stopped:
        return 0
    # The range lets an index find them, whatever a database that counted its rows before the stop expects.
    is_near = phase.c.run_id.between(locked[0], locked[-1])
    theirs = phase.update().where(*stale, is_near, phase.c.run_id.in_(locked))
    changed = db.execute(theirs.values(is_stopped=is_stopped)).rowcount
    heads.refresh(db, run.c.run_id.in_(locked))
    return changed


def _is_stopped(db: sa.Connection, key: str) -> bool:
    return db.scalar(sa.select(_known.stopped_at).where(_known.fingerprint == key)) is not None


def _failed_with(
    key: str | sa.Column[str], *conditions: sa.ColumnElement[bool]
) -> tuple[sa.ColumnElement[bool] | sa.TextClause, ...]:
    return (sa.text(f"phase.{FAILED}"), phase.c.failure_fingerprint == key, *conditions)


def stale_keys(db: sa.Connection) -> tuple[str, ...]:
    """The fingerprints that were stopped or lifted by a process that died before all their phases said so."""
    is_held = sa.exists().where(*_failed_with(_known.fingerprint, phase.c.is_stopped == sa.false()))
    is_free = sa.exists().where(*_failed_with(_known.fingerprint, phase.c.is_stopped == sa.true()))
    half_stopped = sa.and_(_known.stopped_at.is_not(None), is_held)
    half_lifted = sa.and_(_known.stopped_at.is_(None), _known.lifted_at.is_not(None), is_free)
    return tuple(db.scalars(sa.select(_known.fingerprint).where(sa.or_(half_stopped, half_lifted))))


def forget_samples(db: sa.Connection, key: str) -> int:
    """Have some runs that this fingerprint holds sampled anew, for what was seen of them is gone; how many."""
    is_held = sa.exists().where(phase.c.run_id == run.c.run_id, *_failed_with(key))
    sampled = sa.select(run.c.run_id).where(run.c.sample > 0, is_held)
    names = db.scalars(sampled.order_by(run.c.run_id).limit(_RUNS_A_STEP).with_for_update()).all()
    db.execute(run.update().where(run.c.run_id.in_(names)).values(sample=0))
    return len(names)


def read(db: sa.Connection, *, limit: int, key: str | None = None) -> tuple[KnownFingerprint, ...]:
    """One or the most frequent fingerprints, with how many failed phases each holds."""
    held = sa.select(sa.func.count()).select_from(phase).where(*_failed_with(_known.fingerprint))
    query = sa.select(fingerprint, held.scalar_subquery().label("phases"))
    if key is not None:
        query = query.where(_known.fingerprint == key)
    order = (_known.occurrences.desc(), _known.fingerprint)
    return tuple(_to_known(row) for row in db.execute(query.order_by(*order).limit(limit)))


def _to_known(row: sa.Row[Any]) -> KnownFingerprint:
    return KnownFingerprint(
        fingerprint=row.fingerprint,
        kind=row.kind,
        canonical=row.canonical,
        occurrences=row.occurrences,
        seen=row.seen,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        first_seen_in=row.first_seen_in,
        last_seen_in=row.last_seen_in,
        tokens=row.tokens,
        phases=row.phases,
        stopped_at=row.stopped_at,
        stopped_by=row.stopped_by,
        limit=row.stop_limit,
        lifted_why=row.lifted_why,
    )
