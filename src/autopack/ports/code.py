"""What Python files define, import and call."""

from collections.abc import Sequence
from typing import Protocol

from autopack.domain.change import FileEdit
from autopack.domain.import_table import ImportTable
from autopack.ports.workspace import Tree


class CodeIndex(Protocol):
    """What the Python files of a tree define, import and call, read without importing any of them."""

    def facts(self, tree: Tree) -> ImportTable:
        """The table of a commit; contents that any commit had before are not read again."""
        ...

    def updated(self, table: ImportTable, edits: Sequence[FileEdit]) -> ImportTable:
        """The table of the same tree after ``edits``."""
        ...
