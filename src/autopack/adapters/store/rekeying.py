"""Stored failures under the keys of today's rules, after a change of version; works inside one transaction.

Every failure is read again. What is known of a fingerprint is counted anew from its attempts; a blocker follows the
key that most of its attempts have now, and keeps its number, its state and its history.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import heads, reading
from autopack.adapters.store.codec import decode, encode, storable
from autopack.adapters.store.tables import (
    attempt,
    blocker,
    builder_call,
    drain_attempt,
    fingerprint,
    phase,
    run,
)
from autopack.domain.attempt import AttemptAddress
from autopack.domain.fingerprint import VERSION, Fingerprint, of_failure
from autopack.domain.session import DrainResult
from autopack.domain.verdicts import AttemptOutcome

_known = fingerprint.c
Row = sa.Row[*tuple[Any, ...]]
Place = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class _Keys:
    """What every old key has become."""

    made: dict[str, Fingerprint] = field(default_factory=dict)
    """By the new key."""
    of_attempt: dict[AttemptAddress, str] = field(default_factory=dict)
    of_place: dict[tuple[str, Place], str] = field(default_factory=dict)
    """By the old key and the phase: the new key of the phase's newest attempt that ended with it."""
    commonest: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, old: str, address: AttemptAddress, made: Fingerprint) -> None:
        key = str(made)
        self.made.setdefault(key, made)
        self.of_attempt[address] = key
        self.of_place[old, (address.run_id, address.phase_id)] = key
        self.commonest[old][key] += 1

    def now(self, old: str | None, place: Place) -> str | None:
        """The key that stands for an old one at a phase; one that no attempt tells of stays as it is."""
        return None if old is None else self.of_place.get((old, place)) or self.mostly(old)

    def mostly(self, old: str) -> str:
        """The key that most attempts have now which ended with an old one."""
        found = self.commonest.get(old)
        return old if not found else min(found, key=lambda key: (-found[key], key))


def rekey(db: sa.Connection) -> None:
    """Give every stored failure the key of today's rules; where all have it, nothing changes."""
    of_today = _known.fingerprint.startswith(f"{VERSION}:", autoescape=True)
    if db.execute(sa.select(_known.fingerprint).where(~of_today).limit(1)).first() is None:
        return
    keys = _Keys()
    for row in _failures(db):
        _rekey_attempt(db, row, keys)
    _rekey_drains(db, keys)
    _rekey_phases(db, keys)
    _rekey_known(db, keys)
    _rekey_blockers(db, keys)
    _mark(db)


def _failures(db: sa.Connection) -> Sequence[Row]:
    """Every attempt with a fingerprint, in the order in which they ended."""
    order = (attempt.c.finished_at, attempt.c.run_id, attempt.c.phase_id, attempt.c.number)
    columns = sa.select(attempt.c.run_id, attempt.c.phase_id, attempt.c.number, attempt.c.fingerprint)
    return db.execute(columns.where(attempt.c.fingerprint.is_not(None)).order_by(*order)).all()


def _at(row: Row) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        attempt.c.run_id == row.run_id,
        attempt.c.phase_id == row.phase_id,
        attempt.c.number == row.number,
    )


def _rekey_attempt(db: sa.Connection, row: Row, keys: _Keys) -> None:
    outcome = decode(AttemptOutcome, str(db.scalar(sa.select(attempt.c.outcome).where(*_at(row)))))
    if outcome.failure is None:
        return
    address = AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number)
    made = of_failure(outcome.failure, place=f"{row.run_id}/{row.phase_id}")
    keys.note(row.fingerprint, address, made)
    values = {"fingerprint": str(made), "outcome": encode(replace(outcome, fingerprint=str(made)))}
    db.execute(attempt.update().where(*_at(row)).values(**values))


def _rekey_drains(db: sa.Connection, keys: _Keys) -> None:
    item = drain_attempt.c
    rows = db.execute(
        sa.select(
            *(item[name] for name in ("session_id", "seq", "run_id", "phase_id", "number")),
            item.fingerprint,
            item.expected_fingerprint,
            item.result,
        ).where(sa.or_(item.fingerprint.is_not(None), item.expected_fingerprint.is_not(None)))
    ).all()
    for row in rows:
        place = (row.run_id, row.phase_id)
        ended = keys.of_attempt.get(
            AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number)
        )
        key = None if row.fingerprint is None else ended or keys.now(row.fingerprint, place)
        values = {
            "fingerprint": key,
            "expected_fingerprint": keys.now(row.expected_fingerprint, place),
            "result": _rekeyed(row.result, ended),
        }
        ours = (item.session_id == row.session_id, item.seq == row.seq)
        db.execute(drain_attempt.update().where(*ours).values(**values))


def _rekeyed(result: str | None, key: str | None) -> str | None:
    if result is None or key is None:
        return result
    return encode(replace(decode(DrainResult, result), failure_fingerprint=key))


def _rekey_phases(db: sa.Connection, keys: _Keys) -> None:
    columns = (phase.c.run_id, phase.c.phase_id, phase.c.failure_fingerprint)
    rows = db.execute(sa.select(*columns).where(phase.c.failure_fingerprint.is_not(None))).all()
    for row in rows:
        key = keys.now(row.failure_fingerprint, (row.run_id, row.phase_id))
        ours = (phase.c.run_id == row.run_id, phase.c.phase_id == row.phase_id)
        db.execute(phase.update().where(*ours).values(failure_fingerprint=key))


