"""Purchase orders: drafts written from the reorder plan, decided on by a person, received; what is still to come.

Belongs here: the tables `purchase_orders` and `purchase_order_lines`. Does not belong here: how much is to be ordered
(`assets/inventory/reorder`, `assets/inventory/buying`), suppliers' invoices (`supplier_invoices`).

A draft is a proposal and is not on order: it follows the plan until a person decides on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from resources.store.brands import location_ids
from resources.store.bulk import as_instant, fetch, insert_frame, insert_row, read_frame, run
from resources.store.movements import Movement, index_movements, move
from resources.store.orders import DAY, INSTANT, INT, TEXT, ensure_skus
from resources.store.vocabulary import ON_ORDER_STATES

if TYPE_CHECKING:
    from sqlalchemy import Connection

ORDERS: dict[str, pl.DataType] = {
    "number": TEXT,
    "supplier": TEXT,
    "status": TEXT,
    "created_at": INSTANT,
    "expected_on": DAY,
    "ordered_on": DAY,
    "decided_at": INSTANT,
    "decided_by": TEXT,
    "decision_reason": TEXT,
    "sku": TEXT,
    "quantity": INT,
    "received_quantity": INT,
    "unit_cost_minor": INT,
    "currency": TEXT,
    "reason": TEXT,
}
ON_ORDER: dict[str, pl.DataType] = {"sku": TEXT, "on_order": INT}
COMING: dict[str, pl.DataType] = {"sku": TEXT, "expected_on": DAY, "on_order": INT}
DELIVERIES: dict[str, pl.DataType] = {
    "order_number": TEXT,
    "supplier": TEXT,
    "ordered_on": DAY,
    "ordered_units": INT,
    "promised_days": INT,
    "received_on": DAY,
    "units": INT,
}
MATERIAL_CHANGE = 0.2
_ON_ORDER = ", ".join(f"'{state}'" for state in ON_ORDER_STATES)
# What has arrived is what the line says, or what receipts that name the order moved, whichever is more: both tell the same.
_ARRIVED = """
    LEFT JOIN (
        SELECT reference, sku_id, CAST(sum(quantity) AS BIGINT) AS units FROM stock_movements
        WHERE brand_id = :brand AND kind = 'receipt'
              AND reference IN (SELECT number FROM purchase_orders WHERE brand_id = :brand)
        GROUP BY reference, sku_id
    ) AS a ON a.reference = o.number AND a.sku_id = l.sku_id
