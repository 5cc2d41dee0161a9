"""Bringing the books in line with what a channel holds, setting stock-keeping up, and undoing either.

Belongs here: which items are taken and what is answered. Does not belong here: the rows (`resources/store/channel_stock`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.finance.money import to_minor
from assets.ingestion.lines import today_in
from luxauto_pipelines.agents.finance_inventory.errors import InvalidFields
from luxauto_pipelines.agents.finance_inventory.parameters import (
    InventoryItem,
    InventorySetup,
    InventorySync,
    Nothing,
    StockQuery,
    Undoing,
    judge_items,
    misfit,
    refused,
)
from luxauto_pipelines.agents.registry import Call
from resources.card_data import find_card_data
from resources.store.audit import record
from resources.store.brands import channel_ids, location_ids
from resources.store.bulk import ids_by_code
from resources.store.channel_stock import (
    ITEMS,
    Count,
    count_stock,
    read_channels,
    read_known,
    undo_count,
    write_costs,
    write_items,
    write_listings,
)
from resources.store.effects import find_effect, keep_effect
from resources.store.housekeeping import drop_unused_channel, drop_unused_location
from resources.store.stock import read_levels

if TYPE_CHECKING:
    from sqlalchemy import Connection

MAIN_LOCATION = "main"
_NAMED = 20


def sync_inventory(call: Call, wanted: InventorySync) -> dict[str, Any]:
    """Upsert by SKU, and bring the stock of the channel's own location to the quantities given, by movements.

    The level stays a sum of movements: what is written is the difference, so that the same request again writes nothing.
    Items that cannot be taken are reported. A SKU that is named twice counts as the last item says. Raises InvalidFields when
    no item can be taken.
    """
    place = find_card_data(wanted.model_dump(mode="json"))
    if place is not None:
        raise InvalidFields((f"#{place}", "holds card data, which is never taken"))
    good, bad = judge_items(wanted.items)
    if not good:
        raise refused(bad)
    now = datetime.now(UTC)
    settings = call.books.settings.current
    count = Count(wanted.channel, now, today_in(settings.timezone, now), _reference(call.key))
    with call.books.write() as (connection, brand):
        earlier = find_effect(connection, brand, call.key)
        if earlier is not None:
            return earlier
        known = read_known(connection, brand, [item.sku for _, item in good])
        rows, misfits = _rows(good, known, settings.base_currency)
        bad += misfits
        if not rows:
            raise refused(bad)
        result = _take(connection, brand, rows, known, count)
        result |= {
            "errors": len(bad),
            "error_details": [_error_detail(wanted.items, *fault) for fault in sorted(bad)],
            "timestamp": now.isoformat(),
        }
        keep_effect(connection, brand, call.key, "sync_inventory", result)
        counts = {name: result[name] for name in ("synced_items", "updated_items", "errors")}
        _audit(connection, brand, call, "inventory.sync", wanted.channel, counts)
    return result


def restore_inventory(call: Call, parameters: Undoing) -> dict[str, Any]:
    """Take a sync's movements back by opposite ones, once. The catalogue keeps what it has learnt: it moves nothing."""
    if call.undoes is None:
        raise InvalidFields(("#", "a restore needs the call that it undoes"))
    now = datetime.now(UTC)
    with call.books.write() as (connection, brand):
        # By the sync, not by this call: a second compensation of it must not move the stock again.
        key = f"restore:{call.undoes.key}"[:255]
        earlier = find_effect(connection, brand, key)
        if earlier is not None:
            return earlier
        day = today_in(call.books.settings.current.timezone, now)
        undone = Count("", now, day, f"restore:{call.undoes.key}")
        moved = undo_count(connection, brand, _reference(call.undoes.key), undone)
        result = keep_effect(
            connection, brand, key, "restore_inventory", {"success": True, "movements_reversed": moved}
        )
        _audit(connection, brand, call, "inventory.restore", call.undoes.key, {"movements": moved})
    return result


def setup_inventory(call: Call, wanted: InventorySetup) -> dict[str, Any]:
    """Make the channels and the main location as far as they are missing, and say what the stock still lacks.

    It invents no products: `products_missing` says how many of the launch's are not in the catalogue yet.
    """
    with call.books.write() as (connection, brand):
        earlier = find_effect(connection, brand, call.key)
        if earlier is not None:
            return earlier
        channels = _codes(connection, brand, "channels")
        locations = _codes(connection, brand, "locations")
        asked = list(dict.fromkeys(wanted.channels))
        channel_ids(connection, brand, asked)
        location_ids(connection, brand, [MAIN_LOCATION])
        result = {
            "success": True,
            "channels": asked,
            "created_channels": [code for code in asked if code not in channels],
            "created_locations": [] if MAIN_LOCATION in locations else [MAIN_LOCATION],
            "initial_products": wanted.initial_products,
            **_lacks(connection, brand, wanted.initial_products),
        }
        keep_effect(connection, brand, call.key, "setup_inventory", result)
        made = {name: result[name] for name in ("created_channels", "created_locations")}
        _audit(connection, brand, call, "inventory.setup", wanted.brand_name or call.books.settings.brand, made)
    return result


