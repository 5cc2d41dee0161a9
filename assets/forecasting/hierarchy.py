"""Forecasts that add up: SKUs to products, categories and the brand, and the same by channel and region.

Here: which series is a sum of which, and the reconciliation of forecasts that were made for each of them apart. Not here: those
forecasts and their errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
else:
    Floats = Any

Levels = Sequence[tuple[str, ...]]
BRAND: tuple[str, ...] = ()
SKU_LEVELS: Levels = (BRAND, ("category",), ("product",), ("sku",))
SKU_CHANNEL_REGION_LEVELS: Levels = (
    BRAND,
    ("channel",),
    ("region",),
    ("channel", "region"),
    ("category",),
    ("category", "channel"),
    ("category", "region"),
    ("product",),
    ("sku",),
    ("sku", "channel", "region"),
)
BOTTOM_UP, STRUCTURE, VARIANCE, MINT = "bottom_up", "structure", "variance", "mint"
UNKNOWN = "unknown"
COHERENT = 1e-9
"""How far sums may be off, beside the largest number of the week, for a forecast to be called coherent."""


@dataclass(frozen=True)
class Hierarchy:
    """`nodes`: level, node, one row a series, the bottom ones last. `sums`: sparse 0/1 matrix, series by bottom series."""

    nodes: pl.DataFrame
    sums: Any

    @property
    def bottoms(self) -> int:
        return self.sums.shape[1]

    @property
    def aggregates(self) -> int:
        return self.sums.shape[0] - self.sums.shape[1]


def level_name(columns: tuple[str, ...]) -> str:
    """The name of a level: its columns joined by a slash, or "brand" for the total."""
    return "/".join(columns) or "brand"


def summing_matrix(mapping: pl.DataFrame, levels: Levels) -> Hierarchy:
    """Which series is a sum of which. `mapping` has a row for every bottom series, with a column for each attribute.

    `levels` are groups of these columns, the last one naming every row of `mapping` apart; `BRAND` is the total. A node is
    named by its values joined by a slash; a missing one is "unknown". Raises ValueError if the last level does not tell rows
    apart.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    names, columns_of, count = [], [], 0
    for columns in levels:
        nodes = mapping.with_columns(_node(columns))["node"]
        known = nodes.unique(maintain_order=True).sort() if columns != levels[-1] else nodes
        if columns == levels[-1] and nodes.n_unique() < mapping.height:
            twice = nodes.filter(nodes.is_duplicated())[0]
            raise ValueError(
                f"the mapping has {twice!r} more than once: the level {level_name(columns)} must name each row"
            )
        place = {node: count + n for n, node in enumerate(known)}
        columns_of.append([place[node] for node in nodes])
        names.extend((level_name(columns), node) for node in known)
        count += len(place)
    rows = np.asarray(columns_of).reshape(-1)
    bottoms = np.tile(np.arange(mapping.height), len(levels))
    sums = csr_matrix((np.ones(len(rows)), (rows, bottoms)), shape=(count, mapping.height))
    return Hierarchy(pl.DataFrame(names, schema={"level": pl.String(), "node": pl.String()}, orient="row"), sums)


def aggregate(frame: pl.DataFrame, levels: Levels, value: str) -> pl.DataFrame:
    """level, node, week, `value` summed, of every node of every level; `frame` has the columns of `levels`, week, `value`."""
    parts = [
        frame.group_by(_node(columns), "week")
        .agg(pl.col(value).sum())
        .select(pl.lit(level_name(columns)).alias("level"), "node", "week", value)
        for columns in levels
    ]
    return pl.concat(parts).sort("level", "node", "week")


