import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent

import pytest
from rooms import best_sandbox

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.git import open_workspace
from autopack.adapters.import_scan import ImportScan
from autopack.adapters.locks import FileLocks
from autopack.adapters.process import GuardedProcesses
from autopack.domain.change import EditAction, FileEdit
from autopack.domain.failure import FailureKind
from autopack.domain.phase import Checks
from autopack.domain.verdicts import GateStatus
from autopack.execution.collection import BaseRequest, CollectionGate, CollectionRequest
from autopack.settings import CiSettings
from autopack.testing import MemoryStore

FILES = {
    "pkg/__init__.py": "",
    "pkg/m.py": "def f(a): ...\ndef g(): ...",
    "pkg/lazy.py": "def h(): ...",
    "tests/test_m.py": "from pkg.m import f\ndef test_f(): f(1)\ndef test_g(): f(2)",
    "tests/test_lazy.py": "import pkg.lazy\npkg.lazy.h()\ndef test_h(): ...",
    "tests/test_other.py": "def test_o(): ...",
}
PART = Checks(ci="python -m pytest tests/test_other.py")
"""CI that looks at one file alone, so that the gate has to look at the rest."""
IDENTITY = (
    "-c",
    "user.name=Operator",
    "-c",
    "user.email=operator@localhost",
    "-c",
    "init.defaultBranch=main",
)


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", folder, *IDENTITY, *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, files: dict[str, str | None]) -> str:
    for name, text in files.items():
        path = root / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "change")
    return git(root, "rev-parse", "HEAD")


def edit(path: str, text: str | None) -> FileEdit:
    if text is None:
        return FileEdit(path=path, action=EditAction.DELETE, content=None)
    is_known = path in FILES or path == "tests/test_broken.py"
    action = EditAction.MODIFY if is_known else EditAction.CREATE
    return FileEdit(path=path, action=action, content=dedent(text).encode())


@dataclass(slots=True)
class CountingCi:
    """The real runner, and what it was asked to do."""

    real: CommandCi
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def environment(self):
        return self.real.environment()

    def can_select(self, command):
        return self.real.can_select(command)

    def run(self, request):
        self.asked.append(request.only)
        return self.real.run(request)

    def import_modules(self, worktree, modules, *, log_folder):
        return self.real.import_modules(worktree, modules, log_folder=log_folder)


@dataclass(slots=True)
class Bench:
    """A repository and a gate over it."""

    root: Path
    workspace: object
    store: MemoryStore
    ci: CountingCi
    settings: CiSettings

    def gate(self):
        return CollectionGate(
            runner=self.ci,
            store=self.store,
            locks=FileLocks(self.root / ".autopack/locks"),
            clock=SystemClock(),
            index=ImportScan(self.root / ".autopack/import-scan"),
            workspace=self.workspace,
            settings=self.settings,
        )

    def foresee(self):
        tree = self.workspace.tree(self.workspace.resolve("HEAD"))
        request = BaseRequest(
            tree=tree, checks=Checks(), log_folder=self.root.parent / "l", is_last_phase=True
        )
        return self.gate().foresee(request)

    def judge(self, edits, *, base="HEAD", checks=PART, **circumstances):
        tree = self.workspace.tree(self.workspace.resolve(base))
        with self.workspace.worktree() as worktree:
            worktree.reset(tree.commit)
            worktree.write(edits)
            request = CollectionRequest(
                edits=edits,
                tree=tree,
                worktree=worktree,
                checks=checks,
                log_folder=self.root.parent / "logs",
                **circumstances,
            )
            return self.gate().judge(request)


