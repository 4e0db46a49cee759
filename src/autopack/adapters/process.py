"""Programs that leave nothing behind, however they or we end."""

import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from autopack.adapters.process_conversation import RunningConversation, open_pipes
from autopack.errors import ProcessError, ProcessLostError
from autopack.ports import Clock, Command, Conversation, Finished

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
GUARD_EXIT_SECONDS = 15
"""The guard gives up on processes that cannot be killed after ten seconds."""
GUARD = Path(__file__).with_name("process_guard.py")
MAX_OUTPUT_BYTES = 256 * 1024 * 1024


class _Running(Protocol):
    """A program under way."""

    def wait(self, seconds: float) -> bool:
        """Whether it ended, within the time."""
        ...

    def stop(self) -> None:
        """Kill it and all that it started; nothing happens when it has ended."""
        ...

    def result(self) -> tuple[int, bool]:
        """How it ended, and whether by itself; raises ProcessError when it never began."""
        ...


class GuardedProcesses:
    """Implements ``Processes``: every program runs below a guard that outlives us for as long as it takes to clean up.

    Other systems than Linux have neither parent-death signals nor child subreapers: there, what detached itself
    from the program stays alive.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        has_guard: bool = sys.platform == "linux",
    ) -> None:
        """Run programs.

        Args:
            clock: For time limits and durations.
            max_output_bytes: A program that adds more than this to either output file is killed.
            has_guard: Whether to run below the guard; for Linux alone.
        """
        self._clock = clock
        self._max_output_bytes = max_output_bytes
        self._start: Callable[[Command, _Files], _Running] = _Guarded if has_guard else _Unguarded

    def run(self, command: Command, *, is_cancelled: Callable[[], bool] | None = None) -> Finished:
        """See ``Processes.run``."""
        started = self._clock.monotonic()
        with _open_files(command) as files:
            is_too_long = _output_watch(files, self._max_output_bytes)
            running = self._start(command, files)
            reason = ""
            try:
                while not reason and not running.wait(self._patience(command, started)):
                    reason = self._reason_to_stop(command, started, is_cancelled, is_too_long)
            finally:
                running.stop()
            returncode, ended_by_itself = running.result()
        # It may have ended while we made up our mind; then that is what happened.
        reason = "" if ended_by_itself else reason
        return Finished(
            returncode=None if reason else returncode,
            timed_out=reason == "time",
            was_cancelled=reason == "cancelled",
            output_overflow=reason == "output",
            duration_seconds=self._clock.monotonic() - started,
        )

    @contextmanager
    def converse(self, command: Command) -> Iterator[Conversation]:
        """See ``Processes.converse``."""
        started = self._clock.monotonic()
        _check_folder(command)
        with open_pipes(command) as pipes:
            files = _Files(stdin=pipes.program_stdin, stdout=pipes.program_stdout, stderr=pipes.stderr)
            running = self._start(command, files)
            pipes.hand_over()
            conversation = RunningConversation(
                running,
                pipes,
                max_stderr_bytes=self._max_output_bytes,
                seconds=lambda: self._clock.monotonic() - started,
            )
            try:
                yield conversation
            finally:
                conversation.kill()

    def _patience(self, command: Command, started: float) -> float:
        left = started + command.timeout_seconds - self._clock.monotonic()
        return max(0.0, min(POLL_SECONDS, left))

    def _reason_to_stop(
        self,
        command: Command,
        started: float,
        is_cancelled: Callable[[], bool] | None,
        is_too_long: Callable[[], bool],
    ) -> str:
        if is_cancelled is not None and is_cancelled():
            return "cancelled"
        if is_too_long():
            return "output"
        if self._clock.monotonic() - started >= command.timeout_seconds:
            return "time"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]


@contextmanager
def _open_files(command: Command) -> Iterator[_Files]:
    _check_folder(command)
    with ExitStack() as stack:
        try:
            files = _Files(
                stdin=stack.enter_context(_input(command.stdin_text)),
                stdout=stack.enter_context(_append(command.stdout_path)),
                stderr=stack.enter_context(_append(command.stderr_path)),
            )
        except OSError as exc:
            raise ProcessError(f"cannot open the logs of {command.argv[0]}: {exc}") from exc
        yield files


def _check_folder(command: Command) -> None:
    if not command.cwd.is_dir():
        raise ProcessError(
            f"cannot run {command.argv[0]}: there is no folder {command.cwd}",
            hint="Something removed it; the next attempt makes its worktree anew.",
        )


def _input(text: str) -> IO[bytes]:
    if not text:
        return Path(os.devnull).open("rb")
    # A file and not a pipe: a program that never reads cannot block us.
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller's stack closes it)
    file.write(text.encode())
    file.seek(0)
    return file


def _append(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _output_watch(files: _Files, limit_bytes: int) -> Callable[[], bool]:
    limits = [(file, os.fstat(file.fileno()).st_size + limit_bytes) for file in (files.stdout, files.stderr)]
    return lambda: any(os.fstat(file.fileno()).st_size > limit for file, limit in limits)


class _Guarded:
    """A program below ``process_guard.py``; hanging up on the guard makes it kill."""

    def __init__(self, command: Command, files: _Files) -> None:
        self._command = command
        self._report = b""
        listen, self._line = os.pipe()
        self._reader, report = os.pipe()
        keeps_locale = "LC_CTYPE" in command.env
        numbers = (os.getpid(), listen, report, int(not keeps_locale))
        try:
            # A session of its own: who kills our process group is not to kill the guard before its work is done.
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), *map(str, numbers), *command.argv],
                cwd=command.cwd,
                env=command.env,
                stdin=files.stdin,
                stdout=files.stdout,
                stderr=files.stderr,
                pass_fds=(listen, report),
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            os.close(self._reader)
            self._hang_up()
            raise ProcessError(f"cannot start {command.argv[0]} in {command.cwd}: {exc}") from exc
        finally:
            os.close(listen)
            os.close(report)

    def wait(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while poll.poll(seconds * 1000):
            text = os.read(self._reader, 4096)
            if not text:
                return True
            self._report += text
        return False

    def stop(self) -> None:
        self._hang_up()
        try:
            if not self.wait(GUARD_EXIT_SECONDS):
                self._guard.kill()
            self._guard.wait()
        finally:
            os.close(self._reader)

    def _hang_up(self) -> None:
        os.close(self._line)

    def result(self) -> tuple[int, bool]:
        lines = dict(line.split(" ", 1) for line in self._report.decode().splitlines())
        name = self._command.argv[0]
        if "failed" in lines:
            raise ProcessError(
                f"cannot start {name}: {os.strerror(int(lines['failed']))}",
                hint="Check that the program is installed, executable and on the PATH of its environment.",
            )
        if "left" not in lines:
            if "started" in lines:
                _kill_session(int(lines["started"]))
            raise ProcessLostError(
                f"the guard of {name} ended with {self._guard.returncode} before its work was done",
                hint="Something killed it, perhaps for want of memory; the program was killed too.",
            )
        if lines["left"] != "0":
            logger.warning("process.survived", extra={"program": name, "survivors": int(lines["left"])})
        ended_by_itself = "ended" in lines
        return int(
            lines["ended"] if ended_by_itself else lines.get("killed", -signal.SIGKILL)
        ), ended_by_itself


class _Unguarded:
    """A program in a process group of its own; what it starts is looked for while it lives."""

    def __init__(self, command: Command, files: _Files) -> None:
        self._ended_by_itself = False
        try:
            self._program = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=command.env,
                stdin=files.stdin,
                stdout=files.stdout,
                stderr=files.stderr,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            raise ProcessError(f"cannot start {command.argv[0]} in {command.cwd}: {exc}") from exc

    def wait(self, seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._program.wait(seconds)
        return self._program.returncode is not None

    def stop(self) -> None:
        self._ended_by_itself = self._program.poll() is not None
        if not self._ended_by_itself:
            _kill_tree(self._program.pid)
        self._program.wait()

    def result(self) -> tuple[int, bool]:
        return int(self._program.returncode), self._ended_by_itself


def _kill_tree(pid: int) -> None:
    import psutil  # noqa: PLC0415 -- only systems without the guard come here

    with suppress(psutil.NoSuchProcess):
        program = psutil.Process(pid)
        for process in (*program.children(recursive=True), program):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()


def _kill_session(leader: int) -> None:
    import psutil  # noqa: PLC0415 -- only when a guard was killed, and every attempt's process must start fast

    # The leader is dead, but its number stays taken as long as its session has a process.
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)
