"""Exchange: exact to the last unit, carried a week and no longer, the same whichever currency the books are in."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.finance.fx import CARRY_DAYS, RATIOS, convert, daily_ratios
from assets.finance.money import exponent, exponents

MONDAY = date(2024, 1, 8)
RATES = {"day": pl.Date, "base": pl.String, "quote": pl.String, "rate": pl.Decimal(28, 12), "source": pl.String}
amounts = st.integers(-(10**12), 10**12)
quotations = st.decimals("0.0001", "99999", allow_nan=False, places=6)


def rates(*rows: tuple[date, str, str, str | Decimal]) -> pl.DataFrame:
    return pl.DataFrame([(d, b, q, Decimal(r), "test") for d, b, q, r in rows], schema=RATES, orient="row")


def converted(ratios: pl.DataFrame, base: str, *amounts: tuple[date, str, int]) -> list[int | None]:
    frame = pl.DataFrame(
        amounts, schema={"day": pl.Date, "currency": pl.String, "amount_minor": pl.Int64}, orient="row"
    )
    return convert(frame, ratios, base, "amount_minor", "into")["into"].to_list()


def exact(minor: int, currency: str, worth: Fraction, base: str) -> int | None:
    """Minor units of the base for `worth` base units a unit, rounded half to even once; None beyond 64 bits."""
    units = round(Fraction(minor, 10 ** exponent(currency)) * worth * 10 ** exponent(base))
    return units if -(2**63) <= units < 2**63 else None


@settings(deadline=None)
@given(quotations, st.lists(amounts, min_size=1, max_size=20), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_a_direct_quotation_converts_exactly(rate: Decimal, minors: list[int], currency: str):
    ratios = daily_ratios(rates((MONDAY, "EUR", currency, rate)), "EUR")

    got = converted(ratios, "EUR", *((MONDAY, currency, minor) for minor in minors))

    assert got == [exact(minor, currency, 1 / Fraction(rate), "EUR") for minor in minors]


@settings(deadline=None)
@given(quotations, amounts, st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_an_inverse_quotation_converts_exactly(rate: Decimal, minor: int, currency: str):
    ratios = daily_ratios(rates((MONDAY, currency, "EUR", rate)), "EUR")

    assert converted(ratios, "EUR", (MONDAY, currency, minor)) == [exact(minor, currency, Fraction(rate), "EUR")]


@settings(deadline=None)
@given(quotations, quotations, amounts, st.sampled_from(["GBP", "JPY"]))
def test_triangulation_is_exact_and_rounds_once(of_dollar: Decimal, of_base: Decimal, minor: int, base: str):
    ratios = daily_ratios(rates((MONDAY, "EUR", "USD", of_dollar), (MONDAY, "EUR", base, of_base)), base)
    worth = Fraction(of_base) / Fraction(of_dollar)

    got = converted(ratios, base, (MONDAY, "USD", minor), (MONDAY, "EUR", minor))

    assert got == [exact(minor, "USD", worth, base), exact(minor, "EUR", Fraction(of_base), base)]


@settings(deadline=None)
@given(quotations, quotations, amounts)
def test_triangulation_works_as_well_where_the_pivot_is_what_both_are_quoted_in(
    dollar: Decimal, pound: Decimal, minor: int
):
    ratios = daily_ratios(rates((MONDAY, "USD", "EUR", dollar), (MONDAY, "GBP", "EUR", pound)), "GBP")

    got = converted(ratios, "GBP", (MONDAY, "USD", minor), (MONDAY, "EUR", minor))

    assert got == [
        exact(minor, "USD", Fraction(dollar) / Fraction(pound), "GBP"),
        exact(minor, "EUR", 1 / Fraction(pound), "GBP"),
    ]


def test_a_direct_quotation_is_better_than_a_crossed_one_in_whatever_order_they_come():
    rows = rates((MONDAY, "EUR", "USD", "2"), (MONDAY, "EUR", "GBP", "1"), (MONDAY, "USD", "GBP", "0.8"))

    for order in (rows, rows.reverse()):
        assert converted(daily_ratios(order, "GBP"), "GBP", (MONDAY, "USD", 100)) == [80]


def test_a_day_without_a_quotation_takes_the_last_one_for_a_week_says_so_and_then_has_none():
    ratios = daily_ratios(rates((MONDAY, "EUR", "USD", "1.25")), "EUR")

    assert ratios["day"].to_list() == [MONDAY + timedelta(days=n) for n in range(CARRY_DAYS + 1)]
    assert ratios["carried"].to_list() == [False] + [True] * CARRY_DAYS
    assert ratios["quoted_on"].unique().to_list() == [MONDAY]
    days = [MONDAY - timedelta(days=1), MONDAY, MONDAY + timedelta(days=7), MONDAY + timedelta(days=8)]
    assert converted(ratios, "EUR", *((day, "USD", 125) for day in days)) == [None, 100, 100, None]


def test_a_new_quotation_ends_the_carrying():
    ratios = daily_ratios(
        rates((MONDAY, "EUR", "USD", "1.25"), (MONDAY + timedelta(days=3), "EUR", "USD", "1.00")), "EUR"
    )

    carried = ratios.filter("carried")
    assert carried["day"].to_list()[:2] == [MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)]
    assert converted(ratios, "EUR", *((MONDAY + timedelta(days=n), "USD", 125) for n in (2, 3))) == [100, 125]


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 10))
def test_a_rate_is_never_older_than_allowed_and_always_the_newest_there_is(offsets: set[int], carry: int):
    quoted = sorted(MONDAY + timedelta(days=n) for n in offsets)
    ratios = daily_ratios(
        rates(*((day, "EUR", "USD", str(1 + n)) for n, day in enumerate(quoted))), "EUR", carry_days=carry
    )
    found = {row["day"]: row for row in ratios.iter_rows(named=True)}

    for n in range(-2, 75):
        day = MONDAY + timedelta(days=n)
        newest = max((d for d in quoted if d <= day), default=None)
        if newest is None or (day - newest).days > carry:
            assert day not in found
        else:
            assert (found[day]["quoted_on"], found[day]["carried"]) == (newest, newest != day)
    assert ratios.select("day", "currency").is_unique().all()


@settings(deadline=None)
@given(st.integers(-(2**62), 2**62))
def test_an_amount_in_the_base_currency_is_itself_without_any_rate(minor: int):
    assert converted(daily_ratios(rates(), "EUR"), "EUR", (MONDAY, "EUR", minor)) == [minor]


def test_an_unknown_rate_is_null_and_not_zero():
    none = daily_ratios(rates(), "EUR")

    assert none.schema == RATIOS
    assert converted(none, "EUR", (MONDAY, "USD", 100), (MONDAY, "USD", 0)) == [None, None]


def test_a_rate_that_does_not_fit_is_as_good_as_none():
    ratios = daily_ratios(rates((MONDAY, "EUR", "USD", "9300000"), (MONDAY, "EUR", "GBP", "0.8")), "EUR")

    assert ratios["currency"].unique().to_list() == ["GBP"]


def test_an_amount_whose_worth_does_not_fit_is_null_and_stops_nothing():
    ratios = daily_ratios(rates((MONDAY, "USD", "EUR", "9000000")), "EUR")

    assert converted(ratios, "EUR", (MONDAY, "USD", 10**15), (MONDAY, "USD", 1)) == [None, 9_000_000]


@settings(deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_quotations_does_not_matter(order: list[int]):
    rows = rates(*((MONDAY + timedelta(days=2 * n), "EUR", quote, "1.5") for n in range(3) for quote in ("USD", "GBP")))

    assert daily_ratios(rows[order], "GBP").equals(daily_ratios(rows, "GBP"))


# The rates of the European Central Bank


@pytest.fixture
def ecb(shared_data: Path) -> pl.DataFrame:
    """Three years of rates as the store gives them, of every active currency, holes left out."""
    wide = pl.read_parquet(shared_data / "ecb_fx.parquet").filter(pl.col("Date").dt.year().is_between(2021, 2023))
    return (
        wide.unpivot(index="Date", variable_name="quote", value_name="rate")
        .drop_nulls("rate")
        .filter(pl.col("quote").is_in(list(exponents())))
        .select(
            pl.col("Date").cast(pl.Date).alias("day"),
            pl.lit("EUR").alias("base"),
            "quote",
            # As it is printed: the shortest text that reads back as the same float.
            pl.col("rate").cast(pl.String).cast(pl.Decimal(28, 12)),
            pl.lit("ecb").alias("source"),
        )
        .sort("day", "quote")
    )


def sample(quotes: pl.DataFrame) -> Iterator[tuple[date, str, dict[str, Fraction]]]:
    """Every 50th day on which the bank quoted: the day, one of its currencies, all of that day's rates."""
    for number, ((day,), rows) in enumerate(sorted(quotes.partition_by("day", as_dict=True).items(), key=str)):
        if number % 50 == 0:
            of_day = {row["quote"]: Fraction(row["rate"]) for row in rows.iter_rows(named=True)}
            assert isinstance(day, date)
            for currency in sorted(of_day):
                yield day, currency, of_day


