"""What is noticed before a token is spent, and what must not be stopped."""

import pytest

from autopack.domain.ci_report import CiCase, CiOutcome, CiReport, CiStage
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseKind, PhaseSpec, Scope
from autopack.execution.doom import check_base, check_paths
from autopack.settings import CiSettings

BLOCK = CiSettings()
NEW_ONLY = CiSettings(collection_errors="new-only")


def phase(*paths, kind=PhaseKind.BUILD, deliverables=()):
    return PhaseSpec(phase_id="p", goal="g", scope=Scope(paths=paths), kind=kind, deliverables=deliverables)


def report(*collectors, stage=CiStage.FINISHED, returncode=2, evidence="", problem="", tests=True):
    case = CiCase(node_id="tests/test_ok.py::test_ok", outcome=CiOutcome.PASSED, file="tests/test_ok.py")
    return CiReport(
        command="python -m pytest -q",
        stage=stage,
        returncode=returncode,
        tests={case.node_id: case} if tests else {},
        collectors={case.node_id: case for case in collectors},
        evidence=evidence,
        problem=problem,
    )


def red(node_id, error_type, message):
    return CiCase(
        node_id=node_id, outcome=CiOutcome.ERROR, file=node_id, error_type=error_type, message=message
    )


NO_PRAW = red("tests/gather/test_reddit.py", "ModuleNotFoundError", "No module named 'praw'")
NO_NEW = red("tests/test_new.py", "ModuleNotFoundError", "No module named 'pkg.newmod'")
BAD_NAME = red(
    "tests/test_x.py", "ImportError", "cannot import name 'x' from 'pkg.core' (/a/b/src/pkg/core.py)"
)


@pytest.mark.parametrize(
    ("spec", "base", "settings", "is_doomed"),
    [
        pytest.param(phase("docs/"), report(returncode=0), BLOCK, False, id="a green base stops nothing"),
        pytest.param(phase("docs/"), report(NO_PRAW), BLOCK, True, id="a red module blocks unrelated work"),
        pytest.param(phase("docs/"), report(NO_PRAW), NEW_ONLY, False, id="the operator lives with it"),
        pytest.param(
            phase("docs/", kind=PhaseKind.REMEDIATION),
            report(NO_PRAW),
            BLOCK,
            False,
            id="a remediation goes on",
        ),
        pytest.param(phase("tests/gather/"), report(NO_PRAW), BLOCK, False, id="the red module is in scope"),
        pytest.param(
            phase("tests/gather/test_reddit.py"), report(NO_PRAW), BLOCK, False, id="it is the scope"
        ),
        pytest.param(
            phase("src/pkg/newmod.py"), report(NO_NEW), BLOCK, False, id="the missing module is to be made"
        ),
        pytest.param(phase("src/pkg/newmod/"), report(NO_NEW), BLOCK, False, id="or its package"),
        pytest.param(
            phase("src/pkg/core.py"), report(BAD_NAME), BLOCK, False, id="the file that the error names"
        ),
        pytest.param(phase("src/"), report(BAD_NAME), BLOCK, False, id="a folder above that file"),
        pytest.param(
            phase("src/pkg/other.py"), report(BAD_NAME), BLOCK, True, id="a file beside it mends nothing"
        ),
        pytest.param(
            phase("src/pkg/core.py"),
            report(BAD_NAME, NO_PRAW),
            BLOCK,
            True,
            id="one of two causes is out of reach",
        ),
        pytest.param(
            phase("docs/"),
            report(
                stage=CiStage.LOADED,
                returncode=4,
                tests=False,
                evidence="conftest.py: boom",
                problem="no run",
            ),
            BLOCK,
            True,
            id="CI cannot run and the scope is far from the cause",
        ),
        pytest.param(
            phase("tests/conftest.py"),
            report(
                stage=CiStage.LOADED,
                returncode=4,
                tests=False,
                evidence="tests/conftest.py: boom",
                problem="no",
            ),
            BLOCK,
            False,
            id="CI cannot run and the scope holds the cause",
        ),
        pytest.param(
            phase("src/"),
            report(stage=CiStage.NOTHING, returncode=127, tests=False, problem="not found"),
            BLOCK,
            True,
            id="no file can mend a missing command",
        ),
    ],
)
def test_the_base_is_judged_by_the_gates_own_rules(spec, base, settings, is_doomed):
    failure = check_base(spec, base, settings)
    assert (failure is not None) is is_doomed
    if failure is not None:
        assert failure.kind is FailureKind.DOOMED
        assert failure.hint


class Files:
    """A tree of regular files and links."""

    commit = "c"

    def __init__(self, **modes):
        self._modes = {path.replace("__", "/"): mode for path, mode in modes.items()}

    def read(self, path):
        return b"" if path in self._modes else None

    def mode(self, path):
        return self._modes.get(path)

    def paths(self, prefix=""):
        return sorted(path for path in self._modes if path.startswith(prefix))


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        pytest.param(phase("src/"), None, id="an ordinary folder"),
        pytest.param(phase("src/new/deep/file.py"), None, id="a path that is still to be made"),
        pytest.param(phase("link/x.py"), "link", id="through a link"),
        pytest.param(phase("a__b/x.py"), None, id="a folder with the same start"),
        pytest.param(phase("src", deliverables=("file/x.py",)), "file", id="a deliverable below a file"),
        pytest.param(
            phase("src", deliverables=(".github/x.yml",)), ".github/x.yml", id="a protected deliverable"
        ),
        pytest.param(phase("../x"), "../x", id="out of the tree"),
    ],
)
def test_paths_that_no_change_can_satisfy_are_named(spec, named):
    tree = Files(link="120000", file="100644", src__a="100644")
    failure = check_paths(spec, tree, (".github/",))
    assert (failure is None) is (named is None)
    if failure is not None:
        assert failure.kind is FailureKind.DOOMED
        assert named in failure.message
