"""How the agent and its stock stand, in counts of real rows."""

from typing import Any

import polars as pl

from assets.inventory.levels import low_stock
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run
from resources.store.ledger_chain import head
from resources.store.limits import breakers
from resources.store.periods import closed_months
from resources.store.stock import read_levels
from resources.store.transactions import count_by_type

NAME = "finance_inventory"
VERSION = "1.0"


def status(books: BrandStore) -> dict[str, Any]:
    """The contract's status object. A SKU that was never counted is neither in stock nor out of it: `not_counted`."""
    with books.read() as (connection, brand):
        levels = read_levels(connection, brand)
        of_brand = {"brand": brand}
        skus = run(connection, "SELECT count(*) FROM skus WHERE brand_id = :brand", of_brand).scalar() or 0
        by_type = count_by_type(connection, brand)
        opened = "SELECT count(CASE WHEN status <> 'resolved' THEN 1 END), count(*) FROM alerts WHERE brand_id = :brand"
        active, alerts = fetch(connection, opened, of_brand)[0]
        syncs = run(
            connection,
            "SELECT count(*) FROM audit_log WHERE brand_id = :brand AND action = 'inventory.sync'",
            of_brand,
        ).scalar()
        integrations = breakers(connection, brand)
        newest, closed = head(connection, brand), closed_months(connection, brand)
    low = low_stock(levels)["kind"].value_counts()
    kinds = dict(low.iter_rows())
    counted = levels.filter(pl.col("counted")).height
    short, out = kinds.get("low_stock", 0), kinds.get("out_of_stock", 0)
    return {
        "agent_name": NAME,
        "version": VERSION,
        "inventory": {
            "total_items": skus,
            "in_stock": counted - short - out,
            "low_stock": short,
            "out_of_stock": out,
            "not_counted": skus - counted,
        },
        "transactions": {
            "total_transactions": sum(by_type.values()),
            "by_type": by_type,
            "ledger_head": newest,
            "closed_through": f"{max(closed):%Y-%m}" if closed else None,
        },
        "alerts": {"active_alerts": active, "total_alerts": alerts},
        "performance": {"sync_count": syncs or 0},
        "circuit_breakers": {
            row["name"]: {
                "state": row["state"],
                "failures": row["failures"],
                "last_failure": row["last_failure_at"] and row["last_failure_at"].isoformat(),
            }
            for row in integrations
        },
    }
