from dataclasses import dataclass, field

import pytest

from fileorg.workflow.research_review import (
    ResearchReviewWorkflow,
    ReviewCriteria,
    ReviewDecision,
    ReviewResult,
)


@dataclass
class Research:
    title: str = "How people sort"
    confidence: float = 0.95
    findings: list = field(default_factory=lambda: ["by date"])
    recommendations: list = field(default_factory=lambda: ["sort by date first"])


def automatic():
    return ResearchReviewWorkflow(ReviewCriteria(require_human_review=False))


def test_a_human_reviews_unless_told_otherwise():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(Research())
    assert workflow.list_pending_reviews() == [review_id]
    assert workflow.get_review_status(review_id)["status"] == "pending"


@pytest.mark.parametrize(
    ("research", "decision"),
    [
        (Research(confidence=0.95), ReviewDecision.APPROVED),
        (Research(confidence=0.2), ReviewDecision.REJECTED),
        (Research(confidence=0.95, findings=[]), ReviewDecision.NEEDS_MORE_RESEARCH),
    ],
)
def test_clear_cases_are_decided_at_once(research, decision):
    workflow = automatic()
    review_id = workflow.submit_for_review(research)
    assert workflow.list_pending_reviews() == []
    assert workflow.get_review_status(review_id)["status"] == decision.value


def test_a_middling_case_waits_for_a_human():
    workflow = automatic()
    review_id = workflow.submit_for_review(Research(confidence=0.6))
    assert workflow.list_pending_reviews() == [review_id]


def test_a_reviewer_decides():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(Research())
    result = workflow.manual_review(review_id, ReviewDecision.APPROVED, "ada", "well argued")
    assert isinstance(result, ReviewResult)
    assert (result.decision, result.reviewer, result.comments) == (
        ReviewDecision.APPROVED,
        "ada",
        "well argued",
    )
    assert result.approved_findings == ["by date"]
    assert workflow.list_pending_reviews() == []


def test_the_build_history_tells_of_the_review():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(Research())
    workflow.manual_review(review_id, ReviewDecision.REJECTED, "ada", "too little")
    text = workflow.export_review_to_build_history(review_id)
    assert "How people sort" in text
    assert "rejected" in text
    assert "ada: too little" in text
