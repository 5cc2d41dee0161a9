"""`luxauto forecast evaluate` as a person or a script runs it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from luxauto_pipelines import cli
from tests.assets.forecasting.series import invented_demand, panel_of, table_of

OPTIONS = ("--horizon", "4", "--origins", "2", "--step", "6")
COLUMNS = ["unique_id", "cutoff", "ds", "mean", "q0.025", "q0.1", "q0.5", "q0.9", "q0.975", "model"]
MEASURES = {"rows", "wape", "bias", "rmsse", "weighted_pinball", "coverage_80", "coverage_95"}


def said(*arguments: object) -> Any:
    result = CliRunner().invoke(cli.app, ["forecast", "evaluate", *map(str, arguments), "--format", "json"])
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def sales() -> pl.DataFrame:
    return table_of(panel_of(invented_demand(12, 50, seed=1)))


@pytest.fixture(scope="module")
def file(sales: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sales") / "sales.parquet"
    sales.write_parquet(path)
    return path


def test_forecasts_are_written_in_the_columns_agreed_on(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "forecasts.parquet"
    found = said(file, *OPTIONS, "--out", out)
    assert found["forecasts"] == str(out)
    forecasts = pl.read_parquet(out)
    assert forecasts.columns == COLUMNS
    assert forecasts.height == 12 * 2 * 4
    assert forecasts.schema["cutoff"] == forecasts.schema["ds"] == pl.Date
    numbers = forecasts.select(COLUMNS[4:9]).to_numpy()
    assert (numbers[:, 1:] >= numbers[:, :-1]).all()
    assert numbers.min() >= 0
    assert forecasts.null_count().to_numpy().sum() == 0


def test_scores_are_told_as_a_whole_and_by_class(file: Path) -> None:
    found = said(file, *OPTIONS)
    assert set(found["overall"]) == MEASURES
    assert set(found["by_class"]) == {"smooth", "erratic", "intermittent", "lumpy"}
    assert all(scores is None or set(scores) == MEASURES for scores in found["by_class"].values())
    assert sum(scores["rows"] for scores in found["by_class"].values() if scores) == found["overall"]["rows"] == 96
    assert found["cpu_seconds"] > 0
    assert found["series"] == 12
    assert found["forecasts"] is None


def test_csv_and_workbooks_are_read_as_parquet_is(file: Path, sales: pl.DataFrame, tmp_path: Path) -> None:
    expected = said(file, *OPTIONS)
    sales.write_csv(tmp_path / "sales.csv")
    moments = sales.with_columns(pl.col("ds").cast(pl.Datetime("ns")))
    moments.write_parquet(tmp_path / "moments.parquet")
    moments.write_csv(tmp_path / "moments.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    sales.write_excel(tmp_path / "sales.xlsx")
    for name in ("sales.csv", "moments.csv", "moments.parquet", "sales.xlsx"):
        found = said(tmp_path / name, *OPTIONS)
        assert found["overall"] == expected["overall"], name


def test_the_same_seed_writes_the_same_bytes(file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        said(file, *OPTIONS, "--seed", 3, "--out", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_days_and_a_country_are_taken(tmp_path: Path) -> None:
    table_of(panel_of(invented_demand(3, 120, seed=2), "D")).write_csv(tmp_path / "days.csv")
    found = said(tmp_path / "days.csv", "--freq", "D", "--horizon", 14, "--origins", 2, "--step", 7, "--country", "FR")
    assert found["overall"]["rows"] == 3 * 2 * 14


def test_a_person_sees_a_table(file: Path) -> None:
    result = CliRunner().invoke(cli.app, ["forecast", "evaluate", str(file), *OPTIONS])
    assert result.exit_code == 0, result.output
    for words in ("overall", "lumpy", "WAPE", "80 % holds", "12 series, 96 forecasts scored", "CPU seconds"):
        assert words in result.output


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("unique_id,ds\na,2026-01-05\n", (), ("lacks the column y", "unique_id, ds and y")),
        ("unique_id,ds,y\na,2026-01-05,-3\n", (), ("y is no number of 0 or more",)),
        ("unique_id,ds,y\na,05.01.2026,3\n", (), ("ds must be dates (2026-11-23)",)),
        ("unique_id,ds,y\na,2026-01-06,3\n", (), ("not a day that weeks of W-MON",)),
        ("unique_id,ds,y\na,2026-01-05,3\na,2026-01-12,3\n", (), ("longer history",)),
        ("unique_id,ds,y\na,2026-01-05,3\n", ("--freq", "Q"), ("freq 'Q' is not known",)),
        ("unique_id,ds,y\na,2026-01-05,3\n", ("--country", "XX"), ("XX",)),
        ("unique_id,ds,y\na,2026-01-05,3,4\n", (), ("another number of cells",)),
        ("", (), ("is empty",)),
        (None, (), ("is not a file",)),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_sentence_and_exit_code_1(
    content: str | None,
    options: tuple[str, ...],
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sales.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    out = tmp_path / "out.parquet"
    monkeypatch.setattr("sys.argv", ["luxauto", "forecast", "evaluate", str(path), *options, "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    told = " ".join(capsys.readouterr().err.split())
    for some in words:
        assert some in told
    assert "Traceback" not in told
    assert not out.exists()
