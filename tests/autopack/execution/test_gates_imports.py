"""The import gate: what a change touches can still be imported, by a real interpreter in a real folder."""

import os
import sys
from dataclasses import dataclass

import pytest
from rooms import best_sandbox

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.domain.change import EditAction, FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseSpec
from autopack.domain.verdicts import GateStatus
from autopack.errors import ProcessError, RoomError
from autopack.execution.failures import fault
from autopack.execution.gates_case import GateInput
from autopack.execution.gates_imports import ImportGate, importable_modules
from autopack.settings import CiSettings

BASE = {
    "src/pkg/__init__.py": b"",
    "src/pkg/good.py": b"x = 1\n",
    "src/pkg/bad.py": b"import no_such_module\n",
    "flat/__init__.py": b"",
    "flat/inner/__init__.py": b"",
    "loose/inner/__init__.py": b"",
}


def edit(path, content=b""):
    action = EditAction.MODIFY if path in BASE else EditAction.CREATE
    return FileEdit(path=path, action=action, content=content)


@pytest.mark.parametrize(
    ("path", "modules"),
    [
        pytest.param("src/pkg/good.py", ("pkg.good",), id="below src"),
        pytest.param("src/pkg/__init__.py", ("pkg",), id="the package"),
        pytest.param("src/new/deep/mod.py", ("new.deep.mod",), id="a namespace below src"),
        pytest.param("src/single.py", ("single",), id="a single module below src"),
        pytest.param("flat/mod.py", ("flat.mod",), id="a package at the top"),
        pytest.param("flat/inner/mod.py", ("flat.inner.mod",), id="a package in it"),
        pytest.param("loose/inner/mod.py", (), id="a package in no package"),
        pytest.param("tool.py", (), id="a file at the top"),
        pytest.param("src/pkg/__main__.py", (), id="a program"),
        pytest.param("src/pkg/tests/helper.py", (), id="tests"),
        pytest.param("src/pkg/test_x.py", (), id="a test"),
        pytest.param("src/pkg/x_test.py", (), id="a test, the other way round"),
        pytest.param("src/conftest.py", (), id="conftest"),
        pytest.param("flat/migrations/0001_first.py", (), id="a migration"),
        pytest.param("src/pkg/not-a-name.py", (), id="no name of a module"),
        pytest.param("src/pkg/data.json", (), id="no Python"),
    ],
)
def test_which_changed_files_are_modules(path, modules, tree_of):
    assert importable_modules([edit(path)], tree_of(BASE)) == modules


def test_a_package_that_the_change_makes_counts(tree_of):
    edits = [edit("fresh/__init__.py"), edit("fresh/mod.py")]
    assert importable_modules(edits, tree_of(BASE)) == ("fresh", "fresh.mod")
    assert importable_modules(edits[1:], tree_of(BASE)) == ()


def test_src_may_be_a_package_itself(tree_of):
    assert importable_modules([edit("src/pkg/good.py")], tree_of({**BASE, "src/__init__.py": b""})) == (
        "src.pkg.good",
    )


def test_a_deleted_file_is_no_module(tree_of):
    gone = FileEdit(path="src/pkg/good.py", action=EditAction.DELETE, content=None)
    assert importable_modules([gone], tree_of(BASE)) == ()


@pytest.fixture
def judge(tmp_path, tree_of):
    """Write the base and edits to two folders and judge the edits there."""
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python=sys.executable),
        root=tmp_path / "repository",
        sandbox=best_sandbox(tmp_path / "repository"),
        cache_folder=tmp_path / "cache",
        environ=os.environ,
    )
    before, after = tmp_path / "slots/1", tmp_path / "slots/2"

    def run(*edits):
        for folder, files in ((before, BASE), (after, {**BASE, **{e.path: e.content for e in edits}})):
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        gate = ImportGate(
            runner=runner,
            worktree=after,
            log_folder=tmp_path / "logs",
            base_failures=lambda modules: runner.import_modules(
                before, modules, log_folder=tmp_path / "base"
            ),
        )
        return gate(GateInput(spec=PhaseSpec(phase_id="p", goal="g"), edits=edits, tree=tree_of(BASE)))

    return run


