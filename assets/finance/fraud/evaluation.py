"""How good a score is: the figures by which it is judged, and the protocol by which they are taken.

Belongs here: figures over scored rows with labels. Does not belong here: any model.

The protocol is that of the Fraud Detection Handbook (Le Borgne et al. 2022, chapters 3 to 5): what is tested lies a delay after
what was trained on, because frauds are reported late; and cards that are known to be compromised by then are left out, because
they are blocked. Card precision at k is the share of compromised cards among the k most suspicious of a day, as a mean of days.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import polars as pl

from assets.finance.fraud.features import DELAY_DAYS

ALERTS_A_DAY = 100


@dataclass(frozen=True)
class Figures:
    """Of `rows` scored rows, `frauds` of them fraud. A figure that has no meaning there is None."""

    rows: int
    frauds: int
    roc_auc: float | None
    average_precision: float | None
    card_precision_at_100: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


def figures(rows: pl.DataFrame) -> Figures:
    """ROC AUC, average precision and card precision at 100 of rows with `score`, `fraud` (0 or 1), `occurred_at`, `card`."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels, scores = rows["fraud"].to_numpy(), rows["score"].to_numpy()
    frauds = int(rows["fraud"].sum()) if rows.height else 0
    if not 0 < frauds < rows.height:
        return Figures(rows.height, frauds, None, None, None)
    return Figures(
        rows.height,
        frauds,
        float(roc_auc_score(labels, scores)),
        float(average_precision_score(labels, scores)),
        card_precision(rows),
    )


def card_precision(rows: pl.DataFrame, k: int = ALERTS_A_DAY) -> float:
    """Share of cards with a fraud that day among the `k` with the highest score that day, as a mean of days."""
    cards = rows.group_by(pl.col("occurred_at").dt.date().alias("day"), "card").agg(
        pl.col("score").max(), pl.col("fraud").max()
    )
    ranked = (
        cards.sort("day", "score", "card", descending=[False, True, True]).group_by("day", maintain_order=True).head(k)
    )
    by_day = ranked.group_by("day").agg(pl.col("fraud").sum())
    return float((by_day["fraud"] / k).mean())  # pyright: ignore[reportArgumentType]


def tested_rows(rows: pl.DataFrame, until: datetime, days: int, known_since: datetime) -> pl.DataFrame:
    """The rows of `days` days that begin a delay after `until`, without those of cards known to be compromised by then.

    Known on a day are frauds from `known_since` to the day a delay before it. `rows` have `occurred_at`, `card` and `fraud`.
    """
    delay = timedelta(DELAY_DAYS)
    first = until + delay
    frauds = rows.filter((pl.col("fraud") == 1) & (pl.col("occurred_at") >= known_since))
    known_from = frauds.group_by("card").agg(pl.col("occurred_at").min().alias("first_fraud"))
    tested = rows.filter(
        (pl.col("occurred_at") >= first)
        & (pl.col("occurred_at") < first + timedelta(days))
        & pl.col("fraud").is_not_null()
    )
    joined = tested.join(known_from, on="card", how="left", maintain_order="left")
    reported = pl.col("first_fraud").dt.date() < (pl.col("occurred_at") - delay).dt.date()
    return joined.filter(~reported.fill_null(False)).drop("first_fraud")
