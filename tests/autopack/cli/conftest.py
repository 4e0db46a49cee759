import json
import shutil
import subprocess

import pytest

from autopack.cli.main import run

PLAN = """\
version: 1
runs:
  - id: r
    goal: A run
    phases:
      - {id: a, goal: Do a, scope: {paths: [a.py]}, deliverables: [a.py]}
      - {id: b, goal: Do b}
"""


OWN_VARIABLES = ("DATABASE_URL", "AUTOPACK_BUILDER", "AUTOPACK_WORKERS")


def make_repository(folder):
    folder.mkdir()
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        (*identity, "commit", "--quiet", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(("git", *command), cwd=folder, check=True)
    return folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with one commit, and the working folder in it."""
    for name in OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder = make_repository(tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def autopack(capsys):
    """Runs a command line in this process: exit code, stdout, stderr."""

    def call(*argv):
        capsys.readouterr()
        code = run(argv)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def autopack_json(autopack):
    """Runs a command line with --json: exit code and the document."""

    def call(*argv):
        code, out, _ = autopack(*argv, "--json")
        return code, json.loads(out)

    return call


@pytest.fixture(scope="session")
def planned_template(tmp_path_factory):
    """What ``planned`` is copied from."""
    folder = make_repository(tmp_path_factory.mktemp("planned") / "repo")
    (folder / "plan.yaml").write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        for name in OWN_VARIABLES:
            patch.delenv(name, raising=False)
        for words in (("init",), ("plan", "import", str(folder / "plan.yaml"))):
            assert run(("--root", str(folder), *words)) == 0
    return folder


@pytest.fixture
def planned(root, planned_template):
    """The repository, initialised, with a run of two phases."""
    shutil.rmtree(root / ".git")
    shutil.copytree(planned_template, root, symlinks=True, dirs_exist_ok=True)
    return root


@pytest.fixture
def git(root):
    """Runs git in the repository: what it printed."""

    def call(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(
            ("git", *identity, *words), cwd=root, check=True, capture_output=True, text=True
        ).stdout.strip()

    return call
