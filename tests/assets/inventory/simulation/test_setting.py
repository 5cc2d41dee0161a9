"""What a replay is given, and what of it is refused."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.inventory.simulation.forecasts import weekly_rows
from assets.inventory.simulation.setting import (
    Costs,
    LeadTimes,
    SimulationError,
    panel_of,
    scenario,
    weekly_units,
)
from tests.assets.inventory.simulation.histories import MONDAY, panel


def rows(**columns: list) -> pl.DataFrame:
    return pl.DataFrame(
        {"unique_id": ["a", "a", "b"], "ds": [MONDAY, MONDAY + timedelta(3), MONDAY], "y": [1, 2, 5]} | columns
    )


def test_days_without_a_row_sold_nothing() -> None:
    found = panel_of(rows(), Costs())
    assert (found.skus, found.first_day, found.step_days) == (("a", "b"), MONDAY, 1)
    assert found.demand.tolist() == [[1, 0, 0, 2], [5, 0, 0, 0]]


def test_days_that_lie_whole_weeks_apart_are_weeks() -> None:
    found = panel_of(rows(ds=[MONDAY, MONDAY + timedelta(14), MONDAY]), Costs())
    assert found.step_days == 7
    assert found.demand.tolist() == [[1, 0, 2], [5, 0, 0]]
    assert found.end == MONDAY + timedelta(21)


def test_a_skus_own_price_and_cost_count_before_the_settings() -> None:
    found = panel_of(rows(price=[9.0, 10.0, None], unit_cost=[None, None, 7.0]), Costs(price=20, margin=0.75))
    assert found.price.tolist() == [10, 20]
    assert found.unit_cost.tolist() == [2.5, 7]


def test_weeks_are_counted_back_from_a_step() -> None:
    of = panel(np.arange(20)[None])
    assert weekly_units(of, 16).tolist() == [[sum(range(2, 9)), sum(range(9, 16))]]


def test_weeks_for_models_begin_on_mondays_and_with_the_first_sale() -> None:
    demand = np.zeros((2, 24), dtype=int)
    demand[0, 9], demand[1, 17] = 3, 4
    found = weekly_rows(panel(demand))
    assert found.rows() == [
        ("bag-0", MONDAY + timedelta(7), 3.0),
        ("bag-0", MONDAY + timedelta(14), 0.0),
        ("bag-1", MONDAY + timedelta(14), 4.0),
    ]


@given(low=st.integers(0, 30), span=st.integers(1, 40), share=st.floats(0.05, 0.95))
def test_lead_times_have_the_mean_that_is_asked_for(low: int, span: int, share: float) -> None:
    mean = low + share * span
    times = LeadTimes.between(low, low + span, mean)
    assert times.mean == pytest.approx(mean, abs=1e-6)
    assert (min(times.days), max(times.days)) == (low, low + span)


def test_a_middle_mean_leaves_all_days_alike() -> None:
    assert LeadTimes.between(7, 28, 17.5).shares == pytest.approx(LeadTimes.between(7, 28).shares)


def test_the_stock_at_the_start_covers_weeks_of_recent_sales() -> None:
    of = panel(np.full((1, 200), 2))
    begin = MONDAY + timedelta(140)
    found = scenario(of, begin, of.end, Costs(), LeadTimes.between(7, 7), start_weeks=3)
    assert found.start.tolist() == [42]
    assert (found.begin, found.end, len(found.reviews)) == (140, 200, 9)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Costs(margin=-0.1), "'margin' is a number from 0 to 1"),
        (
            lambda: weekly_rows(panel_of(rows(ds=[date(2026, 1, 4), date(2026, 1, 11), date(2026, 1, 4)]), Costs())),
            "2026-01-04 is none",
        ),
        (lambda: Costs(price=0), "'price' is above 0"),
        (lambda: Costs.of({"holding": None}), "'holding' has no number"),
        (lambda: LeadTimes((1,), (0.5,)), "add up to 1"),
        (lambda: LeadTimes.parse("-3"), "days such as 14"),
        (lambda: panel_of(rows(ds=["1926-01-05", "2026-01-06", "2026-01-07"]), Costs()), "a date is wrong"),
        (lambda: panel_of(rows(price=["much", "more", "most"]), Costs()), "price is a number"),
        (lambda: panel_of(rows().clear(), Costs()), "no rows"),
        (
            lambda: scenario(
                panel(np.ones((1, 70))),
                date(2026, 2, 2),
                date(2026, 3, 2),
                Costs(),
                LeadTimes.between(1, 2),
                review_days=0,
            ),
            "--review is 0 days",
        ),
    ],
)
def test_what_no_replay_can_run_with_is_named(wrong, says: str) -> None:
    with pytest.raises(SimulationError, match=says):
        wrong()
