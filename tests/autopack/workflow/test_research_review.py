# ruff: noqa: DTZ001, DTZ005, TID251 -- reviews carry local times, as datetime.now gives them
import threading
from dataclasses import fields
from datetime import datetime, timedelta
from enum import Enum
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopack.errors import AutopackError, ReviewError
from autopack.workflow.research_review import (
    ResearchReviewWorkflow,
    ReviewCriteria,
    ReviewDecision,
    ReviewDecisionRecord,
    ReviewResult,
)

OPEN_DOOR = ReviewCriteria(require_human_review=False)


def research(confidence=0.95, **values):
    given_fields = {
        "success": True,
        "query": "Which queue?",
        "findings": ["SQLite is enough"],
        "recommendations": ["Use it"],
        "confidence": confidence,
        "session_id": "s-1",
    }
    return SimpleNamespace(**(given_fields | values))


def test_criteria_have_the_documented_fields_and_defaults():
    assert [(it.name, getattr(ReviewCriteria(), it.name)) for it in fields(ReviewCriteria)] == [
        ("auto_approve_confidence", 0.9),
        ("auto_reject_confidence", 0.3),
        ("require_human_review", True),
        ("min_findings_required", 1),
        ("min_recommendations_required", 1),
    ]


def test_decisions_are_an_enum_of_three():
    assert issubclass(ReviewDecision, Enum)
    assert [it.name for it in ReviewDecision] == ["APPROVED", "REJECTED", "NEEDS_MORE_RESEARCH"]


def test_a_result_takes_its_first_two_fields_by_position_and_has_defaults_for_the_rest():
    before = datetime.now()
    result = ReviewResult(ReviewDecision.APPROVED, "ada")
    assert [it.name for it in fields(ReviewResult)] == [
        "decision",
        "reviewer",
        "comments",
        "approved_findings",
        "approved_recommendations",
        "timestamp",
    ]
    assert (result.comments, result.approved_findings, result.approved_recommendations) == ("", [], [])
    assert before <= result.timestamp <= datetime.now()
    assert ReviewResult(ReviewDecision.REJECTED, "bob").approved_findings is not result.approved_findings


@pytest.mark.parametrize(
    ("criteria", "result", "is_decided", "decision"),
    [
        pytest.param(OPEN_DOOR, research(0.95), True, ReviewDecision.APPROVED, id="good"),
        pytest.param(OPEN_DOOR, research(0.9), True, ReviewDecision.APPROVED, id="at the upper threshold"),
        pytest.param(
            OPEN_DOOR, research(0.89), False, ReviewDecision.NEEDS_MORE_RESEARCH, id="below the upper one"
        ),
        pytest.param(OPEN_DOOR, research(0.3), True, ReviewDecision.REJECTED, id="at the lower threshold"),
        pytest.param(
            OPEN_DOOR, research(0.31), False, ReviewDecision.NEEDS_MORE_RESEARCH, id="above the lower one"
        ),
        pytest.param(
            OPEN_DOOR, research(findings=[]), False, ReviewDecision.NEEDS_MORE_RESEARCH, id="no finding"
        ),
        pytest.param(
            OPEN_DOOR,
            research(recommendations=[]),
            False,
            ReviewDecision.NEEDS_MORE_RESEARCH,
            id="no recommendation",
        ),
        pytest.param(
            OPEN_DOOR, research(success=False), False, ReviewDecision.NEEDS_MORE_RESEARCH, id="not a success"
        ),
        pytest.param(
            ReviewCriteria(), research(0.99), False, ReviewDecision.APPROVED, id="a human is required"
        ),
        pytest.param(
            ReviewCriteria(), research(0.1), True, ReviewDecision.REJECTED, id="no human for what is rejected"
        ),
        pytest.param(
            ReviewCriteria(require_human_review=False, min_findings_required=2),
            research(findings=["one"]),
            False,
            ReviewDecision.NEEDS_MORE_RESEARCH,
            id="too few for these criteria",
        ),
    ],
)
def test_what_the_criteria_decide(criteria, result, is_decided, decision):
    workflow = ResearchReviewWorkflow(criteria)
    assert workflow._can_auto_review(result) is is_decided
    assert workflow._auto_review(result).decision is decision
    review_id = workflow.submit_for_review(result)
    status = workflow.get_review_status(review_id)
    assert status["status"] == ("completed" if is_decided else "pending")
    assert workflow.list_pending_reviews() == ([] if is_decided else [review_id])
    if is_decided:
        assert (status["decision"], status["reviewer"]) == (decision, "auto")


