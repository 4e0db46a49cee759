"""What a gate says of a change, and what an attempt ends with."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState


class GateStatus(StrEnum):
    """The four things a gate can say."""

    PASSED = "passed"
    FAILED = "failed"
    UNRUNNABLE = "unrunnable"
    """The gate could not be judged; it blocks like a failure."""
    NOT_APPLICABLE = "not_applicable"
    """Nothing in the change or the phase concerns this gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """One gate's word on one change."""

    gate: str
    status: GateStatus
    failure: FailureReport | None = None
    """Set exactly when the gate blocks."""
    notes: tuple[str, ...] = ()
    """What an operator should know although it does not block."""
    duration_seconds: float = 0.0

    @property
    def is_blocking(self) -> bool:
        """Whether this verdict alone keeps the phase from COMPLETE."""
        return self.status in {GateStatus.FAILED, GateStatus.UNRUNNABLE}


def passed(gate: str, *notes: str) -> GateVerdict:
    """The gate was judged and found nothing wrong."""
    return GateVerdict(gate=gate, status=GateStatus.PASSED, notes=notes)


def not_applicable(gate: str, *notes: str) -> GateVerdict:
    """Nothing here concerns the gate."""
    return GateVerdict(gate=gate, status=GateStatus.NOT_APPLICABLE, notes=notes)


def blocked(gate: str, failure: FailureReport, *notes: str) -> GateVerdict:
    """The gate blocks: UNRUNNABLE for a failure of that kind, FAILED for every other."""
    unrunnable = failure.kind is FailureKind.UNRUNNABLE
    status = GateStatus.UNRUNNABLE if unrunnable else GateStatus.FAILED
    return GateVerdict(gate=gate, status=status, failure=failure, notes=notes)


def first_failure(verdicts: Iterable[GateVerdict]) -> FailureReport | None:
    """The failure of the first blocking verdict, or None when nothing blocks."""
    return next((verdict.failure for verdict in verdicts if verdict.is_blocking), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """How an attempt ended.

    ``COMPLETE`` carries the commit and ``FAILED`` the failure. ``QUEUED`` is a fault of the surroundings: the
    same attempt is made again later. ``GATE`` is a change that passed everything and awaits an approval.
    """

    final_state: PhaseState
    commit: str | None = None
    failure: FailureReport | None = None
    gates: tuple[GateVerdict, ...] = ()
    usage: Usage = Usage()
    duration_seconds: float = 0.0
    retry_at: float | None = None
    """Seconds since the epoch before which a requeued phase is not to be taken; None for at once."""
    fingerprint: str | None = None
    """The key of the failure's cause; the store gives every failed attempt one."""
    replayed_from: int | None = None
    """The earlier attempt of the phase whose answer was judged, where the Builder was not asked."""
    sandbox: str = ""
    """What keeps its programs in their rooms; empty for an attempt that ended before that was known."""
