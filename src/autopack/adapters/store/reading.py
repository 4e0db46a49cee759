"""What the store tells about runs, phases and attempts; each function works inside a transaction."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import sqlalchemy as sa

from autopack.adapters.store.codec import decode
from autopack.adapters.store.rows import to_attempt, to_phase, to_run
from autopack.adapters.store.tables import attempt, builder_call, phase, phase_need, run
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.moves import next_number
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.run import Run, RunSpec
from autopack.errors import NotRecordedError
from autopack.ports import RunProgress


def lock_run(db: sa.Connection, run_id: str) -> None:
    """Keep every other transaction that changes the run's work waiting until this one ends.

    Raises:
        NotRecordedError: There is no such run; the hint names near ones.
    """
    # SQLite's dialect leaves FOR UPDATE out; its writers are kept apart from their first statement on.
    found = db.execute(sa.select(run.c.run_id).where(run.c.run_id == run_id).with_for_update()).first()
    if found is None:
        raise no_such_run(db, run_id)


def check_run(db: sa.Connection, run_id: str) -> None:
    """Raise NotRecordedError, with near names, when there is no such run."""
    if db.execute(sa.select(run.c.seq).where(run.c.run_id == run_id)).first() is None:
        raise no_such_run(db, run_id)


def no_such_run(db: sa.Connection, run_id: str) -> NotRecordedError:
    """The error for a run that is not there."""
    return _unknown(f"there is no run {run_id!r}", run_id, db.scalars(sa.select(run.c.run_id)).all())


def _unknown(message: str, name: str, known: Sequence[str]) -> NotRecordedError:
    near = get_close_matches(name, known)
    hint = f"Did you mean {', '.join(near)}?" if near else "`autopack status` lists what there is."
    return NotRecordedError(message, hint=hint)


def read_run(db: sa.Connection, run_id: str) -> Run:
    """One run with its phases' specifications."""
    row = db.execute(sa.select(run).where(run.c.run_id == run_id)).first()
    if row is None:
        raise no_such_run(db, run_id)
    texts = db.scalars(sa.select(phase.c.spec).where(phase.c.run_id == run_id).order_by(phase.c.idx))
    return to_run(row, tuple(decode(PhaseSpec, text) for text in texts))


def read_phases(db: sa.Connection, run_id: str) -> tuple[Phase, ...]:
    """The run's phases in plan order; empty for a run without any, and for no run."""
    rows = db.execute(sa.select(phase).where(phase.c.run_id == run_id).order_by(phase.c.idx))
    return tuple(to_phase(row) for row in rows)


def read_phase(db: sa.Connection, run_id: str, phase_id: str) -> Phase:
    """One phase; raises NotRecordedError, with near names, when there is none."""
    row = db.execute(sa.select(phase).where(phase.c.run_id == run_id, phase.c.phase_id == phase_id)).first()
    if row is not None:
        return to_phase(row)
    check_run(db, run_id)
    known = db.scalars(sa.select(phase.c.phase_id).where(phase.c.run_id == run_id)).all()
    raise _unknown(f"run {run_id!r} has no phase {phase_id!r}", phase_id, known)


def read_attempt(db: sa.Connection, address: AttemptAddress) -> Attempt | None:
    """One attempt, if it was ever claimed."""
    row = db.execute(sa.select(attempt).where(*is_at(address))).first()
    return None if row is None else to_attempt(row)


def is_at(address: AttemptAddress) -> tuple[sa.ColumnElement[bool], ...]:
    """The condition that picks one row of the attempt table."""
    return (
        attempt.c.run_id == address.run_id,
        attempt.c.phase_id == address.phase_id,
        attempt.c.number == address.number,
    )


def read_attempts(db: sa.Connection, run_id: str, phase_id: str) -> tuple[Attempt, ...]:
    """The phase's attempts, oldest first."""
    ours = (attempt.c.run_id == run_id, attempt.c.phase_id == phase_id)
    rows = db.execute(sa.select(attempt).where(*ours).order_by(attempt.c.number))
    return tuple(to_attempt(row) for row in rows)


