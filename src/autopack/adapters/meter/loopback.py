"""Doors on this machine; nothing of the web is loaded before one is opened."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from autopack.adapters.meter.gate import LONGEST_WAIT_SECONDS, Gate, OpenGate, SharedGate
from autopack.adapters.prices import PriceList
from autopack.domain.rates import ProviderRates
from autopack.ports import BuildWatch, Clock, MeterDoor, MeterOrder, Store

SILENCE_SECONDS = 300.0
"""How long a provider may send no byte before its request is given up."""

NOTE_SECONDS = 5.0
"""How often a call is told what its requests under way used."""


class LoopbackMeter:
    """Implements the meter's port with a reverse proxy in a thread of its own, one for each door."""

    def __init__(
        self,
        clock: Clock,
        *,
        store: Store | None = None,
        rates: Mapping[str, ProviderRates] | None = None,
        prices: PriceList | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
        note_seconds: float = NOTE_SECONDS,
    ) -> None:
        """Set the meter up; nothing is opened yet.

        Args:
            clock: The time.
            store: Where pauses and limits are shared; without one there are none.
            rates: Limits by the provider's name.
            prices: What models cost; without them no price is known.
            silence_seconds: How long a provider may send no byte before its request is given up.
            longest_wait_seconds: How long a request is held back before its client is told to come again.
            note_seconds: How often a call is told what its requests under way used.
        """
        self._clock = clock
        self._store = store
        self._rates = rates or {}
        self._prices = prices
        self._silence_seconds = silence_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._note_seconds = note_seconds

    def open(self, order: MeterOrder, watch: BuildWatch) -> AbstractContextManager[MeterDoor]:
        """A door for one Builder call; closing it books what is still under way and leaves nothing behind."""
        return self._opened(order, watch)

    @contextmanager
    def _opened(self, order: MeterOrder, watch: BuildWatch) -> Iterator[MeterDoor]:
        from autopack.adapters.meter.door import Door  # noqa: PLC0415 - loads a web server and a client

        door = Door(
            order,
            watch,
            clock=self._clock,
            gate=self._gate(order.route.provider),
            prices=self._prices,
            silence_seconds=self._silence_seconds,
            note_seconds=self._note_seconds,
        )
        try:
            yield door
        finally:
            door.close()

    def _gate(self, provider: str) -> Gate:
        if self._store is None:
            return OpenGate()
        return SharedGate(
            store=self._store,
            provider=provider,
            rates=self._rates.get(provider, ProviderRates()),
            clock=self._clock,
            longest_wait_seconds=self._longest_wait_seconds,
        )
