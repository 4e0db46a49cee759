"""What a pick needs of each run, kept in the run's row; the one place that writes it.

``ready_idx`` is the first queued phase that needs nothing that is missing, and ``ready_at`` the time before which
none such may go, or null. ``head_rank``, ``head_idx`` and ``head_fingerprint`` are of the failed phase that a
drain would try first; one whose cause is stopped is none. ``failed`` counts the failed phases. Every look-up
stays within one run's part of one index.

A run of Autopack's own has no summary, so that no pick finds it, whatever state a process that died left it in.
"""

from functools import cache

import sqlalchemy as sa

from autopack.adapters.store.tables import DRAINABLE, READY, phase, run
from autopack.domain.phase import PhaseState
from autopack.domain.run import OWN


def refresh(db: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Bring the summary of the runs that ``which`` selects up to date with their phases."""
    db.execute(_summarise().where(which))


def refresh_run(db: sa.Connection, run_id: str) -> None:
    """The same for one run."""
    db.execute(_summarise_one(), {"its_id": run_id})


@cache
def _summarise_one() -> sa.Update:
    return _summarise().where(run.c.run_id == sa.bindparam("its_id"))


@cache
def _summarise() -> sa.Update:
    head = (phase.c.failure_rank, phase.c.idx)
    may_go = sa.exists().where(*_of_run(READY), phase.c.retry_at.is_(None)).correlate(run)
    earliest = sa.select(sa.func.min(phase.c.retry_at)).where(*_of_run(READY)).correlate(run)
    failed = sa.select(sa.func.count()).where(*_of_run(), phase.c.state == PhaseState.FAILED).correlate(run)
    values = {
        "ready_idx": _first(phase.c.idx, READY, phase.c.idx),
        "ready_at": sa.case((may_go, sa.null()), else_=earliest.scalar_subquery()),
        "failed": failed.scalar_subquery(),
        "head_rank": _first(phase.c.failure_rank, DRAINABLE, *head),
        "head_idx": _first(phase.c.idx, DRAINABLE, *head),
        "head_fingerprint": _first(phase.c.failure_fingerprint, DRAINABLE, *head),
    }
    return run.update().values(values).where(sa.func.substr(run.c.run_id, 1, len(OWN)) != OWN)


def _of_run(condition: str = "true") -> tuple[sa.ColumnElement[bool] | sa.TextClause, ...]:
    # As text: a typed column would be compared with 1 on SQLite, and an index over such rows not be found.
    return (phase.c.run_id == run.c.run_id, sa.text(condition))


def _first(
    column: sa.Column[int] | sa.Column[str], condition: str, *order: sa.Column[int]
) -> sa.ScalarSelect[object]:
    return (
        sa.select(column)
        .where(*_of_run(condition))
        .order_by(*order)
        .limit(1)
        .correlate(run)
        .scalar_subquery()
    )
