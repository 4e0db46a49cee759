"""What drains did, as far as the store remembers it: the material that other limits are tried on."""

from dataclasses import dataclass

from autopack.domain.drain_policy import DrainLimits, StopRule
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind

Place = tuple[str, str]
"""A phase, as (run, phase)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    """An attempt that a session picked and booked."""

    session_id: str
    run_id: str
    phase_id: str
    number: int
    picked_at: float
    """Seconds since the epoch; attempts picked at the same time are told in the order of picking."""
    booked_at: float
    elapsed_seconds: float
    """How long the session had been worked on when it picked the attempt."""
    seconds: float
    """Wall time of the attempt."""
    final_state: PhaseState
    tokens: int
    calls: int
    """Builder calls that it made."""
    fingerprint: str | None = None
    """What it failed with."""
    expected_fingerprint: str | None = None
    """What the phase had failed with before."""
    is_timeout: bool = False
    is_retryable: bool = False
    """Whether it ended by a fault of the surroundings."""
    needs: tuple[str, ...] = ()
    """Phases of the same run that had to be COMPLETE first."""

    @property
    def place(self) -> Place:
        """The phase that it tried."""
        return self.run_id, self.phase_id

    @property
    def is_success(self) -> bool:
        """Whether it completed its phase."""
        return self.final_state is PhaseState.COMPLETE

    @property
    def counted_fingerprint(self) -> str | None:
        """The fingerprint that counts as seen once more."""
        return None if self.is_retryable or self.is_success else self.fingerprint

    @property
    def is_zero_yield(self) -> bool:
        """Whether it neither called the Builder nor helped its phase."""
        return not self.is_success and self.calls == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """A drain session, and what it left."""

    session_id: str
    kind: DrainKind
    limits: DrainLimits
    started_at: float
    active_seconds: float
    """How long it was worked on in all, with the steps of its climb before it."""
    stop: StopRule | None = None
    """Why it ended; None for one that did not."""
    left_phases: int | None = None
    """Phases that it was free to try when it ended; None where nobody counted."""
    held_phases: int | None = None
    """Other phases that were not COMPLETE then, and that a limit may have kept it from; None where nobody counted."""
    climb: str = ""
    """The first session of the climb that it is a step of; empty for a session by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """A stopped fingerprint that was let go, and is counted from nothing since."""

    fingerprint: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRecord:
    """Drains of one backlog."""

    sessions: tuple[RecordedSession, ...]
    attempts: tuple[RecordedAttempt, ...]
    """In the order of picking; each belongs to one of the sessions."""
    lifts: tuple[Lift, ...] = ()
