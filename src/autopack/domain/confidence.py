"""How far findings answer questions, in numbers that can be read back: coverage, agreement, freshness.

Nothing here understands what a finding says. That several independent voices speak to a question is counted; that they
say the same is for the reviewer to see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autopack.domain.research import Finding
from autopack.domain.research_words import stems_of_finding, stems_of_question

SUPPORTS_FROM = 0.5
"""The share of a question's words from which a finding speaks to it."""
HALF_LIFE_SECONDS = 2 * 365 * 86_400.0
UNDATED_FRESHNESS = 0.5
_BASE, _AGREEMENT, _FRESHNESS = 0.5, 0.35, 0.15
"""What full coverage is worth by itself, and what the other two add; 1 together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionConfidence:
    """How far one question is answered. Each number is from 0 to 1."""

    question: str
    coverage: float
    """The largest share of the question's words that stands in one finding."""
    voices: int
    """Independent voices that speak to it."""
    agreement: float
    freshness: float
    """Of the newest finding that speaks to it."""

    @property
    def total(self) -> float:
        """Coverage, weakened where few or old voices speak."""
        return self.coverage * (_BASE + _AGREEMENT * self.agreement + _FRESHNESS * self.freshness)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How far all questions are answered."""

    questions: tuple[QuestionConfidence, ...]

    @property
    def total(self) -> float:
        """The mean over the questions; 0 without any."""
        if not self.questions:
            return 0.0
        return min(1.0, sum(it.total for it in self.questions) / len(self.questions))


def confidence(
    questions: Sequence[str], findings: Mapping[int, Sequence[Finding]], *, now: float
) -> Confidence:
    """How far the findings answer the questions.

    A further finding never lowers it, and neither does a fresher one.

    Args:
        questions: In words.
        findings: By the question's index.
        now: Seconds since the epoch.
    """
    return Confidence(
        questions=tuple(
            _of_question(question, findings.get(index, ()), now=now)
            for index, question in enumerate(questions)
        )
    )


def coverage_of(question: str, finding: Finding) -> float:
    """The share of the question's words that stands in the finding; 0 for a question without words."""
    wanted = stems_of_question(question)
    return len(wanted & stems_of_finding(finding)) / len(wanted) if wanted else 0.0


def _of_question(question: str, findings: Sequence[Finding], *, now: float) -> QuestionConfidence:
    shares = [(coverage_of(question, finding), finding) for finding in findings]
    supporting = [finding for share, finding in shares if share >= SUPPORTS_FROM]
    voices = len({finding.voice for finding in supporting})
    return QuestionConfidence(
        question=question,
        coverage=max((share for share, _ in shares), default=0.0),
        voices=voices,
        # Each further voice halves the doubt that is left.
        agreement=1.0 - 0.5**voices,
        freshness=max((_freshness(finding, now) for finding in supporting), default=0.0),
    )


def _freshness(finding: Finding, now: float) -> float:
    if finding.published_at is None:
        return UNDATED_FRESHNESS
    age_seconds = max(0.0, now - finding.published_at)
    return float(0.5 ** (age_seconds / HALF_LIFE_SECONDS))
