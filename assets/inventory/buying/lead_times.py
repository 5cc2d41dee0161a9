"""How long suppliers really take: a gamma distribution for each, learnt from receipts and held by what the catalogue says.

Belongs here: the distribution, and how few receipts are weighed against what is known of all suppliers. Does not belong here:
where receipts come from.

What is learnt is a ratio: days that goods took over days that the catalogue promises. Ratios of suppliers with different
promises can be pooled. With w receipts' weight of a supplier, a prior mean m and a prior weight k (empirical Bayes, as in
Silver, Pyke & Thomas, Inventory and Production Management in Supply Chains, 4th ed., 2017, sec. 4.9, shrunk):

    mean = (k m + Σ ratio) / (k + w),   variance = (k v + Σ (ratio - mean)²) / (k + w) · (1 + 1 / (k + w))

First for all suppliers together, whose prior is the catalogue itself (m = 1), then for each with that as its prior. The last
factor is the mean's own uncertainty. Of an order that arrives in parts each part counts by its share of the units. What is
late still counts with the days that it has waited: less than it will take, but more than leaving it out.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

LEAD_TIMES: dict[str, pl.DataType] = {
    "supplier": pl.String(),
    "orders": pl.Int64(),
    "promised_days": pl.Int64(),
    "lead_time_mean": pl.Float64(),
    "lead_time_sd": pl.Float64(),
    "lead_time_p50": pl.Float64(),
    "lead_time_p90": pl.Float64(),
    "lead_time_ratio": pl.Float64(),
    "lead_time_source": pl.String(),
}
SKU_LEAD_TIMES: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "lead_time_mean": pl.Float64(),
    "lead_time_sd": pl.Float64(),
    "lead_time_source": pl.String(),
}
CATALOGUE, POOLED, RECEIPTS = "catalogue", "all suppliers", "receipts"


@dataclass(frozen=True)
class Prior:
    """What is supposed before any receipt: spread (standard deviation over mean), and the receipts that it counts for."""

    spread: float = 0.15
    weight: float = 4.0


@dataclass(frozen=True)
class LeadTime:
    """A gamma distribution of days, by its mean and variance. A variance of 0 is a promise that is always kept."""

    mean: float
    variance: float

    @property
    def sd(self) -> float:
        return self.variance**0.5

    def quantile(self, share: float) -> float:
        """Days within which that share of orders arrives. Raises ValueError unless 0 < share < 1."""
        if not 0 < share < 1:
            raise ValueError(f"a quantile is asked for a share between 0 and 1, not {share}")
        if self.mean <= 0 or self.variance <= 0:
            return max(self.mean, 0.0)
        from scipy.special import gammaincinv

        shape = self.mean**2 / self.variance
        return float(gammaincinv(shape, share) * self.variance / self.mean)


@dataclass(frozen=True)
class Ratio:
    """Days taken over days promised: mean and variance, and the weight of receipts (1 an order) behind them."""

    mean: float
    variance: float
    weight: float = 0.0
    orders: int = 0

    def of(self, promised_days: float) -> LeadTime:
        return LeadTime(self.mean * promised_days, self.variance * promised_days**2)


@dataclass(frozen=True)
class Learnt:
    """Ratios by supplier, and that of all together for those that have none of their own."""

    everybody: Ratio
    suppliers: dict[str, Ratio]

    def ratio(self, supplier: str | None) -> Ratio:
        return self.suppliers.get(supplier or "", self.everybody)

    def source(self, supplier: str | None) -> str:
        if self.ratio(supplier).orders and supplier in self.suppliers:
            return RECEIPTS
        return POOLED if self.everybody.orders else CATALOGUE


def learn(deliveries: pl.DataFrame, as_of: date, prior: Prior | None = None, default_days: int = 28) -> Learnt:
    """What receipts up to `as_of` say of each supplier.

    deliveries: order_number, supplier, ordered_on, ordered_units, promised_days (null: `default_days`), received_on, units; a
    row for each day on which some of the order arrived, one with nulls where nothing has.
    """
    prior = prior or Prior()
    seen = _observations(deliveries, as_of, default_days)
    start = Ratio(1.0, prior.spread**2)
    everybody = _shrunk(seen, start, prior.weight)
    by_supplier: dict[str, list[_Observation]] = {}
    for one in seen:
        if one.supplier is not None:
            by_supplier.setdefault(one.supplier, []).append(one)
    return Learnt(everybody, {s: _shrunk(of, everybody, prior.weight) for s, of in by_supplier.items()})


def supplier_lead_times(learnt: Learnt, catalog: pl.DataFrame, default_days: int = 28) -> pl.DataFrame:
    """Every supplier of the catalogue (sku, supplier, lead_time_days): columns LEAD_TIMES, for its median promise."""
    promised = (
        catalog.filter(pl.col("supplier").is_not_null())
        .group_by("supplier")
        .agg(pl.col("lead_time_days").median().fill_null(default_days).round().cast(pl.Int64))
        .sort("supplier")
    )
    rows = []
    for supplier, days in promised.iter_rows():
        ratio = learnt.ratio(supplier)
        time = ratio.of(days)
        rows.append(
            {
                "supplier": supplier,
                "orders": ratio.orders if supplier in learnt.suppliers else 0,
                "promised_days": days,
                "lead_time_mean": time.mean,
                "lead_time_sd": time.sd,
                "lead_time_p50": time.quantile(0.5),
                "lead_time_p90": time.quantile(0.9),
                "lead_time_ratio": ratio.mean,
                "lead_time_source": learnt.source(supplier),
            }
        )
    return pl.DataFrame(rows, schema=LEAD_TIMES)


def sku_lead_times(learnt: Learnt, catalog: pl.DataFrame) -> pl.DataFrame:
    """Lead time of each SKU whose catalogue entry (sku, supplier, lead_time_days) has one: columns SKU_LEAD_TIMES."""
    rows = []
    for sku, supplier, days in catalog.select("sku", "supplier", "lead_time_days").iter_rows():
        if days is not None:
            time = learnt.ratio(supplier).of(days)
            rows.append((sku, time.mean, time.sd, learnt.source(supplier)))
    return pl.DataFrame(rows, schema=SKU_LEAD_TIMES, orient="row")


@dataclass(frozen=True)
class _Observation:
    order: str
    supplier: str | None
    ratio: float
    weight: float
    waiting: bool


def _observations(deliveries: pl.DataFrame, as_of: date, default_days: int) -> list[_Observation]:
    orders: dict[str, list[dict[str, Any]]] = {}
    for row in deliveries.filter(pl.col("ordered_on") <= as_of).to_dicts():
        orders.setdefault(row["order_number"], []).append(row)
    found: list[_Observation] = []
    for number, rows in orders.items():
        head = rows[0]
        promised = max(1, default_days if head["promised_days"] is None else head["promised_days"])
        arrived = [
            r for r in rows if r["received_on"] is not None and r["received_on"] <= as_of and (r["units"] or 0) > 0
        ]
        received = sum(row["units"] for row in arrived)
        whole = max(head["ordered_units"] or 0, received)
        if not whole:
            continue
        for row in arrived:
            days = max(0, (row["received_on"] - head["ordered_on"]).days)
            found.append(_Observation(number, head["supplier"], days / promised, row["units"] / whole, waiting=False))
        if received < whole:
            waited = (as_of - head["ordered_on"]).days / promised
            found.append(_Observation(number, head["supplier"], waited, (whole - received) / whole, waiting=True))
    return found


def _shrunk(seen: list[_Observation], prior: Ratio, weight: float) -> Ratio:
    # What is late but has not taken longer than expected says nothing yet.
    of_receipts = [o for o in seen if not o.waiting or o.ratio > prior.mean]
    total = sum(o.weight for o in of_receipts)
    mean = (weight * prior.mean + sum(o.weight * o.ratio for o in of_receipts)) / (weight + total)
    squares = sum(o.weight * (o.ratio - mean) ** 2 for o in of_receipts)
    variance = (weight * prior.variance + squares) / (weight + total)
    if total:
        variance *= 1 + 1 / (weight + total)
    return Ratio(mean, variance, total, len({o.order for o in of_receipts}))
