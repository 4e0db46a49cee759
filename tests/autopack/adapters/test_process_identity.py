import os
import signal
import subprocess
import sys

import psutil
import pytest
from ended import has_ended

from autopack.adapters.process_identity import is_process_dead, kill_strays, process_identity

LEASE = {"heartbeat_at": 100.0, "lease_seconds": 60.0}
OTHER_HOST = "elsewhere.0a1b2c3d.4026531836:123:456"
SAY_WHO = (
    "from autopack.adapters.process_identity import process_identity as me; print(me(), flush=True); input()"
)


@pytest.fixture
def start():
    """Starts programs that wait for their input to end, and ends them."""
    started = []

    def starter(argv, **env):
        program = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        started.append(program)
        program.first_line = program.stdout.readline().strip()
        return program

    yield starter
    for program in started:
        program.kill()
        program.communicate()


def test_this_process_is_not_dead_however_old_its_heartbeat():
    assert process_identity() == process_identity()
    assert not is_process_dead(process_identity(), now=100_000.0, **LEASE)


def test_another_process_is_dead_as_soon_as_it_was_killed_even_before_its_parent_looks(start):
    program = start([sys.executable, "-c", SAY_WHO])
    assert not is_process_dead(program.first_line, now=100_000.0, **LEASE)

    program.kill()
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)

    assert psutil.Process(program.pid).status() == psutil.STATUS_ZOMBIE
    assert is_process_dead(program.first_line, now=100.0, **LEASE)


@pytest.mark.parametrize(
    "pid", [pytest.param(os.getpid(), id="taken by another"), pytest.param(2**22 + 1, id="free")]
)
def test_a_pid_alone_proves_no_life(pid):
    host, _, start = process_identity().split(":")

    assert is_process_dead(f"{host}:{pid}:{int(start) - 1}", now=100.0, **LEASE)


@pytest.mark.parametrize(
    ("owner", "now", "is_dead"),
    [
        pytest.param(OTHER_HOST, 160.0, False, id="another host, fresh heartbeat"),
        pytest.param(OTHER_HOST, 160.1, True, id="another host, old heartbeat"),
        pytest.param("by hand", 110.0, False, id="unknown form, fresh heartbeat"),
        pytest.param("by hand", 170.0, True, id="unknown form, old heartbeat"),
    ],
)
def test_who_cannot_be_looked_at_lives_by_the_heartbeat(owner, now, is_dead):
    assert is_process_dead(owner, now=now, **LEASE) is is_dead


@pytest.fixture
def dead_owner():
    """The identity of a process that has ended."""
    ask = "from autopack.adapters.process_identity import process_identity as i; print(i())"
    return subprocess.run(
        [sys.executable, "-c", ask], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_what_dead_owners_left_is_killed_and_nothing_else(dead_owner, tmp_path):
    pids = tmp_path / "pids"
    dead, alive = f"{dead_owner} {tmp_path}", f"{process_identity()} {tmp_path}"
    owners = f'"{dead}" "{alive}" "elsewhere.{dead}" "{dead}2" ""'
    script = f'for owner in {owners}; do AUTOPACK_OWNER="$owner" setsid sleep 300 & echo $! >> {pids}; done'
    subprocess.run(["sh", "-c", script], check=True)
    stray, *others = map(int, pids.read_text().split())
    for pid in (stray, *others):
        # Until it is itself, a program shows the environment of the shell that starts it.
        while psutil.Process(pid).cmdline() != ["sleep", "300"]:
            pass
    try:
        assert kill_strays(tmp_path) == 1

        assert has_ended(stray)
        assert all(psutil.pid_exists(other) for other in others)
        assert kill_strays(tmp_path) == 0
    finally:
        for other in others:
            os.kill(other, signal.SIGKILL)


def test_what_a_stray_started_goes_with_it_though_it_lost_the_marker(dead_owner, tmp_path):
    pids = tmp_path / "pids"
    inner = f"env -i PATH=$PATH sh -c 'echo $$ >> {pids}; exec sleep 300'"
    stray = f"{inner} & echo $$ >> {pids}; while :; do sleep 300; done"
    wait = f'while [ "$(cat {pids} | wc -l)" -lt 2 ]; do :; done'
    script = f'touch {pids}; AUTOPACK_OWNER="{dead_owner} {tmp_path}" setsid sh -c "$0" & {wait}'
    subprocess.run(["sh", "-c", script, stray], check=True)
    inner_pid, stray_pid = map(int, pids.read_text().split())

    assert kill_strays(tmp_path) >= 2

    assert has_ended(inner_pid)
    assert has_ended(stray_pid)


def test_we_our_ancestors_and_our_children_are_no_strays(start, dead_owner, tmp_path):
    ask = (
        "import pathlib, subprocess, sys\n"
        "from autopack.adapters.process_identity import kill_strays\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"print(kill_strays(pathlib.Path({str(tmp_path)!r})), child.poll(), flush=True)\n"
        "child.kill(), child.wait()\n"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ask!r}]); input()"

    program = start([sys.executable, "-c", parent], AUTOPACK_OWNER=f"{dead_owner} {tmp_path}")

    assert program.first_line == "0 None"
    assert program.poll() is None
