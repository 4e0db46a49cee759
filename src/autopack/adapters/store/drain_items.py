"""The attempts of a drain session: taken, counted, told; each function works inside a transaction."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import attempts, fingerprints, picks, reading, releases, sessions
from autopack.adapters.store.codec import decode, encode
from autopack.adapters.store.tables import NO_PROMPT, builder_call, drain_attempt, drain_session, run
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits, Sample, Stop, StopRule, sample_of
from autopack.domain.phase import PhaseState
from autopack.domain.replay import Replay
from autopack.domain.session import AttemptOrders, DrainKind, DrainResult, DrainScope, Pick, Session, Spent
from autopack.errors import LeaseLostError

_session = drain_session.c
_item = drain_attempt.c
_EVIDENCE = 10
_INITIAL_STATES = {DrainKind.FAILED: PhaseState.FAILED, DrainKind.QUEUED: PhaseState.QUEUED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A phase that a pick would take, as it was found; somebody else may be quicker."""

    run_id: str
    phase_id: str
    sample: Sample = Sample.UNSAMPLED


def find(db: sa.Connection, session: Session, *, now: float) -> Candidate | None:
    """What a session may take next, or None when nothing may be tried now."""
    scope, limits = session.scope, session.limits
    steps = sessions.steps_of(db, session.session_id) if session.climb else (session.session_id,)
    if scope.kind is DrainKind.QUEUED:
        due = picks.queued_candidates(db, steps, scope, limits, now=now, limit=1)
        return next((Candidate(run_id=it.run_id, phase_id=it.phase_id) for it in due), None)
    rows = picks.failed_candidates(db, steps, scope, limits, limit=1)
    return next(
        (Candidate(run_id=it.run_id, phase_id=it.phase_id, sample=Sample(it.sample)) for it in rows), None
    )


def take(db: sa.Connection, session: Session, found: Candidate, *, now: float) -> Pick | None:
    """Take what was found upon the session; None when somebody else was quicker, and nothing is changed then."""
    reading.lock_run(db, found.run_id)
    stored = reading.read_phase(db, found.run_id, found.phase_id)
    wanted = _INITIAL_STATES[session.scope.kind]
    if stored.state is not wanted or _is_taken(db, found.run_id):
        return None
    if wanted is PhaseState.FAILED:
        if not _has_repeats_left(db, stored.failure_fingerprint, session.limits):
            return None
        address = attempts.requeue_read(db, stored, now=now)
    else:
        number = reading.due_number(db, stored)
        address = AttemptAddress(run_id=found.run_id, phase_id=found.phase_id, number=number)
    made = Pick(
        session_id=session.session_id,
        address=address,
        phase_index=stored.index,
        initial_state=wanted,
        picked_at=now,
        sample=found.sample,
        expected_fingerprint=stored.failure_fingerprint,
    )
    _write_pick(db, made, session)
    return made


def _is_taken(db: sa.Connection, run_id: str) -> bool:
    is_open = sa.select(_item.number).where(_item.booked_at.is_(None), _item.run_id == run_id)
    return bool(reading.read_held(db, run_id)) or db.execute(is_open).first() is not None


def _has_repeats_left(db: sa.Connection, key: str | None, limits: DrainLimits) -> bool:
    # The lock makes those who pick phases of one cause count one after the other.
    known = None if key is None else fingerprints.lock(db, key)
    if known is None:
        return True
    ours = (_item.booked_at.is_(None), _item.expected_fingerprint == key)
    under_way = db.scalar(sa.select(sa.func.count()).select_from(drain_attempt).where(*ours)) or 0
    return known.stopped_at is None and known.seen + under_way < limits.max_fingerprint_repeats


