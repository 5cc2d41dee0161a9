"""From order lines to what the journal should say: each line valued, then summed by order, day and account.

Belongs here: valuation and the double entry of order lines. Does not belong here: the chart (`accounts`), the tables
(`resources/store/ledger`), reports (`statements`).
"""

from typing import TypeVar

import polars as pl

from assets.finance.accounts import CLEARING, COST_OF_GOODS, INVENTORY, RETURNS, Chart, sub_account
from assets.finance.fx import convert
from assets.finance.money import INT128
from assets.finance.rules import account_of_kind

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
WANTED = ["order_id", "day", "account", "currency", "amount_minor", "base_amount_minor"]


def with_line_costs(lines: Frame, line_costs: Frame) -> Frame:
    """Lines that know what the units which they moved were worth in stock: `value_lines` then asks no cost table.

    `line_costs`: line_id, cost_minor, cost_currency; both null where the cost is not known.
    """
    told = line_costs.select(
        "line_id", stock_cost_minor="cost_minor", stock_cost_currency="cost_currency", by_stock=pl.lit(True)
    )
    return lines.join(told, on="line_id", how="left", maintain_order="left")  # pyright: ignore[reportArgumentType]


def value_lines(lines: pl.DataFrame, costs: pl.DataFrame, ratios: pl.DataFrame, base_currency: str) -> pl.DataFrame:
    """Add to each line what it is worth in the base currency and, for goods, what it cost.

    Adds base_amount_minor, cost_minor (of the whole line, negative for returns), cost_currency, base_cost_minor: all null
    where no rate or no cost is known. The cost is what stock says (`with_line_costs`). A line of which it says nothing costs
    what `costs` says (sku, valid_from, cost_minor of one unit, currency): the newest cost that is valid on the line's day.
    """
    costed = _with_costs(convert(lines, ratios, base_currency, "amount_minor", "base_amount_minor"), costs)
    if "by_stock" in costed.columns:
        by_stock = pl.col("by_stock").fill_null(False) & (pl.col("kind") == "goods")
        costed = costed.with_columns(
            pl.when(by_stock).then("stock_cost_minor").otherwise("cost_minor").alias("cost_minor"),
            pl.when(by_stock).then("stock_cost_currency").otherwise("cost_currency").alias("cost_currency"),
        ).drop("stock_cost_minor", "stock_cost_currency", "by_stock")
    renamed = costed.rename({"currency": "line_currency", "cost_currency": "currency"})
    converted = convert(renamed, ratios, base_currency, "cost_minor", "base_cost_minor")
    return converted.rename({"currency": "cost_currency", "line_currency": "currency"})


def _with_costs(lines: pl.DataFrame, costs: pl.DataFrame) -> pl.DataFrame:
    """cost_minor and cost_currency by the cost table."""
    by_day = costs.sort("valid_from").rename({"cost_minor": "unit_cost_minor", "currency": "cost_currency"})
    costed = (
        lines.with_row_index("position")
        .sort("day", maintain_order=True)
        .join_asof(by_day, left_on="day", right_on="valid_from", by="sku", strategy="backward", check_sortedness=False)
        .sort("position")
        .drop("position", "valid_from")
    )
    goods = pl.col("kind") == "goods"
    whole = pl.col("unit_cost_minor").cast(INT128) * pl.col("quantity").cast(INT128)
    return costed.with_columns(
        pl.when(goods).then(whole.cast(pl.Int64, strict=False)).alias("cost_minor"),
        pl.when(goods).then("cost_currency").alias("cost_currency"),
    ).drop("unit_cost_minor")


def wanted_postings(valued: pl.DataFrame, chart: Chart | None = None, *, with_costs: bool = True) -> pl.DataFrame:
    """What the journal should say of these lines: the columns WANTED, summing to zero per order, day and currency.

    A line credits the account of its kind and debits clearing; goods of known cost move inventory to cost of goods, unless
    the movements of stock are posted by themselves (`with_costs`). With a chart, accounts are split by it: sales by channel,
    tax by country, clearing by processor; that needs the columns channel and country. A base amount is null when any line
    behind it has no rate.
    """
    accounts = account_of_kind()
    code = pl.col("kind").replace_strict({kind: account.code for kind, account in accounts.items()}, default=None)
    returned = (pl.col("kind") == "goods") & (pl.col("quantity") < 0)
    booked = valued.with_columns(pl.when(returned).then(pl.lit(RETURNS.code)).otherwise(code).alias("account")).filter(
        pl.col("account").is_not_null() & (pl.col("amount_minor") != 0)
    )
    legs = [_leg(booked, _split("account", booked, chart), "", -1), _leg(booked, _paid_through(booked, chart), "", 1)]
    if with_costs:
        costed = valued.filter(pl.col("cost_minor").is_not_null() & (pl.col("cost_minor") != 0))
        legs += [
            _leg(costed, pl.lit(COST_OF_GOODS.code), "cost", 1),
            _leg(costed, pl.lit(INVENTORY.code), "cost", -1),
        ]
    base = pl.col("base_amount_minor")
    return (
        pl.concat(legs)
        .group_by("order_id", "day", "account", "currency", maintain_order=True)
        .agg(
            pl.col("amount_minor").sum(),
            pl.when(base.is_not_null().all()).then(base.sum()).first().alias("base_amount_minor"),
        )
        .filter((pl.col("amount_minor") != 0) | (pl.col("base_amount_minor").fill_null(0) != 0))
        .select(WANTED)
    )


def with_rates(wanted: pl.DataFrame, ratios: pl.DataFrame) -> pl.DataFrame:
    """Add rate_numerator and rate_denominator: the ratio at which each amount that has a base amount was valued.

    Null for amounts in the base currency, which has no ratio, and where no rate is known.
    """
    rates = ratios.select("day", "currency", rate_numerator="numerator", rate_denominator="denominator")
    return wanted.join(rates, on=["day", "currency"], how="left", maintain_order="left")


def _split(account: str, lines: pl.DataFrame, chart: Chart | None) -> pl.Expr:
    """The sub-account by the line's channel or country, where the chart splits the account by it."""
    if chart is None:
        return pl.col(account)
    split = pl.col(account)
    for per in ("channel", "country"):
        heads = [entry.code for entry in chart.accounts.values() if entry.per == per]
        split = pl.when(pl.col(account).is_in(heads)).then(_sub_accounts(lines, account, per)).otherwise(split)
    return split


def _sub_accounts(lines: pl.DataFrame, account: str, per: str) -> pl.Expr:
    parts = {part: sub_account("", part) for part in lines[per].drop_nulls().unique()}
    suffix = pl.col(per).replace_strict(parts, default="", return_dtype=pl.String).fill_null("")
    return pl.col(account) + suffix


def _paid_through(lines: pl.DataFrame, chart: Chart | None) -> pl.Expr:
    if chart is None:
        return pl.lit(CLEARING.code)
    accounts = {channel: chart.paid_through(channel) for channel in lines["channel"].drop_nulls().unique()}
    return pl.col("channel").replace_strict(accounts, default=CLEARING.code, return_dtype=pl.String)


def _leg(lines: pl.DataFrame, account: pl.Expr, of: str, sign: int) -> pl.DataFrame:
    amount, base, currency = (
        ("cost_minor", "base_cost_minor", "cost_currency")
        if of == "cost"
        else ("amount_minor", "base_amount_minor", "currency")
    )
    return lines.select(
        "order_id",
        "day",
        account.alias("account"),
        pl.col(currency).alias("currency"),
        (pl.col(amount) * sign).alias("amount_minor"),
        (pl.col(base) * sign).alias("base_amount_minor"),
    )
