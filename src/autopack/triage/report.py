"""One page that tells how a backlog stands, from the record alone: read on a phone, printed, sent as one file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from autopack.domain.attempt import Attempt
from autopack.domain.blocker import Release
from autopack.domain.bucket import Bucket, Distribution, distribute
from autopack.domain.failure import FailureReport
from autopack.domain.session import DrainResult, Session
from autopack.ports import Store
from autopack.triage.charts import (
    Chart,
    Tone,
    draw_classes,
    draw_criteria,
    draw_fingerprints,
    draw_timeline,
    draw_waste,
    lane_of,
    printable,
    tone_of,
)
from autopack.triage.ledger import Cut, LedgerRow, LedgerSummary, read_ledger, rows_of, summarise
from autopack.triage.overview import Overview, overview
from autopack.triage.remediation import count
from autopack.triage.report_words import SAVING_WORDS, Savings, Step, cause_words, in_short, next_steps
from autopack.triage.survey import BlockerView

_MOST_RUNS = 10
_MOST_CAUSES = 1_000
_MOST_STEPS = 5
_EVIDENCE_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A file beside the page."""

    text: str
    href: str
    """Relative to the page's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One attempt of the session."""

    address: str
    ended: str
    """How, in the words of the timeline."""
    tone: Tone
    result: DrainResult
    logs: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A bucket with what is known of its fingerprint."""

    name: str
    """What the chart calls it: the blocker, if it is one, the sort of failure, and the cause."""
    bucket: Bucket
    canonical: str
    forecast: str
    """What trying all of its phases once more would cost and bring; empty where none was tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerCard:
    """A blocker with its newest evidence."""

    view: BlockerView
    message: str
    excerpt: str
    evidence: tuple[tuple[str, tuple[Link, ...]], ...]
    """Attempts, each with its log files."""
    released: Mapping[Release, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the page says."""

    made_at: str
    identity: str
    in_short: tuple[tuple[str, str], ...]
    """Causes, what was done, what it saved, what is next: a word for each, and the text."""
    overview: Overview
    before: Distribution
    """Failures when the session began; without a session as they are now."""
    session_spending: LedgerSummary | None
    waste: tuple[LedgerRow, ...]
    runs: tuple[LedgerRow, ...]
    """Those that used the most."""
    saved: Savings
    causes: tuple[Cause, ...]
    blockers: tuple[BlockerCard, ...]
    attempts: tuple[AttemptLine, ...]
    sandboxes: tuple[str, ...]
    """What kept the programs of the session's attempts in their rooms, each once."""
    limits: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    charts: Mapping[str, Chart]
    """By name, in the order of the page."""


def make_report(
    store: Store,
    views: Sequence[BlockerView],
    *,
    root: Path,
    folder: Path,
    made_at: float,
    session_id: str | None = None,
) -> Report:
    """Put the page together.

    Args:
        store: The record.
        views: The blockers as ``survey`` tells them.
        root: Of the repository; what log paths are relative to, where they are.
        folder: Where the page will lie; links are relative to it.
        made_at: Seconds since the epoch; the one thing on the page that is not from the record.
        session_id: The drain session to tell of; None takes the newest.

    Raises:
        StoreError: There is no session of that name.
    """
    seen = overview(store, session_id=session_id)
    session = seen.session
    linker = _Linker(root=root, folder=folder)
    results = tuple(store.drains.results(session.session_id)) if session is not None else ()
    before = (
        seen.distribution
        if session is None
        else distribute(store.triage.failed_phases(at=session.started_at))
    )
    ledger = read_ledger(store)
    causes = tuple(_causes(store, seen, views))
    saved = {one: (sums.calls, sums.tokens) for one, sums in ledger.by_saving().items()}
    steps = next_steps(seen, views, store.totals())
    return Report(
        made_at=moment(made_at),
        identity=store.identity,
        in_short=in_short(seen, views, saved, steps),
        overview=seen,
        before=before,
        session_spending=_spending_of(store, session),
        waste=rows_of(ledger, Cut.CAUSE),
        runs=rows_of(ledger, Cut.RUN)[:_MOST_RUNS],
        saved=saved,
        causes=causes,
        blockers=tuple(_card(view, linker) for view in views),
        attempts=tuple(_line(result, linker) for result in results),
        sandboxes=tuple(sorted({result.sandbox for result in results if result.sandbox})),
        limits=_limits(session),
        steps=steps,
        charts=_charts(
            seen,
            draw_timeline(results),
            draw_fingerprints(seen.distribution, {it.bucket.fingerprint: it.name for it in causes}),
            draw_classes(before, seen.distribution),
            draw_waste(ledger),
        ),
    )


def _spending_of(store: Store, session: Session | None) -> LedgerSummary | None:
    return None if session is None else summarise(read_ledger(store, session_id=session.session_id))


def _charts(seen: Overview, *drawn: Chart) -> Mapping[str, Chart]:
    judged = () if seen.judgement is None else (draw_criteria(seen.judgement),)
    return {chart.name: chart for chart in (*drawn, *judged)}


def _causes(store: Store, seen: Overview, views: Sequence[BlockerView]) -> Iterator[Cause]:
    blockers = {view.blocker.cause.fingerprint: view.blocker.name for view in views}
    known = {it.fingerprint: it for it in store.drains.fingerprints(limit=_MOST_CAUSES)}
    for bucket in seen.distribution.buckets:
        # One that failed before there were fingerprints, or is very rare, is told by its key.
        canonical = known[bucket.fingerprint].canonical if bucket.fingerprint in known else bucket.fingerprint
        blocker = blockers.get(bucket.fingerprint)
        told = cause_words(known[bucket.fingerprint]) if bucket.fingerprint in known else canonical
        forecast = seen.forecasts.get(bucket.fingerprint)
        yield Cause(
            name=f"{blocker}: {told}" if blocker else told,
            bucket=bucket,
            canonical=canonical,
            forecast="" if forecast is None else str(forecast),
        )


def _limits(session: Session | None) -> tuple[tuple[str, str], ...]:
    if session is None:
        return ()
    return tuple((name.replace("_", " "), _limit(value)) for name, value in asdict(session.limits).items())


def _limit(value: float | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}"


# --- logs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linker:
    root: Path
    folder: Path

    def link(self, path: str) -> Link:
        relative = Path(os.path.relpath(self.root / path, self.folder)).as_posix()
        # A colon in a name would make it look like an address of its own.
        return Link(text=Path(path).name, href=quote(relative, errors="replace"))


def _line(result: DrainResult, linker: _Linker) -> AttemptLine:
    paths = (result.subprocess_stdout_path, result.subprocess_stderr_path)
    return AttemptLine(
        address=f"{result.run_id}/{result.phase_id}/{result.attempt}",
        ended=lane_of(result),
        tone=tone_of(result),
        result=result,
        logs=tuple(linker.link(path) for path in paths if path),
    )


def _card(view: BlockerView, linker: _Linker) -> BlockerCard:
    failures = [(attempt, failure) for attempt in view.evidence if (failure := _failure_of(attempt))]
    newest = failures[0][1] if failures else None
    return BlockerCard(
        view=view,
        message=view.blocker.cause.canonical if newest is None else newest.message,
        excerpt="" if newest is None else _excerpt(newest),
        evidence=tuple(
            (str(attempt.address), tuple(linker.link(path) for path in failure.log_paths))
            for attempt, failure in failures
        ),
        released={release: view.released[release] for release in Release if release in view.released},
    )


def _failure_of(attempt: Attempt) -> FailureReport | None:
    return None if attempt.outcome is None else attempt.outcome.failure


def _excerpt(failure: FailureReport) -> str:
    lines = (failure.evidence or "\n".join(failure.details)).rstrip().splitlines()
    return "\n".join(lines[-_EVIDENCE_LINES:])


# --- the page -------------------------------------------------------------------------------------------


def render(report: Report) -> str:
    """The page as one HTML document that asks for no other file."""
    # Only this command writes pages; every other one starts without the template engine.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

    environment = Environment(
        loader=PackageLoader("autopack.triage"),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=_number, count=count, percent=_percent, moment=moment, duration=_duration, cause=cause_words
    )
    return environment.get_template("report.html.j2").render(report=report, saving_words=SAVING_WORDS)


def _printable(value: object) -> object:
    # What is markup already was made of texts that came through here, and stays markup when it is not changed.
    return printable(value) if isinstance(value, str) and printable(value) != value else value


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def moment(seconds: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
