"""Random histories of drains: SQL picks, counts and holds back what plain Python does by looking at everything."""

from dataclasses import replace
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from drain_record import FAILED_ONES, NOTHING_LEFT, QUEUED_ONES, Record, cause
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from autopack.adapters.store import open_store
from autopack.adapters.store.tables import run as run_table
from autopack.domain.drain_policy import DrainLimits, failure_rank
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.run import Order, RunSpec, split_queued
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import AutopackError
from autopack.testing import MemoryStore

RUNS = ("a-1", "a-2", "b_1", "bx1")
PHASES = ("p", "q", "r")
FAILURES = (
    cause("ann"),
    cause("bob", FailureKind.COLLECTION_ERROR),
    cause("cid", FailureKind.PATCH_REJECTED),
    FailureReport(kind=FailureKind.TIMEOUT, message="too slow"),
)
FAULT = AttemptOutcome(
    final_state=PhaseState.QUEUED,
    failure=FailureReport(kind=FailureKind.INFRASTRUCTURE, message="no disk", retryable=True),
)
run_ids, phase_ids = st.sampled_from(RUNS), st.sampled_from(PHASES)
outcomes = st.none() | st.sampled_from(FAILURES)
limits_of_sessions = st.builds(
    DrainLimits,
    batch_size=st.none(),
    max_attempts_per_phase=st.integers(1, 3),
    max_fingerprint_repeats=st.integers(1, 4),
    max_timeouts_per_run=st.integers(1, 2),
)
scopes = st.builds(
    replace,
    st.sampled_from((FAILED_ONES, FAILED_ONES, QUEUED_ONES)),
    run_id=st.none() | st.none() | run_ids,
    skip_run_prefixes=st.sampled_from(((), (), ("a-",), ("b_",), ("", "A"))),
    skip_runs_with_queued=st.booleans(),
)


@st.composite
def run_specs(draw, run_id):
    phases = []
    for index, phase_id in enumerate(PHASES[: draw(st.integers(1, 3))]):
        needs = (
            draw(st.none() | st.lists(st.sampled_from(PHASES[:index]), max_size=1).map(tuple))
            if index
            else None
        )
        phases.append(PhaseSpec(phase_id=phase_id, goal="g", needs=needs))
    return RunSpec(run_id=run_id, goal="g", phases=tuple(phases), order=draw(st.sampled_from(Order)))


