"""The forecast that is served: members and boosting combined, their intervals made to hold, a champion for each series.

Belongs here: what is made of what, from one origin, by what was known then. Does not belong here: the models (`members`,
`boosting`), the errors (`conformal`), the contest (`champions`).

At an origin c and a horizon of h periods, intervals are made to hold on the windows from c-h and c-2h, and champions are
chosen on those from c-3h and c-2h. The newest complete window, from c-h, is never seen by the choice: it is what the choice
is judged by.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.forecasting import boosting, champions, conformal, season
from assets.forecasting.champions import ENSEMBLE, Champions, Contest
from assets.forecasting.demand_class import demand_classes
from assets.forecasting.members import IMAPA, MEMBERS, PROPHET, RECENT, THETA, TSB, Memory, mean_of
from assets.forecasting.panel import Floats, Panel
from assets.forecasting.scores import QUANTILES

STATISTICAL, BOOSTING = "statistical", "boosting"
CONTENDERS = (ENSEMBLE, PROPHET, STATISTICAL, BOOSTING)
OF_STATISTICAL = (THETA, IMAPA, TSB, RECENT)
NO_HISTORY = "no_history"
BOOSTING_SHARE = 0.9
"""Of the ensemble's quantiles; the rest are those of the members."""
IDLE_WEIGHT, SMALL_UNITS = 1.5, 5.0
"""How the median gives way to the members' mean in the ensemble's mean: how fast with the share of idle periods, and at which
units a period it has half the say."""
LEAST_UNITS = 0.02
"""A lowest quantile below this is zero: counts are whole, and a week without a sale would lie outside by a hair."""
LEAST_WEEKS = 12
"""Weeks before an origin without which nothing is made from it."""
_LOOK_BACK = 3
_READY_WEEKS = 10
_ORIGINS_NEEDED = 1 + champions.WINDOWS + _LOOK_BACK
_MEDIAN = QUANTILES.index(0.5)


@dataclass(frozen=True)
class Forecast:
    """From one origin. mean: (series, steps) and quantiles: (series, steps, quantiles), units a period, not below zero.

    models: (series, steps), who said so; `no_history` for a series that has not begun, whose numbers are zeros.
    """

    cutoff: int
    mean: Floats
    quantiles: Floats
    models: NDArray[np.str_]
    classes: NDArray[np.int64]
    champions: Champions


