"""What the tests of a change can do to the machine, to the repository and to the next change: nothing.

Every attack is made with walls and without; without them it must succeed, or the test would prove nothing.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from project import give_cache
from rooms import best_sandbox, make_sandbox, pids_marked

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.git import open_workspace
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox import NoSandbox
from autopack.domain.ci_report import CiOutcome, CiReport, is_green
from autopack.ports import CiRequest
from autopack.settings import CiSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")
TEST = "def test_nothing():\n    pass\n"
PYTEST = "python -m pytest -q -s -p no:cacheprovider"
COMMAND = os.environ.get("AUTOPACK_TEST_CI_COMMAND", PYTEST)
"""What tries a change; whoever wants to know of the attacks alone runs them without pytest."""
IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@localhost")


class Site:
    """An operator's repository with a secret, a pool of worktrees, and CI in rooms of one kind."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.root = folder / "repository"
        self.root.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        self.git("init", "-q", "-b", "main")
        (self.root / "tests").mkdir()
        (self.root / "tests/test_a.py").write_text(TEST)
        (self.root / "own.py").write_text("VALUE = 'as committed'\n")
        self.git("add", "-A")
        self.git(*IDENTITY, "commit", "-qm", "first")
        self.git("config", "remote.origin.url", "https://ann:hunter2@example.org/a.git")
        for name in ("modules/sub/config", "credentials"):
            (self.root / ".git" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / ".git" / name).write_text("https://ann:hunter2@example.org\n")
        (self.root / ".env").write_text("PASSWORD=hunter2\n")
        (self.home / ".netrc").write_text("machine example.org password hunter2\n")
        self.state = self.root / ".autopack"
        self.workspace = open_workspace(self.root, state_folder=self.state, max_slots=2)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        if kind == "none":
            self.sandbox = NoSandbox("a test wants it")
        else:
            self.sandbox = (
                best_sandbox(self.root, self.environ) if kind == "best" else make_sandbox(kind, self.root)
            )
        if COMMAND == PYTEST:
            give_cache(self.state)
        (self.state / "autopack.db").write_text("hunter2\n")

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout

    def run(
        self,
        worktree: Path,
        command: str | None = None,
        *,
        timeout_seconds: float = 120,
    ) -> CiReport:
        runner = CommandCi(
            GuardedProcesses(SystemClock()),
            settings=CiSettings(python=sys.executable),
            root=self.root,
            cache_folder=self.state / "cache",
            environ=self.environ,
            sandbox=self.sandbox,
        )
        return runner.run(
            CiRequest(
                worktree=worktree,
                command=command or COMMAND,
                timeout_seconds=timeout_seconds,
                log_folder=self.folder / "logs",
            )
        )

    def attack(self, code: str, name: str = "conftest.py", **request) -> CiReport:
        """CI of a change that adds a file of this content."""
        with self.workspace.worktree() as worktree:
            worktree.reset(self.workspace.resolve("HEAD"))
            (worktree.path / name).write_text(code)
            return self.run(worktree.path, **request)

    @property
    def said(self) -> str:
        return "".join(
            path.read_text(errors="replace") for path in sorted((self.folder / "logs").glob("*.log"))
        )


@pytest.fixture(params=["best", "none"])
def site(request, tmp_path):
    made = Site(tmp_path, request.param)
    yield made
    made.workspace.close()


@pytest.fixture
def walled(tmp_path):
    made = Site(tmp_path, "best")
    yield made
    made.workspace.close()


def test_what_is_attacked_is_nobody_elses(walled):
    compiled = list((walled.state / "cache").rglob("*.pyc"))
    assert {path.stat().st_nlink for path in compiled} == {1}


def test_git_shows_its_history_in_a_room(walled):
    command = "git status --short && git log --oneline && git diff HEAD && git blame own.py"
    report = walled.attack("# new\n", command=command)
    assert report.returncode == 0, walled.said
    assert "?? conftest.py" in walled.said
    assert " first" in walled.said


def test_a_good_suite_is_green_in_a_room(walled):
    assert is_green(walled.attack("# harmless\n"))


STEAL = """
import pathlib
for name in {names!r}:
    try:
        print("found", pathlib.Path(name).read_text())
    except OSError as error:
        print(name, error)
"""


@pytest.mark.parametrize(
    "place",
    [
        ".env",
        ".git/config",
        ".git/modules/sub/config",
        ".git/credentials",
        ".autopack/autopack.db",
        "../home/.netrc",
    ],
)
def test_a_conftest_reads_no_secret(site, place):
    site.attack(STEAL.format(names=[str(site.root / place)]))
    assert ("hunter2" in site.said) is not site.sandbox.is_confining


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("own.py", id="the operator's checkout"),
        pytest.param(".git/config", id="the configuration of git"),
        pytest.param(".git/hooks/post-checkout", id="a hook"),
        pytest.param(".git/refs/heads/main", id="a branch"),
        pytest.param(".git/worktrees/slot-0/HEAD", id="the worktree's own administration"),
        pytest.param(".autopack/autopack.db", id="the database"),
        pytest.param(".autopack/worktrees/slot-0.index", id="our index"),
        pytest.param(".autopack/config.toml", id="the settings"),
        pytest.param("../home/.profile", id="the home"),
    ],
)
def test_a_conftest_writes_nowhere_else(site, place):
    path = site.root / place
    site.attack(f"open({str(path)!r}, 'a').write('written')\n")
    written = path.exists() and "written" in path.read_text(errors="replace")
    assert written is not site.sandbox.is_confining


def test_a_conftest_reaches_no_network(site):
    code = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    any_socket.connect(("192.0.2.1", 9))
    print("reached", any_socket.getsockname())
