"""A run: ordered phases on one branch, and which of them may go next."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.errors import StoreError

OWN = "_"
"""Begins the names of runs, and of folders beside those of runs, that are Autopack's own: no plan can give one."""


def is_own(run_id: str) -> bool:
    """Whether the run is Autopack's own: in the record like any other, and no backlog of anybody's."""
    return run_id.startswith(OWN)


def refuse_own(run_id: str) -> None:
    """Refuse to work on a run that is Autopack's own.

    Raises:
        StoreError: It is; the command that made it goes on with it.
    """
    if is_own(run_id):
        raise StoreError(
            f"run {run_id!r} is Autopack's own, and no backlog",
            hint="The command that made it goes on with it: autopack remediate plan --enrich.",
        )


class Order(StrEnum):
    """What a phase needs when it does not say so itself."""

    STRICT = "strict"
    """The phase before it."""
    INDEPENDENT = "independent"
    """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """A run as its plan states it."""

    run_id: str
    goal: str
    phases: tuple[PhaseSpec, ...]
    project: str | None = None
    """A folder of the repository that project-relative paths are relative to."""
    base: str = "HEAD"
    """The git revision that the run's branch starts from."""
    order: Order = Order.STRICT

    def needs_of(self, index: int) -> tuple[str, ...]:
        """The ids of the phases that the phase at ``index`` needs, in plan order."""
        spec = self.phases[index]
        if spec.needs is not None:
            return spec.needs
        if self.order is Order.INDEPENDENT or index == 0:
            return ()
        return (self.phases[index - 1].phase_id,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the store."""

    spec: RunSpec
    created_at: float = 0.0
    is_active: bool = False
    """True once an operator asked for the run to be worked off; workers take phases of active runs only."""

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.spec.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queued phase that may not go yet, and for what it waits."""

    phase_id: str
    needs: tuple[str, ...]
    """The needed phases that are not COMPLETE."""


def split_queued(run: RunSpec, phases: Sequence[Phase]) -> tuple[tuple[Phase, ...], tuple[Waiting, ...]]:
    """Split the run's QUEUED phases into those that may go and those that wait.

    Args:
        run: The run.
        phases: All phases of the run as they are now, in plan order.

    Returns:
        The runnable phases and the waiting ones, each in plan order.
    """
    complete = {phase.phase_id for phase in phases if phase.state is PhaseState.COMPLETE}
    runnable: list[Phase] = []
    waiting: list[Waiting] = []
    for phase in phases:
        if phase.state is not PhaseState.QUEUED:
            continue
        missing = tuple(need for need in run.needs_of(phase.index) if need not in complete)
        if missing:
            waiting.append(Waiting(phase_id=phase.phase_id, needs=missing))
        else:
            runnable.append(phase)
    return tuple(runnable), tuple(waiting)
