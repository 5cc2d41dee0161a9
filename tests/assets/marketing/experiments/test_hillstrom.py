"""A retailer's real e-mail test (64,000 customers, two mails and none) against answers that were computed elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from assets.marketing.experiments.analysis import Analysis, Plan, analyse
from assets.marketing.experiments.decisions import Judged, replay

MEN, WOMEN, NONE = "Mens E-Mail", "Womens E-Mail", "No E-Mail"
GOALS = ("visit", "conversion", "spend")


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    file = Path(__file__).parents[5] / "shared" / "data" / "hillstrom_email.parquet"
    if not file.is_file():
        pytest.skip(f"needs the public data set {file}")
    return pl.read_parquet(file)


@pytest.fixture(scope="module")
def analysis(table: pl.DataFrame) -> Analysis:
    return analyse(table, Plan("segment", NONE, GOALS, covariate="history"))


def of(analysis: Analysis, metric: str, arm: str) -> Judged:
    return next(one for one in analysis.judged if (one.metric, one.arm) == (metric, arm))


def test_the_arms_are_as_they_were_drawn(analysis: Analysis) -> None:
    assert analysis.units == {NONE: 21_306, MEN: 21_307, WOMEN: 21_387}
    assert analysis.ratio.p == pytest.approx(0.904, abs=5e-4)
    assert analysis.ratio.verdict == "ok"


@pytest.mark.parametrize(
    ("metric", "arm", "effect", "low", "high"),
    [
        ("visit", MEN, 0.076590, 0.069953, 0.083227),
        ("visit", WOMEN, 0.045233, 0.038894, 0.051574),
        ("spend", MEN, 0.76983, 0.48514, 1.05451),
        ("spend", WOMEN, 0.42441, 0.16896, 0.67987),
    ],
)
def test_effects_and_intervals(
    analysis: Analysis, metric: str, arm: str, effect: float, low: float, high: float
) -> None:
    found = of(analysis, metric, arm).comparison
    places = 6 if metric == "visit" else 5
    assert [round(number, places) for number in (found.effect, found.low, found.high)] == [effect, low, high]


def test_statistics_and_p_values(analysis: Analysis) -> None:
    assert of(analysis, "visit", MEN).comparison.statistic == pytest.approx(22.486, abs=5e-4)
    assert of(analysis, "visit", MEN).comparison.p > 0
    assert of(analysis, "conversion", MEN).comparison.effect == pytest.approx(0.0068050, abs=5e-8)
    assert of(analysis, "conversion", WOMEN).comparison.effect == pytest.approx(0.0031111, abs=5e-8)
    assert of(analysis, "conversion", MEN).comparison.p == pytest.approx(1.52e-13, rel=5e-3)
    assert of(analysis, "conversion", WOMEN).comparison.p == pytest.approx(1.57e-4, rel=5e-3)
    assert of(analysis, "spend", MEN).comparison.p == pytest.approx(1.1638e-7, rel=5e-5)
    assert of(analysis, "spend", WOMEN).comparison.p == pytest.approx(1.129e-3, rel=5e-4)


def test_scipy_says_the_same_to_a_millionth(table: pl.DataFrame, analysis: Analysis) -> None:
    by_arm = {arm: table.filter(pl.col("segment") == arm) for arm in (MEN, WOMEN, NONE)}
    for arm in (MEN, WOMEN):
        theirs: Any = stats.ttest_ind(by_arm[arm]["spend"], by_arm[NONE]["spend"], equal_var=False)
        ours = of(analysis, "spend", arm).comparison
        assert (ours.statistic, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-6)
        for metric in ("visit", "conversion"):
            counts = np.array([[by_arm[a][metric].sum(), (1 - by_arm[a][metric]).sum()] for a in (arm, NONE)])
            chi: Any = stats.chi2_contingency(counts, correction=False)
            ours = of(analysis, metric, arm).comparison
            assert ours.statistic**2 == pytest.approx(chi.statistic, rel=1e-6)
            assert ours.p == pytest.approx(chi.pvalue, rel=1e-6)


def test_what_was_spent_before_tells_too_little_for_cuped(analysis: Analysis) -> None:
    for metric in analysis.metrics:
        assert metric.cuped is not None and not metric.cuped.applied
        assert abs(metric.cuped.correlation or 0) < 0.1


def test_the_mens_mail_is_rolled_out_and_the_decision_replays(analysis: Analysis) -> None:
    assert (analysis.decision.action, analysis.decision.arm) == ("roll_out", MEN)
    assert replay(analysis.decision) == analysis.decision


def test_beside_the_womens_mail_the_mens_is_better_too(table: pl.DataFrame) -> None:
    mails = table.filter(pl.col("segment") != NONE)
    found = analyse(mails, Plan("segment", WOMEN, ["spend"]))
    assert found.judged[0].comparison.statistic == pytest.approx(2.164, abs=5e-4)


def test_two_halves_of_those_without_mail_are_not_told_apart(table: pl.DataFrame) -> None:
    rest = table.filter(pl.col("segment") == NONE)
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(200):
        halves = rest.with_columns(arm=pl.Series(rng.permutation(rest.height) % 2).cast(pl.String))
        found += analyse(halves, Plan("arm", "0", ["spend"])).decision.action == "roll_out"
    # 2.5 % on the better side: 5 of 200, and 12 or more once in 200 runs.
    assert found <= 12


def test_winsorising_and_the_channel_as_a_covariate_change_no_decision(table: pl.DataFrame) -> None:
    found = analyse(table, Plan("segment", NONE, GOALS, winsorise=0.999, covariate="recency"))
    spend = next(metric for metric in found.metrics if metric.name == "spend")
    assert spend.cap == pytest.approx(np.quantile(table["spend"].to_numpy(), 0.999))
    assert 0 < spend.capped <= 64
    assert found.decision.arm == MEN
