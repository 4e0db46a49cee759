"""A stuck backlog as rows: many runs, most of their phases done, failed of few causes, or waiting."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import sqlalchemy as sa

from autopack.adapters.store import heads
from autopack.adapters.store.codec import encode
from autopack.adapters.store.database import Database
from autopack.adapters.store.rows import phase_values, run_spec_text
from autopack.adapters.store.tables import attempt, fingerprint, phase, phase_need, run
from autopack.domain.failure import FailureKind, FailureReport
from autopack.domain.phase import Phase, PhaseSpec, PhaseState, Scope
from autopack.domain.run import Order, RunSpec
from autopack.domain.verdicts import AttemptOutcome

PHASES_A_RUN = 18
CAUSES = 40
SHARE_COMPLETE, SHARE_FAILED = 0.4, 0.35
"""The rest is queued; most of it waits for a phase that is not COMPLETE."""
SHARE_OF_LARGEST = 0.57
"""Of the failed phases, how many failed of the most frequent cause: 200,000 of a million phases."""
KINDS = (
    FailureKind.COLLECTION_ERROR,
    FailureKind.TEST_REGRESSION,
    FailureKind.DELIVERABLES_MISSING,
    FailureKind.PATCH_REJECTED,
    FailureKind.TIMEOUT,
    FailureKind.IMPORT_ERROR,
    FailureKind.BUILDER_ERROR,
)
_BATCH = 20_000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    key: str
    failure: FailureReport


def causes() -> tuple[Cause, ...]:
    return tuple(
        Cause(
            key=f"1:{KINDS[number % len(KINDS)]}:{number:012x}",
            failure=FailureReport(
                kind=KINDS[number % len(KINDS)],
                message=f"cause number {number}",
                evidence="the end of some output\n" * 10,
            ),
        )
        for number in range(CAUSES)
    )


LARGEST = causes()[0]
_SHARES = list(
    accumulate([SHARE_OF_LARGEST, *((1 - SHARE_OF_LARGEST) / number / 4.25 for number in range(1, CAUSES))])
)


def specs(size: int) -> Iterator[RunSpec]:
    """The runs of a backlog of ``size`` phases."""
    for number in range(-(-size // PHASES_A_RUN)):
        count = min(PHASES_A_RUN, size - number * PHASES_A_RUN)
        yield RunSpec(
            run_id=f"run-{number:06}",
            goal=f"Goal of run {number}",
            order=Order.INDEPENDENT,
            phases=tuple(_spec(number, index) for index in range(count)),
        )


def _spec(number: int, index: int) -> PhaseSpec:
    return PhaseSpec(
        phase_id=f"phase-{index:02}",
        goal=f"Do step {index} of what run {number} is for, in one sentence of a usual length",
        scope=Scope(paths=(f"src/part_{number % 500}/", f"tests/test_part_{number % 500}.py")),
        deliverables=(f"src/part_{number % 500}/step_{index}.py",),
        acceptance=("the new tests pass",),
    )


@dataclass(slots=True)
class _Dice:
    """Chooses states and causes; the same seed gives the same backlog."""

    random: random.Random

    def state(self) -> PhaseState:
        drawn = self.random.random()
        if drawn < SHARE_COMPLETE:
            return PhaseState.COMPLETE
        return PhaseState.FAILED if drawn < SHARE_COMPLETE + SHARE_FAILED else PhaseState.QUEUED

    def cause(self, known: Sequence[Cause]) -> Cause:
        (chosen,) = self.random.choices(known, cum_weights=_SHARES)
        return chosen

    def is_ready(self) -> bool:
        return self.random.random() < 0.02


def fill(database: Database, size: int) -> None:
    """Write the rows of a backlog, and bring the runs' summaries up to date."""
    dice, known = _Dice(random.Random(size)), causes()
    rows = ((spec, number, dice) for number, spec in enumerate(specs(size), start=1))
    while batch := list(islice(rows, _BATCH // PHASES_A_RUN)):
        tables: dict[sa.Table, list[Row]] = {run: [], phase: [], phase_need: [], attempt: []}
        for spec, number, _ in batch:
            _add_run(tables, spec, number, dice, known)
        with database.writing() as db:
            for table, some in tables.items():
                if some:
                    db.execute(table.insert(), some)
            ids = [spec.run_id for spec, _, _ in batch]
            heads.refresh(db, run.c.run_id.in_(ids))
    with database.writing() as db:
        _add_fingerprints(db, known)


def _add_run(
    tables: dict[sa.Table, list[Row]], spec: RunSpec, number: int, dice: _Dice, known: Sequence[Cause]
) -> None:
    tables[run].append(
        {
            "run_id": spec.run_id,
            "seq": number,
            "spec": run_spec_text(spec),
            "is_active": False,
            "created_at": 1.0,
        }
    )
    for index, one in enumerate(spec.phases):
        state = dice.state()
        cause = dice.cause(known) if state is PhaseState.FAILED else None
        is_waiting = state is PhaseState.QUEUED and index > 0 and not dice.is_ready()
        tables[phase].append(_phase_row(spec.run_id, index, one, state, cause, is_waiting=is_waiting))
        if is_waiting:
            need = {"run_id": spec.run_id, "phase_id": one.phase_id, "need": spec.phases[index - 1].phase_id}
            tables[phase_need].append(need)
        if state is not PhaseState.QUEUED:
            tables[attempt].append(_attempt_row(spec.run_id, one.phase_id, state, cause))


def _phase_row(
    run_id: str, index: int, spec: PhaseSpec, state: PhaseState, cause: Cause | None, *, is_waiting: bool
) -> Row:
    made = Phase(
        run_id=run_id,
        index=index,
        spec=spec,
        state=state,
        attempts=int(state is not PhaseState.QUEUED),
        last_attempt=int(state is not PhaseState.QUEUED),
        failure_kind=cause.failure.kind if cause else None,
        failure_message=cause.failure.message if cause else "",
        failure_fingerprint=cause.key if cause else None,
        commit="c0ffee" if state is PhaseState.COMPLETE else None,
        updated_at=2.0,
    )
    return dict(phase_values(made, missing_needs=int(is_waiting)))


def _attempt_row(run_id: str, phase_id: str, state: PhaseState, cause: Cause | None) -> Row:
    outcome = AttemptOutcome(
        final_state=state, failure=cause.failure if cause else None, fingerprint=cause.key if cause else None
    )
    return {
        "run_id": run_id,
        "phase_id": phase_id,
        "number": 1,
        "state": state,
        "token": 1,
        "owner": "host:1:1",
        "is_held": False,
        "base_commit": "ba5e",
        "started_at": 1.0,
        "heartbeat_at": 1.0,
        "finished_at": 2.0,
        "outcome": encode(outcome),
        "fingerprint": outcome.fingerprint,
    }


def _add_fingerprints(db: sa.Connection, known: Sequence[Cause]) -> None:
    counted = sa.select(attempt.c.fingerprint, sa.func.count()).where(attempt.c.fingerprint.is_not(None))
    sizes = dict(db.execute(counted.group_by(attempt.c.fingerprint)).all())
    db.execute(
        fingerprint.insert(),
        [
            {
                "fingerprint": cause.key,
                "kind": cause.failure.kind,
                "canonical": cause.failure.message,
                "occurrences": sizes.get(cause.key, 0),
                "seen": 0,
                "first_seen_at": 2.0,
                "last_seen_at": 2.0,
                "first_seen_in": "run-000000/phase-00/1",
                "last_seen_in": "run-000000/phase-00/1",
                "tokens": 0,
            }
            for cause in known
        ],
    )
