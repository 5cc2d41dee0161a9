"""The models that forecast one series at a time: Prophet, and those of statsforecast that share an ensemble with it.

Belongs here: calling them for a whole panel, and remembering what was fitted. Does not belong here: the model that learns
from all series (`boosting`), and what is made of the members (`ensemble`).
"""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.forecasting.panel import Floats, Panel
from assets.forecasting.prophet_map import prophet_means

PROPHET, THETA, IMAPA, TSB, RECENT = "prophet", "theta", "imapa", "tsb", "recent_mean"
MEMBERS = (PROPHET, THETA, IMAPA, TSB, RECENT)
VERSION = 2
"""Changes when a forecast of the same history does: what was remembered is then forgotten."""
RECENT_WEEKS = 8
_LEAST_FOR_THETA = 9
_TSB_SMOOTHING = 0.1


class Memory:
    """Forecasts of members by what they were made from: a history that did not change is not fitted again.

    Kept in a Parquet file where a path is given; a file that cannot be read is as none.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[bytes, bytes] = {}
        self._used: set[bytes] = set()
        self.fitted = 0
        if path is not None and path.is_file():
            try:
                rows = pl.read_parquet(path)
                self._known = dict(zip(rows["key"].to_list(), rows["forecasts"].to_list(), strict=True))
            except (pl.exceptions.PolarsError, OSError) as error:
                logging.getLogger(__name__).warning("%s is unreadable, everything is fitted again: %s", path, error)

    def members_of(self, panel: Panel, horizon: int) -> Floats:
        """(members in the order of `MEMBERS`, series, horizon). Only histories that are new are fitted."""
        keys = self._keys(panel, horizon)
        missing = np.array([n for n, key in enumerate(keys) if key not in self._known], dtype=int)
        self._used.update(keys)
        if len(missing):
            made = fit_members(panel.some(missing), horizon)
            self.fitted += len(missing)
            self._known.update((keys[n], made[:, at].tobytes()) for at, n in enumerate(missing))
        shape = (len(MEMBERS), horizon)
        rows = [np.frombuffer(self._known[key]).reshape(shape) for key in keys]
        return np.stack(rows, axis=1) if rows else np.zeros((len(MEMBERS), 0, horizon))

    def still_needed(self, panel: Panel, horizon: int) -> None:
        """Keep what is known of these histories, though nobody asked for it this time."""
        self._used.update(key for key in self._keys(panel, horizon) if key in self._known)

    def recall(self, name: str) -> bytes | None:
        """What was kept under a name, of what is made of a whole panel."""
        key = self._named(name)
        if key in self._known:
            self._used.add(key)
        return self._known.get(key)

    def keep(self, name: str, content: bytes) -> None:
        """Remember it under a name that tells all that it was made of."""
        key = self._named(name)
        self._known[key] = content
        self._used.add(key)

    @staticmethod
    def _named(name: str) -> bytes:
        return hashlib.sha256(f"{VERSION}|named|{name}".encode()).digest()

    def save(self) -> None:
        """Keep what was used since this memory was opened, and nothing else."""
        if self._path is None:
            return
        kept = {key: self._known[key] for key in sorted(self._used)}
        frame = pl.DataFrame(
            {"key": list(kept), "forecasts": list(kept.values())},
            schema={"key": pl.Binary, "forecasts": pl.Binary},
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        frame.write_parquet(fresh)
        fresh.replace(self._path)

    @staticmethod
    def _keys(panel: Panel, horizon: int) -> list[bytes]:
        # By the values and not by the name: the first period of a series does not matter to any member.
        head = f"{VERSION}|{panel.freq.name}|{horizon}|".encode()
        begins = panel.periods - panel.ages()
        return [
            hashlib.sha256(head + row[begin:].tobytes()).digest() for row, begin in zip(panel.y, begins, strict=True)
        ]


def fit_members(panel: Panel, horizon: int) -> Floats:
    """The mean of every member for every series, not below zero: (members in the order of `MEMBERS`, series, horizon)."""
    recent = np.repeat(_recent(panel)[:, None], horizon, axis=1)
    made = {PROPHET: prophet_means(panel.y, horizon, season=panel.freq.season), RECENT: recent}
    made |= _statistical(panel, horizon, fallback=recent)
    return np.stack([np.maximum(np.nan_to_num(made[name]), 0.0) for name in MEMBERS])


def _recent(panel: Panel) -> Floats:
    """Mean of the last `RECENT_WEEKS` weeks, or of as many as there are; 0 without any."""
    window = panel.y[:, -RECENT_WEEKS * panel.freq.week :]
    known = np.isfinite(window)
    return np.where(known, window, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _statistical(panel: Panel, horizon: int, fallback: Floats) -> dict[str, Floats]:
    with _Quiet("statsforecast"):
        import pandas as pd
        from statsforecast import StatsForecast, models

        ages = panel.ages()
        enough = np.flatnonzero(ages >= max(_LEAST_FOR_THETA, 2 * panel.freq.season))
        made = {name: fallback.copy() for name in (THETA, IMAPA, TSB)}
        if not len(enough):
            return made
        begins = panel.periods - ages[enough]
        frame = pd.DataFrame(
            {
                "unique_id": np.repeat(np.arange(len(enough)), ages[enough]),
                "ds": np.concatenate([np.arange(begin, panel.periods) for begin in begins]),
                "y": np.concatenate([panel.y[n, begin:] for n, begin in zip(enough, begins, strict=True)]),
            }
        )
        chosen = [
            models.DynamicOptimizedTheta(season_length=panel.freq.season, alias=THETA),
            models.IMAPA(alias=IMAPA),
            models.TSB(_TSB_SMOOTHING, _TSB_SMOOTHING, alias=TSB),
        ]
        # Its rows come in the order of the series, and of time within them.
        engine = StatsForecast(models=chosen, freq=1, n_jobs=1, fallback_model=models.IMAPA())
        told: Any = engine.forecast(df=frame, h=horizon)
    for name in made:
        made[name][enough] = told[name].to_numpy().reshape(len(enough), horizon)
    return made


class _Quiet:
    """Its warnings about short and constant series would fill a log."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self._before, self._logger.disabled = self._logger.disabled, True

    def __exit__(self, *_: object) -> None:
        self._logger.disabled = self._before


def mean_of(members: Floats, names: Iterable[str]) -> Floats:
    """The mean of some members: (series, horizon)."""
    return members[[MEMBERS.index(name) for name in names]].mean(axis=0)
