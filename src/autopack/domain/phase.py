"""A phase: what it must do, where it may do it, and the states it goes through."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from autopack.domain.failure import FailureKind
from autopack.domain.research_options import ResearchOptions
from autopack.errors import IllegalTransitionError


class PhaseState(StrEnum):
    """Where a phase stands."""

    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    GATE = "GATE"
    """A change exists and is being judged, or waits for an approval."""
    CI_RUNNING = "CI_RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def is_terminal(self) -> bool:
        """Whether no attempt is under way or due."""
        return self in {PhaseState.COMPLETE, PhaseState.FAILED, PhaseState.SKIPPED}

    @property
    def is_in_flight(self) -> bool:
        """Whether an attempt holds the phase."""
        return self in {PhaseState.EXECUTING, PhaseState.GATE, PhaseState.CI_RUNNING}


# An attempt in flight may go back to QUEUED (its process died, or the surroundings failed) and may fail at
# any step. Only CI leads to COMPLETE; a phase that needs an approval goes back to GATE to wait for it.
LEGAL_MOVES: Mapping[PhaseState, frozenset[PhaseState]] = {
    PhaseState.QUEUED: frozenset({PhaseState.EXECUTING, PhaseState.SKIPPED}),
    PhaseState.EXECUTING: frozenset({PhaseState.GATE, PhaseState.FAILED, PhaseState.QUEUED}),
    PhaseState.GATE: frozenset({PhaseState.CI_RUNNING, PhaseState.FAILED, PhaseState.QUEUED}),
    PhaseState.CI_RUNNING: frozenset(
        {PhaseState.COMPLETE, PhaseState.FAILED, PhaseState.QUEUED, PhaseState.GATE}
    ),
    PhaseState.FAILED: frozenset({PhaseState.QUEUED, PhaseState.SKIPPED}),
    PhaseState.SKIPPED: frozenset({PhaseState.QUEUED}),
    PhaseState.COMPLETE: frozenset(),
}


class PhaseKind(StrEnum):
    """What sort of work a phase is."""

    BUILD = "build"
    RESEARCH = "research"
    REMEDIATION = "remediation"
    """Mends the cause of other phases' failures; a known-broken base does not stop it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The paths a phase may touch and those it only reads, as keys of the repository.

    A key that ends in ``/`` is a folder with all below it. An empty ``paths`` allows nothing.
    """

    paths: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What CI runs for a phase."""

    ci: str | None = None
    """A command line; None takes the repository's setting."""
    timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpec:
    """A phase as its plan states it."""

    phase_id: str
    goal: str
    scope: Scope = Scope()
    deliverables: tuple[str, ...] = ()
    """Keys of files that must exist afterwards; one that ends in ``/`` asks for any file below it."""
    acceptance: tuple[str, ...] = ()
    checks: Checks = Checks()
    needs: tuple[str, ...] | None = None
    """Phases of the same run that must be COMPLETE first; None leaves it to the run's order."""
    kind: PhaseKind = PhaseKind.BUILD
    budget_tokens: int | None = None
    """None takes the repository's setting."""
    requires_approval: bool = False
    research: ResearchOptions | None = None
    """How a research phase works; None takes the defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A phase in the store: its specification and how far it got."""

    run_id: str
    index: int
    """Position in the run, from 0."""
    spec: PhaseSpec
    state: PhaseState = PhaseState.QUEUED
    attempts: int = 0
    """Attempts that count; one that ended by a fault of the surroundings does not."""
    last_attempt: int = 0
    """The number of the newest attempt, 0 before the first."""
    crashes: int = 0
    """Times in a row in which the attempt's process died without a verdict."""
    requeues: int = 0
    """Times in a row that the newest attempt was given back after a fault of the surroundings."""
    failure_kind: FailureKind | None = None
    failure_message: str = ""
    failure_fingerprint: str | None = None
    """What the last failed attempt ended with; kept when the phase is put back into the queue."""
    is_stopped: bool = False
    """Whether that fingerprint is stopped: no drain tries the phase until it is lifted."""
    commit: str | None = None
    retry_at: float | None = None
    """Seconds since the epoch before which the phase is not to be taken."""
    awaits_approval: bool = False
    """True while the phase rests in GATE until an operator decides; no attempt holds it then."""
    updated_at: float = 0.0

    @property
    def phase_id(self) -> str:
        """The phase's name within its run."""
        return self.spec.phase_id

    def enter(self, state: PhaseState) -> "Phase":
        """A copy in ``state``.

        Raises:
            IllegalTransitionError: ``LEGAL_MOVES`` does not lead there.
        """
        check_move(self.state, state, of=f"{self.run_id}/{self.phase_id}")
        return replace(self, state=state)


def check_move(now: PhaseState, then: PhaseState, *, of: str) -> None:
    """Refuse a move that the table does not hold.

    Raises:
        IllegalTransitionError: ``then`` does not follow ``now``; the message names ``of`` and both states.
    """
    if then not in LEGAL_MOVES[now]:
        legal = ", ".join(sorted(LEGAL_MOVES[now])) or "nothing"
        raise IllegalTransitionError(
            f"{of} is {now} and cannot become {then}", hint=f"From {now} may follow: {legal}."
        )
