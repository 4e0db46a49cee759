"""What a model has said of its change so far: what fits the tree, what does not, and the whole once all of it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autopack.domain.answer_formats import Spoken, parse_answer
from autopack.domain.change import EditAction, FileEdit, Read
from autopack.domain.ladder import Rung
from autopack.domain.patch_writer import write_patch
from autopack.domain.resolve import NO_PLACEHOLDERS, Misfit, Trial, try_change
from autopack.errors import PatchError


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The answers of one conversation, held against the tree that the model was shown."""

    spoken: Spoken = Spoken.NOTHING
    """The format of the last answer."""
    edits: tuple[FileEdit, ...] = ()
    """What fits, of all answers together."""
    misfits: tuple[Misfit, ...] = ()
    """What of the last answer does not fit."""
    problem: str = ""
    """Why the last answer cannot be read at all; nothing of it counts then."""
    rungs: tuple[Rung, ...] = ()
    """How the passages of the last answer were found."""

    @property
    def fits(self) -> bool:
        """Whether nothing is left to be mended."""
        return not self.misfits and not self.problem

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of which something does not fit."""
        return tuple(dict.fromkeys(misfit.path for misfit in self.misfits))


def draft_of(
    answers: Sequence[str], read: Read, *, placeholders: Mapping[str, bytes] = NO_PLACEHOLDERS
) -> Draft:
    """What the answers of a conversation come to, each made on top of what fits of those before it.

    Args:
        answers: Oldest first; each later one mends what did not fit of the one before.
        read: Gives the files that the model was shown.
        placeholders: As for ``resolve``.
    """
    draft = Draft()
    for text in answers:
        draft = _with_answer(draft, text, read, placeholders)
    return draft


def _with_answer(before: Draft, text: str, read: Read, placeholders: Mapping[str, bytes]) -> Draft:
    try:
        spoken, change = parse_answer(text)
        trial = try_change(change, _overlaid(read, before.edits), placeholders=placeholders)
    except PatchError as error:
        return Draft(edits=before.edits, problem=str(error))
    if trial.is_given_up:
        problem = f"{len(trial.misfits)} of its edits do not fit, and no more were tried; {trial.misfits[0]}"
        return Draft(spoken=spoken, edits=before.edits, problem=problem)
    return Draft(
        spoken=spoken,
        edits=_merged(before.edits, trial, read),
        misfits=trial.misfits,
        rungs=trial.rungs,
    )


def patch_of(draft: Draft, read: Read) -> str:
    """The whole change of a conversation as one patch, to be kept in place of its answers."""
    return write_patch(draft.edits, read)


def _overlaid(read: Read, edits: Sequence[FileEdit]) -> Read:
    after = _state_after(edits)

    def read_after(path: str) -> tuple[bytes, str] | None:
        return after[path] if path in after else read(path)

    return read_after


def _merged(before: Sequence[FileEdit], trial: Trial, read: Read) -> tuple[FileEdit, ...]:
    if not before:
        return trial.fitting
    after = {**_state_after(before), **_state_after(trial.fitting)}
    edits = (_edit(path, file, read(path)) for path, file in sorted(after.items()))
    return tuple(edit for edit in edits if edit is not None)


def _state_after(edits: Sequence[FileEdit]) -> dict[str, tuple[bytes, str] | None]:
    gone: dict[str, tuple[bytes, str] | None] = {
        edit.old_path or edit.path: None
        for edit in edits
        if edit.action in {EditAction.DELETE, EditAction.RENAME}
    }
    written = {edit.path: (edit.content, edit.mode) for edit in edits if edit.content is not None}
    return {**gone, **written}


def _edit(path: str, file: tuple[bytes, str] | None, before: tuple[bytes, str] | None) -> FileEdit | None:
    if file == before:
        return None
    if file is None:
        return FileEdit(path=path, action=EditAction.DELETE, content=None)
    action = EditAction.CREATE if before is None else EditAction.MODIFY
    return FileEdit(path=path, action=action, content=file[0], mode=file[1])
