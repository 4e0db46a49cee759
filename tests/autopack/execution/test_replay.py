"""An answer that was paid for is judged again before another is asked for."""

import pytest
from project import Project, phase

from autopack import bootstrap
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay, is_worth_replaying
from autopack.ports import Decision

NEEDS_EXTRA = {
    "tests/test_extra.py": "from calc.extra import one\n\n\ndef test_one():\n    assert one == 1\n"
}
OTHER = {"docs/other.md": "something else\n"}


@pytest.fixture
def stuck(tmp_path):
    """A phase whose change was right, but for a module that the base did not have."""
    project = Project.make(tmp_path / "repo")
    project.plan(phase(), base="main")
    project.answer(edits=NEEDS_EXTRA)
    assert project.attempt().final_state is PhaseState.FAILED
    requeue(project)
    # Whoever is asked again gives another answer, so that it shows who was asked.
    project.answer(edits=OTHER)
    return project


def requeue(project):
    with project.store() as store:
        store.requeue_phase("r", "p", now=2.0)


def mend(project):
    """The base gets what the change needed, and the run's branch with it."""
    project.write({"calc/extra.py": "one = 1\n"})
    project.git("branch", "-f", "autopack/r", project.commit("Add extra"))


def attempt(project, replay):
    with bootstrap.open_executor(
        root=project.root, builder=project.builder, environ=project.executor_environ, replay=replay
    ) as executor:
        return executor.execute(executor.next_address("r", "p", None))


def tokens(project):
    with project.store() as store:
        return store.usage_of("r", "p").total_tokens


@pytest.mark.parametrize("replay", [Replay.FIRST, Replay.ONLY])
def test_a_change_that_waited_for_the_base_completes_without_the_builder(stuck, replay):
    mend(stuck)
    spent = tokens(stuck)
    outcome = attempt(stuck, replay)
    assert outcome.final_state is PhaseState.COMPLETE
    assert stuck.show("tests/test_extra.py") == NEEDS_EXTRA["tests/test_extra.py"].strip()
    assert tokens(stuck) == spent


EXTRA_TEST = NEEDS_EXTRA["tests/test_extra.py"]
EDITS_FILES = f"command:cat > tests/test_extra.py << 'END'\n{EXTRA_TEST}END"
ANSWERS = "replay:.autopack/answers"


@pytest.mark.parametrize(
    ("asked", "judge", "notes"),
    [
        pytest.param(EDITS_FILES, ANSWERS, "", id="left as it was by a program"),
        pytest.param(ANSWERS, "command:true", "docs/notes.json", id="written by a model"),
    ],
)
def test_whether_a_placeholder_is_part_of_a_change_is_said_by_whoever_made_it(tmp_path, asked, judge, notes):
    project = Project.make(tmp_path / "repo", builder=asked)
    project.plan(phase(paths=("tests/test_extra.py", "docs/notes.json")), base="main")
    project.answer(edits={**NEEDS_EXTRA, "docs/notes.json": "{}\n"})
    assert project.attempt().final_state is PhaseState.FAILED
    requeue(project)
    mend(project)
    project.builder = judge
    assert attempt(project, Replay.ONLY).final_state is PhaseState.COMPLETE
    assert project.git("ls-tree", "-r", "--name-only", "autopack/r", "docs/notes.json") == notes
    assert project.show("tests/test_extra.py") == EXTRA_TEST.strip()


def test_a_change_that_still_fails_makes_way_for_the_builder(stuck):
    outcome = attempt(stuck, Replay.FIRST)
    assert outcome.final_state is PhaseState.COMPLETE
    assert stuck.show("docs/other.md") == "something else"
    assert stuck.git("ls-tree", "--name-only", "autopack/r", "tests/test_extra.py") == ""


def test_a_replay_alone_ends_with_the_verdict_on_the_old_change(stuck):
    spent = tokens(stuck)
    outcome = attempt(stuck, Replay.ONLY)
    assert outcome.failure.kind in {FailureKind.COLLECTION_ERROR, FailureKind.IMPORT_ERROR}
    assert tokens(stuck) == spent


def test_a_replay_alone_of_a_phase_without_an_answer_asks_nobody(tmp_path):
    project = Project.make(tmp_path / "repo")
    project.plan(phase(), base="main")
    project.answer(edits=OTHER)
    outcome = attempt(project, Replay.ONLY)
    assert outcome.failure.kind is FailureKind.EMPTY_CHANGE
    assert tokens(project) == 0


def test_without_replay_the_builder_is_asked(stuck):
    mend(stuck)
    attempt(stuck, Replay.OFF)
    assert stuck.show("docs/other.md") == "something else"


def test_an_answer_that_gives_whole_files_does_not_undo_what_came_meanwhile(tmp_path):
    project = Project.make(tmp_path / "repo")
    project.plan(phase(), base="main")
    project.answer(
        edits={"calc/core.py": "import calc.extra\n" + project.git("show", "main:calc/core.py") + "\n"}
    )
    project.attempt()
    requeue(project)
    project.write(
        {"calc/extra.py": "", "calc/core.py": project.git("show", "main:calc/core.py") + "\n\n\nX = 1\n"}
    )
    project.git("branch", "-f", "autopack/r", project.commit("Add extra, and to core"))
    outcome = attempt(project, Replay.ONLY)
    assert outcome.failure.kind is FailureKind.PATCH_REJECTED


@pytest.mark.parametrize(
    ("kind", "is_same_base", "worth"),
    [
        pytest.param(FailureKind.TEST_REGRESSION, True, False, id="the change itself is wrong"),
        pytest.param(FailureKind.TEST_REGRESSION, False, True, id="what it is made on has changed"),
        pytest.param(FailureKind.UNRUNNABLE, True, True, id="a missing tool may be there by now"),
        pytest.param(FailureKind.TIMEOUT, True, True, id="a time limit may be wider"),
        pytest.param(FailureKind.DELIVERABLES_MISSING, True, False, id="it will be missing again"),
    ],
)
def test_when_judging_again_may_end_otherwise(kind, is_same_base, worth):
    assert is_worth_replaying(kind, is_same_base=is_same_base) is worth


def test_what_was_approved_is_what_is_committed(tmp_path):
    project = Project.make(tmp_path / "repo")
    project.plan(phase(requires_approval=True), base="main")
    project.answer(edits=NEEDS_EXTRA)
    attempt(project, Replay.OFF)
    requeue(project)
    mend(project)
    project.answer(edits=OTHER)
    assert attempt(project, Replay.FIRST).final_state is PhaseState.GATE
    spent = tokens(project)
    with project.store() as store:
        store.decide_approval("r", "p", Decision(approved=True, by="ann", why="read it", at=3.0))
    # Whoever goes on with it was told nothing of replays.
    assert attempt(project, Replay.OFF).final_state is PhaseState.COMPLETE
    assert project.show("tests/test_extra.py") == NEEDS_EXTRA["tests/test_extra.py"].strip()
    assert tokens(project) == spent


def test_a_change_that_was_denied_is_not_offered_again(tmp_path):
    project = Project.make(tmp_path / "repo")
    project.plan(phase(requires_approval=True), base="main")
    project.answer(edits={"docs/first.md": "x\n"})
    assert attempt(project, Replay.OFF).final_state is PhaseState.GATE
    with project.store() as store:
        store.decide_approval("r", "p", Decision(approved=False, by="ann", why="no", at=3.0))
    requeue(project)
    project.answer(edits=OTHER)
    before = tokens(project)
    attempt(project, Replay.FIRST)
    assert tokens(project) > before
