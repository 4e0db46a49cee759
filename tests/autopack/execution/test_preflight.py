"""The look at what is known: it says of a phase what the attempt's own process says, or nothing."""

import sqlite3
import sys
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from project import FILES, Project, phase

from autopack.adapters.clock import SystemClock
from autopack.bootstrap.preflight import KnownDooms
from autopack.domain.attempt import AttemptAddress
from autopack.domain.baseline import UNPROVEN_SECONDS
from autopack.domain.blocker import BlockerEvent
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseKind, PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import AttemptOrders
from autopack.domain.verdicts import AttemptOutcome
from autopack.execution.launch import attempt_folder
from autopack.ports import BuildAnswer

RED = {**FILES, "tests/test_red.py": "import nowhere_to_be_found\n"}
PART = "python -m pytest -q -p no:cacheprovider tests/test_core.py"
ORDERS = AttemptOrders(timeout_seconds=60.0, replay=Replay.OFF, doom_check=True)
MEND = PhaseKind.REMEDIATION


@contextmanager
def looking(project):
    """A worker's look, and the store that it shares with it."""
    with project.store() as store:
        known = KnownDooms(project.settings, store, SystemClock(), project.executor_environ)
        try:
            yield store, known
        finally:
            known.close()


def at(run_id, number=1):
    return AttemptAddress(run_id=run_id, phase_id="p", number=number)


def look(project, run_id, *, number=1, orders=None):
    """The verdict on the phase without a process; None when one is needed."""
    address = at(run_id, number)
    with looking(project) as (_, known):
        return known.conclude(address, orders, logs=attempt_folder(project.settings.state_folder, address))


def run_process(project, run_id, phase_id="p"):
    return project.spawn(phase_id, run_id=run_id).communicate()


def made(project, run_id):
    """All that the store holds of the phase and its newest attempt, but whose it was and when."""
    with project.store() as store:
        (*_, attempt) = store.attempts(run_id, "p")
        moved = store.phase(run_id, "p")
    attempt = replace(attempt, owner="", started_at=0.0, heartbeat_at=0.0, finished_at=0.0)
    outcome = replace(attempt.outcome, duration_seconds=0.0)
    address = replace(attempt.address, run_id="")
    return replace(attempt, outcome=outcome, address=address), replace(moved, run_id="", updated_at=0.0)


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    """A base with a module that cannot be collected, known to a process as a whole and by its sound part."""
    project = Project.make(tmp_path_factory.mktemp("red") / "repo", RED)
    (project.root / "calc" / "link").symlink_to("core.py")
    project.commit("A link")
    for run_id, ci in (("whole", None), ("part", PART)):
        project.plan(phase(paths=("docs/",), ci=ci), run_id=run_id)
        run_process(project, run_id)
        assert project.phase(run_id=run_id).failure_kind is FailureKind.DOOMED
    return project


CASES = [
    pytest.param(phase(paths=("docs/",)), True, id="a red module out of reach"),
    pytest.param(phase(paths=("docs/",), ci=PART), True, id="a red module that the whole suite will show"),
    pytest.param(phase(paths=("calc/link/x.py",)), True, id="a path through a link"),
    pytest.param(phase(deliverables=(".github/x.yml",)), True, id="a protected deliverable"),
    pytest.param(phase(paths=("docs/",), kind=MEND), False, id="a phase that is there to mend"),
    pytest.param(phase(paths=("tests/test_red.py",)), False, id="a scope that holds the module"),
    pytest.param(phase(paths=("nowhere_to_be_found.py",)), False, id="a scope that holds the missing one"),
    pytest.param(phase(paths=("tests/",), ci=PART), False, id="a scope that holds what the suite will show"),
]


