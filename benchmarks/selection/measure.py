"""What a store answers of a filled backlog, and how long it takes."""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from autopack.adapters.store import SqlStore
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind, DrainResult, DrainScope, Pick, Session
from autopack.domain.verdicts import AttemptOutcome
from benchmarks.selection.backlog import LARGEST

FAILED_ONES = DrainScope(kind=DrainKind.FAILED)
QUEUED_ONES = DrainScope(kind=DrainKind.QUEUED)
LIMITS = DrainLimits(batch_size=None, max_attempts_per_phase=2, max_fingerprint_repeats=3)
ATTEMPTS = 150
_moments = count(10)
_WORDS = ("amber", "brown", "coral", "denim", "ebony", "green", "ivory", "lilac", "mauve", "olive")


def seconds_of(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


@dataclass(slots=True)
class Times:
    """Seconds of each step of one attempt."""

    pick: list[float] = field(default_factory=list)
    pick_cpu: list[float] = field(default_factory=list)
    """Of this process alone, which on SQLite is all there is."""
    attempt: list[float] = field(default_factory=list)
    book: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        whole = [sum(steps) for steps in zip(self.pick, self.attempt, self.book, strict=True)]
        named = {
            "pick": self.pick,
            "CPU of a pick": self.pick_cpu,
            "pick, claim, finish and book": whole,
        }
        return {
            f"{name}, {what}, ms": 1000 * value
            for name, seconds in named.items()
            for what, value in (
                ("median", statistics.median(seconds)),
                ("p95", statistics.quantiles(seconds, n=20)[-1]),
            )
        }


def start(store: SqlStore, limits: DrainLimits, scope: DrainScope = FAILED_ONES) -> Session:
    return store.drains.start(
        scope,
        limits,
        preset="bench",
        owner="bench",
        now=float(next(_moments)),
        is_owner_dead=lambda *_: False,
    )


def pick(store: SqlStore, session: Session) -> Pick:
    made = store.drains.pick(session, now=float(next(_moments)))
    if made is None:
        raise SystemExit("nothing was picked of a backlog that is full of failures")
    return made


def attempt(store: SqlStore, made: Pick, failure: FailureReport | None) -> None:
    now = float(next(_moments))
    lease = store.claim_attempt(made.address, owner="bench", now=now, is_owner_dead=lambda *_: False)
    store.enter_state(lease, PhaseState.GATE, now=now)
    store.enter_state(lease, PhaseState.CI_RUNNING, now=now)
    state = PhaseState.FAILED if failure else PhaseState.COMPLETE
    commit = None if failure else "c"
    store.finish_attempt(lease, AttemptOutcome(final_state=state, failure=failure, commit=commit), now=now)


def book(store: SqlStore, made: Pick, *, key: str | None = None) -> None:
    phase = store.phase(made.address.run_id, made.address.phase_id)
    is_failed = phase.state is PhaseState.FAILED
    result = DrainResult(
        run_id=made.address.run_id,
        phase_id=made.address.phase_id,
        phase_index=made.phase_index,
        attempt=made.address.number,
        initial_state=made.initial_state,
        final_state=phase.state,
        success=not is_failed,
        failure_kind=phase.failure_kind if is_failed else None,
        failure_fingerprint=key or (phase.failure_fingerprint if is_failed else None),
        telemetry_events_collected=1,
    )
    store.drains.book(made, result, now=float(next(_moments)))


def drained_attempts(store: SqlStore) -> tuple[dict[str, float], float]:
    """The times of many drained attempts, every other of which fails of a cause of its own; and peak memory in MB."""
    session, times = start(store, LIMITS), Times()
    first = pick(store, session)
    attempt(store, first, None)
    book(store, first)
    for number in range(ATTEMPTS):
        failure = _failure(number) if number % 2 else None
        started, cpu = time.perf_counter(), time.process_time()
        made = pick(store, session)
        times.pick.append(time.perf_counter() - started)
        times.pick_cpu.append(time.process_time() - cpu)
        times.attempt.append(seconds_of(lambda made=made, failure=failure: attempt(store, made, failure)))
        times.book.append(seconds_of(lambda made=made: book(store, made)))
    tracemalloc.start()
    for _ in range(10):
        made = pick(store, session)
        attempt(store, made, None)
        book(store, made)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return times.figures(), peak


def _failure(number: int) -> FailureReport:
    words = " ".join(_WORDS[int(digit)] for digit in str(number))
    return FailureReport(kind=FailureKind.TEST_REGRESSION, message=f"no such thing as {words}")


def picks_beside_the_largest_cause(store: SqlStore) -> float:
    """The median time of a pick while all attempts that the most frequent cause may have are under way."""
    session = start(store, LIMITS)
    under_way = [pick(store, session) for _ in range(LIMITS.max_fingerprint_repeats)]
    if {made.expected_fingerprint for made in under_way} != {LARGEST.key}:
        raise SystemExit("the most frequent cause is not picked first")
    seconds = []
    for _ in range(15):
        started = time.perf_counter()
        made = pick(store, session)
        seconds.append(time.perf_counter() - started)
        _give_back(store, made)
    for made in under_way:
        _give_back(store, made)
    return statistics.median(seconds)


def _give_back(store: SqlStore, made: Pick) -> None:
    attempt(store, made, None)
    store.drains.drop_pick(made)


def stop_and_lift(store: SqlStore) -> dict[str, float]:
    """How long a stop and a lift of the most frequent cause take, and what is picked while it is stopped."""
    phases = store.drains.fingerprint(LARGEST.key).phases
    session = start(store, replace(LIMITS, max_fingerprint_repeats=1))
    made = pick(store, session)
    attempt(store, made, _failure(7_000))
    figures = {
        f"stop a fingerprint of {phases:,} phases, s": seconds_of(lambda: book(store, made, key=LARGEST.key))
    }
    figures["held_back, s"] = seconds_of(
        lambda: store.drains.held_back(FAILED_ONES, LIMITS, session_id=session.session_id)
    )
    figures["start a session, s"] = seconds_of(lambda: start(store, LIMITS))
    figures["lift it, s"] = seconds_of(
        lambda: store.drains.lift(LARGEST.key, why="measured", now=float(next(_moments)))
    )
    return figures


def queries(store: SqlStore) -> dict[str, float]:
    """Look-ups that an operator waits for."""
    skipping = replace(FAILED_ONES, skip_run_prefixes=("run-00", "run-01", "run-02", "run-03"))
    return {
        "held_back, nothing stopped, s": seconds_of(lambda: store.drains.held_back(FAILED_ONES, LIMITS)),
        "preview of 100, s": seconds_of(lambda: store.drains.preview(FAILED_ONES, LIMITS, limit=100)),
        "preview of 10 behind skipped runs, s": seconds_of(
            lambda: store.drains.preview(skipping, LIMITS, limit=10)
        ),
        "preview of 100 queued, s": seconds_of(lambda: store.drains.preview(QUEUED_ONES, LIMITS, limit=100)),
        "fingerprints, s": seconds_of(lambda: store.drains.fingerprints(limit=20)),
        "status: totals, s": seconds_of(store.totals),
        "status: newest 50 runs, s": seconds_of(lambda: store.runs(limit=50)),
        "status: count of runs, s": seconds_of(store.count_runs),
        "counts of all runs, s": seconds_of(store.runs),
    }
