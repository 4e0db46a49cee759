"""What counts as proof that a blocker is gone."""

import os

import pytest
from project import Project

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.git import open_workspace
from autopack.adapters.process import GuardedProcesses
from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage
from autopack.settings import CiSettings
from autopack.triage.validation import Check, Validation, Validator, judge


def cases(**outcomes):
    return {name: CiCase(node_id=name, outcome=outcome) for name, outcome in outcomes.items()}


def report(returncode, *, tests=None, collectors=None, stage=CiStage.FINISHED, **changes):
    return CiReport(
        command="make test",
        stage=stage,
        returncode=returncode,
        tests=cases(**(tests or {})),
        collectors=cases(**(collectors or {})),
        **changes,
    )


RED, GREEN = {"t.py::a": CiOutcome.FAILED}, {"t.py::a": CiOutcome.PASSED}
BROKEN, SOUND = {"t.py": CiOutcome.ERROR}, {"t.py": CiOutcome.PASSED}


@pytest.mark.parametrize(
    ("check", "seen", "passed"),
    [
        pytest.param(Check.CI, report(0, has_cases=False), True, id="exit code 0"),
        pytest.param(Check.CI, report(2, has_cases=False), False, id="another exit code"),
        pytest.param(Check.TESTS, report(2, has_cases=False), False, id="another one, of tests"),
        pytest.param(Check.COLLECTION, report(2, has_cases=False), False, id="another one, of modules"),
        pytest.param(Check.CI, report(None, has_cases=False), False, id="killed"),
        pytest.param(Check.CI, report(0, tests=GREEN, collectors=SOUND), True, id="green tests"),
        pytest.param(Check.CI, report(2, tests=GREEN, collectors=SOUND), False, id="green tests and exit 2"),
        pytest.param(Check.CI, report(1, tests=RED, collectors=SOUND), True, id="red tests of another cause"),
        pytest.param(Check.TESTS, report(1, tests=RED, collectors=SOUND), False, id="red tests"),
        pytest.param(Check.TESTS, report(0, tests=GREEN, collectors=SOUND), True, id="tests that pass"),
        pytest.param(Check.CI, report(2, collectors=BROKEN), False, id="a broken module"),
        pytest.param(Check.COLLECTION, report(0, collectors=SOUND), True, id="collected"),
        pytest.param(Check.COLLECTION, report(2, collectors=BROKEN), False, id="not collected"),
        pytest.param(Check.COLLECTION, report(5, collectors=SOUND), True, id="collected, and skips itself"),
        pytest.param(Check.COLLECTION, report(3, collectors=SOUND), False, id="collected, and broke down"),
        pytest.param(Check.COLLECTION, report(None, collectors=SOUND), False, id="collected, and killed"),
    ],
)
def test_what_shows_that_a_blocker_is_gone(check, seen, passed):
    validation = Validation(check=check, command="make test", targets=("t.py",), ci="make test")
    assert judge(validation, seen).passed is passed


@pytest.mark.parametrize(("code", "passed"), [(0, True), (2, False)])
def test_a_command_of_any_kind_is_run_on_the_fixed_commit(tmp_path, code, passed):
    project = Project.make(tmp_path / "repository", {"check.sh": f"exit {code}\n"})
    root, settings = project.root, project.settings
    processes = GuardedProcesses(SystemClock())
    workspace = open_workspace(root, state_folder=settings.state_folder, max_slots=1)
    validator = Validator(
        workspace=workspace,
        runner=CommandCi(
            processes, settings=CiSettings(), root=root, cache_folder=tmp_path / "cache", environ=os.environ
        ),
        processes=processes,
        settings=settings,
        environ=os.environ,
        sandbox="NONE (a test wants it)",
        rehearse=lambda fingerprint, commit: pytest.fail("no change is tried"),
    )
    validation = Validation(check=Check.CI, command="sh check.sh", ci="sh check.sh")
    found = validator.run(validation, workspace.resolve("HEAD"))
    assert found.passed is passed
    assert f"exit code {code}" in found.text
    assert found.evidence.endswith(", without a sandbox")
