"""What is started for a CI command."""

import pytest

from autopack.adapters.ci_command import read_command


@pytest.fixture
def read(tmp_path):
    (tmp_path / "root/.venv/bin").mkdir(parents=True)
    (tmp_path / "root/.venv/bin/tox").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/check.sh").touch()

    def read_text(text):
        return read_command(text, python="/py", worktree=tmp_path / "tree", root=tmp_path / "root")

    return read_text


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("python -m pytest -q", ("/py", "-m", "pytest", "-q")),
        ("python3 -m pytest -k 'a and (b or c)'", ("/py", "-m", "pytest", "-k", "a and (b or c)")),
        ("python3.9 -m pytest", ("python3.9", "-m", "pytest")),
        ("make test", ("make", "test")),
        ("./check.sh fast", ("./check.sh", "fast")),
        ("/opt/run", ("/opt/run",)),
    ],
)
def test_simple_commands_need_no_shell(read, text, argv):
    assert read(text).argv == argv


@pytest.mark.parametrize(
    "text",
    [
        "make a && make b",
        "pytest | tee x",
        "pytest > out",
        "echo $HOME",
        "pytest tests/*.py",
        "echo 'open",
        "",
        "X=1",
    ],
)
def test_what_needs_a_shell_gets_one(read, text):
    command = read(text)
    assert command.argv == ("sh", "-c", text)
    assert not command.is_pytest


def test_variables_in_front_are_set(read):
    command = read("A=1 B='x y' python -m pytest")
    assert command.assignments == {"A": "1", "B": "x y"}
    assert command.is_pytest


def test_a_program_of_the_virtual_environment_is_lent(read, tmp_path):
    assert read(".venv/bin/tox -q").argv == (str(tmp_path / "root/.venv/bin/tox"), "-q")


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("pytest -x a", ("-x", "a")),
        ("pytest", ()),
        ("/opt/bin/pytest -x", ("-x",)),
        ("python -m pytest -m slow", ("-m", "slow")),
        ("python3 -X dev -mpytest -x", ("-x",)),
        ("python -m coverage run -m pytest -x", None),
        ("python run.py -m pytest", None),
        ("make pytest", None),
    ],
)
def test_what_pytest_gets_is_known(read, text, arguments):
    command = read(text)
    assert command.pytest_arguments == arguments
    assert command.is_pytest is (arguments is not None)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("python -m pytest -x a", ("/py", "-m", "pytest", "--new", "-x", "a")),
        ("python -m pytest", ("/py", "-m", "pytest", "--new")),
    ],
)
def test_options_come_before_the_commands_own(read, text, argv):
    command = read(text).with_options(["--new"])
    assert (command.argv, command.pytest_arguments) == (argv, argv[3:])


@pytest.mark.parametrize("text", ["pytest -x", "py.test -x"])
def test_the_script_runs_under_the_interpreter(read, text):
    command = read(text)
    assert (command.argv[0], command.argv[-1], command.is_pytest) == ("/py", "-x", True)
