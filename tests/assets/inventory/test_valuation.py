"""Valuation: whatever moves in whatever order, the values sum to what is left, under every method.

Belongs here: worth of movements from frames. Does not belong here: the tables (`tests/resources/store`) and the ledger.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.valuation import (
    BOUGHT,
    LAYERS,
    METHODS,
    VALUELESS,
    Method,
    Valued,
    price_movements,
    stock_value,
    value_movements,
)

DAY = date(2026, 3, 2)
MOVEMENTS = {
    "movement_id": pl.Int64,
    "sku": pl.String,
    "day": pl.Date,
    "kind": pl.String,
    "quantity": pl.Int64,
    "reference": pl.String,
}
COSTS = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
PURCHASES = {"reference": pl.String, "sku": pl.String, "paid_minor": pl.Int64, "paid_currency": pl.String}
EMPTY = pl.DataFrame(schema=LAYERS)
KINDS = ("opening", "receipt", "sale", "return", "gift", "adjustment", "write_off", "transfer", "reservation")

Move = tuple[int, str, int]
"""Days after DAY, kind, units."""


def frame(moves: Iterable[Move | tuple[int, str, int, str | None]], sku: str = "BAG") -> pl.DataFrame:
    rows = [
        (number, sku, DAY + timedelta(days=move[0]), move[1], move[2], move[3] if len(move) > 3 else None)
        for number, move in enumerate(moves, 1)
    ]
    return pl.DataFrame(rows, schema=MOVEMENTS, orient="row")


def cost_table(*costs: tuple[int, int] | tuple[int, int, str], sku: str = "BAG") -> pl.DataFrame:
    """(days after DAY, cost of a unit, currency)."""
    rows = [(sku, DAY + timedelta(days=c[0]), c[1], c[2] if len(c) > 2 else "EUR") for c in costs]
    return pl.DataFrame(rows, schema=COSTS, orient="row")


def purchased(*rows: tuple[str, int, str]) -> pl.DataFrame:
    return pl.DataFrame([(r, "BAG", paid, c) for r, paid, c in rows], schema=PURCHASES, orient="row")


def value(
    moves: pl.DataFrame, costs: pl.DataFrame, method: Method = "fifo", *purchases: tuple[str, int, str]
) -> Valued:
    return value_movements(price_movements(moves, costs, purchased(*purchases)), EMPTY, method)


def told(valued: Valued) -> list[tuple[Any, ...]]:
    """Units, value and variance of each movement's parts, in their order."""
    rows = valued.parts.sort("movement_id", "part")
    return rows.select("units", "value_minor", "variance_minor").rows()


def left(valued: Valued) -> list[tuple[Any, ...]]:
    return valued.layers.sort("sku", "position").select("units", "value_minor").rows()


def test_first_in_first_out_sells_the_oldest_units_first():
    valued = value(frame([(0, "receipt", 2), (1, "receipt", 2), (2, "sale", -3)]), cost_table((0, 100), (1, 160)))

    assert told(valued) == [(2, 200, 0), (2, 320, 0), (-3, -360, 0)]
    assert left(valued) == [(1, 160)]


def test_the_weighted_average_mixes_what_comes_in_with_what_is_there():
    moves = frame([(0, "receipt", 2), (1, "receipt", 2), (2, "sale", -3)])
    valued = value(moves, cost_table((0, 100), (1, 160)), "weighted_average")

    assert told(valued) == [(2, 200, 0), (2, 320, 0), (-3, -390, 0)]
    assert left(valued) == [(1, 130)]


def test_at_standard_every_unit_is_worth_the_cost_of_the_day_and_the_rest_is_variance():
    moves = frame([(0, "receipt", 2, "PO-1"), (1, "sale", -1), (2, "receipt", 1)])
    valued = value(moves, cost_table((0, 100), (2, 120)), "standard", ("PO-1", 90, "EUR"))

    # Paid 180 for what is worth 200; the unit that was left is worth 20 more by the new cost.
    assert told(valued) == [(2, 180, 20), (-1, -100, 0), (1, 120, 20)]
    assert left(valued) == [(2, 240)]


