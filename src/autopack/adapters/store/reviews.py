"""Reviews of research and the notes of its attempts; each function works inside a transaction."""

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from autopack.adapters.store import attempts, reading
from autopack.adapters.store.codec import decode, encode
from autopack.adapters.store.rows import to_phase
from autopack.adapters.store.tables import attempt, phase, research_note, review
from autopack.adapters.store.upserts import insert_or
from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import Phase
from autopack.domain.review import ReviewDecision
from autopack.domain.review_record import (
    ReviewDecisionRecord,
    check_awaited,
    phase_decision,
    unknown_review,
)
from autopack.errors import ReviewError, StoreError
from autopack.ports import Decision

_row = review.c


def submit(db: sa.Connection, record: ReviewDecisionRecord) -> ReviewDecisionRecord:
    """Keep a review unless one with its id is there; the one that is there."""
    place: dict[str, object] = {"run_id": None, "phase_id": None, "number": None}
    if record.address is not None:
        _check_attempt(db, record.address)
        place = asdict(record.address)
    row = {
        **place,
        "review_id": record.review_id,
        "submitted_at": record.submitted_at,
        "decided_at": record.decided_at,
        "record": encode(record),
    }
    db.execute(insert_or(db, review).values(**row).on_conflict_do_nothing())
    return _known(db, record.review_id)


def _check_attempt(db: sa.Connection, address: AttemptAddress) -> None:
    if db.scalar(sa.select(attempt.c.number).where(*reading.is_at(address))) is None:
        raise StoreError(f"there is no attempt {address} to review")


def find(db: sa.Connection, review_id: str) -> ReviewDecisionRecord | None:
    """One review, if it is there."""
    text = db.scalar(sa.select(_row.record).where(_row.review_id == review_id))
    return None if text is None else decode(ReviewDecisionRecord, text)


def _known(db: sa.Connection, review_id: str) -> ReviewDecisionRecord:
    record = find(db, review_id)
    if record is None:
        raise unknown_review(review_id)
    return record


def decide(
    db: sa.Connection, review_id: str, decision: ReviewDecision, *, reviewer: str, comments: str, now: float
) -> ReviewDecisionRecord:
    """Keep a decision, and let the phase that waits for it go on, fail, or be queued anew."""
    record = _known(db, review_id)
    if record.address is not None:
        # What another process decided meanwhile is seen once the run is locked.
        reading.lock_run(db, record.address.run_id)
        record = _known(db, review_id)
    decided = record.decided(decision, reviewer=reviewer, comments=comments, at=now)
    if record.address is not None:
        _move_phase(db, record.address, decided)
    _write(db, decided)
    return decided


def _move_phase(db: sa.Connection, address: AttemptAddress, decided: ReviewDecisionRecord) -> None:
    check_awaited(reading.read_phase(db, address.run_id, address.phase_id), decided)
    attempts.decide(db, address.run_id, address.phase_id, Decision(**phase_decision(decided)))
    if decided.decision is ReviewDecision.NEEDS_MORE_RESEARCH:
        attempts.requeue(db, address.run_id, address.phase_id, now=decided.decided_at or 0.0)


def _write(db: sa.Connection, decided: ReviewDecisionRecord) -> None:
    mine = (_row.review_id == decided.review_id, _row.decided_at.is_(None))
    written = db.execute(
        review.update().where(*mine).values(decided_at=decided.decided_at, record=encode(decided))
    )
    if written.rowcount != 1:
        raise ReviewError(f"review {decided.review_id} was decided by somebody else at the same time")


def decide_approval(db: sa.Connection, run_id: str, phase_id: str, decision: Decision) -> None:
    """An operator's word on a phase that waits; where that is a review's phase, it is the review's decision."""
    reading.lock_run(db, run_id)
    number = reading.read_phase(db, run_id, phase_id).last_attempt
    mine = (_row.run_id == run_id, _row.phase_id == phase_id, _row.number == number)
    review_id = db.scalar(sa.select(_row.review_id).where(*mine, _row.decided_at.is_(None)))
    if review_id is None:
        attempts.decide(db, run_id, phase_id, decision)
        return
    said = ReviewDecision.APPROVED if decision.approved else ReviewDecision.REJECTED
    decide(db, review_id, said, reviewer=decision.by, comments=decision.why, now=decision.at)


def pending(db: sa.Connection) -> Sequence[ReviewDecisionRecord]:
    """Reviews that can be decided now, oldest first."""
    waits = sa.exists().where(
        phase.c.run_id == _row.run_id,
        phase.c.phase_id == _row.phase_id,
        phase.c.last_attempt == _row.number,
        phase.c.awaits_approval,
    )
    return _read(
        db,
        sa.select(_row.record)
        .where(_row.decided_at.is_(None), sa.or_(_row.run_id.is_(None), waits))
        .order_by(_row.submitted_at, _row.review_id),
    )


def awaiting(db: sa.Connection) -> Sequence[Phase]:
    """The phases that rest until a human decides; by run and position."""
    # As the index over phases in GATE states it; there are few of them at a time.
    rests = (phase.c.state == sa.literal_column("'GATE'"), phase.c.awaits_approval)
    rows = db.execute(sa.select(phase).where(*rests).order_by(phase.c.run_id, phase.c.idx))
    return tuple(to_phase(row) for row in rows)


def decided(db: sa.Connection) -> Sequence[ReviewDecisionRecord]:
    """Decided reviews, in the order of their decisions."""
    query = sa.select(_row.record).where(_row.decided_at.is_not(None))
    return _read(db, query.order_by(_row.decided_at, _row.review_id))


def of_phase(db: sa.Connection, run_id: str, phase_id: str) -> Sequence[ReviewDecisionRecord]:
    """The reviews of a phase's attempts, by number."""
    query = sa.select(_row.record).where(_row.run_id == run_id, _row.phase_id == phase_id)
    return _read(db, query.order_by(_row.number))


def _read(db: sa.Connection, query: sa.Select[str]) -> tuple[ReviewDecisionRecord, ...]:
    return tuple(decode(ReviewDecisionRecord, text) for text in db.scalars(query))


def keep_note(db: sa.Connection, address: AttemptAddress, step: str, text: str) -> str:
    """Keep a note unless there is one for the step; the one that is there."""
    _check_attempt(db, address)
    row = {**asdict(address), "step": step, "text": text}
    db.execute(insert_or(db, research_note).values(**row).on_conflict_do_nothing())
    return str(read_note(db, address, step))


def read_note(db: sa.Connection, address: AttemptAddress, step: str) -> str | None:
    """What a step of the attempt's research found, if it was kept."""
    note = research_note.c
    mine = (note.run_id == address.run_id, note.phase_id == address.phase_id, note.number == address.number)
    return db.scalar(sa.select(note.text).where(*mine, note.step == step))
