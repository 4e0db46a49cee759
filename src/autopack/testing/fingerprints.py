"""What is known of fingerprints, in memory."""

from abc import ABC, abstractmethod
from dataclasses import replace

from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.fingerprint import of_failure
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.run import is_own
from autopack.domain.session import KnownFingerprint
from autopack.domain.verdicts import AttemptOutcome


class MemoryFingerprints(ABC):
    """The part of the store in memory that knows causes, and which of them are stopped."""

    def __init__(self) -> None:
        self._phases: dict[tuple[str, str], Phase] = {}
        self.known: dict[str, KnownFingerprint] = {}
        """By key; ``phases`` is counted when it is asked for."""

    @abstractmethod
    def _usage_of_attempt(self, address: AttemptAddress) -> Usage: ...

    def _note(
        self, address: AttemptAddress, outcome: AttemptOutcome, *, now: float
    ) -> tuple[AttemptOutcome, bool]:
        if is_own(address.run_id) or outcome.final_state is not PhaseState.FAILED or outcome.failure is None:
            return outcome, False
        made = of_failure(outcome.failure, place=f"{address.run_id}/{address.phase_id}")
        key, tokens = str(made), self._usage_of_attempt(address).total_tokens
        new = KnownFingerprint(
            fingerprint=key,
            kind=made.kind,
            canonical=made.canonical,
            occurrences=0,
            seen=0,
            first_seen_at=now,
            last_seen_at=now,
            first_seen_in=str(address),
            last_seen_in=str(address),
            tokens=0,
            phases=0,
        )
        before = self.known.get(key, new)
        self.known[key] = replace(
            before,
            occurrences=before.occurrences + 1,
            tokens=before.tokens + tokens,
            last_seen_at=now,
            last_seen_in=str(address),
        )
        return replace(outcome, fingerprint=key), before.stopped_at is not None

    def failed_with(self, key: str) -> tuple[Phase, ...]:
        """The failed phases that a fingerprint holds."""
        return tuple(
            phase
            for phase in self._phases.values()
            if phase.state is PhaseState.FAILED and phase.failure_fingerprint == key
        )

    def mark_phases(self, key: str) -> int:
        """Make the failed phases of a fingerprint say whether it is stopped; how many changed."""
        is_stopped = self.known[key].stopped_at is not None
        changed = [phase for phase in self.failed_with(key) if phase.is_stopped is not is_stopped]
        for phase in changed:
            self._phases[phase.run_id, phase.phase_id] = replace(phase, is_stopped=is_stopped)
        return len(changed)
