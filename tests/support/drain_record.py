"""A store with its record of drains, and the few steps that tests of it are made of."""

from autopack.adapters.store import SqlStore
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Stop, StopRule
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.session import DrainKind, DrainResult, DrainScope
from autopack.domain.verdicts import AttemptOutcome
from autopack.testing import FrozenClock, MemoryDrains

FAILED_ONES = DrainScope(kind=DrainKind.FAILED)
QUEUED_ONES = DrainScope(kind=DrainKind.QUEUED)
WIDE = DrainLimits(
    batch_size=None, max_attempts_per_phase=99, max_fingerprint_repeats=99, max_timeouts_per_run=99
)
NOTHING_LEFT = Stop(rule=StopRule.NOTHING_LEFT, seen=1, limit=0)


def run_of(run_id, *names, order=Order.INDEPENDENT, needs=None):
    """A run whose phases are named; ``needs`` says by name what some of them need."""
    phases = tuple(PhaseSpec(phase_id=name, goal="g", needs=(needs or {}).get(name)) for name in names)
    return RunSpec(run_id=run_id, goal="g", phases=phases, order=order)


def cause(name, kind=FailureKind.TEST_REGRESSION):
    """A failure of its own; the same name is the same cause."""
    return FailureReport(kind=kind, message=f"no such thing as {name}")


class Record:
    """A store, its record of drains and a clock."""

    def __init__(self, store):
        self.store = store
        self.drains = store.drains if isinstance(store, SqlStore) else MemoryDrains(store)
        self.clock = FrozenClock()

    @property
    def now(self):
        return self.clock.now()

    def import_runs(self, *runs):
        self.store.import_plan(Plan(runs=runs), now=self.now)

    def claim(self, address):
        return self.store.claim_attempt(address, owner="me", now=self.now, is_owner_dead=lambda *_: False)

    def finish(self, lease, failure):
        if failure is None:
            self.store.enter_state(lease, PhaseState.GATE, now=self.now)
            self.store.enter_state(lease, PhaseState.CI_RUNNING, now=self.now)
        state = PhaseState.COMPLETE if failure is None else PhaseState.FAILED
        commit = "c" if failure is None else None
        outcome = AttemptOutcome(final_state=state, failure=failure, commit=commit)
        self.store.finish_attempt(lease, outcome, now=self.now)

    def attempt(self, run_id, phase_id, failure):
        """Make one attempt of a queued phase outside of any session; None completes it."""
        self.finish(self.claim(self.store.next_address(run_id, phase_id)), failure)

    def backlog(self, **runs):
        """A run for each keyword, whose phases are given as a mapping from name to failure; None leaves one queued."""
        for run_id, phases in runs.items():
            self.import_runs(run_of(run_id, *phases))
            for name, failure in phases.items():
                if failure is not None:
                    self.attempt(run_id, name, failure)

    def start(self, scope=FAILED_ONES, limits=WIDE, *, owner="me", dead=()):
        return self.drains.start(
            scope,
            limits,
            preset="test",
            owner=owner,
            now=self.now,
            is_owner_dead=lambda other, _beat: other in dead,
        )

    def continued(self, done, scope=FAILED_ONES, limits=WIDE):
        """The next step of an ended session's climb."""
        return self.drains.start(
            scope,
            limits,
            preset="test",
            owner="me",
            now=self.now,
            is_owner_dead=lambda *_: False,
            continues=done.session_id,
        )

    def pick(self, session):
        return self.drains.pick(session, now=self.now)

    def work(self, pick, failure=None, *, calls=1, **fields):
        """Make the picked attempt and book it; the stop that it caused."""
        self.finish(self.claim(pick.address), failure)
        return self.book(pick, calls=calls, **fields)

    def book(self, pick, *, calls=1, **fields):
        self.clock.advance(1)
        return self.drains.book(pick, self.result(pick, calls=calls, **fields), now=self.now)

    def result(self, pick, *, calls=1, **fields):
        phase = self.store.phase(pick.address.run_id, pick.address.phase_id)
        is_failed = phase.state is PhaseState.FAILED
        told = {
            "success": phase.state is PhaseState.COMPLETE,
            "failure_kind": phase.failure_kind if is_failed else None,
            "failure_fingerprint": phase.failure_fingerprint if is_failed else None,
            "telemetry_events_collected": calls,
            "tokens_used": 10 * calls,
            "timestamp": self.now,
        }
        return DrainResult(
            run_id=pick.address.run_id,
            phase_id=pick.address.phase_id,
            phase_index=pick.phase_index,
            attempt=pick.address.number,
            initial_state=pick.initial_state,
            final_state=phase.state,
            **(told | fields),
        )

    def drain(self, session, failure=None, *, most=20, **fields):
        """Pick and work one after the other until nothing may go; the phases in that order."""
        done = []
        while len(done) < most and (pick := self.pick(session)) is not None:
            of_this = failure(pick) if callable(failure) else failure
            self.work(pick, of_this, **fields)
            done.append(name(pick))
        return done

    def key_of(self, run_id, phase_id):
        return self.store.phase(run_id, phase_id).failure_fingerprint


def name(pick):
    """``run/phase`` of a pick or an address."""
    address = pick if isinstance(pick, AttemptAddress) else pick.address
    return f"{address.run_id}/{address.phase_id}"
