"""Stored failures under the keys of other rules: what follows from them stays, and blockers keep their numbers."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from drain_record import Record, cause

from autopack.adapters.store.codec import decode
from autopack.adapters.store.rekeying import rekey
from autopack.adapters.store.tables import attempt, blocker, drain_attempt, fingerprint, phase
from autopack.domain.blocker import BlockerEvent, BlockerState
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.failure import FailureKind
from autopack.domain.fingerprint import VERSION
from autopack.domain.session import DrainResult

EMPTY = FailureKind.EMPTY_CHANGE


@pytest.fixture
def record(sql_store):
    """One cause that holds three runs and is stopped; idle answers of two phases."""
    record = Record(sql_store)
    record.backlog(
        one={"a": cause("ann")}, two={"a": cause("ann"), "b": cause("x", EMPTY)}, three={"a": cause("ann")},
        four={"a": cause("x", EMPTY)},
    )  # fmt: skip
    session = record.start(limits=DrainLimits(max_fingerprint_repeats=2, max_attempts_per_phase=1))
    for pick in iter(lambda: record.pick(session), None):
        place = f"{pick.address.run_id}/{pick.address.phase_id}"
        record.work(pick, cause("x", EMPTY) if place in {"two/b", "four/a"} else cause("ann"))
    return record


def with_old_keys(record):
    """As another version had it: its own number, and one key for all idle answers."""
    with record.drains._database.writing() as db:
        for table, names in (
            (attempt, ["fingerprint"]),
            (phase, ["failure_fingerprint"]),
            (drain_attempt, ["fingerprint", "expected_fingerprint"]),
            (blocker, ["fingerprint"]),
        ):
            for name in names:
                column = table.c[name]
                old = sa.case(
                    (column.contains(EMPTY), f"1:{EMPTY}:000000000000"),
                    else_=sa.func.replace(column, f"{VERSION}:", "1:"),
                )
                db.execute(table.update().where(column.is_not(None)).values({name: old}))
        empty = fingerprint.c.fingerprint.contains(EMPTY)
        first = db.scalars(sa.select(fingerprint.c.fingerprint).where(empty)).first()
        db.execute(fingerprint.delete().where(empty, fingerprint.c.fingerprint != first))
        shared = {"fingerprint": f"1:{EMPTY}:000000000000", "occurrences": 4, "seen": 2, "canonical": EMPTY}
        stopped = {"stopped_at": record.now, "stopped_by": "s", "stop_limit": 2}
        db.execute(fingerprint.update().where(empty).values(**shared, **stopped))
        others = sa.func.replace(fingerprint.c.fingerprint, f"{VERSION}:", "1:")
        db.execute(fingerprint.update().where(~empty).values(fingerprint=others))
        db.execute(phase.update().where(phase.c.failure_fingerprint.is_not(None)).values(is_stopped=True))


def facts(record):
    with record.drains._database.reading() as db:
        results = [
            decode(DrainResult, text).failure_fingerprint
            for text in db.scalars(sa.select(drain_attempt.c.result).order_by(drain_attempt.c.seq))
        ]
    runs = [it.run_id for it in record.store.runs()]
    # Attempts that ended at one moment have no order.
    known = [replace(it, first_seen_in="", last_seen_in="") for it in record.drains.fingerprints(limit=99)]
    return {
        "known": sorted(known, key=lambda it: it.fingerprint),
        "phases": [
            (it.phase_id, it.failure_fingerprint, it.is_stopped)
            for run in runs
            for it in record.store.phases(run)
        ],
        "results": results,
        "next": [str(it) for it in record.drains.preview(record.start().scope, DrainLimits(), limit=9)],
        "blockers": [(it.number, it.state, it.cause.fingerprint) for it in record.store.triage.blockers()],
    }


def test_old_keys_become_what_the_rules_of_today_make_of_the_failures(record):
    (opened,) = record.store.triage.open_blockers(now=record.now)
    record.store.triage.move_blocker(
        opened, BlockerState.FIX_PROPOSED, BlockerEvent(at=record.now, event="fix proposed")
    )
    before = facts(record)
    with_old_keys(record)
    assert facts(record) != before
    with record.drains._database.writing() as db:
        rekey(db)
    after = facts(record)
    assert after == before
    assert {it.fingerprint.split(":")[0] for it in after["known"]} == {VERSION}
    # The idle answers of two phases have nothing in common: neither stops the other.
    assert [it.stopped_at for it in after["known"] if it.kind == EMPTY] == [None, None]


def test_keys_of_today_are_left_alone(record):
    before = facts(record)
    with record.drains._database.writing() as db:
        rekey(db)
    assert facts(record) == before