class Forecaster:
    """Forecasts of a panel from any of its origins; what an origin needs of earlier ones is made once.

    An origin sees the periods before it alone: each part is given `panel.until(origin)`. The same panel, horizon and seed
    give the same numbers.
    """

    def __init__(self, panel: Panel, horizon: int, *, memory: Memory | None = None, seed: int = 0) -> None:
        if horizon < 1:
            raise ValueError(f"the horizon is 1 period or more, not {horizon}")
        self.panel, self.horizon = panel, horizon
        self._memory, self._seed = memory or Memory(), seed
        self._members: dict[int, Floats] = {}
        self._boosted: dict[int, Floats | None] = {}
        self._said: dict[int, dict[str, Floats]] = {}
        self._seasons: dict[int, Floats] = {}

    def at(self, cutoff: int) -> Forecast:
        """The forecast of the periods from `cutoff` on, by the periods before it; what is remembered is not made again."""
        seen = self.panel.until(cutoff)
        name = f"forecast|{seen.snapshot()}|{self.horizon}|{self._seed}"
        remembered = self._memory.recall(name)
        if remembered is None:
            forecast = self._forecast(cutoff, seen)
            self._memory.keep(name, _as_bytes(forecast))
            return forecast
        # One series that changes next time is then all that is fitted again.
        for origin in (cutoff, *self._before(cutoff, _ORIGINS_NEEDED)):
            self._memory.still_needed(self.panel.until(origin), self.horizon)
        return _from_bytes(remembered, cutoff)

    def _forecast(self, cutoff: int, seen: Panel) -> Forecast:
        classes, level = demand_classes(seen.y), conformal.level_of(seen.y, seen.freq.week)
        said = dict(self.said_at(cutoff))
        for name in (ENSEMBLE, BOOSTING):
            past = [self._window(origin, self.said_at(origin)[name], cutoff) for origin in self._before(cutoff, 2)]
            said[name] = conformal.shifted(said[name], level, classes, past)
        chosen = champions.choose(self._contests(cutoff), classes, len(classes), CONTENDERS)
        return self._served(cutoff, said, chosen, classes)

    def said_at(self, cutoff: int) -> dict[str, Floats]:
        """Quantiles of every contender, before intervals are made to hold: (series, steps, quantiles) each."""
        if cutoff not in self._said:
            self._said[cutoff] = self._made(cutoff)
        return self._said[cutoff]

    def _made(self, cutoff: int) -> dict[str, Floats]:
        seen = self.panel.until(cutoff)
        classes, level = demand_classes(seen.y), conformal.level_of(seen.y, seen.freq.week)

        def around(names: tuple[str, ...]) -> Floats:
            past = [
                self._window(origin, self._point(origin, names), cutoff) for origin in self._before(cutoff, _LOOK_BACK)
            ]
            return conformal.around(self._point(cutoff, names), level, classes, past)

        of_all, boosted = around(MEMBERS), self._boosted_at(cutoff)
        boosted = of_all if boosted is None else boosted * self._season(cutoff)[:, None]
        combined = BOOSTING_SHARE * boosted + (1 - BOOSTING_SHARE) * of_all
        return {
            ENSEMBLE: np.sort(combined, axis=-1),
            PROPHET: around((PROPHET,)),
            STATISTICAL: around(OF_STATISTICAL),
            BOOSTING: boosted,
        }

    def _served(self, cutoff: int, said: dict[str, Floats], chosen: Champions, classes: NDArray[np.int64]) -> Forecast:
        share = _median_share(self.panel.until(cutoff))
        points = {
            PROPHET: self._point(cutoff, (PROPHET,)),
            STATISTICAL: self._point(cutoff, OF_STATISTICAL),
            BOOSTING: said[BOOSTING][..., _MEDIAN],
            ENSEMBLE: share * said[ENSEMBLE][..., _MEDIAN] + (1 - share) * self._point(cutoff, MEMBERS),
        }
        half = (np.arange(self.horizon) >= (self.horizon + 1) // 2).astype(int)
        models = chosen.names[:, half].astype(object)
        mean, quantiles = points[ENSEMBLE].copy(), said[ENSEMBLE].copy()
        for name in CONTENDERS[1:]:
            places = models == name
            mean[places], quantiles[places] = points[name][places], said[name][places]
        quantiles[..., 0][quantiles[..., 0] < LEAST_UNITS] = 0.0
        unborn = self.panel.until(cutoff).ages() == 0
        models[unborn], mean[unborn], quantiles[unborn] = NO_HISTORY, 0.0, 0.0
        return Forecast(cutoff, mean, quantiles, models.astype(str), classes, chosen)

    def _contests(self, cutoff: int) -> list[Contest]:
        contests = []
        for origin in self._before(cutoff, 1 + champions.WINDOWS)[:-1]:
            window = self._window(origin, self.said_at(origin)[ENSEMBLE], cutoff)
            contests.append(Contest(window.actual, self.said_at(origin), window.level, window.ready))
        return contests

    def _before(self, cutoff: int, count: int) -> list[int]:
        """Origins of the last `count` whole windows before `cutoff`, oldest first, as far as there is history."""
        least = LEAST_WEEKS * self.panel.freq.week
        origins = [cutoff - self.horizon * back for back in range(count, 0, -1)]
        return [origin for origin in origins if origin >= least]

    def _window(self, origin: int, forecast: Floats, cutoff: int) -> conformal.Window:
        seen = self.panel.until(origin)
        actual = self.panel.y[:, origin : min(origin + self.horizon, cutoff)]
        ready = seen.ages() >= _READY_WEEKS * seen.freq.week
        return conformal.Window(actual, forecast, conformal.level_of(seen.y, seen.freq.week), ready)

    def _point(self, cutoff: int, names: tuple[str, ...]) -> Floats:
        """The mean of some members with the season of all series; Prophet alone is left as it is."""
        point = mean_of(self._members_at(cutoff), names)
        return point if names == (PROPHET,) else point * self._season(cutoff)

    def _season(self, cutoff: int) -> Floats:
        """By what a forecast of each step is multiplied, (steps,)."""
        if cutoff not in self._seasons:
            index = self._index(cutoff)
            if index is None:
                self._seasons[cutoff] = np.ones(self.horizon)
            else:
                self._seasons[cutoff] = index ** season.belief(self._trials(cutoff))
        return self._seasons[cutoff]

    def _index(self, cutoff: int) -> Floats | None:
        return season.year_ago_index(self.panel.until(cutoff).y, self.horizon, self.panel.freq.week)

    def _trials(self, cutoff: int) -> list[season.Trial]:
        trials = []
        for origin in self._before(cutoff, _LOOK_BACK):
            index = self._index(origin)
            if index is not None:
                window = self._window(origin, mean_of(self._members_at(origin), OF_STATISTICAL), cutoff)
                trials.append(season.Trial(window.actual[window.ready], window.forecast[window.ready], index))
        return trials

    def _members_at(self, cutoff: int) -> Floats:
        if cutoff not in self._members:
            self._members[cutoff] = self._memory.members_of(self.panel.until(cutoff), self.horizon)
        return self._members[cutoff]

    def _boosted_at(self, cutoff: int) -> Floats | None:
        if cutoff not in self._boosted:
            seen = self.panel.until(cutoff)
            model = boosting.train(seen, self.horizon, seed=self._seed)
            self._boosted[cutoff] = None if model is None else model.quantiles(seen, self.horizon)
        return self._boosted[cutoff]


def _median_share(panel: Panel) -> Floats:
    """How much of a series' mean is taken from the median, (series, 1): none from two idle thirds on, little of small counts.

    The median is steadier than any mean. But of what seldom sells it is zero, and of a few units a week it lies well below the
    mean, and orders are placed by sums of means.
    """
    window = panel.y[:, -conformal.LEVEL_WEEKS * panel.freq.week :]
    known = np.isfinite(window)
    count = np.maximum(known.sum(axis=1), 1)
    idle = (known & (window == 0)).sum(axis=1) / count
    level = np.where(known, window, 0.0).sum(axis=1) / count
    return (np.maximum(1 - IDLE_WEIGHT * idle, 0.0) * level / (level + SMALL_UNITS))[:, None]


def _as_bytes(forecast: Forecast) -> bytes:
    content = io.BytesIO()
    np.savez(
        content,
        mean=forecast.mean,
        quantiles=forecast.quantiles,
        models=forecast.models,
        classes=forecast.classes,
        names=forecast.champions.names,
        ratios=forecast.champions.ratios,
    )
    return content.getvalue()


def _from_bytes(content: bytes, cutoff: int) -> Forecast:
    kept = np.load(io.BytesIO(content), allow_pickle=False)
    champion = Champions(kept["names"], kept["ratios"])
    return Forecast(cutoff, kept["mean"], kept["quantiles"], kept["models"], kept["classes"], champion)
