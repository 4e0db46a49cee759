"""What would make a red suite green without a test that says so."""

import pytest

from autopack.domain.change import EditAction, FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseSpec, Scope
from autopack.execution.gates_case import GateInput
from autopack.execution.gates_runner import runner_untouched

HOOK = b"def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
FIXTURE = b"import pytest\n\n\n@pytest.fixture\ndef pytest_thing():\n    return 1\n"


def judge(tree, path, content, *, scope=("src/", "tests/", "pytest.py")):
    action = EditAction.MODIFY if tree.mode(path) else EditAction.CREATE
    spec = PhaseSpec(phase_id="p", goal="g", scope=Scope(paths=scope))
    edits = (FileEdit(path=path, action=action, content=content),)
    return runner_untouched(GateInput(spec=spec, edits=edits, tree=tree))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        pytest.param("pytest.py", b"", id="a module in the runner's place"),
        pytest.param("src/pytest/__init__.py", b"", id="a package in its place"),
        pytest.param("src/autopack_ci_recorder.py", b"", id="the recorder's place"),
        pytest.param("sitecustomize.py", b"", id="run before everything"),
        pytest.param("tests/conftest.py", HOOK, id="a hook that says passed"),
        pytest.param(
            "tests/sub/plugin.py", b"class P:\n    " + HOOK.replace(b"\n    ", b"\n        "), id="in a class"
        ),
    ],
)
def test_a_change_that_speaks_for_the_runner_is_blocked(path, content, tree_of):
    verdict = judge(tree_of({}), path, content)
    assert verdict.failure is not None
    assert verdict.failure.kind is FailureKind.PROTECTED_PATH
    assert path in verdict.failure.message


@pytest.mark.parametrize(
    ("path", "content", "scope"),
    [
        pytest.param("tests/conftest.py", FIXTURE, ("tests/",), id="a fixture"),
        pytest.param("tests/conftest.py", HOOK, ("tests/conftest.py",), id="the scope names the file"),
        pytest.param("tests/old.py", HOOK + b"# more\n", ("tests/",), id="the hook was there before"),
        pytest.param("src/pkg/pytest.py", b"", ("src/",), id="a module of a package"),
        pytest.param(
            "tests/broken.py", b"def pytest_pyfunc_call(:\n", ("tests/",), id="left to the syntax gate"
        ),
    ],
)
def test_other_changes_are_let_be(path, content, scope, tree_of):
    verdict = judge(tree_of({"tests/old.py": HOOK}), path, content, scope=scope)
    assert verdict.failure is None
