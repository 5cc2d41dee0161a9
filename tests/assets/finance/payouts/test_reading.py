"""Statements of every vendor become lines of one shape; what cannot be taken is put aside or refused, with its reason.

Does not belong here: what the lines are matched with.
"""

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.money import exponents, to_decimal
from assets.finance.payouts.bank_csv import parse_map
from assets.finance.payouts.cells import BadRow, decimal_sign, minor_of
from assets.finance.payouts.frames import BankFile, Reading, Settlement, StatementError
from assets.finance.payouts.reading import format_of, read_statement
from tests.assets.finance.payouts import samples

PARIS = Reading("Europe/Paris")


def settlement(text: str | bytes, reading: Reading = PARIS) -> Settlement:
    content = text.encode() if isinstance(text, str) else text
    found = read_statement(content, reading)
    assert isinstance(found, Settlement)
    return found


def bank(text: str | bytes, reading: Reading = PARIS, bank_map: str | None = None) -> BankFile:
    content = text.encode() if isinstance(text, str) else text
    found = read_statement(content, reading, bank_map=parse_map(bank_map, "map") if bank_map else None)
    assert isinstance(found, BankFile)
    return found


def money(lines: pl.DataFrame) -> list[tuple[object, ...]]:
    return lines.select("kind", "order_ref", "gross_minor", "fee_minor", "net_minor", "currency").rows()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (samples.SHOPIFY, "shopify_payments"),
        (samples.STRIPE, "stripe"),
        (samples.STRIPE_JSON, "stripe_json"),
        (samples.PAYPAL, "paypal"),
        (samples.AMAZON, "amazon"),
        (samples.CAMT_02, "camt053"),
        (samples.CAMT_08, "camt053"),
        (samples.MT940, "mt940"),
        (samples.BANK_CSV, None),
        ("order,total\n1,2\n", None),
        ("", None),
    ],
)
def test_a_format_is_told_by_what_is_in_the_file(text: str, name: str | None) -> None:
    assert format_of(text) == name


def test_shopify_lines_have_their_payout_and_what_the_client_saw() -> None:
    found = settlement(samples.SHOPIFY)
    assert money(found.lines) == [
        ("charge", "#1001", 129000, 2257, 126743, "EUR"),
        ("charge", "#1002", 46000, 805, 45195, "EUR"),
        ("charge", "#1003", 61250, 1225, 60025, "EUR"),
        ("refund", "#1001", -29000, 0, -29000, "EUR"),
        ("chargeback", "#0990", -20000, 1500, -21500, "EUR"),
        ("charge", "#1004", 9900, 199, 9701, "EUR"),
    ]
    assert found.lines.select("presentment_minor", "presentment_currency").rows()[1:3] == [
        (50000, "USD"),
        (100000, "JPY"),
    ]
    assert found.lines["payout_ref"].to_list() == [*["91000000001"] * 5, None]
    assert found.payouts.rows() == [("91000000001", "EUR", None, date(2026, 11, 5))]
    # Half past eleven in New York is the next morning in Paris.
    assert found.lines["occurred_on"][2] == date(2026, 11, 4)
    assert found.aside.is_empty()


def test_a_shopify_line_keeps_its_key_when_its_payout_becomes_known() -> None:
    before = settlement(samples.SHOPIFY).lines["line_key"]
    later = settlement(samples.SHOPIFY.replace("pending,,,2026-11-09", "paid,2026-11-09,91000000002,2026-11-09"))
    assert later.lines["line_key"].to_list() == before.to_list()
    assert later.lines["payout_ref"][5] == "91000000002"
    assert before.n_unique() == 6


def test_equal_rows_are_told_apart_by_their_order() -> None:
    head, first, *_ = samples.SHOPIFY.splitlines()
    assert settlement("\n".join([head, first, first])).lines["line_key"].n_unique() == 2


