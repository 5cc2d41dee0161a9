"""What is known of a week before it comes: holidays, paydays, sales periods, the season, an item's age and its price.

Here: regressors by week and by SKU and week, such as a model may be given for the future too. Not here: whether a model uses
them, and anything that is only known afterwards: a future price is the last one.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import polars as pl

YEAR_TERMS, QUARTER_TERMS, MONTH_TERMS = 3, 1, 1
"""Pairs of sine and cosine by period."""

LAUNCH_WEEKS = 8
WEEK = timedelta(days=7)
DAYS = tuple(timedelta(days=n) for n in range(7))

_OF_WEEKS = (
    "holidays",
    "black_friday",
    "advent",
    "christmas",
    "payday",
    "sales_period",
    "promotion",
    *(f"year_{wave}_{k}" for k in range(1, YEAR_TERMS + 1) for wave in ("sin", "cos")),
    *(f"quarter_{wave}_{k}" for k in range(1, QUARTER_TERMS + 1) for wave in ("sin", "cos")),
    *(f"month_{wave}_{k}" for k in range(1, MONTH_TERMS + 1) for wave in ("sin", "cos")),
)
WEEK_FEATURES: dict[str, pl.DataType] = {"week": pl.Date(), **dict.fromkeys(_OF_WEEKS, pl.Float64())}
SKU_FEATURES: dict[str, pl.DataType] = {
    "sku": pl.String(),
    **WEEK_FEATURES,
    "weeks_since_first_sale": pl.Int64(),
    "launch": pl.Float64(),
    "price_ratio": pl.Float64(),
    "discount_last_year": pl.Float64(),
}


def week_features(weeks: Iterable[date], country: str = "FR", promotions: pl.DataFrame | None = None) -> pl.DataFrame:
    """`WEEK_FEATURES` of the weeks given by their Mondays, in their order.

    - `holidays`: share of the seven days that are public holidays of `country` (ISO 3166, as the package `holidays` knows it).
    - `black_friday`: 1 in the week of the Friday after November's fourth Thursday.
    - `advent`: share of days from 1 to 24 December; `christmas`: 1 in the week of 25 December.
    - `payday`: 1 in the week of a month's last working day (Monday to Friday, no public holiday).
    - `sales_period`: share of days in the sales that French law allows (Code de commerce, L310-3 and D310-15-2): four weeks
      from January's second Wednesday (the first, if the second is after the 12th), and from June's last (the last but one, if
      the last is after the 28th). 0 in other countries, which have no such law.
    - `promotion`: share of days in the house's own `promotions`, a frame with the days `first` and `last`, both included.
    - `year_*`, `quarter_*`, `month_*`: sine and cosine of the place in the period, of the week's Thursday (ISO 8601 counts a
      week to the year of its Thursday).

    Raises ValueError for a country that is not known.
    """
    mondays = list(weeks)
    years = {(monday + day).year for monday in mondays for day in (DAYS[0], DAYS[-1])}
    free, sales = _public_holidays(country, years), _french_sales(years) if country == "FR" else set()
    paydays = {_last_working_day(year, month, free) for year in years for month in range(1, 13)}
    own = _promotion_days(promotions)
    rows = []
    for monday in mondays:
        days = [monday + day for day in DAYS]
        rows.append(
            (
                monday,
                _share(days, free),
                float(any(_is_black_friday(day) for day in days)),
                sum(day.month == 12 and day.day <= 24 for day in days) / 7,
                float(any((day.month, day.day) == (12, 25) for day in days)),
                float(any(day in paydays for day in days)),
                _share(days, sales),
                _share(days, own),
                *_waves(monday + DAYS[3]),
            )
        )
    return pl.DataFrame(rows, schema=WEEK_FEATURES, orient="row")


def day_features(first: date, last: date, country: str, promotions: pl.DataFrame | None = None) -> pl.DataFrame:
    """day, holidays, sales_period, promotion (0 or 1 each) of the days from `first` to `last`, in order; see `week_features`.

    Raises ValueError for a country that is not known.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    years = set(range(first.year, last.year + 1))
    free, sales = _public_holidays(country, years), _french_sales(years) if country == "FR" else set()
    own = _promotion_days(promotions)
    rows = [(day, float(day in free), float(day in sales), float(day in own)) for day in days]
    schema = {"day": pl.Date(), **dict.fromkeys(("holidays", "sales_period", "promotion"), pl.Float64())}
    return pl.DataFrame(rows, schema=schema, orient="row")


