"""What a plan asks of a research phase."""

import re
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.review import ReviewCriteria
from autopack.errors import ResearchError

MAX_ITERATIONS = 5
_SOURCES = {
    "local": re.compile(r"local"),
    "hackernews": re.compile(r"hackernews"),
    "github": re.compile(r"github(?::[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100})?"),
    "reddit": re.compile(r"reddit(?::[A-Za-z0-9_]{2,21}(?:\+[A-Za-z0-9_]{2,21}){0,20})?"),
}
_FORMS = "local, github, github:OWNER/REPOSITORY, hackernews, reddit, reddit:NAME+NAME"


class Synthesis(StrEnum):
    """Who makes an answer of the findings."""

    EXTRACTIVE = "extractive"
    """Nobody: the best sentences of the best findings, as they are. Costs nothing."""
    BUILDER = "builder"
    """The Builder, in one call that is booked like any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchOptions:
    """How a research phase works."""

    questions: tuple[str, ...] = ()
    """What is to be answered; empty for the phase's goal alone."""
    sources: tuple[str, ...] = ("local",)
    min_confidence: float = 0.6
    """From here on the result may be used without a human, and below it more is searched for."""
    require_human_review: bool = True
    synthesis: Synthesis = Synthesis.EXTRACTIVE
    max_iterations: int = 2
    """How often the sources are asked, each time with fewer words, while the confidence is too low."""

    def criteria(self) -> ReviewCriteria:
        """The criteria of the phase's review."""
        return ReviewCriteria(
            auto_approve_confidence=self.min_confidence,
            auto_reject_confidence=min(ReviewCriteria.auto_reject_confidence, self.min_confidence / 2),
            require_human_review=self.require_human_review,
        )


def check_source(name: str) -> tuple[str, str]:
    """A source's sort and what it is narrowed to, which may be empty.

    Raises:
        ResearchError: There is no such source.
    """
    sort, _, rest = name.partition(":")
    pattern = _SOURCES.get(sort)
    if pattern is None or not pattern.fullmatch(name):
        raise ResearchError(f"{name!r} is no source of findings", hint=f"Known are {_FORMS}.")
    return sort, rest