def test_modules_that_can_be_imported_pass(judge):
    assert judge(edit("src/pkg/good.py", b"x = 2\n"), edit("src/pkg/new.py")).status is GateStatus.PASSED


def test_a_module_that_the_change_broke_blocks(judge):
    failure = judge(
        edit("src/pkg/good.py", b"import missing_one\n"), edit("src/pkg/new.py", b"1 / 0\n")
    ).failure
    assert failure.kind is FailureKind.IMPORT_ERROR
    assert failure.details == (
        "Cannot import pkg.good: ModuleNotFoundError: No module named 'missing_one'",
        "Cannot import pkg.new: ZeroDivisionError: division by zero",
    )
    assert failure.message == f"{failure.details[0]} (and 1 more)"


def test_a_module_that_failed_before_does_not_block(judge):
    verdict = judge(edit("src/pkg/bad.py", b"import no_such_module\nx = 1\n"))
    assert verdict.status is GateStatus.PASSED
    assert "pkg.bad failed before too" in verdict.notes[0]


def test_a_new_module_of_a_framework_that_is_not_set_up_does_not_block(judge):
    verdict = judge(
        edit(
            "src/pkg/models.py",
            b"class ImproperlyConfigured(Exception): ...\nraise ImproperlyConfigured('x')\n",
        )
    )
    assert verdict.status is GateStatus.PASSED
    assert "needs its surroundings" in verdict.notes[0]


def test_a_new_module_that_kills_the_interpreter_blocks(judge):
    verdict = judge(edit("src/pkg/dies.py", b"import os\nos.kill(os.getpid(), 9)\n"))
    assert verdict.failure.kind is FailureKind.IMPORT_ERROR


def test_a_module_that_ends_the_check_is_not_taken_for_one_that_failed_before(judge):
    verdict = judge(edit("src/pkg/bad.py", b"import os\nos.kill(os.getppid(), 9)\n"))
    assert verdict.status is GateStatus.UNRUNNABLE
    assert "exit code -9" in verdict.failure.message


def test_no_module_is_no_business_of_this_gate(judge):
    assert judge(edit("README.md", b"x")).status is GateStatus.NOT_APPLICABLE


def test_an_interpreter_that_cannot_be_started_blocks_as_unrunnable(tmp_path, tree_of):
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python=sys.executable),
        root=tmp_path,
        sandbox=best_sandbox(tmp_path),
        cache_folder=tmp_path / "cache",
        environ=os.environ,
    )
    (tmp_path / "src/pkg").mkdir(parents=True)
    (tmp_path / "src/pkg/good.py").write_text("import missing_one\n")

    def cannot_start(modules):
        raise ProcessError("no interpreter", hint="Install one.")

    gate = ImportGate(
        runner=runner, worktree=tmp_path, log_folder=tmp_path / "logs", base_failures=cannot_start
    )
    case = GateInput(
        spec=PhaseSpec(phase_id="p", goal="g"), edits=(edit("src/pkg/good.py"),), tree=tree_of(BASE)
    )
    verdict = gate(case)
    assert verdict.status is GateStatus.UNRUNNABLE
    assert verdict.failure.hint == "Install one."


@dataclass(frozen=True)
class Roomless:
    """A runner whose sandbox makes no room."""

    def import_modules(self, *_args, **_more):
        raise RoomError("no room")


def test_a_room_that_cannot_be_made_is_no_verdict_on_the_change(tree_of, tmp_path):
    gate = ImportGate(
        runner=Roomless(), worktree=tmp_path, log_folder=tmp_path / "logs", base_failures=lambda _modules: {}
    )
    case = GateInput(
        spec=PhaseSpec(phase_id="p", goal="g"), edits=(edit("src/pkg/good.py"),), tree=tree_of(BASE)
    )
    with pytest.raises(RoomError) as raised:
        gate(case)
    failure = fault(raised.value)
    assert (failure.kind, failure.retryable) == (FailureKind.INFRASTRUCTURE, True)
