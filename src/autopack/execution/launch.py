"""The process of one attempt: started with the installed Autopack, and given its end in the store."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.errors import ProcessError, ProcessLostError
from autopack.execution.recovery import Conclusion
from autopack.ports import Command, Processes
from autopack.settings import Settings

_ATTEMPT_HOURS = 24


class Launcher:
    """Makes attempts in processes of their own, so that an executor that does not even import is one verdict."""

    def __init__(
        self, *, processes: Processes, conclusion: Conclusion, settings: Settings, environ: Mapping[str, str]
    ) -> None:
        self._processes = processes
        self._conclusion = conclusion
        self._settings = settings
        self._environ = environ

    def perform(self, address: AttemptAddress, *, is_cancelled: Callable[[], bool]) -> None:
        """Run ``python -m autopack.autonomous_executor`` to its end and book what it did not book itself."""
        token = self._conclusion.token_of(address)
        logs = attempt_folder(self._settings.state_folder, address)
        try:
            finished = self._processes.run(self._command(address, logs), is_cancelled=is_cancelled)
        except (ProcessError, ProcessLostError, OSError) as error:
            # No memory, no disk for its logs, or its guard was killed; if it took its attempt, that is found dead.
            if self._conclusion.token_of(address) == token:
                self._conclusion.give_back(address, _not_launched(error, logs))
            return
        self._conclusion.conclude(address, finished, token_before=token, logs=logs)

    def _command(self, address: AttemptAddress, logs: Path) -> Command:
        settings = self._settings
        env = {**self._environ, "PYTHONUTF8": "1", "DATABASE_URL": settings.database_url}
        return Command(
            # -P keeps the working directory off the import path: the code that runs is never the code that
            # is being changed, not even in Autopack's own repository.
            argv=(
                *(sys.executable, "-P", "-m", "autopack.autonomous_executor"),
                *("--root", str(settings.root), "--builder", settings.attempt.builder),
                *(
                    "--run-id",
                    address.run_id,
                    "--phase-id",
                    address.phase_id,
                    "--attempt",
                    str(address.number),
                ),
            ),
            cwd=settings.state_folder,
            env=env,
            stdout_path=logs / "executor.out",
            stderr_path=logs / "executor.err",
            # Every step of an attempt has its own limit; this one is for an executor that hangs by itself.
            timeout_seconds=_ATTEMPT_HOURS * 3600,
        )


def _not_launched(error: ProcessError | ProcessLostError | OSError, logs: Path) -> FailureReport:
    return FailureReport(
        kind=FailureKind.INFRASTRUCTURE,
        message=f"The attempt's process could not be run: {error}",
        retryable=True,
        log_paths=(str(logs / "executor.out"), str(logs / "executor.err")),
    )


def attempt_folder(state_folder: Path, address: AttemptAddress) -> Path:
    """Where everything that an attempt writes down is kept."""
    return state_folder / "logs" / address.run_id / address.phase_id / str(address.number)
