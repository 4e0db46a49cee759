"""Which attempts are asked for next, and the watch over one run until nothing of it can go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.budget import Usage
from autopack.domain.drain_policy import Stop
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseState
from autopack.domain.run import RunSpec, Waiting, split_queued
from autopack.execution.recovery import Conclusion
from autopack.ports import Clock, Engine, Store

_GRACE_SECONDS = 2.0
_LIMIT = 64


class Dispatcher:
    """Keeps the engine fed: finds attempts whose process is dead, and submits what may go now.

    ``is_held`` says whether nothing may be begun for now: the Builder is paused, or the day's budget is spent.
    ``is_in_hand`` says whether this process still sees the attempt's process out, and books its end.
    """

    def __init__(
        self,
        *,
        store: Store,
        engine: Engine,
        conclusion: Conclusion,
        clock: Clock,
        is_owner_dead: Callable[[str, float], bool],
        is_held: Callable[[], bool] = lambda: False,
        is_in_hand: Callable[[AttemptAddress], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._engine = engine
        self._conclusion = conclusion
        self._clock = clock
        self._is_owner_dead = is_owner_dead
        self._is_held = is_held
        self._is_in_hand = is_in_hand
        self._suspects: dict[tuple[AttemptAddress, int], float] = {}

    def dispatch(self, *, run_id: str | None = None) -> int:
        """Give back the attempts of dead processes, then submit at most one attempt a run; how many."""
        self.bury_the_dead()
        if self._is_held():
            return 0
        addresses = self._store.next_runnable(now=self._clock.now(), limit=_LIMIT, run_id=run_id)
        for address in addresses:
            self.submit(address, index=self._store.phase(address.run_id, address.phase_id).index)
        return len(addresses)

    def submit(self, address: AttemptAddress, *, index: int) -> None:
        """Ask for one attempt; ``index`` is its phase's position in the run. Asking twice changes nothing."""
        self._engine.submit(address, priority=index + 1)

    def bury_the_dead(self) -> None:
        """Give back the attempts whose process is dead and was not concluded by whoever launched it."""
        dead = [
            it
            for it in self._store.in_flight()
            if not self._is_in_hand(it.address) and self._is_owner_dead(it.owner, it.heartbeat_at)
        ]
        now = self._clock.monotonic()
        # Whoever launched a process knows more of its end than anybody else, and books it first.
        self._suspects = {_key(it): self._suspects.get(_key(it), now) for it in dead}
        for attempt in dead:
            if now - self._suspects[_key(attempt)] >= _GRACE_SECONDS:
                self._conclusion.bury(attempt, _found_dead(attempt))


def _key(attempt: Attempt) -> tuple[AttemptAddress, int]:
    return (attempt.address, attempt.token)


def _found_dead(attempt: Attempt) -> FailureReport:
    message = f"The process of attempt {attempt.address} ({attempt.owner}) died without a verdict"
    return FailureReport(kind=FailureKind.CRASHED, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened while a run was watched."""

    done: int
    """Phases of the run that are COMPLETE, FAILED or SKIPPED by now."""
    total: int
    moved: Phase | None = None
    """The phase that moved; None where an operator asked for the end: nothing new is begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run stands when nothing of it can go on by itself."""

    run_id: str
    phases: tuple[Phase, ...]
    waiting: tuple[Waiting, ...]
    used: Usage
    duration_seconds: float
    was_interrupted: bool = False
    stop: Stop | None = None
    """The budget that ended it."""

    def count(self, state: PhaseState) -> int:
        """How many phases are in ``state``."""
        return sum(phase.state is state for phase in self.phases)


class RunWatch:
    """Follows one run and tells what moved, until nothing of it is runnable, in flight or due later."""

    def __init__(self, store: Store, run: RunSpec, on_event: Callable[[RunEvent], None]) -> None:
        self._store = store
        self._run = run
        self._on_event = on_event
        self._states: dict[str, PhaseState] = {}

    def is_over(self) -> bool:
        """Tell every move since the last call; True when nothing can go on by itself."""
        phases = self._store.phases(self._run.run_id)
        self._tell(phases)
        runnable, _ = split_queued(self._run, phases)
        is_busy = any(phase.state.is_in_flight and not phase.awaits_approval for phase in phases)
        return not runnable and not is_busy

    def is_busy(self) -> bool:
        """Tell every move since the last call; whether an attempt of the run is under way."""
        phases = self._store.phases(self._run.run_id)
        self._tell(phases)
        return any(phase.state.is_in_flight and not phase.awaits_approval for phase in phases)

    def tell_stop(self) -> None:
        """Tell that the end was asked for."""
        phases = self._store.phases(self._run.run_id)
        self._on_event(RunEvent(done=_count_done(phases), total=len(phases)))

    def summary(
        self, duration_seconds: float, *, was_interrupted: bool, stop: Stop | None = None
    ) -> RunSummary:
        """How the run stands now."""
        phases = tuple(self._store.phases(self._run.run_id))
        return RunSummary(
            run_id=self._run.run_id,
            phases=phases,
            waiting=split_queued(self._run, phases)[1],
            used=self._store.usage_of(self._run.run_id),
            duration_seconds=duration_seconds,
            was_interrupted=was_interrupted,
            stop=stop,
        )

    def _tell(self, phases: Sequence[Phase]) -> None:
        done = _count_done(phases)
        for phase in phases:
            before = self._states.get(phase.phase_id, phase.state)
            self._states[phase.phase_id] = phase.state
            if before is not phase.state:
                self._on_event(RunEvent(moved=phase, done=done, total=len(phases)))


def _count_done(phases: Sequence[Phase]) -> int:
    return sum(phase.state.is_terminal for phase in phases)
