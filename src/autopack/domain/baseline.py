"""What CI said of a base, and for how long that is believed."""

from dataclasses import dataclass

from autopack.domain.ci_report import CiReport

UNPROVEN_SECONDS = 900.0
"""How long a result that proves nothing is believed.

Long enough that a backlog on a base without a working CI asks once and not once a phase: two hundred attempts that
end there take some minutes. Short enough that a full disk or a busy hour does not outlast itself.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineKey:
    """Under what a baseline holds: the same tree, environment and command give the same result."""

    commit: str
    environment: str
    """Digest of the interpreter and the installed distributions that CI runs with."""
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A kept result."""

    report: CiReport
    captured_at: float
    """Seconds since the epoch."""


def is_believed(baseline: Baseline, *, is_proof: bool, now: float, doubted_at: float) -> bool:
    """Whether a kept result still speaks for its base.

    Args:
        baseline: The kept result.
        is_proof: Whether it proves something, and something that phases can go on with; then it holds for good, because
            its key names all that it rests on.
        now: Seconds since the epoch.
        doubted_at: The time since which whoever asks wants a new look at what proves nothing, because an attempt
            failed on it and was asked for again; 0 when nobody did.
    """
    age = now - baseline.captured_at
    return is_proof or (0 <= age < UNPROVEN_SECONDS and baseline.captured_at >= doubted_at)
