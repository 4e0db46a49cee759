"""A drain session: what it was told, what it did, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Sample, Stop, ZeroYield
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay


class DrainKind(StrEnum):
    """Which part of the backlog a session works off."""

    QUEUED = "queued"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainScope:
    """Which phases a session may take."""

    kind: DrainKind
    run_id: str | None = None
    """None is every run."""
    skip_run_prefixes: tuple[str, ...] = ()
    skip_runs_with_queued: bool = True
    """Whether a failed phase waits while its run has a queued phase that may go."""
    blocker: int | None = None
    """Only the phases that the blocker of this number held when its fix was validated, in the order of their runs:
    those that were not replayed yet, or, where ``replay`` asks for more, those that a replay did not complete."""
    replay: Replay = Replay.FIRST
    doom_check: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOrders:
    """How a session wants an attempt made."""

    timeout_seconds: float
    replay: Replay
    doom_check: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Builder calls that were begun in an attempt since it was picked."""

    calls: int
    tokens: int
    cost_usd: float | None
    had_answer: bool
    """Whether an answer to the attempt had been stored before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """An attempt that a session took upon itself, from the taking until its result is booked."""

    session_id: str
    address: AttemptAddress
    phase_index: int
    initial_state: PhaseState
    picked_at: float
    sample: Sample = Sample.UNSAMPLED
    """What was known of the run when it was picked."""
    expected_fingerprint: str | None = None
    """What the phase failed with before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainResult:
    """What became of one picked attempt; the names are those of the session file."""

    run_id: str
    phase_id: str
    phase_index: int
    attempt: int
    initial_state: PhaseState
    final_state: PhaseState
    success: bool
    error_message: str = ""
    failure_kind: FailureKind | None = None
    failure_fingerprint: str | None = None
    is_retryable: bool = False
    """True for a fault of the surroundings, which counts against no limit but time."""
    subprocess_returncode: int | None = None
    subprocess_duration_seconds: float = 0.0
    subprocess_stdout_path: str = ""
    subprocess_stderr_path: str = ""
    subprocess_stdout_excerpt: str = ""
    subprocess_stderr_excerpt: str = ""
    telemetry_events_collected: int = 0
    """Builder calls that were begun in this attempt since it was picked."""
    telemetry_yield_per_minute: float = 0.0
    tokens_used: int = 0
    cost_usd: float | None = None
    tokens_not_spent: int = 0
    """What the Builder call was predicted to use that a doomed attempt did not make."""
    zero_yield_reason: ZeroYield | None = None
    replayed: bool = False
    sandbox: str = ""
    """What kept its programs in their rooms: ``NONE (why)`` where nothing did, empty where none was started."""
    timestamp: float = 0.0
    """Seconds since the epoch at which the attempt's end was booked."""

    @property
    def is_timeout(self) -> bool:
        """Whether the attempt ended at a time limit."""
        return self.failure_kind is FailureKind.TIMEOUT

    @property
    def is_zero_yield(self) -> bool:
        """Whether it neither called the Builder nor helped its phase."""
        return not self.success and self.telemetry_events_collected == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session with its totals; all of it is counted from its booked results."""

    session_id: str
    """``batch-drain-YYYYMMDD-HHMMSS``, in UTC; a second one of the same second ends in ``-2``."""
    scope: DrainScope
    limits: DrainLimits
    preset: str
    started_at: float
    owner: str
    heartbeat_at: float
    completed_at: float | None = None
    stop: Stop | None = None
    active_seconds: float = 0.0
    """Wall time during which a controller worked on it."""
    picked: int = 0
    total_processed: int = 0
    total_success: int = 0
    total_failed: int = 0
    total_timeouts: int = 0
    total_telemetry_events: int = 0
    total_tokens: int = 0
    tokens_not_spent: int = 0
    zero_yield_in_row: int = 0
    fingerprint_counts: Mapping[str, int] = field(default_factory=dict)
    """How often each fingerprint ended an attempt of this session, the most frequent first."""
    stopped_fingerprints: tuple[str, ...] = ()
    """Stopped by this session, in order."""
    stopped_runs: tuple[str, ...] = ()
    """Left alone for their time-outs."""
    climb: str = ""
    """The first session of the climb that it is a step of: the limits of a session hold over all of them together.
    Empty for a session by itself."""
    seconds_before: float = 0.0
    """Wall time during which controllers worked on the other steps of its climb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFingerprint:
    """A fingerprint as the store knows it."""

    fingerprint: str
    kind: str
    canonical: str
    """The text that the key was made from."""
    occurrences: int
    """Failed attempts that ended with it, drained or not."""
    seen: int
    """Drained attempts that ended with it since it was last lifted."""
    first_seen_at: float
    last_seen_at: float
    first_seen_in: str
    """The attempt, as ``run/phase/number``."""
    last_seen_in: str
    tokens: int
    """What the attempts used that ended with it."""
    phases: int
    """Failed phases that it holds now."""
    stopped_at: float | None = None
    stopped_by: str = ""
    """The session whose rule stopped it."""
    limit: int = 0
    """The limit that was reached."""
    lifted_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """Failed phases that a drain would not take, by one reason."""

    reason: str
    """``queued phases``, ``fingerprint stopped``, ``in flight``, ``skipped prefix``, …"""
    phases: int
    runs: int
    hint: str = ""
    """The command that would let them go."""
    examples: tuple[str, ...] = ()
    """At most five, as ``run/phase``."""
