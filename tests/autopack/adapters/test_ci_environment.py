"""The variables, paths and bytecode of CI commands, and what must run in other interpreters."""

import ast
import os
from pathlib import Path

import pytest

from autopack.adapters.ci_environment import (
    RECORDER_FOLDER,
    child_environ,
    find_python,
    forget_stale_bytecode,
    python_path,
)
from autopack.settings import CiSettings


def environ(tmp_path, **variables):
    return child_environ(variables, python=None, bytecode_folder=tmp_path / "pycache", assignments={})


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "gh_token",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "DATABASE_URL",
        "PYTHONDONTWRITEBYTECODE",
        "AUTOPACK_DATABASE",
        "PYTEST_XDIST_WORKER",
        "PYTEST_CURRENT_TEST",
    ],
)
def test_what_is_secret_or_anothers_is_left_out(tmp_path, name):
    assert name not in environ(tmp_path, **{name: "value"})


@pytest.mark.parametrize("name", ["HOME", "LANG", "CI", "PYTHONHASHSEED", "PYTEST_ADDOPTS"])
def test_the_rest_is_kept(tmp_path, name):
    assert environ(tmp_path, **{name: "value"})[name] == "value"


def test_bytecode_is_kept_outside_the_worktree(tmp_path):
    assert environ(tmp_path)["PYTHONPYCACHEPREFIX"] == str(tmp_path / "pycache")


def test_a_virtual_environment_comes_first_on_the_path(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").touch()
    env = child_environ(
        {"PATH": "/usr/bin", "VIRTUAL_ENV": "/other"},
        python=str(tmp_path / "bin/python"),
        bytecode_folder=tmp_path,
        assignments={"X": "1"},
    )
    assert env["PATH"] == f"{tmp_path}/bin{os.pathsep}/usr/bin"
    assert (env["VIRTUAL_ENV"], env["X"]) == (str(tmp_path), "1")


class TestPython:
    def test_the_setting_goes_first(self, tmp_path):
        (tmp_path / "py").touch()
        assert find_python(CiSettings(python="./py"), tmp_path, {}) == str(tmp_path / "py")

    def test_a_setting_that_names_nothing_is_not_replaced(self, tmp_path):
        assert find_python(CiSettings(python="/nowhere/py"), tmp_path, os.environ) is None

    def test_the_repository_has_its_own(self, tmp_path):
        (tmp_path / ".venv/bin").mkdir(parents=True)
        (tmp_path / ".venv/bin/python").touch()
        assert find_python(CiSettings(), tmp_path, os.environ) == str(tmp_path / ".venv/bin/python")

    @pytest.mark.parametrize("name", ["python3", "python"])
    def test_else_the_path_has_one(self, tmp_path, name):
        (tmp_path / name).touch(mode=0o755)
        assert find_python(CiSettings(), tmp_path / "root", {"PATH": str(tmp_path)}) == str(tmp_path / name)

    def test_or_there_is_none(self, tmp_path):
        assert find_python(CiSettings(), tmp_path, {"PATH": str(tmp_path)}) is None


def test_the_worktree_takes_the_place_of_the_checkout(tmp_path):
    tree = tmp_path / "slots/1"
    (tree / "src").mkdir(parents=True)
    (tree / "lib").mkdir()
    operators = os.pathsep.join(["rel", str(tmp_path / "lib"), str(tmp_path / "lost"), "/opt/lib"])
    found = python_path(
        CiSettings(), {"PYTHONPATH": operators}, worktree=tree, root=tmp_path, more=[Path("/plugin")]
    )
    expected = ["/plugin", str(tree / "src"), "rel", str(tree / "lib"), str(tmp_path / "lost"), "/opt/lib"]
    assert found.split(os.pathsep) == expected


@pytest.mark.parametrize(
    ("compiled_after", "source_exists", "is_kept"),
    [(True, True, True), (False, True, False), (True, False, False)],
    ids=["newer than its source", "older than its source", "without a source"],
)
@pytest.mark.parametrize(
    "name", ["own.cpython-311.pyc", "own.cpython-311-pytest-8.4.2.pyc", "own.cpython-39.opt-1.pyc"]
)
def test_bytecode_lives_as_long_as_its_source(tmp_path, compiled_after, source_exists, is_kept, name):
    tree, cache = tmp_path / "tree", tmp_path / "cache"
    tree.mkdir()
    source = tree / "own.py"
    source.touch()
    compiled = cache / tree.relative_to("/") / name
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    changed = source.stat().st_ctime_ns
    written = changed + 1_000_000 if compiled_after else changed
    os.utime(compiled, ns=(written, written))
    if not source_exists:
        source.unlink()
    forget_stale_bytecode(cache, tree)
    assert compiled.exists() is is_kept


@pytest.mark.parametrize("path", sorted(RECORDER_FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_what_runs_in_other_interpreters_is_python_3_8(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
    }
    assert imported <= {
        "__future__",
        "collections",
        "importlib",
        "json",
        "os",
        "pytest",
        "signal",
        "sys",
        "types",
        "typing",
    }
