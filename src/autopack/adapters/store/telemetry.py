"""Events of Builder calls, and what the next call is judged by; each function works inside a transaction."""

import json

import sqlalchemy as sa

from autopack.adapters.store.pauses import builder_key
from autopack.adapters.store.rows import Row
from autopack.adapters.store.tables import ANSWERED, NO_PROMPT, builder_call
from autopack.domain.attempt import AttemptAddress
from autopack.domain.estimate import Complexity, Sample, Sort
from autopack.domain.failure import FailureKind
from autopack.domain.telemetry import CallEvent
from autopack.ports import CallFilter

_call = builder_call.c
# Enough for medians that stand still; more only cost every attempt some milliseconds.
_ALIKE = 60
_RECENT = 60
_EVENT_COLUMNS = [column for column in builder_call.c if column.name not in {"answer", "prompt_hash"}]


def read_events(db: sa.Connection, calls: CallFilter) -> tuple[CallEvent, ...]:
    """The events of the calls that are asked for, oldest first; those under way too."""
    named = {
        _call.session_id: calls.session_id,
        _call.run_id: calls.run_id,
        _call.phase_id: calls.phase_id,
        _call.number: calls.number,
        _call.call_id: calls.call_id,
    }
    query = sa.select(*_EVENT_COLUMNS).where(_call.prompt_hash != NO_PROMPT).order_by(_call.call_id)
    for column, wanted in named.items():
        if wanted is not None:
            query = query.where(column == wanted)
    return tuple(_to_event(row) for row in db.execute(query))


def _to_event(row: Row) -> CallEvent:
    return CallEvent(
        call_id=row.call_id,
        address=AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number),
        session_id=row.session_id,
        turn=row.turn,
        builder=row.builder,
        begun_at=row.reserved_at,
        ended_at=row.settled_at,
        latency_seconds=row.duration_seconds,
        model=row.model or "",
        booked_tokens=row.booked_tokens or row.expected_tokens,
        predicted_tokens=row.predicted_tokens,
        input_tokens=row.expected_tokens if row.input_tokens is None else row.input_tokens,
        output_tokens=row.output_tokens or 0,
        cached_tokens=row.cached_tokens or 0,
        cost_usd=row.cost_usd,
        is_estimated=row.settled_at is None or bool(row.is_estimated),
        is_truncated=bool(row.is_truncated),
        stop_reason=row.stop_reason or "",
        failure_kind=None if row.failure_kind is None else FailureKind(row.failure_kind),
        notes=json.loads(row.notes) if row.notes else {},
    )


def read_samples(db: sa.Connection, sort: Sort, builder: str) -> tuple[Sample, ...]:
    """The Builder's newest answered calls, and its newest of the sort; newest first, each once."""
    of_builder = _call.builder == builder_key(builder)
    alike = (
        _call.category == sort.category,
        _call.complexity == sort.complexity,
        _call.deliverables == sort.deliverables,
    )
    rows = {row.call_id: row for row in _newest(db, of_builder, limit=_RECENT)}
    rows |= {row.call_id: row for row in _newest(db, of_builder, *alike, limit=_ALIKE)}
    return tuple(
        _to_sample(row)
        for _, row in sorted(rows.items(), reverse=True)
        if row.input_tokens + row.output_tokens
    )


def _newest(db: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int) -> list[Row]:
    columns = (
        _call.call_id,
        _call.category,
        _call.complexity,
        _call.deliverables,
        _call.expected_tokens,
        _call.input_tokens,
        _call.output_tokens,
        _call.cost_usd,
    )
    query = sa.select(*columns).where(sa.text(ANSWERED), *conditions).order_by(_call.call_id.desc())
    return list(db.execute(query.limit(limit)))


def _to_sample(row: Row) -> Sample:
    has_sort = row.category is not None
    return Sample(
        sort=Sort(category=row.category, complexity=Complexity(row.complexity), deliverables=row.deliverables)
        if has_sort
        else None,
        prompt_tokens=row.expected_tokens,
        tokens=row.input_tokens + row.output_tokens,
        cost_usd=row.cost_usd,
    )
