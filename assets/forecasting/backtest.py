"""How well a model would have forecast a SKU: rolling origins, and the scores over the weeks it had not seen.

Here: where the folds are cut, the guarantee that a model sees only the weeks before its origin, the scores.
Not here: the models (`models`), and what is made of the scores (`selection`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assets.forecasting.models import Units

FOLDS = 2

Predict = Callable[[Units, int], Units]
"""(the weeks before the origin, how many weeks ahead) -> the mean of each week ahead."""


@dataclass(frozen=True)
class Fold:
    """One cut through a history: the model is given `units[:origin]` and asked for the next `weeks`."""

    origin: int
    weeks: int


@dataclass(frozen=True)
class Score:
    """A model's errors over all weeks held out, pooled over the folds.

    wape: sum of |error| / sum of units; None if nothing sold in those weeks. Never to choose by: it rewards
        forecasting too little.
    bias: sum of (forecast - units) / sum of units; above zero the forecast was too high. None as for wape.
    rmsse: root of (mean squared error / mean squared week-to-week change in the training weeks); below 1 the
        model is better than "as last week" was in training. What models are chosen by, as in the M5
        competition (Makridakis et al., M5 accuracy competition, 2022), with both means taken over the folds.
    rmse: root mean squared error in units a week.
    folds, weeks: how many origins, and how many weeks were held out in all.
    """

    wape: float | None
    rmsse: float
    bias: float | None
    rmse: float
    folds: int
    weeks: int


def cut_folds(weeks: int, horizon: int) -> list[Fold]:
    """The last `FOLDS` stretches of a history of `weeks`, oldest first, to be forecast from what precedes.

    A fold is as long as the horizon, but short enough that at least half of the history always trains: 78
    weeks and a horizon of 13 give 52 -> 13 and 65 -> 13; 20 weeks give 10 -> 5 and 15 -> 5. Fewer than 4
    weeks give none.
    """
    length = min(horizon, weeks // (2 * FOLDS))
    if length == 0:
        return []
    return [Fold(weeks - k * length, length) for k in range(FOLDS, 0, -1)]


def backtest(units: Units, folds: list[Fold], predict: Predict) -> Score:
    """The score of `predict` over `folds`; it is handed a copy of the weeks before an origin, nothing else.

    Raises ValueError without a fold, and whatever `predict` raises.
    """
    if not folds:
        raise ValueError("a backtest needs at least one fold: the history is too short to hold weeks out")
    errors, actuals, changes = [], [], []
    for fold in folds:
        seen = units[: fold.origin].copy()
        held_out = units[fold.origin : fold.origin + fold.weeks]
        errors.append(predict(seen, fold.weeks) - held_out)
        actuals.append(held_out)
        changes.append(np.diff(seen))
    return _score(np.concatenate(errors), np.concatenate(actuals), np.concatenate(changes), len(folds))


def _score(errors: Units, actuals: Units, changes: Units, folds: int) -> Score:
    sold = float(actuals.sum())
    squared_error = float(np.mean(errors**2))
    squared_change = float(np.mean(changes**2))
    return Score(
        wape=float(np.abs(errors).sum()) / sold if sold else None,
        # A history that never changed has no scale; one unit is the least that a count can change by.
        rmsse=float(np.sqrt(squared_error / (squared_change or 1.0))),
        bias=float(errors.sum()) / sold if sold else None,
        rmse=float(np.sqrt(squared_error)),
        folds=folds,
        weeks=len(errors),
    )
