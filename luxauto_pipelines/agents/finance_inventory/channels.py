"""Connected channels and suppliers: stock brought to channels, channels compared with ours, purchase orders drafted.

Belongs here: what is asked for and what is answered. Does not belong here: how a sync goes, what counts as drift, what is to
be ordered (`assets/inventory`).
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.inventory.channel_sync import Order, Report, open_channel, read_channel, sync
from assets.inventory.publication import drift
from assets.inventory.reorder import order_needs
from assets.inventory.stock_room import compare_channels
from luxauto_pipelines.agents.finance_inventory.errors import Conflict, InvalidFields, UnknownItem
from luxauto_pipelines.agents.finance_inventory.parameters import ChannelsQuery, ChannelsSync, Replenishment, Undoing
from luxauto_pipelines.agents.registry import Call
from resources.channels.protocol import ChannelError
from resources.lake import Lake, MissingAsset
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.connections import ConnectedChannel, UnknownConnection, read_connection, read_connections
from resources.store.effects import find_effect, keep_effect
from resources.store.locks import exclusively
from resources.store.purchasing import draft_orders, read_orders, withdraw_drafts

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAMED = 20


def sync_channels(call: Call, wanted: ChannelsSync) -> dict[str, Any]:
    """Take orders in and bring channels to what they should show. The same call again finds less to do, and does no harm.

    A channel that fails stops no other: its `error` says why, and `success` is false. Raises UnknownItem for a channel that is
    not connected.
    """
    order = Order(
        tuple(wanted.channels),
        tuple(wanted.skus) if wanted.skus else None,
        dry_run=wanted.dry_run,
        prices=wanted.prices,
        actor=call.principal,
    )
    try:
        reports = sync(call.books, order)
    except UnknownConnection as error:
        raise UnknownItem(str(error)) from error
    told = [_told(report) for report in reports]
    result = {"success": all(one["error"] is None for one in told), "dry_run": wanted.dry_run, "channels": told}
    if not wanted.dry_run:
        with call.books.write() as (connection, brand):
            counts = {one["channel"]: {name: one[name] for name in ("orders", "writes", "error")} for one in told}
            _audit(connection, brand, call, "channels.sync", ",".join(counts), counts)
    return result


def reconcile_channels(call: Call, wanted: ChannelsQuery) -> dict[str, Any]:
    """Read channels anew and say, without writing to any, how what they show differs from what they should.

    `classes` counts every thing on sale; `differences` names the first that are out of step. Raises UnknownItem for a channel
    that is not connected.
    """
    read: dict[str, str | None] = {}
    for channel in _chosen(call.books, wanted.channels):
        read[channel.name] = _read_anew(call.books, channel)
    with call.books.read() as (connection, brand):
        compared = compare_channels(connection, brand, call.books.settings)
    compared = compared.with_columns(pl.col("state", "action").cast(pl.String))
    told = []
    for name, error in read.items():
        mine = compared.filter(pl.col("channel") == name)
        out = drift(mine)
        counts = dict(mine["state"].value_counts(sort=True).iter_rows())
        first = out.select("key", "sku", "shown", "wanted", "state", "action", "reason").head(_NAMED).to_dicts()
        told.append(
            {
                "channel": name,
                "error": error,
                "items": mine.height,
                "out_of_step": out.height,
                "classes": counts,
                "differences": first,
            }
        )
    return {"success": all(error is None for error in read.values()), "channels": told}


def replenish(call: Call, wanted: Replenishment) -> dict[str, Any]:
    """Draft purchase orders for what the last reorder plan recommends, once; what an open order already brings is left out.

    Raises UnknownItem for a SKU that the plan does not know, Conflict where there is no plan yet.
    """
    lake = Lake(call.books.settings.lake_url, call.books.settings.brand)
    try:
        plan, catalog, costs = (lake.read(asset) for asset in ("reorder_plan", "catalog", "sku_costs"))
    except MissingAsset as error:
        raise Conflict(str(error)) from error
    if unknown := sorted(set(wanted.skus) - set(plan["sku"])):
        raise UnknownItem(f"the reorder plan does not know {', '.join(unknown[:_NAMED])}")
    if wanted.skus:
        plan = plan.filter(pl.col("sku").is_in(wanted.skus))
    needs = order_needs(plan, catalog, costs, datetime.now(UTC).date())
    with call.books.write() as (connection, brand):
        earlier = find_effect(connection, brand, call.key)
        if earlier is not None:
            return earlier
        before = set(read_orders(connection, brand)["number"])
        draft_orders(connection, brand, needs, plan.select("sku", "on_order"))
        drafted = read_orders(connection, brand).filter(~pl.col("number").is_in(list(before)))
        result = {
            "success": True,
            "purchase_orders": sorted(drafted["number"].unique()),
            "lines": drafted.select("number", "supplier", "sku", "quantity").sort("number", "sku").to_dicts(),
            "skus_already_on_order": sorted(set(needs["sku"]) - set(drafted["sku"])),
        }
        keep_effect(connection, brand, call.key, "replenish", result)
        _audit(connection, brand, call, "inventory.replenish", ",".join(result["purchase_orders"])[:500], {})
    return result


def withdraw_replenishment(call: Call, parameters: Undoing) -> dict[str, Any]:
    """Cancel the drafts that a replenishment wrote. What somebody has approved or sent since then stays."""
    if call.undoes is None:
        raise InvalidFields(("#", "a withdrawal needs the call that it undoes"))
    with call.books.write() as (connection, brand):
        made = (find_effect(connection, brand, call.undoes.key) or {}).get("purchase_orders", [])
        withdrawn = withdraw_drafts(connection, brand, made)
        result = {"success": True, "withdrawn": withdrawn, "kept": sorted(set(made) - set(withdrawn))}
        if withdrawn:
            _audit(connection, brand, call, "inventory.withdraw_replenishment", call.undoes.key, result)
    return result


def _told(report: Report) -> dict[str, Any]:
    writes = sum(report.outcomes.values())
    return {
        "channel": report.channel,
        "error": report.error,
        "orders": report.orders,
        "units_moved": report.units_moved,
        "items": report.items,
        "writes": writes,
        "outcomes": dict(report.outcomes),
        "refusals": report.refusals[:_NAMED],
        "unmapped": sorted(set(report.unmapped))[:_NAMED],
        "planned": [_plain(row) for row in report.planned[:_NAMED]],
        "planned_count": len(report.planned),
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("key", "sku", "shown", "wanted", "reason")}


def _chosen(books: BrandStore, names: list[str]) -> list[ConnectedChannel]:
    with books.read() as (connection, brand):
        if not names:
            return read_connections(connection, brand, books.vault)
        try:
            return [read_connection(connection, brand, books.vault, name) for name in dict.fromkeys(names)]
        except UnknownConnection as error:
            raise UnknownItem(str(error)) from error


def _read_anew(books: BrandStore, channel: ConnectedChannel) -> str | None:
    """Why it could not be read, if so."""
    try:
        connector = open_channel(books, channel)
        try:
            with exclusively(books, f"channel:{channel.name}", wait=True):
                read_channel(books, channel, connector, Report(channel.name))
        finally:
            connector.close()
    except ChannelError as error:
        return str(error)
    return None


def _audit(
    connection: "Connection", brand: int, call: Call, action: str, subject: str, details: dict[str, Any]
) -> None:
    known = {"actor": call.principal, "request_id": call.request_id, "address": call.address}
    record(connection, brand, action, subject, details, **known)
