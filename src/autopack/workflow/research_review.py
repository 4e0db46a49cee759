"""The review of research: what is good enough by itself, and what waits for a human."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from autopack.domain.review import (
    AUTO_REVIEWER,
    ReviewCriteria,
    ReviewDecision,
    judge,
    submission_of,
)
from autopack.domain.review_record import ReviewDecisionRecord, unknown_review
from autopack.domain.review_text import history_entry
from autopack.errors import ReviewError

__all__ = [
    "ResearchReviewWorkflow",
    "ReviewCriteria",
    "ReviewDecision",
    "ReviewDecisionRecord",
    "ReviewRecords",
    "ReviewResult",
]

PENDING, COMPLETED = "pending", "completed"


@dataclass
class ReviewResult:
    """A decision on submitted research."""

    decision: ReviewDecision
    reviewer: str
    comments: str = ""
    approved_findings: list[str] = field(default_factory=list)
    approved_recommendations: list[str] = field(default_factory=list)
    timestamp: datetime = field(default_factory=datetime.now)  # noqa: TID251 -- a value made by hand is of now


class ReviewRecords(Protocol):
    """Where reviews are kept beyond the life of a process."""

    def submit(self, record: ReviewDecisionRecord) -> ReviewDecisionRecord:
        """Keep a review; where one with its id is there, that one is the answer and stays as it is."""
        ...

    def decide(
        self, review_id: str, decision: ReviewDecision, *, reviewer: str, comments: str, now: float
    ) -> ReviewDecisionRecord:
        """Keep a decision, once.

        Raises:
            ReviewError: The review is not known or has its decision.
        """
        ...

    def find(self, review_id: str) -> ReviewDecisionRecord | None:
        """One review, if it is there."""
        ...

    def pending(self) -> Sequence[ReviewDecisionRecord]:
        """Reviews that wait, oldest first."""
        ...


class ResearchReviewWorkflow:
    """Takes research in, decides what the criteria decide, and lets a human decide the rest.

    Without ``records`` everything is kept in memory. With them, every submission and decision is written there
    before it is answered, and the reviews of other processes are known too.
    """

    def __init__(
        self,
        criteria: ReviewCriteria | None = None,
        *,
        records: ReviewRecords | None = None,
        clock: Callable[[], datetime] = datetime.now,  # noqa: TID251 -- works without any set-up
    ) -> None:
        self.criteria = criteria if criteria is not None else ReviewCriteria()
        self._records = records
        self._clock = clock
        self._pending_reviews: dict[str, dict[str, object]] = {}
        """Every review that this object has seen, the decided ones too."""

    def submit_for_review(self, research_phase_result: object) -> str:
        """The id of the review; it is decided at once where the criteria need no human.

        Args:
            research_phase_result: A ``ResearchPhaseResult``, or anything with a ``confidence``, ``findings`` and
                ``recommendations``.

        Raises:
            ReviewError: The result has no confidence between 0 and 1.
        """
        record = ReviewDecisionRecord(
            review_id=f"review_{uuid4().hex[:12]}",
            submission=submission_of(research_phase_result),
            submitted_at=self._clock().timestamp(),
        )
        if self._can_auto_review(research_phase_result):
            review = self._auto_review(research_phase_result)
            record = record.decided(
                review.decision,
                reviewer=review.reviewer,
                comments=review.comments,
                at=review.timestamp.timestamp(),
            )
        if self._records is not None:
            record = self._records.submit(record)
        self._keep(record)
        return record.review_id

    def _can_auto_review(self, result: object) -> bool:
        """Whether the criteria alone decide."""
        return judge(submission_of(result), self.criteria).is_final

    def _auto_review(self, result: object) -> ReviewResult:
        """What the criteria alone say, with the reason as the comment."""
        submission = submission_of(result)
        judgement = judge(submission, self.criteria)
        is_approved = judgement.decision is ReviewDecision.APPROVED
        return ReviewResult(
            decision=judgement.decision,
            reviewer=AUTO_REVIEWER,
            comments=judgement.why,
            approved_findings=list(submission.findings) if is_approved else [],
            approved_recommendations=list(submission.recommendations) if is_approved else [],
            timestamp=self._clock(),
        )

    def manual_review(
        self, review_id: str, decision: ReviewDecision, reviewer: str, comments: str = ""
    ) -> ReviewResult:
        """A human's decision on a review that waits.

        Raises:
            ReviewError: The review is not known, was decided before, or the decision is none.
        """
        if not isinstance(decision, ReviewDecision):
            known = ", ".join(it.name for it in ReviewDecision)
            raise ReviewError(f"{decision!r} is no decision", hint=f"Decisions are {known}.")
        now = self._clock().timestamp()
        if self._records is not None:
            # Only the records know whether another process was faster.
            record = self._records.decide(review_id, decision, reviewer=reviewer, comments=comments, now=now)
        else:
            record = self._record(review_id).decided(decision, reviewer=reviewer, comments=comments, at=now)
        self._keep(record)
        return result_of(record)

    def get_review_status(self, review_id: str) -> dict[str, object]:
        """Where a review stands.

        Returns:
            ``review_id``, ``status`` (``pending`` or ``completed``), ``submitted_at``, ``query`` and ``confidence``;
            of a completed one also ``decision``, ``reviewer``, ``comments`` and ``decided_at``.

        Raises:
            ReviewError: The review is not known.
        """
        record = self._record(review_id)
        status: dict[str, object] = {
            "review_id": review_id,
            "status": PENDING if record.is_pending else COMPLETED,
            "submitted_at": _time(record.submitted_at),
            "query": record.submission.query,
            "confidence": record.submission.confidence,
        }
        if record.decision is not None and record.decided_at is not None:
            status |= {
                "decision": record.decision,
                "reviewer": record.reviewer,
                "comments": record.comments,
                "decided_at": _time(record.decided_at),
            }
        return status

    def list_pending_reviews(self) -> list[str]:
        """The ids of the reviews that wait for a human, oldest first."""
        if self._records is not None:
            return [record.review_id for record in self._records.pending()]
        return [key for key, entry in self._pending_reviews.items() if entry["status"] == PENDING]

    def export_review_to_build_history(self, review_id: str) -> str:
        """The Markdown entry of a decided review, as ``docs/BUILD_HISTORY.md`` holds it.

        Raises:
            ReviewError: The review is not known, or has no decision yet.
        """
        return history_entry(self._record(review_id))

    def _keep(self, record: ReviewDecisionRecord) -> None:
        self._pending_reviews[record.review_id] = {
            "record": record,
            "status": PENDING if record.is_pending else COMPLETED,
            "submitted_at": _time(record.submitted_at),
        }

    def _record(self, review_id: str) -> ReviewDecisionRecord:
        kept = self._records.find(review_id) if self._records is not None else None
        entry = self._pending_reviews.get(review_id)
        record = kept if kept is not None else entry["record"] if entry is not None else None
        if not isinstance(record, ReviewDecisionRecord):
            raise unknown_review(review_id)
        return record


def result_of(record: ReviewDecisionRecord) -> ReviewResult:
    """A decided record as its result.

    Raises:
        ReviewError: It is not decided.
    """
    if record.decision is None or record.decided_at is None:
        raise ReviewError(f"review {record.review_id} waits for its decision")
    return ReviewResult(
        decision=record.decision,
        reviewer=record.reviewer,
        comments=record.comments,
        approved_findings=list(record.approved_findings),
        approved_recommendations=list(record.approved_recommendations),
        timestamp=_time(record.decided_at),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds)  # noqa: DTZ006 -- local and without a zone, as datetime.now() is
