"""Drains that are asked to stop: what is under way is finished or stopped, and the session goes on later."""

import signal
import subprocess
from contextlib import closing, suppress

import pytest
from drained import files_are_whole, told
from leftovers import assert_nothing_is_left, read_ledger
from workers import END_SECONDS, Gate, log_of, make_project, start

from autopack.domain.run import Order

QUEUED_DRAIN = ("drain", "queued", "--workers", "2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([signal.SIGINT], id="once: what is under way is finished"),
        pytest.param([signal.SIGINT, signal.SIGINT], id="twice: it is stopped"),
    ],
)
def test_an_interrupt_leaves_a_session_that_goes_on(numbers, tmp_path):
    project = make_project(tmp_path / "repo", None, {"a": (Order.STRICT, ("one", "two"))}, is_gated=True)
    with closing(Gate(project)) as gate:
        controller = start(project, *QUEUED_DRAIN)
        assert gate.wait() == ["a/one"]
        for number in numbers:
            controller.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                controller.wait(1)
        if len(numbers) == 1:
            gate.open()
        assert controller.wait(END_SECONDS) == 130, log_of(project)
        assert "--resume` goes on" in log_of(project)
        files_are_whole(project)
        resumed = start(project, *QUEUED_DRAIN, "--resume")
        for _ in range(len(numbers)):
            gate.wait()
            gate.open()
        assert resumed.wait(END_SECONDS) == 0, log_of(project)
    found = told(project)
    assert found["totals"] == [2, 2, 2, 0, 0]
    assert [result[:3] for result in found["results"]] == [("a", "one", 1), ("a", "two", 1)]
    assert len([call for call in read_ledger(project) if call.usage]) == 2
    assert_nothing_is_left(project)