@pytest.fixture
def bench(tmp_path, tmp_path_factory):
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    commit(root, FILES)
    settings = CiSettings(python=sys.executable, timeout_seconds=60)
    ci = CommandCi(
        GuardedProcesses(SystemClock()),
        settings=settings,
        root=root,
        sandbox=best_sandbox(root),
        cache_folder=tmp_path_factory.getbasetemp() / "collection-cache",
        # Without the plugins of this project's own environment a start takes half the time.
        environ=dict(os.environ) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    workspace = open_workspace(root, state_folder=root / ".autopack")
    yield Bench(root=root, workspace=workspace, store=MemoryStore(), ci=CountingCi(ci), settings=settings)
    workspace.close()


def test_an_import_that_is_bound_to_fail_blocks_without_running_anything(bench):
    verdict = bench.judge([edit("pkg/m.py", "def g(): ...")]).verdict
    assert verdict.failure.kind is FailureKind.IMPORT_ERROR
    assert verdict.failure.details == ("tests/test_m.py:1: from pkg.m import f",)
    assert bench.ci.asked == []


def test_a_whole_suite_in_ci_makes_collecting_needless(bench):
    judgement = bench.judge([edit("pkg/m.py", "def f(a): return 1")], checks=Checks(ci="pytest -q"))
    assert judgement.verdict.status is GateStatus.PASSED
    assert bench.ci.asked == []


def test_new_collection_errors_block_and_are_named(bench):
    judgement = bench.judge([edit("pkg/lazy.py", "def h(now_needed): ...")])
    failure = judgement.verdict.failure
    assert failure.kind is FailureKind.COLLECTION_ERROR
    assert failure.message == "New collection errors (persistent): ['tests/test_lazy.py']"
    assert "TypeError" in failure.details[0]
    assert failure.log_paths


def test_a_clean_change_passes_and_serves_the_next_phase(bench):
    gate = bench.gate()
    judgement = bench.judge([edit("pkg/m.py", "def f(a): return 1\ndef g(): ...")], is_last_phase=True)
    assert judgement.verdict.status is GateStatus.PASSED
    assert judgement.is_full
    after = commit(bench.root, {"pkg/m.py": "def f(a): return 1\ndef g(): ..."})
    gate.keep(after, judgement)
    runs = len(bench.ci.asked)
    assert (
        bench.judge([edit("pkg/m.py", "def f(a): return 2\ndef g(): ...")]).verdict.status
        is GateStatus.PASSED
    )
    assert len(bench.ci.asked) == runs + 1


def slow(bench):
    """Make the base's collection look as if it took long, so that a selection pays."""
    commit_id = bench.workspace.resolve("HEAD")
    key = bench.gate().key(commit_id)
    bench.judge([edit("docs/x.txt", "x")], is_last_phase=True)
    report = bench.store.load_baseline(key).report
    bench.store = MemoryStore()
    bench.store.save_baseline(key, replace(report, duration_seconds=5.0), now=0.0)
    bench.ci.asked.clear()
    return commit_id


@pytest.mark.parametrize(
    ("edits", "asked"),
    [
        pytest.param(
            [("pkg/m.py", "def f(a): return 1\ndef g(): ...")], [("tests/test_m.py",)], id="importers"
        ),
        pytest.param([("tests/test_new.py", "def test_n(): ...")], [("tests/test_new.py",)], id="a new test"),
        pytest.param([("tests/conftest.py", "")], [()], id="a conftest"),
        pytest.param([("docs/page.md", "x")], [], id="prose"),
    ],
)
def test_as_much_is_collected_as_the_change_asks_for(bench, edits, asked):
    slow(bench)
    assert not bench.judge([edit(*each) for each in edits]).verdict.is_blocking
    assert bench.ci.asked == asked


def test_the_last_phase_collects_everything(bench):
    slow(bench)
    judgement = bench.judge([edit("docs/page.md", "x")], is_last_phase=True)
    assert (bench.ci.asked, judgement.is_full) == ([()], True)
    assert "the last phase of the run" in judgement.verdict.notes[0]


def test_a_module_that_skips_itself_now_blocks(bench):
    text = "import pytest\npytest.skip('not now', allow_module_level=True)\ndef test_o(): ..."
    failure = bench.judge([edit("tests/test_other.py", text)]).verdict.failure
    assert failure.kind is FailureKind.COLLECTION_ERROR
    assert failure.details == ("tests/test_other.py: skipped as a whole, held tests before",)


def test_tests_that_vanish_from_an_untouched_file_block(bench):
    commit(
        bench.root,
        {
            "tests/test_p.py": "import pytest, pkg.m\n@pytest.mark.parametrize('x', pkg.m.ALL)\ndef test_x(x): ...",
            "pkg/m.py": "def f(a): ...\ndef g(): ...\nALL = [1, 2, 3]",
        },
    )
    failure = bench.judge([edit("pkg/m.py", "def f(a): ...\ndef g(): ...\nALL = [1, 2]")]).verdict.failure
    assert failure.details == ("tests/test_p.py: 1 tests fewer, untouched",)


def test_tests_that_vanish_from_a_touched_file_are_a_note(bench):
    verdict = bench.judge([edit("tests/test_m.py", "from pkg.m import f\ndef test_f(): f(1)")]).verdict
    assert verdict.status is GateStatus.PASSED
    assert "tests/test_m.py holds 1 tests fewer" in verdict.notes


def test_a_deleted_test_file_is_not_missed(bench):
    assert not bench.judge(
        [edit("tests/test_other.py", None)], checks=Checks(ci="make test")
    ).verdict.is_blocking


@pytest.mark.parametrize(
    ("path", "text", "kind", "named"),
    [
        pytest.param("tests/test_other.py", "import os\nos._exit(0)", FailureKind.COLLECTION_ERROR, "tests/test_other.py", id="dies with exit code 0"),
        pytest.param("tests/conftest.py", "import nothing_there", FailureKind.COLLECTION_ERROR, "tests/conftest.py", id="conftest cannot be imported"),
        pytest.param("conftest.py", "import sys\nsys.exit(0)", FailureKind.UNRUNNABLE, "conftest.py", id="conftest leaves with exit code 0"),
        pytest.param("pytest.ini", "[pytest]\naddopts = --no-such-option", FailureKind.COLLECTION_ERROR, "", id="unknown option"),
        pytest.param("pytest.ini", "[pytest", FailureKind.UNRUNNABLE, "", id="broken configuration"),
    ],
)  # fmt: skip
def test_what_stops_pytest_never_passes(bench, path, text, kind, named):
    failure = bench.judge([edit(path, text)]).verdict.failure
    assert failure.kind is kind
    assert named in failure.message


def test_a_hang_is_tried_twice_and_is_a_timeout(bench):
    slow(bench)  # The base is known, so that the short limit is the hanging run's alone.
    checks = Checks(ci="python -m pytest tests/test_other.py", timeout_seconds=8)
    change = [edit("tests/test_other.py", "import threading\nthreading.Event().wait()")]
    failure = bench.judge(change, checks=checks, is_last_phase=True).verdict.failure
    assert failure.kind is FailureKind.TIMEOUT
    assert "tests/test_other.py" in failure.message
    assert bench.ci.asked == [(), ()]


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        pytest.param("block", GateStatus.FAILED, id="as if they were the change's"),
        pytest.param("new-only", GateStatus.PASSED, id="let be"),
    ],
)
def test_old_collection_errors_follow_the_setting(bench, mode, status):
    commit(bench.root, {"tests/test_broken.py": "import nothing_there\n"})
    bench.settings = CiSettings(python=sys.executable, collection_errors=mode)
    verdict = bench.judge([edit("docs/x.txt", "x")], is_last_phase=True).verdict
    assert verdict.status is status