def reconcile(
    forecasts: pl.DataFrame,
    mapping: pl.DataFrame,
    levels: Levels = SKU_LEVELS,
    *,
    method: str = MINT,
    residuals: pl.DataFrame | None = None,
    non_negative: bool = True,
) -> pl.DataFrame:
    """`forecasts` (level, node, week, mean) with means that add up, and none below zero; the other columns and the order stay.

    Columns named q… and lower and upper are quantiles: they are scaled with the mean of their row, so that a series keeps its
    spread beside its mean (where the mean was zero they are moved by the new one).

    The reconciled forecasts are the nearest coherent ones, y - W C'(C W C')^-1 C y with C = [I, -A], which is S G y with the G
    of minimum trace (Wickramasuriya, Athanasopoulos and Hyndman 2019, JASA 114, eq. 9). `method` says what W is:

    - "bottom_up": none; the bottom forecasts are summed up, and the others not looked at.
    - "structure": the number of bottom series in each (WLS by structure).
    - "variance": the mean square of each one's `residuals` (WLS by variance).
    - "mint": their covariance, drawn to its diagonal as far as Schäfer and Strimmer (2005) find best.

    `residuals` has level, node, week and residual, one-step errors on past weeks; a series without any has the variance that
    its number of bottom series suggests. If the base forecasts are unbiased the reconciled ones are, and coherent forecasts not
    below zero are left as they are. Where a bottom series would fall below zero the least squares problem is solved with
    zero as its bound (Wickramasuriya, Turlach and Hyndman 2020), by block principal pivoting (Kim and Park 2011).

    Raises ValueError for nodes or weeks without a forecast, an unknown method, and methods that lack their residuals.
    """
    import numpy as np

    hierarchy = summing_matrix(mapping, levels)
    base, places = _as_matrix(forecasts, hierarchy)
    aggregates = hierarchy.aggregates
    upper = hierarchy.sums[:aggregates]
    if method == BOTTOM_UP:
        bottom = base[aggregates:]
        bottom = np.maximum(bottom, 0.0) if non_negative else bottom
    else:
        problem = _problem(hierarchy, _weights(hierarchy, method, residuals))
        scale = np.maximum(np.abs(base).max(axis=0), 1e-300)
        coherent = (np.abs(base[:aggregates] - upper @ base[aggregates:]) <= COHERENT * scale).all(axis=0)
        bottom = np.where(coherent, base[aggregates:], problem.solve(base))
        if non_negative:
            for week in np.flatnonzero((bottom < -1e-12 * scale).any(axis=0)):
                bottom[:, week] = _bounded(bottom[:, week], problem.covariance, float(scale[week]))
            bottom = np.maximum(bottom, 0.0)
    means = np.vstack([upper @ bottom, bottom])
    return _with_means(forecasts, places, means)


# --- frames and matrices ------------------------------------------------------------------------------------


def _node(columns: tuple[str, ...]) -> pl.Expr:
    if not columns:
        return pl.lit("brand").alias("node")
    return pl.concat_str([pl.col(name).cast(pl.String).fill_null(UNKNOWN) for name in columns], separator="/").alias(
        "node"
    )


def _as_matrix(forecasts: pl.DataFrame, hierarchy: Hierarchy) -> tuple[Floats, pl.DataFrame]:
    """Means, nodes by weeks, and for each row of `forecasts` where it stands; rows of other nodes stand nowhere."""
    import numpy as np

    nodes = hierarchy.nodes.with_row_index("i")
    weeks = forecasts.select(pl.col("week").unique().sort()).with_row_index("j")
    places = (
        forecasts.select("level", "node", "week")
        .join(nodes, on=["level", "node"], how="left", maintain_order="left")
        .join(weeks, on="week", how="left", maintain_order="left")
        .select("i", "j", mean=forecasts["mean"].cast(pl.Float64))
    )
    found = places.drop_nulls()
    base = np.full((nodes.height, weeks.height), np.nan)
    base[found["i"].to_numpy(), found["j"].to_numpy()] = found["mean"].to_numpy()
    holes = np.flatnonzero(~np.isfinite(base).all(axis=1))
    if len(holes):
        level, node = hierarchy.nodes.row(int(holes[0]))
        raise ValueError(
            f"{len(holes)} series lack a forecast for a week, first {level} {node!r}: each needs one to add up"
        )
    return base, places.select("i", "j")


def _with_means(forecasts: pl.DataFrame, places: pl.DataFrame, means: Floats) -> pl.DataFrame:
    there = places.with_row_index("row").drop_nulls()
    new = pl.DataFrame({"row": there["row"], "new": means[there["i"].to_numpy(), there["j"].to_numpy()]})
    fan = [name for name in forecasts.columns if name.startswith("q") or name in ("lower", "upper")]
    old, now = pl.col("mean"), pl.coalesce("new", "mean")
    moved = [
        pl.when(old > 0)
        .then(pl.col(name) * (now / old))
        .otherwise(pl.col(name) + now - old)
        .clip(lower_bound=0.0)
        .alias(name)
        for name in fan
    ]
    known = forecasts.with_row_index("row").join(new, on="row", how="left", maintain_order="left")
    return known.with_columns(*moved, mean=now).select(forecasts.columns)


