"""What the record of drains in memory keeps of each attempt, and what follows from all of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autopack.domain.drain_policy import DrainLimits
from autopack.domain.session import DrainResult, DrainScope, Pick


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picked attempt; ``result`` is None while it is under way."""

    pick: Pick
    scope: DrainScope
    """As the session that picked it was told; whoever adopts it makes it so."""
    timeout_seconds: float
    seq: int
    """Its place among its session's, from 1."""
    result: DrainResult | None = None
    booked_at: float | None = None
    is_counted: bool = False
    """Whether it counts against the limit of attempts of its phase."""
    is_timeout: bool = False
    fingerprint: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether its result is not booked yet."""
        return self.booked_at is None

    @property
    def place(self) -> tuple[str, str]:
        """Its run and phase."""
        return self.pick.address.run_id, self.pick.address.phase_id


def late_runs(items: Iterable[Item], limits: DrainLimits) -> tuple[str, ...]:
    """The runs with as many time-outs as a session may have, by name."""
    late = Counter(item.place[0] for item in items if item.is_timeout)
    return tuple(sorted(run_id for run_id, times in late.items() if times >= limits.max_timeouts_per_run))


def spent_phases(items: Iterable[Item], limits: DrainLimits) -> frozenset[tuple[str, str]]:
    """The phases that were tried as often as a session may."""
    tries = Counter(item.place for item in items if item.is_counted)
    return frozenset(place for place, times in tries.items() if times >= limits.max_attempts_per_phase)


def faulty_phases(items: Iterable[Item], limits: DrainLimits) -> frozenset[tuple[str, str]]:
    """The phases that faults of the surroundings ended as often as a session may meet one."""
    most = limits.max_faults_per_phase
    faults = Counter(item.place for item in items if not item.is_open and not item.is_counted)
    return frozenset(place for place, times in faults.items() if most is not None and times >= most)


def fingerprint_counts(items: Iterable[Item]) -> dict[str, int]:
    """How often each fingerprint ended an attempt, the most frequent first."""
    counts = Counter(item.fingerprint for item in items if item.fingerprint is not None)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def newest_with(items: Sequence[Item], key: str, *, most: int) -> tuple[str, ...]:
    """The newest booked attempts that ended with a fingerprint, newest last."""
    ours = sorted(
        (item.booked_at, item.pick.session_id, item.seq, str(item.pick.address))
        for item in items
        if item.fingerprint == key and item.booked_at is not None
    )
    return tuple(name for *_, name in ours[-most:])