@pytest.mark.parametrize("base", ["EUR", "GBP", "JPY"])
def test_the_banks_rates_convert_exactly_into_every_base(ecb: pl.DataFrame, base: str):
    ratios = daily_ratios(ecb, base)
    wanted: list[tuple[date, str, int]] = []
    expected: list[int | None] = []
    for day, currency, of_day in sample(ecb):
        of_day["EUR"] = Fraction(1)
        for minor in (1, 129_900, -7, 10**11 + 1):
            wanted.append((day, currency, minor))
            expected.append(exact(minor, currency, of_day[base] / of_day[currency], base))

    assert len(wanted) > 1000
    assert converted(ratios, base, *wanted) == expected


def test_three_bases_tell_the_same_worth(ecb: pl.DataFrame):
    by_base = {base: daily_ratios(ecb, base) for base in ("EUR", "GBP", "JPY")}
    worth: dict[str, dict[Any, Fraction]] = {
        base: {
            (row["day"], row["currency"]): Fraction(row["numerator"], row["denominator"])
            for row in ratios.filter(~pl.col("carried")).iter_rows(named=True)
        }
        for base, ratios in by_base.items()
    }
    checked = 0
    for (day, currency), in_euro in worth["EUR"].items():
        for base in ("GBP", "JPY"):
            if currency != base:
                assert worth[base][day, currency] == in_euro * worth[base][day, "EUR"]
                checked += 1

    assert checked > 20_000
    assert {r.select("day", "carried").unique().height for r in by_base.values()} == {
        by_base["EUR"].select("day", "carried").unique().height
    }


