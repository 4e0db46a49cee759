"""Budgets, pauses, predictions and events: memory, SQLite and PostgreSQL pass the same tests."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from autopack.domain.attempt import AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.drain_policy import DrainLimits, Stop, StopRule
from autopack.domain.estimate import sort_of
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.session import DrainKind, DrainScope
from autopack.domain.spending import UNLIMITED, Amount, OverBudget, Reservation, SpendingLimits
from autopack.domain.verdicts import AttemptOutcome
from autopack.ports import BuildAnswer, CallFilter
from autopack.testing import MemoryDrains, MemoryStore

NOW = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""
DAY = 86_400.0
BUILDER = "replay:answers"
SPEC = PhaseSpec(phase_id="one", goal="g", scope=Scope(paths=("a.py",)), deliverables=("a.py",))
OVERLOADED = FailureReport(kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True)
REFUSED = FailureReport(kind=FailureKind.BUILDER_ERROR, message="bad key")
REJECTED = AttemptOutcome(
    final_state=PhaseState.FAILED, failure=FailureReport(kind=FailureKind.PATCH_REJECTED, message="no")
)


def limits(**fields):
    return replace(UNLIMITED, **fields)


def filled(store, *run_ids, phases=("one", "two")):
    specs = tuple(replace(SPEC, phase_id=phase_id) for phase_id in phases)
    runs = [RunSpec(run_id=it, goal="g", phases=specs, order=Order.INDEPENDENT) for it in run_ids]
    store.import_plan(Plan(runs=tuple(runs)), now=1.0)
    return store


def claimed(store, run_id="shop", phase_id="one", number=1, *, dead=False):
    address = AttemptAddress(run_id=run_id, phase_id=phase_id, number=number)
    return store.claim_attempt(address, owner="me", now=NOW, is_owner_dead=lambda *_: dead)


def asked(
    store, lease, tokens=100, *, now=NOW, builder=BUILDER, given=UNLIMITED, own=10**9, estimate=None, usd=0.0
):
    return store.reserve_call(
        lease,
        turn=1,
        builder=builder,
        prompt_hash="h",
        expected_tokens=tokens,
        limit_tokens=own,
        now=now,
        estimate=estimate,
        limits=given,
        limit_usd=usd,
    )


def answered(store, made, *, tokens=0, cost=None, now=NOW, **answer):
    usage = Usage(input_tokens=tokens, cost_usd=cost)
    store.settle_call(
        made.call_id, BuildAnswer(usage=usage, **answer), base_commit="b", duration_seconds=2.0, now=now
    )


def started(drains, *, continues=None, now=NOW):
    scope, nobody = DrainScope(kind=DrainKind.QUEUED), lambda *_: False
    return drains.start(
        scope,
        DrainLimits(),
        preset="default",
        owner="me",
        now=now,
        is_owner_dead=nobody,
        continues=continues,
    )


def again(store, lease):
    """The next attempt of the phase whose attempt ``lease`` holds, which fails."""
    address = lease.address
    store.finish_attempt(lease, REJECTED, now=NOW)
    store.requeue_phase(address.run_id, address.phase_id, now=NOW)
    return claimed(store, address.run_id, address.phase_id, address.number + 1)


class TestBudgets:
    def test_a_run_may_use_what_its_limit_says_over_all_its_phases(self, store):
        filled(store, "shop", "bank")
        given = limits(run_tokens=250)
        lease = claimed(store)
        answered(store, asked(store, lease, given=given), tokens=160)
        store.finish_attempt(lease, REJECTED, now=NOW)
        over = asked(store, claimed(store, phase_id="two"), given=given)
        assert over == OverBudget(
            subject="run shop",
            setting="[budget] run_tokens",
            unit="tokens",
            used=160,
            wanted=100,
            limit=250,
            is_lasting=False,
        )
        assert isinstance(asked(store, claimed(store, "bank"), given=given), Reservation)

    def test_a_phase_may_use_what_its_limit_says_over_all_its_attempts(self, store):
        filled(store, "shop")
        given = limits(phase_tokens=250)
        lease = claimed(store)
        answered(store, asked(store, lease, given=given), tokens=160)
        lease = again(store, lease)
        over = asked(store, lease, given=given)
        assert (over.subject, over.is_lasting) == ("phase shop/one", True)
        assert isinstance(asked(store, lease, 90, given=given), Reservation)

    def test_a_day_may_use_what_its_limit_says_over_all_runs_and_ends_in_utc(self, store):
        filled(store, "shop", "bank")
        given = limits(day_tokens=250)
        asked(store, claimed(store), 200, given=given)
        lease = claimed(store, "bank")
        assert asked(store, lease, given=given, now=NOW + DAY - 1).subject == "day 2026-01-01"
        assert isinstance(asked(store, lease, given=given, now=NOW + DAY), Reservation)

    def test_a_refused_call_is_booked_nowhere(self, store):
        filled(store, "shop")
        lease = claimed(store)
        assert isinstance(asked(store, lease, 300, given=limits(day_tokens=200)), OverBudget)
        assert isinstance(asked(store, lease, 200, given=limits(run_tokens=200, day_tokens=200)), Reservation)

    def test_money_is_counted_where_it_is_known(self, store):
        filled(store, "shop")
        given = limits(run_usd=1.0)
        lease = claimed(store)
        answered(store, asked(store, lease, given=given), tokens=10, cost=0.75)
        answered(store, asked(store, lease, given=given), tokens=10)
        answered(store, asked(store, lease, given=given), tokens=10, cost=0.5)
        over = asked(store, lease, given=given)
        assert (over.unit, over.used, over.setting) == ("USD", 1.25, "[budget] run_usd")

    def test_an_attempt_that_cost_what_it_may_makes_no_other_call(self, store):
        lease = claimed(filled(store, "shop"))
        answered(store, asked(store, lease, usd=2.0), cost=1.5)
        assert asked(store, lease, usd=2.0).budget_usd == pytest.approx(0.5)
        answered(store, asked(store, lease, usd=2.0), cost=0.6)
        over = asked(store, lease, usd=2.0)
        assert (over.subject, over.unit, over.is_lasting) == ("attempt shop/one/1", "USD", True)
        assert over.setting.startswith("[attempt] budget_usd")
        assert asked(store, lease, usd=0.0).budget_usd is None

    def test_a_call_may_cost_what_the_nearest_limit_has_left(self, store):
        filled(store, "shop")
        given = limits(run_usd=5.0, day_usd=3.0)
        lease = claimed(store)
        answered(store, asked(store, lease, given=given), cost=1.0)
        made = [asked(store, lease, given=given, usd=usd).budget_usd for usd in (0.0, 9.0, 1.5)]
        assert made == pytest.approx([2.0, 2.0, 0.5])

    def test_money_is_counted_for_calls_under_way_at_the_price_of_earlier_ones(self, store):
        filled(store, "shop")
        given = limits(run_usd=3.0)
        lease = claimed(store)
        answered(store, asked(store, lease), tokens=1000, cost=1.0)
        made = store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=100)
        assert made.cost_usd == pytest.approx(made.tokens / 1000)
        assert isinstance(asked(store, lease, given=given, estimate=made), Reservation)
        assert asked(store, lease, given=given, estimate=made).unit == "USD"

    def test_a_call_whose_process_died_stays_counted_in_what_is_shared_alone(self, store):
        filled(store, "shop")
        given = limits(run_tokens=1000)
        lost = asked(store, claimed(store), 900, given=given, own=1000)
        lease = claimed(store, dead=True)
        assert asked(store, lease, 900, given=given, own=1000).subject == "run shop"
        assert isinstance(asked(store, lease, 900, own=1000), Reservation)
        answered(store, lost, tokens=50)
        stop = store.budget_stop(limits=limits(run_tokens=1), now=NOW, run_id="shop")
        assert stop.used == 950

    def test_an_answer_is_counted_once_however_often_it_comes(self, store):
        filled(store, "shop")
        made = asked(store, claimed(store), 100)
        for _ in range(3):
            answered(store, made, tokens=70)
        assert store.budget_stop(limits=limits(run_tokens=1), now=NOW, run_id="shop").used == 70

    def test_an_answer_is_booked_to_the_day_on_which_its_call_began(self, store):
        filled(store, "shop")
        answered(store, asked(store, claimed(store), now=NOW - 1), tokens=70, now=NOW + 1)
        given = limits(day_tokens=1)
        assert store.budget_stop(limits=given, now=NOW + 1) is None
        assert store.budget_stop(limits=given, now=NOW - 1).used == 70

    def test_a_prediction_is_booked_and_the_call_stopped_before_it_uses_what_others_hold(self, store):
        filled(store, "shop", "bank")
        lease = claimed(store)
        answered(store, asked(store, lease), tokens=400)
        made = store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=100)
        given = limits(day_tokens=400 + made.tokens + 50)
        first = asked(store, lease, 100, given=given, estimate=made)
        assert first.budget_tokens == made.tokens + 50
        assert asked(store, claimed(store, "bank"), 51, given=given).limit == given.day_tokens

    @pytest.mark.parametrize(
        ("given", "wanted", "subject"),
        [
            pytest.param({}, 1000, None, id="no limit"),
            pytest.param({"run_tokens": 100}, 0, "run shop", id="spent"),
            pytest.param({"run_tokens": 101}, 0, None, id="not spent"),
            pytest.param({"run_tokens": 101}, 2, "run shop", id="too little for the next call"),
            pytest.param({"day_tokens": 100}, 0, "day 2026-01-01", id="day"),
            pytest.param({"phase_tokens": 1}, 0, None, id="a phase's own stops nobody else"),
        ],
    )
    def test_whether_a_budget_is_spent_can_be_asked_before_anything_is_begun(
        self, store, given, wanted, subject
    ):
        filled(store, "shop")
        asked(store, claimed(store), 100)
        over = store.budget_stop(limits=limits(**given), now=NOW, run_id="shop", wanted=Amount(tokens=wanted))
        assert (over and over.subject) == subject


class TestUsageSoFar:
    def noted(self, store, made, *, tokens, cost=None):
        store.note_usage(made.call_id, Usage(input_tokens=tokens, cost_usd=cost))

    def test_what_a_call_has_used_is_held_when_its_process_dies(self, store):
        filled(store, "shop")
        given = limits(run_tokens=1000, run_usd=5.0)
        lease = claimed(store)
        made = asked(store, lease, tokens=100, given=given)
        self.noted(store, made, tokens=300, cost=1.0)
        self.noted(store, made, tokens=950, cost=2.0)
        assert store.usage_of("shop") == Usage(input_tokens=950, cost_usd=2.0, is_estimated=True)
        again = claimed(store, dead=True)
        # Its own budget does not count what a kill took from it; the run's does.
        over = asked(store, again, tokens=100, given=given, own=200)
        assert (over.subject, over.used) == ("run shop", 950)
        assert isinstance(asked(store, again, tokens=40, given=given, own=200, usd=1.5), Reservation)

    def test_less_than_was_booked_stays_booked(self, store):
        filled(store, "shop")
        given = limits(run_tokens=1000)
        made = asked(store, claimed(store), tokens=600, given=given)
        self.noted(store, made, tokens=10)
        over = asked(store, claimed(store, dead=True), tokens=500, given=given)
        assert over.used == 600

    def test_the_end_of_a_call_takes_the_place_of_what_was_told_before(self, store):
        filled(store, "shop")
        given = limits(run_tokens=1000, run_usd=5.0)
        lease = claimed(store)
        made = asked(store, lease, given=given)
        self.noted(store, made, tokens=900, cost=4.9)
        answered(store, made, tokens=400, cost=1.0)
        self.noted(store, made, tokens=990, cost=5.0)
        assert store.usage_of("shop") == Usage(input_tokens=400, cost_usd=1.0)
        assert isinstance(asked(store, lease, tokens=600, given=given), Reservation)

    def test_an_event_under_way_tells_what_was_used_by_then(self, store):
        filled(store, "shop")
        made = asked(store, claimed(store))
        self.noted(store, made, tokens=70, cost=0.5)
        (event,) = store.telemetry(CallFilter(run_id="shop"))
        assert (event.tokens, event.cost_usd, event.ended_at) == (70, 0.5, None)


class TestSessions:
    @pytest.fixture
    def drains(self, store):
        return MemoryDrains(store) if isinstance(store, MemoryStore) else store.drains

    @pytest.fixture
    def session(self, store, drains):
        filled(store, "shop", "bank")
        return started(drains)

    def test_calls_of_picked_attempts_are_booked_to_their_session_and_found_by_it(
        self, store, drains, session
    ):
        first, second = drains.pick(session, now=NOW), drains.pick(session, now=NOW)
        given = limits(session_tokens=250)
        asked(store, claimed(store, first.address.run_id), 200, given=given)
        over = asked(store, claimed(store, second.address.run_id), given=given)
        assert (over.subject, over.is_lasting) == (f"session {session.session_id}", False)
        [event] = store.telemetry(CallFilter(session_id=session.session_id))
        assert (event.address, event.session_id) == (first.address, session.session_id)
        stop = store.budget_stop(limits=limits(session_tokens=200), now=NOW, session_id=session.session_id)
        assert stop.used == 200

    def test_what_a_call_has_used_so_far_is_held_where_the_steps_of_a_climb_are_booked(
        self, store, drains, session
    ):
        drains.finish(session.session_id, Stop(rule=StopRule.NOTHING_LEFT, seen=0, limit=0), now=NOW)
        second = started(drains, continues=session.session_id, now=NOW + 1)
        made = asked(store, claimed(store, drains.pick(second, now=NOW).address.run_id), 100)
        given = limits(session_tokens=1)
        store.note_usage(made.call_id, Usage(input_tokens=700))
        noted = store.budget_stop(limits=given, now=NOW, session_id=second.session_id)
        answered(store, made, tokens=600)
        settled = store.budget_stop(limits=given, now=NOW, session_id=session.session_id)
        assert (noted.used, settled.used) == (700, 600)

    @pytest.mark.parametrize(
        ("told", "used"),
        [
            pytest.param(None, 1000, id="nothing was told of it"),
            pytest.param(4000, 4000, id="some was told"),
        ],
    )
    def test_a_call_whose_process_died_used_the_same_wherever_it_is_summed_up(
        self, told, used, store, drains, session
    ):
        pick = drains.pick(session, now=NOW)
        lease = claimed(store, pick.address.run_id)
        made = store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=1000)
        call = asked(store, lease, 1000, estimate=replace(made, tokens=50_000))
        if told is not None:
            store.note_usage(call.call_id, Usage(input_tokens=told))
        [event] = store.telemetry(CallFilter(session_id=session.session_id))
        sums = {event.tokens, drains.spent(pick).tokens, store.usage_of(lease.address.run_id).total_tokens}
        store.finish_attempt(lease, REJECTED, now=NOW)
        [known] = drains.fingerprints(limit=1)
        sums.add(known.tokens)
        if not isinstance(store, MemoryStore):
            [booked] = store.triage.booked_calls(session_id=session.session_id)
            sums |= {booked.tokens, *(it.tokens for it in store.triage.failed_phases())}
        assert sums == {used}
        assert (event.is_estimated, event.error) == (True, None)

    def test_calls_of_others_are_not(self, store, session):
        asked(store, claimed(store), 200, given=limits(session_tokens=1))
        assert store.telemetry(CallFilter(session_id=session.session_id)) == ()
        assert [event.session_id for event in store.telemetry(CallFilter(run_id="shop"))] == [None]


class TestPauses:
    def test_a_builder_that_never_failed_has_no_pause(self, store):
        filled(store, "shop")
        answered(store, asked(store, claimed(store)), tokens=5)
        assert store.builder_pause(BUILDER) is None

    @pytest.mark.parametrize(
        ("failure", "seconds"),
        [
            pytest.param(OVERLOADED, (2, 2.5), id="its own guess"),
            pytest.param(replace(OVERLOADED, retry_after_seconds=40.0), (40, 50), id="as it was told"),
        ],
    )
    def test_a_passing_fault_pauses_the_builder_for_all(self, store, failure, seconds):
        filled(store, "shop")
        answered(store, asked(store, claimed(store)), failure=failure)
        pause = store.builder_pause(BUILDER)
        assert seconds[0] <= pause.until - NOW <= seconds[1]
        assert (pause.builder, pause.faults, pause.reason) == (BUILDER, 1, "overloaded")
        assert store.builder_pause("replay:elsewhere") is None

    def test_a_failure_that_would_come_again_pauses_nobody(self, store):
        filled(store, "shop")
        answered(store, asked(store, claimed(store)), failure=REFUSED)
        assert store.builder_pause(BUILDER) is None

    def test_faults_in_a_row_wait_longer_until_an_answer_comes(self, store):
        filled(store, "shop")
        lease, now, waited = claimed(store), NOW, []
        for _ in range(4):
            answered(store, asked(store, lease), failure=OVERLOADED, now=now)
            pause = store.builder_pause(BUILDER)
            waited.append(pause.until - now)
            now = pause.until + 1
        assert [round(seconds // 2) for seconds in waited] in ([1, 2, 4, 8], [1, 2, 4, 9])
        answered(store, asked(store, lease), tokens=5, now=now)
        assert store.builder_pause(BUILDER).faults == 0
        answered(store, asked(store, lease), failure=OVERLOADED, now=now)
        assert store.builder_pause(BUILDER).until - now <= 2.5

    def test_calls_that_fail_together_are_one_wave(self, store):
        filled(store, "shop")
        lease = claimed(store)
        calls = [asked(store, lease) for _ in range(5)]
        for made in calls:
            answered(store, made, failure=OVERLOADED)
        pause = store.builder_pause(BUILDER)
        assert pause.faults == 1
        assert pause.until - NOW <= 2.5

    def test_a_late_answer_does_not_end_a_pause_that_was_asked_for(self, store):
        filled(store, "shop")
        lease = claimed(store)
        early = asked(store, lease)
        answered(store, asked(store, lease), failure=replace(OVERLOADED, retry_after_seconds=60.0))
        answered(store, early, tokens=5)
        assert store.builder_pause(BUILDER).until >= NOW + 60

    def test_a_builder_of_many_words_can_be_paused(self, store):
        filled(store, "shop")
        long = "command:" + "do this and that; " * 2000
        answered(store, asked(store, claimed(store), builder=long), failure=OVERLOADED)
        assert store.builder_pause(long).faults == 1


class TestPredictions:
    def test_they_are_learned_from_answers_of_the_same_builder(self, store):
        filled(store, "shop")
        lease = claimed(store)
        nothing = store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=100)
        for _ in range(6):
            answered(store, asked(store, lease, estimate=nothing), tokens=9000)
        answered(store, asked(store, lease, builder="other:one", estimate=nothing), tokens=1)
        answered(store, asked(store, lease, estimate=nothing), tokens=77, failure=REFUSED)
        asked(store, lease, estimate=nothing)
        made = store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=100)
        assert nothing.samples == 0
        assert (made.samples, made.alike, made.sort) == (6, 6, sort_of(SPEC))
        assert abs(made.tokens - 9000) < abs(nothing.tokens - 9000) / 4
        assert made.error == pytest.approx(abs(made.tokens / 9000 - 1), abs=0.1)

    def test_calls_of_a_sort_are_remembered_beyond_the_newest_of_all(self, store):
        filled(store, "shop")
        lease = claimed(store)
        rare = replace(SPEC, deliverables=("a.rs", "b.rs"))
        for spec, tokens, count in ((rare, 50_000, 6), (SPEC, 1000, 70)):
            made = store.predict_tokens(spec, builder=BUILDER)
            for _ in range(count):
                answered(store, asked(store, lease, estimate=made), tokens=tokens)
        assert store.predict_tokens(rare, builder=BUILDER).alike == 6
        assert store.predict_tokens(rare, builder=BUILDER).tokens > 25_000


class TestEvents:
    def test_an_event_tells_of_a_call_from_beginning_to_end(self, store):
        filled(store, "shop")
        lease = claimed(store)
        made = store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=100)
        call = asked(store, lease, estimate=made)
        [open_event] = store.telemetry(CallFilter(call_id=call.call_id))
        assert (open_event.address, open_event.builder, open_event.begun_at) == (lease.address, BUILDER, NOW)
        assert (open_event.predicted_tokens, open_event.booked_tokens) == (made.tokens, made.tokens)
        assert (open_event.ended_at, open_event.latency_seconds, open_event.tokens) == (None, None, 100)
        answer = BuildAnswer(
            usage=Usage(input_tokens=80, output_tokens=20, cached_tokens=8, cost_usd=0.5, is_estimated=True),
            model="m-1",
            stop_reason="length",
            is_truncated=True,
            failure=REFUSED,
        )
        store.settle_call(call.call_id, answer, base_commit="b", duration_seconds=2.5, now=NOW + 3)
        [event] = store.telemetry(CallFilter(run_id="shop", phase_id="one", number=1))
        assert event == replace(
            open_event,
            ended_at=NOW + 3,
            latency_seconds=2.5,
            model="m-1",
            input_tokens=80,
            output_tokens=20,
            cached_tokens=8,
            cost_usd=0.5,
            is_estimated=True,
            is_truncated=True,
            stop_reason="length",
            failure_kind=FailureKind.BUILDER_ERROR,
        )

    def test_events_are_found_by_run_phase_attempt_and_call(self, store):
        filled(store, "shop", "bank")
        leases = [claimed(store), claimed(store, "bank")]
        calls = [asked(store, lease).call_id for lease in (*leases, leases[0])]
        filters = {
            CallFilter(run_id="shop"): [calls[0], calls[2]],
            CallFilter(run_id="bank", phase_id="one"): [calls[1]],
            CallFilter(run_id="shop", phase_id="two"): [],
            CallFilter(run_id="shop", phase_id="one", number=2): [],
            CallFilter(call_id=calls[2]): [calls[2]],
            CallFilter(): calls,
        }
        for wanted, found in filters.items():
            assert [event.call_id for event in store.telemetry(wanted)] == found, wanted


WORKERS = 6


@pytest.mark.parametrize("name", ["day_tokens", "run_tokens", "session_tokens", "phase_tokens"])
def test_workers_that_race_never_book_more_than_a_limit_holds(sql_store, name):
    runs = [f"r{n}" for n in range(WORKERS)]
    filled(sql_store, *runs)
    if name == "session_tokens":
        session = started(sql_store.drains)
        for _ in runs:
            sql_store.drains.pick(session, now=NOW)
    leases = [claimed(sql_store, run_id) for run_id in runs]
    given = limits(**{name: 1000})
    barrier = threading.Barrier(WORKERS)

    def work(lease):
        barrier.wait()
        booked = 0
        for size in (170, 90, 40, 170, 90, 40, 300, 500):
            made = asked(sql_store, lease, size, given=given)
            if isinstance(made, Reservation):
                booked += size
                answered(sql_store, made, tokens=size)
        return booked

    with ThreadPoolExecutor(WORKERS) as pool:
        booked = list(pool.map(work, leases))
    shared = name in {"day_tokens", "session_tokens"}
    for total in [sum(booked)] if shared else booked:
        assert 900 <= total <= 1000
    stop = sql_store.budget_stop(limits=SpendingLimits(day_tokens=1), now=NOW)
    assert stop.used == sum(booked)


def test_no_table_is_read_from_end_to_end(sql_store):
    import sqlalchemy as sa

    filled(sql_store, "shop")
    lease = claimed(sql_store)
    seen = []
    engine = sql_store._database._engine
    sa.event.listen(
        engine, "before_cursor_execute", lambda _c, _u, sql, values, *_: seen.append((sql, values))
    )
    made = sql_store.predict_tokens(SPEC, builder=BUILDER, prompt_tokens=100)
    answered(sql_store, asked(sql_store, lease, estimate=made, given=SpendingLimits()), tokens=5)
    for wanted in (CallFilter(session_id="s"), CallFilter(run_id="shop"), CallFilter(call_id=1)):
        sql_store.telemetry(wanted)
    sql_store.budget_stop(limits=SpendingLimits(), now=NOW, run_id="shop", session_id="s")
    sql_store.builder_pause(BUILDER)
    if not sql_store._database.is_sqlite:
        # What PostgreSQL would do with a table of few rows says nothing of a large one.
        return
    for statement, parameters in [it for it in seen if not it[0].startswith("BEGIN")]:
        with sql_store._database.reading() as db:
            plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        details = [row.detail for row in plan if row.detail.startswith("SCAN")]
        # Picks that are not booked yet are as few as there are workers.
        assert [it for it in details if "ix_drain_attempt_open" not in it] == [], statement
