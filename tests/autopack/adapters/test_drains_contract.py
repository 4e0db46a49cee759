"""What every record of drains promises of picks, bookings and stops; memory, SQLite and PostgreSQL pass the same tests."""

import contextlib
from dataclasses import replace

import pytest
from drain_record import FAILED_ONES, NOTHING_LEFT, QUEUED_ONES, WIDE, Record, cause, name, run_of

from autopack.adapters.store import SqlStore
from autopack.domain.drain_policy import DrainLimits, Sample, StopRule
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.run import Order
from autopack.domain.session import DrainScope
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import StoreError

SLOW = FailureReport(kind=FailureKind.TIMEOUT, message="too slow")
STUCK = FailureReport(kind=FailureKind.TIMEOUT, message="never came back")
FAULT = FailureReport(kind=FailureKind.INFRASTRUCTURE, message="disk full", retryable=True)


@contextlib.contextmanager
def dying_before_the_marks(drains):
    """What is stopped or lifted meanwhile is noted, and no phase says so."""
    drains._mark = lambda _key: 0
    try:
        yield
    finally:
        del drains._mark


@pytest.fixture
def record(store):
    return Record(store)


class TestOrder:
    def test_failures_come_by_what_is_cheapest_to_learn_from(self, record):
        record.backlog(
            late={"p": SLOW},
            other={"p": cause("red")},
            patch={"p": cause("hunk", FailureKind.PATCH_REJECTED)},
            files={"p": cause("page", FailureKind.DELIVERABLES_MISSING)},
            collect={"p": cause("shop", FailureKind.COLLECTION_ERROR)},
        )
        assert record.drain(record.start(), most=5) == [
            "collect/p",
            "files/p",
            "patch/p",
            "other/p",
            "late/p",
        ]

    def test_then_by_place_in_the_run_then_by_fewer_failures_then_by_age(self, record):
        red = [cause(colour) for colour in ("ann", "bob", "cid", "dan", "eve", "fay")]
        record.backlog(two={"a": red[0], "b": red[1]}, one={"a": red[2]}, young={"a": red[3]})
        record.import_runs(run_of("deep", "a", "b"))
        record.attempt("deep", "a", None)
        record.attempt("deep", "b", red[4])
        assert record.drain(record.start(), most=4) == ["one/a", "young/a", "two/a", "deep/b"]

    def test_every_run_is_sampled_before_a_promising_one_goes_on_and_an_unpromising_one_comes_last(
        self, record
    ):
        record.backlog(
            bad={"a": cause("ann"), "b": cause("bob")},
            good={"a": cause("cid"), "b": cause("dan")},
            last={"a": cause("eve"), "b": cause("fay")},
        )
        session = record.start()
        outcomes = {"bad/a": (cause("ann"), 0), "good/a": (None, 1), "last/a": (cause("gus"), 1)}
        done = []
        for _ in range(6):
            pick = record.pick(session)
            failure, calls = outcomes.get(name(pick), (None, 1))
            record.work(pick, failure, calls=calls)
            done.append((name(pick), pick.sample))
        assert done[:5] == [
            ("bad/a", Sample.UNSAMPLED),
            ("good/a", Sample.UNSAMPLED),
            ("last/a", Sample.UNSAMPLED),
            ("last/a", Sample.PROMISING),
            ("good/b", Sample.PROMISING),
        ]
        assert done[5][1] is Sample.UNPROMISING

    def test_what_was_seen_of_a_run_counts_in_the_next_session_too(self, record):
        record.backlog(bad={"a": cause("ann")}, new={"a": cause("bob"), "b": cause("cid")})
        record.work(record.pick(record.start()), cause("ann"), calls=0)
        assert name(record.pick(record.start())) == "new/a"

    def test_a_cause_that_was_seen_in_a_drain_promises_nothing_elsewhere(self, record):
        record.backlog(
            one={"a": cause("ann")}, two={"a": cause("bob")}, three={"a": cause("cid"), "b": cause("dan")}
        )
        session = record.start()
        for _ in range(3):
            record.work(record.pick(session), cause("eve"))
        assert record.pick(session).sample is Sample.PROMISING
        assert [record.pick(session).sample for _ in range(2)] == [Sample.UNPROMISING] * 2

    def test_a_preview_names_what_would_go_first_and_takes_nothing(self, record):
        record.backlog(one={"a": cause("ann"), "b": cause("bob")}, two={"a": cause("cid")})
        addresses = record.drains.preview(FAILED_ONES, WIDE, limit=5)
        assert [str(address) for address in addresses] == ["two/a/2", "one/a/2"]
        assert [str(it) for it in record.drains.preview(FAILED_ONES, WIDE, limit=1)] == ["two/a/2"]
        assert record.drains.open_picks() == ()
        assert record.store.phase("two", "a").state is PhaseState.FAILED
        assert record.pick(record.start()).address == addresses[0]


