"""The look at what is known of an attempt before its process is started; it imports the executor's steps only then."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autopack.adapters.executor_code import ExecutorCode
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.process_identity import process_identity
from autopack.domain.attempt import AttemptAddress
from autopack.domain.session import AttemptOrders
from autopack.domain.verdicts import AttemptOutcome
from autopack.ports import Clock, Store
from autopack.settings import Settings, find_root, load_settings

if TYPE_CHECKING:
    from autopack.adapters.git import GitWorkspace
    from autopack.execution.preflight import PreflightParts

logger = logging.getLogger(__name__)


class KnownDooms:
    """Implements ``KnownEnds`` for the worker that launches attempts; safe to share between its threads."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._environ = {**environ, "DATABASE_URL": settings.database_url}
        self._code = ExecutorCode()
        self._lock = threading.Lock()
        self._workspace: GitWorkspace | None = None
        self._made: tuple[Settings, PreflightParts] | None = None

    def code(self) -> str:
        """See ``KnownEnds.code``."""
        return self._code.state()

    def conclude(
        self, address: AttemptAddress, orders: AttemptOrders | None, *, logs: Path
    ) -> AttemptOutcome | None:
        """See ``KnownEnds.conclude``."""
        try:
            from autopack.execution.preflight import Preflight
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- the attempt's own process has to die of it
            logger.info("preflight.not_imported", extra={"error": repr(error)})
            return None
        return Preflight(self._parts).conclude(address, orders, logs=logs)

    def close(self) -> None:
        """End what the looks keep running."""
        if self._workspace is not None:
            self._workspace.close()

    def _parts(self) -> "PreflightParts":
        """The parts by the settings as a process would read them now."""
        settings = load_settings(
            find_root(self._settings.root),
            environ=self._environ,
            builder=self._settings.attempt.builder,
        )
        with self._lock:
            if self._made is None or self._made[0] != settings:
                self._made = (settings, self._make(settings))
            return self._made[1]

    def _make(self, settings: Settings) -> "PreflightParts":
        from autopack.adapters import git
        from autopack.bootstrap.gates import make_steps
        from autopack.execution.preflight import PreflightParts

        if self._workspace is None:
            self._workspace = git.open_workspace(settings.root, state_folder=settings.state_folder)
        steps = make_steps(
            settings,
            self._store,
            self._workspace,
            GuardedProcesses(self._clock),
            self._clock,
            self._environ,
        )
        return PreflightParts(
            store=self._store,
            workspace=self._workspace,
            build=steps.build,
            foresight=steps.foresight,
            clock=self._clock,
            owner=process_identity(),
            sandbox=steps.sandbox,
        )
