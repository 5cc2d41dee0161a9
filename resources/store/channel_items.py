"""What connected channels show, what we have told them, and what became of each write.

Belongs here: the tables `channel_items`, `channel_writes`, `sku_mappings`. Does not belong here: what a channel should show
(`assets/inventory/publication`), or how it is told (`resources/channels`).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.channels.protocol import ListedItem, Outcome, WriteResult
from resources.store.bulk import as_json, fetch, insert_frame, insert_row, read_frame, run, upsert_frame
from resources.store.catalog_codes import among
from resources.store.connections import ConnectedChannel
from resources.store.orders import INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

SHOWN: dict[str, pl.DataType] = {
    "key": TEXT,
    "channel_sku": TEXT,
    "title": TEXT,
    "shown": INT,
    "price_minor": INT,
    "currency": TEXT,
    "unwritable": TEXT,
    "handles": TEXT,
}
"""What is read from a channel: a row an item. `handles` is JSON."""
ITEMS: dict[str, pl.DataType] = {
    "channel": TEXT,
    "key": TEXT,
    "sku": TEXT,
    "channel_sku": TEXT,
    "title": TEXT,
    "shown": INT,
    "price_minor": INT,
    "currency": TEXT,
    "unwritable": TEXT,
    "read_at": INSTANT,
    "agreed": INT,
    "pending": INT,
    "pending_until": INSTANT,
    "policy": TEXT,
}
LATE = timedelta(days=1)
"""For how long a write that was given up is still known for ours, should it take effect after all."""
INTENTS: dict[str, pl.DataType] = {"key": TEXT, "sku": TEXT, "wanted": INT, "expected": INT, "reason": TEXT}
"""Writes that are about to be sent, of one channel. Units, or minor units of a price."""


@dataclass(frozen=True)
class Intended:
    """A write whose intent is on disk."""

    id: int
    key: str
    sku: str
    wanted: int
    expected: int | None
    idempotency_key: str
    handles: dict[str, str]


def write_shown(
    connection: "Connection",
    brand: int,
    channel: ConnectedChannel,
    shown: pl.DataFrame,
    read_at: datetime,
    *,
    complete: bool,
) -> int:
    """Keep what the channel shows (columns SHOWN) and settle the writes that can now be seen. Returns how many items are gone.

    `complete`: this is everything on sale, so that what is not among it is gone.
    """
    now = pl.lit(read_at).cast(INSTANT)
    rows = shown.with_columns(
        pl.lit(brand, INT).alias("brand_id"), pl.lit(channel.channel_id, INT).alias("channel_id"), now.alias("read_at")
    )
    if rows.height:
        kept = [c for c in rows.columns if c not in ("brand_id", "channel_id", "key")]
        upsert_frame(connection, "channel_items", rows, ["channel_id", "key"], {c: f"excluded.{c}" for c in kept})
    values = {"channel": channel.channel_id, "brand": brand, "read_at": read_at}
    _map_skus(connection, values)
    _settle(connection, values)
    _list(connection, values)
    if not complete:
        return 0
    run(connection, "UPDATE channel_connections SET listed_at = :read_at WHERE channel_id = :channel", values)
    return run(
        connection, "DELETE FROM channel_items WHERE channel_id = :channel AND read_at < :read_at", values
    ).rowcount


def read_items(connection: "Connection", brand: int) -> pl.DataFrame:
    """Every item of every connected channel, with the columns ITEMS."""
    query = """
        SELECT c.code, i.key, s.sku, i.channel_sku, i.title, i.shown, i.price_minor, i.currency, i.unwritable, i.read_at,
               i.agreed, i.pending, i.pending_until, n.foreign_edits
        FROM channel_items i JOIN channels c ON c.id = i.channel_id
        JOIN channel_connections n ON n.channel_id = i.channel_id LEFT JOIN skus s ON s.id = i.sku_id
        WHERE i.brand_id = :brand ORDER BY c.code, i.key
    """
    return read_frame(connection, query, ITEMS, {"brand": brand})


def listed_items(
    connection: "Connection", channel: ConnectedChannel, keys: Iterable[str] | None = None
) -> list[ListedItem]:
    """What is needed to read items again: all that the channel listed, or just these keys."""
    only = "" if keys is None else f"AND key IN ({among(connection, 'keys')})"
    query = (
        f"SELECT key, channel_sku, shown, handles FROM channel_items WHERE channel_id = :channel {only} ORDER BY key"
    )
    values: dict[str, Any] = {"channel": channel.channel_id} | (
        {} if keys is None else {"keys": json.dumps(list(keys))}
    )
    return [
        ListedItem(key, sku, shown, handles=as_json(handles))
        for key, sku, shown, handles in fetch(connection, query, values)
    ]


def keys_of(connection: "Connection", channel: ConnectedChannel, skus: Iterable[str]) -> list[str]:
    """Keys of the channel's items that are these SKUs of ours."""
    query = f"""
        SELECT i.key FROM channel_items i JOIN skus s ON s.id = i.sku_id
        WHERE i.channel_id = :channel AND s.sku IN ({among(connection, "skus")}) ORDER BY i.key
    """
    rows = fetch(connection, query, {"channel": channel.channel_id, "skus": json.dumps(list(skus))})
    return [row[0] for row in rows]