class TestScope:
    def test_a_failed_phase_waits_while_its_run_has_a_queued_one_that_may_go(self, record):
        record.backlog(mixed={"a": cause("ann"), "b": None}, pure={"b": cause("bob")})
        assert record.drain(record.start(), most=2) == ["pure/b"]
        asked = replace(FAILED_ONES, skip_runs_with_queued=False)
        assert record.drain(record.start(asked), most=1) == ["mixed/a"]

    def test_one_that_merely_waits_for_the_failed_one_does_not_hold_it_back(self, record):
        record.import_runs(run_of("strict", "a", "b", order=Order.STRICT))
        record.attempt("strict", "a", cause("ann"))
        assert name(record.pick(record.start())) == "strict/a"

    def test_one_run_may_be_asked_for(self, record):
        record.backlog(one={"a": cause("ann")}, two={"a": cause("bob")})
        assert record.drain(record.start(replace(FAILED_ONES, run_id="two")), most=3) == ["two/a"]

    @pytest.mark.parametrize(
        ("prefixes", "left"),
        [
            pytest.param(("web_",), {"webx", "shop-1", "shop-2"}, id="an underscore is itself"),
            pytest.param(("web%",), {"web_x", "webx", "shop-1", "shop-2"}, id="so is a per cent sign"),
            pytest.param(("shop-", "web"), set(), id="several"),
            pytest.param(("SHOP",), {"web_x", "webx", "shop-1", "shop-2"}, id="capitals are others"),
            pytest.param(("",), {"web_x", "webx", "shop-1", "shop-2"}, id="an empty one skips nothing"),
        ],
    )
    @pytest.mark.parametrize("scope", [FAILED_ONES, QUEUED_ONES], ids=["failed", "queued"])
    def test_runs_are_left_out_by_the_beginnings_of_their_names(self, record, scope, prefixes, left):
        failure = cause("ann") if scope is FAILED_ONES else None
        record.backlog(**{run: {"a": failure} for run in ("web_x", "webx", "shop-1", "shop-2")})
        scope = replace(scope, skip_run_prefixes=prefixes)
        assert {it.run_id for it in record.drains.preview(scope, WIDE, limit=9)} == left
        assert {place.partition("/")[0] for place in record.drain(record.start(scope))} == left

    def test_many_runs_that_are_left_out_do_not_hide_the_one_behind_them(self, record):
        record.backlog(**{f"old-{number}": {"a": None} for number in range(30)}, new={"a": None})
        assert record.drain(record.start(replace(QUEUED_ONES, skip_run_prefixes=("old-",)))) == ["new/a"]

    def test_queued_phases_go_in_the_order_of_their_runs_and_places(self, record):
        record.import_runs(run_of("one", "a", "b", order=Order.STRICT), run_of("two", "a"))
        assert record.drain(record.start(QUEUED_ONES)) == ["one/a", "one/b", "two/a"]
        assert record.pick(record.start()) is None

    def test_a_queued_phase_that_failed_is_not_taken_again_nor_what_needs_it(self, record):
        record.import_runs(run_of("one", "a", "b", order=Order.STRICT))
        assert record.drain(record.start(QUEUED_ONES), cause("ann")) == ["one/a"]

    def test_a_queued_phase_whose_time_has_not_come_waits(self, record):
        record.import_runs(run_of("one", "a"))
        lease = record.claim(record.store.next_address("one", "a"))
        later = AttemptOutcome(final_state=PhaseState.QUEUED, failure=FAULT, retry_at=record.now + 60)
        record.store.finish_attempt(lease, later, now=record.now)
        session = record.start(QUEUED_ONES)
        assert record.pick(session) is None
        record.clock.advance(60)
        assert str(record.pick(session).address) == "one/a/1"

    def test_a_failed_phase_that_needs_one_which_is_gone_back_is_not_tried(self, record):
        record.import_runs(run_of("one", "a", "b", needs={"b": ("a",)}, order=Order.INDEPENDENT))
        record.attempt("one", "a", None)
        record.attempt("one", "b", cause("ann"))
        assert [held.reason for held in record.drains.held_back(FAILED_ONES, WIDE)] == []
        assert name(record.pick(record.start())) == "one/b"


