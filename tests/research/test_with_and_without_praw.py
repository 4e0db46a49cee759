"""The Reddit gatherer's own tests, in a Python that has praw and in one that has not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRAW = ROOT / ".venv" / "praw"
REDDIT = "tests/research/gatherers/test_reddit_gatherer.py"


def run_tests(*arguments, pythonpath):
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=ROOT,
        env=environ | {"PYTHONPATH": str(pythonpath)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_with_praw_the_gatherer_is_really_tested():
    if not (PRAW / ".ready").exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("`make setup` installs praw")
    finished = run_tests(REDDIT, pythonpath=PRAW)
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout


def test_without_praw_its_tests_are_skipped_and_collected_without_an_error(tmp_path):
    # A package that cannot be imported stands in the way of one that this environment may have.
    (tmp_path / "praw.py").write_text("raise ModuleNotFoundError('praw is hidden')\n", "utf-8")
    finished = run_tests(REDDIT, pythonpath=tmp_path)
    assert finished.returncode == 0, finished.stdout
    assert "passed" in finished.stdout
    assert "skipped" in finished.stdout
    assert "pip install 'autopack[reddit]'" in finished.stdout