def _write_pick(db: sa.Connection, made: Pick, session: Session) -> None:
    # A pick of a session that has ended, or is another process's by now, would be nobody's to finish.
    is_ours = (
        _session.session_id == made.session_id,
        _session.owner == session.owner,
        _session.completed_at.is_(None),
    )
    counted = drain_session.update().where(*is_ours).values(picked=_session.picked + 1)
    if db.execute(counted).rowcount == 0:
        raise LeaseLostError(f"session {made.session_id} has ended or was taken over by another process")
    row = {
        **_place(made.session_id, made.address),
        "seq": sessions.next_seq(made.session_id),
        "phase_index": made.phase_index,
        "initial_state": made.initial_state,
        "scope": encode(session.scope),
        "timeout_seconds": session.limits.phase_timeout_seconds,
        "sample": made.sample,
        "expected_fingerprint": made.expected_fingerprint,
        "picked_at": made.picked_at,
        "is_counted": False,
        "is_timeout": False,
    }
    db.execute(drain_attempt.insert().values(**row))


def _place(session_id: str, address: AttemptAddress) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "run_id": address.run_id,
        "phase_id": address.phase_id,
        "number": address.number,
    }


def _is_open_pick(made: Pick) -> tuple[sa.ColumnElement[bool], ...]:
    place = (_item[name] == value for name, value in _place(made.session_id, made.address).items())
    return (*place, _item.picked_at == made.picked_at, _item.booked_at.is_(None))


def open_picks(db: sa.Connection, session_id: str | None = None) -> tuple[Pick, ...]:
    """Attempts of a session, or of all, whose result is not booked yet, in the order of picking."""
    query = sa.select(drain_attempt).where(_item.booked_at.is_(None))
    if session_id is not None:
        query = query.where(_item.session_id == session_id)
    return tuple(
        _to_pick(row) for row in db.execute(query.order_by(_item.picked_at, _item.session_id, _item.seq))
    )


def _to_pick(row: sa.Row[Any]) -> Pick:
    return Pick(
        session_id=row.session_id,
        address=AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number),
        phase_index=row.phase_index,
        initial_state=PhaseState(row.initial_state),
        picked_at=row.picked_at,
        sample=Sample(row.sample),
        expected_fingerprint=row.expected_fingerprint,
    )


def drop_pick(db: sa.Connection, made: Pick) -> None:
    """Forget a pick whose phase somebody else decided on; it counts for nothing."""
    if db.execute(drain_attempt.delete().where(*_is_open_pick(made))).rowcount:
        fewer = {"picked": _session.picked - 1}
        db.execute(drain_session.update().where(_session.session_id == made.session_id).values(**fewer))


def book(db: sa.Connection, made: Pick, result: DrainResult, *, now: float) -> Stop | None:
    """Write what became of a pick, once; the fingerprint's stop, where this result reached its limit."""
    reading.lock_run(db, result.run_id)
    key = None if result.is_retryable or result.success else result.failure_fingerprint
    known = None if key is None else fingerprints.lock(db, key)
    counted = {
        "booked_at": now,
        "is_counted": not result.is_retryable,
        "is_timeout": result.is_timeout and not result.is_retryable,
        "fingerprint": key,
        "result": encode(result),
    }
    booked = drain_attempt.update().where(*_is_open_pick(made)).values(**counted).returning(_item.scope)
    text = db.scalar(booked)
    if text is None:
        return None
    scope = decode(DrainScope, text)
    is_repeated = key is not None and key == made.expected_fingerprint
    _write_sample(db, result, is_known=is_repeated or (known is not None and known.seen > 0))
    # A replay costs nothing and says nothing of the phases that still need the Builder.
    counts = key is not None and scope.replay is not Replay.ONLY
    stop = _count_repeat(db, made.session_id, str(key), now=now) if counts else None
    _add_totals(db, made.session_id, result)
    if not result.is_retryable:
        releases.note_release(db, scope, result)
    return stop


def _count_repeat(db: sa.Connection, session_id: str, key: str, *, now: float) -> Stop | None:
    limit = _limits(db, session_id).max_fingerprint_repeats
    seen = fingerprints.count_seen(db, key, limit=limit, session_id=session_id, now=now)
    if seen is None:
        return None
    evidence = _evidence(db, key, newest=min(seen, _EVIDENCE))
    return Stop(rule=StopRule.FINGERPRINT_REPEATS, seen=seen, limit=limit, subject=key, evidence=evidence)


