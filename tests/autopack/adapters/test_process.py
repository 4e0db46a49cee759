import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from ended import has_ended

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.errors import ProcessError, ProcessLostError
from autopack.ports import Command, RoomLimits

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the guard needs Linux")
PATH = {"PATH": os.environ["PATH"]}
ESCAPE = """
(setsid sh -c 'echo $$ >> "$0"; (setsid sleep 300 & echo $! >> "$0"); exec sleep 300' "$1" &)
while [ "$(wc -l < "$1")" -lt 2 ]; do :; done
"""


@pytest.fixture
def processes():
    return GuardedProcesses(SystemClock())


def command(folder: Path, *argv: str, **changes) -> Command:
    given = {
        "argv": argv,
        "cwd": folder,
        "env": PATH,
        "stdout_path": folder / "logs" / "out.txt",
        "stderr_path": folder / "logs" / "err.txt",
        "timeout_seconds": 20.0,
    }
    return Command(**{**given, **changes})


def out(folder: Path) -> str:
    return (folder / "logs" / "out.txt").read_text()


def escapees(folder: Path) -> Path:
    pids = folder / "pids"
    pids.touch()
    return pids


@contextmanager
def closing_fd(number: int):
    yield number
    os.close(number)


@pytest.mark.parametrize(
    ("script", "returncode"),
    [
        pytest.param("exit 0", 0, id="success"),
        pytest.param("exit 3", 3, id="a code"),
        pytest.param("exit 137", 137, id="a code that looks like a signal"),
        pytest.param("kill -9 $$", -9, id="killed"),
        pytest.param("kill -TERM $$", -15, id="terminated"),
    ],
)
def test_the_return_code_is_the_programs_own(processes, tmp_path, script, returncode):
    finished = processes.run(command(tmp_path, "sh", "-c", script))

    assert finished.returncode == returncode
    assert not finished.timed_out
    assert not finished.was_cancelled
    assert not finished.output_overflow
    assert 0 < finished.duration_seconds < 20


def test_output_goes_to_the_end_of_the_files(processes, tmp_path):
    for word in ("one", "two"):
        processes.run(command(tmp_path, "sh", "-c", f"echo {word}; echo {word}! >&2"))

    assert out(tmp_path) == "one\ntwo\n"
    assert (tmp_path / "logs" / "err.txt").read_text() == "one!\ntwo!\n"


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"ONLY": "this"}, id="no locale: the guard's interpreter would add one"),
        pytest.param({"LC_CTYPE": "C.UTF-8", "AUTOPACK_ATTEMPT": "run/phase/1"}, id="a locale of its own"),
    ],
)
def test_the_environment_is_exactly_the_given_one(processes, tmp_path, env):
    processes.run(command(tmp_path, "/usr/bin/env", env=env))

    assert dict(line.split("=", 1) for line in out(tmp_path).splitlines()) == env


def test_input_is_given_or_empty(processes, tmp_path):
    processes.run(command(tmp_path, "cat", stdin_text="für dich\n" * 50_000))
    processes.run(command(tmp_path, "cat"))

    assert out(tmp_path) == "für dich\n" * 50_000


def test_input_that_nobody_reads_blocks_nothing(processes, tmp_path):
    assert processes.run(command(tmp_path, "true", stdin_text="x" * 1_000_000)).returncode == 0


def test_a_broken_pipe_ends_the_program_as_it_does_in_a_shell(processes, tmp_path):
    finished = processes.run(command(tmp_path, "sh", "-c", "yes | head -n 1"))

    assert finished.returncode == 0
    assert (tmp_path / "logs" / "err.txt").read_text() == ""


@pytest.mark.parametrize(
    ("argv", "changes", "named"),
    [
        pytest.param(("no-such-program",), {}, "no-such-program: No such file", id="missing program"),
        pytest.param(("/etc/passwd",), {}, "/etc/passwd: Permission denied", id="not a program"),
        pytest.param(("true",), {"cwd": Path("/no/such/folder")}, "/no/such/folder", id="missing folder"),
        pytest.param(("true",), {"stdout_path": Path("/dev/null/x")}, "logs of true", id="impossible log"),
        pytest.param(("true", "a\0b"), {}, "cannot start true", id="impossible argument"),
    ],
)
def test_what_cannot_be_started_is_named(processes, tmp_path, argv, changes, named):
    with pytest.raises(ProcessError, match=named):
        processes.run(command(tmp_path, *argv, **changes))


def test_the_time_limit_kills(processes, tmp_path):
    finished = processes.run(command(tmp_path, "sleep", "300", timeout_seconds=0.1))

    assert (finished.returncode, finished.timed_out, finished.was_cancelled) == (None, True, False)
    assert finished.duration_seconds < 10


def test_a_cancellation_kills(processes, tmp_path):
    asked = []

    def is_cancelled() -> bool:
        asked.append(True)
        return len(asked) == 2

    finished = processes.run(command(tmp_path, "sleep", "300"), is_cancelled=is_cancelled)

    assert (finished.returncode, finished.timed_out, finished.was_cancelled) == (None, False, True)


