"""How a headless agent's call ended, told from how its program did."""

import pytest

from autopack.adapters.agents.ending import Cause, Ending
from autopack.adapters.agents.headless import ending_of
from autopack.ports import Finished

SILENT = Ending(cause=Cause.SILENT, message="Nothing was heard of the agent for 5 s")


def finished(returncode=None, **fields):
    rest = {"timed_out": False, "was_cancelled": False, "duration_seconds": 2.0} | fields
    return Finished(returncode=returncode, **rest)


@pytest.mark.parametrize(
    ("finished", "reason", "cause", "named"),
    [
        pytest.param(finished(0), None, Cause.ANSWERED, "", id="well"),
        pytest.param(finished(1), None, Cause.ANSWERED, "", id="an exit code says nothing"),
        pytest.param(finished(-11), None, Cause.DIED, "signal 11", id="a signal"),
        pytest.param(finished(timed_out=True), None, Cause.TIMED_OUT, "longer", id="its time"),
        pytest.param(finished(output_overflow=True), None, Cause.FLOODED, "too much", id="its output"),
        pytest.param(
            finished(overuse="9 GiB of memory"), None, Cause.OVERUSED, "9 GiB of memory", id="its memory"
        ),
        pytest.param(finished(was_cancelled=True), SILENT, Cause.SILENT, "5 s", id="we stopped it"),
        pytest.param(finished(0), SILENT, Cause.ANSWERED, "", id="it ended while we made up our mind"),
    ],
)
def test_the_cause_is_what_ended_the_program(tmp_path, finished, reason, cause, named):
    ending = ending_of(finished, reason, stdout=tmp_path / "stdout.txt")
    assert ending.cause is cause
    assert named in ending.message
    assert (ending.returncode, ending.duration_seconds) == (finished.returncode, 2.0)
