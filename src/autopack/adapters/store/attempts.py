"""Leases and verdicts; each function works inside a writing transaction.

Every change of a run's work locks the run's row first. That serialises the claims of one run, and since all
take their locks in that order, no two of them wait for each other.
"""

from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from autopack.adapters.store import fingerprints, heads, reading, releases
from autopack.adapters.store.codec import decode, encode
from autopack.adapters.store.rows import progress_values
from autopack.adapters.store.tables import approval, attempt, phase, phase_need
from autopack.domain import moves
from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.failure import FailureReport
from autopack.domain.masked import masked
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import LeaseLostError, NotClaimableError, StoreError
from autopack.ports import Decision, Foreseen


def claim(
    db: sa.Connection,
    address: AttemptAddress,
    *,
    owner: str,
    now: float,
    is_owner_dead: Callable[[str, float], bool],
) -> Lease:
    """Take the attempt for ``owner``."""
    reading.lock_run(db, address.run_id)
    for holder in reading.read_held(db, address.run_id):
        if not is_owner_dead(holder.owner, holder.heartbeat_at):
            raise NotClaimableError(
                f"{address} cannot be taken: {holder.owner} is making {holder.address}",
                hint="A run has one attempt at a time; wait for it, or stop that process.",
            )
        _release(db, holder, moves.crash_of(holder), now=now)
    stored = reading.read_phase(db, address.run_id, address.phase_id)
    moves.check_claim(
        stored,
        address,
        due=reading.due_number(db, stored),
        missing=reading.missing_needs(db, address.run_id, address.phase_id),
    )
    _write_phase(db, moves.claimed(stored, address.number, now=now))
    heads.refresh_run(db, address.run_id)
    return _lease(db, address, owner=owner, now=now)


def _lease(db: sa.Connection, address: AttemptAddress, *, owner: str, now: float) -> Lease:
    before = reading.read_attempt(db, address)
    token = 1 if before is None else before.token + 1
    held = {
        "state": PhaseState.EXECUTING,
        "token": token,
        "owner": owner,
        "is_held": True,
        "heartbeat_at": now,
    }
    if before is None:
        place = {"run_id": address.run_id, "phase_id": address.phase_id, "number": address.number}
        db.execute(attempt.insert().values(**place, **held, started_at=now))
    else:
        db.execute(attempt.update().where(*reading.is_at(address)).values(**held))
    base = None if before is None else before.base_commit
    return Lease(address=address, token=token, owner=owner, base_commit=base)


def _write_phase(db: sa.Connection, changed: Phase) -> None:
    ours = (phase.c.run_id == changed.run_id, phase.c.phase_id == changed.phase_id)
    db.execute(phase.update().where(*ours).values(**progress_values(changed)))


