"""Runs and phases that the record may not hold: one that was named and never imported has nothing to say."""

from collections.abc import Sequence

from autopack.domain.phase import Phase
from autopack.errors import NotRecordedError
from autopack.ports import Store


def recorded_phases(store: Store, run_id: str) -> Sequence[Phase]:
    """The run's phases in plan order; empty where there is no such run."""
    try:
        return store.phases(run_id)
    except NotRecordedError:
        return ()


def recorded_phase(store: Store, run_id: str, phase_id: str) -> Phase | None:
    """The phase, if there is one."""
    try:
        return store.phase(run_id, phase_id)
    except NotRecordedError:
        return None
