"""Running CI and reading what each test did."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autopack.domain.ci_report import CiReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CiRequest:
    """One CI run over the files of a worktree."""

    worktree: Path
    command: str
    timeout_seconds: float
    log_folder: Path
    only: tuple[str, ...] = ()
    """Node ids or files to restrict a pytest run to; empty runs the command as it is."""
    collect_only: bool = False
    """Run no test: the report's tests are those that were collected, as PASSED."""


class CiRunner(Protocol):
    """Runs a CI command and tells what each test and collector did."""

    def environment(self) -> str:
        """Digest of the interpreter and the installed distributions that CI runs with."""
        ...

    def can_select(self, command: str) -> bool:
        """Whether ``only`` and ``collect_only`` work with this command (it runs pytest directly)."""
        ...

    def run(self, request: CiRequest) -> CiReport:
        """Run CI; whatever happens to the command is told in the report, never by an exception."""
        ...

    def import_modules(
        self,
        worktree: Path,
        modules: Sequence[str],
        *,
        log_folder: Path,
        timeout_seconds: float = math.inf,
    ) -> Mapping[str, str]:
        """Import each module alone in one fresh child; error text (``Type: message``) by module that failed.

        ``timeout_seconds`` is one module's, of which a runner may set less.

        Raises:
            ProcessError: The child could not be started, or ended before it was done; nothing is known then.
            RoomError: The sandbox made no room for it.
        """
        ...