def test_a_receipt_costs_what_its_purchase_order_says():
    moves = frame([(0, "receipt", 2, "PO-1"), (0, "receipt", 2, "PO-2"), (0, "return", 1, "PO-1")])
    valued = value(moves, cost_table((0, 100)), "fifo", ("PO-1", 90, "EUR"))

    assert told(valued) == [(2, 180, 0), (2, 200, 0), (1, 90, 0)]


def test_the_last_unit_takes_what_rounding_left():
    # Three units for 100 in all: an average of 33 1/3.
    moves = frame([(0, "receipt", 1), (1, "receipt", 2), *((2, "sale", -1),) * 3])
    valued = value(moves, cost_table((0, 40), (1, 30)), "weighted_average")

    assert [worth for _, worth, _ in told(valued)[2:]] == [-33, -34, -33]
    assert left(valued) == []


@pytest.mark.parametrize("method", ["fifo", "weighted_average"])
def test_units_sold_before_they_came_cost_what_is_assumed_and_the_receipt_tells_the_variance(method: Method):
    valued = value(frame([(0, "sale", -2), (1, "receipt", 5)]), cost_table((0, 100), (1, 130)), method)

    assert told(valued) == [(-2, -200, 0), (5, 650, -60)]
    assert left(valued) == [(3, 390)]


def test_a_return_below_zero_takes_back_what_was_assumed():
    valued = value(frame([(0, "sale", -1), (1, "sale", -1), (2, "return", 1)]), cost_table((0, 100), (1, 130)))

    assert told(valued) == [(-1, -100, 0), (-1, -130, 0), (1, 130, 0)]
    assert left(valued) == [(-1, -100)]


def test_found_units_come_in_at_the_unit_cost_of_what_is_there_and_else_at_the_days():
    valued = value(
        frame([(0, "receipt", 2), (1, "adjustment", 1), (1, "sale", -3), (1, "adjustment", 1)]),
        cost_table((0, 100), (1, 130)),
    )
    assert told(valued) == [(2, 200, 0), (1, 100, 0), (-3, -300, 0), (1, 130, 0)]


def test_units_of_unknown_cost_have_no_value_and_are_counted():
    valued = value(frame([(0, "receipt", 2), (5, "receipt", 2), (6, "sale", -3)]), cost_table((5, 100)))

    assert told(valued) == [(2, None, 0), (2, 200, 0), (-2, None, 0), (-1, -100, 0)]
    assert stock_value(valued.layers).rows() == [("BAG", "EUR", 1, 100)]


def test_what_was_sold_at_an_unknown_cost_is_variance_when_its_receipt_tells_one():
    valued = value(frame([(0, "sale", -2), (5, "receipt", 2)]), cost_table((5, 100)))

    assert told(valued) == [(-2, None, 0), (2, 200, -200)]
    assert left(valued) == []


def test_currencies_are_never_mixed():
    moves = frame([(0, "receipt", 1), (1, "receipt", 1), (2, "sale", -2)])
    costs = cost_table((0, 100), (1, 120, "USD"))
    for method in ("fifo", "weighted_average"):
        parts = value(moves, costs, method).parts
        assert parts.filter(pl.col("movement_id") == 3).select("part", "units", "value_minor", "currency").rows() == [
            (0, -1, -100, "EUR"),
            (1, -1, -120, "USD"),
        ]


def test_a_shortage_that_is_covered_in_another_currency_leaves_nothing_in_either():
    valued = value(frame([(0, "sale", -2), (1, "receipt", 2)]), cost_table((0, 100), (1, 120, "USD")))

    rows = valued.parts.select("units", "value_minor", "variance_minor", "currency").rows()
    assert rows == [(-2, -200, 0, "EUR"), (2, 240, -240, "USD"), (0, 0, 200, "EUR")]
    assert left(valued) == []


def test_what_does_not_fit_has_no_known_cost():
    huge = 5 * 10**15
    assert told(value(frame([(0, "receipt", 1), (0, "receipt", 2)]), cost_table((0, huge)))) == [
        (1, huge, 0),
        (2, None, 0),
    ]


def test_transfers_and_promises_have_no_value():
    moves = frame([(0, "receipt", 2), (0, "transfer", -1), (0, "transfer", 1), (0, "reservation", -1)])
    assert value(moves, cost_table((0, 100))).parts["movement_id"].to_list() == [1]