# --- what is known of each ------------------------------------------------------------------------------


def _rekey_known(db: sa.Connection, keys: _Keys) -> None:
    """Count each new key from its attempts; its stop and its lift are those of the old keys that it comes from."""
    old = {row.fingerprint: row for row in db.execute(sa.select(fingerprint))}
    sources: defaultdict[str, list[Row]] = defaultdict(list)
    for was, found in keys.commonest.items():
        for key in found:
            sources[key].append(old[was])
    gone = [key for key in old if key in keys.commonest]
    db.execute(fingerprint.delete().where(_known.fingerprint.in_(gone)))
    totals = _totals(db)
    for key, rows in sources.items():
        db.execute(fingerprint.insert().values(**_row_of(db, keys.made[key], rows, totals[key])))


def _totals(db: sa.Connection) -> Mapping[str, Row]:
    """How often each key ended an attempt, when first and last, and what those attempts used."""
    call = builder_call.c
    theirs = (
        call.run_id == attempt.c.run_id,
        call.phase_id == attempt.c.phase_id,
        call.number == attempt.c.number,
    )
    tokens = (
        sa.select(sa.func.coalesce(sa.func.sum(reading.used_tokens()), 0)).where(*theirs).scalar_subquery()
    )
    each = (
        sa.select(attempt.c.fingerprint, attempt.c.finished_at, tokens.label("tokens"))
        .where(attempt.c.fingerprint.is_not(None))
        .subquery()
    )
    query = sa.select(
        each.c.fingerprint,
        sa.func.count().label("occurrences"),
        sa.func.min(each.c.finished_at).label("first_at"),
        sa.func.max(each.c.finished_at).label("last_at"),
        sa.func.sum(each.c.tokens).label("tokens"),
    ).group_by(each.c.fingerprint)
    return {row.fingerprint: row for row in db.execute(query)}


def _row_of(db: sa.Connection, made: Fingerprint, rows: list[Row], totals: Row) -> dict[str, Any]:
    lifted_at = max((row.lifted_at for row in rows if row.lifted_at is not None), default=None)
    seen = _seen(db, str(made), since=lifted_at or 0.0)
    stopped = [row for row in rows if row.stopped_at is not None and seen >= row.stop_limit]
    stop = max(stopped, key=lambda row: row.stopped_at, default=None)
    newest = max(rows, key=lambda row: (row.last_seen_at, row.fingerprint))
    return {
        "fingerprint": str(made),
        "kind": str(made.kind),
        "canonical": storable(made.canonical),
        "occurrences": int(totals.occurrences),
        "seen": seen,
        "first_seen_at": totals.first_at,
        "last_seen_at": totals.last_at,
        "first_seen_in": _attempt_at(db, str(made), totals.first_at),
        "last_seen_in": _attempt_at(db, str(made), totals.last_at),
        "tokens": int(totals.tokens),
        "stopped_at": None if stop is None else stop.stopped_at,
        "stopped_by": "" if stop is None else stop.stopped_by,
        "stop_limit": 0 if stop is None else stop.stop_limit,
        "lifted_at": None if stop is not None else lifted_at,
        "lifted_why": newest.lifted_why,
    }


def _seen(db: sa.Connection, key: str, *, since: float) -> int:
    ours = (drain_attempt.c.fingerprint == key, drain_attempt.c.booked_at >= since)
    scopes = db.scalars(sa.select(drain_attempt.c.scope).where(*ours)).all()
    # A replay costs nothing and was never counted.
    return sum('"replay":"only"' not in scope for scope in scopes)


def _attempt_at(db: sa.Connection, key: str, at: float) -> str:
    ours = (attempt.c.fingerprint == key, attempt.c.finished_at == at)
    order = (attempt.c.run_id, attempt.c.phase_id, attempt.c.number)
    row = db.execute(sa.select(*order).where(*ours).order_by(*order).limit(1)).one()
    return str(AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number))


def _rekey_blockers(db: sa.Connection, keys: _Keys) -> None:
    rows = db.execute(sa.select(blocker.c.number, blocker.c.fingerprint).order_by(blocker.c.number)).all()
    taken = {row.fingerprint for row in rows}
    for row in rows:
        key = keys.mostly(row.fingerprint)
        if key == row.fingerprint:
            continue
        if key in taken:
            # Two that turn out to be one cause: the younger keeps what it was, and holds nothing any more.
            _keep_known(db, row.fingerprint, like=key)
            continue
        taken.add(key)
        db.execute(blocker.update().where(blocker.c.number == row.number).values(fingerprint=key))


def _keep_known(db: sa.Connection, old: str, *, like: str) -> None:
    row = db.execute(sa.select(fingerprint).where(_known.fingerprint == like)).mappings().one()
    values = {
        **row,
        "fingerprint": old,
        "occurrences": 0,
        "seen": 0,
        "tokens": 0,
        "stopped_at": None,
    }
    db.execute(fingerprint.insert().values(**values))


def _mark(db: sa.Connection) -> None:
    is_stopped = sa.exists().where(
        _known.fingerprint == phase.c.failure_fingerprint, _known.stopped_at.is_not(None)
    )
    db.execute(phase.update().values(is_stopped=is_stopped))
    heads.refresh(db, run.c.run_id.is_not(None))