# --- what a forecast is worth -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Weights:
    """W = diag(own) + shared shared': variances, and what series have in common (series by a few columns)."""

    own: Floats
    shared: Floats


def _weights(hierarchy: Hierarchy, method: str, residuals: pl.DataFrame | None) -> _Weights:
    import numpy as np

    members = np.asarray(hierarchy.sums.sum(axis=1)).reshape(-1)
    nothing = np.zeros((len(members), 0))
    if method == STRUCTURE:
        return _Weights(members, nothing)
    if method not in (VARIANCE, MINT):
        raise ValueError(f"no method {method!r} is known: take {BOTTOM_UP}, {STRUCTURE}, {VARIANCE} or {MINT}")
    if residuals is None or residuals.is_empty():
        raise ValueError(
            f"the method {method!r} weighs forecasts by their errors: give residuals, or take {STRUCTURE!r}"
        )
    errors = _errors(hierarchy, residuals)
    seen = np.isfinite(errors)
    counts = seen.sum(axis=1)
    variance = np.where(seen, errors, 0.0) ** 2 @ np.ones(errors.shape[1]) / np.maximum(counts, 1)
    usual = np.median(variance[counts > 0] / members[counts > 0]) if (counts > 0).any() else 1.0
    variance = np.where(counts > 0, variance, usual * members)
    # A series that was never wrong would leave nothing to divide by.
    variance = np.maximum(variance, 1e-6 * max(float(variance.mean()), 1e-12))
    if method == VARIANCE or errors.shape[1] < 3:
        return _Weights(variance, nothing)
    scaled = np.where(seen, errors, 0.0) / np.sqrt(variance)[:, None]
    shrink = max(shrinkage(scaled), 1e-3)
    shared = np.sqrt((1 - shrink) / errors.shape[1]) * np.sqrt(variance)[:, None] * scaled
    return _Weights(np.maximum(variance - (shared**2).sum(axis=1), shrink * variance), shared)


def shrinkage(scaled: Floats) -> float:
    """How far correlations should be drawn to zero, 0 to 1 (Schäfer and Strimmer 2005): the sum of the variances of all
    correlations beside the sum of their squares. `scaled` are errors over their standard deviation, series by weeks.

    Sums over all pairs are taken through weeks by weeks matrices: ten thousand series need no matrix of their pairs.
    """
    count = scaled.shape[1]
    squares = scaled**2
    # Over all pairs, less those of a series with itself: of the products' squares, and of the squared sums of products.
    of_squares = float((squares.sum(axis=0) ** 2).sum()) - float((squares**2).sum())
    of_sums = float(((scaled.T @ scaled) ** 2).sum()) - float((squares.sum(axis=1) ** 2).sum())
    variances = (of_squares - of_sums / count) / (count * (count - 1))
    correlations = of_sums / count**2
    return min(max(variances / correlations, 0.0), 1.0) if correlations > 0 else 1.0


def _errors(hierarchy: Hierarchy, residuals: pl.DataFrame) -> Floats:
    import numpy as np

    weeks = residuals.select(pl.col("week").unique().sort()).with_row_index("j")
    found = (
        residuals.drop_nulls("residual")
        .join(hierarchy.nodes.with_row_index("i"), on=["level", "node"])
        .join(weeks, on="week")
    )
    errors = np.full((hierarchy.nodes.height, weeks.height), np.nan)
    errors[found["i"].to_numpy(), found["j"].to_numpy()] = found["residual"].to_numpy()
    return errors


# --- the nearest coherent forecast --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """`solve`: bottom means of the nearest coherent forecasts. `covariance`: columns of the bottom means' covariance."""

    solve: Callable[[Floats], Floats]
    covariance: Callable[["NDArray[np.int64]"], Floats]


def _problem(hierarchy: Hierarchy, weights: _Weights) -> _Problem:
    """In the space of the aggregates or of the bottom series, whichever is smaller: one dense matrix of that size."""
    return (
        _by_aggregates(hierarchy, weights)
        if hierarchy.aggregates <= hierarchy.bottoms
        else _by_bottoms(hierarchy, weights)
    )


