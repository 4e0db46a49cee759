"""The backlogs: which phases of which runs a blocker holds up, drawn once for each cell of the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from autopack.domain.phase import Checks, PhaseSpec, Scope
from autopack.domain.plan import Plan
from autopack.domain.run import Order, RunSpec
from benchmarks.drain_waste.causes import BLOCKERS, OVER, USEFUL, Cause, good_answer, note_of

SIZES = (20, 100, 500)
SHARES = (0, 50, 90, 100)
RUNS = {20: 8, 100: 30, 500: 56}
_USEFUL_STEP = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One backlog of the grid."""

    size: int
    """Failed phases."""
    share: int
    """Per cent of them that are held up."""
    blockers: tuple[Cause, ...]

    def __str__(self) -> str:
        names = ", ".join(blocker.name for blocker in self.blockers)
        return f"{self.size} phases, {self.share} % held up by {len(self.blockers)} ({names or 'nothing'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A failed phase of a backlog."""

    run_id: str
    phase_id: str
    number: int
    """Its place in the backlog, from 0."""
    cause: Cause
    """What its next attempt meets."""
    before: Cause
    """What its last attempt met."""
    was_foreseen: bool
    """Whether that one was looked at before the Builder."""

    @property
    def name(self) -> str:
        return f"{self.run_id}/{self.phase_id}"

    @property
    def is_useful(self) -> bool:
        return self.cause == USEFUL

    @property
    def tokens(self) -> int:
        """What an attempt uses that comes to the Builder."""
        extra = _USEFUL_STEP * (self.number % 17) if self.is_useful else 0
        return self.cause.tokens + extra

    @property
    def has_good_answer(self) -> bool:
        """Whether its last attempt paid for an answer that passes by now."""
        return self.is_useful and self.before.answer is good_answer and not self.skipped_builder

    @property
    def skipped_builder(self) -> bool:
        """Whether its last attempt ended before the Builder."""
        return self.before.breaks_executor or (self.was_foreseen and self.before.is_foreseen)

    def spec(self) -> PhaseSpec:
        """The phase as a plan states it."""
        return phase_spec(self.cause, phase_id=self.phase_id, name=self.file_name)

    @property
    def file_name(self) -> str:
        return f"{self.run_id}-{self.phase_id}"


def phase_spec(cause: Cause, *, phase_id: str, name: str) -> PhaseSpec:
    """A phase that meets a cause; ``name`` is what no other phase has."""
    return PhaseSpec(
        phase_id=phase_id,
        goal=f"Write {name}",
        scope=Scope(paths=cause.paths),
        deliverables=(cause.deliverable or note_of(name),),
        checks=Checks(ci=cause.ci, timeout_seconds=60),
    )


@dataclass(frozen=True)
class Backlog:
    """The phases of a cell, in the order of runs and places."""

    cell: Cell
    members: tuple[Member, ...]

    @cached_property
    def by_name(self) -> dict[str, Member]:
        return {member.name: member for member in self.members}

    @property
    def useful(self) -> frozenset[str]:
        """The names of the phases that nothing holds up."""
        return frozenset(member.name for member in self.members if member.is_useful)

    def plan(self) -> Plan:
        """The runs of the backlog; no phase needs another."""
        by_run: dict[str, list[PhaseSpec]] = {}
        for member in self.members:
            by_run.setdefault(member.run_id, []).append(member.spec())
        return Plan(runs=tuple(run_spec(run_id, phases) for run_id, phases in by_run.items()))


def run_spec(run_id: str, phases: Sequence[PhaseSpec], *, base: str = "main") -> RunSpec:
    """A run whose phases need none of the others."""
    return RunSpec(run_id=run_id, goal="Notes", base=base, order=Order.INDEPENDENT, phases=tuple(phases))


def grid(sizes: Sequence[int] = SIZES) -> tuple[Cell, ...]:
    """Every cell; each takes as many blockers as it has, in turn, so that all of them are met in each share."""
    cells = []
    for size in sizes:
        first = 0
        for share in SHARES:
            for count in range(1, 5) if share else (0,):
                chosen = tuple(BLOCKERS[(first + step) % len(BLOCKERS)] for step in range(count))
                cells.append(Cell(size=size, share=share, blockers=chosen))
                first += count
    return tuple(cells)


def make_backlog(cell: Cell) -> Backlog:
    """Draw which phase of which run is held up by what; the same every time."""
    rng = Random(f"{cell.size}/{cell.share}/{len(cell.blockers)}")
    held = cell.size * cell.share // 100
    causes = [cell.blockers[place % len(cell.blockers)] for place in range(held)]
    causes += [USEFUL] * (cell.size - held)
    rng.shuffle(causes)
    runs = RUNS[cell.size]
    members = [_member(cause, number, number % runs, number // runs) for number, cause in enumerate(causes)]
    return Backlog(cell, tuple(sorted(members, key=lambda member: (member.run_id, member.phase_id))))


def _member(cause: Cause, number: int, run: int, place: int) -> Member:
    return Member(
        run_id=f"notes-{run:02}",
        phase_id=f"part-{place:02}",
        number=number,
        cause=cause,
        before=OVER[number % len(OVER)] if cause is USEFUL else cause,
        was_foreseen=number % 2 == 0,
    )
