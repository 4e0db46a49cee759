"""The Builder step: paid once, held back by pauses and budgets, and told of."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from autopack.adapters.answer_journal import FileJournal
from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.spending import UNLIMITED
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import SettingsError, StoreError, UntakeableError, WorkspaceError
from autopack.execution.briefing import Prompt
from autopack.execution.build import BudgetWatch, BuildOrder, BuildStep
from autopack.execution.context import ScopedContext
from autopack.execution.failures import fault
from autopack.execution.recovery import settle
from autopack.ports import AnswerFormat, BuildAnswer, CallFilter
from autopack.settings import AttemptSettings
from autopack.testing import FrozenClock, MemoryStore

SETTINGS = AttemptSettings(budget_tokens=10_000)
OVERLOADED = FailureReport(
    kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True, retry_after_seconds=40.0
)


class Scripted:
    """A Builder whose answers are written down beforehand."""

    spec = "scripted:"
    edits_worktree = False

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def build(self, request, watch):
        self.requests.append(request)
        return self.answers.pop(0)


def answer(tokens):
    return BuildAnswer(text="diff", usage=Usage(input_tokens=tokens), model="m")


class Bench:
    """A store with a run of two phases, and steps that share its clock."""

    def __init__(self, folder):
        self.folder = folder
        self.store = MemoryStore()
        self.clock = FrozenClock()
        scope = Scope(paths=("a.py",))
        phases = tuple(PhaseSpec(phase_id=name, goal="g", scope=scope) for name in ("one", "two"))
        run = RunSpec(run_id="shop", goal="g", phases=phases, order=Order.INDEPENDENT)
        self.store.import_plan(Plan(runs=(run,)), now=1.0)

    def claim(self, phase_id="one"):
        address = self.store.next_address("shop", phase_id)
        return self.store.claim_attempt(
            address, owner="me", now=self.clock.now(), is_owner_dead=lambda *_: False
        )

    def step(self, builder, limits=UNLIMITED, settings=SETTINGS, **parts):
        return BuildStep(
            store=self.store,
            builder=builder,
            clock=self.clock,
            settings=settings,
            journal=FileJournal(),
            limits=limits,
            **parts,
        )

    def ask(self, step, lease, prompt="do it", *, worktree=None, read=None):
        phase = self.store.phase("shop", lease.address.phase_id)
        context = ScopedContext(files=(), stubs={})
        order = BuildOrder(
            phase=phase,
            lease=lease,
            context=context,
            prompt=Prompt(text=prompt),
            worktree=worktree,
            base="b",
            logs=self.folder,
        )
        return step.ask(order, read)

    def end(self, lease, failure):
        """Book what the failed step makes of the attempt; the phase after it."""
        phase = self.store.phase("shop", lease.address.phase_id)
        outcome = AttemptOutcome(final_state=PhaseState.FAILED, failure=failure)
        settled = settle(outcome, phase, SETTINGS, now=self.clock.now())
        self.store.finish_attempt(lease, settled, now=self.clock.now())
        return self.store.phase("shop", lease.address.phase_id)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_an_overload_pauses_the_builder_for_other_phases_too(bench):
    builder = Scripted(BuildAnswer(failure=OVERLOADED), answer(5))
    step = bench.step(builder)
    lease = bench.claim("one")
    phase = bench.end(lease, bench.ask(step, lease).failure)
    assert (phase.state, phase.attempts, phase.requeues) == (PhaseState.QUEUED, 0, 1)
    other = bench.claim("two")
    assert step.hold(other.address.run_id) == bench.ask(step, other).failure
    phase = bench.end(other, step.hold(other.address.run_id))
    assert (phase.state, phase.attempts, phase.requeues) == (PhaseState.QUEUED, 0, 0)
    assert phase.retry_at >= bench.clock.now() + 40
    assert len(builder.requests) == 1
    bench.clock.advance(60)
    lease = bench.claim("two")
    assert step.hold(lease.address.run_id) is None
    assert bench.ask(step, lease).text == "diff"


def test_waiting_may_last_and_neither_counts_nor_forgets_the_faults(bench):
    step = bench.step(Scripted(BuildAnswer(failure=OVERLOADED)))
    lease = bench.claim()
    bench.end(lease, bench.ask(step, lease).failure)
    for _ in range(SETTINGS.max_transient_retries + 3):
        lease = bench.claim()
        phase = bench.end(lease, step.hold(lease.address.run_id))
    assert (phase.state, phase.requeues, phase.attempts) == (PhaseState.QUEUED, 1, 0)
    assert lease.address == AttemptAddress(run_id="shop", phase_id="one", number=1)


def test_faults_themselves_end_at_their_limit_without_using_the_attempt_up(bench):
    step = bench.step(Scripted(*[BuildAnswer(failure=OVERLOADED)] * 9))
    phase, faults = bench.store.phase("shop", "one"), 0
    while phase.state is PhaseState.QUEUED:
        lease = bench.claim()
        phase, faults = bench.end(lease, bench.ask(step, lease).failure), faults + 1
        bench.clock.advance(60)
    assert (phase.state, phase.attempts, faults) == (
        PhaseState.FAILED,
        0,
        SETTINGS.max_transient_retries + 1,
    )


@pytest.mark.parametrize("limit", ["run_tokens", "day_tokens"])
def test_a_shared_budget_that_is_spent_lets_the_phase_wait(bench, limit):
    limits = replace(UNLIMITED, **{limit: 2000})
    builder = Scripted(answer(2000), answer(5))
    lease = bench.claim("one")
    bench.ask(bench.step(builder, limits), lease)
    bench.store.finish_attempt(
        lease,
        AttemptOutcome(
            final_state=PhaseState.FAILED, failure=FailureReport(kind=FailureKind.TIMEOUT, message="late")
        ),
        now=bench.clock.now(),
    )
    other = bench.claim("two")
    step = bench.step(builder, limits)
    assert step.hold(other.address.run_id).kind is FailureKind.BUDGET_EXCEEDED
    failure = bench.ask(step, other).failure
    assert f"raise [budget] {limit}" in failure.message
    phase = bench.end(other, failure)
    assert (phase.state, phase.attempts, phase.requeues) == (PhaseState.QUEUED, 0, 0)
    assert len(builder.requests) == 1
    bench.clock.advance(100)
    raised = bench.step(builder, replace(UNLIMITED, **{limit: 50_000}))
    assert bench.ask(raised, bench.claim("two")).text == "diff"


def test_a_prompt_that_the_attempts_budget_does_not_hold_fails_it_for_good(bench):
    builder = Scripted()
    lease = bench.claim()
    failure = bench.ask(bench.step(builder), lease, prompt="x" * 4 * 10_001).failure
    phase = bench.end(lease, failure)
    assert (phase.state, phase.attempts, phase.failure_kind) == (
        PhaseState.FAILED,
        1,
        FailureKind.BUDGET_EXCEEDED,
    )
    assert builder.requests == []


@pytest.mark.parametrize(
    ("run_tokens", "allowed"),
    [
        pytest.param(0, 10_000, id="what the attempt may use"),
        pytest.param(7000, 7000, id="what the run has left"),
    ],
)
def test_a_builder_is_told_what_it_may_use(bench, run_tokens, allowed):
    builder = Scripted(answer(5))
    bench.ask(bench.step(builder, replace(UNLIMITED, run_tokens=run_tokens)), bench.claim())
    assert builder.requests[0].budget_tokens == allowed


@pytest.mark.parametrize(
    ("limit", "used", "is_stopped"),
    [
        pytest.param(1.0, Usage(input_tokens=5, cost_usd=0.9), False, id="within it"),
        pytest.param(1.0, Usage(input_tokens=5, cost_usd=1.1), True, id="over it"),
        pytest.param(1.0, Usage(input_tokens=5), False, id="of unknown price"),
        pytest.param(None, Usage(input_tokens=5, cost_usd=9.0), False, id="without one"),
        pytest.param(None, Usage(input_tokens=101), True, id="tokens alone"),
    ],
)
def test_a_call_that_costs_more_than_its_budget_is_asked_to_stop(limit, used, is_stopped):
    watch = BudgetWatch(100, limit_usd=limit)
    watch.used(used)
    assert watch.is_cancelled() is is_stopped


def test_a_builder_is_told_what_it_may_cost(bench):
    builder = Scripted(answer(5))
    bench.ask(bench.step(builder), bench.claim())
    assert builder.requests[0].budget_usd == SETTINGS.budget_usd


class Failing(Scripted):
    """Raises what it was given, after it has told of some tokens."""

    def __init__(self, error, tokens=0):
        super().__init__()
        self.error, self.tokens = error, tokens

    def build(self, request, watch):
        self.requests.append(request)
        watch.used(Usage(input_tokens=self.tokens))
        raise self.error


class Editing(Scripted):
    """A Builder whose answer is what it leaves in the worktree."""

    edits_worktree = True


class Unreadable:
    """A worktree whose difference cannot be told."""

    def __init__(self, error):
        self.path, self.error = None, error

    def diff(self):
        raise self.error


FULL = OSError(28, "No space left on device")
GIT_DIED = WorkspaceError("git died")
INFRASTRUCTURE, CRASHED = FailureKind.INFRASTRUCTURE, FailureKind.CRASHED


@pytest.mark.parametrize(
    ("builder", "worktree", "kind", "is_retryable", "tokens"),
    [
        pytest.param(Failing(FULL), None, INFRASTRUCTURE, True, 0, id="before anything was used"),
        pytest.param(Failing(FULL, 40), None, INFRASTRUCTURE, False, 40, id="after something was used"),
        pytest.param(Failing(SettingsError("no price")), None, INFRASTRUCTURE, False, 0, id="a setting"),
        pytest.param(Failing(RuntimeError("odd"), 40), None, CRASHED, False, 40, id="a bug"),
        pytest.param(
            Editing(answer(77)), Unreadable(GIT_DIED), INFRASTRUCTURE, False, 77, id="no difference"
        ),
        pytest.param(
            Editing(answer(77)),
            Unreadable(UntakeableError("not UTF-8")),
            FailureKind.PATCH_REJECTED,
            False,
            77,
            id="a difference that no change can hold",
        ),
    ],
)
def test_an_error_between_question_and_answer_is_booked_and_what_was_paid_is_paid_once(
    bench, builder, worktree, kind, is_retryable, tokens
):
    step, lease = bench.step(builder), bench.claim()
    failure = bench.ask(step, lease, worktree=worktree).failure
    assert (failure.kind, failure.retryable) == (kind, is_retryable)
    (event,) = bench.store.telemetry(CallFilter(run_id="shop"))
    assert (event.tokens, event.failure_kind, event.ended_at) == (tokens, kind, bench.clock.now())
    assert bench.store.usage_of("shop").total_tokens == tokens
    assert bench.store.builder_pause("scripted:") is None
    assert not list(bench.folder.rglob("paid-*"))
    phase = bench.end(lease, failure)
    assert phase.state is (PhaseState.QUEUED if is_retryable else PhaseState.FAILED)


WORDS = BuildAnswer(
    format=AnswerFormat.WORDS,
    text="a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n",
    usage=Usage(input_tokens=9),
)


def test_an_answer_is_in_the_ledger_whatever_becomes_of_what_is_told_about_it(bench):
    def read(_path):
        raise RuntimeError("a bug")

    step, lease = bench.step(Scripted(WORDS)), bench.claim()
    with pytest.raises(RuntimeError):
        bench.ask(step, lease, read=read)
    assert step.stored(lease) == WORDS
    assert bench.store.usage_of("shop") == WORDS.usage


def test_what_a_failed_call_said_is_kept_and_booked_without_its_secrets(bench, monkeypatch):
    secret = "sk-ant-api03-" + "a1B2" * 10
    said = FailureReport(kind=FailureKind.BUILDER_ERROR, message=f"bad key {secret}", evidence=secret)
    step, lease = bench.step(Scripted(BuildAnswer(failure=said))), bench.claim()
    with monkeypatch.context() as patch:
        patch.setattr(FileJournal, "drop", lambda *_: None)
        bench.ask(step, lease)
    (kept,) = bench.folder.rglob("paid-*")
    booked = step.stored(lease).failure
    assert (booked.message, booked.evidence) == ("bad key ***", "***")
    assert secret not in kept.read_text()


def test_an_answer_that_is_too_long_to_be_taken_is_not_held_against_the_tree(bench):
    looked_at = []
    settings = replace(SETTINGS, max_patch_bytes=len(WORDS.text) - 1)
    step, lease = bench.step(Scripted(WORDS), settings=settings), bench.claim()
    assert bench.ask(step, lease, read=looked_at.append) == WORDS
    assert looked_at == []


class Dying(Scripted):
    """Uses something in two parts, and then its process is gone."""

    def build(self, request, watch):
        watch.used(Usage(input_tokens=30, output_tokens=2, cost_usd=0.5))
        watch.used(Usage(input_tokens=10, output_tokens=3, cost_usd=0.25))
        raise SystemExit


def test_what_was_used_before_a_kill_is_known_after_it(bench):
    with pytest.raises(SystemExit):
        bench.ask(bench.step(Dying()), bench.claim())
    expected = Usage(input_tokens=40, output_tokens=5, cost_usd=0.75, is_estimated=True)
    assert bench.store.usage_of("shop") == expected


class Ending(Editing):
    """Ends in its worktree, and then its process is gone."""

    def build(self, request, watch):
        watch.ended(self.answers.pop(0))
        raise SystemExit


class Marked:
    """A worktree that a Builder was done with; its difference cannot be told before ``faults`` are over."""

    path = None

    def __init__(self, *faults):
        self.faults = list(faults)
        self.name = ""

    def mark(self, note):
        note("0:abc")
        self.name = "0:abc"

    def unmark(self):
        self.name = ""

    def diff(self):
        if self.faults:
            raise self.faults.pop(0)
        return "the change"

    def recover(self, bench, step, lease):
        step.recover(
            lease,
            logs_of=lambda _address: bench.folder,
            shown=lambda _commit: None,
            marked=lambda mark, _commit: nullcontext(self if mark == self.name else None),
        )


@pytest.mark.parametrize("error", [pytest.param(FULL, id="a full disk"), pytest.param(GIT_DIED, id="git")])
def test_a_change_that_cannot_be_taken_now_is_taken_by_who_comes_next(bench, error):
    step, lease, worktree = bench.step(Ending(answer(77))), bench.claim(), Marked(error)
    with pytest.raises(SystemExit):
        bench.ask(step, lease, worktree=worktree)
    with pytest.raises(type(error)) as raised:
        worktree.recover(bench, step, lease)
    assert bench.end(lease, fault(raised.value)).state is PhaseState.QUEUED
    assert (step.stored(lease), worktree.name) == (None, "0:abc")
    worktree.recover(bench, step, lease)
    assert (step.stored(lease).text, step.stored(lease).failure) == ("the change", None)
    (event,) = bench.store.telemetry(CallFilter(run_id="shop"))
    assert (event.tokens, worktree.name) == (77, "")
    assert not list(bench.folder.rglob("paid-*"))


def test_a_change_that_can_never_be_taken_ends_its_attempt_with_its_cost_and_the_next_one_asks(bench):
    worktree, step, lease = Marked(*[GIT_DIED] * 99), bench.step(Ending(answer(77))), bench.claim()
    with pytest.raises(SystemExit):
        bench.ask(step, lease, worktree=worktree)
    for _ in range(SETTINGS.max_transient_retries):
        with pytest.raises(WorkspaceError) as raised:
            worktree.recover(bench, step, lease)
        assert bench.end(lease, fault(raised.value)).state is PhaseState.QUEUED
        lease = bench.claim()
    worktree.recover(bench, step, lease)
    assert (lease.address.number, worktree.name) == (1, "")
    assert bench.end(lease, step.stored(lease).failure).state is PhaseState.FAILED
    assert bench.store.usage_of("shop").total_tokens == 77
    assert not list(bench.folder.rglob("paid-*"))
    bench.store.requeue_phase("shop", "one", now=bench.clock.now())
    lease, again = bench.claim(), bench.step(Editing(answer(5)))
    worktree.recover(bench, again, lease)
    assert (lease.address.number, again.stored(lease)) == (2, None)
    assert bench.ask(again, lease, worktree=Marked()).text == "the change"


def killed_for_good(bench, step, worktree):
    """An attempt that failed since its process was ended, with its change in the worktree; the lease of the next."""
    lease = bench.claim()
    with pytest.raises(SystemExit):
        bench.ask(step, lease, worktree=worktree)
    bench.end(lease, FailureReport(kind=FailureKind.TIMEOUT, message="ended at its time limit"))
    bench.store.requeue_phase("shop", "one", now=bench.clock.now())
    return bench.claim()


@pytest.mark.parametrize("error", [pytest.param(FULL, id="a full disk"), pytest.param(GIT_DIED, id="git")])
def test_a_change_of_an_earlier_attempt_that_cannot_be_taken_now_is_there_for_a_replay_later(bench, error):
    worktree, step = Marked(error), bench.step(Ending(answer(77)))
    lease = killed_for_good(bench, step, worktree)
    with pytest.raises(type(error)) as raised:
        worktree.recover(bench, step, lease)
    assert bench.end(lease, fault(raised.value)).state is PhaseState.QUEUED
    lease = bench.claim()
    worktree.recover(bench, step, lease)
    number, stored = step.replayable(lease, base="another")
    assert (lease.address.number, number, stored.answer.text) == (2, 1, "the change")
    assert (bench.store.usage_of("shop").total_tokens, worktree.name) == (77, "")


def test_a_change_of_an_earlier_attempt_that_can_never_be_taken_keeps_a_later_one_for_its_retries(bench):
    worktree, step = Marked(*[GIT_DIED] * 99), bench.step(Ending(answer(77)))
    lease = killed_for_good(bench, step, worktree)
    for _ in range(SETTINGS.max_transient_retries):
        with pytest.raises(WorkspaceError) as raised:
            worktree.recover(bench, step, lease)
        assert bench.end(lease, fault(raised.value)).state is PhaseState.QUEUED
        lease = bench.claim()
    worktree.recover(bench, step, lease)
    assert (step.replayable(lease, base="another"), step.stored(lease)) == (None, None)
    assert (bench.store.usage_of("shop").total_tokens, worktree.name) == (77, "")
    assert not list(bench.folder.rglob("paid-*"))
    assert bench.ask(bench.step(Editing(answer(5))), lease, worktree=Marked()).text == "the change"


class Told(Editing):
    """Tells that it is done in the worktree, and gives its answer."""

    def build(self, request, watch):
        (told,) = self.answers
        watch.ended(told)
        return told


def test_a_change_that_neither_disk_nor_ledger_takes_stays_where_it_is(bench, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise StoreError("its disk is full")

    told = BuildAnswer(usage=Usage(input_tokens=77))
    step, lease, worktree = bench.step(Told(told)), bench.claim(), Marked()
    keep = FileJournal.keep
    with monkeypatch.context() as patch:
        # Full since the agent told of its end.
        patch.setattr(FileJournal, "keep", lambda *its: its[-1].answer.text != "the change" and keep(*its))
        patch.setattr(bench.store, "settle_call", refuse)
        with pytest.raises(StoreError):
            bench.ask(step, lease, worktree=worktree)
        with pytest.raises(StoreError):
            worktree.recover(bench, step, lease)
    worktree.recover(bench, step, lease)
    assert (step.stored(lease).text, step.stored(lease).usage.total_tokens) == ("the change", 77)


@pytest.mark.parametrize("error", [pytest.param(FULL, id="a full disk"), pytest.param(GIT_DIED, id="git")])
def test_a_process_that_lives_leaves_a_change_that_cannot_be_taken_now_to_the_next(bench, error):
    step, lease, worktree = bench.step(Told(answer(77))), bench.claim(), Marked(error)
    with pytest.raises(type(error)) as raised:
        bench.ask(step, lease, worktree=worktree)
    assert (step.stored(lease), worktree.name) == (None, "0:abc")
    assert [path.name for path in bench.folder.rglob("paid-*")] == ["paid-1.json"]
    assert bench.end(lease, fault(raised.value)).state is PhaseState.QUEUED
    lease = bench.claim()
    worktree.recover(bench, step, lease)
    stored = step.stored(lease)
    assert (stored.text, stored.failure, stored.usage.total_tokens) == ("the change", None, 77)
    assert worktree.name == ""


def test_a_process_that_lives_and_has_no_next_books_what_a_change_cost_that_cannot_be_taken(bench):
    step = bench.step(Told(answer(77)), settings=replace(SETTINGS, max_transient_retries=0))
    lease, worktree = bench.claim(), Marked(FULL)
    failure = bench.ask(step, lease, worktree=worktree).failure
    assert (failure.kind, failure.retryable, worktree.name) == (INFRASTRUCTURE, False, "")
    assert bench.store.usage_of("shop").total_tokens == 77


def test_a_change_of_which_nothing_is_on_the_disk_is_booked_with_its_cost_where_it_cannot_be_taken(bench):
    # No folder can be made of a file: the disk has room for the mark, and none for what would tell of it.
    bench.folder = bench.folder / "logs"
    bench.folder.write_text("")
    step, lease, worktree = bench.step(Told(answer(77))), bench.claim(), Marked(FULL)
    failure = bench.ask(step, lease, worktree=worktree).failure
    assert (failure.kind, failure.retryable, worktree.name) == (INFRASTRUCTURE, False, "")
    assert step.stored(lease).usage.total_tokens == bench.store.usage_of("shop").total_tokens == 77
    assert bench.end(lease, failure).state is PhaseState.FAILED


class Unmarkable(Marked):
    """A worktree to which the disk gives no name."""

    def mark(self, note):
        note("0:abc")
        raise FULL


def test_a_change_that_cannot_be_marked_is_taken_all_the_same(bench):
    step, lease = bench.step(Told(answer(77))), bench.claim()
    told = bench.ask(step, lease, worktree=Unmarkable())
    assert (told.text, told.failure, told.usage.total_tokens) == ("the change", None, 77)
    assert step.stored(lease) == told
    assert not list(bench.folder.rglob("paid-*"))


def test_every_call_is_told_once_it_has_ended(bench):
    told = []
    step = bench.step(Scripted(answer(77)), on_call=told.append)
    lease = bench.claim()
    bench.ask(step, lease)
    [event] = told
    assert (event.address, event.tokens, event.model, event.builder) == (lease.address, 77, "m", "scripted:")
    assert event.predicted_tokens is not None
    assert event.ended_at is not None
