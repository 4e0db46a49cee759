"""The time, as the use cases see it."""

from typing import Protocol


class Clock(Protocol):
    """The time, which no decision reads by itself."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from some fixed moment, for durations."""
        ...
