"""How well stock sells: sell-through, weeks of cover, what markdowns did, turns and the margin on what stock costs. Pure.

Belongs here: sums and ratios. Does not belong here: what stock is worth (`valuation`), demand (`assets/forecasting/demand`).
The formulas are those of M. Levy, B. Weitz, D. Grewal, Retailing Management, chapters on merchandise planning and pricing.
"""

from datetime import date, timedelta

import polars as pl

from assets.finance.fx import convert
from assets.finance.money import INT128, divide_half_even
from assets.inventory.valuation import BOUGHT, VALUELESS

INT, TEXT, RATE = pl.Int64(), pl.String(), pl.Float64()
COVER_WEEKS = 8
YEAR_DAYS = 365
BANDS = ("above list", "at list", "up to 10%", "up to 20%", "up to 30%", "up to 40%", "up to 50%", "over 50%")
SELL_THROUGH: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "sku": TEXT,
    "collection": TEXT,
    "opening_units": INT,
    "units_received": INT,
    "units_sold": INT,
    "closing_units": INT,
    "sell_through": RATE,
}
COVER: dict[str, pl.DataType] = {
    "sku": TEXT,
    "collection": TEXT,
    "on_hand": INT,
    "weeks": INT,
    "units_sold": INT,
    "weekly_units": RATE,
    "weeks_of_cover": RATE,
}
MARKDOWNS: dict[str, pl.DataType] = {
    "discount": TEXT,
    "units": INT,
    "base_revenue_minor": INT,
    "base_list_minor": INT,
    "base_markdown_minor": INT,
    "units_costed": INT,
    "base_cost_minor": INT,
    "base_margin_minor": INT,
    "margin_rate": RATE,
    "unconverted": INT,
}
TURNS: dict[str, pl.DataType] = {
    "sku": TEXT,
    "collection": TEXT,
    "first_day": pl.Date(),
    "last_day": pl.Date(),
    "base_revenue_minor": INT,
    "base_cost_minor": INT,
    "base_margin_minor": INT,
    "base_average_stock_minor": INT,
    "turns": RATE,
    "gmroi": RATE,
}


def sell_through(movements: pl.DataFrame, catalog: pl.DataFrame, until: date | None = None) -> pl.DataFrame:
    """Units sold of what there was to sell, by SKU and month, to the month of `until` or of the last movement: SELL_THROUGH.

    Sell-through is units sold, net of returns, over the units at the beginning of the month plus those received in it (first
    counts are received). Null where there was nothing to sell, or where stock was never counted, so that it fell below zero.
    Gifts, losses and counts change what is there and are neither sold nor received. movements: sku, day, kind, quantity.
    """
    kind, quantity = pl.col("kind"), pl.col("quantity")
    monthly = (
        movements.filter(~kind.is_in(VALUELESS))
        .group_by("sku", pl.col("day").dt.truncate("1mo").alias("month"))
        .agg(
            quantity.filter(kind.is_in(BOUGHT)).sum().alias("units_received"),
            (-quantity.filter(kind.is_in(["sale", "return"])).sum()).alias("units_sold"),
            quantity.sum().alias("moved"),
        )
    )
    filled = _every_month(monthly, until).sort("sku", "month")
    closing = pl.col("moved").cum_sum().over("sku")
    stocked = filled.with_columns(closing.alias("closing_units"), (closing - pl.col("moved")).alias("opening_units"))
    offered = pl.col("opening_units") + pl.col("units_received")
    return (
        stocked.with_columns(
            pl.when((offered > 0) & (pl.col("closing_units") >= 0))
            .then(pl.col("units_sold") / offered)
            .alias("sell_through")
        )
        .join(catalog.select("sku", "collection"), on="sku", how="left")
        .sort("month", "sku")
        .select(pl.col(name).cast(dtype) for name, dtype in SELL_THROUGH.items())
    )


def sell_through_by_collection(by_sku: pl.DataFrame) -> pl.DataFrame:
    """The same by month and collection, from the SKUs that have one: month, collection, units and rate as SELL_THROUGH."""
    known = by_sku.filter(pl.col("sell_through").is_not_null() & pl.col("collection").is_not_null())
    units = ("opening_units", "units_received", "units_sold", "closing_units")
    return (
        known.group_by("month", "collection")
        .agg(pl.col(*units).sum())
        .with_columns(
            (pl.col("units_sold") / (pl.col("opening_units") + pl.col("units_received"))).alias("sell_through")
        )
        .sort("month", "collection")
    )


