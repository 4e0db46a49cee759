"""Everything that waits for a human, in one list: reviews of research, and changes that require an approval."""

from dataclasses import dataclass

from autopack.domain.phase import Phase
from autopack.domain.review import ReviewDecision
from autopack.domain.review_record import ReviewDecisionRecord, unknown_review
from autopack.errors import ReviewError, StoreError
from autopack.ports import Clock, Decision, Store
from autopack.workflow.research_review import ResearchReviewWorkflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One thing that a human is asked about."""

    name: str
    """What the commands call it: ``RUN/PHASE``, or a review's id."""
    about: str
    """The research's question, or the phase's goal."""
    since: float
    """Seconds since the epoch."""
    review: ReviewDecisionRecord | None = None
    """None for a change that requires an approval and is no research."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewDesk:
    """Lists what waits, and takes decisions; each is made once, whoever else decides at the same time."""

    store: Store
    workflow: ResearchReviewWorkflow
    clock: Clock

    def waiting(self) -> tuple[Waiting, ...]:
        """All that waits, oldest first."""
        pending = self.store.reviews.pending()
        reviews = {(it.address.run_id, it.address.phase_id): it for it in pending if it.address is not None}
        phases = [
            _of_phase(it, reviews.get((it.run_id, it.phase_id))) for it in self.store.reviews.awaiting()
        ]
        free = [
            Waiting(name=it.review_id, about=it.submission.query, since=it.submitted_at, review=it)
            for it in pending
            if it.address is None
        ]
        return tuple(sorted([*phases, *free], key=lambda it: (it.since, it.name)))

    def find(self, name: str) -> ReviewDecisionRecord | Phase:
        """The newest review behind a name, or the phase that waits for an approval.

        Raises:
            ReviewError: The name is none of a review, and none of a phase.
            StoreError: The phase neither has a review nor waits for anything.
        """
        if "/" not in name:
            record = self.store.reviews.find(name)
            if record is None:
                raise unknown_review(name)
            return record
        run_id, _, phase_id = name.partition("/")
        phase = self.store.phase(run_id, phase_id)
        reviews = self.store.reviews.of_phase(run_id, phase_id)
        newest = [it for it in reviews if it.address and it.address.number == phase.last_attempt]
        if newest:
            return newest[0]
        if phase.awaits_approval:
            return phase
        if reviews:
            return reviews[-1]
        raise StoreError(
            f"{name} is {phase.state} and has no review", hint="`autopack review list` names what waits."
        )

    def decide(self, name: str, decision: ReviewDecision, *, by: str, why: str) -> ReviewDecision:
        """Decide on what waits under a name.

        Raises:
            ReviewError: It was decided before, or is a change that more research cannot help.
            StoreError: It does not wait.
        """
        found = self.find(name)
        if isinstance(found, ReviewDecisionRecord):
            self.workflow.manual_review(found.review_id, decision, by, why)
            return decision
        if decision is ReviewDecision.NEEDS_MORE_RESEARCH:
            raise ReviewError(f"{name} is no research", hint="Approve it, or reject it.")
        approved = decision is ReviewDecision.APPROVED
        said = Decision(approved=approved, by=by, why=why, at=self.clock.now())
        self.store.decide_approval(found.run_id, found.phase_id, said)
        return decision


def _of_phase(phase: Phase, review: ReviewDecisionRecord | None) -> Waiting:
    return Waiting(
        name=f"{phase.run_id}/{phase.phase_id}",
        about=review.submission.query if review is not None else phase.spec.goal,
        since=phase.updated_at,
        review=review,
    )
