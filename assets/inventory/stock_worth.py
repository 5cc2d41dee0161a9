"""The stock valuation: what is left of each SKU and what it is worth, under the brand's method and beside it the others. Pure.

Belongs here: the table that a person reads. Does not belong here: how movements are valued (`valuation`).
"""

from typing import NamedTuple

import polars as pl

from assets.finance.money import divide_half_even
from assets.inventory.valuation import LAYERS as LAYER_SCHEMA
from assets.inventory.valuation import METHODS, VALUELESS, Method, price_movements, stock_value, value_movements

STOCK_WORTH: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "units": pl.Int64(),
    "value_minor": pl.Int64(),
    "currency": pl.String(),
    "unit_value_minor": pl.Int64(),
    "base_value_minor": pl.Int64(),
    "base_currency": pl.String(),
    "method": pl.String(),
    **{f"{method}_minor": pl.Int64() for method in METHODS},
}
BASE_VALUES: dict[str, pl.DataType] = {"sku": pl.String(), "currency": pl.String(), "base_value_minor": pl.Int64()}
_KEY = ["sku", "currency"]


class History(NamedTuple):
    """Movements (movement_id, sku, day, kind, quantity, reference), costs and purchases as `price_movements` takes them."""

    movements: pl.DataFrame
    costs: pl.DataFrame
    purchases: pl.DataFrame


def stock_worth(
    layers: pl.DataFrame, base_values: pl.DataFrame, history: History, method: Method, base_currency: str
) -> pl.DataFrame:
    """One row a SKU that has units or a value, with the columns STOCK_WORTH, the most valuable first.

    A SKU has a further row for units that were bought in another currency, and one without currency for units of unknown
    cost: their value is null. `layers` are those that the brand's method left; the other methods' values are computed from
    the history alone. `base_values` (BASE_VALUES) is what was posted, each movement at its day's rate.
    """
    mine = pl.concat([stock_value(layers), _never_valued(layers, history)])
    others = [
        stock_value(layers_of(_of_skus(history, mine), other))
        .filter(pl.col("currency").is_not_null())
        .select(*_KEY, pl.col("value_minor").alias(f"{other}_minor"))
        for other in METHODS
        if other != method
    ]
    for values in (base_values, *others):
        mine = mine.join(values, on=_KEY, how="left")
    return (
        mine.filter((pl.col("units") != 0) | (pl.col("value_minor") != 0))
        .with_columns(
            pl.col("value_minor").alias(f"{method}_minor"),
            pl.when(pl.col("units") > 0)
            .then(divide_half_even(pl.col("value_minor"), pl.col("units").clip(lower_bound=1)))
            .alias("unit_value_minor"),
            pl.lit(base_currency).alias("base_currency"),
            pl.lit(method).alias("method"),
        )
        .sort("value_minor", "sku", descending=[True, False], nulls_last=True)
        .select(pl.col(name).cast(dtype) for name, dtype in STOCK_WORTH.items())
    )


def layers_of(history: History, method: Method) -> pl.DataFrame:
    """What the whole history leaves under a method: LAYERS."""
    priced = price_movements(history.movements, history.costs, history.purchases)
    return value_movements(priced, pl.DataFrame(schema=LAYER_SCHEMA), method).layers


def totals(worth: pl.DataFrame) -> pl.DataFrame:
    """Value of all stock by currency: currency, skus, units, value_minor; without a currency what has no known cost."""
    return (
        worth.group_by("currency")
        .agg(pl.col("sku").n_unique().alias("skus"), pl.col("units").sum(), _sum_or_null("value_minor"))
        .sort("currency", nulls_last=True)
        .select("currency", pl.col("skus").cast(pl.Int64), "units", "value_minor")
    )


def _never_valued(layers: pl.DataFrame, history: History) -> pl.DataFrame:
    """Units of SKUs without any cost."""
    moved = history.movements.filter(~pl.col("kind").is_in(VALUELESS))
    received = moved.filter(pl.col("kind") == "receipt").join(history.purchases, on=["sku", "reference"], how="semi")
    known = pl.concat([frame.select("sku") for frame in (history.costs, received, layers)]).unique()
    return (
        moved.join(known, on="sku", how="anti")
        .group_by("sku")
        .agg(pl.lit(None, pl.String).alias("currency"), pl.col("quantity").sum().alias("units"))
        .with_columns(pl.lit(None, pl.Int64).alias("value_minor"))
        .select("sku", "currency", "units", "value_minor")
    )


def _of_skus(history: History, mine: pl.DataFrame) -> History:
    """The history of those SKUs of which there is something left."""
    skus = mine.filter(pl.col("value_minor").is_not_null()).select("sku").unique()
    return history._replace(movements=history.movements.join(skus, on="sku", how="semi"))


def _sum_or_null(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null().all()).then(pl.col(column).sum()).first().alias(column)
