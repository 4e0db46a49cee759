"""The drains as an operator types them: scripts and commands, and what they say when nothing may go."""

import json
import re
import shlex
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from drain_record import Record
from project import Project, phase
from terminal import Terminal

from autopack import bootstrap
from autopack.cli.drain import describe_next
from autopack.domain.drain_policy import Stop, StopRule
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.go_no_go import NextBatch
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.verdicts import AttemptOutcome
from autopack.settings import load_settings
from autopack.testing import MemoryStore

REPOSITORY = Path(__file__).parents[3]
FAILED, QUEUED = "batch_drain_controller.py", "drain_queued_phases.py"
RUN = "fileorg-p2-20251208"
STRICT = (
    "--phase-timeout-seconds 600 --max-total-minutes 45 --max-fingerprint-repeats 2 --max-timeouts-per-run 1 "
    "--max-attempts-per-phase 1"
)
END_SECONDS = 120


def fail(store, run_id, phase_id, message="No module named 'alpha'"):
    """Have an attempt of the phase fail, as a worker would."""
    address = store.next_address(run_id, phase_id)
    lease = store.claim_attempt(address, owner="me", now=1.0, is_owner_dead=lambda _owner, _beat: True)
    failure = FailureReport(kind=FailureKind.IMPORT_ERROR, message=message)
    outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=failure)
    store.finish_attempt(lease, outcome, now=2.0)


# --- as processes ---------------------------------------------------------------------------------------


def script(project, name, words, **options):
    """One of the scripts, typed as the runbook has it, in the repository's folder."""
    environ = {**project.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(REPOSITORY / "src")}
    environ |= {"DATABASE_URL": "sqlite:///autopack.db"}
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / name), *words.split()],
        cwd=project.root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
        **options,
    )


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "repo"
    project = Project.make(root, {"docs/old.txt": "old\n"}, database_url=f"sqlite:///{root}/autopack.db")
    project.configure(f'[ci]\ncommand = "true"\npython = "{sys.executable}"\n')
    return project


@pytest.mark.slow
def test_the_runbook_works_as_it_is_written(project):
    project.plan(
        phase("frontend-build", deliverables=("docs/a.md",)), phase("next", deliverables=("docs/b.md",)),
        run_id=RUN,
    )  # fmt: skip
    project.answer("frontend-build", {"docs/a.md": "a\n"}, run_id=RUN)
    project.answer("next", {"docs/b.md": "b\n"}, run_id=RUN)
    with project.store() as store:
        fail(store, RUN, "frontend-build")

    held = script(project, FAILED, f"--run-id {RUN} --batch-size 30 {STRICT}")
    assert (held.returncode, held.stderr) == (0, "")
    assert "no failed phase may be drained now:" in held.stdout
    assert f"1 phase: their runs have queued phases that may go ({RUN}/frontend-build)" in held.stdout

    # What it names is what helps.
    named = re.search(r"^next: autopack (drain queued --run-id \S+),", held.stdout, re.MULTILINE)
    assert named is not None, held.stdout
    words = " ".join(named[1].split()[2:])
    queued = script(project, QUEUED, f"{words} --batch-size 5 --stop-on-first-failure")
    assert queued.returncode == 0, queued.stdout + queued.stderr
    assert project.phase("next", run_id=RUN).state is PhaseState.COMPLETE

    # A copy for people that cannot be written costs the copy, not the drain.
    sessions = project.root / ".autopack/sessions"
    sessions.rename(sessions.with_name("sessions-of-before"))
    sessions.write_text("in the way")
    failed = script(project, FAILED, f"--run-id {RUN} --batch-size 1 --phase-timeout-seconds 600 --json")
    assert failed.returncode == 0, failed.stdout + failed.stderr
    told = json.loads(failed.stdout)
    assert told["session"]["total_success"] == 1
    assert project.phase("frontend-build", run_id=RUN).state is PhaseState.COMPLETE

    again = script(project, FAILED, f"--run-id {RUN} --batch-size 30 {STRICT}")
    assert again.returncode == 0
    assert "no failed phase may be drained now; there is none" in again.stdout
    assert "which could not be written" in again.stdout


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is_and_what_will_stop_it(project):
    for run_id in ("a", "b"):
        project.plan(phase(deliverables=("docs/out.md",)), run_id=run_id)
        project.answer(edits={"docs/else.md": "x\n"}, run_id=run_id)
    seen = on_terminal(project, "drain", "queued", "--workers", "1", "--max-batches", "1")
    assert "━" in seen
    assert re.search(r"batch-drain-[\d-]+: 1/10 attempts booked, 0 completed, 1 failed", seen)
    assert re.search(r"spent: 30 tokens; saved on what is known to be broken: 0", seen)
    assert re.search(r"now: a/p \(attempt 1, \d+ s\)", seen)
    assert re.search(r"cause \d:deliverables_missing:\w{12}: 1 times, stops at 3", seen)
    assert "nearest limit: batch_size: 1 of 10" in seen
    assert "Ctrl-C: finish what is under way, then stop; again: stop at once" in seen


