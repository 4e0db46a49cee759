"""``autopack remediate run --run-id``: goes on with a remediation run, and touches no other."""

from contextlib import closing
from dataclasses import replace

import pytest

from autopack import bootstrap
from autopack.cli.remediate_view import print_reports
from autopack.domain.blocker import Blocker, BlockerEvent, BlockerState
from autopack.domain.drain_policy import Stop, StopRule
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.session import KnownFingerprint
from autopack.domain.verdicts import AttemptOutcome
from autopack.settings import load_settings
from autopack.triage.release import ReleaseReport

PLAN = """\
version: 1
runs:
  - id: shop
    goal: A run of work
    order: independent
    phases:
      - {id: a, goal: Do a}
      - {id: b, goal: Do b}
      - {id: c, goal: Do c}
  - id: mends
    goal: A run of mends
    phases:
      - {id: mend-b9, goal: Mend it, kind: remediation}
"""
RED = FailureReport(
    kind=FailureKind.COLLECTION_ERROR,
    message="New collection errors (persistent): ['tests/test_a.py']",
    details=("tests/test_a.py: ModuleNotFoundError: No module named 'praw'",),
)

MENDS = "command:echo 'def test_a(): pass' > tests/test_a.py"


@pytest.fixture
def stuck(root, autopack, git):
    """Two phases that failed of one cause, which a change can mend, and others that nobody began."""
    (root / "tests").mkdir()
    (root / "tests/test_a.py").write_text("import praw\n")
    (root / "plan.yaml").write_text(PLAN)
    git("add", "-A")
    git("commit", "-q", "-m", "A test")
    assert autopack("init")[0] == 0
    assert autopack("plan", "import", "plan.yaml")[0] == 0
    for phase_id in ("a", "b"):
        fail(root, "shop", phase_id, base=git("rev-parse", "HEAD"))
    return root


def open_record(root):
    return closing(bootstrap.open_store(load_settings(root, environ={})))


def fail(root, run_id, phase_id, *, base):
    """Have a phase fail of the one cause on a commit."""
    with open_record(root) as store:
        address = store.next_address(run_id, phase_id)
        lease = store.claim_attempt(address, owner="me", now=1.0, is_owner_dead=lambda *_: False)
        lease = store.set_base(lease, base)
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.FAILED, failure=RED), now=2.0)


def states(root, run_id):
    with open_record(root) as store:
        return {it.phase_id: it.state for it in store.phases(run_id)}


def test_a_run_of_other_work_is_refused_and_left_as_it_is(autopack, stuck):
    before = states(stuck, "shop")
    code, _, err = autopack("remediate", "run", "--run-id", "shop", "--builder", "replay:answers")
    assert code == 1
    assert "'shop' is no remediation run: 3 of its phases, a first," in err
    assert states(stuck, "shop") == before == {"a": "FAILED", "b": "FAILED", "c": "QUEUED"}


def test_a_run_of_mends_is_gone_on_with(autopack, stuck):
    autopack("remediate", "run", "--run-id", "mends", "--builder", "replay:answers")
    assert "mend-b1" in states(stuck, "mends")


# --- a fix that somebody made ---------------------------------------------------------------------------


@pytest.fixture
def mended(stuck, git, autopack):
    """The commit of a branch beside the base, which mends the cause that triage found."""
    assert "B1       open" in autopack("triage")[1]
    git("checkout", "-q", "-b", "side")
    (stuck / "tests/test_a.py").write_text("")
    git("commit", "-q", "-a", "-m", "Mend it")
    git("checkout", "-q", "main")
    return git("rev-parse", "side")


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        pytest.param("nowhere", "has no commit 'nowhere'\nhint: Check the spelling", id="that is not there"),
        pytest.param(
            "HEAD:tests", "has no commit 'HEAD:tests'\nhint: Check the spelling", id="that is a folder"
        ),
        pytest.param(
            "orphan",
            "has no history in common with HEAD, on which the runs begin that B1 holds\n"
            "hint: It can be merged into none of them.",
            id="that no run could ever have",
        ),
    ],
)
def test_a_fix_by_a_commit(revision, said, autopack, stuck, mended, git):
    git("branch", "orphan", git("commit-tree", f"{mended}^{{tree}}", "-m", "The same, from nowhere"))
    code, _, err = autopack("remediate", "fixed", "B1", "--commit", revision)
    assert (code, said in err) == (1, True), err
    assert "B1       open" in autopack("triage")[1]


