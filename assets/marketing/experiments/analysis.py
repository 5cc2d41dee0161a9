"""A table of an experiment, a row a unit, to what it says: checked columns, summaries by arm, comparisons, a decision.

Belongs here: what a table must be like, and the order of the steps. Does not belong here: reading files, or printing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.marketing.experiments.comparisons import Floats, Summary, summary_of
from assets.marketing.experiments.corrections import Correction
from assets.marketing.experiments.decisions import (
    Decision,
    Judged,
    MetricInputs,
    TrialInputs,
    decide,
    judge,
    ratio_of,
)
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.factorial import Cell, Contrast, factorial
from assets.marketing.experiments.metrics import Cuped, Kind, cuped, kind_of, winsorised
from assets.marketing.experiments.sample_ratio import SampleRatio
from assets.marketing.experiments.sequential import bounds, equal_looks

Empty = Literal["refuse", "zero"]
MOST_ARMS = 50
ROW_NUMBER = "row_number"
"""Where a table has this column, it says where rows stood in their file."""
_TRUE, _FALSE = ("true", "yes", "t", "y"), ("false", "no", "f", "n")


@dataclass(frozen=True)
class Plan:
    """What was settled before the data were looked at.

    goals, guardrails: columns; of `lower_is_better` are those where less is better, for guardrails all are harmed by more
    unless they are in `higher_is_better`. shares: intended shares by arm, equal if empty. winsorise: quantile, for continuous
    metrics. planned: units of all arms at the end, from the looks if None. empty: what a cell without a value is.
    """

    arm: str
    control: str
    goals: Sequence[str]
    guardrails: Sequence[str] = ()
    lower_is_better: Sequence[str] = ()
    higher_is_better: Sequence[str] = ()
    kinds: Mapping[str, Kind] | None = None
    covariate: str | None = None
    winsorise: float | None = None
    shares: Mapping[str, float] | None = None
    alpha: float = 0.05
    correction: Correction = "holm"
    looks: int = 1
    look: int | None = None
    planned: int | None = None
    unit: str | None = None
    empty: Empty = "refuse"


@dataclass(frozen=True)
class MetricData:
    """One metric as it was found: `summaries` of the values themselves by arm (winsorised if so), the rest of its handling."""

    name: str
    kind: Kind
    summaries: Mapping[str, Summary]
    cap: float | None
    capped: int
    cuped: Cuped | None


@dataclass(frozen=True)
class Analysis:
    """`bound` is the |z| from which this look is significant, before goals are counted."""

    units: Mapping[str, int]
    ratio: SampleRatio
    metrics: tuple[MetricData, ...]
    judged: tuple[Judged, ...]
    decision: Decision
    inputs: TrialInputs
    bound: float


def analyse(table: pl.DataFrame, plan: Plan) -> Analysis:
    """Analyse a table with a row a unit.

    Raises ExperimentError, naming the column and the remedy, for a table that cannot be analysed.
    """
    _check_plan(plan, table)
    names = _arm_names(table, plan)
    codes = _codes(table, plan, names)
    covariate = None if plan.covariate is None else numbers(table, plan.covariate, plan.empty)
    data, inputs = [], []
    for name in (*plan.goals, *plan.guardrails):
        found, adjusted = _metric(table, plan, name, names, codes, covariate)
        data.append(found)
        inputs.append(adjusted)
    units = {arm: int(count) for arm, count in zip(names, np.bincount(codes, minlength=len(names)), strict=True)}
    look = plan.looks if plan.look is None else plan.look
    information = equal_looks(plan.looks)
    if not 1 <= look <= plan.looks:
        raise ExperimentError(f"look {look} is not one of the {plan.looks} planned. Give --look 1 to {plan.looks}.")
    test = TrialInputs(
        control=plan.control,
        units=tuple(units.items()),
        shares=tuple((plan.shares or dict.fromkeys(names, 1.0)).items()),
        metrics=tuple(inputs),
        planned=plan.planned or round(table.height / information[look - 1]),
        alpha=plan.alpha,
        correction=plan.correction,
        information=information,
        look=look,
    )
    limit = float(bounds(plan.alpha, information[:look])[-1])
    return Analysis(units, ratio_of(test), tuple(data), judge(test), decide(test), test, limit)


def analyse_factors(
    table: pl.DataFrame,
    factors: Sequence[str],
    metric: str,
    *,
    first: Mapping[str, str] | None = None,
    alpha: float = 0.05,
    correction: Correction = "holm",
    empty: Empty = "refuse",
) -> tuple[dict[Cell, Summary], list[Contrast]]:
    """Cells and contrasts of a table whose columns `factors` say which level a unit had, a row a unit.

    first: the level of a factor that others are compared with; the first by name where none is given.
    """
    if len(factors) < 2 or len(set(factors)) < len(factors):
        raise ExperimentError(f"{', '.join(factors)} are not two factors or more. Name two different columns at least.")
    if not table.height:
        raise ExperimentError("the table has no rows. Export it again, with a row a unit.")
    columns = {factor: as_text(table, factor) for factor in factors}
    if metric not in table.columns:
        raise ExperimentError(f"there is no column {metric!r}. The table has: {_columns(table)}.")
    levels = {}
    for factor, column in columns.items():
        found = column.unique().sort().to_list()
        base = (first or {}).get(factor, found[0])
        if base not in found or len(found) > MOST_ARMS:
            few = ", ".join(map(repr, found[:MOST_ARMS]))
            raise ExperimentError(
                f"factor {factor!r} has no level {base!r}, or too many: {few}. Give one of its levels."
            )
        levels[factor] = [base, *(level for level in found if level != base)]
    values = pl.DataFrame({**columns, "value of the unit": numbers(table, metric, empty)})
    cells = {
        tuple(map(str, cell)): summary_of(part["value of the unit"].to_numpy())
        for cell, part in values.group_by(list(factors))
    }
    return cells, factorial(levels, cells, alpha=alpha, correction=correction)


def numbers(table: pl.DataFrame, column: str, empty: Empty = "refuse") -> Floats:
    """A column as numbers, (rows,); true and yes are 1, false and no are 0.

    Raises ExperimentError naming the column and the first row for text, empty cells and infinite values.
    """
    values = table[column]
    if values.dtype == pl.String:
        text = values.str.strip_chars()
        values = text.set(text == "", None)
    elif not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ExperimentError(
            f"column {column!r} holds {values.dtype}, and a metric needs numbers, or true and false. Convert it."
        )
    if (gaps := values.is_null()).any():
        if empty != "zero":
            raise ExperimentError(
                f"column {column!r} is empty in {int(gaps.sum()):,} rows, first in row {_row(table, gaps)}. Where that means "
                "that nothing happened, say --empty zero; leaving units out would compare others than were drawn."
            )
        values = values.fill_null("0") if values.dtype == pl.String else values.cast(pl.Float64).fill_null(0.0)
    if values.dtype == pl.String:
        lowered = values.str.to_lowercase()
        words = pl.Series([*_TRUE, *_FALSE])
        told = lowered.replace(words, pl.Series(["1"] * len(_TRUE) + ["0"] * len(_FALSE)))
        read = told.cast(pl.Float64, strict=False)
        if (wrong := read.is_null()).any():
            raise ExperimentError(
                f"column {column!r} holds {values.filter(wrong)[0]!r} in row {_row(table, wrong)}, which is no number "
                f"({int(wrong.sum()):,} rows). Write numbers with a point and without a currency, or name another column."
            )
        values = read
    array = values.cast(pl.Float64).to_numpy()
    if (endless := ~np.isfinite(array)).any():
        raise ExperimentError(
            f"column {column!r} holds {array[endless][0]} in row {_row(table, pl.Series(endless))}, "
            "and no mean can be made with it. Correct the row."
        )
    return array


def as_text(table: pl.DataFrame, column: str) -> pl.Series:
    """A column of names, (rows,). Raises ExperimentError where it is missing, or a cell empty."""
    if column not in table.columns:
        raise ExperimentError(f"there is no column {column!r}. The table has: {_columns(table)}.")
    values = table[column].cast(pl.String).str.strip_chars()
    gaps = values.is_null() | (values == "")
    if gaps.any():
        raise ExperimentError(
            f"column {column!r} is empty in {int(gaps.sum()):,} rows, first in row {_row(table, gaps)}. "
            "Fill it from the draw; a unit of unknown arm cannot be counted."
        )
    return values


def _check_plan(plan: Plan, table: pl.DataFrame) -> None:
    if not table.height:
        raise ExperimentError("the table has no rows. Export it again, with a row a unit.")
    metrics = (*plan.goals, *plan.guardrails)
    for name in (plan.arm, *metrics, *filter(None, (plan.covariate, plan.unit))):
        if name not in table.columns:
            raise ExperimentError(f"there is no column {name!r}. The table has: {_columns(table)}.")
    if not plan.goals:
        raise ExperimentError("no metric is named. Give --metrics with one column or more.")
    for name in metrics:
        if metrics.count(name) > 1:
            raise ExperimentError(f"column {name!r} is named twice among metrics and guardrails. Name it once.")
        if name in (plan.arm, plan.covariate, plan.unit):
            raise ExperimentError(f"column {name!r} is a metric and the arm, unit or covariate at once. Name another.")
    for name in (*plan.lower_is_better, *plan.higher_is_better, *(plan.kinds or ())):
        if name not in metrics:
            raise ExperimentError(
                f"{name!r} is none of the metrics {', '.join(metrics)}. Add it to them, or leave it out."
            )
    if plan.unit is not None:
        seen = as_text(table, plan.unit)
        twice = seen.is_duplicated()
        if twice.any():
            raise ExperimentError(
                f"column {plan.unit!r} has {seen.filter(twice)[0]!r} more than once ({int(twice.sum()):,} rows). "
                "An experiment has a row a unit: add the rows of each up."
            )


def _arm_names(table: pl.DataFrame, plan: Plan) -> list[str]:
    """The control first, the others by name."""
    found = as_text(table, plan.arm).unique().sort().to_list()
    if len(found) > MOST_ARMS:
        raise ExperimentError(
            f"column {plan.arm!r} has {len(found):,} different values, which are no arms. Name the column with the arms."
        )
    if plan.control not in found:
        raise ExperimentError(
            f"column {plan.arm!r} has no {plan.control!r}. Its arms are {', '.join(map(repr, found))}: give one as --control."
        )
    if len(found) < 2:
        raise ExperimentError(
            f"column {plan.arm!r} has only the arm {found[0]!r}. A comparison needs another: add the rows of the other arms."
        )
    return [plan.control, *(arm for arm in found if arm != plan.control)]


def _codes(table: pl.DataFrame, plan: Plan, names: Sequence[str]) -> NDArray[np.int64]:
    codes = as_text(table, plan.arm).replace_strict(
        dict(zip(names, range(len(names)), strict=True)), return_dtype=pl.Int64
    )
    array = codes.to_numpy()
    for place, count in enumerate(np.bincount(array, minlength=len(names))):
        if count < 2:
            raise ExperimentError(
                f"arm {names[place]!r} has {count} row; two are needed at least. Wait for more, or leave the arm out."
            )
    return array


def _metric(
    table: pl.DataFrame,
    plan: Plan,
    name: str,
    arms: Sequence[str],
    codes: NDArray[np.int64],
    covariate: Floats | None,
) -> tuple[MetricData, MetricInputs]:
    values = numbers(table, name, plan.empty)
    kind = kind_of(values)
    wanted = (plan.kinds or {}).get(name, kind)
    if wanted == "binary" and kind != "binary":
        other = float(values[~np.isin(values, (0.0, 1.0))][0])
        raise ExperimentError(f"column {name!r} is said to be binary, but holds {other:g}. Leave the kind out.")
    cap, capped = None, 0
    if plan.winsorise is not None and wanted == "continuous":
        values, cap, capped = winsorised(values, plan.winsorise)
    summaries = _summaries(values, codes, arms)
    tested, told = summaries, None
    tested_kind: Kind = wanted
    if covariate is not None:
        values, told = cuped(values, covariate, codes)
        if told.applied:
            # An adjusted share is a mean like any other.
            tested, tested_kind = _summaries(values, codes, arms), "continuous"
    guardrail = name in plan.guardrails
    lower = name in plan.lower_is_better or (guardrail and name not in plan.higher_is_better)
    inputs = MetricInputs(
        name,
        tested_kind,
        tuple(tested.items()),
        role="guardrail" if guardrail else "goal",
        better="lower" if lower else "higher",
    )
    return MetricData(name, wanted, summaries, cap, capped, told), inputs


def _summaries(values: Floats, codes: NDArray[np.int64], arms: Sequence[str]) -> dict[str, Summary]:
    return {arm: summary_of(values[codes == place]) for place, arm in enumerate(arms)}


def _row(table: pl.DataFrame, rows: pl.Series) -> int:
    """Number of the first row that is so; 1 is the one under the header."""
    place = int(rows.arg_true()[0])
    return int(table[ROW_NUMBER][place]) if ROW_NUMBER in table.columns else place + 1


def _columns(table: pl.DataFrame) -> str:
    return ", ".join(name for name in table.columns if name != ROW_NUMBER)