def test_stripe_amounts_have_the_digits_of_their_currency() -> None:
    found = settlement(samples.STRIPE)
    assert money(found.lines) == [
        ("charge", "2001", 120500, 3615, 116885, "KWD"),
        ("refund", "2001", -20500, 0, -20500, "KWD"),
        ("fee", None, -1005, 0, -1005, "KWD"),
        ("payout", None, -95380, 0, -95380, "KWD"),
    ]
    assert found.payouts.rows() == [("po_1", "KWD", 95380, date(2026, 11, 5))]
    assert found.lines["original_id"].to_list() == [None, "ch_1", None, None]


def test_the_api_of_stripe_gives_the_same_lines_in_minor_units() -> None:
    found = settlement(samples.STRIPE_JSON)
    assert money(found.lines) == [
        ("charge", "3001", 98000, 3528, 94472, "JPY"),
        ("payout", None, -94472, 0, -94472, "JPY"),
    ]
    assert found.lines["payout_ref"].to_list() == ["po_9", "po_9"]
    assert found.lines["occurred_at"][0] == datetime.fromtimestamp(1793700000, UTC)
    assert "Tanaka" not in str(found.lines.to_dicts()) + str(found.aside.to_dicts())


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("Order #2001-A for Ms Tanaka", "2001-A"),
        ("order no. 17", "17"),
        ("Tanaka #18", "18"),
        ("Payment of Tanaka", None),
    ],
)
def test_the_words_of_a_payment_may_name_its_order_and_are_not_kept(words: str, number: str | None) -> None:
    entry = {"id": "t", "object": "balance_transaction", "created": 1793700000, "type": "charge", "currency": "eur"}
    found = settlement(json.dumps([entry | {"amount": 5, "fee": 0, "net": 5, "description": words}]))
    assert found.lines.select("order_ref", "description").rows() == [(number, "charge")]


def test_units_of_stripe_that_are_not_those_of_iso_4217_are_converted() -> None:
    entry = {"id": "t", "object": "balance_transaction", "created": 1793700000, "type": "charge"}
    rows = [
        entry | {"currency": "isk", "amount": 5000, "fee": 100, "net": 4900},
        entry | {"currency": "mga", "amount": 50, "fee": 1, "net": 49},
        entry | {"currency": "isk", "amount": 5050, "fee": 0, "net": 5050},
    ]
    found = settlement(json.dumps({"data": rows}))
    assert found.lines["gross_minor"].to_list() == [50, 5000]
    assert found.aside.select("row_number", "field").rows() == [(3, "amount")]


def test_paypal_is_read_with_decimal_commas_and_without_names() -> None:
    found = settlement("\ufeff" + samples.PAYPAL)
    assert money(found.lines) == [
        ("charge", "1005", 129000, 4418, 124582, "EUR"),
        ("refund", None, -29000, 0, -29000, "EUR"),
        ("payout", None, -90000, 0, -90000, "EUR"),
        ("conversion", None, -10000, 0, -10000, "USD"),
        ("conversion", None, 9150, 0, 9150, "EUR"),
    ]
    assert found.skipped == 1
    assert found.lines["occurred_at"][0] == datetime(2026, 11, 3, 9, 15, 22, tzinfo=UTC)
    assert found.lines["original_id"][1] == "4AB12345CD678901E"
    assert found.payouts.rows() == [("4AB12345CD678903E", "EUR", 90000, date(2026, 11, 14))]
    assert "Durand" not in str(found.lines.to_dicts())


def test_paypal_in_windows_1252_is_the_same() -> None:
    assert settlement(samples.PAYPAL.encode("cp1252")).lines.equals(settlement(samples.PAYPAL).lines)


def test_a_date_that_may_be_either_is_asked_for() -> None:
    early = "\n".join(samples.PAYPAL.splitlines()[:2])
    with pytest.raises(StatementError, match="--dates"):
        settlement(early)
    assert settlement(early, Reading("UTC", dates="mdy")).lines["occurred_on"][0] == date(2026, 3, 11)


