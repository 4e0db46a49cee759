"""When research is good enough to be used: the criteria, and what they decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from autopack.errors import ReviewError

AUTO_REVIEWER = "auto"
"""The reviewer of a decision that the criteria alone made."""


class ReviewDecision(StrEnum):
    """What became of research that was submitted."""

    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_MORE_RESEARCH = "needs_more_research"


@dataclass
class ReviewCriteria:
    """When a review needs no human, and what it asks for.

    Raises:
        ReviewError: A threshold is no number between 0 and 1, the lower one is not below the upper one, or a count
            is no whole number from 0.
    """

    auto_approve_confidence: float = 0.9
    """From here on research may be approved without a human."""
    auto_reject_confidence: float = 0.3
    """Down from here research is rejected without a human."""
    require_human_review: bool = True
    """Nothing is approved without a human."""
    min_findings_required: int = 1
    min_recommendations_required: int = 1

    def __post_init__(self) -> None:
        for name in ("auto_approve_confidence", "auto_reject_confidence"):
            _check_share(name, getattr(self, name))
        for name in ("min_findings_required", "min_recommendations_required"):
            _check_count(name, getattr(self, name))
        if self.auto_reject_confidence >= self.auto_approve_confidence:
            raise ReviewError(
                f"auto_reject_confidence is {self.auto_reject_confidence} and auto_approve_confidence "
                f"{self.auto_approve_confidence}: the same research would be rejected and approved",
                hint="Reject below what is approved.",
            )


def _check_share(name: str, value: object, *, hint: str = "") -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
        return float(value)
    raise ReviewError(f"{name} is {value!r} and must be a number from 0 to 1", hint=hint)


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ReviewError(f"{name} is {value!r} and must be a whole number from 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a review looks at, as texts and numbers."""

    query: str = ""
    session_id: str = ""
    confidence: float = 0.0
    findings: tuple[str, ...] = ()
    recommendations: tuple[str, ...] = ()
    is_success: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewJudgement:
    """What the criteria say of a submission, and why."""

    decision: ReviewDecision
    why: str
    is_final: bool
    """Whether it holds without a human; otherwise the submission waits for one."""


def judge(submission: Submission, criteria: ReviewCriteria) -> ReviewJudgement:
    """What the criteria alone decide.

    Research at or above the threshold for approval, with enough findings and recommendations, is approved; that is
    final unless a human is required. Research at or below the threshold for rejection is rejected, a human or not.
    All else needs more research, or a human's word.
    """
    confidence = submission.confidence
    if confidence <= criteria.auto_reject_confidence:
        why = f"confidence {confidence:.2f} is not above {criteria.auto_reject_confidence:.2f}"
        return ReviewJudgement(decision=ReviewDecision.REJECTED, why=why, is_final=True)
    if lacks := _lacks(submission, criteria):
        return ReviewJudgement(
            decision=ReviewDecision.NEEDS_MORE_RESEARCH, why="; ".join(lacks), is_final=False
        )
    why = (
        f"confidence {confidence:.2f} reaches {criteria.auto_approve_confidence:.2f}, with "
        f"{_count(submission.findings, 'finding')} and {_count(submission.recommendations, 'recommendation')}"
    )
    return ReviewJudgement(
        decision=ReviewDecision.APPROVED, why=why, is_final=not criteria.require_human_review
    )


def _lacks(submission: Submission, criteria: ReviewCriteria) -> list[str]:
    lacks: list[str] = []
    if not submission.is_success:
        lacks.append("the research itself says that it did not succeed")
    if submission.confidence < criteria.auto_approve_confidence:
        lacks.append(
            f"confidence {submission.confidence:.2f} is below {criteria.auto_approve_confidence:.2f}"
        )
    wanted = (
        (submission.findings, criteria.min_findings_required, "finding"),
        (submission.recommendations, criteria.min_recommendations_required, "recommendation"),
    )
    lacks += [
        f"{_count(found, noun)}, {least} required" for found, least, noun in wanted if len(found) < least
    ]
    return lacks


def _count(items: Sequence[str], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def submission_of(result: object) -> Submission:
    """A research result as a review sees it, whatever kind of object or mapping it is.

    Args:
        result: Has ``confidence`` (or ``confidence_score``), and may have ``query``, ``session_id``, ``success``,
            ``findings`` and ``recommendations``. Entries of the latter two are texts, or have a ``title``, a
            ``text`` or a ``content``.

    Raises:
        ReviewError: It has no confidence, or one that is no number from 0 to 1.
    """
    confidence = _field(result, "confidence", _field(result, "confidence_score"))
    return Submission(
        query=str(_field(result, "query", "")),
        session_id=str(_field(result, "session_id", "") or ""),
        confidence=_check_share(
            "the research result's confidence", confidence, hint="Submit a ResearchPhaseResult."
        ),
        findings=_texts(_field(result, "findings", ())),
        recommendations=_texts(_field(result, "recommendations", ())),
        is_success=_field(result, "success") is not False,
    )


def _field(value: object, name: str, default: object = None) -> object:
    if isinstance(value, Mapping):
        return value.get(name, default)
    return getattr(value, name, default)


def _texts(values: object) -> tuple[str, ...]:
    if values is None or isinstance(values, str | bytes):
        return (str(values),) if values else ()
    return tuple(_text(value) for value in values)  # type: ignore[attr-defined]  # what is no sequence is a caller's error


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    named = (_field(value, name) for name in ("title", "text", "content"))
    return next((text for text in named if isinstance(text, str) and text), str(value))
