"""Features of every customer at a day of reckoning, from order lines; from profiles and engagement where there are any.

Belongs here: what each column of `customer_features` is. Does not belong here: rules, and where lines come from.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from assets.marketing.segments.catalogue import FEATURES
from assets.marketing.segments.errors import SegmentError
from assets.marketing.segments.lifecycle import stage_expression
from assets.marketing.segments.predicted_value import BgNbd, GammaGamma, fit_bg_nbd, fit_gamma_gamma
from assets.marketing.segments.rfm import scores, tier

YEAR = 365
QUARTER = 90
INT, TEXT, FLOAT, TEXTS = pl.Int64(), pl.String(), pl.Float64(), pl.List(pl.String())
LINES: dict[str, pl.DataType] = {
    "customer": TEXT,
    "day": pl.Date(),
    "order_id": INT,
    "channel": TEXT,
    "country": TEXT,
    "kind": TEXT,
    "sku": TEXT,
    "quantity": INT,
    "base_amount_minor": INT,
}
"""Order lines; amounts are minor units of the base currency, null where the day had no rate. Without a customer: no one's."""
CATEGORIES: dict[str, pl.DataType] = {"sku": TEXT, "category": TEXT}
PROFILES: dict[str, pl.DataType] = {
    "customer": TEXT,
    "country": TEXT,
    "language": TEXT,
    "gender": TEXT,
    "birth_year": INT,
    "city": TEXT,
}
ENGAGEMENT: dict[str, pl.DataType] = {"customer": TEXT, "day": pl.Date(), "kind": TEXT, "machine": pl.Boolean()}
"""What was done with messages: kind is sent, opened or clicked; machine where no person did it."""
_INTEGERS = {
    *("age", "orders", "orders_365d", "units", "days_since_first_order", "days_since_last_order", "returned_units"),
    *("recency_score", "frequency_score", "monetary_score", "rfm_total"),
    *("sends_90d", "opens_90d", "clicks_90d", "days_since_engaged"),
}
_TYPES = {"text": TEXT, "texts": TEXTS, "date": pl.Date(), "boolean": pl.Boolean(), "number": FLOAT}
SCHEMA: dict[str, pl.DataType] = {
    "customer": TEXT,
    **{name: (INT if name in _INTEGERS else _TYPES[feature.kind]) for name, feature in FEATURES.items()},
}


@dataclass(frozen=True)
class Features:
    """`frame` has the columns SCHEMA, a row a customer, by name; the models, or why there are none; amounts left out."""

    frame: pl.DataFrame
    as_of: date
    model: BgNbd | None
    value_model: GammaGamma | None
    unpredicted: str | None
    unconverted: int


def customer_features(
    lines: pl.DataFrame,
    as_of: date,
    exponent: int,
    *,
    categories: pl.DataFrame | None = None,
    profiles: pl.DataFrame | None = None,
    engagement: pl.DataFrame | None = None,
) -> Features:
    """Features at the end of the day `as_of`; what came later is not looked at.

    `lines` has LINES, `exponent` is the base currency's (2 for EUR: amounts of features are in EUR, of lines in cents).
    `categories`, `profiles` and `engagement` have the columns of those names above; without them their features are null.
    Raises SegmentError for missing columns.
    """
    for name, frame, schema in (
        ("lines", lines, LINES),
        ("categories", categories, CATEGORIES),
        ("profiles", profiles, PROFILES),
        ("engagement", engagement, ENGAGEMENT),
    ):
        if frame is not None and (missing := [column for column in schema if column not in frame.columns]):
            raise SegmentError(f"{name}: the columns {', '.join(missing)} are missing. Add them.")
    known = lines.filter(pl.col("customer").is_not_null() & (pl.col("day") <= as_of))
    bought = known.filter((pl.col("kind") == "goods") & (pl.col("quantity") > 0))
    orders = _orders(bought)
    summary = _summary(known, bought, orders, as_of)
    everyone = _everyone(summary, profiles, engagement, as_of)
    table = everyone.join(summary, on="customer", how="left").join(
        _categories(bought, categories), on="customer", how="left"
    )
    table = _with_profiles(table, profiles, as_of)
    table = _with_engagement(table, engagement, as_of)
    table = _ranked(table)
    table, model, value_model, why = _predicted(table, _repeats(bought, exponent, as_of))
    table = _in_major_units(table, exponent)
    columns = (pl.col(name) if name in table.columns else pl.lit(None).alias(name) for name in SCHEMA)
    frame = table.select(*columns).select(pl.col(name).cast(type_) for name, type_ in SCHEMA.items())
    return Features(frame.sort("customer"), as_of, model, value_model, why, known["base_amount_minor"].null_count())


