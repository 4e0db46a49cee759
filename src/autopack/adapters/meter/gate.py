"""Waits that all workers share, spent before a request leaves."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from autopack.adapters.meter.refusals import Refusal
from autopack.adapters.meter.wire import Fault
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.rates import ProviderRates, Turn
from autopack.domain.retry import turn_under_pause
from autopack.errors import StoreError
from autopack.ports import Clock, FaultKind, Store

logger = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST_WAIT_SECONDS = 60.0
"""How long a request is held back; after that its client is told to come again, before it gives up by itself."""
_BUSY_SECONDS = 5.0


class Gate(Protocol):
    """Keeps a provider's limits, whichever process its requests come from."""

    async def enter(self, tokens: int) -> int | Refusal:
        """Wait until a request of that size may leave.

        Returns:
            What to leave with, or a refusal when the wait is longer than a client waits.
        """
        ...

    async def leave(self, turn_id: int, tokens: int) -> None:
        """Say what the request used."""
        ...

    async def note_answer(self, exhausted_seconds: float | None) -> None:
        """A request was taken; the provider may have said that the next one would not be, for so long."""
        ...

    async def note_fault(self, fault: Fault) -> None:
        """A request was not taken."""
        ...


class OpenGate:
    """Lets everything pass."""

    async def enter(self, tokens: int) -> int | Refusal:
        """At once."""
        del tokens
        return 0

    async def leave(self, turn_id: int, tokens: int) -> None:
        """Nothing is kept."""

    async def note_answer(self, exhausted_seconds: float | None) -> None:
        """Nothing is kept."""

    async def note_fault(self, fault: Fault) -> None:
        """Nothing is kept."""


@dataclass(kw_only=True)
class SharedGate:
    """Keeps the limits in the store. The event loop never waits for the database; a thread does."""

    store: Store
    provider: str
    rates: ProviderRates
    clock: Clock
    longest_wait_seconds: float = LONGEST_WAIT_SECONDS

    def __post_init__(self) -> None:
        # Whether a row of faults may have to be ended; another process may have begun one.
        self._had_fault = self.rates.is_limited
        # What a door's requests used is told before its next one asks for room, in the order in which they came.
        self._in_turn = asyncio.Lock()

    async def enter(self, tokens: int) -> int | Refusal:
        """Wait for the provider's pause, and for room in its minute."""
        until = self.clock.monotonic() + self.longest_wait_seconds
        while True:
            try:
                async with self._in_turn:
                    turn = await asyncio.to_thread(self._take, tokens)
            except StoreError as error:
                return _busy(error)
            if not turn.wait_seconds:
                return turn.turn_id or 0
            if self.clock.monotonic() + turn.wait_seconds > until:
                return self._too_long(turn)
            await asyncio.sleep(turn.wait_seconds)

    def _take(self, tokens: int) -> Turn:
        now = self.clock.now()
        if self.rates.is_limited:
            return self.store.take_turn(self.provider, tokens=tokens, rates=self.rates, now=now)
        # Without limits there is nothing to write, and a request costs one look.
        pause = self.store.provider_pause(self.provider)
        self._had_fault = self._had_fault or (pause is not None and pause.faults > 0)
        return turn_under_pause(pause, now=now) or Turn()

    def _too_long(self, turn: Turn) -> Refusal:
        message = f"{self.provider} takes no request for {turn.wait_seconds:.0f} s: {turn.reason}"
        return Refusal(
            status=429, code="provider_limit", message=message, retry_after_seconds=turn.wait_seconds
        )

    async def leave(self, turn_id: int, tokens: int) -> None:
        """Put what was used in the place of what was expected."""
        if turn_id:
            async with self._in_turn:
                await self._told(lambda: self.store.settle_turn(turn_id, tokens=tokens))

    async def note_answer(self, exhausted_seconds: float | None) -> None:
        """End the row of faults, and wait where the provider says that it is exhausted."""
        if self._had_fault:
            self._had_fault = False
            await self._told(lambda: self.store.note_provider_answer(self.provider))
        if exhausted_seconds:
            await self._pause("its limits are used up", exhausted_seconds)

    async def note_fault(self, fault: Fault) -> None:
        """Pause the provider for all workers when it asks for time."""
        if fault.kind in {FaultKind.RATE_LIMIT, FaultKind.OVERLOAD}:
            self._had_fault = True
            await self._pause(fault.message, fault.retry_after_seconds)

    async def _pause(self, reason: str, seconds: float | None) -> None:
        failure = FailureReport(
            kind=FailureKind.BUILDER_ERROR, message=reason, retryable=True, retry_after_seconds=seconds
        )
        await self._told(lambda: self.store.pause_provider(self.provider, failure, now=self.clock.now()))

    async def _told(self, tell: Callable[[], T]) -> None:
        try:
            await asyncio.to_thread(tell)
        except StoreError as error:
            # The answer is paid for; that others do not hear of it must not lose it.
            logger.warning("limits.not_shared", extra={"provider": self.provider, "reason": str(error)})


def _busy(error: StoreError) -> Refusal:
    message = f"the limits that workers share cannot be looked at: {error}"
    return Refusal(status=503, code="store_busy", message=message, retry_after_seconds=_BUSY_SECONDS)
