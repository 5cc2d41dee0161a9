"""Regressors: the days they are about, and that none of them knows the future."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.forecasting.calendar import SKU_FEATURES, WEEK_FEATURES, sku_features, week_features
from assets.forecasting.demand import weekly_demand
from tests.assets.forecasting.demo_panel import demo_panel

MONDAY = date(2026, 3, 2)


def of_week(monday: date, country: str = "FR", promotions: pl.DataFrame | None = None) -> dict[str, float]:
    return week_features([monday], country, promotions).row(0, named=True)


@pytest.mark.parametrize(
    ("monday", "feature", "value"),
    [
        (date(2026, 5, 11), "holidays", 1 / 7),
        (date(2026, 11, 23), "black_friday", 1),
        (date(2024, 11, 25), "black_friday", 1),
        (date(2024, 11, 18), "black_friday", 0),
        (date(2026, 11, 30), "advent", 6 / 7),
        (date(2026, 12, 21), "advent", 4 / 7),
        (date(2026, 12, 21), "christmas", 1),
        (date(2026, 12, 14), "christmas", 0),
        (date(2026, 5, 25), "payday", 1),
        (date(2026, 6, 1), "payday", 0),
        (date(2026, 12, 28), "payday", 1),
    ],
)
def test_the_days_of_the_year_are_in_their_weeks(monday: date, feature: str, value: float):
    assert of_week(monday)[feature] == pytest.approx(value)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (date(2025, 1, 8), date(2025, 2, 4)),
        (date(2025, 6, 25), date(2025, 7, 22)),
        (date(2026, 1, 7), date(2026, 2, 3)),
        (date(2026, 6, 24), date(2026, 7, 21)),
    ],
    ids=["winter 2025", "summer 2025", "winter 2026", "summer 2026"],
)
def test_the_french_sales_are_those_that_were_announced(start: date, end: date):
    monday = start - timedelta(days=start.weekday())
    weeks = week_features([monday + n * timedelta(days=7) for n in range(6)])
    days = [round(7 * share) for share in weeks["sales_period"]]
    assert days[0] == 7 - start.weekday()
    assert sum(days) == (end - start).days + 1


def test_other_countries_have_their_own_holidays_and_no_french_sales():
    assert of_week(date(2025, 6, 30), "US")["holidays"] == pytest.approx(1 / 7)
    assert of_week(date(2025, 6, 30), "US")["sales_period"] == 0
    with pytest.raises(ValueError, match="XX"):
        of_week(MONDAY, "XX")


def test_promotions_are_told_by_their_days():
    promotions = pl.DataFrame({"first": [date(2026, 3, 6)], "last": [date(2026, 3, 9)]})
    shares = week_features([MONDAY, MONDAY + timedelta(days=7)], promotions=promotions)["promotion"]
    assert shares.to_list() == pytest.approx([3 / 7, 1 / 7])


def test_waves_come_back_after_a_year_and_lie_between_minus_one_and_one():
    weeks = week_features([MONDAY + n * timedelta(days=7) for n in range(60)])
    waves = weeks.select(pl.col("^(year|quarter|month)_.*$"))
    assert all(abs(value) <= 1 for row in waves.iter_rows() for value in row)
    assert weeks["year_sin_1"][0] == pytest.approx(weeks["year_sin_1"][52], abs=0.03)
    assert dict(weeks.schema) == WEEK_FEATURES


def demand(prices: list[float | None], discounts: list[float | None] | None = None) -> pl.DataFrame:
    weeks = [MONDAY + n * timedelta(days=7) for n in range(len(prices))]
    return pl.DataFrame(
        {
            "sku": ["BAG"] * len(prices),
            "week": weeks,
            "units_sold": [2] * len(prices),
            "price": prices,
            "discount": discounts or [0.0] * len(prices),
        },
        schema_overrides={"price": pl.Float64, "discount": pl.Float64},
    )


def test_a_price_is_told_beside_the_usual_one_and_the_last_goes_on():
    features = sku_features(demand([None, 100, 100, 80, 100, 120]), 2)

    assert features["price_ratio"].to_list() == pytest.approx([1, 1, 1, 0.8, 1, 1.2, 1.2, 1.2])
    assert features["weeks_since_first_sale"].to_list() == list(range(8))
    assert features["launch"][0] == 1
    assert dict(features.schema) == SKU_FEATURES


def test_last_years_discount_is_told_a_year_later():
    features = sku_features(demand([1.0] * 50, [0.3] + [None] * 49), 5)

    assert features.filter(pl.col("discount_last_year") > 0)["week"].to_list() == [MONDAY + timedelta(weeks=52)]
    assert features["discount_last_year"].max() == pytest.approx(0.3)


def test_no_demand_has_no_features():
    assert dict(sku_features(demand([]), 3).schema) == SKU_FEATURES


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(1, 1e6)), min_size=2, max_size=70), st.data())
def test_no_feature_of_a_week_is_made_from_later_weeks(prices: list[float | None], data: st.DataObject):
    known = data.draw(st.integers(1, len(prices)))
    whole, part = sku_features(demand(prices), 3), sku_features(demand(prices).head(known), 3)
    assert part.head(known).equals(whole.head(known))


def test_every_week_of_the_maison_has_all_features():
    panel = demo_panel()
    history = weekly_demand(panel.transactions, movements=panel.movements)
    features = sku_features(history, 13)
    assert features.height == history.height + 13 * history["sku"].n_unique()
    assert sum(features.null_count().row(0)) == 0
    january = features.filter(pl.col("week").is_between(date(2026, 1, 12), date(2026, 1, 26)))
    assert (january["discount_last_year"] > 0.05).all()
