"""What the store is given and gives back, beside the domain's own values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.verdicts import AttemptOutcome
from autopack.ports.builders import BuildAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A Builder's answer as the ledger keeps it."""

    answer: BuildAnswer
    prompt_hash: str
    builder: str
    duration_seconds: float
    base_commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """An attempt whose verdict is known before anybody took it, and what that was read from."""

    address: AttemptAddress
    phase: Phase
    """As it was when it was looked at."""
    taken: int
    """What ``Store.taken`` said before anything else was looked at."""
    base_commit: str
    owner: str
    """Whoever looked."""
    outcome: AttemptOutcome
    began_at: float
    """When the look began, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An operator's word on a phase that awaits approval."""

    approved: bool
    by: str
    why: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How many phases of a run are in which state."""

    run_id: str
    goal: str
    is_active: bool = False
    created_at: float = 0.0
    counts: Mapping[PhaseState, int] = field(default_factory=dict)
    used: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which Builder calls are asked for; None is all. Name a session, a run or a call, or all rows are read."""

    session_id: str | None = None
    run_id: str | None = None
    phase_id: str | None = None
    number: int | None = None
    call_id: int | None = None
