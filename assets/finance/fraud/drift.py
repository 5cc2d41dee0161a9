"""Whether what is scored still looks like what was trained on: the population stability index of features and score.

Belongs here: the reference that a model keeps, and the comparison. Does not belong here: what to do about it.

PSI = sum over bins of (share now - share then) * ln(share now / share then). Below 0.1 is stable, from 0.25 on has shifted
(Siddiqi 2006, Credit Risk Scorecards).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

BINS = 10
MODERATE, SHIFTED = 0.1, 0.25
_LEAST = 1e-4
State = Literal["stable", "moderate", "shifted", "unknown"]


@dataclass(frozen=True)
class Reference:
    """Inner edges of the bins of one column, and the share of rows in each; the last share is that of nulls."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Drift:
    """How far one column has moved. `psi` is None where nothing was compared."""

    column: str
    psi: float | None
    state: State


def reference_of(values: pl.Series) -> Reference:
    """Bins at the deciles of the values; fewer where many values are the same."""
    known = values.cast(pl.Float64).fill_nan(None).drop_nulls()
    if not known.len():
        return Reference((), _shares(values, ()))
    edges = tuple(dict.fromkeys(float(e) for e in np.quantile(known.to_numpy(), np.linspace(0, 1, BINS + 1)[1:-1])))
    return Reference(edges, _shares(values, edges))


def psi(reference: Reference, values: pl.Series) -> float:
    """Population stability index of values against a reference; a share of nothing counts as one in ten thousand."""
    then, now = (
        np.maximum(np.array(shares), _LEAST) for shares in (reference.shares, _shares(values, reference.edges))
    )
    return float(((now - then) * np.log(now / then)).sum())


def drift_of(references: dict[str, Reference], frame: pl.DataFrame) -> list[Drift]:
    """Every column of the references, the one that moved most first. A column that `frame` lacks is unknown."""
    found = []
    for column, reference in references.items():
        if column not in frame.columns or not frame.height:
            found.append(Drift(column, None, "unknown"))
            continue
        value = psi(reference, frame[column])
        found.append(
            Drift(column, value, "shifted" if value >= SHIFTED else "moderate" if value >= MODERATE else "stable")
        )
    return sorted(found, key=lambda one: (one.psi is not None, -(one.psi or 0.0), one.column))


def _shares(values: pl.Series, edges: tuple[float, ...]) -> tuple[float, ...]:
    if not values.len():
        return (0.0,) * (len(edges) + 2)
    known = values.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    # A value that is an edge lies below it: a count of zero and the bins' first edge often are the same.
    counts = np.bincount(np.searchsorted(np.array(edges), known, side="left"), minlength=len(edges) + 1)
    return tuple(float(count) / values.len() for count in (*counts, values.len() - len(known)))
