"""The ledger of Builder calls, and baselines; each function works inside a transaction."""

import hashlib
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy import exc

from autopack.adapters.store.attempts import check_lease
from autopack.adapters.store.codec import decode, encode, pack, storable, unpack
from autopack.adapters.store.tables import baseline, builder_call
from autopack.domain.attempt import AttemptAddress, Lease
from autopack.domain.baseline import Baseline, BaselineKey
from autopack.domain.budget import Budget
from autopack.domain.ci_report import CiReport
from autopack.errors import StoreError
from autopack.ports import BuildAnswer, StoredAnswer

_call = builder_call.c


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
) -> int | None:
    """Book tokens for a call; the call's id, or None when the budget does not hold them."""
    check_lease(db, lease)
    used = _call.input_tokens + _call.output_tokens
    # A call whose process died will not come back for what it reserved; to count that would let a kill end the
    # attempt at its budget. What it cost the provider's meter stays in the usage, as estimated.
    is_lost = sa.and_(_call.settled_at.is_(None), _call.token != lease.token)
    booked = sa.func.sum(
        sa.case((is_lost, 0), (_call.settled_at.is_(None), _call.expected_tokens), else_=used)
    )
    spent = db.scalar(sa.select(sa.func.coalesce(booked, 0)).where(*_is_of(lease.address)))
    if not Budget(limit_tokens=limit_tokens, spent_tokens=int(spent or 0)).allows(expected_tokens):
        return None
    address = lease.address
    reservation = builder_call.insert().values(
        run_id=address.run_id,
        phase_id=address.phase_id,
        number=address.number,
        turn=turn,
        token=lease.token,
        state="reserved",
        is_reusable=False,
        builder=storable(builder),
        prompt_hash=prompt_hash,
        expected_tokens=expected_tokens,
        reserved_at=now,
    )
    return int(db.scalars(reservation.returning(_call.call_id)).one())


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
        "base_commit": base_commit,
        "duration_seconds": duration_seconds,
        "settled_at": now,
    }
    is_open = (_call.call_id == call_id, _call.settled_at.is_(None))
    if db.execute(builder_call.update().where(*is_open).values(**settled)).rowcount:
        return
    if db.scalar(sa.select(_call.call_id).where(_call.call_id == call_id)) is None:
        raise StoreError(f"there is no Builder call {call_id}")


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
