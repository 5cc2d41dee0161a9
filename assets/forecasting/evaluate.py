"""Rolling origins: what would have been forecast then, and how good it was.

Belongs here: the tables of forecasts from earlier origins and their scores. Does not belong here: how a forecast is made
(`ensemble`) and the measures (`scores`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from assets.forecasting.demand_class import NAMES, demand_classes
from assets.forecasting.ensemble import LEAST_WEEKS, NO_HISTORY, Forecast, Forecaster
from assets.forecasting.members import Memory
from assets.forecasting.panel import Floats, InvalidPanel, Panel, read_panel, with_calendar
from assets.forecasting.scores import QUANTILE_COLUMNS, Scores, score

FORECASTS: dict[str, pl.DataType] = {
    "unique_id": pl.String(),
    "cutoff": pl.Date(),
    "ds": pl.Date(),
    "mean": pl.Float64(),
    **dict.fromkeys(QUANTILE_COLUMNS, pl.Float64()),
    "model": pl.String(),
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Forecasts (columns `FORECASTS`) and their scores, over all series and by demand class; CPU seconds of all of it."""

    forecasts: pl.DataFrame
    overall: Scores
    by_class: dict[str, Scores | None]
    by_cutoff: dict[date, Scores | None]
    series: int
    cpu_seconds: float


def rolling_forecasts(
    table: pl.DataFrame,
    *,
    freq: str,
    horizon: int,
    cutoffs: Sequence[date],
    country: str | None = None,
    memory: Memory | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Forecasts of the `horizon` periods after each cutoff, the last period that is known then: columns `FORECASTS`.

    `table`: unique_id, ds, y. Each forecast is made of what lies until its cutoff alone. A series that has not begun by then
    has no rows. `country` (ISO 3166) adds its public holidays. Raises InvalidPanel, also for a cutoff without enough history
    before it.
    """
    panel = _read(table, freq, horizon, country)
    return _rolled(panel, horizon, [_origin(panel, cutoff) for cutoff in cutoffs], memory, seed, progress)


def evaluate(
    table: pl.DataFrame,
    *,
    freq: str,
    horizon: int = 8,
    origins: int = 4,
    step: int = 8,
    country: str | None = None,
    memory: Memory | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Forecast from the last `origins` origins that lie `step` periods apart, the newest `horizon` before the end, and score.

    Series that begin after an origin are not scored there. Classes are those of the whole series. Raises InvalidPanel.
    """
    if min(horizon, origins, step) < 1:
        raise InvalidPanel("horizon, origins and step are 1 or more")
    began = time.process_time()
    panel = _read(table, freq, horizon, country)
    at = [panel.periods - horizon - step * back for back in range(origins - 1, -1, -1)]
    forecasts = _rolled(panel, horizon, [_checked(panel, origin) for origin in at], memory, seed, progress)
    spent = time.process_time() - began
    scored = with_actuals(forecasts, panel)
    overall = score(scored)
    if overall is None:
        raise InvalidPanel("no series begins before the first origin: take fewer origins or a longer history")
    kind = dict(zip(panel.ids, (NAMES[n] for n in demand_classes(panel.y)), strict=True))
    named = scored.with_columns(pl.col("unique_id").replace_strict(kind).alias("class"))
    return Evaluation(
        forecasts,
        overall,
        {name: score(named.filter(pl.col("class") == name)) for name in NAMES},
        {panel.day(origin - 1): score(scored.filter(pl.col("cutoff") == panel.day(origin - 1))) for origin in at},
        len(panel.ids),
        spent,
    )


def with_actuals(forecasts: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """The forecasts beside what came: `y`, and `scale`, the mean squared change from period to period known at the cutoff."""
    row = {name: n for n, name in enumerate(panel.ids)}
    rows = forecasts["unique_id"].replace_strict(row, return_dtype=pl.Int64).to_numpy()
    periods = np.array([panel.period(day) for day in forecasts["ds"].to_list()], dtype=int)
    scales = {day: _scale(panel.until(panel.period(day) + 1).y) for day in forecasts["cutoff"].unique().to_list()}
    scale = np.array([scales[day][n] for day, n in zip(forecasts["cutoff"].to_list(), rows, strict=True)])
    known = periods < panel.periods
    y = np.where(known, panel.y[rows, np.minimum(periods, panel.periods - 1)], np.nan)
    return forecasts.with_columns(y=pl.Series(y), scale=pl.Series(scale, dtype=pl.Float64)).filter(pl.Series(known))


def table_of(panel: Panel, forecast: Forecast) -> pl.DataFrame:
    """A forecast as rows, the columns `FORECASTS`; none for a series that has not begun."""
    series, horizon = forecast.mean.shape
    days = [panel.day(forecast.cutoff + step) for step in range(horizon)]
    columns = {
        "unique_id": np.repeat(np.array(panel.ids, dtype=object), horizon),
        "cutoff": [panel.day(forecast.cutoff - 1)] * (series * horizon),
        "ds": days * series,
        "mean": forecast.mean.reshape(-1),
        **{name: forecast.quantiles[..., n].reshape(-1) for n, name in enumerate(QUANTILE_COLUMNS)},
        "model": forecast.models.reshape(-1),
    }
    return pl.DataFrame(columns, schema=FORECASTS).filter(pl.col("model") != NO_HISTORY)


def _rolled(
    panel: Panel, horizon: int, origins: Sequence[int], memory: Memory | None, seed: int, progress: Progress | None
) -> pl.DataFrame:
    forecaster = Forecaster(panel, horizon, memory=memory, seed=seed)
    tables = [pl.DataFrame(schema=FORECASTS)]
    for done, origin in enumerate(origins, start=1):
        tables.append(table_of(panel, forecaster.at(origin)))
        if progress:
            progress(done, len(origins))
    return pl.concat(tables)


def _read(table: pl.DataFrame, freq: str, horizon: int, country: str | None) -> Panel:
    panel = read_panel(table, freq)
    return with_calendar(panel, horizon, country) if country else panel


def _scale(y: Floats) -> Floats:
    changes = np.diff(y, axis=1) ** 2
    known = np.isfinite(changes)
    return np.where(known, changes, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _origin(panel: Panel, cutoff: date) -> int:
    origin = panel.period(cutoff) + 1
    if panel.day(origin - 1) != cutoff:
        raise InvalidPanel(
            f"the cutoff {cutoff} is no period of a panel that begins on {panel.first} ({panel.freq.name})"
        )
    return _checked(panel, origin)


def _checked(panel: Panel, origin: int) -> int:
    least = LEAST_WEEKS * panel.freq.week
    if not least <= origin <= panel.periods:
        raise InvalidPanel(
            f"an origin needs {least} periods before it, and this one has {max(origin, 0)} of {panel.periods}: "
            "take fewer origins, a shorter step or horizon, or a longer history"
        )
    return origin
