"""A few entries are written without frames: what stands afterwards is what frames write, to the byte of the hashes.

Does not belong here: what the journal refuses (`test_ledger_lock`), which holds for both ways.
"""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.finance.accounts import chart_frame
from resources.store import ledger, ledger_chain
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.ledger import Entry, KeyTaken, Leg, Unbalanced, UnknownAccount, append_entries, write_accounts
from resources.store.ledger_chain import ENTRY, LEG, canonical_text, hashes, verify

BIG = st.integers(-(2**63), 2**63 - 1)
# No half of a surrogate pair: neither way can write one.
WORDS = st.text(st.characters(exclude_categories=("Cs",)))
OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    ledger_chain.INT: BIG,
    ledger_chain.TEXT: WORDS,
    ledger_chain.DAY: st.dates(),
    ledger_chain.INSTANT: st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),
}


def columns(schema: dict[str, Any], *, always: tuple[str, ...] = ()) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(*(OF_TYPE[kind] if name in always else st.none() | OF_TYPE[kind] for name, kind in schema.items()))


ENTRIES = st.tuples(
    columns({n: t for n, t in ENTRY.items() if n != "id"}, always=("recorded_at",)),
    st.lists(columns({n: t for n, t in LEG.items() if n != "entry_id"}), max_size=5),
)


@given(st.lists(ENTRIES, min_size=1, max_size=4))
def test_the_canonical_text_is_the_same_with_and_without_a_frame(found: list[tuple[Any, list[Any]]]) -> None:
    rows = [(number, *entry) for number, (entry, _) in enumerate(found)]
    legs = [(number, *leg) for number, (_, own) in enumerate(found) for leg in own]
    by_frame = ledger_chain._canonical(
        pl.DataFrame(rows, schema=ENTRY, orient="row"), pl.DataFrame(legs, schema=LEG, orient="row")
    ).to_list()
    plain = [canonical_text(row, own) for row, (_, own) in zip(rows, found, strict=True)]
    assert plain == by_frame
    assert hashes("0", plain) == hashes("0", by_frame)


@pytest.fixture
def chart(books: BrandStore) -> dict[str, int]:
    with books.write() as (connection, brand):
        return write_accounts(connection, brand, chart_frame())


def entry(key: str, amount: int = 1200, **other: Any) -> Entry:
    legs = (
        Leg("6500", "EUR", amount, amount + 1, 2, 3),
        Leg("1000", "EUR", -amount, -amount - 1),
        Leg("1000", "USD", 5, None),
        Leg("6500", "USD", -5, None),
    )
    return Entry(key, date(2026, 3, 10), "expense", "Loyer – été\x00 \N{COMBINING ACUTE ACCENT}", legs, **other)


STORED = """
    SELECT e.key, e.entry_date, e.event_date, e.kind, e.description, e.reference, e.channel, e.order_id, e.reversal_of,
           p.brand_id, p.account_id, p.currency, p.amount_minor, p.base_amount_minor, p.rate_numerator, p.rate_denominator
    FROM journal_entries e JOIN postings p ON p.entry_id = e.id ORDER BY p.id
"""


def stored(books: BrandStore) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        assert verify(connection, brand).fault is None
        return fetch(connection, STORED, {})


def append(books: BrandStore, *entries: Entry) -> dict[str, int]:
    with books.write() as (connection, brand):
        return append_entries(connection, brand, entries)


def test_rows_are_those_that_frames_write(
    books: BrandStore, chart: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [entry("a", channel="shopify"), entry("b", -7, reference="F-1", entry_day=date(2026, 4, 1))]
    first = append(books, *made)
    monkeypatch.setattr(ledger, "_LEAN_ENTRIES", 0)
    second = append(books, *[entry(f"{one.key}2", one.legs[0].amount_minor, **told(one)) for one in made])
    rows = stored(books)
    half = len(rows) // 2
    assert [row[1:] for row in rows[:half]] == [row[1:] for row in rows[half:]]
    assert list(first) == ["a", "b"]
    assert sorted({*first.values(), *second.values()}) == [*first.values(), *second.values()]


def told(one: Entry) -> dict[str, Any]:
    return {"channel": one.channel, "reference": one.reference, "entry_day": one.entry_day}


def test_a_few_entries_and_many_follow_from_one_another(books: BrandStore, chart: dict[str, int]) -> None:
    for start, count in ((0, 1), (1, 40), (41, 3), (44, 1)):
        append(books, *(entry(f"k{number}") for number in range(start, start + count)))
    with books.read() as (connection, brand):
        chain = verify(connection, brand)
    assert (chain.entries, chain.fault) == (45, None)


@pytest.mark.parametrize("lean", [True, False])
def test_what_is_refused_is_refused_on_both_ways(
    books: BrandStore, chart: dict[str, int], lean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not lean:
        monkeypatch.setattr(ledger, "_LEAN_ENTRIES", 0)
    kept = append(books, entry("k"))
    assert append(books, entry("k"), entry("k")) == kept
    with pytest.raises(KeyTaken):
        append(books, entry("new"), entry("k", 5))
    with pytest.raises(Unbalanced):
        append(books, entry("new"), Entry("empty", date(2026, 3, 10), "manual", "x", ()))
    stray = Entry("stray", date(2026, 3, 10), "manual", "x", (Leg("9999", "EUR", 1, 1), Leg("1000", "EUR", -1, -1)))
    with pytest.raises(UnknownAccount):
        append(books, entry("new"), stray)
    assert len(stored(books)) == 4
