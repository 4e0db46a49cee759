"""Which failed phase a drain tries next, found by one look into an index; what it passes over, and why.

A run is represented by its head, the failed phase that would be tried first (see heads.py). Runs that the session
has not touched come straight from an index in the order of trying. Runs that it has touched, at most as many as
the session made attempts, are looked through phase by phase, because its own limits decide there.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store.reading import is_idle
from autopack.adapters.store.tables import drain_attempt, fingerprint, phase, run
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainScope, HeldBack

_mine = drain_attempt.c
_EXAMPLES = 5
_ORDER = (run.c.sample, run.c.head_rank, run.c.head_idx, run.c.failed, run.c.seq)
_PHASE_ORDER = (run.c.sample, phase.c.failure_rank, phase.c.idx, run.c.failed, run.c.seq)
Conditions = tuple[sa.ColumnElement[bool], ...]


def candidates(
    db: sa.Connection, session_id: str, scope: DrainScope, limits: DrainLimits, *, limit: int
) -> tuple[sa.Row[Any], ...]:
    """The failed phases to try next, best first: one of each untouched run, and all that are left of touched ones."""
    avoided = _busy_fingerprints(db, limits)
    found = [
        *_untouched(db, session_id, scope, avoided, limit),
        *_touched(db, session_id, scope, limits, avoided, limit),
    ]
    return tuple(sorted(found, key=lambda row: (row.sample, row.rank, row.idx, row.failed, row.seq))[:limit])


def _columns() -> tuple[sa.ColumnElement[Any], ...]:
    return (
        phase.c.run_id,
        phase.c.phase_id,
        phase.c.idx,
        phase.c.failure_rank.label("rank"),
        phase.c.failure_fingerprint,
        phase.c.last_attempt,
        run.c.sample,
        run.c.failed,
        run.c.seq,
    )


def _untouched(
    db: sa.Connection, session_id: str, scope: DrainScope, avoided: Sequence[str], limit: int
) -> Sequence[sa.Row[Any]]:
    is_mine = sa.exists().where(_mine.session_id == session_id, _mine.run_id == run.c.run_id)
    query = (
        sa.select(*_columns())
        .select_from(run)
        .join(phase, sa.and_(phase.c.run_id == run.c.run_id, phase.c.idx == run.c.head_idx))
        .where(run.c.head_rank.is_not(None), *in_scope(scope), ~is_mine, is_idle(), ~_is_open_elsewhere())
        .order_by(*_ORDER)
        .limit(limit)
    )
    if avoided:
        query = query.where(sa.func.coalesce(run.c.head_fingerprint, "").not_in(avoided))
    return db.execute(query).all()


def _touched(
    db: sa.Connection,
    session_id: str,
    scope: DrainScope,
    limits: DrainLimits,
    avoided: Sequence[str],
    limit: int,
) -> Sequence[sa.Row[Any]]:
    counted = sa.case((_mine.is_timeout, 1), else_=0)
    touched = (
        sa.select(_mine.run_id, sa.func.sum(counted).label("timeouts"))
        .where(_mine.session_id == session_id)
        .group_by(_mine.run_id)
        .subquery()
    )
    query = (
        sa.select(*_columns())
        .select_from(touched)
        .join(run, run.c.run_id == touched.c.run_id)
        .join(phase, phase.c.run_id == run.c.run_id)
        .where(
            phase.c.state == PhaseState.FAILED,
            phase.c.is_stopped == sa.false(),
            phase.c.missing_needs == 0,
            touched.c.timeouts < limits.max_timeouts_per_run,
            _tries_of_phase(session_id) < limits.max_attempts_per_phase,
            *in_scope(scope),
            is_idle(),
            ~_is_open_elsewhere(),
        )
        .order_by(*_PHASE_ORDER)
        .limit(limit)
    )
    if avoided:
        query = query.where(sa.func.coalesce(phase.c.failure_fingerprint, "").not_in(avoided))
    return db.execute(query).all()


def _tries_of_phase(session_id: str) -> sa.ScalarSelect[int]:
    ours = (_mine.session_id == session_id, _mine.run_id == phase.c.run_id)
    # An attempt under way may still turn out not to count, but until then it does.
    is_spent = sa.or_(_mine.is_counted, _mine.booked_at.is_(None))
    return (
        sa.select(sa.func.count())
        .where(*ours, _mine.phase_id == phase.c.phase_id, is_spent)
        .scalar_subquery()
    )


def _is_open_elsewhere() -> sa.ColumnElement[bool]:
    """Whether some session has an attempt of the run under way: a run has one at a time."""
    other = drain_attempt.alias()
    return sa.exists().where(other.c.booked_at.is_(None), other.c.run_id == run.c.run_id)


def in_scope(scope: DrainScope) -> Conditions:
    """The conditions on a row of the run table that an operator set."""
    conditions: list[sa.ColumnElement[bool]] = []
    if scope.run_id is not None:
        conditions.append(run.c.run_id == scope.run_id)
    if scope.skip_runs_with_queued:
        conditions.append(run.c.ready_idx.is_(None))
    conditions += [
        ~run.c.run_id.startswith(prefix, autoescape=True) for prefix in scope.skip_run_prefixes if prefix
    ]
    return tuple(conditions)


def _busy_fingerprints(db: sa.Connection, limits: DrainLimits) -> tuple[str, ...]:
    """Causes whose remaining repeats are all under way, and those that stopped a moment ago.

    Whether a cause still holds is known when those attempts end; until then another one would only repeat them.
    """
    expected = _mine.expected_fingerprint
    is_used_up = fingerprint.c.seen + sa.func.count() >= limits.max_fingerprint_repeats
    query = (
        sa.select(expected)
        .join(fingerprint, fingerprint.c.fingerprint == expected)
        .where(_mine.booked_at.is_(None))
        .group_by(expected, fingerprint.c.seen, fingerprint.c.stopped_at)
        .having(sa.or_(is_used_up, fingerprint.c.stopped_at.is_not(None)))
    )
    return tuple(db.scalars(query))


def is_stopped(db: sa.Connection, key: str | None) -> bool:
    """Whether the fingerprint is stopped, its phases marked so or not yet."""
    query = sa.select(fingerprint.c.stopped_at).where(fingerprint.c.fingerprint == key)
    return key is not None and db.scalar(query) is not None


# --- what is passed over --------------------------------------------------------------------------------


def held_back(
    db: sa.Connection, session_id: str, scope: DrainScope, limits: DrainLimits
) -> tuple[HeldBack, ...]:
    """Failed phases that a drain would not take now, by reason; a phase with two reasons counts for both."""
    return tuple(
        held
        for held in (
            _held_by_queued(db, scope),
            *_held_by_stops(db, scope),
            _held_by_flight(db, scope),
            *_held_by_prefixes(db, scope),
            _held_by_attempts(db, session_id, limits),
            _held_by_timeouts(db, session_id, limits),
            _held_by_needs(db, scope),
        )
        if held is not None and held.phases
    )


def _of_run(scope: DrainScope) -> Conditions:
    return (run.c.run_id == scope.run_id,) if scope.run_id is not None else ()


def _held_by_queued(db: sa.Connection, scope: DrainScope) -> HeldBack | None:
    if not scope.skip_runs_with_queued:
        return None
    runs = (run.c.failed > 0, run.c.ready_idx.is_not(None), *_of_run(scope))
    names = _run_names(db, runs)
    return _held_runs(
        db,
        runs,
        reason="their runs have queued phases that may go",
        hint=f"autopack drain queued --run-id {names[0]}" if len(names) == 1 else "autopack drain queued",
    )


def _held_by_flight(db: sa.Connection, scope: DrainScope) -> HeldBack | None:
    is_busy = sa.or_(~is_idle(), _is_open_elsewhere())
    return _held_runs(
        db, (run.c.failed > 0, is_busy, *_of_run(scope)), reason="an attempt of their run is under way"
    )


def _held_by_prefixes(db: sa.Connection, scope: DrainScope) -> Sequence[HeldBack]:
    return [
        _held_runs(
            db,
            (run.c.failed > 0, run.c.run_id.startswith(prefix, autoescape=True), *_of_run(scope)),
            reason=f"--skip-run-prefix {prefix}",
        )
        for prefix in scope.skip_run_prefixes
        if prefix
    ]


def _held_runs(db: sa.Connection, conditions: Conditions, *, reason: str, hint: str = "") -> HeldBack:
    counts = sa.select(sa.func.coalesce(sa.func.sum(run.c.failed), 0), sa.func.count()).where(*conditions)
    phases, runs = db.execute(counts).one()
    return HeldBack(
        reason=reason, phases=int(phases), runs=int(runs), hint=hint, examples=_run_names(db, conditions)
    )


def _run_names(db: sa.Connection, conditions: Conditions) -> tuple[str, ...]:
    return tuple(db.scalars(sa.select(run.c.run_id).where(*conditions).order_by(run.c.seq).limit(_EXAMPLES)))


def _held_by_stops(db: sa.Connection, scope: DrainScope) -> Sequence[HeldBack]:
    stopped = db.execute(
        sa.select(
            fingerprint.c.fingerprint, fingerprint.c.seen, fingerprint.c.stop_limit, fingerprint.c.stopped_by
        )
        .where(fingerprint.c.stopped_at.is_not(None))
        .order_by(fingerprint.c.stopped_at)
    ).all()
    return [
        _held_phases(
            db,
            (phase.c.failure_fingerprint == row.fingerprint, *_phases_of(scope)),
            reason=f"fingerprint {row.fingerprint} was stopped after {row.seen} of {row.stop_limit} repeats",
            hint=f"autopack drain lift {row.fingerprint} --why REASON",
        )
        for row in stopped
    ]


def _phases_of(scope: DrainScope) -> Conditions:
    return (phase.c.run_id == scope.run_id,) if scope.run_id is not None else ()


def _held_by_needs(db: sa.Connection, scope: DrainScope) -> HeldBack:
    return _held_phases(
        db,
        (phase.c.missing_needs > 0, *_phases_of(scope)),
        reason="they need phases that are not COMPLETE",
    )


def _held_by_attempts(db: sa.Connection, session_id: str, limits: DrainLimits) -> HeldBack:
    tried = (
        _mine.session_id == session_id,
        _mine.run_id == phase.c.run_id,
        _mine.phase_id == phase.c.phase_id,
    )
    tries = sa.select(sa.func.count()).where(*tried, _mine.is_counted).scalar_subquery()
    touched = phase.c.run_id.in_(sa.select(_mine.run_id).where(_mine.session_id == session_id))
    return _held_phases(
        db,
        (touched, tries >= limits.max_attempts_per_phase),
        reason=f"this session tried them {limits.max_attempts_per_phase} times",
        hint="start another session, or raise --max-attempts-per-phase",
    )


def _held_by_timeouts(db: sa.Connection, session_id: str, limits: DrainLimits) -> HeldBack:
    late = (
        sa.select(_mine.run_id)
        .where(_mine.session_id == session_id, _mine.is_timeout)
        .group_by(_mine.run_id)
        .having(sa.func.count() >= limits.max_timeouts_per_run)
    )
    return _held_phases(
        db,
        (phase.c.run_id.in_(late),),
        reason=f"{limits.max_timeouts_per_run} attempts of their run timed out",
        hint="raise --phase-timeout-seconds or --max-timeouts-per-run",
    )


def _held_phases(db: sa.Connection, conditions: Conditions, *, reason: str, hint: str = "") -> HeldBack:
    ours = (phase.c.state == PhaseState.FAILED, *conditions)
    phases, runs = db.execute(
        sa.select(sa.func.count(), sa.func.count(phase.c.run_id.distinct())).where(*ours)
    ).one()
    names = db.execute(sa.select(phase.c.run_id, phase.c.phase_id).where(*ours).limit(_EXAMPLES))
    examples = tuple(f"{row.run_id}/{row.phase_id}" for row in names)
    return HeldBack(reason=reason, phases=int(phases), runs=int(runs), hint=hint, examples=examples)
