"""Git's own exclude file, which keeps Autopack's folder out of the operator's status without touching their files."""

from pathlib import Path

from autopack.adapters.git_command import Git
from autopack.errors import WorkspaceError


def exclude(root: Path, pattern: str) -> bool:
    """Have git ignore ``pattern`` in the repository at ``root``; False when it did already.

    Raises:
        WorkspaceError: This is no repository, or its exclude file cannot be written.
    """
    git = Git(cwd=root, reads_user_config=True)
    path = root / git.line("rev-parse", "--git-path", "info/exclude")
    try:
        text = path.read_text("utf-8", "surrogateescape") if path.exists() else ""
        if pattern in text.splitlines():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        separator = "" if not text or text.endswith("\n") else "\n"
        path.write_text(f"{text}{separator}{pattern}\n", "utf-8", "surrogateescape")
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}", hint="Make it writable.") from error
    return True
