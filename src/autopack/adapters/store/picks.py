"""Which phase a drain tries next, found by one look into an index.

A run is represented by its head, the failed phase that would be tried first (see heads.py). Runs that the session
has not touched come straight from an index in the order of trying. Runs that it has touched, at most as many as
the session made attempts, are looked through each by itself, because its own limits decide there.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import reading
from autopack.adapters.store.planning import follow_indexes
from autopack.adapters.store.reading import is_idle
from autopack.adapters.store.tables import DRAINABLE, blocker_phase, drain_attempt, fingerprint, phase, run
from autopack.domain.attempt import AttemptAddress
from autopack.domain.blocker import Release
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.run import OWN
from autopack.domain.session import DrainScope

_item = drain_attempt.c
_KEPT = 64
"""Statements that are kept; each is some kilobytes."""
_ORDER = (run.c.sample, run.c.head_rank, run.c.head_idx, run.c.failed, run.c.seq)
_PHASE_ORDER = (run.c.sample, phase.c.failure_rank, phase.c.idx, run.c.failed, run.c.seq)
Conditions = tuple[sa.ColumnElement[bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What one choice among failed phases is made by."""

    steps: tuple[str, ...]
    """The sessions over which the limits hold: one, or all steps of a climb."""
    scope: DrainScope
    limits: DrainLimits
    busy: tuple[str, ...]
    """Causes whose remaining repeats are all under way."""
    most: int

    def may_repeat(self, key: sa.ColumnElement[str | None]) -> Conditions:
        """That a cause is not stopped, its phases marked so or not yet, and has repeats left."""
        known = fingerprint.c
        is_over = sa.or_(known.stopped_at.is_not(None), known.seen >= self.limits.max_fingerprint_repeats)
        is_busy = (sa.func.coalesce(key, "").in_(self.busy),) if self.busy else ()
        return (~sa.exists().where(known.fingerprint == key, is_over), *(~it for it in is_busy))

    def allowed(self, key: sa.ColumnElement[str | None]) -> Conditions:
        """The conditions on a row of the run table, and on the column that has the fingerprint."""
        return (*in_scope(self.scope), is_idle(), ~is_open(), *self.may_repeat(key))


def failed_candidates(
    db: sa.Connection, steps: tuple[str, ...], scope: DrainScope, limits: DrainLimits, *, limit: int
) -> tuple[sa.Row[Any], ...]:
    """The failed phases to try next, best first, one of each run."""
    follow_indexes(db)
    busy = _busy_fingerprints(db, limits)
    choice = _Choice(steps=steps, scope=scope, limits=limits, busy=busy, most=limit)
    if scope.blocker is not None:
        return _released(db, choice)
    found = [*db.execute(_untouched(choice)), *db.execute(_touched(choice))]
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


# Putting these together takes longer than answering them, and a session asks the same again and again.
@lru_cache(maxsize=_KEPT)
def _untouched(choice: _Choice) -> sa.Select[Any]:
    is_touched = sa.exists().where(is_of(choice.steps), _item.run_id == run.c.run_id)
    return (
        sa.select(*_columns())
        .select_from(run)
        .join(phase, sa.and_(phase.c.run_id == run.c.run_id, phase.c.idx == run.c.head_idx))
        .where(run.c.head_rank.is_not(None), ~is_touched, *choice.allowed(run.c.head_fingerprint))
        .order_by(*_ORDER)
        .limit(choice.most)
    )


@lru_cache(maxsize=_KEPT)
def _touched(choice: _Choice) -> sa.Select[Any]:
    touched = sa.select(_item.run_id).where(is_of(choice.steps)).distinct().subquery()
    return (
        sa.select(*_columns())
        .select_from(touched)
        .join(run, run.c.run_id == touched.c.run_id)
        .join(phase, sa.and_(phase.c.run_id == run.c.run_id, phase.c.idx == _best_left(choice)))
        .where(
            run.c.run_id.not_in(late_runs(choice.steps, choice.limits)),
            *choice.allowed(phase.c.failure_fingerprint),
        )
        .order_by(*_PHASE_ORDER)
        .limit(choice.most)
    )


def _best_left(choice: _Choice) -> sa.ScalarSelect[int]:
    """Of the run of the query around it, the failed phase to try first among those with attempts left."""
    # Looked up run by run: before a database has statistics, a join may read all failed phases for each run.
    mine = phase.alias("mine")
    return (
        sa.select(mine.c.idx)
        .where(mine.c.run_id == run.c.run_id, sa.text(DRAINABLE))
        .where(mine.c.phase_id.not_in(_spent_phases(choice).where(_item.run_id == mine.c.run_id)))
        .where(*choice.may_repeat(mine.c.failure_fingerprint))
        .order_by(mine.c.failure_rank, mine.c.idx)
        .limit(1)
        .correlate(run)
        .scalar_subquery()
    )


