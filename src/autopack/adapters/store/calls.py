"""The ledger of Builder calls, and baselines; each function works inside a transaction."""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from autopack.adapters.store import pauses, spending
from autopack.adapters.store.attempts import check_lease
from autopack.adapters.store.codec import decode, encode, pack, storable, unpack
from autopack.adapters.store.pauses import builder_key
from autopack.adapters.store.tables import baseline, builder_call
from autopack.domain.attempt import AttemptAddress, Lease
from autopack.domain.baseline import Baseline, BaselineKey
from autopack.domain.budget import Budget, Usage
from autopack.domain.ci_report import CiReport
from autopack.domain.estimate import Estimate
from autopack.domain.failure import FailureReport
from autopack.domain.retry import pauses_builder
from autopack.domain.spending import (
    UNLIMITED,
    Amount,
    OverBudget,
    Reservation,
    SpendingLimits,
    accounts_of,
    allowance,
    money_allowance,
    over_attempt,
    wanted_by,
)
from autopack.errors import StoreError
from autopack.ports import BuildAnswer, StoredAnswer

_call = builder_call.c
_BOOKED = (
    _call.run_id,
    _call.phase_id,
    _call.number,
    _call.builder,
    _call.session_id,
    _call.reserved_at,
    _call.booked_tokens,
    _call.booked_usd,
)


def _is_of(address: AttemptAddress) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _call.run_id == address.run_id,
        _call.phase_id == address.phase_id,
        _call.number == address.number,
    )


def stored_answer(db: sa.Connection, address: AttemptAddress, turn: int) -> StoredAnswer | None:
    """The newest answer of the turn that is worth keeping: a change, or a failure that would come again."""
    query = sa.select(
        _call.answer, _call.prompt_hash, _call.builder, _call.duration_seconds, _call.base_commit
    ).where(*_is_of(address), _call.turn == turn, _call.is_reusable)
    row = db.execute(query.order_by(_call.call_id.desc()).limit(1)).first()
    if row is None:
        return None
    return StoredAnswer(
        answer=decode(BuildAnswer, row.answer),
        prompt_hash=row.prompt_hash,
        builder=row.builder,
        duration_seconds=row.duration_seconds,
        base_commit=row.base_commit,
    )


def reserve(  # noqa: PLR0913 - the port's arguments, and the connection
    db: sa.Connection,
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
    """Book tokens and money for a call, or say which budget does not hold them."""
    check_lease(db, lease)
    tokens, money = _booked_by(db, lease)
    own = Budget(limit_tokens=limit_tokens, spent_tokens=tokens)
    if not own.allows(expected_tokens):
        return over_attempt(lease.address, used=own.spent_tokens, wanted=expected_tokens, limit=limit_tokens)
    if limit_usd and money >= limit_usd:
        return over_attempt(lease.address, used=money, wanted=0.0, limit=limit_usd, unit="USD")
    session_id = spending.session_of(db, lease.address)
    wanted = wanted_by(expected_tokens, estimate, own_left=own.left_tokens)
    left = spending.book(
        db, accounts_of(lease.address, spending.account_of(db, session_id), now=now), wanted, limits
    )
    if isinstance(left, OverBudget):
        return left
    row = {
        **asdict(lease.address),
        "turn": turn,
        "token": lease.token,
        "state": "reserved",
        "is_reusable": False,
        "builder": builder_key(builder),
        "prompt_hash": prompt_hash,
        "expected_tokens": expected_tokens,
        "reserved_at": now,
        "session_id": session_id,
        "booked_tokens": wanted.tokens,
        "booked_usd": wanted.cost_usd,
        **_estimate_values(estimate),
    }
    call_id = db.scalars(builder_call.insert().values(**row).returning(_call.call_id)).one()
    own_usd = limit_usd - money if limit_usd else None
    return Reservation(
        call_id=int(call_id),
        budget_tokens=allowance(own.left_tokens, wanted, left.tokens),
        budget_usd=money_allowance(own_usd, wanted, left.cost_usd),
    )


def _booked_by(db: sa.Connection, lease: Lease) -> tuple[int, float]:
    used = _call.input_tokens + _call.output_tokens
    # A call whose process died will not come back for what it reserved; to count that would let a kill end the
    # attempt at its budget. What it cost the provider's meter stays in the usage, as estimated.
    is_lost = sa.and_(_call.settled_at.is_(None), _call.token != lease.token)
    booked = sa.func.sum(sa.case((is_lost, 0), else_=sa.func.coalesce(used, _call.expected_tokens)))
    money = sa.func.sum(sa.case((is_lost, 0.0), else_=_call.cost_usd))
    sums = sa.select(booked, money).where(*_is_of(lease.address))
    row = db.execute(sums).one()
    return int(row[0] or 0), float(row[1] or 0.0)


def _estimate_values(estimate: Estimate | None) -> dict[str, object]:
    if estimate is None:
        return {}
    sort = estimate.sort
    return {
        "category": storable(sort.category),
        "complexity": sort.complexity,
        "deliverables": sort.deliverables,
        "predicted_tokens": estimate.tokens,
    }


def settle(
    db: sa.Connection,
    call_id: int,
    answer: BuildAnswer,
    *,
    base_commit: str,
    duration_seconds: float,
    now: float,
) -> None:
    """Store the answer; the first one of a call stays."""
    failure, usage = answer.failure, answer.usage
    settled = {
        "state": "answered" if failure is None else "failed",
        "is_reusable": failure is None or not failure.retryable,
        "answer": encode(answer),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_usd,
        "is_estimated": usage.is_estimated,
        "model": storable(answer.model),
        "stop_reason": storable(answer.stop_reason),
        "is_truncated": answer.is_truncated,
        "failure_kind": None if failure is None else failure.kind,
        "notes": storable(json.dumps(dict(answer.notes), ensure_ascii=False)) if answer.notes else None,
        "base_commit": base_commit,
        "duration_seconds": duration_seconds,
        "settled_at": now,
    }
    is_open = (_call.call_id == call_id, _call.settled_at.is_(None))
    made = builder_call.update().where(*is_open).values(**settled).returning(*_BOOKED)
    row = db.execute(made).first()
    if row is not None:
        _rebook(db, row, usage)
        _note_pause(db, row.builder, failure, now=now)
    elif db.scalar(sa.select(_call.call_id).where(_call.call_id == call_id)) is None:
        raise StoreError(f"there is no Builder call {call_id}")


def note_usage(db: sa.Connection, call_id: int, usage: Usage) -> None:
    """Keep what an open call has used so far, and hold it in its accounts where it is more than was booked."""
    is_open = (_call.call_id == call_id, _call.settled_at.is_(None))
    row = db.execute(sa.select(*_BOOKED).where(*is_open).with_for_update()).first()
    if row is None or row.booked_tokens is None:
        return
    before = Amount(tokens=row.booked_tokens, cost_usd=row.booked_usd)
    held = before.most(Amount(tokens=usage.total_tokens, cost_usd=usage.cost_usd or 0.0))
    values = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.cost_usd,
        "booked_tokens": held.tokens,
        "booked_usd": held.cost_usd,
    }
    db.execute(builder_call.update().where(*is_open).values(**values))
    if held != before:
        _book(db, row, held - before)


