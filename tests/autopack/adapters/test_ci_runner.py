"""The runner beyond what breaks: selection, wrappers, which tree and which bytecode is tested, plain commands."""

import os
import sys
from pathlib import Path

import pytest
from rooms import best_sandbox

from autopack.adapters.ci_pytest import CommandCi
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox.none import NoSandbox
from autopack.domain.ci_report import CiOutcome, CiReport, CiStage, is_green, proves
from autopack.ports import CiRequest
from autopack.settings import CiSettings

PYTEST = "python -m pytest -q"
TWO_TESTS = "def test_a():\n    pass\n\ndef test_b():\n    pass\n"


class Repository:
    """An operator's checkout, a worktree of it, and the runner."""

    def __init__(self, root: Path, cache_folder: Path) -> None:
        self.root = root
        self.worktree = root / ".autopack/worktrees/slot-1"
        self.worktree.mkdir(parents=True)
        self._cache_folder = cache_folder
        self.environ = dict(os.environ) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        self.settings = {"python": sys.executable}
        self.sandbox = best_sandbox(root)

    def write(self, name: str, text: str) -> Path:
        path = self.worktree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def runner(self) -> CommandCi:
        return CommandCi(
            GuardedProcesses(SystemClock()),
            settings=CiSettings(**self.settings),
            root=self.root,
            sandbox=self.sandbox,
            cache_folder=self._cache_folder,
            environ=self.environ,
        )

    def run(self, command: str = PYTEST, **request: object) -> CiReport:
        return self.runner().run(
            CiRequest(
                worktree=self.worktree,
                command=command,
                timeout_seconds=120,
                log_folder=self.root / "logs",
                **request,
            )
        )


@pytest.fixture
def repository(tmp_path, cache_folder):
    return Repository(tmp_path, cache_folder)


class TestSelection:
    def test_only_replaces_the_paths_of_the_command(self, repository):
        repository.write("tests/test_a.py", TWO_TESTS)
        repository.write("tests/test_b.py", TWO_TESTS)
        report = repository.run(f"{PYTEST} tests/test_a.py", only=("tests/test_b.py::test_b",))
        assert list(report.tests) == ["tests/test_b.py::test_b"]
        assert is_green(report)

    def test_only_takes_ids_with_parameters_of_any_kind(self, repository):
        repository.write(
            "tests/test_a.py",
            "import pytest\n@pytest.mark.parametrize('x', ['a b', '[', '-n', 'ü::é'])\ndef test_a(x):\n    pass\n",
        )
        every = tuple(repository.run().tests)
        report = repository.run(only=every)
        assert len(every) == 4
        assert tuple(report.tests) == every

    def test_node_ids_below_a_nested_root_can_be_run_again(self, repository):
        repository.write("pkg/pytest.ini", "[pytest]\n")
        repository.write("pkg/tests/test_a.py", TWO_TESTS)
        command = f"{PYTEST} pkg/tests"
        first = repository.run(command)
        again = repository.run(command, only=tuple(first.tests))
        assert tuple(first.tests) == ("tests/test_a.py::test_a", "tests/test_a.py::test_b")
        assert {case.file for case in first.tests.values()} == {"pkg/tests/test_a.py"}
        assert again.tests == first.tests

    def test_a_rerun_goes_past_collection_errors(self, repository):
        repository.write("tests/test_a.py", TWO_TESTS)
        repository.write("tests/test_b.py", "import missing_module\n")
        report = repository.run(only=("tests/test_b.py", "tests/test_a.py::test_a"))
        assert report.tests["tests/test_a.py::test_a"].outcome is CiOutcome.PASSED
        assert report.collectors["tests/test_b.py"].error_type == "ModuleNotFoundError"

    def test_collect_only_runs_no_test(self, repository):
        repository.write("tests/test_a.py", "def test_a():\n    open('ran', 'w').close()\n")
        report = repository.run(collect_only=True)
        assert {key: case.file for key, case in report.tests.items()} == {
            "tests/test_a.py::test_a": "tests/test_a.py"
        }
        assert report.collectors["tests/test_a.py"].outcome is CiOutcome.PASSED
        assert is_green(report)
        assert not (repository.worktree / "ran").exists()

    @pytest.mark.parametrize("collect_only", [True, False])
    def test_garbage_waits_where_nothing_is_run_and_tests_find_the_interpreter_as_it_was(
        self, collect_only, repository
    ):
        seen = repository.worktree / "seen"
        repository.write(
            "test_gc.py",
            f"import gc\nopen({str(seen)!r}, 'w').write(str(gc.get_threshold()[0]))\n{TWO_TESTS}",
        )
        assert is_green(repository.run(collect_only=collect_only)) or collect_only
        assert (int(seen.read_text()) > 700) is collect_only

    def test_collect_only_needs_no_workers(self, repository):
        del repository.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        repository.write("pytest.ini", "[pytest]\naddopts = -n2 --cov=src --cov-fail-under=90\n")
        repository.write("tests/test_a.py", TWO_TESTS)
        report = repository.run(collect_only=True)
        assert is_green(report), report
        assert '"worker": "gw' not in Path(report.log_paths[-1]).read_text()

    def test_collecting_nothing_is_no_proof(self, repository):
        assert repository.run(collect_only=True).problem == "no tests were collected"

    @pytest.mark.parametrize(
        ("command", "can_select"),
        [
            ("python -m pytest -q", True),
            ("pytest", True),
            ("TZ=UTC python3.11 -X dev -W error -m pytest tests", True),
            ("make test", False),
            ("python -m pytest && echo done", False),
            ("python -m coverage run -m pytest", False),
            ("python run.py -m pytest", False),
        ],
    )
    def test_selection_is_for_pytest_itself(self, repository, command, can_select):
        assert repository.runner().can_select(command) is can_select


