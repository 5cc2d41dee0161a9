"""The four kinds of demand, by how often and how evenly something sells.

Syntetos, Boylan & Croston, On the categorization of demand patterns, Journal of the Operational Research Society 56, 2005.
"""

import numpy as np
from numpy.typing import NDArray

from assets.forecasting.panel import Floats

SMOOTH, ERRATIC, INTERMITTENT, LUMPY = 0, 1, 2, 3
NAMES = ("smooth", "erratic", "intermittent", "lumpy")
MOST_INTERVAL = 1.32
"""Average periods between two demands (ADI) from which demand is called intermittent or lumpy."""
MOST_VARIATION = 0.49
"""Squared coefficient of variation of the demands (CV²) from which it is called erratic or lumpy."""


def demand_classes(y: Floats) -> NDArray[np.int64]:
    """The kind of each series, an index of `NAMES`. `y`: (series, periods), NaN before a series begins.

    A series with fewer than two demands is lumpy: nothing is known of how even they are.
    """
    known = np.isfinite(y)
    sold = known & (y > 0)
    count, age = sold.sum(axis=1), known.sum(axis=1)
    units = np.where(sold, y, 0.0)
    mean = units.sum(axis=1) / np.maximum(count, 1)
    spread = np.where(sold, (y - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(count - 1, 1)
    interval = age / np.maximum(count, 1)
    variation = spread / np.maximum(mean, 1e-12) ** 2
    kinds = 2 * (interval >= MOST_INTERVAL) + (variation >= MOST_VARIATION)
    return np.where(count < 2, LUMPY, kinds).astype(np.int64)