def unfilled(features: Features) -> list[str]:
    """Names of features that no customer has: the data behind them was not given."""
    counts = features.frame.null_count().row(0, named=True)
    return [name for name in FEATURES if counts[name] == features.frame.height]


def _orders(bought: pl.DataFrame) -> pl.DataFrame:
    return (
        bought.group_by("customer", "order_id")
        .agg(pl.col("day").min(), pl.col("channel", "country").last(), pl.col("base_amount_minor").sum().alias("minor"))
        .sort("customer", "day", "order_id")
    )


def _summary(known: pl.DataFrame, bought: pl.DataFrame, orders: pl.DataFrame, as_of: date) -> pl.DataFrame:
    recent = pl.col("day") > pl.lit(as_of) - pl.duration(days=YEAR)
    of_orders = orders.group_by("customer").agg(
        pl.len().alias("orders"),
        recent.sum().alias("orders_365d"),
        pl.col("channel").drop_nulls().unique().sort().alias("channels"),
        pl.col("channel").last().alias("last_channel"),
        pl.col("country").drop_nulls().last().alias("order_country"),
        pl.col("minor").sum().alias("gross_minor"),
        pl.col("minor").max().alias("largest_minor"),
        pl.col("day").min().alias("first_order"),
        pl.col("day").max().alias("last_order"),
        pl.col("day").n_unique().alias("purchase_days"),
        pl.col("day").unique().sort().diff().last().dt.total_days().alias("gap_before_last"),
    )
    returned = (pl.col("kind") == "goods") & (pl.col("quantity") < 0)
    money = pl.col("kind").is_in(["goods", "refund", "discount"])
    of_lines = known.group_by("customer").agg(
        pl.col("base_amount_minor").filter(money).sum().alias("net_minor"),
        pl.col("base_amount_minor").filter(money & recent).sum().alias("net_365d_minor"),
        (-pl.col("quantity")).filter(returned).sum().alias("returned_units"),
    )
    units = bought.group_by("customer").agg(pl.col("quantity").sum().alias("units"))
    return (
        of_orders.join(of_lines, on="customer", how="left")
        .join(units, on="customer", how="left")
        .with_columns(
            (pl.lit(as_of) - pl.col("first_order")).dt.total_days().alias("days_since_first_order"),
            (pl.lit(as_of) - pl.col("last_order")).dt.total_days().alias("days_since_last_order"),
            (pl.col("returned_units") / pl.col("units")).alias("return_rate"),
        )
    )


def _everyone(
    summary: pl.DataFrame, profiles: pl.DataFrame | None, engagement: pl.DataFrame | None, as_of: date
) -> pl.DataFrame:
    met = None if engagement is None else engagement.filter(pl.col("day") <= as_of)
    frames = [frame.select(pl.col("customer").cast(TEXT)) for frame in (summary, profiles, met) if frame is not None]
    return pl.concat(frames).drop_nulls().unique()


def _categories(bought: pl.DataFrame, categories: pl.DataFrame | None) -> pl.DataFrame:
    if categories is None:
        return pl.DataFrame(schema={"customer": TEXT, "categories": TEXTS, "favourite_category": TEXT})
    placed = bought.join(categories.select(*CATEGORIES).unique("sku", keep="first"), on="sku").drop_nulls("category")
    return (
        placed.group_by("customer", "category")
        .agg(pl.col("base_amount_minor").sum())
        .sort("base_amount_minor", "category", descending=[True, False])
        .group_by("customer", maintain_order=True)
        .agg(pl.col("category").sort().alias("categories"), pl.col("category").first().alias("favourite_category"))
    )


def _with_profiles(table: pl.DataFrame, profiles: pl.DataFrame | None, as_of: date) -> pl.DataFrame:
    if profiles is None:
        return table.rename({"order_country": "country"})
    own = profiles.select(*PROFILES).unique("customer", keep="first")
    return table.join(own, on="customer", how="left").with_columns(
        pl.coalesce("order_country", "country").alias("country"),
        pl.col("gender").str.to_lowercase(),
        (as_of.year - pl.col("birth_year")).alias("age"),
    )


