"""What came of trying a sandbox, and where that is kept."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

_FRESH_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What came of trying a sandbox."""

    problem: str = ""
    """Why no program can be run in it; empty when one can."""
    breaches: tuple[str, ...] = ()
    """What a program in it could do and must not."""
    lacks: tuple[str, ...] = ()
    """What a program in it misses that it may well need."""
    version: str = ""
    """Of the program that makes the rooms."""


def is_fresh(path: Path, now: float) -> bool:
    """Whether what was kept at ``path`` is a few minutes old at most."""
    try:
        return abs(now - path.stat().st_mtime) < _FRESH_SECONDS
    except OSError:
        return False


def load_findings(path: Path) -> Findings | None:
    """What was kept at ``path``, or None where that is nothing, or no findings."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        return Findings(
            problem=str(stored["problem"]),
            breaches=tuple(map(str, stored["breaches"])),
            lacks=tuple(map(str, stored["lacks"])),
            version=str(stored["version"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_findings(path: Path, found: Findings) -> None:
    """Keep them, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(asdict(found), file)
    Path(file.name).replace(path)