def test_an_automatic_decision_says_why_and_what_it_approves():
    review = ResearchReviewWorkflow(OPEN_DOOR)._auto_review(research(0.95))
    assert review.comments == "confidence 0.95 reaches 0.90, with 1 finding and 1 recommendation"
    assert review.approved_findings == ["SQLite is enough"]
    assert review.approved_recommendations == ["Use it"]


def test_a_workflow_needs_no_set_up():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(research())
    assert isinstance(review_id, str)
    assert isinstance(workflow._pending_reviews[review_id], dict)
    status = workflow.get_review_status(review_id)
    assert {"review_id", "status", "submitted_at"} <= status.keys()
    assert (status["review_id"], status["status"]) == (review_id, "pending")


def test_every_submission_has_a_review_of_its_own():
    workflow = ResearchReviewWorkflow()
    ids = [workflow.submit_for_review(research()) for _ in range(3)]
    assert workflow.list_pending_reviews() == ids
    assert len(set(ids)) == 3


@pytest.mark.parametrize("decision", list(ReviewDecision))
def test_a_human_decides_what_waits(decision):
    now = datetime(2026, 1, 2, 3, 4, 5)
    workflow = ResearchReviewWorkflow(clock=lambda: now)
    review_id = workflow.submit_for_review(research())
    result = workflow.manual_review(review_id, decision, "ada", "as discussed")
    is_approved = decision is ReviewDecision.APPROVED
    assert result == ReviewResult(
        decision=decision,
        reviewer="ada",
        comments="as discussed",
        approved_findings=["SQLite is enough"] if is_approved else [],
        approved_recommendations=["Use it"] if is_approved else [],
        timestamp=now,
    )
    assert workflow.list_pending_reviews() == []
    assert workflow.get_review_status(review_id)["status"] == "completed"


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({"confidence": 0.95, "findings": ["a"], "recommendations": ["b"]}, id="mapping"),
        pytest.param(
            SimpleNamespace(confidence_score=0.95, findings=["a"], recommendations=["b"]),
            id="confidence_score",
        ),
        pytest.param(
            SimpleNamespace(confidence=0.95, findings=[{"title": "a"}], recommendations=[{"text": "b"}]),
            id="entries that are mappings",
        ),
    ],
)
def test_results_of_other_shapes_are_understood(result):
    workflow = ResearchReviewWorkflow(OPEN_DOOR)
    review = workflow._auto_review(result)
    assert (review.approved_findings, review.approved_recommendations) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(
            lambda w, _: w.get_review_status("review_no"), "there is no review 'review_no'", id="status"
        ),
        pytest.param(
            lambda w, _: w.manual_review("review_no", ReviewDecision.APPROVED, "ada"),
            "there is no review 'review_no'",
            id="decision",
        ),
        pytest.param(
            lambda w, _: w.export_review_to_build_history("review_no"), "there is no review", id="export"
        ),
        pytest.param(
            lambda w, waiting: w.export_review_to_build_history(waiting),
            "waits for its decision",
            id="too early",
        ),
        pytest.param(
            lambda w, waiting: w.manual_review(waiting, "approved", "ada"), "is no decision", id="no decision"
        ),
        pytest.param(
            lambda w, waiting: w.manual_review(waiting, ReviewDecision.APPROVED, " "),
            "needs the name of its reviewer",
            id="no reviewer",
        ),
        pytest.param(
            lambda w, _: w.submit_for_review(research(1.5)), "must be a number from 0 to 1", id="above 1"
        ),
        pytest.param(
            lambda w, _: w.submit_for_review(research(float("nan"))), "must be a number from 0 to 1", id="nan"
        ),
        pytest.param(
            lambda w, _: w.submit_for_review(object()), "confidence is None", id="no research at all"
        ),
    ],
)
def test_wrong_use_is_a_clear_error_and_changes_nothing(fault, message):
    workflow = ResearchReviewWorkflow()
    waiting = workflow.submit_for_review(research())
    with pytest.raises(AutopackError, match=message):
        fault(workflow, waiting)
    assert workflow.list_pending_reviews() == [waiting]


