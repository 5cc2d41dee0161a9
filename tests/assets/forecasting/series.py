"""Panels for tests: from an array, and invented demand of all four classes. The same seed gives the same numbers."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from assets.forecasting.panel import Floats, Frequency, Panel

MONDAY = date(2024, 1, 1)


def panel_of(y: Any, freq: str = "W-MON", first: date = MONDAY) -> Panel:
    rows = np.atleast_2d(np.asarray(y, dtype=float))
    return Panel(tuple(f"s{n:04}" for n in range(len(rows))), first, Frequency.parse(freq), rows)


def table_of(panel: Panel) -> pl.DataFrame:
    """The long table that `read_panel` makes the panel of."""
    rows, periods = np.nonzero(np.isfinite(panel.y))
    return pl.DataFrame(
        {
            "unique_id": [panel.ids[row] for row in rows],
            "ds": [panel.day(int(period)) for period in periods],
            "y": panel.y[rows, periods],
        },
        schema={"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64},
    )


def invented_demand(series: int, periods: int, seed: int = 0) -> Floats:
    """Whole units, (series, periods): smooth, erratic, intermittent and lumpy by turns, at levels of all sizes."""
    random = np.random.default_rng(seed)
    kind = np.arange(series)[:, None] % 4
    level = random.lognormal(2.0, 0.8, (series, 1))
    spread = np.where(kind % 2 == 1, 1.5, 0.1)
    units = random.poisson(level * random.gamma(1 / spread, spread, (series, periods))) + (kind < 2)
    return np.where(random.random((series, periods)) < np.where(kind < 2, 1.0, 0.45), units, 0).astype(float)


def days_of(periods: int, first: date = MONDAY) -> list[date]:
    return [first + timedelta(days=n) for n in range(periods)]
