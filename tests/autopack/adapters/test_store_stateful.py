"""Random histories: the store over SQL and the one in memory never tell two stories."""

from dataclasses import replace
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from autopack.adapters.store import open_store
from autopack.domain.attempt import AttemptAddress, Lease
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.spending import UNLIMITED, Reservation
from autopack.domain.verdicts import AttemptOutcome
from autopack.errors import AutopackError
from autopack.ports import BuildAnswer, CallFilter, Decision
from autopack.testing import MemoryStore

RUNS = ("r1", "r2")
PHASES = ("a", "b", "c")
FAILURES = (
    FailureReport(kind=FailureKind.TIMEOUT, message="too slow"),
    FailureReport(kind=FailureKind.BUILDER_ERROR, message="overloaded", retryable=True),
    FailureReport(kind=FailureKind.CRASHED, message="gone"),
)
LIMITS = replace(UNLIMITED, phase_tokens=120, run_tokens=160, day_tokens=200)
run_ids, phase_ids = st.sampled_from(RUNS), st.sampled_from(PHASES)


@st.composite
def run_specs(draw, run_id):
    names = draw(st.lists(phase_ids, unique=True, min_size=1))
    phases = []
    for index, name in enumerate(names):
        needs = (
            st.none() | st.lists(st.sampled_from(names[:index]), max_size=2).map(tuple)
            if index
            else st.none()
        )
        phases.append(PhaseSpec(phase_id=name, goal=draw(st.sampled_from("gh")), needs=draw(needs)))
    return RunSpec(run_id=run_id, goal="g", phases=tuple(phases), order=draw(st.sampled_from(Order)))


@st.composite
def plans(draw):
    return Plan(
        runs=tuple(draw(run_specs(name)) for name in draw(st.lists(run_ids, unique=True, min_size=1)))
    )


@st.composite
def outcomes(draw):
    state = draw(st.sampled_from(PhaseState))
    return AttemptOutcome(
        final_state=state,
        commit="c" if state is PhaseState.COMPLETE else None,
        failure=draw(st.sampled_from(FAILURES)) if state in {PhaseState.FAILED, PhaseState.QUEUED} else None,
        retry_at=draw(st.none() | st.floats(0, 50)),
    )