def _is_held_by(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return (*reading.is_at(lease.address), attempt.c.token == lease.token, attempt.c.is_held)


def lost(lease: Lease) -> LeaseLostError:
    """The error for a lease that holds its attempt no more."""
    return LeaseLostError(
        f"lease {lease.token} of {lease.address} has ended",
        hint="The attempt is finished or another process took it over; this one has to stop.",
    )


def check_lease(db: sa.Connection, lease: Lease) -> None:
    """Lock the run and refuse a lease that holds its attempt no more."""
    reading.lock_run(db, lease.address.run_id)
    if db.execute(sa.select(attempt.c.token).where(*_is_held_by(lease))).first() is None:
        raise lost(lease)


def heartbeat(db: sa.Connection, lease: Lease, *, now: float) -> None:
    """Note that the holder lives."""
    beat = attempt.update().where(*_is_held_by(lease)).values(heartbeat_at=now)
    if db.execute(beat).rowcount == 0:
        raise lost(lease)


def set_base(db: sa.Connection, lease: Lease, base_commit: str) -> Lease:
    """Note the base in place of an earlier one; the lease with it."""
    changed = attempt.update().where(*_is_held_by(lease)).values(base_commit=base_commit)
    if db.execute(changed).rowcount == 0:
        raise lost(lease)
    return Lease(address=lease.address, token=lease.token, owner=lease.owner, base_commit=base_commit)


def enter_state(db: sa.Connection, lease: Lease, state: PhaseState, *, now: float) -> None:
    """Move the phase and its attempt to another state in flight."""
    check_lease(db, lease)
    stored = reading.read_phase(db, lease.address.run_id, lease.address.phase_id)
    _write_phase(db, moves.entered(stored, state, now=now))
    db.execute(attempt.update().where(*reading.is_at(lease.address)).values(state=state, heartbeat_at=now))


def finish(db: sa.Connection, lease: Lease, outcome: AttemptOutcome, *, now: float) -> None:
    """Write the verdict and move the phase; the same one again changes nothing."""
    reading.lock_run(db, lease.address.run_id)
    row = db.execute(sa.select(attempt).where(*reading.is_at(lease.address))).first()
    if row is None or row.token != lease.token:
        raise lost(lease)
    if not row.is_held:
        before = None if row.outcome is None else decode(AttemptOutcome, row.outcome)
        if before is None or before.final_state is not outcome.final_state:
            raise lost(lease)
        return
    stored = reading.read_phase(db, lease.address.run_id, lease.address.phase_id)
    _conclude(db, stored, lease.address, outcome, now=now)


def _conclude(
    db: sa.Connection, stored: Phase, address: AttemptAddress, outcome: AttemptOutcome, *, now: float
) -> None:
    outcome, is_stopped = fingerprints.note(db, address, masked(outcome), now=now)
    moved = moves.finished(stored, outcome, now=now)
    _write_phase(db, replace(moved, is_stopped=is_stopped))
    _end(db, address, outcome, now=now)
    if outcome.final_state is PhaseState.COMPLETE:
        _lift_needs(db, stored)
        releases.note_complete(db, address, is_replay=outcome.replayed_from is not None)
    heads.refresh_run(db, address.run_id)


def _end(db: sa.Connection, address: AttemptAddress, outcome: AttemptOutcome, *, now: float) -> None:
    ended = {
        "state": outcome.final_state,
        "outcome": encode(outcome),
        "fingerprint": outcome.fingerprint,
        "replayed_from": outcome.replayed_from,
        "is_held": False,
        "finished_at": now if outcome.final_state.is_terminal else None,
    }
    db.execute(attempt.update().where(*reading.is_at(address)).values(**ended))


def _lift_needs(db: sa.Connection, done: Phase) -> None:
    needing = sa.select(phase_need.c.phase_id).where(
        phase_need.c.run_id == done.run_id, phase_need.c.need == done.phase_id
    )
    ours = (phase.c.run_id == done.run_id, phase.c.phase_id.in_(needing))
    db.execute(phase.update().where(*ours).values(missing_needs=phase.c.missing_needs - 1))


def release(
    db: sa.Connection, address: AttemptAddress, *, token: int, failure: FailureReport, now: float
) -> None:
    """Give back an attempt whose process is gone, unless ``token`` is an old one."""
    reading.lock_run(db, address.run_id)
    for holder in reading.read_held(db, address.run_id):
        if holder.address == address and holder.token == token:
            _release(db, holder, failure, now=now)


def _release(db: sa.Connection, holder: Attempt, failure: FailureReport, *, now: float) -> None:
    stored = reading.read_phase(db, holder.address.run_id, holder.address.phase_id)
    _write_phase(db, moves.released(stored, failure, now=now))
    heads.refresh_run(db, holder.address.run_id)
    replayed = holder.outcome.replayed_from if holder.outcome is not None else None
    given_back = AttemptOutcome(final_state=PhaseState.QUEUED, failure=failure, replayed_from=replayed)
    _end(db, holder.address, masked(given_back), now=now)
    # The process may only seem dead. A new token keeps what it still has to say from counting.
    db.execute(attempt.update().where(*reading.is_at(holder.address)).values(token=holder.token + 1))


def book_foreseen(db: sa.Connection, foreseen: Foreseen, *, now: float) -> None:
    """Take an attempt that nobody needs to make, and write its verdict."""
    address = foreseen.address
    reading.lock_run(db, address.run_id)
    stored = reading.read_phase(db, address.run_id, address.phase_id)
    moves.check_foreseen(
        foreseen.phase,
        stored,
        is_begun=reading.read_attempt(db, address) is not None,
        is_run_as_then=reading.taken(db, address.run_id) == foreseen.taken,
    )
    lease = claim(
        db,
        address,
        owner=foreseen.owner,
        now=foreseen.began_at,
        is_owner_dead=lambda _owner, _beat: False,
    )
    set_base(db, lease, foreseen.base_commit)
    finish(db, lease, foreseen.outcome, now=now)


def requeue(db: sa.Connection, run_id: str, phase_id: str, *, now: float) -> AttemptAddress:
    """Put a FAILED or SKIPPED phase back into the queue; the attempt that is due."""
    reading.lock_run(db, run_id)
    return requeue_read(db, reading.read_phase(db, run_id, phase_id), now=now)


def requeue_read(db: sa.Connection, stored: Phase, *, now: float) -> AttemptAddress:
    """The same of a phase that was read since its run was locked."""
    changed = moves.requeued(stored, now=now)
    _write_phase(db, changed)
    heads.refresh_run(db, stored.run_id)
    number = reading.due_number(db, changed)
    return AttemptAddress(run_id=stored.run_id, phase_id=stored.phase_id, number=number)


def skip(db: sa.Connection, run_id: str, phase_id: str, *, now: float) -> None:
    """Take a QUEUED or FAILED phase out of the backlog."""
    reading.lock_run(db, run_id)
    _write_phase(db, moves.skipped(reading.read_phase(db, run_id, phase_id), now=now))
    heads.refresh_run(db, run_id)


def decide(db: sa.Connection, run_id: str, phase_id: str, decision: Decision) -> None:
    """Record an operator's word on a parked phase and act on it."""
    reading.lock_run(db, run_id)
    stored = reading.read_phase(db, run_id, phase_id)
    if not stored.awaits_approval:
        raise StoreError(f"{run_id}/{phase_id} is {stored.state} and awaits no approval")
    address = AttemptAddress(run_id=run_id, phase_id=phase_id, number=stored.last_attempt)
    _record(db, address, decision)
    if decision.approved:
        _write_phase(db, moves.approved(stored, now=decision.at))
        heads.refresh_run(db, run_id)
        db.execute(attempt.update().where(*reading.is_at(address)).values(state=PhaseState.QUEUED))
        return
    parked = reading.read_attempt(db, address)
    outcome = moves.denial(parked.outcome if parked else None, by=decision.by, why=decision.why)
    _conclude(db, stored, address, outcome, now=decision.at)


def _approval_of(address: AttemptAddress) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        approval.c.run_id == address.run_id,
        approval.c.phase_id == address.phase_id,
        approval.c.number == address.number,
    )


def _record(db: sa.Connection, address: AttemptAddress, decision: Decision) -> None:
    # An approved attempt that is parked again gets a second word; the newest counts.
    db.execute(approval.delete().where(*_approval_of(address)))
    place = {"run_id": address.run_id, "phase_id": address.phase_id, "number": address.number}
    db.execute(approval.insert().values(**place, decision=encode(decision)))


def read_decision(db: sa.Connection, address: AttemptAddress) -> Decision | None:
    """The operator's word on the attempt, if there is one."""
    text = db.scalar(sa.select(approval.c.decision).where(*_approval_of(address)))
    return None if text is None else decode(Decision, text)