def test_a_movement_that_is_told_late_is_valued_at_the_state_of_now():
    first = value(frame([(0, "receipt", 2), (5, "receipt", 2)]), cost_table((0, 100), (5, 200)), "weighted_average")
    late = frame([(1, "sale", -1)]).with_columns(movement_id=pl.lit(9, pl.Int64))
    priced = price_movements(late, cost_table((0, 100), (5, 200)), purchased())

    assert value_movements(priced, first.layers, "weighted_average").parts["value_minor"].to_list() == [-150]


def test_the_method_can_be_changed_with_stock_there():
    costs = cost_table((0, 100), (1, 160))
    fifo = value(frame([(0, "receipt", 2), (1, "receipt", 2)]), costs)
    sale = price_movements(frame([(2, "sale", -1)]).with_columns(movement_id=pl.lit(3, pl.Int64)), costs, purchased())

    averaged = value_movements(sale, fifo.layers, "weighted_average")
    assert (told(averaged), left(averaged)) == ([(-1, -130, 0)], [(3, 390)])
    standard = value_movements(sale, fifo.layers, "standard")
    assert (told(standard), left(standard)) == ([(-1, -160, 120)], [(3, 480)])


# Properties

moves_of_a_sku = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(KINDS), st.integers(-9, 9), st.sampled_from([None, None, "PO-1"])),
    max_size=25,
)
cost_changes = st.lists(
    st.tuples(st.integers(-5, 20), st.integers(0, 1000), st.sampled_from(["EUR", "EUR", "EUR", "JPY"])),
    max_size=4,
    unique_by=lambda cost: cost[0],
)
paid = st.sampled_from([(), (("PO-1", 77, "EUR"),), (("PO-1", 5, "JPY"),)])


def of_two_skus(bags: Sequence[Any], belts: Sequence[Any]) -> pl.DataFrame:
    """Movements of both, numbered as they were told: in the order of their days."""
    both = pl.concat([frame(bags), frame(belts, "BELT")]).sort("day", maintain_order=True)
    return both.with_columns(movement_id=pl.int_range(1, pl.len() + 1))


def values_by_currency(parts: pl.DataFrame) -> dict[tuple[str, str], int]:
    sums = parts.filter(pl.col("currency").is_not_null()).group_by("sku", "currency")
    found = sums.agg((pl.col("value_minor").fill_null(0) + pl.col("variance_minor")).sum().alias("worth"))
    return {(sku, currency): worth for sku, currency, worth in found.iter_rows() if worth}


def assert_agrees(moves: pl.DataFrame, valued: Valued) -> None:
    """Values sum to what is left, units to the level; nothing is worth something at nothing, nor has two signs."""
    parts = valued.parts.join(moves.select("movement_id", "sku", "quantity"), on="movement_id", how="left")
    worth = stock_value(valued.layers).filter(pl.col("currency").is_not_null() & (pl.col("value_minor") != 0))
    assert values_by_currency(parts) == {(s, c): v for s, c, _, v in worth.iter_rows()}
    moving = moves.filter(~pl.col("kind").is_in(VALUELESS))
    levels = dict(moving.group_by("sku").agg(pl.col("quantity").sum()).filter(pl.col("quantity") != 0).iter_rows())
    assert dict(valued.layers.group_by("sku").agg(pl.col("units").sum()).iter_rows()) == levels
    units = parts.group_by("movement_id").agg(pl.col("units").sum(), pl.col("quantity").first())
    assert (units["units"] == units["quantity"]).all()
    assert sorted(units["movement_id"]) == sorted(moving["movement_id"])
    assert valued.layers.filter(pl.col("units") == 0).height == 0
    assert valued.layers.filter(pl.col("value_minor").sign() * pl.col("units").sign() < 0).height == 0


@settings(deadline=None, max_examples=200)
@given(moves_of_a_sku, moves_of_a_sku, cost_changes, cost_changes, paid, st.sampled_from(METHODS))
def test_values_always_sum_to_what_is_left_and_units_to_the_level(bags, belts, costs, more, purchases, method):
    moves = of_two_skus(bags, belts)
    table = pl.concat([cost_table(*costs), cost_table(*more, sku="BELT")])

    assert_agrees(moves, value(moves, table, method, *purchases))


