"""Blockers and their history; each function works inside a transaction."""

from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import fingerprints, reading, releases
from autopack.adapters.store.codec import decode, storable
from autopack.adapters.store.rows import to_attempt
from autopack.adapters.store.tables import (
    attempt,
    blocker,
    blocker_event,
    phase,
)
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.blocker import (
    Blocker,
    BlockerEvent,
    BlockerState,
    Return,
    check_move,
)
from autopack.domain.phase import PhaseKind, PhaseState
from autopack.domain.replay import is_of_the_answer
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError

# What every database's whole numbers hold.
_MOST_DIGITS = 9
_blocker = blocker.c
_event = blocker_event.c
_MENDED = (BlockerState.VALIDATED, BlockerState.RELEASED)


def open_new(db: sa.Connection, *, now: float) -> None:
    """A blocker for every fingerprint that more than one failed phase ended with and that has none."""
    known = sa.exists().where(_blocker.fingerprint == phase.c.failure_fingerprint)
    shared = (
        sa.select(phase.c.failure_fingerprint, sa.func.count().label("size"))
        .where(phase.c.state == PhaseState.FAILED, phase.c.failure_fingerprint.is_not(None), ~known)
        .group_by(phase.c.failure_fingerprint)
        .having(sa.func.count() > 1)
        .order_by(sa.desc("size"), phase.c.failure_fingerprint)
    )
    found = [(row.failure_fingerprint, row.size) for row in db.execute(shared)]
    number = int(db.scalar(sa.select(sa.func.coalesce(sa.func.max(_blocker.number), 0))) or 0)
    for key, size in found:
        number += 1
        row = {
            "number": number,
            "fingerprint": key,
            "state": BlockerState.OPEN,
            "opened_at": now,
            "updated_at": now,
            "place": "",
            "introduced_by": "",
            "recurrences": 0,
        }
        db.execute(blocker.insert().values(**row))
        add_event(db, number, BlockerEvent(at=now, event="opened", text=f"{size} failed phases share it"))


def read_all(db: sa.Connection) -> tuple[Blocker, ...]:
    """All blockers, by number."""
    rows = db.execute(sa.select(blocker).order_by(_blocker.number)).all()
    return tuple(_to_blocker(db, row) for row in rows)


def read(db: sa.Connection, name: str) -> Blocker:
    """The blocker called so, or of that fingerprint."""
    digits = name.removeprefix("B").removeprefix("b")
    is_number = digits.isdecimal() and len(digits) <= _MOST_DIGITS
    is_it = _blocker.number == int(digits) if is_number else _blocker.fingerprint == name
    row = db.execute(sa.select(blocker).where(is_it)).first()
    if row is None:
        raise StoreError(f"there is no blocker {name!r}", hint="`autopack triage` lists them.")
    return _to_blocker(db, row)


def _to_blocker(db: sa.Connection, row: sa.Row[Any]) -> Blocker:
    (cause,) = fingerprints.read(db, limit=1, key=row.fingerprint)
    return Blocker(
        number=row.number,
        cause=cause,
        state=BlockerState(row.state),
        opened_at=row.opened_at,
        updated_at=row.updated_at,
        place=row.place,
        introduced_by=row.introduced_by,
        fix_commit=row.fix_commit,
        fixed_at=row.fixed_at,
        recurred_in=row.recurred_in,
        recurrences=row.recurrences,
    )


def move(
    db: sa.Connection, number: int, state: BlockerState | None, event: BlockerEvent, *, fix_commit: str | None
) -> None:
    """Put a blocker into a state, or leave it in the one that it has by now, and note why."""
    locked = lock(db, number)
    values: dict[str, Any] = {"updated_at": event.at}
    if state is not None and BlockerState(locked.state) is not state:
        check_move(_to_blocker(db, locked), state)
        values["state"] = state
    if fix_commit is not None:
        values["fix_commit"] = fix_commit
    if state is BlockerState.VALIDATED and fix_commit is not None:
        # Not at a release that stopped, or what came back before it would be taken for older than the fix.
        values |= {"fixed_at": event.at, "recurred_in": None}
    db.execute(blocker.update().where(_blocker.number == number).values(**values))
    add_event(db, number, event)


def lock(db: sa.Connection, number: int) -> sa.Row[Any]:
    """Keep others from moving a blocker until this transaction ends; what it is."""
    return db.execute(sa.select(blocker).where(_blocker.number == number).with_for_update()).one()


def is_validated(db: sa.Connection, number: int) -> bool:
    """Whether a blocker's phases may be tried again, for as long as this transaction goes on."""
    return BlockerState(lock(db, number).state) is BlockerState.VALIDATED


def end_release(db: sa.Connection, number: int, event: BlockerEvent) -> bool:
    """Put a validated blocker to RELEASED, unless something is left of it; whether it is."""
    # Looked at under the lock that whoever notes a late phase takes: it came before, or finds what is released.
    if not is_validated(db, number) or releases.has_left(db, number):
        return False
    move(db, number, BlockerState.RELEASED, event, fix_commit=None)
    return True


def place(db: sa.Connection, number: int, *, place: str, introduced_by: str, now: float) -> None:
    """Note where the cause is believed to be, and which commit brought it."""
    given = {"place": storable(place), "introduced_by": introduced_by}
    values = {name: value for name, value in given.items() if value}
    db.execute(blocker.update().where(_blocker.number == number).values(**values, updated_at=now))