def on_terminal(project, *words):
    """What a terminal of 200 columns gets from a command."""
    command = [sys.executable, "-m", "autopack", "--root", str(project.root), *words]
    environ = {**project.executor_environ, "AUTOPACK_BUILDER": project.builder}
    with closing(Terminal(command, cwd=project.root, environ=environ)) as terminal:
        return terminal.to_the_end(END_SECONDS)


# --- without an attempt ---------------------------------------------------------------------------------


@pytest.fixture
def backlog(planned):
    """The repository with some failed runs whose names try the prefix, and one queued phase."""
    with closing(bootstrap.open_store(load_settings(planned, environ={}))) as store:
        for run_id in ("a_b.c", "axb.c", "a.b", RUN):
            run = RunSpec(
                run_id=run_id, goal="g", phases=(PhaseSpec(phase_id="p", goal="g"),), order=Order.INDEPENDENT
            )
            store.import_plan(Plan(runs=(run,)), now=1.0)
            fail(store, run_id, "p")
    return planned


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param("failed --run-id fileorg-p2-2025120", 1, RUN, id="a run that is nearly named"),
        pytest.param("queued --run-id fileorg-p2-2025120", 1, RUN, id="the same for the other drain"),
        pytest.param("failed --run-id zzz", 1, "zzz", id="a run that is not there"),
        pytest.param("failed --dry-run --run-id zzz", 1, "zzz", id="not even for a look ahead"),
        pytest.param("failed --session x", 2, "--session needs --resume", id="a session without a resume"),
        pytest.param("queued --session x", 2, "--session needs --resume", id="for the other drain too"),
        pytest.param("failed --resume", 1, "no session to resume", id="nothing to resume"),
        pytest.param("queued --resume", 1, "no session to resume", id="no queued one either"),
        pytest.param("failed --resume --session batch-drain-1", 1, "autopack drain sessions", id="no such session"),
        pytest.param("failed --batch-size -1", 2, "--batch-size", id="a negative batch"),
        pytest.param("failed --batch-size 0", 2, "--batch-size", id="an empty batch"),
        pytest.param("failed --batch-size many", 2, "--batch-size", id="no number"),
        pytest.param("queued --max-batches -1", 2, "--max-batches", id="negative batches"),
        pytest.param("failed --max-total-minutes -1", 2, "--max-total-minutes", id="negative minutes"),
        pytest.param("failed --max-total-minutes nan", 2, "--max-total-minutes", id="minutes that are none"),
        pytest.param("failed --phase-timeout-seconds 0", 2, "--phase-timeout-seconds", id="no time at all"),
        pytest.param("failed --phase-timeout-seconds nan", 2, "--phase-timeout-seconds", id="no time as such"),
        pytest.param("failed --phase-timeout-seconds inf", 2, "--phase-timeout-seconds", id="all time"),
        pytest.param("failed --max-attempts-per-phase 0", 2, "--max-attempts-per-phase", id="no attempts"),
        pytest.param("failed --max-fingerprint-repeats -2", 2, "--max-fingerprint-repeats", id="no repeats"),
        pytest.param("failed --max-timeouts-per-run x", 2, "--max-timeouts-per-run", id="no time-outs"),
        pytest.param("failed --workers 0", 2, "--workers", id="nobody to work"),
        pytest.param("failed --preset hasty", 2, "lenient", id="an unknown preset"),
        pytest.param("failed --builder nobody:x", 1, "nobody", id="an unknown builder"),
        pytest.param("lift 1:x:0 --why mended", 1, "autopack drain fingerprints", id="nothing to lift"),
        pytest.param("lift 1:x:0", 2, "--why", id="lifting without a reason"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_a_hint(words, code, says, backlog, autopack):
    (backlog / ".autopack/answers").mkdir(exist_ok=True)
    found, out, err = autopack("drain", *words.split())
    assert found == code, err
    assert says in err
    assert "error: " in err
    assert "hint: " in err
    assert "Traceback" not in out + err


def test_a_reason_of_spaces_lifts_nothing(backlog, autopack):
    code, _, err = autopack("drain", "lift", "1:x:0", "--why", "  ")
    assert (code, "the text is empty" in err) == (2, True)


@pytest.mark.parametrize(
    ("prefixes", "left"),
    [
        pytest.param([], ["a_b.c", "axb.c", "a.b", RUN], id="none"),
        pytest.param(["a_"], ["axb.c", "a.b", RUN], id="a character that stands for any elsewhere"),
        pytest.param(["a.b"], ["a_b.c", "axb.c", RUN], id="another one"),
        pytest.param(["%"], ["a_b.c", "axb.c", "a.b", RUN], id="one that stands for all"),
        pytest.param(["FILEORG"], ["a_b.c", "axb.c", "a.b", RUN], id="case matters"),
        pytest.param(
            ["ä", "a\N{COMBINING DIAERESIS}"], ["a_b.c", "axb.c", "a.b", RUN], id="letters of others"
        ),
        pytest.param(["a", "fileorg"], [], id="two of them"),
        pytest.param([""], ["a_b.c", "axb.c", "a.b", RUN], id="an empty one leaves out nothing"),
        pytest.param(["'; DROP TABLE run; --"], ["a_b.c", "axb.c", "a.b", RUN], id="a joke"),
    ],
)
def test_a_prefix_is_meant_letter_for_letter(prefixes, left, backlog, autopack_json):
    words = [word for prefix in prefixes for word in ("--skip-run-prefix", prefix)]
    code, plan = autopack_json("drain", "failed", "--dry-run", *words)
    assert code == 0
    assert [address["run_id"] for address in plan["next_attempts"]] == left


def test_a_look_ahead_takes_nothing(backlog, autopack):
    before = autopack("status", "--json")[1]
    code, out, _ = autopack("drain", "failed", "--dry-run", "--batch-size", "2")
    assert code == 0
    assert "2 attempts would be made" in out
    code, out, _ = autopack("drain", "queued", "--dry-run", "--run-id", "a.b")
    assert (code, out.splitlines()[0]) == (
        0,
        "0 attempts would be made, in this order as far as it is known:",
    )
    assert "queued phases" not in out
    code, out, _ = autopack("drain", "queued", "--dry-run", "--run-id", "r")
    assert (code, out.splitlines()[0]) == (0, "1 attempt would be made, in this order as far as it is known:")
    assert re.search(r"^of 2 queued phases; the others follow one of a run at a time", out, re.MULTILINE)
    assert autopack("status", "--json")[1] == before
    assert json.loads(autopack("drain", "sessions", "--json")[1]) == []


def begin_nothing(root, words):
    """A drain without a minute; in a process of its own, for the engine's log outlives a test's output."""
    (root / ".autopack/answers").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "autopack", "--root", str(root), "drain", *shlex.split(words)]
    return subprocess.run(
        [*command, "--max-total-minutes", "0"],
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param("failed --auto-scale", "", id="failed ones"),
        pytest.param("queued", "left in the queue: 2; next: autopack drain queued\n", id="queued ones"),
        pytest.param(
            "queued --run-id r",
            "left in the queue: 2; next: autopack drain queued --run-id r\n",
            id="those of one run",
        ),
        pytest.param(
            "queued --run-id a.b", "stopped by max_total_minutes: 0 of 0\nsession", id="of a run without"
        ),
        pytest.param(
            "queued --skip-run-prefix 'x y' --skip-run-prefix a",
            "left in the queue: 2; next: autopack drain queued --skip-run-prefix 'x y' --skip-run-prefix a\n",
            id="those of some runs",
        ),
        pytest.param("queued --skip-run-prefix r", "max_total_minutes: 0 of 0\nsession", id="of no run"),
    ],
)
def test_a_limit_that_holds_at_once_is_not_told_as_an_empty_backlog(words, says, backlog):
    done = begin_nothing(backlog, words)
    assert done.returncode == 4, done.stderr
    assert "stopped by max_total_minutes: 0 of 0\n" in done.stdout
    assert says in done.stdout
    assert "there is none" not in done.stdout
    # What made no attempt shows nothing, and is no verdict on the next batch.
    assert "EVIDENCE" not in done.stdout
    with closing(bootstrap.open_store(load_settings(backlog, environ={}))) as store:
        assert store.triage.decisions(limit=1) == ()


