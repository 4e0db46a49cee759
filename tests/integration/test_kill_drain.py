"""Drains that are killed at every step that matters and at random instants, and what is true when they went on.

``AUTOPACK_KILLS=50`` kills that often on each database and at every step; without it a few times.
"""

import math
import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from drained import files_are_whole, phases, told
from leftovers import assert_nothing_is_left, attempts_of, processes_of, read_ledger
from project import Project, phase
from workers import END_SECONDS, lines, log_of, log_path, make_project, start

from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.run import Order

KILLING = Path(__file__).parents[1] / "support" / "killing_drain.py"
IS_THOROUGH = "AUTOPACK_KILLS" in os.environ
KILLS = int(os.environ.get("AUTOPACK_KILLS", "2"))
KILLS_PER_PROJECT = 2
"""One below the deaths in a row after which a phase fails, which is right, and tested elsewhere."""
SEED = int(os.environ.get("AUTOPACK_KILL_SEED", "20261124"))
FILES = {"docs/old.txt": "old\n"}
BROKEN = ("b", "c", "d")
FAILED_DRAIN = ("drain", "failed", "--workers", "1", "--max-fingerprint-repeats", "2")
FAILED_DRAIN += ("--max-attempts-per-phase", "1")
RUNS = {"a": (Order.STRICT, ("one", "two")), "b": (Order.INDEPENDENT, ("bad", "good"))}
QUEUED_DRAIN = ("drain", "queued", "--workers", "2")


# --- every step -----------------------------------------------------------------------------------------


def prepare(root, database_url):
    """A run that its stored answer completes, and three of one cause, all of them failed before."""
    project = Project.make(root, FILES, database_url=database_url)
    project.configure(f'[ci]\ncommand = "true"\npython = "{sys.executable}"\n')
    for run_id in ("a", *BROKEN):
        project.plan(phase(paths=("docs/",), deliverables=("docs/out.md",)), run_id=run_id)
        project.answer(edits={"docs/else.md": "x\n"}, run_id=run_id)
        assert project.attempt(run_id=run_id).final_state is PhaseState.FAILED
    project.answer(edits={"docs/out.md": "x\n"}, run_id="a")
    # A checkout knows its place, which is not the copies'.
    shutil.rmtree(root / ".autopack/worktrees")
    shutil.rmtree(root / ".git/worktrees")
    return project


def drain(project, *words, kill=()):
    """A drain's exit code."""
    program = [str(KILLING), *map(str, kill)] if kill else ["-m", "autopack"]
    with log_path(project).open("ab") as log:
        return subprocess.run(
            [sys.executable, *program, "--root", str(project.root), *words],
            cwd=project.root,
            env={**project.executor_environ, "AUTOPACK_BUILDER": project.builder},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=END_SECONDS,
            check=False,
        ).returncode


@pytest.fixture(scope="session")
def template_on(tmp_path_factory):
    """The prepared project on SQLite or on a PostgreSQL server, made when it is first asked for."""
    with ExitStack() as kept:

        @cache
        def make(make_database):
            url = kept.enter_context(make_database())
            return prepare(tmp_path_factory.mktemp("drain") / "template", url)

        yield make


@pytest.fixture(scope="session")
def make_on_server(postgres_server, make_postgres_database):
    """Makes databases on the one server."""
    return partial(make_postgres_database, postgres_server)


@pytest.fixture
def copied(request, template_on):
    """Copies the prepared project, each copy with a database of its own, which is gone with the context."""
    is_postgres = getattr(request, "param", "sqlite") == "postgres"
    make = request.getfixturevalue("make_on_server") if is_postgres else no_database
    return partial(copy_of, template_on(make), make)


@contextmanager
def copy_of(template, make_database, root):
    project = template.copy(root)
    names = {"template": sa.make_url(url).database} if (url := template.database_url) else {}
    with make_database(**names) as own:
        yield replace(project, database_url=own)


def no_database():
    """Nothing beside the repository's own SQLite file, which is copied with it."""
    return nullcontext()


@pytest.fixture(scope="session")
def undisturbed(template_on, tmp_path_factory):
    """What comes of a drain of failed phases when nothing is killed, and how long that takes here and now.

    It is the same on every database.
    """
    with copy_of(
        template_on(no_database), no_database, tmp_path_factory.mktemp("undisturbed") / "repo"
    ) as project:
        began = os.times().elapsed
        assert drain(project, *FAILED_DRAIN) == 1, log_of(project)
        seconds = os.times().elapsed - began
        found = stop_facts(project)
    # The cause was known from before: two attempts of it, and the third run is left alone.
    assert found["totals"] == [3, 3, 1, 2, 0], log_of(project)
    assert [seen for _, seen, is_stopped in found["known"] if is_stopped] == [2]
    return found, seconds


def stop_facts(project):
    return {**told(project), "phases": phases(project, ("a", *BROKEN))}


