"""`luxauto replenish plan`, `approve`, `orders`, `receive`: from a proposal to goods on the shelf.

Belongs here: arguments, and what is said. Does not belong here: how much is proposed (`assets/inventory/buying_plan`), the rows
(`resources/store/purchasing`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, LocationOption, actor, known_sku, note, say, show_rows, today
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    import polars as pl

    from assets.inventory.buying.proposals import Proposed
    from resources.store.brand_store import BrandStore

app = typer.Typer()

OrdersArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ORDER]...", help="Such as PO-000012.", show_default=False)
]
SupplierOption = Annotated[str | None, typer.Option(help="Those of one supplier.", show_default=False)]


@app.command()
def plan(
    budget: Annotated[
        list[str] | None,
        typer.Option(help="What may be spent: 50000 (base currency) or USD=20000; again for more.", show_default=False),
    ] = None,
    sku: Annotated[list[str] | None, typer.Option(help="Only this one, also if nothing is to be ordered.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Write the proposals as drafts, to be approved.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """What to order now, how much and why: each proposal in one sentence, with what it costs and is expected to earn.

    Made of the last forecast, the stock and the approved orders of this moment, and `buying.yaml`. With a budget the orders are
    chosen that earn most within it. Drafts count as on order only when they are approved.
    """
    from assets.inventory.buying.settings import load_buying
    from luxauto_pipelines.instance import reload

    books = reload()
    buying = load_buying(books.settings.home)
    budgets = _budgets(budget, books.settings.current.base_currency) if budget else None
    wanted = [known_sku(books, one) for one in sku or []]
    with progress() as bar:
        task = bar.add_task("reading", total=3)
        frames, as_of = _frames(books)
        bar.update(task, completed=1, description="planning")
        from assets.inventory.buying_plan import plan_purchases

        with books.read() as (connection, brand):
            proposed = plan_purchases(connection, brand, books.settings, buying, frames, as_of, budgets)
        bar.update(task, completed=2, description="writing drafts" if draft else "done")
        drafted = _draft(books, proposed, wanted, frames) if draft else None
        bar.update(task, completed=3)
    found = _told(proposed, wanted, frames, budgets if budgets is not None else buying.budgets)
    if format is Format.json:
        print_json({**found, **({} if drafted is None else {"drafts": drafted})})
        return
    _print(found)
    if drafted is not None:
        say(
            f"{drafted['written']} drafts written, {drafted['revised']} revised, {len(drafted['held_back'])} SKUs held back."
        )
        say("Next: luxauto replenish approve")


@app.command()
def approve(
    order: OrdersArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="Every draft.")] = False,
    supplier: SupplierOption = None,
    reject: Annotated[bool, typer.Option("--reject", help="Reject them instead; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; the order and the audit log keep it.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Approve drafts, which are on order from then on, or reject them. Without an order, the drafts are shown.

    Who and when are kept. What is approved already is left as it is. A rejected SKU is proposed again only when its quantity
    has changed by more than `material_change` of `buying.yaml`.
    """
    from assets.inventory.buying.settings import load_buying
    from assets.inventory.buying_plan import expected_arrivals
    from luxauto_pipelines.instance import reload
    from resources.store.purchasing import Decision, approve_orders, read_orders, reject_orders

    books = reload()
    with books.read() as (connection, brand):
        orders = read_orders(connection, brand)
    numbers = _chosen(orders, order or [], supplier, everything=everything)
    if not (order or everything or supplier):
        _show_orders(books, orders, ["draft"], format, none="There is no draft: luxauto replenish plan --draft")
        return
    decision = Decision(actor(), today(books), reason)
    with books.write() as (connection, brand):
        if reject:
            decided = reject_orders(connection, brand, numbers, decision)
        else:
            arrivals = expected_arrivals(connection, brand, load_buying(books.settings.home), decision.day)
            decided = approve_orders(connection, brand, numbers, decision, arrivals)
        after = read_orders(connection, brand)
        for number in decided:
            _audit(connection, brand, "replenish.reject" if reject else "replenish.approve", number, after, reason)
    same = [number for number in numbers if number not in decided]
    word = "rejected" if reject else "approved"
    if format is Format.json:
        print_json({"decision": word, "decided": decided, "unchanged": same})
        return
    for number in decided:
        say(f"{number} is {word}: {_summary(after, number)}.")
    for number in same:
        row = next(r for r in after.to_dicts() if r["number"] == number)
        note(f"{number} is {row['status']} already (by {row['decided_by']}).")
    if decided and not reject:
        say("Next: luxauto replenish receive ORDER, when the goods are here")
    if not numbers:
        say("There is no draft to decide on.")


