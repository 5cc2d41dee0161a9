"""`luxauto attribution` as a person or a script runs it, from files. Does not belong here: the models' own numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from assets.marketing.attribution.errors import AttributionError
from luxauto_pipelines import cli

PATHS = """Path,Conversions,Conversion value,Null paths,Returns
a > b > c > a,1,12.00,0,2.00
b>c,1,5.01,1,
a,0,0,1,
"""
TOUCHES = """customer,time,channel,conversion,value
x,2026-01-08 10:00,b,1,3.00
x,2026-01-01 10:00,a,0,0
x,2026-01-09 10:00,b,0,0
y,2026-01-01 10:00,a,0,0
z,2026-01-01 10:00,,1,7.00
"""
HOLDOUTS = "channel,treated_n,treated_conversions,holdout_n,holdout_conversions\na,1000,100,500,30\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUXAUTO_HOME", str(tmp_path / "home"))


def luxauto(folder: Path, content: str, *arguments: object) -> Result:
    file = folder / "journeys.csv"
    file.write_text(content, encoding="utf-8")
    return CliRunner().invoke(cli.app, ["attribution", str(file), *map(str, arguments)])


def said(folder: Path, content: str, *arguments: object) -> Any:
    result = luxauto(folder, content, *arguments, "--format", "json")
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout)


def test_returns_are_taken_off_and_every_model_sums_to_what_is_left(tmp_path: Path) -> None:
    found = said(tmp_path, PATHS)
    assert (found["value"], found["returned_value"], found["conversions"], found["null_paths"]) == (15.01, 2.0, 2, 2)
    assert found["conversion_rate"] == pytest.approx(0.5)
    assert found["settings"]["time_decay"]["by"] == "position"
    assert len(found["models"]) == 7
    for model in found["models"].values():
        assert sum(round(one["value"] * 100) for one in model["channels"].values()) == 1501


def test_touches_are_put_in_order_of_time_and_a_purchase_ends_a_journey(tmp_path: Path) -> None:
    found = said(tmp_path, TOUCHES)
    assert (found["journeys"], found["conversions"], found["null_paths"]) == (3, 1, 2)
    assert found["without_touch"] == {"conversions": 1, "value": 7.0}
    decayed = found["models"]["time_decay"]["channels"]
    assert (decayed["a"]["value"], decayed["b"]["value"]) == (1.0, 2.0)
    assert said(tmp_path, TOUCHES, "--window", 3)["models"]["first"]["channels"]["b"]["value"] == 3.0


def test_a_currency_without_cents_is_shared_out_in_whole_units(tmp_path: Path) -> None:
    found = said(tmp_path, "path,conversions,value\na > b > c,1,100\n", "--currency", "JPY")
    assert [one["value"] for one in found["models"]["linear"]["channels"].values()] == [34, 33, 33]


def test_a_holdout_calibrates_credit_by_the_share_that_would_not_have_come_by_itself(tmp_path: Path) -> None:
    holdouts = tmp_path / "holdouts.csv"
    holdouts.write_text(HOLDOUTS, encoding="utf-8")
    found = said(tmp_path, PATHS, "--holdout", holdouts)
    shown = found["incremental"]["a"]
    assert shown["conversions"] == pytest.approx(40)
    low, high = shown["conversions_ci"]
    assert 0 < low < 40 < high
    assert shown["ratio"] == pytest.approx(0.4)
    first = found["models"]["first"]["channels"]
    assert (first["a"]["value"], first["a"]["calibrated_value"]) == (10.0, 4.0)
    assert first["b"]["calibrated_value"] is None


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ("path,conversions\na > b,0\n", (), "no conversions"),
        ("path,conversions,value\na,1,-3\n", (), "row 1: value is negative"),
        ("path,conversions\na > > b,1\n", (), "empty step"),
        ("path,conversions\na,1\n,1\n", (), "empty step"),
        ("path,conversions\na,1.5\n", (), "whole number"),
        ("path,conversions\na,many\n", (), "'many' is no number"),
        ("path,conversions,value,returns\na,1,3,4\n", (), "more was returned"),
        ("road,conversions\na,1\n", (), "neither paths"),
        ("road,conversions\na,1\n", ("--column", "path=way"), "no column 'way'"),
        ("customer,time,channel,conversion\nx,noon,a,1\n", (), "is no time"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(
    tmp_path: Path, content: str, arguments: tuple[str, ...], words: str
) -> None:
    error = luxauto(tmp_path, content, *arguments).exception
    assert isinstance(error, AttributionError), repr(error)
    assert words in str(error)