def _spent_phases(choice: _Choice) -> sa.Select[str]:
    """The phases that the session tried as often as it may, faults counted apart; of one run, where that is added."""
    return (
        sa.select(_item.phase_id)
        .where(is_of(choice.steps), _item.booked_at.is_not(None))
        .group_by(_item.phase_id)
        .having(sa.or_(is_tried_out(choice.limits), is_faulty(choice.limits)))
    )


def is_of(steps: tuple[str, ...]) -> sa.ColumnElement[bool]:
    """The condition on a drained attempt that one of these sessions made it."""
    return _item.session_id == steps[0] if len(steps) == 1 else _item.session_id.in_(steps)


def is_tried_out(limits: DrainLimits) -> sa.ColumnElement[bool]:
    """The condition on a phase's attempts, taken together, that there may be no more."""
    return sa.func.sum(sa.case((_item.is_counted, 1), else_=0)) >= limits.max_attempts_per_phase


def is_faulty(limits: DrainLimits) -> sa.ColumnElement[bool]:
    """The same of those that faults of the surroundings ended."""
    if limits.max_faults_per_phase is None:
        return sa.false()
    return sa.func.sum(sa.case((_item.is_counted, 0), else_=1)) >= limits.max_faults_per_phase


def _released(db: sa.Connection, choice: _Choice) -> tuple[sa.Row[Any], ...]:
    """The phases of a blocker that is mended: what they failed of is known, and the order of each run is kept."""
    release = Release.HELD if choice.scope.replay is Replay.ONLY else Release.NEEDS_WORK
    mine = (blocker_phase.c.number == choice.scope.blocker, blocker_phase.c.release == release)
    ours = sa.and_(phase.c.run_id == blocker_phase.c.run_id, phase.c.phase_id == blocker_phase.c.phase_id)
    query = (
        sa.select(*_columns())
        .select_from(blocker_phase)
        .join(phase, ours)
        .join(run, run.c.run_id == phase.c.run_id)
        .where(*mine, sa.text(DRAINABLE), *choice.allowed(phase.c.failure_fingerprint))
        .where(phase.c.phase_id.not_in(_spent_phases(choice).where(_item.run_id == phase.c.run_id)))
        .order_by(run.c.seq, phase.c.idx)
        .limit(choice.most)
    )
    return tuple(db.execute(query).all())


def late_runs(steps: tuple[str, ...], limits: DrainLimits) -> sa.Select[str]:
    """The runs that a session leaves alone for their time-outs."""
    return (
        sa.select(_item.run_id)
        .where(is_of(steps), _item.is_timeout)
        .group_by(_item.run_id)
        .having(sa.func.count() >= limits.max_timeouts_per_run)
    )


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


def _busy_fingerprints(db: sa.Connection, limits: DrainLimits) -> tuple[str, ...]:
    """Causes whose remaining repeats are all under way.

    Whether a cause still holds is known when its attempts end; until then another one would only repeat them.
    """
    expected, seen = _item.expected_fingerprint, fingerprint.c.seen
    query = (
        sa.select(expected)
        .join(fingerprint, fingerprint.c.fingerprint == expected)
        .where(_item.booked_at.is_(None))
        .group_by(expected, seen)
        .having(seen + sa.func.count() >= limits.max_fingerprint_repeats)
    )
    return tuple(db.scalars(query))


def count_queued(db: sa.Connection, scope: DrainScope) -> int:
    """How many phases of the operator's runs in a scope are QUEUED, whether they may go or not."""
    where = (*in_scope(scope, minds_queued=False), ~begins_with(OWN), phase.c.state == PhaseState.QUEUED)
    query = sa.select(sa.func.count()).select_from(phase).join(run, run.c.run_id == phase.c.run_id)
    return int(db.scalar(query.where(*where)) or 0)


def queued_candidates(
    db: sa.Connection,
    steps: tuple[str, ...],
    scope: DrainScope,
    limits: DrainLimits,
    *,
    now: float,
    limit: int,
) -> tuple[AttemptAddress, ...]:
    """The queued attempts to make next: the first that may go of each idle run, runs in order of creation."""
    is_late = run.c.run_id.in_(late_runs(steps, limits))
    where = (*in_scope(scope, minds_queued=False), ~is_open(), ~is_late)
    return reading.next_runnable(db, now=now, limit=limit, run_id=None, where=where)