def read_held(db: sa.Connection, run_id: str | None = None) -> tuple[Attempt, ...]:
    """Attempts that a process holds, of one run or of all, oldest heartbeat first."""
    query = sa.select(attempt).where(attempt.c.is_held)
    if run_id is not None:
        query = query.where(attempt.c.run_id == run_id)
    order = (attempt.c.heartbeat_at, attempt.c.run_id, attempt.c.phase_id)
    return tuple(to_attempt(row) for row in db.execute(query.order_by(*order)))


def taken(db: sa.Connection, run_id: str) -> int | None:
    """How often the run's attempts were taken or given back; None while one is held."""
    tokens = sa.func.coalesce(sa.func.sum(attempt.c.token), 0)
    held = sa.func.count().filter(attempt.c.is_held)
    total, holders = db.execute(sa.select(tokens, held).where(attempt.c.run_id == run_id)).one()
    return None if holders else int(total)


def due_number(db: sa.Connection, phase_: Phase) -> int:
    """The number of the phase's attempt that is due."""
    newest = AttemptAddress(run_id=phase_.run_id, phase_id=phase_.phase_id, number=phase_.last_attempt)
    return next_number(phase_, read_attempt(db, newest))


def missing_needs(db: sa.Connection, run_id: str, phase_id: str) -> tuple[str, ...]:
    """The phases that a phase needs and that are not COMPLETE, by name."""
    complete = sa.exists().where(
        phase.c.run_id == run_id,
        phase.c.phase_id == phase_need.c.need,
        phase.c.state == PhaseState.COMPLETE,
    )
    ours = (phase_need.c.run_id == run_id, phase_need.c.phase_id == phase_id)
    return tuple(db.scalars(sa.select(phase_need.c.need).where(*ours, ~complete).order_by(phase_need.c.need)))


def next_runnable(
    db: sa.Connection,
    *,
    now: float,
    limit: int,
    run_id: str | None,
    where: tuple[sa.ColumnElement[bool], ...] = (run.c.is_active,),
) -> tuple[AttemptAddress, ...]:
    """The first phase that may go now of each idle run that ``where`` admits, as the attempt that is due."""
    query = (
        sa.select(phase.c.run_id, phase.c.phase_id, due_column().label("number"))
        .select_from(run)
        .join(phase, sa.and_(phase.c.run_id == run.c.run_id, phase.c.idx == _first_due(now)))
        .outerjoin(attempt, _is_newest())
        .where(
            run.c.ready_idx.is_not(None), sa.or_(run.c.ready_at.is_(None), run.c.ready_at <= now), is_idle()
        )
        .where(*where)
        .order_by(run.c.seq)
        .limit(limit)
    )
    if run_id is not None:
        query = query.where(run.c.run_id == run_id)
    return tuple(
        AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number)
        for row in db.execute(query)
    )


def _first_due(now: float) -> sa.ScalarSelect[int]:
    ready = phase.alias("ready")
    return (
        sa.select(ready.c.idx)
        .where(
            ready.c.run_id == run.c.run_id,
            ready.c.state == sa.literal_column("'QUEUED'"),
            ready.c.missing_needs == sa.literal_column("0"),
            sa.or_(ready.c.retry_at.is_(None), ready.c.retry_at <= now),
        )
        .order_by(ready.c.idx)
        .limit(1)
        .correlate(run)
        .scalar_subquery()
    )


def is_idle() -> sa.ColumnElement[bool]:
    """The condition on a row of the run table that no process holds an attempt of the run."""
    held = attempt.alias()
    return ~sa.exists().where(held.c.is_held, held.c.run_id == run.c.run_id)


def _is_newest() -> sa.ColumnElement[bool]:
    return sa.and_(
        attempt.c.run_id == phase.c.run_id,
        attempt.c.phase_id == phase.c.phase_id,
        attempt.c.number == phase.c.last_attempt,
    )


def due_column() -> sa.ColumnElement[int]:
    """The number of the attempt that is due, in a query that joins each phase's newest attempt."""
    is_open = sa.and_(attempt.c.number.is_not(None), attempt.c.finished_at.is_(None))
    return sa.case((is_open, phase.c.last_attempt), else_=phase.c.last_attempt + 1)


