"""The program between us and every program we start: it sees to it that nothing of that program is left.

Run by its path with ``python -I -S``, so it imports only small parts of the standard library. Arguments: the pid
that started it, the file descriptor it listens on, the one it reports on, the names of variables that are
not the program's own, its limits as ``RESOURCE:VALUE`` (both lists with commas), the name of a variable or nothing, and
the program with its arguments. A variable is named where the program first furnishes its room: it finds there the
descriptor to report on, and says ``entered 1`` or ``roomless WHY``.
It kills when the listening end is hung up (a time limit, a cancellation, the death of the one who started it), on a
signal, and when the program has ended.

In a sandbox's room, where it gets 0 for the pid, it kills nobody: the room ends with it, and all that is in it.

What it reports, a line each: ``started PID``; ``failed ERRNO`` when the program could not be started; ``ended CODE``
when it ended by itself or ``killed CODE`` when we had to, with the code as ``subprocess`` gives it (negative for a
signal); at last ``left N``, the number of processes that could not be killed.
"""

import ctypes
import errno
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}
KEYCTL_JOIN_SESSION_KEYRING = 1
KILL_SECONDS = 10
POLL_SECONDS = 0.05
STOP_ROUNDS = 100


def main() -> None:
    """Start the program, wait, leave nothing behind."""
    parent, listen, report = map(int, sys.argv[1:4])
    foreign, limits, entrance, argv = sys.argv[4], sys.argv[5], sys.argv[6], sys.argv[7:]
    for end in (listen, report):
        os.set_inheritable(end, False)  # noqa: FBT003 (it takes no keyword)
    for name in foreign.split(","):
        # The interpreter and the sandbox set some for themselves; the program is to see what its starter chose.
        os.environ.pop(name, None)
    signals = _listen_to_signals()
    if parent == 0:
        _leave_keyring()
        # No program of the room may trace us, or write to our files: our report is to be ours.
        _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent and os.getppid() != parent:
        # Who started us died before we asked to be told.
        return
    program = _start(argv, report, limits, entrance)
    _tell(report, "started", program)
    # Our copies of the output files would keep a reader of a pipe waiting; stderr stays for our own errors.
    os.close(0)
    os.close(1)
    status = _wait(program, listen, signals)
    if status is not None:
        _tell(report, "ended", os.waitstatus_to_exitcode(status))
    if parent == 0:
        return
    killed_with, survivors = _kill_descendants(program, signals)
    if killed_with is not None:
        _tell(report, "killed", os.waitstatus_to_exitcode(killed_with))
    _tell(report, "left", survivors)


def _tell(report: int, what: str, number: int) -> None:
    try:
        os.write(report, f"{what} {number}\n".encode())
    except BrokenPipeError:
        # Nobody is left to hear it; there is all the more to clean up.
        return


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _leave_keyring() -> None:
    """Take an empty keyring: the session's comes along into every room, and with it the keys of who started us."""
    number = KEYCTL.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(ctypes.c_long(number), KEYCTL_JOIN_SESSION_KEYRING, None)


def _listen_to_signals() -> int:
    """The end of a pipe that holds a byte for each signal."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    return reader


def _start(argv: list[str], report: int, limits: str, entrance: str) -> int:
    guard = os.getpid()
    program = os.fork()
    if program:
        return program
    try:
        os.setsid()
        # Should the guard itself be killed, at least the program goes with it.
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            # Python ignores these, and what is ignored stays so in the program.
            signal.signal(number, signal.SIG_DFL)
        _limit(limits)
        if entrance:
            os.set_inheritable(report, True)  # noqa: FBT003 (it takes no keyword)
            os.environ[entrance] = str(report)
        if os.getppid() == guard:
            os.execvp(argv[0], argv)  # noqa: S606 (the program as it was given, no shell)
    except OSError as error:
        _tell(report, "failed", error.errno or errno.EINVAL)
    finally:
        os._exit(127)


def _limit(limits: str) -> None:
    for number, _, value in (pair.partition(":") for pair in limits.split(",") if pair):
        import resource  # noqa: PLC0415 (most programs have no limits)

        soft, hard = resource.getrlimit(int(number))
        resource.setrlimit(int(number), (_lower(soft, int(value)), _lower(hard, int(value))))


def _lower(now: int, wanted: int) -> int:
    return wanted if now < 0 else min(now, wanted)


def _wait(program: int, listen: int, signals: int) -> int | None:
    """The program's status, or None when it is to be killed first."""
    while True:
        ready, _, _ = select.select([listen, signals], [], [])
        status, _ = _reap(program)
        if status is not None or listen in ready:
            return status
        if any(number != signal.SIGCHLD for number in os.read(signals, 4096)):
            return None


def _reap(program: int) -> tuple[int | None, bool]:
    """The program's status where it has ended by now, and whether any child is left."""
    status = None
    while True:
        try:
            pid, ended_with = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, False
        if pid == 0:
            return status, True
        if pid == program:
            status = ended_with


def _kill_descendants(program: int, signals: int) -> tuple[int | None, int]:
    """Kill until none is left, or for as long as makes sense; the program's status if it was one, and who stayed."""
    status = None
    rounds = int(KILL_SECONDS / POLL_SECONDS)
    for _ in range(rounds):
        ended_with, has_children = _reap(program)
        status = ended_with if status is None else status
        # Orphans come to us, so a guard without children is a guard without descendants.
        if not has_children:
            return status, 0
        for pid in _stopped_descendants():
            _send(pid, signal.SIGKILL)
        select.select([signals], [], [], POLL_SECONDS)
        _drain(signals)
    return status, len(_descendants())


def _stopped_descendants() -> set[int]:
    """All descendants, none of which can start another."""
    stopped: set[int] = set()
    for _ in range(STOP_ROUNDS):
        fresh = _descendants() - stopped
        if not fresh:
            break
        for pid in fresh:
            _send(pid, signal.SIGSTOP)
        stopped |= fresh
    return stopped


def _descendants() -> set[int]:
    children: dict[int, list[int]] = {}
    with os.scandir("/proc") as entries:
        for name in (entry.name for entry in entries if entry.name.isdigit()):
            children.setdefault(_parent_of(name), []).append(int(name))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        fresh = children.get(todo.pop(), [])
        found.update(fresh)
        todo.extend(fresh)
    return found


def _parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 (pathlib would double our start-up)
            # The name in parentheses may hold anything; the state and the parent follow the last one.
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        # Gone already, or another user's by now: not ours to end.
        return


def _drain(signals: int) -> None:
    try:
        os.read(signals, 4096)
    except BlockingIOError:
        return


if __name__ == "__main__":
    main()
