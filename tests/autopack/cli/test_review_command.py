import json
from contextlib import closing

import pytest

from autopack import bootstrap
from autopack.cli.research import waits_for_human
from autopack.domain.attempt import AttemptAddress
from autopack.domain.phase import PhaseState
from autopack.domain.research_options import Synthesis
from autopack.domain.review import Submission
from autopack.domain.review_record import ReviewDecisionRecord, review_id_of
from autopack.domain.verdicts import AttemptOutcome
from autopack.settings import load_settings

AT = AttemptAddress(run_id="r", phase_id="a", number=1)
REVIEW = ReviewDecisionRecord(
    review_id=review_id_of(AT),
    submission=Submission(query="Which queue?", confidence=0.62, findings=("one",), recommendations=("two",)),
    address=AT,
    submitted_at=1.0,
)
FREE = ReviewDecisionRecord(
    review_id="review_free", submission=Submission(query="Free?", confidence=0.5), submitted_at=2.0
)


@pytest.fixture
def store(planned):
    with closing(bootstrap.open_store(load_settings(planned, environ={}))) as opened:
        yield opened


@pytest.fixture
def parked(store):
    """The first phase waits for a decision; as a change, or as research with a review."""

    def park(*, is_research):
        store.activate_run("r")
        lease = store.claim_attempt(AT, owner="me", now=1.0, is_owner_dead=lambda *_: False)
        if is_research:
            store.reviews.submit(REVIEW)
        for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
            store.enter_state(lease, state, now=1.0)
        store.finish_attempt(lease, AttemptOutcome(final_state=PhaseState.GATE), now=1.0)

    return park


def test_changes_and_research_are_in_one_list(autopack, autopack_json, parked, store):
    assert autopack("review", "list")[1] == "nothing waits for a decision\n"
    parked(is_research=False)
    store.reviews.submit(FREE)
    code, out, err = autopack("review", "list")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [(line[0], line[1]) for line in lines[1:3]] == [("r/a", "-"), ("review_free", "0.50")]
    assert [it["name"] for it in autopack_json("review", "list")[1]["waiting"]] == ["r/a", "review_free"]


@pytest.mark.parametrize("is_research", [True, False], ids=["research", "change"])
@pytest.mark.parametrize(
    ("argv", "said", "state"),
    [
        (("review", "decide", "r/a", "--approve"), "r/a is approved; autopack run r goes on", "QUEUED"),
        (("review", "decide", "r/a", "--reject"), "r/a is rejected", "FAILED"),
        (("approve", "r/a"), "r/a is approved; autopack run r goes on", "QUEUED"),
        (("approve", "r/a", "--deny"), "r/a is rejected", "FAILED"),
    ],
    ids=" ".join,
)
def test_a_decision_is_made_once(autopack, autopack_json, parked, is_research, argv, said, state):
    parked(is_research=is_research)
    code, out, err = autopack(*argv, "--why", "I looked")
    assert (code, err, out.splitlines()[1:]) == (0, "", [said])
    assert autopack_json("status", "r")[1]["phases"][0]["state"] == state
    code, _, err = autopack(*argv, "--why", "again")
    assert code == 1
    assert "Traceback" not in err


def test_research_is_sent_back_for_more_and_a_change_is_not(autopack, parked, store):
    parked(is_research=True)
    out = autopack("review", "decide", REVIEW.review_id, "--more", "--why", "And with two workers?")[1]
    assert out.splitlines()[1] == f"{REVIEW.review_id} is sent back for more research; autopack run r goes on"
    assert store.next_address("r", "a").number == 2