def sku_features(
    demand: pl.DataFrame, horizon: int, country: str = "FR", promotions: pl.DataFrame | None = None
) -> pl.DataFrame:
    """`SKU_FEATURES` of every week of `demand` (as `weekly_demand` makes it) and of the `horizon` weeks after, by SKU.

    - `weeks_since_first_sale`: 0 in the week of the first sale; `launch`: exp(-age / LAUNCH_WEEKS).
    - `price_ratio`: the price beside the middle of the SKU's weekly prices up to that week; 1 where no price is known. A future
      week has the last price.
    - `discount_last_year`: the brand's share of worth given in discount in the same week a year (52 weeks) ago, 0 where
      it is not known.

    No feature of a week is made from later weeks of `demand`.
    """
    if demand.is_empty():
        return pl.DataFrame(schema=SKU_FEATURES)
    last = _last_week(demand)
    first = demand.group_by("sku").agg(first=pl.col("week").min())
    grid = (
        first.with_columns(week=pl.date_ranges("first", pl.lit(last + horizon * WEEK), interval="1w"))
        .explode("week")
        .join(_with_usual_prices(demand), on=["sku", "week"], how="left")
        .join(_discounts_a_year_later(demand), on="week", how="left")
        .join(week_features(_weeks(first["first"].to_list(), last + horizon * WEEK), country, promotions), on="week")
        .sort("sku", "week")
    )
    age = (pl.col("week") - pl.col("first")).dt.total_days() // 7
    price = pl.col("price").forward_fill().over("sku")
    usual = pl.col("usual").forward_fill().over("sku")
    return grid.with_columns(
        weeks_since_first_sale=age,
        launch=(-age / LAUNCH_WEEKS).exp(),
        price_ratio=(price / usual).fill_null(1.0).fill_nan(1.0),
        discount_last_year=pl.col("given").fill_null(0.0),
    ).select(pl.col(name).cast(dtype) for name, dtype in SKU_FEATURES.items())


def _last_week(demand: pl.DataFrame) -> date:
    last = demand["week"].max()
    assert isinstance(last, date)
    return last


def _with_usual_prices(demand: pl.DataFrame) -> pl.DataFrame:
    """sku, week, price, usual: the middle of the SKU's prices of that week and the weeks before it."""
    so_far = pl.col("price").rolling_median(demand.height, min_samples=1)
    return demand.select("sku", "week", "price").sort("sku", "week").with_columns(usual=so_far.over("sku"))


def _weeks(firsts: list[date], last: date) -> list[date]:
    first = min(firsts)
    return [first + n * WEEK for n in range((last - first).days // 7 + 1)]


def _discounts_a_year_later(demand: pl.DataFrame) -> pl.DataFrame:
    """week, given: the brand's mean discount 52 weeks before, each SKU weighing as much as it sold."""
    sold = demand.filter(pl.col("discount").is_not_null(), pl.col("units_sold") > 0)
    given = (pl.col("discount") * pl.col("units_sold")).sum() / pl.col("units_sold").sum()
    return sold.group_by(week=pl.col("week") + 52 * WEEK).agg(given=given)


def _public_holidays(country: str, years: set[int]) -> set[date]:
    import holidays

    try:
        return set(holidays.country_holidays(country, years=years))
    except NotImplementedError:
        raise ValueError(f"no public holidays are known of the country {country!r}: give its ISO 3166 code") from None


def _french_sales(years: set[int]) -> set[date]:
    days: set[date] = set()
    for year in years:
        winter = _nth_weekday(year, 1, 2, 2)
        winter -= WEEK if winter.day > 12 else timedelta(0)
        summer = date(year, 6, 30) - timedelta(days=(date(year, 6, 30).weekday() - 2) % 7)
        summer -= WEEK if summer.day > 28 else timedelta(0)
        days |= {start + timedelta(days=n) for start in (winter, summer) for n in range(28)}
    return days


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7) + (nth - 1) * WEEK


def _is_black_friday(day: date) -> bool:
    return day.month == 11 and day == _nth_weekday(day.year, 11, 3, 4) + timedelta(days=1)


def _last_working_day(year: int, month: int, free: set[date]) -> date:
    day = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    while day.weekday() > 4 or day in free:
        day -= timedelta(days=1)
    return day


def _promotion_days(promotions: pl.DataFrame | None) -> set[date]:
    if promotions is None:
        return set()
    spans = promotions.select("first", "last").iter_rows()
    return {first + timedelta(days=n) for first, last in spans for n in range((last - first).days + 1)}


def _share(days: list[date], of: set[date]) -> float:
    return sum(day in of for day in days) / 7


def _waves(day: date) -> list[float]:
    import math

    month = day.replace(day=1)
    quarter = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    lengths = [
        (_length(date(day.year, 1, 1), 12), day - date(day.year, 1, 1), YEAR_TERMS),
        (_length(quarter, 3), day - quarter, QUARTER_TERMS),
        (_length(month, 1), day - month, MONTH_TERMS),
    ]
    return [
        wave(2 * math.pi * k * passed.days / length)
        for length, passed, terms in lengths
        for k in range(1, terms + 1)
        for wave in (math.sin, math.cos)
    ]


def _length(start: date, months: int) -> int:
    end = start.month - 1 + months
    return (date(start.year + end // 12, end % 12 + 1, 1) - start).days
