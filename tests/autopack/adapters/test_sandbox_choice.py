"""Which sandbox is taken, and when none is."""

import os
import sys
from pathlib import Path

import pytest
import rooms
from rooms import make_sandbox

from autopack.adapters.builders.command import CommandBuilder
from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox import NoSandbox, choice, open_sandbox
from autopack.adapters.sandbox.findings import Findings
from autopack.adapters.sandbox.self_test import try_sandbox
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.errors import RoomError, SandboxError
from autopack.execution.build import BudgetWatch
from autopack.ports import BuildRequest, CiRequest, Command, Room
from autopack.settings import CiSettings, SandboxSettings, Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")
USELESS = Findings(problem="it does not start")
LEAKY = Findings(breaches=("signal a process of the host", "send datagrams over the host's network"))
OLD = Findings(breaches=("truncate a file outside",))
ATTACKS = (
    *("read a secret", "write outside", "truncate a file outside", "connect to local sockets"),
    *("open a terminal of the host", "read the host's shared memory"),
)
BROKEN = Findings(breaches=("write outside",))


def settings(root: Path, mode: str) -> Settings:
    return Settings(root=root, database_url="sqlite://", sandbox=SandboxSettings(mode=mode))


def choose(root: Path, mode: str, found: dict[str, Findings]):
    def find(candidate):
        return next(it for name, it in found.items() if candidate.name.startswith(name))

    return choice._choose(settings(root, mode), os.environ, find)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        pytest.param({"bwrap": Findings(version="0.11.0"), "Landlock": Findings()}, "bwrap", id="the best"),
        pytest.param({"bwrap": USELESS, "Landlock": Findings()}, "Landlock", id="the next"),
        pytest.param({"bwrap": BROKEN, "Landlock": LEAKY}, "Landlock", id="one that leaks, and says so"),
        pytest.param({"bwrap": USELESS, "Landlock": BROKEN}, "NONE", id="none"),
        pytest.param({"bwrap": USELESS, "Landlock": OLD}, "NONE", id="one of an old kernel"),
    ],
)
def test_the_first_that_holds_is_taken(tmp_path, found, name):
    chosen = choose(tmp_path, "auto", found)
    assert chosen.description.startswith(name)
    assert chosen.is_confining is (name != "NONE")
    assert ("signal a process of the host" in chosen.description) is (found["Landlock"] is LEAKY)


@pytest.mark.parametrize(
    "found", [{"bwrap": USELESS, "Landlock": BROKEN}, {"bwrap": USELESS, "Landlock": LEAKY}]
)
def test_one_that_is_required_is_not_done_without(tmp_path, found):
    with pytest.raises(SandboxError, match=r"require a sandbox, and none works here: .*it does not start"):
        choose(tmp_path, "required", found)


def test_switched_off_there_is_none(tmp_path):
    processes = GuardedProcesses(SystemClock())
    sandbox = open_sandbox(settings(tmp_path, "off"), processes, os.environ)
    assert (sandbox.is_confining, sandbox.description) == (False, "NONE (switched off in the settings)")


def test_a_program_that_is_there_and_does_not_work_is_passed_over_once(tmp_path):
    tries = tmp_path / "tries"
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho tried >> {tries}\nexit 1\n")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    processes = GuardedProcesses(SystemClock())
    for _ in range(2):
        sandbox = open_sandbox(settings(tmp_path, "auto"), processes, environ)
    assert not sandbox.description.startswith("bwrap of the system")
    assert tries.read_text() == "tried\n"


def test_what_failed_is_tried_again_after_minutes_and_by_the_doctor_at_once(tmp_path):
    tries = tmp_path / "tries"
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho tried >> {tries}\nexit 1\n")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    processes = GuardedProcesses(SystemClock())
    made = settings(tmp_path, "auto")
    open_sandbox(made, processes, environ)
    age_notes(made)
    open_sandbox(made, processes, environ)
    assert tries.read_text() == "tried\n" * 2
    open_sandbox(made, processes, environ, anew=True)
    assert tries.read_text() == "tried\n" * 3


