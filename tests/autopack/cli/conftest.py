import json
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


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with one commit, and the working folder in it."""
    folder = tmp_path / "repo"
    folder.mkdir()
    for name in ("DATABASE_URL", "AUTOPACK_BUILDER", "AUTOPACK_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        (*identity, "commit", "--quiet", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(("git", *command), cwd=folder, check=True)
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


@pytest.fixture
def planned(root, autopack):
    """The repository, initialised, with a run of two phases."""
    (root / "plan.yaml").write_text(PLAN)
    assert autopack("init")[0] == 0
    assert autopack("plan", "import", "plan.yaml")[0] == 0
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
