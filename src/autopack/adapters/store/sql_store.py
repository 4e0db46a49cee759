"""The store over SQL: each method is one transaction around a function of this package."""

from collections.abc import Callable, Mapping, Sequence

from autopack.adapters.store import (
    attempts,
    calls,
    pauses,
    plans,
    reading,
    reviews,
    spending,
    telemetry,
    turns,
)
from autopack.adapters.store.database import Database
from autopack.adapters.store.schema import check_schema, migrate
from autopack.adapters.store.sql_drains import SqlDrains
from autopack.adapters.store.sql_reviews import SqlReviews
from autopack.adapters.store.sql_triage import SqlTriage
from autopack.adapters.store.tables import SCHEMA_REVISION
from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.baseline import Baseline, BaselineKey
from autopack.domain.budget import Usage
from autopack.domain.ci_report import CiReport
from autopack.domain.estimate import Estimate, sort_of
from autopack.domain.estimate import estimate as estimate_call
from autopack.domain.failure import FailureReport
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.plan import Plan, PlanChange
from autopack.domain.rates import ProviderRates, Turn
from autopack.domain.retry import Pause, provider_key
from autopack.domain.run import Run
from autopack.domain.spending import (
    NOTHING,
    UNLIMITED,
    Amount,
    OverBudget,
    Reservation,
    SpendingLimits,
)
from autopack.domain.telemetry import CallEvent
from autopack.domain.verdicts import AttemptOutcome
from autopack.ports import BuildAnswer, CallFilter, Decision, Foreseen, RunProgress, StoredAnswer


def open_store(url: str, *, create: bool) -> "SqlStore":
    """The store in the database at ``url``.

    Args:
        url: An SQLite URL with an absolute path, or a PostgreSQL URL; ``resolve_database_url`` makes one.
        create: Whether to make a missing SQLite file and missing tables, and to bring older tables up to date.

    Raises:
        StoreError: There is no such database, or its tables are missing, older or newer; the hint says what
            to do.
    """
    database = Database(url, may_create=create)
    try:
        made = migrate(database) if create else ""
        check_schema(database)
    except BaseException:
        database.close()
        raise
    return SqlStore(database, made=made)


