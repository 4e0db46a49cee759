"""One thing that was looked at, and how bad it is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from autopack.errors import AutopackError


class HealthStatus(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLine:
    """One thing that was looked at."""

    name: str
    status: HealthStatus
    message: str
    hint: str = ""


def tried(name: str, look: Callable[[], str]) -> HealthLine:
    """What ``look`` says, or what keeps it from working."""
    try:
        return HealthLine(name=name, status=HealthStatus.OK, message=look())
    except AutopackError as error:
        return HealthLine(name=name, status=HealthStatus.PROBLEM, message=str(error), hint=error.hint)
    except OSError as error:
        message = f"{error.strerror}: {error.filename}"
        return HealthLine(name=name, status=HealthStatus.PROBLEM, message=message, hint="Make it writable.")
