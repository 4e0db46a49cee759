"""Modules are imported one by one, and whatever they do to their process is told."""

import os
import sys
import venv

import pytest
from rooms import best_sandbox

from autopack.adapters import ci_imports
from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox.none import NoSandbox
from autopack.errors import ProcessError
from autopack.settings import CiSettings


@pytest.fixture
def check(tmp_path, cache_folder):
    """Import modules of a worktree that holds these files."""
    worktree = tmp_path / "slots/1"
    worktree.mkdir(parents=True)
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python=sys.executable),
        root=tmp_path,
        sandbox=best_sandbox(tmp_path),
        cache_folder=cache_folder,
        environ=os.environ,
    )

    def check_modules(files, *modules, **limits):
        for name, text in files.items():
            (worktree / name).parent.mkdir(parents=True, exist_ok=True)
            (worktree / name).write_text(text)
        return runner.import_modules(worktree, modules, log_folder=tmp_path / "logs", **limits)

    return check_modules


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(
            "import missing_module", "ModuleNotFoundError: No module named 'missing_module'", id="import"
        ),
        pytest.param("def broken(:", "SyntaxError: invalid syntax (mod.py, line 1)", id="syntax"),
        pytest.param("raise ValueError('first\\nsecond')", "ValueError: first", id="first line"),
        pytest.param("import sys; sys.exit(3)", "SystemExit: 3", id="exit"),
        pytest.param("import sys; sys.exit()", "SystemExit: ", id="silent exit"),
        pytest.param(
            "import os; os._exit(0)", "crash: the import left the process with exit code 0", id="leave"
        ),
        pytest.param("import ctypes; ctypes.string_at(0)", "crash: signal 11", id="segfault"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "crash: signal 9", id="kill"),
        pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt: ", id="interrupt"),
        pytest.param("class E(Exception):\n    __str__ = None\nraise E", "E: ", id="unprintable"),
        pytest.param(
            "import signal; signal.raise_signal(14)", "timeout: the import did not end within 60 s", id="time"
        ),
    ],
)
def test_a_module_that_fails_is_told(check, text, error):
    assert check({"mod.py": text, "good.py": ""}, "good", "mod") == {"mod": error}


@pytest.mark.parametrize(
    ("timeout_seconds", "told"),
    [pytest.param(0.25, "0.25", id="the caller's"), pytest.param(900, "60", id="never more than a minute")],
)
def test_the_time_of_a_module_is_the_smaller_one(check, timeout_seconds, told):
    # What waits for a signal ends with the time; the other one shows what it was given.
    left = "signal.getitimer(signal.ITIMER_REAL)[0]"
    text = f"import signal\nsignal.pause() if {left} < 1 else signal.raise_signal(14)"
    found = check({"mod.py": text}, "mod", timeout_seconds=timeout_seconds)
    assert found == {"mod": f"timeout: the import did not end within {told} s"}


def test_a_module_beside_a_crash_is_imported(check):
    files = {"a.py": "import os; os._exit(1)", "b.py": "X = 1", "c.py": "import a"}
    assert set(check(files, "a", "b", "c", "json")) == {"a", "c"}


def test_each_module_is_imported_as_if_alone(check):
    files = {
        "pkg/__init__.py": "",
        "pkg/one.py": "from pkg.two import Y\nX = Y\n",
        "pkg/two.py": "Y = 1\nfrom pkg.one import X\n",
    }
    # Whoever comes second in one process would be imported already.
    assert list(check(files, "pkg.one", "pkg.two")) == ["pkg.one"]
    assert list(check(files, "pkg.two", "pkg.one")) == ["pkg.one"]


def test_sources_below_src_are_found(check):
    assert (
        check({"src/own/__init__.py": "from own import part", "src/own/part.py": ""}, "own", "own.part") == {}
    )