class TwoStores(RuleBasedStateMachine):
    """Does everything to both stores and expects the same answer."""

    @initialize()
    def open(self):
        self.folder = TemporaryDirectory()
        self.sql = open_store(f"sqlite:///{self.folder.name}/a.db", create=True)
        self.memory = MemoryStore()
        self.now = 1.0
        self.leases: list[Lease] = []
        self.calls = 0

    def teardown(self):
        self.sql.close()
        self.folder.cleanup()

    def both(self, ask):
        """The answer of both stores, or None when both refuse in the same way."""
        self.now += 1.0
        answers = [self._answer(ask, store) for store in (self.memory, self.sql)]
        assert answers[0] == answers[1]
        return None if isinstance(answers[0], type) else answers[0]

    def _answer(self, ask, store):
        try:
            return ask(store)
        except AutopackError as error:
            return type(error)

    def lease(self, data):
        return data.draw(st.sampled_from(self.leases)) if self.leases else None

    @rule(plan=plans())
    def import_plan(self, plan):
        self.both(lambda store: tuple(store.import_plan(plan, now=self.now)))

    @rule(run_id=run_ids)
    def activate(self, run_id):
        self.both(lambda store: store.activate_run(run_id))

    @rule(run_id=run_ids, phase_id=phase_ids, number=st.integers(1, 3), dead=st.booleans())
    def claim(self, run_id, phase_id, number, dead):
        address = AttemptAddress(run_id=run_id, phase_id=phase_id, number=number)
        self._claim(address, dead=dead)

    @rule(run_id=run_ids, phase_id=phase_ids, dead=st.booleans())
    def claim_the_one_that_is_due(self, run_id, phase_id, dead):
        if address := self.both(lambda store: store.next_address(run_id, phase_id)):
            self._claim(address, dead=dead)

    def _claim(self, address, *, dead):
        owner = f"owner-{self.now}"
        lease = self.both(
            lambda store: store.claim_attempt(
                address, owner=owner, now=self.now, is_owner_dead=lambda *_: dead
            )
        )
        if lease:
            self.leases.append(lease)

    @rule(data=st.data(), state=st.sampled_from(PhaseState))
    def step(self, data, state):
        if lease := self.lease(data):
            self.both(lambda store: store.enter_state(lease, state, now=self.now))

    @rule(data=st.data(), outcome=outcomes())
    def finish(self, data, outcome):
        if lease := self.lease(data):
            self.both(lambda store: store.finish_attempt(lease, outcome, now=self.now))

    @rule(data=st.data(), outcome=outcomes(), steps=st.integers(0, 2))
    def work_the_newest_lease_off(self, data, outcome, steps):
        if self.leases:
            for state in (PhaseState.GATE, PhaseState.CI_RUNNING)[:steps]:
                self.both(lambda store, state=state: store.enter_state(self.leases[-1], state, now=self.now))
            self.both(lambda store: store.finish_attempt(self.leases[-1], outcome, now=self.now))

    @rule(data=st.data(), base=st.sampled_from(["x", "y"]))
    def beat(self, data, base):
        if lease := self.lease(data):
            self.both(lambda store: store.heartbeat(lease, now=self.now))
            self.both(lambda store: store.set_base(lease, base))

    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def release(self, data, failure):
        if lease := self.lease(data):
            self.both(
                lambda store: store.release_attempt(
                    lease.address, token=lease.token, failure=failure, now=self.now
                )
            )

    @rule(run_id=run_ids, phase_id=phase_ids)
    def requeue(self, run_id, phase_id):
        self.both(lambda store: store.requeue_phase(run_id, phase_id, now=self.now))

    @rule(run_id=run_ids, phase_id=phase_ids, approved=st.booleans())
    def decide(self, run_id, phase_id, approved):
        decision = Decision(approved=approved, by="ann", why="so", at=self.now)
        self.both(lambda store: store.decide_approval(run_id, phase_id, decision))

    @rule(data=st.data(), turn=st.integers(1, 2), tokens=st.integers(1, 60))
    def reserve(self, data, turn, tokens):
        if lease := self.lease(data):
            made = self.both(
                lambda store: store.reserve_call(
                    lease,
                    turn=turn,
                    builder="b",
                    prompt_hash="h",
                    expected_tokens=tokens,
                    limit_tokens=100,
                    limits=LIMITS,
                    now=self.now,
                )
            )
            if isinstance(made, Reservation):
                self.calls = made.call_id

    @rule(data=st.data(), tokens=st.integers(0, 40), failure=st.none() | st.sampled_from(FAILURES))
    def settle(self, data, tokens, failure):
        if self.calls:
            call_id = data.draw(st.integers(1, self.calls + 1))
            usage = Usage(input_tokens=tokens, output_tokens=1)
            answer = BuildAnswer(text=f"answer of {self.now}", failure=failure, usage=usage)
            self.both(
                lambda store: store.settle_call(
                    call_id, answer, base_commit="b", duration_seconds=1.0, now=self.now
                )
            )

    @invariant()
    def they_tell_the_same(self):
        if not hasattr(self, "sql"):
            return
        assert self.sql.runs() == self.memory.runs()
        assert self.sql.in_flight() == self.memory.in_flight()
        assert self.sql.telemetry(CallFilter()) == self.memory.telemetry(CallFilter())
        assert self.sql.builder_pause("b") == self.memory.builder_pause("b")
        for run_id in RUNS:
            stops = [
                store.budget_stop(limits=LIMITS, now=self.now, run_id=run_id)
                for store in (self.sql, self.memory)
            ]
            assert stops[0] == stops[1]
        for now in (self.now, 0.0):
            assert self.sql.next_runnable(now=now, limit=5) == self.memory.next_runnable(now=now, limit=5)
        for run in self.memory.runs():
            self._compare_run(run.run_id)

    def _compare_run(self, run_id):
        assert self.sql.phases(run_id) == self.memory.phases(run_id)
        assert self.sql.next_retry_at(run_id) == self.memory.next_retry_at(run_id)
        for phase in self.memory.phases(run_id):
            attempts = self.memory.attempts(run_id, phase.phase_id)
            assert self.sql.attempts(run_id, phase.phase_id) == attempts
            assert self.sql.usage_of(run_id, phase.phase_id) == self.memory.usage_of(run_id, phase.phase_id)
            for attempt in attempts:
                self._compare_attempt(attempt.address)

    def _compare_attempt(self, address):
        assert self.sql.decision(address) == self.memory.decision(address)
        for turn in (1, 2):
            assert self.sql.stored_answer(address, turn) == self.memory.stored_answer(address, turn)


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
