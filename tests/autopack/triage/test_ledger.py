"""Where the tokens of real drains went: every one is booked once."""

from dataclasses import asdict

import pytest
from drains import GOOD, End, broken, late

from autopack.domain.failure import FailureKind
from autopack.domain.go_no_go import Decision
from autopack.domain.session import DrainKind
from autopack.domain.waste import Cause, Saving
from autopack.ports import CallFilter
from autopack.triage.ledger import Cut, LedgerSummary, read_ledger, rows_of, summarise
from autopack.triage.overview import overview

WIDE = {"max_fingerprint_repeats": 99, "batch_size": None, "max_attempts_per_phase": 1}
OWN = End(kind=FailureKind.TEST_REGRESSION, cause="test_own failed", tokens=11)
PAID_AND_DOOMED = End(kind=FailureKind.DOOMED, cause="delta", tokens=13)
OVERLOADED = End(kind=FailureKind.BUILDER_ERROR, cause="overloaded", retryable=True, tokens=3)
DOOMED = End(kind=FailureKind.DOOMED, cause="delta", calls=0)


@pytest.fixture
def drained(bench):
    """A backlog of two runs that failed of one cause, drained into every sort of end."""
    bench.add("r", GOOD, broken(tokens=7), late(tokens=5), DOOMED, failed=broken(tokens=20))
    bench.add("s", OWN, PAID_AND_DOOMED, failed=broken(tokens=20))
    bench.add("q", [OVERLOADED, GOOD])
    bench.drain(DrainKind.QUEUED)
    bench.session = bench.drain(**WIDE)
    return bench


def test_every_token_of_telemetry_is_booked_once_whatever_the_cut(drained):
    ledger = read_ledger(drained.store)
    events = drained.store.telemetry(CallFilter())
    assert ledger.total.tokens == sum(event.tokens for event in events)
    assert ledger.total.calls == len(events)
    for by in Cut:
        rows = rows_of(ledger, by)
        assert sum(row.tokens for row in rows) == ledger.total.tokens
        assert sum(row.calls for row in rows) == ledger.total.calls
        assert sum(row.wasted_tokens for row in rows) == summarise(ledger).wasted
        assert sum(row.share for row in rows) == pytest.approx(1)


def test_a_session_has_the_tokens_of_its_totals(drained):
    ledger = read_ledger(drained.store, session_id=drained.session.session_id)
    assert ledger.total.tokens == drained.session.total_tokens == 136
    assert ledger.total.calls == drained.session.total_telemetry_events
    # Two were doomed; one of them had paid before that was seen.
    assert ledger.by_saving()[Saving.DOOM_CHECK].tokens == 50


def test_what_became_of_the_tokens(drained):
    spent = {
        cause: sums.tokens for cause, sums in read_ledger(drained.store).by_cause().items() if sums.tokens
    }
    # What was answered before a fault, at the address that then completed its phase, is useful.
    assert spent == {
        Cause.USEFUL: 100 + 100 + 3,
        Cause.SYSTEMIC: 6 * 20 + 7,
        Cause.TIMEOUT: 5,
        Cause.DOOMED: 13,
        Cause.REJECTED: 11,
    }


def test_the_summary_adds_up(drained):
    told = summarise(read_ledger(drained.store))
    assert told.useful + told.wasted + told.pending == told.total
    assert told.cost_usd is None


def test_rows_stand_with_the_dearest_first_and_days_in_order(drained):
    ledger = read_ledger(drained.store)
    tokens = [row.tokens for row in rows_of(ledger, Cut.RUN)]
    assert tokens == sorted(tokens, reverse=True)
    assert "r/p0" in {row.name for row in rows_of(ledger, Cut.PHASE)}
    assert [row.name for row in rows_of(ledger, Cut.DAY)] == ["2023-11-14"]


def test_nothing_spent_is_no_share(bench):
    bench.add("r", GOOD)
    ledger = read_ledger(bench.store)
    assert rows_of(ledger, Cut.CAUSE) == ()
    assert set(asdict(summarise(ledger)).values()) == {0, None}
    assert isinstance(summarise(ledger), LedgerSummary)


def test_an_overview_tells_of_the_newest_session_that_made_an_attempt(drained):
    drained.clock.advance(60)
    drained.drain(**WIDE, scope={"run_id": "nobody"})
    seen = overview(drained.store)
    assert seen.session == drained.store.drains.session(drained.session.session_id)
    assert (seen.distribution.phases, seen.distribution.runs) == (5, 2)
    # A collection error in six attempts is too much, and six are too few to say so.
    assert seen.judgement.decision is Decision.NOT_ENOUGH_EVIDENCE
    assert seen.next_batch.batch_size == seen.judgement.batch_size == 6
    (key,) = seen.forecasts
    assert (seen.forecasts[key].phases, seen.forecasts[key].tries) == (1, 6)


def test_an_overview_without_a_drain(bench):
    bench.add("r", GOOD, failed=broken())
    seen = overview(bench.store)
    assert (seen.session, seen.judgement, seen.next_batch) == (None, None, None)
    assert seen.spending.total == 100
