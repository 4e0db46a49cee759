"""A change held against a tree: every file as it will be, or all that does not fit and nothing else."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
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
from autopack.domain.passages import MOST_MISFITS, Fitted, Unplaced, adopt_endings, fit_passages
from autopack.domain.patch_binary import apply_delta
from autopack.domain.placement import place_hunks, replace_once
from autopack.domain.search import Search
from autopack.errors import PatchError, TooMuchError

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

    @property
    def is_given_up(self) -> bool:
        """Whether so much does not fit that the rest was not looked at."""
        return len(self.misfits) >= MOST_MISFITS


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
        TooMuchError: It has more edits than any change is worth, or they are to be looked for in too much.
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
    """Hold a change against a tree, as ``resolve`` does, and tell of each piece that does not fit.

    A passage that does not fit leaves the others of its file, and the file's move, among what does.

    Raises:
        TooMuchError: As ``resolve`` does.
    """
    read = cache(read)
    search = Search()
    search.begin(sum(map(_looked_for, change.steps)))
    failed: set[int] = set()
    while True:
        files = _Files(read, placeholders, search)
        misfits, failing = _try_steps(change, files, failed)
        # A file that cannot be moved stays, and what was to take its place is tried again with it there.
        if failing <= failed:
            break
        failed |= failing
    fitting = tuple(sorted(_edits(change, files), key=lambda edit: edit.path))
    return Trial(
        edits=() if misfits else fitting,
        misfits=tuple(misfits),
        fitting=fitting,
        rungs=tuple(files.rungs),
    )


def _looked_for(step: Step) -> int:
    """How many texts of a step are looked for in its file; hunks of a patch say where they stand."""
    if isinstance(step.body, Passages):
        return len(step.body.items)
    return int(isinstance(step.body, Replacement))


def _try_steps(change: Change, files: "_Files", failed: AbstractSet[int]) -> tuple[list[Misfit], set[int]]:
    """What does not fit, and the renames in a patch that fail as a whole; those in ``failed`` are known to."""
    misfits: list[Misfit] = []
    failing: set[int] = set()
    renames = () if change.is_sequential else _renames(change)
    for number, old_path in renames:
        if number not in failed:
            files.hide(old_path)
    for number, step in enumerate(change.steps):
        if len(misfits) >= MOST_MISFITS:
            break
        try:
            unplaced = _take(step, files, is_sequential=change.is_sequential)
        except TooMuchError:
            raise
        except PatchError as error:
            misfits += (
                Misfit(step=number, path=step.path, where=step.where, reason=problem, excerpt=excerpt)
                for problem, excerpt in zip(error.problems, error.excerpts, strict=True)
            )
            failing.add(number)
        else:
            misfits += (_misfit(number, step, it) for it in unplaced)
    return misfits, failing & {number for number, _ in renames}


def _renames(change: Change) -> tuple[tuple[int, str], ...]:
    return tuple(
        (number, step.old_path)
        for number, step in enumerate(change.steps)
        if step.intent is Intent.RENAME and step.old_path is not None
    )


def _misfit(number: int, step: Step, unplaced: Unplaced) -> Misfit:
    is_one_of_many = isinstance(step.body, Passages) and len(step.body.items) > 1
    where = f"line {unplaced.line}" if is_one_of_many else step.where
    return Misfit(step=number, path=step.path, where=where, reason=unplaced.reason, excerpt=unplaced.excerpt)


class _Files:
    """The tree's files and what the steps so far made of them."""

    def __init__(self, read: Read, placeholders: Mapping[str, bytes], search: Search) -> None:
        self._read = read
        self.search = search
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

    def leave(self, path: str, *, is_sequential: bool) -> None:
        """Take away what was moved from ``path``; in a patch, another file may have its place already."""
        if is_sequential or path not in self.after:
            self.after[path] = None


def _take(step: Step, files: _Files, *, is_sequential: bool) -> tuple[Unplaced, ...]:
    """Make what fits of a step, and tell what does not."""
    source = step.old_path or step.path
    found = files.shown(source) if is_sequential or step.old_path is None else files.before(source)
    _check(step, files, found)
    if step.intent is Intent.DELETE:
        _check_all_goes(step.body, found, files.search)
        files.after[step.path] = None
        return ()
    content, mode = found or (b"", FILE_MODE)
    if step.intent is Intent.WRITE and files.now(step.path) is None:
        content = b""  # a placeholder is written over, not added to
    fitted = _fitted(step.body, content, files.search)
    if fitted.unplaced and not fitted.rungs and files.before(source) is None:
        return fitted.unplaced  # else a placeholder would be left that nothing was put into
    files.rungs += fitted.rungs
    if step.intent is Intent.RENAME:
        files.leave(source, is_sequential=is_sequential)
    files.after[step.path] = (fitted.content, step.mode or mode)
    return fitted.unplaced


def _check(step: Step, files: _Files, found: File | None) -> None:
    source = step.old_path or step.path
    if found is not None and found[1] not in REGULAR_MODES:
        raise PatchError("is a link or a submodule, which no change may touch")
    if found is None and step.intent not in {Intent.CREATE, Intent.WRITE}:
        raise PatchError(f"cannot {step.intent}: there is no file {source}")
    if step.intent in {Intent.CREATE, Intent.RENAME, Intent.COPY} and _is_taken(step, files):
        raise PatchError(f"cannot {step.intent}: the file is there already")


def _is_taken(step: Step, files: _Files) -> bool:
    return step.path != step.old_path and files.now(step.path) is not None


def _check_all_goes(body: Body, found: File | None, search: Search) -> None:
    if not isinstance(body, tuple | Passages) or found is None:
        return
    fitted = _fitted(body, found[0], search)
    if fitted.content or fitted.unplaced:
        raise PatchError("cannot delete: the patch does not remove all of its lines")


def _fitted(body: Body, content: bytes, search: Search) -> Fitted:
    if isinstance(body, Passages):
        return fit_passages(content, body.items, search)
    if body is None:
        return Fitted(content=content)
    return Fitted(content=body if isinstance(body, bytes) else _made_from(body, content, search))


def _made_from(
    body: tuple[Hunk, ...] | Replacement | WholeText | BinaryDelta, content: bytes, search: Search
) -> bytes:
    search.look(len(content))
    if isinstance(body, Replacement):
        return replace_once(content, body)
    if isinstance(body, WholeText):
        return adopt_endings(body.text, content)
    if isinstance(body, BinaryDelta):
        return apply_delta(content, body)
    return place_hunks(content, body, search)


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