class TestLimits:
    def test_a_phase_is_tried_so_often_in_a_session_and_anew_in_the_next(self, record):
        record.backlog(one={"a": cause("ann")})
        limits = replace(WIDE, max_attempts_per_phase=2)
        assert record.drain(record.start(limits=limits), cause("ann")) == ["one/a"] * 2
        assert record.drain(record.start(limits=limits), cause("ann")) == ["one/a"] * 2

    def test_a_run_that_timed_out_too_often_is_left_alone(self, record):
        record.backlog(one={"a": cause("ann"), "b": cause("bob"), "c": cause("cid")}, two={"c": cause("dan")})
        session = record.start(limits=replace(WIDE, max_timeouts_per_run=2, max_attempts_per_phase=1))
        done = record.drain(session, lambda pick: SLOW if pick.address.run_id == "one" else None)
        assert sorted(done) == ["one/a", "one/b", "two/c"]
        told = record.drains.session(session.session_id)
        assert (told.total_timeouts, told.stopped_runs) == (2, ("one",))

    def test_so_is_one_with_queued_phases(self, record):
        record.import_runs(run_of("one", "a", "b", "c"))
        session = record.start(QUEUED_ONES, replace(WIDE, max_timeouts_per_run=1))
        assert record.drain(session, SLOW) == ["one/a"]

    @pytest.mark.parametrize("scope", [FAILED_ONES, QUEUED_ONES], ids=["failed", "queued"])
    def test_a_run_has_one_attempt_at_a_time_whoever_drains_it(self, record, scope):
        failure = cause("ann") if scope is FAILED_ONES else None
        record.backlog(one={"a": failure, "b": failure})
        first, second = record.start(scope), record.start(scope)
        pick = record.pick(first)
        assert (record.pick(first), record.pick(second)) == (None, None)
        record.finish(record.claim(pick.address), None)
        assert record.pick(second) is None
        record.book(pick)
        assert name(record.pick(second)) == "one/b"

    def test_a_run_that_a_worker_is_at_is_not_drained(self, record):
        record.backlog(one={"a": cause("ann"), "b": None})
        lease = record.claim(record.store.next_address("one", "b"))
        session = record.start(replace(FAILED_ONES, skip_runs_with_queued=False))
        assert record.pick(session) is None
        record.finish(lease, None)
        assert name(record.pick(session)) == "one/a"

    def test_faults_of_the_surroundings_use_up_nothing_but_are_told(self, record):
        record.backlog(one={"a": cause("ann")})
        limits = DrainLimits(max_attempts_per_phase=1, max_fingerprint_repeats=1, max_faults_per_phase=None)
        session = record.start(limits=limits)
        for _ in range(3):
            assert record.work(record.pick(session), FAULT, calls=0, is_retryable=True) is None
        told = record.drains.session(session.session_id)
        assert (told.picked, told.total_processed, told.total_failed) == (0, 3, 3)
        assert (told.zero_yield_in_row, told.fingerprint_counts, told.stopped_fingerprints) == (0, {}, ())
        assert record.pick(session).sample is Sample.UNSAMPLED
        assert len(record.drains.results(session.session_id)) == 3

    def test_a_phase_that_meets_a_fault_each_time_is_left_alone_and_the_others_are_not(self, record):
        record.backlog(one={"a": cause("ann")}, two={"a": cause("bob"), "b": cause("cid")})
        limits = replace(WIDE, max_faults_per_phase=2, max_attempts_per_phase=1)
        session = record.start(limits=limits)

        def faulty(pick):
            return FAULT if name(pick) == "one/a" else None

        done = []
        while (pick := record.pick(session)) is not None:
            failure = faulty(pick)
            record.work(pick, failure, calls=0, is_retryable=failure is not None)
            done.append(name(pick))
        assert sorted(done) == ["one/a", "one/a", "two/a", "two/b"]
        (held,) = record.drains.held_back(FAILED_ONES, limits, session_id=session.session_id)
        assert (held.phases, held.examples) == (1, ("one/a",))
        assert "ended by a fault of the surroundings" in held.reason
        # Another session may find the surroundings mended.
        assert name(record.pick(record.start(limits=limits))) == "one/a"

    def test_the_steps_of_a_climb_share_their_limits(self, record):
        record.backlog(one={"a": cause("ann")}, late={"a": cause("bob"), "b": cause("cid")})
        limits = replace(WIDE, batch_size=2, max_attempts_per_phase=1, max_timeouts_per_run=1)
        first = record.start(limits=limits)
        for pick in iter(lambda: record.pick(first), None):
            kind = FailureKind.TIMEOUT if pick.address.run_id == "late" else FailureKind.TEST_REGRESSION
            record.work(pick, cause(name(pick), kind), calls=0)
        record.drains.finish(first.session_id, NOTHING_LEFT, now=record.now)
        record.clock.advance(1)
        second = record.continued(first, limits=replace(limits, batch_size=30))
        assert record.pick(second) is None
        told = record.drains.session(second.session_id)
        assert (told.climb, told.zero_yield_in_row, told.stopped_runs) == (first.session_id, 2, ("late",))
        held = record.drains.held_back(FAILED_ONES, limits, session_id=second.session_id)
        assert sorted(it.phases for it in held) == [2, 2]
        third = record.continued(second, limits=limits)
        assert (third.climb, record.pick(third)) == (first.session_id, None)
        # A drain by itself begins anew.
        assert record.pick(record.start(limits=limits)) is not None

    def test_a_climb_counts_the_time_of_all_its_steps(self, record):
        steps = [record.start(owner="me")]
        for _ in range(2):
            record.clock.advance(10)
            record.drains.touch(steps[-1].session_id, owner="me", now=record.now)
            record.drains.finish(steps[-1].session_id, NOTHING_LEFT, now=record.now)
            steps.append(record.continued(steps[-1]))
        told = [record.drains.session(it.session_id).seconds_before for it in steps]
        assert told == [0, 10, 20]

    def test_an_attempt_that_was_given_back_is_taken_again_under_its_number(self, record):
        record.import_runs(run_of("one", "a"))
        session = record.start(QUEUED_ONES)
        for _ in range(2):
            pick = record.pick(session)
            assert str(pick.address) == "one/a/1"
            lease = record.claim(pick.address)
            back = AttemptOutcome(final_state=PhaseState.QUEUED, failure=FAULT)
            record.store.finish_attempt(lease, back, now=record.now)
            record.book(pick, is_retryable=True, success=False)
        record.work(record.pick(session))
        told = record.drains.session(session.session_id)
        assert (told.picked, told.total_processed, told.total_success) == (1, 3, 1)
        assert [it.final_state for it in record.drains.results(session.session_id)] == [
            PhaseState.QUEUED,
            PhaseState.QUEUED,
            PhaseState.COMPLETE,
        ]


