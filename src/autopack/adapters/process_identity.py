"""Who a process is, whether it still lives, and what a dead one left running."""

import os
import re
import socket
import sys
from functools import cache
from pathlib import Path

MARKER = "AUTOPACK_OWNER"
"""The variable that ``mark`` is for."""
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
    is_alive = lives(owner)
    return now - heartbeat_at > lease_seconds if is_alive is None else not is_alive


def mark(place: Path) -> dict[str, str]:
    """The environment by which the programs of this process are known for its own, and for work on ``place``."""
    return {MARKER: f"{process_identity()} {place}"}


def kill_strays(place: Path) -> int:
    """Kill what dead processes left running on this host, and all that this started; returns how many were killed.

    Args:
        place: Only programs that were marked as work on this folder are killed. We, our ancestors and our own
            children are spared, and so are other users' processes and those of owners that live.
    """
    if not _is_any_marked(place):
        return 0
    # Only for the rare attempt that follows a killed one: every attempt's process must start fast.
    from autopack.adapters import process_strays  # noqa: PLC0415 -- see above

    return process_strays.kill_strays(place)


def lives(owner: str) -> bool | None:
    """Whether the process of this host that calls itself ``owner`` lives; None for what is not of this host."""
    host, _, rest = owner.partition(":")
    pid, _, start = rest.partition(":")
    if host != _host() or not pid.isdigit():
        return None
    return _start_of(int(pid)) == start


def _is_any_marked(place: Path) -> bool:
    """Whether any process that we may look at was marked as work on ``place``, whoever its owner is."""
    if sys.platform != "linux":
        return True
    marked = re.compile(rb"(?:^|\0)%s=[^\0]* %s(?:\0|$)" % (MARKER.encode(), re.escape(os.fsencode(place))))
    return any(marked.search(_environ_of(entry)) for entry in _PROC.iterdir() if entry.name.isdigit())


def _environ_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        # Gone already, or another user's.
        return b""


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
    import psutil  # noqa: PLC0415 -- Linux does without it

    try:
        return str(int(psutil.Process(pid).create_time()))
    except psutil.NoSuchProcess:
        return ""
