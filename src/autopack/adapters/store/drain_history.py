"""The record of drains as other limits are tried on it; each function works inside a transaction."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import drain_items, sessions
from autopack.adapters.store.codec import decode
from autopack.adapters.store.tables import (
    attempt,
    blocker,
    blocker_event,
    drain_attempt,
    drain_session,
    fingerprint,
    phase,
    phase_need,
    run,
)
from autopack.domain.drain_policy import DrainLimits, Stop, StopRule
from autopack.domain.drain_record import DrainRecord, Lift, Place, RecordedAttempt, RecordedSession
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainKind, DrainResult, DrainScope
from autopack.errors import StoreError

_item = drain_attempt.c
_session = drain_session.c
_MOMENT = 1e-3
"""Seconds, longer than it takes from a limit's being asked to the pick that it allowed."""
Row = sa.Row[Any]


def read_record(db: sa.Connection, session_ids: Sequence[str]) -> DrainRecord:
    """What the named sessions did, or all of them; raises StoreError when one is not there."""
    rows = _session_rows(db, session_ids)
    attempts = [one for row in rows for one in _attempts(db, row)]
    before = {row.session_id: sessions.seconds_before(db, row) for row in rows}
    backlog = _Backlog(verdicts=_verdicts(db), created=_created(db))
    needs = _needs(db)
    return DrainRecord(
        sessions=tuple(_to_session(db, row, backlog) for row in rows),
        attempts=tuple(
            _to_attempt(item, row, needs, before=before[row.session_id])
            for item, row in sorted(attempts, key=lambda it: _order(*it))
        ),
        lifts=_lifts(db),
    )


def _session_rows(db: sa.Connection, session_ids: Sequence[str]) -> Sequence[Row]:
    query = sa.select(drain_session).order_by(_session.started_at, _session.session_id)
    if session_ids:
        query = query.where(_session.session_id.in_(session_ids))
    rows = db.execute(query).all()
    if missing := set(session_ids) - {row.session_id for row in rows}:
        raise StoreError(
            f"there is no session {min(missing)!r}", hint="`autopack drain sessions` lists them."
        )
    return rows


# --- attempts -------------------------------------------------------------------------------------------


def _attempts(db: sa.Connection, session: Row) -> list[tuple[Row, Row]]:
    booked = (_item.session_id == session.session_id, _item.result.is_not(None))
    rows = db.execute(sa.select(drain_attempt).where(*booked).order_by(_item.seq))
    return [(row, session) for row in rows]


def _order(item: Row, session: Row) -> tuple[float, str, int]:
    return (_picked_at(item, session), item.session_id, item.seq)


def _picked_at(item: Row, session: Row) -> float:
    # One that was taken over from a dead session counts for its heir from the heir's beginning.
    return float(max(item.picked_at, session.started_at))


def _to_attempt(
    item: Row, session: Row, needs: Mapping[Place, tuple[str, ...]], *, before: float
) -> RecordedAttempt:
    result = decode(DrainResult, item.result)
    return RecordedAttempt(
        session_id=item.session_id,
        run_id=item.run_id,
        phase_id=item.phase_id,
        number=item.number,
        picked_at=_picked_at(item, session),
        booked_at=item.booked_at,
        elapsed_seconds=_elapsed(_picked_at(item, session), session, before=before),
        seconds=result.subprocess_duration_seconds,
        final_state=result.final_state,
        tokens=result.tokens_used,
        calls=result.telemetry_events_collected,
        fingerprint=result.failure_fingerprint,
        expected_fingerprint=item.expected_fingerprint,
        is_timeout=item.is_timeout,
        is_retryable=result.is_retryable,
        needs=needs.get((item.run_id, item.phase_id), ()),
    )


def _elapsed(picked_at: float, session: Row, *, before: float) -> float:
    """How long the session had been worked on; too little before a pause, which the store does not date."""
    worked = before + session.active_seconds - (session.heartbeat_at - picked_at)
    limit = decode(DrainLimits, session.limits).max_total_seconds
    # It was allowed, so the time was not over.
    most = before + picked_at - session.started_at if limit is None else limit - _MOMENT
    return float(max(0.0, min(worked, most)))


def _needs(db: sa.Connection) -> Mapping[Place, tuple[str, ...]]:
    found: dict[Place, list[str]] = defaultdict(list)
    order = (phase_need.c.run_id, phase_need.c.phase_id, phase_need.c.need)
    for row in db.execute(sa.select(*order).order_by(*order)):
        found[row.run_id, row.phase_id].append(row.need)
    return {place: tuple(needs) for place, needs in found.items()}


