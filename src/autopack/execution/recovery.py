"""What follows an attempt that did not end well: made again, or ended; and how a dead one is concluded."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.retry import pause_seconds
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import LeaseLostError, NotClaimableError
from autopack.ports import Clock, Finished, Store
from autopack.settings import AttemptSettings

REFUSED_RETURNCODE = 4
"""The attempt process ends with this when the attempt is not its to make."""
TRY_AGAIN_RETURNCODE = 75
"""The attempt process ends with this when a fault that may pass kept it from booking a verdict."""
UNUSABLE_RETURNCODE = 78
"""The same for a fault that stays until somebody mends it."""
ERROR_MARK = "error: "
"""Begins the line in which the attempt process says why it ended with one of these."""
_FAULTS = frozenset({TRY_AGAIN_RETURNCODE, UNUSABLE_RETURNCODE})
_OUTPUT = re.compile(r"\.(out|err)$|stdout|stderr")
"""Names of files that hold what a program said; requests and records beside them are our own."""


def settle(outcome: AttemptOutcome, phase: Phase, limits: AttemptSettings, *, now: float) -> AttemptOutcome:
    """The outcome to store: a fault of the surroundings gives the attempt back while that may still help.

    A failure that is not retryable ends the attempt: the same input would fail the same way. A retryable one
    requeues the same attempt, whose paid answer is kept, up to ``max_transient_retries`` times in a row. One that
    merely waits, for its Builder or for a budget, has tried nothing and is requeued however often.
    """
    failure = outcome.failure
    if outcome.final_state is not PhaseState.FAILED or failure is None or not failure.retryable:
        return outcome
    if phase.requeues >= limits.max_transient_retries and not failure.is_wait:
        return outcome
    pause = pause_seconds(phase.requeues, asked_seconds=failure.retry_after_seconds, seed=phase.phase_id)
    return AttemptOutcome(
        final_state=PhaseState.QUEUED,
        failure=failure,
        gates=outcome.gates,
        usage=outcome.usage,
        duration_seconds=outcome.duration_seconds,
        retry_at=now + pause,
        replayed_from=outcome.replayed_from,
        sandbox=outcome.sandbox,
    )


class Conclusion:
    """Gives every launched attempt its end in the store, whatever became of its process."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        limits: AttemptSettings,
        owner: str,
        is_owner_dead: Callable[[str, float], bool],
        is_committed: Callable[[Attempt], bool],
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits
        self._owner = owner
        self._is_owner_dead = is_owner_dead
        self._is_committed = is_committed

    def token_of(self, address: AttemptAddress) -> int:
        """The newest lease's token of the attempt; 0 while it was never taken."""
        attempt = self._find(address)
        return attempt.token if attempt is not None else 0

    def conclude(self, address: AttemptAddress, finished: Finished, *, token_before: int, logs: Path) -> None:
        """Book what the process did not book itself.

        Args:
            address: The attempt that a process was launched for.
            finished: How that process ended.
            token_before: ``token_of`` the attempt before the launch.
            logs: The folder that holds the process's ``executor.out`` and ``executor.err``.
        """
        if finished.returncode == REFUSED_RETURNCODE:
            return
        attempt = self._find(address)
        if attempt is None or attempt.token == token_before:
            if not finished.was_cancelled:
                self._conclude_unclaimed(address, finished, logs)
            return
        if attempt.is_finished or not attempt.owner:
            return
        if self._is_owner_dead(attempt.owner, attempt.heartbeat_at):
            # Of an attempt whose commit is on the branch only the verdict is missing, and it is another one.
            if finished.timed_out and not self._is_committed(attempt):
                self._end_late(attempt, _too_late(finished, attempt, logs))
            elif finished.returncode in _FAULTS:
                self._settle(lease_of(attempt), _fault(finished, logs))
            else:
                self.bury(attempt, _death(finished, logs))

    def give_back(self, address: AttemptAddress, failure: FailureReport) -> None:
        """Book a fault that came before any process took the attempt: it is made again later, or failed."""
        if (lease := self._claim(address)) is not None:
            self._settle(lease, failure)

    def _conclude_unclaimed(self, address: AttemptAddress, finished: Finished, logs: Path) -> None:
        if finished.timed_out:
            self._fail(address, _too_late(finished, None, logs))
        elif finished.returncode in _FAULTS:
            self.give_back(address, _fault(finished, logs))
        elif finished.returncode is None or finished.returncode < 0:
            # Killed from outside before its first step, or by its own interpreter: which of the two it was shows
            # in how often it happens.
            if self._claim(address) is not None and (attempt := self._find(address)) is not None:
                self.bury(attempt, _death(finished, logs))
        else:
            self._fail(address, _import_crash(finished, logs))

    def _end_late(self, attempt: Attempt, failure: FailureReport) -> None:
        # In one step: an attempt that was given back in between would be made, and wait for its end, once more.
        with suppress(LeaseLostError):
            self._store.finish_attempt(lease_of(attempt), _failed(failure), now=self._clock.now())

    def _settle(self, lease: Lease, failure: FailureReport) -> None:
        now = self._clock.now()
        phase = self._store.phase(lease.address.run_id, lease.address.phase_id)
        outcome = settle(_failed(failure), phase, self._limits, now=now)
        with suppress(LeaseLostError):
            self._store.finish_attempt(lease, outcome, now=now)

    def bury(self, attempt: Attempt, death: FailureReport) -> None:
        """Give back an attempt whose process is dead, or fail it as ``crashed`` after too many deaths in a row."""
        address = attempt.address
        self._store.release_attempt(address, token=attempt.token, failure=death, now=self._clock.now())
        phase = self._store.phase(address.run_id, address.phase_id)
        # Only the verdict is missing of an attempt whose commit is on the branch: making it again is short.
        patience = 2 if self._is_committed(attempt) else 1
        if phase.state is PhaseState.QUEUED and phase.crashes >= self._limits.max_crashes * patience:
            self._fail(address, death)

    def _find(self, address: AttemptAddress) -> Attempt | None:
        attempts = self._store.attempts(address.run_id, address.phase_id)
        return next((attempt for attempt in attempts if attempt.address == address), None)

    def _fail(self, address: AttemptAddress, failure: FailureReport) -> None:
        if (lease := self._claim(address)) is not None:
            with suppress(LeaseLostError):
                self._store.finish_attempt(lease, _failed(failure), now=self._clock.now())

    def _claim(self, address: AttemptAddress) -> Lease | None:
        """The attempt, unless somebody else took it meanwhile, whose word counts then."""
        try:
            return self._store.claim_attempt(
                address, owner=self._owner, now=self._clock.now(), is_owner_dead=self._is_owner_dead
            )
        except NotClaimableError:
            return None


