"""From a plan to proposals: what is ordered of it within budgets, what that costs and is expected to earn, each in a sentence.

Belongs here: offers of a plan, limits of the settings, what the choice changes in the plan. Does not belong here: the choice
itself (`choice`), orders (`resources/store/purchasing`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from assets.finance.money import to_decimal, to_minor
from assets.inventory.buying.choice import AS_PLANNED, Choice, Limits, Offer, Terms, choose, expected_profit
from assets.inventory.buying.settings import BuyingSettings

PROPOSALS: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "supplier": pl.String(),
    "quantity": pl.Int64(),
    "needed_quantity": pl.Int64(),
    "expected_on": pl.Date(),
    "stockout_on": pl.Date(),
    "unit_cost_minor": pl.Int64(),
    "amount_minor": pl.Int64(),
    "currency": pl.String(),
    "expected_profit_minor": pl.Int64(),
    "reason": pl.String(),
}
DAYS_A_YEAR = 365


@dataclass(frozen=True)
class Proposed:
    """The plan with what is ordered within the limits, the proposals (columns PROPOSALS), and how they were chosen."""

    plan: pl.DataFrame
    proposals: pl.DataFrame
    choice: Choice


def unit_costs(costs: pl.DataFrame) -> pl.DataFrame:
    """The newest cost of each SKU: sku, cost_minor, currency. costs: sku, valid_from, cost_minor, currency."""
    return costs.sort("valid_from").group_by("sku", maintain_order=True).last().select("sku", "cost_minor", "currency")


def propose(
    plan: pl.DataFrame,
    catalog: pl.DataFrame,
    costs: pl.DataFrame,
    settings: BuyingSettings,
    *,
    budgets: Mapping[str, Decimal] | None = None,
    rates: Mapping[str, float] | None = None,
) -> Proposed:
    """What to order of a plan within budgets (in major units by currency; None: the settings') and suppliers' terms.

    plan: columns REORDER_SCHEMA. catalog: sku, supplier, category, collection, retail_price_minor, currency. costs: as
    `unit_costs` gives them. rates: units of a common currency for one of each, by which profits in several are compared (1
    where it is not named). Raises UnknownCurrency.
    """
    details = _details(catalog, costs)
    offers = [
        _offer(row, details.get(row["sku"], {}), settings, rates or {})
        for row in plan.filter(pl.col("recommended_quantity") > 0).to_dicts()
    ]
    currencies = {offer.supplier: offer.currency for offer in offers if offer.supplier and offer.currency}
    chosen = choose(offers, limits(settings, budgets, currencies), seconds=settings.solver_seconds)
    changed = plan if chosen.method == AS_PLANNED else _within(plan, chosen, offers)
    rows = [_proposal(row, offer, chosen) for row, offer in _beside(changed, offers)]
    proposals = pl.DataFrame(rows, schema=PROPOSALS).sort("stockout_on", "sku", nulls_last=True)
    return Proposed(changed, proposals, chosen)


def limits(
    settings: BuyingSettings, budgets: Mapping[str, Decimal] | None = None, currencies: Mapping[str, str] | None = None
) -> Limits:
    """In minor units; a supplier's minimum in the currency that its goods cost. Raises UnknownCurrency."""
    amounts = settings.budgets if budgets is None else budgets
    terms = {
        name: Terms(to_minor(one.minimum_value, (currencies or {}).get(name, "EUR")), one.volume_m3, one.weight_kg)
        for name, one in settings.suppliers.items()
    }
    return Limits({currency: to_minor(amount, currency) for currency, amount in amounts.items()}, terms)


def _details(catalog: pl.DataFrame, costs: pl.DataFrame) -> dict[str, dict[str, Any]]:
    known = catalog.select("sku", "supplier", "category", "collection", "retail_price_minor", price_currency="currency")
    joined = known.join(costs.rename({"currency": "cost_currency"}), on="sku", how="left")
    return {row["sku"]: row for row in joined.to_dicts()}


def _offer(row: dict[str, Any], of: dict[str, Any], settings: BuyingSettings, rates: Mapping[str, float]) -> Offer:
    cost, currency, price = of.get("cost_minor"), of.get("cost_currency"), of.get("retail_price_minor")
    same = of.get("price_currency") == currency
    margin = price - cost if cost is not None and price is not None and same else None
    item = settings.item(row["sku"], of.get("category"))
    mean, sigma = row["protection_mean"] or 0.0, row["protection_sigma"] or 0.0
    holding = (cost or 0) * settings.holding_rate * (row["protection_days"] or 0) / DAYS_A_YEAR
    season = settings.season(of.get("collection"), of.get("category"))
    if season is not None and margin is not None:
        # Bought once: weighed over the days that are left of it, and against what clearing loses.
        weeks = max(0.0, ((season.ends - row["as_of"]).days + 1) / 7)
        mean, sigma = (row["weekly_mean"] or 0.0) * weeks, (row["sigma_weekly"] or 0.0) * weeks**0.5
        holding = max(0.0, (cost or 0) - (price or 0) * settings.salvage_of(season))
    return Offer(
        sku=row["sku"],
        supplier=of.get("supplier"),
        currency=currency,
        unit_cost=cost,
        margin=margin,
        quantity=row["recommended_quantity"],
        position=(row["available"] or 0) + (row["on_order"] or 0),
        mean=mean,
        sigma=sigma,
        min_order_quantity=row["min_order_quantity"] or 1,
        pack_size=row["pack_size"],
        holding=holding,
        volume=item.volume_m3 or 0.0,
        weight=item.weight_kg or 0.0,
        rate=rates.get(currency or "", 1.0),
    )


def _within(plan: pl.DataFrame, chosen: Choice, offers: list[Offer]) -> pl.DataFrame:
    """The plan with what was chosen; the reason of what was cut says by how much."""
    by_sku = {offer.sku: offer for offer in offers}
    rows = []
    for sku, wanted, reason in (
        plan.filter(pl.col("recommended_quantity") > 0).select("sku", "recommended_quantity", "reason").iter_rows()
    ):
        units = chosen.quantities.get(sku, 0)
        if units != wanted:
            rest = expected_profit(by_sku[sku], wanted) - expected_profit(by_sku[sku], units)
            poor = "the rest is not expected to earn what keeping it costs"
            why = chosen.left_out.get(sku, "within the limits other units earn more" if rest > 0 else poor)
            said = (reason or ".").replace(f"Order {wanted}", f"Order {units} of {wanted}", 1)
            rows.append((sku, units, f"{said.rstrip('.')}; {why}."))
    schema = {"sku": pl.String(), "chosen": pl.Int64(), "why": pl.String()}
    return (
        plan.join(pl.DataFrame(rows, schema=schema, orient="row"), on="sku", how="left", maintain_order="left")
        .with_columns(
            recommended_quantity=pl.coalesce("chosen", "recommended_quantity"), reason=pl.coalesce("why", "reason")
        )
        .select(plan.columns)
    )


def _beside(plan: pl.DataFrame, offers: list[Offer]) -> list[tuple[dict[str, Any], Offer]]:
    by_sku = {offer.sku: offer for offer in offers}
    return [(row, by_sku[row["sku"]]) for row in plan.filter(pl.col("sku").is_in(list(by_sku))).to_dicts()]


def _proposal(row: dict[str, Any], offer: Offer, chosen: Choice) -> dict[str, Any]:
    units = row["recommended_quantity"]
    return {
        "sku": row["sku"],
        "supplier": offer.supplier,
        "quantity": units,
        "needed_quantity": row["needed_quantity"],
        "expected_on": row["as_of"] + timedelta(days=row["lead_time_days"]),
        "stockout_on": row["projected_stockout_on"],
        "unit_cost_minor": offer.unit_cost,
        "amount_minor": None if offer.unit_cost is None else offer.unit_cost * units,
        "currency": offer.currency,
        "expected_profit_minor": None if offer.margin is None else round(expected_profit(offer, units)),
        "reason": row["reason"],
    }


def totals(proposals: pl.DataFrame) -> dict[str, Decimal]:
    """What the proposals cost, by currency; what has no known cost is in none."""
    summed = (
        proposals.drop_nulls("amount_minor").group_by("currency").agg(pl.col("amount_minor").sum()).sort("currency")
    )
    return {currency: to_decimal(minor, currency) for currency, minor in summed.iter_rows()}
