"""What the programs share that kill themselves at a chosen step of what they do.

Nothing in Autopack knows of this: what it is made of is wrapped where it is put together, and the wrapping counts
the calls. ``serve`` carries out orders, each in a process of its own, so that the program is loaded once for all.
"""

import json
import os
import signal
import sys
import traceback
from collections import Counter
from contextlib import contextmanager
from functools import wraps


class Steps:
    """Counts calls, and ends this process before or after one of them."""

    def __init__(self, kill=None, *, takes_group=True, watched=None):
        """Kill at ``kill``: a name, which call of that name, from 1, and ``before`` or ``after``; "" is any step.

        After a step all that shares our process group may go with us, as with a terminal that is closed by force.
        With ``watched``, a folder, ``writes`` tells of each step whether anything below it was other than before.
        """
        self.names = []
        self.writes = []
        self.counts = Counter()
        self._called = Counter()
        self._watched = watched
        self._state = watched and state_of(watched)
        self._kill = list(kill or ())
        self._takes_group = takes_group

    @contextmanager
    def step(self, name):
        # Others may be taken before this one is over.
        number = len(self.names)
        self.names.append(name)
        self.writes.append(False)
        self.counts[name] += 1
        with self.call(name, ["", number + 1]):
            yield
            if self._watched:
                before, self._state = self._state, state_of(self._watched)
                self.writes[number] = self._state != before

    @contextmanager
    def call(self, name, *places):
        """What is no step has a name, by which it can be killed, and no place in the order of the others."""
        self._called[name] += 1
        places = ([name, self._called[name]], *places)
        if any([*place, "before"] == self._kill for place in places):
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if any([*place, "after"] == self._kill for place in places):
            if self._takes_group:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, name, function, *, is_step=True):
        """The function, with its calls counted."""

        @wraps(function)
        def counted(*args, **kwargs):
            with self.step(name) if is_step else self.call(name):
                return function(*args, **kwargs)

        return counted


def state_of(folder):
    """All that a process which dies now leaves below a folder: each path with its file, size and time."""
    found = {}
    todo = [folder]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                # Who reads an SQLite database notes that in its third file, which is made anew when it is missing.
                if not entry.name.endswith("-shm"):
                    it = entry.stat(follow_symlinks=False)
                    found[entry.path] = (it.st_ino, it.st_size, it.st_mtime_ns)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return found


class Counted:
    """Any port; its calls are steps called ``name.method``."""

    def __init__(self, target, name, steps, *, parts=(), not_steps=(), context=""):
        """Count the calls of ``target``.

        Args:
            target: The port.
            name: What its steps begin with.
            steps: Counts them.
            parts: Attributes that are ports of their own, with steps called after them.
            not_steps: Methods that are called when a thread of their own wants; they can be killed by their names.
            context: What the steps of a context's value are called; a context and its end are steps then, too.
        """
        self._target = target
        self._name = name
        self._steps = steps
        self._options = {"parts": parts, "not_steps": not_steps, "context": context}

    def __getattr__(self, attribute):
        found = getattr(self._target, attribute)
        if attribute in self._options["parts"]:
            return Counted(found, attribute, self._steps, **self._options)
        if attribute.startswith("_") or not callable(found):
            return found
        name = f"{self._name}.{attribute}"
        if attribute in self._options["not_steps"]:
            return self._steps.watch(name, found, is_step=False)
        watched = self._steps.watch(name, found)

        def call(*args, **kwargs):
            result = watched(*args, **kwargs)
            is_context = self._options["context"] and hasattr(result, "__enter__")
            return self._counted_context(result, name) if is_context else result

        return call

    @contextmanager
    def _counted_context(self, context, name):
        with self._steps.step(f"{name}.enter"):
            value = context.__enter__()
        try:
            inner = self._options["context"]
            yield value if value is None else Counted(value, inner, self._steps, **self._options)
        except BaseException:
            context.__exit__(*sys.exc_info())
            raise
        with self._steps.step(f"{name}.exit"):
            context.__exit__(None, None, None)


def count_made(home, maker, name, steps, **options):
    """Have the calls counted of whatever ``home.maker`` makes."""
    make = getattr(home, maker)
    setattr(home, maker, lambda *args, **kwargs: Counted(make(*args, **kwargs), name, steps, **options))


def serve(carry_out):
    """Answer each line of stdin, an order as JSON, with what ``carry_out`` returns or the signal that ended it.

    What the order has done says goes to the file that its ``log`` names, else to our stderr.
    """
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_in_child(json.loads(line), carry_out)) + "\n")
        sys.stdout.flush()


def _in_child(order, carry_out):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        os.setsid()
        try:
            if "log" in order:
                os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
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
