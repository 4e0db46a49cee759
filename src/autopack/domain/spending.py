"""What all Builder calls of a phase, run, session and day may use together, and which limit was reached."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import Stop, StopRule
from autopack.domain.estimate import Estimate
from autopack.domain.failure import FailureKind, FailureReport

WAIT_SECONDS = 60.0
"""How long an attempt waits before it asks a spent budget again, which an operator may have raised."""
_OFF = {"least": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendingLimits:
    """What Builder calls may use together, finished or not; 0 sets no limit. Money counts where it is known."""

    phase_tokens: int = field(default=500_000, metadata=_OFF)
    """All attempts of one phase; [attempt] budget_tokens and a plan's budget_tokens limit each attempt."""
    run_tokens: int = field(default=2_000_000, metadata=_OFF)
    session_tokens: int = field(default=5_000_000, metadata=_OFF)
    """One drain session."""
    day_tokens: int = field(default=20_000_000, metadata=_OFF)
    """One day in UTC, over all runs of the database."""
    phase_usd: float = field(default=5.0, metadata=_OFF)
    run_usd: float = field(default=20.0, metadata=_OFF)
    session_usd: float = field(default=50.0, metadata=_OFF)
    day_usd: float = field(default=100.0, metadata=_OFF)


UNLIMITED = SpendingLimits(
    phase_tokens=0,
    run_tokens=0,
    session_tokens=0,
    day_tokens=0,
    phase_usd=0,
    run_usd=0,
    session_usd=0,
    day_usd=0,
)


class AccountKind(StrEnum):
    """What spending is counted over; the order is that in which accounts are looked at and locked."""

    PHASE = "phase"
    RUN = "run"
    SESSION = "session"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Account:
    """One sum that a call is booked to."""

    kind: AccountKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What an account holds: usage of settled calls, and what is booked for those that are not settled."""

    tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(tokens=self.tokens + other.tokens, cost_usd=self.cost_usd + other.cost_usd)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(tokens=self.tokens - other.tokens, cost_usd=self.cost_usd - other.cost_usd)

    def most(self, other: "Amount") -> "Amount":
        """The larger of each."""
        return Amount(tokens=max(self.tokens, other.tokens), cost_usd=max(self.cost_usd, other.cost_usd))


NOTHING = Amount()


def day_of(now: float) -> str:
    """The day in UTC, as ``YYYY-MM-DD``, of seconds since the epoch."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")


