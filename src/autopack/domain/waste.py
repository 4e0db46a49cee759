"""Where the tokens went: every Builder call booked once, by the first rule that holds, and what was not spent."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.spending import day_of

_K = TypeVar("_K", bound=Hashable)


class Cause(StrEnum):
    """What became of tokens."""

    USEFUL = "useful"
    """Their answer completed a phase, at once or when it was put through the gates again later."""
    PENDING = "pending"
    """The call, or the attempt that it belongs to, has no verdict yet."""
    TRANSIENT = "transient"
    """Lost to a fault of the surroundings: a dead process, an overloaded provider, a full disk."""
    DOOMED = "doomed"
    """Paid for, and then the base was found to be broken."""
    TIMEOUT = "timeout"
    FLAKY = "flaky"
    """The attempt failed, and the failure went away by itself."""
    SYSTEMIC = "systemic"
    """Lost to a cause that more than one phase shares, or to an executor that could not be imported."""
    REJECTED = "rejected"
    """The work itself was not good enough."""


class Saving(StrEnum):
    """Why a Builder call was not made; its tokens are expected ones, and in no sum of what was spent."""

    REPLAY = "replay_saved"
    """An answer that was paid for before completed the phase."""
    DOOM_CHECK = "doom_saved"
    """The base was known to be broken."""


class CallEnd(StrEnum):
    """How a Builder call itself ended."""

    UNDER_WAY = "under_way"
    LOST = "lost"
    """Its process died before the answer was stored; its tokens are those that were reserved."""
    FAULT = "fault"
    """A failure that need not come again, such as an overloaded provider's."""
    ANSWERED = "answered"
    """An answer was stored, or a failure that would come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedCall:
    """A Builder call, and what became of the attempt that it was made in."""

    address: AttemptAddress
    tokens: int
    """Input and output together; before the call is settled, what was reserved for it."""
    reserved_at: float
    """Seconds since the epoch; the call counts for that day in UTC."""
    cost_usd: float | None = None
    """None when the price is not known."""
    end: CallEnd = CallEnd.ANSWERED
    is_open: bool = False
    """Whether the attempt waits for its verdict, an approval or another try at the same address."""
    final_state: PhaseState = PhaseState.FAILED
    """Of the attempt; of no meaning while it is open."""
    failure_kind: FailureKind | None = None
    is_retryable: bool = False
    """Whether the attempt failed by a fault of the surroundings."""
    fingerprint: str | None = None
    is_blocker: bool = False
    """Whether more than one phase failed with that fingerprint."""
    is_flaky: bool = False
    """Whether the same change on the same base did not show the failure again."""
    is_used_later: bool = False
    """Whether a later attempt completed the phase with this very answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCall:
    """A Builder call that was not made."""

    address: AttemptAddress
    """The attempt that would have made it."""
    saving: Saving
    tokens: int
    """What it was expected to use."""
    at: float
    """Seconds since the epoch."""


def _lacks_verdict(call: BookedCall) -> bool:
    return call.final_state not in {PhaseState.COMPLETE, PhaseState.FAILED}


_RULES: tuple[tuple[Cause, Callable[[BookedCall], bool]], ...] = (
    # What the call itself tells comes before what its attempt does: a lost call helped no attempt.
    (Cause.TRANSIENT, lambda call: call.end in {CallEnd.LOST, CallEnd.FAULT}),
    (Cause.PENDING, lambda call: call.end is CallEnd.UNDER_WAY or call.is_open),
    (Cause.USEFUL, lambda call: call.final_state is PhaseState.COMPLETE or call.is_used_later),
    (Cause.TRANSIENT, lambda call: call.is_retryable or call.failure_kind is FailureKind.INFRASTRUCTURE),
    # Given back, and then skipped or replaced: nobody judged the work.
    (Cause.TRANSIENT, _lacks_verdict),
    (Cause.DOOMED, lambda call: call.failure_kind is FailureKind.DOOMED),
    # Time-outs of many phases often share a key that says no more than that: a limit, not a mend, is in question.
    (Cause.TIMEOUT, lambda call: call.failure_kind is FailureKind.TIMEOUT),
    (Cause.FLAKY, lambda call: call.is_flaky),
    (Cause.SYSTEMIC, lambda call: call.is_blocker or call.failure_kind is FailureKind.IMPORT_CRASH),
)


