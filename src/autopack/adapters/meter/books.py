"""The books of one door: what is used, what is under way, and what of the budget is left."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from autopack.adapters.meter.asks import Ask
from autopack.adapters.meter.refusals import Refusal
from autopack.adapters.meter.wire import Fault, Reading, WireUsage
from autopack.domain.budget import Usage
from autopack.ports import BuildWatch, Dialect, FaultKind, MeterOrder, ModelRequest

logger = logging.getLogger(__name__)
MOST_REFUSALS = 50
"""In a row for the budget; those after them are the same again, and are neither kept nor told of."""

Price = Callable[[tuple[str, ...], WireUsage], float | None]
"""What usage costs in USD, by the model's names; None where the price is not known."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """A request under way."""

    number: int
    ask: Ask
    began_at: float
    """Monotonic seconds."""
    reading: Reading = field(default_factory=Reading)
    was_sent: bool = False
    """Whether it may have reached the provider, who then bills it even when no answer comes."""
    status: int | None = None
    request_id: str = ""

    @property
    def model(self) -> str:
        """As the provider names it, else as it was asked for."""
        return self.reading.model or self.ask.model

    @property
    def names(self) -> tuple[str, ...]:
        """The model's names, by which its price may be known."""
        return tuple(dict.fromkeys((self.model, self.ask.model)))

    def total(self) -> tuple[WireUsage, bool]:
        """What it used so far, and whether that is an estimate."""
        if not self.was_sent or (self.status is not None and self.status >= 300):
            return WireUsage(), False
        return self.reading.total(self.ask.expected_tokens)

    def held_tokens(self) -> int:
        """What is held of the budget for it: its size at least, and more once its answer is longer."""
        return max(self.ask.expected_tokens, self.total()[0].total_tokens)


class Books:
    """What a door's requests used; safe to ask from any thread."""

    def __init__(
        self,
        order: MeterOrder,
        watch: BuildWatch,
        *,
        price: Price,
        keep: Callable[[ModelRequest, Entry], None],
        mask: Callable[[str], str],
    ) -> None:
        self._order = order
        self._watch = watch
        self._price = price
        self._keep = keep
        self._mask = mask
        self._lock = threading.Lock()
        self._count = 0
        self._under_way: dict[int, Entry] = {}
        self._finished: list[ModelRequest] = []
        self._used = Usage()
        self._refused_in_a_row = 0

    def usage(self) -> Usage:
        """Of all requests so far, those under way as far as they have come."""
        with self._lock:
            parts = [self._usage_of(entry) for entry in self._under_way.values() if entry.was_sent]
            return sum(parts, start=self._used)

    def requests(self) -> tuple[ModelRequest, ...]:
        """The finished requests, oldest first."""
        with self._lock:
            return tuple(self._finished)

    def admit(self, ask: Ask, *, now: float) -> Entry | Refusal:
        """Hold what a request is expected to use, or say why it may not be made."""
        with self._lock:
            self._count += 1
            entry = Entry(number=self._count, ask=ask, began_at=now)
            refusal = self._over(ask)
            if refusal is None:
                self._refused_in_a_row = 0
                self._under_way[entry.number] = entry
                return entry
        self._refuse(entry, refusal, now=now)
        return refusal

    def _refuse(self, entry: Entry, refusal: Refusal, *, now: float) -> None:
        with self._lock:
            self._refused_in_a_row += 1
            row = self._refused_in_a_row
        if row <= MOST_REFUSALS:
            entry.status = refusal.status
            entry.reading.fault = Fault(kind=FaultKind.BUDGET, message=refusal.message)
            self.finish(entry, now=now)
        elif row == MOST_REFUSALS + 1:
            logger.warning("requests.refusals_repeated", extra={"refusals": MOST_REFUSALS})

    def finish(self, entry: Entry, *, now: float) -> None:
        """Book a request that is over, however it ended."""
        with self._lock:
            usage = self._usage_of(entry)
            self._under_way.pop(entry.number, None)
            self._used += usage
            request = self._closed(entry, usage, now=now)
            self._finished.append(request)
            self._keep(request, entry)
            self._watch.used(usage)

    def tell(self) -> None:
        """Tell the watch what the requests under way used so far."""
        with self._lock:
            parts = [self._usage_of(entry) for entry in self._under_way.values() if entry.was_sent]
            if parts:
                self._watch.under_way(sum(parts, start=Usage()))

    def _over(self, ask: Ask) -> Refusal | None:
        if self._watch.is_cancelled():
            return Refusal(
                status=402, code="call_cancelled", message="the call that this belongs to was stopped"
            )
        limit, used = self._order.budget_tokens, self._used.total_tokens
        held = sum(entry.held_tokens() for entry in self._under_way.values())
        if used + held + ask.expected_tokens > limit:
            message = (
                f"the budget of {limit} tokens is spent: {used} used, {held} held for requests under way, "
                f"and this one needs about {ask.expected_tokens}"
            )
            return Refusal(status=402, code="budget_exhausted", message=message)
        return self._over_money(ask)

    def _over_money(self, ask: Ask) -> Refusal | None:
        limit = self._order.budget_usd
        wanted = (
            self._price((ask.model,), WireUsage(input_tokens=ask.expected_tokens))
            if limit is not None
            else None
        )
        if limit is None or wanted is None:
            return None
        used = self._used.cost_usd or 0.0
        held = sum(self._held_money(entry) for entry in self._under_way.values())
        if used + held + wanted <= limit:
            return None
        message = (
            f"the budget of {limit:.4f} USD is spent: {used:.4f} used, {held:.4f} held for requests under way, "
            f"and this one costs about {wanted:.4f}"
        )
        return Refusal(status=402, code="budget_exhausted", message=message)

    def _held_money(self, entry: Entry) -> float:
        so_far = entry.total()[0].most(WireUsage(input_tokens=entry.ask.expected_tokens))
        return self._price(entry.names, so_far) or 0.0

    def _usage_of(self, entry: Entry) -> Usage:
        total, is_estimated = entry.total()
        if not total.total_tokens:
            # Nothing was used, which costs nothing whatever the price is.
            return Usage(is_estimated=is_estimated)
        cost = self._price(entry.names, total)
        return total.as_usage(cost_usd=cost, is_estimated=is_estimated)

    def _closed(self, entry: Entry, usage: Usage, *, now: float) -> ModelRequest:
        fault, reading = entry.reading.fault, entry.reading
        return ModelRequest(
            number=entry.number,
            dialect=Dialect(entry.ask.endpoint.dialect),
            model=entry.model,
            status=entry.status,
            usage=usage,
            stop_reason=reading.stop_reason,
            fault=fault.kind if fault is not None else None,
            message=self._mask(fault.message) if fault is not None else "",
            retry_after_seconds=fault.retry_after_seconds if fault is not None else None,
            duration_seconds=max(0.0, now - entry.began_at),
            request_id=entry.request_id,
        )
