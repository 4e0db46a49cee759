"""Asks every source at once; one that fails costs its findings and leaves a note."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autopack.domain.masking import mask_secrets
from autopack.domain.research import Finding
from autopack.errors import ResearchError
from autopack.research.gatherers.source import Gatherer
from autopack.settings import ResearchSettings

_MISREAD = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
"""What reading an answer raises that is not of the shape which its source documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the sources said, by question."""

    findings: Mapping[int, tuple[Finding, ...]] = field(default_factory=dict)
    """By the question's index; a finding that answers two questions is there twice."""
    notes: tuple[str, ...] = ()
    """One line for each source that did not say all that it was asked."""


@dataclass
class _Share:
    """What one source's thread has found so far."""

    found: list[tuple[int, Finding]] = field(default_factory=list)
    note: str = ""
    is_told: bool = False
    """Whether the source said all that it was asked, or the note says why not."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def gather_all(
    gatherers: Sequence[Gatherer], queries: Mapping[int, Sequence[str]], settings: ResearchSettings
) -> Gathered:
    """Ask every source every query; no fault of a source is an error, and none takes longer than it may.

    Args:
        gatherers: The sources; each is asked in a thread of its own.
        queries: Search words by the index of their question.
        settings: How long and for how much.

    Returns:
        Findings by question, in the order of sources and queries, each place once; notes in the order of sources.
    """
    shares = [(gatherer, _Share()) for gatherer in gatherers]
    threads = [
        threading.Thread(target=_ask, args=(gatherer, queries, settings, share), daemon=True)
        for gatherer, share in shares
    ]
    for thread in threads:
        thread.start()
    deadline = _Deadline(settings.source_timeout_seconds)
    for thread in threads:
        thread.join(deadline.left())
    return _collect(shares, threads, settings)


class _Deadline:
    def __init__(self, seconds: float) -> None:
        from time import monotonic  # noqa: PLC0415 -- a wait on threads, which no clock of a test moves

        self._clock = monotonic
        self._end = monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self._end - self._clock())


def _ask(
    gatherer: Gatherer, queries: Mapping[int, Sequence[str]], settings: ResearchSettings, share: _Share
) -> None:
    try:
        for question, texts in queries.items():
            for text in texts:
                found = gatherer.gather(text, limit=settings.max_findings)
                with share.lock:
                    share.found += [(question, finding) for finding in found]
    except ResearchError as error:
        share.note = f"{gatherer.name}: {error}" + (f" ({error.hint})" if error.hint else "")
    except _MISREAD as error:
        share.note = f"{gatherer.name}: its answer could not be read: {type(error).__name__}: {error}"
    # Any other error is a bug of ours. It ends this thread alone, and Python writes it to the attempt's stderr.
    share.is_told = True


def _collect(
    shares: Sequence[tuple[Gatherer, _Share]], threads: Sequence[threading.Thread], settings: ResearchSettings
) -> Gathered:
    findings: dict[int, dict[str, Finding]] = {}
    notes: list[str] = []
    for (gatherer, share), thread in zip(shares, threads, strict=True):
        with share.lock:
            found = list(share.found)
        if thread.is_alive():
            notes.append(f"{gatherer.name}: did not end within {settings.source_timeout_seconds:g} s")
        elif not share.is_told:
            notes.append(
                f"{gatherer.name}: stopped by a bug of Autopack; its traceback is in the attempt's log"
            )
        elif share.note:
            notes.append(mask_secrets(share.note))
        for question, finding in found:
            if finding.title or finding.text:
                findings.setdefault(question, {}).setdefault(finding.url, finding)
    by_question = {question: tuple(by_place.values()) for question, by_place in findings.items()}
    return Gathered(findings=by_question, notes=tuple(notes))
