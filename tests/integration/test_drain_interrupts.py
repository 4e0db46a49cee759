"""Drains that are asked to stop: what is under way is finished or stopped, and the session goes on later."""

import signal
import sys
from contextlib import closing

import pytest
from drained import files_are_whole, told
from leftovers import assert_nothing_is_left, read_ledger
from terminal import CTRL_C, Terminal
from workers import END_SECONDS, STOPPING, Gate, lines, log_of, make_project, start, wait_for

from autopack.domain.run import Order

QUEUED_DRAIN = ("drain", "queued", "--workers", "2")
GOES_ON = "interrupted; `autopack drain queued --resume` goes on where it stopped"


@pytest.fixture(autouse=True)
def hang_ups_count():
    """As in a terminal, also where these tests themselves were started with ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def project(tmp_path):
    """A run of two phases, the second of which needs the first; their agent waits for leave to go on."""
    return make_project(tmp_path / "repo", None, {"a": (Order.STRICT, ("one", "two"))}, is_gated=True)


@pytest.fixture
def gate(project):
    with closing(Gate(project)) as gate:
        yield gate


def finish(project, gate, controller, *, is_stopped):
    """Let what is finished go on to its end, which is the controller's."""
    if not is_stopped:
        gate.open()
    assert controller.wait(END_SECONDS) == 130, log_of(project)
    files_are_whole(project)
    assert_nothing_is_left(project)
    assert list(project.root.glob(".autopack/logs/bug-*")) == []


def assert_goes_on(project, gate, *, is_stopped):
    """Resume, and compare with a drain that nobody disturbed; what was stopped is asked for again."""
    resumed = start(project, *QUEUED_DRAIN, "--resume")
    for _ in range(2 if is_stopped else 1):
        gate.wait()
        gate.open()
    assert resumed.wait(END_SECONDS) == 0, log_of(project)
    found = told(project)
    assert found["totals"] == [2, 2, 2, 0, 0]
    assert [result[:3] for result in found["results"]] == [("a", "one", 1), ("a", "two", 1)]
    assert len([call for call in read_ledger(project) if call.usage]) == 2
    assert len(lines(project, "asked")) == (3 if is_stopped else 2)
    assert_nothing_is_left(project)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "is_stopped"),
    [
        pytest.param([signal.SIGINT], False, id="once: what is under way is finished"),
        pytest.param([signal.SIGINT, signal.SIGINT], True, id="twice: it is stopped"),
        pytest.param([signal.SIGTERM], True, id="a request to terminate: it is stopped"),
        pytest.param([signal.SIGHUP], False, id="a hang-up: it is finished"),
        pytest.param([signal.SIGHUP, signal.SIGTERM], True, id="a machine that shuts down: it is stopped"),
    ],
)
def test_an_interrupt_leaves_a_session_that_goes_on(numbers, is_stopped, project, gate):
    controller = start(project, *QUEUED_DRAIN)
    assert gate.wait() == ["a/one"]
    for number in numbers[:-1]:
        controller.send_signal(number)
        wait_for(project, controller, STOPPING)
    controller.send_signal(numbers[-1])
    if not is_stopped:
        wait_for(project, controller, STOPPING)
    finish(project, gate, controller, is_stopped=is_stopped)
    assert GOES_ON in log_of(project)
    assert_goes_on(project, gate, is_stopped=is_stopped)


@pytest.fixture
def on_terminal(project):
    """Starts programs on terminals; however the test ends, neither is left."""
    terminals = []

    def starter(*words, by=()):
        command = [*by, sys.executable, "-m", "autopack", "--root", str(project.root), *words]
        environ = {**project.executor_environ, "AUTOPACK_BUILDER": project.builder}
        terminals.append(Terminal(command, cwd=project.root.parent, environ=environ))
        return terminals[-1]

    yield starter
    for terminal in terminals:
        terminal.program.kill()
        terminal.program.wait()
        terminal.close()


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_terminal_once_finishes_and_twice_stops(times, project, gate, on_terminal):
    terminal = on_terminal(*QUEUED_DRAIN)
    assert gate.wait() == ["a/one"]
    terminal.wait_for("Ctrl-C: finish what is under way, then stop", END_SECONDS)
    for _ in range(times):
        terminal.type(CTRL_C)
        terminal.wait_for(STOPPING, END_SECONDS)
    finish(project, gate, terminal.program, is_stopped=times > 1)
    terminal.wait_for(GOES_ON, END_SECONDS)
    assert_goes_on(project, gate, is_stopped=times > 1)


@pytest.mark.slow
def test_a_terminal_that_is_closed_loses_nothing_of_what_is_under_way(project, gate, on_terminal):
    terminal = on_terminal(*QUEUED_DRAIN)
    assert gate.wait() == ["a/one"]
    terminal.close()
    finish(project, gate, terminal.program, is_stopped=False)
    assert_goes_on(project, gate, is_stopped=False)


@pytest.mark.slow
def test_who_asked_for_it_goes_on_without_a_terminal(project, gate, on_terminal):
    terminal = on_terminal(*QUEUED_DRAIN, by=("nohup",))
    assert gate.wait() == ["a/one"]
    terminal.close()
    gate.open()
    assert gate.wait() == ["a/two"]
    gate.open()
    assert terminal.program.wait(END_SECONDS) == 0
    assert told(project)["totals"] == [2, 2, 2, 0, 0]
    assert "2 attempts, 2 completed" in (project.root.parent / "nohup.out").read_text()
    assert_nothing_is_left(project)