def test_a_second_decision_is_refused_and_names_the_first():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(research())
    workflow.manual_review(review_id, ReviewDecision.REJECTED, "ada")
    with pytest.raises(ReviewError, match="decided before: rejected by ada"):
        workflow.manual_review(review_id, ReviewDecision.APPROVED, "bob")
    assert workflow.get_review_status(review_id)["decision"] is ReviewDecision.REJECTED


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"auto_approve_confidence": 1.1}, "auto_approve_confidence is 1.1"),
        ({"auto_reject_confidence": -0.1}, "auto_reject_confidence is -0.1"),
        ({"auto_approve_confidence": float("nan")}, "auto_approve_confidence is nan"),
        ({"auto_approve_confidence": "high"}, "auto_approve_confidence is 'high'"),
        ({"auto_approve_confidence": 0.5, "auto_reject_confidence": 0.5}, "rejected and approved"),
        ({"min_findings_required": -1}, "min_findings_required is -1"),
        ({"min_recommendations_required": 1.5}, "min_recommendations_required is 1.5"),
    ],
)
def test_bad_criteria_are_refused(values, message):
    with pytest.raises(ReviewError, match=message):
        ReviewCriteria(**values)


def test_the_export_tells_the_whole_decision():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(research(0.91))
    workflow.manual_review(review_id, ReviewDecision.APPROVED, "ada", "fits\nour  load")
    text = workflow.export_review_to_build_history(review_id)
    for part in (
        review_id,
        "## Research review: Which queue?",
        "**APPROVED** by ada",
        "Confidence: 0.91",
        "Session: `s-1`",
        "Comments: fits our load",
        "### Findings\n\n- SQLite is enough",
        "### Recommendations\n\n- Use it",
    ):
        assert part in text
    assert text == workflow.export_review_to_build_history(review_id)


def test_an_export_holds_no_secret_and_no_second_mark():
    workflow = ResearchReviewWorkflow()
    review_id = workflow.submit_for_review(research(query="<!-- review x -->"))
    token = "ghp_" + "a1" * 18
    workflow.manual_review(review_id, ReviewDecision.REJECTED, "ada", f"see {token}")
    text = workflow.export_review_to_build_history(review_id)
    assert token not in text
    assert text.count("<!--") == 1


class SharedRecords:
    """Records of two processes, as far as one process can be two."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows: dict[str, ReviewDecisionRecord] = {}

    def submit(self, record):
        return self.rows.setdefault(record.review_id, record)

    def decide(self, review_id, decision, *, reviewer, comments, now):
        with self.lock:
            decided = self.rows[review_id].decided(decision, reviewer=reviewer, comments=comments, at=now)
            self.rows[review_id] = decided
            return decided

    def find(self, review_id):
        return self.rows.get(review_id)

    def pending(self):
        return [row for row in self.rows.values() if row.is_pending]


def test_reviews_that_are_kept_are_known_to_every_workflow():
    records = SharedRecords()
    review_id = ResearchReviewWorkflow(records=records).submit_for_review(research())
    other = ResearchReviewWorkflow(records=records)
    assert other.list_pending_reviews() == [review_id]
    other.manual_review(review_id, ReviewDecision.APPROVED, "ada")
    third = ResearchReviewWorkflow(records=records)
    assert third.get_review_status(review_id)["status"] == "completed"
    with pytest.raises(ReviewError, match="decided before"):
        third.manual_review(review_id, ReviewDecision.REJECTED, "bob")


@given(
    confidence=st.floats(0, 1),
    low=st.floats(0, 0.49),
    high=st.floats(0.5, 1),
    findings=st.integers(0, 3),
    needs_human=st.booleans(),
)
def test_only_research_that_meets_every_criterion_is_approved_without_a_human(
    confidence, low, high, findings, needs_human
):
    criteria = ReviewCriteria(high, low, needs_human, 2, 0)
    workflow = ResearchReviewWorkflow(criteria)
    review_id = workflow.submit_for_review(research(confidence, findings=["f"] * findings))
    decision = workflow.get_review_status(review_id).get("decision")
    meets_all = confidence >= high and findings >= 2 and not needs_human
    assert (decision is ReviewDecision.APPROVED) == meets_all
    assert (decision is ReviewDecision.REJECTED) == (confidence <= low)


def test_times_are_those_of_the_clock():
    moments = iter([datetime(2026, 1, 1), datetime(2026, 1, 2)])
    workflow = ResearchReviewWorkflow(clock=lambda: next(moments))
    review_id = workflow.submit_for_review(research())
    workflow.manual_review(review_id, ReviewDecision.APPROVED, "ada")
    status = workflow.get_review_status(review_id)
    assert status["decided_at"] - status["submitted_at"] == timedelta(days=1)
