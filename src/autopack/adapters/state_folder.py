"""Whether the folders beside the store take what attempts write there."""

import tempfile
from pathlib import Path

from autopack.errors import WorkspaceError

_FOLDERS = ("logs", "worktrees")
_PROBE_BYTES = 1 << 18
"""More than an attempt writes before its Builder is asked; less would be taken by a disk that is as good as full."""


def check_writable(state_folder: Path) -> None:
    """Write to each of them what is gone at once.

    Raises:
        WorkspaceError: One takes nothing; the message names it and says why.
    """
    for folder in (state_folder / name for name in _FOLDERS):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # It never has a name where the system can do that, so that a kill leaves nothing.
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * _PROBE_BYTES)
                # The system may take a part of what it is given and say so only when the rest is brought.
                file.flush()
        except OSError as error:
            raise WorkspaceError(
                f"{folder} cannot be written: {error.strerror}",
                hint="Free some space there, or make it writable.",
            ) from error