def next_retry_at(db: sa.Connection, run_id: str) -> float | None:
    """When the first phase that waits for nothing but its time may go."""
    ready = (phase.c.run_id == run_id, phase.c.state == PhaseState.QUEUED, phase.c.missing_needs == 0)
    earliest: float | None = db.scalar(sa.select(sa.func.min(phase.c.retry_at)).where(*ready))
    return earliest


def read_progress(db: sa.Connection, *, limit: int | None) -> tuple[RunProgress, ...]:
    """The newest runs in order of creation, with what they did and used; all of them without a limit."""
    columns = (run.c.run_id, run.c.spec, run.c.is_active, run.c.created_at)
    rows = db.execute(sa.select(*columns).order_by(run.c.seq.desc()).limit(limit)).all()[::-1]
    only = None if limit is None else [row.run_id for row in rows]
    counts, used = _counts_by_run(db, only), usage_by_run(db, only)
    return tuple(
        RunProgress(
            run_id=row.run_id,
            goal=decode(RunSpec, row.spec).goal,
            is_active=row.is_active,
            created_at=row.created_at,
            counts=counts.get(row.run_id, {}),
            used=used.get(row.run_id, Usage()),
        )
        for row in rows
    )


def _counts_by_run(db: sa.Connection, run_ids: Sequence[str] | None) -> dict[str, dict[PhaseState, int]]:
    query = sa.select(phase.c.run_id, phase.c.state, sa.func.count().label("size"))
    if run_ids is not None:
        query = query.where(phase.c.run_id.in_(run_ids))
    counts: dict[str, dict[PhaseState, int]] = {}
    for row in db.execute(query.group_by(phase.c.run_id, phase.c.state)):
        counts.setdefault(row.run_id, {})[PhaseState(row.state)] = row.size
    return counts


def count_runs(db: sa.Connection) -> int:
    """How many runs there are."""
    return db.scalar(sa.select(sa.func.count()).select_from(run)) or 0


def count_phases(db: sa.Connection) -> Mapping[PhaseState, int]:
    """How many phases of all runs are in which state."""
    # One pass over an index without sorting; grouping by the state would put every row into a tree first.
    counts = [sa.func.count().filter(phase.c.state == state).label(state) for state in PhaseState]
    row = db.execute(sa.select(*counts).select_from(phase)).one()
    return {state: size for state, size in zip(PhaseState, row, strict=True) if size}


def input_of_call() -> sa.ColumnElement[int]:
    """What a call read; until anything is told of one under way, what was expected."""
    return sa.func.coalesce(builder_call.c.input_tokens, builder_call.c.expected_tokens)


def output_of_call() -> sa.ColumnElement[int]:
    """What a call wrote, as far as it is known."""
    return sa.func.coalesce(builder_call.c.output_tokens, 0)


def used_tokens() -> sa.ColumnElement[int]:
    """What a call used, the same wherever it is summed up; what was booked for it is another matter."""
    return input_of_call() + output_of_call()


def usage_by_run(
    db: sa.Connection, run_ids: Sequence[str] | None = None, phase_id: str | None = None
) -> Mapping[str, Usage]:
    """What calls used, by run; one under way counts as far as it is known, else as what was expected of its input."""
    call = builder_call.c
    is_open = call.settled_at.is_(None)
    query = sa.select(
        call.run_id,
        sa.func.sum(input_of_call()).label("input"),
        sa.func.sum(output_of_call()).label("output"),
        sa.func.sum(sa.func.coalesce(call.cached_tokens, 0)).label("cached"),
        sa.func.sum(call.cost_usd).label("cost"),
        sa.func.sum(sa.case((call.cost_usd.is_(None), used_tokens()), else_=0)).label("unpriced"),
        sa.func.max(sa.case((sa.or_(is_open, call.is_estimated), 1), else_=0)).label("estimated"),
    ).group_by(call.run_id)
    if run_ids is not None:
        query = query.where(call.run_id.in_(run_ids))
    if phase_id is not None:
        query = query.where(call.phase_id == phase_id)
    return {
        row.run_id: Usage(
            input_tokens=row.input,
            output_tokens=row.output,
            cached_tokens=row.cached,
            cost_usd=row.cost,
            unpriced_tokens=row.unpriced if row.cost is not None else 0,
            is_estimated=bool(row.estimated),
        )
        for row in db.execute(query)
    }
