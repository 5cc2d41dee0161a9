"""Orders that the stock cannot serve: who is owed what, and what might be done.

Belongs here: finding what is short, and the remedies in words. Does not belong here: doing any of them.
"""

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.purchasing import on_order
from resources.store.stock import raise_alerts
from resources.store.stock_keeping import read_levels_by_location, read_supply

if TYPE_CHECKING:
    from sqlalchemy import Connection

KIND = "shortfall"
SHORTFALLS: dict[str, pl.DataType] = {"sku": pl.String(), "kind": pl.String(), "details": pl.String()}


def raise_shortfalls(connection: "Connection", brand: int) -> list[int]:
    """Make the unresolved shortfall alerts just those that are true now. Returns their ids."""
    return raise_alerts(connection, brand, read_shortfalls(connection, brand), (KIND,))


def read_shortfalls(connection: "Connection", brand: int) -> pl.DataFrame:
    """What is short now (see `shortfalls`). A SKU that nobody ever counted is not: its level is only a difference."""
    levels = read_levels_by_location(connection, brand).filter(pl.col("counted").any().over("sku"))
    if not levels.filter(pl.col("on_hand") < pl.col("reserved")).height:
        return pl.DataFrame(schema=SHORTFALLS)
    return shortfalls(levels, read_supply(connection, brand), on_order(connection, brand))


def shortfalls(levels: pl.DataFrame, supply: pl.DataFrame, coming: pl.DataFrame) -> pl.DataFrame:
    """SKUs of which a location owes more than may be sold beyond stock: sku, kind, details (JSON: short, owed_at, remedies).

    levels: sku, location, on_hand, reserved. supply: sku, limit. coming: sku, on_order (units on their way from suppliers).
    """
    found: list[dict[str, Any]] = []
    limits = dict(supply.select("sku", "limit").iter_rows())
    arriving = dict(coming.select("sku", "on_order").iter_rows())
    free = pl.col("on_hand") - pl.col("reserved")
    for (sku,), rows in levels.with_columns(free.alias("free")).partition_by("sku", as_dict=True).items():
        owed = {row["location"]: -row["free"] for row in rows.to_dicts() if row["free"] < 0}
        short = sum(owed.values()) - limits.get(sku, 0)
        if short <= 0:
            continue
        spare = {row["location"]: row["free"] for row in rows.to_dicts() if row["free"] > 0}
        details = {"short": short, "owed_at": owed, "remedies": _remedies(short, spare, arriving.get(sku, 0))}
        found.append({"sku": sku, "kind": KIND, "details": json.dumps(details)})
    return pl.DataFrame(found, schema=SHORTFALLS).sort("sku")


def _remedies(short: int, spare: dict[str, int], arriving: int) -> list[str]:
    """What might be done, the best first."""
    said: list[str] = []
    missing = short
    for place, units in sorted(spare.items(), key=lambda item: (-item[1], item[0])):
        if missing > 0:
            said.append(f"transfer {min(missing, units)} from {place}")
            missing -= units
    if missing > 0 and arriving:
        said.append(
            f"promise {min(missing, arriving)} from the purchase orders that are on their way ({arriving} units)"
        )
    if missing > arriving:
        said.append(f"make or order {missing - arriving}, or tell the clients of the newest orders and refund them")
    return said