def test_amazons_rows_of_one_shipment_become_one_line_and_tax_that_it_keeps_another() -> None:
    found = settlement(samples.AMAZON.encode("utf-16"))
    assert money(found.lines) == [
        ("charge", "302-1234567-1234567", 18000, 2700, 15300, "EUR"),
        ("tax", "302-1234567-1234567", -3193, 0, -3193, "EUR"),
        ("refund", "302-7654321-7654321", -5000, -750, -4250, "EUR"),
        ("fee", None, -3900, 0, -3900, "EUR"),
        ("reserve", None, 5903, 0, 5903, "EUR"),
    ]
    assert found.payouts.rows() == [("19999999999", "EUR", 9860, date(2026, 11, 16))]
    assert found.lines["net_minor"].sum() == 9860
    assert found.lines["line_key"].n_unique() == 5


def test_a_settlement_without_its_total_is_refused() -> None:
    rows = samples.AMAZON.splitlines()
    with pytest.raises(StatementError, match="total row is missing"):
        settlement("\n".join([rows[0], *rows[2:]]))


@pytest.mark.parametrize("text", [samples.CAMT_02, samples.CAMT_08])
def test_camt_in_both_versions_gives_booked_lines_and_splits_a_batch(text: str) -> None:
    found = bank(text.encode("iso-8859-1"))
    assert found.lines.select("amount_minor", "counterparty", "end_to_end_id", "reference").rows() == [
        (181463, "Shopify International Ltd", "91000000001", "SHOPIFY PAYOUT Société Éclat"),
        (6000, None, None, "first"),
        (4000, None, None, "second"),
        (-3253, None, None, "Account fee"),
    ]
    assert found.statements.rows() == [
        ("FR7630006000011234567890189", "2026-212", "EUR", 100000, 288210, date(2026, 11, 5), date(2026, 11, 6))
    ]
    assert found.skipped == 1


def test_mt940_is_read_in_all_its_dialects() -> None:
    found = bank(samples.MT940.replace("\n", "\r\n"))
    assert found.lines.select("booked_on", "amount_minor", "counterparty", "end_to_end_id", "reference").rows() == [
        (date(2026, 11, 6), 181463, "SHOPIFY INTERNATIONAL", "91000000001", "SHOPIFY PAYOUT NOVEMBER"),
        (date(2026, 11, 6), -3263, None, None, "Account fee"),
        (date(2026, 11, 7), 70000, "B2B Client BV", "E2E-7", "Order 1001 PO2026"),
    ]
    assert found.statements["closing_minor"].to_list() == [278200, 348200]


def test_a_banks_csv_is_read_by_its_map() -> None:
    found = bank(samples.BANK_CSV.encode("cp1252"), Reading("Europe/Paris", account="main"), samples.BANK_MAP)
    assert found.lines.select("account", "booked_on", "amount_minor", "counterparty").rows() == [
        ("main", date(2026, 11, 6), 181463, "Shopify International"),
        ("main", date(2026, 11, 7), -1463, "Müller GmbH"),
    ]
    assert found.statements.select("opening_minor", "closing_minor").rows() == [(100000, 280000)]


@pytest.mark.parametrize(
    ("text", "bank_map"),
    [
        (samples.CAMT_02.replace("2882.10", "2882.15"), None),
        (samples.MT940.replace("EUR3482,00", "EUR3482,05"), None),
        (samples.BANK_CSV.replace("2.800,00", "2.800,05"), samples.BANK_MAP),
    ],
)
def test_lines_that_do_not_lead_to_the_closing_balance_are_refused_with_the_difference(
    text: str, bank_map: str | None
) -> None:
    with pytest.raises(StatementError, match=r"a difference of 0\.05 EUR"):
        bank(text, Reading("Europe/Paris", account="main"), bank_map)


def test_rows_that_cannot_be_taken_are_put_aside_with_the_reason() -> None:
    rows = samples.SHOPIFY.splitlines()
    bad = [
        rows[1].replace("1267.43", "1267.44"),
        rows[1].replace(",EUR\n", ",EUR").removesuffix("EUR") + "XXY",
        rows[1].replace("1290.00,22.57,1267.43", "1290.001,22.57,1267.431"),
        rows[1].replace("2026-11-03", "2026-13-03"),
        rows[1] + ",more",
    ]
    found = settlement("\n".join([rows[0], *bad, rows[2]]))
    assert found.lines.height == 1
    assert found.aside.sort("row_number").select("row_number", "field").rows() == [
        (1, "net"),
        (2, "currency"),
        (3, "amount"),
        (4, "transaction date"),
        (5, "row"),
    ]


