"""The CI gate's word on a change: which kind of failure, and what it names."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from autopack.domain.baseline import UNPROVEN_SECONDS
from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage
from autopack.domain.failure import FailureKind
from autopack.domain.phase import Checks, PhaseSpec
from autopack.execution.ci import CiGate
from autopack.execution.doom import check_base
from autopack.settings import CiSettings
from autopack.testing import FrozenClock, MemoryStore


def case(node_id, outcome=CiOutcome.PASSED, message="", error_type=""):
    return CiCase(
        node_id=node_id, outcome=outcome, file=node_id.split("::")[0], message=message, error_type=error_type
    )


def report(*cases, collectors=(), stage=CiStage.FINISHED, returncode=None, **fields):
    red = any(item.outcome.is_bad for item in (*cases, *collectors))
    return CiReport(
        command="python -m pytest -q",
        stage=stage,
        returncode=int(red) if returncode is None else returncode,
        tests={item.node_id: item for item in cases},
        collectors={item.node_id: item for item in collectors},
        **fields,
    )


class Runner:
    """Gives the reports that it was handed, one a run, and notes what it was asked for."""

    def __init__(self, *reports, can_select=True):
        self.reports = list(reports)
        self.asked = []
        self._can_select = can_select

    def environment(self):
        return "env"

    def can_select(self, _command):
        return self._can_select

    def run(self, request):
        self.asked.append(request)
        return self.reports.pop(0)


class Room:
    """A worktree that only notes that it was reset."""

    path = Path("/nowhere")

    def __init__(self):
        self.resets = []

    def reset(self, commit):
        self.resets.append(commit)


class Locks:
    def hold(self, _name):
        return contextlib.nullcontext()


def gate(runner, store=None, clock=None, **settings):
    return CiGate(
        runner=runner,
        store=store or MemoryStore(),
        locks=Locks(),
        clock=clock or FrozenClock(),
        settings=CiSettings(**settings),
    )


def judge(before, *after, can_select=True, **settings):
    runner = Runner(*after, can_select=can_select)
    made = gate(runner, **settings)
    judged = made.judge(Room(), before, Checks(), deleted_files=(), log_folder=Path("/logs"))
    return judged.verdict, runner


GREEN = report(case("t.py::a"), case("t.py::b"))
RED_B = report(case("t.py::a"), case("t.py::b", CiOutcome.FAILED, "assert 1 == 2", "AssertionError"))
NO_PRAW = case("r.py", CiOutcome.ERROR, "No module named 'praw'", "ModuleNotFoundError")
STUCK = report(collectors=(NO_PRAW,), stage=CiStage.COLLECTING, returncode=2)
WITH_R = report(case("t.py::a"), case("t.py::b"), collectors=(case("r.py"),))
NO_COMMAND = report(stage=CiStage.NOTHING, returncode=127, problem="not found")
LIVES_WITH = report(case("t.py::a"), collectors=(NO_PRAW,))


@pytest.mark.parametrize(
    ("before", "after", "settings", "kind", "named"),
    [
        pytest.param(GREEN, [GREEN], {}, None, "2 tests", id="green stays green"),
        pytest.param(GREEN, [RED_B, RED_B], {}, FailureKind.TEST_REGRESSION, "t.py::b", id="a regression"),
        pytest.param(GREEN, [RED_B, GREEN, GREEN], {}, None, "1 flaky", id="green alone and in the whole"),
        pytest.param(
            GREEN,
            [RED_B, GREEN, RED_B],
            {},
            FailureKind.TEST_REGRESSION,
            "t.py::b",
            id="green alone, red in the whole",
        ),
        pytest.param(
            GREEN,
            [RED_B, GREEN, replace(GREEN, tests={"t.py::a": case("t.py::a")})],
            {},
            FailureKind.TEST_REGRESSION,
            "t.py::b",
            id="green alone, gone in the whole",
        ),
        pytest.param(
            GREEN,
            [RED_B, GREEN, report(stage=CiStage.RUNNING, returncode=-9, problem="died")],
            {},
            FailureKind.TEST_REGRESSION,
            "t.py::b",
            id="green alone, and the whole dies",
        ),
        pytest.param(
            GREEN,
            [STUCK, WITH_R, WITH_R],
            {},
            FailureKind.UNRUNNABLE,
            "CI cannot judge",
            id="a module that is red by chance hid the tests",
        ),
        pytest.param(
            GREEN,
            [STUCK, WITH_R, STUCK],
            {},
            FailureKind.COLLECTION_ERROR,
            "r.py",
            id="a module that is red in every whole run",
        ),
        pytest.param(RED_B, [RED_B], {}, None, "1 pre-existing", id="red before"),
        pytest.param(RED_B, [GREEN], {}, None, "1 fixed", id="mended"),
        pytest.param(
            GREEN, [report(case("t.py::a"))], {}, FailureKind.TEST_REGRESSION, "t.py::b", id="deleted"
        ),
        pytest.param(
            GREEN,
            [report(case("t.py::a"), case("t.py::b", CiOutcome.SKIPPED))] * 2,
            {},
            FailureKind.TEST_REGRESSION,
            "t.py::b",
            id="skipped",
        ),
        pytest.param(
            GREEN,
            [STUCK, STUCK],
            {},
            FailureKind.COLLECTION_ERROR,
            "New collection errors (persistent): ['r.py']",
            id="new red module",
        ),
        pytest.param(
            GREEN,
            [
                report(
                    collectors=(case("conftest.py", CiOutcome.ERROR, "0", "SystemExit"),),
                    stage=CiStage.LOADED,
                    returncode=0,
                )
            ],
            {},
            FailureKind.UNRUNNABLE,
            "conftest.py",
            id="a conftest that leaves",
        ),
        pytest.param(
            STUCK, [STUCK], {}, FailureKind.COLLECTION_ERROR, "at the base", id="an old red module blocks"
        ),
        pytest.param(
            LIVES_WITH,
            [LIVES_WITH],
            {"collection_errors": "new-only"},
            None,
            "1 pre-existing",
            id="unless one lives with it",
        ),
        pytest.param(
            GREEN,
            [report(stage=CiStage.FINISHED, returncode=5, problem="no test was collected")],
            {},
            FailureKind.UNRUNNABLE,
            "no test was collected",
            id="nothing collected",
        ),
        pytest.param(
            GREEN,
            [
                report(
                    case("t.py::a"), stage=CiStage.RUNNING, returncode=-11, culprit="t.py::b", problem="died"
                )
            ],
            {},
            FailureKind.CRASHED,
            "signal 11",
            id="the interpreter died",
        ),
        pytest.param(
            GREEN,
            [replace(GREEN, stage=CiStage.RUNNING, returncode=None, timed_out=True, culprit="t.py::b")],
            {},
            FailureKind.TIMEOUT,
            "t.py::b",
            id="a test that hangs",
        ),
        pytest.param(
            report(stage=CiStage.NOTHING, returncode=127, problem="not found"),
            [report(stage=CiStage.NOTHING, returncode=127, problem="not found")],
            {},
            FailureKind.UNRUNNABLE,
            "not found",
            id="no interpreter, before and after",
        ),
        pytest.param(
            report(stage=CiStage.NOTHING, returncode=127, problem="not found"),
            [GREEN],
            {},
            None,
            "",
            id="CI was mended",
        ),
    ],
)
def test_the_kind_of_failure_follows_the_difference_to_the_base(before, after, settings, kind, named):
    verdict, _ = judge(before, *after, **settings)
    assert (verdict.failure.kind if verdict.failure else None) is kind
    assert named in (verdict.failure.message if verdict.failure else " ".join(verdict.notes))


@pytest.mark.parametrize(
    ("after", "asked"),
    [
        pytest.param([GREEN], [()], id="nothing is new"),
        pytest.param([RED_B, RED_B], [(), ("t.py::b",)], id="red alone too: that is enough"),
        pytest.param([RED_B, GREEN, GREEN], [(), ("t.py::b",), ()], id="green alone: the whole decides"),
    ],
)
def test_no_more_is_run_again_than_the_verdict_needs(after, asked):
    _, runner = judge(GREEN, *after)
    assert [request.only for request in runner.asked] == asked
    assert len({request.log_folder for request in runner.asked}) == len(asked)


@pytest.mark.parametrize(
    ("after", "is_stable"),
    [
        pytest.param([GREEN], True, id="green at once"),
        pytest.param([RED_B, GREEN, GREEN], False, id="red by chance"),
    ],
)
def test_a_result_that_is_red_by_chance_is_no_base_for_others(after, is_stable):
    judged = gate(Runner(*after)).judge(Room(), GREEN, Checks(), deleted_files=(), log_folder=Path("/logs"))
    assert judged.is_stable is is_stable


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        pytest.param({"rerun_failures": False}, 1, id="switched off"),
        pytest.param({"can_select": False}, 1, id="a command that cannot select"),
    ],
)
def test_a_rerun_can_be_left_out(options, runs):
    verdict, runner = judge(GREEN, RED_B, **options)
    assert (verdict.failure.kind, len(runner.asked)) == (FailureKind.TEST_REGRESSION, runs)


def plain(returncode):
    return CiReport(command="make test", stage=CiStage.FINISHED, returncode=returncode, has_cases=False)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        pytest.param(0, 0, None, id="fine"),
        pytest.param(0, 2, FailureKind.TEST_REGRESSION, id="broken by the change"),
        pytest.param(2, 0, None, id="mended by the change"),
        pytest.param(2, 2, FailureKind.UNRUNNABLE, id="shows nothing"),
    ],
)
def test_an_exit_code_alone_is_held_against_the_bases(before, after, kind):
    verdict, _ = judge(plain(before), plain(after), can_select=False)
    assert (verdict.failure.kind if verdict.failure else None) is kind


def test_a_baseline_is_captured_once_and_shared():
    store, room = MemoryStore(), Room()
    runner = Runner(GREEN)
    for _ in range(3):
        assert gate(runner, store).baseline("c", Checks(), room, log_folder=Path("/logs")) == GREEN
    assert room.resets == ["c"]


@pytest.mark.parametrize(
    ("first", "runs"),
    [
        pytest.param(replace(GREEN, returncode=None, timed_out=True), 2, id="a time limit"),
        pytest.param(replace(GREEN, returncode=-9, problem="died"), 2, id="a signal"),
        pytest.param(NO_COMMAND, 1, id="a missing program, which stays missing"),
    ],
)
def test_a_base_whose_run_was_killed_is_run_once_more(first, runs):
    runner, room = Runner(first, GREEN), Room()
    report = gate(runner).baseline("c", Checks(), room, log_folder=Path("/logs"))
    assert (len(runner.asked), room.resets) == (runs, ["c"] * runs)
    assert (report == GREEN) is (runs == 2)


def test_a_base_without_a_working_ci_is_looked_at_once_for_a_backlog():
    runner, clock = Runner(NO_COMMAND), FrozenClock()
    made = gate(runner, clock=clock)
    settings = CiSettings()
    for _ in range(200):
        base = made.baseline("c", Checks(), Room(), log_folder=Path("/logs"))
        failure = check_base(PhaseSpec(phase_id="p", goal="g"), base, settings)
        assert failure.kind is FailureKind.DOOMED
        clock.advance(2)
    assert len(runner.asked) == 1


LET_BE = {"collection_errors": "new-only"}


@pytest.mark.parametrize(
    ("kept", "settings", "passing", "doubted_after", "is_anew"),
    [
        pytest.param(NO_COMMAND, {}, 10, None, False, id="soon"),
        pytest.param(NO_COMMAND, {}, UNPROVEN_SECONDS, None, True, id="a quarter of an hour later"),
        pytest.param(NO_COMMAND, {}, 10, 5, True, id="for a phase that failed on it and is made again"),
        pytest.param(STUCK, {}, 10, None, False, id="red collectors, soon"),
        pytest.param(STUCK, {}, UNPROVEN_SECONDS, None, True, id="red collectors, later"),
        pytest.param(STUCK, {}, 10, 5, True, id="red collectors that doomed the phase"),
        pytest.param(LIVES_WITH, LET_BE, UNPROVEN_SECONDS, 5, False, id="red collectors that are let be"),
        pytest.param(RED_B, {}, UNPROVEN_SECONDS, 5, False, id="red tests, which doom nothing"),
    ],
)
def test_a_mended_ci_is_noticed(kept, settings, passing, doubted_after, is_anew):
    runner, clock, store = Runner(kept, GREEN), FrozenClock(), MemoryStore()
    made = gate(runner, store, clock, **settings)
    made.baseline("c", Checks(), Room(), log_folder=Path("/logs"))
    doubted_at = clock.now() + doubted_after if doubted_after else 0.0
    clock.advance(passing)
    report = made.baseline("c", Checks(), Room(), log_folder=Path("/logs"), doubted_at=doubted_at)
    assert (report == GREEN) is is_anew
    if is_anew:
        clock.advance(UNPROVEN_SECONDS * 100)
        again = gate(runner, store, clock).baseline("c", Checks(), Room(), log_folder=Path("/logs"))
        assert again == GREEN


def test_the_result_of_a_finished_phase_is_the_next_ones_baseline():
    store, runner = MemoryStore(), Runner()
    gate(runner, store).keep("c2", Checks(), GREEN)
    assert gate(runner, store).baseline("c2", Checks(), Room(), log_folder=Path("/logs")) == GREEN
    assert runner.asked == []
