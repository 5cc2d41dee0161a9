"""BG/NBD and gamma-gamma against what was published for CDNOW, and against customers that are simulated one by one."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.marketing.segments.errors import SegmentError
from assets.marketing.segments.features import LINES, Features, customer_features
from assets.marketing.segments.predicted_value import BgNbd, GammaGamma, fit_bg_nbd, fit_gamma_gamma

PUBLISHED = BgNbd(0.2426, 4.4136, 0.7930, 2.4259)
CALIBRATED_UNTIL = date(1997, 9, 30)
SAMPLE = Path(__file__).with_name("cdnow_sample_ids.txt").read_text().split()


def lines_of(purchases: pl.DataFrame) -> pl.DataFrame:
    return (
        purchases.with_row_index("order_id")
        .select(
            customer="customer_id",
            day="date",
            order_id="order_id",
            channel=pl.lit("web"),
            country=pl.lit("US"),
            kind=pl.lit("goods"),
            sku=pl.lit("cd"),
            quantity="quantity",
            base_amount_minor=(pl.col("spend") * 100).round(),
        )
        .cast(pl.Schema(LINES))
    )


@pytest.fixture(scope="module")
def purchases() -> pl.DataFrame:
    file = Path(__file__).parents[5] / "shared" / "data" / "cdnow.parquet"
    if not file.is_file():
        pytest.skip(f"needs the public data set {file}")
    return pl.read_parquet(file)


@pytest.fixture(scope="module")
def calibrated(purchases: pl.DataFrame) -> Features:
    sample = purchases.filter(pl.col("customer_id").is_in(SAMPLE))
    return customer_features(lines_of(sample), CALIBRATED_UNTIL, 2)


def test_the_parameters_are_the_published_ones(calibrated: Features) -> None:
    model, values = calibrated.model, calibrated.value_model
    assert calibrated.frame.height == 2357
    assert model is not None
    assert values is not None
    found = (model.r, model.alpha, model.a, model.b)
    assert found == pytest.approx((0.2426, 4.4136, 0.7930, 2.4259), abs=1e-3)
    assert model.log_likelihood == pytest.approx(-9582.429, abs=1e-3)
    assert (values.p, values.q, values.gamma) == pytest.approx((6.25, 3.74, 15.44), abs=1e-2)


def test_a_customer_is_expected_to_buy_as_published(calibrated: Features) -> None:
    assert calibrated.model is not None
    for model in (PUBLISHED, calibrated.model):
        assert model.expected(39, [2], [30.43], [38.86])[0] == pytest.approx(1.2259, abs=1e-4)


def test_what_the_sample_then_bought_is_near_what_was_expected(calibrated: Features, purchases: pl.DataFrame) -> None:
    assert calibrated.model is not None
    later = purchases.filter(pl.col("customer_id").is_in(SAMPLE) & (pl.col("date") > CALIBRATED_UNTIL))
    bought = later.select("customer_id", "date").unique().height
    ages = (39 - (calibrated.frame["first_order"] - date(1997, 1, 1)).dt.total_days().to_numpy() / 7, 39)
    assert ages[1] == 39
    year = calibrated.frame["predicted_orders_365d"].to_numpy()
    # 39 weeks of the 52, in which customers leave: more than their share of the year.
    assert 39 / 52.14 * year.sum() < 1.15 * bought
    assert year.sum() > bought


def test_the_best_fifth_of_customers_brings_its_published_share(purchases: pl.DataFrame) -> None:
    everyone = customer_features(lines_of(purchases), date(1998, 6, 30), 2).frame.sort("gross_spend", descending=True)
    gross = purchases.group_by("customer_id").agg(pl.col("spend").sum()).sort("spend", descending=True)["spend"]
    fifth, spend = round(gross.len() / 5), everyone["gross_spend"]
    assert float(gross.head(fifth).sum()) / float(gross.sum()) == pytest.approx(0.678, abs=5e-4)
    assert float(spend.head(fifth).sum()) / float(spend.sum()) == pytest.approx(0.678, abs=5e-4)
    best = everyone.filter(pl.col("monetary_score") == 5)
    assert float(best["gross_spend"].sum()) / float(spend.sum()) == pytest.approx(0.678, abs=2e-3)


def histories(model: BgNbd, people: int, generator: np.random.Generator, age: float, ahead: float) -> np.ndarray:
    """x, t_x, purchases ahead and whether alive at `age`, of customers who live as the model says."""
    rows = []
    for _ in range(people):
        rate, leaving = generator.gamma(model.r, 1 / model.alpha), generator.beta(model.a, model.b)
        at, x, t_x, later, alive = 0.0, 0, 0.0, 0, True
        left = False
        while not left:
            at += generator.exponential(1 / rate) if rate > 0 else np.inf
            if at > age + ahead:
                break
            left = generator.random() < leaving
            if at <= age:
                x, t_x, alive = x + 1, at, not left
            else:
                later += 1
        rows.append((x, t_x, later, alive))
    return np.array(rows, dtype=float)


def test_simulated_customers_are_alive_and_buy_as_often_as_is_said() -> None:
    model = BgNbd(0.8, 5.0, 1.2, 3.0)
    x, t_x, later, alive = histories(model, 20_000, np.random.default_rng(4), 40, 30).T
    age = np.full_like(x, 40)
    for busy in (x == 0, (x > 0) & (x < 4), x >= 4):
        error = 4 / np.sqrt(busy.sum())
        expected = model.expected(30, x, t_x, age)[busy]
        assert expected.mean() == pytest.approx(later[busy].mean(), abs=error * max(later[busy].std(), 0.1))
        assert model.p_alive(x, t_x, age)[busy].mean() == pytest.approx(alive[busy].mean(), abs=error / 2)
    found = fit_bg_nbd(x, t_x, age)
    assert (found.r, found.alpha) == pytest.approx((model.r, model.alpha), rel=0.12)


def test_busy_customers_and_a_of_one_do_not_break_the_formula() -> None:
    near, at, beyond = (BgNbd(0.5, 4.0, a, 2.5).expected(52, [3], [20], [30])[0] for a in (0.9999, 1.0, 1.0001))
    assert near > at > beyond
    busy = BgNbd(0.5, 4.0, 0.5, 2.5).expected(52, [900, 9000], [99.9, 99.9], [100, 100])
    assert np.all(np.isfinite(busy))
    assert np.all(busy > 100)


def test_more_weeks_bring_more_and_none_brings_nothing() -> None:
    expected = [PUBLISHED.expected(weeks, [2], [30.43], [38.86])[0] for weeks in (0, 1, 10, 100, 1000)]
    assert expected[0] == 0
    assert expected == sorted(expected)


def test_values_of_simulated_orders_are_found_again() -> None:
    generator, truth = np.random.default_rng(9), GammaGamma(4.0, 5.0, 300.0)
    x = generator.integers(0, 8, 20_000)
    scale = 1 / generator.gamma(truth.q, 1 / truth.gamma, x.size)
    mean = np.where(x > 0, generator.gamma(truth.p * np.maximum(x, 1), scale / np.maximum(x, 1)), np.nan)
    found = fit_gamma_gamma(x, mean)
    assert (found.p, found.q, found.gamma) == pytest.approx((truth.p, truth.q, truth.gamma), rel=0.1)
    # What a customer is expected to spend is, over customers, what they do spend.
    assert found.expected(x, mean).mean() == pytest.approx((truth.p * scale).mean(), rel=0.02)


def test_without_a_mean_of_all_nothing_is_said_of_who_never_came_back() -> None:
    assert np.isnan(GammaGamma(2, 0.9, 10).expected([0], [np.nan])[0])


@pytest.mark.parametrize(
    ("x", "t_x", "age", "words"),
    [([1] * 60, [5] * 60, [4] * 60, "t_x at most T"), ([0, 1], [0, 1], [4, 4], "1 customers bought again, and 50")],
)
def test_what_cannot_be_fitted_is_refused(x: list[int], t_x: list[int], age: list[int], words: str) -> None:
    with pytest.raises(SegmentError, match=words):
        fit_bg_nbd(x, t_x, age)