def accounts_of(address: AttemptAddress, session_id: str | None, *, now: float) -> tuple[Account, ...]:
    """What a call is booked to that is begun at ``now``, in the order of locking."""
    names = {
        AccountKind.PHASE: f"{address.run_id}/{address.phase_id}",
        AccountKind.RUN: address.run_id,
        AccountKind.SESSION: session_id,
        AccountKind.DAY: day_of(now),
    }
    return tuple(Account(kind=kind, name=name) for kind, name in names.items() if name is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A call that may be made now."""

    call_id: int
    budget_tokens: int
    """What it may use before it is stopped."""
    budget_usd: float | None = None
    """The same in money, which counts where it is known; None is without limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """A limit that leaves no room for a call, with the numbers that it was judged by."""

    subject: str
    """``phase shop/build``, ``run shop``, ``day 2025-12-31``; ``attempt shop/build/2`` for the attempt's own."""
    setting: str
    """What to raise."""
    unit: str
    """``tokens`` or ``USD``."""
    used: float
    wanted: float
    """What the call was expected to use."""
    limit: float
    is_lasting: bool
    """Whether the limit is the phase's own: its attempt fails. Else it waits, until others may spend again."""

    def __str__(self) -> str:
        places = 0 if self.unit == "tokens" else 2
        need = f" and the call needs about {self.wanted:,.{places}f}" if self.wanted else ""
        return (
            f"{self.subject} has used {self.used:,.{places}f} of {self.limit:,.{places}f} {self.unit}{need}"
        )


def over_budget(account: Account, spent: Amount, wanted: Amount, limits: SpendingLimits) -> OverBudget | None:
    """The limit of an account that does not hold ``wanted`` beside what is spent; None when all do."""
    for unit, name, used, more in (
        ("tokens", f"{account.kind}_tokens", spent.tokens, wanted.tokens),
        ("USD", f"{account.kind}_usd", spent.cost_usd, wanted.cost_usd),
    ):
        limit = getattr(limits, name)
        if limit and (used >= limit or used + more > limit):
            return OverBudget(
                subject=f"{account.kind} {account.name}",
                setting=f"[budget] {name}",
                unit=unit,
                used=used,
                wanted=more,
                limit=limit,
                is_lasting=account.kind is AccountKind.PHASE,
            )
    return None


def over_attempt(
    address: AttemptAddress, *, used: float, wanted: float, limit: float, unit: str = "tokens"
) -> OverBudget:
    """The attempt's own budget, which does not hold ``wanted``."""
    own = "budget_tokens of the phase or of [attempt]" if unit == "tokens" else "[attempt] budget_usd"
    return OverBudget(
        subject=f"attempt {address}",
        setting=f"{own}, or narrow the phase's scope",
        unit=unit,
        used=used,
        wanted=wanted,
        limit=limit,
        is_lasting=True,
    )


def wanted_by(expected_tokens: int, estimate: Estimate | None, *, own_left: int) -> Amount:
    """What is booked for a call: its prompt at least, and what it is predicted to use before it is stopped."""
    if estimate is None:
        return Amount(tokens=expected_tokens)
    tokens = max(expected_tokens, min(estimate.tokens, own_left))
    return Amount(tokens=tokens, cost_usd=estimate.cost_usd or 0.0)


def allowance(own_left: int, wanted: Amount, shared_left: int | None) -> int:
    """Tokens after which a call is stopped: what its attempt has left, and no more than all have left beside it."""
    return own_left if shared_left is None else min(own_left, wanted.tokens + shared_left)


def money_allowance(own_left: float | None, wanted: Amount, shared_left: float | None) -> float | None:
    """The same in USD; None where nothing limits it."""
    shared = None if shared_left is None else wanted.cost_usd + shared_left
    return min((left for left in (own_left, shared) if left is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What accounts still hold; None is without limit."""

    tokens: int | None = None
    cost_usd: float | None = None


def least_left(accounts: Iterable[tuple[Account, Amount]], limits: SpendingLimits) -> Left:
    """What the nearest limits of some accounts, each with what it has spent, still hold."""
    tokens, money = [], []
    for account, spent in accounts:
        if limit := getattr(limits, f"{account.kind}_tokens"):
            tokens.append(max(0, limit - spent.tokens))
        if limit := getattr(limits, f"{account.kind}_usd"):
            money.append(max(0.0, limit - spent.cost_usd))
    return Left(tokens=min(tokens, default=None), cost_usd=min(money, default=None))


def budget_failure(over: OverBudget) -> FailureReport:
    """What an attempt ends with that no Builder call is made for.

    The budget of the phase itself fails it: the same would come again. One that is shared makes the attempt wait,
    which counts for nothing, since the phase has done nothing wrong.
    """
    return FailureReport(
        kind=FailureKind.BUDGET_EXCEEDED,
        message=f"{over}; raise {over.setting}",
        retryable=not over.is_lasting,
        is_wait=not over.is_lasting,
        retry_after_seconds=None if over.is_lasting else WAIT_SECONDS,
        hint=f"Raise {over.setting}.",
    )


def budget_stop(over: OverBudget) -> Stop:
    """What a session ends with that may spend no more."""
    return Stop(
        rule=StopRule.BUDGET, seen=over.used, limit=over.limit, subject=f"{over.subject} ({over.unit})"
    )


def shared_accounts(*, run_id: str | None, session_id: str | None, now: float) -> Iterator[Account]:
    """The accounts that a run, a session and a day share out, in the order of looking."""
    if run_id is not None:
        yield Account(kind=AccountKind.RUN, name=run_id)
    if session_id is not None:
        yield Account(kind=AccountKind.SESSION, name=session_id)
    yield Account(kind=AccountKind.DAY, name=day_of(now))
