"""Answers between the Builder that gave them and the ledger that keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autopack.domain.attempt import AttemptAddress
from autopack.ports.builders import BuildAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidAnswer:
    """An answer that is to be booked."""

    call_id: int
    address: AttemptAddress
    store: str
    """The identity of the store that gave the call its number."""
    answer: BuildAnswer
    base_commit: str
    duration_seconds: float
    begun_at: float
    """When the call was reserved: with its number and address, what tells it from the calls of another database."""
    left_in: str = ""
    """Where a Builder that has ended left its change, which may still be to be taken: see ``Workspace.marked``."""


class AnswerJournal(Protocol):
    """Files beside an attempt's logs that outlive a process, and a database that cannot be reached."""

    def keep(self, folder: Path, paid: PaidAnswer) -> bool:
        """Write an answer down; whether it is on the disk when this returns. A full one is logged and stops nothing."""
        ...

    def found(self, folder: Path, address: AttemptAddress, store: str) -> Sequence[PaidAnswer]:
        """The answers of an attempt that were never booked, oldest call first; what cannot be read is left out."""
        ...

    def drop(self, folder: Path, paid: PaidAnswer) -> None:
        """Forget an answer that is booked."""
        ...

    def put_aside(self, folder: Path, paid: PaidAnswer) -> None:
        """Leave an answer for a human whose call the ledger does not know; it is logged, and not found again."""
        ...
