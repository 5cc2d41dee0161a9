"""Exchange rates: exact, once a day, pair and source; what they were before a correction is kept."""

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl

from assets.ingestion.reference import columns_of, normalise_reference
from resources.store.brand_store import BrandStore
from resources.store.rates import read_rates, write_rates


def write(books: BrandStore, *rates: tuple[str, str, str, str, str | None]) -> tuple[int, int]:
    schema = dict.fromkeys(columns_of("rates"), pl.String)
    rows = pl.DataFrame(rates, schema=schema, orient="row").with_row_index("row_number", 1)
    judged = normalise_reference(rows, "rates", currency="EUR", timezone="UTC")
    assert not judged.rejected.height, judged.rejected
    with books.write() as (connection, brand):
        return write_rates(connection, brand, judged.lines)


def read(books: BrandStore) -> list[tuple[object, ...]]:
    with books.read() as (connection, brand):
        return read_rates(connection, brand).rows()


def test_a_rate_comes_back_to_its_last_digit(books: BrandStore) -> None:
    write(books, ("2025-03-03", "EUR", "JPY", "157.123456789012", "ECB"))
    assert read(books) == [(date(2025, 3, 3), "EUR", "JPY", Decimal("157.123456789012"), "ECB")]


def test_the_same_rates_twice_change_nothing(books: BrandStore) -> None:
    rates = [("2025-03-03", "EUR", "USD", "1.05", "ECB"), ("2025-03-04", "EUR", "USD", "1.06", "ECB")]
    assert write(books, *rates) == (2, 0)
    first = read(books)
    assert write(books, *rates) == (0, 2)
    assert read(books) == first


def test_a_corrected_rate_takes_the_place_of_the_wrong_one(books: BrandStore) -> None:
    write(books, ("2025-03-03", "EUR", "USD", "1.5", "ECB"))
    assert write(books, ("2025-03-03", "EUR", "USD", "1.05", "ECB")) == (0, 1)
    assert [row[3] for row in read(books)] == [Decimal("1.05")]


def test_two_sources_of_a_day_stand_side_by_side(books: BrandStore) -> None:
    write(books, ("2025-03-03", "EUR", "USD", "1.05", "ECB"))
    assert write(books, ("2025-03-03", "EUR", "USD", "1.04", None)) == (1, 0)
    assert sorted(str(row[4]) for row in read(books)) == ["ECB", "file"]


def test_of_two_rates_of_a_day_in_a_file_the_last_counts(books: BrandStore) -> None:
    rates = [("2025-03-03", "EUR", "USD", "1.05", "ECB"), ("2025-03-03", "EUR", "USD", "1.07", "ECB")]
    assert write(books, *rates) == (1, 1)
    assert [row[3] for row in read(books)] == [Decimal("1.07")]


def test_a_file_without_rates_writes_nothing(books: BrandStore) -> None:
    assert write(books) == (0, 0)
    assert read(books) == []


def test_the_rates_of_two_brands_live_apart(books: BrandStore) -> None:
    second = BrandStore(books.settings.model_copy(update={"brand": "second"}), books.store)
    write(books, ("2025-03-03", "EUR", "USD", "1.05", "ECB"))
    assert write(second, ("2025-03-03", "EUR", "USD", "1.09", "ECB")) == (1, 0)
    assert [row[3] for row in read(books)] == [Decimal("1.05")]


def test_a_corrected_rate_is_known_as_it_was_before(books: BrandStore) -> None:
    names = {"date": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}

    def write(rate: str) -> datetime:
        row = [(date(2026, 1, 2), "EUR", "USD", Decimal(rate), "ecb")]
        with books.write() as (connection, brand):
            write_rates(connection, brand, pl.DataFrame(row, schema=names, orient="row"))
        return datetime.now(UTC)

    def known(as_of: datetime | None = None) -> list[Decimal]:
        with books.read() as (connection, brand):
            return read_rates(connection, brand, as_of=as_of)["rate"].to_list()

    before = datetime.now(UTC)
    first, second, third = write("1.1"), write("1.2"), write("1.2")
    assert known() == known(third) == known(second) == [Decimal("1.2")]
    assert (known(first), known(before)) == ([Decimal("1.1")], [])


def test_rates_of_some_days_are_read_with_the_source_that_counts_first(books: BrandStore) -> None:
    names = {"date": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
    rows = [
        (date(2026, 1, day), "EUR", "USD", Decimal("1.1"), source)
        for day in (1, 2, 3)
        for source in ("zurich", "ecb", "bloomberg", "manual")
    ]
    with books.write() as (connection, brand):
        assert write_rates(connection, brand, pl.DataFrame(rows, schema=names, orient="row")) == (12, 0)
        found = read_rates(connection, brand, first=date(2026, 1, 2), last=date(2026, 1, 2))
    assert found["day"].unique().to_list() == [date(2026, 1, 2)]
    assert found["source"].to_list() == ["manual", "ecb", "bloomberg", "zurich"]
