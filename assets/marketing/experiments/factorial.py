"""Several things varied at once (subject line, picture, hour): what each does by itself, and what two do together.

Belongs here: contrasts of the cells' means. Does not belong here: drawing people into cells (`assignment`, with a cell as arm).

A main effect is the mean, over all other factors' levels alike, of the difference between a level and the first. An
interaction is how much that difference differs between two levels of another factor. Every cell keeps its own variance: the
errors are those of a saturated regression with heteroscedasticity-consistent (HC2) errors, the degrees of freedom
Satterthwaite's.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assets.marketing.experiments.comparisons import Summary
from assets.marketing.experiments.corrections import Correction, adjusted
from assets.marketing.experiments.errors import ExperimentError

Cell = tuple[str, ...]


@dataclass(frozen=True)
class Contrast:
    """`name` is factor=level, or two of them with `×`. Effects in units of the metric, against the factors' first levels."""

    name: str
    order: int
    effect: float
    low: float
    high: float
    standard_error: float
    t: float
    df: float
    p: float
    p_adjusted: float


def factorial(
    factors: Mapping[str, Sequence[str]],
    cells: Mapping[Cell, Summary],
    *,
    alpha: float = 0.05,
    correction: Correction = "holm",
) -> list[Contrast]:
    """Main effects and two-way interactions, p adjusted over all of them.

    factors: levels by factor, the first is what others are compared with. cells: by one level of each factor in that order.
    Raises ExperimentError for a factor with one level, a missing cell or cells that do not vary.
    """
    for factor, levels in factors.items():
        if len(levels) < 2:
            raise ExperimentError(
                f"factor {factor!r} has only the level {', '.join(levels)}. Vary it, or leave it out."
            )
    grid = list(itertools.product(*factors.values()))
    for cell in grid:
        if cell not in cells:
            where = ", ".join(f"{factor}={level}" for factor, level in zip(factors, cell, strict=True))
            raise ExperimentError(f"nobody has {where}. A factorial test needs units in every cell: leave a level out.")
    wanted = [*_main_effects(factors, grid), *_interactions(factors, grid)]
    found = [_contrast(name, order, weights, cells, alpha) for name, order, weights in wanted]
    p_values = adjusted([one.p for one in found], correction)
    return [Contrast(**{**vars(one), "p_adjusted": p}) for one, p in zip(found, p_values, strict=True)]


def _main_effects(factors: Mapping[str, Sequence[str]], grid: Sequence[Cell]):
    for place, (factor, levels) in enumerate(factors.items()):
        rest = len(grid) / len(levels)
        for level in levels[1:]:
            signs = {cell: _sign(cell[place], level, levels[0]) / rest for cell in grid}
            yield f"{factor}={level}", 1, signs


def _interactions(factors: Mapping[str, Sequence[str]], grid: Sequence[Cell]):
    for (i, (one, levels)), (j, (other, others)) in itertools.combinations(enumerate(factors.items()), 2):
        rest = len(grid) / len(levels) / len(others)
        for level, beside in itertools.product(levels[1:], others[1:]):
            signs = {cell: _sign(cell[i], level, levels[0]) * _sign(cell[j], beside, others[0]) / rest for cell in grid}
            yield f"{one}={level} × {other}={beside}", 2, signs


def _sign(of: str, level: str, first: str) -> int:
    return (of == level) - (of == first)


def _contrast(
    name: str, order: int, weights: Mapping[Cell, float], cells: Mapping[Cell, Summary], alpha: float
) -> Contrast:
    from scipy.stats import t as student

    parts = {cell: weight**2 * cells[cell].of_mean for cell, weight in weights.items() if weight}
    variance = sum(parts.values())
    if variance <= 0:
        raise ExperimentError(f"the units that {name} compares do not vary at all. Check the metric, or leave it out.")
    effect = sum(weight * cells[cell].mean for cell, weight in weights.items() if weight)
    error = math.sqrt(variance)
    df = 1 / sum((part / variance) ** 2 / (cells[cell].n - 1) for cell, part in parts.items())
    half = float(student.isf(alpha / 2, df)) * error
    p = min(1.0, 2 * float(student.sf(abs(effect / error), df)))
    return Contrast(name, order, effect, effect - half, effect + half, error, effect / error, df, p, p)
