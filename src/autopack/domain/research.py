"""What research finds and what it ends with."""

from dataclasses import dataclass, field

from autopack.domain.scope import is_within

REPORTS_FOLDER = "docs/research/"
"""Where every research phase leaves its report, in a folder with its own name."""
LOCAL_SOURCE = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a source says, and where it says it. Every text of it is masked."""

    source: str
    """The source's name: ``local``, ``github``, ``hackernews`` or ``reddit``."""
    kind: str
    """What it is there: ``file``, ``issue``, ``repository``, ``story``, ``comment``, ``post``."""
    title: str
    text: str
    url: str
    """Where it stands; of a file of the repository, its key and lines."""
    score: float = 0.0
    """The source's own: stars, points, votes, relevance. Comparable within one kind of one source only."""
    author: str = ""
    """A pseudonym, the same for the same author of a source; empty where there is none."""
    published_at: float | None = None
    """Seconds since the epoch; None where the source does not say."""
    accessed_at: float = 0.0
    """Seconds since the epoch."""

    @property
    def voice(self) -> str:
        """Who says it: findings of one voice confirm nothing to each other."""
        place = self.url.partition("#")[0] if self.source == LOCAL_SOURCE else self.url
        return f"{self.source}:{self.author or place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What research advises, with the numbers of the findings behind it."""

    text: str
    citations: tuple[int, ...]
    """Numbers of findings, from 1; never empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchPhaseResult:
    """What a research phase ends with."""

    success: bool
    """Whether anything was found that answers any of its questions."""
    query: str
    findings: tuple[Finding, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    confidence: float = 0.0
    """From 0 to 1; what it is made of stands in the report."""
    iterations_used: int = 1
    duration_seconds: float = 0.0
    session_id: str = ""
    notes: tuple[str, ...] = field(default=())
    """What went wrong without ending the research: a source that was down, an answer that could not be used."""


def report_folder(phase_id: str) -> str:
    """The folder of a phase's report, as a key."""
    return f"{REPORTS_FOLDER}{phase_id}/"


def report_key(phase_id: str) -> str:
    """The report for people."""
    return f"{report_folder(phase_id)}report.md"


def findings_key(phase_id: str) -> str:
    """The findings for programs."""
    return f"{report_folder(phase_id)}findings.json"


def is_report(key: str) -> bool:
    """Whether a file is research's own: what was concluded from sources is no source."""
    return is_within(key, (REPORTS_FOLDER,))
