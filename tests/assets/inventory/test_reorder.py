"""The reorder plan: sums done by hand, what is unknown stays unknown, and what holds for any numbers."""

from datetime import date, timedelta
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.reorder import REORDER_SCHEMA, Known, ReorderPolicy, reorder_plan, whole_lots

MONDAY = date(2026, 3, 2)
Z80 = NormalDist().inv_cdf(0.9)
Z95 = NormalDist().inv_cdf(0.95)


def levels(*rows: tuple[str, int | None, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"sku": pl.String, "available": pl.Int64, "counted": pl.Boolean}, orient="row")


def forecast(sku: str = "BAG", means: list[float] | None = None, sigma: float = 0.0) -> pl.DataFrame:
    """A forecast from MONDAY on, 7 units a week for 13 weeks unless told, with standard error `sigma`."""
    means = [7.0] * 13 if means is None else means
    return pl.DataFrame(
        [
            (sku, MONDAY + timedelta(weeks=k), mean, max(0.0, mean - Z80 * sigma), mean + Z80 * sigma, 0.8)
            for k, mean in enumerate(means)
        ],
        schema={
            "sku": pl.String,
            "week": pl.Date,
            "mean": pl.Float64,
            "lower": pl.Float64,
            "upper": pl.Float64,
            "level": pl.Float64,
        },
        orient="row",
    )


def catalog(*rows: tuple[str, int | None, int | None, int | None]) -> pl.DataFrame:
    schema = dict.fromkeys(("lead_time_days", "min_order_quantity", "manual_reorder_point"), pl.Int64)
    return pl.DataFrame(rows, schema={"sku": pl.String} | schema, orient="row")


def on_order(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"sku": pl.String, "on_order": pl.Int64}, orient="row")


def plan_of(
    available: int | None = 0,
    *,
    counted: bool = True,
    means: list[float] | None = None,
    sigma: float = 0.0,
    lead: int | None = 14,
    lots: int | None = None,
    manual: int | None = None,
    coming: int = 0,
    policy: ReorderPolicy | None = None,
    as_of: date = MONDAY,
) -> dict[str, Any]:
    """The one line of the plan for the SKU BAG."""
    plan = reorder_plan(
        levels(("BAG", available, counted)),
        forecast(means=means, sigma=sigma),
        catalog(("BAG", lead, lots, manual)),
        on_order(("BAG", coming)),
        policy,
        as_of=as_of,
    )
    return plan.row(0, named=True)


def test_the_levels_are_those_of_a_sum_done_by_hand():
    line = plan_of(5, sigma=4.0)

    safety = ceil(Z95 * 4.0 * sqrt(3))
    assert line["weekly_mean"] == pytest.approx(7.0)
    assert line["sigma_weekly"] == pytest.approx(4.0)
    assert (line["safety_stock"], safety) == (12, 12)
    assert line["reorder_point"] == 14 + safety
    assert line["order_up_to"] == 21 + safety
    assert line["recommended_quantity"] == 21 + safety - 5
    assert line["weeks_of_cover"] == pytest.approx(5 / 7)


def test_nothing_is_ordered_above_the_reorder_point_and_something_at_it():
    assert plan_of(15)["recommended_quantity"] == 0
    assert plan_of(14)["recommended_quantity"] == 7


def test_what_is_on_order_counts_towards_the_position_but_not_the_cover():
    line = plan_of(4, coming=11)

    assert line["recommended_quantity"] == 0
    assert line["weeks_of_cover"] == pytest.approx(4 / 7)
    assert (
        line["reason"] == "Nothing to order: 4 available and 11 on order are above the reorder point of 14 "
        "(14.0 expected in a lead time of 14 days, safety stock 0 for 95% cycle service)."
    )


def test_several_orders_under_way_are_added_up():
    plan = reorder_plan(levels(("BAG", 0, True)), forecast(), catalog(), on_order(("BAG", 3), ("BAG", 4)), as_of=MONDAY)

    assert plan["on_order"].to_list() == [7]


def test_an_order_is_rounded_up_to_whole_lots():
    line = plan_of(3, lots=12)

    assert line["order_up_to"] - 3 == 18
    assert line["recommended_quantity"] == 24
    assert line["reason"] == (
        "Order 24 (lots of 12): 3 available and 0 on order are not above the reorder point of 14 "
        "(14.0 expected in a lead time of 14 days, safety stock 0 for 95% cycle service), and fill up to 21."
    )


