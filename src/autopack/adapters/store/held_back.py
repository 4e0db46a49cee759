"""Failed phases that a drain passes over, counted by reason; each function works inside a transaction."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import picks
from autopack.adapters.store.reading import is_idle
from autopack.adapters.store.tables import FAILED, blocker, drain_attempt, fingerprint, phase, run
from autopack.domain import held_back as why
from autopack.domain.blocker import BlockerState
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.held_back import Hold
from autopack.domain.session import DrainScope, HeldBack

_item = drain_attempt.c
_EXAMPLES = 5
_IS_FAILED = sa.text(f"phase.{FAILED}")


def held_back(
    db: sa.Connection, steps: tuple[str, ...], scope: DrainScope, limits: DrainLimits
) -> tuple[HeldBack, ...]:
    """Failed phases that would not be taken now, by reason; a phase with two reasons counts for both."""
    found = (
        *_by_queued(db, scope),
        *_by_stops(db, scope),
        _of_runs(db, scope, sa.or_(~is_idle(), picks.is_open()), why.IN_FLIGHT),
        *(
            _of_runs(db, scope, picks.begins_with(prefix), why.by_prefix(prefix))
            for prefix in scope.skip_run_prefixes
            if prefix
        ),
        *_by_tries(db, steps, limits),
        _by_timeouts(db, steps, scope, limits),
        _of_phases(db, scope, (sa.text("phase.missing_needs > 0"),), why.MISSING_NEEDS),
    )
    return tuple(held for held in found if held.phases)


def _by_queued(db: sa.Connection, scope: DrainScope) -> Iterator[HeldBack]:
    if not scope.skip_runs_with_queued:
        return
    # What is queued in a run that is busy may be the very attempt under way.
    has_ready = sa.and_(run.c.ready_idx.is_not(None), is_idle(), ~picks.is_open())
    some = sa.select(run.c.run_id).where(has_ready, run.c.failed > 0, *_run_in(scope)).order_by(run.c.seq)
    yield _of_runs(db, scope, has_ready, why.by_queued_phases(tuple(db.scalars(some.limit(2)))))


def _run_in(scope: DrainScope) -> tuple[sa.ColumnElement[bool], ...]:
    return () if scope.run_id is None else (run.c.run_id == scope.run_id,)


def _of_runs(db: sa.Connection, scope: DrainScope, which: sa.ColumnElement[bool], hold: Hold) -> HeldBack:
    """The failed phases of runs, from the runs' own counts."""
    conditions = (run.c.failed > 0, which, *_run_in(scope))
    counts = sa.select(sa.func.coalesce(sa.func.sum(run.c.failed), 0), sa.func.count()).where(*conditions)
    phases, runs = db.execute(counts).one()
    # Each of these runs has a failed phase, so that a few runs hold enough examples.
    some = sa.select(run.c.run_id, run.c.seq).where(*conditions).order_by(run.c.seq).limit(_EXAMPLES)
    first = some.subquery()
    names = (
        sa.select(phase.c.run_id, phase.c.phase_id)
        .join_from(first, phase, phase.c.run_id == first.c.run_id)
        .where(_IS_FAILED)
        .order_by(first.c.seq, phase.c.idx)
    )
    return _held(db, hold, phases=phases, runs=runs, names=names)


def _of_phases(
    db: sa.Connection,
    scope: DrainScope,
    conditions: Sequence[sa.ColumnElement[bool] | sa.TextClause],
    hold: Hold,
) -> HeldBack:
    its_run = () if scope.run_id is None else (phase.c.run_id == scope.run_id,)
    ours = (_IS_FAILED, *conditions, *its_run)
    counts = sa.select(sa.func.count(), sa.func.count(phase.c.run_id.distinct())).where(*ours)
    phases, runs = db.execute(counts).one()
    names = sa.select(phase.c.run_id, phase.c.phase_id).where(*ours).order_by(phase.c.run_id, phase.c.idx)
    return _held(db, hold, phases=phases, runs=runs, names=names)


def _held(db: sa.Connection, hold: Hold, *, phases: int, runs: int, names: sa.Select[str, str]) -> HeldBack:
    examples = db.execute(names.limit(_EXAMPLES)) if phases else ()
    return HeldBack(
        reason=hold.reason,
        phases=int(phases),
        runs=int(runs),
        hint=hold.hint,
        examples=tuple(f"{row[0]}/{row[1]}" for row in examples),
    )


def _by_stops(db: sa.Connection, scope: DrainScope) -> Sequence[HeldBack]:
    known = fingerprint.c
    stopped = db.execute(
        sa.select(known.fingerprint, known.seen, known.stop_limit, blocker.c.number, blocker.c.state)
        .outerjoin(blocker, blocker.c.fingerprint == known.fingerprint)
        .where(known.stopped_at.is_not(None))
        .order_by(known.stopped_at, known.fingerprint)
    ).all()
    return [
        _of_phases(
            db,
            scope,
            (phase.c.failure_fingerprint == row.fingerprint, phase.c.is_stopped == sa.true()),
            _stopped(row),
        )
        for row in stopped
    ]


def _stopped(row: sa.Row[*tuple[Any, ...]]) -> Hold:
    blocker = "" if row.number is None else f"B{row.number}"
    if row.state == BlockerState.VALIDATED:
        return why.by_late(blocker)
    # No session counted up to a limit: see where a phase that lacks a fix is noted.
    if row.stop_limit == 0:
        return why.by_unmended(row.fingerprint, blocker)
    return why.by_stop(row.fingerprint, seen=row.seen, limit=row.stop_limit, blocker=blocker)


def _by_tries(db: sa.Connection, steps: tuple[str, ...], limits: DrainLimits) -> Iterator[HeldBack]:
    yield _tried(db, steps, picks.is_tried_out(limits), why.by_attempts(limits.max_attempts_per_phase))
    if limits.max_faults_per_phase is not None:
        yield _tried(db, steps, picks.is_faulty(limits), why.by_faults(limits.max_faults_per_phase))


def _tried(
    db: sa.Connection, steps: tuple[str, ...], is_over: sa.ColumnElement[bool], hold: Hold
) -> HeldBack:
    spent = (
        sa.select(_item.run_id, _item.phase_id)
        .where(picks.is_of(steps), _item.booked_at.is_not(None))
        .group_by(_item.run_id, _item.phase_id)
        .having(is_over)
        .subquery()
    )
    is_spent = sa.and_(phase.c.run_id == spent.c.run_id, phase.c.phase_id == spent.c.phase_id)
    names = (
        sa.select(phase.c.run_id, phase.c.phase_id)
        .join_from(spent, phase, is_spent)
        .where(_IS_FAILED)
        .order_by(phase.c.run_id, phase.c.idx)
    )
    found = db.execute(names).all()
    return HeldBack(
        reason=hold.reason,
        phases=len(found),
        runs=len({row.run_id for row in found}),
        hint=hold.hint,
        examples=tuple(f"{row.run_id}/{row.phase_id}" for row in found[:_EXAMPLES]),
    )


def _by_timeouts(
    db: sa.Connection, steps: tuple[str, ...], scope: DrainScope, limits: DrainLimits
) -> HeldBack:
    late = phase.c.run_id.in_(picks.late_runs(steps, limits))
    return _of_phases(db, scope, (late,), why.by_timeouts(limits.max_timeouts_per_run))
