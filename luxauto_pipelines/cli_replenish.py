"""`luxauto replenish …`: what to buy, how much, and what a way of buying would have earned.

Belongs here: arguments and tables. Does not belong here: policies (`assets/inventory/buying`) and the replay of history
(`assets/inventory/simulation`).
"""

import io
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from luxauto_pipelines.cli_stock import FormatOption, note, say
from luxauto_pipelines.console import Format, print_json, print_table, progress

if TYPE_CHECKING:
    import polars as pl

    from assets.inventory.simulation.comparison import Result
    from assets.inventory.simulation.forecasts import Forecasts
    from assets.inventory.simulation.setting import Costs, Panel

app = typer.Typer(
    help="Buy stock: plan orders, approve and receive them, try a policy on the past.", no_args_is_help=True
)

_KEEP = ("keep", "none")


@app.callback()
def _replenish() -> None:
    """Buy stock: plan orders, approve and receive them, try a policy on the past."""


@app.command()
def simulate(
    file: Annotated[
        Path,
        typer.Argument(
            help="Demand as CSV, CSV.gz, Parquet or XLSX: unique_id, ds (day, or Monday of a week), y (units); and, if it has "
            "them, price, unit_cost, order_multiple, min_order_quantity of the SKU.",
            show_default=False,
        ),
    ],
    begin: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day to replay.", show_default=False)
    ],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Replay the days before this one; default: to the end of FILE."),
    ] = None,
    forecasts: Annotated[
        Path | None,
        typer.Option(
            help="Weekly forecasts of many cutoffs, as `luxauto forecast evaluate FILE --out` writes them; default: make them."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Which model's, where FORECASTS has several.")] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="forecast, classic, fixed-tuned, fixed or foresight; may be given several times. Default: all."
        ),
    ] = None,
    lead_time: Annotated[
        str, typer.Option(help="Days from order to shelf: 14, 7-28 (all alike), or 7-28:15 (with that mean).")
    ] = "7-28:15.4",
    review: Annotated[int, typer.Option(min=1, help="Days between two looks at the stock.")] = 7,
    costs: Annotated[
        str,
        typer.Option(
            help="price, margin (share of the price), holding (a year's, as a share of the cost), order (of one SKU), lost (a "
            "lost sale's, as a share of the price), salvage (of what is left at the end, as a share of the cost; keep: it "
            "keeps its worth). Or a YAML file with these."
        ),
    ] = "margin=0.6,holding=0.25,order=0,lost=0,salvage=keep",
    fill_rate: Annotated[
        float | None,
        typer.Option(help="Choose settings that reach this share of units on the past; default: that earn most."),
    ] = None,
    fixed: Annotated[str, typer.Option(help="Reorder point and level of the policy `fixed`.")] = "10:50",
    start_weeks: Annotated[float, typer.Option(min=0, help="Stock at the start, in weeks of recent sales.")] = 4.0,
    past_weeks: Annotated[int, typer.Option(min=1, help="Weeks before --from on which settings are chosen.")] = 26,
    seed: Annotated[int, typer.Option(help="Seed of the lead times.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write figures of each policy and SKU there (Parquet).")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Replay history day by day and say what each way of buying would have earned.

    Each day goods arrive, the buyer looks (every --review days) at the demand of the days before and orders, and customers take
    what is there; what is not there is lost. All policies have the same stock to start with, the same lead times by --seed, and
    choose their settings on the weeks before --from.

    forecast: (R, s, S) by the forecast and its own error. classic: up to the mean and spread of recent sales. fixed-tuned: the
    best single reorder point and level. fixed: --fixed. foresight: what one who knew everything would have earned, the bound.

    Example: luxauto replenish simulate demand.parquet --from 2026-01-05 --costs margin=0.6,order=5,salvage=0.3
    """
    from assets.inventory.simulation.calibration import Aim
    from assets.inventory.simulation.comparison import FORECAST, POLICIES, Plan, compare
    from assets.inventory.simulation.setting import LeadTimes, panel_of
    from resources.files import write_file

    wanted = list(dict.fromkeys(policy or POLICIES))
    plan = Plan(
        _costs(costs),
        LeadTimes.parse(lead_time),
        review,
        start_weeks,
        seed,
        past_weeks,
        Aim(_share(fill_rate)),
        _pair(fixed),
    )
    with progress() as bar:
        task = bar.add_task("reading", total=len(wanted) + 2)
        panel = panel_of(_read(file), plan.costs)
        first, end = begin.date(), until.date() if until else panel.end
        known = None
        if FORECAST in wanted:
            bar.update(task, description="forecasts", advance=1)
            known = _forecasts(
                forecasts, model, panel, (first, end), past_weeks, lambda words: bar.update(task, description=words)
            )
        results, by_sku = compare(
            panel, first, end, plan, wanted, known, lambda stage: bar.update(task, description=stage, advance=1)
        )
    if out is not None:
        content = io.BytesIO()
        by_sku.write_parquet(content, compression="zstd")
        write_file(out, content.getvalue())
    if format is Format.json:
        print_json(
            {
                "from": first,
                "until": end,
                "skus": len(panel.skus),
                "costs": plan.costs.as_dict(),
                "lead_time_mean": plan.lead_times.mean,
                "policies": [one.as_dict() for one in results],
            }
        )
        return
    _print_results(results, f"{len(panel.skus)} SKUs, {first} to {end - timedelta(1)}")
    for one in results:
        note(f"{one.policy}: {one.settings}")
    if out is not None:
        say(f"{out}: {by_sku.height:,} rows, one a policy and SKU.")


def _print_results(results: Sequence["Result"], title: str) -> None:
    columns = ["policy", "fill", "SKU fill", "stock-outs", "weeks of cover", "stock value", "write-off", "orders"]
    rows: list[list[Any]] = [
        [
            one.policy,
            f"{one.fill_rate:.1%}",
            f"{one.sku_fill_rate:.1%}",
            f"{one.stock_outs:.1%}",
            f"{one.weeks_of_cover:.2f}",
            round(one.stock_value),
            round(one.write_off),
            one.orders,
            round(one.profit),
            None if one.of_foresight is None else f"{one.of_foresight:.1%}",
        ]
        for one in results
    ]
    print_table(title, [*columns, "profit", "of foresight"], rows)


def _read(file: Path) -> "pl.DataFrame":
    """Raises SimulationError for rows of another width, and CardDataRefused for card data."""
    from assets.inventory.simulation.setting import SimulationError
    from resources.card_data import CardDataRefused
    from resources.tables import ROW_NUMBER, read_table

    source = read_table(file)
    if source.withheld.height:
        number, field, reason, _ = source.withheld.row(0)
        raise CardDataRefused(f"{file.name}, row {number}, column {field}: {reason}. Take it out of the file")
    if source.ragged.height:
        raise SimulationError(f"{file.name}: {source.ragged.height} rows have another number of cells. Export it again")
    return source.rows.drop(ROW_NUMBER)


def _forecasts(
    file: Path | None,
    model: str | None,
    panel: "Panel",
    replayed: tuple[date, date],
    past_weeks: int,
    tell: Callable[[str], None],
) -> "Forecasts":
    """Those of a file, else forecasts that are made now, each of the weeks before it alone."""
    from assets.inventory.simulation.comparison import forecasts_for
    from assets.inventory.simulation.forecasts import forecasts_of

    if file is not None:
        return forecasts_of(_read(file), panel.skus, model)
    begin, end = replayed
    return forecasts_for(panel, begin, end, past_weeks, lambda done, total: tell(f"forecasts: {done} of {total} weeks"))


def _costs(text: str) -> "Costs":
    """`name=number,…`, or a YAML file of them. Raises SimulationError."""
    import yaml

    from assets.inventory.simulation.setting import Costs, SimulationError

    given: Any
    if "=" in text:
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        given = {name.strip(): value.strip() for name, _, value in pairs}
    else:
        if not Path(text).is_file():
            raise SimulationError(f"--costs {text!r} is neither costs such as margin=0.6,holding=0.25 nor a file")
        try:
            given = yaml.safe_load(Path(text).read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SimulationError(f"{text} is not valid YAML: {error}") from error
        if not isinstance(given, dict):
            raise SimulationError(f"{text} has no costs: write a line each, such as `margin: 0.6`")
    return Costs.of({str(name): _number(str(name), value) for name, value in given.items()})


def _number(name: str, value: Any) -> float | None:
    from assets.inventory.simulation.setting import SimulationError

    if name == "salvage" and (value is None or str(value).lower() in _KEEP):
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SimulationError(f"the cost {name!r} is a number such as 0.25, not {value!r}") from error


def _pair(text: str) -> tuple[int, int]:
    from assets.inventory.simulation.setting import SimulationError

    low, _, high = text.partition(":")
    if not (low.isdecimal() and high.isdecimal()) or int(low) > int(high):
        raise SimulationError(
            f"--fixed is {text!r} and may be a reorder point and the level it is filled to, such as 10:50"
        )
    return int(low), int(high)


def _share(fill_rate: float | None) -> float | None:
    from assets.inventory.simulation.setting import SimulationError

    if fill_rate is not None and not 0 < fill_rate < 1:
        raise SimulationError(f"--fill-rate is a share between 0 and 1 (0.95, not {fill_rate:g})")
    return fill_rate
