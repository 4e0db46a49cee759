"""Where an agent puts the files that it writes."""

from collections.abc import Sequence
from pathlib import Path


def project_of(scope: Sequence[str]) -> Path:
    """The project that a task is about: the one folder with a README of its own that holds all of its scope."""
    tops = {key.split("/")[0] for key in scope}
    top = Path(tops.pop()) if len(tops) == 1 else Path()
    return top if (top / "README.md").is_file() else Path()


def place(scope: Sequence[str], key: str) -> Path:
    """Where the file that a task calls ``key`` is."""
    return project_of(scope) / key
