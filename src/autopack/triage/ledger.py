"""Where the tokens went, from the record: the ledger, cut as it is asked for, and its sums in a few numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.waste import Cause, Cell, Ledger, Sums, book, cut
from autopack.ports import Store

NOT_WASTED = frozenset({Cause.USEFUL, Cause.PENDING})


class Cut(StrEnum):
    """What the rows of a ledger stand for."""

    CAUSE = "cause"
    RUN = "run"
    PHASE = "phase"
    DAY = "day"
    FINGERPRINT = "fingerprint"


_NAMES: Mapping[Cut, Callable[[Cell], str]] = {
    Cut.CAUSE: lambda cell: str(cell.cause),
    Cut.RUN: lambda cell: cell.run_id,
    Cut.PHASE: lambda cell: f"{cell.run_id}/{cell.phase_id}",
    Cut.DAY: lambda cell: cell.day,
    Cut.FINGERPRINT: lambda cell: cell.fingerprint or "(none)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One part of what was spent."""

    name: str
    calls: int
    tokens: int
    share: float | None
    """Of all tokens of the ledger, from 0 to 1; None where none were spent."""
    wasted_tokens: int
    """Neither useful nor without a verdict yet."""
    cost_usd: float | None
    """Of the calls whose price is known; None where there is none."""
    unpriced_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSummary:
    """The ledger in a few numbers; all are tokens but the last two."""

    total: int
    useful: int
    pending: int
    wasted: int
    saved: int
    """Expected of calls that were not made; in no other number."""
    calls: int
    cost_usd: float | None


def read_ledger(store: Store, *, session_id: str | None = None) -> Ledger:
    """Every token of the record, or of one drain session, booked once."""
    return book(
        store.triage.booked_calls(session_id=session_id), store.triage.saved_calls(session_id=session_id)
    )


def summarise(ledger: Ledger) -> LedgerSummary:
    """The ledger in a few numbers."""
    by_cause, total = ledger.by_cause(), ledger.total
    return LedgerSummary(
        total=total.tokens,
        useful=by_cause[Cause.USEFUL].tokens,
        pending=by_cause[Cause.PENDING].tokens,
        wasted=sum(sums.tokens for cause, sums in by_cause.items() if cause not in NOT_WASTED),
        saved=sum(sums.tokens for sums in ledger.by_saving().values()),
        calls=total.calls,
        cost_usd=total.cost_usd,
    )


def rows_of(ledger: Ledger, by: Cut) -> tuple[LedgerRow, ...]:
    """What was spent, cut in parts: days in order, everything else with the dearest first; no part is left out."""
    name = _NAMES[by]
    wasted = cut({cell: part for cell, part in ledger.spent.items() if cell.cause not in NOT_WASTED}, name)
    whole = ledger.total.tokens
    rows = [_row(one, part, wasted.get(one, Sums()), whole) for one, part in cut(ledger.spent, name).items()]
    return tuple(sorted(rows, key=lambda row: (0 if by is Cut.DAY else -row.tokens, row.name)))


def _row(name: str, part: Sums, wasted: Sums, whole: int) -> LedgerRow:
    return LedgerRow(
        name=name,
        calls=part.calls,
        tokens=part.tokens,
        share=part.tokens / whole if whole else None,
        wasted_tokens=wasted.tokens,
        cost_usd=part.cost_usd,
        unpriced_calls=part.unpriced_calls,
    )
