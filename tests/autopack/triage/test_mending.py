"""Which remediation run a blocker is taken by: the one that was left, or a new one."""

from dataclasses import dataclass, field

import pytest

from autopack.domain.blocker import BlockerEvent
from autopack.triage.mending import plan_mending


@dataclass
class Numbered:
    number: int

    @property
    def name(self):
        return f"B{self.number}"


@dataclass
class View:
    """What is asked of a blocker here: its number and its history."""

    blocker: Numbered
    history: list = field(default_factory=list)


def view(number, *told):
    events = [
        BlockerEvent(at=at, event="mend begun", text=f"{word[1:]}/mend-b{number}")
        if word.startswith("@")
        else BlockerEvent(at=at, event=word)
        for at, word in told
    ]
    return View(Numbered(number), events)


FAILED, PASSED, BACK = "validation failed", "validation passed", "recurred"


@pytest.mark.parametrize(
    ("histories", "given", "run", "taken", "left"),
    [
        pytest.param([[]], None, "fresh", [1], [], id="never taken"),
        pytest.param([[(1, "@r1")]], None, "r1", [1], [], id="left before any verdict"),
        pytest.param([[(1, "@r1"), (2, "fix proposed")]], None, "r1", [1], [], id="left in its validation"),
        pytest.param([[(1, "@r1"), (2, FAILED)]], None, "fresh", [1], [], id="judged and refused"),
        pytest.param([[(1, "@r1"), (2, PASSED), (3, BACK)]], None, "fresh", [1], [], id="mended, and back"),
        pytest.param([[(1, "@r1")], []], None, "r1", [1, 2], [], id="one that is new joins"),
        pytest.param(
            [[(1, "@r1"), (2, FAILED)], [(1, "@r1")]], None, "r1", [2], [1], id="the judged one waits"
        ),
        pytest.param(
            [[(1, "@r1")], [(5, "@r2")]], None, "r2", [2], [1], id="the newest of two that were left"
        ),
        pytest.param([[(1, "@r1"), (2, FAILED)], []], "mine", "mine", [1, 2], [], id="the operator's word"),
    ],
)
def test_the_run_that_is_gone_on_with(histories, given, run, taken, left):
    views = [view(number, *told) for number, told in enumerate(histories, 1)]
    found = plan_mending(views, given=given, fresh="fresh")
    assert found.run_id == run
    assert [it.blocker.number for it in found.views] == taken
    assert [it.number for it in found.left] == left
