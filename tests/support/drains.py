"""Drains whose attempts end at once, over a real store and a clock that is moved by hand."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from autopack.domain.budget import Usage
from autopack.domain.drain_policy import DrainLimits, Preset
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseSpec, PhaseState
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from autopack.domain.session import DrainKind, DrainScope
from autopack.domain.verdicts import AttemptOutcome
from autopack.drain.failed import BatchDrainController
from autopack.execution.recovery import settle
from autopack.ports import BuildAnswer
from autopack.settings import AttemptSettings
from autopack.testing import FrozenClock

MOST_TICKS = 500
ON_THE_WAY = {
    PhaseState.COMPLETE: (PhaseState.GATE, PhaseState.CI_RUNNING),
    PhaseState.GATE: (PhaseState.GATE, PhaseState.CI_RUNNING),
}


@dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ends."""

    kind: FailureKind | None = None
    cause: str = "No module named 'alpha'"
    retryable: bool = False
    seconds: float = 1.0
    calls: int = 1
    tokens: int = 100
    """Of each call."""
    is_parked: bool = False
    sandbox: str = ""

    @property
    def state(self):
        if self.kind is not None:
            return PhaseState.FAILED
        return PhaseState.GATE if self.is_parked else PhaseState.COMPLETE

    @property
    def failure(self):
        if self.kind is None:
            return None
        return FailureReport(kind=self.kind, message=f"{self.cause}", retryable=self.retryable)


GOOD = End()
PARKED = End(is_parked=True)


def broken(cause="No module named 'alpha'", **fields):
    """An attempt that fails for good."""
    return End(kind=FailureKind.IMPORT_ERROR, cause=cause, **fields)


def late(**fields):
    """An attempt that is ended at its time limit."""
    return End(kind=FailureKind.TIMEOUT, cause="ended in EXECUTING, its time limit", **fields)


def overloaded(**fields):
    """An attempt that a fault of the provider ends."""
    return End(kind=FailureKind.BUILDER_ERROR, cause="overloaded", retryable=True, calls=0, **fields)


@dataclass
class InstantDispatcher:
    """Makes each attempt in the moment in which it is asked for."""

    store: object
    clock: FrozenClock
    script: dict[str, list[End]]
    """How the attempts of ``run/phase`` end, in order; the last one stays."""
    asked: list[str] = field(default_factory=list)
    is_idle: bool = False
    """Whether attempts are only noted down, as with a worker that is busy elsewhere."""

    def bury_the_dead(self):
        """Nothing dies here."""

    def submit(self, address, *, index):
        if not self.is_idle:
            self.perform(address)

    def perform(self, address):
        self.asked.append(str(address))
        ends = self.script[f"{address.run_id}/{address.phase_id}"]
        end = ends.pop(0) if len(ends) > 1 else ends[0]
        lease = self.begin(address)
        for turn in range(end.calls):
            self._call(lease, turn + 1, end.tokens)
        self.clock.advance(end.seconds)
        self.finish(lease, end)

    def begin(self, address):
        return self.store.claim_attempt(
            address, owner="attempt", now=self.clock.now(), is_owner_dead=lambda _owner, _beat: False
        )

    def _call(self, lease, turn, tokens):
        words = {"turn": turn, "builder": "replay:x", "prompt_hash": "h", "expected_tokens": 1}
        reserved = self.store.reserve_call(lease, limit_tokens=10**6, now=self.clock.now(), **words)
        answer = BuildAnswer(text="x", usage=Usage(input_tokens=tokens))
        said = {"base_commit": "c", "duration_seconds": 1.0, "now": self.clock.now()}
        self.store.settle_call(reserved.call_id, answer, **said)

    def finish(self, lease, end):
        now = self.clock.now()
        for state in ON_THE_WAY.get(end.state, ()):
            self.store.enter_state(lease, state, now=now)
        outcome = AttemptOutcome(
            final_state=end.state,
            failure=end.failure,
            commit="c" if end.state is PhaseState.COMPLETE else None,
            duration_seconds=end.seconds,
            sandbox=end.sandbox,
        )
        phase = self.store.phase(lease.address.run_id, lease.address.phase_id)
        self.store.finish_attempt(
            lease, settle(outcome, phase, AttemptSettings(max_transient_retries=2), now=now), now=now
        )


@dataclass
class Bench:
    """A backlog, and controllers that work it off."""

    store: object
    drains: object
    """The record of drains of that store."""
    folder: Path
    clock: FrozenClock = field(default_factory=FrozenClock)
    script: dict[str, list[End]] = field(default_factory=dict)
    events: list = field(default_factory=list)
    is_stopping: bool = False

    def __post_init__(self):
        self.dispatcher = InstantDispatcher(self.store, self.clock, self.script)

    # --- the backlog ---

    def add(self, run_id, *ends, failed=None, order=Order.INDEPENDENT):
        """A run whose phases ``p0``, ``p1``, … end as listed, each with one End or a list of them.

        ``failed`` says how each of them failed already, outside of any drain; None leaves them queued.
        """
        specs = tuple(PhaseSpec(phase_id=f"p{n}", goal="g") for n in range(len(ends)))
        run = RunSpec(run_id=run_id, goal="g", phases=specs, order=order)
        self.store.import_plan(Plan(runs=(run,)), now=self.clock.now())
        for spec, end in zip(specs, ends, strict=True):
            place = f"{run_id}/{spec.phase_id}"
            self.script[place] = [failed or GOOD]
            if failed is not None:
                self.dispatcher.perform(self.store.next_address(run_id, spec.phase_id))
            self.script[place] = list(end) if isinstance(end, list) else [end]
        self.dispatcher.asked.clear()

    def state(self, place):
        return self.store.phase(*place.split("/")).state

    # --- drains ---

    def start(self, kind=DrainKind.FAILED, *, owner="me", is_owner_dead=False, scope=(), **limits):
        """A session, begun now."""
        return self.drains.start(
            DrainScope(kind=kind, **dict(scope)),
            DrainLimits(**limits),
            preset=Preset.DEFAULT,
            owner=owner,
            now=self.clock.now(),
            is_owner_dead=lambda _owner, _beat: is_owner_dead,
        )

    def resume(self, session_id=None, *, owner="me"):
        return self.drains.resume(
            session_id, owner=owner, now=self.clock.now(), is_owner_dead=lambda _owner, _beat: True
        )

    def controller(self, session, *, slots=1):
        return BatchDrainController(
            session=session,
            store=self.store,
            drains=self.drains,
            dispatcher=self.dispatcher,
            clock=self.clock,
            state_folder=self.folder,
            slots=slots,
            is_stopping=lambda: self.is_stopping,
            predict_tokens=lambda _phase: 50,
            budget_stop=lambda _session_id, _tokens: None,
            is_paused=lambda: False,
            check_room=lambda: None,
            on_event=self.events.append,
        )

    def drive(self, controller, *, poll_seconds=0.5):
        """Tick until the controller is done; its session."""
        for _ in range(MOST_TICKS):
            if controller.tick():
                return controller.close()
            self.clock.advance(poll_seconds)
        raise AssertionError(f"the drain does not end: {self.dispatcher.asked[-5:]}")

    def drain(self, kind=DrainKind.FAILED, *, slots=1, **words):
        """A whole session, from its begin to its end."""
        return self.drive(self.controller(self.start(kind, **words), slots=slots))

    def file(self, session):
        return json.loads((self.folder / "sessions" / f"{session.session_id}.json").read_text())
