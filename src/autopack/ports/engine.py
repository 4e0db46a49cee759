"""Scheduling attempts durably."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autopack.domain.attempt import AttemptAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """How much one worker does at a time."""

    slots: int
    """Attempts side by side; never two of one run."""
    poll_seconds: float = 0.5


class Engine(Protocol):
    """Schedules attempts durably. It owns no truth: losing its tables loses nothing."""

    def submit(self, address: AttemptAddress, *, priority: int) -> None:
        """Ask for an attempt; asking twice changes nothing. Lower priorities go first within a run."""
        ...

    def serve(self, limits: EngineLimits, *, tick: Callable[[], bool]) -> None:
        """Make attempts until ``tick`` returns True and what is under way is done.

        ``tick`` is called at every poll and after every attempt; it submits what may go.
        """
        ...
