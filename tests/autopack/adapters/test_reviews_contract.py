"""What every record of research promises; memory, SQLite and PostgreSQL pass the same tests."""

from dataclasses import replace

import pytest

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseKind, PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.review import ReviewDecision, Submission
from autopack.domain.review_record import ReviewDecisionRecord, review_id_of
from autopack.domain.run import RunSpec
from autopack.domain.verdicts import AttemptOutcome, passed
from autopack.errors import ReviewError, StoreError
from autopack.ports import Decision

NOW = 1_700_000_000.0
AT = AttemptAddress(run_id="r", phase_id="p", number=1)
SUBMISSION = Submission(
    query="Which \x00 queue?",
    session_id="s",
    confidence=0.7,
    findings=("a \udcff", "b"),
    recommendations=("c",),
)
FREE = ReviewDecisionRecord(review_id="review_1", submission=SUBMISSION, submitted_at=NOW)
BOUND = ReviewDecisionRecord(
    review_id=review_id_of(AT), submission=SUBMISSION, address=AT, submitted_at=NOW + 1
)
PARKED = AttemptOutcome(final_state=PhaseState.GATE, gates=(passed("ci"),))


def decide(store, record, decision=ReviewDecision.APPROVED, *, reviewer="ada", comments="why"):
    return store.reviews.decide(record.review_id, decision, reviewer=reviewer, comments=comments, now=NOW + 9)


@pytest.fixture
def begun(store):
    """A store with a research phase whose attempt is under way."""
    spec = RunSpec(run_id="r", goal="g", phases=(PhaseSpec(phase_id="p", goal="g", kind=PhaseKind.RESEARCH),))
    store.import_plan(Plan(runs=(spec,)), now=NOW)
    store.activate_run("r")
    lease = store.claim_attempt(AT, owner="me", now=NOW, is_owner_dead=lambda *_: False)
    return store, lease


@pytest.fixture
def parked(begun):
    """The same, waiting for its review."""
    store, lease = begun
    store.reviews.submit(BOUND)
    for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
        store.enter_state(lease, state, now=NOW)
    store.finish_attempt(lease, PARKED, now=NOW)
    return store


def test_what_was_submitted_first_stays(store):
    assert store.reviews.submit(FREE) == FREE
    other = replace(FREE, submitted_at=NOW + 5)
    assert store.reviews.submit(other) == FREE
    assert store.reviews.find("review_1") == FREE
    assert store.reviews.find("review_2") is None
    assert tuple(store.reviews.pending()) == (FREE,)


def test_a_decision_is_kept_once(store):
    store.reviews.submit(FREE)
    decided = decide(store, FREE)
    assert decided == FREE.decided(ReviewDecision.APPROVED, reviewer="ada", comments="why", at=NOW + 9)
    assert store.reviews.find("review_1") == decided
    assert tuple(store.reviews.pending()) == ()
    assert tuple(store.reviews.decided()) == (decided,)
    with pytest.raises(ReviewError, match="decided before"):
        decide(store, FREE, ReviewDecision.REJECTED)


def test_an_unknown_review_cannot_be_decided(store):
    with pytest.raises(ReviewError, match="no review 'review_1'"):
        decide(store, FREE)


def test_a_review_of_no_attempt_is_refused(store):
    with pytest.raises(StoreError):
        store.reviews.submit(BOUND)


@pytest.mark.parametrize(
    ("decision", "state", "number"),
    [
        (ReviewDecision.APPROVED, PhaseState.QUEUED, 1),
        (ReviewDecision.REJECTED, PhaseState.FAILED, 2),
        (ReviewDecision.NEEDS_MORE_RESEARCH, PhaseState.QUEUED, 2),
    ],
)
def test_a_decision_moves_the_phase_that_waits_for_it(parked, decision, state, number):
    assert [it.review_id for it in parked.reviews.pending()] == [BOUND.review_id]
    decide(parked, BOUND, decision)
    phase = parked.phase("r", "p")
    assert (phase.state, phase.awaits_approval) == (state, False)
    assert parked.next_address("r", "p").number == number
    assert parked.decision(AT).approved is (decision is ReviewDecision.APPROVED)
    assert [it.decision for it in parked.reviews.of_phase("r", "p")] == [decision]
    assert tuple(parked.reviews.pending()) == ()


@pytest.mark.parametrize("is_approved", [True, False])
def test_an_approval_by_the_phases_name_decides_its_review(parked, is_approved):
    parked.decide_approval("r", "p", Decision(approved=is_approved, by="bob", why="so", at=NOW + 3))
    (record,) = parked.reviews.decided()
    assert record.decision is (ReviewDecision.APPROVED if is_approved else ReviewDecision.REJECTED)
    assert (record.reviewer, record.comments, record.decided_at) == ("bob", "so", NOW + 3)
    if not is_approved:
        assert parked.phase("r", "p").failure_kind is FailureKind.APPROVAL_DENIED


def test_a_phase_that_is_not_parked_yet_is_neither_listed_nor_decided(begun):
    store, _ = begun
    store.reviews.submit(BOUND)
    assert tuple(store.reviews.pending()) == ()
    with pytest.raises(StoreError, match="does not wait for a decision"):
        decide(store, BOUND)
    assert store.reviews.find(BOUND.review_id) == BOUND


def test_phases_that_wait_are_listed_whether_they_have_a_review_or_not(parked):
    change = RunSpec(
        run_id="a", goal="g", phases=(PhaseSpec(phase_id="q", goal="g", requires_approval=True),)
    )
    parked.import_plan(Plan(runs=(change,)), now=NOW)
    parked.activate_run("a")
    address = AttemptAddress(run_id="a", phase_id="q", number=1)
    lease = parked.claim_attempt(address, owner="me", now=NOW, is_owner_dead=lambda *_: False)
    for state in (PhaseState.GATE, PhaseState.CI_RUNNING):
        parked.enter_state(lease, state, now=NOW)
    assert [it.run_id for it in parked.reviews.awaiting()] == ["r"]
    parked.finish_attempt(lease, PARKED, now=NOW)
    assert [it.run_id for it in parked.reviews.awaiting()] == ["a", "r"]
    decide(parked, BOUND)
    assert [it.run_id for it in parked.reviews.awaiting()] == ["a"]


def test_a_note_that_was_kept_first_stays(begun):
    store, _ = begun
    assert store.reviews.note(AT, "gather-1") is None
    assert store.reviews.keep_note(AT, "gather-1", "one") == "one"
    assert store.reviews.keep_note(AT, "gather-1", "two") == "one"
    assert store.reviews.keep_note(AT, "gather-2", "two") == "two"
    assert store.reviews.note(AT, "gather-1") == "one"


def test_decided_reviews_come_in_the_order_of_their_decisions(store):
    for name, at in (("review_a", 3.0), ("review_b", 1.0), ("review_c", 2.0)):
        store.reviews.submit(replace(FREE, review_id=name))
        store.reviews.decide(name, ReviewDecision.REJECTED, reviewer="ada", comments="", now=at)
    assert [it.review_id for it in store.reviews.decided()] == ["review_b", "review_c", "review_a"]
