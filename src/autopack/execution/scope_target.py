"""Where on the disk a scope path is: the resolver's key, with links looked through."""

import os
from pathlib import Path

from autopack.domain.scope import clean_key, normalise_key
from autopack.errors import ScopeError


def resolve_scope_target(
    target: str, workspace_root: Path, *, base: Path, must_exist: bool = False
) -> tuple[Path, str] | None:
    """The absolute path of a scope path and its repository key, which always name the same file.

    Args:
        target: A path as a plan or a Builder writes it, repository-relative or project-relative.
        workspace_root: The project's root; ``base`` itself when the project is the whole repository.
        base: The repository's root.
        must_exist: Whether a path at which nothing is gives None.

    Returns:
        The path below ``base`` and the key, without a trailing ``/``; both behind any link on the way. None
        for a path that is not legal, is ambiguous, lies in git's folder, or leaves the repository.
    """
    try:
        root = base.resolve(strict=True)
        project = workspace_root.resolve().relative_to(root).as_posix()
        key = normalise_key(target, project=project, exists=lambda name: os.path.lexists(root / name))
        # A link on the way may lead out of the repository, or into git's own folder.
        place = (root / key).resolve()
        found = place.relative_to(root).as_posix()
        is_odd = clean_key(found) != found or place.is_symlink()  # still a link: it leads to itself
        if is_odd or (must_exist and not place.exists()):
            return None
    except (ScopeError, ValueError, OSError, RuntimeError):
        return None
    return base / found, found
