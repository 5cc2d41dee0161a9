"""Valuing what has moved, and what stock is worth at this moment or was on a day, from the store.

Belongs here: the transactions in which movements are valued. Does not belong here: how (`valuation`), and the assets
(`valuation_assets`).
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from assets.finance.accounts import INVENTORY
from assets.finance.fx import convert, daily_ratios
from assets.inventory.stock_worth import BASE_VALUES, History, layers_of, stock_worth
from assets.inventory.valuation import Method, price_movements, value_movements
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_costs
from resources.store.rates import read_rates
from resources.store.stock_valuation import (
    forget_values,
    inventory_balance,
    read_layers,
    read_moved,
    read_purchases,
    read_unvalued,
    read_valued,
    unvalued_days,
    valued_days,
    write_values,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Worth:
    """What stock is worth: `rows` (STOCK_WORTH); beside it the inventory account, in minor units by currency.

    `waiting` movements were not valued yet, and are in neither.
    """

    method: Method
    as_of: date | None
    rows: pl.DataFrame
    ledger: dict[str, int]
    waiting: int


def value_new(books: BrandStore, last: date) -> int:
    """Value the movements up to a day that have no value yet, by the brand's method. Returns how many."""
    with books.read() as (connection, brand):
        # Most runs find nothing to do, and need no transaction that others would wait for.
        if not unvalued_days(connection, brand).filter(pl.col("day") <= last).height:
            return 0
    with books.write() as (connection, brand):
        return _value(connection, brand, books.settings.current.costing, last)


def value_again(books: BrandStore, reason: str, actor: str) -> int:
    """Take all values back and compute them from the beginning, by the costs and the method of now. Returns how many.

    The days that were valued stay valued; the ledger gets the differences when they are made again.
    """
    method = books.settings.current.costing
    with books.write() as (connection, brand):
        days = valued_days(connection, brand)["day"]
        forget_values(connection, brand)
        count = _value(connection, brand, method, days[-1]) if days.len() else 0
        details = {"movements": count, "method": method, "reason": reason}
        record(connection, brand, "inventory.revalue", method, details, actor=actor)
    return count


def worth_of(books: BrandStore, method: Method | None = None, as_of: date | None = None) -> Worth:
    """What stock is worth at this moment as it was valued; else what the whole history leaves by a method, or on a day."""
    current = books.settings.current
    chosen, last = method or current.costing, as_of or date.max
    with books.read() as (connection, brand):
        movements = read_moved(connection, brand, last)
        history = History(movements, read_costs(connection, brand), read_purchases(connection, brand))
        booked = read_layers(connection, brand)
        ratios = daily_ratios(read_rates(connection, brand), current.base_currency, current.fx_carry_days)
        valued = read_valued(connection, brand, date.min, last)
        ledger = inventory_balance(connection, brand, INVENTORY.code, last)
        days = unvalued_days(connection, brand)
    as_booked = chosen == current.costing and as_of is None
    base = base_value(valued, ratios, current.base_currency) if as_booked else pl.DataFrame(schema=BASE_VALUES)
    layers = booked if as_booked else layers_of(history, chosen)
    rows = stock_worth(layers, base, history, chosen, current.base_currency)
    waiting = int(days.filter(pl.col("day") <= last)["movements"].sum())
    return Worth(chosen, as_of, rows, {currency: minor for currency, minor in ledger.iter_rows() if minor}, waiting)


def base_value(valued: pl.DataFrame, ratios: pl.DataFrame, base_currency: str) -> pl.DataFrame:
    """What is left in the base currency, each movement at its day's rate: columns BASE_VALUES, null without a rate."""
    known = valued.filter(pl.col("currency").is_not_null())
    for amount in ("value_minor", "variance_minor"):
        known = convert(known, ratios, base_currency, amount, f"base_{amount}")
    base = pl.col("base_value_minor") + pl.col("base_variance_minor")
    return known.group_by("sku", "currency").agg(
        pl.when(base.is_not_null().all()).then(base.sum()).first().alias("base_value_minor")
    )


def _value(connection: "Connection", brand: int, method: Method, last: date) -> int:
    unvalued = read_unvalued(connection, brand, last)
    priced = price_movements(unvalued, read_costs(connection, brand), read_purchases(connection, brand))
    valued = value_movements(priced, read_layers(connection, brand), method)
    write_values(connection, brand, valued.parts, valued.layers, method)
    return unvalued.height
