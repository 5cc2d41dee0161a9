"""`luxauto experiment …`: plan a test, draw its arms, and say what it showed.

Belongs here: arguments, files and tables. Does not belong here: statistics and decisions (`assets/marketing/experiments`).
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from luxauto_pipelines.cli_stock import FormatOption, note, say
from luxauto_pipelines.console import Format, print_json, print_table

if TYPE_CHECKING:
    import polars as pl

    from assets.marketing.experiments.analysis import Analysis, Empty
    from assets.marketing.experiments.corrections import Correction
    from assets.marketing.experiments.decisions import Judged
    from assets.marketing.experiments.metrics import Kind
    from assets.marketing.experiments.roll import Prior

app = typer.Typer(help="Experiments: how many people, who gets what, and what it showed.", no_args_is_help=True)


class Corrections(StrEnum):
    """How p-values of several goals and arms are adjusted."""

    holm = "holm"
    bh = "bh"
    none = "none"


class Empties(StrEnum):
    """What a cell without a value is."""

    refuse = "refuse"
    zero = "zero"


FileArgument = Annotated[
    Path, typer.Argument(help="CSV, CSV.gz, Parquet or XLSX with a row a unit (a person).", show_default=False)
]
AlphaOption = Annotated[float, typer.Option(help="Share of tests without a difference that may find one.")]
CorrectionOption = Annotated[Corrections, typer.Option(help="For several goals and arms.")]
EmptyOption = Annotated[Empties, typer.Option(help="What an empty cell is: an error, or zero.")]


def _listed(help: str) -> Any:
    return typer.Option(help=f"{help} Separated by commas, or given several times.", show_default=False)


@app.command()
def analyze(
    file: FileArgument,
    arm: Annotated[str, typer.Option(help="Column with the arm of each unit.", show_default=False)],
    control: Annotated[str, typer.Option(help="The arm that others are compared with.", show_default=False)],
    metrics: Annotated[list[str], _listed("Goals; the first decides.")],
    guardrails: Annotated[list[str] | None, _listed("Columns that must not get worse, such as unsubscribed.")] = None,
    lower_is_better: Annotated[list[str] | None, _listed("Goals of which less is better.")] = None,
    higher_is_better: Annotated[list[str] | None, _listed("Guardrails of which more is better.")] = None,
    kind: Annotated[
        list[str] | None, _listed("METRIC=binary or METRIC=continuous, where it was not told right.")
    ] = None,
    covariate: Annotated[
        str | None, typer.Option(help="Column known before the draw, for CUPED. Used where it pays.")
    ] = None,
    winsorise: Annotated[
        float | None, typer.Option(help="Quantile that continuous metrics are cut at, such as 0.999; settled before.")
    ] = None,
    shares: Annotated[list[str] | None, _listed("ARM=SHARE as it was drawn; equal if left out.")] = None,
    unit: Annotated[str | None, typer.Option(help="Column that must be different in every row.")] = None,
    alpha: AlphaOption = 0.05,
    correction: CorrectionOption = Corrections.holm,
    looks: Annotated[int, typer.Option(help="How many looks were planned, at equal numbers of units.")] = 1,
    look: Annotated[int | None, typer.Option(help="Which of them this is; default: the last.")] = None,
    planned: Annotated[
        int | None, typer.Option(min=1, help="Units of all arms at the end; default: from the rows and the look.")
    ] = None,
    empty: EmptyOption = Empties.refuse,
    format: FormatOption = Format.table,
) -> None:
    """What an experiment showed: every arm beside the control, and what to do.

    Metrics of 0 and 1 are rates (pooled z, Newcombe's interval), all others means (Welch). With --looks a look decides by
    O'Brien and Fleming's bounds; the always-valid interval may be watched at any time and decides nothing.
    """
    from assets.marketing.experiments.analysis import Plan, analyse
    from assets.marketing.experiments.sentences import sentences

    table = _read(file)
    plan = Plan(
        arm=arm,
        control=control,
        goals=_names(metrics),
        guardrails=_names(guardrails),
        lower_is_better=_names(lower_is_better),
        higher_is_better=_names(higher_is_better),
        kinds=_pairs(kind, "--kind", _kind),
        covariate=covariate,
        winsorise=winsorise,
        shares=_pairs(shares, "--shares", float) or None,
        alpha=alpha,
        correction=cast("Correction", correction.value),
        looks=looks,
        look=look,
        planned=planned,
        unit=unit,
        empty=cast("Empty", empty.value),
    )
    analysis = analyse(table, plan)
    if format is Format.json:
        print_json(
            {"file": str(file), **_as_json(analysis, plan.planned is not None), "sentences": sentences(analysis)}
        )
        return
    _print_comparisons(analysis)
    for line in sentences(analysis):
        say(line)


@app.command()
def factors(
    file: FileArgument,
    factors: Annotated[list[str], _listed("Columns with the level of each factor that a unit had.")],
    metric: Annotated[str, typer.Option(help="Column with what came of it.", show_default=False)],
    first: Annotated[list[str] | None, _listed("FACTOR=LEVEL that others are compared with.")] = None,
    alpha: AlphaOption = 0.05,
    correction: CorrectionOption = Corrections.holm,
    empty: EmptyOption = Empties.refuse,
    format: FormatOption = Format.table,
) -> None:
    """Several things varied at once: what each does by itself, and what two of them do together."""
    from assets.marketing.experiments.analysis import analyse_factors

    cells, contrasts = analyse_factors(
        _read(file),
        _names(factors),
        metric,
        first=_pairs(first, "--first", str),
        alpha=alpha,
        correction=cast("Correction", correction.value),
        empty=cast("Empty", empty.value),
    )
    if format is Format.json:
        told = [{"levels": list(cell), **asdict(summary)} for cell, summary in sorted(cells.items())]
        print_json({"metric": metric, "cells": told, "contrasts": [asdict(one) for one in contrasts]})
        return
    rows = [
        [one.name, f"{one.effect:+.6g}", f"{one.low:+.4g} to {one.high:+.4g}", f"{one.t:.3f}", _p(one.p_adjusted)]
        for one in contrasts
    ]
    print_table(
        f"{metric}: main effects and interactions", ["effect of", "difference", "interval", "t", "adjusted p"], rows
    )


@app.command()
def plan(
    effect: Annotated[
        float | None, typer.Option(help="Smallest difference that matters, in the metric's unit.", show_default=False)
    ] = None,
    baseline: Annotated[float | None, typer.Option(help="The control's rate, as a share.", show_default=False)] = None,
    sd: Annotated[float | None, typer.Option(help="For a mean: its standard deviation.", show_default=False)] = None,
    alpha: AlphaOption = 0.05,
    power: Annotated[float, typer.Option(help="Chance to find that difference.")] = 0.8,
    looks: Annotated[int, typer.Option(help="How often it is looked at and decided, at equal numbers of units.")] = 5,
    list_size: Annotated[
        int | None, typer.Option("--list", help="People of a finite list, for test and roll.", show_default=False)
    ] = None,
    arms: Annotated[int, typer.Option(min=2, help="Arms of the test of that list.")] = 2,
    prior_mean: Annotated[
        float | None, typer.Option(help="Rate that arms had in past campaigns.", show_default=False)
    ] = None,
    prior_sd: Annotated[
        float | None, typer.Option(help="Standard deviation between arms of past campaigns.", show_default=False)
    ] = None,
    past: Annotated[
        Path | None, typer.Option(help="Or a table of past campaigns' arms: n, conversions.", show_default=False)
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """How many people a test needs: looked at once, at several planned looks, or testing a list and rolling out the better."""
    from assets.marketing.experiments.errors import ExperimentError
    from assets.marketing.experiments.planning import plan_mean, plan_rate
    from assets.marketing.experiments.roll import plan_roll

    told: dict[str, Any] = {}
    if effect is not None:
        if (baseline is None) == (sd is None):
            raise ExperimentError("give either --baseline (for a rate) or --sd (for a mean) with --effect")
        for name, count in (("fixed", 1), ("sequential", looks)):
            sizes = (
                plan_rate(baseline, effect, alpha=alpha, power=power, looks=count)
                if baseline is not None
                else plan_mean(cast(float, sd), effect, alpha=alpha, power=power, looks=count)
            )
            found = asdict(sizes)
            found["looks"] = [dict(zip(("n_per_arm", "bound", "chance"), one, strict=True)) for one in sizes.looks]
            told[name] = found
    if list_size is not None:
        prior = _prior(prior_mean, prior_sd, past)
        told["test_and_roll"] = {**asdict(plan_roll(list_size, prior, arms)), "prior": asdict(prior), "arms": arms}
    if not told:
        raise ExperimentError("say what to plan: --effect with --baseline or --sd, or --list with a prior")
    if format is Format.json:
        print_json(told)
        return
    _print_plan(told, list_size)


@app.command()
def assign(
    file: FileArgument,
    unit: Annotated[str, typer.Option(help="Column that names each person.", show_default=False)],
    salt: Annotated[str, typer.Option(help="Name of the experiment; another name, another draw.", show_default=False)],
    arms: Annotated[list[str], _listed("ARM=WEIGHT.")],
    out: Annotated[Path, typer.Option(help="Where to write the table with its arms (Parquet).", show_default=False)],
    holdout: Annotated[float, typer.Option(help="Share that gets nothing, drawn before any filter.")] = 0.0,
    holdout_salt: Annotated[str, typer.Option(help="Experiments with the same one share their holdout.")] = "holdout",
    format: FormatOption = Format.table,
) -> None:
    """Draw arms and holdout by a hash of each person's name: the same names, the same arms, whenever and wherever.

    Give everybody, also those who will be filtered out later: a filter that comes after the draw is fair to all arms.
    """
    from assets.marketing.experiments.assignment import assign_all, split
    from assets.marketing.experiments.errors import ExperimentError
    from resources.files import write_file
    from resources.tables import ROW_NUMBER

    table = _read(file).drop(ROW_NUMBER)
    if unit not in table.columns:
        raise ExperimentError(f"there is no column {unit!r}. The table has: {', '.join(table.columns)}.")
    if "arm" in table.columns:
        raise ExperimentError("the table has a column 'arm' already, which would be written over. Rename it.")
    division = split(salt, _pairs(arms, "--arms", float), holdout_share=holdout, holdout_salt=holdout_salt)
    drawn = table.with_columns(arm=assign_all(division, table[unit]))
    content = io.BytesIO()
    drawn.write_parquet(content, compression="zstd")
    write_file(out, content.getvalue())
    counts = dict(sorted(drawn["arm"].value_counts().iter_rows()))
    if format is Format.json:
        print_json({"file": str(out), "rows": drawn.height, "units": counts})
        return
    print_table(f"{out}: {drawn.height:,} rows", ["arm", "people"], counts.items())


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="What `analyze --format json` wrote.", show_default=False)],
    format: FormatOption = Format.table,
) -> None:
    """Decide again from the inputs that a decision carries; exit code 1 where inputs or answer have been changed since."""
    from assets.marketing.experiments.decisions import from_json
    from assets.marketing.experiments.decisions import replay as decide_again
    from assets.marketing.experiments.errors import ExperimentError

    if not file.is_file():
        raise ExperimentError(f"{file} is not a file. Check the path.")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExperimentError(f"{file} is no JSON: {error}. Give what `analyze --format json` wrote.") from error
    held = told.get("decision", told) if isinstance(told, dict) else told
    again = decide_again(from_json(json.dumps(held)))
    if format is Format.json:
        print_json({"action": again.action, "arm": again.arm, "reason": again.reason, "inputs_hash": again.inputs_hash})
        return
    say(f"The same inputs give the same decision: {again.action} {again.arm or ''}".rstrip() + f" ({again.reason}).")


def _read(file: Path) -> "pl.DataFrame":
    from assets.marketing.experiments.errors import ExperimentError
    from resources.tables import read_table

    source = read_table(file)
    if source.ragged.height:
        raise ExperimentError(
            f"{file} has {source.ragged.height:,} rows with more or fewer cells than its header, first row "
            f"{source.ragged['row_number'][0]}. Export it again; an experiment cannot do without some of its rows."
        )
    if source.withheld.height:
        note(f"{source.withheld.height:,} rows hold what looks like payment card data and are left out.")
    return source.rows


def _names(given: Sequence[str] | None) -> list[str]:
    return [name.strip() for one in given or () for name in one.split(",") if name.strip()]


def _pairs(given: Sequence[str] | None, option: str, read: Callable[[str], Any]) -> dict[str, Any]:
    from assets.marketing.experiments.errors import ExperimentError

    pairs = {}
    for text in _names(given):
        name, equals, value = text.rpartition("=")
        try:
            pairs[name.strip()] = read(value.strip())
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise ExperimentError(f"{option} {text!r} is not understood. Write NAME=VALUE.")
    return pairs


def _kind(text: str) -> "Kind":
    if text not in ("binary", "continuous"):
        raise ValueError(text)
    return cast("Kind", text)


def _prior(mean: float | None, sd: float | None, past: Path | None) -> "Prior":
    from assets.marketing.experiments.analysis import numbers
    from assets.marketing.experiments.comparisons import summary_of_rate
    from assets.marketing.experiments.errors import ExperimentError
    from assets.marketing.experiments.roll import prior_of, prior_of_rate

    if past is not None and mean is None and sd is None:
        table = _read(past)
        if missing := {"n", "conversions"} - set(table.columns):
            raise ExperimentError(f"{past} has no column {', '.join(sorted(missing))}. It needs n and conversions.")
        counts = zip(numbers(table, "conversions"), numbers(table, "n"), strict=True)
        return prior_of([summary_of_rate(int(x), int(n)) for x, n in counts])
    if past is not None or mean is None or sd is None:
        raise ExperimentError("--list needs a prior: give --prior-mean and --prior-sd, or --past FILE")
    return prior_of_rate(mean, sd)


def _as_json(analysis: "Analysis", planned_given: bool) -> dict[str, Any]:
    from assets.marketing.experiments.comparisons import interval_of
    from assets.marketing.experiments.decisions import to_json

    inputs, ratio = analysis.inputs, analysis.ratio
    metrics = {
        metric.name: {
            "kind": metric.kind,
            "role": "goal",
            "arms": {
                arm: {**asdict(summary), "ci": interval_of(summary, rate=metric.kind == "binary", alpha=inputs.alpha)}
                for arm, summary in metric.summaries.items()
            },
            "winsorised_at": metric.cap,
            "winsorised_units": metric.capped,
            "cuped": None if metric.cuped is None else asdict(metric.cuped),
            "comparisons": {},
        }
        for metric in analysis.metrics
    }
    for one in analysis.judged:
        metrics[one.metric]["role"] = one.role
        metrics[one.metric]["better"] = one.better
        metrics[one.metric]["comparisons"][one.arm] = _comparison(one)
    return {
        "rows": sum(analysis.units.values()),
        "control": inputs.control,
        "alpha": inputs.alpha,
        "correction": inputs.correction,
        "looks": len(inputs.information),
        "look": inputs.look,
        "bound": analysis.bound,
        "planned_units": inputs.planned,
        "planned_units_given": planned_given,
        "sample_ratio": {
            "p": ratio.p,
            "verdict": ratio.verdict,
            "chi_square": ratio.chi_square,
            "observed": dict(analysis.units),
            "expected": dict(ratio.expected),
        },
        "metrics": metrics,
        "decision": json.loads(to_json(analysis.decision)),
    }


def _comparison(one: "Judged") -> dict[str, Any]:
    c = one.comparison
    return {
        "effect": c.effect,
        "ci": [c.low, c.high],
        "relative_effect": c.relative,
        "relative_ci": None if c.relative is None else [c.relative_low, c.relative_high],
        "standard_error": c.standard_error,
        "test": "pooled z, Newcombe" if c.statistic_name == "z" else "Welch",
        c.statistic_name: c.statistic,
        "df": c.df,
        "p": c.p,
        "p_over_looks": one.p_over_looks,
        "p_adjusted": one.p_adjusted,
        "p_harm": one.p_harm,
        "always_valid_ci": [one.low_always, one.high_always],
        "always_valid_p": one.p_always,
        "decision": one.verdict,
    }


def _print_comparisons(analysis: "Analysis") -> None:
    from assets.marketing.experiments.sentences import interval, plain, shown

    kinds = {metric.name: metric for metric in analysis.metrics}
    rows = []
    for one in analysis.judged:
        metric, c = kinds[one.metric], one.comparison
        p = one.p_harm if one.p_adjusted is None else one.p_adjusted
        rows.append(
            [
                one.metric,
                one.arm,
                plain(metric.summaries[one.arm].mean, metric.kind),
                plain(metric.summaries[analysis.inputs.control].mean, metric.kind),
                shown(c.effect, metric.kind),
                interval(c.low, c.high, metric.kind),
                "–" if c.relative is None else f"{c.relative:+.1%}",
                _p(p),
                interval(one.low_always, one.high_always, metric.kind),
                one.verdict,
            ]
        )
    columns = ["metric", "arm", "mean", "control", "difference", "interval", "relative", "p", "at any time", "verdict"]
    print_table(f"Beside {analysis.inputs.control}", columns, rows)


def _print_plan(told: dict[str, Any], list_size: int | None) -> None:
    if "fixed" in told:
        fixed, sequential = told["fixed"], told["sequential"]
        say(f"Looked at once: {fixed['n_per_arm']:,} people per arm.")
        rows = [
            [n, one["n_per_arm"], f"{one['bound']:.3f}", f"{one['chance']:.1%}"]
            for n, one in enumerate(sequential["looks"], 1)
        ]
        print_table("Several looks", ["look", "people per arm", "decides from |z|", "chance to stop there"], rows)
        say(
            f"At most {sequential['n_per_arm']:,} people per arm; {sequential['expected_n_per_arm']:,.0f} on average where the "
            "difference is as large as planned."
        )
    if "test_and_roll" in told:
        roll = told["test_and_roll"]
        say(
            f"Of the list of {list_size:,}: test {roll['n_per_arm']:,} people per arm, and send the better to the other "
            f"{roll['remaining']:,}. Expected gain over no test: {roll['gain']:,.1f}; knowing the best beforehand would gain "
            f"{roll['oracle_gain']:,.1f}."
        )


def _p(p: float | None) -> str:
    return "–" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"