@dataclass(frozen=True)
class Standing:
    """How a listed thing stands: our SKU (None: mapped to none), and units as last read, as agreed upon, and not seen yet."""

    sku: str | None
    shown: int | None
    agreed: int | None
    pending: int | None


def standings(connection: "Connection", channel: ConnectedChannel, keys: Iterable[str]) -> dict[str, Standing]:
    """By key; keys that the channel never listed are left out."""
    query = f"""
        SELECT i.key, s.sku, i.shown, i.agreed, i.pending FROM channel_items i LEFT JOIN skus s ON s.id = i.sku_id
        WHERE i.channel_id = :channel AND i.key IN ({among(connection, "keys")})
    """
    rows = fetch(connection, query, {"channel": channel.channel_id, "keys": json.dumps(list(keys))})
    return {row[0]: Standing(*row[1:]) for row in rows}


def read_price_differences(connection: "Connection", channel: ConnectedChannel) -> pl.DataFrame:
    """Items that show another price than the catalogue's, in its currency: columns INTENTS and currency."""
    query = """
        SELECT i.key, s.sku, s.retail_price_minor, i.price_minor, s.currency
        FROM channel_items i JOIN skus s ON s.id = i.sku_id
        WHERE i.channel_id = :channel AND s.retail_price_minor > 0 AND i.currency = s.currency
              AND (i.price_minor IS NULL OR i.price_minor <> s.retail_price_minor)
              AND NOT EXISTS (
                  SELECT 1 FROM channel_items o
                  WHERE o.channel_id = i.channel_id AND o.sku_id = i.sku_id AND o.id <> i.id)
        ORDER BY i.key
    """
    schema = {"key": TEXT, "sku": TEXT, "wanted": INT, "expected": INT, "currency": TEXT}
    rows = read_frame(connection, query, schema, {"channel": channel.channel_id})
    return rows.with_columns(pl.lit("the catalogue has another price").alias("reason"))


def agree(connection: "Connection", channel: ConnectedChannel, keys: Sequence[str]) -> None:
    """The channel shows what it should: from now on another value there is an edit of somebody else's."""
    for start in range(0, len(keys), 5000):
        within = f"channel_id = :channel AND key IN ({among(connection, 'keys')})"
        values = {"channel": channel.channel_id, "keys": json.dumps(list(keys[start : start + 5000]))}
        run(
            connection,
            f"""
                UPDATE channel_writes SET state = 'lost', finished_at = :now
                WHERE {within} AND field = 'stock' AND finished_at IS NULL
            """,
            {**values, "now": datetime.now(UTC)},
        )
        run(
            connection,
            f"""
                UPDATE channel_items SET agreed = shown, pending = NULL, pending_until = NULL
                WHERE {within} AND (agreed IS NULL OR agreed <> shown OR pending IS NOT NULL)
            """,
            values,
        )


def intend(
    connection: "Connection",
    brand: int,
    channel: ConnectedChannel,
    field: str,
    intents: pl.DataFrame,
    actor: str,
    settle_seconds: float,
) -> list[Intended]:
    """Write down what is about to be sent (columns INTENTS), and that it may take effect from now on."""
    if not intents.height:
        return []
    now = datetime.now(UTC)
    keys = json.dumps(intents["key"].to_list())
    values = {"channel": channel.channel_id, "keys": keys, "now": now, "field": field}
    within = f"channel_id = :channel AND key IN ({among(connection, 'keys')})"
    # What was open about these items has been read back by now, and is not what came of it.
    run(
        connection,
        f"""
            UPDATE channel_writes SET state = 'lost', finished_at = :now
            WHERE {within} AND field = :field AND finished_at IS NULL
        """,
        values,
    )
    before = run(connection, "SELECT coalesce(max(id), 0) FROM channel_writes").scalar_one()
    skus = _sku_ids(connection, brand, intents["sku"].to_list())
    rows = intents.select(
        pl.lit(brand, INT).alias("brand_id"),
        pl.lit(channel.channel_id, INT).alias("channel_id"),
        "key",
        pl.col("sku").replace_strict(skus, return_dtype=INT).alias("sku_id"),
        pl.lit(field).alias("field"),
        "wanted",
        "expected",
        "reason",
        pl.lit(actor).alias("actor"),
        pl.lit("intent").alias("state"),
        pl.lit("").alias("idempotency_key"),
        pl.lit(now).cast(INSTANT).alias("intended_at"),
    )
    insert_frame(connection, "channel_writes", rows)
    # Its own number makes the key, so that a later write of the same value is another one.
    run(
        connection,
        """
            UPDATE channel_writes SET idempotency_key = 'luxauto-' || brand_id || '-' || id
            WHERE channel_id = :channel AND id > :before
        """,
        {"channel": channel.channel_id, "before": before},
    )
    if field == "stock":
        run(
            connection,
            f"""
                UPDATE channel_items SET pending_until = :until, pending = (
                    SELECT w.wanted FROM channel_writes w WHERE w.channel_id = channel_items.channel_id
                    AND w.key = channel_items.key AND w.id > :before)
                WHERE {within}
            """,
            {
                "until": now + timedelta(seconds=settle_seconds),
                "before": before,
                "channel": channel.channel_id,
                "keys": keys,
            },
        )
    return _intended(connection, channel, before)