def _add_totals(db: sa.Connection, session_id: str, result: DrainResult) -> None:
    added = {
        "total_processed": 1,
        "total_success": int(result.success),
        "total_failed": int(result.final_state is PhaseState.FAILED),
        "total_timeouts": int(result.is_timeout),
        "total_telemetry_events": result.telemetry_events_collected,
        "total_tokens": result.tokens_used,
        "tokens_not_spent": result.tokens_not_spent,
    }
    values: dict[str, Any] = {name: _session[name] + value for name, value in added.items()}
    # A fault of the surroundings used up no attempt, nor a place in the batch, and says nothing of the backlog.
    if result.is_retryable:
        values["picked"] = _session.picked - 1
    else:
        values["zero_yield_in_row"] = _session.zero_yield_in_row + 1 if result.is_zero_yield else 0
    db.execute(drain_session.update().where(_session.session_id == session_id).values(**values))


def _write_sample(db: sa.Connection, result: DrainResult, *, is_known: bool) -> None:
    if result.is_retryable:
        return
    sample = sample_of(
        success=result.success,
        kind=result.failure_kind,
        calls=result.telemetry_events_collected,
        is_known=is_known,
    )
    db.execute(run.update().where(run.c.run_id == result.run_id).values(sample=sample))


def _evidence(db: sa.Connection, key: str, *, newest: int) -> tuple[str, ...]:
    order = (_item.booked_at.desc(), _item.session_id.desc(), _item.seq.desc())
    query = sa.select(drain_attempt).where(_item.fingerprint == key).order_by(*order).limit(newest)
    rows = db.execute(query).all()
    return tuple(f"{row.run_id}/{row.phase_id}/{row.number}" for row in reversed(rows))


def _limits(db: sa.Connection, session_id: str) -> DrainLimits:
    text = db.scalars(sa.select(_session.limits).where(_session.session_id == session_id)).one()
    return decode(DrainLimits, text)


def results(db: sa.Connection, session_id: str) -> tuple[DrainResult, ...]:
    """The booked results of a session in the order of picking."""
    booked = (_item.session_id == session_id, _item.booked_at.is_not(None))
    texts = db.scalars(sa.select(_item.result).where(*booked).order_by(_item.seq))
    return tuple(decode(DrainResult, text) for text in texts if text is not None)


def orders(db: sa.Connection, address: AttemptAddress) -> AttemptOrders | None:
    """How the session which picked an attempt wants it made; None when none did."""
    ours = (
        _item.run_id == address.run_id,
        _item.phase_id == address.phase_id,
        _item.number == address.number,
        _item.booked_at.is_(None),
    )
    row = db.execute(sa.select(_item.scope, _item.timeout_seconds).where(*ours)).first()
    if row is None:
        return None
    scope = decode(DrainScope, row.scope)
    return AttemptOrders(
        timeout_seconds=row.timeout_seconds,
        replay=scope.replay,
        doom_check=scope.doom_check,
    )


def spent(db: sa.Connection, made: Pick) -> Spent:
    """What the pick's Builder calls used; one under way counts as far as it is known, else as expected."""
    call = builder_call.c
    address = made.address
    ours = (call.run_id == address.run_id, call.phase_id == address.phase_id, call.number == address.number)
    since = (*ours, call.reserved_at >= made.picked_at, call.prompt_hash != NO_PROMPT)
    totals = sa.select(
        sa.func.count(), sa.func.coalesce(sa.func.sum(reading.used_tokens()), 0), sa.func.sum(call.cost_usd)
    ).where(*since)
    calls, tokens, cost = db.execute(totals).one()
    before = (*ours, call.is_reusable, call.reserved_at < made.picked_at)
    had_answer = db.execute(sa.select(call.call_id).where(*before)).first() is not None
    return Spent(calls=int(calls), tokens=int(tokens), cost_usd=cost, had_answer=had_answer)