def test_too_much_output_kills(tmp_path):
    processes = GuardedProcesses(SystemClock(), max_output_bytes=100_000)
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "out.txt").write_text("x" * 100_000)

    assert processes.run(command(tmp_path, "echo", "what was there before does not count")).returncode == 0
    finished = processes.run(command(tmp_path, "yes"))

    assert (finished.returncode, finished.output_overflow, finished.timed_out) == (None, True, False)


def test_a_fault_of_the_one_who_asks_kills_too(processes, tmp_path):
    pids = tmp_path / "pid"

    def is_cancelled() -> bool:
        if not (pids.exists() and pids.read_text()):
            return False
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run(
            command(tmp_path, "sh", "-c", 'echo $$ > "$0"; exec sleep 300', str(pids)),
            is_cancelled=is_cancelled,
        )

    assert not psutil.pid_exists(int(pids.read_text()))


class Late(SystemClock):
    """Time is up once so many processes have noted themselves."""

    def __init__(self, pids: Path, count: int) -> None:
        self._pids, self._count = pids, count

    def monotonic(self) -> float:
        noted = self._pids.read_text().split() if self._pids.exists() else []
        return super().monotonic() + (1000 if len(noted) >= self._count else 0)


@linux_only
@pytest.mark.parametrize(
    ("ending", "is_late"),
    [
        pytest.param("exit 5", False, id="the program ended"),
        pytest.param("sleep 300", True, id="its time was up"),
        pytest.param("kill -9 $$", False, id="the program was killed"),
    ],
)
def test_detached_processes_are_dead_on_return(tmp_path, ending, is_late):
    pids = escapees(tmp_path)
    processes = GuardedProcesses(Late(pids, 2) if is_late else SystemClock())

    finished = processes.run(command(tmp_path, "sh", "-c", ESCAPE + ending, "sh", str(pids)))

    assert finished.timed_out is is_late

    assert [pid for pid in map(int, pids.read_text().split()) if psutil.pid_exists(pid)] == []
    assert len(pids.read_text().split()) == 2


@linux_only
def test_a_program_that_ended_while_we_decided_to_kill_it_was_not_killed(processes, tmp_path):
    done = tmp_path / "done"

    def is_cancelled() -> bool:
        if not (done.exists() and done.read_text()):
            return False
        (tmp_path / "go").touch()
        with suppress(ProcessLookupError), closing_fd(os.pidfd_open(int(done.read_text()))) as ended:
            select.select([ended], [], [], 10)
        return True

    script = 'echo $$ > "$0"; while [ ! -f go ]; do :; done; exit 4'
    finished = processes.run(command(tmp_path, "sh", "-c", script, str(done)), is_cancelled=is_cancelled)

    assert (finished.returncode, finished.was_cancelled) == (4, False)


@linux_only
def test_processes_that_go_on_forking_are_dead_on_return(processes, tmp_path):
    # Long enough to be seen alive by a guard that fails; and it ends by itself, whatever becomes of this test.
    relay = "import os\nfor _ in range(5000):\n    if os.fork():\n        os._exit(0)\n    os.setsid()\n"
    script = f'{sys.executable} -S -c "$0" & {sys.executable} -S -c "$0" & exit 0'
    marked = {**PATH, "RELAY_OF": str(tmp_path)}

    assert processes.run(command(tmp_path, "sh", "-c", script, relay, env=marked)).returncode == 0

    assert [process.pid for process in psutil.process_iter() if _is_marked(process, marked["RELAY_OF"])] == []


def _is_marked(process: psutil.Process, value: str) -> bool:
    try:
        return process.environ().get("RELAY_OF") == value
    except psutil.Error:
        return False


@linux_only
def test_a_killed_guard_proves_nothing_and_leaves_nothing(processes, tmp_path):
    pids = tmp_path / "pids"
    script = 'sleep 300 & echo $! > "$0"; kill -9 $PPID; sleep 300'

    with pytest.raises(ProcessLostError, match="guard of sh ended with -9"):
        processes.run(command(tmp_path, "sh", "-c", script, str(pids)))

    assert has_ended(int(pids.read_text()))


HOLDER = """
import sys
from pathlib import Path
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.ports import Command, RoomLimits

folder, script = Path(sys.argv[1]), sys.argv[2]
GuardedProcesses(SystemClock()).run(Command(
    argv=("sh", "-c", script, "sh", str(folder / "pids")), cwd=folder, env={"PATH": sys.argv[3]},
    stdout_path=folder / "out.txt", stderr_path=folder / "err.txt", timeout_seconds=60,
))
"""


@linux_only
@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(lambda pid: os.kill(pid, signal.SIGKILL), id="kill -9"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), id="terminate"),
        pytest.param(lambda pid: os.killpg(pid, signal.SIGKILL), id="kill -9 of its process group"),
    ],
)
def test_detached_processes_die_with_whoever_started_them(tmp_path, kill):
    pids = escapees(tmp_path)
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    told = os.open(ready, os.O_RDONLY | os.O_NONBLOCK)
    script = ESCAPE + f"echo ready > {ready}; sleep 300"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path, script, PATH["PATH"]], start_new_session=True
    )
    try:
        waiting = select.poll()
        waiting.register(told, select.POLLIN)
        assert waiting.poll(20_000)
    finally:
        os.close(told)
        kill(holder.pid)
        holder.wait()

    noted = [int(line) for line in pids.read_text().split()]
    assert len(noted) == 2
    assert all(has_ended(pid) for pid in noted)


