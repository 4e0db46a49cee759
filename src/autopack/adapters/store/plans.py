"""Imports of plans and the activation of runs; each function works inside a writing transaction."""

from collections.abc import Iterable, Sequence
from itertools import chain

import sqlalchemy as sa

from autopack.adapters.store import heads
from autopack.adapters.store.reading import no_such_run, read_phases, read_run
from autopack.adapters.store.rows import Values, phase_values, run_spec_text
from autopack.adapters.store.tables import attempt, phase, phase_need, run
from autopack.domain.phase import Phase
from autopack.domain.plan import Plan, PlanChange
from autopack.domain.plan_merge import MergedRun, merge_run, new_run
from autopack.domain.run import RunSpec

# SQLite takes 32,766 values in one statement.
_NAMES_A_QUERY = 10_000
_RUNS_A_STEP = 1000
# Any number that no other program on the server is likely to lock.
_IMPORT_LOCK = 7_294_106_552


def import_plan(db: sa.Connection, plan: Plan, *, now: float) -> tuple[PlanChange, ...]:
    """Make the store hold the plan; returns every difference, in the plan's order."""
    known = _lock_runs(db, plan)
    first_seq = db.scalar(sa.select(sa.func.coalesce(sa.func.max(run.c.seq), 0) + 1)) or 1
    added = [new_run(wanted, now=now) for wanted in plan.runs if wanted.run_id not in known]
    _insert_runs(db, added, first_seq=first_seq, now=now)
    heads.refresh(db, run.c.seq >= first_seq)
    of_new = {merged.spec.run_id: merged.changes for merged in added}
    return tuple(
        chain.from_iterable(
            _update_run(db, wanted, now=now) if wanted.run_id in known else of_new[wanted.run_id]
            for wanted in plan.runs
        )
    )


def _lock_runs(db: sa.Connection, plan: Plan) -> frozenset[str]:
    # Two imports of one new plan would both find nothing and both insert; the lock lets one go first and keeps
    # no claim waiting. Rows are then locked in one order, so that no two imports wait for each other.
    if db.dialect.name == "postgresql":
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_IMPORT_LOCK)))
    known: set[str] = set()
    ids = sorted(wanted.run_id for wanted in plan.runs)
    for start in range(0, len(ids), _NAMES_A_QUERY):
        some = run.c.run_id.in_(ids[start : start + _NAMES_A_QUERY])
        named = sa.select(run.c.run_id).where(some).order_by(run.c.run_id)
        known.update(db.scalars(named.with_for_update()))
    return frozenset(known)


def _insert_runs(db: sa.Connection, added: Sequence[MergedRun], *, first_seq: int, now: float) -> None:
    # Some at a time: the rows of a whole backlog would take as much memory again as its plan.
    for start in range(0, len(added), _RUNS_A_STEP):
        some = added[start : start + _RUNS_A_STEP]
        runs = (_run_values(merged.spec, first_seq + start + at, now) for at, merged in enumerate(some))
        _insert(db, run, list(runs))
        _insert(db, phase, [values for merged in some for values in _all_values(merged)])
        _insert(db, phase_need, [values for merged in some for values in _need_values(merged.spec)])


def _run_values(spec: RunSpec, seq: int, now: float) -> Values:
    own = {"run_id": spec.run_id, "seq": seq, "spec": run_spec_text(spec)}
    return {**own, "is_active": False, "created_at": now}


def _insert(db: sa.Connection, table: sa.Table, rows: Sequence[Values]) -> None:
    if rows:
        db.execute(table.insert(), rows)


def _all_values(merged: MergedRun) -> Iterable[Values]:
    missing = merged.count_missing()
    return (phase_values(one, missing_needs=missing[one.index]) for one in merged.phases)


def _need_values(spec: RunSpec) -> Iterable[Values]:
    for index, phase_spec in enumerate(spec.phases):
        for need in dict.fromkeys(spec.needs_of(index)):
            yield {"run_id": spec.run_id, "phase_id": phase_spec.phase_id, "need": need}


def _update_run(db: sa.Connection, wanted: RunSpec, *, now: float) -> tuple[PlanChange, ...]:
    stored, phases = read_run(db, wanted.run_id).spec, read_phases(db, wanted.run_id)
    unfinished = _unfinished_phases(db, wanted.run_id)
    merged = merge_run(wanted, stored, phases, unfinished=unfinished, now=now)
    if merged.spec != stored:
        own = run.update().where(run.c.run_id == wanted.run_id).values(spec=run_spec_text(merged.spec))
        db.execute(own)
        db.execute(phase_need.delete().where(phase_need.c.run_id == wanted.run_id))
        _replace_phases(db, phases, merged)
        _insert(db, phase_need, list(_need_values(merged.spec)))
        heads.refresh_run(db, wanted.run_id)
    return merged.changes


def _unfinished_phases(db: sa.Connection, run_id: str) -> frozenset[str]:
    is_open = (attempt.c.run_id == run_id, attempt.c.finished_at.is_(None))
    return frozenset(db.scalars(sa.select(attempt.c.phase_id).where(*is_open)))


def _replace_phases(db: sa.Connection, before: Sequence[Phase], merged: MergedRun) -> None:
    old = {one.phase_id for one in before}
    kept = {one.phase_id for one in merged.phases}
    ours = (phase.c.run_id == merged.spec.run_id, phase.c.phase_id == sa.bindparam("its_id"))
    if gone := [{"its_id": name} for name in sorted(old - kept)]:
        db.execute(phase.delete().where(*ours), gone)
    values = list(_all_values(merged))
    _insert(db, phase, [row for row in values if row["phase_id"] not in old])
    columns = ("idx", "spec", "missing_needs", "updated_at")
    if changed := [row for row in values if row["phase_id"] in old]:
        db.execute(
            phase.update().where(*ours).values({name: sa.bindparam(f"new_{name}") for name in columns}),
            [
                {"its_id": row["phase_id"], **{f"new_{name}": row[name] for name in columns}}
                for row in changed
            ],
        )


def activate_run(db: sa.Connection, run_id: str) -> None:
    """Let workers take the run's phases."""
    changed = db.execute(run.update().where(run.c.run_id == run_id).values(is_active=True))
    if changed.rowcount == 0:
        raise no_such_run(db, run_id)