STEPS = [
    ("start", 1, "after"),
    ("pick", 1, "after"),
    ("submit", 1, "after"),
    ("book", 1, "before"),
    ("book", 3, "after"),
    ("mark", 1, "before"),
    ("rename", 2, "before"),
    ("finish", 1, "after"),
]
EVERY_STEP = [
    (name, number, where)
    for name, most in {
        "start": 1, "touch": 3, "pick": 4, "submit": 3, "spent": 3, "book": 3, "mark": 1, "rename": 4, "export": 4,
        "open_picks": 3, "session": 3, "finish": 1,
    }.items()
    for number in range(1, most + 1)
    for where in ("before", "after")
]  # fmt: skip


DATABASES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
# In a quick run the second database gets the steps between which two transactions of it lie.
FEW = {"sqlite": STEPS, "postgres": [("pick", 1, "after"), ("mark", 1, "before"), ("book", 3, "after")]}
CASES = [
    pytest.param(name, step, id=f"{name} {' '.join(map(str, step))}", marks=marks)
    for name, marks in {"sqlite": (), "postgres": pytest.mark.postgres}.items()
    for step in (EVERY_STEP if IS_THOROUGH else FEW[name])
]


@pytest.mark.slow
@pytest.mark.parametrize(("copied", "step"), CASES, indirect=["copied"])
@pytest.mark.parametrize("goes_on", ["--resume"] if not IS_THOROUGH else ["--resume", "anew"])
def test_killed_at_any_step_a_drain_ends_as_if_undisturbed(step, goes_on, copied, undisturbed, tmp_path):
    found, _ = undisturbed
    with copied(tmp_path / "repo") as project:
        assert drain(project, *FAILED_DRAIN, kill=step) == -signal.SIGKILL, log_of(project)
        files_are_whole(project)
        go_on(project, FAILED_DRAIN, is_resumed=goes_on == "--resume")
        assert stop_facts(project) == found, log_of(project)
        assert all(call.usage for call in read_ledger(project))
        assert_nothing_is_left(project)


def go_on(project, words, *, is_resumed):
    """What an operator does next: resume what is not ended, else drain what is left."""
    assert drain(project, *words, *resumed_words(project, is_resumed=is_resumed)) in {0, 1}, log_of(project)


def resumed_words(project, *, is_resumed):
    with project.store() as store:
        newest = store.drains.sessions(limit=1)
    return ("--resume",) if is_resumed and newest and newest[0].completed_at is None else ()


# --- time limits ----------------------------------------------------------------------------------------

CALM = "mkdir -p docs; echo x > docs/x.txt"
HANG = "echo looking; setsid sleep 307 & sleep 306"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("builder", "ci", "step"),
    [
        pytest.param(HANG, "true", "builder", id="in the Builder"),
        # The CI of the base is well: there is no old.txt where a change was made.
        pytest.param(CALM, f"sh -c 'test ! -e docs/x.txt || {{ {HANG}; }}'", "ci", id="in CI"),
    ],
)
def test_what_hangs_is_ended_at_the_limit_and_its_run_left_alone(builder, ci, step, undisturbed, tmp_path):
    # In the time of a whole drain, as it is here and now, an attempt comes to what hangs.
    limit = min(50, max(10, math.ceil(undisturbed[1])))
    project = Project.make(tmp_path / "repo", FILES, builder=f"command:{builder}")
    project.configure(f'[ci]\ncommand = "{ci}"\npython = "{sys.executable}"\n')
    # The time of CI itself is longer.
    phases = (phase(name, paths=("docs/",), timeout_seconds=600) for name in ("p", "q", "s"))
    project.plan(*phases, run_id="r")
    words = ("drain", "queued", "--workers", "1", "--phase-timeout-seconds", str(limit))
    assert drain(project, *words) == 1, log_of(project)
    assert_nothing_is_left(project)
    found = told(project)
    assert found["totals"] == [2, 2, 0, 2, 2], log_of(project)
    assert [count for _, count in found["counts"]] == [2]
    with project.store() as store:
        (session,) = store.drains.sessions(limit=1)
        late = store.attempts("r", "p")[0].outcome
    assert session.stopped_runs == ("r",)
    assert project.phase("s", run_id="r").state is PhaseState.QUEUED
    assert late.failure.kind is FailureKind.TIMEOUT
    assert late.failure.message.endswith(f"its time limit, at {step}"), late.failure.message
    assert late.failure.evidence == "looking\n"
    assert late.failure.duration_seconds >= limit