def weeks_of_cover(
    levels: pl.DataFrame, demand: pl.DataFrame, catalog: pl.DataFrame, weeks: int = COVER_WEEKS
) -> pl.DataFrame:
    """For how many weeks the stock lasts: columns COVER, the shortest first.

    Units on hand over the mean units sold a week in the last `weeks` complete weeks, or in as many as there are since the
    first sale. Null where nothing was sold in them. levels: sku, on_hand, counted; SKUs that were never counted are left
    out. demand: sku, week, units_sold, one row a week from the first sale on.
    """
    newest = demand["week"].max()
    first = newest - timedelta(weeks=weeks - 1) if isinstance(newest, date) else date.max
    recent = (
        demand.filter(pl.col("week") >= first)
        .group_by("sku")
        .agg(pl.len().cast(INT).alias("weeks"), pl.col("units_sold").sum())
    )
    rate = pl.col("units_sold") / pl.col("weeks")
    return (
        levels.filter("counted")
        .join(recent, on="sku", how="left")
        .join(catalog.select("sku", "collection"), on="sku", how="left")
        .with_columns(pl.col("weeks", "units_sold").fill_null(0))
        .with_columns(pl.when(pl.col("weeks") > 0).then(rate).alias("weekly_units"))
        .with_columns(
            pl.when(pl.col("weekly_units") > 0).then(pl.col("on_hand") / pl.col("weekly_units")).alias("weeks_of_cover")
        )
        .sort("weeks_of_cover", "sku", nulls_last=True)
        .select(pl.col(name).cast(dtype) for name, dtype in COVER.items())
    )


def markdown_effect(valued: pl.DataFrame, catalog: pl.DataFrame, ratios: pl.DataFrame, base: str) -> pl.DataFrame:
    """What was sold at which discount off the list price, and the margin of it: columns MARKDOWNS, one row a band.

    Markdown is the list price less the price paid. The list price is the catalogue's of now, in its currency: what was paid
    in another one, or has none, is in the row without a band. Discounts of a whole order are lines of their own and in no
    price here. Cost and margin are null unless the cost of every unit is known. `valued` is what `value_lines` gives.
    """
    sold = valued.filter((pl.col("kind") == "goods") & (pl.col("quantity") > 0))
    priced = catalog.select("sku", "retail_price_minor", list_currency="currency")
    listed = sold.join(priced, on="sku", how="left", maintain_order="left").with_columns(
        pl.when((pl.col("list_currency") == pl.col("currency")) & (pl.col("retail_price_minor") > 0))
        .then(pl.col("retail_price_minor").cast(INT128) * pl.col("quantity"))
        .cast(INT, strict=False)
        .alias("list_minor")
    )
    banded = convert(listed.with_columns(_band()), ratios, base, "list_minor", "base_list_minor")
    known, costed = pl.col("base_amount_minor").is_not_null(), pl.col("base_cost_minor").is_not_null()
    sums = banded.group_by("discount").agg(
        pl.col("quantity").sum().alias("units"),
        pl.col("base_amount_minor").sum().alias("base_revenue_minor"),
        pl.when(pl.col("base_list_minor").filter(known).is_not_null().all())
        .then(pl.col("base_list_minor").filter(known).sum())
        .first()
        .alias("base_list_minor"),
        pl.col("quantity").filter(costed).sum().alias("units_costed"),
        pl.when(costed.filter(known).all())
        .then(pl.col("base_cost_minor").filter(known).sum())
        .first()
        .alias("base_cost_minor"),
        (~known).sum().cast(INT).alias("unconverted"),
    )
    margin = pl.col("base_revenue_minor") - pl.col("base_cost_minor")
    order = pl.Enum(BANDS)
    return (
        sums.with_columns(
            (pl.col("base_list_minor") - pl.col("base_revenue_minor")).alias("base_markdown_minor"),
            margin.alias("base_margin_minor"),
            _ratio(margin, pl.col("base_revenue_minor")).alias("margin_rate"),
        )
        .sort(pl.col("discount").cast(order), nulls_last=True)
        .select(pl.col(name).cast(dtype) for name, dtype in MARKDOWNS.items())
    )


