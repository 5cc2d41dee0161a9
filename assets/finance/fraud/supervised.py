"""A model where there are labels: LightGBM over the features, checked on later weeks, calibrated, with reasons for each alert.

Belongs here: training, scoring and reasons. Does not belong here: the file it is kept in (`model_file`).

Time never runs backwards: what checks, calibrates and sets the threshold lies a delay after what was trained on. The model that
is kept is then fitted again on all rows up to the given day, with the calibration found before.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from assets.finance.fraud.calibration import (
    Costs,
    Platt,
    Threshold,
    calibration_error,
    cheapest_threshold,
    fit_platt,
)
from assets.finance.fraud.columns import FraudDataError, Transactions, labels_of
from assets.finance.fraud.drift import Reference, reference_of
from assets.finance.fraud.evaluation import Figures, figures, tested_rows
from assets.finance.fraud.features import DELAY_DAYS, HISTORY_NEEDED, SPENDERS, feature_frame

VALIDATION_DAYS = 7
FEWEST_FRAUDS = 20
ROUNDS = 150
_PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 16,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    # Several threads would wait for each other wherever the machine has other work: eight times the time, measured.
    "num_threads": 1,
}
# They grow with the length of the file, so that later weeks would be unlike any that were trained on.
_GROWING = ("owner_history", "owner_age_days", "country_seen", "shipping_country_seen")
_REFERENCE_DAYS = 28
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Model:
    """What was learned, and all that is needed to use it again.

    `history` are the newest rows of the file, under our names, also those after `until`: nothing was learned from them, but
    the days that follow them can then be scored by themselves.
    """

    booster: str
    features: tuple[str, ...]
    columns: tuple[str, ...]
    calibration: Platt
    threshold: Threshold
    costs: Costs
    validation: Figures
    calibration_error: float
    until: datetime
    trained_at: datetime
    rows: int
    frauds: int
    references: dict[str, Reference]
    history: pl.DataFrame | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Slice:
    """Labelled rows and their features, side by side."""

    rows: pl.DataFrame
    features: pl.DataFrame

    def between(self, first: datetime | None, last: datetime) -> "_Slice":
        inside = self.rows["occurred_at"] < last
        inside = inside & (self.rows["occurred_at"] >= first) if first is not None else inside
        return _Slice(self.rows.filter(inside), self.features.filter(inside))


def train(
    transactions: Transactions,
    until: datetime,
    costs: Costs = Costs(),  # noqa: B008
    *,
    keep_history: bool = True,
    progress: Progress = lambda stage: None,
) -> Model:
    """Learn from the labelled rows before `until`. Raises FraudDataError where there are too few of them."""
    rows = transactions.rows.filter(pl.col("occurred_at") < until)
    labels_of(rows)
    progress("features")
    features = feature_frame(rows)
    names = [name for name in features.columns if name != "transaction" and name not in _GROWING]
    known = rows["fraud"].is_not_null()
    labelled = _Slice(rows.filter(known), features.filter(known))
    tested_from = until - timedelta(VALIDATION_DAYS)
    early, later = labelled.between(None, tested_from - timedelta(DELAY_DAYS)), labelled.between(tested_from, until)
    _require_enough(labelled, early, later, until)
    progress("validation on later days")
    margins = _predict(_fit(early, names), later, names)
    labels, amounts = later.rows["fraud"].to_numpy(), later.rows["amount"].to_numpy()
    platt = fit_platt(margins, labels)
    probabilities = platt(margins)
    checked = _validated(labelled.rows, later.rows, probabilities, tested_from)
    progress("model of all days")
    booster = _fit(labelled, names)
    recent = features.filter(rows["occurred_at"] >= until - timedelta(_REFERENCE_DAYS))
    return Model(
        booster=booster.model_to_string(),
        features=tuple(names),
        columns=tuple(rows.columns),
        calibration=platt,
        threshold=cheapest_threshold(probabilities, labels, amounts, costs),
        costs=costs,
        validation=checked,
        calibration_error=calibration_error(probabilities, labels),
        until=until,
        trained_at=datetime.now(UTC),
        rows=labelled.rows.height,
        frauds=int(labelled.rows["fraud"].sum()),
        references={name: reference_of(recent[name]) for name in names}
        | {"score": reference_of(pl.Series(probabilities))},
        history=_newest(transactions.rows) if keep_history else None,
        versions=_versions(),
    )


def score(model: Model, features: pl.DataFrame) -> pl.Series:
    """Probability of fraud for each row. A feature that the file lacks is unknown. Raises FraudDataError where most lack."""
    missing = [name for name in model.features if name not in features.columns]
    if len(missing) > len(model.features) / 2:
        raise FraudDataError(
            f"the file lacks what most of the model's features are made of ({', '.join(missing[:5])}, …): the model was "
            f"trained with the columns {', '.join(model.columns)}"
        )
    margins = _booster(model).predict(_matrix(features, model.features), raw_score=True)
    return pl.Series("score", model.calibration(np.asarray(margins)))


def reasons(model: Model, features: pl.DataFrame, most: int = 3) -> list[list[str]]:
    """For each row the features that raised its score most, the greatest first (Shapley values of the trees)."""
    if not features.height:
        return []
    given = _matrix(features, model.features)
    shares = np.asarray(_booster(model).predict(given, pred_contrib=True))[:, :-1]
    best = np.argsort(-shares, axis=1, kind="stable")[:, :most]
    return [
        [f"{words(model.features[i])}: {_shown(given[row, i])}" for i in chosen if shares[row, i] > 0]
        for row, chosen in enumerate(best)
    ]


def words(feature: str) -> str:
    """A feature as people say it, before a colon and its value."""
    if feature in _WORDS:
        return _WORDS[feature]
    if found := _WINDOWED.fullmatch(feature):
        return f"{_KINDS[found['kind']].format(found['who'])} within {int(found['n'])} {_SPANS[found['unit']]}"
    return feature.replace("_", " ")


_WORDS = {
    "value": "amount",
    "owner_deviation": "robust deviations above the owner's usual amount",
    "owner_ratio": "times the owner's usual amount",
    "owner_median": "the owner's usual amount",
    "owner_unusual_14d": "unusual amounts of the owner in the two weeks before",
    "owner_highest_deviation_14d": "most deviations of the owner in the two weeks before",
    "population_deviation": "robust deviations above the usual amount",
    "population_ratio": "times the usual amount",
}
_KINDS = {
    "count": "transactions of the {}",
    "mean": "mean amount of the {}",
    "reported": "frauds reported of the {}, a week ago,",
    "reported_share": "share of reported frauds of the {}, a week ago,",
    "cards": "cards of one {}",
    "customers": "customers of one {}",
}
_SPANS = {"h": "hour", "d": "days"}
_WINDOWED = re.compile(rf"(?P<who>[a-z]+)_(?P<kind>{'|'.join(sorted(_KINDS, reverse=True))})_(?P<n>\d+)(?P<unit>[hd])")


def owner_column(columns: list[str]) -> str:
    """What stands for a card in figures and alerts."""
    return next((name for name in SPENDERS if name in columns), "transaction")


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    last = rows["occurred_at"].max()
    return (
        rows.filter(pl.col("occurred_at") >= last - timedelta(HISTORY_NEEDED)) if isinstance(last, datetime) else rows
    )


def _require_enough(labelled: _Slice, early: _Slice, later: _Slice, until: datetime) -> None:
    if not labelled.rows.height:
        raise FraudDataError(f"no row with a label lies before {until:%Y-%m-%d}: give a later --until")
    found = {"to learn from": int(early.rows["fraud"].sum()), "to check with": int(later.rows["fraud"].sum())}
    for what, frauds in found.items():
        if frauds < FEWEST_FRAUDS:
            first, last = labelled.rows["occurred_at"].min(), f"{until:%Y-%m-%d}"
            raise FraudDataError(
                f"there are {frauds} frauds {what} and {FEWEST_FRAUDS} are needed: the labelled rows begin on "
                f"{first:%Y-%m-%d}, and the last {VALIDATION_DAYS} days before {last} check a model of those that lie "
                f"{DELAY_DAYS} days before them. Give more days, a later --until, or score with --unsupervised"
            )


def _fit(part: _Slice, names: list[str]) -> Any:
    import lightgbm as lgb

    # A leaf of a few rows would learn them by heart.
    leaf = int(np.clip(part.rows.height / 500, 5, 100))
    parameters = {**_PARAMETERS, "min_data_in_leaf": leaf}
    data = lgb.Dataset(_matrix(part.features, names), part.rows["fraud"].to_numpy(), feature_name=names)
    return lgb.train(parameters, data, num_boost_round=ROUNDS)


def _predict(booster: Any, part: _Slice, names: list[str]) -> np.ndarray:
    return np.asarray(booster.predict(_matrix(part.features, names), raw_score=True))


def _validated(known: pl.DataFrame, later: pl.DataFrame, scores: np.ndarray, tested_from: datetime) -> Figures:
    """Figures of the later days by the protocol, without the cards whose frauds of the two weeks before were known."""
    trained_until = tested_from - timedelta(DELAY_DAYS)
    card = pl.col(owner_column(known.columns)).alias("card")
    joined = known.with_columns(card).join(
        later.select("transaction").with_columns(pl.Series("score", scores)), on="transaction", how="left"
    )
    since = trained_until - timedelta(VALIDATION_DAYS)
    return figures(tested_rows(joined, trained_until, VALIDATION_DAYS, since))


def _booster(model: Model) -> Any:
    import lightgbm as lgb

    return lgb.Booster(model_str=model.booster)


def _matrix(features: pl.DataFrame, names: "list[str] | tuple[str, ...]") -> np.ndarray:
    known = [pl.col(n) if n in features.columns else pl.lit(None, pl.Float64).alias(n) for n in names]
    return features.select(expr.cast(pl.Float64).fill_null(float("nan")) for expr in known).to_numpy()


def _shown(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("lightgbm", "polars", "duckdb", "numpy")}