def note_outcomes(
    connection: "Connection", channel: ConnectedChannel, field: str, results: Sequence[tuple[Intended, WriteResult]]
) -> None:
    """Write down what became of each: a finished write frees its item, an open one leaves it pending."""
    now = datetime.now(UTC)
    for intended, result in results:
        is_open = result.outcome in (Outcome.accepted, Outcome.unknown)
        shown = int(result.shown) if result.shown is not None else None
        values = {
            "state": result.outcome.value,
            "shown": shown,
            "detail": result.detail,
            "now": None if is_open else now,
            "id": intended.id,
            "channel": channel.channel_id,
            "key": intended.key,
            "wanted": intended.wanted,
        }
        run(
            connection,
            "UPDATE channel_writes SET state = :state, shown = :shown, detail = :detail, finished_at = :now WHERE id = :id",
            values,
        )
        if field != "stock" or is_open:
            continue
        confirmed = result.outcome is Outcome.confirmed
        agreed = ", agreed = :wanted, shown = :wanted" if confirmed else ", shown = coalesce(:shown, shown)"
        run(
            connection,
            f"UPDATE channel_items SET pending = NULL, pending_until = NULL{agreed} WHERE channel_id = :channel AND key = :key",
            values,
        )


def note_not_sent(connection: "Connection", channel: ConnectedChannel, intended: Sequence[Intended]) -> None:
    """These were surely not sent: their items are as they were."""
    for one in intended:
        values = {"id": one.id, "now": datetime.now(UTC), "channel": channel.channel_id, "key": one.key}
        run(connection, "UPDATE channel_writes SET state = 'not_sent', finished_at = :now WHERE id = :id", values)
        run(
            connection,
            """
                UPDATE channel_items SET pending = NULL, pending_until = NULL WHERE channel_id = :channel AND key = :key
                AND EXISTS (SELECT 1 FROM channel_writes w WHERE w.id = :id AND w.field = 'stock')
            """,
            values,
        )


def save_mapping(
    connection: "Connection", brand: int, channel: ConnectedChannel, channel_sku: str, sku_id: int | None
) -> None:
    """What the channel calls so is this SKU of ours; None forgets it."""
    values = {"channel": channel.channel_id, "channel_sku": channel_sku}
    run(connection, "DELETE FROM sku_mappings WHERE channel_id = :channel AND channel_sku = :channel_sku", values)
    if sku_id is not None:
        row = {"brand_id": brand, "channel_id": channel.channel_id, "channel_sku": channel_sku, "sku_id": sku_id}
        insert_row(connection, "sku_mappings", row)


# Ingests keep SKUs in capitals.
_MAPPED = """
    coalesce((SELECT m.sku_id FROM sku_mappings m
              WHERE m.channel_id = channel_items.channel_id AND m.channel_sku = channel_items.channel_sku),
             (SELECT s.id FROM skus s WHERE s.brand_id = channel_items.brand_id AND s.sku = channel_items.channel_sku),
             (SELECT s.id FROM skus s WHERE s.brand_id = channel_items.brand_id AND s.sku = upper(channel_items.channel_sku)))
"""


def _map_skus(connection: "Connection", values: dict[str, Any]) -> None:
    run(
        connection,
        f"UPDATE channel_items SET sku_id = {_MAPPED} WHERE channel_id = :channel AND read_at = :read_at",
        values,
    )


