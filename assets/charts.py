"""Charts, drawn one way for the whole house: asset metadata in Dagster and the pages of the executive report.

What belongs here: turning a small frame into the bytes of a picture, PNG (for metadata) or SVG (for a page).
What does not: deciding what to draw, computing it, or writing it anywhere.

Matplotlib is imported inside the functions, so importing this module costs nothing. Only its object API is
used, never pyplot, and one lock guards its global settings: a chart may be asked for from any thread. The
same input gives the same bytes on the same machine.
"""

from __future__ import annotations

import base64
import io
import logging
import math
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["png", "svg"]
Size = tuple[int, int]

CARD: Size = (640, 280)
"""Pixels of a chart in asset metadata."""
PAGE: Size = (860, 300)
"""Pixels of a chart across a page."""
POCKET: Size = (350, 250)
"""Pixels of a chart on a telephone."""

IVORY, INK, MUTED, HAIRLINE = "#FBF8F2", "#1F1C18", "#6A6358", "#E3DBCC"
GOLD, WINE, SAGE, SLATE, SAND = "#B08A3A", "#7A2E3A", "#6F7F6C", "#55657B", "#CDBF9F"
UMBER = "#4F463B"
LINES = (INK, GOLD, SLATE, WINE, SAGE, SAND)
BARS = (UMBER, GOLD, SLATE, WINE, SAGE, SAND)
BARS_UNDER_A_LINE = (SAND, GOLD, SLATE, WINE, SAGE)

MINUS = "\N{MINUS SIGN}"

_DPI = 100
_PALETTE = 64
_RENDERING = threading.Lock()
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Unit:
    """How the numbers of a chart are written.

    `currency` is an ISO 4217 code, or None for plain numbers; the values of a chart in a currency are its
    minor units, `exponent` decimals below the unit. `percent` says that values are shares: 0.25 is 25%.
    """

    currency: str | None = None
    exponent: int = 0
    percent: bool = False

    def exact(self, value: float) -> str:
        """A tick of an axis: short, and never rounded to something else than where the tick stands."""
        return self._written(value, lambda number: f"{number:,g}")

    def rounded(self, value: float) -> str:
        """A value beside its bar: three significant digits, whole numbers in full below ten thousand."""
        return self._written(value, lambda number: f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}")

    def _written(self, value: float, digits: Callable[[float], str]) -> str:
        if self.percent:
            return f"{digits(value * 100)}%".replace("-", MINUS)
        number = abs(value) / 10**self.exponent
        scale, suffix = 1.0, ""
        for size, letters in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
            if float(f"{number:.3g}") >= size and (self.currency or number >= 10_000):
                scale, suffix = size, letters
                break
        sign = MINUS if value < 0 and digits(number / scale).strip("0.,") else ""
        return f"{sign}{_symbol(self.currency)}{digits(number / scale)}{suffix}"


COUNT = Unit()
PERCENT = Unit(percent=True)


def line_chart(
    frame: pl.DataFrame,
    x: str,
    ys: Sequence[str],
    title: str,
    y_label: str,
    fmt: Format = "png",
    *,
    unit: Unit = COUNT,
    size: Size = CARD,
) -> bytes:
    """Lines over time or over a number: one line for each column of `ys`, named after the column.

    `x` is a column of dates, datetimes or numbers, in any order; the `ys` are numeric, in the unit that
    `unit` says (minor units for a currency). A null leaves a gap in the line. An empty frame draws "no data".
    """

    def draw(axes: Axes) -> None:
        rows = frame.drop_nulls(x).sort(x)
        positions = _positions(rows[x])
        for column, colour in zip(ys, _cycle(LINES, len(ys)), strict=True):
            _line(axes, positions, _floats(rows[column]), colour, _name(column))
        _dress_values(axes, unit, y_label, size)
        _dress_time(axes, positions, size)

    return _render(draw if _has_data(frame, x, ys) else None, title, fmt, size)


def stacked_bars(
    frame: pl.DataFrame,
    x: str,
    ys: Sequence[str],
    title: str,
    y_label: str,
    fmt: Format = "png",
    *,
    line: str | None = None,
    provisional: Collection[date] = (),
    unit: Unit = COUNT,
    size: Size = CARD,
) -> bytes:
    """Upright bars over dates, stacked: positive parts upwards, negative parts downwards.

    `x` is a column of dates, one row a date; the `ys` are numeric, in the unit that `unit` says; `line` names
    a column drawn as a line over the bars (a net). Dates in `provisional`, such as a month
    not over yet, are drawn pale. An empty frame draws "no data".
    """
    columns = [*ys, line] if line else list(ys)

    def draw(axes: Axes) -> None:
        rows = frame.drop_nulls(x).sort(x)
        positions = _positions(rows[x])
        pale = {_position(day) for day in provisional}
        colours = _cycle(BARS_UNDER_A_LINE if line else BARS, len(ys))
        opacity = [0.35 if place in pale else 1.0 for place in positions]
        _stacks(axes, rows, positions, dict(zip(ys, colours, strict=True)), opacity)
        if line:
            _line(axes, positions, _floats(rows[line]), INK, _name(line), marked=True)
        _dress_values(axes, unit, y_label, size)
        _dress_time(axes, positions, size)

    return _render(draw if _has_data(frame, x, columns) else None, title, fmt, size)


