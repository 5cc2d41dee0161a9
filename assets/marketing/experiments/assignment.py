"""Who gets what: a unit's place follows from a hash of its name, so that nothing has to be remembered to find it again.

Belongs here: buckets, arms and the holdout. Does not belong here: who may be written to at all. The holdout is drawn before
any such filter, so that what a filter takes out, it takes out of both sides alike.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from assets.marketing.experiments.errors import ExperimentError

BUCKETS = 10_000
HOLDOUT = "holdout"
"""What a unit of the holdout has as its arm."""


@dataclass(frozen=True)
class Split:
    """How units are divided: arms with their buckets (parts of 10,000, in order), and the holdout's part.

    The holdout has a salt of its own. It is the same people whatever arms an experiment has, and experiments that share its
    salt share it; a larger share only adds people to it. Make one with `split`.
    """

    salt: str
    arms: tuple[tuple[str, int], ...]
    holdout: int = 0
    holdout_salt: str = HOLDOUT


def split(salt: str, weights: Mapping[str, float], *, holdout_share: float = 0.0, holdout_salt: str = HOLDOUT) -> Split:
    """Arms by weights of any unit, rounded to parts of 10,000 by largest remainders; holdout_share from 0 to below 1.

    Raises ExperimentError for fewer than two arms without a holdout, weights that are not above 0, and equal salts.
    """
    if not weights or (len(weights) < 2 and not holdout_share):
        raise ExperimentError("an experiment needs two arms, or one arm and a holdout. Name another arm.")
    for arm, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise ExperimentError(f"arm {arm!r} has the weight {weight}. Give each arm a weight above 0.")
    if HOLDOUT in weights:
        raise ExperimentError(f"an arm cannot be called {HOLDOUT!r}. Give the holdout as a share, or rename the arm.")
    if not 0 <= holdout_share < 1:
        raise ExperimentError(f"the holdout's share is {holdout_share}. Give a share from 0 to below 1.")
    if not salt:
        raise ExperimentError("the salt is empty. Name the experiment: two experiments of one salt have the same arms.")
    if salt == holdout_salt:
        raise ExperimentError(
            f"salt and holdout salt are both {salt!r}, so arms would depend on the holdout. Change one."
        )
    total = sum(weights.values())
    exact = {arm: BUCKETS * weight / total for arm, weight in weights.items()}
    parts = {arm: int(value) for arm, value in exact.items()}
    by_remainder = sorted(exact, key=lambda arm: parts[arm] - exact[arm])
    for arm in by_remainder[: BUCKETS - sum(parts.values())]:
        parts[arm] += 1
    if not all(parts.values()):
        raise ExperimentError("an arm's weight is below one in 10,000. Give it more, or leave it out.")
    return Split(salt, tuple(parts.items()), round(holdout_share * BUCKETS), holdout_salt)


def bucket(salt: str, unit: str | int) -> int:
    """0 to 9,999: md5(salt + unit), read as one number of 128 bits, modulo 10,000."""
    digest = hashlib.md5(f"{salt}{unit}".encode(), usedforsecurity=False)
    return int(digest.hexdigest(), 16) % BUCKETS


def assign(division: Split, unit: str | int) -> str:
    """The arm of a unit, or `HOLDOUT`."""
    if bucket(division.holdout_salt, unit) < division.holdout:
        return HOLDOUT
    place = bucket(division.salt, unit)
    upper = 0
    for arm, parts in division.arms:
        upper += parts
        if place < upper:
            return arm
    raise ExperimentError(f"the arms of {division.salt!r} cover {upper} of {BUCKETS} buckets. Make it with split().")


def assign_all(division: Split, units: pl.Series) -> pl.Series:
    """`assign` for a column of text or whole numbers, named `arm`. Raises ExperimentError for empty units."""
    arms = pl.lit(None, pl.String)
    upper = sum(parts for _, parts in division.arms)
    for arm, parts in reversed(division.arms):
        arms = pl.when(pl.col("place") < upper).then(pl.lit(arm)).otherwise(arms)
        upper -= parts
    held = pl.when(pl.col("held") < division.holdout).then(pl.lit(HOLDOUT)).otherwise(arms)
    places = pl.DataFrame(
        {"place": buckets(division.salt, units), "held": buckets(division.holdout_salt, units)},
    )
    return places.select(arm=held).to_series()


def buckets(salt: str, units: pl.Series) -> pl.Series:
    """`bucket` for a column of text or whole numbers, in DuckDB."""
    import duckdb

    if not (units.dtype == pl.String or units.dtype.is_integer()):
        raise ExperimentError(
            f"column {units.name!r} holds {units.dtype}, but units are text or whole numbers. Convert the column."
        )
    if units.null_count():
        raise ExperimentError(
            f"column {units.name!r} is empty in {units.null_count()} rows. Each row needs a unit: fill it in, or drop it."
        )
    table = pl.DataFrame({"unit": units.cast(pl.String)}).with_row_index("row")
    with duckdb.connect() as connection:
        connection.register("units", table.to_arrow())
        query = f"SELECT {bucket_sql(salt, 'unit')} AS bucket FROM units ORDER BY row"
        return connection.sql(query).pl().to_series().cast(pl.Int64)


def bucket_sql(salt: str, column: str) -> str:
    """The same as an expression of DuckDB over a column, for audiences that are drawn in SQL."""
    quoted = salt.replace("'", "''")
    name = column.replace('"', '""')
    digest = f"md5('{quoted}' || CAST(\"{name}\" AS VARCHAR))"
    high, low = (f"CAST('0x' || substr({digest}, {start}, 16) AS UBIGINT) % {BUCKETS}" for start in (1, 17))
    # 128 bits as two halves: hugeints are signed, and md5_number reads the bytes the other way round.
    return f"(({high}) * {2**64 % BUCKETS} + ({low})) % {BUCKETS}"
