"""The record of research in memory."""

from collections.abc import Callable, Sequence
from typing import Protocol

from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.phase import Phase
from autopack.domain.review import ReviewDecision
from autopack.domain.review_record import (
    ReviewDecisionRecord,
    check_awaited,
    phase_decision,
    unknown_review,
)
from autopack.errors import StoreError
from autopack.ports import Decision


class Phases(Protocol):
    """What reviews ask of the store beside them."""

    def phase(self, run_id: str, phase_id: str) -> Phase:
        """One phase."""
        ...

    def attempts(self, run_id: str, phase_id: str) -> Sequence[Attempt]:
        """The phase's attempts."""
        ...

    def all_phases(self) -> Sequence[Phase]:
        """Every phase, by run and position."""
        ...

    def requeue_phase(self, run_id: str, phase_id: str, *, now: float) -> AttemptAddress:
        """Put a failed phase back into the queue."""
        ...


class MemoryReviews:
    """The port of reviews in plain Python, beside the store whose phases it moves."""

    def __init__(self, store: Phases, *, decide_phase: Callable[[str, str, Decision], None]) -> None:
        self._store = store
        self._decide_phase = decide_phase
        self._records: dict[str, ReviewDecisionRecord] = {}
        self._notes: dict[tuple[AttemptAddress, str], str] = {}

    def submit(self, record: ReviewDecisionRecord) -> ReviewDecisionRecord:
        """Keep a review; where one with its id is there, that one is the answer."""
        if record.address is not None:
            self._check_attempt(record.address)
        return self._records.setdefault(record.review_id, record)

    def _check_attempt(self, address: AttemptAddress) -> None:
        attempts = self._store.attempts(address.run_id, address.phase_id)
        if all(it.address != address for it in attempts):
            raise StoreError(f"there is no attempt {address} to review")

    def decide(
        self, review_id: str, decision: ReviewDecision, *, reviewer: str, comments: str, now: float
    ) -> ReviewDecisionRecord:
        """Keep a decision, once, and act on it."""
        record = self._records.get(review_id)
        if record is None:
            raise unknown_review(review_id)
        decided = record.decided(decision, reviewer=reviewer, comments=comments, at=now)
        if (address := record.address) is not None:
            check_awaited(self._store.phase(address.run_id, address.phase_id), decided)
            self._decide_phase(address.run_id, address.phase_id, Decision(**phase_decision(decided)))
            if decision is ReviewDecision.NEEDS_MORE_RESEARCH:
                self._store.requeue_phase(address.run_id, address.phase_id, now=now)
        self._records[review_id] = decided
        return decided

    def find(self, review_id: str) -> ReviewDecisionRecord | None:
        """One review, if it is there."""
        return self._records.get(review_id)

    def find_open(self, address: AttemptAddress) -> ReviewDecisionRecord | None:
        """The review of an attempt that is not decided, if there is one."""
        return next((it for it in self._records.values() if it.is_pending and it.address == address), None)

    def pending(self) -> Sequence[ReviewDecisionRecord]:
        """Reviews that can be decided now, oldest first."""
        waiting = [it for it in self._records.values() if it.is_pending and self._can_be_decided(it)]
        return tuple(sorted(waiting, key=lambda it: (it.submitted_at, it.review_id)))

    def _can_be_decided(self, record: ReviewDecisionRecord) -> bool:
        if (address := record.address) is None:
            return True
        phase = self._store.phase(address.run_id, address.phase_id)
        return phase.awaits_approval and phase.last_attempt == address.number

    def awaiting(self) -> Sequence[Phase]:
        """The phases that rest until a human decides; by run and position."""
        return tuple(it for it in self._store.all_phases() if it.awaits_approval)

    def decided(self) -> Sequence[ReviewDecisionRecord]:
        """Decided reviews, in the order of their decisions."""
        done = [it for it in self._records.values() if it.decided_at is not None]
        return tuple(sorted(done, key=lambda it: (it.decided_at or 0.0, it.review_id)))

    def of_phase(self, run_id: str, phase_id: str) -> Sequence[ReviewDecisionRecord]:
        """The reviews of a phase's attempts, by number."""
        places = [(it.address, it) for it in self._records.values() if it.address is not None]
        mine = [(at.number, it) for at, it in places if (at.run_id, at.phase_id) == (run_id, phase_id)]
        return tuple(it for _, it in sorted(mine, key=lambda entry: entry[0]))

    def keep_note(self, address: AttemptAddress, step: str, text: str) -> str:
        """Keep what a step found; what was kept for it first stays, and is the answer."""
        self._check_attempt(address)
        return self._notes.setdefault((address, step), text)

    def note(self, address: AttemptAddress, step: str) -> str | None:
        """What a step found, if it was kept."""
        return self._notes.get((address, step))
