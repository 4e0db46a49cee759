"""Who a process is, whether it still lives, and what a dead one left running."""

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

MARKER = "AUTOPACK_OWNER"
"""The variable that ``mark`` is for."""
KILL_SECONDS = 5
_PROC = Path("/proc")


def process_identity() -> str:
    """This process as ``host:pid:start``, which no other process ever is."""
    pid = os.getpid()
    return f"{_host()}:{pid}:{_start_of(pid)}"


def is_process_dead(owner: str, heartbeat_at: float, now: float, lease_seconds: float) -> bool:
    """Whether the process that calls itself ``owner`` has ended.

    Args:
        owner: What ``process_identity`` gave there.
        heartbeat_at: When it last said that it lives, in seconds since the epoch.
        now: The time.
        lease_seconds: A process that cannot be looked at counts as dead when its heartbeat is older than this.

    Returns:
        On the same host, the truth; for another host (or another container, or before this host's last start)
        whether the heartbeat is too old.
    """
    host, _, rest = owner.partition(":")
    pid, _, start = rest.partition(":")
    if host == _host() and pid.isdigit():
        return _start_of(int(pid)) != start
    return now - heartbeat_at > lease_seconds


def mark(place: Path) -> dict[str, str]:
    """The environment by which the programs of this process are known for its own, and for work on ``place``."""
    return {MARKER: f"{process_identity()} {place}"}


def kill_strays(place: Path) -> int:
    """Kill what dead processes left running on this host, and all that this started; returns how many were killed.

    Args:
        place: Only programs that were marked as work on this folder are killed. We, our ancestors and our own
            children are spared, and so are other users' processes and those of owners that live.
    """
    ourselves = psutil.Process()
    kin = (*ourselves.parents(), *ourselves.children(recursive=True))
    spared = {ourselves.pid, *(process.pid for process in kin)}
    killed: set[psutil.Process] = set()
    while strays := _strays(place, spared) - killed:
        # Stopped first, so that none starts another while we look at the rest.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in strays:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    process.send_signal(number)
        killed |= strays
    for process in killed:
        _wait_for_end(process)
    return len(killed)


def _wait_for_end(process: psutil.Process) -> None:
    if sys.platform != "linux":
        with suppress(psutil.TimeoutExpired):
            process.wait(KILL_SECONDS)
        return
    # Tells the end itself; to wait for the entry to go would depend on when the parent looks.
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(process.pid)
        try:
            select.select([ended], [], [], KILL_SECONDS)
        finally:
            os.close(ended)


def _strays(place: Path, spared: set[int]) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if process.pid not in spared and _is_ours(process) and _has_lost_owner(process, place):
                found.update((process, *process.children(recursive=True)))
    return {process for process in found if process.pid not in spared}


def _has_lost_owner(process: psutil.Process, place: Path) -> bool:
    owner, _, marked_place = process.environ().get(MARKER, "").partition(" ")
    host, _, rest = owner.partition(":")
    pid, _, start = rest.partition(":")
    is_known = marked_place == str(place) and host == _host() and pid.isdigit()
    return is_known and _start_of(int(pid)) != start


def _is_ours(process: psutil.Process) -> bool:
    return sys.platform == "win32" or process.uids().real == os.getuid()


@cache
def _host() -> str:
    """The machine since its start and, in a container, the container: where a pid means one process."""
    name = socket.gethostname()
    if sys.platform != "linux":
        return name
    boot = (_PROC / "sys/kernel/random/boot_id").read_text()[:8]
    pids = (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    return f"{name}.{boot}.{pids}"


def _start_of(pid: int) -> str:
    """When the process began, in a form that no change of the clock alters; empty when it is dead."""
    if sys.platform != "linux":
        return _creation_time(pid)
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie runs no more; it merely waits for its parent to look.
    return "" if fields[0] in "ZX" else fields[19]


def _creation_time(pid: int) -> str:
    try:
        return str(int(psutil.Process(pid).create_time()))
    except psutil.NoSuchProcess:
        return ""
