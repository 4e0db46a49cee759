"""What became of every Builder call, and which were not made; each function works inside a transaction."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store.codec import decode
from autopack.adapters.store.reading import used_tokens
from autopack.adapters.store.tables import attempt, builder_call, drain_attempt, fingerprint, phase
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.domain.phase import PhaseState
from autopack.domain.session import DrainResult
from autopack.domain.waste import BookedCall, CallEnd, SavedCall, Saving

_attempt = attempt.c
_call = builder_call.c
_item = drain_attempt.c
# Every field of an outcome is written, so that these are in its text exactly where they are in its value: inside a
# text of it each quotation mark has a backslash before it.
_DOOMED = '%"kind":"doomed"%'
_WAS_DOOMED = '%"failure_kind":"doomed"%'
Row = sa.Row[*tuple[Any, ...]]
Parts = tuple[sa.ColumnElement[Any], ...]


def _place(columns: Any) -> Parts:
    return (columns.run_id, columns.phase_id, columns.number)


def _same_place(ours: Parts, theirs: Parts) -> sa.ColumnElement[bool]:
    return sa.and_(*(one == other for one, other in zip(ours, theirs, strict=True)))


def _address(row: Row) -> AttemptAddress:
    return AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replayed:
    """An attempt that judged an earlier attempt's answer again."""

    state: PhaseState
    base_commit: str | None
    fingerprint: str | None


_Replays = Mapping[AttemptAddress, Sequence[_Replayed]]
"""By the attempt whose answer it was."""


def booked_calls(db: sa.Connection, *, session_id: str | None) -> tuple[BookedCall, ...]:
    """Every Builder call, or those of a session, in the order in which they were reserved."""
    shared, replays = _shared_fingerprints(db), _read_replays(db, _asked_by(session_id))
    query = (
        sa.select(
            *_place(_call),
            used_tokens().label("tokens"),
            _call.reserved_at,
            _call.settled_at,
            _call.state.label("call_state"),
            _call.is_reusable,
            _call.token.label("call_token"),
            _call.cost_usd,
            *(_attempt[name] for name in ("state", "token", "is_held", "finished_at", "fingerprint")),
            _attempt.base_commit,
            _attempt.outcome,
            phase.c.state.label("phase_state"),
            phase.c.last_attempt,
        )
        .join_from(builder_call, attempt, _same_place(_place(_call), _place(_attempt)))
        .join(phase, sa.and_(phase.c.run_id == _call.run_id, phase.c.phase_id == _call.phase_id))
        .order_by(_call.call_id)
    )
    if session_id is not None:
        query = query.where(_call.session_id == session_id)
    return tuple(_to_booked(row, shared, replays) for row in db.execute(query))


def _to_booked(row: Row, shared: frozenset[str], replays: _Replays) -> BookedCall:
    address = _address(row)
    kind, is_retryable = _failure_of(row.outcome)
    again = replays.get(address, ())
    return BookedCall(
        address=address,
        tokens=int(row.tokens),
        reserved_at=row.reserved_at,
        cost_usd=row.cost_usd,
        end=_end_of(row),
        is_open=_is_open(row),
        final_state=PhaseState(row.state),
        failure_kind=kind,
        is_retryable=is_retryable,
        fingerprint=row.fingerprint,
        is_blocker=row.fingerprint in shared,
        is_flaky=any(it.base_commit == row.base_commit and it.fingerprint != row.fingerprint for it in again),
        is_used_later=any(it.state is PhaseState.COMPLETE for it in again),
    )


def _end_of(row: Row) -> CallEnd:
    if row.settled_at is None:
        return CallEnd.UNDER_WAY if row.is_held and row.token == row.call_token else CallEnd.LOST
    return CallEnd.ANSWERED if row.is_reusable else CallEnd.FAULT


def _is_open(row: Row) -> bool:
    if row.finished_at is not None:
        return False
    is_due = row.number == row.last_attempt and not PhaseState(row.phase_state).is_terminal
    return row.is_held or is_due


def _failure_of(outcome: str | None) -> tuple[FailureKind | None, bool]:
    # Not decoded as a whole: the gates' words on many thousand attempts are long, and not asked for.
    failure = (json.loads(outcome) if outcome else {}).get("failure")
    return (FailureKind(failure["kind"]), failure.get("retryable", False)) if failure else (None, False)


def _shared_fingerprints(db: sa.Connection) -> frozenset[str]:
    """The fingerprints that more than one phase ended with: a look or two into an index for each that is known."""
    known, one, other = fingerprint.c.fingerprint, attempt.alias("one"), attempt.alias("other")
    some_phase = sa.select(_phase_of(one.c)).where(one.c.fingerprint == known).limit(1)
    is_other = _phase_of(other.c) != some_phase.correlate(fingerprint).scalar_subquery()
    has_other = sa.exists().where(other.c.fingerprint == known, is_other).correlate(fingerprint)
    return frozenset(db.scalars(sa.select(known).where(has_other)))