def returns(db: sa.Connection, address: AttemptAddress | None) -> tuple[Return, ...]:
    """Attempts that ended with the cause of a mended blocker, begun after its fix; git alone knows what they had.

    Those of which that is known are left out: whatever is mended later was not begun before.
    """
    where = [
        _blocker.state.in_(_MENDED),
        _blocker.fix_commit.is_not(None),
        attempt.c.state == PhaseState.FAILED,
        attempt.c.started_at >= _blocker.fixed_at,
        # What an index holds: whatever is begun after the fix ends after it.
        attempt.c.finished_at >= _blocker.fixed_at,
        attempt.c.fingerprint.is_not(None),
        ~attempt.c.lacked_fix,
    ]
    if address is not None:
        where += reading.is_at(address)
    query = (
        sa.select(_blocker.number.label("blocker_number"), _blocker.fix_commit, attempt)
        .join_from(blocker, attempt, attempt.c.fingerprint == _blocker.fingerprint)
        .where(*where)
        .order_by(attempt.c.finished_at, attempt.c.run_id, attempt.c.phase_id)
    )
    rows = db.execute(query).all()
    return tuple(
        _to_return(row) for row in rows if not _is_of_old_answer(decode(AttemptOutcome, row.outcome))
    )


def _is_of_old_answer(outcome: AttemptOutcome) -> bool:
    """Whether a failure may be the fault of a change that was made before the mend, which says nothing of the mend."""
    kind = None if outcome.failure is None else outcome.failure.kind
    return outcome.replayed_from is not None and is_of_the_answer(kind)


def _to_return(row: sa.Row[Any]) -> Return:
    address = AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number)
    return Return(
        number=row.blocker_number, fix_commit=row.fix_commit, address=address, base_commit=row.base_commit
    )


def reopen(db: sa.Connection, number: int, address: AttemptAddress, *, now: float) -> None:
    """Note that a mended blocker is here again, and on which commit; one that is not mended stays as it is."""
    again = {
        "state": BlockerState.RECURRED,
        "recurred_in": str(address),
        "recurrences": _blocker.recurrences + 1,
        "updated_at": now,
    }
    mended = (_blocker.number == number, _blocker.state.in_(_MENDED))
    row = db.execute(blocker.update().where(*mended).values(**again).returning(_blocker.fix_commit)).first()
    if row is None:
        return
    base = db.scalar(sa.select(attempt.c.base_commit).where(*reading.is_at(address)))
    made_on = (base or "an unknown commit")[:12]
    fix = (row.fix_commit or "of unknown commit")[:12]
    text = f"{address} failed of it on {made_on}, after the fix {fix}"
    add_event(db, number, BlockerEvent(at=now, event="recurred", text=text, commit=base))


def note_late(db: sa.Connection, found: Return, *, now: float) -> str | None:
    """Note a phase that failed of a mended blocker where its fix is not; the blocker is to be released again.

    Whatever comes of it, nobody asks git for this attempt any more.

    Returns:
        The fingerprint that this stopped: without the fix, every phase that shares it would fail again. None where
        the phase is no longer as it was found, or its release is under way.
    """
    reading.lock_run(db, found.address.run_id)
    db.execute(attempt.update().where(*reading.is_at(found.address)).values(lacked_fix=True))
    key = db.scalar(sa.select(_blocker.fingerprint).where(_blocker.number == found.number))
    stored = reading.read_phase(db, found.address.run_id, found.address.phase_id)
    is_it = stored.state is PhaseState.FAILED and stored.failure_fingerprint == key
    is_newest = stored.last_attempt == found.address.number
    if key is None or not is_it or not is_newest or stored.spec.kind is PhaseKind.REMEDIATION:
        return None
    fingerprints.lock(db, key)
    state = BlockerState(lock(db, found.number).state)
    if state not in _MENDED:
        return None
    is_news = releases.hold_late(db, found.number, found.address)
    # Of one that is released nothing may be left, or no release would ever come to it.
    if not is_news and state is not BlockerState.RELEASED:
        return None
    text = f"{found.address} failed of it on {(found.base_commit or '')[:12]}, which lacks the fix"
    event = BlockerEvent(at=now, event="late", text=text, commit=found.base_commit)
    add_event(db, found.number, event)
    if state is not BlockerState.RELEASED:
        return None
    again = {"state": BlockerState.VALIDATED, "updated_at": now}
    db.execute(blocker.update().where(_blocker.number == found.number).values(**again))
    fingerprints.stop(db, key, now=now)
    return str(key)


def add_event(db: sa.Connection, number: int, event: BlockerEvent) -> None:
    """Append to a blocker's history."""
    seq = db.scalar(
        sa.select(sa.func.coalesce(sa.func.max(_event.seq), 0) + 1).where(_event.number == number)
    )
    row = {
        "number": number,
        "seq": seq,
        "at": event.at,
        "event": event.event,
        "text": storable(event.text),
        "session_id": event.session_id,
        "commit_id": event.commit,
    }
    db.execute(blocker_event.insert().values(**row))


def read_events(db: sa.Connection, number: int) -> tuple[BlockerEvent, ...]:
    """A blocker's history, oldest first."""
    rows = db.execute(sa.select(blocker_event).where(_event.number == number).order_by(_event.seq))
    return tuple(
        BlockerEvent(
            at=row.at, event=row.event, text=row.text, session_id=row.session_id, commit=row.commit_id
        )
        for row in rows
    )


def evidence(db: sa.Connection, key: str, *, limit: int) -> tuple[Attempt, ...]:
    """The newest attempts that ended with a fingerprint, newest first."""
    query = sa.select(attempt).where(attempt.c.fingerprint == key, attempt.c.fingerprint.is_not(None))
    rows = db.execute(query.order_by(attempt.c.finished_at.desc()).limit(limit))
    return tuple(to_attempt(row) for row in rows)
