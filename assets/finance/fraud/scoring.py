"""From transactions to scores, alerts and reasons: features, the model or the score without labels, and the rules, together.

Belongs here: what becomes an alert, and why. Does not belong here: any of the parts, or what is done about an alert.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from assets.finance.fraud import supervised, unsupervised
from assets.finance.fraud.columns import Transactions
from assets.finance.fraud.features import feature_frame
from assets.finance.fraud.rules import Rule, apply_rules
from assets.finance.fraud.supervised import Model

SCORES: dict[str, pl.DataType] = {
    "score": pl.Float64(),
    "alert": pl.Boolean(),
    "action": pl.String(),
    "rules": pl.List(pl.String()),
    "reasons": pl.List(pl.String()),
}
MOST_REASONS = 4


@dataclass(frozen=True)
class Scored:
    """`rows` are those of the transactions, in their order: `transaction` and SCORES. `features` stand beside them.

    `action` is hold or review for an alert, else none; an alert has reasons. `left_out` are rules that need other features.
    """

    rows: pl.DataFrame
    features: pl.DataFrame
    threshold: float
    left_out: dict[str, list[str]]


def score_transactions(
    transactions: Transactions,
    rules: Sequence[Rule],
    model: Model | None = None,
    *,
    threshold: float | None = None,
    reports: bool = False,
    before: pl.DataFrame | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Scored:
    """Score by `model`, or without labels where there is none.

    `reports` says whether the score without labels may count frauds at the same place that were reported before the delay; a
    model always knows them where the file tells. An alert is a score of at least `threshold` (default: the model's, which
    costs least, or one half), or what a rule says. `before` are older rows, under our names, that windows may reach into;
    without them those that the model keeps. Raises FraudDataError.
    """
    progress("features")
    rows = transactions.rows
    older = before if before is not None else model.history if model is not None else None
    known = preceded_by(older, rows) if older is not None else rows
    features = feature_frame(known, reports=model is not None or reports).tail(rows.height)
    progress("scores")
    if model is not None:
        scores = supervised.score(model, features)
        limit = model.threshold.value if threshold is None else threshold
    else:
        scores = unsupervised.score(features, reports=reports)
        limit = unsupervised.THRESHOLD if threshold is None else threshold
    progress("rules and reasons")
    applied = apply_rules(rules, features)
    suspicious = scores.fill_null(0.0) >= limit
    action = pl.when((pl.col("action") == "none") & pl.lit(suspicious)).then(pl.lit("review")).otherwise("action")
    scored = applied.rows.select("rules", "rule_reasons", action.alias("action")).with_columns(
        rows["transaction"], scores.alias("score"), (pl.col("action") != "none").alias("alert")
    )
    reasons = _reasons(features.filter(scored["alert"]), scored.filter(scored["alert"]), model, reports)
    told = scored.with_columns(pl.Series("place", range(rows.height), pl.UInt32)).join(
        scored.with_row_index("place")
        .filter(pl.col("alert"))
        .select("place", pl.Series("reasons", reasons, pl.List(pl.String))),
        on="place",
        how="left",
        maintain_order="left",
    )
    empty = pl.lit([], pl.List(pl.String))
    return Scored(
        told.select("transaction", *SCORES).with_columns(pl.col("reasons").fill_null(empty)),
        features,
        limit,
        applied.left_out,
    )


def preceded_by(older: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with those of `older` before them that lie before the first: windows of new days alone are then filled.

    Labels of the older rows come with them, as reports. Columns that only one has are null in the other; numbers in one and
    text in the other, as CSV has them, are compared as text.
    """
    if not rows.height:
        return rows
    earlier = older.filter(pl.col("occurred_at") < rows["occurred_at"].min())
    shared = [name for name in earlier.columns if name in rows.columns or name == "fraud"]
    return pl.concat([earlier.select(shared), rows], how="diagonal_relaxed").select(
        *rows.columns, *(name for name in shared if name not in rows.columns)
    )


def in_order_of_file(frame: pl.DataFrame, scored: Scored, names: dict[str, str]) -> pl.DataFrame:
    """The scores in the order of the file, under the file's own name of the id."""
    theirs = names["transaction"]
    ids = frame.select(theirs).with_columns(
        pl.col(theirs).cast(scored.rows.schema["transaction"]).alias("transaction")
        if theirs != "transaction"
        else theirs
    )
    joined = ids.join(scored.rows, on="transaction", how="left", maintain_order="left")
    return joined.select(theirs, *SCORES)


def _reasons(features: pl.DataFrame, alerts: pl.DataFrame, model: Model | None, reports: bool) -> list[list[str]]:
    """Of each alert what its rules say, then what made its score."""
    made = supervised.reasons(model, features) if model is not None else unsupervised.reasons(features, reports=reports)
    said = alerts["rule_reasons"].to_list()
    return [
        [*words, *(one for one in others if one not in words)][:MOST_REASONS]
        for words, others in zip(said, made, strict=True)
    ]