def cause_of(call: BookedCall) -> Cause:
    """Where a call's tokens went: the first rule that holds, else they are REJECTED.

    Source: docs/triage.md
    """
    return next((cause for cause, holds in _RULES if holds(call)), Cause.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What some calls used together."""

    calls: int = 0
    tokens: int = 0
    cost: Fraction = Fraction(0)
    """In dollars, of the calls whose price is known. Exact, so that the parts of every cut add up to the whole."""
    unpriced_calls: int = 0

    @property
    def cost_usd(self) -> float | None:
        """The cost as it is shown; None when no call has a known price."""
        return None if self.calls == self.unpriced_calls else float(self.cost)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            calls=self.calls + other.calls,
            tokens=self.tokens + other.tokens,
            cost=self.cost + other.cost,
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
        )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cell:
    """The finest cut of the ledger."""

    cause: Cause | Saving
    run_id: str
    phase_id: str
    day: str
    """``YYYY-MM-DD``, in UTC."""
    fingerprint: str
    """Empty where the attempt ended with none, and for what was not spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Every token, booked once."""

    spent: Mapping[Cell, Sums]
    """Sorted; the parts add up to all calls."""
    saved: Mapping[Cell, Sums]
    """What was not spent, kept apart; it has no cost."""

    @property
    def total(self) -> Sums:
        """All that was spent."""
        return sum(self.spent.values(), Sums())

    def by_cause(self) -> dict[Cause, Sums]:
        """What each cause took; all of them are told, in their order."""
        found = cut(self.spent, lambda cell: cell.cause)
        return {cause: found.get(cause, Sums()) for cause in Cause}

    def by_saving(self) -> dict[Saving, Sums]:
        """What each saving kept; all of them are told."""
        found = cut(self.saved, lambda cell: cell.cause)
        return {saving: found.get(saving, Sums()) for saving in Saving}

    def by_run(self) -> dict[str, Sums]:
        """What each run used."""
        return cut(self.spent, lambda cell: cell.run_id)

    def by_phase(self) -> dict[tuple[str, str], Sums]:
        """What each phase used, by (run, phase)."""
        return cut(self.spent, lambda cell: (cell.run_id, cell.phase_id))

    def by_day(self) -> dict[str, Sums]:
        """What was used on each day."""
        return cut(self.spent, lambda cell: cell.day)

    def by_fingerprint(self) -> dict[str, Sums]:
        """What the attempts used that ended with each fingerprint; the empty one is those with none."""
        return cut(self.spent, lambda cell: cell.fingerprint)


def cut(cells: Mapping[Cell, Sums], key: Callable[[Cell], _K]) -> dict[_K, Sums]:
    """Cells added up by ``key``, such as (run, cause), in the order in which the keys first come."""
    sums: dict[_K, Sums] = {}
    for cell, part in cells.items():
        name = key(cell)
        sums[name] = sums.get(name, Sums()) + part
    return sums


def book(calls: Iterable[BookedCall], saved: Iterable[SavedCall] = ()) -> Ledger:
    """The ledger of some calls; the order in which they come does not matter."""
    return Ledger(
        spent=_collect((_cell(call), _sums(call)) for call in calls),
        saved=_collect(
            (_saved_cell(call), Sums(calls=1, tokens=call.tokens, unpriced_calls=1)) for call in saved
        ),
    )


def _collect(entries: Iterable[tuple[Cell, Sums]]) -> dict[Cell, Sums]:
    sums: dict[Cell, Sums] = {}
    for cell, part in entries:
        sums[cell] = sums.get(cell, Sums()) + part
    return dict(sorted(sums.items(), key=lambda entry: entry[0]))


def _cell(call: BookedCall) -> Cell:
    return Cell(
        cause=cause_of(call),
        run_id=call.address.run_id,
        phase_id=call.address.phase_id,
        day=day_of(call.reserved_at),
        fingerprint=call.fingerprint or "",
    )


def _saved_cell(call: SavedCall) -> Cell:
    address = call.address
    return Cell(
        cause=call.saving,
        run_id=address.run_id,
        phase_id=address.phase_id,
        day=day_of(call.at),
        fingerprint="",
    )


def _sums(call: BookedCall) -> Sums:
    cost = call.cost_usd
    return Sums(
        calls=1,
        tokens=call.tokens,
        cost=Fraction(0) if cost is None else Fraction(cost),
        unpriced_calls=int(cost is None),
    )
