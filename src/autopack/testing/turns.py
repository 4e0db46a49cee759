"""Turns to ask providers, in memory."""

import threading

from autopack.domain.failure import FailureReport
from autopack.domain.rates import ProviderRates, Taken, Turn, wait_for_turn
from autopack.domain.retry import Pause, paused, provider_key, turn_under_pause


class MemoryTurns:
    """The part of the store in memory that keeps providers' limits."""

    lock: threading.RLock
    _pauses: dict[str, Pause]

    def __init__(self) -> None:
        self._turns: dict[int, tuple[str, Taken]] = {}

    def take_turn(self, provider: str, *, tokens: int, rates: ProviderRates, now: float) -> Turn:
        """Book a request to a provider, or say how long to wait."""
        with self.lock:
            if (held := turn_under_pause(self.provider_pause(provider), now=now)) is not None:
                return held
            taken = [turn for name, turn in self._turns.values() if name == provider]
            turn = wait_for_turn(taken, tokens, rates, now=now)
            if turn.wait_seconds:
                return turn
            turn_id = len(self._turns) + 1
            self._turns[turn_id] = (provider, Taken(at=now, tokens=tokens))
            return Turn(turn_id=turn_id)

    def settle_turn(self, turn_id: int, *, tokens: int) -> None:
        """Replace what a turn was expected to use by what it used."""
        with self.lock:
            provider, turn = self._turns[turn_id]
            self._turns[turn_id] = (provider, Taken(at=turn.at, tokens=tokens))

    def pause_provider(self, provider: str, failure: FailureReport, *, now: float) -> Pause:
        """Let a provider rest after a fault of its own; the pause that holds now."""
        key = provider_key(provider)
        with self.lock:
            self._pauses[key] = paused(self._pauses.get(key), key, failure, now=now)
            return self._pauses[key]

    def note_provider_answer(self, provider: str) -> None:
        """End a provider's row of faults."""
        key = provider_key(provider)
        with self.lock:
            if (before := self._pauses.get(key)) is not None:
                self._pauses[key] = Pause(builder=key, until=before.until, faults=0, reason=before.reason)

    def provider_pause(self, provider: str) -> Pause | None:
        """The provider's newest pause, whether it is over or not; None when it never had one."""
        with self.lock:
            return self._pauses.get(provider_key(provider))
