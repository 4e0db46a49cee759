"""The Builder step: asked once, paid once, and its answer kept before anything else is done with it."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.budget import Usage, estimate_tokens
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase
from autopack.domain.replay import is_worth_replaying
from autopack.domain.retry import pause_failure
from autopack.domain.spending import OverBudget, Reservation, SpendingLimits, budget_failure
from autopack.domain.telemetry import CallEvent
from autopack.execution.context import ScopedContext
from autopack.ports import (
    AnswerFormat,
    BuildAnswer,
    Builder,
    BuildRequest,
    CallFilter,
    Clock,
    Store,
    StoredAnswer,
    Worktree,
)
from autopack.settings import AttemptSettings

FIRST_TURN = 1
_DEFAULT_LIMITS = SpendingLimits()


class BudgetWatch:
    """Counts what a call reports while it runs, and asks it to stop when its budget is spent."""

    def __init__(self, limit_tokens: int, *, limit_usd: float | None = None) -> None:
        self._limit_tokens = limit_tokens
        self._limit_usd = limit_usd
        self.usage = Usage()

    def used(self, usage: Usage) -> None:
        """Add what was used since the last report."""
        self.usage += usage

    def is_cancelled(self) -> bool:
        """Whether the call has used more than its budget."""
        if self._limit_usd is not None and (self.usage.cost_usd or 0.0) > self._limit_usd:
            return True
        return self.usage.total_tokens > self._limit_tokens


class BuildStep:
    """Gets the change of an attempt from the ledger or, when it was never paid for, from the Builder."""

    def __init__(
        self,
        *,
        store: Store,
        builder: Builder,
        clock: Clock,
        settings: AttemptSettings,
        limits: SpendingLimits = _DEFAULT_LIMITS,
        on_call: Callable[[CallEvent], None] | None = None,
    ) -> None:
        self._store = store
        self._builder = builder
        self._clock = clock
        self._settings = settings
        self._limits = limits
        self._on_call = on_call

    @property
    def edits_worktree(self) -> bool:
        """Whether the Builder's change is what it leaves in the worktree."""
        return self._builder.edits_worktree

    def hold(self, run_id: str) -> FailureReport | None:
        """Why no call can be made now, told before anything is prepared for one; None when one may be.

        The Builder is paused, or the run or the day has spent what it may. Either way the attempt waits.
        """
        if (pause := self._pause()) is not None:
            return pause
        over = self._store.budget_stop(limits=self._limits, now=self._clock.now(), run_id=run_id)
        return None if over is None else budget_failure(over)

    def stored(self, lease: Lease, *, turn: int = FIRST_TURN) -> BuildAnswer | None:
        """The answer that an earlier process of this attempt paid for."""
        stored = self._store.stored_answer(lease.address, turn)
        return stored.answer if stored is not None else None

    def asked_on(self, lease: Lease) -> str | None:
        """The commit on which the stored answer was asked for."""
        stored = self._store.stored_answer(lease.address, FIRST_TURN)
        return stored.base_commit if stored is not None else None

    def answer_of(self, address: AttemptAddress, number: int) -> StoredAnswer | None:
        """The answer that an attempt of the same phase paid for."""
        return self._store.stored_answer(replace(address, number=number), FIRST_TURN)

    def replayable(self, lease: Lease, *, base: str) -> tuple[int, StoredAnswer] | None:
        """The newest change that earlier attempts of the phase paid for, where judging it anew may help.

        Returns:
            The attempt's number and its answer; None when there is none.
        """
        address = lease.address
        earlier = [
            it
            for it in self._store.attempts(address.run_id, address.phase_id)
            if it.address.number < address.number
        ]
        for attempt in reversed(earlier):
            stored = self._store.stored_answer(attempt.address, FIRST_TURN)
            if stored is not None and stored.answer.failure is None:
                used = [it for it in earlier if _judged(it) == attempt.address.number]
                newest = used[-1] if used else attempt
                failure = newest.outcome.failure if newest.outcome is not None else None
                kind = failure.kind if failure is not None else None
                is_same_base = newest.base_commit == base
                may_help = is_worth_replaying(kind, is_same_base=is_same_base)
                return (attempt.address.number, stored) if may_help else None
        return None

    def ask(  # noqa: PLR0913 -- the parts of one attempt
        self,
        phase: Phase,
        lease: Lease,
        context: ScopedContext,
        prompt: str,
        worktree: Worktree,
        *,
        base: str,
        logs: Path,
        turn: int = FIRST_TURN,
    ) -> BuildAnswer:
        """One call within the phase's budget; the answer is in the ledger when this returns.

        ``worktree`` is the checkout of ``base`` with the context's placeholders in it. The answer of the first turn
        is the attempt's change; others are means to it.
        """
        if (pause := self._pause()) is not None:
            return BuildAnswer(failure=pause)
        reservation = self._reserve(phase, lease, prompt.encode("utf-8", "replace"), turn)
        if isinstance(reservation, OverBudget):
            return BuildAnswer(failure=budget_failure(reservation))
        started = self._clock.monotonic()
        request = BuildRequest(
            address=lease.address,
            goal=phase.spec.goal,
            prompt=prompt,
            files=context.files,
            scope_paths=phase.spec.scope.paths,
            deliverables=phase.spec.deliverables,
            worktree=worktree.path if self._builder.edits_worktree else None,
            log_folder=logs / "builder",
            budget_tokens=reservation.budget_tokens,
            budget_usd=reservation.budget_usd,
            timeout_seconds=self._settings.builder_timeout_seconds,
            diff=worktree.diff if self._builder.edits_worktree else None,
        )
        watch = BudgetWatch(reservation.budget_tokens, limit_usd=reservation.budget_usd)
        answer = self._collect(self._builder.build(request, watch), worktree)
        self._store.settle_call(
            reservation.call_id,
            answer,
            base_commit=base,
            duration_seconds=self._clock.monotonic() - started,
            now=self._clock.now(),
        )
        self._tell(reservation.call_id)
        return answer

    def keep(self, lease: Lease, answer: BuildAnswer, *, by: str, base: str, duration_seconds: float) -> None:
        """Put a change that no Builder made, and that cost nothing, into the ledger as the attempt's answer."""
        now = self._clock.now()
        reservation = self._store.reserve_call(
            lease,
            turn=FIRST_TURN,
            builder=by,
            prompt_hash="",
            expected_tokens=0,
            limit_tokens=self._settings.budget_tokens,
            now=now,
        )
        if isinstance(reservation, Reservation):
            self._store.settle_call(
                reservation.call_id, answer, base_commit=base, duration_seconds=duration_seconds, now=now
            )

    def _pause(self) -> FailureReport | None:
        pause = self._store.builder_pause(self._builder.spec)
        now = self._clock.now()
        return pause_failure(pause, now=now) if pause is not None and pause.until > now else None

    def _reserve(self, phase: Phase, lease: Lease, prompt: bytes, turn: int) -> Reservation | OverBudget:
        expected = estimate_tokens(len(prompt))
        builder = self._builder.spec
        return self._store.reserve_call(
            lease,
            turn=turn,
            builder=builder,
            prompt_hash=sha256(prompt).hexdigest(),
            expected_tokens=expected,
            limit_tokens=phase.spec.budget_tokens or self._settings.budget_tokens,
            now=self._clock.now(),
            estimate=self._store.predict_tokens(phase.spec, builder=builder, prompt_tokens=expected),
            limits=self._limits,
            limit_usd=self._settings.budget_usd,
        )

    def _tell(self, call_id: int) -> None:
        if self._on_call is not None:
            for event in self._store.telemetry(CallFilter(call_id=call_id)):
                self._on_call(event)

    def _collect(self, answer: BuildAnswer, worktree: Worktree) -> BuildAnswer:
        if answer.failure is None and self._builder.edits_worktree:
            answer = replace(answer, format=AnswerFormat.PATCH, text=worktree.diff())
        if answer.failure is None and answer.is_truncated:
            message = (
                "The Builder's answer was cut off at its output limit; a part of a change is never applied"
            )
            answer = replace(answer, failure=FailureReport(kind=FailureKind.BUILDER_ERROR, message=message))
        return answer


def _judged(attempt: Attempt) -> int:
    """The attempt whose answer this one judged: its own, or the one that it replayed."""
    replayed = attempt.outcome.replayed_from if attempt.outcome is not None else None
    return replayed or attempt.address.number
