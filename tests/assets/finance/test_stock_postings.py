"""Stock in the journal: each kind against its account, and the inventory account is what stock is worth."""

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.fx import daily_ratios
from assets.finance.money import exponents
from assets.finance.posting import value_lines, with_line_costs
from assets.finance.stock_postings import LEGS, line_costs, stock_legs
from assets.inventory.valuation import LAYERS, METHODS, price_movements, stock_value, value_movements

DAY = date(2026, 3, 2)
VALUED = {
    "movement_id": pl.Int64,
    "part": pl.Int64,
    "day": pl.Date,
    "sku": pl.String,
    "kind": pl.String,
    "order_id": pl.Int64,
    "line_id": pl.Int64,
    "units": pl.Int64,
    "value_minor": pl.Int64,
    "variance_minor": pl.Int64,
    "currency": pl.String,
}
RATES = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
# Written out once more: what stands against inventory.
AGAINST = {
    "opening": "3200",
    "receipt": "2050",
    "sale": "5000",
    "return": "5000",
    "gift": "6250",
    "adjustment": "5100",
    "write_off": "5200",
}
INVENTORY, VARIANCE = "1300", "5300"


def moved(kind: str = "sale", value: int | None = -300, **other: Any) -> dict[str, Any]:
    plain = {"movement_id": 1, "part": 0, "day": DAY, "sku": "BAG", "order_id": None, "line_id": None, "units": -1}
    currency = None if value is None else "EUR"
    return {**plain, "kind": kind, "value_minor": value, "variance_minor": 0, "currency": currency, **other}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=VALUED, orient="row")


def ratios(worth: dict[str, str], days: int = 1) -> pl.DataFrame:
    rows = [
        (DAY + timedelta(days=n), currency, "EUR", Decimal(rate) + n, "test")
        for currency, rate in worth.items()
        for n in range(days)
    ]
    return daily_ratios(pl.DataFrame(rows, schema=RATES, orient="row"), "EUR")


def legs(*rows: dict[str, Any], **worth: str) -> list[tuple[Any, ...]]:
    found = stock_legs(frame(*rows), ratios(worth), "EUR")
    assert found.columns == LEGS
    return found.drop("day").sort("order_id", "subject", "account", "currency").rows()


@pytest.mark.parametrize(("kind", "account"), AGAINST.items())
def test_each_kind_of_movement_stands_against_its_account(kind: str, account: str):
    assert sorted(legs(moved(kind, 500))) == [
        (None, kind, INVENTORY, "EUR", 500, 500),
        (None, kind, account, "EUR", -500, -500),
    ]


def test_movements_of_an_order_are_of_its_entry_and_the_others_of_their_kind():
    found = legs(moved(order_id=7), moved(order_id=7, value=-200), moved())

    assert found == [
        (None, "sale", INVENTORY, "EUR", -300, -300),
        (None, "sale", "5000", "EUR", 300, 300),
        (7, None, INVENTORY, "EUR", -500, -500),
        (7, None, "5000", "EUR", 500, 500),
    ]


def test_a_variance_stands_between_inventory_and_its_own_account():
    assert legs(moved("receipt", 650, variance_minor=-60)) == [
        (None, "receipt", INVENTORY, "EUR", 590, 590),
        (None, "receipt", "2050", "EUR", -650, -650),
        (None, "receipt", VARIANCE, "EUR", 60, 60),
    ]


def test_an_unknown_cost_posts_nothing():
    assert legs(moved(value=None), moved(value=0)) == []


def test_a_day_without_a_rate_has_no_base_amount():
    found = legs(moved(currency="USD"), moved(currency="CHF"), USD="0.5")

    assert {(account, currency): base for _, _, account, currency, _, base in found} == {
        (INVENTORY, "USD"): -150,
        ("5000", "USD"): 150,
        (INVENTORY, "CHF"): None,
        ("5000", "CHF"): None,
    }


def test_a_line_costs_what_its_movements_took_out_of_stock():
    found = line_costs(
        frame(
            moved(line_id=1),
            moved(line_id=1, value=-200, variance_minor=50),
            moved("return", 100, line_id=2),
            moved(line_id=3, value=None),
            moved(line_id=4),
            moved(line_id=4, part=1, value=None),
            moved(line_id=5),
            moved(line_id=5, part=1, currency="USD"),
            moved(),
        )
    )
    assert found.rows() == [(1, 500, "EUR"), (2, -100, "EUR"), (3, None, None), (4, None, None), (5, None, None)]


def test_a_line_costs_what_stock_says_and_else_what_the_cost_table_says():
    lines = pl.DataFrame(
        {"line_id": [1, 2, 3, 4], "kind": ["goods", "goods", "goods", "shipping"], "day": DAY, "sku": "BAG"}
    ).with_columns(quantity=pl.lit(2, pl.Int64), amount_minor=pl.lit(900, pl.Int64), currency=pl.lit("EUR"))
    schema = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
    table = pl.DataFrame([("BAG", DAY, 10, "EUR")], schema=schema, orient="row")
    told = line_costs(frame(moved(line_id=1, currency="USD"), moved(line_id=2, value=None), moved(line_id=4, value=-9)))

    found = value_lines(with_line_costs(lines, told), table, ratios({"USD": "0.5"}), "EUR")
    assert found.select("cost_minor", "cost_currency", "base_cost_minor").rows() == [
        (300, "USD", 150),
        (None, None, None),
        (20, "EUR", 20),
        (None, None, None),
    ]
    assert found.columns == value_lines(lines, table, ratios({}), "EUR").columns


