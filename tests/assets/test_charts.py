"""Charts: any data draws, pictures are small and the same each time, and nothing heavy is imported."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.charts import (
    CARD,
    COUNT,
    PERCENT,
    POCKET,
    Format,
    Unit,
    bar_ranking,
    fan_chart,
    inline_png,
    line_chart,
    stacked_bars,
)

POUNDS = Unit("GBP", 2)
LARGEST_PNG = 45_000

Draw = Callable[[pl.DataFrame, Format], bytes]


def weeks(count: int) -> pl.DataFrame:
    """So many weeks of two series, the last quarter of them forecast."""
    known = count - count // 4
    sold = [1000.0 + 97 * ((i * 31) % 13) for i in range(count)]
    return pl.DataFrame(
        {
            "week": [date(2010, 1, 4) + timedelta(weeks=i) for i in range(count)],
            "gross": [int(units * 4_321) for units in sold],
            "net": [int(units * 3_987) for units in sold],
            "actual": [units if i < known else None for i, units in enumerate(sold)],
            "mean": [None if i < known else units for i, units in enumerate(sold)],
            "lower": [None if i < known else units * 0.8 for i, units in enumerate(sold)],
            "upper": [None if i < known else units * 1.3 for i, units in enumerate(sold)],
        },
        schema={
            "week": pl.Date,
            "gross": pl.Int64,
            "net": pl.Int64,
            "actual": pl.Float64,
            "mean": pl.Float64,
            "lower": pl.Float64,
            "upper": pl.Float64,
        },
    )


def lines(frame: pl.DataFrame, fmt: Format) -> bytes:
    return line_chart(frame, "week", ["gross", "net"], "Sales by week", "pounds", fmt, unit=POUNDS)


def bars(frame: pl.DataFrame, fmt: Format) -> bytes:
    return stacked_bars(frame, "week", ["net", "gross"], "Sales by week", "", fmt, line="net", unit=POUNDS)


def fan(frame: pl.DataFrame, fmt: Format) -> bytes:
    return fan_chart(frame, "Demand, all products", fmt=fmt)


def ranking(frame: pl.DataFrame, fmt: Format) -> bytes:
    names = [f"week of {week}" for week in frame["week"].head(8)]
    return bar_ranking(names, frame["net"].head(8).to_list(), "Best weeks", POUNDS, fmt)


CHARTS = pytest.mark.parametrize("draw", [lines, bars, fan, ranking])


def texts(svg: bytes) -> list[str]:
    """Every text in a chart, in order; fails where the SVG is not well formed."""
    root = ET.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@CHARTS
def test_an_empty_frame_draws_no_data(draw: Draw) -> None:
    assert "no data" in texts(draw(weeks(0), "svg"))
    assert draw(weeks(0), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", [lines, bars, fan])
def test_a_frame_without_columns_or_with_nothing_but_nulls_draws_no_data(draw: Draw) -> None:
    assert "no data" in texts(draw(pl.DataFrame(), "svg"))
    nulls = weeks(3).with_columns(pl.lit(None, pl.Float64).alias(name) for name in weeks(0).columns[1:])
    assert "no data" in texts(draw(nulls, "svg"))


@CHARTS
@pytest.mark.parametrize("count", [1, 2, 5, 104])
def test_any_number_of_rows_draws(draw: Draw, count: int) -> None:
    assert "no data" not in texts(draw(weeks(count), "svg"))


@CHARTS
def test_negative_amounts_draw_with_a_true_minus(draw: Draw) -> None:
    frame = weeks(8).with_columns(-pl.col("gross", "net", "actual", "mean", "lower", "upper"))
    assert any(text.startswith("\N{MINUS SIGN}") for text in texts(draw(frame, "svg")))


@CHARTS
@pytest.mark.parametrize("count", [0, 1, 30, 520])
def test_a_card_is_a_small_picture(draw: Draw, count: int) -> None:
    png = draw(weeks(count), "png")
    assert len(png) < LARGEST_PNG
    if draw is not ranking:
        assert Image.open(io.BytesIO(png)).size == CARD


@CHARTS
@pytest.mark.parametrize("fmt", ["png", "svg"])
def test_the_same_data_gives_the_same_bytes(draw: Draw, fmt: Format) -> None:
    assert draw(weeks(30), fmt) == draw(weeks(30), fmt)


def test_a_chart_drawn_in_a_fresh_process_has_the_same_bytes() -> None:
    code = (
        "import sys, polars as pl; from assets.charts import line_chart; "
        "f = pl.DataFrame({'x': [1, 2, 3], 'y': [3, 1, 2]}); "
        "sys.stdout.buffer.write(line_chart(f, 'x', ['y'], 'T', '', 'svg'))"
    )
    once, again = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)
    )
    assert once == again
    assert b"<dc:date>" not in once


def test_charts_may_be_drawn_in_many_threads_at_once() -> None:
    alone = [draw(weeks(20), "svg") for draw in (lines, bars, fan, ranking)]
    together: dict[int, bytes] = {}

    def work(number: int, draw: Draw) -> None:
        together[number] = draw(weeks(20), "svg")

    threads = [threading.Thread(target=work, args=(i, draw)) for i, draw in enumerate((lines, bars, fan, ranking))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[i] for i in range(4)] == alone


def test_drawing_leaves_the_settings_of_others_alone() -> None:
    import matplotlib

    matplotlib.rcParams["lines.linewidth"] = 7.0
    lines(weeks(5), "png")
    assert matplotlib.rcParams["lines.linewidth"] == 7.0
    matplotlib.rcdefaults()


def test_importing_the_module_imports_nothing_heavy() -> None:
    code = "import sys, assets.charts; sys.exit('matplotlib' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_never_imports_pyplot() -> None:
    code = (
        "import sys, polars as pl; from assets.charts import fan_chart; fan_chart(pl.DataFrame(), 'T'); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.dates(date(1971, 1, 1), date(2090, 1, 1))),
            st.one_of(st.none(), st.floats(-1e15, 1e15), st.just(float("nan")), st.just(float("inf"))),
        ),
        max_size=8,
    )
)
def test_any_numbers_on_any_days_draw(rows: list[tuple[date | None, float | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"week": pl.Date, "y": pl.Float64}, orient="row")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(line_chart(frame, "week", ["y"], "Anything", "", "svg", unit=POUNDS, size=POCKET))
        assert texts(stacked_bars(frame, "week", ["y"], "Anything", "", "svg", unit=POUNDS, size=POCKET))
        everything = frame.select("week", **dict.fromkeys(("actual", "mean", "lower", "upper"), pl.col("y")))
        assert texts(fan_chart(everything, "Anything", fmt="svg", size=POCKET))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=60), st.one_of(st.none(), st.floats(-1e12, 1e12))), max_size=8))
def test_any_names_draw_and_are_never_read_as_markup_or_formulas(
    rows: list[tuple[str, float | None]],
) -> None:
    names, values = [name for name, _ in rows], [value for _, value in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert texts(bar_ranking(names, values, "$x_{", COUNT, "svg"))


def test_names_with_markup_or_dollars_are_shown_as_they_are() -> None:
    shown = texts(bar_ranking(["<b>$x_{", "鞄"], [1, None], "Bags & $", COUNT, "svg"))
    assert {"<b>$x_{", "鞄", "Bags & $", "unknown"} <= set(shown)


def test_labels_and_values_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 labels for 1 values"):
        bar_ranking(["a", "b"], [1.0], "Uneven")


def test_months_are_named_and_the_year_stands_under_the_first_of_each() -> None:
    months = pl.DataFrame({"month": [date(2011, m, 1) for m in (10, 11, 12)] + [date(2012, 1, 1)], "y": range(4)})
    shown = texts(stacked_bars(months, "month", ["y"], "", "", "svg"))
    assert [text for text in shown if text in {"Oct", "Nov", "Dec", "Jan"}] == ["Oct", "Nov", "Dec", "Jan"]
    assert [text for text in shown if text.startswith("20")] == ["2011", "2012"]


def test_times_with_a_zone_are_drawn_in_utc() -> None:
    start = datetime(2011, 5, 1, 22, tzinfo=UTC)
    hours = pl.DataFrame({"at": [start + timedelta(hours=i) for i in range(5)], "y": [1, 3, 2, 5, 4]})
    assert "22:00" in texts(line_chart(hours, "at", ["y"], "", "", "svg"))
    elsewhere = hours.with_columns(pl.col("at").dt.convert_time_zone("Asia/Tokyo"))
    assert line_chart(hours, "at", ["y"], "", "", "svg") == line_chart(elsewhere, "at", ["y"], "", "", "svg")


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (POUNDS, 0, "£0"),
        (POUNDS, 250_000, "£2.5k"),
        (POUNDS, 150_000_000, "£1.5m"),
        (POUNDS, -123_456_789_000, "\N{MINUS SIGN}£1.23bn"),
        (POUNDS, 99_999, "£1k"),
        (POUNDS, -0.0, "£0"),
        (Unit("JPY", 0), 12_000, "JP¥12k"),
        (Unit("KWD", 3), 12_500, "KWD 12.5"),
        (COUNT, 2_000, "2,000"),
        (COUNT, 12_000, "12k"),
        (PERCENT, 0.25, "25%"),
    ],
)
def test_numbers_are_short(unit: Unit, value: float, text: str) -> None:
    assert unit.rounded(value) == text


def test_a_tick_is_never_rounded_to_another_number() -> None:
    assert [POUNDS.exact(value) for value in (0, 125_000, 250_000, 175_000_000)] == [
        "£0",
        "£1.25k",
        "£2.5k",
        "£1.75m",
    ]


def test_markdown_of_a_picture_holds_it_and_escapes_what_it_says() -> None:
    png = lines(weeks(3), "png")
    markdown = inline_png(png, "Sales [2011]\nby week")
    assert markdown.startswith("![Sales \\[2011\\] by week](data:image/png;base64,iVBOR")
    assert markdown.endswith(")") and "\n" not in markdown
