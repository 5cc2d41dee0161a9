"""`luxauto replenish simulate` as a person or a script runs it. Does not belong here: what a policy earns on a real history."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.inventory.simulation.comparison import POLICIES
from assets.inventory.simulation.forecasts import QUANTILES
from assets.inventory.simulation.setting import SimulationError
from luxauto_pipelines.cli import app
from resources.card_data import CardDataRefused
from resources.tables import UnreadableTable

MONDAY = date(2025, 1, 6)
WEEKS = 60
FROM = MONDAY + timedelta(7 * 45)


def luxauto(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replenish", "simulate", *(str(one) for one in arguments)])


def said(*arguments: object) -> Any:
    result = luxauto(*arguments, "--format", "json")
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout)


def refused(kind: type[Exception], *arguments: object) -> str:
    result = luxauto(*arguments)
    assert isinstance(result.exception, kind), f"{result.output} {result.exception!r}"
    return str(result.exception)


@pytest.fixture(scope="module")
def demand() -> pl.DataFrame:
    """Six SKUs, a day a row; days without a sale are left out."""
    rng = np.random.default_rng(4)
    days = [MONDAY + timedelta(n) for n in range(7 * WEEKS)]
    frames = []
    for number, rate in enumerate((0.1, 0.3, 1, 3, 8, 20)):
        units = rng.poisson(rate * rng.gamma(2, 0.5, len(days)))
        frames.append(pl.DataFrame({"unique_id": f"bag-{number}", "ds": days, "y": units, "price": 20.0 + number}))
    return pl.concat(frames).filter((pl.col("y") > 0) | (pl.col("ds") == days[-1]))


@pytest.fixture(scope="module")
def file(demand: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demand") / "demand.parquet"
    demand.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def forecasts(demand: pl.DataFrame, file: Path) -> Path:
    """The mean of the thirteen weeks before each Monday."""
    weekly = demand.group_by("unique_id", pl.col("ds").dt.truncate("1w")).agg(pl.col("y").sum())
    rows = []
    for week in range(13, WEEKS):
        cutoff = MONDAY + timedelta(7 * week)
        known = weekly.filter((pl.col("ds") <= cutoff) & (pl.col("ds") > cutoff - timedelta(91)))
        for sku, units in known.group_by("unique_id").agg(pl.col("y").sum() / 13).iter_rows():
            quantiles = [units * share for share in (0.1, 0.4, 1, 1.7, 2.2)]
            rows += [
                (sku, cutoff, cutoff + timedelta(7 * ahead), units, *quantiles, "mean of 13 weeks")
                for ahead in range(1, 9)
            ]
    path = file.parent / "forecasts.parquet"
    pl.DataFrame(rows, schema=["unique_id", "cutoff", "ds", "mean", *QUANTILES, "model"], orient="row").write_parquet(
        path
    )
    return path


def test_all_policies_stand_beside_each_other_under_the_bound(file: Path, forecasts: Path) -> None:
    found = said(file, "--forecasts", forecasts, "--from", FROM, "--costs", "margin=0.5,order=1")
    assert [one["policy"] for one in found["policies"]] == list(POLICIES)
    assert (found["skus"], found["from"], found["until"]) == (6, f"{FROM}", f"{MONDAY + timedelta(7 * WEEKS)}")
    assert found["costs"]["order"] == 1
    best = found["policies"][-1]
    assert best["of_foresight"] == 1
    for one in found["policies"]:
        assert 0 <= one["fill_rate"] <= 1
        assert one["profit"] <= best["profit"] + 1e-6


def test_the_same_seed_says_the_same_and_another_something_else(file: Path) -> None:
    arguments = (file, "--from", FROM, "--policy", "classic")
    assert said(*arguments) == said(*arguments)
    assert said(*arguments) != said(*arguments, "--seed", 5)


def test_days_after_the_last_replayed_change_nothing(demand: pl.DataFrame, forecasts: Path, tmp_path: Path) -> None:
    until = FROM + timedelta(35)
    cut = tmp_path / "cut.parquet"
    last = demand.filter(pl.col("ds") < until)
    last.vstack(last.head(1).with_columns(ds=pl.lit(until - timedelta(1)), y=pl.lit(0, pl.Int64))).unique(
        ["unique_id", "ds"], keep="first"
    ).write_parquet(cut)
    whole = tmp_path / "whole.parquet"
    demand.write_parquet(whole)
    arguments = ("--forecasts", forecasts, "--from", FROM, "--until", until)
    assert said(whole, *arguments)["policies"] == said(cut, *arguments)["policies"]


def test_costs_are_read_from_a_file_too(file: Path, tmp_path: Path) -> None:
    costs = tmp_path / "costs.yaml"
    costs.write_text("margin: 0.7\nsalvage: 0.2\nholding: 0.4\n")
    arguments = (file, "--from", FROM, "--policy", "fixed", "--policy", "fixed-tuned")
    given = said(*arguments, "--costs", "margin=0.7,salvage=0.2,holding=0.4")
    assert said(*arguments, "--costs", costs) == given
    assert given["policies"][0]["written_off"] > 0


def test_kept_stock_is_not_written_off(file: Path) -> None:
    found = said(file, "--from", FROM, "--policy", "fixed", "--costs", "salvage=keep")
    assert (found["costs"]["salvage"], found["policies"][0]["written_off"]) == (None, 0)


def test_settings_that_reach_a_fill_rate_on_the_past_are_taken_if_asked_for(file: Path) -> None:
    costs = ("--costs", "margin=0.1,holding=2")
    cheap = said(file, "--from", FROM, "--policy", "classic", *costs)["policies"][0]
    served = said(file, "--from", FROM, "--policy", "classic", *costs, "--fill-rate", 0.97)["policies"][0]
    assert served["fill_rate"] > cheap["fill_rate"]
    assert served["profit"] < cheap["profit"]


def test_results_are_written_by_policy_and_sku(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.parquet"
    result = luxauto(file, "--from", FROM, "--policy", "fixed", "--policy", "classic", "--out", out)
    assert result.exit_code == 0, result.output
    assert "12 rows" in result.stdout
    rows = pl.read_parquet(out)
    assert rows.height == 12
    balance = pl.col("start") + pl.col("received") - pl.col("sold") - pl.col("left") - pl.col("written_off")
    assert rows.select(balance.abs().max()).item() == 0


def test_csv_and_weeks_are_taken(demand: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "weekly.csv"
    weekly = demand.group_by("unique_id", pl.col("ds").dt.truncate("1w")).agg(
        pl.col("y").sum(), pl.col("price").first()
    )
    weekly.write_csv(path)
    found = said(path, "--from", FROM, "--policy", "classic", "--policy", "foresight")
    assert found["until"] == f"{MONDAY + timedelta(7 * WEEKS)}"
    assert 0.5 < found["policies"][0]["fill_rate"] <= 1


def test_a_forecast_is_followed_week_by_week_too(demand: pl.DataFrame, forecasts: Path, tmp_path: Path) -> None:
    path = tmp_path / "weekly.parquet"
    demand.group_by("unique_id", pl.col("ds").dt.truncate("1w")).agg(pl.col("y").sum()).write_parquet(path)
    found = said(
        path, "--from", FROM, "--policy", "forecast", "--forecasts", forecasts, "--costs", "salvage=0.3,order=1"
    )
    assert 0.5 < found["policies"][0]["fill_rate"] <= 1


def test_a_table_is_shown_to_people(file: Path) -> None:
    result = luxauto(file, "--from", FROM, "--policy", "fixed", "--policy", "foresight")
    assert "6 SKUs" in result.stdout
    assert "100.0%" in result.stdout


def test_help_teaches_with_an_example() -> None:
    text = luxauto("--help").stdout
    for word in ("--lead-time", "foresight", "Example", "salvage"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--costs", "margn=0.5"], "'margn' is no cost: give price, margin"),
        (["--costs", "margin=much"], "'margin' is a number such as 0.25"),
        (["--costs", "margin=1.5"], "'margin' is a number from 0 to 1, not 1.5"),
        (["--costs", "holding=-1"], "'holding' is a number from 0"),
        (["--costs", "none.yaml"], "neither costs such as"),
        (["--lead-time", "soon"], "write days such as 14"),
        (["--lead-time", "28-7"], "from fewer days to more"),
        (["--lead-time", "7-28:30"], "mean lead time lies between 7 and 28"),
        (["--policy", "best"], "choose forecast, classic, fixed-tuned, fixed or foresight"),
        (["--fixed", "50:10"], "such as 10:50"),
        (["--fill-rate", "95"], "0.95, not 95"),
        (["--from", "2030-01-07"], "demand is known from 2025-01-06"),
        (["--from", "2025-01-20"], "weeks before 2025-01-20 can be simulated"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(file: Path, arguments: list[str], says: str) -> None:
    given = [file, "--from", FROM, "--policy", "classic", *arguments]
    assert says in refused(SimulationError, *given)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.drop("y"), "the demand lacks y"),
        (lambda rows: rows.with_columns(y=-pl.col("y")), "take returns off their day of sale"),
        (lambda rows: rows.with_columns(y=pl.col("y") + 0.5), "whole units"),
        (lambda rows: pl.concat([rows, rows.head(1)]), "more than one row"),
        (lambda rows: rows.with_columns(ds=pl.lit("soon")), "ds are days such as"),
        (lambda rows: rows.with_columns(y=pl.lit(None, pl.Int64)), "y is empty"),
        (lambda rows: rows.with_columns(order_multiple=pl.lit(0)), "order_multiple of bag-0 is below 1"),
    ],
)
def test_wrong_demand_is_named_by_its_column(demand: pl.DataFrame, tmp_path: Path, change: Any, says: str) -> None:
    path = tmp_path / "wrong.parquet"
    change(demand).write_parquet(path)
    assert says in refused(SimulationError, path, "--from", FROM, "--policy", "fixed")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.drop("q0.9"), "the forecasts lack q0.9"),
        (lambda rows: rows.with_columns(unique_id="other " + pl.col("unique_id")), "none of the demand's SKUs"),
        (lambda rows: rows.with_columns(ds=pl.col("ds") + timedelta(1)), "whole weeks after cutoff"),
        (lambda rows: pl.concat([rows, rows.with_columns(model=pl.lit("naive"))]), "choose one with --model, mean of"),
        (lambda rows: rows.filter(pl.col("cutoff") > FROM), "the first forecast is of"),
        (lambda rows: rows.filter(pl.col("cutoff") > FROM - timedelta(21)), "earlier cutoffs"),
    ],
)
def test_wrong_forecasts_are_named_by_what_is_wrong(
    file: Path, forecasts: Path, tmp_path: Path, change: Any, says: str
) -> None:
    path = tmp_path / "wrong.parquet"
    change(pl.read_parquet(forecasts)).write_parquet(path)
    assert says in refused(SimulationError, file, "--from", FROM, "--forecasts", path)


def test_one_of_several_models_is_taken_by_name(file: Path, forecasts: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.parquet"
    rows = pl.read_parquet(forecasts)
    pl.concat([rows, rows.with_columns(mean=pl.lit(0.0), model=pl.lit("naught"))]).write_parquet(both)
    arguments = (file, "--from", FROM, "--policy", "forecast")
    one = said(*arguments, "--forecasts", both, "--model", "mean of 13 weeks")
    assert one == said(*arguments, "--forecasts", forecasts)


@pytest.mark.slow
def test_without_a_file_of_forecasts_they_are_made(demand: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "three.parquet"
    demand.filter(pl.col("unique_id").is_in(["bag-3", "bag-4", "bag-5"])).write_parquet(path)
    found = said(path, "--from", MONDAY + timedelta(7 * 54), "--past-weeks", 8, "--policy", "forecast")
    assert found["policies"][0]["fill_rate"] > 0.5


def test_card_data_and_missing_files_are_refused(demand: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "card.csv"
    demand.with_columns(unique_id=pl.lit("4111 1111 1111 1111")).write_csv(path)
    refused(CardDataRefused, path, "--from", FROM)
    refused(UnreadableTable, tmp_path / "none.csv", "--from", FROM)
