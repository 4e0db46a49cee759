"""The machine's clock."""

import time


class SystemClock:
    """The time as the machine tells it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251 - this is the clock port itself

    def monotonic(self) -> float:
        """Seconds from some fixed moment, for durations."""
        return time.monotonic()