def _phase_of(columns: Any) -> sa.ColumnElement[str]:
    # In one value, so that its parts are those of one row; a name has no slash in it.
    return columns.run_id + "/" + columns.phase_id  # type: ignore[no-any-return]


def _asked_by(session_id: str | None) -> sa.ColumnElement[bool]:
    """That an attempt is one of a phase for which a session had calls made."""
    if session_id is None:
        return sa.true()
    same = (_call.run_id == _attempt.run_id, _call.phase_id == _attempt.phase_id)
    return sa.exists().where(_call.session_id == session_id, *same)


def _counted_by(session_id: str | None) -> sa.ColumnElement[bool]:
    """That an attempt is one of a session's, and counts."""
    if session_id is None:
        return sa.true()
    mine = sa.and_(_item.session_id == session_id, _item.is_counted)
    return sa.exists().where(mine, _same_place(_place(_item), _place(_attempt)))


def _replaying(db: sa.Connection, which: sa.ColumnElement[bool]) -> list[tuple[AttemptAddress, Row]]:
    """The ended attempts that judged an answer again: whose it was, and the attempt."""
    told = (
        _attempt[name] for name in ("state", "base_commit", "fingerprint", "finished_at", "replayed_from")
    )
    ended = (_attempt.finished_at.is_not(None), _attempt.replayed_from.is_not(None), which)
    rows = db.execute(sa.select(*_place(_attempt), *told).where(*ended).order_by(*_place(_attempt)))
    return [
        (AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.replayed_from), row)
        for row in rows
    ]


def _read_replays(db: sa.Connection, which: sa.ColumnElement[bool]) -> _Replays:
    found: dict[AttemptAddress, list[_Replayed]] = defaultdict(list)
    for source, row in _replaying(db, which):
        found[source].append(
            _Replayed(state=PhaseState(row.state), base_commit=row.base_commit, fingerprint=row.fingerprint)
        )
    return found


# --- what was not spent ---------------------------------------------------------------------------------


def saved_calls(db: sa.Connection, *, session_id: str | None) -> tuple[SavedCall, ...]:
    """The calls that were not made, or those that a session's attempts did not make, in the order of attempts."""
    ours = _counted_by(session_id)
    found = [*_replay_saved(db, ours), *_doom_saved(db, ours)]
    return tuple(sorted(found, key=lambda one: one.address))


def _replay_saved(db: sa.Connection, which: sa.ColumnElement[bool]) -> list[SavedCall]:
    complete = [(source, row) for source, row in _replaying(db, which) if row.state == PhaseState.COMPLETE]
    if not complete:
        return []
    paid = _paid_answers(db)
    return [
        SavedCall(
            address=_address(row),
            saving=Saving.REPLAY,
            tokens=paid.get(source, 0),
            at=row.finished_at,
        )
        for source, row in complete
    ]


def _paid_answers(db: sa.Connection) -> dict[AttemptAddress, int]:
    """What the newest answer of each attempt cost, with the replies that went with it."""
    query = sa.select(*_place(_call), _call.turn, used_tokens().label("tokens")).where(_call.is_reusable)
    newest = {(_address(row), row.turn): int(row.tokens) for row in db.execute(query.order_by(_call.call_id))}
    paid: dict[AttemptAddress, int] = defaultdict(int)
    for (address, _), tokens in newest.items():
        paid[address] += tokens
    return paid


def _doom_saved(db: sa.Connection, which: sa.ColumnElement[bool]) -> list[SavedCall]:
    called = sa.exists().where(_same_place(_place(_call), _place(_attempt)))
    doomed = (_attempt.state == PhaseState.FAILED, _attempt.outcome.like(_DOOMED), ~called, which)
    rows = [
        row
        for row in db.execute(sa.select(attempt).where(*doomed))
        if _failure_of(row.outcome)[0] is FailureKind.DOOMED
    ]
    expected = _predictions(db) if rows else {}
    return [
        SavedCall(
            address=_address(row),
            saving=Saving.DOOM_CHECK,
            # Nobody predicts the call of an attempt that no session made.
            tokens=expected.get(_address(row), 0),
            at=row.finished_at,
        )
        for row in rows
    ]


def _predictions(db: sa.Connection) -> dict[AttemptAddress, int]:
    """What the calls of doomed attempts were expected to use."""
    query = sa.select(*_place(_item), _item.result).where(_item.is_counted, _item.result.like(_WAS_DOOMED))
    return {_address(row): decode(DrainResult, row.result).tokens_not_spent for row in db.execute(query)}