def test_rounding_up_adds_no_unit_for_the_dust_of_adding_days():
    # A seventh of a whole number, added up over a fortnight, often comes to a little more than its double.
    for weekly in range(1, 60):
        assert plan_of(0, means=[float(weekly)] * 13, lead=14)["reorder_point"] == 2 * weekly


def test_a_promise_that_cannot_be_kept_is_ordered_on_top():
    assert plan_of(-5)["recommended_quantity"] == 26


def test_a_sku_that_nobody_counted_has_an_unknown_stock():
    for line in (plan_of(9, counted=False), plan_of(None)):
        assert line["available"] is None
        assert line["recommended_quantity"] is None
        assert line["weeks_of_cover"] is None and line["stockout_on"] is None
        assert line["reorder_point"] == 14
        assert line["reason"].startswith("No stock count")


def test_a_sku_without_a_stock_row_is_planned_as_not_counted():
    plan = reorder_plan(levels(), forecast("BAG"), catalog(("BELT", 7, None, None)), on_order(), as_of=MONDAY)

    assert plan["sku"].to_list() == ["BAG", "BELT"]
    assert plan["recommended_quantity"].to_list() == [None, None]


def test_without_a_forecast_nothing_is_recommended():
    line = plan_of(0, means=[])

    assert line["recommended_quantity"] is None
    assert line["reorder_point"] is None and line["weekly_mean"] is None
    assert line["reason"] == "No forecast and no reorder point set by hand, so no quantity is recommended."


def test_a_forecast_that_has_run_out_is_as_none():
    assert plan_of(0, means=[7.0], as_of=MONDAY + timedelta(days=6))["weekly_mean"] == pytest.approx(7.0)
    assert plan_of(0, means=[7.0], as_of=MONDAY + timedelta(days=7))["weekly_mean"] is None


def test_a_reorder_point_set_by_hand_wins_and_the_reason_says_so():
    line = plan_of(30, manual=30)

    assert (line["reorder_point"], line["order_up_to"], line["recommended_quantity"]) == (30, 37, 7)
    assert "reorder point of 30 set by hand (computed: 14)" in line["reason"]


def test_a_reorder_point_set_by_hand_serves_without_a_forecast():
    line = plan_of(2, means=[], manual=3)

    assert (line["reorder_point"], line["order_up_to"], line["recommended_quantity"]) == (3, 4, 2)
    assert "set by hand (there is no forecast)" in line["reason"]


def test_a_missing_lead_time_is_assumed_and_the_reason_says_so():
    line = plan_of(0, lead=None, policy=ReorderPolicy(default_lead_time_days=21))

    assert (line["lead_time_days"], line["reorder_point"]) == (21, 21)
    assert line["reason"].endswith("; no lead time is set: 21 days assumed.")


def test_a_sku_that_no_longer_sells_is_not_bought():
    line = plan_of(0, means=[0.0] * 13)

    assert line["recommended_quantity"] == 0
    assert line["weeks_of_cover"] is None
    assert line["reason"].endswith("are at the order-up-to level of 0.")


def test_safety_stock_without_any_forecast_sale_is_named_as_such():
    assert "all of it is safety stock" in plan_of(0, means=[0.0] * 13, sigma=2.0)["reason"]


def test_the_mean_follows_the_weeks_that_lie_ahead():
    rising = [7.0, 14.0, 21.0, 28.0]

    assert plan_of(0, means=rising)["reorder_point"] == 7 + 14
    assert plan_of(0, means=rising)["order_up_to"] == 7 + 14 + 21
    assert plan_of(0, means=rising, as_of=MONDAY + timedelta(days=3))["reorder_point"] == 4 + 14 + 9


def test_weeks_past_the_forecast_count_as_its_average_week():
    assert plan_of(0, means=[7.0, 21.0], lead=28)["reorder_point"] == 28 + 28


@pytest.mark.parametrize(
    ("available", "day"), [(-3, 0), (0, 0), (1, 0), (2, 1), (7, 6), (8, 7), (14, 10), (21, 13), (22, None)]
)
def test_stock_runs_out_on_the_day_that_demand_reaches_it(available: int, day: int | None):
    one_a_day_then_two = [7.0, 14.0]

    runs_out = None if day is None else MONDAY + timedelta(days=day)
    assert plan_of(available, means=one_a_day_then_two)["stockout_on"] == runs_out


