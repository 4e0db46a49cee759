"""Makes attempts and kills them at a chosen step: ``python killing.py`` reads an order a line, as JSON."""

import os

from kill_steps import Steps, count_made, serve

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


def carry_out(order):
    """Make the attempt; how its program ended and what was called."""
    steps = Steps(order.get("kill"), watched=order["root"] if order.get("is_watched") else None)
    for (home, maker), name in PARTS.items():
        # A thread beats, and another notes what is used, at their own time.
        not_steps = ("heartbeat", "note_usage")
        count_made(home, maker, name, steps, parts=("reviews",), not_steps=not_steps, context="worktree")
    os.environ.update(order["environ"])
    words = ("--root", order["root"], "--builder", order["builder"], "--run-id", "r", "--phase-id", "p")
    code = autonomous_executor.main(words)
    return {"code": code, "calls": steps.names, "writes": steps.writes}


if __name__ == "__main__":
    serve(carry_out)
