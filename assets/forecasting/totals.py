"""The brand's weeks for a fan chart: what all SKUs sold together, and what they are forecast to.

Belongs here: summing SKUs up. Does not belong here: forecasts that add up over a hierarchy (`hierarchy`).
"""

from statistics import NormalDist

import numpy as np
import polars as pl

from assets.forecasting.panel import Floats
from assets.forecasting.schemas import FAN_SCHEMA
from assets.forecasting.served import INTERVAL_LEVEL

INTERVAL_Z = NormalDist().inv_cdf((1 + INTERVAL_LEVEL) / 2)
_RECENT_WEEKS = 8
_FOLDS = 2


def total_fan(forecasts: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """The brand's weeks for a fan chart (`FAN_SCHEMA`): past ones with `actual`, coming ones with a band.

    The total's mean is the sum of the SKUs' means. Its half width, the same on both sides, is the larger of:

    - the root of the summed squares of the SKUs' (upper - mean), which takes their errors as independent.
      Adding the lowers would suppose that every SKU disappoints at once. Not (mean - lower): that is cut at
      zero.
    - z times the error that the mean of the last eight weeks made on weeks of the total that it had not seen.
      SKUs rise and fall together, and this is what that costs. On a gift retailer's panel, at five origins,
      the first alone held 8 to 92 % of the weeks where 80 % was meant; the larger held 23 to 100 %, 71 on
      average.
    """
    past = history.group_by("week").agg(actual=pl.col("units_sold").sum()).sort("week")
    together = INTERVAL_Z * _total_error(past["actual"].cast(pl.Float64).to_numpy(), forecasts["week"].n_unique())
    apart = ((pl.col("upper") - pl.col("mean")) ** 2).sum().sqrt()
    coming = (
        forecasts.group_by("week")
        .agg(pl.col("mean").sum(), half_width=pl.max_horizontal(apart, pl.lit(together)))
        .select(
            "week",
            "mean",
            lower=(pl.col("mean") - pl.col("half_width")).clip(lower_bound=0.0),
            upper=pl.col("mean") + pl.col("half_width"),
        )
    )
    return (
        pl.concat([past, coming], how="diagonal_relaxed")
        .select(pl.col(name).cast(dtype) for name, dtype in FAN_SCHEMA.items())
        .sort("week")
    )


def _total_error(actual: Floats, horizon: int) -> float:
    """Root mean squared error of the recent mean on the last two stretches of up to `horizon` weeks; 0 without history."""
    length = min(horizon, len(actual) // (2 * _FOLDS))
    errors = [
        actual[end - length : end] - actual[max(0, end - length - _RECENT_WEEKS) : end - length].mean()
        for end in (len(actual) - length * back for back in range(_FOLDS))
        if length
    ]
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2))) if errors else 0.0
