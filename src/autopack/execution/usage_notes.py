"""What a call has used so far, kept as it is told: a process that is killed loses none of it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from autopack.domain.budget import Usage
from autopack.errors import StoreError
from autopack.ports import BuildAnswer

logger = logging.getLogger(__name__)


class UsageNotes:
    """Keeps the newest usage in a thread of its own: whoever tells of it never waits for the database."""

    def __init__(self, keep: Callable[[Usage], None]) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._newest: Usage | None = None
        self._is_closed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="autopack-usage")

    def note(self, usage: Usage) -> None:
        """Have the usage of the whole call so far kept, unless a newer one comes first."""
        with self._lock:
            self._newest = usage
            if not self._is_closed:
                self._pool.submit(self._write)

    def close(self) -> None:
        """Wait until everything is kept; what is told later is not."""
        with self._lock:
            self._is_closed = True
        self._pool.shutdown(wait=True)

    def _write(self) -> None:
        with self._lock:
            usage, self._newest = self._newest, None
        if usage is None:
            return
        try:
            self._keep(usage)
        except StoreError as error:
            # The end of the call is booked all the same, if its process lives to see it.
            logger.warning("usage.not_noted", extra={"reason": str(error)})


class BudgetWatch:
    """Counts what a call reports while it runs, and asks it to stop when its budget is spent."""

    def __init__(
        self,
        limit_tokens: int,
        *,
        limit_usd: float | None = None,
        note: Callable[[Usage], None] | None = None,
        on_end: Callable[[BuildAnswer], None] | None = None,
    ) -> None:
        self._on_end = on_end
        self._limit_tokens = limit_tokens
        self._limit_usd = limit_usd
        self._note = note
        self._lock = threading.Lock()
        self.usage = Usage()

    def used(self, usage: Usage) -> None:
        """Add what was used since the last report."""
        with self._lock:
            self.usage += usage
            if self._note is not None:
                self._note(self.usage)

    def under_way(self, usage: Usage) -> None:
        """Have kept what requests that are not over used so far; the budget is judged by those that are."""
        with self._lock:
            if self._note is not None:
                self._note(self.usage + usage)

    def ended(self, answer: BuildAnswer) -> None:
        """Have kept that the Builder is done in its worktree."""
        if self._on_end is not None:
            self._on_end(answer)

    def is_cancelled(self) -> bool:
        """Whether the call has used more than its budget."""
        if self._limit_usd is not None and (self.usage.cost_usd or 0.0) > self._limit_usd:
            return True
        return self.usage.total_tokens > self._limit_tokens
