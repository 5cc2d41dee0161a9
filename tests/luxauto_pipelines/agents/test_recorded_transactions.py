"""Money events told one at a time: once, adding up, in the same rows as an ingest writes, taken back once.

Does not belong here: the route (`tests/luxauto_pipelines/gateway/test_finance_routes.py`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets.ingestion.mapping import OrderMapping
from luxauto_pipelines.agents.finance_inventory.errors import Conflict, InvalidFields
from luxauto_pipelines.ingest import ingest_orders
from resources.settings import load_settings
from resources.store.brand_store import BrandStore

Do = Callable[..., dict[str, Any]]
Rows = Callable[[str], list[tuple[Any, ...]]]
BAG = {"sku": "BAG", "quantity": 2, "unit_price": 649.5}
SALE = {"amount": 1299, "currency": "EUR", "order_id": "A-1", "channel": "shopify", "line_items": [BAG]}
TABLES = ("orders", "order_lines", "transactions", "stock_movements", "customers", "audit_log")


def counts(rows: Rows) -> list[int]:
    return [rows(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def test_a_sale_becomes_an_order_with_lines_that_moves_stock(do: Do, rows: Rows) -> None:
    answer = do("record_transaction", **SALE, customer_id="C-7")
    assert (answer["success"], answer["type"], answer["amount"], answer["currency"]) == (True, "sale", 1299, "EUR")
    assert rows("SELECT number, currency FROM orders") == [("A-1", "EUR")]
    lines = "SELECT kind, code, quantity, unit_price_micros, amount_minor FROM order_lines"
    assert rows(lines) == [("goods", "BAG", 2, 649_500_000, 129900)]
    assert rows("SELECT kind, quantity FROM stock_movements") == [("sale", -2)]
    assert rows("SELECT type, amount_minor FROM transactions") == [("sale", 129900)]
    assert rows("SELECT external_id FROM customers") == [("C-7",)]


def test_a_recorded_sale_leaves_the_rows_that_an_ingest_of_it_leaves(
    do: Do, books: BrandStore, rows: Rows, tmp_path: Path
) -> None:
    at = "2026-03-02T10:00:00+01:00"
    do("record_transaction", **{**SALE, "amount": 1320, "shipping_amount": 21}, occurred_at=at)
    file = tmp_path / "orders.csv"
    file.write_text(
        "order_number,sku,quantity,unit_price,occurred_at,line_type,currency,channel\n"
        f"B-1,BAG,2,649.50,{at},goods,EUR,shopify\nB-1,SHIPPING,1,21,{at},shipping,EUR,shopify\n"
    )
    columns = ("order_number", "sku", "quantity", "unit_price", "occurred_at", "line_type", "currency", "channel")
    mapping = OrderMapping.model_validate({"columns": {name: name for name in columns}})
    ingest_orders(books, file, mapping, "test", lambda stage: None)
    for query in (
        "SELECT currency, placed_at, local_date, channel_id FROM orders o WHERE number = '{}'",
        "SELECT kind, code, sku_id, quantity, unit_price_micros, amount_minor, l.currency, occurrence, occurred_at,"
        " l.local_date FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE number = '{}' ORDER BY l.id",
        "SELECT t.type, t.amount_minor, t.currency, t.occurred_at FROM transactions t JOIN orders o ON o.id = t.order_id"
        " WHERE number = '{}'",
        "SELECT m.kind, m.quantity, m.location_id, m.sku_id, m.occurred_at, m.local_date FROM stock_movements m"
        " JOIN order_lines l ON l.id = m.order_line_id JOIN orders o ON o.id = l.order_id WHERE number = '{}'",
    ):
        recorded, ingested = rows(query.format("A-1")), rows(query.format("B-1"))
        assert recorded == ingested
        assert recorded


def test_the_same_order_and_type_again_gives_the_first_answer(do: Do, rows: Rows) -> None:
    first = do("record_transaction", **SALE)
    before = counts(rows)
    assert do("record_transaction", **SALE) == first
    assert do("record_transaction", **{k: v for k, v in SALE.items() if k != "channel"}) == first
    assert counts(rows) == before


def test_an_ingested_order_is_not_recorded_a_second_time(do: Do, books: BrandStore, rows: Rows, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(
        "order_number,sku,quantity,unit_price,occurred_at,channel\nA-1,BAG,2,649.50,2026-03-02 10:00,shopify\n"
    )
    columns = ("order_number", "sku", "quantity", "unit_price", "occurred_at", "channel")
    mapping = OrderMapping.model_validate({"columns": {name: name for name in columns}, "currency": "EUR"})
    ingest_orders(books, file, mapping, "test", lambda stage: None)
    before = counts(rows)
    assert do("record_transaction", **SALE)["amount"] == 1299
    assert counts(rows) == before


def test_another_event_of_the_same_order_and_type_is_a_conflict(do: Do, rows: Rows) -> None:
    do("record_transaction", **SALE)
    before = counts(rows)
    with pytest.raises(Conflict, match="A-1"):
        do("record_transaction", **{**SALE, "amount": 649.5, "line_items": [{**BAG, "quantity": 1}]})
    assert counts(rows) == before


def test_without_an_order_the_key_of_the_call_is_the_identity(do: Do, rows: Rows) -> None:
    first = do("record_transaction", key="step", amount=10, currency="EUR")
    assert do("record_transaction", key="step", amount=10, currency="EUR") == first
    assert do("record_transaction", key="other", amount=10, currency="EUR") != first
    assert rows("SELECT count(*) FROM transactions") == [(2,)]


def test_a_refund_belongs_to_the_order_and_puts_stock_back(do: Do, rows: Rows) -> None:
    do("record_transaction", **SALE)
    refund = {"type": "refund", "amount": 649.5, "currency": "EUR", "order_id": "A-1"}
    do("record_transaction", **refund, line_items=[{**BAG, "quantity": 1}])
    assert rows("SELECT count(*) FROM orders") == [(1,)]
    assert rows("SELECT type, amount_minor FROM transactions ORDER BY id") == [("sale", 129900), ("refund", -64950)]
    assert rows("SELECT kind, quantity FROM stock_movements ORDER BY id") == [("sale", -2), ("return", 1)]


def test_a_refund_in_another_currency_than_the_order_is_refused(do: Do) -> None:
    do("record_transaction", **SALE)
    with pytest.raises(InvalidFields, match="#/currency"):
        do("record_transaction", type="refund", amount=5, currency="USD", order_id="A-1")


def test_an_order_id_that_two_channels_have_needs_the_channel(do: Do) -> None:
    do("record_transaction", **SALE)
    do("record_transaction", **{**SALE, "channel": "amazon"})
    with pytest.raises(InvalidFields, match="#/channel"):
        do("record_transaction", type="refund", amount=5, currency="EUR", order_id="A-1")


def test_stock_leaves_the_location_of_the_channel_where_there_is_one(do: Do, rows: Rows) -> None:
    do("record_transaction", **SALE)
    do("sync_inventory", channel="amazon", items=[{"sku": "BAG", "quantity_available": 9}])
    do("record_transaction", **{**SALE, "channel": "amazon"})
    query = "SELECT l.code, m.quantity FROM stock_movements m JOIN locations l ON l.id = m.location_id ORDER BY m.id"
    assert rows(query) == [("main", -2), ("amazon", 9), ("amazon", -2)]


def test_an_item_id_is_found_by_the_listing_of_the_channel(do: Do, rows: Rows) -> None:
    do("sync_inventory", channel="shopify", items=[{"sku": "BAG", "item_id": "gid-1"}])
    items = [{"item_id": "gid-1", "quantity": 1, "unit_price": 10}, {"item_id": "NEW", "quantity": 1, "unit_price": 10}]
    do("record_transaction", **{**SALE, "amount": 20, "line_items": items})
    assert rows("SELECT code FROM order_lines ORDER BY id") == [("BAG",), ("NEW",)]


@pytest.mark.parametrize(
    ("type", "minor"), [("purchase", -1050), ("expense", -1050), ("revenue", 1050), ("transfer", 1050)]
)
def test_other_types_are_kept_as_transactions_alone(do: Do, rows: Rows, type: str, minor: int) -> None:
    first = do("record_transaction", type=type, amount=10.5, currency="EUR", order_id="PO-1", payment_method="wire")
    assert (
        do("record_transaction", type=type, amount=10.5, currency="EUR", order_id="PO-1", payment_method="wire")
        == first
    )
    assert rows("SELECT type, amount_minor, order_id FROM transactions") == [(type, minor, None)]
    assert rows("SELECT count(*) FROM order_lines") == [(0,)]
    with pytest.raises(Conflict):
        do("record_transaction", type=type, amount=11, currency="EUR", order_id="PO-1", payment_method="wire")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"subtotal": 1000}, "#/subtotal"),
        ({"amount": 1300}, "#/amount"),
        ({"tax_amount": 1}, "#/amount"),
        ({"amount": 1299.001}, "#/amount"),
        ({"currency": "JPY", "amount": 1299.5}, "#/amount"),
        ({"occurred_at": "1066-10-14T09:00:00Z"}, "#/occurred_at"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "#/occurred_at"),
        ({"type": "expense"}, "#/line_items"),
        ({"metadata": {"deep": [{"note": "4111-1111-1111-1111"}]}}, "#/metadata/deep/0/note"),
        ({"metadata": {"cvv": "123"}}, "#/metadata/cvv"),
        ({"payment_method": "5500 0000 0000 0004"}, "#/payment_method"),
        ({"customer_id": "378282246310005"}, "#/customer_id"),
        ({"amount": 378282246310005, "line_items": []}, "#/amount"),
        ({"line_items": [{**BAG, "sku": "4111111111111111"}]}, "#/line_items/0/sku"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field_and_kept_nowhere(
    do: Do, rows: Rows, change: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidFields) as error:
        do("record_transaction", **{**SALE, **change})
    assert error.value.errors[0][0] == place
    assert counts(rows) == [0] * len(TABLES)


@pytest.mark.parametrize(
    "change",
    [{"amount": 0}, {"amount": -1}, {"amount": True}, {"amount": "NaN"}, {"currency": "EURO"}, {"channel": "souk"},
     {"type": "theft"}, {"card": 1}, {"occurred_at": "2026-01-01T00:00:00"}, {"line_items": [{"quantity": 1, "unit_price": 1}]},
     {"line_items": [{**BAG, "quantity": 0}]}, {"line_items": [{**BAG, "quantity": 1.5}]}],
)  # fmt: skip
def test_parameters_of_the_wrong_form_are_refused(do: Do, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        do("record_transaction", **{**SALE, **change})


def test_an_event_before_the_first_day_of_the_books_opens_them(do: Do) -> None:
    do("record_transaction", amount=1, currency="EUR", occurred_at="2015-06-07T12:00:00Z")
    assert str(load_settings().current.books_start) == "2015-06-01"


def test_an_address_for_a_customer_is_kept_as_a_keyed_hash(do: Do, rows: Rows, home: Path) -> None:
    home.mkdir(exist_ok=True)
    do("record_transaction", **SALE, customer_id="Ada@example.org")
    ((kept,),) = rows("SELECT external_id FROM customers")
    assert "@" not in kept


@pytest.mark.parametrize(
    "wanted",
    [
        SALE,
        {**SALE, "amount": 1400, "tax_amount": 121, "discount_amount": 20},
        {"amount": 99.5, "currency": "EUR"},
        {"type": "refund", "amount": 30, "currency": "EUR"},
        {"type": "expense", "amount": 30, "currency": "EUR"},
    ],
)
def test_a_reversal_is_equal_and_opposite_and_happens_once(do: Do, rows: Rows, wanted: dict[str, Any]) -> None:
    original = do("record_transaction", key="step", **wanted)
    first = do("reverse_transaction", undoes="step")
    assert first["reversal_of"] == original["transaction_id"]
    before = counts(rows)
    assert do("reverse_transaction", undoes="step") == first
    assert counts(rows) == before
    assert rows("SELECT count(*), sum(amount_minor) FROM transactions") == [(2, 0)]
    assert rows("SELECT coalesce(sum(amount_minor), 0), coalesce(sum(quantity), 0) FROM order_lines") == [(0, 0)]
    assert rows("SELECT coalesce(sum(quantity), 0) FROM stock_movements") == [(0,)]


def test_a_call_that_found_the_sale_recorded_by_another_reverses_nothing(do: Do, rows: Rows) -> None:
    do("record_transaction", key="first", **SALE)
    do("record_transaction", key="second", **SALE)
    assert do("reverse_transaction", undoes="second")["reversed"] is False
    assert rows("SELECT count(*) FROM transactions") == [(1,)]


def test_every_record_and_reversal_is_in_the_audit_log(do: Do, rows: Rows) -> None:
    do("record_transaction", key="step", **SALE)
    do("reverse_transaction", undoes="step")
    assert [action for (action,) in rows("SELECT action FROM audit_log ORDER BY id")] == [
        "transaction.record",
        "transaction.reverse",
    ]