def test_a_module_of_the_operators_checkout_is_not_the_worktrees(check, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/lent.py").write_text("")
    path = f"import sys; sys.path.append({str(tmp_path / 'lib')!r})\nfrom lent import *\nimport lent"
    in_a_room = {"own": "ModuleNotFoundError: No module named 'lent'"}
    assert check({"own.py": path}, "own") == (in_a_room if best_sandbox(tmp_path).is_confining else {})
    found = check({"lent.py": "import os; raise ImportError('mine')"}, "lent")
    assert found == {"lent": "ImportError: mine"}


def test_the_operators_own_copy_is_told(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/lent.py").write_text("")
    (tmp_path / "slot").mkdir()
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python=sys.executable),
        root=tmp_path,
        sandbox=NoSandbox("a room does not show the copy at all"),
        cache_folder=tmp_path / "cache",
        environ=dict(os.environ) | {"PYTHONPATH": str(tmp_path / "lib")},
    )
    found = runner.import_modules(tmp_path / "slot", ["lent"], log_folder=tmp_path / "logs")
    assert "imported from the operator's checkout" in found["lent"]


def test_without_an_interpreter_nothing_is_known(tmp_path):
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(python="/nowhere/python"),
        root=tmp_path,
        sandbox=best_sandbox(tmp_path),
        cache_folder=tmp_path / "cache",
        environ=os.environ,
    )
    with pytest.raises(ProcessError, match="no Python interpreter"):
        runner.import_modules(tmp_path, ["json"], log_folder=tmp_path / "logs")


def test_an_environment_that_holds_nothing_of_ours_is_enough(tmp_path):
    venv.create(tmp_path / "repository/.venv", symlinks=True, with_pip=False)
    (tmp_path / "slot").mkdir()
    (tmp_path / "slot/good.py").write_text("")
    (tmp_path / "slot/bad.py").write_text("import missing_module")
    runner = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=CiSettings(),
        root=tmp_path / "repository",
        sandbox=best_sandbox(tmp_path / "repository"),
        cache_folder=tmp_path / "cache",
        environ={"PATH": os.defpath},
    )
    found = runner.import_modules(tmp_path / "slot", ["good", "bad"], log_folder=tmp_path / "logs")
    assert found == {"bad": "ModuleNotFoundError: No module named 'missing_module'"}


@pytest.mark.parametrize(
    ("text", "seconds", "told"),
    [
        pytest.param("import os; os.kill(os.getppid(), 9)", 600, "it ended with exit code -9", id="killed"),
        pytest.param(
            "import os, time; os.kill(os.getppid(), 19); time.sleep(60)",
            5,
            "did not end within",
            id="stopped",
        ),
    ],
)
def test_a_check_that_was_not_carried_through_proves_nothing(check, monkeypatch, text, seconds, told):
    monkeypatch.setattr(ci_imports, "_SECONDS_AT_MOST", seconds)
    with pytest.raises(ProcessError, match=told):
        check({"mod.py": text, "good.py": ""}, "mod", "good")


FORGED = """
import glob, json, os
record, = glob.glob({folder!r} + "/*.record.jsonl")
with open(record, "a") as file:
    file.write({line!r} + chr(10))
"""


@pytest.mark.parametrize(
    ("line", "then"),
    [
        pytest.param('{"module": "mod", "error": ""}', "1 / 0", id="its own import"),
        pytest.param('{"module": "bad", "error": ""}', "", id="another's import"),
        pytest.param('{"module": "mod", "error": ""}', "os.kill(os.getppid(), 9)", id="and an end"),
        pytest.param("[" * 100_000, "", id="what cannot be read"),
        pytest.param("[1]", "", id="no result"),
    ],
)
def test_a_module_that_writes_into_the_record_proves_nothing(check, tmp_path, line, then):
    forged = FORGED.format(folder=str(tmp_path / "logs"), line=line) + then
    with pytest.raises(ProcessError, match="proves nothing"):
        check({"mod.py": forged, "bad.py": "1 / 0"}, "mod", "bad")


def test_nothing_to_import_starts_nothing(check):
    assert check({}) == {}
