"""What a model's answer does not fit is replied to: each call in a row of the ledger, and no token booked twice."""

import os
from contextlib import nullcontext
from dataclasses import replace

import pytest

from autopack.adapters.answer_journal import FileJournal
from autopack.adapters.builders.direct_factory import make_direct
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError
from autopack.execution.briefing import Prompt
from autopack.execution.build import BuildOrder, BuildStep
from autopack.execution.change import reading, to_edits
from autopack.execution.context import ScopedContext
from autopack.execution.shown import Shown
from autopack.ports import AnswerFormat, CallFilter
from autopack.settings import AttemptSettings, DirectSettings, ProviderSettings, Settings
from autopack.testing import FrozenClock, MemoryStore
from autopack.testing.provider import Scripted, serve

FILES = {"a.py": b"def one():\n    return 1\n\n\ndef two():\n    return 2\n", "b.py": b"x = 1\n"}


def block(path, old, new):
    return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


ONE = block("a.py", "    return 1\n", "    return 11\n")
BAD = block("a.py", "    return two\n", "    return 22\n")
TWO = block("a.py", "    return 2\n", "    return 22\n")
BOTH = b"def one():\n    return 11\n\n\ndef two():\n    return 22\n"
WHOLE = f"FILE a.py\n```\n{BOTH.decode()}```\n"


class Bench:
    """The Builder step over a store in memory and a model on loopback."""

    def __init__(self, folder, provider, tree, *, clock=None, **settings):
        self.folder, self.provider, self.tree = folder, provider, tree
        self.clock = clock or FrozenClock()
        self.begin_anew(**settings)
        self.lease = self.claim()

    def begin_anew(self, **settings):
        """A store as it is before the first call, and a step for it."""
        self.store = MemoryStore()
        scope = Scope(paths=("a.py", "b.py"))
        phases = tuple(PhaseSpec(phase_id=name, goal="g", scope=scope) for name in "pq")
        run = RunSpec(run_id="r", goal="g", phases=phases, order=Order.INDEPENDENT)
        self.store.import_plan(Plan(runs=(run,)), now=1.0)
        self.step = self.make_step(**settings)

    def claim(self):
        address = self.store.next_address("r", "p")
        return self.store.claim_attempt(address, owner="me", now=1.0, is_owner_dead=lambda *_: True)

    def make_step(self, budget_tokens=100_000, **settings):
        made = Settings(
            root=self.folder,
            database_url="sqlite://",
            direct=DirectSettings(**settings),
            providers={"openai": ProviderSettings(base_url=self.provider.url)},
        )
        builder = make_direct(
            "openai:scripted-1",
            made,
            os.environ,
            clock=self.clock,
            meter=lambda: LoopbackMeter(self.clock),
            prompt_version="1",
        )
        return BuildStep(
            store=self.store,
            builder=builder,
            clock=self.clock,
            settings=AttemptSettings(budget_tokens=budget_tokens),
            journal=FileJournal(),
        )

    def order(self):
        return BuildOrder(
            phase=self.store.phase("r", "p"),
            lease=self.lease,
            context=ScopedContext(files=()),
            prompt=Prompt(text="Do it.", instructions="Answer in blocks."),
            worktree=None,
            base="ba5e",
            logs=self.logs_of(self.lease.address),
        )

    def logs_of(self, address):
        return self.folder / str(address.number)

    def recover(self):
        spec = self.store.phase("r", "p").spec
        shown = Shown(spec=spec, read=reading(self.tree), placeholders={})
        self.step.recover(
            self.lease, logs_of=self.logs_of, shown=lambda _commit: shown, marked=lambda *_: nullcontext()
        )

    def answer(self):
        """What an attempt makes of it: the stored answer or a new one, mended."""
        self.recover()
        read = reading(self.tree)
        first = self.step.stored(self.lease) or self.step.ask(self.order(), read)
        return first if first.failure is not None else self.step.mend(self.order(), first, read)

    def contents(self, answer):
        return {edit.path: edit.content for edit in to_edits(answer, self.tree)}

    def calls(self):
        return self.store.telemetry(CallFilter(run_id="r"))

    def is_paid_exactly(self):
        used, billed = self.store.usage_of("r", "p"), self.provider.total
        events = self.calls()
        assert (used.input_tokens, used.output_tokens) == (billed.input_tokens, billed.output_tokens)
        assert sum(event.tokens for event in events) == billed.total_tokens
        return True

    def replies(self):
        return [seen.body["messages"][-1]["content"] for seen in self.provider.seen[1:]]


