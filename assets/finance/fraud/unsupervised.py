"""A score for houses without labels: how far a transaction is from what was usual, in robust standard deviations.

Belongs here: which surprises there are, what each is worth, and how they become one score. Does not belong here: how features
are computed (`features`), and rules (`rules`).

The score is the greatest surprise, plus what the owner's other unusual amounts of the last fortnight add. It is fitted to
nothing and looks at no label. On simulated card payments it ranks better than an isolation forest over the same features, and
better than the mean of both ranks: see docs/fraud.md.
"""

from dataclasses import dataclass

import polars as pl

from assets.finance.fraud.features import PLACES

MIDDLE, WIDTH = 4.0, 2.0
"""The surprise at which the score is one half, and from there to three quarters."""
THRESHOLD = 0.5
_TOLD = 2.0
"""Smaller surprises are no reason worth telling."""
_WHOLE_SHARE = 8.0


@dataclass(frozen=True)
class Surprise:
    """One way to be unusual: the features that it needs, its size (4 is the size of an alert), and its words.

    `words` may name the features and `{size}`.
    """

    name: str
    needs: tuple[str, ...]
    size: pl.Expr
    words: str


def surprises(names: list[str], *, reports: bool = False) -> list[Surprise]:
    """The surprises whose features are there. With `reports`, also frauds that were reported at the same place."""
    known = [*_amounts(), *_bursts(), *_strangers(), *_abuse(), *(_reported() if reports else [])]
    return [surprise for surprise in known if set(surprise.needs) <= set(names)]


def score(features: pl.DataFrame, *, reports: bool = False) -> pl.Series:
    """0 to 1 for each row, higher is more suspicious; strictly increasing in the surprise, so that ranks are kept."""
    found = surprises(features.columns, reports=reports)
    if not found:
        return pl.Series("score", [None] * features.height, pl.Float64)
    greatest = pl.max_horizontal(surprise.size.fill_nan(None).fill_null(0.0) for surprise in found)
    more = pl.lit(0.0)
    if "owner_unusual_14d" in features.columns:
        more = pl.col("owner_unusual_14d").fill_null(0).log1p()
    return features.select(
        (0.5 + ((greatest + more - MIDDLE) / WIDTH).arctan() / pl.lit(3.141592653589793)).alias("score")
    )["score"]


def reasons(features: pl.DataFrame, *, reports: bool = False, most: int = 3) -> list[list[str]]:
    """For each row the greatest surprises in words, the greatest first."""
    found = surprises(features.columns, reports=reports)
    sizes = features.select(s.size.fill_nan(None).fill_null(0.0).alias(s.name) for s in found).rows()
    texts = []
    for row, sized in zip(features.iter_rows(named=True), sizes, strict=True):
        ranked = sorted(zip(sized, found, strict=True), key=lambda pair: -pair[0])[:most]
        told = [s.words.format(**row, size=size) for size, s in ranked if size >= _TOLD]
        if (row.get("owner_unusual_14d") or 0) >= 1:
            told.append(f"{row['owner_unusual_14d']:.0f} more unusual amounts in the two weeks before")
        texts.append(told[:most])
    return texts


def _amounts() -> list[Surprise]:
    return [
        Surprise(
            "own amount",
            ("owner_deviation", "owner_ratio"),
            pl.col("owner_deviation"),
            "amount is {owner_ratio:.1f} times what the owner usually spends",
        ),
        Surprise(
            "amount",
            ("population_deviation", "population_ratio"),
            pl.col("population_deviation"),
            "amount is {population_ratio:.1f} times the usual one of the last month",
        ),
    ]


def _bursts() -> list[Surprise]:
    return [
        Surprise(
            f"burst of one {entity}",
            (f"{entity}_count_1h",),
            pl.col(f"{entity}_count_1h") - 3,
            f"{{{entity}_count_1h:.0f}} transactions of one {entity} within an hour",
        )
        for entity in ("customer", "card", "device", "address")
    ] + [
        Surprise(
            f"{other}s of one {entity}",
            (f"{entity}_{other}s_7d",),
            2 * (pl.col(f"{entity}_{other}s_7d") - 2),
            f"{{{entity}_{other}s_7d:.0f}} different {other}s at one {entity} within a week",
        )
        for entity, other in (
            ("customer", "card"),
            ("device", "card"),
            ("device", "customer"),
            ("address", "card"),
            ("address", "customer"),
        )
    ]


def _strangers() -> list[Surprise]:
    new = [
        Surprise(
            f"first {country}",
            (f"{country}_seen", "population_deviation"),
            # In a file's first days everything is new; a deviation is known from the fiftieth row on.
            pl.when((pl.col(f"{country}_seen") == 0) & pl.col("population_deviation").is_not_null())
            .then(4.0)
            .otherwise(0.0),
            f"first transaction ever with this {country.replace('_', ' ')}",
        )
        for country in ("country", "shipping_country")
    ]
    differing = [
        Surprise(
            f"{other} differs",
            (f"{other}_differs_from_{one}",),
            2.5 * pl.col(f"{other}_differs_from_{one}"),
            f"{other.replace('_', ' ')} is not the {one.replace('_', ' ')}",
        )
        for one, other in (
            ("country", "card_country"),
            ("country", "ip_country"),
            ("country", "shipping_country"),
            ("card_country", "ip_country"),
        )
    ]
    speed = Surprise(
        "speed",
        ("km_per_hour", "km_from_last"),
        pl.col("km_per_hour") / 250,
        "{km_from_last:.0f} km from the transaction before, {km_per_hour:.0f} km an hour",
    )
    return [*new, *differing, speed]


def _abuse() -> list[Surprise]:
    returned, share = pl.col("owner_returns_365d"), pl.col("owner_return_share_365d")
    return [
        Surprise(
            "returns",
            ("owner_returns_365d", "owner_return_share_365d"),
            7 * share.clip(0, 1) * returned / (returned + 3),
            "{owner_returns_365d:.0f} returns in a year, {owner_return_share_365d:.0%} of the purchases",
        ),
        Surprise(
            "gift cards",
            ("owner_gift_cards_7d",),
            1.5 * (pl.col("owner_gift_cards_7d") - 2),
            "{owner_gift_cards_7d:.0f} orders with gift cards within a week",
        ),
    ]


def _reported() -> list[Surprise]:
    """The share of transactions at the place that were reported as fraud, one more without being assumed."""
    found = []
    for place in PLACES:
        reported, share = pl.col(f"{place}_reported_7d"), pl.col(f"{place}_reported_share_7d")
        smooth = pl.when(reported > 0).then(reported / (reported / share + 1)).otherwise(0.0)
        found.append(
            Surprise(
                f"reports at one {place}",
                (f"{place}_reported_7d", f"{place}_reported_share_7d"),
                _WHOLE_SHARE * smooth,
                f"{{{place}_reported_7d:.0f}} frauds reported at this {place} a week ago",
            )
        )
    return found
