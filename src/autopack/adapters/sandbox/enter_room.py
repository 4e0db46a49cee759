"""The program at a room's entrance: it sets the limits, starts the relay, puts up walls, and becomes the program.

Run by its path with ``python -I -S``. Arguments: orders as JSON, and the program with its arguments. Orders, each of
which may be missing: ``limits`` as in ``RoomLimits``; ``relay`` with a ``port`` of 127.0.0.1 here and the Unix
``socket`` that it leads to; ``walls`` of Landlock with the paths that are ``readable`` and ``writable`` and whether
there is a ``network``. It needs Python 3.9 and, for walls, Linux.

Where the guard said on which descriptor, it is told ``entered 1`` right before the program begins, ``roomless WHY``
where the room could not be made, and ``failed ERRNO`` where the program could not be started. For whoever starts this
without the guard, exit code 126 says the one and 127 the other.
"""

# ruff: noqa: PTH112 - plain strings, for a fast start

import ctypes
import errno
import json
import os
import resource
import socket
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIZE = 65536
_LINE = 1000
_ENTERED = "AUTOPACK_ENTRANCE"
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 1, 38, 24
_CLONE_NEWNET = 0x40000000
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_BENEATH, _PORT = 1, 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_CONNECT = 2
_SCOPES = 3
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
_JOIN_SESSION_KEYRING = 1
_LAST_CAPABILITY = 63


def main() -> None:
    """Follow the orders, then be the program."""
    report = _report()
    try:
        _furnish(json.loads(sys.argv[1]), report)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not the program's
        _leave(126, "the room cannot be made", error, report, f"roomless {error!r}")
    _tell(report, "entered 1")
    argv = sys.argv[2:]
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the program as it was given, no shell
    except OSError as error:
        _leave(127, argv[0], error, report, f"failed {error.errno}")


def _report() -> "int | None":
    """Where the guard is told; the program finds neither the descriptor nor the word of it."""
    number = os.environ.pop(_ENTERED, "")
    if not number:
        return None
    os.set_inheritable(int(number), False)  # noqa: FBT003 - it takes no keyword
    return int(number)


def _furnish(orders: "Any", report: "int | None") -> None:
    _leave_keyring()
    walls = orders.get("walls")
    has_own_network = bool(walls) and not walls["network"] and _leave_network()
    if "relay" in orders:
        shares_network = bool(walls) and not has_own_network
        relay = orders["relay"]
        _start_relay(relay["port"], relay["socket"], report, may_be_there=shares_network)
    _limit(orders.get("limits") or {})
    if walls:
        keeps_tcp = bool(walls["network"]) or has_own_network
        _put_up(walls, None if keeps_tcp else [orders.get("relay", {}).get("port")])


def _leave_keyring() -> None:
    # Keys of the session that started us; the kernel may have no keyrings, and then there is nothing to leave.
    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        _libc().syscall(ctypes.c_long(number), _JOIN_SESSION_KEYRING, None)


def _leave(code: int, what: str, error: Exception, report: "int | None", told: str) -> None:
    sys.stderr.write(f"{what}: {error}\n")
    sys.stderr.flush()
    _tell(report, told)
    os._exit(code)


def _tell(report: "int | None", line: str) -> None:
    if report is not None:
        os.write(report, line.replace("\n", " ").encode("utf-8", "replace")[:_LINE] + b"\n")


def _limit(limits: "dict[str, int | None]") -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.get("cpu_seconds"),
        resource.RLIMIT_FSIZE: limits.get("file_bytes"),
        resource.RLIMIT_NOFILE: limits.get("open_files"),
    }
    for number, value in wanted.items():
        if value is not None:
            soft, hard = resource.getrlimit(number)
            resource.setrlimit(number, (_lower(soft, value), _lower(hard, value)))


def _lower(now: int, wanted: int) -> int:
    return wanted if now < 0 else min(now, wanted)


def _start_relay(port: int, path: str, report: "int | None", *, may_be_there: bool) -> None:
    """Listen in a process that ends with the program, and is no child of it.

    In the machine's own network the port may be taken already: by what the socket leads to, which chose it.
    """
    try:
        listening = socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        if may_be_there and error.errno == errno.EADDRINUSE:
            return
        raise
    program = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        listening.close()
        os.close(program)
        os.waitpid(child, 0)
        return
    if report is not None:
        # Whoever waits for the end of the report is not to wait for us.
        os.close(report)
    if os.fork():
        os._exit(0)
    os.setsid()
    _hang_up_streams()
    threading.Thread(target=_serve, args=(listening, path), daemon=True).start()
    # Readable when the program has ended.
    _wait_for(program)
    os._exit(0)


def _hang_up_streams() -> None:
    # Whoever reads the program's output is not to wait for us.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)


def _wait_for(process: int) -> None:
    import select  # noqa: PLC0415 - of the relay alone

    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.poll()


def _serve(listening: socket.socket, path: str) -> None:
    while True:
        near, _ = listening.accept()
        threading.Thread(target=_join, args=(near, path), daemon=True).start()


def _join(near: socket.socket, path: str) -> None:
    far = socket.socket(socket.AF_UNIX)
    with near, far:
        try:
            far.connect(path)
        except OSError:
            return
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_SIZE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone, and with it the reason to keep the other.
        for end in (source, target):
            _close_for_good(end)


def _close_for_good(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


# --- walls of Landlock


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("rights", ctypes.c_uint64), ("port", ctypes.c_uint64))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    result = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return int(result)


def _leave_network() -> bool:
    """Whether we are in a network of our own, in which there is nothing but a loopback."""
    if _libc().unshare(_CLONE_NEWNET):
        return False
    import fcntl  # noqa: PLC0415 - of this alone

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = b"lo".ljust(16, b"\0") + (0x1 | 0x40).to_bytes(2, sys.byteorder) + bytes(22)
        fcntl.ioctl(any_socket, 0x8914, up)
    return True


def _put_up(walls: "dict[str, Any]", ports: "list[int | None] | None") -> None:
    """Wall the process in; with ``ports``, these alone can be connected to, on any machine."""
    version = _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    everything = _rights(version)
    stops_tcp = version >= 4 and ports is not None
    ruleset = _Ruleset(everything, _CONNECT if stops_tcp else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = _syscall(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in walls["readable"]:
        _allow(rules, path, everything & (_EXECUTE | _READ_FILE | _READ_DIR))
    for path in walls["writable"]:
        _allow(rules, path, everything)
    for port in filter(None, (ports or []) if stops_tcp else []):
        rule = _PortRule(_CONNECT, port)
        _syscall(_ADD_RULE, rules, _PORT, ctypes.byref(rule), ctypes.c_uint32(0))
    _drop_rights()
    _syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0))
    os.close(rules)


def _rights(version: int) -> int:
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    return (1 << bits) - 1


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        rule = _PathRule(rights, folder)
        _syscall(_ADD_RULE, rules, _BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(folder)


def _drop_rights() -> None:
    libc = _libc()
    for capability in range(_LAST_CAPABILITY + 1):
        # Root gets back on its next program what this set holds; for others it says no, and they have nothing.
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")


if __name__ == "__main__":
    main()
