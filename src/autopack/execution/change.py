"""A Builder's answer held against the tree it was asked for: the files as they will be."""

from collections.abc import Iterable, Mapping

from autopack.domain.answer_formats import parse_answer
from autopack.domain.change import Change, EditAction, FileEdit, Intent, Passages, Read, Replacement, Step
from autopack.domain.edits import parse_edits
from autopack.domain.patch import parse_patch
from autopack.domain.resolve import NO_PLACEHOLDERS, resolve
from autopack.errors import PatchError
from autopack.ports import AnswerFormat, BuildAnswer, Tree


def to_edits(
    answer: BuildAnswer,
    tree: Tree,
    *,
    stubs: Mapping[str, bytes] = NO_PLACEHOLDERS,
    max_bytes: int | None = None,
) -> tuple[FileEdit, ...]:
    """The edits that an answer comes to on a tree, in path order; none when it changes nothing.

    Args:
        answer: An answer without a failure.
        tree: The commit that the Builder was asked to change.
        stubs: Placeholder content, by key, that the Builder was shown for files the tree does not have.
        max_bytes: Longer answers are refused unread.

    Raises:
        PatchError: As ``change_of`` does, or the answer does not fit the tree. ``problems`` lists each file and hunk
            that does not fit.
    """
    return resolve(change_of(answer, max_bytes=max_bytes), reading(tree), placeholders=stubs)


def change_of(answer: BuildAnswer, *, max_bytes: int | None = None) -> Change:
    """The change that an answer describes, held against nothing yet.

    Raises:
        PatchError: The answer was cut off, is longer than ``max_bytes``, or cannot be read.
    """
    if answer.is_truncated:
        raise PatchError(
            "the answer was cut off at its output limit, and a part of a change is never applied"
        )
    size_bytes = len(answer.text.encode("utf-8", "surrogatepass"))
    if max_bytes is not None and size_bytes > max_bytes:
        raise PatchError(
            f"the answer has {size_bytes} bytes, more than {max_bytes}",
            hint="Raise max_patch_bytes, or narrow the phase.",
        )
    return read_change(answer.format, answer.text)


def searched_paths(change: Change) -> tuple[str, ...]:
    """Files in which something is looked for, by the path that they are to have, and by the one they lose; sorted.

    What a file is copied from is only read. A text that is replaced by itself changes nothing. Both are left out.
    """
    steps = [step for step in change.steps if _is_searched(step)]
    lost = {step.old_path for step in steps if step.intent is Intent.RENAME and step.old_path is not None}
    return tuple(sorted({step.path for step in steps} | lost))


def _is_searched(step: Step) -> bool:
    body = step.body
    if step.intent not in {Intent.MODIFY, Intent.RENAME, Intent.COPY}:
        return False
    if isinstance(body, Passages):
        return any(it.old != it.new for it in body.items)
    if isinstance(body, Replacement):
        return body.search != body.replace
    return isinstance(body, tuple)


def read_change(answer_format: AnswerFormat, text: str) -> Change:
    """The change that a text describes.

    Raises:
        PatchError: The text is not in this format.
    """
    if answer_format is AnswerFormat.WORDS:
        return parse_answer(text)[1]
    return parse_patch(text) if answer_format is AnswerFormat.PATCH else parse_edits(text)


def given_whole(answer: BuildAnswer, edits: Iterable[FileEdit]) -> tuple[FileEdit, ...]:
    """Those edits of an answer that say how a file is to be, without the surroundings by which a change is fitted.

    Raises:
        PatchError: The answer is not in its format.
    """
    if answer.format is AnswerFormat.PATCH:
        return ()
    if answer.format is AnswerFormat.EDITS:
        return tuple(edits)
    steps = read_change(answer.format, answer.text).steps
    whole = {step.path for step in steps if not isinstance(step.body, Passages)}
    return tuple(edit for edit in edits if edit.path in whole)


def reading(tree: Tree) -> Read:
    """A tree as changes read it: content and mode by key; links and modules have no content."""

    def read(path: str) -> tuple[bytes, str] | None:
        mode = tree.mode(path)
        return None if mode is None else (tree.read(path) or b"", mode)

    return read


def without_untouched(edits: Iterable[FileEdit], stubs: Mapping[str, bytes]) -> tuple[FileEdit, ...]:
    """The edits without placeholders that are still as the Builder found them.

    For the difference of a worktree alone: what was put there before they began is no work of theirs. In
    an answer of text a file is only named when it is meant.
    """
    return tuple(
        edit
        for edit in edits
        if not (edit.action is EditAction.CREATE and edit.content == stubs.get(edit.path))
    )
