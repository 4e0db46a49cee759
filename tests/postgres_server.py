"""A throw-away PostgreSQL: ``python postgres_server.py BIN FOLDER OWNER_PID`` serves until its owner is gone.

The server has a folder, a user and a socket of its own. This process outlives neither the one that asked for
it, however that one ends, nor leaves anything of the server behind.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
# Losing what a test wrote is no loss.
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=32MB",
)


def server_user() -> str | None:
    """The user to run the server as; None for our own, which the server refuses only to root."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def as_server(command: list[str], *, user: str | None, cwd: Path) -> "subprocess.Popen[bytes]":
    """Start a program as the server's user; on Linux it dies with this process."""
    import pwd

    group = None if user is None else pwd.getpwnam(user).pw_gid
    return subprocess.Popen(
        command,
        cwd=cwd,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        stdout=(cwd / "log").open("ab"),
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - there is one thread
    )


def die_with_parent() -> None:
    """Ask the kernel to interrupt this process when its parent goes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def serve(programs: Path, folder: Path, owner: psutil.Process) -> None:
    """Make a cluster in ``folder``, run it, and wait for the owner's end."""
    user = server_user()
    if user is not None:
        shutil.chown(folder, user)
    cluster = folder / "cluster"
    make = [programs / "initdb", "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    if as_server([str(part) for part in (*make, "--locale=C")], user=user, cwd=folder).wait() != 0:
        raise SystemExit((folder / "log").read_text(errors="replace"))
    settings = (*FAST, "listen_addresses=", f"unix_socket_directories={folder}")
    command = [programs / "postgres", "-D", cluster, *(part for one in settings for part in ("-c", one))]
    server = as_server([str(part) for part in command], user=user, cwd=folder)
    try:
        while server.poll() is None and owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE:
            with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
                server.wait(timeout=0.2)
    finally:
        stop(server)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and every session at once."""
    with contextlib.suppress(ProcessLookupError):
        server.send_signal(signal.SIGQUIT)
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    work = Path(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(Path(sys.argv[1]), work, psutil.Process(int(sys.argv[3])))
    except psutil.NoSuchProcess:
        pass
    finally:
        shutil.rmtree(work, ignore_errors=True)
