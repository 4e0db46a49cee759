"""Drains, and kills itself at a chosen step: ``python killing_drain.py STEP NUMBER before|after WORDS…``.

A step is a call of the store's record of drains (``pick``, ``book``, …) or one of ``submit``, ``mark``, ``rename``
and ``export``; the number says which call of that name, from 1. Nothing in the program itself knows of this.
"""

import os
import signal
import sys
from functools import wraps
from pathlib import Path

from autopack import bootstrap
from autopack.adapters.store import fingerprints
from autopack.cli.main import run
from autopack.drain import failed
from autopack.execution.dispatch import Dispatcher


class Deadline:
    """Counts the calls of one name, and ends this process before or after one of them."""

    def __init__(self, name, number, where):
        self._name = name
        self._left = number
        self._where = where

    def watch(self, name, function):
        """The function, with its calls counted."""
        if name != self._name:
            return function

        @wraps(function)
        def counted(*args, **kwargs):
            self._left -= 1
            if self._left == 0 and self._where == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted


class Watched:
    """A port whose calls are counted."""

    def __init__(self, target, deadline):
        self._target = target
        self._deadline = deadline

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if name == "drains":
            return Watched(found, self._deadline)
        return self._deadline.watch(name, found) if callable(found) else found


def install(deadline):
    """Wrap what a drain is made of, where it is put together."""
    open_store = bootstrap.open_store
    bootstrap.open_store = lambda *args, **kwargs: Watched(open_store(*args, **kwargs), deadline)
    Dispatcher.submit = deadline.watch("submit", Dispatcher.submit)
    fingerprints.mark_some = deadline.watch("mark", fingerprints.mark_some)
    failed.export = deadline.watch("export", failed.export)
    replace = deadline.watch("rename", Path.replace)
    Path.replace = lambda path, target: (replace if path.suffix == ".partial" else _replace)(path, target)


_replace = Path.replace


if __name__ == "__main__":
    step, number, where, *words = sys.argv[1:]
    install(Deadline(step, int(number), where))
    sys.exit(run(words))
