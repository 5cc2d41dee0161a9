"""Classes and service levels, and the forecast's error over the days that an order has to last."""

from datetime import date, timedelta
from pathlib import Path
from statistics import NormalDist

import polars as pl
import pytest

from assets.inventory.buying.service import classify, protection_errors, safety_units
from assets.inventory.buying.settings import BuyingError, BuyingSettings, load_buying

CUTOFF = date(2026, 3, 1)


def items(*rows: tuple[str, float | None, int | None, int | None]) -> pl.DataFrame:
    schema = {"sku": pl.String, "weekly_mean": pl.Float64, "price_minor": pl.Int64, "cost_minor": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(currency=pl.lit("EUR"))


def backtest(*rows: tuple[str, int, list[int], list[float]]) -> pl.DataFrame:
    """sku, number of the cutoff, units and means of the weeks after it."""
    return pl.DataFrame(
        [
            (sku, CUTOFF + timedelta(weeks=cut), step + 1, units[step], means[step])
            for sku, cut, units, means in rows
            for step in range(len(units))
        ],
        schema={"sku": pl.String, "cutoff": pl.Date, "step": pl.Int64, "units": pl.Int64, "mean": pl.Float64},
        orient="row",
    )


def spans(**days: int) -> pl.DataFrame:
    return pl.DataFrame({"sku": list(days), "protection_days": list(days.values())})


def test_classes_are_cut_by_revenue_and_margins_by_price_and_cost():
    found = classify(
        items(
            ("TOP", 80.0, 100, 20),
            ("MID", 15.0, 100, 50),
            ("LOW", 5.0, 100, 90),
            ("NEVER", 0.0, 100, 10),
            ("FREE", 3.0, None, 5),
        ),
        BuyingSettings(),
    )
    assert dict(found.select("sku", "sku_class").iter_rows()) == {
        "TOP": "A-high",
        "MID": "B-middle",
        "LOW": "C-low",
        "NEVER": "C-high",
        "FREE": "B-middle",
    }
    assert dict(found.select("sku", "service_level").iter_rows())["TOP"] == 0.97


def test_a_level_can_be_set_by_class_and_by_margin(tmp_path: Path):
    (tmp_path / "buying.yaml").write_text("service_levels: {A: 0.98, A-high: 0.99, C: 0.8}\n")
    settings = load_buying(tmp_path)
    assert [settings.service_level(name) for name in ("A-high", "A-low", "B-high", "C-low")] == [0.99, 0.98, 0.95, 0.8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service_levels: {D: 0.9}", "'D' is no class"),
        ("service_levels: {A: 1.2}", "0.5 up to 1"),
        ("budget: 3", "budget: Extra inputs"),
        ("items: [", "not valid YAML"),
        ("markdown_steps: [30]", "between 0 and 1"),
    ],
)
def test_a_setting_that_cannot_be_is_named(text: str, said: str, tmp_path: Path):
    (tmp_path / "buying.yaml").write_text(text)
    with pytest.raises(BuyingError, match=said):
        load_buying(tmp_path)


def test_an_items_own_entry_counts_before_its_categorys():
    settings = BuyingSettings.model_validate(
        {"items": {"bags": {"pack_size": 2, "weight_kg": 1.5}, "BAG": {"pack_size": 6}}}
    )
    assert (settings.item("BAG", "bags").pack_size, settings.item("BAG", "bags").weight_kg) == (6, 1.5)
    assert settings.item("OTHER", "bags").pack_size == 2
    assert settings.item("OTHER", None).pack_size is None


def test_the_error_of_a_sum_is_not_the_sum_of_errors():
    """Weekly errors that cancel each other need no safety stock; a bias that adds up needs all the more."""
    cancels = backtest(("BAG", 0, [12, 8, 12, 8], [10.0] * 4))
    biased = backtest(("BAG", 0, [12, 12, 12, 12], [10.0] * 4))
    assert protection_errors(cancels, spans(BAG=28))["variance"][0] == pytest.approx(0.0)
    assert protection_errors(biased, spans(BAG=28))["variance"][0] == pytest.approx(64.0)


def test_every_stretch_of_a_cutoff_counts_and_a_short_one_is_brought_to_the_interval():
    found = protection_errors(backtest(("BAG", 0, [12, 8, 12], [10.0] * 3)), spans(BAG=7)).row(0, named=True)
    assert (found["windows"], found["variance"]) == (3, pytest.approx(4.0))
    longer = protection_errors(backtest(("BAG", 0, [12, 12], [10.0] * 2)), spans(BAG=28)).row(0, named=True)
    assert longer["variance"] == pytest.approx(16.0 / 2 * 4)


def test_a_sku_with_few_stretches_is_weighed_against_all():
    many = [("BELT", cut, [14, 6], [10.0, 10.0]) for cut in range(50)]
    found = protection_errors(backtest(("BAG", 0, [10], [10.0]), *many), spans(BAG=7, BELT=7))
    variance = dict(found.select("sku", "variance").iter_rows())
    assert variance["BELT"] == pytest.approx(16.0, rel=0.01)
    assert 0 < variance["BAG"] < 16.0


def test_safety_stock_is_normal_and_none_for_a_forecast_that_never_errs():
    assert safety_units(10.0, 0.95, "cycle", 5) == pytest.approx(NormalDist().inv_cdf(0.95) * 10)
    assert safety_units(0.0, 0.95, "cycle", 5) == 0.0
    assert safety_units(1.0, 0.90, "fill", 1000) == 0.0