class TestBooking:
    def test_a_result_is_counted_once(self, record):
        record.backlog(one={"a": cause("ann")}, two={"a": cause("bob")})
        session = record.start(limits=replace(WIDE, max_fingerprint_repeats=2))
        pick = record.pick(session)
        record.finish(record.claim(pick.address), cause("ann"))
        result = record.result(pick, calls=2, tokens_not_spent=5)
        assert record.drains.book(pick, result, now=record.now) is None
        assert record.drains.book(pick, replace(result, tokens_used=99), now=record.now) is None
        told = record.drains.session(session.session_id)
        assert (told.picked, told.total_processed, told.total_success, told.total_failed) == (1, 1, 0, 1)
        assert (told.total_telemetry_events, told.total_tokens, told.tokens_not_spent) == (2, 20, 5)
        assert told.fingerprint_counts == {record.key_of("one", "a"): 1}
        assert record.drains.fingerprint(record.key_of("one", "a")).seen == 1
        assert list(record.drains.results(session.session_id)) == [result]

    def test_attempts_without_a_call_are_counted_in_a_row(self, record):
        record.backlog(one={name: cause(name) for name in ("ann", "bob", "cid", "dan")})
        session = record.start(limits=replace(WIDE, max_attempts_per_phase=1))
        rows = []
        for calls in (0, 0, 1, 0):
            pick = record.pick(session)
            record.work(pick, cause(pick.address.phase_id), calls=calls)
            rows.append(record.drains.session(session.session_id).zero_yield_in_row)
        assert rows == [1, 2, 0, 1]

    def test_results_and_open_picks_come_in_the_order_of_picking(self, record):
        record.backlog(**{run: {"a": cause(run)} for run in ("one", "two", "three")})
        session = record.start()
        first, second, third = (record.pick(session) for _ in range(3))
        assert (
            record.drains.open_picks(session.session_id)
            == record.drains.open_picks()
            == (first, second, third)
        )
        record.work(third)
        record.work(first, FAULT, is_retryable=True)
        again = record.pick(session)
        assert again.address == replace(first.address, number=3)
        assert record.drains.open_picks() == (second, again)
        record.work(second)
        record.work(again)
        told = [(it.run_id, it.attempt) for it in record.drains.results(session.session_id)]
        assert told == [("one", 2), ("two", 2), ("three", 2), ("one", 3)]

    def test_a_pick_that_is_dropped_counts_for_nothing(self, record):
        record.backlog(one={"a": cause("ann")})
        session = record.start()
        pick = record.pick(session)
        assert record.drains.session(session.session_id).picked == 1
        for _ in range(2):
            record.drains.drop_pick(pick)
        told = record.drains.session(session.session_id)
        assert (told.picked, told.total_processed, record.drains.open_picks()) == (0, 0, ())
        record.finish(record.claim(pick.address), None)
        assert record.book(pick) is None
        assert record.drains.session(session.session_id).total_processed == 0

    def test_a_booked_pick_is_not_dropped(self, record):
        record.backlog(one={"a": cause("ann")})
        session = record.start()
        pick = record.pick(session)
        record.work(pick)
        record.drains.drop_pick(pick)
        told = record.drains.session(session.session_id)
        assert (told.picked, told.total_success) == (1, 1)

    def test_an_attempt_under_way_has_the_orders_of_its_session(self, record):
        record.backlog(one={"a": cause("ann")})
        scope = replace(FAILED_ONES, doom_check=False)
        session = record.start(scope, replace(WIDE, phase_timeout_seconds=7))
        pick = record.pick(session)
        orders = record.drains.orders(pick.address)
        assert (orders.timeout_seconds, orders.replay, orders.doom_check) == (7, scope.replay, False)
        record.work(pick)
        assert record.drains.orders(pick.address) is None


