"""What a program in a room must not be able to do, tried in earnest; the result is printed as JSON.

Run by its path with ``python -I -S``. Arguments: a file that may be written, a file that may not be written, a secret
file, the port of a listener on this machine, and the pid of a process on it.
"""

import ctypes
import json
import os
import socket
import sys

_NEWUSER, _NEWNS = 0x10000000, 0x00020000
_MS_REMOUNT, _MS_BIND = 32, 4096


def main() -> None:
    """Try everything, and say what could be done."""
    inside, outside, secret, port, pid = sys.argv[1:]
    # Whether this one succeeded shows outside: a room may have another file at the same path.
    _tried(lambda: _write(outside))
    done = {
        "write inside": _tried(lambda: _write(inside)),
        "read a secret": _tried(lambda: open(secret, "rb").close()),  # noqa: PTH123 - starts faster without
        "connect to the host": _tried(lambda: _connect(int(port))),
        "signal a process of the host": _tried(lambda: os.kill(int(pid), 0)),
        "set the kernel": _tried(lambda: open("/proc/sys/kernel/core_pattern", "r+b").close()),  # noqa: PTH123
        "mount": _tried(_mount) or _tried(_mount_in_a_namespace),
    }
    print(json.dumps(done))  # noqa: T201 - its purpose


def _tried(attack: "object") -> bool:
    try:
        attack()  # type: ignore[operator]
    except OSError:
        return False
    return True


def _write(path: str) -> None:
    with open(path, "ab") as file:  # noqa: PTH123 - the same
        file.write(b"written\n")


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount() -> None:
    flags = ctypes.c_ulong(_MS_REMOUNT | _MS_BIND)
    if _libc().mount(b"/usr", b"/usr", None, flags, None):
        raise OSError(ctypes.get_errno(), "mount")


def _mount_in_a_namespace() -> None:
    if _libc().unshare(_NEWUSER | _NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    if _libc().mount(b"none", b"/usr", b"tmpfs", ctypes.c_ulong(0), None):
        raise OSError(ctypes.get_errno(), "mount")


if __name__ == "__main__":
    main()
