"""A house's books under load: thousands of business events and orders in twenty currencies, made from a seed.

Belongs here: what happens, how it is told to the books, and what must hold afterwards. Does not belong here: the tests.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from sqlalchemy import text

from assets.finance.accounts import default_chart
from assets.finance.booking import book, post_days
from assets.finance.fx import daily_ratios
from assets.finance.rules import Event, legs_of, posting_rules
from assets.ingestion.lines import Defaults, normalise
from assets.ingestion.mapping import OrderMapping
from assets.ingestion.reference import Kind, normalise_reference
from assets.inventory.stock_values import value_new
from resources.store.brand_store import BrandStore
from resources.store.catalog import write_catalog
from resources.store.ledger import read_postings
from resources.store.ledger_chain import verify
from resources.store.models.brand import CHANNEL_KINDS
from resources.store.orders import ImportRecord, read_order_lines, write_order_lines
from resources.store.rates import read_rates, write_rates
from resources.store.stock import write_movements
from resources.store.stock_valuation import read_layers

BASE = "EUR"
FIRST, DAYS = date(2026, 1, 1), 90
LAST = FIRST + timedelta(days=DAYS - 1)
# Exponents of 0, 2, 3 and 4; units of each for one euro. Nobody quotes the last one.
WORTH = {
    "USD": "1.0834", "GBP": "0.8611", "JPY": "161.37", "CHF": "0.9402", "SEK": "11.2913", "NOK": "11.8075", "DKK": "7.4594",
    "PLN": "4.2735", "CZK": "25.041", "HUF": "391.15", "KWD": "0.33371", "BHD": "0.40855", "TND": "3.3702", "KRW": "1472.3",
    "CLP": "1021.4", "AED": "3.9791", "CLF": "0.027731", "MGA": "4810.5", "UYW": "0.008127",
}  # fmt: skip
UNQUOTED = "VND"
CURRENCIES = [BASE, *WORTH, UNQUOTED]
NAMES = {
    "processor": ["stripe", "paypal", "adyen"],
    "from_processor": ["shopify", "amazon"],
    "into_processor": ["stripe", "paypal"],
    "bank": ["main", "savings"],
    "from_bank": ["main", "us"],
    "into_bank": ["savings", "japan"],
    "into_currency": CURRENCIES,
    "category": ["rent", "wages", "design"],
    "supplier": ["tannery", "weaver"],
    "channel": ["wholesale", "facebook"],
    "country": ["FR", "IT", "US"],
    "company": ["us", "japan"],
}
CHANNELS = ["shopify", "amazon", "online_store", "wholesale"]
# Kinds of movements, and which way they go.
_MOVED = [("opening", [1]), ("receipt", [1]), ("receipt", [1]), ("adjustment", [1, 1, -1]), ("write_off", [-1])]
_FIELDS = (
    "order_number",
    "sku",
    "quantity",
    "unit_price",
    "occurred_at",
    "line_type",
    "currency",
    "channel",
    "country",
)
_MAPPING = OrderMapping.model_validate({"columns": {name: name for name in _FIELDS}})


def make_events(seed: int, count: int) -> list[Event]:
    """Events of every type but those that need another one first; each has a key of its own."""
    chance = random.Random(seed)
    types = sorted(posting_rules().events)
    return [_event(chance, chance.choice(types), f"event:{seed}:{n}") for n in range(count)]


def _event(chance: random.Random, type: str, key: str) -> Event:
    rule = posting_rules().events[type]
    names = {name: chance.choice(NAMES[name]) for name in rule.names}
    # Amounts of every size, and now and then a negative one, as where a fee is given back.
    amounts = {name: chance.choice([1, 1, 1, -1]) * int(10 ** chance.uniform(0, 8)) for name in rule.amounts}
    for name in rule.may_have:
        if chance.random() < 0.5:
            amounts[name] = int(10 ** chance.uniform(0, 6))
    if type == "payout":
        amounts["net"] = amounts["gross"] - amounts.get("fee", 0)
    currency = chance.choice(CURRENCIES)
    if names.get("into_currency") == currency:
        names["into_currency"] = BASE if currency != BASE else "USD"
    return Event(
        type, key, FIRST + timedelta(days=chance.randrange(DAYS)), currency, amounts, names, reference=key[-6:]
    )


def give_rates(books: BrandStore) -> None:
    """Rates of every day, a little different each day."""
    rows = [
        (FIRST + timedelta(days=n), BASE, currency, Decimal(rate) * (1000 + n % 17) / 1000, "test")
        for n in range(DAYS)
        for currency, rate in WORTH.items()
    ]
    names = {"date": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
    with books.write() as (connection, brand):
        write_rates(connection, brand, pl.DataFrame(rows, schema=names, orient="row"))


def take_orders(books: BrandStore, seed: int, count: int) -> None:
    """Orders of goods, tax, shipping, discounts, gift cards, some of them returned in part."""
    chance = random.Random(seed)
    rows = [row for n in range(count) for row in _order(chance, f"{seed}-{n}")]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_FIELDS, pl.String)).with_row_index("row_number", 1)
    judged = normalise(frame, _MAPPING, Defaults(BASE, "Europe/Paris", date(2026, 6, 1), CHANNEL_KINDS))
    assert not judged.rejected.height, judged.rejected
    lines = judged.lines.with_columns(pl.lit(False).alias("cumulative"))
    with books.write() as (connection, brand):
        record = ImportRecord("orders", f"{seed}.csv", "0" * 64, "test", lines.height, 0)
        write_order_lines(connection, brand, record, lines)


def _order(chance: random.Random, number: str) -> Iterator[dict[str, str]]:
    day = FIRST + timedelta(days=chance.randrange(DAYS))
    shared = {
        "order_number": number,
        "currency": chance.choice(CURRENCIES),
        "channel": chance.choice(CHANNELS),
        "country": chance.choice(["FR", "IT", "US", ""]),
    }

    def line(type: str, sku: str, quantity: int, days: int = 0) -> dict[str, str]:
        at = f"{day + timedelta(days=days)} 12:00"
        price = str(chance.randrange(1, 5000))
        return {
            **shared,
            "sku": sku,
            "quantity": str(quantity),
            "unit_price": price,
            "occurred_at": at,
            "line_type": type,
        }

    for n in range(chance.randrange(1, 4)):
        yield line("goods", f"SKU-{chance.randrange(40)}", chance.randrange(1, 4))
        if chance.random() < 0.1:
            yield line("goods", f"SKU-{n}", -1, days=min(3, (LAST - day).days))
    for type in ("tax", "shipping", "discount", "gift_card", "fee"):
        if chance.random() < 0.3:
            yield line(type, type.upper(), -1 if type in ("discount", "fee") else 1)


def take_stock(books: BrandStore, seed: int, count: int) -> None:
    """Costs of the SKUs, that change once and are in any currency, and movements that no order makes."""
    chance = random.Random(seed)
    costs = [
        {
            "sku": f"SKU-{n}",
            "cost": str(chance.randrange(1, 900)),
            "currency": CURRENCIES[n % 8],
            "cost_valid_from": str(day),
        }
        for n in range(40)
        for day in (date(1970, 1, 1), FIRST + timedelta(days=chance.randrange(DAYS)))
    ]
    moves = [
        {
            "sku": f"SKU-{chance.randrange(40)}",
            "occurred_at": f"{FIRST + timedelta(days=chance.randrange(DAYS))} 09:00",
            "kind": kind,
            "quantity": str(chance.randrange(1, 30) * chance.choice(signs)),
            "reference": f"{seed}-{n}",
        }
        for n in range(count)
        for kind, signs in [chance.choice(_MOVED)]
    ]
    with books.write() as (connection, brand):
        write_catalog(connection, brand, _judged("catalog", costs))
        write_movements(connection, brand, _judged("stock", moves), "main")


def _judged(kind: Kind, rows: list[dict[str, str]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String)).with_row_index("row_number", 1)
    judged = normalise_reference(frame, kind, currency=BASE, timezone="Europe/Paris")
    assert not judged.rejected.height, judged.rejected
    return judged.lines


def worth_of_stock(books: BrandStore) -> dict[str, int]:
    """What the stock that is left is worth, by currency."""
    with books.read() as (connection, brand):
        layers = read_layers(connection, brand)
    sums = layers.group_by("currency").agg(pl.col("value_minor").sum())
    return {currency: value for currency, value in sums.iter_rows() if value}


def post_orders(books: BrandStore) -> int:
    """What the daily assets do, for all days: value what moved, then post."""
    value_new(books, LAST)
    with books.write() as (connection, brand):
        lines = read_order_lines(connection, brand, FIRST, LAST)
        ratios = daily_ratios(read_rates(connection, brand), BASE)
        return post_days(connection, brand, lines, ratios, BASE, default_chart(), FIRST, LAST)


def in_batches(events: Sequence[Event], chance: random.Random) -> Iterator[list[Event]]:
    """Everything, in pieces of any size."""
    start = 0
    while start < len(events):
        size = chance.choice([1, 2, 7, 40, 300])
        yield list(events[start : start + size])
        start += size


def book_all(books: BrandStore, batches: Iterable[list[Event]]) -> None:
    for batch in batches:
        with books.write() as (connection, brand):
            book(connection, brand, BASE, batch)


def expected_balances(events: Iterable[Event]) -> dict[tuple[str, str], int]:
    """What the accounts come to when each event happened once, added up by hand."""
    sums: Counter[tuple[str, str]] = Counter()
    for event in {event.key: event for event in events}.values():
        for leg in legs_of(event, default_chart()):
            sums[leg.account, leg.currency] += leg.amount_minor
    return {place: amount for place, amount in sums.items() if amount}


def balances(books: BrandStore, *, kinds: str = "kind NOT IN ('order', 'stock')") -> dict[tuple[str, str], int]:
    """What the journal says of them, asked in SQL."""
    query = f"""
        SELECT a.code, p.currency, sum(p.amount_minor) FROM postings p JOIN accounts a ON a.id = p.account_id
        JOIN journal_entries e ON e.id = p.entry_id WHERE p.brand_id = :brand AND {kinds} GROUP BY 1, 2
    """
    with books.read() as (connection, brand):
        rows = connection.execute(text(query), {"brand": brand}).fetchall()
    return {(account, currency): int(amount) for account, currency, amount in rows if amount}


def journal(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        return read_postings(connection, brand, FIRST, date(2027, 1, 1))


def assert_sound(books: BrandStore) -> pl.DataFrame:
    """What must hold of any journal. Returns its postings."""
    postings = journal(books)
    by_entry = postings.group_by("entry_id", "currency").agg(pl.col("amount_minor").sum())
    assert by_entry.filter(pl.col("amount_minor") != 0).is_empty()
    in_base = postings.group_by("entry_id").agg(pl.col("base_amount_minor").sum())
    assert in_base.filter(pl.col("base_amount_minor") != 0).is_empty()
    own = postings.filter((pl.col("currency") == BASE) & (pl.col("kind") != "stock"))
    assert own.filter(pl.col("amount_minor") != pl.col("base_amount_minor")).is_empty()
    with books.read() as (connection, brand):
        chain = verify(connection, brand)
    assert chain.fault is None
    assert chain.entries == postings["entry_id"].n_unique()
    return postings


def copies(events: Sequence[Event], chance: random.Random, share: float) -> list[Event]:
    """The events in any order, some of them told again, in other words."""
    told = [*events, *(replace(event, description="Told again") for event in events if chance.random() < share)]
    chance.shuffle(told)
    return told


def plain(value: Any) -> Any:
    """A report as data that can be compared."""
    return [(row.key, column.key, value.cell(row.key, column.key)) for row in value.rows for column in value.columns]
