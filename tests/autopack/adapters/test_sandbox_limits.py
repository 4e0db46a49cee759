"""How much a program in a room can use, and that nothing of it is left."""

import os
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from rooms import pids_marked

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.errors import RoomError
from autopack.ports import RoomLimits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")


# Whatever becomes of this test, it ends by itself.
BOMB = "import os, time\nfor _ in range(300):\n    if not os.fork():\n        time.sleep(30)\n        os._exit(0)\ntime.sleep(30)"


THREADS = "import threading, time\nfor _ in range(300):\n    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\ntime.sleep(30)"
# Nothing of it is mapped, and so no process holds it.
FILES = """
import os, time
file = open(os.path.join(os.environ["TMPDIR"], "file"), "wb", 0)
for _ in range(200):
    file.write(bytes(1_000_000))
time.sleep(30)
"""
# It ends when it is told to, and so not before it was looked at.
SHARED = """
import mmap, os
held = mmap.mmap(-1, 60_000_000)
def read_all():
    for place in range(0, len(held), 4096):
        held[place]
for place in range(0, len(held), 4096):
    held[place] = 1
os.mkfifo("end")
told, tell = os.pipe()
waits, ends = os.pipe()
for _ in range(4):
    if not os.fork():
        os.close(ends)
        read_all()
        os.write(tell, b"x")
        os.read(waits, 1)
        os._exit(0)
for _ in range(4):
    os.read(told, 1)
open("held", "w").close()
open("end").read()
"""


class Looks:
    """Counts the looks at a program that holds what it wants, and ends it after one of them."""

    def __init__(self, worktree: Path) -> None:
        self._worktree = worktree
        self.begun = 0

    def begin(self) -> bool:
        """Asked at the beginning of each look whether the program is to be stopped."""
        if (self._worktree / "held").exists():
            self.begun += 1
        if self.begun > 1:
            with suppress(OSError):
                # Nobody may have opened it for reading yet.
                os.close(os.open(self._worktree / "end", os.O_WRONLY | os.O_NONBLOCK))
        return False


class TestLimits:
    def test_threads_count_too(self, den):
        finished = den.python(THREADS, limits=RoomLimits(processes=50))
        assert finished.overuse == "more than 50 processes and threads", (finished, den.err)

    def test_files_that_lie_in_the_rooms_memory_count(self, den):
        if den.sandbox.description.startswith("Landlock"):
            pytest.skip("its folder for temporary files is on the disk")
        assert "(limit 95 MiB)" in den.python(FILES, limits=RoomLimits(memory_bytes=100_000_000)).overuse

    def test_what_processes_share_counts_once(self, den):
        looks = Looks(den.worktree)
        limits = RoomLimits(memory_bytes=150_000_000)
        finished = den.python(SHARED, limits=limits, is_cancelled=looks.begin)
        assert (finished.returncode, finished.overuse) == (0, ""), den.err
        assert looks.begun > 1

    def test_what_processes_share_counts(self, den):
        assert "(limit 48 MiB)" in den.python(SHARED, limits=RoomLimits(memory_bytes=50_000_000)).overuse

    @pytest.mark.parametrize("folder", ["/", "/run", "/dev", "/etc"])
    def test_nothing_is_written_where_no_size_is_set(self, any_den, folder):
        path = Path(folder) / f"autopack-{uuid.uuid4().hex}"
        below = path.with_name(f"{path.name}-folder")
        if not any_den.sandbox.is_confining and not os.access(folder, os.W_OK):
            pytest.skip(f"nobody but root can write to {folder} anyway")
        try:
            any_den.run("sh", "-c", f"echo x > {path} && echo wrote; mkdir {below} && echo made")
            on_the_host = [path.exists(), below.exists()]
        finally:
            path.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                below.rmdir()
        is_open = not any_den.sandbox.is_confining
        assert any_den.out == ("wrote\nmade\n" if is_open else ""), any_den.err
        assert on_the_host == [is_open, is_open]

    def test_devices_are_written_to_all_the_same(self, den):
        assert den.run("sh", "-c", "echo x > /dev/null").returncode == 0
        assert den.run("sh", "-c", "head -c 3 /dev/zero > /dev/full").returncode == 1
        assert "No space left on device" in den.err

    @pytest.mark.parametrize("name", ["/tmp", "/var/tmp", "/dev/shm", "$HOME"])
    def test_each_folder_in_memory_has_a_size(self, den, name):
        if den.sandbox.description.startswith("Landlock"):
            pytest.skip("it has none")
        den.run("sh", "-c", f'df -k --output=size "{name}" | tail -1')
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert 0 < int(den.out) * 1024 <= memory // 4 + 4096

    def test_a_fork_bomb_is_killed(self, den):
        finished = den.python(
            BOMB, env={**den.env, "MARKED": str(den.folder)}, limits=RoomLimits(processes=50)
        )
        assert finished.overuse == "more than 50 processes and threads"
        assert finished.duration_seconds < 20
        assert pids_marked(den.folder) == []

    def test_nothing_that_was_detached_is_left(self, den):
        script = "(setsid sleep 300 &) ; setsid sh -c 'sleep 300 & sleep 300' & sleep 0.1; exit 3"
        finished = den.run("sh", "-c", script, env={**den.env, "MARKED": str(den.folder)})
        assert finished.returncode == 3
        assert pids_marked(den.folder) == []

    def test_the_time_limit_ends_a_room(self, den):
        env = {**den.env, "MARKED": str(den.folder)}
        finished = den.run("sh", "-c", "setsid sleep 300 & sleep 300", env=env, timeout_seconds=3.0)
        assert (finished.timed_out, finished.returncode) == (True, None)
        assert pids_marked(den.folder) == []

    @pytest.mark.parametrize("milliseconds", range(0, 20, 2))
    def test_a_room_that_does_not_stand_in_time_is_none_and_leaves_nothing(self, den, milliseconds):
        env = {**den.env, "MARKED": str(den.folder)}
        try:
            finished = den.run("sleep", "300", env=env, timeout_seconds=milliseconds / 1000)
        except RoomError:
            pass  # Not the program was late: it never began.
        else:
            assert (finished.timed_out, finished.returncode) == (True, None)
        assert pids_marked(den.folder) == []

    def test_a_program_that_is_cancelled_before_its_room_stands_was_cancelled(self, den):
        finished = den.run("sleep", "300", timeout_seconds=0.0, is_cancelled=lambda: True)
        assert (finished.was_cancelled, finished.returncode) == (True, None)

    def test_a_room_whose_guard_is_killed_from_inside_was_killed(self, den):
        if den.sandbox.description.startswith("Landlock"):
            pytest.skip("the guard is outside, where no signal reaches it")
        assert den.run("sh", "-c", "kill -9 2; sleep 300").returncode == -9

    def test_output_is_cut_in_a_room_too(self, den):
        den.processes = GuardedProcesses(SystemClock(), max_output_bytes=100_000)
        assert den.run("yes").output_overflow
        assert len(den.out) < 101_000
