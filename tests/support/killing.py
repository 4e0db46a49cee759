"""Makes attempts and kills them at a chosen step: ``python killing.py`` reads an order a line, as JSON.

Nothing in the program itself knows of this: what an executor is made of is wrapped where it is put together, and
the wrapping counts the calls. Each order is carried out in a process of its own, the leader of its own group.
"""

import json
import os
import signal
import sys
import traceback
from contextlib import contextmanager

from autopack import autonomous_executor
from autopack.adapters import ci_pytest, import_scan, locks
from autopack.adapters.builders import registry
from autopack.bootstrap import parts

# Where bootstrap finds the makers of an executor's parts.
PARTS = {
    (parts, "open_store"): "store",
    (parts, "open_workspace"): "workspace",
    (registry, "make_builder"): "builder",
    (ci_pytest, "CommandCi"): "ci",
    (locks, "FileLocks"): "locks",
    (import_scan, "ImportScan"): "index",
}
# What a background thread calls at its own time is no step.
_NOT_STEPS = frozenset({"heartbeat"})
# Records in the same database, each with methods of its own.
_RECORDS = frozenset({"reviews"})


class Steps:
    """Counts calls, and ends this process before or after one of them."""

    def __init__(self, kill_at=None, where=""):
        self.names = []
        self._kill_at = kill_at
        self._where = where

    @contextmanager
    def step(self, name):
        number = len(self.names)
        self.names.append(name)
        if number == self._kill_at and self._where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if number == self._kill_at and self._where == "after":
            # With all that shares our process group, as a terminal that is closed by force would.
            os.killpg(0, signal.SIGKILL)


class Counted:
    """Any port; its calls are steps, and so are the begin and the end of a context it gives."""

    def __init__(self, target, name, steps):
        self._target = target
        self._name = name
        self._steps = steps

    def __getattr__(self, attribute):
        found = getattr(self._target, attribute)
        if attribute in _RECORDS:
            return Counted(found, attribute, self._steps)
        if attribute in _NOT_STEPS or attribute.startswith("_") or not callable(found):
            return found
        name = f"{self._name}.{attribute}"

        def call(*args, **kwargs):
            with self._steps.step(name):
                result = found(*args, **kwargs)
            return self._counted_context(result, name) if hasattr(result, "__enter__") else result

        return call

    @contextmanager
    def _counted_context(self, context, name):
        with self._steps.step(f"{name}.enter"):
            value = context.__enter__()
        try:
            yield value if value is None else Counted(value, "worktree", self._steps)
        except BaseException:
            context.__exit__(*sys.exc_info())
            raise
        with self._steps.step(f"{name}.exit"):
            context.__exit__(None, None, None)


def count_calls(steps):
    """Wrap every port that an executor is made of."""
    for (home, made_by), name in PARTS.items():
        setattr(home, made_by, _counting(getattr(home, made_by), name, steps))


def _counting(make, name, steps):
    return lambda *args, **kwargs: Counted(make(*args, **kwargs), name, steps)


def carry_out(order):
    """Make the attempt; how its program ended and what was called."""
    steps = Steps(order.get("kill_at"), order.get("where"))
    count_calls(steps)
    os.environ.update(order["environ"])
    words = ("--root", order["root"], "--builder", order["builder"], "--run-id", "r", "--phase-id", "p")
    return {"code": autonomous_executor.main(words), "calls": steps.names}


def in_child(order):
    """The order's result, or the signal that ended the process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        os.setsid()
        try:
            # What the program says belongs to its own log, not into the answers of this one.
            os.dup2(2, 1)
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
