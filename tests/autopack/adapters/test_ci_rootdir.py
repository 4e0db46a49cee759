"""A tree is tested by its own configuration, whatever lies above it, on three versions of pytest."""

import os
import sys
from pathlib import Path

import pytest
from rooms import best_sandbox

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.ci_rootdir import own_configuration
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.domain.ci_report import CiReport, is_green
from autopack.ports import CiRequest
from autopack.settings import CiSettings

VERSIONS = (7, 8, 9)
PYTEST = "python -m pytest -q"
TEST = "import warnings\n\ndef test_a(request):\n    warnings.warn('old')\n"
INI = "[pytest]\n"
PROJECT = "[project]\nname = 'own'\n"
# What lies above in each of the places where pytest looks; any of it turns a green run red.
ABOVE = {
    "pytest.ini": "[pytest]\naddopts = --nonexistent\ntestpaths = nowhere\npython_files = none_*.py\n",
    "pyproject.toml": "[tool.pytest.ini_options]\nfilterwarnings = ['error']\npython_functions = ['check_*']\n",
    "tox.ini": "[pytest]\nusefixtures = missing\n",
    "setup.cfg": "[tool:pytest]\npython_files = none_*.py\n",
    "setup.py": "",
    "conftest.py": "raise RuntimeError('of the checkout')\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
def run(tmp_path, cache_folder):
    """Run a command over files of a worktree, below a checkout with other files."""

    def run_command(
        files: dict[str, str], above: dict[str, str], *, command: str = PYTEST, version: int = 9, **env: str
    ) -> CiReport:
        root = tmp_path / f"checkout-{len(list(tmp_path.iterdir()))}"
        worktree = root / ".autopack/worktrees/slot-1"
        write(root, above)
        write(worktree, files)
        environ = dict(os.environ) | env
        if "-n2" not in command:
            environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        if version != 9:
            environ["PYTHONPATH"] = str(folder_of(version))
        runner = CommandCi(
            GuardedProcesses(SystemClock()),
            settings=CiSettings(python=sys.executable),
            root=root,
            sandbox=best_sandbox(root),
            cache_folder=cache_folder,
            environ=environ,
        )
        request = CiRequest(
            worktree=worktree, command=command, timeout_seconds=120, log_folder=root / ".autopack/logs"
        )
        return runner.run(request)

    return run_command


def folder_of(version: int) -> Path:
    folder = Path(sys.prefix) / f"pytest{version}"
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing; make setup installs it")
        pytest.skip(f"NOT TESTED on pytest {version}: {folder} is missing; make setup installs it")
    return folder


def told(report: CiReport) -> tuple[object, ...]:
    return (report.tests, report.collectors, report.stage, report.returncode, report.problem)


TREES = {
    "no configuration": ({"tests/test_a.py": TEST}, ""),
    "a conftest of its own": ({"tests/test_a.py": TEST, "conftest.py": "import tests\n"}, ""),
    "a project without options": ({"tests/test_a.py": TEST, "pyproject.toml": PROJECT}, "tests"),
    "other tools' files": ({"tests/test_a.py": TEST, "setup.cfg": "[metadata]\n", "tox.ini": ""}, "tests"),
    "a setup.py in a folder": ({"sub/setup.py": "", "sub/tests/test_a.py": TEST}, "sub/tests"),
    "options in a folder": ({"a/pytest.ini": INI, "a/test_a.py": TEST, "b/test_b.py": TEST}, "a b"),
    "options of its own": ({"pytest.ini": "[pytest]\npython_files = t_*.py\n", "t_a.py": TEST}, ""),
    "a hidden file": ({".pytest.ini": "[pytest]\npython_files = t_*.py\n", "t_a.py": TEST}, ""),
    "options of a folder": ({"sub/tox.ini": INI, "sub/tests/test_a.py": TEST}, "sub/tests/test_a.py::test_a"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tree", TREES)
def test_what_lies_above_the_tree_does_not_matter(run, tree, version):
    files, paths = TREES[tree]
    command = f"{PYTEST} {paths}"
    # Through a shell pytest runs as it is: below a folder without any configuration it shows what is right.
    by_itself = run(files, {}, command=f"{command}; exit $?", version=version)
    assert is_green(by_itself), by_itself
    assert told(run(files, ABOVE, command=command, version=version)) == told(by_itself)


@pytest.mark.parametrize("name", ABOVE)
def test_each_place_above_is_passed_over(run, name):
    report = run({"tests/test_a.py": TEST}, {name: ABOVE[name]})
    assert list(report.tests) == ["tests/test_a.py::test_a"]
    assert is_green(report), report


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"pytest.toml": "[pytest]\npython_files = ['t_*.py']\n"}, id="pytest.toml"),
        pytest.param({"pyproject.toml": "[tool.pytest]\npython_files = ['t_*.py']\n"}, id="pyproject.toml"),
    ],
)
@pytest.mark.parametrize(("version", "is_read"), [(8, False), (9, True)])
def test_what_only_newer_versions_read_hides_what_lies_above_from_all(run, files, version, is_read):
    report = run({**files, "t_a.py": TEST, "test_b.py": TEST}, ABOVE, version=version)
    assert list(report.tests) == ["t_a.py::test_a" if is_read else "test_b.py::test_a"]
    assert is_green(report), report


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("by_environment", [False, True])
def test_what_the_command_chooses_is_used(run, version, by_environment):
    files = {"ci.ini": "[pytest]\npython_files = t_*.py\n", "t_a.py": TEST, "test_b.py": TEST}
    chosen = f"{PYTEST} -c ci.ini"
    env = {"PYTEST_ADDOPTS": "--config-file=ci.ini"} if by_environment else {}
    report = run(files, ABOVE, command=PYTEST if by_environment else chosen, version=version, **env)
    assert list(report.tests) == ["t_a.py::test_a"]
    assert is_green(report), report


