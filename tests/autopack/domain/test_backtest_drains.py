"""Records that the store's own drains made, gone through again: both have to know the same rules."""

from dataclasses import replace
from random import Random

import pytest
from drain_record import FAILED_ONES, NOTHING_LEFT, QUEUED_ONES, Record, cause, run_of

from autopack.domain.backtest import backtest, unexplained
from autopack.domain.drain_policy import DrainLimits, SessionTally, session_stop
from autopack.domain.drain_record import DrainRecord, Lift, RecordedAttempt, RecordedSession
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.testing import MemoryStore

LATE = FailureReport(kind=FailureKind.TIMEOUT, message="too slow")
FAILURES = [cause("ann"), cause("bob"), cause("cid"), LATE, None]


class Recorder:
    """Drains a backlog of chance with the store's rules, and writes down what happened."""

    def __init__(self, seed):
        self.chance = Random(seed)
        self.world = Record(MemoryStore())
        self.sessions, self.attempts, self.lifts = [], [], []
        self.not_allowed = []
        """Records, each with an attempt at its end that the store would not have let happen."""
        for run in "abcd":
            names = [f"{run}{index}" for index in range(4)]
            self.world.import_runs(run_of(run, *names))
            for name in names[: self.chance.choice([2, 4])]:
                self.world.attempt(run, name, self.chance.choice(FAILURES[:-1]))

    @property
    def record(self):
        return DrainRecord(
            sessions=tuple(self.sessions), attempts=tuple(self.attempts), lifts=tuple(self.lifts)
        )

    def limits(self):
        pick = self.chance.choice
        return DrainLimits(
            batch_size=pick([None, 4, 8]),
            max_attempts_per_phase=pick([1, 2, 3]),
            max_fingerprint_repeats=pick([1, 2, 3, 6]),
            max_timeouts_per_run=pick([1, 2]),
            max_consecutive_zero_yield=pick([None, 2, 4]),
        )

    def drain(self, *, slots):
        limits = self.limits()
        scope = self.chance.choice([replace(FAILED_ONES, skip_runs_with_queued=False), QUEUED_ONES])
        self.world.clock.advance(1)
        session = self.world.start(scope, limits)
        begun, open_picks, stop = self.world.now, [], None
        while True:
            while stop is None and len(open_picks) < slots:
                session = self.world.drains.session(session.session_id)
                stop = session_stop(self.tally(session, begun), limits)
                pick = None if stop else self.world.pick(session)
                if pick is None:
                    break
                open_picks.append((pick, len(self.attempts)))
                self.attempts.append((pick, begun))
            if not open_picks:
                break
            self.work(*open_picks.pop(self.chance.randrange(len(open_picks))))
        self.world.drains.finish(session.session_id, stop or NOTHING_LEFT, now=self.world.now)
        ended = self.world.drains.session(session.session_id)
        self.sessions.append(
            RecordedSession(
                session_id=session.session_id,
                kind=scope.kind,
                limits=limits,
                started_at=begun,
                active_seconds=self.world.now - begun,
                stop=ended.stop.rule,
            )
        )
        if stop is None and scope != QUEUED_ONES:
            self.try_what_is_left(session.session_id, begun)

    def try_what_is_left(self, session_id, begun):
        for run in "abcd":
            for phase in self.world.store.phases(run):
                if phase.state is PhaseState.FAILED:
                    extra = replace(
                        self.attempts[0],
                        session_id=session_id,
                        run_id=run,
                        phase_id=phase.phase_id,
                        number=phase.last_attempt + 1,
                        picked_at=self.world.now,
                        booked_at=self.world.now + 1,
                        elapsed_seconds=self.world.now - begun,
                        expected_fingerprint=phase.failure_fingerprint,
                    )
                    record = replace(self.record, attempts=(*self.attempts, extra))
                    self.not_allowed.append((record, extra))

    def tally(self, session, begun):
        return SessionTally(
            picked=session.picked,
            failed=session.total_failed,
            zero_yield_in_row=session.zero_yield_in_row,
            elapsed_seconds=self.world.now - begun,
        )

    def work(self, pick, place):
        _, begun = self.attempts[place]
        calls = self.chance.choice([0, 1])
        self.world.work(pick, self.chance.choice(FAILURES), calls=calls)
        result = next(
            one
            for one in self.world.drains.results(pick.session_id)
            if (one.run_id, one.phase_id, one.attempt)
            == (pick.address.run_id, pick.address.phase_id, pick.address.number)
        )
        self.attempts[place] = RecordedAttempt(
            session_id=pick.session_id,
            run_id=result.run_id,
            phase_id=result.phase_id,
            number=result.attempt,
            picked_at=pick.picked_at,
            booked_at=result.timestamp,
            elapsed_seconds=pick.picked_at - begun,
            seconds=result.timestamp - pick.picked_at,
            final_state=result.final_state,
            tokens=result.tokens_used,
            calls=result.telemetry_events_collected,
            fingerprint=result.failure_fingerprint,
            expected_fingerprint=pick.expected_fingerprint,
            is_timeout=result.is_timeout,
        )

    def lift_one(self):
        stopped = [
            one.fingerprint for one in self.world.drains.fingerprints(limit=9) if one.stopped_at is not None
        ]
        if stopped:
            key = self.chance.choice(stopped)
            self.world.clock.advance(1)
            self.world.drains.lift(key, why="mended", now=self.world.now)
            self.lifts.append(Lift(fingerprint=key, at=self.world.now))


@pytest.mark.parametrize("seed", range(40))
def test_what_the_store_recorded_is_explained_by_its_limits(seed):
    recorder = Recorder(seed)
    for _ in range(4):
        recorder.drain(slots=recorder.chance.choice([1, 1, 3]))
        recorder.lift_one()
    record = recorder.record
    assert unexplained(record) == ()
    found = backtest(record, None)
    assert found.made == len(record.attempts)
    assert found.tokens_made == sum(
        session.total_tokens for session in recorder.world.drains.sessions(limit=9)
    )
    assert found.censored == 0


def test_what_the_store_would_not_pick_is_refused():
    tried = 0
    for seed in range(40):
        recorder = Recorder(seed)
        for _ in range(3):
            recorder.drain(slots=1)
            recorder.lift_one()
        for record, extra in recorder.not_allowed:
            assert [attempt for attempt, _ in unexplained(record)] == [extra]
        tried += len(recorder.not_allowed)
    assert tried > 100