@pytest.fixture
def bench(tmp_path, tree_of):
    contexts = []

    def make(*texts, **options):
        scripts = [Scripted(text=it) if isinstance(it, str) else it for it in texts]
        contexts.append(serve(scripts))
        return Bench(tmp_path, contexts[-1].__enter__(), tree_of(FILES), **options)

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def test_an_answer_that_fits_is_asked_for_once(bench):
    it = bench(ONE + TWO)
    assert it.contents(it.answer()) == {"a.py": BOTH}
    assert [call.turn for call in it.calls()] == [1]
    assert it.is_paid_exactly()


def test_blocks_that_do_not_fit_are_asked_for_again_and_the_others_are_kept(bench):
    it = bench(ONE + BAD + block("b.py", "x = 1\n", "x = 2\n"), TWO)
    answer = it.answer()
    assert it.contents(answer) == {"a.py": BOTH, "b.py": b"x = 2\n"}
    assert answer.format is AnswerFormat.PATCH
    (reply,) = it.replies()
    assert "a.py: block 2" in reply
    assert "6:     return 2" in reply
    assert "b.py" not in reply
    assert [(call.turn, call.failure_kind) for call in it.calls()] == [(1, None), (2, None)]
    assert it.is_paid_exactly()


def test_what_does_not_fit_twice_is_asked_for_as_a_whole_file(bench):
    it = bench(ONE + BAD, BAD, WHOLE)
    assert it.contents(it.answer()) == {"a.py": BOTH}
    assert "Send these files whole" in it.replies()[1]
    assert [call.turn for call in it.calls()] == [1, 2, 3]
    assert it.is_paid_exactly()


def test_an_answer_that_is_no_change_is_asked_for_again_as_a_whole(bench):
    it = bench("Shall I begin?", ONE + TWO)
    assert it.contents(it.answer()) == {"a.py": BOTH}
    assert "could not be read" in it.replies()[0]
    assert it.is_paid_exactly()


