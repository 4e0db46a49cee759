"""When a drain goes on, what it tries next, and what makes it give up."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainLimits:
    """When a drain session gives up: on a phase, a run, a cause, or altogether. None sets no limit."""

    batch_size: int | None = 10
    """Attempts that the session makes in all."""
    phase_timeout_seconds: float = 900
    """Wall time of one attempt, Builder and CI included."""
    max_total_seconds: float | None = None
    """Wall time after which no further attempt begins; a resumed session goes on counting."""
    max_attempts_per_phase: int = 2
    """How often the session tries one phase; faults of the surroundings do not count."""
    max_fingerprint_repeats: int = 3
    """How often one fingerprint may be seen in drains, over all phases and sessions, before it stops."""
    max_timeouts_per_run: int = 2
    """Attempts of a run that may end at their time limit before the session leaves the run alone."""
    max_faults_per_phase: int | None = 2
    """Attempts of a phase that faults of the surroundings may end, after their own retries, before the session leaves
    the phase alone: such a fault uses up no attempt, so that no other limit would."""
    max_consecutive_zero_yield: int | None = None
    """Attempts in a row without one Builder call and without success after which the session stops."""
    stop_on_first_failure: bool = False


class Preset(StrEnum):
    """Named limits."""

    STRICT = "strict"
    """Finds causes at the least expense: one attempt a phase, two a cause."""
    DEFAULT = "default"
    LENIENT = "lenient"
    """For a backlog whose failures are believed to be chance."""


PRESETS: Mapping[Preset, DrainLimits] = {
    Preset.STRICT: DrainLimits(
        phase_timeout_seconds=600, max_attempts_per_phase=1, max_fingerprint_repeats=2, max_timeouts_per_run=1
    ),
    Preset.DEFAULT: DrainLimits(),
    Preset.LENIENT: DrainLimits(
        phase_timeout_seconds=1800,
        max_attempts_per_phase=3,
        max_fingerprint_repeats=5,
        max_timeouts_per_run=4,
    ),
}


class FailureRank(IntEnum):
    """The order in which failed phases of equal standing are tried: the cheapest to learn from first."""

    UNRECORDED = 0
    COLLECTION = 1
    DELIVERABLES = 2
    PATCH = 3
    OTHER = 4
    TIMEOUT = 5


_RANKS: Mapping[FailureKind, FailureRank] = {
    FailureKind.IMPORT_CRASH: FailureRank.COLLECTION,
    FailureKind.DOOMED: FailureRank.COLLECTION,
    FailureKind.COLLECTION_ERROR: FailureRank.COLLECTION,
    FailureKind.IMPORT_ERROR: FailureRank.COLLECTION,
    FailureKind.DELIVERABLES_MISSING: FailureRank.DELIVERABLES,
    FailureKind.INVALID_JSON_DELIVERABLE: FailureRank.DELIVERABLES,
    FailureKind.PATCH_REJECTED: FailureRank.PATCH,
    FailureKind.EMPTY_CHANGE: FailureRank.PATCH,
    FailureKind.SYNTAX_ERROR: FailureRank.PATCH,
    FailureKind.TIMEOUT: FailureRank.TIMEOUT,
}


def failure_rank(kind: FailureKind | None) -> FailureRank:
    """Where a phase that failed with ``kind`` stands in the order of trying; None is no recorded reason."""
    return FailureRank.UNRECORDED if kind is None else _RANKS.get(kind, FailureRank.OTHER)


class Sample(IntEnum):
    """What the newest drained attempt of a run showed; runs are tried in this order."""

    UNSAMPLED = 0
    PROMISING = 1
    UNPROMISING = 2


def sample_of(*, success: bool, kind: FailureKind | None, calls: int, is_known: bool) -> Sample:
    """What one drained attempt says of its run's other phases.

    Args:
        success: Whether the attempt completed its phase.
        kind: Why it failed.
        calls: Builder calls that it made: none means that it never came to its own work.
        is_known: Whether its fingerprint had been seen in a drain before.

    Returns:
        PROMISING for a success, a time-out, and a failure of the work itself that is new; else UNPROMISING.
    """
    if success or kind is FailureKind.TIMEOUT:
        return Sample.PROMISING
    return Sample.PROMISING if calls and not is_known else Sample.UNPROMISING


class StopRule(StrEnum):
    """Why a session, or a part of its work, ended before the backlog did."""

    BATCH_SIZE = "batch_size"
    TOTAL_MINUTES = "max_total_minutes"
    ZERO_YIELD = "max_consecutive_zero_yield"
    SURROUNDINGS = "faults_in_a_row"
    """Faults of the surroundings use up no attempt, so that no other rule would end a drain that meets only them."""
    FIRST_FAILURE = "stop_on_first_failure"
    MAX_BATCHES = "max_batches"
    BUDGET = "budget"
    ATTEMPTS_PER_PHASE = "max_attempts_per_phase"
    FAULTS_PER_PHASE = "max_faults_per_phase"
    TIMEOUTS_PER_RUN = "max_timeouts_per_run"
    FINGERPRINT_REPEATS = "max_fingerprint_repeats"
    INTERRUPTED = "interrupted"
    NOTHING_LEFT = "nothing_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A rule that held, with the numbers that it was judged by."""

    rule: StopRule
    seen: float
    limit: float
    subject: str = ""
    """The phase, run or fingerprint that is stopped; empty for the session itself."""
    evidence: tuple[str, ...] = ()
    """Attempts, as ``run/phase/number``, that the numbers were counted from; at most ten, newest last."""

    def __str__(self) -> str:
        if self.rule is StopRule.NOTHING_LEFT:
            return "nothing left that may be drained"
        if self.rule is StopRule.INTERRUPTED:
            return f"interrupted, and taken over by {self.subject}"
        what = f" for {self.subject}" if self.subject else ""
        # Time goes on while it is asked for; whatever else is counted is told as it is, tokens by the million too.
        seen = round(self.seen, 1) if self.rule is StopRule.TOTAL_MINUTES else self.seen
        return f"{self.rule}{what}: {seen:,.10g} of {self.limit:,.10g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTally:
    """What the session-wide rules are judged by."""

    picked: int
    """Attempts that were begun and not given back, those under way included."""
    failed: int
    zero_yield_in_row: int
    elapsed_seconds: float


