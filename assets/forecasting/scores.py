"""How good forecasts were: errors of the mean, the pinball loss of the quantiles, and how often an interval held.

Belongs here: the measures over a table of forecasts beside what came. Does not belong here: making forecasts.
"""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from assets.forecasting.panel import Floats

QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
QUANTILE_COLUMNS = tuple(f"q{level:g}" for level in QUANTILES)


@dataclass(frozen=True)
class Scores:
    """Measures over all series, origins and steps; None where nothing was sold or no scale is known.

    wape: sum of |y - mean| / sum of y. Never to choose by alone: it rewards forecasting too little.
    bias: sum of (mean - y) / sum of y.
    rmsse: mean over series and origins of the root of (mean squared error / mean squared change from period to period in
        what was known), as in the M5 competition (Makridakis et al., International Journal of Forecasting 38, 2022).
    weighted_pinball: mean over the quantiles of 2 * sum of the pinball loss / sum of y (the weighted quantile loss).
    coverage_80, coverage_95: share of y that lies between the outer quantiles, ends included.
    """

    rows: int
    wape: float | None
    bias: float | None
    rmsse: float | None
    weighted_pinball: float | None
    coverage_80: float
    coverage_95: float

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON."""
        return asdict(self)


def pinball(y: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """max(a (y - q), (a - 1)(y - q)) for the levels `a` along the last axis of `quantiles`. Koenker & Bassett, 1978."""
    error = y[..., None] - quantiles
    return np.maximum(levels * error, (levels - 1) * error)


def score(table: pl.DataFrame) -> Scores | None:
    """Scores of the rows: unique_id, cutoff, y, mean, the quantile columns, scale (mean squared change known then).

    None for no rows.
    """
    if table.is_empty():
        return None
    y, mean = table["y"].to_numpy(), table["mean"].to_numpy()
    quantiles = table.select(QUANTILE_COLUMNS).to_numpy()
    sold = float(y.sum())
    loss = pinball(y, quantiles, np.array(QUANTILES)).sum(axis=0)
    within = [(y >= quantiles[:, low]) & (y <= quantiles[:, -1 - low]) for low in (1, 0)]
    return Scores(
        rows=len(y),
        wape=float(np.abs(y - mean).sum()) / sold if sold else None,
        bias=float((mean - y).sum()) / sold if sold else None,
        rmsse=_rmsse(table),
        weighted_pinball=float((2 * loss / sold).mean()) if sold else None,
        coverage_80=float(within[0].mean()),
        coverage_95=float(within[1].mean()),
    )


def _rmsse(table: pl.DataFrame) -> float | None:
    each = (
        table.filter(pl.col("scale") > 0)
        .group_by("unique_id", "cutoff", maintain_order=True)
        .agg(((pl.col("y") - pl.col("mean")).pow(2).mean() / pl.col("scale").first()).sqrt().alias("rmsse"))
    )
    return float(each["rmsse"].to_numpy().mean()) if each.height else None
