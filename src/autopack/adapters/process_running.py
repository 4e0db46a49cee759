"""Programs under way: below a guard, in a sandbox's room, or for systems other than Linux in a group of their own."""

import logging
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from autopack.errors import ProcessError, ProcessLostError, RoomError
from autopack.ports import Command, RoomLimits

logger = logging.getLogger(__name__)

GUARD_EXIT_SECONDS = 15
"""The guard gives up on processes that cannot be killed after ten seconds."""
GUARD = Path(__file__).with_name("process_guard.py")
BASE_PYTHON = str(getattr(sys, "_base_executable", None) or sys.executable)
"""The interpreter below a virtual environment: all that the guard needs of it is beside it."""
ENTERED = "AUTOPACK_ENTRANCE"
"""The variable that tells a program which furnishes its own room where to say that it is done."""
_ROOT = re.compile(rb'"child-pid": *(\d+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a program reads from and writes to, open."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]


class Running(Protocol):
    """A program under way."""

    @property
    def root(self) -> int:
        """The process above the program and all that it starts, or 0."""
        ...

    def wait(self, seconds: float) -> bool:
        """Whether it ended, within the time."""
        ...

    def stop(self) -> None:
        """Kill it and all that it started; nothing happens when it has ended."""
        ...

    def result(self, *, was_cancelled: bool = False) -> tuple[int, bool]:
        """How it ended, and whether by itself; raises ProcessError when it never began, unless we did not let it."""
        ...


class Guarded:
    """A program below ``process_guard.py``; hanging up on the guard makes it kill."""

    def __init__(self, command: Command, files: Files) -> None:
        self._command = command
        self._report = b""
        listen, self._line = os.pipe()
        self._reader, report = os.pipe()
        try:
            # A session of its own: who kills our process group is not to kill the guard before its work is done.
            self._guard = subprocess.Popen(
                self._argv(listen, report),
                cwd=command.cwd,
                env=command.env,
                stdin=files.stdin,
                stdout=files.stdout,
                stderr=files.stderr,
                pass_fds=(listen, report, *self._more_files()),
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            os.close(self._reader)
            self._hang_up()
            raise ProcessError(f"cannot start {command.argv[0]} in {command.cwd}: {exc}") from exc
        finally:
            os.close(listen)
            os.close(report)

    @property
    def root(self) -> int:
        """See ``Running.root``."""
        return self._guard.pid

    def _argv(self, listen: int, report: int) -> list[str]:
        return [*_guard(sys.executable, self._command, os.getpid(), listen, report), *self._command.argv]

    def _more_files(self) -> tuple[int, ...]:
        return ()

    def wait(self, seconds: float) -> bool:
        """See ``Running.wait``."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while poll.poll(seconds * 1000):
            text = os.read(self._reader, 4096)
            if not text:
                return True
            self._report += text
        return False

    def stop(self) -> None:
        """See ``Running.stop``."""
        self._hang_up()
        try:
            if not self.wait(GUARD_EXIT_SECONDS):
                self._guard.kill()
            self._guard.wait()
        finally:
            os.close(self._reader)

    def _hang_up(self) -> None:
        os.close(self._line)

    def result(self, *, was_cancelled: bool = False) -> tuple[int, bool]:  # noqa: ARG002 -- its room is entered at once
        """See ``Running.result``."""
        lines = dict(line.split(" ", 1) for line in self._report.decode("utf-8", "replace").splitlines())
        name = _program(self._command)
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
        if self._command.entrance_words and "entered" not in lines and "ended" in lines:
            raise _roomless(self._command, lines.get("roomless", ""))
        if lines["left"] != "0":
            logger.warning("process.survived", extra={"program": name, "survivors": int(lines["left"])})
        ended_by_itself = "ended" in lines
        return int(
            lines["ended"] if ended_by_itself else lines.get("killed", -signal.SIGKILL)
        ), ended_by_itself


class Roomed(Guarded):
    """A program in a sandbox's room, its guard inside; the room's first process takes everything with it.

    A sandbox's own return code cannot tell a signal from a code; the guard can.
    """

    def __init__(self, command: Command, files: Files) -> None:
        self._told_root, self._tell_root = os.pipe()
        self._root = 0
        self._was_stopped = False
        try:
            super().__init__(command, files)
        except ProcessError:
            os.close(self._told_root)
            raise
        finally:
            os.close(self._tell_root)

    @property
    def root(self) -> int:
        """See ``Running.root``."""
        if not self._root and _is_readable(self._told_root):
            found = _ROOT.search(os.read(self._told_root, 4096))
            self._root = int(found[1]) if found else 0
        return self._root

    def _argv(self, listen: int, report: int) -> list[str]:
        words, argv = self._command.wrapper_words, self._command.argv
        # Its last word ends the sandbox's own options.
        wrapper = [*argv[: words - 1], "--info-fd", str(self._tell_root), argv[words - 1]]
        guard = _guard(BASE_PYTHON, self._command, 0, listen, report)
        return [*wrapper, *guard, *argv[words:]]

    def _more_files(self) -> tuple[int, ...]:
        return (self._tell_root,)

    def stop(self) -> None:
        """See ``Running.stop``."""
        # Told before we hang up: the guard ends at once then, which would look as if it had been killed from inside.
        self._was_stopped = not self.wait(0)
        self._hang_up()
        with _opened_process(self.root) as root:
            try:
                if b"started" not in self._report:
                    self._kill_what_sets_up()
                self._guard.kill()
                self._guard.wait()
                if not self.wait(GUARD_EXIT_SECONDS) or not _ends(root, GUARD_EXIT_SECONDS):
                    logger.warning(
                        "process.survived", extra={"program": self._command.argv[0], "survivors": 1}
                    )
            finally:
                os.close(self._reader)
                os.close(self._told_root)

    def _kill_what_sets_up(self) -> None:
        """Kill the sandbox's two halves together: before a room stands, the other waits for a dead one for good."""
        # It can start nothing more while it is stopped.
        self._guard.send_signal(signal.SIGSTOP)
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._guard.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            _kill_tree(self._guard.pid)

    def result(self, *, was_cancelled: bool = False) -> tuple[int, bool]:
        """See ``Running.result``."""
        if not was_cancelled and b"started" not in self._report and b"failed" not in self._report:
            raise _roomless(self._command)
        ended_by_itself = b"ended" in self._report
        if not ended_by_itself and not self._was_stopped:
            # A program of the room killed the guard, and so itself.
            return -signal.SIGKILL, True
        self._report += b"left 0\n"
        return super().result(was_cancelled=was_cancelled)


class Unguarded:
    """A program in a process group of its own; what it starts is looked for while it lives."""

    def __init__(self, command: Command, files: Files) -> None:
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

    @property
    def root(self) -> int:
        """See ``Running.root``."""
        return int(self._program.pid)

    def wait(self, seconds: float) -> bool:
        """See ``Running.wait``."""
        with suppress(subprocess.TimeoutExpired):
            self._program.wait(seconds)
        return self._program.returncode is not None

    def stop(self) -> None:
        """See ``Running.stop``."""
        self._ended_by_itself = self._program.poll() is not None
        if not self._ended_by_itself:
            _kill_tree(self._program.pid)
        self._program.wait()

    def result(self, *, was_cancelled: bool = False) -> tuple[int, bool]:  # noqa: ARG002 -- it has no room
        """See ``Running.result``."""
        return int(self._program.returncode), self._ended_by_itself


def _guard(python: str, command: Command, parent: int, listen: int, report: int) -> list[str]:
    """The guard's words, up to the program's own."""
    foreign = ",".join(name for name in ("LC_CTYPE", "PWD") if name not in command.env)
    numbers = map(str, (parent, listen, report))
    entrance = ENTERED if command.entrance_words else ""
    return [python, "-I", "-S", str(GUARD), *numbers, foreign, _resource_limits(command.limits), entrance]


def _program(command: Command) -> str:
    """The program that is meant, past the words of the room."""
    return command.argv[command.wrapper_words + command.entrance_words]


def _roomless(command: Command, why: str = "") -> RoomError:
    """The error of a program that never began for want of a room; that the sandbox works here is forgotten."""
    if command.room_note is not None:
        command.room_note.unlink(missing_ok=True)
    return RoomError(
        f"the sandbox could not make a room for {_program(command)}: {why or _last_line(command.stderr_path)}",
        hint='`autopack doctor` tries the sandbox; sandbox = "off" does without one.',
    )


def _resource_limits(limits: RoomLimits) -> str:
    if limits == RoomLimits():
        return ""
    import resource  # noqa: PLC0415 -- of Linux, where the guard is

    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    return ",".join(f"{number}:{value}" for number, value in wanted.items() if value is not None)


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _opened_process(pid: int) -> Iterator[int | None]:
    """A descriptor of the process, or None when it is gone."""
    try:
        descriptor = os.pidfd_open(pid) if pid else None
    except ProcessLookupError:
        descriptor = None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _ends(process: int | None, seconds: float) -> bool:
    return process is None or bool(select.select([process], [], [], seconds)[0])


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it says nothing"


def _kill_tree(pid: int) -> None:
    import psutil  # noqa: PLC0415 -- seldom

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
