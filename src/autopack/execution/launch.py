"""The process of one attempt: started with the installed Autopack, and given its end in the store."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.session import AttemptOrders
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import ProcessError, ProcessLostError
from autopack.execution.attempt_words import MODULE, words_for
from autopack.execution.recovery import Conclusion
from autopack.ports import Command, Finished, Processes
from autopack.settings import Settings

_ATTEMPT_HOURS = 24
END_NAME = "executor.json"
"""Beside ``executor.out`` and ``executor.err``: the process's return code and how long it took."""


class KnownEnds(Protocol):
    """Tells of attempts that need no process, because their verdict is known; ``Preflight`` is one."""

    def code(self) -> str:
        """What code attempts would run with; empty when it is not the code that judges here."""
        ...

    def conclude(
        self, address: AttemptAddress, orders: AttemptOrders | None, *, logs: Path
    ) -> AttemptOutcome | None:
        """The verdict, which is booked when this returns; None when a process has to make the attempt."""
        ...


class Launcher:
    """Makes attempts in processes of their own, so that an executor that does not even import is one verdict.

    What is known to be doomed needs no process, once one has shown that the executor as it is can begin.
    """

    def __init__(
        self,
        *,
        processes: Processes,
        conclusion: Conclusion,
        settings: Settings,
        environ: Mapping[str, str],
        orders: Callable[[AttemptAddress], AttemptOrders | None],
        database: str,
        known_ends: KnownEnds,
    ) -> None:
        self._processes = processes
        self._conclusion = conclusion
        self._settings = settings
        self._environ = environ
        self._orders = orders
        self._database = database
        self._known_ends = known_ends
        self._begun_code = ""
        self._in_hand: set[AttemptAddress] = set()

    def is_in_hand(self, address: AttemptAddress) -> bool:
        """Whether the attempt is made just now; its end is booked before it is let go."""
        return address in self._in_hand

    def perform(self, address: AttemptAddress, *, is_cancelled: Callable[[], bool]) -> None:
        """Run ``python -m autopack.autonomous_executor`` to its end and book what it did not book itself."""
        self._in_hand.add(address)
        try:
            self._perform(address, is_cancelled)
        finally:
            self._in_hand.discard(address)

    def _perform(self, address: AttemptAddress, is_cancelled: Callable[[], bool]) -> None:
        logs = attempt_folder(self._settings.state_folder, address)
        orders = self._orders(address)
        code = self._known_ends.code()
        is_proven = bool(code) and code == self._begun_code
        outcome = self._known_ends.conclude(address, orders, logs=logs) if is_proven else None
        if outcome is not None:
            _write_as_process(logs, address, outcome, database=self._database)
        elif self._run(self._command(address, orders, logs), address, logs, is_cancelled):
            self._begun_code = code

    def _run(
        self, command: Command, address: AttemptAddress, logs: Path, is_cancelled: Callable[[], bool]
    ) -> bool:
        """Whether the process came as far as to take its attempt."""
        token = self._conclusion.token_of(address)
        with suppress(OSError):
            # Of an earlier process of this attempt; were we killed before the next is written, it would be believed.
            (logs / END_NAME).unlink()
        try:
            finished = self._processes.run(command, is_cancelled=is_cancelled)
        except (ProcessError, ProcessLostError, OSError) as error:
            # No memory, no disk for its logs, or its guard was killed; if it took its attempt, that is found dead.
            if self._conclusion.token_of(address) == token:
                self._conclusion.give_back(address, _not_launched(error, logs))
            return False
        _write_end(logs, finished)
        has_begun = self._conclusion.token_of(address) != token
        self._conclusion.conclude(address, finished, token_before=token, logs=logs)
        return has_begun

    def _command(self, address: AttemptAddress, orders: AttemptOrders | None, logs: Path) -> Command:
        settings = self._settings
        env = {**self._environ, "PYTHONUTF8": "1", "DATABASE_URL": settings.database_url}
        return Command(
            # -P keeps the working directory off the import path: the code that runs is never the code that
            # is being changed, not even in Autopack's own repository.
            argv=(
                *(sys.executable, "-P", "-m", MODULE),
                *words_for(settings, address, orders),
            ),
            cwd=settings.state_folder,
            env=env,
            stdout_path=logs / "executor.out",
            stderr_path=logs / "executor.err",
            # Every step of an attempt has its own limit; outside a drain this one is for an executor that hangs
            # by itself.
            timeout_seconds=orders.timeout_seconds if orders is not None else _ATTEMPT_HOURS * 3600,
        )


def _write_end(logs: Path, finished: Finished) -> None:
    """Keep how the process ended beside what it wrote; a full disk costs the record, not the verdict."""
    end = {
        "returncode": finished.returncode,
        "timed_out": finished.timed_out,
        "duration_seconds": round(finished.duration_seconds, 3),
    }
    with suppress(OSError):
        (logs / END_NAME).write_text(json.dumps(end) + "\n", encoding="utf-8")


def _write_as_process(logs: Path, address: AttemptAddress, outcome: AttemptOutcome, *, database: str) -> None:
    """Leave what a process would have left that found the same."""
    failure = outcome.failure
    with suppress(OSError):
        logs.mkdir(parents=True, exist_ok=True)
        _append(logs / "executor.out", f"database: {database}\n{address} {outcome.final_state}\n")
        _append(logs / "executor.err", f"{failure.kind}: {failure.message}\n" if failure is not None else "")
    end = Finished(
        returncode=1, timed_out=False, was_cancelled=False, duration_seconds=outcome.duration_seconds
    )
    _write_end(logs, end)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write(text)


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