class TestWrappers:
    def test_a_script_around_pytest_is_recorded(self, repository):
        repository.write("tests/test_a.py", TWO_TESTS)
        repository.write("check.sh", "pytest --version\npython -m pytest -q tests\n")
        report = repository.run("sh check.sh")
        assert len(report.tests) == 2
        assert is_green(report), report

    def test_two_sessions_make_one_report(self, repository):
        repository.write("a/test_a.py", TWO_TESTS)
        repository.write("b/test_b.py", "def test_c():\n    assert 0\n")
        report = repository.run("python -m pytest -q a; python -m pytest -q b")
        assert {key: case.outcome.value for key, case in report.tests.items()} == {
            "a/test_a.py::test_a": "passed",
            "a/test_a.py::test_b": "passed",
            "b/test_b.py::test_c": "failed",
        }

    def test_the_first_of_two_sessions_cannot_die_unseen(self, repository):
        repository.write("a/test_a.py", "import os\nos._exit(0)\n")
        repository.write("b/test_b.py", TWO_TESTS)
        report = repository.run("python -m pytest -q a; python -m pytest -q b")
        assert report.returncode == 0
        assert "died (exit code 0) at a/test_a.py" in report.problem

    def test_a_masked_exit_code_hides_no_failure(self, repository):
        repository.write("tests/test_a.py", "def test_a():\n    assert 0\n")
        report = repository.run("python -m pytest -q || true")
        assert report.returncode == 0
        assert not is_green(report)

    def test_a_script_that_sets_its_own_path_tells_its_exit_code(self, repository):
        repository.write("tests/test_a.py", TWO_TESTS)
        report = repository.run("env PYTHONPATH=src python -m pytest -q; exit 3")
        assert (report.has_cases, report.returncode, report.problem) == (False, 3, "")
        assert report.tests == {}

    def test_a_path_set_in_front_of_the_command_is_kept(self, repository):
        repository.write("lib/own.py", "")
        repository.write("tests/test_a.py", "import own\n" + TWO_TESTS)
        assert is_green(repository.run("PYTHONPATH=lib python -m pytest -q"))

    def test_an_isolated_interpreter_cannot_be_recorded(self, repository):
        repository.write("tests/test_a.py", TWO_TESTS)
        report = repository.run("python -I -m pytest -q")
        assert "the interpreter ignores PYTHONPATH" in report.problem

    def test_a_pytest_that_a_test_starts_is_no_part_of_the_run(self, repository):
        inner = "import pytest, subprocess, sys\n\ndef test_outer(tmp_path):\n"
        inner += "    (tmp_path / 'test_in.py').write_text('def test_in(): assert 0')\n"
        inner += "    command = [sys.executable, '-m', 'pytest', str(tmp_path)]\n"
        inner += "    assert subprocess.run(command).returncode == 1\n"
        inner += "    assert pytest.main([str(tmp_path)]) == 1\n"
        repository.write("tests/test_a.py", inner)
        report = repository.run()
        assert list(report.tests) == ["tests/test_a.py::test_outer"]
        assert is_green(report), report.evidence

    def test_the_script_has_no_working_directory_on_its_path(self, repository):
        repository.write("own.py", "")
        repository.write("tests/test_a.py", "import own\n" + TWO_TESTS)
        assert is_green(repository.run("python -m pytest -q"))
        assert repository.run("pytest -q").collectors["tests/test_a.py"].outcome is CiOutcome.ERROR

    def test_old_collection_errors_are_passed_over_where_the_operator_says_so(self, repository):
        repository.settings["collection_errors"] = "new-only"
        repository.write("tests/test_a.py", "import missing_module\n")
        repository.write("tests/test_b.py", TWO_TESTS)
        report = repository.run()
        assert (len(report.tests), report.stage, report.problem) == (2, CiStage.FINISHED, "")
        assert not is_green(report)


