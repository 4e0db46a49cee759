"""The record of research over SQL: each method is one transaction."""

from collections.abc import Sequence

from autopack.adapters.store import reviews
from autopack.adapters.store.database import Database
from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import Phase
from autopack.domain.review import ReviewDecision
from autopack.domain.review_record import ReviewDecisionRecord


class SqlReviews:
    """Implements the port of reviews on SQLite and PostgreSQL; safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, record: ReviewDecisionRecord) -> ReviewDecisionRecord:
        """Keep a review; where one with its id is there, that one is the answer."""
        with self._database.writing() as db:
            return reviews.submit(db, record)

    def decide(
        self, review_id: str, decision: ReviewDecision, *, reviewer: str, comments: str, now: float
    ) -> ReviewDecisionRecord:
        """Keep a decision, once, and act on it."""
        with self._database.writing() as db:
            return reviews.decide(db, review_id, decision, reviewer=reviewer, comments=comments, now=now)

    def find(self, review_id: str) -> ReviewDecisionRecord | None:
        """One review, if it is there."""
        with self._database.reading() as db:
            return reviews.find(db, review_id)

    def pending(self) -> Sequence[ReviewDecisionRecord]:
        """Reviews that can be decided now, oldest first."""
        with self._database.reading() as db:
            return reviews.pending(db)

    def awaiting(self) -> Sequence[Phase]:
        """The phases that rest until a human decides; by run and position."""
        with self._database.reading() as db:
            return reviews.awaiting(db)

    def decided(self) -> Sequence[ReviewDecisionRecord]:
        """Decided reviews, in the order of their decisions."""
        with self._database.reading() as db:
            return reviews.decided(db)

    def of_phase(self, run_id: str, phase_id: str) -> Sequence[ReviewDecisionRecord]:
        """The reviews of a phase's attempts, by number."""
        with self._database.reading() as db:
            return reviews.of_phase(db, run_id, phase_id)

    def keep_note(self, address: AttemptAddress, step: str, text: str) -> str:
        """Keep what a step found; what was kept for it first stays, and is the answer."""
        with self._database.writing() as db:
            return reviews.keep_note(db, address, step, text)

    def note(self, address: AttemptAddress, step: str) -> str | None:
        """What a step found, if it was kept."""
        with self._database.reading() as db:
            return reviews.read_note(db, address, step)
