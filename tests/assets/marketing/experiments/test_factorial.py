"""Main effects and interactions against a saturated regression."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import t as student

from assets.marketing.experiments.comparisons import Summary, compare_means, summary_of
from assets.marketing.experiments.errors import ExperimentError
from assets.marketing.experiments.factorial import Cell, factorial

FACTORS = {"subject": ["plain", "name"], "picture": ["none", "bag", "coat"], "hour": ["10", "18"]}


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    """Cells of unlike sizes and variances; a name is worth 2, and 3 more beside a coat."""
    rng = np.random.default_rng(4)
    parts = []
    for n, (subject, picture, hour) in enumerate(itertools.product(*FACTORS.values())):
        size = 60 + 25 * n
        mean = 10 + 2 * (subject == "name") + 3 * (subject == "name" and picture == "coat")
        y = rng.normal(mean, 1 + n / 3, size)
        parts.append(pd.DataFrame({"subject": subject, "picture": picture, "hour": hour, "y": y}))
    return pd.concat(parts)


def cells_of(units: pd.DataFrame) -> dict[Cell, Summary]:
    names = list(FACTORS)
    return {
        tuple(str(level) for level in key): summary_of(part["y"].to_numpy())
        for key, part in units.groupby(names)
        if isinstance(key, tuple)
    }


def test_effects_and_errors_are_those_of_a_saturated_regression(units: pd.DataFrame) -> None:
    found = {one.name: one for one in factorial(FACTORS, cells_of(units))}
    # Levels are coded so that each coefficient is a difference to the first level, averaged over the other factors.
    coded = units.assign(
        s=(units["subject"] == "name") - 0.5,
        b=(units["picture"] == "bag") - 1 / 3,
        c=(units["picture"] == "coat") - 1 / 3,
        h=(units["hour"] == "18") - 0.5,
    )
    fitted = smf.ols("y ~ s * (b + c) * h", coded).fit(cov_type="HC2")
    for name, term in {
        "subject=name": "s",
        "picture=bag": "b",
        "picture=coat": "c",
        "hour=18": "h",
        "subject=name × picture=bag": "s:b",
        "subject=name × picture=coat": "s:c",
        "subject=name × hour=18": "s:h",
        "picture=bag × hour=18": "b:h",
        "picture=coat × hour=18": "c:h",
    }.items():
        assert found[name].effect == pytest.approx(fitted.params[term], rel=1e-9), name
        assert found[name].standard_error == pytest.approx(fitted.bse[term], rel=1e-9), name
    assert len(found) == 9
    assert found["subject=name × picture=coat"].p_adjusted < 0.01
    assert found["subject=name"].effect == pytest.approx(3, abs=0.5)


def test_an_interval_and_p_belong_to_each_other(units: pd.DataFrame) -> None:
    for one in factorial(FACTORS, cells_of(units), alpha=0.1, correction="none"):
        assert one.low < one.effect < one.high
        assert (one.p < 0.1) == (one.low > 0 or one.high < 0)
        assert one.p == pytest.approx(2 * student.sf(abs(one.t), one.df))
        assert one.p_adjusted == one.p


def test_with_nothing_else_varied_at_all_a_main_effect_is_welchs() -> None:
    # The second factor changes nothing but has its own cells: with equal cells, pooled or not, the effect is the same.
    one, other = Summary(50, 4.0, 9.0), Summary(80, 5.5, 16.0)
    cells = {("a", "x"): one, ("a", "y"): one, ("b", "x"): other, ("b", "y"): other}
    found = {c.name: c for c in factorial({"f": ["a", "b"], "g": ["x", "y"]}, cells)}
    single = compare_means(other, one)
    assert found["f=b"].effect == single.effect
    assert found["f=b"].standard_error == pytest.approx(single.standard_error / np.sqrt(2))
    assert found["g=y"].effect == found["f=b × g=y"].effect == 0


def test_a_missing_cell_is_named() -> None:
    cells = {("a", "x"): Summary(5, 1.0, 1.0), ("a", "y"): Summary(5, 1.0, 1.0), ("b", "x"): Summary(5, 1.0, 1.0)}
    with pytest.raises(ExperimentError, match="nobody has f=b, g=y"):
        factorial({"f": ["a", "b"], "g": ["x", "y"]}, cells)
    with pytest.raises(ExperimentError, match="factor 'g' has only the level x"):
        factorial({"f": ["a", "b"], "g": ["x"]}, cells)
    with pytest.raises(ExperimentError, match="do not vary"):
        factorial({"f": ["a", "b"]}, {("a",): Summary(5, 1.0, 0.0), ("b",): Summary(5, 2.0, 0.0)})
