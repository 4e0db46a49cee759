"""The variables, paths and bytecode of CI commands, and what must run in other interpreters."""

import ast
import os
from pathlib import Path

import pytest

from autopack.adapters.ci_bytecode import forget_stale_bytecode
from autopack.adapters.ci_environment import (
    RECORDER_FOLDER,
    child_environ,
    find_python,
    python_path,
)
from autopack.settings import CiSettings


def environ(tmp_path, **variables):
    return child_environ(variables, python=None, bytecode_folder=tmp_path / "pycache", assignments={})


@pytest.mark.parametrize(
    "name",
    [
        # Secrets, in all the ways in which they are named.
        "OPENAI_API_KEY",
        "APIKEY",
        "apiKey",
        "STRIPE_KEYS",
        "API_KEY_2",
        "DEPLOY_KEY2",
        "GITHUB_TOKEN",
        "gh_token",
        "AUTHTOKEN",
        "NPM_AUTHTOKEN",
        "NPM_CONFIG_//registry.npmjs.org/:_authToken",
        "TOKEN",
        "TOKENFILE",
        "SSL_KEYFILE",
        "PGPASSWORD",
        "MYSQL_PWD",
        "DB_PASS",
        "SSHPASS",
        "KEY_PASSPHRASE",
        "MYSECRETS",
        "AZURE_DEVOPS_EXT_PAT",
        "GITLAB_PAT",
        "SENTRY_DSN",
        "PG_DSN",
        "DOCKER_AUTH_CONFIG",
        "CLOUDSDK_AUTH_ACCESS_TOKEN",
        "BASIC_AUTH",
        "NETAUTH",
        "AUTHORIZATION",
        "SLACK_WEBHOOK_URL",
        # What leads to one.
        "SSH_AUTH_SOCK",
        "GIT_ASKPASS",
        "KUBECONFIG",
        "PGPASSFILE",
        # Clouds.
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GCLOUD_SERVICE_KEY",
        "GCP_CREDS",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_STORAGE_SAS_URL",
        "AZURE_STORAGE_CONNECTION_STRING",
        "ARM_CLIENT_CERTIFICATE_PATH",
        # Another's.
        "DATABASE_URL",
        "PYTHONDONTWRITEBYTECODE",
        "AUTOPACK_DATABASE",
        "PYTEST_XDIST_WORKER",
        "PYTEST_CURRENT_TEST",
    ],
)
def test_what_is_secret_or_anothers_is_left_out(tmp_path, name):
    assert name not in environ(tmp_path, **{name: "value"})


@pytest.mark.parametrize(
    "name",
    [
        "HOME",
        "LANG",
        "LS_COLORS",
        "CI",
        "DISPLAY",
        "XAUTHORITY",
        "PATHEXT",
        "PYTHONHASHSEED",
        "PYTEST_ADDOPTS",
        "DJANGO_SETTINGS_MODULE",
        "SSL_CERT_FILE",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "GOOGLE_CLOUD_PROJECT",
        "GITHUB_ACTIONS",
        "GIT_AUTHOR_NAME",
        "KEYBOARD_LAYOUT",
        "PYTHON_KEYRING_BACKEND",
        "TOKENIZERS_PARALLELISM",
        "MONKEYTYPE_TRACE_MODULES",
        "COMPASS_HOME",
        "PASSTHROUGH",
        "PATCH_LEVEL",
        "SASS_PATH",
        "AUTOPACK_OWNER",
    ],
)
def test_the_rest_is_kept(tmp_path, name):
    assert environ(tmp_path, **{name: "value"})[name] == "value"


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        pytest.param("https://pypi.org/simple", True, id="an index for all"),
        pytest.param("https://me:pw@pypi.example/simple", False, id="an index with a password"),
        pytest.param("https://token@pypi.example/simple", False, id="an index with a token"),
        pytest.param("https://a.example https://me:pw@b.example", False, id="the second of two indexes"),
        pytest.param("http://proxy.example:3128", True, id="a proxy"),
        pytest.param("HTTP://me:p@ss@proxy.example:3128", False, id="a proxy with a password"),
        pytest.param("https://a.example:443/@scope/p", True, id="a port and a scope"),
        pytest.param("postgresql+psycopg://u:pw@localhost/test", False, id="a database with a password"),
        pytest.param("postgresql://u@localhost/test", True, id="a database with a user"),
        pytest.param("redis://:pw@localhost:6379/0", False, id="a password without a user"),
        pytest.param("sqlite:///tests.db", True, id="a database in a file"),
        pytest.param("git@github.com:o/r.git", True, id="an address of git"),
        pytest.param("ssh://git@github.com:22/o/r", True, id="an address of ssh"),
        pytest.param("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", False, id="a key"),
        pytest.param("tests/a.py::test_b[x:y@z]", True, id="a node id"),
    ],
)
def test_a_value_can_be_a_secret_under_any_name(tmp_path, value, is_kept):
    assert ("PIP_INDEX_URL" in environ(tmp_path, PIP_INDEX_URL=value)) is is_kept


def test_what_the_command_sets_is_meant_for_it(tmp_path):
    env = child_environ(
        {"API_KEY": "the operator's"},
        python=None,
        bytecode_folder=tmp_path,
        assignments={"API_KEY": "of the tests"},
    )
    assert env["API_KEY"] == "of the tests"


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
        "gc",
        "importlib",
        "json",
        "os",
        "pytest",
        "signal",
        "sys",
        "types",
        "typing",
    }