class TestStops:
    LIMITS = DrainLimits(batch_size=None, max_attempts_per_phase=9, max_fingerprint_repeats=2)

    def shared(self, record, size=5):
        """Runs whose only phase failed of one cause; its key."""
        record.backlog(
            **{f"r{number}": {"a": cause("shared")} for number in range(size)}, other={"a": cause("own")}
        )
        return record.key_of("r0", "a")

    def test_a_cause_costs_so_many_attempts_over_all_its_phases_and_no_more_anywhere(self, record):
        key = self.shared(record)
        session = record.start(limits=self.LIMITS)
        first, second = record.pick(session), None
        assert record.work(first, cause("shared")) is None
        second = record.pick(session)
        stop = record.work(second, cause("shared"))
        assert (stop.rule, stop.subject, stop.seen, stop.limit) == (StopRule.FINGERPRINT_REPEATS, key, 2, 2)
        stopped_at = record.now
        assert stop.evidence == (str(first.address), str(second.address))
        assert all(record.store.phase(f"r{number}", "a").is_stopped for number in range(5))
        assert record.drain(session) == ["other/a"]
        assert record.drain(record.start(limits=WIDE)) == []
        assert record.drains.session(session.session_id).stopped_fingerprints == (key,)
        known = record.drains.fingerprint(key)
        assert (known.seen, known.occurrences, known.phases, known.limit) == (2, 7, 5, 2)
        assert (known.stopped_by, known.stopped_at) == (session.session_id, stopped_at)

    def test_repeats_are_counted_over_sessions(self, record):
        self.shared(record)
        assert record.work(record.pick(record.start(limits=self.LIMITS)), cause("shared")) is None
        assert record.work(record.pick(record.start(limits=self.LIMITS)), cause("shared")) is not None

    def test_a_session_with_a_narrower_limit_stops_at_once_what_was_seen_as_often(self, record):
        key = self.shared(record)
        wide = record.start()
        for _ in range(3):
            record.work(record.pick(wide), cause("shared"))
        narrow = record.start(limits=self.LIMITS)
        assert record.drains.session(narrow.session_id).stopped_fingerprints == (key,)
        assert record.drain(narrow) == ["other/a"]

    def test_a_phase_that_fails_later_with_a_stopped_cause_is_held_at_once(self, record):
        key = self.shared(record)
        session = record.start(limits=self.LIMITS)
        for _ in range(2):
            record.work(record.pick(session), cause("shared"))
        record.backlog(late={"a": cause("shared")})
        late = record.store.phase("late", "a")
        assert (late.failure_fingerprint, late.is_stopped) == (key, True)
        assert record.drain(session) == ["other/a"]

    def test_an_operator_may_still_put_a_stopped_phase_into_the_queue(self, record):
        key = self.shared(record)
        session = record.start(limits=self.LIMITS)
        for _ in range(2):
            record.work(record.pick(session), cause("shared"))
        record.store.requeue_phase("r3", "a", now=record.now)
        requeued = record.store.phase("r3", "a")
        assert (requeued.is_stopped, requeued.failure_fingerprint) == (False, key)
        record.attempt("r3", "a", cause("shared"))
        assert record.store.phase("r3", "a").is_stopped

    def test_a_lift_frees_the_phases_counts_from_nothing_and_samples_anew(self, record):
        key = self.shared(record)
        session = record.start(limits=self.LIMITS)
        for _ in range(2):
            record.work(record.pick(session), cause("shared"), calls=0)
        assert record.drains.lift(key, why="mended", now=record.now) == 5
        assert record.drains.lift(key, why="mended", now=record.now) == 0
        known = record.drains.fingerprint(key)
        assert (known.seen, known.stopped_at, known.lifted_why) == (0, None, "mended")
        assert not any(record.store.phase(f"r{number}", "a").is_stopped for number in range(5))
        again = record.start(limits=self.LIMITS)
        pick = record.pick(again)
        assert (name(pick), pick.sample) == ("r0/a", Sample.UNSAMPLED)
        assert record.work(pick, cause("shared")) is None
        stop = record.work(record.pick(again), cause("shared"))
        assert len(stop.evidence) == stop.seen == 2

    def test_only_a_known_fingerprint_is_lifted_or_read(self, record):
        for ask in (
            lambda: record.drains.lift("nobody", why="so", now=1.0),
            lambda: record.drains.fingerprint("no"),
        ):
            with pytest.raises(StoreError, match="there is no fingerprint"):
                ask()

    def test_fingerprints_come_by_how_often_they_ended_attempts(self, record):
        self.shared(record)
        first, second = record.drains.fingerprints(limit=5)
        assert (first.occurrences, first.phases, first.first_seen_in) == (5, 5, "r0/a/1")
        assert (second.occurrences, second.last_seen_in) == (1, "other/a/1")
        assert list(record.drains.fingerprints(limit=1)) == [first]

    @pytest.mark.parametrize("workers", [2, 4])
    def test_side_by_side_a_recorded_cause_costs_no_more(self, record, workers):
        self.shared(record, size=8)
        session = record.start(limits=self.LIMITS)
        assert self.waves(record, session, workers) == 2

    @pytest.mark.parametrize("workers", [2, 4])
    def test_side_by_side_an_unrecorded_cause_costs_at_most_one_a_worker_more(self, record, workers):
        record.backlog(**{f"r{number}": {"a": cause(f"own {'abcdefgh'[number]}")} for number in range(8)})
        session = record.start(limits=self.LIMITS)
        seen = self.waves(record, session, workers, first_only=True)
        assert seen <= 2 + workers - 1

    def waves(self, record, session, workers, *, first_only=False):
        """Attempts that ended with the shared cause, when so many are always under way."""
        seen = 0
        tried = set()
        under_way = []
        while True:
            while len(under_way) < workers and (pick := record.pick(session)) is not None:
                if first_only and name(pick) in tried:
                    record.work(pick)
                    continue
                tried.add(name(pick))
                under_way.append(pick)
            if not under_way:
                return seen
            pick = under_way.pop(0)
            is_shared = pick.address.run_id != "other"
            stop = record.work(pick, cause("shared") if is_shared else None)
            seen += is_shared
            if stop and first_only:
                return seen + len(under_way)

    def test_a_half_made_stop_or_lift_is_finished_by_the_next_session(self, record):
        if not isinstance(record.store, SqlStore):
            pytest.skip("in memory nothing is half made")
        key = self.shared(record)
        session = record.start(limits=self.LIMITS)
        with dying_before_the_marks(record.drains):
            for _ in range(2):
                record.work(record.pick(session), cause("shared"))
        assert not record.store.phase("r4", "a").is_stopped
        assert name(record.pick(session)) == "other/a"
        record.start()
        assert record.store.phase("r4", "a").is_stopped
        with dying_before_the_marks(record.drains):
            record.drains.lift(key, why="mended", now=record.now)
        assert record.store.phase("r4", "a").is_stopped
        record.start()
        assert not record.store.phase("r4", "a").is_stopped


