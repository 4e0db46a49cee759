"""Meets every cause once, in a real attempt, and keeps what it left behind."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import autopack
from autopack.domain.attempt import AttemptAddress
from autopack.domain.drain_policy import DrainLimits
from autopack.domain.plan import Plan
from autopack.domain.session import DrainKind, DrainScope
from autopack.execution.launch import attempt_folder
from autopack.ports import Store
from benchmarks.drain_waste.backlog import phase_spec, run_spec
from benchmarks.drain_waste.causes import OVER, Cause
from benchmarks.drain_waste.recordings import Recording, Recordings
from benchmarks.drain_waste.world import World, answer_of, break_executor, drain, make_world, write_answer

_PHASE = "probe"
_LOOKED, _UNLOOKED = "looked-", "unlooked-"
_WIDE = DrainLimits(batch_size=None, max_fingerprint_repeats=1_000)


def record(folder: Path, blockers: Sequence[Cause], *, workers: int) -> Recordings:
    """Each cause as a real attempt met it; those that show beforehand with the doom check and without."""
    world = make_world(folder)
    known = (*blockers, *OVER)
    foreseen = tuple(cause for cause in known if cause.is_foreseen)
    _plan(world, {_UNLOOKED: known, _LOOKED: foreseen})
    with world.project.store() as store:
        for prefix, other in ((_UNLOOKED, _LOOKED), (_LOOKED, _UNLOOKED)):
            scope = DrainScope(
                kind=DrainKind.QUEUED, skip_run_prefixes=(other,), doom_check=prefix == _LOOKED
            )
            drain(world, store, scope, _WIDE, workers=workers)
        return Recordings(
            looked={it.name: _read(world, store, _LOOKED, it) for it in foreseen},
            unlooked={it.name: _read(world, store, _UNLOOKED, it) for it in known},
        )


def _run_id(prefix: str, cause: Cause) -> str:
    return prefix + cause.name.replace(" ", "-")


def _plan(world: World, causes: Mapping[str, Sequence[Cause]]) -> None:
    runs = []
    for prefix, chosen in causes.items():
        for cause in chosen:
            run_id = _run_id(prefix, cause)
            name = f"{run_id}-{_PHASE}"
            runs.append(run_spec(run_id, [phase_spec(cause, phase_id=_PHASE, name=name)], base=cause.base))
            answer = answer_of(cause, name=name, number=7, tokens=cause.tokens)
            write_answer(world, run_id=run_id, phase_id=_PHASE, answer=answer)
    broken = [
        f"{_run_id(prefix, it)}/{_PHASE}"
        for prefix, chosen in causes.items()
        for it in chosen
        if it.breaks_executor
    ]
    break_executor(world, broken)
    with world.project.store() as store:
        store.import_plan(Plan(runs=tuple(runs)), now=1.0)


def _read(world: World, store: Store, prefix: str, cause: Cause) -> Recording:
    run_id = _run_id(prefix, cause)
    address = AttemptAddress(run_id=run_id, phase_id=_PHASE, number=1)
    (attempt,) = store.attempts(run_id, _PHASE)
    if attempt.outcome is None or attempt.outcome.failure is None:
        raise SystemExit(f"{cause.name}: the attempt did not fail but is {attempt.state}")
    logs = attempt_folder(world.project.settings.state_folder, address)
    return Recording(
        failure=attempt.outcome.failure,
        stderr=(logs / "executor.err").read_text("utf-8", "replace"),
        fingerprint=str(attempt.outcome.fingerprint),
        places={
            f"{run_id}-{_PHASE}": "file",
            str(world.project.root): "root",
            str(Path(autopack.__file__).parents[1]): "source",
            run_id: "run",
        },
    )