def _settle(connection: "Connection", values: dict[str, Any]) -> None:
    seen = "i.channel_id = :channel AND i.read_at = :read_at AND i.pending IS NOT NULL AND i.shown = i.pending"
    run(
        connection,
        f"""
            UPDATE channel_writes SET state = 'confirmed', shown = wanted, finished_at = :read_at
            WHERE channel_id = :channel AND field = 'stock' AND finished_at IS NULL
                  AND EXISTS (SELECT 1 FROM channel_items i WHERE {seen} AND i.key = channel_writes.key)
        """,
        values,
    )
    run(
        connection,
        """
            UPDATE channel_items SET agreed = pending, pending = NULL, pending_until = NULL
            WHERE channel_id = :channel AND read_at = :read_at AND pending IS NOT NULL AND shown = pending
        """,
        values,
    )
    run(
        connection,
        """
            UPDATE channel_writes SET state = 'confirmed', shown = wanted, finished_at = :read_at
            WHERE channel_id = :channel AND field = 'price' AND finished_at IS NULL AND EXISTS (
                SELECT 1 FROM channel_items i WHERE i.channel_id = :channel AND i.read_at = :read_at
                AND i.key = channel_writes.key AND i.price_minor = channel_writes.wanted)
        """,
        values,
    )
    _own_late_writes(connection, values)
    # An order that our write buried, as where nothing compares, leaves our own number standing.
    run(
        connection,
        """
            UPDATE channel_items SET agreed = shown
            WHERE channel_id = :channel AND read_at = :read_at AND pending IS NULL AND agreed <> shown AND shown = (
                SELECT w.wanted FROM channel_writes w
                WHERE w.channel_id = channel_items.channel_id AND w.key = channel_items.key AND w.field = 'stock'
                      AND w.state = 'confirmed'
                ORDER BY w.id DESC LIMIT 1)
        """,
        values,
    )


def _own_late_writes(connection: "Connection", values: dict[str, Any]) -> None:
    """What shows the value of a write that was given up lately is that write, and no edit of somebody else's."""
    given_up = """
        w.channel_id = :channel AND w.field = 'stock' AND w.state = 'lost' AND w.finished_at > :lately AND w.key = i.key
        AND w.wanted = i.shown AND i.channel_id = :channel AND i.read_at = :read_at AND i.agreed <> i.shown
    """
    found = fetch(
        connection,
        f"SELECT w.id, i.id FROM channel_writes w JOIN channel_items i ON {given_up}",
        {**values, "lately": values["read_at"] - LATE},
    )
    for write, item in found:
        run(connection, "UPDATE channel_items SET agreed = shown WHERE id = :id", {"id": item})
        late = "UPDATE channel_writes SET state = 'confirmed', shown = wanted, detail = :why, finished_at = :at WHERE id = :id"
        run(connection, late, {"id": write, "why": "took effect after it was given up", "at": values["read_at"]})


def _list(connection: "Connection", values: dict[str, Any]) -> None:
    # Of several items of one SKU, which is a collision, the one that is first by its key stands for it.
    run(
        connection,
        """
            INSERT INTO listings (brand_id, channel_id, sku_id, external_id, price_minor, currency, quantity, seen_at)
            SELECT i.brand_id, i.channel_id, i.sku_id, i.key, i.price_minor,
                   CASE WHEN i.price_minor IS NULL THEN NULL ELSE i.currency END, i.shown, i.read_at
            FROM channel_items i
            WHERE i.channel_id = :channel AND i.read_at = :read_at AND i.sku_id IS NOT NULL AND i.key = (
                SELECT min(o.key) FROM channel_items o
                WHERE o.brand_id = i.brand_id AND o.channel_id = i.channel_id AND o.sku_id = i.sku_id)
            ON CONFLICT (channel_id, sku_id) DO UPDATE SET external_id = excluded.external_id,
                price_minor = excluded.price_minor, currency = excluded.currency, quantity = excluded.quantity,
                seen_at = excluded.seen_at
        """,
        values,
    )


def _sku_ids(connection: "Connection", brand: int, skus: Sequence[str]) -> dict[str, int]:
    query = f"SELECT sku, id FROM skus WHERE brand_id = :brand AND sku IN ({among(connection, 'skus')})"
    rows: Any = fetch(connection, query, {"brand": brand, "skus": json.dumps(list(skus))})
    return dict(rows)


def _intended(connection: "Connection", channel: ConnectedChannel, after: int) -> list[Intended]:
    query = """
        SELECT w.id, w.key, s.sku, w.wanted, w.expected, w.idempotency_key, i.handles
        FROM channel_writes w JOIN skus s ON s.id = w.sku_id
        JOIN channel_items i ON i.channel_id = w.channel_id AND i.key = w.key
        WHERE w.channel_id = :channel AND w.id > :after ORDER BY w.id
    """
    rows = fetch(connection, query, {"channel": channel.channel_id, "after": after})
    return [Intended(*row[:6], handles=as_json(row[6])) for row in rows]
