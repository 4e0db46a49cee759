"""How research takes the Builder's place in an attempt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from autopack.domain.attempt import Lease
from autopack.domain.change import FileEdit
from autopack.domain.phase import Phase
from autopack.domain.review_record import ReviewDecisionRecord
from autopack.domain.run import RunSpec
from autopack.ports.builders import BuildAnswer
from autopack.ports.workspace import Tree, Worktree


class Research(Protocol):
    """Makes the change of a research phase, and has it reviewed."""

    def is_paid(self, phase: Phase) -> bool:
        """Whether the Builder is asked for anything."""
        ...

    def ask(
        self,
        phase: Phase,
        lease: Lease,
        run: RunSpec,
        tree: Tree,
        worktree: Worktree,
        *,
        logs: Path,
    ) -> BuildAnswer:
        """The report and its findings as a change; it is in the ledger when this returns.

        Whatever a source does wrong is a note in it. Made again after a crash, it asks no source for what was kept,
        and pays for nothing that was paid.
        """
        ...

    def review(self, phase: Phase, lease: Lease, edits: Sequence[FileEdit]) -> ReviewDecisionRecord:
        """The review of the attempt's report; decided at once where the phase needs no human for it."""
        ...
