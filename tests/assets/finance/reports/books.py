"""Generated books for the tests of reports: entries that balance in every currency, and order lines.

The pound has no rate anywhere; dollars and yen have one on every day. An amount whose value came late has a second posting.
"""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from assets.finance.fx import daily_ratios
from assets.finance.reports.sources import Sources

FIRST = date(2026, 1, 20)
DAYS = [FIRST + timedelta(days=n) for n in (0, 1, 11, 12, 40, 41, 80, 200)]
WORTH = {"USD": "0.923417", "JPY": "0.00612345"}
ACCOUNTS = {
    "1000": ("Bank", "asset"),
    "1100": ("Payment clearing", "asset"),
    "1200": ("Accounts receivable", "asset"),
    "1300": ("Inventory", "asset"),
    "1400": ("Input VAT", "asset"),
    "2000": ("Accounts payable", "liability"),
    "2200": ("Sales tax and VAT payable", "liability"),
    "3000": ("Share capital", "equity"),
    "4000": ("Sales of goods", "revenue"),
    "4100": ("Sales returns", "revenue"),
    "4200": ("Discounts", "revenue"),
    "4300": ("Shipping income", "revenue"),
    "5000": ("Cost of goods sold", "expense"),
    "6100": ("Payment and marketplace fees", "expense"),
    "6400": ("Marketing", "expense"),
    "7000": ("Realised exchange gains", "revenue"),
}
POSTINGS: dict[str, Any] = {
    "posting_id": pl.Int64,
    "entry_id": pl.Int64,
    "day": pl.Date,
    "event_day": pl.Date,
    "recorded_at": pl.Datetime("us", "UTC"),
    "kind": pl.String,
    "order_id": pl.Int64,
    "order_number": pl.String,
    "channel": pl.String,
    "country": pl.String,
    "description": pl.String,
    "reference": pl.String,
    "account": pl.String,
    "account_name": pl.String,
    "account_type": pl.String,
    "subaccount": pl.String,
    "amount_minor": pl.Int64,
    "currency": pl.String,
    "base_amount_minor": pl.Int64,
}
LINES: dict[str, Any] = {
    "line_id": pl.Int64,
    "day": pl.Date,
    "order_id": pl.Int64,
    "order_number": pl.String,
    "order_day": pl.Date,
    "channel": pl.String,
    "country": pl.String,
    "customer": pl.String,
    "kind": pl.String,
    "sku": pl.String,
    "description": pl.String,
    "quantity": pl.Int64,
    "amount_minor": pl.Int64,
    "currency": pl.String,
}
RATES = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
COSTS = {"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String}
CATALOG = {
    "sku": pl.String,
    "name": pl.String,
    "collection": pl.String,
    "category": pl.String,
    "size": pl.String,
    "color": pl.String,
}
_ALWAYS = date(1970, 1, 1)
COSTED = [("BAG", _ALWAYS, 333, "EUR"), ("SHOE", _ALWAYS, 45_001, "JPY"), ("BELT", _ALWAYS, 9, "GBP")]
KNOWN = [
    ("BAG", "A bag", "Spring", "bags", None, "red"),
    ("SHOE", "A shoe", "Spring", "shoes", "38", "red"),
    ("BELT", "A belt", None, None, "M", None),
]
PLACES = (("shop", "DE"), ("wholesale", "United Kingdom"), ("shop", "US"), ("fair", None))


def ratios(currency: str) -> pl.DataFrame:
    """What each currency is worth in `currency`, by the euro."""
    days = [_ALWAYS + timedelta(days=20_000 + n) for n in range(1500)]
    rows = [(day, quote, "EUR", Decimal(rate), "test") for day in days for quote, rate in WORTH.items()]
    return daily_ratios(pl.DataFrame(rows, schema=RATES, orient="row"), currency)


RATIOS = {currency: ratios(currency) for currency in ("EUR", "USD")}


def sources(postings: list[dict], lines: list[dict] | None = None, currency: str = "EUR", **other: Any) -> Sources:
    """Books in euro, read in `currency`."""
    return Sources(
        pl.DataFrame(postings, schema=POSTINGS, orient="row").lazy(),
        pl.DataFrame(lines or [], schema=LINES, orient="row").lazy(),
        pl.DataFrame(other.get("costs", COSTED), schema=COSTS, orient="row"),
        pl.DataFrame(other.get("catalog", KNOWN), schema=CATALOG, orient="row"),
        RATIOS[currency],
        "EUR",
        currency,
    )


def worth(minor: int, currency: str) -> int | None:
    """Euro cents, half to even; nothing is known of the pound."""
    if currency == "EUR":
        return minor
    if currency not in WORTH:
        return None
    scale = 0 if currency == "USD" else 2
    return int((Decimal(minor) * Decimal(WORTH[currency]) * 10**scale).to_integral_value("ROUND_HALF_EVEN"))


def entry(number: int, day: date, legs: list[tuple[str, int, str]], **other: Any) -> list[dict]:
    """Postings of one entry; legs are (sub-account, minor units, currency) and sum to zero in each currency."""
    channel, country = other.pop("place", (None, None))
    order = other.pop("order", None)
    rows = []
    for position, (sub, minor, currency) in enumerate(legs):
        name, type = ACCOUNTS[sub[:4]]
        rows.append(
            {
                "posting_id": number * 100 + position,
                "entry_id": number,
                "day": day,
                "event_day": day,
                "kind": "manual",
                "order_id": order,
                "order_number": None if order is None else f"N{order}",
                "channel": channel,
                "country": country,
                "description": f"entry {number}",
                "account": sub[:4],
                "account_name": name,
                "account_type": type,
                "subaccount": sub,
                "amount_minor": minor,
                "currency": currency,
                "base_amount_minor": worth(minor, currency),
                **other,
            }
        )
    return rows


def _entry(number: int, drawn: tuple) -> list[dict]:
    day, pairs, order, place, late = drawn
    legs, reference = [], None
    for debit, credit, minor, currency in pairs:
        tails = {"1200": f".{place[0]}", "4000": f".{place[0]}", "2200": f".{place[1] or 'none'}"}
        # A pair is a debit and its credit, so that also the values balance.
        legs += [(debit + tails.get(debit, ""), minor, currency), (credit + tails.get(credit, ""), -minor, currency)]
    if order is not None and order % 2:
        reference = f"R{order}"
    kind = "order" if order is not None else "manual"
    rows = entry(number, day, legs, order=order, place=place, kind=kind, reference=reference)
    if late and order is not None:
        completed = [dict(row) for row in rows]
        for row in rows:
            row["base_amount_minor"] = None
        for row in completed:
            row |= {"posting_id": row["posting_id"] + 50, "amount_minor": 0}
        rows += completed
    return rows


_pairs = st.lists(
    st.tuples(
        st.sampled_from(list(ACCOUNTS)),
        st.sampled_from(list(ACCOUNTS)),
        st.integers(-(10**7), 10**7).filter(bool),
        st.sampled_from(["EUR", "EUR", "USD", "JPY", "GBP"]),
    ),
    min_size=1,
    max_size=3,
)
any_postings = st.lists(
    st.tuples(st.sampled_from(DAYS), _pairs, st.none() | st.integers(1, 5), st.sampled_from(PLACES), st.booleans()),
    max_size=12,
).map(lambda drawn: [row for number, one in enumerate(drawn, 1) for row in _entry(number, one)])


def line(number: int, order: int, day: date = FIRST, kind: str = "goods", **other: Any) -> dict:
    """An order line of shop and Germany, one bag for ten euro."""
    channel, country = PLACES[order % len(PLACES)]
    plain = {
        "line_id": number,
        "day": day,
        "order_id": order,
        "order_number": f"N{order}",
        "order_day": day,
        "channel": channel,
        "country": country,
        "customer": None,
        "kind": kind,
        "sku": "BAG" if kind == "goods" else None,
        "description": "A bag",
        "quantity": 1,
        "amount_minor": 1000,
        "currency": "EUR",
    }
    return plain | other


def _line(number: int, drawn: tuple) -> dict:
    order, day, kind, sku, quantity, minor, currency, customer = drawn
    return line(
        number,
        order,
        day,
        kind,
        sku=sku if kind == "goods" else None,
        quantity=quantity,
        amount_minor=minor * (1 if quantity > 0 else -1),
        currency=currency,
        customer=customer,
    )


any_lines = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from(DAYS),
        st.sampled_from(["goods", "goods", "goods", "refund", "shipping", "tax"]),
        st.sampled_from(["BAG", "SHOE", "BELT", "SCARF"]),
        st.integers(-3, 5).filter(bool),
        st.integers(1, 10**7),
        st.sampled_from(["EUR", "EUR", "USD", "JPY", "GBP"]),
        st.sampled_from([None, "anna", "bea", "chloe"]),
    ),
    max_size=14,
).map(lambda drawn: [_line(number, one) for number, one in enumerate(drawn, 1)])