kinds = st.sampled_from([*AGAINST, "transfer", "reservation"])
histories = st.lists(
    st.tuples(
        st.integers(0, 9), kinds, st.integers(-9, 9), st.sampled_from(["BAG", "BELT"]), st.integers(1, 3) | st.none()
    ),
    max_size=30,
)
cost_tables = st.lists(
    st.tuples(
        st.sampled_from(["BAG", "BELT"]),
        st.integers(-2, 9),
        st.integers(0, 999),
        st.sampled_from(["EUR", "USD", "JPY"]),
    ),
    max_size=5,
    unique_by=lambda cost: cost[:2],
)


def value(history: list[Any], costs: list[Any], method: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Valued movements with their orders, and what is left."""
    rows = [(n, DAY + timedelta(days=h[0]), *h[1:]) for n, h in enumerate(history, 1)]
    names = {"movement_id": pl.Int64, "day": pl.Date, "kind": pl.String, "quantity": pl.Int64, "sku": pl.String}
    moves = pl.DataFrame(rows, schema={**names, "order_id": pl.Int64}, orient="row")
    schema = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
    dated = [(sku, DAY + timedelta(days=n), minor, currency) for sku, n, minor, currency in costs]
    table = pl.DataFrame(dated, schema=schema, orient="row")
    none = {"reference": pl.String, "sku": pl.String, "paid_minor": pl.Int64, "paid_currency": pl.String}
    priced = price_movements(moves.with_columns(reference=pl.lit(None, pl.String)), table, pl.DataFrame(schema=none))
    valued = value_movements(priced, pl.DataFrame(schema=LAYERS), method)
    told = valued.parts.join(moves, on="movement_id").with_columns(line_id=pl.col("order_id"))
    return told.select(*VALUED), valued.layers


@settings(deadline=None, max_examples=150)
@given(histories, cost_tables, st.sampled_from(METHODS))
def test_the_inventory_account_is_always_what_stock_is_worth(history, costs, method):
    valued, layers = value(history, costs, method)
    posted = stock_legs(valued, ratios({"USD": "0.5"}, 9), "EUR")

    account = posted.filter(pl.col("account") == INVENTORY).group_by("currency").agg(pl.col("amount_minor").sum())
    worth = stock_value(layers).filter(pl.col("currency").is_not_null()).group_by("currency")
    left = {currency: minor for currency, minor in worth.agg(pl.col("value_minor").sum()).iter_rows() if minor}
    assert {currency: minor for currency, minor in account.iter_rows() if minor} == left


@settings(deadline=None, max_examples=100)
@given(histories, cost_tables, st.sampled_from(METHODS))
def test_every_entry_sums_to_zero_in_its_currency_and_in_the_base_currency(history, costs, method):
    valued, _ = value(history, costs, method)
    posted = stock_legs(valued, ratios({"USD": "0.5"}, 9), "EUR")

    sums = posted.group_by("order_id", "subject", "day", "currency").agg(
        pl.col("amount_minor").sum(), pl.col("base_amount_minor").sum()
    )
    assert sums.filter((pl.col("amount_minor") != 0) | (pl.col("base_amount_minor") != 0)).rows() == []
    assert posted.filter(pl.col("currency") == "EUR")["base_amount_minor"].null_count() == 0
    keys = posted.select("order_id", "subject", "day", "account", "currency")
    assert keys.is_unique().all()


@pytest.mark.parametrize("method", METHODS)
def test_ten_thousand_movements_in_twenty_currencies_leave_the_account_at_what_stock_is_worth(method: str):
    dice = random.Random(7)
    currencies = sorted(exponents())[:20]
    skus = [f"S{n}" for n in range(200)]
    history = [
        (dice.randrange(365), dice.choice([*AGAINST, "transfer"]), dice.randint(-9, 9), dice.choice(skus), None)
        for _ in range(10_000)
    ]
    costs = [(sku, day, dice.randrange(100_000), dice.choice(currencies)) for sku in skus for day in (-1, 90, 180, 270)]
    valued, layers = value(history, costs, method)
    posted = stock_legs(valued, ratios({}), "EUR")

    sums = posted.group_by("subject", "day", "currency").agg(pl.col("amount_minor").sum())
    assert sums.filter(pl.col("amount_minor") != 0).height == 0
    account = posted.filter(pl.col("account") == INVENTORY).group_by("currency").agg(pl.col("amount_minor").sum())
    worth = stock_value(layers).group_by("currency").agg(pl.col("value_minor").sum())
    assert dict(account.sort("currency").iter_rows()) == dict(worth.sort("currency").iter_rows())
    assert account.height == 20
