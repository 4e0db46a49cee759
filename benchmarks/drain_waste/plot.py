"""A picture of the figures: small multiples of bars, written as SVG without any library."""

from collections.abc import Iterator, Sequence
from html import escape
from statistics import mean

from benchmarks.drain_waste.report import Row
from benchmarks.drain_waste.tally import OURS_RECORDED

_POLICIES = {
    "retry-3": ("retry-3", "#b8bcc4"),
    "raw-hash breaker": ("raw-hash breaker", "#9aa0ab"),
    "original rule": ("original rule", "#7b828f"),
    OURS_RECORDED: ("ours", "#1f6fb2"),
}
_FONT = 'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11" fill="#22262e"'
_LABEL, _PANEL, _GAP = 128, 226, 16
_ROW, _BAR = 22, 15
_TOP, _PANEL_HEIGHT = 74, 4 * _ROW + 40
_VALUE = 104
"""Room to the right of the longest bar for its figures."""


def draw(rows: Sequence[Row]) -> str:
    """The picture: a row of panels for each size, a column for each share, a bar for each policy.

    A bar is the mean over the backlogs with one to four blockers.
    """
    rows = [row for row in rows if row.share and row.policy in _POLICIES]
    sizes, shares = sorted({row.size for row in rows}), sorted({row.share for row in rows})
    width = _LABEL + len(shares) * (_PANEL + _GAP) + 8
    height = _TOP + len(sizes) * _PANEL_HEIGHT + 4
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(12, 24, "Tokens wasted on phases that could not succeed", size=15, weight="bold"),
        _text(
            12,
            43,
            "Mean of backlogs with 1 to 4 blockers; bars of one row share a scale. In red: useful phases held back.",
            fill="#5b6270",
        ),
    ]
    for column, share in enumerate(shares):
        lines.append(_text(_left(column), 66, f"{share} % of the phases held up", weight="bold"))
    for line, size in enumerate(sizes):
        lines += _row_of_panels(
            size, shares, [row for row in rows if row.size == size], _TOP + line * _PANEL_HEIGHT
        )
    return "\n".join([*lines, "</svg>", ""])


def _left(column: int) -> int:
    return _LABEL + column * (_PANEL + _GAP)


def _row_of_panels(size: int, shares: Sequence[int], rows: Sequence[Row], top: int) -> Iterator[str]:
    means = {(share, policy): _mean(rows, share, policy) for share in shares for policy in _POLICIES}
    most = max(wasted for wasted, _ in means.values()) or 1.0
    yield _text(12, top + 16, f"{size} phases", weight="bold")
    for place, (name, _) in enumerate(_POLICIES.values()):
        weight = "bold" if name == "ours" else "normal"
        yield _text(_LABEL - 8, top + 24 + place * _ROW + 12, name, anchor="end", weight=weight)
    for column, share in enumerate(shares):
        yield f'<line x1="{_left(column)}" y1="{top + 20}" x2="{_left(column)}" y2="{top + 24 + 4 * _ROW}" stroke="#c9cdd4"/>'
        for place, (policy, (_, colour)) in enumerate(_POLICIES.items()):
            wasted, held = means[share, policy]
            length = (_PANEL - _VALUE) * wasted / most
            yield from _bar(_left(column), top + 24 + place * _ROW, length, colour, wasted, held)


def _mean(rows: Sequence[Row], share: int, policy: str) -> tuple[float, float]:
    chosen = [row for row in rows if row.share == share and row.policy == policy]
    return mean(row.wasted_tokens for row in chosen), mean(row.held_back for row in chosen)


def _bar(left: int, top: int, length: float, colour: str, wasted: float, held: float) -> Iterator[str]:
    yield f'<rect x="{left}" y="{top}" width="{max(length, 1):.1f}" height="{_BAR}" fill="{colour}"/>'
    shown = short(wasted)
    yield _text(left + length + 5, top + 12, shown)
    if held:
        yield _text(left + length + 11 + 6.6 * len(shown), top + 12, f"{held:.0f} held", fill="#b3261e")


def short(tokens: float) -> str:
    """Tokens as a figure that fits beside a bar: ``1.2 M``, ``340 k``, ``0``."""
    if tokens >= 1e6:
        return f"{tokens / 1e6:.1f} M"
    return f"{tokens / 1e3:.0f} k" if tokens else "0"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    weight: str = "normal",
    anchor: str = "start",
    fill: str = "#22262e",
) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
        f' fill="{fill}">{escape(text)}</text>'
    )
