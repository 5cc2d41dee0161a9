"""One gradient boosted model a quantile for all series: what sells like this, sells how much in so many periods?

Belongs here: the features of a series at an origin, the sample that is learnt from, and LightGBM. Does not belong here: the
members that know one series alone, and calibration.

Units are divided by the series' own recent mean, and their square root is learnt, so that big and small sellers teach each
other and single large orders do not rule. Every step ahead is a row of its own (direct forecasts). Holidays, sales periods and
promotions are features where the panel knows them. Left out, because measures got worse or no better: the week of the year,
which less than two years of data let it learn by heart, and the price beside its own median.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.forecasting.panel import Floats, Panel
from assets.forecasting.scores import QUANTILES

MOST_ROWS = 40_000
LEAST_ROWS = 300
_LEAST_WEEKS = 8
_FIRST_ORIGIN_WEEKS = 10
_LEVEL_WEEKS = 26
_SMOOTHING = 0.2
_SMOOTHED_WEEKS = 40
_LEAST_LEVEL = 0.1
_EVERY_WEEKS = 2
_PARAMETERS: dict[str, Any] = {
    "objective": "quantile",
    "num_leaves": 8,
    "learning_rate": 0.2,
    "min_child_samples": 80,
    "reg_lambda": 1.0,
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}
_ROUNDS = 18
_BINNING: dict[str, Any] = {
    "max_bin": 31,
    "num_threads": 1,
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,
}
_PARTS = 3


@dataclass(frozen=True)
class Boosted:
    """Trained models, by part of the origins and by quantile."""

    models: list[list[Any]]

    def quantiles(self, panel: Panel, horizon: int) -> Floats:
        """(series, horizon, quantiles), in units, sorted and not below zero. `panel` ends where the forecast begins."""
        features, level, _ = _features(panel, panel.periods)
        told = np.empty((len(level), horizon, len(QUANTILES)))
        for step in range(horizon):
            rows = _with_step(features, panel, panel.periods, step)
            parts = [np.stack([_as_units(model.predict(rows)) for model in part], axis=-1) for part in self.models]
            told[:, step] = np.mean(parts, axis=0) * level[:, None]
        return np.sort(np.maximum(told, 0.0), axis=-1)


def train(panel: Panel, horizon: int, *, seed: int = 0) -> Boosted | None:
    """Learn from every origin that the panel holds. None where there are too few rows to learn from.

    Three models learn from every third origin each and are averaged, which costs what one does and is steadier. At most
    `MOST_ROWS` rows are used, chosen by `seed`: time and memory do not grow with the number of series.
    """
    import lightgbm

    # Series that begin later say nothing yet, and may not change which of the others are learnt from.
    panel = panel.some(np.flatnonzero(panel.ages() > 0))
    features, target, weight, origin = _sample(panel, horizon, np.random.default_rng(seed))
    if len(target) < LEAST_ROWS:
        return None
    models: list[list[Any]] = []
    for part in range(_PARTS):
        rows = origin % _PARTS == part
        if rows.sum() < LEAST_ROWS // _PARTS:
            rows = np.ones(len(target), dtype=bool)
        data = lightgbm.Dataset(features[rows], np.sqrt(target[rows]), weight=weight[rows], params=_BINNING)
        models.append(
            [
                lightgbm.train({**_PARAMETERS, "alpha": level, "seed": seed + part}, data, num_boost_round=_ROUNDS)
                for level in QUANTILES
            ]
        )
    return Boosted(models)


def _as_units(root: Any) -> Floats:
    return np.maximum(np.asarray(root), 0.0) ** 2


def _sample(
    panel: Panel, horizon: int, random: np.random.Generator
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """Rows to learn from: features, target (units over level), weight, and the number of the origin."""
    week = panel.freq.week
    origins = range(panel.periods - 1, _FIRST_ORIGIN_WEEKS * week - 1, -_EVERY_WEEKS * week)
    steps = min(horizon, panel.periods)
    share = min(1.0, MOST_ROWS / max(1, len(origins) * steps * len(panel.ids)))
    parts: list[tuple[Floats, Floats, Floats, NDArray[np.int64]]] = []
    for number, at in enumerate(origins):
        chosen = np.arange(len(panel.ids))
        if share < 1:
            count = max(1, round(share * len(chosen)))
            chosen = np.sort(random.choice(chosen, count, replace=False))
        some = panel.some(chosen)
        features, level, age = _features(some, at)
        old = age >= _LEAST_WEEKS * week
        for step in range(min(horizon, panel.periods - at)):
            units = some.y[:, at + step]
            rows = _with_step(features, some, at, step)[old]
            parts.append((rows, (units / level)[old], np.sqrt(level[old]), np.full(int(old.sum()), number)))
    if not parts:
        return np.zeros((0, 0)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    features, target, weight, origin = (np.concatenate(column) for column in zip(*parts, strict=True))
    return features, target, weight, origin


def _features(panel: Panel, at: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """What is known of each series before period `at`: features (series, columns), level (units), age (periods)."""
    seen, week = panel.y[:, :at], panel.freq.week
    known = np.isfinite(seen)
    units = np.where(known, seen, 0.0)
    level = np.maximum(_mean(units, known, _LEVEL_WEEKS * week), _LEAST_LEVEL)
    last, last_known = units[:, -_LEVEL_WEEKS * week :], known[:, -_LEVEL_WEEKS * week :]
    count = np.maximum(last_known.sum(axis=1), 1)
    scaled = last / level[:, None]
    average = scaled.sum(axis=1) / count
    spread = np.sqrt(np.where(last_known, (scaled - average[:, None]) ** 2, 0.0).sum(axis=1) / count)
    newest = slice(-8 * week, None)
    columns = [
        np.log(level),
        *(_mean(units, known, weeks * week) / level for weeks in (2, 4, 8, 13)),
        units.sum(axis=1) / np.maximum(known.sum(axis=1), 1) / level,
        (last_known & (last == 0)).sum(axis=1) / count,
        spread,
        scaled.max(axis=1),
        (units[:, newest] > 0).sum(axis=1) / np.maximum(known[:, newest].sum(axis=1), 1),
        _smoothed(seen, _SMOOTHED_WEEKS * week, _SMOOTHING / week) / level,
        *_of_all(units, known, level, week),
    ]
    return np.column_stack(columns), level, known.sum(axis=1)


def _mean(units: Floats, known: NDArray[np.bool_], periods: int) -> Floats:
    return units[:, -periods:].sum(axis=1) / np.maximum(known[:, -periods:].sum(axis=1), 1)


def _smoothed(seen: Floats, periods: int, alpha: float) -> Floats:
    """Simple exponential smoothing over the last periods."""
    newest = seen[:, -periods:]
    level = np.nan_to_num(newest[:, 0])
    for column in newest.T[1:]:
        level = np.where(np.isfinite(column), level + alpha * (column - level), level)
    return level


def _of_all(units: Floats, known: NDArray[np.bool_], level: Floats, week: int) -> list[Floats]:
    """How all series together have gone lately: the last 4 weeks against 13, and the last week against 8."""
    total = (units[:, -13 * week :] / level[:, None]).sum(axis=0)
    average = total / np.maximum(known[:, -13 * week :].sum(axis=0), 1)
    pairs = ((4, 13), (1, 8))
    ratios = [average[-short * week :].mean() / max(average[-long * week :].mean(), 1e-9) for short, long in pairs]
    return [np.full(len(units), ratio) for ratio in ratios]


def _with_step(features: Floats, panel: Panel, at: int, step: int) -> Floats:
    """The features with how far ahead is asked for, what is known of that period, and for days what its weekday sold lately."""
    columns = [features, np.full((len(features), 1), float(step))]
    if panel.known is not None:
        columns.append(np.broadcast_to(panel.known[:, at + step], (len(features), len(panel.known))))
    if panel.freq.week > 1:
        week = panel.freq.week
        ago = [at + step - week * (1 + step // week + back) for back in range(8)]
        same = panel.y[:, [period for period in ago if period >= 0]]
        known = np.isfinite(same)
        average = np.where(known, same, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        level = np.exp(features[:, :1])
        columns.append(average[:, None] / level)
    return np.concatenate(columns, axis=1)
