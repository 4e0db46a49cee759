"""What a fingerprint is made from, and what it consists of."""

from dataclasses import dataclass, field

from autopack.domain.failure import FailureKind

VERSION = "3"
"""Changes with every change of any key, so that stored keys of two versions are never compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureText:
    """One failure as programs told it; nothing but these fields decides its fingerprint."""

    stdout: str = ""
    stderr: str = ""
    returncode: int | None = None
    """Of the program that failed; negative for a signal; None where none is known."""
    kind: str = ""
    """What the reporter calls it. A value of `FailureKind` counts; any other word is ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A root cause in words that do not vary."""

    kind: FailureKind
    parts: tuple[str, ...]
    """What tells this cause from others of its kind, most telling first."""
    why: str
    """One line for the operator: which rule found it."""

    @property
    def canonical(self) -> str:
        """One line for each part; what the digest is taken of."""
        return "\n".join(part for part in self.parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The key that failures with one root cause share."""

    version: str
    kind: FailureKind
    digest: str
    """Twelve hex digits."""
    canonical: str
    """The text that the digest was taken of: no secrets, no volatile parts."""
    steps: tuple[str, ...] = field(default=(), compare=False)
    """How the cause was found, first step first."""

    def __str__(self) -> str:
        return f"{self.version}:{self.kind}:{self.digest}"