def test_more_certainty_and_longer_waits_ask_for_more_safety_stock():
    def safety(**policy: float) -> int:
        return plan_of(0, sigma=10.0, lead=None, policy=ReorderPolicy(**policy))["safety_stock"]  # pyright: ignore[reportArgumentType]

    assert safety(service_level=0.5) == 0
    assert safety(service_level=0.9) < safety(service_level=0.95) < safety(service_level=0.99)
    assert safety(default_lead_time_days=7) < safety(default_lead_time_days=28) < safety(review_days=28)


def test_frames_without_rows_give_a_plan_without_rows():
    plan = reorder_plan(levels(), forecast(means=[]), catalog(), on_order(), as_of=MONDAY)

    assert plan.is_empty()
    assert dict(plan.schema) == REORDER_SCHEMA


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        ({"service_level": 95}, "share"),
        ({"review_days": 0}, "review"),
        ({"default_lead_time_days": -1}, "lead time"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: dict[str, float], fault: str):
    with pytest.raises(ValueError, match=fault):
        ReorderPolicy(**policy)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        ({"levels": levels(("BAG", 1, True), ("BAG", 2, True))}, "levels holds BAG more than once"),
        ({"catalog": catalog(("BAG", -1, None, None))}, "catalog holds a lead_time_days below zero for BAG"),
        ({"on_order": on_order(("BAG", -1))}, "on_order holds a on_order below zero"),
        ({"levels": levels().drop("counted")}, "levels lacks the columns counted"),
        ({"forecasts": forecast(means=[-1.0])}, "the forecast of BAG is below zero"),
    ],
)
def test_frames_with_a_fault_are_refused_by_name(frames: dict[str, pl.DataFrame], fault: str):
    good = {"levels": levels(), "forecasts": forecast(), "catalog": catalog(), "on_order": on_order()}
    faulty = good | frames

    with pytest.raises(ValueError, match=fault):
        reorder_plan(faulty["levels"], faulty["forecasts"], faulty["catalog"], faulty["on_order"], as_of=MONDAY)


units = st.integers(-50, 400)
weekly_means = st.lists(st.floats(0, 200), min_size=1, max_size=20)
terms = st.fixed_dictionaries(
    {
        "means": weekly_means,
        "sigma": st.floats(0, 100),
        "lead": st.none() | st.integers(0, 120),
        "lots": st.none() | st.integers(0, 50),
        "manual": st.none() | st.integers(0, 300),
        "coming": st.integers(0, 200),
        "policy": st.builds(ReorderPolicy, st.integers(1, 35), st.floats(0.5, 0.999)),
        "as_of": st.integers(-10, 20).map(lambda days: MONDAY + timedelta(days=days)),
    }
)
quick = settings(max_examples=80, deadline=None)


@quick
@given(units, terms)
def test_a_recommendation_is_whole_lots_that_reach_the_level_and_no_lot_more(available: int, sku: dict[str, Any]):
    line = plan_of(available, **sku)
    quantity, lot = line["recommended_quantity"], line["min_order_quantity"]
    if quantity is None:
        return

    position = available + sku["coming"]
    assert quantity >= 0 and quantity % lot == 0
    if position > line["reorder_point"]:
        assert quantity == 0
    elif quantity:
        assert 0 <= position + quantity - line["order_up_to"] < lot
    else:
        assert position == line["order_up_to"]


@quick
@given(units, st.integers(0, 100), terms)
def test_more_stock_never_asks_for_a_larger_order_or_an_earlier_stockout(
    available: int, more: int, sku: dict[str, Any]
):
    less, fuller = plan_of(available, **sku), plan_of(available + more, **sku)

    assert (fuller["recommended_quantity"] or 0) <= (less["recommended_quantity"] or 0)
    assert (fuller["stockout_on"] or date.max) >= (less["stockout_on"] or date.max)
    assert (fuller["weeks_of_cover"] or 0) >= (less["weeks_of_cover"] or 0)


@quick
@given(units, terms)
def test_the_levels_stand_in_order_and_do_not_depend_on_the_stock(available: int, sku: dict[str, Any]):
    line, empty = plan_of(available, **sku), plan_of(0, **sku)
    if line["reorder_point"] is None:
        return

    assert line["reorder_point"] <= line["order_up_to"]
    assert (line["safety_stock"] or 0) >= 0
    for level in ("safety_stock", "reorder_point", "order_up_to", "weekly_mean", "sigma_weekly"):
        assert line[level] == empty[level]


@quick
@given(units, terms)
def test_a_sku_that_nobody_counted_is_never_ordered(available: int, sku: dict[str, Any]):
    assert plan_of(available, counted=False, **sku)["recommended_quantity"] is None


