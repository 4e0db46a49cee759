"""Blockers and their history; each function works inside a transaction."""

from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import fingerprints, reading
from autopack.adapters.store.codec import decode, storable
from autopack.adapters.store.rows import to_attempt, to_phase
from autopack.adapters.store.tables import (
    attempt,
    blocker,
    blocker_event,
    blocker_phase,
    builder_call,
    drain_attempt,
    phase,
    run,
)
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.blocker import (
    Blocker,
    BlockerEvent,
    BlockerState,
    Release,
    Return,
    check_move,
    release_of,
)
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.replay import Replay, is_of_the_answer
from autopack.domain.session import DrainResult, DrainScope
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
    db: sa.Connection, number: int, state: BlockerState, event: BlockerEvent, *, fix_commit: str | None
) -> None:
    """Put a blocker into a state, and note why."""
    locked = db.execute(sa.select(blocker).where(_blocker.number == number).with_for_update()).one()
    values: dict[str, Any] = {"state": state, "updated_at": event.at}
    if BlockerState(locked.state) is not state:
        check_move(_to_blocker(db, locked), state)
    if fix_commit is not None:
        values["fix_commit"] = fix_commit
    if state is BlockerState.VALIDATED:
        values |= {"fixed_at": event.at, "recurred_in": None}
    db.execute(blocker.update().where(_blocker.number == number).values(**values))
    add_event(db, number, event)


def place(db: sa.Connection, number: int, *, place: str, introduced_by: str, now: float) -> None:
    """Note where the cause is believed to be, and which commit brought it."""
    given = {"place": storable(place), "introduced_by": introduced_by}
    values = {name: value for name, value in given.items() if value}
    db.execute(blocker.update().where(_blocker.number == number).values(**values, updated_at=now))


