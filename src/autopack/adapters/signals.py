"""Ctrl-C, as an operator means it: once to finish what runs, twice to stop now."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Counts the wishes to stop. Either way what was begun can go on later."""

    def __init__(self) -> None:
        self._count = 0

    def is_stopping(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._count > 0

    def is_cancelled(self) -> bool:
        """Whether what runs is to be stopped as well."""
        return self._count > 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT as one wish and SIGTERM as both; the handlers of before are put back."""
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._count += 2 if number == signal.SIGTERM else 1
