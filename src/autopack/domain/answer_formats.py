"""The answer of a model in words: which format it is in, and the change that it describes."""

from enum import StrEnum

from autopack.domain.answer_blocks import HINT, read_blocks
from autopack.domain.begin_patch import is_begin_patch, parse_begin_patch
from autopack.domain.change import Change
from autopack.domain.loose_patch import is_patch, parse_loose_patch
from autopack.errors import PatchError


class Spoken(StrEnum):
    """The formats that an answer in words may be in."""

    BLOCKS = "blocks"
    """SEARCH/REPLACE blocks and whole files: what the prompt asks for."""
    DIFF = "diff"
    BEGIN_PATCH = "begin-patch"
    NOTHING = "nothing"
    """White space only."""


def parse_answer(text: str) -> tuple[Spoken, Change]:
    """The format of an answer, and the change that it describes; prose around it is left out.

    Raises:
        PatchError: The answer is cut off, is in no format or in several, or cannot be read.
    """
    _check_characters(text)
    if not text.strip():
        return Spoken.NOTHING, Change()
    blocks = read_blocks(text)
    rest = [line for _, line in blocks.rest]
    others = [
        (Spoken.BEGIN_PATCH, any(is_begin_patch(line) for line in rest)),
        (Spoken.DIFF, is_patch(rest)),
    ]
    spoken = [Spoken.BLOCKS] * bool(blocks.steps) + [it for it, is_used in others if is_used]
    if not spoken:
        raise PatchError("the answer holds no change", hint=HINT)
    if len(spoken) > 1:
        raise PatchError(f"the answer mixes {' and '.join(spoken)}; it must keep to one format", hint=HINT)
    if spoken[0] is Spoken.BLOCKS:
        return Spoken.BLOCKS, Change(steps=blocks.steps, is_sequential=True)
    return spoken[0], parse_begin_patch(text) if spoken[0] is Spoken.BEGIN_PATCH else parse_loose_patch(text)


def _check_characters(text: str) -> None:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise PatchError(f"the answer holds half a character at {error.start}") from error
