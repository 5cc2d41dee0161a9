"""What one location has too much of and another needs: moving it comes before buying.

Belongs here: what a location needs and can spare, and which units go where. Does not belong here: moving them
(`luxauto inventory`), and what is bought for the brand as a whole (`assets/inventory/reorder`): its position counts all
locations, so that what lies anywhere is never bought again.

A location needs what is expected to sell there while a transfer and an order take, less what is available there. It can spare
what it has beyond its own cover. Demand is shared by where the SKU sold lately; a location where nothing was sold needs
nothing and can spare everything.
"""

from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from assets.inventory.buying.settings import BuyingSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRANSFERS: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "source": pl.String(),
    "target": pl.String(),
    "quantity": pl.Int64(),
    "reason": pl.String(),
}
SHARES: dict[str, pl.DataType] = {"sku": pl.String(), "location": pl.String(), "share": pl.Float64()}
RECENT_DAYS = 182


def demand_shares(movements: pl.DataFrame, as_of: date, days: int = RECENT_DAYS) -> pl.DataFrame:
    """Which share of each SKU's sales a location had in the last `days`: columns SHARES.

    movements: sku, location, day, kind, quantity.
    """
    recent = pl.col("day").is_between(as_of - timedelta(days=days), as_of - timedelta(days=1))
    sold = (
        movements.filter(pl.col("kind").is_in(["sale", "return"]) & recent)
        .group_by("sku", "location")
        .agg(units=(-pl.col("quantity")).sum().clip(lower_bound=0))
        .filter(pl.col("units") > 0)
    )
    return (
        sold.with_columns(share=pl.col("units") / pl.col("units").sum().over("sku"))
        .select(pl.col(name).cast(dtype) for name, dtype in SHARES.items())
        .sort("sku", "location")
    )


def propose_transfers(
    levels: pl.DataFrame, shares: pl.DataFrame, plan: pl.DataFrame, settings: BuyingSettings
) -> pl.DataFrame:
    """Units to move between locations: columns TRANSFERS, sorted by sku, source, target.

    levels: sku, location, on_hand, reserved, counted. shares: columns SHARES. plan: sku, weekly_mean, protection_mean,
    protection_days, as a reorder plan has them; a SKU without a forecast is not moved.

    Of each SKU the most need is covered with the fewest shipments (a transport problem, solved as a linear program; its
    solutions are whole). A location keeps `transfer_cover_days` of its own demand, and its lead time's where that is longer.
    """
    stock = (
        levels.filter(pl.col("counted").any().over("sku"))
        .with_columns(free=pl.col("on_hand") - pl.col("reserved"))
        .join(shares, on=["sku", "location"], how="full", coalesce=True)
        .with_columns(pl.col("free", "share").fill_null(0))
        .join(plan.select("sku", "protection_mean", "protection_days"), on="sku", how="inner")
        .drop_nulls("protection_mean")
        .sort("sku", "location")
    )
    rows: list[tuple] = []
    for (sku,), places in stock.group_by("sku", maintain_order=True):
        daily = places["protection_mean"][0] / places["protection_days"][0]
        days = max(settings.transfer_cover_days, places["protection_days"][0])
        names, free = places["location"].to_list(), places["free"].to_list()
        own = [share * daily * days for share in places["share"]]
        spare = [max(0, int(have - keep)) for have, keep in zip(free, own, strict=True)]
        needs = [max(0, round(keep - have)) for have, keep in zip(free, own, strict=True)]
        if not any(spare) or not any(needs):
            continue
        moved = _transport(spare, needs)
        for source, target in zip(*moved.nonzero(), strict=True):
            units = int(moved[source, target])
            reason = (
                f"Move {units} of {sku} from {names[source]}, which has {free[source]} and needs {own[source]:.1f} in "
                f"{days} days, to {names[target]}, which has {free[target]} and needs {own[target]:.1f}."
            )
            rows.append((sku, names[source], names[target], units, reason))
    return pl.DataFrame(rows, schema=TRANSFERS, orient="row").sort("sku", "source", "target")


def _transport(spare: list[int], needs: list[int]) -> "NDArray[np.int64]":
    """Units from each source (rows) to each target: as many as can be, from as few sources as the program finds."""
    import numpy as np
    from scipy.optimize import linprog

    width = len(spare)
    # All units earn the same, but for a little that sends the most from where the most lies.
    gain = np.array([[1.0 + 0.001 * s / (1 + sum(spare)) for _ in needs] for s in spare])
    from_source = np.kron(np.eye(width), np.ones(width))
    to_target = np.kron(np.ones(width), np.eye(width))
    found = linprog(
        -gain.ravel(),
        A_ub=np.vstack([from_source, to_target]),
        b_ub=[*spare, *needs],
        bounds=(0, None),
        method="highs-ds",
    )
    return np.rint(found.x).astype(np.int64).reshape(width, width)
