"""What a blocker holds, and what becomes of it once it is mended; each function works inside a transaction."""

import sqlalchemy as sa

from autopack.adapters.store import reading
from autopack.adapters.store.codec import decode
from autopack.adapters.store.rows import to_phase
from autopack.adapters.store.tables import blocker_phase, builder_call, drain_attempt, phase, run
from autopack.domain.attempt import AttemptAddress
from autopack.domain.blocker import LEFT, Release, release_of
from autopack.domain.phase import Phase, PhaseKind, PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import DrainResult, DrainScope

_UNTRIED = (Release.HELD, Release.LATE, Release.CONFLICT)
"""Phases that wait for the fix to be brought into their runs."""


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


def begun_phases(db: sa.Connection, number: int) -> tuple[Phase, ...]:
    """Held phases that are neither FAILED nor at an end: somebody began to try them again."""
    ours = sa.and_(phase.c.run_id == blocker_phase.c.run_id, phase.c.phase_id == blocker_phase.c.phase_id)
    query = (
        sa.select(phase)
        .join_from(blocker_phase, phase, ours)
        .join(run, run.c.run_id == phase.c.run_id)
        .where(blocker_phase.c.number == number, blocker_phase.c.release == Release.HELD)
        .where(phase.c.state.in_([state for state in PhaseState if not state.is_terminal]))
        .order_by(run.c.seq, phase.c.idx)
    )
    return tuple(to_phase(row) for row in db.execute(query))


def resting_phases(db: sa.Connection, number: int, *, limit: int) -> tuple[Phase, ...]:
    """Phases that are left and that no release takes as they are, in the order of runs and positions."""
    ours = sa.and_(phase.c.run_id == blocker_phase.c.run_id, phase.c.phase_id == blocker_phase.c.phase_id)
    is_taken = sa.and_(phase.c.state == PhaseState.FAILED, phase.c.missing_needs == 0, ~phase.c.is_stopped)
    query = (
        sa.select(phase)
        .join_from(blocker_phase, phase, ours)
        .join(run, run.c.run_id == phase.c.run_id)
        .where(
            blocker_phase.c.number == number,
            blocker_phase.c.release.in_(sorted(LEFT)),
            ~is_taken,
        )
        .order_by(run.c.seq, phase.c.idx)
        .limit(limit)
    )
    return tuple(to_phase(row) for row in db.execute(query))


def hold_late(db: sa.Connection, number: int, address: AttemptAddress) -> bool:
    """Have a mended blocker hold a phase that failed of it where its fix is not; whether that is news."""
    place = (blocker_phase.c.run_id == address.run_id, blocker_phase.c.phase_id == address.phase_id)
    ours = (blocker_phase.c.number == number, *place)
    before = db.scalar(sa.select(blocker_phase.c.release).where(*ours))
    if before in LEFT:
        return False
    db.execute(blocker_phase.delete().where(*ours))
    tokens = sa.select(sa.func.coalesce(sa.func.sum(reading.used_tokens()), 0)).where(
        builder_call.c.run_id == address.run_id,
        builder_call.c.phase_id == address.phase_id,
        builder_call.c.number == address.number,
    )
    row = {"number": number, "run_id": address.run_id, "phase_id": address.phase_id}
    db.execute(blocker_phase.insert().values(**row, release=Release.LATE, tokens=db.scalar(tokens) or 0))
    return True


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


def has_left(db: sa.Connection, number: int) -> bool:
    """Whether a blocker has phases that were not tried to their end."""
    ours = (blocker_phase.c.number == number, blocker_phase.c.release.in_(sorted(LEFT)))
    return db.execute(sa.select(blocker_phase.c.run_id).where(*ours).limit(1)).first() is not None


def released_runs(db: sa.Connection, number: int) -> tuple[str, ...]:
    """The runs of the phases that a blocker held and that are not COMPLETE, in their order."""
    query = (
        sa.select(run.c.run_id)
        .join(blocker_phase, blocker_phase.c.run_id == run.c.run_id)
        .where(
            blocker_phase.c.number == number,
            blocker_phase.c.release.in_(sorted(LEFT)),
        )
        .distinct()
        .order_by(run.c.run_id)
    )
    return tuple(db.scalars(query))


def mark_conflict(db: sa.Connection, number: int, run_id: str, *, is_conflict: bool) -> None:
    """Note whether the fix could be brought into the run's branch; where it is at last, its phases are held again."""
    before = sorted(LEFT) if is_conflict else _UNTRIED
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