def stock_turns(
    valued: pl.DataFrame, lines: pl.DataFrame, catalog: pl.DataFrame, last: date, days: int = YEAR_DAYS
) -> pl.DataFrame:
    """Turns and GMROI of each SKU over the days that end with `last`: columns TURNS, the best return first.

    Turns are the cost of goods sold over the average stock at cost; GMROI, the gross margin return on inventory, is the gross
    margin over the same average. The average is that of the stock at the end of every day. Nothing is scaled to a year. Null
    where a cost or a rate is not known, or where the average is not above zero. valued: sku, day, kind, base_minor (what the
    movement changes in the stock's value, null where unknown), of all days. lines: sku, day, kind, base_amount_minor.
    """
    first = last - timedelta(days=days - 1)
    until = valued.filter(pl.col("day") <= last)
    held = (pl.lit(last) - pl.max_horizontal("day", pl.lit(first))).dt.total_days() + 1
    inside, sale = pl.col("day") >= first, pl.col("kind").is_in(["sale", "return"])
    change = pl.col("base_minor")
    stock = until.group_by("sku").agg(
        _known(change.cast(INT128) * held.cast(INT128)).alias("unit_days"),
        _known(-change.filter(inside & sale)).alias("base_cost_minor"),
    )
    revenue = (
        lines.filter(pl.col("day").is_between(first, last) & pl.col("kind").is_in(["goods", "refund"]))
        .group_by("sku")
        .agg(_known(pl.col("base_amount_minor")).alias("base_revenue_minor"), pl.lit(True).alias("sold"))
    )
    average = divide_half_even(pl.col("unit_days"), pl.lit(days)).cast(INT, strict=False)
    margin = pl.col("base_revenue_minor") - pl.col("base_cost_minor")
    return (
        stock.join(revenue, on="sku", how="left")
        .join(catalog.select("sku", "collection"), on="sku", how="left")
        .with_columns(
            pl.when("sold").then("base_revenue_minor").otherwise(0).alias("base_revenue_minor"),
            average.alias("base_average_stock_minor"),
            pl.lit(first).alias("first_day"),
            pl.lit(last).alias("last_day"),
        )
        .with_columns(
            margin.alias("base_margin_minor"),
            _ratio(pl.col("base_cost_minor"), pl.col("base_average_stock_minor")).alias("turns"),
            _ratio(margin, pl.col("base_average_stock_minor")).alias("gmroi"),
        )
        .sort("gmroi", "sku", descending=[True, False], nulls_last=True)
        .select(pl.col(name).cast(dtype) for name, dtype in TURNS.items())
    )


def base_changes(valued: pl.DataFrame, ratios: pl.DataFrame, base: str) -> pl.DataFrame:
    """Valued movements with what each part changes in the stock's value in the base currency: base_minor, null if unknown."""
    changed = valued.with_columns((pl.col("value_minor") + pl.col("variance_minor")).alias("change_minor"))
    converted = convert(changed, ratios, base, "change_minor", "base_minor")
    nothing = (pl.col("units") == 0) & (pl.col("change_minor") == 0)
    return converted.with_columns(pl.when(nothing).then(0).otherwise("base_minor").alias("base_minor"))


def _every_month(monthly: pl.DataFrame, until: date | None) -> pl.DataFrame:
    """A row for each month from a SKU's first to that of `until`, or the last of all; what did not move is 0."""
    last = until.replace(day=1) if until and monthly.height else monthly["month"].max()
    if not isinstance(last, date):
        return monthly
    months = monthly.group_by("sku").agg(pl.date_range(pl.col("month").min(), last, "1mo").alias("month"))
    filled = months.explode("month").join(monthly, on=["sku", "month"], how="left")
    return filled.with_columns(pl.col("units_received", "units_sold", "moved").fill_null(0))


def _band() -> pl.Expr:
    """The band of the discount: what was paid against what is listed, in whole numbers."""
    paid, listed = pl.col("amount_minor").cast(INT128) * 10, pl.col("list_minor").cast(INT128)
    band = pl.when(listed.is_null()).then(None).when(paid > listed * 10).then(pl.lit(BANDS[0]))
    band = band.when(paid == listed * 10).then(pl.lit(BANDS[1]))
    for tenths, name in zip(range(9, 4, -1), BANDS[2:-1], strict=True):
        band = band.when(paid >= listed * tenths).then(pl.lit(name))
    return band.otherwise(pl.lit(BANDS[-1])).alias("discount")


def _known(value: pl.Expr) -> pl.Expr:
    """The sum, unless any of it is unknown."""
    return pl.when(value.is_not_null().all()).then(value.sum()).first()


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)