def test_a_drain_of_queued_phases_tells_programs_too_how_many_are_left(backlog):
    told = json.loads(begin_nothing(backlog, "queued --json").stdout)
    assert (told["queued"], told["session"]["total_processed"]) == (2, 0)


def test_a_look_ahead_at_a_climb_tells_of_its_rungs(backlog, autopack):
    code, out, _ = autopack("drain", "failed", "--auto-scale", "--dry-run")
    assert code == 0
    assert out.splitlines()[0].startswith("4 attempts would be made")
    assert out.endswith("then batches of 30 and 100, as far as the verdict on each one allows\n")


@pytest.mark.parametrize(
    ("stop", "size", "says"),
    [
        pytest.param(Stop(rule=StopRule.BATCH_SIZE, seen=5, limit=5), 30, "up to 30", id="the next batch"),
        pytest.param(
            Stop(rule=StopRule.NOTHING_LEFT, seen=1, limit=0),
            30,
            "no further batch: nothing left that may be drained",
            id="nothing left",
        ),
        pytest.param(
            Stop(rule=StopRule.TOTAL_MINUTES, seen=45.0123, limit=45),
            5,
            "no further batch: max_total_minutes: 45 of 45",
            id="a limit",
        ),
        pytest.param(Stop(rule=StopRule.BATCH_SIZE, seen=5, limit=5), 0, "stop: mend it", id="no rung below"),
        pytest.param(None, 30, "no further batch: interrupted", id="interrupted"),
    ],
)
def test_what_follows_a_batch_is_told_with_why(stop, size, says):
    session = replace(Record(MemoryStore()).start(), stop=stop)
    outcome = bootstrap.DrainOutcome(
        session=session,
        results=(),
        held_back=(),
        was_interrupted=stop is None,
        file=Path("x"),
        file_problem="",
    )
    step = NextBatch(batch_size=size, why="up to 30" if size else "stop: mend it")
    assert describe_next(outcome, step) == says


