"""Builders that are not to be called for a while; each function works inside a transaction."""

import sqlalchemy as sa

from autopack.adapters.store.codec import storable
from autopack.adapters.store.tables import builder_pause
from autopack.adapters.store.upserts import insert_or
from autopack.domain.failure import FailureReport
from autopack.domain.retry import Pause, paused

_pause = builder_pause.c
_LONGEST_KEY = 500


def builder_key(builder: str) -> str:
    """The Builder's spec as tables hold it: an index of PostgreSQL takes no text without end."""
    return storable(builder)[:_LONGEST_KEY]


def read(db: sa.Connection, builder: str, *, locks: bool = False) -> Pause | None:
    """The Builder's newest pause, over or not, unless it never had one."""
    query = sa.select(builder_pause).where(_pause.builder == builder_key(builder))
    row = db.execute(query.with_for_update() if locks else query).first()
    if row is None or not row.until:
        return None  # It is there only to be locked.
    return Pause(builder=builder, until=row.until, faults=row.faults, reason=row.reason)


def ensure(db: sa.Connection, builder: str) -> None:
    """Make sure that the Builder has a row, which can be locked."""
    empty = {"builder": builder_key(builder), "until": 0.0, "faults": 0, "reason": ""}
    db.execute(insert_or(db, builder_pause).values(**empty).on_conflict_do_nothing())


def note_fault(db: sa.Connection, builder: str, failure: FailureReport, *, now: float) -> Pause:
    """Let the Builder rest after a fault of its provider; the pause that holds now."""
    ensure(db, builder)
    pause = paused(read(db, builder, locks=True), builder, failure, now=now)
    changed = {"until": pause.until, "faults": pause.faults, "reason": storable(pause.reason)}
    db.execute(builder_pause.update().where(_pause.builder == builder_key(builder)).values(**changed))
    return pause


def note_answer(db: sa.Connection, builder: str) -> None:
    """Forget the faults in a row; a pause that was asked for meanwhile stays."""
    ours = (_pause.builder == builder_key(builder), _pause.faults > 0)
    db.execute(builder_pause.update().where(*ours).values(faults=0))