def known_of(**frames: dict[str, Any]) -> Known:
    return Known(
        **{name: pl.DataFrame({"sku": ["BAG"], **{c: [v] for c, v in of.items()}}) for name, of in frames.items()}
    )


def plan_with(known: Known, available: int = 0, policy: ReorderPolicy | None = None, **more: Any) -> dict[str, Any]:
    sigma, lots = more.get("sigma", 0.0), more.get("lots")
    frames = (levels(("BAG", available, True)), forecast(sigma=sigma), catalog(("BAG", 14, lots, None)), on_order())
    return reorder_plan(*frames, policy, as_of=MONDAY, known=known).row(0, named=True)


def test_safety_stock_is_of_the_forecasts_error_over_the_interval_and_of_lead_times_that_vary():
    errors = known_of(errors={"variance": 16.0}, lead_times={"lead_time_mean": 14.0, "lead_time_sd": 3.0})
    line = plan_with(errors, sigma=50.0)

    assert line["protection_sigma"] == pytest.approx(5.0), (
        "4 units of the forecast, 1 a day for 3 days of the lead time"
    )
    assert line["safety_stock"] == ceil(Z95 * 5.0)
    assert line["sigma_weekly"] == pytest.approx(4.0 / sqrt(3))
    assert "a lead time of 14 ± 3 days" in line["reason"]


def test_a_sku_is_served_as_its_class_says():
    line = plan_with(known_of(service={"sku_class": "A-high", "service_level": 0.97}), sigma=4.0)

    assert line["safety_stock"] == ceil(NormalDist().inv_cdf(0.97) * 4.0 * sqrt(3))
    assert (line["sku_class"], line["service_level"]) == ("A-high", 0.97)
    assert "for 97% cycle service, class A-high" in line["reason"]


def test_a_fill_rate_needs_less_stock_than_the_same_share_of_cycles():
    by_cycle = plan_with(Known(), sigma=4.0)
    by_fill = plan_with(Known(), sigma=4.0, policy=ReorderPolicy(target="fill"), lots=100)

    assert 0 <= by_fill["safety_stock"] < by_cycle["safety_stock"]


@pytest.mark.parametrize(
    ("needs", "least", "pack", "ordered"), [(1, 10, 4, 12), (13, 10, 4, 16), (13, 10, None, 20), (0, 9, 4, 0)]
)
def test_packs_are_whole_and_the_minimum_is_kept(needs: int, least: int, pack: int | None, ordered: int):
    line = plan_with(
        known_of(packs={"pack_size": pack, "order_quantity": None}), available=14 - max(needs - 7, 0), lots=least
    )

    assert whole_lots(needs, least, pack) == ordered
    assert line["recommended_quantity"] == whole_lots(line["needed_quantity"], least, pack)


def test_a_fixed_quantity_is_ordered_as_often_as_lifts_the_position_above_the_reorder_point():
    fixed = known_of(packs={"pack_size": None, "order_quantity": 5})

    assert plan_with(fixed, available=14)["recommended_quantity"] == 5
    assert plan_with(fixed, available=2)["recommended_quantity"] == 15
    assert plan_with(fixed, available=15)["recommended_quantity"] == 0
    assert plan_with(fixed, available=2)["reason"].startswith("Order 15 (5 at a time): 2 available")


def test_the_projection_counts_what_arrives_on_its_day_and_what_is_overdue_at_the_next_review():
    def projected(*orders: tuple[int, date | None]) -> tuple[Any, Any]:
        rows = [("BAG", units, due) for units, due in orders]
        coming = pl.DataFrame(
            rows, schema={"sku": pl.String, "on_order": pl.Int64, "expected_on": pl.Date}, orient="row"
        )
        frames = (levels(("BAG", 10, True)), forecast(), catalog(("BAG", 14, None, None)), coming)
        line = reorder_plan(*frames, as_of=MONDAY).row(0, named=True)
        return line["arriving_in_time"], line["projected_stockout_on"]

    assert projected() == (0, MONDAY + timedelta(days=9))
    assert projected((20, MONDAY + timedelta(days=9))) == (20, MONDAY + timedelta(days=29))
    assert projected((20, MONDAY + timedelta(days=12))) == (20, MONDAY + timedelta(days=9))
    assert projected((20, MONDAY + timedelta(days=40)))[0] == 0
    assert projected((200, None)) == projected((200, MONDAY - timedelta(days=3))) == (200, None)
