"""A review as it is kept."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypedDict

from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import Phase
from autopack.domain.review import ReviewDecision, Submission
from autopack.errors import ReviewError, StoreError


def review_id_of(address: AttemptAddress) -> str:
    """The id of the review of an attempt, the same in every process."""
    return f"review_{sha256(str(address).encode('utf-8')).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDecisionRecord:
    """A review as it is kept: what was submitted, and the decision once there is one."""

    review_id: str
    submission: Submission
    address: AttemptAddress | None = None
    """The attempt of a research phase that it decides on; None for research outside of a run."""
    submitted_at: float
    """Seconds since the epoch."""
    decision: ReviewDecision | None = None
    """None while it waits."""
    reviewer: str = ""
    comments: str = ""
    approved_findings: tuple[str, ...] = ()
    approved_recommendations: tuple[str, ...] = ()
    decided_at: float | None = None

    @property
    def is_pending(self) -> bool:
        """Whether it waits for a decision."""
        return self.decision is None

    @property
    def is_approved(self) -> bool:
        """Whether what it is of may be used."""
        return self.decision is ReviewDecision.APPROVED

    def decided(
        self, decision: ReviewDecision, *, reviewer: str, comments: str, at: float
    ) -> "ReviewDecisionRecord":
        """A copy with its decision; what is approved, is approved with all findings and recommendations.

        Raises:
            ReviewError: It has a decision, or the reviewer has no name.
        """
        if self.decision is not None:
            raise ReviewError(
                f"review {self.review_id} was decided before: {self.decision.value} by {self.reviewer}",
                hint="A decision stands. Research that is done anew gets a review of its own.",
            )
        if not reviewer.strip():
            raise ReviewError(f"review {self.review_id}: a decision needs the name of its reviewer")
        is_approved = decision is ReviewDecision.APPROVED
        return replace(
            self,
            decision=decision,
            reviewer=reviewer,
            comments=comments,
            approved_findings=self.submission.findings if is_approved else (),
            approved_recommendations=self.submission.recommendations if is_approved else (),
            decided_at=at,
        )


def unknown_review(review_id: str) -> ReviewError:
    """The error for an id that names no review."""
    return ReviewError(
        f"there is no review {review_id!r}", hint="`autopack review list` names those that wait."
    )


def check_awaited(phase: Phase, record: ReviewDecisionRecord) -> None:
    """Refuse a decision that a phase does not wait for.

    Raises:
        StoreError: The phase is not parked by the attempt that the review is of.
    """
    address = record.address
    if address is not None and not (phase.awaits_approval and phase.last_attempt == address.number):
        raise StoreError(
            f"{address} does not wait for a decision: its phase is {phase.state}, attempt {phase.last_attempt}",
            hint=f"`autopack show {address.run_id}/{address.phase_id}` says how it stands.",
        )


class PhaseDecision(TypedDict):
    """A review's decision as its phase gets it."""

    approved: bool
    by: str
    why: str
    at: float


def phase_decision(record: ReviewDecisionRecord) -> PhaseDecision:
    """What a decided review says to its phase; more research is no approval."""
    asks = record.decision is ReviewDecision.NEEDS_MORE_RESEARCH
    why = f"more research is needed: {record.comments}" if asks else record.comments
    return PhaseDecision(
        approved=record.decision is ReviewDecision.APPROVED,
        by=record.reviewer,
        why=why,
        at=record.decided_at or 0.0,
    )