class TestTree:
    def test_the_sources_of_the_worktree_come_first(self, repository):
        (repository.root / "src").mkdir()
        (repository.root / "src/own.py").write_text("X = 'checkout'\n")
        repository.environ["PYTHONPATH"] = str(repository.root / "src")
        repository.write("src/own.py", "X = 'worktree'\n")
        repository.write("tests/test_a.py", "import own\n\ndef test_a():\n    assert own.X == 'worktree'\n")
        assert is_green(repository.run())

    def test_a_test_of_the_wrong_tree_proves_nothing(self, repository):
        repository.sandbox = NoSandbox("a room does not show the other tree at all")
        (repository.root / "lib").mkdir()
        (repository.root / "lib/own.py").write_text("")
        repository.environ["PYTHONPATH"] = str(repository.root / "lib")
        repository.write("tests/test_a.py", "import own\n" + TWO_TESTS)
        report = repository.run()
        assert "not the worktree" in report.problem
        assert str(repository.root / "lib/own.py") in report.problem
        assert "[ci] pythonpath" in report.problem

    def test_what_is_written_twice_in_a_second_is_run_as_it_is(self, repository):
        test = repository.write("tests/test_a.py", "import own\n\ndef test_a():\n    assert own.X == 1\n")
        source = repository.write("src/own.py", "X = 1\n")
        os.utime(source, (1_700_000_000, 1_700_000_000))
        assert is_green(repository.run())
        for path, text in ((source, "X = 2\n"), (test, test.read_text())):
            path.write_text(text)
            os.utime(path, (1_700_000_000, 1_700_000_000))
        assert repository.run().tests["tests/test_a.py::test_a"].outcome is CiOutcome.FAILED

    def test_bytecode_that_a_change_brings_is_not_run(self, repository):
        source = repository.write("src/own.py", "X = 1\n")
        compiled = repository.write("src/__pycache__/own.cpython-311.pyc", "")
        source.write_text("X = 2\n")
        import py_compile

        py_compile.compile(
            str(source), cfile=str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        source.write_text("X = 1\n")
        repository.write("tests/test_a.py", "import own\n\ndef test_a():\n    assert own.X == 1\n")
        assert is_green(repository.run())

    def test_the_tests_see_no_secret_of_the_operator(self, repository):
        repository.environ |= {
            "ANTHROPIC_API_KEY": "s",
            "GH_TOKEN": "s",
            "DATABASE_URL": "s",
            "PLAIN": "kept",
        }
        repository.write(
            "tests/test_a.py",
            "import os, sys\n\ndef test_a():\n"
            "    hidden = {'ANTHROPIC_API_KEY', 'GH_TOKEN', 'DATABASE_URL', 'AUTOPACK_CI', 'PYTEST_PLUGINS'}\n"
            "    assert not hidden & os.environ.keys()\n"
            "    assert os.environ['PLAIN'] == 'kept'\n"
            "    assert sys.flags.utf8_mode == 1\n",
        )
        assert is_green(repository.run())


class TestPlainCommands:
    @pytest.mark.parametrize(("command", "returncode"), [("true", 0), ("exit 3; true", 3), ("false", 1)])
    def test_a_plain_command_tells_its_exit_code(self, repository, command, returncode):
        report = repository.run(command)
        assert (report.has_cases, report.returncode, report.stage) == (False, returncode, CiStage.FINISHED)
        assert proves(report) is None

    @pytest.mark.parametrize(
        ("command", "problem"),
        [
            ("no-such-program --now", "could not be started"),
            ("no-such-program; exit 127", "not found (exit code 127)"),
            ("./data.txt", "could not be started"),
            ("./data.txt || exit 126", "could not be executed (exit code 126)"),
        ],
    )
    def test_a_program_that_is_not_there_proves_nothing(self, repository, command, problem):
        repository.write("data.txt", "text")
        report = repository.run(command)
        assert problem in report.problem
        assert not is_green(report)

    @pytest.mark.parametrize(
        ("told", "is_problem"),
        [
            pytest.param("Ran 0 tests in 0.000s", True, id="unittest found none"),
            pytest.param(
                "Ran 0 tests in 0.000s\nRan 3 tests in 0.100s", False, id="one suite of two is empty"
            ),
            pytest.param("Ran 10 tests in 0.100s", False, id="ten"),
            pytest.param("# tests 0", True, id="node found none"),
        ],
    )
    def test_a_runner_that_ran_nothing_proves_nothing(self, repository, told, is_problem):
        repository.write("told.txt", told + "\n")
        report = repository.run("cat told.txt")
        assert ("no tests were run" in report.problem) is is_problem

    def test_a_missing_interpreter_proves_nothing(self, repository):
        repository.settings["python"] = "/nowhere/bin/python"
        repository.environ["PATH"] = "/nowhere"
        report = repository.run()
        assert "could not be started" in report.problem
        assert repository.runner().environment()

    def test_an_interpreter_without_pytest_proves_nothing(self, repository):
        report = repository.run(f"{sys.executable} -S -m pytest")
        assert report.stage is CiStage.NOTHING
        assert "No module named pytest" in report.problem

    def test_junit_tells_the_cases(self, repository):
        repository.settings["junit_path"] = "out.xml"
        repository.write("new.xml", '<testsuite><testcase classname="c" name="n"/></testsuite>')
        report = repository.run("cp new.xml out.xml && true")
        assert (list(report.tests), report.has_cases) == (["c::n"], True)
        assert is_green(report)

    def test_a_junit_file_of_yesterday_does_not_count(self, repository):
        repository.settings["junit_path"] = "out.xml"
        repository.write("out.xml", '<testsuite><testcase classname="c" name="n"/></testsuite>')
        report = repository.run("true")
        assert "from before the command ran" in report.problem


def test_the_environment_changes_with_what_is_installed(repository):
    site = repository.root / "site"
    site.mkdir()
    repository.environ["PYTHONPATH"] = str(site)
    before = repository.runner().environment()
    assert repository.runner().environment() == before
    (site / "own-1.0.dist-info").mkdir()
    (site / "own-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    assert repository.runner().environment() != before
