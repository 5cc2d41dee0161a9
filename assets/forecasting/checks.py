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

nothing_explodes = sql_check(
    "demand_forecast",
    "is_no_explosion",
    """
    WITH best AS (
        SELECT sku, max(a_week) AS most FROM (
            SELECT sku, avg(units) OVER (PARTITION BY sku ORDER BY week ROWS BETWEEN 12 PRECEDING AND CURRENT ROW) AS a_week
            FROM demand_history WHERE week > (SELECT max(week) FROM demand_history) - INTERVAL 52 WEEK
        ) GROUP BY sku
    )
    SELECT f.sku, avg(f.mean) AS forecast_a_week, most AS best_of_last_year FROM demand_forecast f JOIN best USING (sku)
    WHERE f.model <> 'launch_curve' GROUP BY f.sku, most HAVING avg(f.mean) > 3.01 * most + 1.01
    """,
    "No SKU is forecast more a week than three times its best quarter of the last year, and a unit.",
)

is_current = sql_check(
    "demand_forecast",
    "follows_the_history",
    """
    SELECT (SELECT min(week) FROM demand_forecast) AS first_forecast, (SELECT max(week) FROM demand_history) AS last_known
    WHERE first_forecast <> last_known + INTERVAL 7 DAY
    """,
    "The first week that is forecast is the one after the last that is known.",
    blocking=False,
)

_LOCKED = """
    SELECT count(*) AS weeks, avg(CASE WHEN units BETWEEN "q0.1" AND "q0.9" THEN 1.0 ELSE 0.0 END) AS coverage,
           sum(mean - units) / nullif(sum(units), 0) AS bias
    FROM forecast_backtest WHERE locked
"""

coverage_holds = sql_check(
    "forecast_backtest",
    "intervals_hold",
    f"SELECT * FROM ({_LOCKED}) WHERE weeks >= 400 AND coverage NOT BETWEEN 0.70 AND 0.92",
    "On the newest weeks that nothing has seen, the 80 % interval held 70 to 92 % of the time.",
    blocking=False,
)

bias_is_small = sql_check(
    "forecast_backtest",
    "bias_is_small",
    f"SELECT * FROM ({_LOCKED}) WHERE weeks >= 400 AND abs(bias) > 0.35",
    "On the newest weeks that nothing has seen, the forecast of all SKUs is off by 35 % at most.",
    blocking=False,
)

one_locked_origin = sql_check(
    "forecast_backtest",
    "one_origin_is_locked",
    """
    SELECT shard, count(DISTINCT cutoff) FILTER (locked) AS locked FROM forecast_backtest GROUP BY shard
    HAVING count(DISTINCT cutoff) FILTER (locked) <> 1
       OR max(cutoff) FILTER (locked) < max(cutoff) FILTER (NOT locked)
    """,
    "The newest origin of a shard, and no other, is kept from whatever is chosen.",
)

said_once = sql_check(
    "forecast_accuracy",
    "said_once",
    "SELECT cutoff, sku, week, count(*) AS rows FROM forecast_accuracy GROUP BY ALL HAVING count(*) > 1",
    "What was said of a SKU's week at a time is kept once.",
)

levels_add_up = sql_check(
    "forecast_hierarchy",
    "levels_add_up",
    """
    WITH totals AS (SELECT hierarchy_level, week, sum(mean) AS total FROM forecast_hierarchy GROUP BY ALL)
    SELECT week, min(total) AS least, max(total) AS most FROM totals GROUP BY week
    HAVING max(total) - min(total) > 1e-6 * greatest(max(total), 1)
    """,
    "SKUs, products and categories each sum to the brand.",
)

parts_add_up = sql_check(
    "demand_forecast_by_channel",
    "parts_sum_to_the_sku",
    """
    SELECT f.sku, f.week, f.mean, sum(part.mean) AS parts FROM demand_forecast f JOIN demand_forecast_by_channel part
    ON part.sku = f.sku AND part.week = f.week GROUP BY f.sku, f.week, f.mean
    HAVING abs(sum(part.mean) - f.mean) > 1e-6 * greatest(f.mean, 1)
    """,
    "A SKU's parts by channel and country sum to its forecast.",
)

CHECKS = [
    forecast_suite,
    history_has_no_holes,
    nothing_explodes,
    is_current,
    coverage_holds,
    bias_is_small,
    one_locked_origin,
    said_once,
    levels_add_up,
    parts_add_up,
]
