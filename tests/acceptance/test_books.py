"""Money adds up: whatever happens, in whatever order, however often it is told and whoever is killed over it."""

import os
import random
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.finance.fx import daily_ratios
from assets.finance.reports.registry import REPORTS, make_report
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import Span
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.ledger import find_entry, read_entry, reverse_entry
from resources.store.periods import close_month, reopen_month
from resources.store.rates import read_rates
from tests.acceptance.books import (
    BASE,
    FIRST,
    LAST,
    assert_sound,
    balances,
    book_all,
    copies,
    expected_balances,
    give_rates,
    in_batches,
    journal,
    make_events,
    plain,
    post_orders,
    take_orders,
    take_stock,
    worth_of_stock,
)

ROOT = Path(__file__).parents[2]
# A list of entries names the reversals too.
OF_SUMS = [name for name in REPORTS if not REPORTS[name].lines and name not in ("general_ledger", "receivables_ageing")]


def reports(books: BrandStore) -> dict[str, list[tuple[str, str, Any]]]:
    """Every report that is made of postings alone, as data."""
    with books.read() as (connection, brand):
        ratios = daily_ratios(read_rates(connection, brand), BASE)
    nothing = pl.DataFrame()
    sources = Sources(journal(books).lazy(), nothing.lazy(), nothing, nothing, ratios, BASE, BASE)
    made = {name: plain(make_report(name, sources, Span(FIRST, LAST))) for name in OF_SUMS}
    # What goes to and fro grows with an entry that is taken back; the balances do not.
    made["trial_balance"] = [cell for cell in made["trial_balance"] if cell[1] not in ("debit", "credit")]
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20260310])
def test_ten_thousand_events_in_twenty_currencies_add_up(books: BrandStore, seed: int) -> None:
    chance = random.Random(seed)
    events = make_events(seed, 8_000)
    give_rates(books)
    take_stock(books, seed, 600)
    take_orders(books, seed, 1_400)
    batches = list(in_batches(copies(events, chance, 0.1), chance))
    book_all(books, batches[: len(batches) // 2])
    assert post_orders(books) > 0
    # What is told late is valued at the state of now, and posted on its own days.
    take_stock(books, seed + 1, 200)
    take_orders(books, seed + 1, 400)
    assert post_orders(books) > 0
    book_all(books, batches[len(batches) // 2 :])
    assert post_orders(books) == 0
    inventory = balances(books, kinds="kind IN ('order', 'stock')")
    assert {currency: worth for (account, currency), worth in inventory.items() if account == "1300"} == worth_of_stock(
        books
    )

    postings = assert_sound(books)
    assert balances(books) == expected_balances(events)
    assert postings["currency"].n_unique() == 21
    assert postings.group_by("currency").agg(pl.col("amount_minor").sum())["amount_minor"].to_list() == [0] * 21

    before, shown = postings.height, reports(books)
    book_all(books, in_batches(copies(events, chance, 0.3), chance))
    assert journal(books).height == before

    more = make_events(seed + 1, 150)
    book_all(books, in_batches(more, chance))
    assert reports(books) != shown
    _take_back(books, {event.key for event in more})
    assert_sound(books)
    assert reports(books) == shown

    _close_and_reopen(books)
    assert reports(books) == shown
    result = postings.filter(pl.col("account_type").is_in(["revenue", "expense"]))["base_amount_minor"].sum()
    assert _total(shown["profit_and_loss"]) == -result


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), count=st.integers(1, 40))
def test_any_few_events_leave_sound_books(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, seed: int, count: int
) -> None:
    file = tmp_path_factory.mktemp("books") / "store.db"
    file.write_bytes(migrated_file.read_bytes())
    store = open_store(f"sqlite:///{file}")
    books, chance = BrandStore(load_settings(), store), random.Random(seed)
    events = make_events(seed, count)
    if chance.random() < 0.5:
        give_rates(books)
    take_stock(books, seed, 5)
    take_orders(books, seed, 3)
    book_all(books, in_batches(copies(events, chance, 0.5), chance))
    post_orders(books)
    give_rates(books)
    post_orders(books)
    assert post_orders(books) == 0
    assert_sound(books)
    assert balances(books) == expected_balances(events)
    store.close()


@pytest.mark.slow
def test_bookkeepers_who_are_killed_and_work_at_once_book_everything_once(books: BrandStore, database_url: str) -> None:
    seed, count = 7, 400
    give_rates(books)
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}

    def start(order: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.acceptance.books_process", str(seed), str(count), str(order)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    chance = random.Random(seed)
    for order in range(2):
        killed, other = start(order), start(order + 10)
        assert killed.stdout is not None
        for _ in range(chance.randrange(3, 20)):
            killed.stdout.readline()
        killed.kill()
        killed.wait()
        other.communicate()
        assert other.returncode == 0
    events = make_events(seed, count)
    assert_sound(books)
    assert balances(books) == expected_balances(events)


def _take_back(books: BrandStore, keys: set[str]) -> None:
    with books.write() as (connection, brand):
        for key in sorted(keys):
            entry = find_entry(connection, brand, key)
            assert entry is not None
            day = read_entry(connection, brand, entry)["event_day"][0]
            reverse_entry(connection, brand, entry, key=f"undo:{key}", day=day, description="Taken back")


def _close_and_reopen(books: BrandStore) -> None:
    months = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
    for month in months:
        with books.write() as (connection, brand):
            close_month(connection, brand, month, today=date(2026, 5, 1), actor="ada")
    for month in reversed(months):
        with books.write() as (connection, brand):
            reopen_month(connection, brand, month, reason="to look", actor="ada")


def _total(cells: list[tuple[str, str, int]]) -> int:
    return next(value for row, _, value in reversed(cells) if row == "result")
