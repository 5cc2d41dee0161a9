"""What is odd in the books, and what only looks so."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.fraud.anomalies import (
    ANOMALIES,
    benford,
    benford_share,
    duplicate_documents,
    find_anomalies,
    first_digits,
    price_outliers,
    refunds_above_sale,
    refunds_without_sale,
    round_sums,
    spending_documents,
)

FIRST = date(2026, 1, 1)
POSTING: dict[str, Any] = {
    "entry_id": pl.Int64,
    "day": pl.Date,
    "kind": pl.String,
    "reference": pl.String,
    "description": pl.String,
    "subaccount": pl.String,
    "amount_minor": pl.Int64,
    "currency": pl.String,
}
LINE: dict[str, Any] = {
    "line_id": pl.Int64,
    "day": pl.Date,
    "occurred_at": pl.Datetime("us", "UTC"),
    "channel": pl.String,
    "order_number": pl.String,
    "customer": pl.String,
    "kind": pl.String,
    "sku": pl.String,
    "quantity": pl.Int64,
    "amount_minor": pl.Int64,
    "currency": pl.String,
}


def booked(
    *documents: tuple[int, str | None, str, int], kind: str = "supplier_invoice", text: str = "Leather"
) -> pl.DataFrame:
    """Entries of a day of the year, a number, a party and an amount; each debits 2050 and tax, and credits the party."""
    rows = []
    for entry, (day, number, party, amount) in enumerate(documents, 1):
        head = {
            "entry_id": entry,
            "day": FIRST + timedelta(day),
            "reference": number,
            "description": text,
            "currency": "EUR",
        }
        sign = -1 if kind == "reversal" else 1
        for account, part in (("2050", amount - amount // 6), ("1400", amount // 6), (party, -amount)):
            rows.append({**head, "kind": kind, "subaccount": account, "amount_minor": sign * part})
    return pl.DataFrame(rows, schema=POSTING)


def odd_documents(postings: pl.DataFrame) -> list[tuple[str, str]]:
    return duplicate_documents(spending_documents(postings)).select("subject", "reason").rows()


def line(number: str, day: int, **values: Any) -> dict[str, Any]:
    usual = {"channel": "shop", "customer": "ann", "kind": "goods", "sku": "BAG", "quantity": 1, "amount_minor": 10_000}
    at = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(day)
    return {**usual, "order_number": number, "day": at.date(), "occurred_at": at, "currency": "EUR", **values}


def lines(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{"line_id": n, **row} for n, row in enumerate(rows)], schema=LINE)


def told(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    assert found.schema == ANOMALIES
    return found.select("subject", "reason").rows()


def test_a_document_is_what_an_entry_debits_and_whom_it_credits() -> None:
    found = spending_documents(booked((3, "A-1", "2000.tannery", 12_000)))
    assert found.rows() == [(1, FIRST + timedelta(3), "A-1", "Leather", "2000.tannery", 12_000, "EUR")]
    assert spending_documents(booked((3, "A-1", "2000.tannery", 12_000), kind="payout")).height == 0


def test_the_same_invoice_twice_is_found_whatever_its_punctuation() -> None:
    postings = booked(
        (0, "INV 2026/17", "2000.tannery", 45_310),
        (9, "inv-2026-17", "2000.tannery", 45_310),
        (10, "INV 2026/18", "2000.tannery", 45_310),
        (10, "INV 2026/17", "2000.tannery", 45_311),
        (10, "INV 2026/17", "2000.weaver", 45_310),
        (50, "INV 2026/17", "2000.tannery", 45_310),
    )
    assert odd_documents(postings) == [("entry 2", "the same amount and number as entry 1 of 2026-01-01")]


def test_without_a_number_the_same_text_within_a_week_is_asked_about_and_the_rent_is_not() -> None:
    postings = booked((0, None, "1000", 90_000), (5, None, "1000", 90_000), (31, None, "1000", 90_000), kind="expense")
    assert odd_documents(postings) == [("entry 2", "the same amount and text as entry 1 of 2026-01-01, and no number")]


def test_what_was_taken_back_is_no_duplicate() -> None:
    twice = booked((0, "A-1", "2000.tannery", 45_310), (9, "A-1", "2000.tannery", 45_310))
    reversal = booked((10, "A-1", "2000.tannery", 45_310), kind="reversal").with_columns(
        pl.lit(3, pl.Int64).alias("entry_id")
    )
    assert len(odd_documents(twice)) == 1
    assert odd_documents(pl.concat([twice, reversal])) == []
    assert spending_documents(pl.concat([twice, reversal]))["entry_id"].to_list() == [1]


def test_a_large_round_sum_is_odd_where_amounts_are_not_round() -> None:
    ragged = [(n, f"A-{n}", "2000.tannery", 45_317 + 1_013 * n) for n in range(5)]
    landlord = [(30 * n, f"B-{n}", "2000.landlord", 400_000) for n in range(5)]
    found = round_sums(spending_documents(booked(*ragged, (9, "A-9", "2000.tannery", 500_000), *landlord)))
    assert told(found) == [("entry 6", "a large round sum from a party whose amounts seldom are round")]


def test_benfords_shares_sum_to_one() -> None:
    assert sum(benford_share(digit) for digit in range(1, 10)) == pytest.approx(1)
    assert benford_share(1) == pytest.approx(0.30103, abs=1e-5)


def test_amounts_over_several_magnitudes_follow_benford_and_invented_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    grown = benford((10 ** rng.uniform(2, 7, 5_000)).astype(np.int64).tolist())
    invented = benford(rng.integers(10_000, 99_999, 5_000).tolist())
    assert grown is not None and invented is not None
    assert grown.conformity in ("close", "acceptable")
    assert grown.chi_square < 30
    assert (invented.conformity, invented.count) == ("none", 5_000)
    assert invented.chi_square > 1_000
    assert benford([123] * 499) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-(10**12), 10**12), min_size=500, max_size=520))
def test_first_digits_are_counted_whatever_the_sign(amounts: list[int]) -> None:
    found = benford(amounts)
    kept = [abs(amount) for amount in amounts if amount]
    if len(kept) < 500:
        assert found is None
        return
    assert found is not None
    assert found.shares == tuple(sum(str(a)[0] == str(d) for a in kept) / len(kept) for d in range(1, 10))
    assert sum(found.shares) == pytest.approx(1)


def test_a_party_whose_first_digits_do_not_fall_so_is_told() -> None:
    rng = np.random.default_rng(0)
    true = [(n % 300, f"A-{n}", "2000.tannery", int(10 ** rng.uniform(3, 7))) for n in range(600)]
    false = [(n % 300, f"B-{n}", "2000.ghost", int(rng.integers(480_000, 499_999))) for n in range(600)]
    found = first_digits(spending_documents(booked(*true, *false)))
    assert {subject for subject, _ in told(found)} == {"2000.ghost", "all spending"}
    assert first_digits(spending_documents(booked(*true))).height == 0


def test_a_price_far_from_the_usual_one_is_odd_and_a_sale_is_not() -> None:
    usual = [line(f"M-{n}", n, customer=f"c{n}") for n in range(20)]
    reduced = [line(f"S-{n}", 30, amount_minor=7_500) for n in range(3)]
    wrong = line("X-1", 31, amount_minor=1_000)
    dear = line("X-2", 31, amount_minor=60_000, quantity=2)
    elsewhere = line("W-1", 31, amount_minor=5_000, channel="wholesale")
    found = price_outliers(lines(*usual, *reduced, wrong, dear, elsewhere))
    assert told(found) == [
        ("shop/X-1", "sold at 10% of the product's usual price"),
        ("shop/X-2", "sold at 300% of the product's usual price"),
    ]


def test_a_refund_above_what_was_paid_is_found() -> None:
    sale, dearer = line("M-1", 0), line("M-2", 5, amount_minor=12_000)
    fair = line("R-1", 9, quantity=-1, amount_minor=-12_000)
    above = line("R-2", 9, quantity=-1, amount_minor=-19_200)
    others = line("R-3", 9, quantity=-1, amount_minor=-19_200, customer="bob")
    found = refunds_above_sale(lines(sale, dearer, fair, above, others))
    assert told(found) == [("shop/R-2", "refunded at 160% of what was paid")]
    before_the_sale = refunds_above_sale(lines(line("R-0", 0, quantity=-1, amount_minor=-99_000), line("M-1", 3)))
    assert told(before_the_sale) == []


def test_a_refund_without_a_sale_is_found_once_a_sale_would_be_known() -> None:
    start = line("M-0", 0, customer="zoe")
    early = line("R-0", 10, quantity=-1, amount_minor=-10_000)
    bought, back = line("M-1", 70, quantity=2, amount_minor=20_000), line("R-1", 80, quantity=-2, amount_minor=-20_000)
    again = line("R-2", 90, quantity=-1, amount_minor=-10_000, customer="bob")
    nobody = line("R-3", 90, quantity=-1, amount_minor=-10_000, customer=None)
    found = refunds_without_sale(lines(start, early, line("M-9", 5), bought, back, again, nobody))
    assert told(found) == [("shop/R-2", "1 more taken back than the client has bought")]
    more = refunds_without_sale(lines(start, bought, back, line("R-4", 99, quantity=-3, amount_minor=-30_000)))
    assert told(more) == [("shop/R-4", "3 more taken back than the client has bought")]


def test_all_of_them_together_and_nothing_of_nothing() -> None:
    postings = booked((0, "A-1", "2000.tannery", 45_310), (9, "A-1", "2000.tannery", 45_310))
    sold = lines(line("M-1", 0), line("R-1", 70, quantity=-1, amount_minor=-16_000), line("M-2", 0, sku="BELT"))
    found = find_anomalies(postings, sold)
    assert found.schema == ANOMALIES
    assert set(found["kind"]) == {"duplicate_document", "refund_above_sale"}
    nothing = find_anomalies(booked().clear(), lines().clear())
    assert (nothing.schema, nothing.height) == (ANOMALIES, 0)