@pytest.fixture
def held(root, autopack, git):
    """Runs that one cause holds, the first of which began on a branch that is another history."""
    (root / "tests").mkdir()
    (root / "tests/test_a.py").write_text("import praw\n")
    git("add", "-A")
    git("commit", "-q", "-m", "A test")
    git("branch", "feature", git("commit-tree", "HEAD^{tree}", "-m", "The same, from nowhere"))
    (root / "plan.yaml").write_text(HELD)
    assert autopack("init")[0] == 0
    assert autopack("plan", "import", "plan.yaml")[0] == 0
    for run_id, base in (("one", "feature"), ("two", "main")):
        fail(root, run_id, "a", base=git("rev-parse", base))
        git("branch", f"autopack/{run_id}", base)
    return root


HELD = """\
version: 1
runs:
  - {id: one, goal: A run, base: feature, phases: [{id: a, goal: Do a}]}
  - {id: two, goal: A run, base: main, phases: [{id: a, goal: Do a}]}
"""


@pytest.mark.parametrize(
    ("gone", "lacked_by"),
    [
        pytest.param([], "main", id="the first base is another history"),
        pytest.param(["feature", "main"], "", id="every base is gone"),
    ],
)
def test_a_fix_is_for_the_runs_that_could_have_it(gone, lacked_by, autopack, held, git):
    assert "B1       open" in autopack("triage")[1]
    git("checkout", "-q", "-b", "side")
    (held / "tests/test_a.py").write_text("")
    git("commit", "-q", "-a", "-m", "Mend it")
    for branch in gone:
        git("branch", "-q", "-D", branch)
    code, out, err = autopack("remediate", "fixed", "B1", "--commit", "side")
    assert code == 0, err
    assert [it.split()[0] for it in out.splitlines() if " lacks it: " in it] == [lacked_by] * bool(lacked_by)


@pytest.mark.parametrize(
    ("is_tag", "advice"),
    [
        pytest.param(False, "until you merge it: git switch main && git merge {}", id="a branch"),
        pytest.param(
            True,
            "and main is no branch, into which it could be merged: git switch -c NAME main && git merge {}, "
            "and name that branch as their base",
            id="a tag",
        ),
    ],
)
def test_what_helps_where_runs_begin_that_lack_a_fix(is_tag, advice, autopack, held, git):
    assert "B1       open" in autopack("triage")[1]
    git("checkout", "-q", "-b", "side")
    (held / "tests/test_a.py").write_text("")
    git("commit", "-q", "-a", "-m", "Mend it")
    if is_tag:
        git("tag", "main", "main")
        git("branch", "-q", "-D", "main")
    code, out, err = autopack("remediate", "fixed", "B1", "--commit", "side")
    assert code == 0, err
    expected = advice.format(git("rev-parse", "side")[:12])
    assert f"main lacks it: runs that begin there meet the cause {expected}\n" in out


def test_a_base_that_git_cannot_read_is_no_base_that_is_gone(autopack, held, git):
    assert "B1       open" in autopack("triage")[1]
    git("branch", "-q", "-f", "feature", git("commit-tree", "HEAD^{tree}", "-m", "From nowhere too"))
    damage(held, git("rev-parse", "feature"))
    git("checkout", "-q", "-b", "side")
    (held / "tests/test_a.py").write_text("")
    git("commit", "-q", "-a", "-m", "Mend it")
    code, _, err = autopack("remediate", "fixed", "B1", "--commit", "side")
    assert (code, "git rev-parse failed: " in err, "corrupt" in err) == (1, True, True), err
    assert "B1       open" in autopack("triage")[1]


def damage(root, commit):
    """Make a commit one that git cannot read."""
    stored = root / ".git/objects" / commit[:2] / commit[2:]
    stored.chmod(0o600)
    stored.write_bytes(b"junk")


