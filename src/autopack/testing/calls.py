"""Builder calls in memory: reserved, settled, answered again, counted."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autopack.domain.attempt import Attempt, AttemptAddress, Lease
from autopack.domain.budget import Budget, Usage
from autopack.domain.estimate import Estimate, Sample, sort_of
from autopack.domain.estimate import estimate as estimate_call
from autopack.domain.phase import PhaseSpec
from autopack.domain.retry import Pause, paused, pauses_builder
from autopack.domain.spending import (
    NOTHING,
    UNLIMITED,
    Account,
    Amount,
    OverBudget,
    Reservation,
    SpendingLimits,
    accounts_of,
    allowance,
    least_left,
    money_allowance,
    over_attempt,
    over_budget,
    shared_accounts,
    wanted_by,
)
from autopack.domain.telemetry import CallEvent
from autopack.errors import StoreError
from autopack.ports import BuildAnswer, CallFilter, StoredAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    call_id: int
    lease: Lease
    turn: int
    builder: str
    prompt_hash: str
    expected_tokens: int
    begun_at: float
    session_id: str | None
    accounts: tuple[Account, ...]
    booked: Amount
    estimate: Estimate | None
    noted: Usage | None = None
    """What it had used when that was told last."""
    stored: StoredAnswer | None = None
    ended_at: float | None = None

    @property
    def usage(self) -> Usage:
        if self.stored is None:
            so_far = self.noted or Usage(input_tokens=self.expected_tokens)
            return replace(so_far, is_estimated=True)
        return self.stored.answer.usage

    @property
    def spent(self) -> Amount:
        """What it holds in its accounts."""
        if self.stored is None:
            return self.booked
        return Amount(tokens=self.usage.total_tokens, cost_usd=self.usage.cost_usd or 0.0)

    @property
    def is_reusable(self) -> bool:
        failure = self.stored.answer.failure if self.stored else None
        return self.stored is not None and (failure is None or not failure.retryable)

    @property
    def sample(self) -> Sample | None:
        """What the next estimate learns from it."""
        if self.stored is None or self.stored.answer.failure is not None or not self.usage.total_tokens:
            return None
        return Sample(
            sort=self.estimate.sort if self.estimate else None,
            prompt_tokens=self.expected_tokens,
            tokens=self.usage.total_tokens,
            cost_usd=self.usage.cost_usd,
        )

    @property
    def event(self) -> CallEvent:
        begun = CallEvent(
            call_id=self.call_id,
            address=self.lease.address,
            session_id=self.session_id,
            turn=self.turn,
            builder=self.builder,
            begun_at=self.begun_at,
            booked_tokens=self.booked.tokens,
            predicted_tokens=self.estimate.tokens if self.estimate else None,
        )
        if self.stored is None:
            return replace(
                begun,
                input_tokens=self.usage.input_tokens,
                output_tokens=self.usage.output_tokens,
                cached_tokens=self.usage.cached_tokens,
                cost_usd=self.usage.cost_usd,
                is_estimated=True,
            )
        answer = self.stored.answer
        return replace(
            begun,
            ended_at=self.ended_at,
            latency_seconds=self.stored.duration_seconds,
            model=answer.model,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            cached_tokens=answer.usage.cached_tokens,
            cost_usd=answer.usage.cost_usd,
            is_estimated=answer.usage.is_estimated,
            is_truncated=answer.is_truncated,
            stop_reason=answer.stop_reason,
            failure_kind=answer.failure.kind if answer.failure else None,
            notes=answer.notes,
        )


class MemoryCalls(ABC):
    """The part of the store in memory that keeps Builder calls."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held by every method, so that none sees another's work half done."""
        self._calls: dict[int, _Call] = {}
        self._pauses: dict[str, Pause] = {}
        self.session_of: Callable[[AttemptAddress], str | None] = lambda _: None
        """The drain session that has an attempt under way; the record of drains sets it."""
        self.account_of: Callable[[str | None], str | None] = lambda session_id: session_id
        """Whose account a session's calls are booked to; the record of drains sets it."""

    @abstractmethod
    def _held_attempt(self, lease: Lease) -> Attempt: ...

    def stored_answer(self, address: AttemptAddress, turn: int) -> StoredAnswer | None:
        """The answer that was paid for in this turn of the attempt, if there is one."""
        with self.lock:
            ours = [it for it in self._calls.values() if (it.lease.address, it.turn) == (address, turn)]
            return next((call.stored for call in reversed(ours) if call.is_reusable), None)

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
        with self.lock:
            self._held_attempt(lease)
            own = Budget(limit_tokens=limit_tokens, spent_tokens=self._booked_by(lease))
            if not own.allows(expected_tokens):
                return over_attempt(
                    lease.address, used=own.spent_tokens, wanted=expected_tokens, limit=limit_tokens
                )
            money = self._cost_of(lease)
            if limit_usd and money >= limit_usd:
                return over_attempt(lease.address, used=money, wanted=0.0, limit=limit_usd, unit="USD")
            session_id = self.session_of(lease.address)
            wanted = wanted_by(expected_tokens, estimate, own_left=own.left_tokens)
            accounts = accounts_of(lease.address, self.account_of(session_id), now=now)
            if (over := self._over(accounts, wanted, limits)) is not None:
                return over
            call_id = len(self._calls) + 1
            self._calls[call_id] = _Call(
                call_id=call_id,
                lease=lease,
                turn=turn,
                builder=builder,
                prompt_hash=prompt_hash,
                expected_tokens=expected_tokens,
                begun_at=now,
                session_id=session_id,
                accounts=accounts,
                booked=wanted,
                estimate=estimate,
            )
            left = least_left([(account, self._spent(account)) for account in accounts], limits)
            own_usd = limit_usd - money if limit_usd else None
            return Reservation(
                call_id=call_id,
                budget_tokens=allowance(own.left_tokens, wanted, left.tokens),
                budget_usd=money_allowance(own_usd, wanted, left.cost_usd),
            )

    def _cost_of(self, lease: Lease) -> float:
        ours = (call for call in self._calls.values() if call.lease.address == lease.address)
        return sum(it.usage.cost_usd or 0.0 for it in ours if it.stored or it.lease.token == lease.token)

    def _booked_by(self, lease: Lease) -> int:
        ours = (call for call in self._calls.values() if call.lease.address == lease.address)
        return sum(it.usage.total_tokens for it in ours if it.stored or it.lease.token == lease.token)

    def _spent(self, account: Account) -> Amount:
        booked = (call.spent for call in self._calls.values() if account in call.accounts)
        return sum(booked, start=NOTHING)

    def _over(self, accounts: Sequence[Account], wanted: Amount, limits: SpendingLimits) -> OverBudget | None:
        found = (over_budget(account, self._spent(account), wanted, limits) for account in accounts)
        return next((over for over in found if over is not None), None)

    def settle_call(
        self, call_id: int, answer: BuildAnswer, *, base_commit: str, duration_seconds: float, now: float
    ) -> None:
        """Store the answer and replace the reservation by what was used; under a lost lease too."""
        with self.lock:
            call = self._calls.get(call_id)
            if call is None:
                raise StoreError(f"there is no Builder call {call_id}")
            if call.stored is None:
                stored = StoredAnswer(
                    answer=answer,
                    prompt_hash=call.prompt_hash,
                    builder=call.builder,
                    duration_seconds=duration_seconds,
                    base_commit=base_commit,
                )
                self._calls[call_id] = replace(call, stored=stored, ended_at=now)
                self._note_pause(call.builder, answer, now=now)

    def note_usage(self, call_id: int, usage: Usage) -> None:
        """Keep what a call under way has used so far."""
        with self.lock:
            call = self._calls.get(call_id)
            if call is not None and call.stored is None:
                used = Amount(tokens=usage.total_tokens, cost_usd=usage.cost_usd or 0.0)
                self._calls[call_id] = replace(call, noted=usage, booked=call.booked.most(used))

    def _note_pause(self, builder: str, answer: BuildAnswer, *, now: float) -> None:
        before = self._pauses.get(builder)
        if answer.failure is None and before is not None:
            self._pauses[builder] = replace(before, faults=0)
        elif answer.failure is not None and pauses_builder(answer.failure):
            self._pauses[builder] = paused(before, builder, answer.failure, now=now)

    def builder_pause(self, builder: str) -> Pause | None:
        """The Builder's newest pause, whether it is over or not; None when it never had one."""
        with self.lock:
            return self._pauses.get(builder)

    def predict_tokens(self, spec: PhaseSpec, *, builder: str, prompt_tokens: int | None = None) -> Estimate:
        """What a call for the phase would use."""
        with self.lock:
            ours = [call.sample for call in reversed(self._calls.values()) if call.builder == builder]
        samples = [sample for sample in ours if sample is not None]
        return estimate_call(sort_of(spec), samples, prompt_tokens=prompt_tokens)

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
        with self.lock:
            account = self.account_of(session_id)
            accounts = tuple(shared_accounts(run_id=run_id, session_id=account, now=now))
            return self._over(accounts, wanted, limits)

    def telemetry(self, calls: CallFilter) -> Sequence[CallEvent]:
        """One event for each Builder call, oldest first, those under way included."""
        with self.lock:
            events = [call.event for call in self._calls.values() if call.prompt_hash]
        return tuple(event for event in events if _matches(event, calls))

    def usage_of(self, run_id: str, phase_id: str | None = None) -> Usage:
        """What the calls of a run or phase used; open reservations count as estimated."""
        with self.lock:
            ours = [
                call.usage
                for call in self._calls.values()
                if call.lease.address.run_id == run_id and phase_id in {None, call.lease.address.phase_id}
            ]
            return sum(ours, start=Usage())

    def _usage_of_attempt(self, address: AttemptAddress) -> Usage:
        ours = [call.usage for call in self._calls.values() if call.lease.address == address]
        return sum(ours, start=Usage())


def _matches(event: CallEvent, calls: CallFilter) -> bool:
    address = event.address
    wanted = (
        (calls.session_id, event.session_id),
        (calls.run_id, address.run_id),
        (calls.phase_id, address.phase_id),
        (calls.number, address.number),
        (calls.call_id, event.call_id),
    )
    return all(given in {None, found} for given, found in wanted)
