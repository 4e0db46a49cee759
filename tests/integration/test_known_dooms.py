"""Backlogs that cannot get past their base, worked off by real programs: one process says so, and the worker the rest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from leftovers import assert_nothing_is_left
from project import FILES, Project, phase
from workers import END_SECONDS, copy_autopack, log_of, log_path, start

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.run import Order

KILLING = Path(__file__).parents[1] / "support" / "killing_drain.py"
NAMES = ("one", "two", "three")


def backlog(root, files=None, command=None):
    """A run of which no phase can get past the base."""
    project = Project.make(
        root, {**FILES, "tests/test_red.py": "import nowhere_to_be_found\n", **(files or {})}
    )
    if command is not None:
        project.configure(f'[ci]\npython = "{sys.executable}"\ncommand = "{command}"\n')
    project.plan(*(phase(name, paths=("docs/",)) for name in NAMES), order=Order.INDEPENDENT)
    return project


def attempts(project):
    """The newest attempt of each phase."""
    with project.store() as store:
        assert not store.in_flight()
        return {name: store.attempts("r", name)[-1] for name in NAMES}


def kinds(project):
    return {name: project.phase(name).failure_kind for name in NAMES}


def drain(project, *kill):
    """The exit code of a drain of all that is queued."""
    program = [str(KILLING), *kill] if kill else ["-m", "autopack"]
    words = ("--root", str(project.root), "drain", "queued", "--workers", "1")
    with log_path(project).open("ab") as log:
        return subprocess.run(
            [sys.executable, *program, *words],
            cwd=project.root,
            env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=END_SECONDS,
            check=False,
        ).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    project = backlog(tmp_path_factory.mktemp("undisturbed") / "repo")
    assert drain(project) == 1, log_of(project)
    return project


def told(project):
    """What every attempt ended with, and what the session says of it."""
    with project.store() as store:
        sessions = store.drains.sessions(limit=9)
        results = [it for each in sessions for it in store.drains.results(each.session_id)]
    ends = {
        name: (it.address.number, it.outcome.failure.message, it.outcome.fingerprint, it.base_commit)
        for name, it in attempts(project).items()
    }
    said = [
        (it.phase_id, it.final_state, it.failure_kind, it.failure_fingerprint, it.tokens_used)
        for it in results
    ]
    return ends, sorted(said)


def test_one_process_finds_it_out_and_the_worker_books_the_rest(undisturbed):
    assert kinds(undisturbed) == dict.fromkeys(NAMES, FailureKind.DOOMED)
    made = attempts(undisturbed)
    assert len({it.owner for it in made.values()}) == 2
    assert len({it.outcome.fingerprint for it in made.values()}) == 1
    _, said = told(undisturbed)
    assert {it[1:] for it in said} == {(PhaseState.FAILED, FailureKind.DOOMED, said[0][3], 0)}
    for name, attempt in made.items():
        logs = undisturbed.root / ".autopack/logs/r" / name / "1"
        assert (logs / "executor.out").read_text().splitlines()[1] == f"r/{name}/1 FAILED"
        assert (logs / "executor.err").read_text() == f"doomed: {attempt.outcome.failure.message}\n"
        assert json.loads((logs / "executor.json").read_text())["returncode"] == 1
    assert_nothing_is_left(undisturbed)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_worker_that_is_killed_at_its_verdict_loses_none_and_doubles_none(where, undisturbed, tmp_path):
    project = backlog(tmp_path / "repo")
    assert drain(project, "book_foreseen", "1", where) == -9, log_of(project)
    assert drain(project) == 1, log_of(project)
    assert told(project) == told(undisturbed)
    assert [project.phase(name).attempts for name in NAMES] == [1] * len(NAMES)
    assert [project.phase(name).crashes for name in NAMES] == [0] * len(NAMES)
    assert_nothing_is_left(project)


def test_an_executor_that_breaks_under_a_worker_is_each_attempts_own_verdict(tmp_path):
    """What the worker holds in memory is not what an attempt would run with any more."""
    broken = tmp_path / "broken"
    copy_autopack(broken / "autopack")
    script = tmp_path / "ci"
    script.write_text(
        f"#!/bin/sh\necho 'import autopack.gone' >> {broken}/autopack/domain/masked.py\n"
        f"exec {sys.executable} -m pytest -q -p no:cacheprovider\n"
    )
    script.chmod(0o755)
    project = backlog(tmp_path / "repo", command=script)
    config = project.settings.config_path.read_text()
    project.configure(config.replace('[".autopack"]', f'[".autopack", "{broken}"]'))
    worker = start(project, "worker", "--once", "--slots", "1", PYTHONPATH=str(broken))
    assert worker.wait(END_SECONDS) == 0, log_of(project)
    first, *rest = NAMES
    assert kinds(project) == {first: FailureKind.DOOMED, **dict.fromkeys(rest, FailureKind.IMPORT_CRASH)}
    assert_nothing_is_left(project)