def returns(db: sa.Connection, address: AttemptAddress | None) -> tuple[Return, ...]:
    """Attempts that ended with the cause of a mended blocker, begun after its fix; git alone knows what they had."""
    where = [
        _blocker.state.in_(_MENDED),
        _blocker.fix_commit.is_not(None),
        attempt.c.state == PhaseState.FAILED,
        attempt.c.started_at >= _blocker.fixed_at,
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


def held_phases(db: sa.Connection, key: str, *, limit: int) -> tuple[Phase, ...]:
    """Failed phases whose last attempt ended with a fingerprint, in the order of runs and positions."""
    query = (
        sa.select(phase)
        .join(run, run.c.run_id == phase.c.run_id)
        .where(phase.c.failure_fingerprint == key, phase.c.state == sa.literal_column("'FAILED'"))
        .order_by(run.c.seq, phase.c.idx)
        .limit(limit)
    )
    return tuple(to_phase(row) for row in db.execute(query))


def hold_phases(db: sa.Connection, number: int, key: str) -> None:
    """Note which phases the blocker holds, before its stop is lifted; those that are noted stay."""
    tokens = (
        sa.select(sa.func.coalesce(sa.func.sum(reading.used_tokens()), 0))
        .where(
            builder_call.c.run_id == phase.c.run_id,
            builder_call.c.phase_id == phase.c.phase_id,
            builder_call.c.number == phase.c.last_attempt,
        )
        .scalar_subquery()
    )
    known = sa.exists().where(
        blocker_phase.c.number == number,
        blocker_phase.c.run_id == phase.c.run_id,
        blocker_phase.c.phase_id == phase.c.phase_id,
    )
    held = sa.select(
        sa.literal(number), phase.c.run_id, phase.c.phase_id, sa.literal(str(Release.HELD)), tokens
    ).where(phase.c.failure_fingerprint == key, phase.c.state == sa.literal_column("'FAILED'"), ~known)
    db.execute(blocker_phase.insert().from_select(list(blocker_phase.c), held))
    _leave_out_mends(db, number)
    again = {"release": Release.HELD}
    failed_again = sa.exists().where(
        phase.c.run_id == blocker_phase.c.run_id,
        phase.c.phase_id == blocker_phase.c.phase_id,
        phase.c.failure_fingerprint == key,
        phase.c.state == sa.literal_column("'FAILED'"),
    )
    # A fix that did not last has its phases back: they are tried again once the next one is validated.
    db.execute(
        blocker_phase.update()
        .where(blocker_phase.c.number == number, blocker_phase.c.release == Release.FAILED, failed_again)
        .values(**again)
    )


def _leave_out_mends(db: sa.Connection, number: int) -> None:
    """A phase that was to mend the blocker, and failed of it, is not one that it holds."""
    ours = sa.and_(phase.c.run_id == blocker_phase.c.run_id, phase.c.phase_id == blocker_phase.c.phase_id)
    named = (
        sa.select(phase)
        .join(blocker_phase, ours)
        .where(blocker_phase.c.number == number, phase.c.spec.contains(str(PhaseKind.REMEDIATION)))
    )
    for row in db.execute(named).all():
        if to_phase(row).spec.kind is PhaseKind.REMEDIATION:
            gone = (blocker_phase.c.run_id == row.run_id, blocker_phase.c.phase_id == row.phase_id)
            db.execute(blocker_phase.delete().where(blocker_phase.c.number == number, *gone))


def release_counts(db: sa.Connection, number: int) -> dict[Release, tuple[int, int]]:
    """How many of a blocker's phases are where, and what their last answers had cost, in tokens."""
    query = (
        sa.select(
            blocker_phase.c.release,
            sa.func.count().label("size"),
            sa.func.sum(blocker_phase.c.tokens).label("tokens"),
        )
        .where(blocker_phase.c.number == number)
        .group_by(blocker_phase.c.release)
    )
    return {Release(row.release): (int(row.size), int(row.tokens or 0)) for row in db.execute(query)}


def released_runs(db: sa.Connection, number: int) -> tuple[str, ...]:
    """The runs of the phases that a blocker held and that are not COMPLETE, in their order."""
    query = (
        sa.select(run.c.run_id)
        .join(blocker_phase, blocker_phase.c.run_id == run.c.run_id)
        .where(
            blocker_phase.c.number == number,
            blocker_phase.c.release.in_((Release.HELD, Release.NEEDS_WORK, Release.CONFLICT)),
        )
        .distinct()
        .order_by(run.c.run_id)
    )
    return tuple(db.scalars(query))


def mark_conflict(db: sa.Connection, number: int, run_id: str, *, is_conflict: bool) -> None:
    """Note whether the fix could be brought into the run's branch; where it is at last, its phases are held again."""
    before = (Release.HELD, Release.NEEDS_WORK) if is_conflict else (Release.CONFLICT,)
    ours = (
        blocker_phase.c.number == number,
        blocker_phase.c.run_id == run_id,
        blocker_phase.c.release.in_(before),
    )
    after = Release.CONFLICT if is_conflict else Release.HELD
    db.execute(blocker_phase.update().where(*ours).values(release=after))


def mark_unpaid(db: sa.Connection, number: int) -> None:
    """Note which held phases need the Builder in any case: no attempt of theirs ever got an answer."""
    call = builder_call.c
    has_answer = sa.exists().where(
        call.run_id == blocker_phase.c.run_id,
        call.phase_id == blocker_phase.c.phase_id,
        call.is_reusable,
        call.state == "answered",
    )
    ours = (blocker_phase.c.number == number, blocker_phase.c.release == Release.HELD, ~has_answer)
    db.execute(blocker_phase.update().where(*ours).values(release=Release.NEEDS_WORK))


def note_complete(db: sa.Connection, address: AttemptAddress, *, is_replay: bool) -> None:
    """Note that a phase which a blocker held is COMPLETE, whoever had it attempted."""
    ours = (blocker_phase.c.run_id == address.run_id, blocker_phase.c.phase_id == address.phase_id)
    release = release_of(is_complete=True, is_replay=is_replay)
    db.execute(blocker_phase.update().where(*ours).values(release=release))


def drained_since(db: sa.Connection, number: int, *, since: float) -> tuple[DrainResult, ...]:
    """What became of a blocker's phases that its release asked the Builder for, booked since a time."""
    item = drain_attempt.c
    theirs = sa.and_(item.run_id == blocker_phase.c.run_id, item.phase_id == blocker_phase.c.phase_id)
    query = (
        sa.select(item.scope, item.result)
        .join_from(blocker_phase, drain_attempt, theirs)
        .where(blocker_phase.c.number == number, item.booked_at >= since, item.is_counted)
        .order_by(item.booked_at, item.session_id, item.seq)
    )
    rows = [(decode(DrainScope, row.scope), row.result) for row in db.execute(query)]
    return tuple(
        decode(DrainResult, result)
        for scope, result in rows
        if scope.blocker == number and scope.replay is not Replay.ONLY
    )


def note_release(db: sa.Connection, scope: DrainScope, result: DrainResult) -> None:
    """Note what an attempt made of a phase that its session releases."""
    # A phase that waits for its approval is left; whoever decides on it says what becomes of it.
    if scope.blocker is None or result.final_state is not PhaseState.FAILED:
        return
    release = release_of(is_complete=False, is_replay=scope.replay is Replay.ONLY)
    ours = (
        blocker_phase.c.number == scope.blocker,
        blocker_phase.c.run_id == result.run_id,
        blocker_phase.c.phase_id == result.phase_id,
    )
    db.execute(blocker_phase.update().where(*ours).values(release=release))
