"""A picture of the figures: phases completed against tokens spent, written as SVG without any library."""

from collections.abc import Iterator, Mapping, Sequence

_COLOURS = {"closed loop": "#0072b2", "fix, then retry everything": "#e69f00", "blind retry": "#d55e00"}
_WIDTH, _HEIGHT, _LEFT, _TOP = 360, 220, 64, 44
_GAP = 70


def draw(rows: Sequence[Mapping[str, object]]) -> str:
    """One panel for each size of backlog, a line for each way, a ring where 95 % is complete."""
    sizes = sorted({int(str(row["phases"])) for row in rows})
    panels = [
        _panel([row for row in rows if row["phases"] == size], size, place)
        for place, size in enumerate(sizes)
    ]
    width = _LEFT + len(sizes) * (_WIDTH + _GAP)
    body = "".join(line for panel in panels for line in panel)
    key = "".join(
        f'<rect x="{_LEFT + 200 * place}" y="10" width="14" height="10" fill="{colour}"/>'
        f'<text x="{_LEFT + 200 * place + 20}" y="19">{name}</text>'
        for place, (name, colour) in enumerate(_COLOURS.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(width, 660)} {_TOP + _HEIGHT + 60}"'
        ' font-family="sans-serif" font-size="12" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>{key}{body}</svg>\n'
    )


def _panel(rows: Sequence[Mapping[str, object]], size: int, place: int) -> Iterator[str]:
    left = _LEFT + place * (_WIDTH + _GAP)
    bottom = _TOP + _HEIGHT
    most = max(int(str(row["tokens_all"])) for row in rows) or 1
    yield f'<text x="{left}" y="{_TOP - 6}" font-weight="bold">{size} phases</text>'
    for share in (0, 50, 95, 100):
        y = bottom - _HEIGHT * share / 100
        dashes = "4 3" if share == 95 else "none"
        yield f'<path d="M{left} {y:.1f}h{_WIDTH}" stroke="#ddd" stroke-dasharray="{dashes}"/>'
        yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share} %</text>'
    for part in (0, 0.5, 1):
        x = left + _WIDTH * part
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_short(most * part)}</text>'
    yield f'<text x="{left + _WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">tokens spent</text>'
    for row in rows:
        yield from _line(row, size=size, most=most, left=left, bottom=bottom)


def _line(row: Mapping[str, object], *, size: int, most: int, left: int, bottom: int) -> Iterator[str]:
    points: list[tuple[float, int, int]] = list(row["points"])  # type: ignore[call-overload]
    places = [(left + _WIDTH * tokens / most, bottom - _HEIGHT * done / size) for _, tokens, done in points]
    path = f"M{left} {bottom}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in places)
    colour = _COLOURS[str(row["way"])]
    yield f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
    goal = next((at for at, (_, _, done) in zip(places, points, strict=True) if done >= 0.95 * size), None)
    if goal is not None:
        yield f'<circle cx="{goal[0]:.1f}" cy="{goal[1]:.1f}" r="5" fill="#fff" stroke="{colour}" stroke-width="2.5"/>'


def _short(tokens: float) -> str:
    return f"{tokens / 1e6:.1f} M" if tokens else "0"