def age_notes(made: Settings) -> None:
    """Make it long ago that something was found."""
    for note in (made.state_folder / "cache").glob("sandbox-*.json"):
        os.utime(note, (1, 1))


class Fickle:
    """bubblewrap, which no longer makes rooms once it is told to fail; its settings and environment."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings(folder, "auto")
        real = [it.program for it in choice.candidates(self.settings, os.environ) if it.program is not None]
        self.ends, self.tries = folder / "ends", folder / "tries"
        program = folder / "bwrap"
        program.write_text(
            f"#!/bin/sh\necho tried >> {self.tries}\n"
            f'[ -e {self.ends} ] && echo "no namespaces left" >&2 && exit 1\nexec {real[0]} "$@"\n'
        )
        program.chmod(0o755)
        self.environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        self.processes = GuardedProcesses(SystemClock())

    def open(self):
        return open_sandbox(self.settings, self.processes, self.environ)


@pytest.fixture
def fickle(tmp_path):
    make_sandbox("bwrap", tmp_path)
    return Fickle(tmp_path)


def test_one_that_makes_no_rooms_any_more_is_given_up(tmp_path, fickle):
    assert fickle.open().description.startswith("bwrap of the system")
    age_notes(fickle.settings)
    tried = fickle.tries.read_text()
    sandbox = fickle.open()
    assert fickle.tries.read_text() == tried, "what works is not tried again"
    fickle.ends.touch()
    command = Command(
        argv=("true",),
        cwd=tmp_path,
        env={"PATH": os.defpath},
        stdout_path=tmp_path / "out",
        stderr_path=tmp_path / "err",
        timeout_seconds=30.0,
    )
    with pytest.raises(RoomError, match="could not make a room for true: no namespaces left"):
        fickle.processes.run(sandbox.confine(command, Room(writable=(tmp_path,))))
    assert not fickle.open().description.startswith("bwrap of the system")


def test_no_room_is_no_fault_of_ci_or_a_builder(tmp_path, fickle):
    sandbox = fickle.open()
    fickle.ends.touch()
    runner = CommandCi(
        fickle.processes,
        settings=CiSettings(python=sys.executable),
        root=tmp_path,
        cache_folder=tmp_path / "cache",
        environ=fickle.environ,
        sandbox=sandbox,
    )
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    with pytest.raises(RoomError):
        runner.run(
            CiRequest(worktree=worktree, command="true", timeout_seconds=30, log_folder=tmp_path / "logs")
        )
    builder = CommandBuilder(
        "true", processes=fickle.processes, environ=fickle.environ, root=tmp_path, confine=sandbox.confine
    )
    request = BuildRequest(
        address=AttemptAddress(run_id="r", phase_id="p", number=1),
        goal="g",
        prompt="p",
        files=(),
        scope_paths=(),
        deliverables=(),
        worktree=worktree,
        log_folder=tmp_path / "builder",
        budget_tokens=10,
        timeout_seconds=30,
    )
    failure = builder.build(request, BudgetWatch(10)).failure
    assert (failure.kind, failure.retryable) == (FailureKind.INFRASTRUCTURE, True)


def test_without_walls_the_trial_finds_them_missing(tmp_path):
    found = try_sandbox(NoSandbox("a test"), GuardedProcesses(SystemClock()), folder=tmp_path)
    assert {*ATTACKS, *rooms.OF_THE_NETWORK, "signal a process of the host"} <= set(found.breaches)


def test_landlock_says_what_it_cannot_forbid(tmp_path):
    make_sandbox("Landlock", tmp_path)
    made = settings(tmp_path, "auto")
    candidate = next(it for it in choice.candidates(made, os.environ) if it.name.startswith("Landlock"))
    found = choice.findings_of(candidate, GuardedProcesses(SystemClock()), made.state_folder / "cache")
    assert "connect to local sockets" in found.breaches
    assert set(found.breaches) <= rooms.ALWAYS
    chosen = choose(tmp_path, "auto", {"bwrap": USELESS, "Landlock": found})
    assert "but a program could connect to local sockets" in chosen.description
    with pytest.raises(SandboxError, match="connect to local sockets"):
        choose(tmp_path, "required", {"bwrap": USELESS, "Landlock": found})
