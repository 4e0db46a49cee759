"""Forty-three small repositories whose test run is broken, or merely looks broken, each in its own way.

What pytest itself tells of them differs from version to version and is silent in a quarter of them; what a
CI runner must make of each is written beside it. The test and the benchmark of the collection gate share them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PYTEST = "python -m pytest -q"
VERSIONS = (7, 8, 9)

PASSING = "def test_ok():\n    pass\n"
BROKEN_IMPORT = "import missing_module\n\ndef test_x():\n    pass\n"
SEGFAULT = "import ctypes\nctypes.string_at(0)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a CI runner says of a case."""

    stage: str = "finished"
    exit: int | None = 0
    problem: str = ""
    """A part of the reason why the run proves nothing; empty when it does prove something."""
    red_collectors: tuple[str, ...] = ()
    skipped_collectors: tuple[str, ...] = ()
    red_tests: tuple[str, ...] = ()
    culprit: str = ""
    is_green: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A repository, the command that tests it, and what is to be said of it."""

    name: str
    files: Mapping[str, str]
    expected: Expected
    command: str = PYTEST
    by_version: Mapping[int, Expected] = field(default_factory=dict)
    """Where a version of pytest gives another result."""
    pythonpath: tuple[str, ...] = ("src",)
    timeout_seconds: float = 60

    def on(self, version: int) -> Expected:
        """What is to be said under this major version of pytest."""
        return self.by_version.get(version, self.expected)


def _red(*nodes: str, stage: str = "collecting", exit: int | None = 2) -> Expected:  # noqa: A002
    return Expected(stage=stage, exit=exit, red_collectors=nodes)


X = "tests/test_x.py"
BESIDE = {"tests/test_a.py": PASSING}
ONE_BROKEN = {X: BROKEN_IMPORT, **BESIDE}
CLEAN_EXIT = "import os\nos._exit(0)\n"
LEAVE_IN_TEST = "def test_a():\n    pass\n\ndef test_b():\n    import os; os._exit(0)\n"

CASES = (
    # A collector that fails, told as one.
    Case(name="import error", files=ONE_BROKEN, expected=_red(X)),
    Case(name="syntax error", files={X: "def test_x(:\n", **BESIDE}, expected=_red(X)),
    Case(
        name="bad parametrize",
        files={
            X: "import pytest\n@pytest.mark.parametrize('a,b', [1])\ndef test_x(a, b):\n    pass\n",
            **BESIDE,
        },
        expected=_red(X),
    ),
    Case(
        name="unknown mark",
        files={
            "pytest.ini": "[pytest]\naddopts = --strict-markers\n",
            X: "import pytest\n@pytest.mark.nope\ndef test_x():\n    pass\n",
            **BESIDE,
        },
        expected=_red(X),
    ),
    Case(
        name="module-level skip misused",
        files={X: "import pytest\npytest.skip('not here')\n", **BESIDE},
        expected=_red(X),
    ),
    Case(
        name="base names clash",
        files={"tests/a/test_x.py": PASSING, "tests/b/test_x.py": PASSING},
        expected=_red("tests/b/test_x.py"),
    ),
    Case(
        name="warning is an error",
        files={
            "pytest.ini": "[pytest]\nfilterwarnings = error\n",
            X: "import warnings\nwarnings.warn('old', DeprecationWarning)\n" + PASSING,
            **BESIDE,
        },
        expected=_red(X),
    ),
    Case(
        name="src not on the path",
        files={"src/pkg/__init__.py": "", X: "import pkg\n" + PASSING, **BESIDE},
        pythonpath=(),
        expected=_red(X),
    ),
    Case(name="import error with -x", files=ONE_BROKEN, command=f"{PYTEST} -x", expected=_red(X)),
    Case(
        name="import error, others continue",
        files=ONE_BROKEN,
        command=f"{PYTEST} --continue-on-collection-errors",
        expected=_red(X, stage="finished", exit=1),
    ),
    Case(
        name="import error, distributed",
        files=ONE_BROKEN,
        command=f"{PYTEST} -n2",
        expected=_red(X, stage="finished", exit=1),
    ),
    Case(
        name="conftest import error",
        files={"tests/conftest.py": "import missing_module\n", X: PASSING},
        command=f"{PYTEST} tests",
        expected=_red("tests/conftest.py", stage="loaded", exit=4),
    ),
    Case(
        name="conftest import error below",
        files={
            "tests/unit/conftest.py": "import missing_module\n",
            "tests/unit/test_x.py": PASSING,
            **BESIDE,
        },
        expected=_red("tests/unit"),
        by_version={7: _red("")},
    ),
    # Nothing is collected, and why is on the terminal alone.
    Case(
        name="unknown option",
        files={"pytest.ini": "[pytest]\naddopts = --nope\n", X: PASSING},
        expected=Expected(stage="loaded", exit=4, problem="unrecognized arguments: --nope"),
    ),
    Case(
        name="required plugin missing",
        files={"pytest.ini": "[pytest]\nrequired_plugins = pytest-nope\n", X: PASSING},
        expected=Expected(stage="loaded", exit=4, problem="Missing required plugins: pytest-nope"),
    ),
    Case(
        name="broken configuration",
        files={"pytest.ini": "[pytest\naddopts = -q\n", X: PASSING},
        expected=Expected(stage="nothing", exit=4, problem="pytest did not start (exit code 4)"),
    ),
    Case(
        name="plugin missing",
        files={"pytest.ini": "[pytest]\naddopts = -p nope_plugin\n", X: PASSING},
        expected=Expected(stage="nothing", exit=1, problem="nope_plugin"),
        by_version={9: Expected(stage="nothing", exit=4, problem="nope_plugin")},
    ),
    Case(
        name="path not found",
        files={X: PASSING},
        command=f"{PYTEST} tests/test_gone.py",
        expected=Expected(exit=4, problem="file or directory not found: tests/test_gone.py"),
    ),
    Case(
        name="test not found",
        files={X: PASSING},
        command=f"{PYTEST} {X}::test_gone",
        expected=Expected(exit=4, problem="pytest refused its arguments"),
    ),
    Case(
        name="no tests",
        files={"tests/helper.py": "X = 1\n"},
        expected=Expected(exit=5, problem="no tests were collected"),
    ),
    # The session leaves before it has told anything.
    Case(
        name="sys.exit(0) in conftest",
        files={"tests/conftest.py": "import sys\nsys.exit(0)\n", X: PASSING},
        command=f"{PYTEST} tests",
        expected=_red("tests/conftest.py", stage="loaded", exit=0),
    ),
    Case(
        name="os._exit(0) while importing",
        files={X: CLEAN_EXIT, **BESIDE},
        expected=Expected(stage="collecting", exit=0, problem="died (exit code 0)", culprit=X),
    ),
    Case(
        name="sys.exit(0) while importing",
        files={X: "import sys\nsys.exit(0)\n", **BESIDE},
        expected=Expected(stage="collecting", exit=3, problem="internal error: SystemExit: 0", culprit=X),
        by_version={7: _red(X)},
    ),
    Case(
        name="KeyboardInterrupt while importing",
        files={X: "raise KeyboardInterrupt\n", **BESIDE},
        expected=Expected(stage="collecting", exit=2, problem="interrupted: KeyboardInterrupt", culprit=X),
        by_version={7: _red(X)},
    ),
    Case(
        name="pytest.exit while importing",
        files={X: "import pytest\npytest.exit('enough', returncode=0)\n", **BESIDE},
        expected=_red(X),
    ),
    Case(
        name="hook raises",
        files={
            "conftest.py": "def pytest_collection_modifyitems():\n    raise RuntimeError('hook')\n",
            X: PASSING,
        },
        expected=Expected(stage="collecting", exit=3, problem="internal error: RuntimeError: hook"),
    ),
    Case(
        name="segfault while importing",
        files={X: SEGFAULT, **BESIDE},
        expected=Expected(stage="collecting", exit=-11, problem="died (SIGSEGV)", culprit=X),
    ),
    Case(
        name="hang while importing",
        files={X: "import threading\nthreading.Event().wait(600)\n", **BESIDE},
        timeout_seconds=4,
        expected=Expected(stage="collecting", exit=None, problem="timed out after", culprit=X),
    ),
    # Distributed: the session survives what killed its workers.
    Case(
        name="segfault while importing, distributed",
        files={X: SEGFAULT, **BESIDE},
        command=f"{PYTEST} -n2",
        timeout_seconds=240,
        expected=Expected(stage="collecting", exit=5, problem=f"a worker died at {X}", culprit=X),
    ),
    Case(
        name="os._exit(0) while importing, distributed",
        files={X: CLEAN_EXIT, **BESIDE},
        command=f"{PYTEST} -n2",
        timeout_seconds=240,
        expected=Expected(stage="collecting", exit=5, problem=f"a worker died at {X}", culprit=X),
    ),
    Case(
        name="segfault in a test, distributed",
        files={X: "def test_x():\n    import ctypes; ctypes.string_at(0)\n", **BESIDE},
        command=f"{PYTEST} -n2",
        expected=Expected(exit=1, red_tests=(f"{X}::test_x",)),
    ),
    # Tests run, and the run ends early or looks better than it is.
    Case(
        name="segfault in a test",
        files={X: "def test_x():\n    import ctypes; ctypes.string_at(0)\n", **BESIDE},
        expected=Expected(stage="running", exit=-11, problem="died (SIGSEGV)", culprit=f"{X}::test_x"),
    ),
    Case(
        name="os._exit(0) in a test",
        files={X: LEAVE_IN_TEST},
        expected=Expected(stage="running", exit=0, problem="died (exit code 0)", culprit=f"{X}::test_b"),
    ),
    Case(
        name="pytest.exit in a test",
        files={X: "import pytest\ndef test_a():\n    pytest.exit('enough', returncode=0)\n" + PASSING},
        expected=Expected(
            stage="running", exit=0, problem="interrupted: Exit: enough", culprit=f"{X}::test_a"
        ),
    ),
    Case(
        name="hang in a test",
        files={X: "def test_x():\n    import threading; threading.Event().wait(600)\n", **BESIDE},
        timeout_seconds=4,
        expected=Expected(stage="running", exit=None, problem="timed out after", culprit=f"{X}::test_x"),
    ),
    Case(
        name="exit code wiped by a hook",
        files={
            "conftest.py": "def pytest_unconfigure():\n    import os; os._exit(0)\n",
            X: "def test_x():\n    assert 0\n",
        },
        expected=Expected(exit=0, red_tests=(f"{X}::test_x",)),
    ),
    Case(
        name="fixture missing",
        files={X: "def test_x(nope):\n    pass\n", **BESIDE},
        expected=Expected(exit=1, red_tests=(f"{X}::test_x",)),
    ),
    Case(
        name="importorskip of a broken package",
        files={
            "src/pkg/__init__.py": "import missing_module\n",
            X: "import pytest\npkg = pytest.importorskip('pkg')\n" + PASSING,
            **BESIDE,
        },
        expected=Expected(skipped_collectors=(X,), is_green=True),
    ),
    Case(
        name="everything skipped",
        files={X: "import pytest\npytestmark = pytest.mark.skip('later')\n" + PASSING},
        expected=Expected(problem="all 1 tests were skipped"),
    ),
    Case(
        name="async test without a plugin",
        files={X: "async def test_x():\n    assert 0\n", **BESIDE},
        expected=Expected(exit=1, red_tests=(f"{X}::test_x",)),
        by_version={7: Expected(is_green=True)},
    ),
    Case(
        name="yield test",
        files={X: "def test_x():\n    yield 1\n", **BESIDE},
        expected=_red(X),
        by_version={7: Expected(is_green=True)},
    ),
    Case(
        name="failing test with -x",
        files={"tests/test_a.py": "def test_bad():\n    assert 0\n", X: PASSING},
        command=f"{PYTEST} -x",
        expected=Expected(exit=1, red_tests=("tests/test_a.py::test_bad",)),
    ),
    Case(name="all well", files={X: PASSING, **BESIDE}, expected=Expected(is_green=True)),
)
