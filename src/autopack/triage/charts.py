"""What the report draws, as numbers and words: the page and the picture files draw the same."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from autopack.domain.bucket import Distribution, FailureClass
from autopack.domain.failure import FailureKind
from autopack.domain.go_no_go import COLLECTION_PERCENT, EVENTS_PERCENT, Judgement
from autopack.domain.session import DrainResult
from autopack.domain.waste import Cause, Ledger

_MOST_BARS = 12
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """The text without what neither HTML nor SVG can hold: control characters and halves of surrogate pairs."""
    return _CONTROL.sub("\ufffd", text)


class Tone(StrEnum):
    """What a mark means; each has a colour that the colour-blind tell apart too."""

    GOOD = "#0072b2"
    BAD = "#d55e00"
    LATE = "#e69f00"
    KNOWN = "#6b6b6b"
    CHANCE = "#cc79a7"
    OPEN = "#56b4e9"
    BEFORE = "#b8b8b8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One number, drawn from 0."""

    value: float
    text: str
    """The number in words, shown beside the bar."""
    tone: Tone
    series: str = ""
    """Which of several bars of a row it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """What is compared, under one label."""

    label: str
    bars: tuple[Bar, ...]
    note: str = ""
    """What the label means, where there is room for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """Rows of bars on one scale."""

    name: str
    """The name of its files, without an ending."""
    title: str
    unit: str
    rows: tuple[BarRow, ...]

    @property
    def most(self) -> float:
        """The largest number; above 0 always, so that it can be divided by."""
        return max((bar.value for row in self.rows for bar in row.bars), default=0) or 1

    @property
    def series(self) -> Mapping[str, Tone]:
        """The kinds of bars that a row holds, where they have names."""
        return {bar.series: bar.tone for row in self.rows for bar in row.bars if bar.series}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took its time."""

    start: float
    """In seconds from the chart's beginning."""
    end: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Attempts that ended alike: where they stand says what their colour says."""

    label: str
    tone: Tone
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Attempts over time."""

    name: str
    title: str
    seconds: float
    """Its length; above 0."""
    started_at: float
    """Seconds since the epoch."""
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A share with what the sample does not exclude, against a bar; all from 0 to 1."""

    label: str
    text: str
    value: float | None
    low: float
    high: float
    bar: float
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeChart:
    """Shares on a scale from 0 to 1."""

    name: str
    title: str
    rows: tuple[Range, ...] = field(default=())


Chart = BarChart | Timeline | RangeChart


# --- attempts over time ---------------------------------------------------------------------------------

_LANES = ("complete", "failed", "doomed", "timed out", "surroundings", "waits")
_LANE_TONES = (Tone.GOOD, Tone.BAD, Tone.KNOWN, Tone.LATE, Tone.CHANCE, Tone.OPEN)


def lane_of(result: DrainResult) -> str:
    """How an attempt ended, in the words of the timeline."""
    if result.success:
        return "complete"
    if result.is_retryable:
        return "surroundings"
    if result.is_timeout:
        return "timed out"
    if result.failure_kind is None:
        return "waits"
    return "doomed" if result.failure_kind is FailureKind.DOOMED else "failed"


def tone_of(result: DrainResult) -> Tone:
    """The colour of an attempt."""
    return _LANE_TONES[_LANES.index(lane_of(result))]


def draw_timeline(results: Sequence[DrainResult]) -> Timeline:
    """The attempts of a session, each in the lane of its end; lanes without one are left out."""
    begin = min((_begin(it) for it in results), default=0.0)
    end = max((it.timestamp for it in results), default=0.0)
    lanes = [
        Lane(label=f"{label} ({len(mine)})", tone=tone, spans=tuple(_span(it, begin) for it in mine))
        for label, tone in zip(_LANES, _LANE_TONES, strict=True)
        if (mine := [it for it in results if lane_of(it) == label])
    ]
    return Timeline(
        name="timeline",
        title="Attempts over time",
        seconds=max(end - begin, 1.0),
        started_at=begin,
        lanes=tuple(lanes),
    )


def _begin(result: DrainResult) -> float:
    return result.timestamp - result.subprocess_duration_seconds


def _span(result: DrainResult, begin: float) -> Span:
    return Span(
        start=_begin(result) - begin,
        end=result.timestamp - begin,
        label=f"{result.run_id}/{result.phase_id}/{result.attempt}",
    )


# --- causes ---------------------------------------------------------------------------------------------


def draw_fingerprints(distribution: Distribution, names: Mapping[str, str]) -> BarChart:
    """Failed phases by cause, the twelve that hold the most and the rest together.

    Args:
        distribution: What fails now.
        names: What to call a fingerprint; by fingerprint.
    """
    shown, rest = distribution.buckets[:_MOST_BARS], distribution.buckets[_MOST_BARS:]
    rows = [
        BarRow(
            label=names.get(it.fingerprint, it.fingerprint),
            bars=(_phases(len(it.phases), Tone.BAD if it.is_blocker else Tone.KNOWN),),
        )
        for it in shown
    ]
    if rest:
        held = sum(len(it.phases) for it in rest)
        rows.append(BarRow(label=f"{len(rest)} further causes", bars=(_phases(held, Tone.KNOWN),)))
    return BarChart(name="fingerprints", title="Failed phases by cause", unit="phases", rows=tuple(rows))


def _phases(count: int, tone: Tone, series: str = "") -> Bar:
    return Bar(value=count, text=f"{count:,}", tone=tone, series=series)


def draw_classes(before: Distribution, after: Distribution) -> BarChart:
    """Failed phases by class, before a session and now."""
    then = {it.failure_class: it.phases for it in before.classes}
    now = {it.failure_class: it.phases for it in after.classes}
    rows = [
        BarRow(
            label=str(one),
            bars=(_phases(then[one], Tone.BEFORE, "before"), _phases(now[one], Tone.GOOD, "now")),
        )
        for one in FailureClass
    ]
    return BarChart(
        name="buckets", title="Failed phases by class, before and now", unit="phases", rows=tuple(rows)
    )


# --- tokens ---------------------------------------------------------------------------------------------

_CAUSE_TONES: Mapping[Cause, Tone] = {
    Cause.USEFUL: Tone.GOOD,
    Cause.PENDING: Tone.OPEN,
    Cause.TRANSIENT: Tone.CHANCE,
    Cause.FLAKY: Tone.CHANCE,
    Cause.TIMEOUT: Tone.LATE,
    Cause.DOOMED: Tone.KNOWN,
}


_CAUSE_WORDS: Mapping[Cause, str] = {
    Cause.USEFUL: "the answer completed a phase, at once or later",
    Cause.PENDING: "not judged yet",
    Cause.TRANSIENT: "lost to a fault of the surroundings",
    Cause.DOOMED: "paid for before the base was found to be broken",
    Cause.TIMEOUT: "the attempt ran out of time",
    Cause.FLAKY: "the failure went away by itself",
    Cause.SYSTEMIC: "lost to a cause that several phases share",
    Cause.REJECTED: "the work itself was not good enough",
}


def draw_waste(ledger: Ledger) -> BarChart:
    """Tokens by what became of them; a cause without any is left out."""
    whole = ledger.total.tokens
    rows = [
        BarRow(
            label=str(cause),
            note=_CAUSE_WORDS[cause],
            bars=(
                Bar(
                    value=sums.tokens,
                    text=_tokens(sums.tokens, whole),
                    tone=_CAUSE_TONES.get(cause, Tone.BAD),
                ),
            ),
        )
        for cause, sums in ledger.by_cause().items()
        if sums.tokens
    ]
    return BarChart(name="waste", title="Where the tokens went", unit="tokens", rows=tuple(rows))


def _tokens(tokens: int, whole: int) -> str:
    return f"{tokens:,} ({100 * tokens / whole:.1f} %)" if tokens else "0"


# --- criteria -------------------------------------------------------------------------------------------


def draw_criteria(judgement: Judgement) -> RangeChart:
    """The shares that decide on the next batch, with their intervals and what is asked of them."""
    bars = (0.0, COLLECTION_PERCENT / 100, EVENTS_PERCENT / 100)
    rows = tuple(
        Range(
            label=it.name,
            text=f"{it.share}, must be {it.bar}",
            value=it.share.value,
            low=it.share.interval.low,
            high=it.share.interval.high,
            bar=bar,
            tone=Tone.BAD if it.verdict == "broken" else Tone.GOOD,
        )
        for it, bar in zip(judgement.criteria, bars, strict=True)
    )
    return RangeChart(name="criteria", title="Go or no-go: shares with 95 % intervals", rows=rows)
