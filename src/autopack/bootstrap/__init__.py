"""Puts the parts together: the one package that names adapters.

Each use imports what it needs where it is put together: an executor that cannot be imported must not take the
worker or `autopack status` with it, and a process that makes one attempt must start fast.
"""

from autopack.bootstrap.drains import DrainOutcome, DrainRequest, drive_drain, plan_drain
from autopack.bootstrap.executor import executor_over, open_executor
from autopack.bootstrap.line import drive_run, serve_worker
from autopack.bootstrap.parts import open_store, open_workspace
from autopack.bootstrap.upkeep import (
    Initialised,
    check_health,
    init_repository,
    known_sandbox,
    reclaim,
    try_builder,
)

__all__ = [
    "DrainOutcome",
    "DrainRequest",
    "Initialised",
    "check_health",
    "drive_drain",
    "drive_run",
    "executor_over",
    "init_repository",
    "known_sandbox",
    "open_executor",
    "open_store",
    "open_workspace",
    "plan_drain",
    "reclaim",
    "serve_worker",
    "try_builder",
]