@pytest.mark.parametrize("version", VERSIONS)
def test_workers_look_where_their_controller_looks(run, version):
    files = {"tests/test_a.py": TEST, "tests/test_b.py": TEST}
    report = run(files, ABOVE, command=f"{PYTEST} -n2", version=version)
    assert sorted(report.tests) == ["tests/test_a.py::test_a", "tests/test_b.py::test_a"]
    assert is_green(report), report


def test_a_pytest_that_a_test_starts_has_options_of_its_own(run):
    inner = "import subprocess, sys\n\ndef test_outer(tmp_path):\n"
    inner += "    (tmp_path / 'pytest.ini').write_text('[pytest]\\npython_files = t_*.py\\n')\n"
    inner += "    (tmp_path / 't_in.py').write_text('def test_in(): pass')\n"
    inner += "    assert subprocess.run([sys.executable, '-m', 'pytest'], cwd=tmp_path).returncode == 0\n"
    assert is_green(run({"test_a.py": inner}, ABOVE))


class TestChoice:
    """What is chosen for a tree; pytest itself agrees, as the tests above show."""

    @pytest.fixture
    def choose(self, tmp_path):
        tree = tmp_path / "tree"
        write(tmp_path, {**ABOVE, "out/test_o.py": ""})
        write(tree, {"tests/test_a.py": "", "docs/test_d.py": "", "setup.cfg": "[metadata]\n"})

        def choose_for(arguments: str, **files: str) -> str:
            write(
                tree,
                {name.replace("__", "/").replace("_toml", ".toml"): text for name, text in files.items()},
            )
            return " ".join(own_configuration(arguments.split(), tree)).replace(str(tree), "TREE")

        return choose_for

    @pytest.mark.parametrize(
        "arguments",
        [
            "-c other.ini",
            "-cother.ini",
            "--config-file other.ini tests",
            "--config-file=other.ini",
            "--rootdir=tests",
            "--rootdir tests -q",
            "../out",
            "tests ../out/test_o.py::test_o",
            "-k",
        ],
    )
    def test_nothing_is_chosen_for_who_chooses_or_leaves_the_tree(self, choose, arguments):
        assert choose(arguments) == ""

    @pytest.mark.parametrize(
        "arguments",
        [
            "",
            "-q",
            "tests",
            "tests/test_a.py::TestA::test_b[a::b]",
            "missing",
            "-n 2 --cov tests docs",
            "x" * 5000,
        ],
    )
    def test_the_file_of_another_tool_stands_for_none(self, choose, arguments):
        assert choose(arguments) == "-c TREE/setup.cfg --rootdir TREE --confcutdir TREE"

    @pytest.mark.parametrize("option", ["-k", "-m", "-p", "--ignore", "--deselect", "--junitxml"])
    def test_the_value_of_an_option_is_no_path(self, choose, option):
        chosen = choose(f"{option} tests/test_a.py docs", tests__pytest_toml="", docs__pyproject_toml=PROJECT)
        assert chosen == "-c TREE/docs/pyproject.toml --rootdir TREE/docs --confcutdir TREE/docs"

    def test_without_any_file_there_is_none(self, tmp_path):
        assert own_configuration([], tmp_path)[:2] == ("-c", os.devnull)

    @pytest.mark.parametrize("text", ["[tool", "[tool.pytest.ini_options]\n"])
    def test_what_pytest_finds_or_refuses_by_itself_is_left_to_it(self, choose, text):
        assert choose("tests", pyproject_toml=text) == ""

    def test_a_worktree_behind_a_link_is_named_by_its_place(self, tmp_path):
        (tmp_path / "tree").mkdir()
        (tmp_path / "link").symlink_to("tree")
        assert own_configuration([], tmp_path / "link")[3] == str((tmp_path / "tree").resolve())


def test_a_configuration_that_is_too_large_is_left_to_pytest(tmp_path):
    (tmp_path / "tox.ini").touch()
    os.truncate(tmp_path / "tox.ini", 8 * 1024**3)
    assert own_configuration([], tmp_path) == ()


def test_a_configuration_without_an_end_does_not_keep_us_waiting(tmp_path):
    (tmp_path / "tox.ini").symlink_to("/proc/kmsg")
    own_configuration([], tmp_path)
