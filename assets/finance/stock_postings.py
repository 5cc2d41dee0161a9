"""From valued movements of stock to what the journal should say of them, and what each order line cost.

Belongs here: the double entry of stock. Does not belong here: what a movement is worth (`assets/inventory/valuation`), order
lines (`posting`).

The valued movements have the columns VALUED of `resources/store/stock_valuation`: movement_id, part, day, sku, kind, order_id,
line_id, units, value_minor (into stock positive; null where the cost of these units is unknown), variance_minor, currency.
"""

import polars as pl

from assets.finance.accounts import Chart, default_chart
from assets.finance.fx import convert
from assets.finance.rules import posting_rules

LEGS = ["order_id", "subject", "day", "account", "currency", "amount_minor", "base_amount_minor"]
LINE_COSTS: dict[str, pl.DataType] = {"line_id": pl.Int64(), "cost_minor": pl.Int64(), "cost_currency": pl.String()}
_VARIANCE = "variance"


def stock_legs(
    valued: pl.DataFrame, ratios: pl.DataFrame, base_currency: str, chart: Chart | None = None
) -> pl.DataFrame:
    """What the journal should say of these movements: the columns LEGS, summing to zero per event, day and currency.

    A movement debits inventory with its value and credits the account of its kind; what a receipt cost otherwise than
    was assumed when its units were sold stands against price variance. `subject` is the kind of movements that belong to no
    order, else null. Units without a value post nothing. A base amount is null where the day has no rate.
    """
    moved = pl.concat(
        [
            _sides(valued, "value_minor", pl.col("kind"), chart or default_chart()),
            _sides(valued, "variance_minor", pl.lit(_VARIANCE), chart or default_chart()),
        ]
    )
    converted = convert(moved, ratios, base_currency, "amount_minor", "base_amount_minor")
    base = pl.col("base_amount_minor")
    return (
        converted.group_by("order_id", "subject", "day", "account", "currency", maintain_order=True)
        .agg(
            pl.col("amount_minor").sum(),
            pl.when(base.is_not_null().all()).then(base.sum()).first().alias("base_amount_minor"),
        )
        .filter((pl.col("amount_minor") != 0) | (base.fill_null(0) != 0))
        .select(LEGS)
    )


def line_costs(valued: pl.DataFrame) -> pl.DataFrame:
    """What the units of each order line cost: columns LINE_COSTS, positive for what was sold.

    A row for each line whose movement was valued; null where the cost of some of its units is unknown, or was paid in
    several currencies.
    """
    known = pl.col("value_minor").is_not_null().all() & (pl.col("currency").drop_nulls().n_unique() <= 1)
    return (
        valued.filter(pl.col("line_id").is_not_null())
        .group_by("line_id", maintain_order=True)
        .agg(
            pl.when(known).then(-pl.col("value_minor").sum()).first().alias("cost_minor"),
            pl.when(known).then(pl.col("currency").drop_nulls().first()).first().alias("cost_currency"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LINE_COSTS.items())
    )


def _sides(valued: pl.DataFrame, amount: str, kind: pl.Expr, chart: Chart) -> pl.DataFrame:
    """Both legs of each movement that has such an amount."""
    codes = {kind: chart.of_role(role).code for kind, role in posting_rules().stock_movements.items()}
    told = valued.filter(pl.col(amount).fill_null(0) != 0).with_columns(
        kind.replace_strict(codes, return_dtype=pl.String).alias("other")
    )
    return pl.concat(
        [_side(told, pl.lit(chart.of_role("inventory").code), amount, 1), _side(told, "other", amount, -1)]
    )


def _side(told: pl.DataFrame, account: str | pl.Expr, amount: str, sign: int) -> pl.DataFrame:
    of_order = pl.col("order_id").is_not_null()
    return told.select(
        "order_id",
        pl.when(of_order).then(None).otherwise("kind").alias("subject"),
        "day",
        (pl.col(account) if isinstance(account, str) else account).alias("account"),
        "currency",
        (pl.col(amount) * sign).alias("amount_minor"),
    )