def test_a_change_cannot_be_sent_back_for_more_research(autopack, parked):
    parked(is_research=False)
    code, _, err = autopack("review", "decide", "r/a", "--more", "--why", "x")
    assert (code, err.splitlines()[0]) == (1, "error: r/a is no research")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("decide", "r/a", "--why", "x"), 2, "One of --approve, --reject and --more is needed"),
        (("decide", "r/a", "--approve", "--why", " "), 2, "the text is empty"),
        (("decide", "review_no", "--approve", "--why", "x"), 1, "there is no review 'review_no'"),
        (("show", "review_no"), 1, "there is no review 'review_no'"),
        (("show", "r/a"), 1, "r/a is QUEUED and has no review"),
        (("decide", "r/nothing", "--approve", "--why", "x"), 1, "has no phase 'nothing'"),
        (("export", "review_free"), 1, "waits for its decision"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else None,
)
def test_wrong_use_is_told_with_the_name(autopack, autopack_json, planned, store, argv, code, says):
    store.reviews.submit(FREE)
    found, _, err = autopack("review", *argv)
    assert found == code
    assert says in err
    assert "Traceback" not in err
    assert says in autopack_json("review", *argv)[1]["error"]["message"]


def test_show_tells_what_is_to_be_decided_and_what_was(autopack, parked):
    parked(is_research=True)
    out = autopack("review", "show", "r/a")[1]
    assert f"review: {REVIEW.review_id}\nphase: r/a\nstate: waits for a decision\n" in out
    assert "confidence: 0.62" in out
    autopack("approve", "r/a", "--why", "fits")
    assert ": fits\n" in autopack("review", "show", "r/a")[1]


def test_decided_reviews_are_exported_once(autopack, autopack_json, parked, planned):
    parked(is_research=True)
    assert autopack_json("review", "export")[1]["added"] == []
    autopack("approve", "r/a", "--why", "fits")
    assert autopack_json("review", "export")[1]["added"] == [REVIEW.review_id]
    assert autopack("review", "export", "r/a")[1] == "docs/BUILD_HISTORY.md: 0 of 1 decided reviews added\n"
    assert (planned / "docs" / "BUILD_HISTORY.md").read_text().count("Which queue?") == 1
    assert REVIEW.review_id in autopack("review", "list", "--all")[1]


DOC = "# Queue\n\nThe lease of a job ends by its timeout after 60 seconds. You should keep it above 10.\n"


def test_a_question_is_answered_with_citations_on_a_branch_of_its_own(root, autopack, git):
    (root / "queue.md").write_text(DOC)
    git("add", "-A")
    git("commit", "-q", "-m", "docs")
    (root / "dirty.txt").write_text("not committed")
    autopack("init")
    code, out, _ = autopack(
        "research",
        "run",
        "When does the lease of a job end by its timeout?",
        "--min-confidence",
        "0.5",
        "--json",
    )
    document = json.loads(out)
    assert code == 0, document
    assert "The lease of a job ends by its timeout after 60 seconds. [[1]](#f1)" in document["report"]
    (phase,) = document["summary"]["phases"]
    branch = f"autopack/{document['summary']['run_id']}"
    assert (
        git("show", f"{branch}:docs/research/{phase['spec']['phase_id']}/report.md")
        == document["report"].strip()
    )


@pytest.mark.parametrize(
    ("synthesis", "wanted", "waits"),
    [
        pytest.param(Synthesis.BUILDER, None, True, id="what a Builder wrote waits for a human"),
        pytest.param(Synthesis.BUILDER, False, False, id="unless the operator does without"),
        pytest.param(Synthesis.EXTRACTIVE, None, False, id="what stands in findings does not wait"),
        pytest.param(Synthesis.EXTRACTIVE, True, True, id="unless the operator wants to see it"),
    ],
)
def test_who_decides_on_answers(synthesis, wanted, waits):
    assert waits_for_human(synthesis, wanted) is waits


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ((" ",), 2, "the text is empty"),
        (("q", "--source", "web"), 2, "'web' is no source of findings"),
        (("q", "--min-confidence", "nan"), 2, "nan is no number from 0 to 1"),
        (("q", "--min-confidence", "0"), 2, "is not in the range"),
        (("q", "--base", "nowhere"), 1, "nowhere"),
        (("q", "--synthesis", "builder", "--builder", "command:false", "--base", "nowhere"), 1, "nowhere"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(autopack, planned, argv, code, says):
    found, _, err = autopack("research", "run", *argv)
    assert found == code
    assert says in err
