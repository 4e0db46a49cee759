"""Answers that were paid for, on their way into the ledger; and those that a dead process left on the way."""

from collections.abc import Callable
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.telemetry import CallEvent
from autopack.ports import AnswerJournal, CallFilter, Clock, PaidAnswer, Store


class Booking:
    """Keeps an answer on the disk, puts it into the ledger, and tells of its call."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        journal: AnswerJournal,
        on_call: Callable[[CallEvent], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._journal = journal
        self._on_call = on_call

    @property
    def ledger(self) -> str:
        """Which database gives calls their numbers; it stays the same when its tables are brought up to date."""
        return self._store.identity.partition(", schema ")[0]

    def keep(self, folder: Path, paid: PaidAnswer) -> bool:
        """Have the answer on the disk, whatever comes next; whether that took it."""
        return self._journal.keep(folder, paid)

    def settle(self, folder: Path, paid: PaidAnswer) -> None:
        """Put the answer into the ledger; the first one of a call stays."""
        self._store.settle_call(
            paid.call_id,
            paid.answer,
            base_commit=paid.base_commit,
            duration_seconds=paid.duration_seconds,
            now=self._clock.now(),
        )
        self._journal.drop(folder, paid)
        event = self._event(paid)
        if event is not None and self._on_call is not None:
            self._on_call(event)

    def recover(
        self, folder: Path, address: AttemptAddress, finish: Callable[[PaidAnswer, int], PaidAnswer]
    ) -> None:
        """Book the answers of an attempt that a process got, and did not live to put into the ledger.

        Args:
            folder: Where the attempt's answers were kept.
            address: The attempt.
            finish: Makes of an answer, and the number of its turn, what is to be booked.
        """
        for paid in self._journal.found(folder, address, self.ledger):
            event = self._event(paid)
            # A database that was made anew, or put back to an earlier day, gives the same numbers to other calls.
            if event is None or (event.address, event.begun_at) != (paid.address, paid.begun_at):
                self._journal.put_aside(folder, paid)
            elif event.ended_at is not None:
                self._journal.drop(folder, paid)
            else:
                self._finish(folder, paid, event.turn, finish)

    def _finish(
        self, folder: Path, paid: PaidAnswer, turn: int, finish: Callable[[PaidAnswer, int], PaidAnswer]
    ) -> None:
        # What is still to be taken from a worktree is no answer, and is found again.
        is_whole = not paid.left_in
        try:
            paid = finish(paid, turn)
            is_whole = True
        finally:
            if is_whole:
                self.settle(folder, paid)

    def _event(self, paid: PaidAnswer) -> CallEvent | None:
        return next(iter(self._store.telemetry(CallFilter(call_id=paid.call_id))), None)
