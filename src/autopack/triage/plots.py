"""Charts as picture files; needs the extra ``report``.

The same chart gives the same file, byte for byte, with one version of matplotlib.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from autopack.domain.backtest import Backtest
from autopack.errors import ReportError
from autopack.triage.backtesting import Comparison
from autopack.triage.charts import BarChart, BarRow, Chart, RangeChart, Timeline, Tone, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_INCHES = 8.0
_ROW_INCHES = 0.42
_LABEL_CHARACTERS = 44
_LABEL_LINES = 2
_MARKERS = "oDs^vP*X<>"


def save_charts(charts: Iterable[Chart], folder: Path) -> tuple[Path, ...]:
    """Write each chart as ``NAME.png`` and ``NAME.svg``; the files.

    Raises:
        ReportError: matplotlib is not installed, or the folder takes no files.
    """
    written: list[Path] = []
    for chart in charts:
        figure = _figure(_draw(chart), height=_height(chart))
        written += [_save(figure, folder / f"{chart.name}.{ending}") for ending in FORMATS]
    return tuple(written)


def save_comparison(comparison: Comparison, path: Path) -> Path:
    """Draw what limits cost against what they complete, into a ``.png`` or ``.svg`` file.

    Raises:
        ReportError: The ending is another one, matplotlib is not installed, or the file cannot be written.
    """
    if path.suffix.lstrip(".").lower() not in FORMATS:
        raise ReportError(f"{path.name} is no picture", hint="End its name with .svg or .png.")
    return _save(_figure(lambda axes: _draw_comparison(axes, comparison), height=5.0), path)


def _figure(draw: "Callable[[Axes], None]", *, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - the extra is needed here alone
    except ImportError as error:
        raise ReportError(
            "plots need matplotlib, which is not installed", hint="pip install autopack[report]"
        ) from error
    # Without pyplot: no backend is chosen, no window opened, no state shared.
    figure = Figure(figsize=(_INCHES, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    draw(axes)
    return figure


def _save(figure: "Figure", path: Path) -> Path:
    from matplotlib import rc_context  # noqa: PLC0415 - the figure shows that it is there

    # Names inside an SVG would be random and its date today's: the same record gives the same file.
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "autopack", "svg.fonttype": "none"}), warnings.catch_warnings():
            # Letters that the font lacks are drawn as boxes, which tells enough.
            warnings.filterwarnings("ignore", message="Glyph")
            figure.savefig(path, dpi=150, metadata=metadata)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _height(chart: Chart) -> float:
    if isinstance(chart, BarChart):
        return 1.3 + _ROW_INCHES * sum(len(row.bars) for row in chart.rows)
    rows = len(chart.lanes) if isinstance(chart, Timeline) else len(chart.rows)
    return 1.5 + 1.3 * _ROW_INCHES * rows


def _draw(chart: Chart) -> "Callable[[Axes], None]":
    if isinstance(chart, BarChart):
        return lambda axes: _draw_bars(axes, chart)
    if isinstance(chart, Timeline):
        return lambda axes: _draw_timeline(axes, chart)
    return lambda axes: _draw_ranges(axes, chart)


def _title(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")


def _plain(text: str) -> str:
    # A dollar sign would begin a formula.
    lines = wrap(printable(text), _LABEL_CHARACTERS, max_lines=_LABEL_LINES, placeholder="…")
    return "\n".join(lines).replace("$", r"\$")


def _thousands(value: float, _position: float) -> str:
    return f"{value:,.0f}"


def _set_rows(axes: "Axes", positions: Sequence[float], labels: Iterable[str]) -> None:
    axes.set_yticks(positions, [_plain(label) for label in labels], fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()


def _draw_bars(axes: "Axes", chart: BarChart) -> None:
    for index, row in enumerate(chart.rows):
        thick = 0.76 / len(row.bars)
        for place, bar in enumerate(row.bars):
            at = index + (place - (len(row.bars) - 1) / 2) * thick
            axes.barh(at, bar.value, height=thick * 0.92, color=bar.tone)
            axes.annotate(
                bar.text, (bar.value, at), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
            )
    _set_rows(axes, range(len(chart.rows)), [_named(row) for row in chart.rows])
    axes.set_xlim(0, chart.most * 1.25)
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.xaxis.set_major_formatter(_thousands)
    axes.set_xlabel(chart.unit)
    _title(axes, chart.title)
    if chart.series:
        handles = [axes.barh(0, 0, color=tone, label=name) for name, tone in chart.series.items()]
        axes.legend(handles=handles, frameon=False, loc="lower right", fontsize=9)


def _named(row: BarRow) -> str:
    return f"{row.label}: {row.note}" if row.note else row.label


def _draw_timeline(axes: "Axes", chart: Timeline) -> None:
    unit, size = ("minutes", 60.0) if chart.seconds > 180 else ("seconds", 1.0)
    for index, lane in enumerate(chart.lanes):
        # One that took no time at all is there all the same.
        spans = [(it.start / size, max(it.end - it.start, chart.seconds / 400) / size) for it in lane.spans]
        axes.broken_barh(spans, (index - 0.32, 0.64), facecolors=lane.tone, edgecolors="white", linewidth=0.5)
    _set_rows(axes, range(len(chart.lanes)), [lane.label for lane in chart.lanes])
    axes.set_xlim(0, chart.seconds / size * 1.01)
    axes.set_xlabel(f"{unit} since the first attempt began")
    _title(axes, chart.title)


def _draw_ranges(axes: "Axes", chart: RangeChart) -> None:
    for index, row in enumerate(chart.rows):
        axes.plot([100 * row.low, 100 * row.high], [index, index], color=row.tone, linewidth=5, alpha=0.45)
        if row.value is not None:
            axes.plot(100 * row.value, index, "o", color=row.tone, markersize=8, clip_on=False)
        axes.plot([100 * row.bar] * 2, [index - 0.3, index + 0.3], color="black", linewidth=2, clip_on=False)
        axes.annotate(
            row.text, (0, index + 0.42), xytext=(6, 0), textcoords="offset points", fontsize=8, va="center"
        )
    _set_rows(axes, range(len(chart.rows)), [row.label for row in chart.rows])
    axes.set_ylim(len(chart.rows) - 0.3, -0.6)
    # Room for what stands at 0, beside the name of its row.
    axes.set_xlim(-2, 102)
    axes.set_xlabel("per cent; the black line is the bar")
    _title(axes, chart.title)


def _draw_comparison(axes: "Axes", comparison: Comparison) -> None:
    best = comparison.recommendation.best
    shown = [comparison.used, *comparison.tests]
    if best not in shown:
        shown.append(best)
    for index, test in enumerate(shown):
        _draw_test(axes, test, _MARKERS[index % len(_MARKERS)])
    # A ring: limits that come to the same lie upon each other.
    axes.plot(
        best.tokens_made,
        best.completions.low,
        "o",
        markersize=15,
        fillstyle="none",
        markeredgewidth=2,
        color=Tone.GOOD,
        linestyle="none",
        label="recommended",
        clip_on=False,
    )
    frontier = comparison.recommendation.frontier
    axes.plot(
        [it.tokens_made for it in frontier],
        [it.completions.low for it in frontier],
        color="black",
        linewidth=1,
        linestyle=":",
        marker=".",
        label="frontier of all that was tried",
        zorder=0,
    )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", integer=True)
    axes.xaxis.set_major_formatter(_thousands)
    axes.set_xlabel("tokens of recorded attempts that the limits would have made")
    axes.set_ylabel("phases completed, at least")
    axes.legend(
        frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, labelspacing=0.9
    )
    _title(axes, "What other limits would have cost and completed")


def _draw_test(axes: "Axes", test: Backtest, marker: str) -> None:
    at = (test.tokens_made, test.completions.low)
    axes.plot(
        *at,
        marker,
        color=Tone.KNOWN,
        markersize=9,
        label=_plain(test.name),
        linestyle="none",
        alpha=0.7,
        clip_on=False,
    )
