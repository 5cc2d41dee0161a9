"""`luxauto forecast …`: how good forecasts of a table would have been, and what is forecast for a SKU.

Belongs here: arguments and tables. Does not belong here: how anything is forecast (`assets/forecasting`).
"""

import io
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    import polars as pl

    from assets.forecasting.evaluate import Evaluation
    from assets.forecasting.scores import Scores

app = typer.Typer(help="Forecasts of demand: what is forecast, and how good it is.", no_args_is_help=True)

_MEASURES = ("wape", "bias", "rmsse", "weighted_pinball", "coverage_80", "coverage_95")


@app.command()
def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            help="History as Parquet, CSV or XLSX: unique_id, ds (date), y (units, 0 or more); a row a period.",
            show_default=False,
        ),
    ],
    freq: Annotated[str, typer.Option(help="W-MON to W-SUN for weeks called by that day, D for days.")] = "W-MON",
    horizon: Annotated[int, typer.Option(min=1, help="Periods that are forecast from each origin.")] = 8,
    origins: Annotated[int, typer.Option(min=1, help="How many origins; the newest lies HORIZON before the end.")] = 4,
    step: Annotated[int, typer.Option(min=1, help="Periods between two origins.")] = 8,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the forecasts (Parquet).", show_default=False)
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Add this country's public holidays (ISO 3166, such as GB).", show_default=False)
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Another seed, another sample to learn from; the same one, the same numbers.")
    ] = 0,
    format: FormatOption = Format.table,
) -> None:
    """Forecast a table from past origins by what was known then, and say how good that was.

    Each origin sees the periods before it alone. The forecasts have the columns unique_id, cutoff (the last period known), ds,
    mean, q0.025, q0.1, q0.5, q0.9, q0.975 and model. Periods between a series' rows count as zero.

    Measures, lower is better: WAPE, RMSSE and weighted pinball (mean over the five quantiles of 2 * loss / units). Coverage is
    how often the 80 % and 95 % intervals held.
    """
    from assets.forecasting.evaluate import evaluate as roll
    from resources.files import write_file

    table = _read(file)
    with progress() as bar:
        task = bar.add_task("forecasting", total=origins)
        found = roll(
            table,
            freq=freq,
            horizon=horizon,
            origins=origins,
            step=step,
            country=country,
            seed=seed,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    if out is not None:
        content = io.BytesIO()
        found.forecasts.write_parquet(content, compression="zstd")
        write_file(out, content.getvalue())
    if format is Format.json:
        print_json({**_as_json(found), "forecasts": str(out) if out else None})
        return
    _print_scores(found)
    say(f"{found.series:,} series, {found.overall.rows:,} forecasts scored, {found.cpu_seconds:.1f} CPU seconds.")
    if out is not None:
        say(f"{out}: {found.forecasts.height:,} forecasts.")


@app.command()
def show(
    sku: Annotated[str, typer.Argument(help="A SKU, or an item id of a channel.", show_default=False)],
    days: Annotated[int, typer.Option(min=1, max=365, help="How many days from today on.")] = 91,
    format: FormatOption = Format.table,
) -> None:
    """What is forecast for a SKU by week: expected units, the 80 % interval, who says so, and how good that was.

    It is read from the last refresh; an item that is newer is forecast at once by items like it.
    """
    from luxauto_pipelines.agents.finance_inventory.demand import forecast_of
    from luxauto_pipelines.instance import reload

    found = forecast_of(reload(), sku, days)
    if format is Format.json:
        print_json(found)
        return
    weeks: dict[str, list[float]] = {}
    for day in found["daily"]:
        monday = date.fromisoformat(day["date"])
        week = weeks.setdefault(str(monday - timedelta(days=monday.weekday())), [0.0, 0.0, 0.0])
        for n, name in enumerate(("mean", "lower", "upper")):
            week[n] += day[name]
    rows = [[week, *(f"{value:.1f}" for value in values)] for week, values in weeks.items()]
    print_table(f"{found['sku']}: {found['model']}", ["week of", "expected", "80 % from", "to"], rows)
    if found["predicted_demand"] is not None:
        interval = found["confidence_interval"]
        say(
            f"{found['predicted_demand']:.1f} units in {days} days ({interval['lower']:.1f} to {interval['upper']:.1f})."
        )
    say(found["reason"])
    if found["recommended_order_quantity"]:
        say(f"The plan recommends to order {found['recommended_order_quantity']}.")
        say(f"Next: luxauto replenish plan --sku {found['sku']}")


def _read(file: Path) -> "pl.DataFrame":
    """The table as it is. Raises CardDataRefused for a file with card numbers, and InvalidPanel for rows of another width."""
    from assets.forecasting.panel import InvalidPanel
    from resources.card_data import CardDataRefused
    from resources.tables import ROW_NUMBER, read_table

    source = read_table(file)
    if source.withheld.height:
        number, field, reason, _ = source.withheld.row(0)
        raise CardDataRefused(f"{file.name}, row {number}, column {field}: {reason}. Give tokens instead")
    if source.ragged.height:
        raise InvalidPanel(f"{file.name}: {source.ragged.height} rows have another number of cells. Export it again")
    return source.rows.drop(ROW_NUMBER)


def _as_json(found: "Evaluation") -> dict[str, Any]:
    return {
        "series": found.series,
        "cpu_seconds": round(found.cpu_seconds, 3),
        "overall": found.overall.as_dict(),
        "by_class": {name: scores.as_dict() if scores else None for name, scores in found.by_class.items()},
        "by_cutoff": {str(day): scores.as_dict() if scores else None for day, scores in found.by_cutoff.items()},
    }


def _print_scores(found: "Evaluation") -> None:
    rows = [("overall", found.overall), *found.by_class.items(), *((str(day), s) for day, s in found.by_cutoff.items())]
    titles = ["of", "rows", "WAPE", "bias", "RMSSE", "pinball", "80 % holds", "95 % holds"]
    print_table("How good it was", titles, ([name, *_figures(scores)] for name, scores in rows))


def _figures(scores: "Scores | None") -> list[Any]:
    if scores is None:
        return [0, *(None for _ in _MEASURES)]
    return [scores.rows, *(_rounded(getattr(scores, name)) for name in _MEASURES)]


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
