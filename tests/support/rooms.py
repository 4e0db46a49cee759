"""Sandboxes to try things in."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil
import pytest

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox import NoSandbox, choice
from autopack.adapters.sandbox.furnished import FurnishedSandbox
from autopack.ports import Command, Finished, Room, Sandbox
from autopack.settings import SandboxSettings, Settings

KINDS = ("bwrap", "Landlock")
OF_THE_NETWORK = ("connect to the host", "send datagrams over the host's network")
ALWAYS = {"connect to local sockets", "use the user's keys"}
"""What Landlock cannot forbid, and no one is to think that it did."""


def make_sandbox(
    kind: str, root: Path, environ: Mapping[str, str] = os.environ, **settings: object
) -> Sandbox:
    """The sandbox of that kind, tried out first; the test is skipped where the machine does not let it be."""
    if kind == "none":
        return NoSandbox("a test wants it")
    made = Settings(root=root, database_url="sqlite://", sandbox=SandboxSettings(**settings))
    processes = GuardedProcesses(SystemClock())
    problems = []
    for candidate in choice.candidates(made, environ):
        if not candidate.name.startswith(kind):
            continue
        found = choice.findings_of(candidate, processes, made.state_folder / "cache")
        if not found.problem and candidate.bearable.issuperset(found.breaches):
            return candidate.make(" without ".join((candidate.name, *found.lacks)))
        problems.append(f"{candidate.name}: {found}")
    reason = f"no {kind} here: {'; '.join(problems) or 'not installed'}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _works(name: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(root=Path(folder), database_url="sqlite://")
        processes = GuardedProcesses(SystemClock())
        candidates = {it.name: it for it in choice.candidates(settings, os.environ)}
        found = (
            choice.findings_of(candidates[name], processes, Path(folder) / "cache")
            if name in candidates
            else None
        )
    return found is not None and not found.problem and candidates[name].bearable.issuperset(found.breaches)


def best_sandbox(root: Path, environ: Mapping[str, str] = os.environ) -> Sandbox:
    """The best sandbox of this machine, tried out once in a session; without one the test proves nothing."""
    settings = Settings(root=root, database_url="sqlite://")
    for candidate in choice.candidates(settings, environ):
        if _works(candidate.name):
            made = candidate.make(candidate.name)
            cache_folder = root / ".autopack" / "cache"
            return FurnishedSandbox(
                made, settings.sandbox, root=root, cache_folder=cache_folder, environ=environ
            )
    reason = "nothing here keeps programs in"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Den:
    """A folder with a worktree in it, and programs that run in a room of that worktree."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.worktree = folder / "root" / ".autopack" / "worktrees" / "slot-0"
        self.worktree.mkdir(parents=True)
        self.logs = folder / "logs"
        self.processes = GuardedProcesses(SystemClock())
        self.room = Room(writable=(self.worktree,))
        self.env = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")}

    def run(self, *argv: str, is_cancelled: Callable[[], bool] | None = None, **changes: object) -> Finished:
        """Run a program in the room; ``changes`` are the room's, or the command's."""
        own = {
            name: changes.pop(name)
            for name in ("env", "timeout_seconds", "stdin_text", "room_note")
            if name in changes
        }
        command = Command(
            **{
                "argv": argv,
                "cwd": self.worktree,
                "env": self.env,
                "stdout_path": self.logs / "out.txt",
                "stderr_path": self.logs / "err.txt",
                "timeout_seconds": 30.0,
                **own,
            }
        )
        self.logs.mkdir(exist_ok=True)
        for path in (command.stdout_path, command.stderr_path):
            path.write_bytes(b"")
        confined = self.sandbox.confine(command, replace(self.room, **changes))
        return self.processes.run(confined, is_cancelled=is_cancelled)

    def python(self, code: str, *arguments: str, **changes: object) -> Finished:
        """Run Python code in the room."""
        changes.setdefault("readable", (Path(sys.base_prefix),))
        python = getattr(sys, "_base_executable", sys.executable)
        return self.run(python, "-I", "-S", "-c", code, *arguments, **changes)

    @property
    def out(self) -> str:
        return (self.logs / "out.txt").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self.logs / "err.txt").read_text(errors="replace")


def pids_marked(place: Path) -> list[int]:
    """Processes that were started with ``MARKED`` in their environment, and are there still."""
    return [it.pid for it in psutil.process_iter() if _environ_of(it).get("MARKED") == str(place)]


def _environ_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