def bar_ranking(
    labels: Sequence[str],
    values: Sequence[float | None],
    title: str,
    unit: Unit = COUNT,
    fmt: Format = "png",
    *,
    size: Size | None = None,
) -> bytes:
    """Lying bars, one a label, in the given order from the top, each with its value at its end.

    `values` are in the unit that `unit` says; None is written "unknown" and has no bar. Without `size` the
    chart grows with its bars. No labels draws "no data". Raises ValueError where the numbers of labels and of
    values differ.
    """
    if len(labels) != len(values):
        raise ValueError(
            f"bar_ranking got {len(labels)} labels for {len(values)} values: give one value a label, None if unknown"
        )
    size = size or (CARD[0], max(120, 64 + 26 * len(labels)))

    def draw(axes: Axes) -> None:
        known = [value if value is not None and math.isfinite(value) else 0.0 for value in values]
        places = list(range(len(labels)))
        axes.barh(places, known, height=0.52, color=[GOLD if value >= 0 else WINE for value in known])
        axes.set_yticks(places, [_shortened(label, size[0] // 20) for label in labels])
        axes.invert_yaxis()
        texts = ["unknown" if v is None or not math.isfinite(v) else unit.rounded(v) for v in values]
        _write_values(axes, known, texts, room=105 / size[0])

    return _render(draw if len(labels) else None, title, fmt, size)


def fan_chart(
    frame: pl.DataFrame,
    title: str,
    y_label: str = "units a week",
    fmt: Format = "png",
    *,
    unit: Unit = COUNT,
    size: Size = CARD,
) -> bytes:
    """What was, what is expected, and how wide the doubt is.

    `frame` has `week` (date), `actual`, `mean`, `lower`, `upper` (numeric, nullable: history has no mean, the
    future no actual). An empty frame draws "no data".
    """

    def draw(axes: Axes) -> None:
        rows = frame.drop_nulls("week").sort("week")
        weeks = _positions(rows["week"])
        lower, upper = _floats(rows["lower"]), _floats(rows["upper"])
        if any(not math.isnan(low + high) for low, high in zip(lower, upper, strict=True)):
            axes.fill_between(weeks, lower, upper, color=GOLD, alpha=0.22, linewidth=0, label="likely range")
        _line(axes, weeks, _floats(rows["actual"]), INK, "sold")
        _line(axes, weeks, _floats(rows["mean"]), GOLD, "forecast")
        _dress_values(axes, unit, y_label, size)
        _dress_time(axes, weeks, size)

    return _render(draw if _has_data(frame, "week", ["actual", "mean"]) else None, title, fmt, size)


def inline_png(png: bytes, alt: str) -> str:
    """Markdown that shows `png` with no file behind it; `alt` is what a reader hears who does not see it."""
    words = " ".join(alt.split())
    for mark in "\\[]":
        words = words.replace(mark, "\\" + mark)
    return f"![{words}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


# Rendering


def _render(draw: Callable[[Axes], None] | None, title: str, fmt: Format, size: Size) -> bytes:
    """The bytes of one picture; None instead of a drawing function says "no data" in it."""
    with _house_style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI), dpi=_DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if title:
            figure.suptitle(
                _shortened(title, size[0] // 8), x=0.012, ha="left", family=_serif(), fontsize=12, color=INK
            )
        if draw is None:
            axes.set_axis_off()
            axes.text(
                0.5,
                0.5,
                "no data",
                transform=axes.transAxes,
                ha="center",
                family=_serif(),
                style="italic",
                size=12,
            )
        else:
            draw(axes)
        return _svg(figure) if fmt == "svg" else _png(canvas)


def _svg(figure: Figure) -> bytes:
    out = io.BytesIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", transparent=True, metadata=no_metadata)
    return out.getvalue()


def _png(canvas: Any) -> bytes:
    """A palette of a few dozen colours is enough for flat ink, and a third of the bytes."""
    from PIL import Image

    canvas.draw()
    picture = Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")
    out = io.BytesIO()
    picture.quantize(_PALETTE, dither=Image.Dither.NONE).save(out, format="png", optimize=True)
    return out.getvalue()


@contextmanager
def _house_style() -> Iterator[None]:
    """Matplotlib's global settings, ours for one chart at a time."""
    import matplotlib

    quiet = logging.getLogger("matplotlib.font_manager")
    with _RENDERING, matplotlib.rc_context(), _without_glyph_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "luxauto",
                "svg.fonttype": "none",
                "text.parse_math": False,
                "font.family": _sans(),
                "font.size": 8.5,
                "text.color": MUTED,
                "axes.labelcolor": MUTED,
                "xtick.color": MUTED,
                "ytick.color": MUTED,
                "figure.facecolor": IVORY,
                "axes.facecolor": "none",
                "axes.axisbelow": True,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.spines.left": False,
                "axes.edgecolor": MUTED,
                "axes.linewidth": 0.6,
                "xtick.major.size": 0,
                "ytick.major.size": 0,
                "lines.linewidth": 1.5,
                "lines.solid_capstyle": "round",
                "lines.solid_joinstyle": "round",
                "figure.constrained_layout.h_pad": 0.06,
                "figure.constrained_layout.w_pad": 0.08,
            }
        )
        before, quiet.level = quiet.level, logging.ERROR
        try:
            yield
        finally:
            quiet.level = before


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """A name in a script that no installed font has is drawn as boxes; that is no cause for a warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


# Drawing


def _line(
    axes: Axes, positions: list[Any], values: list[float], colour: str, name: str, *, marked: bool = False
) -> None:
    """One line; short ones and those broken by gaps carry dots, so that a lone point is seen."""
    known = [not math.isnan(value) for value in values]
    if not any(known):
        return
    neighbours = zip([False, *known], known, [*known, False][1:], strict=False)
    alone = any(now and not before and not after for before, now, after in neighbours)
    dots = "o" if marked or alone else None
    axes.plot(positions, values, color=colour, label=name, marker=dots, markersize=3.2, markeredgewidth=0, zorder=3)


def _stacks(axes: Axes, rows: pl.DataFrame, positions: list[Any], ys: dict[str, str], opacity: list[float]) -> None:
    from matplotlib.colors import to_rgba

    above, below = [0.0] * len(positions), [0.0] * len(positions)
    width = _bar_width(positions)
    for column, colour in ys.items():
        heights = [0.0 if math.isnan(value) else value for value in _floats(rows[column])]
        floors = [above[i] if height >= 0 else below[i] for i, height in enumerate(heights)]
        shades = [to_rgba(colour, alpha) for alpha in opacity]
        axes.bar(positions, heights, width=width, bottom=floors, color=shades)
        axes.bar([positions[0]], [0], color=colour, label=_name(column))
        for i, height in enumerate(heights):
            above[i], below[i] = above[i] + max(height, 0), below[i] + min(height, 0)


def _write_values(axes: Axes, values: Sequence[float], texts: Sequence[str], room: float) -> None:
    """The value at the end of each lying bar; `room` for it, a share of the span, where bars point."""
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        offset, side = (5, "left") if value >= 0 else (-5, "right")
        axes.annotate(text, (value, place), (offset, 0), textcoords="offset points", va="center", ha=side, color=INK)
    axes.set_xlim(low - (room * span if low < 0 else 0), high + room * span)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, linewidth=0.6)


def _dress_values(axes: Axes, unit: Unit, y_label: str, size: Size) -> None:
    """The upright axis: from zero, few hairlines, short labels; above it the unit and the series' names."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    low, high = axes.get_ylim()
    if axes.dataLim.y0 >= 0:
        low = 0.0
    elif axes.dataLim.y1 <= 0:
        high = 0.0
    axes.set_ylim(low, high if high > low else low + 1)
    whole = unit.currency is None and not unit.percent and high - low >= 3
    axes.yaxis.set_major_locator(MaxNLocator(nbins=max(3, size[1] // 55), steps=[1, 2, 2.5, 5, 10], integer=whole))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: unit.exact(value)))
    axes.grid(axis="y", color=HAIRLINE, linewidth=0.7)
    if low < 0:
        axes.axhline(0, color=MUTED, linewidth=0.6, zorder=1.5)
        axes.spines["bottom"].set_visible(False)
    axes.set_title(y_label, loc="left", fontsize=8.5, color=MUTED, pad=6)
    _dress_legend(axes)


def _dress_legend(axes: Axes) -> None:
    """The names of the series, bars before lines before bands, where there is more than one."""
    from matplotlib.container import BarContainer
    from matplotlib.lines import Line2D

    def rank(entry: tuple[Any, str]) -> int:
        return 0 if isinstance(entry[0], BarContainer) else 1 if isinstance(entry[0], Line2D) else 2

    entries = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=rank)
    if len(entries) > 1:
        handles, names = zip(*entries, strict=True)
        axes.legend(
            handles, names, loc="lower right", bbox_to_anchor=(1.01, 1.0), ncols=len(names), frameon=False,
            handlelength=1.1, handletextpad=0.5, columnspacing=1.2, borderaxespad=0, labelcolor=MUTED,
        )  # fmt: skip


def _dress_time(axes: Axes, positions: list[Any], size: Size) -> None:
    """The level axis: round dates as far apart as they can be read, the year under the first of each year."""
    if not isinstance(positions[0], datetime):
        return
    from matplotlib.dates import AutoDateLocator

    first: Any = positions[0]
    last: Any = positions[-1]
    ticks: Any = [first]
    if last > first:
        locator = AutoDateLocator(minticks=2, maxticks=max(3, size[0] // 58))
        found = [_naive(tick) for tick in _num2dates(locator.tick_values(first, last))]
        ticks = [tick for tick in found if first <= tick <= last] or [first]
    axes.set_xticks(ticks, _date_labels(ticks))


def _date_labels(ticks: Sequence[datetime]) -> list[str]:
    """Mar for the first of a month, 9 Mar for another day, 14:00 within a day; the year where it changes."""
    if all((tick.month, tick.day, tick.hour) == (1, 1, 0) for tick in ticks) and len(ticks) > 1:
        return [str(tick.year) for tick in ticks]
    monthly = all(tick.day == 1 and tick.hour == 0 for tick in ticks)
    hourly = any(tick.hour or tick.minute for tick in ticks)
    labels, shown = [], None
    for tick in ticks:
        day = f"{tick.day} {_MONTHS[tick.month - 1]}"
        text = f"{tick:%H:%M}" if hourly else _MONTHS[tick.month - 1] if monthly else day
        under = f"{day} {tick.year}" if hourly else str(tick.year)
        labels.append(text if under == shown else f"{text}\n{under}")
        shown = under
    return labels


# Small parts


def _has_data(frame: pl.DataFrame, x: str, ys: Sequence[str]) -> bool:
    """Whether anything can be drawn: a row with a place on the axis and at least one finite value."""
    if frame.is_empty():
        return False
    rows = frame.drop_nulls(x)
    return any(not math.isnan(value) for column in ys for value in _floats(rows[column]))


def _floats(series: pl.Series) -> list[float]:
    numbers = series.cast(pl.Float64).to_list()
    return [number if number is not None and math.isfinite(number) else math.nan for number in numbers]


def _positions(series: pl.Series) -> list[Any]:
    """Where the rows stand: datetimes without a zone (read as UTC), or the numbers themselves."""
    return [_position(value) for value in series.to_list()]


def _position(value: Any) -> Any:
    if isinstance(value, datetime):
        return _naive(value)
    return datetime.combine(value, time.min) if isinstance(value, date) else value


def _naive(moment: datetime) -> datetime:
    return (moment - (moment.utcoffset() or timedelta())).replace(tzinfo=None)


def _num2dates(numbers: Any) -> list[datetime]:
    from matplotlib.dates import num2date

    return list(num2date(numbers))


def _bar_width(positions: list[Any]) -> Any:
    """Most of the smallest step between bars."""
    steps = [later - earlier for earlier, later in pairwise(positions) if later > earlier]
    if steps:
        return min(steps) * 0.62
    return timedelta(days=1) if isinstance(positions[0], datetime) else 0.62


def _cycle(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]


def _name(column: str) -> str:
    return column.replace("_", " ")


def _shortened(text: str, length: int) -> str:
    """One printable line of at most `length` characters."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


@lru_cache(maxsize=64)
def _symbol(currency: str | None) -> str:
    if currency is None:
        return ""
    from babel.numbers import get_currency_symbol

    symbol = get_currency_symbol(currency, locale="en_GB")
    return f"{symbol} " if symbol == currency else symbol


@lru_cache(maxsize=1)
def _serif() -> list[str]:
    return _installed("Cormorant Garamond", "EB Garamond", "Georgia", "Liberation Serif", "DejaVu Serif")


@lru_cache(maxsize=1)
def _sans() -> list[str]:
    return _installed("Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")


def _installed(*families: str) -> list[str]:
    """Those of the families that this machine has; the last one comes with matplotlib."""
    from matplotlib import font_manager

    present = set(font_manager.get_font_names())
    return [family for family in families if family in present]