@app.command()
def orders(
    supplier: SupplierOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also received, rejected and cancelled ones.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Purchase orders, line by line, the newest first."""
    from luxauto_pipelines.instance import reload
    from resources.store.purchasing import read_orders
    from resources.store.vocabulary import OPEN_STATES

    books = reload()
    with books.read() as (connection, brand):
        found = read_orders(connection, brand)
    states = sorted(set(found["status"])) if everything else OPEN_STATES
    found = found.filter(found["supplier"] == supplier) if supplier else found
    _show_orders(books, found, states, format, none="There is no purchase order: luxauto replenish plan --draft")


@app.command()
def receive(
    order: Annotated[str, typer.Argument(help="Such as PO-000012.", show_default=False)],
    parts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SKU=UNITS]...", help="All that is to come without it.", show_default=False),
    ] = None,
    location: LocationOption = "main",
    format: FormatOption = Format.table,
) -> None:
    """Take goods of an approved order in, all of them or a part: stock moves, and they are valued at the order's cost."""
    from luxauto_pipelines.instance import reload
    from resources.store.audit import record
    from resources.store.purchasing import read_orders, receive_order

    books = reload()
    units = dict(_part(one) for one in parts or [])
    place = location.strip().lower()
    with books.write() as (connection, brand):
        now = datetime.now(UTC)
        taken = receive_order(connection, brand, order, units, place, now, today(books), actor())
        record(connection, brand, "replenish.receive", order, {"units": taken, "location": place}, actor=actor())
        after = read_orders(connection, brand)
    left = after.filter(after["number"] == order)
    status = left["status"][0]
    if format is Format.json:
        print_json({"order": order, "received": taken, "location": place, "status": status})
        return
    say(
        f"{order}: {', '.join(f'{count} of {sku}' for sku, count in taken.items())} received at {place}; it is {status}."
    )
    say("Next: luxauto refresh, which values the goods and books their receipt")


def _frames(books: "BrandStore") -> Any:
    from assets.inventory.buying_plan import Frames, read_backtest
    from assets.inventory.levels import day_after_last_movement
    from resources.lake import Lake
    from resources.store.catalog import read_catalog, read_costs
    from resources.store.stock import read_levels

    lake = Lake(books.settings.lake_url, books.settings.brand)
    forecasts = lake.read("demand_forecast")
    with books.read() as (connection, brand):
        levels = read_levels(connection, brand)
        catalog, costs = read_catalog(connection, brand), read_costs(connection, brand)
    frames = Frames(levels, forecasts, catalog, costs, read_backtest(lake))
    return frames, day_after_last_movement(levels, datetime.now(UTC))


def _draft(books: "BrandStore", proposed: "Proposed", wanted: list[str], frames: Any) -> dict[str, Any]:
    import polars as pl

    from assets.inventory.buying.settings import load_buying
    from assets.inventory.reorder import order_needs
    from resources.store.audit import record
    from resources.store.purchasing import draft_orders, settle_received

    chosen = proposed.plan.filter(pl.col("sku").is_in(wanted)) if wanted else proposed.plan
    needs = order_needs(chosen, frames.catalog, frames.costs, today(books))
    change = load_buying(books.settings.home).material_change
    with books.write() as (connection, brand):
        settle_received(connection, brand)
        seen = chosen.select("sku", "on_order")
        made = draft_orders(connection, brand, needs, seen, join=True, material_change=change)
        told = {"written": made.written, "revised": made.revised, "held_back": list(made.held_back)}
        if made.written or made.revised:
            record(connection, brand, "replenish.draft", f"{needs.height} SKUs", told, actor=actor())
    return told


def _told(proposed: "Proposed", wanted: list[str], frames: Any, budgets: Mapping[str, Decimal]) -> dict[str, Any]:
    import polars as pl

    from assets.finance.money import to_decimal
    from assets.inventory.buying.proposals import totals

    proposals = proposed.proposals
    plan = proposed.plan
    if wanted:
        proposals, plan = (frame.filter(pl.col("sku").is_in(wanted)) for frame in (proposals, plan))
    rows = []
    for row in proposals.to_dicts():
        currency = row["currency"]
        money = {
            name: None
            if row[f"{name}_minor"] is None or currency is None
            else to_decimal(row[f"{name}_minor"], currency)
            for name in ("unit_cost", "amount", "expected_profit")
        }
        rows.append({name: value for name, value in row.items() if not name.endswith("_minor")} | money)
    quiet = (
        plan.filter(~pl.col("sku").is_in(proposals["sku"].to_list())).select("sku", "reason").to_dicts()
        if wanted
        else []
    )
    return {
        "as_of": plan["as_of"].max(),
        "chosen_by": proposed.choice.method,
        "errors_from": "demand_forecast" if frames.backtest is None else "forecast_backtest",
        "budgets": dict(budgets),
        "totals": totals(proposals),
        "proposals": rows,
        "not_ordered": quiet,
    }


def _print(found: dict[str, Any]) -> None:
    names = ("sku", "supplier", "quantity", "amount", "currency", "expected_profit", "stockout_on", "expected_on")
    if found["proposals"]:
        head = ["SKU", "supplier", "units", "amount", "currency", "earns", "runs out on", "arrives on"]
        print_table(
            f"To order, as of {found['as_of']}", head, ([row[name] for name in names] for row in found["proposals"])
        )
        for row in found["proposals"]:
            say(f"{row['sku']}: {row['reason']}")
    for row in found["not_ordered"]:
        say(f"{row['sku']}: {row['reason']}")
    if not found["proposals"] and not found["not_ordered"]:
        say("Nothing is to be ordered.")
    spent = ", ".join(f"{currency} {amount:,}" for currency, amount in found["totals"].items())
    within = ", ".join(f"{currency} {amount:,}" for currency, amount in found["budgets"].items())
    if spent:
        say(f"In all {spent}{f' of {within}' if within else ''}.")
    if found["chosen_by"] in ("greedy", "milp, cut short"):
        note(f"the best choice was not proven in time ({found['chosen_by']}): raise solver_seconds in buying.yaml")


def _budgets(given: list[str], base: str) -> dict[str, Decimal]:
    from assets.finance.money import exponent

    found: dict[str, Decimal] = {}
    for text in given:
        currency, _, amount = text.rpartition("=")
        code = (currency or base).strip().upper()
        exponent(code)
        try:
            value = Decimal(amount.replace(",", "").replace("_", ""))
        except InvalidOperation:
            value = Decimal(-1)
        if not value.is_finite() or value < 0:
            raise typer.BadParameter(f"{text!r} is no budget such as 50000 or USD=20000", param_hint="--budget")
        found[code] = found.get(code, Decimal(0)) + value
    return found


def _chosen(orders: "pl.DataFrame", named: list[str], supplier: str | None, *, everything: bool) -> list[str]:
    from resources.store.purchasing import PurchaseOrderError

    drafts = orders.filter(orders["status"] == "draft")
    numbers = [number.strip().upper() for number in named]
    if supplier is not None:
        if supplier not in set(orders["supplier"]):
            raise PurchaseOrderError(f"there is no order to {supplier!r}: see `luxauto replenish orders --all`")
        numbers += sorted(drafts.filter(drafts["supplier"] == supplier)["number"].unique())
    if everything:
        numbers += sorted(drafts["number"].unique())
    return list(dict.fromkeys(numbers))


def _show_orders(
    books: "BrandStore", orders: "pl.DataFrame", states: Sequence[str], format: Format, *, none: str
) -> None:
    from assets.finance.money import to_decimal

    rows = [
        {
            **{name: row[name] for name in ("number", "supplier", "status", "expected_on", "sku", "quantity")},
            "received": row["received_quantity"],
            "unit_cost": None
            if row["unit_cost_minor"] is None
            else to_decimal(row["unit_cost_minor"], row["currency"]),
            "currency": row["currency"],
            "decided_by": row["decided_by"],
            "why": row["decision_reason"] or row["reason"],
        }
        for row in orders.to_dicts()
        if row["status"] in states
    ]
    show_rows(rows, "Purchase orders", format, books, none=none)


def _summary(orders: "pl.DataFrame", number: str) -> str:
    from assets.finance.money import to_decimal

    lines = orders.filter(orders["number"] == number).to_dicts()
    worth: dict[str, int] = {}
    for line in lines:
        if line["unit_cost_minor"] is not None and line["currency"] is not None:
            worth[line["currency"]] = worth.get(line["currency"], 0) + line["unit_cost_minor"] * line["quantity"]
    amount = " and ".join(f"{currency} {to_decimal(minor, currency):,}" for currency, minor in sorted(worth.items()))
    units = sum(line["quantity"] for line in lines)
    supplier = lines[0]["supplier"] or "a supplier that is not known"
    return f"{units} units of {len(lines)} SKUs from {supplier}{f' for {amount}' if amount else ''}"


def _audit(connection: Any, brand: int, action: str, number: str, orders: "pl.DataFrame", reason: str | None) -> None:
    from resources.store.audit import record

    lines = orders.filter(orders["number"] == number)
    details = {
        "supplier": lines["supplier"][0],
        "units": dict(lines.select("sku", "quantity").iter_rows()),
        "reason": reason,
    }
    record(connection, brand, action, number, details, actor=actor())


def _part(text: str) -> tuple[str, int]:
    sku, _, units = text.rpartition("=")
    if not sku.strip() or not units.strip().isdecimal():
        raise typer.BadParameter(f"{text!r} is not of the form SKU=UNITS")
    return sku.strip(), int(units)