# --- sessions -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backlog:
    """What is known of how phases stood at any time."""

    verdicts: Mapping[Place, Sequence[tuple[float, PhaseState]]]
    """Of each phase that had one, oldest first."""
    created: Mapping[Place, float]

    def failed(self, at: float) -> set[Place]:
        """The phases whose newest verdict was FAILED."""
        return {place for place in self.verdicts if self._state(place, at) is PhaseState.FAILED}

    def untried(self, at: float) -> set[Place]:
        """The phases that were there and had no verdict."""
        return {
            place for place, since in self.created.items() if since <= at and self._state(place, at) is None
        }

    def _state(self, place: Place, at: float) -> PhaseState | None:
        return next((state for when, state in reversed(self.verdicts.get(place, ())) if when <= at), None)


def _verdicts(db: sa.Connection) -> Mapping[Place, Sequence[tuple[float, PhaseState]]]:
    columns = (attempt.c.run_id, attempt.c.phase_id, attempt.c.finished_at, attempt.c.state)
    query = sa.select(*columns).where(attempt.c.finished_at.is_not(None)).order_by(attempt.c.finished_at)
    found: dict[Place, list[tuple[float, PhaseState]]] = defaultdict(list)
    for row in db.execute(query):
        found[row.run_id, row.phase_id].append((row.finished_at, PhaseState(row.state)))
    return found


def _created(db: sa.Connection) -> Mapping[Place, float]:
    query = sa.select(phase.c.run_id, phase.c.phase_id, run.c.created_at).join(run)
    return {(row.run_id, row.phase_id): row.created_at for row in db.execute(query)}


def _to_session(db: sa.Connection, row: Row, backlog: _Backlog) -> RecordedSession:
    scope, limits = decode(DrainScope, row.scope), decode(DrainLimits, row.limits)
    ended_at = row.heartbeat_at if row.completed_at is None else row.completed_at
    open_ = backlog.failed(ended_at) if scope.kind is DrainKind.FAILED else backlog.untried(ended_at)
    waiting = {place for place in open_ if _is_wanted(place[0], scope)}
    stop = None if row.stop is None else decode(Stop, row.stop).rule
    held = waiting if stop is StopRule.NOTHING_LEFT else waiting & _held(db, row, limits)
    return RecordedSession(
        session_id=row.session_id,
        kind=scope.kind,
        limits=limits,
        started_at=row.started_at,
        active_seconds=row.active_seconds + sessions.seconds_before(db, row),
        stop=stop,
        left_phases=len(waiting) - len(held),
        held_phases=len(held),
        climb=row.climb or "",
    )


def _is_wanted(run_id: str, scope: DrainScope) -> bool:
    is_skipped = any(prefix and run_id.startswith(prefix) for prefix in scope.skip_run_prefixes)
    return scope.run_id in {None, run_id} and not is_skipped


def _held(db: sa.Connection, session: Row, limits: DrainLimits) -> set[Place]:
    """The phases that the session's limits on phases and runs kept it from at its end, as far as it tried them."""
    steps = sessions.steps_of(db, session.session_id)
    before = steps[: steps.index(session.session_id) + 1]
    booked = [it for step in before for it in drain_items.results(db, step)]
    counted = [it for it in booked if not it.is_retryable]
    tries = Counter((it.run_id, it.phase_id) for it in counted)
    late = Counter(it.run_id for it in counted if it.is_timeout)
    spent = {place for place, times in tries.items() if times >= limits.max_attempts_per_phase}
    if limits.max_faults_per_phase is not None:
        faults = Counter((it.run_id, it.phase_id) for it in booked if it.is_retryable)
        spent |= {place for place, times in faults.items() if times >= limits.max_faults_per_phase}
    return spent | {place for place in tries if late[place[0]] >= limits.max_timeouts_per_run}


def _lifts(db: sa.Connection) -> tuple[Lift, ...]:
    """The newest lift of each fingerprint, and those that blockers tell of."""
    newest = sa.select(fingerprint.c.fingerprint, fingerprint.c.lifted_at.label("at")).where(
        fingerprint.c.lifted_at.is_not(None)
    )
    told = (
        sa.select(blocker.c.fingerprint, blocker_event.c.at)
        .join(blocker, blocker.c.number == blocker_event.c.number)
        .where(blocker_event.c.event == "validation passed")
    )
    found = {(row.at, row.fingerprint) for query in (newest, told) for row in db.execute(query)}
    return tuple(Lift(fingerprint=key, at=at) for at, key in sorted(found))
