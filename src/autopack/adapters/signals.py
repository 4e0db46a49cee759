"""Ctrl-C, as an operator means it: once to finish what runs, twice to stop now."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

_HANG_UP = getattr(signal, "SIGHUP", None)
"""What a terminal sends when it is closed; None where there is no such signal."""
_STANDARD_ENDS = (0, 1, 2)


class Interrupts:
    """Counts the wishes to stop. Either way what was begun can go on later."""

    def __init__(self) -> None:
        self._count = 0
        self._terminals: tuple[int, ...] = ()

    def is_stopping(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._count > 0

    def is_cancelled(self) -> bool:
        """Whether what runs is to be stopped as well."""
        return self._count > 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and a closed terminal as one wish and SIGTERM as both; the handlers of before are put back.

        A hang-up that whoever started us had us ignore, as ``nohup`` does, stays ignored.
        """
        self._terminals = tuple(end for end in _STANDARD_ENDS if os.isatty(end))
        before = {number: signal.signal(number, self._note) for number in _wanted()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._count += 2 if number == signal.SIGTERM else 1
        if number == _HANG_UP:
            _let_go(self._terminals)


def _wanted() -> Iterator[int]:
    yield from (signal.SIGINT, signal.SIGTERM)
    if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:
        yield _HANG_UP


def _let_go(terminals: Sequence[int]) -> None:
    """Have what is said to terminals that are closed go nowhere: to write to one fails."""
    null = os.open(os.devnull, os.O_RDWR)
    for end in terminals:
        if not os.isatty(end):
            os.dup2(null, end)
    os.close(null)