def test_a_fix_that_is_not_where_runs_begin_and_commits_that_are_none(autopack, stuck, mended):
    code, out, _ = autopack("remediate", "fixed", "B1", "--commit", "main")
    assert code == 1
    assert "did not pass" in out
    assert out.endswith(
        "B1 holds its phases; next, with another commit: autopack remediate fixed B1 --commit REV\n"
    )
    code, out, _ = autopack("remediate", "fixed", "B1", "--commit", "side")
    assert code == 0
    assert (
        "HEAD lacks it: runs that begin there meet the cause until you merge it: git switch main && "
        f"git merge {mended[:12]}\n" in out
    )
    code, out, _ = autopack("remediate", "fixed", "B1", "--commit", "main")
    assert code == 1
    assert out.endswith(f"B1 keeps its fix {mended[:12]}, which passed, and is validated\n")


def test_what_was_to_mend_a_cause_is_not_paid_for_once_it_is_mended_by_hand(autopack, stuck, mended):
    assert autopack("remediate", "run", "--run-id", "mends", "--builder", "command:true")[0] == 1
    assert states(stuck, "mends") == {"mend-b1": "FAILED"}
    code, out, _ = autopack("remediate", "fixed", "B1", "--commit", "side")
    assert code == 0
    assert "no more to be tried, for it is mended: mends/mend-b1\n" in out
    assert states(stuck, "mends") == {"mend-b1": "SKIPPED"}
    assert "SKIPPED  1         what it was to mend was mended otherwise" in autopack("status", "mends")[1]
    assert "mend put away      mends/mend-b1\n" in autopack("triage", "B1")[1]


def test_what_an_operator_requeues_that_was_to_mend_a_mended_cause_is_made(autopack, stuck, mended):
    autopack("remediate", "run", "--run-id", "mends", "--builder", "command:true")
    autopack("remediate", "fixed", "B1", "--commit", "side")
    assert autopack("requeue", "mends/mend-b1")[0] == 0
    autopack("run", "mends", "--builder", "command:true")
    assert states(stuck, "mends") == {"mend-b1": "FAILED"}


def test_a_mend_that_was_put_away_is_made_once_its_cause_is_back_and_its_run_is_named(
    autopack, stuck, mended
):
    autopack("remediate", "run", "--run-id", "mends", "--builder", "command:true")
    autopack("remediate", "fixed", "B1", "--commit", "side")
    with open_record(stuck) as store:
        back = BlockerEvent(at=5.0, event="recurred")
        store.triage.move_blocker(store.triage.blocker("B1"), BlockerState.RECURRED, back)
    code, out, _ = autopack("remediate", "run", "--run-id", "mends", "--builder", MENDS)
    assert (code, states(stuck, "mends")) == (0, {"mend-b1": "COMPLETE"}), out


def test_what_was_to_mend_a_cause_is_named_once_a_later_run_mends_it(autopack, stuck):
    autopack("remediate", "run", "--run-id", "mends", "--builder", "command:true")
    code, out, _ = autopack("remediate", "run", "--run-id", "later", "--builder", MENDS)
    assert (code, "no more to be tried, for it is mended: mends/mend-b1\n" in out) == (0, True), out


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("run", "mends"), id="a run of them"),
        pytest.param(("drain", "queued", "--run-id", "mends"), id="a drain"),
    ],
)
def test_what_a_process_left_that_died_as_a_fix_had_passed_is_not_paid_for(
    words, autopack, stuck, mended, caplog
):
    with open_record(stuck) as store:
        blocker = store.triage.blocker("B1")
        begun = BlockerEvent(at=3.0, event="mend begun", text="mends/mend-b9")
        blocker = store.triage.move_blocker(blocker, None, begun)
        passed = BlockerEvent(at=4.0, event="validation passed")
        store.triage.validated(blocker, passed, fix_commit=mended, why="mended")
    caplog.set_level("INFO", "autopack")
    autopack(*words, "--builder", "command:true")
    assert states(stuck, "mends") == {"mend-b9": "SKIPPED"}
    (told,) = [it for it in caplog.records if it.message == "phase.put_away"]
    assert (told.run_id, told.phase_id, told.blocker) == ("mends", "mend-b9", "B1")


