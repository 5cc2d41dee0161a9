"""`luxauto experiment` as a person or a script runs it. Does not belong here: whether its numbers are right."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.marketing.experiments.assignment import assign, split
from assets.marketing.experiments.errors import ExperimentError
from luxauto_pipelines import cli
from resources.tables import UnreadableTable


def luxauto(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["experiment", *map(str, arguments)])


def said(*arguments: object) -> Any:
    result = luxauto(*arguments, "--format", "json")
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout)


def shown(*arguments: object) -> str:
    result = luxauto(*arguments)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result.stdout


def refused(*arguments: object, kind: type[Exception] = ExperimentError) -> str:
    result = luxauto(*arguments)
    assert isinstance(result.exception, kind), f"{result.output} {result.exception!r}"
    return str(result.exception)


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    n = 6000
    arm = np.repeat(["none", "mail", "letter"], n // 3)
    visit = rng.random(n) < 0.1 + 0.08 * (arm == "mail")
    return pl.DataFrame(
        {
            "customer": np.arange(n),
            "arm": arm,
            "visit": visit.astype(int),
            "spend": np.where(visit, rng.gamma(2, 40, n), 0.0).round(2),
            "unsubscribed": (rng.random(n) < 0.004).astype(int),
            "before": rng.gamma(2, 50, n).round(2),
        }
    )


@pytest.fixture(scope="module")
def file(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "mail.csv"
    table.write_csv(path)
    return path


def asked(file: Path, *more: object) -> tuple[object, ...]:
    return ("analyze", file, "--arm", "arm", "--control", "none", "--metrics", "visit,spend", *more)


def test_the_answer_has_arms_comparisons_sample_ratio_and_a_decision(file: Path, table: pl.DataFrame) -> None:
    found = said(*asked(file, "--guardrails", "unsubscribed", "--covariate", "before", "--unit", "customer"))
    assert found["sample_ratio"]["verdict"] == "ok"
    assert found["sample_ratio"]["observed"] == {"none": 2000, "letter": 2000, "mail": 2000}
    spend = table.filter(pl.col("arm") == "mail")["spend"]
    arm = found["metrics"]["spend"]["arms"]["mail"]
    low, high = arm.pop("ci")
    assert arm == pytest.approx({"n": 2000, "mean": spend.mean(), "variance": spend.var()})
    assert low < arm["mean"] < high
    mail = found["metrics"]["visit"]["comparisons"]["mail"]
    assert mail["ci"][0] < mail["effect"] < mail["ci"][1]
    assert mail["always_valid_ci"][0] < mail["ci"][0]
    assert mail["p"] < mail["p_adjusted"] < 1e-6
    assert mail["relative_effect"] == pytest.approx(mail["effect"] / found["metrics"]["visit"]["arms"]["none"]["mean"])
    assert (mail["decision"], mail["test"], "z" in mail) == ("better", "pooled z, Newcombe", True)
    assert "t" in found["metrics"]["spend"]["comparisons"]["letter"]
    guardrail = found["metrics"]["unsubscribed"]
    assert guardrail["role"] == "guardrail" and guardrail["comparisons"]["mail"]["p_harm"] > 0.05
    assert found["metrics"]["spend"]["cuped"]["applied"] is False
    assert (found["decision"]["action"], found["decision"]["arm"]) == ("roll_out", "mail")
    assert found["sentences"][-1] == "Roll out mail: mail is better than none on visit."


def test_people_get_a_table_and_sentences(file: Path) -> None:
    told = shown(*asked(file))
    assert "Beside none" in told and "relative" in told
    assert re.search(r"mail: visit \d+\.\d\d% against", told)
    assert told.rstrip().endswith("Roll out mail: mail is better than none on visit.")


def test_parquet_and_workbooks_say_what_csv_says(file: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    expected = said(*asked(file))
    table.write_parquet(tmp_path / "mail.parquet")
    table.write_excel(tmp_path / "mail.xlsx")
    for name in ("mail.parquet", "mail.xlsx"):
        found = said(*asked(tmp_path / name))
        assert found["decision"]["inputs_hash"] == expected["decision"]["inputs_hash"], name


def test_a_look_is_held_to_its_bound(file: Path) -> None:
    found = said(*asked(file, "--looks", 5, "--look", 2, "--planned", 15_000))
    assert found["bound"] == pytest.approx(3.357, abs=1e-3)
    assert (found["planned_units"], found["planned_units_given"]) == (15_000, True)
    once = said(*asked(file))["metrics"]["visit"]["comparisons"]["mail"]
    look = found["metrics"]["visit"]["comparisons"]["mail"]
    assert look["ci"][0] < once["ci"][0] and look["p"] == once["p"] < look["p_over_looks"]


def test_metrics_may_be_given_several_times_and_their_kind_said(file: Path) -> None:
    found = said("analyze", file, "--arm", "arm", "--control", "none", "--metrics", "visit", "--metrics", "spend")
    assert list(found["metrics"]) == ["visit", "spend"]
    found = said(*asked(file, "--kind", "visit=continuous", "--correction", "none", "--winsorise", 0.999))
    comparison = found["metrics"]["visit"]["comparisons"]["mail"]
    assert comparison["test"] == "Welch" and comparison["p_adjusted"] == comparison["p"]
    assert found["metrics"]["spend"]["winsorised_units"] == 6


def test_a_decision_replays_until_somebody_changes_it(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_text(shown(*asked(file, "--format", "json")))
    assert "give the same decision: roll_out mail" in shown("replay", path)
    answer = json.loads(path.read_text())
    assert said("replay", path)["inputs_hash"] == answer["decision"]["inputs_hash"]
    answer["decision"]["arm"] = "letter"
    path.write_text(json.dumps(answer))
    assert "somebody changed it since" in refused("replay", path)
    path.write_text("{")
    assert "is no JSON" in refused("replay", path)
    assert "is not a file" in refused("replay", tmp_path / "none.json")


def test_what_is_wrong_with_a_table_is_named(file: Path, table: pl.DataFrame, tmp_path: Path) -> None:
    assert "column 'arm' has no 'nobody'" in refused(*asked(file, "--control", "nobody"))
    assert "there is no column 'sales'" in refused(*asked(file, "--guardrails", "sales"))
    assert "--kind 'visit' is not understood. Write NAME=VALUE." in refused(*asked(file, "--kind", "visit"))
    assert "--shares 'none=much' is not understood" in refused(*asked(file, "--shares", "none=much"))
    path = tmp_path / "broken.csv"
    path.write_text("arm,visit,spend\nnone,1,\nnone,0,2\nmail,0,3\nmail,1,0\n")
    assert "column 'spend' is empty in 1 rows, first in row 1" in refused(*asked(path))
    path.write_text("arm,visit,spend\nnone,1,1\nmail,0\n")
    assert "1 rows with more or fewer cells than its header, first row 2" in refused(*asked(path))
    path.write_text("arm,visit,spend\n")
    assert "the table has no rows" in refused(*asked(path))
    path.write_text("")
    assert "is empty" in refused(*asked(path), kind=UnreadableTable)
    assert "is not a file" in refused(*asked(tmp_path / "none.csv"), kind=UnreadableTable)


def test_the_program_says_an_error_in_one_line_and_exits_with_one(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["luxauto", "experiment", *map(str, asked(file, "--control", "nobody"))])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 1
    told = capsys.readouterr()
    assert told.err.startswith("error: column 'arm' has no 'nobody'") and not told.out


def test_empty_cells_may_be_zeros(table: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    table.with_columns(spend=pl.when(pl.col("visit") == 1).then("spend")).write_csv(path)
    assert "--empty zero" in refused(*asked(path))
    assert said(*asked(path, "--empty", "zero"))["metrics"]["spend"]["arms"]["none"]["n"] == 2000


def test_sizes_are_planned_for_one_look_for_several_and_for_a_list(tmp_path: Path) -> None:
    prior = ("--list", 100_000, "--prior-mean", 0.02, "--prior-sd", 0.003)
    found = said("plan", "--baseline", 0.02, "--effect", 0.004, *prior)
    assert found["fixed"]["n_per_arm"] == 21_109
    assert [round(look["bound"], 3) for look in found["sequential"]["looks"]] == [4.877, 3.357, 2.680, 2.290, 2.031]
    assert found["sequential"]["n_per_arm"] > 21_109 > found["sequential"]["expected_n_per_arm"]
    assert found["test_and_roll"]["n_per_arm"] == 5924
    told = shown("plan", "--baseline", 0.02, "--effect", 0.004, *prior)
    assert "Looked at once: 21,109 people per arm." in told and "test 5,924 people per arm" in told
    assert said("plan", "--sd", 10, "--effect", 1)["fixed"]["n_per_arm"] == 1570
    past = tmp_path / "past.csv"
    past.write_text("n,conversions\n5000,150\n5000,250\n5000,350\n")
    prior = said("plan", "--list", 10_000, "--past", past)["test_and_roll"]["prior"]
    assert prior["mean"] == pytest.approx(0.05, abs=0.001) and prior["sd"] == pytest.approx(0.02, abs=0.002)


def test_a_plan_without_what_it_needs_is_refused(tmp_path: Path) -> None:
    assert "say what to plan" in refused("plan")
    assert "either --baseline" in refused("plan", "--effect", 0.1)
    assert "needs a prior" in refused("plan", "--list", 1000, "--prior-mean", 0.1)
    past = tmp_path / "past.csv"
    past.write_text("n,sales\n1,1\n")
    assert "has no column conversions" in refused("plan", "--list", 1000, "--past", past)


def test_arms_are_drawn_and_the_same_ones_again(file: Path, tmp_path: Path) -> None:
    people, out = tmp_path / "people.parquet", tmp_path / "drawn.parquet"
    pl.read_csv(file).select("customer", "before").write_parquet(people)
    options = ("--unit", "customer", "--salt", "autumn", "--arms", "none=1,mail=2", "--holdout", 0.1, "--out", out)
    found = said("assign", people, *options)
    drawn = pl.read_parquet(out)
    assert drawn.columns == ["customer", "before", "arm"]
    division = split("autumn", {"none": 1, "mail": 2}, holdout_share=0.1)
    assert drawn["arm"].to_list() == [assign(division, unit) for unit in range(6000)]
    assert sum(found["units"].values()) == found["rows"] == 6000
    before = out.read_bytes()
    shown("assign", people, *options)
    assert out.read_bytes() == before
    assert "there is no column 'id'" in refused("assign", people, *options, "--unit", "id")
    assert "has a column 'arm' already" in refused("assign", file, *options)


def test_factors_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    subject, picture = rng.choice(["plain", "name"], 4000), rng.choice(["bag", "coat"], 4000)
    path = tmp_path / "factors.parquet"
    pl.DataFrame(
        {"subject": subject, "picture": picture, "visit": rng.random(4000) < 0.2 + 0.2 * (subject == "name")}
    ).write_parquet(path)
    asked = ("factors", path, "--factors", "subject,picture", "--metric", "visit", "--first", "subject=plain")
    found = {one["name"]: one for one in said(*asked)["contrasts"]}
    assert found["subject=name"]["effect"] == pytest.approx(0.2, abs=0.04)
    assert found["subject=name × picture=coat"]["p_adjusted"] > 0.01
    assert "subject=name × picture=coat" in shown(*asked)
