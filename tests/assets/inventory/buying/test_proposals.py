"""Proposals within a budget, goods of one season, transfers before buying, markdowns, open to buy: sums done by hand."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from assets.inventory.buying.markdowns import expected_recovery, suggest_markdowns
from assets.inventory.buying.newsvendor import normal_quantity
from assets.inventory.buying.open_to_buy import open_to_buy
from assets.inventory.buying.proposals import propose, totals
from assets.inventory.buying.seasons import plan_seasons
from assets.inventory.buying.settings import BuyingSettings
from assets.inventory.buying.transfers import demand_shares, propose_transfers
from assets.inventory.reorder import REORDER_SCHEMA

MONDAY = date(2026, 3, 2)


def plan(*rows: dict[str, Any]) -> pl.DataFrame:
    line = {"as_of": MONDAY, "available": 0, "on_order": 0, "lead_time_days": 14, "protection_days": 21}
    line |= {"protection_mean": 21.0, "protection_sigma": 6.0, "weekly_mean": 7.0, "sigma_weekly": 3.0}
    line |= {
        "min_order_quantity": 1,
        "needed_quantity": 20,
        "recommended_quantity": 20,
        "reason": "Order 20: none is left.",
    }
    return pl.DataFrame([line | row for row in rows], schema=REORDER_SCHEMA)


def catalog(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = dict.fromkeys(("sku", "supplier", "category", "collection", "currency"), pl.String())
    line = {"supplier": "Arnolfi", "category": "bags", "collection": "Permanent", "currency": "EUR"}
    return pl.DataFrame(
        [line | {"retail_price_minor": 30000} | row for row in rows],
        schema={**schema, "retail_price_minor": pl.Int64()},
    )


def costs(**minor: int) -> pl.DataFrame:
    rows = [(sku, cost, "EUR") for sku, cost in minor.items()]
    return pl.DataFrame(rows, schema={"sku": pl.String, "cost_minor": pl.Int64, "currency": pl.String}, orient="row")


def levels(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame([(s, n, True) for s, n in rows], schema=["sku", "on_hand", "counted"], orient="row")


def test_without_a_budget_proposals_are_the_plan_with_their_cost_and_profit():
    made = propose(plan({"sku": "BAG"}), catalog({"sku": "BAG"}), costs(BAG=10000), BuyingSettings())
    (row,) = made.proposals.to_dicts()
    assert (row["quantity"], row["amount_minor"], row["expected_on"]) == (20, 200000, MONDAY + timedelta(days=14))
    assert 0 < row["expected_profit_minor"] <= 20 * 20000
    assert totals(made.proposals) == {"EUR": Decimal("2000.00")}


def test_a_budget_cuts_the_plan_and_the_sentence_says_by_how_much():
    both = catalog({"sku": "BAG"}, {"sku": "BELT", "retail_price_minor": 12000})
    made = propose(
        plan({"sku": "BAG"}, {"sku": "BELT"}),
        both,
        costs(BAG=10000, BELT=10000),
        BuyingSettings(),
        budgets={"EUR": Decimal(2500)},
    )
    assert sum(made.proposals["amount_minor"]) <= 250000
    told = dict(made.plan.select("sku", "reason").iter_rows())
    belts = made.choice.quantities["BELT"]
    assert told["BELT"] == f"Order {belts} of 20: none is left; within the limits other units earn more."
    assert dict(made.plan.select("sku", "needed_quantity").iter_rows())["BELT"] == 20


def test_a_sku_without_a_cost_is_left_out_of_a_budget_and_says_so():
    made = propose(
        plan({"sku": "BAG"}), catalog({"sku": "BAG"}), costs(), BuyingSettings(), budgets={"EUR": Decimal(9)}
    )
    assert made.plan["reason"][0] == "Order 0 of 20: none is left; its cost is unknown, so it is in no budget."


def test_a_lot_that_costs_more_than_it_earns_is_left_out_of_a_budget_and_says_so():
    slow = plan({"sku": "BAG", "protection_mean": 0.5, "protection_sigma": 0.2, "min_order_quantity": 20})
    made = propose(
        slow,
        catalog({"sku": "BAG", "retail_price_minor": 10100}),
        costs(BAG=10000),
        BuyingSettings(),
        budgets={"EUR": Decimal(9999)},
    )
    assert made.plan["recommended_quantity"].to_list() == [0]
    assert made.plan["reason"][0].endswith("; the rest is not expected to earn what keeping it costs.")


SEASON = BuyingSettings.model_validate({"seasons": [{"collection": "Spring", "ends": "2026-05-24", "salvage": 0.2}]})


def test_goods_of_one_season_are_bought_once_at_the_newsvendors_quantile():
    one = catalog({"sku": "BAG", "collection": "Spring"}, {"sku": "BELT"})
    made = plan_seasons(plan({"sku": "BAG", "available": 10}, {"sku": "BELT"}), one, costs(BAG=10000), SEASON)
    line = made.row(0, named=True)
    best, _ = normal_quantity(7.0 * 12, 3.0 * 12**0.5, under=20000, over=4000)
    assert line["recommended_quantity"] == pytest.approx(best - 10, abs=1)
    assert line["reason"].startswith(
        f"Order {line['recommended_quantity']} once for the season to 2026-05-24: 84.0 ± 10.4 expected"
    )
    assert made.row(1, named=True)["reason"] == "Order 20: none is left."


def test_nothing_is_ordered_for_a_season_that_would_be_over():
    late = plan({"sku": "BAG", "lead_time_days": 90})
    made = plan_seasons(late, catalog({"sku": "BAG", "collection": "Spring"}), costs(BAG=10000), SEASON)
    assert made["recommended_quantity"].to_list() == [0]
    assert "an order would arrive on 2026-05-31" in made["reason"][0]


def test_a_season_without_a_price_keeps_its_plan_and_says_so():
    made = plan_seasons(
        plan({"sku": "BAG"}),
        catalog({"sku": "BAG", "collection": "Spring", "retail_price_minor": None}),
        costs(),
        SEASON,
    )
    assert made["recommended_quantity"].to_list() == [20]
    assert "has no price and cost in one currency to weigh by" in made["reason"][0]


def places(*rows: tuple[str, str, int]) -> pl.DataFrame:
    full = [(sku, place, on_hand, 0, True) for sku, place, on_hand in rows]
    return pl.DataFrame(full, schema=["sku", "location", "on_hand", "reserved", "counted"], orient="row")


def shares(*rows: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["sku", "location", "share"], orient="row")


def test_what_lies_where_nobody_buys_goes_where_it_is_needed():
    moved = propose_transfers(
        places(("BAG", "window", 12), ("BAG", "shop", 3), ("BAG", "web", 40)),
        shares(("BAG", "shop", 0.5), ("BAG", "web", 0.5)),
        plan({"sku": "BAG"}),
        BuyingSettings(),
    )
    # A unit a day for 28 days, half of it in the shop: it needs 14, the web has 26 too many.
    assert moved.select("sku", "target", "quantity").group_by("sku", "target").sum().rows() == [("BAG", "shop", 11)]
    assert moved["reason"][0].startswith(f"Move {moved['quantity'][0]} of BAG from ")
    assert moved["source"].to_list() == ["web"]


def test_no_location_gives_more_than_it_can_spare():
    moved = propose_transfers(
        places(("BAG", "a", 20), ("BAG", "b", 0), ("BAG", "c", 0)),
        shares(("BAG", "a", 0.5), ("BAG", "b", 0.25), ("BAG", "c", 0.25)),
        plan({"sku": "BAG"}),
        BuyingSettings(),
    )
    assert moved["quantity"].sum() == 6
    assert (moved["source"] == "a").all()


def test_demand_is_shared_by_where_the_sku_sold_lately():
    moves = [
        ("BAG", "shop", 5, "sale", -3),
        ("BAG", "web", 5, "sale", -2),
        ("BAG", "web", 4, "return", 1),
        ("BAG", "web", 300, "sale", -9),
    ]
    frame = pl.DataFrame(
        [(s, p, MONDAY - timedelta(days=d), k, q) for s, p, d, k, q in moves],
        schema=["sku", "location", "day", "kind", "quantity"],
        orient="row",
    )
    assert demand_shares(frame, MONDAY).rows() == [("BAG", "shop", 0.75), ("BAG", "web", 0.25)]


def test_what_will_not_sell_before_the_season_ends_is_marked_down_by_the_step_that_recovers_most():
    settings = SEASON.model_copy(update={"elasticity": -3.0})
    (row,) = suggest_markdowns(
        levels(("BAG", 200)), plan({"sku": "BAG"}), catalog({"sku": "BAG", "collection": "Spring"}), settings, MONDAY
    ).to_dicts()
    assert row["excess_units"] == 200 - 84
    by_step = {step: expected_recovery(200, 84.0, 30000, step, -3.0, 0.2) for step in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)}
    assert by_step[row["price_step"]] == max(by_step.values())
    assert row["recovery_minor"] == round(max(by_step.values())) > row["full_price_minor"]
    assert row["salvage_minor"] == 200 * 6000
    assert "elasticity -3, assumed" in row["reason"]


def test_a_price_that_few_answer_to_is_left_alone():
    settings = SEASON.model_copy(update={"elasticity": -0.5})
    found = suggest_markdowns(
        levels(("BAG", 200)), plan({"sku": "BAG"}), catalog({"sku": "BAG", "collection": "Spring"}), settings, MONDAY
    )
    assert found["price_step"].to_list() == [0.0]
    assert "no step recovers more than the full price" in found["reason"][0]


def test_permanent_goods_are_marked_down_beyond_the_limit_of_cover_only():
    found = suggest_markdowns(
        levels(("BAG", 400), ("BELT", 300)),
        plan({"sku": "BAG"}, {"sku": "BELT"}),
        catalog({"sku": "BAG"}, {"sku": "BELT"}),
        BuyingSettings(),
        MONDAY,
    )
    assert found.select("sku", "excess_units").rows() == [("BAG", 400 - 364)]


def forecast(mean: float, weeks: int = 13) -> pl.DataFrame:
    return pl.DataFrame(
        {"sku": ["BAG"] * weeks, "week": [MONDAY + timedelta(weeks=n) for n in range(weeks)], "mean": [mean] * weeks}
    )


def coming(*rows: tuple[str, date | None, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"sku": pl.String, "expected_on": pl.Date, "on_order": pl.Int64}, orient="row")


def test_open_to_buy_is_the_sum_of_what_is_planned_less_what_there_is_and_comes():
    due = coming(("BAG", date(2026, 4, 10), 5), ("BAG", None, 2))
    found = open_to_buy(
        levels(("BAG", 100)), forecast(7.0), catalog({"sku": "BAG"}), due, BuyingSettings(markdown_rate=0.1), MONDAY
    )
    march, april, may = found.to_dicts()
    assert march["month"] == date(2026, 3, 1)
    assert march["planned_sales_minor"] == 30 * 30000, "the first of March is over"
    assert march["planned_markdowns_minor"] == 3 * 30000
    assert march["planned_end_stock_minor"] == 8 * 7 * 30000
    assert (march["opening_stock_minor"], march["arriving_minor"]) == (100 * 30000, 2 * 30000)
    assert march["open_to_buy_minor"] == (30 + 3 + 56 - 100 - 2) * 30000
    # 13 units too many lie there in April as well, beside what was planned to.
    assert april["opening_stock_minor"] == (56 + 13) * 30000
    assert april["open_to_buy_minor"] == (30 + 3 + 56 - 69 - 5) * 30000
    assert may["planned_sales_units"] == pytest.approx(31.0)
    for row in (march, april, may):
        planned = sum(row[f"planned_{name}_minor"] for name in ("sales", "markdowns", "end_stock"))
        assert row["open_to_buy_minor"] == planned - row["opening_stock_minor"] - row["arriving_minor"]


def test_a_sku_without_a_price_is_counted_and_in_no_amount():
    two = catalog({"sku": "BAG"}, {"sku": "FREE", "retail_price_minor": None})
    found = open_to_buy(levels(("BAG", 1), ("FREE", 9)), forecast(7.0), two, coming(), BuyingSettings(), MONDAY)
    assert found["unpriced_skus"].to_list() == [1, 1, 1]
    assert found["opening_stock_minor"][0] == 30000


def test_a_forecast_that_is_over_plans_nothing():
    assert open_to_buy(
        levels(), forecast(7.0), catalog({"sku": "BAG"}), coming(), BuyingSettings(), date(2026, 12, 1)
    ).is_empty()
