"""The truth about plans, phases, attempts and spending."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.baseline import Baseline, BaselineKey
from autopack.domain.budget import Usage
from autopack.domain.ci_report import CiReport
from autopack.domain.estimate import Estimate
from autopack.domain.failure import FailureReport
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.plan import Plan, PlanChange
from autopack.domain.rates import ProviderRates, Turn
from autopack.domain.retry import Pause
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
from autopack.ports.builders import BuildAnswer
from autopack.ports.drains import Drains
from autopack.ports.records import CallFilter, Decision, Foreseen, RunProgress, StoredAnswer
from autopack.ports.reviews import Reviews
from autopack.ports.triage import Triage


class Store(Protocol):
    """The truth about plans, phases, attempts and spending. Every method is one transaction."""

    identity: str
    """Which database this is, for the operator: kind, place, schema; no password."""

    @property
    def drains(self) -> Drains:
        """The record of drains, in the same database."""
        ...

    @property
    def triage(self) -> Triage:
        """The record of what holds the backlog up, in the same database."""
        ...

    @property
    def reviews(self) -> Reviews:
        """The record of research, in the same database."""
        ...

    def close(self) -> None:
        """Give back every connection."""
        ...

    # plans

    def import_plan(self, plan: Plan, *, now: float) -> Sequence[PlanChange]:
        """Make the store hold ``plan``; what is the same is left alone, what has started is not touched.

        Returns:
            Every difference that was found, those that were refused because work has started included.
        """
        ...

    def activate_run(self, run_id: str) -> None:
        """Let workers take the run's phases.

        Raises:
            NotRecordedError: There is no such run; the hint names near ones.
        """
        ...

    # reading

    def run(self, run_id: str) -> Run:
        """One run; raises NotRecordedError when there is none."""
        ...

    def runs(self, *, limit: int | None = None) -> Sequence[RunProgress]:
        """The newest runs in order of creation; all of them without a limit. No phase's specification is read."""
        ...

    def count_runs(self) -> int:
        """How many runs there are."""
        ...

    def totals(self) -> Mapping[PhaseState, int]:
        """How many phases of all runs are in which state; a state without any is left out."""
        ...

    def phase(self, run_id: str, phase_id: str) -> Phase:
        """One phase; raises NotRecordedError when there is none."""
        ...

    def phases(self, run_id: str) -> Sequence[Phase]:
        """The run's phases in plan order; raises NotRecordedError when there is no such run."""
        ...

    def attempts(self, run_id: str, phase_id: str) -> Sequence[Attempt]:
        """The phase's attempts, oldest first."""
        ...

    def next_runnable(self, *, now: float, limit: int, run_id: str | None = None) -> Sequence[AttemptAddress]:
        """At most one attempt a run, of active runs with nothing in flight: the first phase that may go now.

        The address is the phase's unfinished attempt where it has one, else the next number. Runs come in
        order of creation. The cost does not grow with finished work.
        """
        ...

    def next_retry_at(self, run_id: str) -> float | None:
        """When the first phase that merely waits for its ``retry_at`` may go; None if none does."""
        ...

    # attempts

    def next_address(self, run_id: str, phase_id: str) -> AttemptAddress:
        """The phase's unfinished attempt where it has one, else the next number."""
        ...

    def claim_attempt(
        self, address: AttemptAddress, *, owner: str, now: float, is_owner_dead: Callable[[str, float], bool]
    ) -> Lease:
        """Take the attempt: its phase enters EXECUTING, and every older lease of it ends.

        A phase that an attempt with a dead owner holds is taken over: its crash count grows by one.
        ``is_owner_dead`` gets the holder's ``owner`` and its last heartbeat.

        Raises:
            NotClaimableError: It is finished, a live process holds it or another phase of its run, the phase
                is not QUEUED, needs phases that are not COMPLETE, or the number is not the next one.
        """
        ...

    def heartbeat(self, lease: Lease, *, now: float) -> None:
        """Say that the holder lives; raises LeaseLostError when it holds the attempt no more."""
        ...

    def set_base(self, lease: Lease, base_commit: str) -> Lease:
        """Note on what the attempt is made, which may have moved since it was last taken. Raises LeaseLostError."""
        ...

    def enter_state(self, lease: Lease, state: PhaseState, *, now: float) -> None:
        """Move the phase and its attempt along ``LEGAL_MOVES``.

        Raises:
            LeaseLostError: The attempt was taken over.
            IllegalTransitionError: The move is not in the table.
        """
        ...

    def finish_attempt(self, lease: Lease, outcome: AttemptOutcome, *, now: float) -> None:
        """Write the attempt's verdict and move its phase, together.

        COMPLETE and FAILED finish the attempt and, unless the failure is retryable, count it. QUEUED gives
        the phase back with its attempt unfinished, so that the same number goes on. GATE parks it for an
        approval.
        Finishing twice with the same lease and final state changes nothing.

        Raises:
            LeaseLostError: The attempt was taken over.
        """
        ...

    def taken(self, run_id: str) -> int | None:
        """How often attempts of the run were taken or given back so far; None while somebody holds one.

        Two equal numbers say that no attempt of the run was made in between.
        """
        ...

    def book_foreseen(self, foreseen: Foreseen, *, now: float) -> None:
        """Write the verdict on an attempt that nobody needs to make: taken and finished in this one transaction.

        Raises:
            NotClaimableError: The attempt could not be taken, was begun before, or its phase or its run is not as
                it was when it was looked at.
        """
        ...

    def requeue_phase(self, run_id: str, phase_id: str, *, now: float) -> AttemptAddress:
        """Put a FAILED or SKIPPED phase back into the queue and name its next attempt."""
        ...

    def skip_phase(self, run_id: str, phase_id: str, *, now: float) -> None:
        """Take a QUEUED or FAILED phase out of the backlog, until it is requeued."""
        ...

    def in_flight(self) -> Sequence[Attempt]:
        """Attempts that a process holds, oldest heartbeat first."""
        ...

    def release_attempt(
        self, address: AttemptAddress, *, token: int, failure: FailureReport, now: float
    ) -> None:
        """Give back an attempt whose process is gone: its phase is QUEUED again, the same number goes on.

        The phase's crash count grows when ``failure`` is of kind CRASHED. Does nothing when ``token`` is not
        the newest lease's.
        """
        ...

    # Builder calls

    def stored_answer(self, address: AttemptAddress, turn: int) -> StoredAnswer | None:
        """The answer that was paid for in this turn of the attempt, if there is one."""
        ...

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
        """Book a call before it is made: for its attempt, phase, run, drain session and day, or for none of them.

        Args:
            lease: The attempt.
            turn: Which call of the attempt it is, from 1.
            builder: The Builder's spec.
            prompt_hash: Of the prompt; empty where nobody is asked, and an answer is only to be kept. That is in the
                ledger, and no call for telemetry and drains.
            expected_tokens: The size of the prompt, as estimated.
            limit_tokens: What the attempt may use. Its settled calls count, and those open under this lease.
            now: Seconds since the epoch; says to which day the call is booked.
            estimate: What the call is predicted to use; booked in the place of ``expected_tokens`` where it is
                more. None for the prompt alone.
            limits: What all calls may use together. A booking whose process died stays counted there.
            limit_usd: What the attempt may cost, where that is known; 0 for no limit.

        Returns:
            What the call may use, or the first limit that does not hold it; then nothing is booked.

        Raises:
            LeaseLostError: The attempt was taken over.
        """
        ...

    def settle_call(
        self, call_id: int, answer: BuildAnswer, *, base_commit: str, duration_seconds: float, now: float
    ) -> None:
        """Store the answer and replace the reservation by what was used.

        Valid under a lost lease too: the answer is paid for, and the attempt's next holder will use it. A fault of
        the provider pauses the Builder, an answer ends its row of faults.
        """
        ...

    def note_usage(self, call_id: int, usage: Usage) -> None:
        """Keep what a call under way has used so far, so that the death of its process does not lose it.

        Its accounts hold this where it is more than what was booked for it. Nothing, when the call is settled.
        """
        ...

    def builder_pause(self, builder: str) -> Pause | None:
        """The Builder's newest pause, whether it is over or not; None when it never had one."""
        ...

    # Providers of models, whose limits all workers keep together

    def take_turn(self, provider: str, *, tokens: int, rates: ProviderRates, now: float) -> Turn:
        """Book a request to a provider, or say how long to wait, for its pause or its minute; then nothing is booked.

        A turn counts for a minute and then for nothing, whatever became of the process that took it.

        Args:
            provider: Its name; each has limits of its own.
            tokens: What the request is expected to use.
            rates: The provider's limits.
            now: Seconds since the epoch.
        """
        ...

    def settle_turn(self, turn_id: int, *, tokens: int) -> None:
        """Replace what a turn was expected to use by what it used."""
        ...

    def pause_provider(self, provider: str, failure: FailureReport, *, now: float) -> Pause:
        """Let a provider rest after a fault of its own, for as long as it asked for; the pause that holds now."""
        ...

    def note_provider_answer(self, provider: str) -> None:
        """End a provider's row of faults; a pause that was asked for meanwhile stays."""
        ...

    def provider_pause(self, provider: str) -> Pause | None:
        """The provider's newest pause, whether it is over or not; None when it never had one."""
        ...

    def predict_tokens(self, spec: PhaseSpec, *, builder: str, prompt_tokens: int | None = None) -> Estimate:
        """What a call for the phase would use, judged by the Builder's newest calls and its newest of the sort."""
        ...

    def budget_stop(
        self,
        *,
        limits: SpendingLimits,
        now: float,
        run_id: str | None = None,
        session_id: str | None = None,
        wanted: Amount = NOTHING,
    ) -> OverBudget | None:
        """The first limit of the run, the session or the day that holds no call of that size; nothing is booked."""
        ...

    def telemetry(self, calls: CallFilter) -> Sequence[CallEvent]:
        """One event for each Builder call, oldest first, those under way included."""
        ...

    def usage_of(self, run_id: str, phase_id: str | None = None) -> Usage:
        """What the calls of a run or phase used; open reservations count as estimated."""
        ...

    # baselines

    def load_baseline(self, key: BaselineKey) -> Baseline | None:
        """The stored CI result of a base, if there is one."""
        ...

    def save_baseline(
        self, key: BaselineKey, report: CiReport, *, now: float, replaces: Baseline | None = None
    ) -> None:
        """Keep the CI result of a base.

        The first one for a key stays, unless it is the one that this ``replaces``.
        """
        ...

    # approvals

    def decide_approval(self, run_id: str, phase_id: str, decision: Decision) -> None:
        """Record an operator's word: approved requeues the same attempt, denied fails the phase.

        Where a review waits for it, it is the review's decision too.

        Raises:
            StoreError: The phase does not await an approval.
        """
        ...

    def decision(self, address: AttemptAddress) -> Decision | None:
        """The operator's word on this attempt, if there is one."""
        ...
