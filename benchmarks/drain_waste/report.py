"""The figures of all drains: as rows to keep, and as a table to read."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.drain_waste.tally import OURS_RECORDED, Tally

_HEAD = (
    *("phases", "held up", "by", "policy", "attempts", "wasted tokens", "x ours"),
    *("completed", "held back", "predicted saving"),
)
_LEFT = _HEAD.index("policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy on one backlog."""

    size: int
    share: int
    """Per cent of the phases that are held up."""
    blockers: tuple[str, ...]
    policy: str
    attempts: int
    wasted_tokens: int
    useful: int
    """Phases that nothing holds up."""
    completed: int
    held_back: int
    """Useful phases that were not completed."""
    predicted_saving: int | None

    @property
    def place(self) -> tuple[int, int, int]:
        """Which backlog it is about."""
        return (self.size, self.share, len(self.blockers))


def row_of(tally: Tally) -> Row:
    """A tally without its single attempts."""
    cell = tally.backlog.cell
    return Row(
        size=cell.size,
        share=cell.share,
        blockers=tuple(blocker.name for blocker in cell.blockers),
        policy=tally.policy,
        attempts=len(tally.tries),
        wasted_tokens=tally.wasted_tokens,
        useful=len(tally.backlog.useful),
        completed=len(tally.completed),
        held_back=len(tally.held_back),
        predicted_saving=tally.predicted_saving,
    )


def to_json(rows: Iterable[Row]) -> list[dict[str, object]]:
    """The rows as they are kept."""
    return [asdict(row) for row in rows]


def table(rows: Sequence[Row]) -> str:
    """All rows under one another; ``x ours`` is wasted tokens over those of our own drain of the same backlog."""
    ours = {row.place: row.wasted_tokens for row in rows if row.policy == OURS_RECORDED}
    lines = [_HEAD, *(_cells(row, ours[row.place]) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column == _LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _cells(row: Row, ours: int) -> tuple[str, ...]:
    return (
        str(row.size),
        f"{row.share} %",
        str(len(row.blockers)),
        row.policy,
        str(row.attempts),
        f"{row.wasted_tokens:,}",
        ratio(row.wasted_tokens, ours),
        f"{row.completed}/{row.useful}",
        str(row.held_back),
        "" if row.predicted_saving is None else f"{row.predicted_saving:,}",
    )


def ratio(wasted: int, ours: int) -> str:
    """How many times as much; nothing where both wasted nothing."""
    if not wasted and not ours:
        return "-"
    return f"{wasted / ours:.1f}" if ours else "inf"
