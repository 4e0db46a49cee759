"""What every source of findings has in common."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Protocol

from autopack.domain.research import Finding
from autopack.errors import ResearchError

TITLE_LENGTH = 200
TEXT_LENGTH = 2000

Now = Callable[[], float]


class SourceError(ResearchError):
    """A source has no answer now: it is down, too slow, out of patience, or talks nonsense."""


class TransientSourceError(SourceError):
    """The same request may be answered a moment later.

    Attributes:
        retry_after_seconds: How long the source asked to wait; None when it did not say.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Gatherer(Protocol):
    """One source. Making it opens nothing and imports no optional library."""

    name: str
    """As a plan names it: ``github:owner/repository``."""

    def gather(self, query: str, *, limit: int) -> Sequence[Finding]:
        """What the source has on the query, best first, at most ``limit``; empty when it has nothing.

        Raises:
            SourceError: It has no answer now.
            ResearchError: An optional library is not installed, or a credential is missing.
        """
        ...


def import_optional(module: str, *, extra: str, needed_for: str) -> ModuleType:
    """An optional library.

    Raises:
        ResearchError: It is not installed; the hint names the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ResearchError(
            f"{needed_for} needs {module.partition('.')[0]}, which is not installed",
            hint=f"pip install 'autopack[{extra}]'",
        ) from error


def records(value: object) -> Iterator[dict[str, object]]:
    """The objects in a list of parsed JSON; whatever else stands in it is left out."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def record(value: object) -> dict[str, object]:
    """A parsed JSON object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def number(value: object, default: float = 0.0) -> float:
    """A number of parsed JSON, or the default."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else default  # type: ignore[arg-type]  # a number, as just seen


def moment(value: object) -> float | None:
    """A time as sources write it: seconds since the epoch, or ISO 8601; None for anything else."""
    from datetime import UTC, datetime  # noqa: PLC0415 -- sources alone need it

    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value < 1e11 else None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is None:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
