"""What a policy paid for a backlog and got for it, and whether that meets the bars."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.drain_waste.backlog import Backlog, Member

OURS = "ours"
"""A process for each attempt."""
OURS_RECORDED = "ours, recorded"
"""The same controller and store, with attempts that end as a recording says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt of a drain."""

    member: Member
    is_success: bool
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of one backlog under one policy."""

    backlog: Backlog
    policy: str
    tries: tuple[Try, ...]
    predicted_saving: int | None = None
    """Tokens that the held-up phases would have used by the product's own estimate; None for rivals, which make none."""
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The fingerprints that each cause was met under, by its name; empty for rivals."""

    @property
    def wasted_tokens(self) -> int:
        """Spent on attempts of phases that could not succeed."""
        return sum(it.tokens for it in self.tries if not it.member.is_useful)

    @property
    def tokens(self) -> int:
        return sum(it.tokens for it in self.tries)

    @property
    def completed(self) -> frozenset[str]:
        """Useful phases that were completed."""
        return frozenset(it.member.name for it in self.tries if it.is_success)

    @property
    def held_back(self) -> frozenset[str]:
        """Useful phases that were not completed, although each needed one attempt only."""
        return self.backlog.useful - self.completed

    @property
    def attempts_by_blocker(self) -> Mapping[str, int]:
        return {blocker.name: self._count(blocker.name) for blocker in self.backlog.cell.blockers}

    def _count(self, cause: str) -> int:
        return sum(it.member.cause.name == cause for it in self.tries)

    @property
    def foreseen_tokens(self) -> int:
        """Spent on what shows before the Builder is asked."""
        return sum(it.tokens for it in self.tries if it.member.cause.is_foreseen)

    @property
    def figures(self) -> tuple[object, ...]:
        """What a drain of real processes and one of recorded outcomes must agree on."""
        return (len(self.tries), self.wasted_tokens, self.tokens, self.completed, self.attempts_by_blocker)


def split_keys(tally: Tally) -> Mapping[str, frozenset[str]]:
    """Causes that were met under more than one fingerprint, with these."""
    return {cause: keys for cause, keys in tally.keys.items() if len(keys) > 1}


def merged_keys(tally: Tally) -> Mapping[str, frozenset[str]]:
    """Fingerprints under which more than one cause was met, with these."""
    causes: dict[str, set[str]] = defaultdict(set)
    for cause, keys in tally.keys.items():
        for key in keys:
            causes[key].add(cause)
    return {key: frozenset(names) for key, names in causes.items() if len(names) > 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One promise, and where it was broken."""

    name: str
    misses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'MISSED' if self.misses else 'OK':7} {self.name}" + "".join(
            f"\n          {miss}" for miss in self.misses[:10]
        )


def judge(tallies: Iterable[Tally], *, limit: int) -> tuple[Bar, ...]:
    """The bars over all drains of ours, rivals being left out.

    Args:
        tallies: Of all drains; each of processes has one of recordings beside it.
        limit: How often a fingerprint may be seen.
    """
    ours = tuple(tally for tally in tallies if tally.policy in {OURS, OURS_RECORDED})
    real = tuple(tally for tally in ours if tally.policy == OURS)
    recorded = tuple(tally for tally in ours if tally.policy == OURS_RECORDED)
    by_cell = {tally.backlog.cell: tally for tally in recorded}
    too_often = [
        f"{tally.backlog.cell}: {count} attempts of {name}"
        for tally in ours
        for name, count in tally.attempts_by_blocker.items()
        if count > limit
    ]
    paid = [
        f"{tally.backlog.cell}: {tally.foreseen_tokens:,} tokens" for tally in ours if tally.foreseen_tokens
    ]
    held = [
        f"{tally.backlog.cell}: {len(tally.held_back)}, for instance {min(tally.held_back)}"
        for tally in ours
        if tally.held_back
    ]
    apart = [
        f"{it.backlog.cell}: {_shown(it)} by processes, {_shown(by_cell[it.backlog.cell])} by recordings"
        for it in real
        if it.figures != by_cell[it.backlog.cell].figures
    ]
    split = [
        f"{it.backlog.cell}: {cause} as {sorted(keys)}"
        for it in ours
        for cause, keys in split_keys(it).items()
    ]
    merged = [
        f"{it.backlog.cell}: {sorted(names)} as {key}"
        for it in ours
        for key, names in merged_keys(it).items()
    ]
    return (
        Bar(name=f"at most {limit} attempts of each blocker", misses=tuple(too_often)),
        Bar(name="no token for what shows before the Builder is asked", misses=tuple(paid)),
        Bar(name="no useful phase held back", misses=tuple(held)),
        Bar(name="one fingerprint for each cause", misses=tuple(split)),
        Bar(name="one cause for each fingerprint", misses=tuple(merged)),
        Bar(name="drains of processes and of recordings agree in every figure", misses=tuple(apart)),
    )


def _shown(tally: Tally) -> str:
    attempts, wasted, tokens, completed, _ = tally.figures
    return f"{attempts} attempts, {wasted:,} tokens wasted of {tokens:,}, {len(completed)} completed"
