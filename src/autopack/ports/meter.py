"""Model calls on the wire: measured, held to a budget, and never made with the operator's key in other hands."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from autopack.domain.budget import Usage
from autopack.ports.builders import BuildWatch


class Dialect(StrEnum):
    """How a model is spoken to; told from the path of a request, so that one door serves all."""

    OPENAI_CHAT = "openai-chat"
    OPENAI_RESPONSES = "openai-responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute:
    """Where requests really go."""

    provider: str
    """The name under which all workers share limits and pauses: ``anthropic``, ``openai``, or a host."""
    upstream: str
    """The provider's address, without the part that names a dialect's endpoint: ``https://host`` or ``http://host:1``."""
    key: str = field(default="", repr=False)
    """The operator's key; it goes to the upstream alone, and never to a client, a log or the store."""


class FaultKind(StrEnum):
    """Why a request brought no whole answer."""

    BUDGET = "budget"
    """Refused before it was sent: what it may use is spent."""
    RATE_LIMIT = "rate-limit"
    OVERLOAD = "overload"
    NETWORK = "network"
    """No connection, or one that broke off in the middle."""
    QUOTA = "quota"
    """The provider's account has no credit left; waiting does not help."""
    AUTH = "auth"
    BAD_REQUEST = "bad-request"
    CONTEXT_LENGTH = "context-length"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    """The answer ended at its output limit."""
    CANCELLED = "cancelled"
    """The client hung up before the end."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may well do better later."""
        return self in {FaultKind.RATE_LIMIT, FaultKind.OVERLOAD, FaultKind.NETWORK}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request as it was seen on the wire; without prompt, answer or key."""

    number: int
    """Counted from 1 within the door."""
    dialect: Dialect
    model: str
    status: int | None
    """The upstream's, or ours when we refused; None when there was none."""
    usage: Usage
    stop_reason: str = ""
    fault: FaultKind | None = None
    message: str = ""
    """The upstream's own words of the fault, masked."""
    retry_after_seconds: float | None = None
    duration_seconds: float = 0.0
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterOrder:
    """What a Builder call may use while its door is open."""

    route: ModelRoute
    budget_tokens: int
    budget_usd: float | None = None
    """None sets no limit in money; where a model's price is not known, none is kept."""
    log_folder: Path
    """Where ``requests.jsonl`` is kept, one line a finished request."""


class MeterDoor(Protocol):
    """An address on this machine that stands for the provider until it is closed."""

    base_url: str
    """``http://127.0.0.1:PORT``; a client appends what its dialect wants (``/v1`` …)."""
    socket_path: Path
    """The same door as a Unix socket, for a sandbox without a network."""
    token: str
    """The placeholder key that clients must show, in whichever header their dialect uses."""

    def usage(self) -> Usage:
        """Of all requests so far; those that were cut off are estimated and marked so."""
        ...

    def requests(self) -> tuple[ModelRequest, ...]:
        """The finished requests, oldest first."""
        ...


class Meter(Protocol):
    """Opens doors."""

    def open(self, order: MeterOrder, watch: BuildWatch) -> AbstractContextManager[MeterDoor]:
        """A door for one Builder call; ``watch`` is told of usage as it happens.

        Closing it ends what is still under way, books it, and leaves no thread, socket or file of the door behind.
        """
        ...
