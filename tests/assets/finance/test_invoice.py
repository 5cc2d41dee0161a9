"""Amounts as order lines: they always add up, in every currency.

Does not belong here: what the lines mean to the ledger (`test_posting`).
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.finance.invoice import Amounts, DoesNotAddUp, Item, invoice_lines
from assets.finance.money import exponent, to_decimal, to_minor

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KWD"])


@given(data=st.data(), currency=CURRENCIES, refund=st.booleans())
def test_the_lines_sum_to_the_amount_to_the_last_minor_unit(data: st.DataObject, currency: str, refund: bool) -> None:
    money = st.integers(0, 10**7).map(lambda minor: to_decimal(minor, currency))
    items = data.draw(
        st.lists(
            st.builds(
                Item,
                st.sampled_from(["BAG", "SCARF", "BELT"]),
                st.integers(1, 50),
                st.decimals(0, 9999, places=6, allow_nan=False),
            ),
            max_size=5,
        )
    )
    tax, shipping = data.draw(money), data.draw(money)
    goods = sum(to_minor(item.unit_price * item.quantity, currency) for item in items) if items else None
    subtotal = to_decimal(goods, currency) if goods is not None else data.draw(money)
    discount = min(data.draw(money), subtotal + tax + shipping)
    total = subtotal + tax + shipping - discount
    lines = invoice_lines(items, Amounts(total, subtotal, shipping, tax, discount), currency, refund=refund)
    assert sum(line.amount_minor for line in lines) == (-1 if refund else 1) * to_minor(total, currency)
    assert len({(line.code, line.quantity, line.unit_price_micros, line.occurrence) for line in lines}) == len(lines)


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
def test_an_amount_alone_is_one_line_of_goods_that_nobody_named(currency: str) -> None:
    amount = Decimal(12)
    (line,) = invoice_lines([], Amounts(amount), currency)
    assert (line.kind, line.sku, line.quantity) == ("goods", None, 1)
    assert line.amount_minor == 12 * 10 ** exponent(currency)
    assert line.unit_price_micros == 12_000_000


def test_a_refund_without_items_is_a_line_of_refund() -> None:
    lines = invoice_lines([], Amounts(Decimal("12.00"), tax=Decimal("2.00")), "EUR", refund=True)
    assert [(line.kind, line.quantity, line.amount_minor) for line in lines] == [
        ("refund", -1, -1000),
        ("tax", -1, -200),
    ]


def test_a_unit_given_away_is_a_gift_and_costs_nothing() -> None:
    items = [Item("BAG", 1, Decimal(100)), Item("POUCH", 1, Decimal(0))]
    lines = invoice_lines(items, Amounts(Decimal(100)), "EUR")
    assert [(line.kind, line.amount_minor) for line in lines] == [("goods", 10000), ("gift", 0)]


def test_equal_items_are_told_apart() -> None:
    lines = invoice_lines([Item("BAG", 1, Decimal(100))] * 3, Amounts(Decimal(300)), "EUR")
    assert [line.occurrence for line in lines] == [0, 1, 2]


@pytest.mark.parametrize(
    ("amounts", "items", "field"),
    [
        (Amounts(Decimal(10), subtotal=Decimal(9)), [], "amount"),
        (Amounts(Decimal(10), shipping=Decimal(11)), [], "amount"),
        (Amounts(Decimal(10)), [Item("BAG", 1, Decimal(9))], "amount"),
        (Amounts(Decimal(10), subtotal=Decimal(10)), [Item("BAG", 1, Decimal(9))], "subtotal"),
    ],
)
def test_amounts_that_contradict_each_other_name_the_field(amounts: Amounts, items: list[Item], field: str) -> None:
    with pytest.raises(DoesNotAddUp) as error:
        invoice_lines(items, amounts, "EUR")
    assert error.value.field == field
