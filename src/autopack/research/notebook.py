"""What one iteration of gathering found, as text and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from autopack.domain.research import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One iteration: when the sources were asked, and what they said."""

    at: float
    """Seconds since the epoch."""
    findings: Mapping[int, tuple[Finding, ...]] = field(default_factory=dict)
    """By the question's index."""
    notes: tuple[str, ...] = ()


def write_page(page: Page) -> str:
    """The page as JSON."""
    findings = {str(index): [asdict(it) for it in found] for index, found in page.findings.items()}
    return json.dumps({"at": page.at, "findings": findings, "notes": list(page.notes)})


def read_page(text: str) -> Page:
    """The page that ``write_page`` wrote."""
    loaded = json.loads(text)
    return Page(
        at=loaded["at"],
        findings={
            int(index): tuple(Finding(**it) for it in found) for index, found in loaded["findings"].items()
        },
        notes=tuple(loaded["notes"]),
    )


def merge(pages: list[Page]) -> Page:
    """All pages as one: each place once in a question, each note once."""
    findings: dict[int, dict[str, Finding]] = {}
    notes: dict[str, None] = {}
    for page in pages:
        for index, found in page.findings.items():
            for finding in found:
                findings.setdefault(index, {}).setdefault(finding.url, finding)
        notes.update(dict.fromkeys(page.notes))
    return Page(
        at=max(page.at for page in pages),
        findings={index: tuple(by_place.values()) for index, by_place in findings.items()},
        notes=tuple(notes),
    )
