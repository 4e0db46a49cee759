"""Drains, and kills itself at a chosen step: ``python killing_drain.py STEP NUMBER before|after WORDS…``.

A step is a call of the store (``book_foreseen``) or of its record of drains (``pick``, ``book``, …), or one of
``submit``, ``mark``, ``rename`` and ``export``; the number says which call of that name, from 1.
"""

import sys
from pathlib import Path

from kill_steps import Steps, count_made

from autopack import bootstrap
from autopack.adapters.store import SqlStore, fingerprints
from autopack.cli.main import run
from autopack.drain import failed
from autopack.execution.dispatch import Dispatcher

OTHERS = frozenset({"submit", "mark", "rename", "export"})
replace_path = Path.replace


def install(steps):
    """Wrap what a drain is made of, where it is put together."""
    count_made(bootstrap, "open_store", "store", steps, parts=("drains",))
    Dispatcher.submit = steps.watch("submit", Dispatcher.submit)
    fingerprints.mark_some = steps.watch("mark", fingerprints.mark_some)
    failed.export = steps.watch("export", failed.export)
    renamed = steps.watch("rename", replace_path)
    Path.replace = lambda path, target: (renamed if path.suffix == ".partial" else replace_path)(path, target)


if __name__ == "__main__":
    step, number, where, *words = sys.argv[1:]
    home = "store." if hasattr(SqlStore, step) else "drains."
    name = step if step in OTHERS else home + step
    install(Steps((name, int(number), where), takes_group=False))
    sys.exit(run(words))