def remove_inventory_setup(call: Call, parameters: Undoing) -> dict[str, Any]:
    """Remove what the setup made and nobody has used since. What it did not make stays."""
    if call.undoes is None:
        raise InvalidFields(("#", "a removal needs the call that it undoes"))
    with call.books.write() as (connection, brand):
        made = find_effect(connection, brand, call.undoes.key) or {}
        channels = [c for c in made.get("created_channels", []) if drop_unused_channel(connection, brand, c)]
        locations = [c for c in made.get("created_locations", []) if drop_unused_location(connection, brand, c)]
        result = {"success": True, "removed_channels": channels, "removed_locations": locations}
        if channels or locations:
            _audit(connection, brand, call, "inventory.remove_setup", call.undoes.key, result)
    return result


def stock_levels(call: Call, wanted: StockQuery) -> dict[str, Any]:
    """On hand, reserved and available of SKUs over all locations; a SKU that never moved is not among them."""
    with call.books.read() as (connection, brand):
        levels = read_levels(connection, brand)
    rows = levels.filter(pl.col("sku").is_in(wanted.skus)) if wanted.skus else levels
    shown = ("sku", "on_hand", "reserved", "available", "counted", "reorder_point")
    return {"levels": rows.select(*shown).to_dicts()}


def channel_sync_status(call: Call, wanted: Nothing) -> dict[str, Any]:
    """Every channel with how many SKUs it lists and when it last told of one."""
    with call.books.read() as (connection, brand):
        channels = read_channels(connection, brand)
    return {"channels": [{**row, "last_seen_at": _iso(row["last_seen_at"])} for row in channels]}


def _rows(
    good: list[tuple[int, InventoryItem]], known: pl.DataFrame, base_currency: str
) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    """Rows of the columns ITEMS, and the items whose prices are none of their currency."""
    stored = dict(known.select("sku", "currency").iter_rows())
    told: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    bad: list[tuple[int, str, str]] = []
    for position, item in good:
        currency = item.currency or told.get(item.sku) or stored.get(item.sku) or base_currency
        misfits = [(n, p) for n in ("cost_price", "retail_price") if (p := misfit(getattr(item, n), currency))]
        if told.get(item.sku, currency) != currency:
            misfits.append(("currency", f"an earlier item of this SKU is in {told[item.sku]}"))
        if misfits:
            bad.append((position, *misfits[0]))
            continue
        rows.append(_row(item, currency))
        told[item.sku] = currency
    return rows, bad


def _row(item: InventoryItem, currency: str) -> dict[str, Any]:
    same = ("sku", "item_id", "name", "description", "category", "subcategory", "collection")
    return {
        **{name: getattr(item, name) for name in (*same, "reorder_point", "reorder_quantity")},
        "label": item.brand,
        "quantity": item.quantity_available,
        "reserved": item.quantity_reserved,
        "cost_minor": _minor(item.cost_price, currency),
        "retail_price_minor": _minor(item.retail_price, currency),
        "currency": currency,
    }


def _minor(price: Decimal | None, currency: str) -> int | None:
    return None if price is None else to_minor(price, currency)


def _take(
    connection: "Connection", brand: int, rows: list[dict[str, Any]], known: pl.DataFrame, count: Count
) -> dict[str, Any]:
    told = pl.DataFrame(rows, schema=ITEMS)
    # The last word on each field, where a SKU is named more than once.
    last = [pl.col(c).drop_nulls().last() for c in ITEMS if c != "sku"]
    items = told.group_by("sku", maintain_order=True).agg(last).select(*ITEMS)
    write_items(connection, brand, items, known, count.at)
    costs = write_costs(connection, brand, items, count.local_date)
    moved = count_stock(connection, brand, items, count)
    write_listings(connection, brand, items, count.channel, count.at)
    created = items.height - known.height
    return {
        "success": True,
        "channel": count.channel,
        "synced_items": created,
        "updated_items": told.height - created,
        "movements": moved,
        "costs_changed": costs,
    }


def _lacks(connection: "Connection", brand: int, initial_products: int) -> dict[str, Any]:
    points = ids_by_code(
        connection, "SELECT sku, coalesce(reorder_point, -1) FROM skus WHERE brand_id = :brand", {"brand": brand}
    )
    counted = set(read_levels(connection, brand).filter(pl.col("counted"))["sku"])
    uncounted = sorted(points.keys() - counted)
    unset = sorted(sku for sku, point in points.items() if point < 0)
    return {
        "catalogue_size": len(points),
        "products_missing": max(0, initial_products - len(points)),
        "skus_without_stock": len(uncounted),
        "skus_without_reorder_point": len(unset),
        "first_without_stock": uncounted[:_NAMED],
        "first_without_reorder_point": unset[:_NAMED],
    }


def _codes(connection: "Connection", brand: int, table: str) -> set[str]:
    return set(ids_by_code(connection, f"SELECT code, id FROM {table} WHERE brand_id = :brand", {"brand": brand}))


def _error_detail(items: list[Any], position: int, field: str, message: str) -> dict[str, Any]:
    item = items[position]
    name = item.get("sku") if isinstance(item, Mapping) else None
    named = name[:128] if isinstance(name, str) and name.strip() and "\x00" not in name else f"#{position}"
    return {"item": named, "error": f"{field}: {message}" if field else message, "index": position}


def _reference(key: str) -> str:
    return f"sync:{key}"


def _iso(at: date | datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _audit(
    connection: "Connection", brand: int, call: Call, action: str, subject: str, details: dict[str, Any]
) -> None:
    known = {"actor": call.principal, "request_id": call.request_id, "address": call.address}
    record(connection, brand, action, subject, details, **known)
