"""A stored answer and the commits that came after it was asked for."""

from collections.abc import Iterable

from autopack.domain.change import FileEdit
from autopack.errors import PatchError
from autopack.ports import Tree


def check_not_overwriting(edits: Iterable[FileEdit], *, asked: Tree, now: Tree) -> None:
    """Refuse edits that would undo what another phase did to the same files.

    A patch carries its surroundings and fits or does not; other answers give a file as it was to be then.

    Args:
        edits: The answer's edits.
        asked: The tree that the Builder was shown.
        now: The tree that the change is made on.

    Raises:
        PatchError: ``problems`` names each file that is not as the Builder was shown it.
    """
    paths = {path for edit in edits for path in (edit.path, edit.old_path) if path is not None}
    moved = sorted(path for path in paths if _file(asked, path) != _file(now, path))
    if moved:
        raise PatchError(
            f"{len(moved)} files of the stored answer were changed by another phase since: {moved[0]}",
            problems=tuple(f"{path}: not as the Builder was shown it" for path in moved),
            hint="Requeue the phase: its next attempt asks the Builder anew, on the run's present head.",
        )


def _file(tree: Tree, path: str) -> tuple[str | None, bytes | None]:
    return tree.mode(path), tree.read(path)
