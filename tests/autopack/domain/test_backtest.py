from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopack.domain.backtest import Bounds, backtest, policies_around, recommend, unexplained
from autopack.domain.drain_policy import PRESETS, DrainLimits, Preset, SessionTally, StopRule, session_stop
from autopack.domain.drain_record import DrainRecord, Lift, RecordedAttempt, RecordedSession
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind

WIDE = DrainLimits(
    batch_size=None,
    phase_timeout_seconds=1_000,
    max_attempts_per_phase=9,
    max_fingerprint_repeats=99,
    max_timeouts_per_run=99,
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one try of a phase ends, given the time."""

    fingerprint: str = ""
    tokens: int = 100
    calls: int = 1
    seconds: float = 10
    is_retryable: bool = False


class Drain:
    """The drain's own rules on a backlog whose every outcome is laid down beforehand."""

    def __init__(self, backlog, *, slots=1):
        self.backlog, self.slots = backlog, slots
        self.seen, self.stopped, self.last = Counter(), set(), {}
        self.tried, self.complete = Counter(), set()
        self.now, self.sessions, self.attempts, self.lifts = 0.0, [], [], []

    @property
    def record(self):
        return DrainRecord(
            sessions=tuple(self.sessions), attempts=tuple(self.attempts), lifts=tuple(self.lifts)
        )

    def lift(self, key):
        self.now += 5
        self.stopped.discard(key)
        self.seen[key] = 0
        self.lifts.append(Lift(fingerprint=key, at=self.now))

    def drain(self, limits, *, kind=DrainKind.FAILED):
        self.now += 5
        self.limits, self.kind, self.begin = limits, kind, self.now
        self.name = f"session-{len(self.sessions)}"
        self.tries, self.late, self.under_way, self.row = Counter(), Counter(), [], 0
        self.faults = Counter()
        self.picked = self.failed = 0
        self.stopped |= {key for key, seen in self.seen.items() if seen >= limits.max_fingerprint_repeats}
        stop = self.work()
        left = self.free()
        self.sessions.append(
            RecordedSession(
                session_id=self.name,
                kind=kind,
                limits=limits,
                started_at=self.begin,
                active_seconds=self.now - self.begin,
                stop=StopRule.NOTHING_LEFT if stop is None else stop.rule,
                left_phases=len(left),
                held_phases=len(self.backlog) - len(self.complete) - len(left),
            )
        )
        return self

    def work(self):
        stop = None
        while True:
            while stop is None and len(self.under_way) < self.slots:
                stop = session_stop(self.tally(), self.limits)
                if stop is not None or not (free := self.free()):
                    break
                self.begin_attempt(free[0])
            if not self.under_way:
                return stop
            self.now = min(attempt.booked_at for attempt in self.under_way)
            for attempt in [one for one in self.under_way if one.booked_at <= self.now]:
                self.end_attempt(attempt)

    def tally(self):
        return SessionTally(
            picked=self.picked,
            failed=self.failed,
            zero_yield_in_row=self.row,
            elapsed_seconds=self.now - self.begin,
        )

    def free(self):
        open_runs = {attempt.run_id for attempt in self.under_way}
        return sorted(
            (place for place in self.backlog if place[0] not in open_runs and self.may_try(place)),
            key=lambda place: (self.tries[place], place),
        )

    def may_try(self, place):
        limits = self.limits
        if place in self.complete or self.late[place[0]] >= limits.max_timeouts_per_run:
            return False
        if self.kind is DrainKind.QUEUED:
            return self.tries[place] == 0
        key = self.last.get(place)
        under_way = sum(1 for one in self.under_way if key and one.expected_fingerprint == key)
        if limits.max_faults_per_phase is not None and self.faults[place] >= limits.max_faults_per_phase:
            return False
        is_over = key in self.stopped or self.seen[key] + under_way >= limits.max_fingerprint_repeats
        return self.tries[place] < limits.max_attempts_per_phase and not (key and is_over)

    def begin_attempt(self, place):
        outcomes = self.backlog[place]
        outcome = outcomes[min(self.tried[place], len(outcomes) - 1)]
        self.tried[place] += 1
        self.picked += 1
        limit = self.limits.phase_timeout_seconds
        is_timeout = outcome.seconds > limit
        is_complete = not is_timeout and not outcome.fingerprint
        attempt = RecordedAttempt(
            session_id=self.name,
            run_id=place[0],
            phase_id=place[1],
            number=self.tried[place],
            picked_at=self.now,
            booked_at=self.now + min(outcome.seconds, limit),
            elapsed_seconds=self.now - self.begin,
            seconds=min(outcome.seconds, limit),
            final_state=PhaseState.COMPLETE if is_complete else PhaseState.FAILED,
            tokens=int(outcome.tokens * min(1, limit / outcome.seconds))
            if outcome.seconds
            else outcome.tokens,
            calls=outcome.calls,
            fingerprint=f"late:{place}" if is_timeout else outcome.fingerprint or None,
            expected_fingerprint=self.last.get(place),
            is_timeout=is_timeout,
            is_retryable=outcome.is_retryable and not is_timeout and not is_complete,
        )
        self.attempts.append(attempt)
        self.under_way.append(attempt)

    def end_attempt(self, attempt):
        self.under_way.remove(attempt)
        self.picked -= attempt.is_retryable
        self.failed += not attempt.is_success
        if not attempt.is_retryable:
            self.row = self.row + 1 if attempt.is_zero_yield else 0
        self.late[attempt.run_id] += attempt.is_timeout
        self.tries[attempt.place] += not attempt.is_retryable
        self.faults[attempt.place] += attempt.is_retryable
        if attempt.is_success:
            self.complete.add(attempt.place)
            return
        self.last[attempt.place] = attempt.fingerprint
        if not attempt.is_retryable:
            self.seen[attempt.fingerprint] += 1
            if self.seen[attempt.fingerprint] >= self.limits.max_fingerprint_repeats:
                self.stopped.add(attempt.fingerprint)


LIMITS = st.builds(
    DrainLimits,
    batch_size=st.one_of(st.none(), st.integers(1, 8)),
    phase_timeout_seconds=st.sampled_from([20, 40, 60]),
    max_total_seconds=st.one_of(st.none(), st.sampled_from([60, 150])),
    max_attempts_per_phase=st.integers(1, 3),
    max_fingerprint_repeats=st.integers(1, 4),
    max_timeouts_per_run=st.integers(1, 2),
    max_faults_per_phase=st.one_of(st.none(), st.integers(1, 3)),
    max_consecutive_zero_yield=st.one_of(st.none(), st.integers(1, 3)),
    stop_on_first_failure=st.booleans(),
)
PLACES = [(f"run-{run}", f"phase-{phase}") for run in range(3) for phase in range(3)]


def outcomes(keys, *, faults):
    one = st.builds(
        Outcome,
        fingerprint=st.sampled_from(["", *keys]),
        tokens=st.integers(0, 1_000),
        calls=st.integers(0, 1),
        seconds=st.integers(1, 70),
        is_retryable=faults,
    )
    # A fault that never ends would keep a drain without a batch size going for good.
    return st.lists(one, min_size=1, max_size=4).map(
        lambda many: (*many[:-1], replace(many[-1], is_retryable=False))
    )


SHARED = st.dictionaries(st.sampled_from(PLACES), outcomes(["F", "G"], faults=st.booleans()), min_size=1)
KINDS = st.sampled_from(DrainKind)


@settings(max_examples=50)
@given(
    backlog=SHARED,
    slots=st.integers(1, 3),
    drains=st.lists(st.tuples(LIMITS, KINDS, st.sampled_from(["", "F"])), min_size=1, max_size=3),
)
def test_the_limits_that_were_used_reproduce_the_record(backlog, slots, drains):
    drain = Drain(backlog, slots=slots)
    for limits, kind, lifted in drains:
        drain.drain(limits, kind=kind)
        if lifted:
            drain.lift(lifted)
    found = backtest(drain.record, None)
    assert unexplained(drain.record) == ()
    assert found.made == len(drain.attempts)
    assert found.tokens == Bounds(low=found.tokens_made, high=found.tokens_made)
    assert found.tokens_made == sum(attempt.tokens for attempt in drain.attempts)
    assert found.completions == Bounds(low=len(drain.complete), high=len(drain.complete))
    assert (found.censored, found.cut, found.extended, found.completions_lost) == (0, 0, 0, 0)


@settings(max_examples=30)
@given(backlog=SHARED, limits=LIMITS, sessions=st.integers(1, 3))
def test_one_set_of_limits_for_all_sessions_is_the_same_as_each_its_own(backlog, limits, sessions):
    drain = Drain(backlog)
    for _ in range(sessions):
        drain.drain(limits)
    own, same = backtest(drain.record, None), backtest(drain.record, limits)
    assert replace(own, limits=limits) == same


@settings(max_examples=50)
@given(backlog=SHARED, used=LIMITS, other=LIMITS)
def test_every_recorded_attempt_is_made_or_refused_and_its_tokens_are_spent_or_saved(backlog, used, other):
    record = Drain(backlog).drain(used).drain(used).record
    found = backtest(record, other)
    assert found.made + sum(found.refused.values()) == len(record.attempts)
    assert found.tokens_made + found.tokens_saved == sum(attempt.tokens for attempt in record.attempts)
    done = {attempt.place for attempt in record.attempts if attempt.is_success}
    assert found.completions.low + found.completions_lost == len(done)
    assert found.tokens.low <= found.tokens_made
    assert found.tokens.high is None or found.tokens_made <= found.tokens.high


def per_phase(**changes):
    return st.builds(
        DrainLimits,
        **{
            "batch_size": st.none(),
            "phase_timeout_seconds": st.just(40),
            "max_attempts_per_phase": st.integers(1, 4),
            "max_fingerprint_repeats": st.just(99),
            "max_timeouts_per_run": st.integers(1, 3),
            **changes,
        },
    )


OTHER_COUNTS = st.tuples(per_phase(), per_phase())
# With time limits that differ, a run may be left alone at another point, and its phases be tried in another order.
OTHER_TIMES = st.tuples(
    *2 * [per_phase(phase_timeout_seconds=st.sampled_from([20, 40, 99]), max_timeouts_per_run=st.just(99))]
)


@settings(max_examples=60)
@given(
    backlog=st.dictionaries(st.sampled_from(PLACES), outcomes(["F", "G"], faults=st.just(False)), min_size=1),
    limits=st.one_of(OTHER_COUNTS, OTHER_TIMES),
)
def test_what_would_really_have_happened_lies_within_the_bounds(backlog, limits):
    used, other = limits
    # Drained again from the start under the other limits, in a world where a phase's outcomes are laid down.
    truth = Drain(backlog).drain(other)
    found = backtest(Drain(backlog).drain(used).record, other, most_tokens=1_000)
    assert found.censored is not None
    assert found.completions.low <= len(truth.complete) <= found.completions.high
    assert found.attempts.low <= len(truth.attempts) <= found.attempts.high
    assert found.tokens.low <= sum(attempt.tokens for attempt in truth.attempts) <= found.tokens.high


def backlog_of(**phases):
    """Phases of one run each, by the outcomes of their tries: a fingerprint, or "" for a success."""
    return {
        (f"run-{name}", name): tuple(Outcome(fingerprint=key, tokens=1_000 if key else 50) for key in keys)
        for name, keys in phases.items()
    }


STUCK = backlog_of(a=["F"], b=["F"], c=["F"], d=[""], e=["G", ""])
USED = replace(WIDE, max_attempts_per_phase=2)


@pytest.mark.parametrize(
    ("changes", "made", "refused", "completions", "lost", "censored"),
    [
        pytest.param({}, 9, {}, Bounds(low=2, high=2), 0, 0, id="the same"),
        pytest.param(
            {"max_attempts_per_phase": 1},
            5,
            {"max_attempts_per_phase": 4},
            Bounds(low=1, high=1),
            1,
            0,
            id="one attempt: the second was what e needed",
        ),
        pytest.param(
            {"max_fingerprint_repeats": 3},
            6,
            {"max_fingerprint_repeats": 3},
            Bounds(low=2, high=5),
            0,
            3,
            id="a cause seen three times",
        ),
        pytest.param(
            {"batch_size": 5},
            5,
            {"batch_size": 4},
            Bounds(low=1, high=1),
            1,
            0,
            id="a batch ends the session",
        ),
        pytest.param(
            {"stop_on_first_failure": True},
            1,
            {"stop_on_first_failure": 8},
            Bounds(low=0, high=0),
            2,
            0,
            id="first failure",
        ),
        pytest.param(
            {"max_total_seconds": 45}, 5, {"max_total_minutes": 4}, Bounds(low=1, high=1), 1, 0, id="time"
        ),
        pytest.param(
            {"max_attempts_per_phase": 3},
            9,
            {},
            Bounds(low=2, high=5),
            0,
            3,
            id="a third attempt was never made",
        ),
        pytest.param(
            {"phase_timeout_seconds": 5, "max_timeouts_per_run": 9},
            9,
            {},
            Bounds(low=0, high=1),
            2,
            1,
            id="a shorter time limit cuts all",
        ),
    ],
)
def test_other_limits_on_one_record(changes, made, refused, completions, lost, censored):
    record = Drain(STUCK).drain(USED).record
    found = backtest(record, replace(USED, **changes))
    assert (found.made, found.refused) == (made, refused)
    assert (found.completions, found.completions_lost, found.censored) == (completions, lost, censored)


def test_a_batch_that_ended_full_says_nothing_of_a_larger_one():
    record = Drain(STUCK).drain(replace(USED, batch_size=3)).record
    found = backtest(record, replace(USED, batch_size=8))
    # Five phases could still be tried, but the batch would have had room for five attempts only.
    assert (found.attempts, found.completions) == (Bounds(low=3, high=8), Bounds(low=0, high=5))


def test_where_nobody_counted_the_backlog_there_is_no_upper_bound():
    record = Drain(STUCK).drain(replace(USED, batch_size=3)).record
    uncounted = replace(record, sessions=tuple(replace(one, left_phases=None) for one in record.sessions))
    found = backtest(uncounted, USED, name="no batch")
    assert (found.censored, found.attempts.high, found.tokens.high) == (None, None, None)
    assert str(found).endswith("not in the record: any number of further attempts")


@pytest.mark.parametrize(
    ("stop", "censored"),
    [
        pytest.param(StopRule.INTERRUPTED, 0, id="whoever interrupted it would do so again"),
        pytest.param(StopRule.MAX_BATCHES, 0, id="batches are not among the limits"),
        pytest.param(None, 0, id="still going"),
        pytest.param(StopRule.BUDGET, 3, id="a budget lasts longer when tokens are saved"),
        pytest.param(StopRule.NOTHING_LEFT, 2, id="the refused phase could have been tried otherwise"),
    ],
)
def test_how_a_session_ended_decides_whether_it_could_go_on(stop, censored):
    late = {("run", name): (Outcome(seconds=500),) for name in "abc"}
    used = replace(WIDE, phase_timeout_seconds=100, max_attempts_per_phase=1)
    record = Drain(late).drain(used).record
    ended = replace(record.sessions[0], stop=stop, left_phases=1, held_phases=3)
    found = backtest(replace(record, sessions=(ended,)), replace(used, max_timeouts_per_run=1))
    assert (found.made, found.refused) == (1, {"max_timeouts_per_run": 2})
    assert found.censored == censored


def test_a_phase_that_needs_a_lost_one_is_not_tried_either():
    record = Drain(backlog_of(a=["F", ""], b=[""])).drain(USED).record
    after = replace(
        record.attempts[-1], run_id="run-a", phase_id="z", needs=("a",), picked_at=900, booked_at=910
    )
    found = backtest(
        replace(record, attempts=(*record.attempts, after)), replace(USED, max_attempts_per_phase=1)
    )
    assert found.refused == {"max_attempts_per_phase": 1, "needs": 1}
    assert found.completions_lost == 2


def test_an_attempt_that_ended_at_a_limit_might_have_completed_under_a_longer_one():
    slow = {("run", "slow"): (Outcome(seconds=500, tokens=800),)}
    record = Drain(slow).drain(replace(USED, phase_timeout_seconds=100, max_attempts_per_phase=1)).record
    found = backtest(record, replace(USED, max_attempts_per_phase=1), most_tokens=900)
    assert (found.made, found.extended, found.completions.low) == (1, 1, 0)
    assert found.completions.high >= 1
    assert found.tokens.low == 160
    assert found.tokens.high >= 800


def test_a_lift_that_the_record_does_not_hold_is_noticed():
    drain = Drain(backlog_of(a=["F"]))
    for _ in range(2):
        drain.drain(replace(WIDE, max_attempts_per_phase=1, max_fingerprint_repeats=1))
        drain.lift("F")
    assert unexplained(drain.record) == ()
    ((attempt, rule),) = unexplained(replace(drain.record, lifts=()))
    assert (attempt.number, rule) == (2, StopRule.FINGERPRINT_REPEATS)


def test_a_cause_under_way_counts_as_seen_until_its_attempt_ends():
    backlog = backlog_of(a=["F"], b=["F"])
    drain = Drain(backlog, slots=2).drain(replace(WIDE, max_attempts_per_phase=1))
    drain.drain(replace(WIDE, max_attempts_per_phase=1))
    later = tuple(attempt for attempt in drain.attempts if attempt.expected_fingerprint)
    found = backtest(replace(drain.record, attempts=later), replace(WIDE, max_fingerprint_repeats=1))
    assert (found.made, found.refused) == (1, {"max_fingerprint_repeats": 1})


def test_a_fault_of_the_surroundings_uses_up_no_attempt():
    backlog = {
        ("run", "a"): (Outcome(fingerprint="disk", is_retryable=True), Outcome(fingerprint="F"), Outcome())
    }
    record = Drain(backlog).drain(USED).record
    found = backtest(record, replace(USED, max_attempts_per_phase=1))
    assert (found.made, found.refused) == (2, {"max_attempts_per_phase": 1})


def test_what_a_refused_attempt_failed_with_does_not_hold_its_phase():
    drain = Drain(backlog_of(a=["F"], b=["F", ""]))
    record = (
        drain.drain(replace(WIDE, max_attempts_per_phase=1))
        .drain(replace(WIDE, max_attempts_per_phase=1))
        .record
    )
    second_of_b = [one for one in record.attempts if one.place == ("run-b", "b")][1]
    attempts = (*record.attempts[:2], second_of_b)
    # Without its first attempt b has not failed with F, which has been seen once too often by then.
    found = backtest(
        replace(record, attempts=attempts),
        replace(WIDE, stop_on_first_failure=True, max_fingerprint_repeats=1),
    )
    assert (found.made, found.completions.low) == (2, 1)


def trials(record, used):
    return backtest(record, None, name="used"), [
        backtest(record, it, name=name) for name, it in policies_around(used)
    ]


def test_the_recommendation_saves_tokens_and_no_completion():
    backlog = backlog_of(a=["F"], b=["F"], c=["F"], d=["F"], e=["F"], f=["", ""], g=["G", ""])
    used, others = trials(Drain(backlog).drain(USED).record, USED)
    found = recommend(used, others)
    assert used.tokens_made == 11_100
    # Two sightings of F instead of ten, while g gets the second attempt that it needs.
    assert found.best.tokens_made < used.tokens_made
    assert found.best.completions_lost == 0
    assert found.best.limits.max_attempts_per_phase >= 2
    assert f"{found.best.tokens_made:,} tokens instead of 11,100, for 2 of 2 completions" in found.reason


def test_a_lost_completion_may_be_allowed():
    backlog = backlog_of(a=["F"], b=["G"], f=[""], g=["H", ""])
    used, others = trials(Drain(backlog).drain(USED).record, USED)
    found = recommend(used, others, most_lost=0.5)
    assert found.best.completions.low == 1
    assert found.best.tokens_made < recommend(used, others).best.tokens_made


def test_where_nothing_can_be_saved_the_limits_in_use_are_kept():
    used, others = trials(Drain(backlog_of(a=[""], b=[""])).drain(PRESETS[Preset.STRICT]).record, USED)
    assert recommend(used, others).reason == (
        "keep used: no others that keep 2 of the 2 completions use fewer than 100 tokens"
    )


@settings(max_examples=8)
@given(backlog=SHARED, used=LIMITS, most_lost=st.floats(0, 1))
def test_nothing_else_on_the_frontier_is_better_than_the_recommendation(backlog, used, most_lost):
    mine, others = trials(Drain(backlog).drain(used).record, used)
    found = recommend(mine, others, most_lost=most_lost)
    fit = [one for one in (mine, *others) if one.completions.low >= (1 - most_lost) * mine.completions.low]
    assert found.best in fit
    assert found.best.tokens_made == min(one.tokens_made for one in fit)
    costs = [(one.tokens_made, one.completions.low) for one in found.frontier]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(costs))
