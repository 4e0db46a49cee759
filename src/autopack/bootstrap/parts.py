"""The parts that most uses share: the store, the repository, whose process is dead, and the Builder's name."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.process_identity import is_process_dead
from autopack.adapters.store import SqlStore
from autopack.adapters.store import open_store as open_database
from autopack.ports import Clock
from autopack.settings import Settings

if TYPE_CHECKING:
    from autopack.adapters.git import GitWorkspace


def open_store(settings: Settings, *, create: bool = False) -> SqlStore:
    """The store of a repository; ``create`` makes or migrates it."""
    return open_database(settings.database_url, create=create)


def open_workspace(settings: Settings) -> "GitWorkspace":
    """The repository that the settings are for."""
    from autopack.adapters import git
    from autopack.adapters.git_sizes import ChangeLimits

    limits = settings.attempt
    most = ChangeLimits(
        file_bytes=limits.max_file_bytes, total_bytes=limits.max_file_bytes * limits.max_changed_files
    )
    return git.open_workspace(settings.root, state_folder=settings.state_folder, limits=most)


def death_watch(settings: Settings, clock: Clock) -> Callable[[str, float], bool]:
    """The question whether the process behind a lease is dead."""

    def is_owner_dead(owner: str, heartbeat_at: float) -> bool:
        return is_process_dead(owner, heartbeat_at, clock.now(), settings.attempt.lease_seconds)

    return is_owner_dead


def name_builder(settings: Settings, environ: Mapping[str, str]) -> str:
    """The Builder's full name; one that cannot be made is refused before any phase is taken for it.

    So is a sandbox that is required and does not work.
    """
    from autopack.adapters.sandbox import open_sandbox
    from autopack.bootstrap.builders import make_builder

    processes = GuardedProcesses(SystemClock())
    open_sandbox(settings, processes, environ)
    return make_builder(settings, None, processes, environ).spec
