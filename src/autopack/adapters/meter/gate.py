"""Waits that all workers share, spent before a request leaves."""

from typing import Protocol

from autopack.adapters.meter.refusals import Refusal
from autopack.adapters.meter.wire import Fault


class Gate(Protocol):
    """Keeps a provider's limits, whichever process its requests come from."""

    async def pass_through(self, tokens: int) -> Refusal | None:
        """Wait until a request of that size may leave; a refusal when that takes longer than a client waits."""
        ...

    async def note_answer(self, exhausted_seconds: float | None) -> None:
        """A request was taken; the provider may have said that the next one would not be, for so long."""
        ...

    async def note_fault(self, fault: Fault) -> None:
        """A request was not taken."""
        ...


class OpenGate:
    """Lets everything pass."""

    async def pass_through(self, tokens: int) -> Refusal | None:
        """At once."""
        del tokens
        return None

    async def note_answer(self, exhausted_seconds: float | None) -> None:
        """Nothing is kept."""

    async def note_fault(self, fault: Fault) -> None:
        """Nothing is kept."""