def lease_of(attempt: Attempt) -> Lease:
    """The lease under which the attempt's process, dead by now, held it."""
    return Lease(
        address=attempt.address, token=attempt.token, owner=attempt.owner, base_commit=attempt.base_commit
    )


def _failed(failure: FailureReport) -> AttemptOutcome:
    return AttemptOutcome(
        final_state=PhaseState.FAILED, failure=failure, duration_seconds=failure.duration_seconds
    )


def _import_crash(finished: Finished, logs: Path) -> FailureReport:
    return FailureReport(
        kind=FailureKind.IMPORT_CRASH,
        message=_last_line(logs / "executor.err")
        or f"The executor ended with exit code {finished.returncode} before it began",
        returncode=finished.returncode,
        duration_seconds=finished.duration_seconds,
        log_paths=_log_paths(logs),
        evidence=read_tail(logs / "executor.err"),
        hint="Run `python -m autopack.autonomous_executor --check` and mend what it shows.",
    )


def _fault(finished: Finished, logs: Path) -> FailureReport:
    said = _last_line(logs / "executor.err", begin=ERROR_MARK).removeprefix(ERROR_MARK)
    return FailureReport(
        kind=FailureKind.INFRASTRUCTURE,
        message=said or "The attempt's process could not book its verdict",
        retryable=finished.returncode == TRY_AGAIN_RETURNCODE,
        returncode=finished.returncode,
        duration_seconds=finished.duration_seconds,
        log_paths=_log_paths(logs),
        evidence=read_tail(logs / "executor.err"),
    )


def _too_late(finished: Finished, attempt: Attempt | None, logs: Path) -> FailureReport:
    """The attempt's own time limit; what it was at shows in the logs that were begun last."""
    state = f" in {attempt.state}" if attempt is not None else " before it began"
    step = newest_step(logs)
    said = _newest_output(step) if step else logs / "executor.err"
    # What hangs says something else each time; the step at which it hangs is the cause as far as it is known.
    where = f", at {step.relative_to(logs).as_posix()}" if step else ""
    return FailureReport(
        kind=FailureKind.TIMEOUT,
        message=f"The attempt was ended{state} after {finished.duration_seconds:.0f} s, its time limit{where}",
        duration_seconds=finished.duration_seconds,
        log_paths=(*_log_paths(logs), *((str(said),) if said and said.parent != logs else ())),
        evidence=read_tail(said) if said else "",
        hint="Look at what hung, or give attempts more time with --phase-timeout-seconds.",
    )


def newest_step(logs: Path) -> Path | None:
    """The folder of the step of an attempt that wrote or began a file last; None before the first step."""
    files = [path for path in logs.rglob("*") if path.is_file() and path.parent != logs]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    return newest.parent if newest is not None else None


def _newest_output(folder: Path) -> Path | None:
    said = [
        path
        for path in folder.glob("*")
        if _OUTPUT.search(path.name) and path.is_file() and path.stat().st_size
    ]
    return max(said, key=lambda path: path.stat().st_mtime_ns, default=None)


def _death(finished: Finished, logs: Path) -> FailureReport:
    how = "was stopped" if finished.was_cancelled else f"died with exit code {finished.returncode}"
    if finished.timed_out:
        how = "was ended at its time limit"
    return FailureReport(
        kind=FailureKind.INFRASTRUCTURE if finished.was_cancelled else FailureKind.CRASHED,
        message=f"The attempt's process {how} without a verdict",
        retryable=finished.was_cancelled,
        returncode=finished.returncode,
        duration_seconds=finished.duration_seconds,
        log_paths=_log_paths(logs),
        evidence=read_tail(logs / "executor.err"),
    )


def _log_paths(logs: Path) -> tuple[str, ...]:
    return (str(logs / "executor.out"), str(logs / "executor.err"))


def read_tail(path: Path, *, size_bytes: int = 4000) -> str:
    """The end of a text file; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _last_line(path: Path, *, begin: str = "") -> str:
    lines = [line.strip() for line in read_tail(path).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith(begin)), "")
