"""A long table becomes a panel, or is refused in words that help."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.forecasting.panel import Frequency, InvalidPanel, Panel, read_panel, with_calendar
from tests.assets.forecasting.series import MONDAY, days_of, panel_of, table_of


def long(*rows: tuple[str, int, float]) -> pl.DataFrame:
    """unique_id, week and units of each row."""
    return pl.DataFrame(
        [(name, MONDAY + timedelta(weeks=week), units) for name, week, units in rows],
        schema={"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64},
        orient="row",
    )


def test_a_series_begins_with_its_first_row_and_sold_nothing_where_it_has_no_row() -> None:
    panel = read_panel(long(("old", 0, 3), ("old", 4, 1), ("young", 2, 5)), "W-MON")
    assert panel.ids == ("old", "young")
    assert panel.first == MONDAY
    np.testing.assert_array_equal(panel.y, [[3, 0, 0, 0, 1], [np.nan, np.nan, 5, 0, 0]])
    assert panel.ages().tolist() == [5, 3]
    assert panel.day(4) == MONDAY + timedelta(weeks=4)
    assert panel.day(9) == MONDAY + timedelta(weeks=9)
    assert [panel.period(panel.day(n)) for n in range(9)] == list(range(9))


_rows = st.dictionaries(
    st.tuples(st.sampled_from("abcde"), st.integers(0, 12)), st.integers(0, 1000), min_size=1, max_size=30
)


@given(_rows, st.randoms())
def test_the_order_of_rows_does_not_matter_and_no_unit_is_lost(rows: dict[tuple[str, int], int], random) -> None:
    given_rows = [(name, week, float(units)) for (name, week), units in rows.items()]
    panel = read_panel(long(*given_rows), "W-MON")
    random.shuffle(given_rows)
    assert read_panel(long(*given_rows), "W-MON").snapshot() == panel.snapshot()
    assert np.nansum(panel.y) == sum(rows.values())
    begun = np.isfinite(panel.y)
    assert (begun[:, 1:] >= begun[:, :-1]).all(), "a gap after a series began"
    read_back = read_panel(table_of(panel), "W-MON")
    assert read_back.snapshot() == panel.snapshot()


@pytest.mark.parametrize(
    ("change", "freq", "said"),
    [
        (pl.col("y").alias("units"), "W-MON", ("lacks the column y", "it needs unique_id, ds and y")),
        (pl.lit(None, pl.Float64).alias("y"), "W-MON", ("y is empty", "unique_id 'a'")),
        (pl.lit(-1.0).alias("y"), "W-MON", ("y is no number of 0 or more", "y -1.0", "1 rows more")),
        (pl.lit(float("nan")).alias("y"), "W-MON", ("y is no number of 0 or more", "unique_id 'a'")),
        (pl.lit(float("inf")).alias("y"), "W-MON", ("y is no number of 0 or more", "unique_id 'a'")),
        (pl.lit("many").alias("y"), "W-MON", ("y numbers",)),
        (pl.lit("1.2.26").alias("ds"), "W-MON", ("ds must be dates (2026-11-23)",)),
        (pl.lit("01/02/2024").alias("ds"), "W-MON", ("ds must be dates (2026-11-23)",)),
        (pl.lit(MONDAY).alias("ds"), "W-MON", ("ds stands there twice", "unique_id 'a'")),
        (pl.lit(MONDAY).alias("ds"), "W-SUN", ("ds is not a day that weeks of W-SUN are called by", "2024-01-01")),
        (pl.lit(1.0).alias("y"), "D", ("the same weekday", "use freq W-MON")),
        (pl.lit(1.0).alias("y"), "M", ("freq 'M' is not known", "use D for days, or W-MON to W-SUN")),
        (pl.lit(1.0).alias("y"), "W", ("freq 'W' is not known", "use D for days, or W-MON to W-SUN")),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_by_column_and_with_a_remedy(
    change: pl.Expr, freq: str, said: tuple[str, ...]
) -> None:
    table = long(("a", 0, 1), ("a", 1, 2)).with_columns(change)
    if "units" in table.columns:
        table = table.drop("y")
    with pytest.raises(InvalidPanel) as refused:
        read_panel(table, freq)
    for words in said:
        assert words in str(refused.value)


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(InvalidPanel, match="has no rows"):
        read_panel(long(), "W-MON")


def test_dates_may_be_text_or_moments_and_ids_may_be_numbers() -> None:
    as_text = pl.DataFrame({"unique_id": [7, 7], "ds": ["2024-01-01", "2024-01-08"], "y": ["3", "4"]})
    moments = as_text.with_columns(ds=pl.Series([datetime(2024, 1, 1), datetime(2024, 1, 8)]), y=pl.Series([3, 4]))
    read = read_panel(as_text, "W-MON")
    assert read.ids == ("7",)
    np.testing.assert_array_equal(read.y, [[3, 4]])
    assert read_panel(moments, "W-MON").snapshot() == read.snapshot()
    for time in (" 00:00:00", "T00:00:00.000+00:00"):
        assert read_panel(as_text.with_columns(pl.col("ds") + time), "W-MON").snapshot() == read.snapshot()


def test_weeks_may_be_called_by_any_day() -> None:
    for n, name in enumerate(("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")):
        table = long(("a", 0, 1), ("a", 3, 2)).with_columns(pl.col("ds") + pl.duration(days=n))
        assert read_panel(table, f"W-{name}").periods == 4
    assert Frequency.parse("D").week == 7


def test_what_is_known_until_a_period_is_a_copy_that_nothing_later_reaches() -> None:
    panel = panel_of([[1, 2, 3, 4]])
    seen = panel.until(2)
    panel.y[0, 1] = 99
    np.testing.assert_array_equal(seen.y, [[1, 2]])


def test_a_snapshot_names_content_and_nothing_else() -> None:
    panel = panel_of([[1, 2, 3], [np.nan, 0, 1]])
    changed = panel.y.copy()
    changed[1, 2] = 2
    others = [
        replace(panel, y=changed),
        replace(panel, ids=("s0000", "other")),
        replace(panel, first=MONDAY + timedelta(weeks=1)),
        replace(panel, known=np.zeros((1, 3))),
        panel.until(2),
        panel.some(np.array([1, 0])),
    ]
    names = {panel.snapshot(), *(other.snapshot() for other in others)}
    assert len(names) == 1 + len(others)
    assert panel_of([[1, 2, 3], [np.nan, 0, 1]]).snapshot() == panel.snapshot()


def test_holidays_are_known_of_the_past_and_of_what_is_to_come() -> None:
    days = panel_of(np.ones((1, 350)), "D")
    calendar = with_calendar(days, 28, "FR").known
    assert calendar is not None
    assert calendar.shape == (3, 350 + 28)
    christmas = days.period(date(2024, 12, 25))
    assert christmas >= 350, "the test wants a holiday that is to come"
    assert calendar[0, christmas] > calendar[0, christmas + 2]
    weeks = with_calendar(panel_of(np.ones((1, 51))), 4, "FR").known
    assert weeks is not None
    assert weeks.shape == (3, 55)
    np.testing.assert_allclose(weeks[:, :50], calendar[:, :350].reshape(3, 50, 7).mean(axis=2))


def test_an_unknown_country_is_refused() -> None:
    with pytest.raises(InvalidPanel, match="XX"):
        with_calendar(panel_of(np.ones((1, 20))), 8, "XX")


def test_daily_tables_are_days() -> None:
    table = pl.DataFrame({"unique_id": ["a"] * 10, "ds": days_of(10), "y": np.arange(10.0)})
    panel = read_panel(table, "D")
    assert isinstance(panel, Panel)
    assert panel.periods == 10
    assert panel.freq.season == 7