class TestHeldBack:
    def test_each_reason_has_its_numbers_examples_and_way_out(self, record):
        record.backlog(
            mixed={"a": cause("ann"), "b": cause("bob"), "c": None},
            busy={"a": STUCK, "b": cause("cid", FailureKind.TIMEOUT)},
            **{"skip-1": {"a": cause("dan")}, "skip-2": {"a": cause("eve")}},
            slow={"a": cause("fay"), "b": cause("gus")},
            held={"a": cause("hal")},
            spent={"a": cause("ida")},
        )
        limits = replace(WIDE, max_timeouts_per_run=1, max_attempts_per_phase=1, max_fingerprint_repeats=1)
        scope = replace(FAILED_ONES, skip_run_prefixes=("skip-",))
        wide = record.start(replace(FAILED_ONES, run_id="held"))
        record.work(record.pick(wide), cause("hal"))
        session = record.start(scope, limits)
        outcomes = {"slow": SLOW, "spent": cause("ida")}
        while (pick := record.pick(session)) is not None:
            if pick.address.run_id == "busy":
                break
            record.work(pick, outcomes[pick.address.run_id])
        assert name(pick) == "busy/a"
        told = {
            held.reason: (held.phases, held.runs, held.examples, held.hint)
            for held in record.drains.held_back(scope, limits, session_id=session.session_id)
        }
        key = record.key_of("held", "a")
        assert told["their runs have queued phases that may go"][:3] == (2, 1, ("mixed/a", "mixed/b"))
        assert "--run-id mixed" in told["their runs have queued phases that may go"][3]
        stopped = told[f"fingerprint {key} was stopped after 1 of 1 repeats"]
        assert stopped == (1, 1, ("held/a",), f"autopack drain lift {key} --why REASON")
        assert told["--skip-run-prefix skip-"][:3] == (2, 2, ("skip-1/a", "skip-2/a"))
        assert told["an attempt of their run is under way"][:3] == (1, 1, ("busy/b",))
        assert told["this session tried them once"][:3] == (2, 2, ("slow/a", "spent/a"))
        assert told["an attempt of their run timed out"][:3] == (2, 1, ("slow/a", "slow/b"))

    def test_nothing_that_may_go_is_held(self, record):
        record.backlog(one={"a": cause("ann")})
        assert list(record.drains.held_back(FAILED_ONES, WIDE)) == []

    def test_only_the_asked_run_is_told_of(self, record):
        record.backlog(one={"a": cause("ann"), "b": None}, two={"a": cause("bob"), "b": None})
        asked = DrainScope(kind=FAILED_ONES.kind, run_id="two")
        (held,) = record.drains.held_back(asked, WIDE)
        assert (held.phases, held.runs, held.examples) == (1, 1, ("two/a",))

    def test_examples_are_few(self, record):
        record.backlog(
            **{f"r{number}": {"a": cause("ann"), "b": cause("bob"), "c": None} for number in range(9)}
        )
        (held,) = record.drains.held_back(FAILED_ONES, WIDE)
        assert (held.phases, held.runs) == (18, 9)
        assert held.examples == ("r0/a", "r0/b", "r1/a", "r1/b", "r2/a")