def session_stop(tally: SessionTally, limits: DrainLimits) -> Stop | None:
    """The first session-wide rule that holds, or None while another attempt may begin."""
    rules = (
        (StopRule.FIRST_FAILURE, tally.failed, 1 if limits.stop_on_first_failure else None),
        (StopRule.ZERO_YIELD, tally.zero_yield_in_row, limits.max_consecutive_zero_yield),
        (StopRule.TOTAL_MINUTES, tally.elapsed_seconds / 60, _minutes(limits.max_total_seconds)),
        (StopRule.BATCH_SIZE, tally.picked, limits.batch_size),
    )
    return next(
        (
            Stop(rule=rule, seen=seen, limit=limit)
            for rule, seen, limit in rules
            if limit is not None and seen >= limit
        ),
        None,
    )


def nearest_stop(tally: SessionTally, limits: DrainLimits) -> Stop:
    """The session-wide rule of which the largest share is used up: what will stop the session next."""
    rules = (
        (StopRule.BATCH_SIZE, tally.picked, limits.batch_size),
        (StopRule.ZERO_YIELD, tally.zero_yield_in_row, limits.max_consecutive_zero_yield),
        (StopRule.TOTAL_MINUTES, tally.elapsed_seconds / 60, _minutes(limits.max_total_seconds)),
    )
    stops = [Stop(rule=rule, seen=seen, limit=limit) for rule, seen, limit in rules if limit]
    unlimited = Stop(rule=StopRule.NOTHING_LEFT, seen=tally.picked, limit=0)
    return max(stops, key=lambda stop: stop.seen / stop.limit, default=unlimited)


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


class ZeroYield(StrEnum):
    """Why an attempt made no Builder call."""

    SUCCESS_WITHOUT_CALLS = "success_without_calls"
    """Its answer had been paid for before, or a stored change was put through the gates again."""
    ANSWER_REUSED = "answer_reused"
    TIMEOUT = "timeout"
    DOOMED = "doomed"
    IMPORT_CRASH = "import_crash"
    BUDGET = "budget_exceeded"
    SURROUNDINGS = "infrastructure"
    FAILED_BEFORE_BUILDER = "failed_before_builder"


_ZERO_YIELD: Mapping[FailureKind, ZeroYield] = {
    FailureKind.TIMEOUT: ZeroYield.TIMEOUT,
    FailureKind.DOOMED: ZeroYield.DOOMED,
    FailureKind.IMPORT_CRASH: ZeroYield.IMPORT_CRASH,
    FailureKind.BUDGET_EXCEEDED: ZeroYield.BUDGET,
    FailureKind.INFRASTRUCTURE: ZeroYield.SURROUNDINGS,
    FailureKind.CRASHED: ZeroYield.FAILED_BEFORE_BUILDER,
}


def zero_yield_reason(
    *, final_state: PhaseState, kind: FailureKind | None, calls: int, had_answer: bool
) -> ZeroYield | None:
    """Why an attempt made no Builder call; None when it made one.

    Args:
        final_state: What the attempt ended in.
        kind: Why it failed, if it did.
        calls: Builder calls that were begun within the attempt's session.
        had_answer: Whether an answer to this attempt had been stored before it began.
    """
    if calls:
        return None
    if final_state in {PhaseState.COMPLETE, PhaseState.GATE}:
        return ZeroYield.SUCCESS_WITHOUT_CALLS
    if kind is not None and kind in _ZERO_YIELD:
        return _ZERO_YIELD[kind]
    return ZeroYield.ANSWER_REUSED if had_answer else ZeroYield.FAILED_BEFORE_BUILDER


def with_changes(limits: DrainLimits, changes: Mapping[str, object]) -> DrainLimits:
    """``limits`` with what an operator set; values of None are left as they are."""
    return replace(limits, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