@pytest.mark.parametrize("base", ["EUR", "GBP", "JPY"])
def test_holes_of_the_bank_are_carried_at_most_a_week_and_marked(shared_data: Path, base: str):
    # The krona was not quoted from December 2008 to February 2018.
    wide = pl.read_parquet(shared_data / "ecb_fx.parquet").filter(pl.col("Date").dt.year().is_between(2008, 2018))
    quotes = (
        wide.unpivot(["ISK", "GBP", "JPY"], index="Date", variable_name="quote", value_name="rate")
        .drop_nulls("rate")
        .select(
            pl.col("Date").cast(pl.Date).alias("day"),
            pl.lit("EUR").alias("base"),
            "quote",
            pl.col("rate").cast(pl.String).cast(pl.Decimal(28, 12)),
            pl.lit("ecb").alias("source"),
        )
    )
    ratios = daily_ratios(quotes, base)

    age = (ratios["day"] - ratios["quoted_on"]).dt.total_days()
    assert (age.min(), age.max()) == (0, CARRY_DAYS)
    assert ratios["carried"].equals(age > 0, check_names=False)
    krona = ratios.filter(pl.col("currency") == "ISK")
    assert krona.filter(pl.col("day").dt.year().is_between(2009, 2017)).is_empty()
    quoted = set(quotes.filter(pl.col("quote") == "ISK")["day"].to_list())
    assert set(krona.filter(~pl.col("carried"))["day"].to_list()) == quoted
    # Weekends and holidays between two quotations are all filled.
    other = "GBP" if base != "GBP" else "JPY"
    days = ratios.filter(pl.col("currency") == other)["day"].sort()
    assert days.diff().drop_nulls().dt.total_days().unique().to_list() == [1]
