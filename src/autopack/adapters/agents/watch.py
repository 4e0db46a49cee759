"""When an agent's time is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from autopack.adapters.agents.ending import Cause, Ending
from autopack.ports import BuildWatch, Clock, FaultKind, MeterDoor, ModelRequest

MOST_REFUSALS = 10
"""How often in a row an agent may ask past its budget; six that were tried gave up by themselves before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an agent may take."""

    total_seconds: float
    silence_seconds: float
    """Without a byte from the agent and without a model's answer."""


class CallWatch:
    """Looks at an agent under way and says why it must stop."""

    def __init__(
        self,
        patience: Patience,
        *,
        clock: Clock,
        build: BuildWatch,
        door: MeterDoor,
        outputs: tuple[Path, ...],
    ) -> None:
        """Begin to watch.

        Args:
            patience: The limits.
            clock: For both.
            build: Says whether the call was cancelled.
            door: Where the agent's model calls go through; a finished one is a sign of life.
            outputs: Files that the agent's output goes to.
        """
        self._patience = patience
        self._clock = clock
        self._build = build
        self._door = door
        self._outputs = outputs
        self._heard: Callable[[], int] = lambda: 0
        self._started = self._last = clock.monotonic()
        self._signs: tuple[object, ...] = ()

    def listen(self, heard: Callable[[], int]) -> None:
        """Count the bytes that come in another way too."""
        self._heard = heard

    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock.monotonic() - self._started

    def reason(self) -> Ending | None:
        """Why the agent must stop now; None while it may go on."""
        now = self._clock.monotonic()
        requests = self._door.requests()
        signs = self._signs_of_life(requests)
        if signs != self._signs:
            self._signs, self._last = signs, now
        patience = self._patience
        if self._build.is_cancelled():
            return Ending(cause=Cause.CANCELLED, message="The agent was stopped at its budget")
        if _refused_in_a_row(requests) >= MOST_REFUSALS:
            return Ending(
                cause=Cause.CANCELLED,
                message=f"The agent was stopped: it asked {MOST_REFUSALS} times past its budget",
            )
        if now - self._started >= patience.total_seconds:
            return Ending(
                cause=Cause.TIMED_OUT, message=f"The agent took longer than {patience.total_seconds:g} s"
            )
        if now - self._last >= patience.silence_seconds:
            return Ending(
                cause=Cause.SILENT,
                message=f"Nothing was heard of the agent for {patience.silence_seconds:g} s",
            )
        return None

    def _signs_of_life(self, requests: Sequence[ModelRequest]) -> tuple[object, ...]:
        sizes = tuple(path.stat().st_size for path in self._outputs if path.exists())
        return (self._heard(), len(requests), self._door.usage().total_tokens, *sizes)


def _refused_in_a_row(requests: Sequence[ModelRequest]) -> int:
    """How many of the newest requests were refused for the budget, one after another."""
    return sum(1 for _ in takewhile(lambda it: it.fault is FaultKind.BUDGET, reversed(requests)))
