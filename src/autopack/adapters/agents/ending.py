"""How a call of an agent ended, before anybody judges it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autopack.ports import Finished


class Cause(StrEnum):
    """What ended the agent's turn."""

    ANSWERED = "answered"
    """The agent said that it is done; whether it is, is another question."""
    ERROR = "error"
    """The agent said that it failed."""
    DIED = "died"
    """The agent ended in the middle of its turn, or never began one."""
    CANCELLED = "cancelled"
    """We stopped it, because its budget is spent."""
    SILENT = "silent"
    """Nothing was heard of it for too long."""
    TIMED_OUT = "timed-out"
    FLOODED = "flooded"
    """It wrote more to its log than is allowed."""
    OVERUSED = "overused"
    """It used more of the machine than its room allows."""
    LOST = "lost"
    """Its guard was killed, by it or by somebody else, and it with it."""
    UNSTARTED = "unstarted"
    """Its program could not be started."""
    ROOMLESS = "roomless"
    """The sandbox made no room for it, which says nothing of the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a call ended."""

    cause: Cause
    message: str = ""
    """The agent's words, or ours, where it did not answer."""
    hint: str = ""
    """What can be done about it, where more is known than its cause says."""
    stop_reason: str = ""
    """As the agent gave it; never believed."""
    returncode: int | None = None
    duration_seconds: float = 0.0
    reported: Mapping[str, object] = field(default_factory=dict)
    """What the agent said of its usage, as it came."""


def killed_for(finished: Finished) -> Ending | None:
    """How a program ended that was killed for what it used of the machine; None for any other."""
    if finished.output_overflow:
        return Ending(cause=Cause.FLOODED, message="The agent wrote too much and was killed")
    if finished.overuse:
        return Ending(cause=Cause.OVERUSED, message=f"The agent was killed: it used {finished.overuse}")
    return None
