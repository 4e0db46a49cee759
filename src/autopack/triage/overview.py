"""How a backlog stands: what fails and why, what was spent on it, and whether a larger batch may follow."""

from collections.abc import Mapping
from dataclasses import dataclass

from autopack.domain.bucket import Distribution, distribute
from autopack.domain.forecast import Forecast, forecast
from autopack.domain.go_no_go import LADDER, Judgement, NextBatch, count, judge, next_batch_size
from autopack.domain.session import Session
from autopack.ports import Store
from autopack.triage.ledger import LedgerSummary, read_ledger, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that is counted from the record."""

    distribution: Distribution
    session: Session | None
    """The drain session that is judged: the one that was named, else the newest; None where there is none."""
    judgement: Judgement | None
    next_batch: NextBatch | None
    spending: LedgerSummary
    """Of the whole record."""
    forecasts: Mapping[str, Forecast]
    """What one more attempt at every phase of a bucket would cost and bring, told from earlier ones; by fingerprint,
    for those that were drained before."""


def overview(store: Store, *, session_id: str | None = None) -> Overview:
    """How the backlog stands now.

    Raises:
        StoreError: There is no session of that name.
    """
    session = find_session(store, session_id)
    judgement = None if session is None else judge_session(store, session)
    distribution = distribute(store.triage.failed_phases())
    tries = store.triage.tries()
    return Overview(
        distribution=distribution,
        session=session,
        judgement=judgement,
        next_batch=None if judgement is None else next_batch(judgement),
        spending=summarise(read_ledger(store)),
        forecasts={
            it.fingerprint: forecast(len(it.phases), tries[it.fingerprint])
            for it in distribution.buckets
            if it.fingerprint in tries
        },
    )


def find_session(store: Store, session_id: str | None) -> Session | None:
    """The session of that name, else the newest that made an attempt; None where there is none.

    Raises:
        StoreError: There is no session of that name.
    """
    if session_id is not None:
        return store.drains.session(session_id)
    return next((it for it in store.drains.sessions(limit=_NEWEST) if it.total_processed), None)


_NEWEST = 50


def judge_session(store: Store, session: Session) -> Judgement:
    """Whether what a session showed allows a batch that is larger than its own; nothing is stored."""
    seen = store.triage.observations(session_id=session.session_id, newest=session.total_processed)
    # A session without a batch size, or one that ended early, is judged by as many attempts as it made.
    size = session.limits.batch_size or session.total_processed
    return judge(count(seen), batch_size=max(size, LADDER[0]))


def next_batch(judgement: Judgement) -> NextBatch:
    """How large the next batch should be."""
    return next_batch_size(judgement.batch_size, judgement.decision)
