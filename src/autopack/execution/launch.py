"""The process of one attempt: started with the installed Autopack, and given its end in the store."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.session import AttemptOrders
from autopack.errors import ProcessError, ProcessLostError
from autopack.execution.recovery import Conclusion
from autopack.ports import Command, Finished, Processes
from autopack.settings import Settings

_ATTEMPT_HOURS = 24
END_NAME = "executor.json"
"""Beside ``executor.out`` and ``executor.err``: the process's return code and how long it took."""


class Launcher:
    """Makes attempts in processes of their own, so that an executor that does not even import is one verdict."""

    def __init__(
        self,
        *,
        processes: Processes,
        conclusion: Conclusion,
        settings: Settings,
        environ: Mapping[str, str],
        orders: Callable[[AttemptAddress], AttemptOrders | None],
    ) -> None:
        self._processes = processes
        self._conclusion = conclusion
        self._settings = settings
        self._environ = environ
        self._orders = orders

    def perform(self, address: AttemptAddress, *, is_cancelled: Callable[[], bool]) -> None:
        """Run ``python -m autopack.autonomous_executor`` to its end and book what it did not book itself."""
        token = self._conclusion.token_of(address)
        logs = attempt_folder(self._settings.state_folder, address)
        with suppress(OSError):
            # Of an earlier process of this attempt; were we killed before the next is written, it would be believed.
            (logs / END_NAME).unlink()
        try:
            finished = self._processes.run(self._command(address, logs), is_cancelled=is_cancelled)
        except (ProcessError, ProcessLostError, OSError) as error:
            # No memory, no disk for its logs, or its guard was killed; if it took its attempt, that is found dead.
            if self._conclusion.token_of(address) == token:
                self._conclusion.give_back(address, _not_launched(error, logs))
            return
        _write_end(logs, finished)
        self._conclusion.conclude(address, finished, token_before=token, logs=logs)

    def _command(self, address: AttemptAddress, logs: Path) -> Command:
        settings = self._settings
        orders = self._orders(address)
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
                *_flags_of(orders),
            ),
            cwd=settings.state_folder,
            env=env,
            stdout_path=logs / "executor.out",
            stderr_path=logs / "executor.err",
            # Every step of an attempt has its own limit; outside a drain this one is for an executor that hangs
            # by itself.
            timeout_seconds=orders.timeout_seconds if orders is not None else _ATTEMPT_HOURS * 3600,
        )


def _flags_of(orders: AttemptOrders | None) -> tuple[str, ...]:
    if orders is None:
        return ()
    doom_check = () if orders.doom_check else ("--no-doom-check",)
    return ("--replay", orders.replay, *doom_check)


def _write_end(logs: Path, finished: Finished) -> None:
    """Keep how the process ended beside what it wrote; a full disk costs the record, not the verdict."""
    end = {
        "returncode": finished.returncode,
        "timed_out": finished.timed_out,
        "duration_seconds": round(finished.duration_seconds, 3),
    }
    with suppress(OSError):
        (logs / END_NAME).write_text(json.dumps(end) + "\n", encoding="utf-8")


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