def _with_engagement(table: pl.DataFrame, engagement: pl.DataFrame | None, as_of: date) -> pl.DataFrame:
    if engagement is None:
        return table
    events = engagement.filter(pl.col("day") <= as_of)
    recent = pl.col("day") > pl.lit(as_of) - pl.duration(days=QUARTER)
    person = ~pl.col("machine").fill_null(False)
    acted = person & pl.col("kind").is_in(["opened", "clicked"])
    counts = events.group_by("customer").agg(
        (recent & (pl.col("kind") == "sent")).sum().alias("sends_90d"),
        (recent & person & (pl.col("kind") == "opened")).sum().alias("opens_90d"),
        (recent & person & (pl.col("kind") == "clicked")).sum().alias("clicks_90d"),
        (pl.lit(as_of) - pl.col("day").filter(acted).max()).dt.total_days().alias("days_since_engaged"),
    )
    level = (
        pl.when(pl.col("clicks_90d") > 0)
        .then(pl.lit("high"))
        .when(pl.col("opens_90d") > 0)
        .then(pl.lit("medium"))
        .when(pl.col("days_since_engaged").is_not_null())
        .then(pl.lit("low"))
        .otherwise(pl.lit("none"))
        .alias("engagement_level")
    )
    joined = table.join(counts, on="customer", how="left")
    return joined.with_columns(pl.col("sends_90d", "opens_90d", "clicks_90d").fill_null(0)).with_columns(level)


def _ranked(table: pl.DataFrame) -> pl.DataFrame:
    digits = pl.col("recency_score", "frequency_score", "monetary_score").cast(TEXT)
    zero = pl.col("orders", "orders_365d", "units", "returned_units", "gross_minor", "net_minor", "net_365d_minor")
    return (
        table.with_columns(*scores(), stage_expression())
        .with_columns(zero.fill_null(0))
        .with_columns(
            pl.concat_str(digits).alias("rfm"),
            (pl.col("recency_score") + pl.col("frequency_score") + pl.col("monetary_score")).alias("rfm_total"),
            tier(pl.col("net_minor")),
        )
        .with_columns(pl.col("vip_tier").is_in(["platinum", "gold"]).alias("is_vip"))
    )


def _repeats(bought: pl.DataFrame, exponent: int, as_of: date) -> pl.DataFrame:
    """x, t_x and T of each customer, and the mean value of a day that they came back on: a day's orders are one purchase."""
    days = (
        bought.group_by("customer", "day")
        .agg(pl.col("base_amount_minor").sum().alias("minor"))
        .sort("customer", "day")
        .with_columns((pl.col("day") != pl.col("day").first().over("customer")).alias("repeat"))
    )
    first, last = pl.col("day").min(), pl.col("day").max()
    return days.group_by("customer").agg(
        pl.col("repeat").sum().alias("x"),
        ((last - first).dt.total_days() / 7).alias("t_x"),
        ((pl.lit(as_of) - first).dt.total_days() / 7).alias("T"),
        (pl.col("minor").filter("repeat").mean() / 10**exponent).alias("mean"),
    )


def _predicted(
    table: pl.DataFrame, repeats: pl.DataFrame
) -> tuple[pl.DataFrame, BgNbd | None, GammaGamma | None, str | None]:
    x, t_x, age, mean = (repeats[name].to_numpy() for name in ("x", "t_x", "T", "mean"))
    try:
        model = fit_bg_nbd(x, t_x, age)
    except SegmentError as error:
        return table, None, None, str(error)
    repeats = repeats.with_columns(
        pl.Series("p_alive", model.p_alive(x, t_x, age)),
        pl.Series("predicted_orders_365d", model.expected(YEAR / 7, x, t_x, age)),
    )
    try:
        value_model, why = fit_gamma_gamma(x, mean), None
    except SegmentError as error:
        value_model, why = None, str(error)
    if value_model is not None:
        value = pl.Series("predicted_order_value", value_model.expected(x, mean)).fill_nan(None)
        repeats = repeats.with_columns(value).with_columns(
            (pl.col("predicted_order_value") * pl.col("predicted_orders_365d")).alias("predicted_value_365d")
        )
    return table.join(repeats.drop("x", "t_x", "T", "mean"), on="customer", how="left"), model, value_model, why


def _in_major_units(table: pl.DataFrame, exponent: int) -> pl.DataFrame:
    # One division by a power of ten gives the binary fraction next to the decimal, which is what a rule's number is too.
    unit = 10**exponent
    return table.with_columns(
        (pl.col("gross_minor") / unit).alias("gross_spend"),
        (pl.col("net_minor") / unit).alias("net_spend"),
        (pl.col("net_365d_minor") / unit).alias("net_spend_365d"),
        (pl.col("largest_minor") / unit).alias("largest_order"),
        pl.when(pl.col("orders") > 0)
        .then(pl.col("gross_minor") / pl.col("orders") / unit)
        .alias("average_order_value"),
    )