@pytest.mark.parametrize("kind", ["failed", "queued"])
def test_a_database_without_tables_is_told_so(kind, root, autopack):
    code, out, err = autopack("drain", kind)
    assert code == 1
    assert "hint: " in err
    assert "autopack init" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("words", ["fingerprints", "sessions", "failed --dry-run", "queued --dry-run"])
def test_an_empty_backlog_is_no_mistake(words, root, autopack):
    assert autopack("init")[0] == 0
    code, _, err = autopack("drain", *words.split())
    assert (code, err) == (0, "")
    code, out, _ = autopack("drain", *words.split(), "--json")
    json.loads(out)
    assert code == 0


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        (FAILED, ("--run-id --batch-size --dry-run --resume --skip-runs-with-queued --no-skip-runs-with-queued"
         " --skip-run-prefix --phase-timeout-seconds --max-total-minutes --max-attempts-per-phase"
         " --max-fingerprint-repeats --max-timeouts-per-run --max-consecutive-zero-yield --preset --workers"
         " --replay --no-replay --doom-check --no-doom-check --json")),
        (QUEUED, "--run-id --batch-size --stop-on-first-failure --max-batches --json"),
    ],
)  # fmt: skip
def test_a_script_knows_every_flag(name, flags, root):
    program = [sys.executable, str(REPOSITORY / "scripts" / name), "--help"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=END_SECONDS, check=False)
    assert done.returncode == 0
    known = set(re.findall(r"--[a-z-]+", done.stdout))
    assert set(flags.split()) <= known
