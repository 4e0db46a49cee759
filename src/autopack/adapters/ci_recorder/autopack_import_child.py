"""A program that imports modules, each in a process of its own, and tells which of them cannot be imported.

Reads ``{"modules": [...], "seconds": n, "root": ..., "worktree": ..., "record": ...}`` from its input and
appends one line of JSON for each module to the record: its name, and its error or an empty text. It needs
Python 3.8 and ``os.fork``.
"""

# ruff: noqa: PTH118, PTH123 - plain strings, for the same reason as in the recorder

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys

_LENGTH = 500


def main() -> None:
    """Import what the input names."""
    orders = json.load(sys.stdin)
    # Nothing that an import makes is garbage before its process ends.
    gc.disable()
    # The folder of this file comes first for a program; the tested project must not see it.
    sys.path[0] = str(orders["worktree"])
    for name in orders["modules"]:
        error = _import_alone(str(name), orders)
        line = json.dumps({"module": name, "error": error}) + "\n"
        with open(orders["record"], "a", encoding="utf-8") as record:
            record.write(line)


def _import_alone(name: str, orders: dict[str, object]) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _import_and_leave(name, orders, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        # What the module left running may hold the pipe open; the child's own end is what counts.
        _, status = os.waitpid(child, 0)
        os.set_blocking(answer.fileno(), False)
        text = (answer.read() or b"").decode("utf-8", "replace")
    if text:
        return text[1:]
    return _explain(status, float(str(orders["seconds"])))


def _import_and_leave(name: str, orders: dict[str, object], writing: int) -> None:
    # Taken before foreign code runs, which may put others in their place.
    write, leave = os.write, os._exit
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # Unlike an alarm this takes parts of a second.
    signal.setitimer(signal.ITIMER_REAL, float(str(orders["seconds"])))
    try:
        module = importlib.import_module(name)
        error = _wrong_tree(getattr(module, "__file__", None), orders)
    except BaseException as raised:  # noqa: BLE001 - foreign code may raise anything, and that is the answer
        error = _describe(raised)
    # One write of less than a pipe's atomic size; the mark tells an empty answer from none.
    write(writing, ("=" + error).encode("utf-8", "backslashreplace"))
    sys.stdout.flush()
    sys.stderr.flush()
    leave(0)


def _wrong_tree(path: object, orders: dict[str, object]) -> str:
    if not isinstance(path, str):
        return ""
    real = os.path.realpath(path)
    root, worktree = (os.path.join(os.path.realpath(str(orders[key])), "") for key in ("root", "worktree"))
    inside = (worktree, os.path.join(os.path.realpath(sys.prefix), ""))
    if real.startswith(root) and not real.startswith(inside):
        return f"ImportError: imported from the operator's checkout, not from the worktree: {real}"
    return ""


def _describe(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except BaseException:  # noqa: BLE001 - foreign code
        lines = []
    message = lines[0] if lines else ""
    return f"{type(error).__name__}: {message}"[:_LENGTH]


def _explain(status: int, seconds: float) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return f"timeout: the import did not end within {seconds:g} s"
        return f"crash: signal {number}"
    return f"crash: the import left the process with exit code {os.WEXITSTATUS(status)}"


if __name__ == "__main__":
    main()
