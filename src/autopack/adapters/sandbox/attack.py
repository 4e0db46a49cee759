"""What a program in a room must not be able to do, tried in earnest; the result is printed as JSON.

Run by its path with ``python -I -S``. Its argument is JSON: ``inside`` a file that may be written, ``outside`` one
that may not, a ``secret`` file, a ``kept`` file with something in it; of this machine the ``port`` of a listener, the
``udp_port`` of one for datagrams, the ``socket`` of another at a path, a ``terminal``, a file of its shared ``memory``,
the ``pid`` of a process, and the numbers of its ``keyrings``.
"""

import ctypes
import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEWUSER, _NEWNS = 0x10000000, 0x00020000
_MS_REMOUNT, _MS_BIND = 32, 4096
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
# Of the session, the user and the user's session.
_KEYRINGS = (-3, -4, -5)


def main() -> None:
    """Try everything, and say what could be done."""
    of = json.loads(sys.argv[1])
    # Whether this one succeeded shows outside: a room may have another file at the same path.
    _tried(lambda: _write(of["outside"]))
    done = {
        "write inside": _tried(lambda: _write(of["inside"])),
        "use a loopback": _tried(_use_loopback),
        "read a secret": _tried(lambda: open(of["secret"], "rb").close()),  # noqa: PTH123 - starts faster without
        "truncate a file outside": _tried(lambda: os.truncate(of["kept"], 0)),
        "connect to the host": _tried(lambda: _connect(of["port"])),
        "send datagrams over the host's network": _tried(lambda: _send(of["udp_port"])),
        "connect to local sockets": _tried(lambda: at_path(of["socket"], socket.socket.connect)),
        "open a terminal of the host": _tried(
            lambda: os.close(os.open(of["terminal"], os.O_RDWR | os.O_NOCTTY))
        ),
        "read the host's shared memory": _tried(lambda: open(of["memory"], "rb").close()),  # noqa: PTH123
        "use the user's keys": bool(set(of["keyrings"]) & set(keyrings())),
        "signal a process of the host": _tried(lambda: os.kill(of["pid"], 0)),
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


def _send(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        sender.send(b"a datagram")
        # Where nobody got the first, the second is refused.
        sender.send(b"another")


def _use_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        _connect(server.getsockname()[1])


def at_path(path: str, do: "Callable[[socket.socket, str], object]") -> socket.socket:
    """Bind or connect a Unix socket at a path of any length."""
    made = socket.socket(socket.AF_UNIX)
    folder, _, name = path.rpartition("/")
    above = os.open(folder, os.O_PATH)
    try:
        do(made, f"/proc/self/fd/{above}/{name}")
    finally:
        os.close(above)
    return made


def keyrings() -> "list[int]":
    """The numbers of the session's and the user's keyrings, as far as there are any."""
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        return []
    found = (_libc().syscall(ctypes.c_long(number), 0, which, 0) for which in _KEYRINGS)
    return [it for it in found if it > 0]


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
