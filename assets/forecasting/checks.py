"""Rules that a forecast must keep."""

import polars as pl

from assets.expectations import Rule, sql_check, suite
from assets.forecasting.schemas import FORECAST_SCHEMA


def _with_known(forecasts: pl.DataFrame) -> pl.DataFrame:
    """`known`: the other rules pass over rows whose numbers are missing."""
    figures = (pl.col(name).is_finite().fill_null(False) for name in ("mean", "lower", "upper"))
    return forecasts.with_columns(pl.all_horizontal(*figures).alias("known"))


forecast_suite = suite(
    "demand_forecast",
    [
        Rule(
            "has_the_agreed_columns",
            "ExpectTableColumnsToMatchSet",
            {"column_set": [*FORECAST_SCHEMA, "known"], "exact_match": True},
            "The columns are those that everything downstream reads.",
        ),
        Rule(
            "one_forecast_per_week",
            "ExpectCompoundColumnsToBeUnique",
            {"column_list": ["sku", "week"]},
            "A SKU has one forecast for a week.",
        ),
        Rule(
            "is_known",
            "ExpectColumnValuesToBeInSet",
            {"column": "known", "value_set": [True]},
            "Every forecast has a mean and both ends of its interval, and they are numbers.",
        ),
        Rule(
            "demand_is_not_negative",
            "ExpectColumnValuesToBeBetween",
            {"column": "lower", "min_value": 0},
            "No forecast goes below zero.",
        ),
        Rule(
            "lower_end_is_below_the_mean",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "mean", "column_B": "lower", "or_equal": True},
            "The lower end of the interval is not above the mean.",
        ),
        Rule(
            "upper_end_is_above_the_mean",
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "upper", "column_B": "mean", "or_equal": True},
            "The upper end of the interval is not below the mean.",
        ),
    ],
    prepare=_with_known,
)

history_has_no_holes = sql_check(
    "demand_history",
    "one_row_per_sku_and_week",
    """
    SELECT sku, count(*) AS rows, count(DISTINCT week) AS weeks, date_diff('week', min(week), max(week)) + 1 AS expected,
           min(units_sold) AS lowest
    FROM demand_history GROUP BY sku HAVING count(*) <> count(DISTINCT week) OR count(*) <> expected OR lowest < 0
    """,
    "Every SKU has each week from its first sale on once, and no negative units.",
)

one_model_is_chosen = sql_check(
    "forecast_accuracy",
    "one_model_is_chosen",
    """
    SELECT sku, sum(CASE WHEN chosen THEN 1 ELSE 0 END) AS chosen FROM forecast_accuracy GROUP BY sku
    HAVING sum(CASE WHEN chosen THEN 1 ELSE 0 END) <> 1
    """,
    "Each SKU is forecast by one model.",
)

CHECKS = [forecast_suite, history_has_no_holes, one_model_is_chosen]
