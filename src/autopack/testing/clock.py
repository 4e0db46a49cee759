"""A clock for tests."""


class FrozenClock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        """Seconds since the epoch, as last set."""
        return self._now

    def monotonic(self) -> float:
        """The same seconds."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Move on by ``seconds``; the new time."""
        self._now += seconds
        return self._now