def test_entities_that_reach_out_of_a_file_are_refused() -> None:
    bomb = samples.CAMT_02.replace("<Document", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Document', 1)
    with pytest.raises(StatementError, match="no XML"):
        bank(bomb.replace("SHOPIFY PAYOUT", "&e;"))


def test_what_is_no_statement_is_refused_with_the_remedy() -> None:
    with pytest.raises(StatementError, match="--map"):
        settlement("order,total\n1,2\n")
    with pytest.raises(StatementError, match="empty"):
        settlement("\n")
    with pytest.raises(StatementError, match="no column"):
        bank(samples.BANK_CSV, Reading(account="main"), "columns: {booked_on: Datum, amount: Betrag}\ncurrency: EUR")
    with pytest.raises(StatementError, match="give either"):
        parse_map("columns: {booked_on: Datum}", "map")


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        (["1,290.00"], "."),
        (["1.290,00"], ","),
        (["12,5"], ","),
        (["1,234,567"], "."),
        (["1.234"], ""),
        (["1,234"], ""),
        (["0,125"], ","),
        (["1290"], ""),
    ],
)
def test_the_decimal_sign_is_what_the_cells_show(cells: list[str], sign: str) -> None:
    assert decimal_sign(cells) == sign


def test_points_and_commas_in_one_file_are_refused() -> None:
    with pytest.raises(StatementError):
        decimal_sign(["1.50", "1,50"])


def test_a_comma_before_three_digits_of_dinars_is_asked_about() -> None:
    with pytest.raises(BadRow, match="--decimal"):
        minor_of("1,234", "KWD", "", "amount")
    assert minor_of("1,234", "KWD", ",", "amount") == 1234
    assert minor_of("1,234", "JPY", "", "amount") == 1234


@given(
    minor=st.integers(-(10**14), 10**14),
    currency=st.sampled_from(sorted(exponents())),
    sign=st.sampled_from(".,"),
    grouped=st.booleans(),
)
@settings(max_examples=200)
def test_an_amount_that_is_written_out_is_read_back(minor: int, currency: str, sign: str, grouped: bool) -> None:
    plain = to_decimal(minor, currency)
    text = f"{plain:,}" if grouped else str(plain)
    text = text if sign == "." else text.translate(str.maketrans(".,", ",."))
    assert minor_of(text, currency, sign, "amount") == minor


_LINE = st.tuples(
    st.integers(-(10**9), 10**9),
    st.integers(0, 10**6),
    st.sampled_from(["EUR", "JPY", "KWD", "USD"]),
    st.sampled_from(["charge", "refund", "fee", "dispute"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n", exclude_categories=["Cs", "Cc"]), max_size=12),
)


@given(st.lists(_LINE, min_size=1, max_size=12))
@settings(max_examples=60)
def test_what_stripe_would_write_is_read_back(lines: list[tuple[int, int, str, str, str]]) -> None:
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    names = ("balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category")
    writer.writerow([*names, "automatic_payout_id", "description"])
    for number, (gross, fee, currency, category, words) in enumerate(lines):
        amounts = [to_decimal(amount, currency) for amount in (gross, fee, gross - fee)]
        writer.writerow([f"txn_{number}", "2026-11-03 09:15:22", currency.lower(), *amounts, category, "po_1", words])
    found = read_statement(out.getvalue().encode(), PARIS, kind="stripe")
    assert isinstance(found, Settlement)
    assert found.aside.is_empty()
    told = found.lines.select("gross_minor", "fee_minor", "currency").rows()
    assert told == [(gross, fee, currency) for gross, fee, currency, _, _ in lines]
