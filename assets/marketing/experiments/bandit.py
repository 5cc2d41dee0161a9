"""Thompson sampling in batches, for messages that go out all the time: the better an arm looks, the more people it gets.

Belongs here: weights of the next batch, and which outcomes may count already. Does not belong here: sending it.

An outcome counts once its window is over. Otherwise the newest people, who had no time to buy, would look like failures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from assets.marketing.experiments.comparisons import Summary
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.metrics import Kind
from assets.marketing.experiments.posteriors import chances_of_being_best, of_mean, of_rate

FLOOR = 0.01
LEAST = 100


@dataclass(frozen=True)
class Weights:
    """Shares of the next batch by arm, summing to 1; `best` are the chances of being the best.

    `exploring`: some arm has fewer than the least number of matured people, so all get the same, and nothing is believed yet.
    """

    shares: Mapping[str, float]
    best: Mapping[str, float] | None
    exploring: bool


def next_weights(
    data: Mapping[str, Summary | None], kind: Kind, *, floor: float = FLOOR, least: int = LEAST
) -> Weights:
    """data: matured outcomes by arm, None for an arm without any. Each arm gets `floor`, the rest is shared by chance of
    being the best, so that a late bloomer is still seen.

    Raises ExperimentError for fewer than two arms, or a floor that leaves nothing to share.
    """
    if len(data) < 2:
        raise ExperimentError("a bandit needs two arms at least. Name another arm.")
    if not 0 <= floor * len(data) < 1:
        raise ExperimentError(f"{len(data)} arms with a floor of {floor} leave nothing to share. Lower the floor.")
    known = {arm: summary for arm, summary in data.items() if summary is not None and summary.n >= least}
    flat = kind == "continuous" and any(summary.variance <= 0 for summary in known.values())
    if len(known) < len(data) or flat:
        return Weights(dict.fromkeys(data, 1 / len(data)), None, True)
    posteriors = [of_rate(one) if kind == "binary" else of_mean(one) for one in known.values()]
    best = dict(zip(known, chances_of_being_best(posteriors), strict=True))
    shares = {arm: floor + (1 - floor * len(data)) * chance for arm, chance in best.items()}
    return Weights(shares, best, False)


def matured(rows: pl.DataFrame, now: datetime, window: timedelta, arms: tuple[str, ...]) -> dict[str, Summary | None]:
    """Outcomes by arm of the people whose window is over.

    rows: `arm`, `exposed_at`, `converted_at` (null: not yet), `value` (what a conversion is worth; 1 for a rate), a row a
    person. What came after the window is not counted either: old people would have had more time than new ones.
    """
    over = rows.filter(pl.col("exposed_at") + window <= now)
    within = pl.col("converted_at").is_between(pl.col("exposed_at"), pl.col("exposed_at") + window)
    told = over.select(
        "arm", worth=pl.when(within.fill_null(False)).then(pl.col("value").cast(pl.Float64)).otherwise(0.0)
    )
    found: dict[str, Summary | None] = dict.fromkeys(arms)
    sums = told.group_by("arm").agg(n=pl.len(), mean=pl.col("worth").mean(), variance=pl.col("worth").var())
    for arm, n, mean, variance in sums.iter_rows():
        if arm not in found:
            raise ExperimentError(f"people have the arm {arm!r}, which is none of {', '.join(arms)}. Name all arms.")
        found[arm] = Summary(n, mean, variance) if n > 1 else None
    return found