class SqlStore:
    """Implements the store's port on SQLite and PostgreSQL; safe to share between threads."""

    def __init__(self, database: Database, *, made: str = "") -> None:
        self._database = database
        self.made = made
        """What opening it did to its tables; empty where they were as they are."""
        self.identity = f"{database.place}, schema {SCHEMA_REVISION}"
        self.drains = SqlDrains(database)
        self.triage = SqlTriage(database)
        self.reviews = SqlReviews(database)

    def close(self) -> None:
        """Give back every connection."""
        self._database.close()

    def import_plan(self, plan: Plan, *, now: float) -> Sequence[PlanChange]:
        """Make the store hold ``plan``; every difference that was found, refused ones included."""
        with self._database.writing() as db:
            return plans.import_plan(db, plan, now=now)

    def activate_run(self, run_id: str) -> None:
        """Let workers take the run's phases."""
        with self._database.writing() as db:
            plans.activate_run(db, run_id)

    def run(self, run_id: str) -> Run:
        """One run; raises NotRecordedError when there is none."""
        with self._database.reading() as db:
            return reading.read_run(db, run_id)

    def runs(self, *, limit: int | None = None) -> Sequence[RunProgress]:
        """The newest runs in order of creation; all of them without a limit."""
        with self._database.reading() as db:
            return reading.read_progress(db, limit=limit)

    def count_runs(self) -> int:
        """How many runs there are."""
        with self._database.reading() as db:
            return reading.count_runs(db)

    def totals(self) -> Mapping[PhaseState, int]:
        """How many phases of all runs are in which state; a state without any is left out."""
        with self._database.reading() as db:
            return reading.count_phases(db)

    def phase(self, run_id: str, phase_id: str) -> Phase:
        """One phase; raises NotRecordedError when there is none."""
        with self._database.reading() as db:
            return reading.read_phase(db, run_id, phase_id)

    def phases(self, run_id: str) -> Sequence[Phase]:
        """The run's phases in plan order; raises NotRecordedError when there is no such run."""
        with self._database.reading() as db:
            reading.check_run(db, run_id)
            return reading.read_phases(db, run_id)

    def attempts(self, run_id: str, phase_id: str) -> Sequence[Attempt]:
        """The phase's attempts, oldest first."""
        with self._database.reading() as db:
            return reading.read_attempts(db, run_id, phase_id)

    def next_runnable(self, *, now: float, limit: int, run_id: str | None = None) -> Sequence[AttemptAddress]:
        """The first phase of each active, idle run that may go now, runs in order of creation."""
        with self._database.reading() as db:
            return reading.next_runnable(db, now=now, limit=limit, run_id=run_id)

    def next_retry_at(self, run_id: str) -> float | None:
        """When the first phase that merely waits for its ``retry_at`` may go; None if none does."""
        with self._database.reading() as db:
            return reading.next_retry_at(db, run_id)

    def next_address(self, run_id: str, phase_id: str) -> AttemptAddress:
        """The phase's unfinished attempt where it has one, else the next number."""
        with self._database.reading() as db:
            number = reading.due_number(db, reading.read_phase(db, run_id, phase_id))
        return AttemptAddress(run_id=run_id, phase_id=phase_id, number=number)

    def claim_attempt(
        self, address: AttemptAddress, *, owner: str, now: float, is_owner_dead: Callable[[str, float], bool]
    ) -> Lease:
        """Take the attempt; every older lease of it ends."""
        with self._database.writing() as db:
            return attempts.claim(db, address, owner=owner, now=now, is_owner_dead=is_owner_dead)

    def heartbeat(self, lease: Lease, *, now: float) -> None:
        """Say that the holder lives; raises LeaseLostError when it holds the attempt no more."""
        with self._database.writing() as db:
            attempts.heartbeat(db, lease, now=now)

    def set_base(self, lease: Lease, base_commit: str) -> Lease:
        """Note on what the attempt is made now, in place of an earlier base. Raises LeaseLostError."""
        with self._database.writing() as db:
            return attempts.set_base(db, lease, base_commit)

    def enter_state(self, lease: Lease, state: PhaseState, *, now: float) -> None:
        """Move the phase and its attempt along the table of legal moves."""
        with self._database.writing() as db:
            attempts.enter_state(db, lease, state, now=now)

    def finish_attempt(self, lease: Lease, outcome: AttemptOutcome, *, now: float) -> None:
        """Write the attempt's verdict and move its phase, together."""
        with self._database.writing() as db:
            attempts.finish(db, lease, outcome, now=now)

    def taken(self, run_id: str) -> int | None:
        """How often attempts of the run were taken or given back; None while one is held."""
        with self._database.reading() as db:
            return reading.taken(db, run_id)

    def book_foreseen(self, foreseen: Foreseen, *, now: float) -> None:
        """Take an attempt that nobody needs to make and write its verdict, in one transaction."""
        with self._database.writing() as db:
            attempts.book_foreseen(db, foreseen, now=now)

    def requeue_phase(self, run_id: str, phase_id: str, *, now: float) -> AttemptAddress:
        """Put a FAILED or SKIPPED phase back into the queue and name its next attempt."""
        with self._database.writing() as db:
            return attempts.requeue(db, run_id, phase_id, now=now)

    def skip_phase(self, run_id: str, phase_id: str, *, now: float) -> None:
        """Take a QUEUED or FAILED phase out of the backlog, until it is requeued."""
        with self._database.writing() as db:
            attempts.skip(db, run_id, phase_id, now=now)

    def in_flight(self) -> Sequence[Attempt]:
        """Attempts that a process holds, oldest heartbeat first."""
        with self._database.reading() as db:
            return reading.read_held(db)

    def release_attempt(
        self, address: AttemptAddress, *, token: int, failure: FailureReport, now: float
    ) -> None:
        """Give back an attempt whose process is gone; nothing when ``token`` is an old one."""
        with self._database.writing() as db:
            attempts.release(db, address, token=token, failure=failure, now=now)

    def stored_answer(self, address: AttemptAddress, turn: int) -> StoredAnswer | None:
        """The answer that was paid for in this turn of the attempt, if there is one."""
        with self._database.reading() as db:
            return calls.stored_answer(db, address, turn)

    def reserve_call(  # noqa: PLR0913 - what is known of a call before it is made
        self,
        lease: Lease,
        *,
        turn: int,
        builder: str,
        prompt_hash: str,
        expected_tokens: int,
        limit_tokens: int,
        now: float,
        estimate: Estimate | None = None,
        limits: SpendingLimits = UNLIMITED,
        limit_usd: float = 0.0,
    ) -> Reservation | OverBudget:
        """Book a call before it is made, or say which budget does not hold it."""
        with self._database.writing() as db:
            return calls.reserve(
                db,
                lease,
                turn=turn,
                builder=builder,
                prompt_hash=prompt_hash,
                expected_tokens=expected_tokens,
                limit_tokens=limit_tokens,
                now=now,
                estimate=estimate,
                limits=limits,
                limit_usd=limit_usd,
            )

    def settle_call(
        self, call_id: int, answer: BuildAnswer, *, base_commit: str, duration_seconds: float, now: float
    ) -> None:
        """Store the answer and replace the reservation by what was used; under a lost lease too."""
        with self._database.writing() as db:
            calls.settle(
                db, call_id, answer, base_commit=base_commit, duration_seconds=duration_seconds, now=now
            )

    def note_usage(self, call_id: int, usage: Usage) -> None:
        """Keep what a call under way has used so far."""
        with self._database.writing() as db:
            calls.note_usage(db, call_id, usage)

    def builder_pause(self, builder: str) -> Pause | None:
        """The Builder's newest pause, whether it is over or not; None when it never had one."""
        with self._database.reading() as db:
            return pauses.read(db, builder)

    def take_turn(self, provider: str, *, tokens: int, rates: ProviderRates, now: float) -> Turn:
        """Book a request to a provider, or say how long to wait."""
        with self._database.writing() as db:
            return turns.take(db, provider, tokens=tokens, rates=rates, now=now)

    def settle_turn(self, turn_id: int, *, tokens: int) -> None:
        """Replace what a turn was expected to use by what it used."""
        with self._database.writing() as db:
            turns.settle(db, turn_id, tokens=tokens)

    def pause_provider(self, provider: str, failure: FailureReport, *, now: float) -> Pause:
        """Let a provider rest after a fault of its own; the pause that holds now."""
        with self._database.writing() as db:
            return pauses.note_fault(db, provider_key(provider), failure, now=now)

    def note_provider_answer(self, provider: str) -> None:
        """End a provider's row of faults."""
        with self._database.writing() as db:
            pauses.note_answer(db, provider_key(provider))

    def provider_pause(self, provider: str) -> Pause | None:
        """The provider's newest pause, whether it is over or not; None when it never had one."""
        with self._database.reading() as db:
            return pauses.read(db, provider_key(provider))

    def predict_tokens(self, spec: PhaseSpec, *, builder: str, prompt_tokens: int | None = None) -> Estimate:
        """What a call for the phase would use."""
        sort = sort_of(spec)
        with self._database.reading() as db:
            samples = telemetry.read_samples(db, sort, builder)
        return estimate_call(sort, samples, prompt_tokens=prompt_tokens)

    def budget_stop(
        self,
        *,
        limits: SpendingLimits,
        now: float,
        run_id: str | None = None,
        session_id: str | None = None,
        wanted: Amount = NOTHING,
    ) -> OverBudget | None:
        """The first limit of the run, the session or the day that holds no call of that size."""
        with self._database.reading() as db:
            return spending.stop(
                db, run_id=run_id, session_id=session_id, limits=limits, wanted=wanted, now=now
            )

    def telemetry(self, calls: CallFilter) -> Sequence[CallEvent]:
        """One event for each Builder call, oldest first, those under way included."""
        with self._database.reading() as db:
            return telemetry.read_events(db, calls)

    def usage_of(self, run_id: str, phase_id: str | None = None) -> Usage:
        """What the calls of a run or phase used; open reservations count as estimated."""
        with self._database.reading() as db:
            return reading.usage_by_run(db, (run_id,), phase_id).get(run_id, Usage())

    def load_baseline(self, key: BaselineKey) -> Baseline | None:
        """The stored CI result of a base, if there is one."""
        with self._database.reading() as db:
            return calls.load_baseline(db, key)

    def save_baseline(
        self, key: BaselineKey, report: CiReport, *, now: float, replaces: Baseline | None = None
    ) -> None:
        """Keep the CI result of a base; the first one stays, unless it is the one that this replaces."""
        with self._database.writing() as db:
            calls.save_baseline(db, key, report, now=now, replaces=replaces)

    def decide_approval(self, run_id: str, phase_id: str, decision: Decision) -> None:
        """Record an operator's word: approved requeues the same attempt, denied fails the phase."""
        with self._database.writing() as db:
            reviews.decide_approval(db, run_id, phase_id, decision)

    def decision(self, address: AttemptAddress) -> Decision | None:
        """The operator's word on this attempt, if there is one."""
        with self._database.reading() as db:
            return attempts.read_decision(db, address)
