"""Reconciling on both databases: statements in, orders settled, clearing at zero when all is paid, what is left named.

Does not belong here: vendors' layouts (`payouts/test_reading`), the rules on frames (`payouts/test_matching`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from random import Random

import polars as pl
import pytest

from assets.finance.accounts import chart_frame
from assets.finance.booking import load_chart
from assets.finance.fx import daily_ratios
from assets.finance.payouts.frames import StatementError
from assets.finance.posting import value_lines, wanted_postings, with_rates
from assets.finance.reconcile import (
    Reconciled,
    match_by_hand,
    match_payout_by_hand,
    read_state,
    reconcile,
    take_back,
)
from assets.finance.reports.explain import explain
from assets.finance.reports.registry import make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from assets.ingestion.mapping import OrderMapping
from luxauto_pipelines.ingest import ingest_orders, ingest_reference
from luxauto_pipelines.statements import StatementResult, Take, take_statement
from resources.store.audit import verify
from resources.store.brand_store import BrandStore
from resources.store.ledger import post, read_postings, write_accounts
from resources.store.orders import read_order_lines
from resources.store.rates import read_rates
from resources.store.reconciliation import ReconciliationError, last_change
from tests.assets.finance.payouts import samples

TODAY = date(2026, 11, 20)
FIRST, LAST = date(2020, 1, 1), date(2030, 1, 1)
COLUMNS = ("order_number", "sku", "quantity", "unit_price", "occurred_at", "line_type", "currency", "channel")
COSTS = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
Order = tuple[str, str, str, str, str]
Take_ = Callable[..., StatementResult]

ORDERS: list[Order] = [
    ("0990", "200.00", "EUR", "2026-10-20", "shopify"),
    ("1001", "1290.00", "EUR", "2026-11-03", "shopify"),
    ("1002", "500.00", "USD", "2026-11-03", "shopify"),
    ("1003", "100000", "JPY", "2026-11-04", "shopify"),
    ("1004", "99.00", "EUR", "2026-11-06", "shopify"),
]
HEAD = samples.SHOPIFY.splitlines()[0]
EARLIER = (
    f"{HEAD}\n2026-10-20 10:00:00 +0200,charge,#0990,visa,online,paid,2026-10-22,90000000001,2026-10-22,200.00,4.00,196.00,"
    "#c0,card,200.00,EUR,EUR\n"
)
LATER = samples.SHOPIFY.replace("pending,,,2026-11-09", "paid,2026-11-09,92000000001,2026-11-09")
BANK = """\
day;text;amount;currency
22.10.2026;SHOPIFY 90000000001;196,00;EUR
09.11.2026;SHOPIFY 92000000001;97,01;EUR
"""
BANK_MAP = "columns: {booked_on: day, reference: text, amount: amount, currency: currency}\naccount: main\n"


@pytest.fixture
def take(books: BrandStore, tmp_path: Path) -> Take_:
    def take(text: str, name: str = "statement", **how: object) -> StatementResult:
        file = tmp_path / name
        file.write_bytes(text.encode())
        map_file = tmp_path / "map.yaml"
        map_file.write_text(BANK_MAP)
        given = {**how, "map_file": map_file} if how.pop("csv", False) else how
        return take_statement(books, file, Take(**given), "tester")  # pyright: ignore[reportArgumentType]

    return take


def sell(books: BrandStore, tmp_path: Path, orders: Sequence[Order], refunds: Sequence[Order] = ()) -> None:
    """Take orders in and post them, with rates for every currency of every day."""
    rows = [f"{n},BAG,1,{price},{day} 12:00,goods,{cur},{channel}" for n, price, cur, day, channel in orders]
    rows += [f"{n},REFUND,1,-{price},{day} 12:00,refund,{cur},{channel}" for n, price, cur, day, channel in refunds]
    file = tmp_path / "orders.csv"
    file.write_text("\n".join([",".join(COLUMNS), *rows]))
    mapping = OrderMapping.model_validate({"columns": {name: name for name in COLUMNS}})
    assert ingest_orders(books, file, mapping, "test", lambda stage: None).quarantined == 0
    rates = tmp_path / "rates.csv"
    quoted = ("USD,1.087", "JPY,163.2", "KWD,0.334")
    days = sorted({day for *_, day, _ in [*orders, *refunds]} | {"2026-11-05", "2026-11-08"})
    rates.write_text("date,base,quote,rate\n" + "\n".join(f"{day},EUR,{quote}" for day in days for quote in quoted))
    ingest_reference(books, rates, "rates", lambda stage: None)
    chart = load_chart(books.settings.home)
    with books.write() as (connection, brand):
        ratios = daily_ratios(read_rates(connection, brand), "EUR")
        lines = read_order_lines(connection, brand, FIRST, LAST)
        wanted = wanted_postings(value_lines(lines, pl.DataFrame(schema=COSTS), ratios, "EUR"), chart)
        accounts = write_accounts(connection, brand, chart_frame(chart))
        post(connection, brand, with_rates(wanted, ratios), accounts, FIRST, LAST)


def balances(books: BrandStore, head: str) -> dict[tuple[str, str], int]:
    """What stands on an account and its sub-accounts, by currency; zeros are left out."""
    with books.read() as (connection, brand):
        postings = read_postings(connection, brand, FIRST, LAST)
    summed = (
        postings.filter(pl.col("account") == head).group_by("subaccount", "currency").agg(pl.col("amount_minor").sum())
    )
    return {(account, currency): amount for account, currency, amount in summed.iter_rows() if amount}


def run(books: BrandStore) -> Reconciled:
    return reconcile(books, "tester", TODAY)


def report(books: BrandStore) -> list[tuple[object, ...]]:
    with books.read() as (connection, brand):
        rows = read_state(books, connection, brand, TODAY).report
    return rows.select("payout_ref", "expected_minor", "banked_minor", "difference_minor", "state").rows()


def left(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_state(books, connection, brand, TODAY).unmatched


def test_clearing_is_zero_when_everything_is_settled_and_shows_what_is_not_before(
    books: BrandStore, tmp_path: Path, take: Take_
) -> None:
    sell(books, tmp_path, ORDERS, [("1001", "290.00", "EUR", "2026-11-04", "shopify")])
    owed = {("1100.shopify", "EUR"): 129900, ("1100.shopify", "USD"): 50000, ("1100.shopify", "JPY"): 100000}
    assert balances(books, "1100") == owed
    taken = take(samples.SHOPIFY)
    assert (taken.source, taken.processor, taken.new, taken.known, taken.exit_code) == (
        "shopify_payments",
        "shopify",
        6,
        0,
        0,
    )
    take(samples.CAMT_02, account="main")
    done = run(books)
    assert (done.lines, done.payouts) == (6, 1)
    # Unsettled: the disputed order, whose payment no statement has told yet, and the one that is pending.
    assert balances(books, "1100") == {("1100.shopify", "EUR"): 29900}
    assert balances(books, "1150") == {("1150.shopify", "EUR"): 20000}
    assert balances(books, "1000") == {("1000.main", "EUR"): 181463}
    assert balances(books, "6100") == {("6100.shopify", "EUR"): 2257 + 805 + 1225 + 1500}
    assert report(books) == [("91000000001", 181463, 181463, 0, "banked")]
    take(EARLIER, "earlier")
    take(LATER, "later")
    take(BANK, "bank", csv=True)
    run(books)
    assert balances(books, "1100") == {}
    assert balances(books, "1000") == {("1000.main", "EUR"): 181463 + 19600 + 9701}
    assert [row[-1] for row in report(books)] == ["banked"] * 3
    assert left(books).is_empty()


def test_the_report_of_payouts_shows_how_clearing_came_to_what_is_open(
    books: BrandStore, tmp_path: Path, take: Take_
) -> None:
    sell(books, tmp_path, ORDERS, [("1001", "290.00", "EUR", "2026-11-04", "shopify")])
    take(samples.SHOPIFY)
    take(samples.CAMT_02, account="main")
    run(books)
    with books.read() as (connection, brand):
        postings = read_postings(connection, brand, FIRST, LAST)
    nothing = pl.DataFrame()
    sources = Sources(postings.lazy(), nothing.lazy(), nothing, nothing, nothing, "EUR", "EUR")
    report = make_report("payouts", sources, Span(date(2026, 11, 1), date(2026, 11, 30)))
    row = {column.key: report.cell("1100.shopify/EUR", column.key) for column in report.columns}
    orders, fees = 129000 - 29000 + 9900, 2257 + 805 + 1225 + 1500
    # What was sold in dollars and yen is settled, and so owed, in euros.
    assert row == {
        "opening": 20000,
        "orders": orders,
        "fees": -fees,
        "disputes": -20000,
        "moved": 46000 + 61250,
        "paid_out": -181463,
        "open": 29900,
    }
    assert report.cell("1100.shopify/USD", "open") == 0
    assert explain(report, "1100.shopify/EUR:paid_out").evidence["value"].to_list() == [-181463]
    assert explain(report, "1100.shopify/EUR:open").evidence["value"].sum() == 29900


@pytest.mark.parametrize("seed", [1, 2])
def test_clearing_is_always_what_is_owed_less_what_was_paid_out(
    books: BrandStore, tmp_path: Path, take: Take_, seed: int
) -> None:
    """Forty orders of two currencies, some paid, some refunded, in payouts of which some are at the bank: counted twice."""
    chance = Random(seed)
    orders, refunds, rows, sums, owed = [], [], [], dict.fromkeys(range(6), 0), {"EUR": 0, "USD": 0}
    banked = {0, 2, 3}
    for number in range(3001, 3041):
        currency, cents = chance.choice(["EUR", "EUR", "USD"]), chance.randrange(1000, 90000)
        orders.append((str(number), f"{cents / 100:.2f}", currency, "2026-11-03", "shopify"))
        owed[currency] += cents
        if chance.random() < 0.2:
            continue
        payout = chance.randrange(6)
        in_euro = cents if currency == "EUR" else cents * 92 // 100
        if currency == "USD":
            # What is settled in another currency is owed in that one.
            owed["USD"] -= cents
            owed["EUR"] += in_euro
        told = [(in_euro, cents, payout)]
        if currency == "EUR" and chance.random() < 0.3:
            back = chance.randrange(1, cents)
            refunds.append((str(number), f"{back / 100:.2f}", currency, "2026-11-04", "shopify"))
            owed["EUR"] -= back
            told.append((-back, -back, chance.randrange(6)))
        for gross, shown, place in told:
            fee = abs(gross) // 50
            kind = "charge" if gross > 0 else "refund"
            amounts = f"{gross / 100:.2f},{fee / 100:.2f},{(gross - fee) / 100:.2f},#c{number},card,{shown / 100:.2f}"
            rows.append(
                f"2026-11-03 12:00:00 +0100,{kind},#{number},visa,online,paid,2026-11-05,9{place},,{amounts},{currency},EUR"
            )
            sums[place] += gross - fee
            if place in banked:
                owed["EUR"] -= gross
    sell(books, tmp_path, orders, refunds)
    chance.shuffle(rows)
    take("\n".join([HEAD, *rows]))
    lines = [
        f"06.11.2026;SHOPIFY 9{place}X;{sums[place] / 100:.2f};EUR".replace(".", ",").replace("06,11,", "06.11.")
        for place in banked
    ]
    take("\n".join(["day;text;amount;currency", *lines]), "bank", csv=True)
    done = run(books)
    assert (done.lines, done.payouts) == (len(rows), len(banked))
    assert balances(books, "1100") == {("1100.shopify", c): amount for c, amount in owed.items() if amount}
    assert balances(books, "1000") == {("1000.main", "EUR"): sum(sums[place] for place in banked)}


def test_the_same_files_and_another_run_change_nothing(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    sell(books, tmp_path, ORDERS, [("1001", "290.00", "EUR", "2026-11-04", "shopify")])
    for _ in range(2):
        take(samples.SHOPIFY)
        take(samples.CAMT_02, account="main")
        run(books)
    with books.read() as (connection, brand):
        before = read_postings(connection, brand, FIRST, LAST)
    assert run(books) == Reconciled(0, 0, 0, 0, left(books).height)
    taken = take(samples.SHOPIFY, "renamed")
    assert (taken.new, taken.known) == (0, 6)
    assert take(samples.CAMT_02.replace("\n", "\r\n"), "renamed.xml").new == 0
    run(books)
    with books.read() as (connection, brand):
        assert read_postings(connection, brand, FIRST, LAST).equals(before)
        assert verify(connection, brand).fault is None


def test_a_payout_whose_lines_do_not_come_to_it_is_named_and_not_booked(
    books: BrandStore, tmp_path: Path, take: Take_
) -> None:
    sell(books, tmp_path, [("2001", "120.500", "KWD", "2026-11-03", "online_store")])
    take(samples.STRIPE.replace('"-95.380","0.000","-95.380","payout"', '"-95.381","0.000","-95.381","payout"'))
    take("day;text;amount;currency\n06.11.2026;STRIPE po_1;95,381;KWD\n", "bank", csv=True, decimal=",")
    run(books)
    assert report(books) == [("po_1", 95381, 95381, 1, "differs")]
    assert balances(books, "1000") == {}
    explained = left(books).filter(pl.col("item") == "payout")["suggestion"][0]
    assert explained == "the processor states 95.381, its 3 lines come to 95.380: 0.001 apart"


def test_what_is_left_comes_with_the_best_guess(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    sell(books, tmp_path, ORDERS)
    rows = [
        # A second payment of an order, an amount that differs, a mistyped number, and nothing that fits.
        "2026-11-03 10:00:00 +0100,charge,#1001,visa,online,paid,2026-11-05,9,2026-11-05,1290.00,0.00,1290.00,#c1,card,,,EUR",
        "2026-11-03 10:05:00 +0100,charge,#1001,visa,online,paid,2026-11-05,9,2026-11-05,1290.00,0.00,1290.00,#c9,card,,,EUR",
        "2026-11-06 10:00:00 +0100,charge,#1004,visa,online,paid,2026-11-05,9,2026-11-05,104.00,0.00,104.00,#c4,card,,,EUR",
        "2026-10-20 10:00:00 +0200,charge,#0909,visa,online,paid,2026-11-05,9,2026-11-05,200.00,0.00,200.00,#c0,card,,,EUR",
        "2026-11-07 10:00:00 +0100,charge,#7777,visa,online,paid,2026-11-05,9,2026-11-05,1.23,0.00,1.23,#c7,card,,,EUR",
        "2026-11-07 10:00:00 +0100,refund,#1002,visa,online,paid,2026-11-05,9,2026-11-05,-10.00,0.00,-10.00,#c2,card,,,EUR",
    ]
    take("\n".join([HEAD, *rows]))
    run(books)
    guesses = (
        left(books).filter(pl.col("item") == "settlement_line").select("amount_minor", "suggested_order", "suggestion")
    )
    assert guesses.sort("amount_minor").rows() == [
        (-1000, "1002", "order 1002 has nothing refunded in the books"),
        (123, None, "no order has the number #7777: was its file taken in?"),
        (10400, "1004", "the amount differs from what is open of order 1004 by 5.00 EUR"),
        (20000, "0990", "order 0990 has just this amount, and its number is like 0909"),
        (129000, "1001", "a second one of this amount for order 1001: line 1 is matched with it"),
    ]
    orders = left(books).filter(pl.col("item") == "order").select("reference", "amount_minor", "currency")
    assert sorted(orders.rows()) == [
        ("0990", 20000, "EUR"),
        ("1002", 50000, "USD"),
        ("1003", 100000, "JPY"),
        ("1004", 9900, "EUR"),
    ]


def test_paypals_balance_is_settled_line_by_line_and_withdrawn(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    orders: list[Order] = [("1005", "1290.00", "EUR", "2026-11-03", "online_store")]
    sell(books, tmp_path, orders, [("1005", "290.00", "EUR", "2026-11-13", "online_store")])
    take(samples.PAYPAL)
    take("day;text;amount;currency\n16.11.2026;PAYPAL;900,00;EUR\n", "bank", csv=True)
    done = run(books)
    # The refund names no order, but the payment that it is about.
    assert (done.lines, done.payouts) == (2, 1)
    assert balances(books, "1000") == {("1000.main", "EUR"): 90000}
    assert balances(books, "6100") == {("6100.paypal", "EUR"): 4418}
    # The order stood on the channel's own clearing: it moved to PayPal's, of which the balance and what it converted are left.
    left_there = 129000 - 29000 - 4418 - 90000
    assert balances(books, "1100") == {("1100.paypal", "EUR"): left_there + 9150, ("1100.paypal", "USD"): -10000}


def test_a_settlement_of_amazon_keeps_fees_and_tax_apart(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    orders: list[Order] = [
        ("302-1234567-1234567", "180.00", "EUR", "2026-11-03", "amazon"),
        ("302-7654321-7654321", "50.00", "EUR", "2026-10-03", "amazon"),
    ]
    sell(books, tmp_path, orders, [("302-7654321-7654321", "50.00", "EUR", "2026-11-03", "amazon")])
    take(samples.AMAZON)
    take("day;text;amount;currency\n17.11.2026;AMAZON PAYMENTS 19999999999;98,60;EUR\n", "bank", csv=True)
    assert run(books).payouts == 1
    assert balances(books, "6100") == {("6100.amazon", "EUR"): 2700 - 750 + 3900}
    assert balances(books, "2200") == {("2200", "EUR"): 3193}
    # The reserve that came back, and the older order's payment, belong to settlements before this one.
    assert balances(books, "1100") == {("1100.amazon", "EUR"): 5000 - 5903}


def test_an_order_on_account_is_settled_by_the_bank(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    sell(
        books, tmp_path, [("1001", "700.00", "EUR", "2026-10-03", "b2b"), ("1002", "5.00", "EUR", "2026-10-03", "b2b")]
    )
    take(samples.MT940, account="main")
    assert run(books).customers == 1
    assert balances(books, "1200") == {("1200.b2b", "EUR"): 500}
    assert balances(books, "1000") == {("1000.main", "EUR"): 70000}


def test_a_match_by_hand_can_be_taken_back_with_what_it_booked(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    sell(books, tmp_path, [("77", "104.00", "EUR", "2026-11-03", "online_store")])
    row = "2026-11-06 10:00:00 +0100,charge,,visa,online,paid,2026-11-05,9,2026-11-05,104.00,4.00,100.00,#c4,card,,,EUR"
    take(f"{HEAD}\n{row}\n")
    run(books)
    before = balances(books, "1100")
    with books.read() as (connection, brand):
        line = read_state(books, connection, brand).lines["line_id"][0]
    with pytest.raises(ReconciliationError, match="give the number"):
        match_by_hand(books, line, "78", None, "seen", "ana")
    match_by_hand(books, line, "77", None, "seen in the shop's back office", "ana")
    assert balances(books, "1100") == {("1100.shopify", "EUR"): 10400}
    with pytest.raises(ReconciliationError, match="matched already"):
        match_by_hand(books, line, "77", None, "again", "ana")
    with books.read() as (connection, brand):
        match = read_state(books, connection, brand).active.row(0, named=True)
    assert (match["rule"], match["reason"], match["actor"]) == ("by_hand", "seen in the shop's back office", "ana")
    take_back(books, match["match_id"], "the wrong order", "ana")
    assert balances(books, "1100") == before
    with pytest.raises(ReconciliationError, match="no match"):
        take_back(books, match["match_id"], "again", "ana")


def test_a_payout_that_was_matched_wrongly_is_booked_anew(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    sell(books, tmp_path, ORDERS)
    take(EARLIER)
    bank = "day;text;amount;currency\n22.10.2026;SHOPIFY;196,00;EUR\n23.11.2026;SHOPIFY;196,00;EUR\n"
    take(bank, "bank", csv=True)
    assert run(books).payouts == 1
    with books.read() as (connection, brand):
        state = read_state(books, connection, brand)
    match = state.active.filter(pl.col("payout_id").is_not_null()).row(0, named=True)
    take_back(books, match["match_id"], "it is the other line", "ana")
    assert balances(books, "1000") == {}
    other = state.bank.filter(pl.col("bank_line_id") != match["bank_line_id"])["bank_line_id"][0]
    match_payout_by_hand(books, other, match["payout_id"], "it is this one", "ana")
    assert balances(books, "1000") == {("1000.main", "EUR"): 19600}
    run(books)
    assert balances(books, "1000") == {("1000.main", "EUR"): 19600}


def test_card_numbers_and_people_are_not_kept(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    bank = "day;text;amount;currency\n22.10.2026;paid by 4242 4242 4242 4242 eve@example.com DE89370400440532013000;1,00;EUR\n"
    take(bank, "bank", csv=True)
    named = samples.PAYPAL.replace('"1005"', '"4242424242424242"')
    taken = take(named)
    assert [reason["field"] for reason in taken.reasons] == ["order_ref"]
    assert taken.quarantine_file
    with books.read() as (connection, brand):
        state = read_state(books, connection, brand)
    everything = (
        str(state.bank.to_dicts())
        + str(state.lines.to_dicts())
        + str(pl.read_parquet(taken.quarantine_file).to_dicts())
    )
    assert "3000]" in state.bank["reference"][0]
    for secret in ("4242424242424242", "4242 4242", "eve@", "DE8937", "Durand"):
        assert secret not in everything


def test_two_who_reconcile_at_once_match_and_book_once(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    sell(books, tmp_path, ORDERS, [("1001", "290.00", "EUR", "2026-11-04", "shopify")])
    take(samples.SHOPIFY)
    take(samples.CAMT_02, account="main")
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: run(books), range(3)))
    assert sorted((one.lines, one.payouts, one.entries) for one in done) == [(0, 0, 0), (0, 0, 0), (6, 1, 4)]
    assert balances(books, "1000") == {("1000.main", "EUR"): 181463}


def test_it_is_known_when_something_last_changed(books: BrandStore, tmp_path: Path, take: Take_) -> None:
    def changed() -> datetime | None:
        with books.read() as (connection, brand):
            return last_change(connection, brand)

    assert changed() is None
    sell(books, tmp_path, ORDERS)
    assert changed() is None
    take(EARLIER)
    first = changed()
    assert first is not None
    run(books)
    second = changed()
    assert second is not None
    assert second > first
    run(books)
    assert changed() == second


def test_a_bank_statement_that_does_not_add_up_leaves_nothing_behind(books: BrandStore, take: Take_) -> None:
    with pytest.raises(StatementError, match=r"difference of 0\.05 EUR"):
        take(samples.CAMT_02.replace("2882.10", "2882.15"))
    with books.read() as (connection, brand):
        assert read_state(books, connection, brand).bank.is_empty()
