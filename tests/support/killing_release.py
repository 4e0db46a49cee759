"""Runs Autopack's commands and kills them at a chosen step: ``python killing_release.py`` reads an order a line, as JSON.

A step is a call of the store, of its records of drains and triage, or of the workspace, the validation, a rehearsal, or
the handing over of an attempt.
"""

import os

from kill_steps import Steps, count_made, serve

from autopack import bootstrap
from autopack.adapters import engine  # noqa: F401 -- loaded once, and not by each of the children
from autopack.adapters.store import fingerprints
from autopack.autonomous_executor import AutonomousExecutor
from autopack.bootstrap import parts
from autopack.cli import remediate  # noqa: F401 -- the same
from autopack.cli.main import run
from autopack.execution.dispatch import Dispatcher
from autopack.triage.validation import Validator


def install(steps):
    """Wrap what the commands are made of, where it is put together."""
    for home in (bootstrap, parts):
        for maker, name in (("open_store", "store"), ("open_workspace", "workspace")):
            count_made(home, maker, name, steps, parts=("drains", "triage"), not_steps=("worktree",))
    Validator.run = steps.watch("validate", Validator.run)
    AutonomousExecutor.rehearse = steps.watch("rehearse", AutonomousExecutor.rehearse)
    Dispatcher.submit = steps.watch("submit", Dispatcher.submit)
    fingerprints.mark_some = steps.watch("mark_some", fingerprints.mark_some)


def carry_out(order):
    """The command's exit code, and how often each step was taken."""
    steps = Steps(order.get("kill"))
    install(steps)
    os.environ.clear()
    os.environ.update(order["environ"])
    os.chdir(order["root"])
    return {"code": run(["--root", order["root"], *order["words"]]), "calls": steps.counts}


if __name__ == "__main__":
    serve(carry_out)