def _rebook(db: sa.Connection, row: sa.Row[Any], usage: Usage) -> None:
    if row.booked_tokens is None:
        return  # It was reserved before there were accounts.
    booked = Amount(tokens=row.booked_tokens, cost_usd=row.booked_usd)
    _book(db, row, Amount(tokens=usage.total_tokens, cost_usd=usage.cost_usd or 0.0) - booked)


def _book(db: sa.Connection, row: sa.Row[*tuple[Any, ...]], more: Amount) -> None:
    """Book more of a call to the accounts that it was reserved in."""
    address = AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number)
    account = spending.account_of(db, row.session_id)
    spending.add(db, accounts_of(address, account, now=row.reserved_at), more)


def _note_pause(db: sa.Connection, builder: str, failure: FailureReport | None, *, now: float) -> None:
    if failure is None:
        pauses.note_answer(db, builder)
    elif pauses_builder(failure):
        pauses.note_fault(db, builder, failure, now=now)


def _digest(key: BaselineKey) -> str:
    return hashlib.sha256("\0".join((key.commit, key.environment, key.command)).encode()).hexdigest()


def load_baseline(db: sa.Connection, key: BaselineKey) -> Baseline | None:
    """The stored CI result of a base, if there is one."""
    columns = sa.select(baseline.c.report, baseline.c.created_at)
    row = db.execute(columns.where(baseline.c.digest == _digest(key))).first()
    return None if row is None else Baseline(report=unpack(CiReport, row.report), captured_at=row.created_at)


def save_baseline(
    db: sa.Connection, key: BaselineKey, report: CiReport, *, now: float, replaces: Baseline | None
) -> None:
    """Keep the CI result of a base, unless one is kept already that is not the one it replaces."""
    if replaces is not None:
        same = (baseline.c.digest == _digest(key), baseline.c.created_at == replaces.captured_at)
        db.execute(baseline.update().where(*same).values(report=pack(report), created_at=now))
        return
    if db.scalar(sa.select(baseline.c.created_at).where(baseline.c.digest == _digest(key))) is not None:
        return
    row = baseline.insert().values(
        digest=_digest(key),
        commit_id=storable(key.commit),
        environment=storable(key.environment),
        command=storable(key.command),
        report=pack(report),
        created_at=now,
    )
    # Another process may have been first since we looked; on PostgreSQL that shows only now.
    with suppress(exc.IntegrityError), db.begin_nested():
        db.execute(row)
