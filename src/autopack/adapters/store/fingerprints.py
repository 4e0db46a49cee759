"""What is known of each fingerprint, and which are stopped; each function works inside a writing transaction.

Order of locks, so that no two transactions wait for each other: runs, then fingerprints. A stop is therefore
made in two transactions: the first notes it, the second, which locks the runs first, marks the phases; a pick
looks at the first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autopack.adapters.store import heads
from autopack.adapters.store.codec import storable
from autopack.adapters.store.tables import builder_call, fingerprint, phase, run
from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import PhaseState
from autopack.domain.session import KnownFingerprint
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError

_known = fingerprint.c


def note(
    db: sa.Connection, address: AttemptAddress, outcome: AttemptOutcome, *, now: float
) -> tuple[AttemptOutcome, bool]:
    """Give a failed outcome its fingerprint and count it; whether that fingerprint is stopped."""
    if outcome.final_state is not PhaseState.FAILED or outcome.failure is None:
        return outcome, False
    # Compiling the patterns takes a while, and most attempts that start need none.
    import hashlib  # noqa: PLC0415

    canonical = f"{outcome.failure.kind}\n{outcome.failure.message}"
    made = f"0:{outcome.failure.kind}:{hashlib.sha256(canonical.encode('utf-8', 'replace')).hexdigest()[:12]}"
    values = {
        "kind": str(outcome.failure.kind),
        "canonical": storable(canonical),
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
    used = sa.case(
        (call.settled_at.is_(None), call.expected_tokens), else_=call.input_tokens + call.output_tokens
    )
    ours = (call.run_id == address.run_id, call.phase_id == address.phase_id, call.number == address.number)
    return int(db.scalar(sa.select(sa.func.coalesce(sa.func.sum(used), 0)).where(*ours)) or 0)


def _upsert(db: sa.Connection, key: str, values: dict[str, Any]) -> float | None:
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(fingerprint).values(fingerprint=key, **values)
    again = {
        "occurrences": _known.occurrences + 1,
        "tokens": _known.tokens + values["tokens"],
        "last_seen_at": values["last_seen_at"],
        "last_seen_in": values["last_seen_in"],
    }
    upsert = insert.on_conflict_do_update(index_elements=[_known.fingerprint], set_=again)
    stopped_at: float | None = db.scalars(upsert.returning(_known.stopped_at)).one()
    return stopped_at


def count_seen(db: sa.Connection, key: str, *, limit: int, session_id: str, now: float) -> int | None:
    """Count one more drained attempt that ended with it; the count where that stopped it, else None."""
    counted = fingerprint.update().where(_known.fingerprint == key).values(seen=_known.seen + 1)
    row = db.execute(counted.returning(_known.seen, _known.stopped_at)).first()
    if row is None or row.stopped_at is not None or row.seen < limit:
        return None
    _stop(db, _known.fingerprint == key, limit=limit, session_id=session_id, now=now)
    return int(row.seen)


def stop_exhausted(db: sa.Connection, *, limit: int, session_id: str, now: float) -> None:
    """Stop what was seen often enough already, under limits that were wider then."""
    _stop(
        db,
        sa.and_(_known.seen >= limit, _known.stopped_at.is_(None)),
        limit=limit,
        session_id=session_id,
        now=now,
    )


def _stop(
    db: sa.Connection, which: sa.ColumnElement[bool], *, limit: int, session_id: str, now: float
) -> None:
    stopped = {"stopped_at": now, "stopped_by": session_id, "stop_limit": limit, "lifted_at": None}
    db.execute(fingerprint.update().where(which).values(**stopped))


def lift(db: sa.Connection, key: str, *, why: str, now: float) -> None:
    """Let a fingerprint be tried again; it is counted from nothing.

    Raises:
        StoreError: There is no such fingerprint.
    """
    lifted = {"stopped_at": None, "seen": 0, "lifted_at": now, "lifted_why": storable(why)}
    if db.execute(fingerprint.update().where(_known.fingerprint == key).values(**lifted)).rowcount == 0:
        raise StoreError(f"there is no fingerprint {key!r}", hint="`autopack drain fingerprints` lists them.")


def mark_phases(db: sa.Connection, keys: Sequence[str]) -> int:
    """Make the failed phases of these fingerprints say whether they are stopped; how many changed."""
    stale = _stale(keys)
    runs = db.scalars(
        sa.select(run.c.run_id)
        .where(run.c.run_id.in_(sa.select(phase.c.run_id).where(*stale)))
        .order_by(run.c.run_id)
        .with_for_update()
    ).all()
    if not runs:
        return 0
    is_stopped = sa.select(_known.stopped_at.is_not(None)).where(
        _known.fingerprint == phase.c.failure_fingerprint
    )
    affected = run.c.run_id.in_(sa.select(phase.c.run_id).where(_has_failed_with(keys)))
    changed = db.execute(phase.update().where(*stale).values(is_stopped=is_stopped.scalar_subquery()))
    # Whoever was run again with the lock held is found by its fingerprint; the others only lose time.
    heads.refresh(db, affected)
    return changed.rowcount


def _has_failed_with(keys: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.and_(phase.c.failure_fingerprint.in_(keys), phase.c.state == PhaseState.FAILED)


def _stale(keys: Sequence[str]) -> tuple[sa.ColumnElement[bool], ...]:
    said = sa.exists().where(
        _known.fingerprint == phase.c.failure_fingerprint,
        _known.stopped_at.is_not(None) != phase.c.is_stopped,
    )
    return (_has_failed_with(keys), said)


def stopped_keys(db: sa.Connection) -> tuple[str, ...]:
    """The fingerprints that are stopped, oldest stop first."""
    return tuple(
        db.scalars(
            sa.select(_known.fingerprint).where(_known.stopped_at.is_not(None)).order_by(_known.stopped_at)
        )
    )


def forget_samples(db: sa.Connection, key: str) -> None:
    """Have the runs that this fingerprint holds sampled anew: what was seen of them was a cause that is gone."""
    holding = sa.select(phase.c.run_id).where(_has_failed_with((key,)))
    db.execute(run.update().where(run.c.run_id.in_(holding)).values(sample=0))


def read(db: sa.Connection, *, limit: int, key: str | None = None) -> tuple[KnownFingerprint, ...]:
    """One or the most frequent fingerprints, with how many failed phases each holds."""
    held = sa.select(sa.func.count()).where(
        phase.c.failure_fingerprint == _known.fingerprint, phase.c.state == PhaseState.FAILED
    )
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