@linux_only
def test_detached_processes_die_when_the_program_and_its_starter_end_at_once(tmp_path):
    pids = escapees(tmp_path)
    script = ESCAPE + "kill -9 $(cut -d ' ' -f 4 /proc/$PPID/stat); exit 0"

    holder = subprocess.run([sys.executable, "-c", HOLDER, tmp_path, script, PATH["PATH"]], check=False)

    assert holder.returncode == -signal.SIGKILL
    noted = [int(line) for line in pids.read_text().split()]
    assert len(noted) == 2
    assert all(has_ended(pid) for pid in noted)


def test_without_a_guard_children_die_at_the_time_limit(tmp_path):
    pid = tmp_path / "pid"
    processes = GuardedProcesses(Late(pid, 1), has_guard=False)
    script = 'sleep 300 & echo $! > "$0"; wait'

    finished = processes.run(command(tmp_path, "sh", "-c", script, str(pid)))

    assert finished.timed_out
    assert has_ended(int(pid.read_text()))


def test_without_a_guard_programs_end_and_fail_alike(tmp_path):
    processes = GuardedProcesses(SystemClock(), has_guard=False)

    assert processes.run(command(tmp_path, "sh", "-c", "kill -9 $$")).returncode == -9
    with pytest.raises(ProcessError, match="cannot start no-such-program"):
        processes.run(command(tmp_path, "no-such-program"))


def test_output_that_is_too_long_keeps_its_beginning_and_its_end(tmp_path):
    processes = GuardedProcesses(SystemClock(), max_output_bytes=100_000)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "out.txt").write_text("before\n")

    finished = processes.run(command(tmp_path, "sh", "-c", "echo first; yes; echo never"))

    assert finished.output_overflow
    assert out(tmp_path).startswith("before\nfirst\ny\n")
    assert "bytes left out ...]\n" in out(tmp_path)
    # Wherever the program was when it was killed.
    assert out(tmp_path).endswith(("y\n", "\ny"))
    assert (tmp_path / "logs" / "out.txt").stat().st_size < 101_000


def test_ten_gigabytes_of_output_end_soon_and_leave_little(processes, tmp_path):
    finished = processes.run(command(tmp_path, "head", "-c", "10G", "/dev/zero", timeout_seconds=120.0))

    assert finished.output_overflow
    assert finished.duration_seconds < 60
    assert (tmp_path / "logs" / "out.txt").stat().st_size < 9 * 1024 * 1024


# Whatever becomes of this test, it ends by itself: three hundred processes, for half a minute.
BOMB = "import os, time\nfor _ in range(300):\n    if not os.fork():\n        time.sleep(30)\n        os._exit(0)\ntime.sleep(30)"
THREADS = "import threading, time\nfor _ in range(300):\n    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\ntime.sleep(30)"
HOARD = "import time\nheld = b'x' * 200_000_000\ntime.sleep(30)"


@linux_only
@pytest.mark.parametrize(
    ("code", "limits", "overuse"),
    [
        pytest.param(BOMB, {"processes": 50}, "more than 50 processes and threads", id="processes"),
        pytest.param(THREADS, {"processes": 50}, "more than 50 processes and threads", id="threads"),
        pytest.param(HOARD, {"memory_bytes": 100_000_000}, "(limit 95 MiB)", id="memory"),
    ],
)
def test_who_uses_too_much_is_killed_with_all_that_it_started(processes, tmp_path, code, limits, overuse):
    marked = {**PATH, "RELAY_OF": str(tmp_path)}
    argv = (sys.executable, "-S", "-c", code)
    finished = processes.run(command(tmp_path, *argv, env=marked, limits=RoomLimits(**limits)))

    assert finished.returncode is None
    assert overuse in finished.overuse
    assert (finished.timed_out, finished.was_cancelled, finished.output_overflow) == (False, False, False)
    assert [it.pid for it in psutil.process_iter() if _is_marked(it, str(tmp_path))] == []


@linux_only
@pytest.mark.parametrize(
    ("code", "limits", "error"),
    [
        pytest.param(
            "big = open('big', 'wb', 0)\nbig.write(b'x' * 1000)\nbig.write(b'x')",
            {"file_bytes": 1000},
            "File too large",
            id="file",
        ),
        pytest.param(
            "files = [open('/dev/null') for _ in range(60)]",
            {"open_files": 32},
            "Too many open files",
            id="files",
        ),
    ],
)
def test_the_kernels_limits_hold(processes, tmp_path, code, limits, error):
    kept = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    processes.run(command(tmp_path, sys.executable, "-S", "-c", kept + code, limits=RoomLimits(**limits)))

    assert error in (tmp_path / "logs" / "err.txt").read_text()
