"""The three-way match: each verdict, what is booked of it, and what an approval changes, on both databases."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.finance.payouts.frames import StatementError
from assets.finance.purchase_matching import (
    Invoice,
    InvoiceLine,
    Ledger,
    Ordered,
    Tolerance,
    Verdict,
    judge,
    judge_all,
    read_invoices,
)
from assets.finance.purchases import Taken, approve_invoice, purchase_matches, take_invoices
from resources.store.audit import verify
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.ledger import read_postings
from resources.store.purchasing import draft_orders
from resources.store.stock import write_movements
from resources.store.supplier_invoices import UnknownInvoice

DAY = date(2026, 11, 3)
DEFAULT = Tolerance()
HEAD = "supplier;invoice_number;invoice_date;purchase_order;sku;quantity;unit_price;currency;tax"
ONE = "Tannerie;F-17;03.11.2026;PO-000001;BAG;10;310,00;EUR;620,00"


def ordered(quantity: int = 10, received: int = 10, cost: int | None = 31000, **more: Any) -> Ordered:
    given = {"supplier": "Tannerie", "status": "ordered", "currency": "EUR"} | more
    return Ordered(given["supplier"], given["status"], quantity, received, cost, given["currency"])


def invoice(quantity: int = 10, price: str = "310", number: str = "F-17", **more: Any) -> Invoice:
    micros = int(Decimal(price) * 10**6)
    lines = (InvoiceLine("BAG", quantity, micros, micros * quantity // 10**4),)
    given = {
        "supplier": "Tannerie",
        "order_number": "PO-1",
        "invoiced_on": DAY,
        "currency": "EUR",
        "lines": lines,
    } | more
    return Invoice(number=number, tax_minor=0, **given)


def verdict(
    its: Invoice, *, tolerance: Tolerance = DEFAULT, earlier: list[Invoice] | None = None, **of: Any
) -> Verdict:
    return judge(its, Ledger({("PO-1", "BAG"): ordered(**of)}, earlier=earlier or []), tolerance)


def test_an_invoice_of_what_was_ordered_and_has_arrived_matches() -> None:
    assert verdict(invoice()) == Verdict("matched")


@pytest.mark.parametrize(
    ("its", "of", "result", "detail"),
    [
        (invoice(), {"received": 0}, "no_receipt", "nothing has arrived of BAG"),
        (invoice(), {"received": 9}, "quantity_variance", "BAG: 10 invoiced, 9 arrived of 10 ordered"),
        (invoice(price="313.11"), {}, "price_variance", "BAG: 313.11 a unit invoiced, 310.00 EUR ordered"),
        (invoice(price="306.89"), {}, "price_variance", "BAG: 306.89 a unit invoiced, 310.00 EUR ordered"),
        (invoice(), {"cost": None}, "price_variance", "BAG: the purchase order has no price"),
        (invoice(currency="USD"), {}, "price_variance", "BAG: invoiced in USD, ordered in EUR"),
        (invoice(order_number="PO-2"), {}, "no_order", "purchase order PO-2 has no BAG"),
        (invoice(order_number=None), {}, "no_order", "the invoice names no purchase order"),
        (invoice(supplier="Atelier"), {}, "no_order", "purchase order PO-1 was given to Tannerie"),
        (invoice(), {"status": "cancelled"}, "no_order", "purchase order PO-1 was cancelled"),
    ],
)
def test_what_differs_is_named(its: Invoice, of: dict[str, Any], result: str, detail: str) -> None:
    assert verdict(its, **of) == Verdict(result, detail)


def test_differences_within_the_tolerances_match() -> None:
    assert verdict(invoice(price="313.10")).result == "matched"
    assert verdict(invoice(11), tolerance=Tolerance(quantity=Decimal(10))).result == "matched"
    assert verdict(invoice(12), tolerance=Tolerance(quantity=Decimal(10))).result == "quantity_variance"


@pytest.mark.parametrize(
    ("other", "result"),
    [
        (invoice(3, number="f 17"), "duplicate"),
        (invoice(number="F-18"), "duplicate"),
        (invoice(number="F-18", invoiced_on=date(2026, 9, 1)), "matched"),
        (invoice(9, number="F-18"), "matched"),
        (invoice(3, supplier="Atelier"), "matched"),
    ],
)
def test_the_same_number_or_the_same_goods_soon_after_are_a_duplicate(other: Invoice, result: str) -> None:
    assert verdict(invoice(), earlier=[other]).result == result


def test_several_invoices_of_one_order_may_not_exceed_what_arrived() -> None:
    known = Ledger({("PO-1", "BAG"): ordered()})
    some = [invoice(6, number="A"), invoice(5, number="B"), invoice(4, number="C", invoiced_on=date(2026, 11, 9))]
    verdicts = judge_all(some, known, Tolerance())
    assert [verdicts["Tannerie", name].result for name in "ABC"] == ["matched", "quantity_variance", "matched"]
    assert verdicts["Tannerie", "B"].detail == "BAG: 5 invoiced after 6 on earlier invoices, 10 arrived of 10 ordered"


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 40)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_never_more_is_taken_than_arrived_in_whatever_order_invoices_come(
    some: list[tuple[int, int]], random: Any
) -> None:
    invoices = [
        invoice(units, number=f"N{n}", invoiced_on=date.fromordinal(DAY.toordinal() + day))
        for n, (units, day) in enumerate(some)
    ]
    verdicts = judge_all(invoices, Ledger({("PO-1", "BAG"): ordered(received=9)}), Tolerance())
    assert sum(i.lines[0].quantity for i in invoices if verdicts[i.supplier, i.number].result == "matched") <= 9
    random.shuffle(invoices)
    assert judge_all(invoices, Ledger({("PO-1", "BAG"): ordered(received=9)}), Tolerance()) == verdicts


def test_a_file_of_invoices_is_read_and_what_is_wrong_is_put_aside_as_a_whole() -> None:
    rows = [
        HEAD,
        ONE,
        "Tannerie;F-17;03.11.2026;PO-000001;BELT;2;9,995;EUR;",
        "Tannerie;F-18;03.11.2026;PO-000001;BAG;0;310,00;EUR;",
        "Tannerie;F-18;03.11.2026;PO-000001;BELT;1;310,00;EUR;",
        "Atelier;1;13.11.2026;;SCARF;3;1.000,00;JPY;",
    ]
    invoices, aside = read_invoices("\n".join(rows).encode())
    assert [(i.number, i.goods_minor, i.tax_minor, i.order_number) for i in invoices] == [
        ("F-17", 310000 + 1999, 62000, "PO-000001"),
        ("1", 3000, 0, None),
    ]
    assert sorted(row[0] for row in aside.rows) == [3, 4]
    with pytest.raises(StatementError, match="no column"):
        read_invoices(b"supplier;sku\na;b\n")


def purchase(books: BrandStore, received: int = 0) -> None:
    """One purchase order of ten bags at 310.00, of which some have arrived."""
    schema = {"sku": pl.String, "supplier": pl.String, "quantity": pl.Int64, "expected_on": pl.Date}
    schema |= {"unit_cost_minor": pl.Int64, "currency": pl.String}
    needs = pl.DataFrame([("BAG", "Tannerie", 10, DAY, 31000, "EUR")], schema=schema, orient="row")
    with books.write() as (connection, brand):
        draft_orders(connection, brand, needs, pl.DataFrame(schema={"sku": pl.String, "on_order": pl.Int64}))
        run(connection, "UPDATE purchase_orders SET status = 'ordered'")
    if received:
        receive(books, received)


def receive(books: BrandStore, units: int) -> None:
    at = datetime(2026, 11, 2, 9, tzinfo=UTC)
    row = {"occurred_at": at, "local_date": at.date(), "sku": "BAG", "location": "main", "kind": "receipt"}
    rows = pl.DataFrame([row | {"quantity": units, "reference": "PO-000001"}])
    with books.write() as (connection, brand):
        write_movements(
            connection, brand, rows.with_columns(pl.col("occurred_at").cast(pl.Datetime("us", "UTC"))), "main"
        )


def take(books: BrandStore, *rows: str) -> Taken:
    invoices, aside = read_invoices("\n".join([HEAD, *rows]).encode(), dates="dmy")
    assert not aside.rows
    return take_invoices(books, invoices, "ana")


def verdicts(books: BrandStore) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        return purchase_matches(connection, brand, DEFAULT).select("number", "result", "booked").rows()


def owed(books: BrandStore) -> dict[str, int]:
    with books.read() as (connection, brand):
        postings = read_postings(connection, brand, date(2020, 1, 1), date(2030, 1, 1))
    summed = postings.group_by("subaccount").agg(pl.col("amount_minor").sum()).sort("subaccount")
    return {account: amount for account, amount in summed.iter_rows() if amount}


def test_an_invoice_is_booked_once_when_its_goods_have_arrived(books: BrandStore) -> None:
    purchase(books)
    assert take(books, ONE) == Taken(1, 0, 0)
    assert verdicts(books) == [("F-17", "no_receipt", False)]
    receive(books, 10)
    assert take(books, ONE) == Taken(0, 1, 1)
    assert take(books, ONE) == Taken(0, 1, 0)
    assert verdicts(books) == [("F-17", "matched", True)]
    assert owed(books) == {"1400": 62000, "2000.Tannerie": -372000, "2050.Tannerie": 310000}


def test_an_invoice_that_differs_is_booked_when_somebody_approves_it_and_that_is_audited(books: BrandStore) -> None:
    purchase(books, received=10)
    take(books, ONE.replace("310,00", "350,00"))
    assert verdicts(books) == [("F-17", "price_variance", False)]
    assert owed(books) == {}
    with pytest.raises(UnknownInvoice):
        approve_invoice(books, "Tannerie", "F-99", "agreed by telephone", "ana")
    assert approve_invoice(books, "Tannerie", "F-17", "agreed by telephone", "ana").booked == 1
    # What the goods cost more than was ordered is a variance of the price; the receipt is cleared as it was ordered.
    tax, more = 62000, 40000
    assert owed(books) == {"1400": tax, "2000.Tannerie": -350000 - tax, "2050.Tannerie": 310000, "5300": more}
    with pytest.raises(UnknownInvoice):
        approve_invoice(books, "Tannerie", "F-17", "again", "ana")
    with books.read() as (connection, brand):
        assert verify(connection, brand).fault is None
        rows = run(connection, "SELECT action, actor FROM audit_log WHERE action LIKE 'finance.approve%'").fetchall()
    assert [tuple(row) for row in rows] == [("finance.approve_invoice", "ana")]


def test_a_second_invoice_of_a_number_is_kept_as_a_duplicate_and_not_booked(books: BrandStore) -> None:
    purchase(books, received=10)
    take(books, ONE.replace(";10;", ";4;"))
    before = owed(books)
    assert take(books, ONE.replace(";10;", ";5;").replace("03.11", "01.11")) == Taken(1, 0, 0)
    assert take(books, ONE.replace(";10;", ";5;").replace("03.11", "01.11")) == Taken(0, 1, 0)
    assert verdicts(books) == [("F-17", "matched", True), ("F-17 (2)", "duplicate", False)]
    assert owed(books) == before
