"""A change held against a tree: every file as it will be, or all that does not fit and nothing else."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from autopack.domain.change import (
    FILE_MODE,
    REGULAR_MODES,
    BinaryDelta,
    Body,
    Change,
    EditAction,
    FileEdit,
    Intent,
    Read,
    Replacement,
    Step,
)
from autopack.domain.patch_binary import apply_delta
from autopack.domain.placement import place_hunks, replace_once
from autopack.errors import PatchError

File = tuple[bytes, str]
NO_PLACEHOLDERS: Mapping[str, bytes] = MappingProxyType({})


def resolve(
    change: Change, read: Read, *, placeholders: Mapping[str, bytes] = NO_PLACEHOLDERS
) -> tuple[FileEdit, ...]:
    """The edits that a change comes to on a tree, in path order; what would change nothing is left out.

    Args:
        change: The change as it was read.
        read: Gives the tree's files; a link or a submodule with its mode and any content.
        placeholders: Content, by path, that a Builder was shown for files that the tree does not have. A
            change may alter such a file or create it; an edit always creates it.

    Raises:
        PatchError: A file or hunk does not fit. ``problems`` lists each one, with its path first.
    """
    files = _Files(read, placeholders)
    problems: list[str] = []
    if not change.is_sequential:
        for step in change.steps:
            if step.intent is Intent.RENAME and step.old_path is not None:
                files.hide(step.old_path)
    for step in change.steps:
        try:
            _take(step, files, is_sequential=change.is_sequential)
        except PatchError as error:
            problems += [f"{step.path}: {problem} ({step.where})" for problem in error.problems]
    if problems:
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise PatchError(f"the change does not fit: {problems[0]}{rest}", problems=tuple(problems))
    return tuple(sorted(_edits(change, files), key=lambda edit: edit.path))


class _Files:
    """The tree's files and what the steps so far made of them."""

    def __init__(self, read: Read, placeholders: Mapping[str, bytes]) -> None:
        self._read = read
        self._placeholders = placeholders
        self._before: dict[str, File | None] = {}
        self.after: dict[str, File | None] = {}

    def before(self, path: str) -> File | None:
        """What the tree has at ``path``."""
        if path not in self._before:
            self._before[path] = self._read(path)
        return self._before[path]

    def now(self, path: str) -> File | None:
        """What is at ``path`` after the steps so far."""
        return self.after[path] if path in self.after else self.before(path)

    def shown(self, path: str) -> File | None:
        """What the Builder saw at ``path``: the same, or the placeholder of a file that is not there."""
        found = self.now(path)
        if found is None and path in self._placeholders and path not in self.after:
            return self._placeholders[path], FILE_MODE
        return found

    def hide(self, path: str) -> None:
        """Take ``path`` away, if it is there."""
        if self.before(path) is not None:
            self.after[path] = None


def _take(step: Step, files: _Files, *, is_sequential: bool) -> None:
    source = step.old_path or step.path
    found = files.shown(source) if is_sequential or step.old_path is None else files.before(source)
    if found is not None and found[1] not in REGULAR_MODES:
        raise PatchError("is a link or a submodule, which no change may touch")
    if found is None and step.intent not in {Intent.CREATE, Intent.WRITE}:
        raise PatchError(f"cannot {step.intent}: there is no file {source}")
    if step.intent in {Intent.CREATE, Intent.RENAME, Intent.COPY} and _is_taken(step, files):
        raise PatchError(f"cannot {step.intent}: the file is there already")
    if step.intent is Intent.DELETE:
        _check_all_goes(step.body, found)
        files.after[step.path] = None
        return
    content, mode = found or (b"", FILE_MODE)
    if step.intent is Intent.RENAME and is_sequential and step.old_path is not None:
        files.after[step.old_path] = None
    files.after[step.path] = (_content_after(step.body, content), step.mode or mode)


def _is_taken(step: Step, files: _Files) -> bool:
    return step.path != step.old_path and files.now(step.path) is not None


def _check_all_goes(body: Body, found: File | None) -> None:
    if isinstance(body, tuple) and found is not None and place_hunks(found[0], body):
        raise PatchError("cannot delete: the patch does not remove all of its lines")


def _content_after(body: Body, content: bytes) -> bytes:
    if body is None:
        return content
    if isinstance(body, bytes):
        return body
    if isinstance(body, Replacement):
        return replace_once(content, body)
    if isinstance(body, BinaryDelta):
        return apply_delta(content, body)
    return place_hunks(content, body)


def _edits(change: Change, files: _Files) -> Iterator[FileEdit]:
    moved = _moves(change, files)
    for path, file in files.after.items():
        before = files.before(path)
        if file == before or path in moved.values():
            continue
        if file is None:
            yield FileEdit(path=path, action=EditAction.DELETE, content=None)
            continue
        old_path = moved.get(path)
        action = EditAction.MODIFY if before is not None else EditAction.CREATE
        yield FileEdit(
            path=path,
            action=EditAction.RENAME if old_path is not None else action,
            content=file[0],
            mode=file[1],
            old_path=old_path,
        )


def _moves(change: Change, files: _Files) -> dict[str, str]:
    """New path to old path of each rename that left nothing behind and overwrote nothing."""
    moves: dict[str, str] = {}
    for step in change.steps:
        if step.intent is Intent.RENAME and step.old_path is not None:
            moves[step.path] = moves.pop(step.old_path, step.old_path)
    return {
        path: start
        for path, start in moves.items()
        if files.before(start) is not None
        and files.now(start) is None
        and files.before(path) is None
        and files.now(path) is not None
    }