@pytest.mark.parametrize(("spec", "is_doomed"), CASES)
def test_a_look_says_what_a_process_says(spec, is_doomed, red, request):
    number = request.node.callspec.indices["spec"]
    for who in ("look", "process"):
        red.plan(spec, run_id=f"{who}-{number}")
    found = look(red, f"look-{number}")
    run_process(red, f"process-{number}")
    attempt, moved = made(red, f"process-{number}")
    assert (attempt.outcome.failure.kind is FailureKind.DOOMED) is is_doomed
    if not is_doomed:
        assert found is None
        assert red.phase(run_id=f"look-{number}").state is PhaseState.QUEUED
        return
    assert made(red, f"look-{number}") == (attempt, moved)
    assert attempt.outcome.fingerprint
    assert (moved.attempts, attempt.outcome.usage) == (1, Usage())
    assert found.failure.message == attempt.outcome.failure.message


def test_a_drain_that_wants_no_look_gets_none(red):
    red.plan(phase(paths=("docs/",)), run_id="unlooked")
    assert look(red, "unlooked", orders=replace(ORDERS, doom_check=False)) is None
    assert look(red, "unlooked", orders=ORDERS) is not None


def fail(store, run_id):
    """An attempt that paid for an answer and ended badly, long ago; its phase is queued again."""
    lease = store.claim_attempt(at(run_id), owner="x", now=2.0, is_owner_dead=lambda _owner, _beat: False)
    words = {"builder": "b", "prompt_hash": "h", "expected_tokens": 5, "limit_tokens": 9}
    call = store.reserve_call(lease, turn=1, now=2.0, **words)
    answer = BuildAnswer(text="diff", usage=Usage(input_tokens=5))
    store.settle_call(call.call_id, answer, base_commit="old", duration_seconds=1.0, now=2.0)
    failure = FailureReport(kind=FailureKind.TIMEOUT, message="late")
    store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.FAILED, failure=failure), now=3.0)
    store.requeue_phase(run_id, "p", now=4.0)


def test_an_earlier_answer_is_not_judged_on_a_base_that_will_block_it(red):
    """As in a process: what the base shows comes before what an earlier attempt left."""
    for run_id in ("replayed-look", "replayed-process"):
        red.plan(phase(paths=("docs/",)), run_id=run_id)
        with red.store() as store:
            fail(store, run_id)
    assert look(red, "replayed-look", number=2, orders=replace(ORDERS, replay=Replay.FIRST)) is not None
    words = ("--replay", "first")
    process = red.spawn(run_id="replayed-process", words=words)
    process.communicate()
    assert made(red, "replayed-look") == made(red, "replayed-process")


def test_an_attempt_that_was_begun_is_left_to_a_process(red):
    red.plan(phase(paths=("docs/",)), run_id="begun")
    with red.store() as store:
        lease = store.claim_attempt(
            at("begun"), owner="x", now=2.0, is_owner_dead=lambda _owner, _beat: False
        )
        assert look(red, "begun") is None, "it is held"
        death = FailureReport(kind=FailureKind.CRASHED, message="killed")
        store.release_attempt(at("begun"), token=lease.token, failure=death, now=3.0)
    assert look(red, "begun") is None, "it may have an answer"
    assert red.phase(run_id="begun").state is PhaseState.QUEUED


@contextmanager
def configured(project, more):
    """Settings that an operator adds while a worker runs."""
    config = project.root / ".autopack/config.toml"
    before = config.read_text()
    config.write_text(f"{before}{more}")
    try:
        yield
    finally:
        config.write_text(before)


def test_a_phase_that_waits_for_its_budget_is_left_to_a_process(red):
    red.plan(phase(paths=("docs/",)), run_id="poor")
    with red.store() as store:
        fail(store, "poor")
    with configured(red, "\n[budget]\nrun_tokens = 1\n"):
        assert look(red, "poor", number=2) is None
    assert look(red, "poor", number=2) is not None


