"""A change held against a tree: every file as it will be, or all that does not fit and nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from autopack.domain.change import (
    FILE_MODE,
    REGULAR_MODES,
    BinaryDelta,
    Body,
    Change,
    EditAction,
    FileEdit,
    Hunk,
    Intent,
    Passages,
    Read,
    Replacement,
    Step,
    WholeText,
)
from autopack.domain.ladder import Rung
from autopack.domain.passages import adopt_endings, apply_passages
from autopack.domain.patch_binary import apply_delta
from autopack.domain.placement import place_hunks, replace_once
from autopack.errors import PatchError

File = tuple[bytes, str]
NO_PLACEHOLDERS: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """One piece of a change that does not fit the tree."""

    step: int
    """Which of the change's steps, from 0."""
    path: str
    where: str
    reason: str
    excerpt: str = ""
    """The file's own lines around the place that comes closest."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason} ({self.where})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of holding a change against a tree."""

    edits: tuple[FileEdit, ...] = ()
    """In path order, without what would change nothing; empty when anything does not fit."""
    misfits: tuple[Misfit, ...] = ()
    fitting: tuple[FileEdit, ...] = ()
    """What the steps come to that do fit, whether others do or not."""
    rungs: tuple[Rung, ...] = ()
    """How each passage was found that was."""


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
    trial = try_change(change, read, placeholders=placeholders)
    if trial.misfits:
        problems = tuple(str(misfit) for misfit in trial.misfits)
        rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise PatchError(
            f"the change does not fit: {problems[0]}{rest}",
            problems=problems,
            excerpts=tuple(misfit.excerpt for misfit in trial.misfits),
        )
    return trial.edits


def try_change(change: Change, read: Read, *, placeholders: Mapping[str, bytes] = NO_PLACEHOLDERS) -> Trial:
    """Hold a change against a tree, as ``resolve`` does, and tell of each piece that does not fit."""
    files = _Files(read, placeholders)
    misfits: list[Misfit] = []
    if not change.is_sequential:
        for step in change.steps:
            if step.intent is Intent.RENAME and step.old_path is not None:
                files.hide(step.old_path)
    for number, step in enumerate(change.steps):
        try:
            _take(step, files, is_sequential=change.is_sequential)
        except PatchError as error:
            misfits += [
                Misfit(step=number, path=step.path, where=step.where, reason=problem, excerpt=excerpt)
                for problem, excerpt in zip(error.problems, error.excerpts, strict=True)
            ]
    fitting = tuple(sorted(_edits(change, files), key=lambda edit: edit.path))
    return Trial(
        edits=() if misfits else fitting,
        misfits=tuple(misfits),
        fitting=fitting,
        rungs=tuple(files.rungs),
    )


class _Files:
    """The tree's files and what the steps so far made of them."""

    def __init__(self, read: Read, placeholders: Mapping[str, bytes]) -> None:
        self._read = read
        self._placeholders = placeholders
        self._before: dict[str, File | None] = {}
        self.after: dict[str, File | None] = {}
        self.rungs: list[Rung] = []

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
    if step.intent is Intent.WRITE and files.now(step.path) is None:
        content = b""  # a placeholder is written over, not added to
    after = _content_after(step.body, content, files.rungs)
    # A step that does not fit must leave nothing behind, so the old path goes last.
    if step.intent is Intent.RENAME and is_sequential and step.old_path is not None:
        files.after[step.old_path] = None
    files.after[step.path] = (after, step.mode or mode)


def _is_taken(step: Step, files: _Files) -> bool:
    return step.path != step.old_path and files.now(step.path) is not None


def _check_all_goes(body: Body, found: File | None) -> None:
    if not isinstance(body, tuple | Passages) or found is None:
        return
    if _content_after(body, found[0], []):
        raise PatchError("cannot delete: the patch does not remove all of its lines")


def _content_after(body: Body, content: bytes, rungs: list[Rung]) -> bytes:
    if body is None:
        return content
    if isinstance(body, Passages):
        content, found = apply_passages(content, body.items)
        rungs += found
        return content
    return body if isinstance(body, bytes) else _made_from(body, content)


def _made_from(body: tuple[Hunk, ...] | Replacement | WholeText | BinaryDelta, content: bytes) -> bytes:
    if isinstance(body, Replacement):
        return replace_once(content, body)
    if isinstance(body, WholeText):
        return adopt_endings(body.text, content)
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
