"""The record of research: what was gathered for which attempt, and how it was reviewed."""

from collections.abc import Sequence
from typing import Protocol

from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import Phase
from autopack.domain.review import ReviewDecision
from autopack.domain.review_record import ReviewDecisionRecord


class Reviews(Protocol):
    """Every method is one transaction."""

    def submit(self, record: ReviewDecisionRecord) -> ReviewDecisionRecord:
        """Keep a review; where one with its id is there, that one is the answer and stays as it is.

        Raises:
            StoreError: It is of an attempt that does not exist.
        """
        ...

    def decide(
        self, review_id: str, decision: ReviewDecision, *, reviewer: str, comments: str, now: float
    ) -> ReviewDecisionRecord:
        """Keep a decision, once; the phase that waits for it goes on, fails, or is queued for a new attempt.

        Raises:
            ReviewError: The review is not known or has its decision.
            StoreError: Its phase does not wait for one (yet, or any more).
        """
        ...

    def find(self, review_id: str) -> ReviewDecisionRecord | None:
        """One review, if it is there."""
        ...

    def pending(self) -> Sequence[ReviewDecisionRecord]:
        """Reviews that can be decided now, oldest first: of phases that wait for it, and of none."""
        ...

    def awaiting(self) -> Sequence[Phase]:
        """The phases that rest until a human decides, reviewed research or not; by run and position."""
        ...

    def decided(self) -> Sequence[ReviewDecisionRecord]:
        """Decided reviews, in the order of their decisions."""
        ...

    def of_phase(self, run_id: str, phase_id: str) -> Sequence[ReviewDecisionRecord]:
        """The reviews of a phase's attempts, by number."""
        ...

    def keep_note(self, address: AttemptAddress, step: str, text: str) -> str:
        """Keep what a step of an attempt's research found; what was kept for it first stays, and is the answer."""
        ...

    def note(self, address: AttemptAddress, step: str) -> str | None:
        """What a step of an attempt's research found, if it was kept."""
        ...
