"""Which phase a drain tries next, found by one look into an index.

A run is represented by its head, the failed phase that would be tried first (see heads.py). Runs that the session
has not touched come straight from an index in the order of trying. Runs that it has touched, at most as many as
the session made attempts, are looked through phase by phase, because its own limits decide there.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import reading
from autopack.adapters.store.reading import is_idle
from autopack.adapters.store.tables import DRAINABLE, blocker_phase, drain_attempt, fingerprint, phase, run
from autopack.domain.attempt import AttemptAddress
from autopack.domain.blocker import Release
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.replay import Replay
from autopack.domain.session import DrainScope

_item = drain_attempt.c
_ORDER = (run.c.sample, run.c.head_rank, run.c.head_idx, run.c.failed, run.c.seq)
_PHASE_ORDER = (run.c.sample, phase.c.failure_rank, phase.c.idx, run.c.failed, run.c.seq)
Conditions = tuple[sa.ColumnElement[bool], ...]


def failed_candidates(
    db: sa.Connection, session_id: str, scope: DrainScope, limits: DrainLimits, *, limit: int
) -> tuple[sa.Row[Any], ...]:
    """The failed phases to try next, best first: one of each untouched run, and all that are left of touched ones."""
    allowed = (*in_scope(scope), is_idle(), ~is_open())
    if scope.blocker is not None:
        return _released(db, session_id, scope, limits, allowed, limit=limit)
    found = [
        *_untouched(db, session_id, limits, allowed, limit=limit),
        *_touched(db, session_id, limits, allowed, limit=limit),
    ]
    return tuple(sorted(found, key=lambda row: (row.sample, row.rank, row.idx, row.failed, row.seq))[:limit])


def _columns() -> tuple[sa.ColumnElement[Any], ...]:
    return (
        phase.c.run_id,
        phase.c.phase_id,
        phase.c.idx,
        phase.c.failure_rank.label("rank"),
        phase.c.last_attempt,
        run.c.sample,
        run.c.failed,
        run.c.seq,
    )


def _untouched(
    db: sa.Connection, session_id: str, limits: DrainLimits, allowed: Conditions, *, limit: int
) -> Sequence[sa.Row[Any]]:
    is_touched = sa.exists().where(_item.session_id == session_id, _item.run_id == run.c.run_id)
    query = (
        sa.select(*_columns())
        .select_from(run)
        .join(phase, sa.and_(phase.c.run_id == run.c.run_id, phase.c.idx == run.c.head_idx))
        .where(run.c.head_rank.is_not(None), *allowed, ~is_touched)
        .where(*_may_repeat(db, run.c.head_fingerprint, limits))
        .order_by(*_ORDER)
        .limit(limit)
    )
    return db.execute(query).all()


def _touched(
    db: sa.Connection, session_id: str, limits: DrainLimits, allowed: Conditions, *, limit: int
) -> Sequence[sa.Row[Any]]:
    touched = sa.select(_item.run_id).where(_item.session_id == session_id).distinct().subquery()
    query = (
        sa.select(*_columns())
        .select_from(touched)
        .join(run, run.c.run_id == touched.c.run_id)
        .join(phase, phase.c.run_id == run.c.run_id)
        .where(
            sa.text(DRAINABLE),
            run.c.run_id.not_in(late_runs(session_id, limits)),
            _tries_of_phase(session_id) < limits.max_attempts_per_phase,
            *allowed,
        )
        .where(*_may_repeat(db, phase.c.failure_fingerprint, limits))
        .order_by(*_PHASE_ORDER)
        .limit(limit)
    )
    return db.execute(query).all()


def _released(
    db: sa.Connection,
    session_id: str,
    scope: DrainScope,
    limits: DrainLimits,
    allowed: Conditions,
    *,
    limit: int,
) -> tuple[sa.Row[Any], ...]:
    """The phases of a blocker that is mended: what they failed of is known, and the order of each run is kept."""
    release = Release.HELD if scope.replay is Replay.ONLY else Release.NEEDS_WORK
    mine = (blocker_phase.c.number == scope.blocker, blocker_phase.c.release == release)
    ours = sa.and_(phase.c.run_id == blocker_phase.c.run_id, phase.c.phase_id == blocker_phase.c.phase_id)
    query = (
        sa.select(*_columns())
        .select_from(blocker_phase)
        .join(phase, ours)
        .join(run, run.c.run_id == phase.c.run_id)
        .where(*mine, sa.text(DRAINABLE), *allowed)
        .where(_tries_of_phase(session_id) < limits.max_attempts_per_phase)
        .where(*_may_repeat(db, phase.c.failure_fingerprint, limits))
        .order_by(run.c.seq, phase.c.idx)
        .limit(limit)
    )
    return tuple(db.execute(query).all())


def late_runs(session_id: str, limits: DrainLimits) -> sa.Select[str]:
    """The runs that a session leaves alone for their time-outs."""
    return (
        sa.select(_item.run_id)
        .where(_item.session_id == session_id, _item.is_timeout)
        .group_by(_item.run_id)
        .having(sa.func.count() >= limits.max_timeouts_per_run)
    )


def _tries_of_phase(session_id: str) -> sa.ScalarSelect[int]:
    place = (
        _item.session_id == session_id,
        _item.run_id == phase.c.run_id,
        _item.phase_id == phase.c.phase_id,
    )
    return sa.select(sa.func.count()).where(*place, _item.is_counted).scalar_subquery()


def is_open() -> sa.ColumnElement[bool]:
    """The condition on a row of the run table that some session has an attempt of the run under way."""
    other = drain_attempt.alias()
    return sa.exists().where(other.c.booked_at.is_(None), other.c.run_id == run.c.run_id)


def begins_with(prefix: str) -> sa.ColumnElement[bool]:
    """The condition on a row of the run table that its name begins so, letter for letter."""
    # LIKE has characters of its own, and minds the case on one database but not on the other.
    return sa.func.substr(run.c.run_id, 1, len(prefix)) == prefix


def in_scope(scope: DrainScope, *, minds_queued: bool = True) -> Conditions:
    """The conditions on a row of the run table that an operator set."""
    conditions = [~begins_with(prefix) for prefix in scope.skip_run_prefixes if prefix]
    if scope.run_id is not None:
        conditions.append(run.c.run_id == scope.run_id)
    if scope.skip_runs_with_queued and minds_queued:
        conditions.append(run.c.ready_idx.is_(None))
    return tuple(conditions)


def _may_repeat(db: sa.Connection, key: sa.Column[str | None], limits: DrainLimits) -> Conditions:
    """That a cause is not stopped, its phases marked so or not yet, and has repeats left that are not under way.

    Whether a cause still holds is known when its attempts end; until then another one would only repeat them.
    """
    known = fingerprint.c
    is_over = sa.or_(known.stopped_at.is_not(None), known.seen >= limits.max_fingerprint_repeats)
    conditions = [~sa.exists().where(known.fingerprint == key, is_over)]
    under_way = (
        sa.select(_item.expected_fingerprint)
        .join(fingerprint, known.fingerprint == _item.expected_fingerprint)
        .where(_item.booked_at.is_(None))
        .group_by(_item.expected_fingerprint, known.seen)
        .having(known.seen + sa.func.count() >= limits.max_fingerprint_repeats)
    )
    if busy := db.scalars(under_way).all():
        conditions.append(sa.func.coalesce(key, "").not_in(busy))
    return tuple(conditions)


def queued_candidates(
    db: sa.Connection, session_id: str, scope: DrainScope, limits: DrainLimits, *, now: float, limit: int
) -> tuple[AttemptAddress, ...]:
    """The queued attempts to make next: the first that may go of each idle run, runs in order of creation."""
    is_late = run.c.run_id.in_(late_runs(session_id, limits))
    where = (*in_scope(scope, minds_queued=False), ~is_open(), ~is_late)
    return reading.next_runnable(db, now=now, limit=limit, run_id=None, where=where)