"""
_RECEIVED = "CASE WHEN coalesce(a.units, 0) > l.received_quantity THEN a.units ELSE l.received_quantity END"
_STATUS = "CASE WHEN o.status = 'cancelled' AND o.decided_at IS NOT NULL THEN 'rejected' ELSE o.status END"


class PurchaseOrderError(Exception):
    """A purchase order that cannot be decided on or received as asked; the message says why and what to do."""


class Drafted(NamedTuple):
    """What became of the needs: orders written, drafts whose lines were changed, SKUs that a rejection keeps back."""

    written: int
    revised: int
    held_back: tuple[str, ...]


class Rejection(NamedTuple):
    """How many units of a SKU were rejected, by whom, when and why."""

    quantity: int
    actor: str
    at: datetime
    reason: str

    def holds(self, quantity: int, material_change: float) -> bool:
        """Whether this quantity is the rejected one still, but for a change that is not material."""
        return abs(quantity - self.quantity) <= material_change * self.quantity


@dataclass(frozen=True)
class Decision:
    """Who decides on drafts, on which day, and for a rejection why."""

    actor: str
    day: date
    reason: str | None = None


def on_order(connection: "Connection", brand: int) -> pl.DataFrame:
    """Units of each SKU that approved purchase orders still have to bring. Columns sku, on_order."""
    return coming(connection, brand).group_by("sku", maintain_order=True).agg(pl.col("on_order").sum())


def coming(connection: "Connection", brand: int) -> pl.DataFrame:
    """The same by the day on which it is expected (columns COMING); null where no day is known."""
    query = f"""
        SELECT s.sku, o.expected_on, CAST(sum(l.quantity - {_RECEIVED}) AS BIGINT)
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        {_ARRIVED}
        WHERE l.brand_id = :brand AND o.status IN ({_ON_ORDER}) AND l.quantity > {_RECEIVED}
        GROUP BY s.sku, o.expected_on ORDER BY s.sku, o.expected_on
    """
    return read_frame(connection, query, COMING, {"brand": brand})


def deliveries(connection: "Connection", brand: int) -> pl.DataFrame:
    """What arrived of each order that went out, a row a day (columns DELIVERIES); `units` is null where nothing has yet."""
    query = """
        SELECT o.number, o.supplier, o.ordered_on, t.units, t.promised, r.local_date, CAST(sum(r.quantity) AS BIGINT)
        FROM purchase_orders o
        JOIN (
            SELECT l.purchase_order_id, CAST(sum(l.quantity) AS BIGINT) AS units, max(s.lead_time_days) AS promised
            FROM purchase_order_lines l JOIN skus s ON s.id = l.sku_id
            WHERE l.brand_id = :brand GROUP BY l.purchase_order_id
        ) AS t ON t.purchase_order_id = o.id
        LEFT JOIN stock_movements r ON r.brand_id = :brand AND r.kind = 'receipt' AND r.reference = o.number
        WHERE o.brand_id = :brand AND o.ordered_on IS NOT NULL AND o.status IN ('approved', 'ordered', 'received')
        GROUP BY o.id, o.number, o.supplier, o.ordered_on, t.units, t.promised, r.local_date ORDER BY o.id, r.local_date
    """
    return read_frame(connection, query, DELIVERIES, {"brand": brand})


def order_quantities(connection: "Connection", brand: int) -> pl.DataFrame:
    """Units that a person orders at a time, of the SKUs that have such a number: sku, order_quantity."""
    query = """
        SELECT sku, reorder_quantity FROM skus WHERE brand_id = :brand AND reorder_quantity > 0 ORDER BY sku
    """
    return read_frame(connection, query, {"sku": TEXT, "order_quantity": INT}, {"brand": brand})


def draft_orders(
    connection: "Connection",
    brand: int,
    needs: pl.DataFrame,
    planned_on_order: pl.DataFrame,
    *,
    join: bool = False,
    material_change: float = MATERIAL_CHANGE,
) -> Drafted:
    """Have the drafts say what is needed now, one order a supplier. The same needs again change nothing.

    needs: sku, supplier, quantity, expected_on, unit_cost_minor, currency and perhaps reason. planned_on_order: sku, on_order
    of every SKU that the plan looked at. Of each SKU:

    - what an order that was approved meanwhile has come to cover is left out;
    - a draft that stands already takes the new quantity, and loses the line if nothing is needed any more;
    - what was rejected last is not proposed again while its quantity is within `material_change` of the rejected one.

    `join` adds to a supplier's open draft; without it a call writes orders of its own.
    """
    if "reason" not in needs.columns:
        needs = needs.with_columns(pl.lit(None, TEXT).alias("reason"))
    now = on_order(connection, brand).rename({"on_order": "open_now"})
    seen = planned_on_order.select("sku", pl.col("on_order").fill_null(0).alias("seen"))
    fresh = (
        needs.join(seen, on="sku", how="left")
        .join(now, on="sku", how="left")
        .filter(pl.col("open_now").fill_null(0) <= pl.col("seen").fill_null(0))
    )
    rejected = rejections(connection, brand)
    held = [
        sku
        for sku, units in fresh.select("sku", "quantity").iter_rows()
        if sku in rejected and rejected[sku].holds(units, material_change)
    ]
    fresh = fresh.filter(~pl.col("sku").is_in(held)).sort("supplier", "sku", nulls_last=True)
    ids = ensure_skus(connection, brand, fresh.select("sku", name=pl.lit(None, TEXT)))
    standing = _drafted(connection, brand)
    revised = _revise(connection, standing, fresh, {*planned_on_order["sku"], *needs["sku"]})
    new = fresh.filter(~pl.col("sku").is_in(list(standing)))
    for (supplier,), lines in new.group_by("supplier", maintain_order=True):
        expected = lines["expected_on"].max()
        order = _open_draft(connection, brand, supplier, expected) if join else None
        if order is None:
            order = _insert_order(connection, brand, supplier, expected)  # pyright: ignore[reportArgumentType]
        insert_frame(
            connection,
            "purchase_order_lines",
            lines.select(
                pl.lit(brand, INT).alias("brand_id"),
                pl.lit(order, INT).alias("purchase_order_id"),
                pl.col("sku").replace_strict(ids, return_dtype=INT).alias("sku_id"),
                "quantity",
                pl.lit(0, INT).alias("received_quantity"),
                "unit_cost_minor",
                "currency",
                pl.col("reason").cast(TEXT),
            ),
        )
    return Drafted(new["supplier"].n_unique() if new.height else 0, revised, tuple(sorted(held)))


def rejections(connection: "Connection", brand: int) -> dict[str, Rejection]:
    """The rejection of each SKU whose newest order was rejected; one that was ordered since is not among them."""
    query = f"""
        SELECT s.sku, {_STATUS}, l.quantity, o.decided_by, o.decided_at, o.decision_reason
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND (o.status <> 'cancelled' OR o.decided_at IS NOT NULL) ORDER BY o.id
    """
    newest = {sku: (status, said) for sku, status, *said in fetch(connection, query, {"brand": brand})}
    return {
        sku: Rejection(units, actor, as_instant(at), reason)
        for sku, (status, (units, actor, at, reason)) in newest.items()
        if status == "rejected"
    }


def read_orders(connection: "Connection", brand: int) -> pl.DataFrame:
    """Lines of every purchase order, newest first, with the columns ORDERS."""
    query = f"""
        SELECT o.number, o.supplier, {_STATUS}, o.created_at, o.expected_on, o.ordered_on, o.decided_at, o.decided_by,
               o.decision_reason, s.sku, l.quantity, {_RECEIVED}, l.unit_cost_minor, l.currency, l.reason
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        {_ARRIVED}
        WHERE l.brand_id = :brand ORDER BY o.id DESC, s.sku
    """
    return read_frame(connection, query, ORDERS, {"brand": brand})


def approve_orders(
    connection: "Connection",
    brand: int,
    numbers: Sequence[str],
    decision: Decision,
    arrivals: Mapping[str, date] | None = None,
) -> list[str]:
    """Approve those of these orders that are drafts: from then on they are on order. Returns their numbers.

    `arrivals`: the day on which each is expected, in place of the draft's, which was counted from the day of its plan. One that
    is approved already is left as it is. Raises PurchaseOrderError for one that is unknown, rejected or cancelled.
    """
    done = ("approved", "ordered", "received")
    approved = _decide(connection, brand, numbers, decision, to="approved", done=done)
    for number in approved:
        if number in (arrivals or {}):
            statement = "UPDATE purchase_orders SET expected_on = :day WHERE brand_id = :brand AND number = :number"
            run(connection, statement, {"day": (arrivals or {})[number], "brand": brand, "number": number})
    return approved


def reject_orders(connection: "Connection", brand: int, numbers: Sequence[str], decision: Decision) -> list[str]:
    """Reject those of these orders that are drafts, with a reason. Returns their numbers. Raises PurchaseOrderError."""
    if not (decision.reason or "").strip():
        raise PurchaseOrderError("a rejection needs a reason: whoever reads the plan later has to know why")
    return _decide(connection, brand, numbers, decision, to="cancelled", done=("rejected",))


def receive_order(
    connection: "Connection",
    brand: int,
    number: str,
    units: Mapping[str, int],
    location: str,
    at: datetime,
    day: date,
    actor: str,
) -> dict[str, int]:
    """Take goods of an approved order in: a receipt by its number, so that they are valued at the order's cost.

    `units` by SKU; none: all that is still to come. Returns what came in by SKU. Raises PurchaseOrderError for an order that
    is not on order, a SKU that it does not name, and more than it still has to bring.
    """
    lines = read_orders(connection, brand).filter(pl.col("number") == number)
    if not lines.height:
        raise PurchaseOrderError(f"there is no purchase order {number!r}: see `luxauto replenish orders`")
    if lines["status"][0] not in ON_ORDER_STATES:
        raise PurchaseOrderError(f"{number} is {lines['status'][0]}: only an approved order is received")
    owed = {row["sku"]: row["quantity"] - row["received_quantity"] for row in lines.to_dicts()}
    taken = {sku: count for sku, count in (units or owed).items() if count > 0 or units}
    for sku, count in taken.items():
        if sku not in owed:
            raise PurchaseOrderError(f"{number} orders no {sku}")
        if not 0 < count <= owed[sku]:
            raise PurchaseOrderError(
                f"{number} still has {owed[sku]} of {sku} to bring, not {count}: correct the count"
            )
    ids = ensure_skus(connection, brand, pl.DataFrame({"sku": sorted(taken), "name": [None] * len(taken)}))
    place = location_ids(connection, brand, [location])[location]
    for sku, count in sorted(taken.items()):
        move(
            connection,
            Movement(brand, ids[sku], place, "receipt", count, at, day, number, actor, f"receipt of {number}"),
        )
    settle_received(connection, brand)
    return taken


def settle_received(connection: "Connection", brand: int) -> int:
    """Keep on the lines what receipts brought, and end orders of which everything has arrived. Returns how many ended."""
    index_movements(connection)
    query = f"""
        SELECT o.id, l.id, l.quantity, l.received_quantity, {_RECEIVED}
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id {_ARRIVED}
        WHERE l.brand_id = :brand AND o.status IN ({_ON_ORDER}) ORDER BY o.id
    """
    waiting: dict[int, bool] = {}
    for order, line, quantity, kept, received in fetch(connection, query, {"brand": brand}):
        waiting[order] = waiting.get(order, False) or received < quantity
        if received != kept:
            values = {"received": received, "line": line}
            run(connection, "UPDATE purchase_order_lines SET received_quantity = :received WHERE id = :line", values)
    ended = [order for order, waits in waiting.items() if not waits]
    for order in ended:
        run(connection, "UPDATE purchase_orders SET status = 'received' WHERE id = :order", {"order": order})
    return len(ended)


def withdraw_drafts(connection: "Connection", brand: int, numbers: Sequence[str]) -> list[str]:
    """Cancel those of these orders that are drafts still. Returns their numbers."""
    statement = """
        UPDATE purchase_orders SET status = 'cancelled' WHERE brand_id = :brand AND number = :number AND status = 'draft'
    """
    return [
        number for number in numbers if run(connection, statement, {"brand": brand, "number": number}).rowcount == 1
    ]


def _decide(
    connection: "Connection", brand: int, numbers: Sequence[str], decision: Decision, *, to: str, done: tuple[str, ...]
) -> list[str]:
    query = f"SELECT o.number, {_STATUS} FROM purchase_orders o WHERE o.brand_id = :brand"
    known: dict[str, str] = dict(fetch(connection, query, {"brand": brand}))  # pyright: ignore[reportArgumentType]
    for number in numbers:
        status = known.get(number)
        if status is None:
            raise PurchaseOrderError(f"there is no purchase order {number!r}: see `luxauto replenish orders`")
        if status != "draft" and status not in done:
            raise PurchaseOrderError(f"{number} is {status}, and only a draft is decided on")
    statement = """
        UPDATE purchase_orders
        SET status = :to, decided_at = :now, decided_by = :actor, decision_reason = :reason, ordered_on = :day
        WHERE brand_id = :brand AND number = :number AND status = 'draft'
    """
    values: dict[str, Any] = {"to": to, "now": datetime.now(UTC), "actor": decision.actor, "reason": decision.reason}
    values |= {"day": decision.day if to == "approved" else None, "brand": brand}
    return [n for n in dict.fromkeys(numbers) if run(connection, statement, values | {"number": n}).rowcount == 1]


def _drafted(connection: "Connection", brand: int) -> dict[str, tuple[int, int, dict[str, Any]]]:
    """The draft's line of each SKU that has one: its id, its order's id, and what it says."""
    query = """
        SELECT s.sku, l.id, o.id, l.quantity, l.unit_cost_minor, l.currency, l.reason
        FROM purchase_order_lines l JOIN purchase_orders o ON o.id = l.purchase_order_id JOIN skus s ON s.id = l.sku_id
        WHERE l.brand_id = :brand AND o.status = 'draft' ORDER BY o.id
    """
    names = ("quantity", "unit_cost_minor", "currency", "reason")
    rows = fetch(connection, query, {"brand": brand})
    return {sku: (line, order, dict(zip(names, said, strict=True))) for sku, line, order, *said in rows}


def _revise(
    connection: "Connection",
    standing: dict[str, tuple[int, int, dict[str, Any]]],
    needs: pl.DataFrame,
    looked_at: set[str],
) -> int:
    """Bring standing drafts to the needs of the SKUs that the plan looked at. Returns how many orders that changed."""
    wanted = {row["sku"]: row for row in needs.to_dicts()}
    changed: set[int] = set()
    for sku, (line, order, said) in standing.items():
        if sku not in looked_at:
            continue
        now = wanted.get(sku)
        if now is None:
            run(connection, "DELETE FROM purchase_order_lines WHERE id = :line", {"line": line})
            changed.add(order)
        elif any(now[name] != value for name, value in said.items()):
            statement = """
                UPDATE purchase_order_lines SET quantity = :quantity, unit_cost_minor = :unit_cost_minor, currency = :currency,
                       reason = :reason WHERE id = :line
            """
            run(connection, statement, {name: now[name] for name in said} | {"line": line})
            if now["quantity"] != said["quantity"]:
                changed.add(order)
    for order in changed:
        statement = """
            UPDATE purchase_orders SET status = 'cancelled' WHERE id = :order
            AND NOT EXISTS (SELECT 1 FROM purchase_order_lines WHERE purchase_order_id = :order)
        """
        run(connection, statement, {"order": order})
    return len(changed)


def _open_draft(connection: "Connection", brand: int, supplier: object, expected_on: Any) -> int | None:
    """The supplier's newest draft, which then is expected no sooner than what is added to it."""
    whose = "supplier = :supplier" if supplier is not None else "supplier IS NULL"
    query = f"SELECT max(id) FROM purchase_orders WHERE brand_id = :brand AND status = 'draft' AND {whose}"
    values: dict[str, Any] = {"brand": brand} | ({} if supplier is None else {"supplier": supplier})
    order = fetch(connection, query, values)[0][0]
    if order is not None and expected_on is not None:
        statement = """
            UPDATE purchase_orders SET expected_on = :day
            WHERE id = :order AND (expected_on IS NULL OR expected_on < :day)
        """
        run(connection, statement, {"order": order, "day": expected_on})
    return order


def _insert_order(connection: "Connection", brand: int, supplier: object, expected_on: date | None) -> int:
    number = run(connection, "SELECT count(*) FROM purchase_orders WHERE brand_id = :brand", {"brand": brand}).scalar()
    values = {
        "brand_id": brand,
        "number": f"PO-{(number or 0) + 1:06d}",
        "supplier": supplier,
        "status": "draft",
        "created_at": datetime.now(UTC),
        "expected_on": expected_on,
    }
    return insert_row(connection, "purchase_orders", values)
