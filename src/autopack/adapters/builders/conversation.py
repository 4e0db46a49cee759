"""One call to a model through an SDK: what goes in, what comes out, and what can go wrong on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """What a model is told."""

    system: str
    stable: str
    """The part of the first message that calls share; providers are asked to cache up to here."""
    rest: str
    said: Sequence[tuple[str, str]] = ()
    """The model's answers since, each with what it was told about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """What one call may take."""

    max_output_tokens: int
    temperature: float | None
    """None leaves it to the model; some refuse any other."""
    timeout_seconds: float
    """Without a byte from the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A model's whole answer. What it used is counted at the door that it came through."""

    text: str
    stop: str
    """As the provider names it: ``stop``, ``end_turn``, ``length`` …; empty when it named none."""
    model: str = ""


class ModelCallError(Exception):
    """No whole answer came.

    Attributes:
        status: The HTTP status; None when there was none, as in a stream that broke off.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


TakePiece = Callable[[str], None]
"""Takes each piece of the answer as it comes; raises nothing."""


class ModelClient(Protocol):
    """A provider's SDK behind one method."""

    def complete(self, messages: Messages, limits: CallLimits, take_piece: TakePiece) -> Completion:
        """One request, streamed, without a retry.

        Raises:
            ModelCallError: No whole answer came.
        """
        ...