def _by_aggregates(hierarchy: Hierarchy, weights: _Weights) -> _Problem:
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse import diags

    count = hierarchy.aggregates
    upper = hierarchy.sums[:count]
    own, own_bottom = weights.own[:count], weights.own[count:]
    shared, shared_bottom = weights.shared[:count], weights.shared[count:]
    gaps = shared - upper @ shared_bottom
    matrix = (upper @ diags(own_bottom) @ upper.T).toarray() + np.diag(own) + gaps @ gaps.T
    factor = cho_factor(matrix, lower=True, overwrite_a=True)

    def drawn(multipliers: Floats) -> Floats:
        """The bottom rows of W C' times the multipliers."""
        return -own_bottom[:, None] * (upper.T @ multipliers) + shared_bottom @ (gaps.T @ multipliers)

    def solve(base: Floats) -> Floats:
        return base[count:] - drawn(cho_solve(factor, base[:count] - upper @ base[count:]))

    def covariance(wanted: "NDArray[np.int64]") -> Floats:
        ours = np.zeros((hierarchy.bottoms, len(wanted)))
        ours[wanted, np.arange(len(wanted))] = own_bottom[wanted]
        crossed = -(upper @ ours) + gaps @ shared_bottom[wanted].T
        return ours + shared_bottom @ shared_bottom[wanted].T - drawn(cho_solve(factor, crossed))

    return _Problem(solve, covariance)


def _by_bottoms(hierarchy: Hierarchy, weights: _Weights) -> _Problem:
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse import diags

    sums = hierarchy.sums
    precise = diags(1 / weights.own)
    # Woodbury: W is a diagonal and a few columns, and so is its inverse.
    scaled = weights.shared / weights.own[:, None]
    inner = cho_factor(np.eye(weights.shared.shape[1]) + weights.shared.T @ scaled)
    crossed = sums.T @ scaled
    matrix = (sums.T @ precise @ sums).toarray() - crossed @ cho_solve(inner, crossed.T)
    factor = cho_factor(matrix, lower=True, overwrite_a=True)

    def solve(base: Floats) -> Floats:
        return cho_solve(factor, sums.T @ (precise @ base) - crossed @ cho_solve(inner, scaled.T @ base))

    def covariance(wanted: "NDArray[np.int64]") -> Floats:
        unit = np.zeros((hierarchy.bottoms, len(wanted)))
        unit[wanted, np.arange(len(wanted))] = 1.0
        return cho_solve(factor, unit)

    return _Problem(solve, covariance)


MOST_EXCHANGES = 200
PATIENCE = 3


def _bounded(free: Floats, covariance: Callable[["NDArray[np.int64]"], Floats], scale: float) -> Floats:
    """The least squares solution with no bottom below zero, from the one without that bound.

    With the set Z of series at zero the others are free - P[:, Z] P[Z, Z]^-1 free[Z], P being the solution's covariance. Z is
    found by exchanging all series that break a rule (below zero, or held at zero against their gradient) at once, and one by
    one when that does not help.
    """
    import numpy as np

    least = 1e-12 * scale
    known: dict[int, int] = {}
    columns = np.zeros((len(free), 0))
    held = free < -least
    fewest, patience = len(free) + 1, PATIENCE
    solution = free
    for _ in range(MOST_EXCHANGES):
        at_zero = np.flatnonzero(held)
        missing = np.asarray([n for n in at_zero if n not in known], dtype=np.int64)
        if len(missing):
            known |= {int(n): columns.shape[1] + k for k, n in enumerate(missing)}
            columns = np.hstack([columns, covariance(missing)])
        of_zero = columns[:, [known[int(n)] for n in at_zero]]
        pull = np.linalg.solve(of_zero[at_zero], free[at_zero])
        solution = free - of_zero @ pull
        solution[at_zero] = 0.0
        wrong = solution < -least
        wrong[at_zero] = pull > 1e-9 * max(float(np.abs(pull).max(initial=0.0)), 1e-300)
        count = int(wrong.sum())
        if not count:
            break
        if count < fewest:
            fewest, patience = count, PATIENCE
        else:
            patience -= 1
        if patience < 0:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        held = held ^ wrong
    return np.maximum(solution, 0.0)