def park(store, run_id, phase_id, *, base):
    """Have a phase that failed await approval, with a change made on a commit."""
    address = store.requeue_phase(run_id, phase_id, now=5.0)
    lease = store.claim_attempt(address, owner="me", now=5.0, is_owner_dead=lambda *_: False)
    lease = store.set_base(lease, base)
    for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
        store.enter_state(lease, state, now=5.0)
    store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.GATE), now=6.0)


def test_a_release_names_the_phases_that_it_waits_for(autopack, stuck, mended):
    with open_record(stuck) as store:
        passed = BlockerEvent(at=4.0, event="validation passed")
        store.triage.validated(store.triage.blocker("B1"), passed, fix_commit=mended, why="mended")
        park(store, "shop", "a", base=mended)
        store.requeue_phase("shop", "b", now=5.0)
    code, out, err = autopack("remediate", "release", "B1", "--builder", "command:true")
    assert code == 1, err
    assert out.splitlines()[-3:] == [
        "B1: shop/a awaits approval: autopack approve shop/a --why TEXT",
        "B1: shop/b is queued: autopack run shop",
        "then: autopack remediate release B1 goes on with 2 of its phases",
    ]


CAUSE = KnownFingerprint(
    fingerprint="F",
    kind="collection_error",
    canonical="it",
    occurrences=3,
    seen=0,
    first_seen_at=1.0,
    last_seen_at=1.0,
    first_seen_in="r/a/1",
    last_seen_in="r/b/1",
    tokens=0,
    phases=2,
)
MENDED = Blocker(number=1, cause=CAUSE, state=BlockerState.VALIDATED, opened_at=1.0, updated_at=1.0)
SPENT = Stop(rule=StopRule.BUDGET, seen=900, limit=900, subject="day 2025-12-31")
LEFT = Phase(run_id="r", index=0, spec=PhaseSpec(phase_id="a", goal="Do a"), failure_fingerprint="G")


def report(**given):
    counts = (
        "held",
        "replayed",
        "drained",
        "failed",
        "left",
        "recurrences",
        "tokens_recovered",
        "tokens_spent",
    )
    fields = dict.fromkeys(counts, 0) | {"conflicts": (), "sessions": ()} | given
    return ReleaseReport(blocker=MENDED, **fields)


@pytest.mark.parametrize(
    ("state", "is_stopped", "says"),
    [
        ("QUEUED", False, "is queued: autopack run r"),
        ("EXECUTING", False, "is under way"),
        ("SKIPPED", False, "is skipped; to have it made: autopack requeue r/a"),
        ("FAILED", False, "needs phases that are not COMPLETE: autopack status r"),
        (
            "FAILED",
            True,
            "failed of G, which is stopped; once it is mended: autopack drain lift G --why REASON",
        ),
    ],
)
def test_a_release_says_what_a_phase_that_is_left_waits_for(capsys, state, is_stopped, says):
    phase = replace(LEFT, state=PhaseState(state), is_stopped=is_stopped)
    print_reports([report(left=2, resting=(phase,))])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"B1: r/a {says}",
        "then: autopack remediate release B1 goes on with 2 of its phases",
    ]


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        pytest.param({"drained": 3}, None, id="all done"),
        pytest.param({"left": 2}, "autopack remediate release B1 goes on with 2 of its phases", id="canary"),
        pytest.param(
            {"left": 2, "stop": SPENT},
            "with 2 of its phases; stopped by budget for day 2025-12-31: 900 of 900; raise it in [budget]",
            id="its budget is spent",
        ),
        pytest.param(
            {"left": 2, "failed": 1}, "of its phases; autopack triage B1 shows why", id="its canary failed"
        ),
        pytest.param(
            {"failed": 1}, "autopack triage B1 shows of what 1 failed again", id="one failed at the end"
        ),
        pytest.param(
            {"left": 2, "failed": 1, "recurrences": 1}, "autopack triage B1 shows after which", id="back"
        ),
    ],
)
def test_a_release_says_what_is_next(capsys, counts, says):
    print_reports([report(**counts)])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("next: ") is (says is not None)
    assert (says or "") in last
