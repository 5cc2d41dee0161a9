"""Tables that can be analysed, and what is said of those that cannot."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.marketing.experiments.analysis import Plan, analyse, analyse_factors, numbers
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.sentences import sentences


def table(n: int = 4000, lift: float = 0.06, seed: int = 1) -> pl.DataFrame:
    """Two arms: whether people bought, what they spent, whether they unsubscribed, and what they spent before."""
    rng = np.random.default_rng(seed)
    arm = np.repeat(["control", "mail"], n // 2)
    before = rng.gamma(2, 50, n)
    bought = rng.random(n) < 0.1 + lift * (arm == "mail")
    return pl.DataFrame(
        {
            "id": np.arange(n),
            "arm": arm,
            "bought": bought.astype(int),
            "spend": bought * rng.gamma(2, 60, n) + before / 3 + rng.normal(0, 3, n),
            "unsubscribed": rng.random(n) < 0.01,
            "before": before,
        }
    )


def plan(**changed: Any) -> Plan:
    return Plan(**{"arm": "arm", "control": "control", "goals": ["bought", "spend"], **changed})


def test_kinds_are_detected_and_may_be_said() -> None:
    found = analyse(table(), plan(guardrails=["unsubscribed"]))
    assert [(metric.name, metric.kind) for metric in found.metrics] == [
        ("bought", "binary"),
        ("spend", "continuous"),
        ("unsubscribed", "binary"),
    ]
    said = analyse(table(), plan(kinds={"bought": "continuous"}))
    assert said.judged[0].comparison.statistic_name == "t"
    assert found.judged[0].comparison.statistic_name == "z"


def test_numbers_in_text_are_the_same_numbers() -> None:
    rows = table()
    text = rows.with_columns(pl.exclude("arm").cast(pl.String))
    assert text["unsubscribed"][0] in ("true", "false")
    one, other = (analyse(each, plan(guardrails=["unsubscribed"])) for each in (rows, text))
    assert one.decision == other.decision


def test_a_covariate_narrows_the_interval_and_leaves_the_means_shown() -> None:
    without, with_it = analyse(table(), plan()), analyse(table(), plan(covariate="before"))
    assert with_it.judged[1].comparison.standard_error < 0.99 * without.judged[1].comparison.standard_error
    assert with_it.metrics[1].summaries == without.metrics[1].summaries
    assert with_it.metrics[1].cuped is not None and with_it.metrics[1].cuped.applied
    assert any("CUPED applied" in line for line in sentences(with_it))


def test_sentences_tell_the_units_the_differences_and_what_to_do() -> None:
    told = sentences(analyse(table(), plan(guardrails=["unsubscribed"], looks=4, look=2)))
    assert told[0].startswith("Units: control 2,000, mail 2,000; as they were drawn")
    assert re.search(r"^mail: bought \d+\.\d\d% against .* of control, a difference of \+\d.\d\d points", told[1])
    assert any("This is look 2 of 4: it decides from |z| = 2.963 on" in line for line in told)
    assert "no harm is shown" in told[3]
    assert told[-1] == "Roll out mail: mail is better than control on bought."


def test_a_blocked_experiment_says_so() -> None:
    rows = table().filter((pl.col("arm") == "control") | (pl.col("id") % 5 != 0))
    found = analyse(rows, plan())
    assert found.decision.action == "blocked"
    told = sentences(found)
    assert "NOT what was drawn" in told[0] and told[-1].startswith("Decide nothing")
    assert analyse(rows, plan(shares={"control": 5, "mail": 4})).decision.action == "roll_out"


def test_planned_units_tune_the_interval_that_may_be_watched() -> None:
    narrow, wide = (analyse(table(), plan(planned=planned)).judged[0] for planned in (4000, 400_000))
    assert narrow.high_always - narrow.low_always < wide.high_always - wide.low_always
    assert analyse(table(), plan(looks=4, look=1)).inputs.planned == 16_000


def test_empty_cells_are_zero_only_where_that_is_said() -> None:
    rows = table().with_columns(spend=pl.when(pl.col("bought") == 1).then("spend"))
    with pytest.raises(
        ExperimentError, match=r"column 'spend' is empty in [\d,]+ rows, first in row 1\. .*--empty zero"
    ):
        analyse(rows, plan())
    assert analyse(rows, plan(empty="zero")).metrics[1].summaries["control"].n == 2000
    assert numbers(pl.DataFrame({"x": ["1", " ", None]}), "x", "zero").tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.head(0), {}, "the table has no rows"),
        (lambda t: t, {"arm": "group"}, "there is no column 'group'. The table has: id, arm"),
        (lambda t: t, {"goals": ["sales"]}, "there is no column 'sales'"),
        (lambda t: t, {"covariate": "age"}, "there is no column 'age'"),
        (lambda t: t, {"goals": []}, "no metric is named"),
        (lambda t: t, {"control": "none"}, "column 'arm' has no 'none'. Its arms are 'control', 'mail'"),
        (lambda t: t.filter(pl.col("arm") == "control"), {}, "only the arm 'control'"),
        (lambda t: t.head(2001), {}, "arm 'mail' has 1 row; two are needed"),
        (lambda t: t.with_columns(arm=pl.col("id").cast(pl.String)), {}, "4,000 different values, which are no arms"),
        (
            lambda t: t.with_columns(arm=pl.when(pl.col("id") != 5).then("arm")),
            {},
            "'arm' is empty in 1 rows, first in row 6",
        ),
        (
            lambda t: t.with_columns(spend=pl.format("${}", "spend")),
            {},
            "column 'spend' holds '$",
        ),
        (
            lambda t: t.with_columns(spend=pl.when(pl.col("id") == 8).then(float("inf")).otherwise("spend")),
            {},
            "column 'spend' holds inf in row 9",
        ),
        (
            lambda t: t.with_columns(spend=pl.when(pl.col("id") == 8).then(float("nan")).otherwise("spend")),
            {},
            "column 'spend' holds nan in row 9",
        ),
        (lambda t: t.with_columns(spend=pl.date(2026, 1, 1)), {}, "column 'spend' holds Date"),
        (lambda t: t, {"kinds": {"spend": "binary"}}, "column 'spend' is said to be binary, but holds"),
        (lambda t: t, {"kinds": {"before": "binary"}}, "'before' is none of the metrics"),
        (lambda t: t, {"lower_is_better": ["sales"]}, "'sales' is none of the metrics"),
        (lambda t: t, {"guardrails": ["spend"]}, "column 'spend' is named twice"),
        (lambda t: t, {"covariate": "spend"}, "column 'spend' is a metric and the arm, unit or covariate"),
        (lambda t: t, {"unit": "bought"}, "column 'bought' is a metric and the arm, unit or covariate"),
        (lambda t: t.vstack(t.head(1)), {"unit": "id"}, "column 'id' has '0' more than once (2 rows)"),
        (lambda t: t, {"looks": 3, "look": 4}, "look 4 is not one of the 3"),
        (lambda t: t, {"shares": {"control": 1}}, "arm 'mail' has no intended share"),
        (lambda t: t, {"alpha": 0.0}, "alpha is 0.0"),
        (lambda t: t, {"winsorise": 99.9}, "winsorising at 99.9"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(change: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=re.escape(message)) as caught:
        analyse(change(table()), plan(**options))
    assert str(caught.value).rstrip().endswith(".")


def test_rows_are_numbered_as_in_their_file() -> None:
    rows = pl.DataFrame({"row_number": [3, 7], "x": ["1", "many"]})
    with pytest.raises(ExperimentError, match="holds 'many' in row 7"):
        numbers(rows, "x")


def test_factors_are_read_from_their_columns() -> None:
    rng = np.random.default_rng(1)
    subject, picture = rng.choice(["plain", "name"], 6000), rng.choice(["bag", "coat"], 6000)
    rows = pl.DataFrame(
        {"subject": subject, "picture": picture, "y": rng.normal(0, 1, 6000) + 0.5 * (subject == "name")}
    )
    cells, contrasts = analyse_factors(rows, ["subject", "picture"], "y", first={"subject": "plain"})
    assert sum(cell.n for cell in cells.values()) == 6000
    found = {one.name: one for one in contrasts}
    assert set(found) == {"subject=name", "picture=coat", "subject=name × picture=coat"}
    assert found["subject=name"].effect == pytest.approx(0.5, abs=0.1)
    assert found["subject=name"].p_adjusted < 1e-6
    with pytest.raises(ExperimentError, match="has no level 'loud'"):
        analyse_factors(rows, ["subject", "picture"], "y", first={"subject": "loud"})
    with pytest.raises(ExperimentError, match="not two factors"):
        analyse_factors(rows, ["subject"], "y")
    with pytest.raises(ExperimentError, match="no column 'z'"):
        analyse_factors(rows, ["subject", "picture"], "z")