@pytest.mark.parametrize(("turns", "calls"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_an_answer_that_never_fits_is_the_first_one_after_as_many_replies_as_are_set(turns, calls, bench):
    it = bench(ONE + BAD, mending_turns=turns)
    answer = it.answer()
    assert (answer.format, answer.text) == (AnswerFormat.WORDS, ONE + BAD)
    assert len(it.provider.seen) == calls
    assert it.is_paid_exactly()


def test_what_became_of_an_answer_is_noted(bench):
    it = bench(ONE + block("a.py", "return 2\n", "return 22\n"))
    notes = it.answer().notes
    assert notes == {"prompt": "1", "format": "blocks", "rungs": "exact:1 indentation:1"}


ENDS = [
    pytest.param(Scripted(status=429, headers={"Retry-After": "9"}), FailureKind.BUILDER_ERROR, id="429"),
    pytest.param(Scripted(status=401), None, id="auth"),
    pytest.param(Scripted(text=TWO[:20], stop="length"), None, id="truncated"),
    pytest.param(Scripted(text="", stop="refusal"), None, id="refused"),
]


@pytest.mark.parametrize(("script", "kind"), ENDS)
def test_a_reply_that_fails_waits_or_leaves_the_first_answer_to_be_judged(script, kind, bench):
    it = bench(ONE + BAD, script)
    answer = it.answer()
    assert (answer.failure and answer.failure.kind) == kind
    assert answer.failure is None or answer.failure.retryable
    assert answer.failure is not None or answer.text == ONE + BAD
    assert it.is_paid_exactly()
    seen = len(it.provider.seen)
    it.lease = it.claim()
    it.answer()
    assert len(it.provider.seen) == seen, "a failure that would come again is not paid for again"


def test_a_provider_that_recovers_is_replied_to_without_a_second_first_call(bench):
    it = bench(ONE + BAD, Scripted(status=529), TWO)
    assert it.answer().failure.retryable
    it.clock.advance(60)
    it.lease = it.claim()
    assert it.contents(it.answer()) == {"a.py": BOTH}
    assert [call.turn for call in it.calls()] == [1, 2, 2]
    assert it.is_paid_exactly()


def test_a_budget_without_room_for_a_reply_leaves_the_first_answer_to_be_judged(bench):
    it = bench(Scripted(text=ONE + BAD, input_tokens=9_990), budget_tokens=10_000)
    assert it.answer().text == ONE + BAD
    assert len(it.provider.seen) == 1
    assert it.is_paid_exactly()


def test_an_answer_that_the_store_did_not_take_is_booked_by_the_next_process(bench):
    it = bench(ONE + BAD, TWO)
    for call in (1, 2):
        # The second time what was left of the first is booked, and its reply is not.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(it.store, "settle_call", refusing(it.store.settle_call, after=call - 1))
            with pytest.raises(StoreError):
                it.answer()
        assert len(it.provider.seen) == call
        it.lease = it.claim()
    assert it.contents(it.answer()) == {"a.py": BOTH}
    assert len(it.provider.seen) == 2
    assert it.is_paid_exactly()
    assert not list(it.folder.rglob("paid-*"))


def refusing(settle, *, after):
    """``settle``, until it was called so often."""
    calls = []

    def settle_or_refuse(*args, **more):
        calls.append(args)
        if len(calls) > after:
            raise StoreError("the database went away")
        settle(*args, **more)

    return settle_or_refuse


def die_before_booking(bench, *, after):
    """An attempt that ends for good when it has booked ``after`` answers, with the next one on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.store, "settle_call", refusing(bench.store.settle_call, after=after))
        with pytest.raises(StoreError):
            bench.answer()


def test_the_end_of_a_conversation_is_the_whole_of_it_when_the_next_process_books_it(bench):
    it = bench(ONE + BAD, TWO)
    die_before_booking(it, after=1)
    it.lease = it.claim()
    it.recover()
    stored = it.step.answer_of(it.lease.address, 1).answer
    assert (stored.format, it.contents(stored)) == (AnswerFormat.PATCH, {"a.py": BOTH})
    assert it.is_paid_exactly()


def test_an_answer_is_booked_by_the_next_attempt_when_its_own_was_ended_for_good(bench):
    it = bench(ONE + TWO)
    die_before_booking(it, after=0)
    late = FailureReport(kind=FailureKind.TIMEOUT, message="late")
    ended = AttemptOutcome(final_state=PhaseState.FAILED, failure=late)
    it.store.finish_attempt(it.lease, ended, now=1.0)
    it.store.requeue_phase("r", "p", now=1.0)
    it.lease = it.claim()
    it.recover()
    assert it.lease.address.number == 2
    assert it.contents(it.step.answer_of(it.lease.address, 1).answer) == {"a.py": BOTH}
    assert it.is_paid_exactly()


def reserve(bench, phase_id, *, now):
    address = bench.store.next_address("r", phase_id)
    lease = bench.store.claim_attempt(address, owner="me", now=now, is_owner_dead=lambda *_: True)
    bench.store.reserve_call(
        lease, turn=1, builder="b", prompt_hash="", expected_tokens=1, limit_tokens=9, now=now
    )


@pytest.mark.parametrize(
    "first_call",
    [
        pytest.param(None, id="it has made no call"),
        pytest.param("q", id="its call is of another phase"),
        pytest.param("p", id="its call was made at another time"),
    ],
)
def test_an_answer_is_never_booked_to_the_call_of_a_database_that_was_made_anew(first_call, bench):
    it = bench(ONE + TWO)
    die_before_booking(it, after=0)
    it.clock.advance(60)
    it.begin_anew()
    if first_call is not None:
        reserve(it, first_call, now=it.clock.now())
    before = it.calls()
    it.lease = it.claim()
    it.recover()
    assert it.calls() == before
    assert it.step.stored(it.lease) is None
    (aside,) = it.folder.rglob("*.json")
    assert aside.name.startswith("foreign-1-")
    it.recover()
    assert list(it.folder.rglob("*.json")) == [aside]


def test_an_answer_of_another_store_or_attempt_is_left_alone(bench):
    it = bench(ONE + TWO)
    journal = FileJournal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(it.store, "settle_call", refusing(it.store.settle_call, after=0))
        with pytest.raises(StoreError):
            it.answer()
    folder = it.logs_of(it.lease.address) / "builder"
    (paid,) = journal.found(folder, it.lease.address, it.store.identity)
    assert journal.found(folder, it.lease.address, "another") == []
    assert journal.found(folder, replace(it.lease.address, number=2), it.store.identity) == []
    (folder / "paid-99.json").write_text("{")
    assert journal.found(folder, it.lease.address, it.store.identity) == [paid]


def test_a_conversation_is_one_answer_for_attempts_that_judge_it_again(bench):
    it = bench(ONE + BAD, TWO)
    answer = it.answer()
    stored = it.step.answer_of(it.lease.address, 1)
    assert stored.answer == answer
    assert it.step.stored(it.lease) == answer
