"""Rows as domain values and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store.codec import decode, encode, storable
from autopack.domain.attempt import Attempt, AttemptAddress
from autopack.domain.drain_policy import failure_rank
from autopack.domain.failure import FailureKind
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.run import Run, RunSpec
from autopack.domain.verdicts import AttemptOutcome

# Column values on their way to the driver; nothing outside this package sees one.
Values = Mapping[str, Any]
Row = sa.Row[Any]


def to_phase(row: Row) -> Phase:
    """The phase of a row of the phase table."""
    return Phase(
        run_id=row.run_id,
        index=row.idx,
        spec=decode(PhaseSpec, row.spec),
        state=PhaseState(row.state),
        attempts=row.attempts,
        last_attempt=row.last_attempt,
        crashes=row.crashes,
        requeues=row.requeues,
        failure_kind=None if row.failure_kind is None else FailureKind(row.failure_kind),
        failure_message=row.failure_message,
        failure_fingerprint=row.failure_fingerprint,
        is_stopped=row.is_stopped,
        commit=row.commit_id,
        retry_at=row.retry_at,
        awaits_approval=row.awaits_approval,
        updated_at=row.updated_at,
    )


def progress_values(phase: Phase) -> Values:
    """The columns that an attempt or an operator changes."""
    return {
        "state": phase.state,
        "attempts": phase.attempts,
        "last_attempt": phase.last_attempt,
        "crashes": phase.crashes,
        "requeues": phase.requeues,
        "failure_kind": phase.failure_kind,
        "failure_message": storable(phase.failure_message),
        "failure_fingerprint": phase.failure_fingerprint,
        "failure_rank": failure_rank(phase.failure_kind),
        "is_stopped": phase.is_stopped,
        "commit_id": phase.commit,
        "retry_at": phase.retry_at,
        "awaits_approval": phase.awaits_approval,
        "updated_at": phase.updated_at,
    }


def phase_values(phase: Phase, *, missing_needs: int) -> Values:
    """Every column of the phase."""
    return {
        "run_id": phase.run_id,
        "phase_id": phase.phase_id,
        "idx": phase.index,
        "spec": encode(phase.spec),
        "missing_needs": missing_needs,
        **progress_values(phase),
    }


def to_run(row: Row, phases: tuple[PhaseSpec, ...]) -> Run:
    """The run of a row of the run table; its phases are kept in a table of their own."""
    return Run(
        spec=replace(decode(RunSpec, row.spec), phases=phases),
        created_at=row.created_at,
        is_active=row.is_active,
    )


def run_spec_text(spec: RunSpec) -> str:
    """The run's own fields as they are stored."""
    return encode(replace(spec, phases=()))


def to_attempt(row: Row) -> Attempt:
    """The attempt of a row of the attempt table."""
    return Attempt(
        address=AttemptAddress(run_id=row.run_id, phase_id=row.phase_id, number=row.number),
        state=PhaseState(row.state),
        token=row.token,
        owner=row.owner,
        base_commit=row.base_commit,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        finished_at=row.finished_at,
        outcome=None if row.outcome is None else decode(AttemptOutcome, row.outcome),
    )