def test_another_error_in_an_old_broken_file_is_new(bench):
    commit(bench.root, {"tests/test_broken.py": "import nothing_there\n"})
    bench.settings = CiSettings(python=sys.executable, collection_errors="new-only")
    failure = bench.judge([edit("tests/test_broken.py", "raise ValueError('x')")]).verdict.failure
    assert failure.message == "New collection errors (persistent): ['tests/test_broken.py']"


def test_errors_of_earlier_phases_are_not_blamed_on_this_one(bench):
    first = slow(bench)
    commit(bench.root, {"tests/test_broken.py": "import nothing_there\n"})
    bench.settings = CiSettings(python=sys.executable, collection_errors="new-only")
    verdict = bench.judge(
        [edit("tests/test_broken.py", "import nothing_there  # yes\n")], known_commits=(first,)
    ).verdict
    assert verdict.status is GateStatus.PASSED
    # The change, then the same files on the very commit that it starts from.
    assert bench.ci.asked == [("tests/test_broken.py",), ("tests/test_broken.py",)]


def test_a_tree_without_python_tests_is_not_the_gates_business(bench):
    commit(bench.root, dict.fromkeys((path for path in FILES if path.startswith("tests")), None))
    assert bench.judge([edit("pkg/m.py", "x = 1")]).verdict.status is GateStatus.NOT_APPLICABLE


def test_a_base_that_cannot_be_collected_leaves_the_change_unjudged(bench):
    commit(bench.root, {"conftest.py": "import nothing_there\n"})
    assert bench.judge([edit("pkg/m.py", "def f(a): ...\n")]).verdict.status is GateStatus.UNRUNNABLE


def test_such_a_base_is_collected_once_for_a_backlog(bench):
    commit(bench.root, {"conftest.py": "import nothing_there\n"})
    for _ in range(2):
        bench.ci.asked.clear()
        assert bench.judge([edit("pkg/m.py", "def f(a): ...\n")]).verdict.is_blocking
    assert bench.ci.asked == [()]


def test_a_change_that_mends_such_a_base_passes(bench):
    commit(bench.root, {"conftest.py": "import nothing_there\n"})
    assert bench.judge([edit("conftest.py", None)]).verdict.status is GateStatus.PASSED


@pytest.mark.parametrize(
    ("command", "is_foreseen"),
    [
        pytest.param("npm test", False, id="of another language's command"),
        pytest.param("python -m pytest -q tests/test_m.py", True, id="of pytest"),
    ],
)
def test_nothing_is_foreseen_that_the_gate_lets_pass(command, is_foreseen, bench):
    commit(bench.root, {"conftest.py": "import nothing_there\n"})
    bench.settings = CiSettings(python=sys.executable, command=command)
    report = bench.foresee()
    assert (report is not None) is is_foreseen
    verdict = bench.judge([edit("docs/x.txt", "x")], checks=Checks(), is_last_phase=True).verdict
    assert verdict.is_blocking is is_foreseen