# --- several at once ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_drains_and_a_worker_do_nothing_twice(database_url, tmp_path):
    names = ("one", "two")
    runs = dict.fromkeys("abc", (Order.INDEPENDENT, names))
    project = make_project(tmp_path / "repo", database_url, runs)
    programs = [
        start(project, *QUEUED_DRAIN),
        start(project, *QUEUED_DRAIN),
        start(project, "worker", "--once"),
    ]
    for program in programs:
        assert program.wait(END_SECONDS) == 0, log_of(project)
    go_on(project, QUEUED_DRAIN, is_resumed=False)
    assert lines(project, "overlaps") == []
    assert sorted(lines(project, "asked")) == sorted(f"{run_id}/{name}" for run_id in runs for name in names)
    assert {it[2] for it in phases(project, runs)} == {PhaseState.COMPLETE}
    results = told(project)["results"]
    assert len({(run_id, phase_id, number) for run_id, phase_id, number, *_ in results}) == len(results)
    assert_nothing_is_left(project)


@pytest.mark.slow
@pytest.mark.parametrize("copied", DATABASES, indirect=True)
def test_two_drains_share_what_stops_a_cause(copied, tmp_path):
    words = [word if word != "2" else "1" for word in FAILED_DRAIN]
    with copied(tmp_path / "repo") as project:
        pair = [start(project, *words) for _ in range(2)]
        for program in pair:
            assert program.wait(END_SECONDS) in {0, 1}, log_of(project)
        check_shared_stop(project)


def check_shared_stop(project):
    found = told(project)
    # As many as it may be seen, and one more for each further drain at most.
    assert 1 <= sum(count for _, count in found["counts"]) <= 1 + 2 - 1
    assert len(found["stopped"]) == 1
    assert project.phase(run_id="a").state is PhaseState.COMPLETE
    assert_nothing_is_left(project)


# --- random instants ------------------------------------------------------------------------------------


def facts(project):
    return {
        **told(project),
        "phases": phases(project, RUNS),
        "branches": project.git("for-each-ref", "refs/heads"),
    }


def kill(project, controller, what):
    """Kill the attempts, the controller, or all that works for it; whether the controller is dead."""
    pids = {"attempts": attempts_of, "everything": processes_of}.get(what, lambda _root: ())(project.root)
    is_over = what != "attempts" or not pids
    for pid in [*pids, *([controller.pid] if is_over else [])]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if is_over:
        controller.wait(END_SECONDS)
    return is_over


def work_off(project, words, rng, kills, seconds):
    """Drain until nothing is left, and kill at ``kills`` instants; how many found something to kill."""
    killed, is_over, is_resumed = 0, True, rng.choice([True, False])
    controller = None
    while killed < kills:
        if is_over:
            controller = start(project, *words, *resumed_words(project, is_resumed=is_resumed))
        with suppress(subprocess.TimeoutExpired):
            controller.wait(rng.uniform(0.05, seconds))
        if controller.returncode is not None:
            break
        is_over = kill(project, controller, rng.choice(["controller", "attempts", "everything"]))
        files_are_whole(project)
        killed += 1
    controller.wait(END_SECONDS)
    go_on(project, words, is_resumed=is_resumed)
    return killed


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """What comes of the plan when nothing is killed, and how long that takes here and now."""
    project = make_project(tmp_path_factory.mktemp("quiet") / "repo", None, RUNS)
    began = os.times().elapsed
    assert start(project, *QUEUED_DRAIN).wait(END_SECONDS) == 1, log_of(project)
    found = facts(project)
    assert found["totals"] == [4, 4, 3, 1, 0]
    return found, os.times().elapsed - began


BATCHES = -(-KILLS // KILLS_PER_PROJECT)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_at_random_instants_a_drain_ends_as_if_undisturbed(batch, new_database, quiet, tmp_path):
    found, seconds = quiet
    rng = random.Random(f"{SEED} {batch}")
    killed = 0
    while killed < KILLS_PER_PROJECT:
        # An instant may lie beyond the end of all work; then another project gets the kill that is left.
        with new_database() as url:
            project = make_project(tmp_path / f"{killed}-{rng.random()}/repo", url, RUNS)
            now = work_off(project, QUEUED_DRAIN, rng, KILLS_PER_PROJECT - killed, seconds)
            assert facts(project) == found, log_of(project)
            lost = [call.phase for call in read_ledger(project) if call.usage is None]
            assert len(lost) <= now * len(RUNS)
            asked = lines(project, "asked")
            assert all(asked.count(name) <= 1 + lost.count(name) for name in asked)
            assert lines(project, "overlaps") == []
            assert_nothing_is_left(project)
        killed += now


@pytest.mark.slow
@pytest.mark.parametrize("copied", DATABASES if IS_THOROUGH else DATABASES[:1], indirect=True)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_at_random_instants_a_drain_forgets_no_stop(batch, copied, undisturbed, tmp_path):
    found, seconds = undisturbed
    rng = random.Random(f"{SEED} stops {batch}")
    killed = 0
    while killed < KILLS_PER_PROJECT:
        with copied(tmp_path / f"{killed}-{rng.random()}/repo") as project:
            now = work_off(project, FAILED_DRAIN, rng, KILLS_PER_PROJECT - killed, seconds)
            assert stop_facts(project) == found, log_of(project)
            assert_nothing_is_left(project)
        killed += now