"""
    site.attack(code)
    assert ("reached" in site.said) is not site.sandbox.is_confining


def test_nothing_that_tests_start_is_left(site):
    code = f"""
import subprocess
subprocess.Popen(["sleep", "300"], env={{"MARKED": {str(site.folder)!r}}}, start_new_session=True)
"""
    site.attack(code)
    assert pids_marked(site.folder) == []


def test_a_crash_is_told_by_its_signal(walled):
    report = walled.attack(
        "def test_a():\n    import ctypes\n    ctypes.string_at(0)\n", name="tests/test_b.py"
    )
    assert report.problem == "died (SIGSEGV) at tests/test_b.py::test_a"
    assert report.returncode == -11


# A module of the interpreter's own, and one of the worktree, in the store of compiled modules.
PLANT = """
import importlib.util, os, pathlib, py_compile, sys
def plant(source, code):
    target = pathlib.Path(importlib.util.cache_from_source(source))
    evil = pathlib.Path("evil.py")
    evil.write_text(code)
    compiled = pathlib.Path(py_compile.compile("evil.py", cfile="evil.pyc", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(compiled.read_bytes())
    except OSError as error:
        print(error)
plant({source!r}, {code!r})
"""


@pytest.mark.parametrize("module", ["antigravity", "own"])
def test_a_change_leaves_no_code_for_the_next(site, module):
    with site.workspace.worktree() as worktree:
        worktree.reset(site.workspace.resolve("HEAD"))
        here = str(worktree.path / "own.py")
    source = here if module == "own" else str(Path(os.__file__).with_name("antigravity.py"))
    site.attack(PLANT.format(source=source, code="VALUE = 'planted'\nprint('planted code runs')\n"))

    site.attack(f"import {module}\n")

    # What was planted for the worktree is gone with its state, with walls and without.
    runs = not site.sandbox.is_confining and module != "own"
    assert ("planted code runs" in site.said) is runs


def test_what_a_change_leaves_for_git_outside_is_not_run(site):
    trace = site.folder / "trace"
    program = f"#!/bin/sh\necho ran >> {trace}\ncat\n"
    code = f"""
import os, pathlib, subprocess
def write(path, text):
    try:
        pathlib.Path(path).write_text(text)
        os.chmod(path, 0o755)
    except OSError as error:
        print(error)
write("evil.sh", {program!r})
write(".gitattributes", "* filter=evil diff=evil merge=evil\\n")
here = os.getcwd()
config = f"[core]\\n\\thooksPath = {{here}}/hooks\\n\\tfsmonitor = {{here}}/evil.sh\\n[filter \\"evil\\"]\\n\\tclean = {{here}}/evil.sh\\n"
os.makedirs("hooks", exist_ok=True)
for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-commit"):
    write(f"hooks/{{hook}}", {program!r})
for path in (".git/config", {str(site.root / ".git/config")!r}):
    try:
        with open(path, "a") as file:
            file.write(config)
    except OSError as error:
        print(error)
try:
    os.rename(".git", "aside")
    subprocess.run(["git", "init", "-q", "."])
    write(".git/config", config)
except OSError as error:
    print(error)
"""
    head = site.workspace.resolve("HEAD")
    with site.workspace.worktree() as worktree:
        worktree.reset(head)
        (worktree.path / "conftest.py").write_text(code)
        site.run(worktree.path)
        (worktree.path / "own.py").write_text("VALUE = 'changed'\n")
        assert "+VALUE = 'changed'" in worktree.diff()
        worktree.commit(message="a change", parent=head)
        assert not trace.exists()
        # The trap is set: git as an operator types it would step into it, had the walls not kept it out.
        subprocess.run(["git", "status"], cwd=site.root, check=False, capture_output=True)
        assert trace.exists() is not site.sandbox.is_confining
        trace.unlink(missing_ok=True)
        worktree.reset(head)
        assert sorted(path.name for path in worktree.path.iterdir()) == [".git", "own.py", "tests"]
    assert not trace.exists()


@pytest.mark.slow
def test_many_files_are_no_trouble(walled):
    code = f"""
import os
os.mkdir("many")
for number in range({FILES}):
    if number % 1000 == 0:
        os.mkdir(f"many/{{number}}")
    os.close(os.open(f"many/{{number // 1000 * 1000}}/{{number}}", os.O_CREAT | os.O_WRONLY))
"""
    with walled.workspace.worktree() as worktree:
        worktree.reset(walled.workspace.resolve("HEAD"))
        (worktree.path / "conftest.py").write_text(code)
        assert is_green(walled.run(worktree.path, timeout_seconds=max(120, FILES / 1_000)))
        assert (worktree.path / f"many/{FILES - 1000}/{FILES - 1}").exists()
        worktree.reset(walled.workspace.resolve("HEAD"))
        assert not (worktree.path / "many").exists()


FILES = int(os.environ.get("AUTOPACK_TEST_FILES", "30000"))
"""A million takes minutes; whoever wants to know sets the variable."""


def test_a_folder_that_cannot_be_entered_is_cleared(walled):
    with walled.workspace.worktree() as worktree:
        worktree.reset(walled.workspace.resolve("HEAD"))
        (worktree.path / "conftest.py").write_text(
            "import os\nos.makedirs('locked/in')\nos.chmod('locked', 0)\n"
        )
        walled.run(worktree.path)
        worktree.reset(walled.workspace.resolve("HEAD"))
        assert not (worktree.path / "locked").exists()


def test_a_test_that_fails_only_for_want_of_a_network_says_so_itself(walled):
    code = "import socket\n\ndef test_a():\n    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
    report = walled.attack(code, name="tests/test_b.py")
    assert report.tests["tests/test_b.py::test_a"].outcome is CiOutcome.FAILED
    assert "unreachable" in report.tests["tests/test_b.py::test_a"].message
