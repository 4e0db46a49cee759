"""A backlog that one cause holds up, and what the world sees of it: the scenes of tests that kill mends and releases."""

import json
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest
import sqlalchemy as sa
from leftovers import read_ledger, read_rows
from project import Project, phase

from autopack.domain.blocker import BlockerState
from autopack.domain.phase import PhaseState

THOROUGH = pytest.mark.skipif(
    "AUTOPACK_KILLS" not in os.environ, reason="AUTOPACK_KILLS=50 kills at every step"
)
END_SECONDS = 180
RUNS = ("a", "d", "e")
"""The change of ``a`` needs the mend alone; those of ``d`` and ``e`` are bad by themselves too."""
CI = """
test ! -e docs/out.md || grep -q mended rules.txt || { echo "error: rules.txt lacks what docs need"; exit 1; }
test ! -e docs/bad.md || { echo "error: docs are bad"; exit 1; }
"""
FILES = {"docs/old.txt": "old\n", "rules.txt": "none\n", "ci.sh": CI}
GOOD = {"docs/out.md": "x\n"}
BAD = {"docs/out.md": "x\n", "docs/bad.md": "x\n"}
ELSEWHERE = {"docs/else.md": "x\n"}
"""Written by what is to be mended: no such change can pass, whatever the base."""


class Databases:
    """Databases of one kind, fresh or copied, until the tests of a kind are over."""

    def __init__(self, stack, server=None, make=None):
        self._stack = stack
        self._server = server
        self._make = make
        self._made = {}

    def fresh(self, template="template0"):
        """The URL of one; None for the repository's own SQLite file."""
        if self._server is None:
            return None
        made = self._stack.enter_context(ExitStack())
        url = made.enter_context(self._make(self._server, template=template))
        self._made[url] = made
        return url

    def copy(self, url):
        return None if url is None else self.fresh(sa.make_url(url).database)

    def drop(self, url):
        if url is not None:
            self._made.pop(url).close()


def prepare(root, runner, databases, *, first=None, is_canary_bad=False):
    """Three runs held up by one cause, each with a change that was paid for, and the commit of a mend.

    ``first`` is what is answered first in each, where that leaves the deliverable out.
    """
    project = Project.make(root, FILES, database_url=databases.fresh())
    project.configure(f'[ci]\ncommand = "sh ci.sh"\npython = "{sys.executable}"\n')
    for run_id in RUNS:
        needed = () if first is None else tuple(GOOD)
        project.plan(phase(paths=("docs/",), deliverables=needed), run_id=run_id)
        project.answer("p.1", first or (GOOD if run_id == "a" else BAD), run_id=run_id, usage=(1000, 200))
        assert project.attempt(run_id=run_id).final_state is PhaseState.FAILED
        project.answer("p", BAD if is_canary_bad else GOOD, run_id=run_id, usage=(100, 20))
    assert runner.run(project, "triage")["code"] == 0
    project.write({"rules.txt": "mended\n"})
    project.git("checkout", "-q", "-b", "mend")
    project.commit("Mend the rules")
    project.git("checkout", "-q", "main")
    # A checkout knows its place, which is not the copies'.
    shutil.rmtree(root / ".autopack/worktrees")
    shutil.rmtree(root / ".git/worktrees")
    return project


def copy(template, root, databases):
    return replace(template.copy(root), database_url=databases.copy(template.database_url))


FIXED = ("remediate", "fixed", "B1", "--commit", "mend")
RELEASE = ("remediate", "release", "B1", "--workers", "2")


def facts(project):
    """All that the world sees of the blocker and its phases."""
    with project.store() as store:
        blocker = store.triage.blocker("B1")
        phases = [store.phase(run_id, "p") for run_id in RUNS]
        counts = store.triage.release_counts(blocker)
        cause = store.drains.fingerprint(blocker.cause.fingerprint)
        assert store.drains.open_picks() == ()
        assert not store.in_flight()
    assert_canary_came_first(project)
    return {
        "blocker": (blocker.state, blocker.recurrences, cause.stopped_at is not None),
        "phases": [(it.run_id, it.state, it.attempts, it.commit) for it in phases],
        "released": counts,
        "branches": project.git("for-each-ref", "refs/heads"),
        "paid": sorted((call.phase, call.usage) for call in read_ledger(project) if call.usage),
    }


def assert_canary_came_first(project):
    """New work of a release begins with one phase; the next is asked for when that one is COMPLETE."""
    query = "SELECT scope, picked_at, booked_at, result FROM drain_attempt ORDER BY picked_at"
    rows = read_rows(project, query)
    fresh = [row for row in rows if json.loads(row.scope)["replay"] == "off"]
    for row in fresh[1:]:
        assert row.picked_at >= fresh[0].booked_at
        assert json.loads(fresh[0].result)["success"]


def log_of(project):
    return project.root.with_name("programs.log").read_text()


def go_on(project, runner):
    """What an operator does next: the same again until it is done."""
    with project.store() as store:
        state = store.triage.blocker("B1").state
    if state not in {BlockerState.VALIDATED, BlockerState.RELEASED}:
        assert runner.run(project, *FIXED).get("code") == 0, log_of(project)
    assert runner.run(project, *RELEASE).get("code") == 0, log_of(project)
