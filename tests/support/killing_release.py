"""Runs Autopack's commands and kills them at a chosen step: ``python killing_release.py`` reads an order a line, as JSON.

A step is a call of the store, of its records of drains and triage, or of the workspace, the validation, a rehearsal, or
the handing over of an attempt; the order names it, says which call of that name, from 1, and whether the kill comes
before or after it. Nothing in the program itself knows of this. Each order is carried out in a process of its own.
"""

import json
import os
import signal
import sys
import traceback
from collections import Counter
from functools import wraps

from autopack import bootstrap
from autopack.adapters import engine  # noqa: F401 -- loaded once, and not by each of the children
from autopack.adapters.store import fingerprints
from autopack.autonomous_executor import AutonomousExecutor
from autopack.cli import remediate  # noqa: F401 -- the same
from autopack.cli.main import run
from autopack.execution.dispatch import Dispatcher
from autopack.triage.validation import Validator

# What is called as often as the clock wants is a step too, but which of its calls matters to nobody.
PARTS = ("drains", "triage")


class Steps:
    """Counts the calls of each name, and ends this process before or after one of them."""

    def __init__(self, kill):
        self.counts = Counter()
        self._kill = kill

    def watch(self, name, function):
        """The function, with its calls counted."""

        @wraps(function)
        def counted(*args, **kwargs):
            self.counts[name] += 1
            step = [name, self.counts[name]]
            if [*step, "before"] == self._kill:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if [*step, "after"] == self._kill:
                # With all that shares our process group, as a terminal that is closed by force would.
                os.killpg(0, signal.SIGKILL)
            return result

        return counted


class Watched:
    """A port whose calls are steps."""

    def __init__(self, target, name, steps):
        self._target = target
        self._name = name
        self._steps = steps

    def __getattr__(self, attribute):
        found = getattr(self._target, attribute)
        if attribute in PARTS:
            return Watched(found, attribute, self._steps)
        if attribute.startswith("_") or not callable(found) or attribute == "worktree":
            return found
        return self._steps.watch(f"{self._name}.{attribute}", found)


def install(steps):
    """Wrap what the commands are made of, where it is put together."""
    for maker, name in (("open_store", "store"), ("open_workspace", "workspace")):
        setattr(bootstrap, maker, _watching(getattr(bootstrap, maker), name, steps))
    Validator.run = steps.watch("validate", Validator.run)
    AutonomousExecutor.rehearse = steps.watch("rehearse", AutonomousExecutor.rehearse)
    Dispatcher.submit = steps.watch("submit", Dispatcher.submit)
    fingerprints.mark_some = steps.watch("mark_some", fingerprints.mark_some)


def _watching(make, name, steps):
    return lambda *args, **kwargs: Watched(make(*args, **kwargs), name, steps)


def carry_out(order):
    """The command's exit code, and how often each step was taken."""
    steps = Steps(order.get("kill"))
    install(steps)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["root"])
    return {"code": run(["--root", order["root"], *order["words"]]), "calls": steps.counts}


def in_child(order):
    """The order's result, or the signal that ended the process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        os.setsid()
        try:
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.write(writer, json.dumps(carry_out(order)).encode())
        except BaseException:  # noqa: BLE001 -- a forked process must not go on as its parent
            os.write(writer, json.dumps({"error": traceback.format_exc()}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else {"signal": os.WTERMSIG(status)}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(in_child(json.loads(line))) + "\n")
        sys.stdout.flush()
