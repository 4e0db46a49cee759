"""A backlog on a base whose CI cannot run: noticed once, before a token is spent."""

import sys

from project import Project, phase

from autopack.domain.failure import FailureKind
from autopack.domain.run import Order

PHASES = tuple(f"p{number}" for number in range(5))


def project_without_ci(root):
    """A project whose CI is a program that is not there."""
    made = Project.make(root, {"docs/old.txt": "old\n"})
    made.configure(f'[ci]\ncommand = "{made.root}/.autopack/check"\npython = "{sys.executable}"\n')
    made.plan(*(phase(name, paths=("docs/",)) for name in PHASES), order=Order.INDEPENDENT)
    for name in PHASES:
        made.answer(name, edits={f"docs/{name}.txt": "new\n"})
    return made


def test_it_is_looked_at_once_and_costs_no_tokens(tmp_path):
    project = project_without_ci(tmp_path / "repo")
    kinds = {project.attempt(name).failure.kind for name in PHASES}
    assert kinds == {FailureKind.DOOMED}
    assert len(list(project.root.glob(".autopack/logs/r/*/1/ci-base"))) == 1
    with project.store() as store:
        assert store.usage_of("r").total_tokens == 0


def test_a_requeued_phase_notices_that_it_was_mended(tmp_path):
    project = project_without_ci(tmp_path / "repo")
    for name in PHASES[:2]:
        project.attempt(name)
    check = project.root / ".autopack/check"
    check.write_text("#!/bin/sh\ntrue\n")
    check.chmod(0o755)
    with project.store() as store:
        store.requeue_phase("r", PHASES[0], now=2.0)
    assert project.attempt(PHASES[0]).failure is None


def test_a_requeued_phase_notices_that_what_the_machine_lacked_is_there(tmp_path):
    needy = "import os\n\nNEEDED = os.environ['CALC_NEEDED']\n\n\ndef test_it():\n    assert NEEDED\n"
    project = Project.make(tmp_path / "repo", {"docs/old.txt": "old\n", "tests/test_needy.py": needy})
    project.plan(phase(paths=("docs/",)))
    project.answer(edits={"docs/new.txt": "new\n"})
    assert project.attempt().failure.message == "Collection errors at the base: ['tests/test_needy.py']"
    # No commit and no package: nothing under which a result is kept tells of it.
    project.environ["CALC_NEEDED"] = "1"
    with project.store() as store:
        store.requeue_phase("r", "p", now=2.0)
    assert project.attempt().failure is None
