"""Whether a sandbox keeps what it promises here, found out by a program that tries to break out of it."""

import json
import os
import re
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from autopack.adapters.process_running import BASE_PYTHON
from autopack.adapters.sandbox.attack import at_path, keyrings
from autopack.adapters.sandbox.findings import Findings
from autopack.errors import ProcessError, RoomError
from autopack.ports import Command, Processes, Room, Sandbox

ATTACK = Path(__file__).with_name("attack.py")
_SECONDS = 30
_MUST = "write inside"
_NO_PID = 4_194_303


def try_sandbox(sandbox: Sandbox, processes: Processes, *, folder: Path) -> Findings:
    """Run a program in the sandbox that tries to break out of it.

    Args:
        sandbox: What is tried.
        processes: Runs the program.
        folder: A folder that no room shows, in which one for this test is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="self-test-") as name, ExitStack() as stack:
        place = Path(name)
        inside, outside = place / "inside", place / "outside"
        inside.mkdir()
        targets = {"inside": str(inside / "file"), "outside": str(outside), **_targets(place, stack)}
        command = Command(
            argv=(BASE_PYTHON, "-I", "-S", str(ATTACK), json.dumps(targets)),
            cwd=inside,
            env={"PATH": os.defpath},
            stdout_path=place / "logs" / "stdout",
            stderr_path=place / "logs" / "stderr",
            timeout_seconds=_SECONDS,
        )
        found = _attack(sandbox, processes, command, Room(writable=(inside,), readable=(ATTACK,)))
        return replace(found, breaches=(*found.breaches, "write outside")) if outside.exists() else found


def _targets(place: Path, stack: ExitStack) -> dict[str, object]:
    """What is there to be reached, for as long as the trial lasts."""
    for name in ("secret", "kept"):
        (place / name).write_text("a secret\n", "utf-8")
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    letters = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    letters.bind(("127.0.0.1", 0))
    local = stack.enter_context(at_path(str(place / "socket"), socket.socket.bind))
    local.listen()
    return {
        "secret": str(place / "secret"),
        "kept": str(place / "kept"),
        "port": listener.getsockname()[1],
        "udp_port": letters.getsockname()[1],
        "socket": str(place / "socket"),
        "terminal": _terminal(stack),
        "memory": _memory(stack),
        "pid": _our_pid(),
        "keyrings": keyrings(),
    }


def _terminal(stack: ExitStack) -> str:
    try:
        ends = os.openpty()
    except OSError:
        return ""
    for end in ends:
        stack.callback(os.close, end)
    return os.ttyname(ends[1])


def _memory(stack: ExitStack) -> str:
    try:
        return stack.enter_context(tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="autopack-")).name
    except OSError:
        return ""


def ask_version(program: Path, processes: Processes, *, folder: Path) -> str:
    """The version that ``program`` tells; empty when it tells none."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="self-test-") as name:
        command = Command(
            argv=(str(program), "--version"),
            cwd=Path(name),
            env={},
            stdout_path=Path(name) / "stdout",
            stderr_path=Path(name) / "stderr",
            timeout_seconds=_SECONDS,
        )
        try:
            processes.run(command)
            found = re.search(r"\d+(\.\d+)+", command.stdout_path.read_text("utf-8", errors="replace"))
        except (ProcessError, OSError):
            return ""
        return found[0] if found else ""


def _attack(sandbox: Sandbox, processes: Processes, command: Command, room: Room) -> Findings:
    try:
        finished = processes.run(sandbox.confine(command, room))
        told = command.stdout_path.read_text("utf-8", errors="replace")
        said = command.stderr_path.read_text("utf-8", errors="replace").strip().splitlines()
    except (ProcessError, RoomError, OSError) as error:
        return Findings(problem=str(error))
    try:
        done = dict(json.loads(told))
    except (ValueError, TypeError):
        return Findings(problem=said[-1] if said else f"exit code {finished.returncode} and no answer")
    if not done.pop(_MUST, False):
        return Findings(problem="a program in it cannot write where it may")
    lacks = () if done.pop("use a loopback", True) else ("loopback",)
    return Findings(lacks=lacks, breaches=tuple(attack for attack, succeeded in done.items() if succeeded))


def _our_pid() -> int:
    # In a container we may have a number that a process of the room has too.
    return os.getpid() if os.getpid() > 100 else _NO_PID