def test_settings_are_those_that_a_process_would_read_now(red):
    red.plan(phase(paths=("docs/",)), run_id="tolerant")
    with looking(red) as (_, known):
        with configured(red, 'collection_errors = "new-only"\n'):
            assert known.conclude(at("tolerant"), None, logs=red.root) is None
        with configured(red, "nonsense = 3\n"):
            assert known.conclude(at("tolerant"), None, logs=red.root) is None
        assert known.conclude(at("tolerant"), None, logs=red.root) is not None


def test_nothing_is_foreseen_of_a_base_that_nobody_looked_at(tmp_path):
    project = Project.make(tmp_path / "repo", RED)
    project.plan(phase(paths=("docs/",)), run_id="new")
    assert look(project, "new") is None
    assert project.phase(run_id="new").state is PhaseState.QUEUED


def test_a_fault_leaves_the_phase_to_a_process(red, monkeypatch):
    red.plan(phase(paths=("docs/",)), run_id="faulty")
    with looking(red) as (store, known):
        # No git.
        monkeypatch.setenv("PATH", "")
        assert known.conclude(at("faulty"), None, logs=red.root) is None
        assert store.phase("faulty", "p").state is PhaseState.QUEUED


def test_what_moved_meanwhile_is_not_booked(red, monkeypatch):
    """Another attempt of the run comes to its end between the look and the booking."""
    red.plan(phase(paths=("docs/",)), phase("other", paths=("docs/",)), run_id="moving")
    with looking(red) as (store, known):
        book = store.book_foreseen

        def book_late(foreseen, *, now):
            run_process(red, "moving", "other")
            book(foreseen, now=now)

        monkeypatch.setattr(store, "book_foreseen", book_late)
        assert known.conclude(at("moving"), None, logs=red.root) is None
        assert store.phase("moving", "other").state is PhaseState.FAILED
        assert store.phase("moving", "p").state is PhaseState.QUEUED


@pytest.fixture
def unproven(tmp_path):
    """A base whose CI could not run, as a process found out, and the script that lets it run."""
    script = tmp_path / "ci"
    project = Project.make(tmp_path / "repo")
    project.configure(f'[ci]\npython = "{sys.executable}"\ncommand = "{script}"\n')
    project.plan(phase(paths=("docs/",)), run_id="first")
    run_process(project, "first")
    assert project.phase(run_id="first").failure_kind is FailureKind.DOOMED
    return project, script


def mend(script):
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -m pytest -q -p no:cacheprovider\n")
    script.chmod(0o755)


def test_a_mended_base_is_believed_no_longer_than_by_a_process(unproven):
    project, script = unproven
    for run_id in ("soon", "late"):
        project.plan(phase(paths=("docs/",)), run_id=run_id)
    mend(script)
    assert look(project, "soon") is not None
    with closing(sqlite3.connect(project.root / ".autopack/autopack.db")) as database, database:
        database.execute("UPDATE baseline SET created_at = created_at - ?", (UNPROVEN_SECONDS,))
    assert look(project, "late") is None
    project.answer(edits={"docs/x.md": "x\n"}, run_id="late")
    run_process(project, "late")
    assert project.phase(run_id="late").state is PhaseState.COMPLETE


def test_a_phase_that_was_requeued_has_its_base_looked_at_anew(unproven):
    project, script = unproven
    mend(script)
    with project.store() as store:
        store.requeue_phase("first", "p", now=SystemClock().now())
    assert look(project, "first", number=2) is None


def test_a_mended_cause_that_a_look_finds_again_is_back(unproven):
    project, _ = unproven
    for run_id in ("second", "third"):
        project.plan(phase(paths=("docs/",)), run_id=run_id)
    assert look(project, "second") is not None
    now = SystemClock().now()
    with project.store() as store:
        (blocker,) = store.triage.open_blockers(now=now)
        event = BlockerEvent(at=now, event="validation passed")
        store.triage.validated(blocker, event, fix_commit=project.git("rev-parse", "HEAD"), why="mended")
        assert look(project, "third") is not None
        assert store.triage.blocker("B1").recurred_in == "third/p/1"
