"""Doors on this machine; nothing of the web is loaded before one is opened."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from autopack.ports import BuildWatch, Clock, MeterDoor, MeterOrder

if TYPE_CHECKING:
    from autopack.adapters.meter.books import Price
    from autopack.adapters.meter.wire import WireUsage

SILENCE_SECONDS = 300.0
"""How long a provider may send no byte before its request is given up."""


def _unknown_price(model: str, usage: "WireUsage") -> None:
    del model, usage


class LoopbackMeter:
    """Implements the meter's port with a reverse proxy in a thread of its own, one for each door."""

    def __init__(
        self, clock: Clock, *, price: "Price" = _unknown_price, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self._clock = clock
        self._price = price
        self._silence_seconds = silence_seconds

    def open(self, order: MeterOrder, watch: BuildWatch) -> AbstractContextManager[MeterDoor]:
        """A door for one Builder call; closing it books what is still under way and leaves nothing behind."""
        return self._opened(order, watch)

    @contextmanager
    def _opened(self, order: MeterOrder, watch: BuildWatch) -> Iterator[MeterDoor]:
        from autopack.adapters.meter.door import Door  # noqa: PLC0415 - loads a web server and a client

        door = Door(order, watch, clock=self._clock, price=self._price, silence_seconds=self._silence_seconds)
        try:
            yield door
        finally:
            door.close()