@settings(deadline=None, max_examples=150)
@given(moves_of_a_sku, cost_changes, paid, st.sampled_from(METHODS), st.lists(st.integers(0, 25), max_size=4))
def test_valued_in_any_batches_is_valued_at_once(bags, costs, purchases, method, cuts):
    moves = of_two_skus(bags, [])
    table = cost_table(*costs)
    whole = value(moves, table, method, *purchases)

    layers, parts = EMPTY, []
    bounds = [0, *sorted(min(cut, moves.height) for cut in cuts), moves.height]
    for start, end in pairwise(bounds):
        batch = price_movements(moves.slice(start, end - start), table, purchased(*purchases))
        valued = value_movements(batch, layers, method)
        layers, parts = valued.layers, [*parts, valued.parts]
    assert pl.concat(parts).sort("movement_id", "part").equals(whole.parts.sort("movement_id", "part"))
    assert layers.equals(whole.layers)


@settings(deadline=None, max_examples=100)
@given(moves_of_a_sku, st.integers(0, 1000))
def test_all_methods_agree_while_the_cost_never_changes(bags, cost):
    moves = frame([move[:3] for move in sorted(bags, key=lambda move: move[0])])
    by_method = [value(moves, cost_table((-9, cost)), method) for method in METHODS]

    for valued in by_method:
        assert valued.parts["variance_minor"].to_list() == [0] * valued.parts.height
        assert valued.parts.equals(by_method[0].parts)
        assert stock_value(valued.layers).equals(stock_value(by_method[0].layers))


@settings(deadline=None, max_examples=100)
@given(moves_of_a_sku, moves_of_a_sku, cost_changes, st.sampled_from(METHODS), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_rows_nor_other_skus_matter(bags, belts, costs, method, random):
    moves = of_two_skus(bags, belts)
    shuffled = moves.sample(fraction=1, shuffle=True, seed=random.randrange(1 << 32))
    table = pl.concat([cost_table(*costs), cost_table(*costs, sku="BELT")])
    together = value(shuffled, table, method).parts

    for sku in ("BAG", "BELT"):
        alone = moves.filter(pl.col("sku") == sku)
        mine = together.join(alone, on="movement_id", how="semi").sort("movement_id", "part")
        assert value(alone, table, method).parts.sort("movement_id", "part").equals(mine)


@settings(deadline=None, max_examples=100)
@given(moves_of_a_sku, cost_changes, st.sampled_from(METHODS), st.sampled_from(METHODS), st.integers(0, 25))
def test_values_sum_to_what_is_left_across_a_change_of_the_method(bags, costs, before, after, cut):
    moves = of_two_skus(bags, [])
    first = value_movements(price_movements(moves.head(cut), cost_table(*costs), purchased()), EMPTY, before)
    rest = price_movements(moves.slice(cut), cost_table(*costs), purchased())
    second = value_movements(rest, first.layers, after)

    assert_agrees(moves, Valued(pl.concat([first.parts, second.parts]), second.layers))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(BOUGHT), st.integers(1, 9)), min_size=1, max_size=8),
    st.lists(st.integers(1, 9), max_size=8),
    st.lists(st.tuples(st.integers(-5, 20), st.integers(1, 1000)), min_size=1, max_size=4, unique_by=lambda c: c[0]),
)
def test_first_in_first_out_equals_a_count_unit_by_unit(receipts, sales, costs):
    """Written once more as a queue of single units."""
    costs = [(-9, 50), *(c for c in costs if c[0] != -9)]
    queue = [
        max((day, cost) for day, cost in costs if day <= at)[1]
        for at, _, units in sorted(receipts, key=lambda move: move[0])
        for _ in range(units)
    ]
    moves = frame([*sorted(receipts, key=lambda move: move[0]), *((30, "sale", -units) for units in sales)])
    valued = value(moves, cost_table(*costs))

    for units, (_, worth, _) in zip(sales, told(valued)[len(receipts) :], strict=False):
        if units > len(queue):
            break
        assert worth == -sum(queue[:units])
        queue = queue[units:]
