"""What an answer in words is held against."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autopack.domain.change import Read
from autopack.domain.drafts import Draft, draft_of, patch_of
from autopack.domain.phase import PhaseSpec
from autopack.errors import PatchError
from autopack.execution.change import read_change, searched_paths
from autopack.execution.gates_paths import scope_of
from autopack.ports import AnswerFormat, BuildAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a model was shown, and what it may touch."""

    spec: PhaseSpec
    read: Read
    """Gives the files of the commit."""
    placeholders: Mapping[str, bytes]
    """Content by key of those that stood in for missing ones."""

    def is_left_by(self, text: str) -> bool:
        """Whether an answer in words is to change lines of a file outside the scope: the gates refuse it as it is."""
        try:
            paths = searched_paths(read_change(AnswerFormat.WORDS, text))
        except PatchError:
            return False
        return scope_of(paths, self.spec, is_folder=lambda key: self.read(key) is None).is_blocking

    def draft(self, texts: Iterable[str]) -> Draft:
        """What the answers of a conversation come to, oldest first."""
        return draft_of([*texts], self.read, placeholders=self.placeholders)

    def as_patch(self, answer: BuildAnswer, draft: Draft) -> BuildAnswer:
        """The last answer with the whole change of its conversation in it."""
        return replace(answer, format=AnswerFormat.PATCH, text=patch_of(draft, self.read))
