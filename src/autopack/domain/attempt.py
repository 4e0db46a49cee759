"""One try of a phase: its address, and the lease under which it is made."""

from dataclasses import dataclass

from autopack.domain.phase import PhaseState
from autopack.domain.verdicts import AttemptOutcome


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AttemptAddress:
    """Names one attempt for good; the same address is always the same attempt."""

    run_id: str
    phase_id: str
    number: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.run_id}/{self.phase_id}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to finish one attempt, until a newer lease on it is given out."""

    address: AttemptAddress
    token: int
    """Grows with every lease of the attempt; the store refuses a finish under an older one."""
    owner: str
    """``host:pid:start`` of the process that holds the lease."""
    base_commit: str | None
    """The commit the attempt was first made on; None until it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt in the store."""

    address: AttemptAddress
    state: PhaseState
    """EXECUTING, GATE or CI_RUNNING while it is under way; then what it ended in."""
    token: int
    owner: str
    base_commit: str | None
    started_at: float
    heartbeat_at: float
    finished_at: float | None = None
    outcome: AttemptOutcome | None = None
    """The last word on the attempt; an attempt that was requeued has one although it is not finished."""

    @property
    def is_finished(self) -> bool:
        """Whether the attempt has its verdict."""
        return self.finished_at is not None