class TwoRecords(RuleBasedStateMachine):
    """Does everything to both records and expects the same answer."""

    @initialize(
        runs=st.tuples(*(run_specs(run_id) for run_id in RUNS[:3])), failure=st.sampled_from(FAILURES)
    )
    def open(self, runs, failure):
        self.folder = TemporaryDirectory()
        self.sql = Record(open_store(f"sqlite:///{self.folder.name}/a.db", create=True))
        self.memory = Record(MemoryStore())
        self.sessions = []
        self.import_runs(runs)
        for run in runs:
            self.fail(run.run_id, run.phases[0].phase_id, failure)

    def teardown(self):
        self.sql.store.close()
        self.folder.cleanup()

    def both(self, ask):
        """The answer of both records, or None when both refuse in the same way."""
        for record in (self.memory, self.sql):
            record.clock.advance(1)
        answers = [self._answer(ask, record) for record in (self.memory, self.sql)]
        assert answers[0] == answers[1]
        return None if isinstance(answers[0], type) else answers[0]

    def _answer(self, ask, record):
        try:
            return ask(record)
        except AutopackError as error:
            return type(error)

    @rule(runs=run_ids.flatmap(run_specs).map(lambda run: (run,)))
    def import_runs(self, runs):
        self.both(lambda record: record.import_runs(*runs))

    @rule(run_id=run_ids, phase_id=phase_ids, failure=outcomes)
    def fail(self, run_id, phase_id, failure):
        self.both(lambda record: record.attempt(run_id, phase_id, failure))

    @rule(run_id=run_ids, phase_id=phase_ids)
    def requeue(self, run_id, phase_id):
        self.both(lambda record: record.store.requeue_phase(run_id, phase_id, now=record.now))

    @rule(scope=scopes, limits=limits_of_sessions, dead=st.booleans(), owner=st.sampled_from("xyz"))
    def start(self, scope, limits, dead, owner):
        gone = ("x", "y") if dead else ()
        session = self.both(lambda record: record.start(scope, limits, owner=owner, dead=gone))
        self.sessions = [*self.sessions, session][-3:]

    @rule(owner=st.sampled_from("xyz"), dead=st.booleans())
    def resume(self, owner, dead):
        self.both(
            lambda record: record.drains.resume(
                None, owner=owner, now=record.now, is_owner_dead=lambda *_: dead
            )
        )

    @rule(data=st.data(), owner=st.sampled_from("xyz"), ends=st.booleans())
    def touch(self, data, owner, ends):
        if self.sessions:
            name_ = data.draw(st.sampled_from(self.sessions)).session_id
            self.both(lambda record: record.drains.touch(name_, owner=owner, now=record.now))
            if ends:
                self.both(lambda record: record.drains.finish(name_, NOTHING_LEFT, now=record.now))

    @rule(data=st.data(), outcomes=st.lists(outcomes, min_size=1, max_size=4), calls=st.integers(0, 1))
    def drain(self, data, outcomes, calls):
        """One attempt after the other."""
        session = self._session(data)
        for failure in outcomes if session else ():
            pick = self.both(lambda record: record.pick(session))
            if pick:
                self.both(lambda record, pick=pick, failure=failure: record.work(pick, failure, calls=calls))

    @rule(data=st.data())
    def pick(self, data):
        if session := self._session(data):
            self.both(lambda record: record.pick(session))

    def _session(self, data):
        return data.draw(st.sampled_from(self.sessions)) if self.sessions else None

    @rule(data=st.data(), failure=outcomes, calls=st.integers(0, 1), again=st.booleans())
    def work_an_open_pick(self, data, failure, calls, again):
        if open_picks := self.memory.drains.open_picks():
            pick = data.draw(st.sampled_from(open_picks))
            self.both(lambda record: record.work(pick, failure, calls=calls))
            if again:
                self.both(lambda record: record.book(pick, calls=calls))

    @rule(data=st.data())
    def give_an_open_pick_back(self, data):
        if open_picks := self.memory.drains.open_picks():
            pick = data.draw(st.sampled_from(open_picks))
            self.both(
                lambda record: record.store.finish_attempt(record.claim(pick.address), FAULT, now=record.now)
            )
            self.both(lambda record: record.book(pick, is_retryable=True, success=False))

    @rule(data=st.data())
    def drop_an_open_pick(self, data):
        if open_picks := self.memory.drains.open_picks():
            pick = data.draw(st.sampled_from(open_picks))
            self.both(lambda record: record.drains.drop_pick(pick))

    @rule(data=st.data())
    def lift(self, data):
        if known := self.memory.drains.fingerprints(limit=9):
            key = data.draw(st.sampled_from(known)).fingerprint
            self.both(lambda record: record.drains.lift(key, why="so", now=record.now))

    @invariant()
    def they_tell_the_same(self):
        if not hasattr(self, "sql"):
            return
        self.both(lambda record: record.drains.sessions(limit=9))
        self.both(lambda record: record.drains.open_picks())
        self.both(lambda record: record.drains.fingerprints(limit=9))
        for session in self.sessions:
            self.both(lambda record, of=session.session_id: record.drains.results(of))
            for scope in (session.scope, FAILED_ONES):
                ask = (scope, session.limits)
                self.both(
                    lambda record, ask=ask, of=session.session_id: record.drains.held_back(
                        *ask, session_id=of
                    )
                )
                self.both(lambda record, ask=ask: record.drains.preview(*ask, limit=9))
                self.both(lambda record, scope=scope: record.drains.count_queued(scope))

    @invariant()
    def each_run_knows_of_its_phases(self):
        if not hasattr(self, "sql"):
            return
        with self.sql.store._database.reading() as db:
            rows = {row.run_id: row for row in db.execute(sa.select(run_table))}
        for progress in self.memory.store.runs():
            phases = self.memory.store.phases(progress.run_id)
            assert tuple(self.sql.store.phases(progress.run_id)) == tuple(phases)
            run = self.memory.store.run(progress.run_id)
            assert summary_of(rows[progress.run_id]) == expected_summary(run.spec, phases), progress.run_id


def summary_of(row):
    return (row.ready_idx, row.ready_at, row.failed, row.head_rank, row.head_idx, row.head_fingerprint)


def expected_summary(spec, phases):
    ready = split_queued(spec, phases)[0]
    complete = {phase.phase_id for phase in phases if phase.state is PhaseState.COMPLETE}
    failed = [phase for phase in phases if phase.state is PhaseState.FAILED]
    heads = sorted(
        (failure_rank(phase.failure_kind), phase.index, phase.failure_fingerprint)
        for phase in failed
        if not phase.is_stopped and complete.issuperset(spec.needs_of(phase.index))
    )
    times = [phase.retry_at for phase in ready]
    ready_at = None if None in times else min(times, default=None)
    ready_idx = ready[0].index if ready else None
    return (ready_idx, ready_at, len(failed), *(heads[0] if heads else (None, None, None)))


TestTwoRecords = TwoRecords.TestCase
TestTwoRecords.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    # Shrinking a history of two databases takes minutes and seldom tells more than the history.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
