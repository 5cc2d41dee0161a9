"""Booking business events: the legs that the rules give, valued at the day's rate, appended to the journal once.

Belongs here: what joins the rules, the rates and the journal, event by event or for whole days. Does not belong here: any of
the three.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from assets.finance.accounts import CHART_FILE, Chart, chart_frame, default_chart, parse_chart
from assets.finance.fx import CARRY_DAYS, convert, daily_ratios
from assets.finance.money import exponent
from assets.finance.posting import wanted_postings, with_rates
from assets.finance.rules import Event, RawLeg, legs_of
from assets.finance.stock_postings import stock_legs
from resources.store.ledger import Entry, Leg, UnknownAccount, append_entries, post, read_unvalued, write_accounts
from resources.store.periods import PeriodClosed, closed_months, next_open_day
from resources.store.rates import read_rates
from resources.store.stock_valuation import read_valued

if TYPE_CHECKING:
    from sqlalchemy import Connection

Late = Literal["next_open", "refuse"]
Ratios = dict[tuple[date, str], tuple[int, int]]
"""Worth of one unit of a currency in the base currency on a day: numerator, denominator."""


def load_chart(home: Path) -> Chart:
    """The brand's chart of accounts: `chart.yaml` of the installation, over the default. Raises InvalidChart."""
    file = home / CHART_FILE
    try:
        found = file.stat()
    except FileNotFoundError:
        return default_chart()
    return _chart_of(file, found.st_mtime_ns, found.st_ino, found.st_size)


@lru_cache(maxsize=8)
def _chart_of(file: Path, _changed_ns: int, _inode: int, _size: int) -> Chart:
    # Read again when it has changed, not for each event.
    return parse_chart(file.read_text(encoding="utf-8"), str(file))


def book(
    connection: "Connection",
    brand: int,
    base_currency: str,
    events: Sequence[Event],
    *,
    chart: Chart | None = None,
    late: Late = "next_open",
    carry_days: int = CARRY_DAYS,
) -> dict[str, int]:
    """Append an entry for each event, once by its key. Returns the entries' ids by key.

    Each amount keeps the rate at which it was valued, at most `carry_days` old; without one its base amount stays empty until
    `value_late`.
    An exchange of currencies posts the difference of both values as a realised gain or loss. An event of a closed month is
    dated on the first day of the next open one, or refused (`late`).

    Raises InvalidEvent, KeyTaken, and PeriodClosed with late="refuse".
    """
    chart = chart or default_chart()
    raw = [(event, legs_of(event, chart)) for event in events]
    currencies = {(event.day, leg.currency) for event, legs in raw for leg in legs}
    ratios = _ratios(connection, brand, base_currency, currencies, carry_days)
    valued = [value_legs(legs, event.day, ratios, base_currency, chart) for event, legs in raw]
    try:
        return append(connection, brand, _entries(events, valued, set()), chart)
    except PeriodClosed:
        # Nothing was written: days are looked at before the first row. Few events are late, so that most need not ask.
        if late == "refuse":
            raise
        return append(connection, brand, _entries(events, valued, closed_months(connection, brand)), chart)


def _entries(events: Sequence[Event], valued: Sequence[tuple[Leg, ...]], closed: set[date]) -> list[Entry]:
    return [
        Entry(
            key=event.key,
            day=event.day,
            kind=event.type,
            description=event.description or event.type.replace("_", " ").capitalize(),
            legs=legs,
            reference=event.reference,
            channel=event.channel or event.dimensions.get("channel"),
            entry_day=next_open_day(event.day, closed),
        )
        for event, legs in zip(events, valued, strict=True)
    ]


def append(connection: "Connection", brand: int, entries: Sequence[Entry], chart: Chart) -> dict[str, int]:
    """Append entries; an account of the chart that the store does not have yet is made first."""
    try:
        return append_entries(connection, brand, entries)
    except UnknownAccount:
        # Nothing was written yet: accounts are looked up before the first row.
        write_accounts(connection, brand, chart_frame(chart))
        return append_entries(connection, brand, entries)


def post_days(
    connection: "Connection",
    brand: int,
    lines: pl.DataFrame,
    ratios: pl.DataFrame,
    base_currency: str,
    chart: Chart,
    first: date,
    last: date,
) -> int:
    """Make the journal of [first, last] say what its order lines and valued movements of stock mean. Returns how many entries.

    `lines` are all of these days (columns ORDER_LINES). Only differences are appended, so that the same days again post
    nothing; booked events get the base amounts that they lacked.
    """
    valued = convert(lines, ratios, base_currency, "amount_minor", "base_amount_minor")
    sold = wanted_postings(valued, chart, with_costs=False)
    stock = stock_legs(read_valued(connection, brand, first, last), ratios, base_currency, chart)
    accounts = write_accounts(connection, brand, chart_frame(chart))
    wanted = with_rates(pl.concat([sold, stock], how="diagonal"), ratios)
    appended = post(connection, brand, wanted, accounts, first, last)
    return appended + value_late(connection, brand, base_currency, ratios, first, last)


def value_late(
    connection: "Connection", brand: int, base_currency: str, ratios: pl.DataFrame, first: date, last: date
) -> int:
    """Post the base amounts of booked events of [first, last] whose rate was not known then and is now. Returns how many.

    `ratios` as of `fx.daily_ratios`. The further entry has amounts of zero beside the base amounts.
    """
    chart, closed = default_chart(), closed_months(connection, brand)
    known = _as_ratios(ratios.filter(pl.col("day").is_between(first, last)))
    entries: list[Entry] = []
    for entry in read_unvalued(connection, brand, first, last):
        raw = [RawLeg(leg.account, leg.currency, leg.amount_minor) for leg in entry.legs if leg.amount_minor]
        legs = value_legs(raw, entry.day, known, base_currency, chart)
        if all(leg.base_amount_minor is not None for leg in legs):
            words = "Valued at a rate that came late"
            only, day = _base_only(legs, entry.legs), next_open_day(entry.day, closed)
            entries.append(Entry(f"rate:{entry.key}", entry.day, entry.kind, words, only, entry_day=day))
    return len(append(connection, brand, entries, chart)) if entries else 0


def value_legs(legs: Sequence[RawLeg], day: date, ratios: Ratios, base_currency: str, chart: Chart) -> tuple[Leg, ...]:
    """The legs with what they are worth in the base currency, so that they sum to zero there too.

    Rounded half to even each; what the roundings of one currency leave over goes to its largest leg. Where two currencies
    were exchanged, the account in between is cleared against realised gains or losses. No base amount without a rate.
    """
    valued: list[Leg] = []
    for currency in dict.fromkeys(leg.currency for leg in legs):
        valued += _valued([leg for leg in legs if leg.currency == currency], day, ratios, base_currency)
    exchange = chart.of_role("exchange").code
    between = [leg for leg in valued if leg.account == exchange]
    known = [leg.base_amount_minor for leg in between if leg.base_amount_minor is not None]
    rest = sum(known)
    if rest and len(known) == len(between):
        foreign = next(leg.currency for leg in between if leg.currency != base_currency)
        result = chart.of_role("realised_losses" if rest > 0 else "realised_gains").code
        valued += [Leg(exchange, foreign, 0, -rest), Leg(result, foreign, 0, rest)]
    return tuple(valued)


def _valued(legs: list[RawLeg], day: date, ratios: Ratios, base_currency: str) -> list[Leg]:
    """Legs of one currency."""
    if legs[0].currency == base_currency:
        return [Leg(*leg, leg.amount_minor) for leg in legs]
    ratio = ratios.get((day, legs[0].currency))
    if ratio is None:
        return [Leg(*leg, None) for leg in legs]
    shift = exponent(base_currency) - exponent(legs[0].currency)
    worth = Fraction(*ratio) * Fraction(10) ** shift
    # `round` of a fraction is exact, and half to even.
    bases = [round(leg.amount_minor * worth) for leg in legs]
    largest = max(range(len(legs)), key=lambda n: abs(legs[n].amount_minor))
    bases[largest] -= sum(bases)
    return [Leg(*leg, base, *ratio) for leg, base in zip(legs, bases, strict=True)]


def _base_only(legs: Sequence[Leg], standing: Sequence[Leg]) -> tuple[Leg, ...]:
    """What the base amounts are to grow by so that those of `standing` become those of `legs`."""
    grow: dict[tuple[str, str], int] = {}
    rates = {leg.currency: (leg.rate_numerator, leg.rate_denominator) for leg in legs if leg.rate_numerator}
    for sign, side in ((1, legs), (-1, standing)):
        for leg in side:
            place = (leg.account, leg.currency)
            grow[place] = grow.get(place, 0) + sign * (leg.base_amount_minor or 0)
    # Also what is worth less than a unit, and so nothing: that it is known is told for each leg that had no rate.
    lacking = {(leg.account, leg.currency) for leg in standing if leg.base_amount_minor is None}
    return tuple(
        Leg(account, currency, 0, base, *rates.get(currency, (None, None)))
        for (account, currency), base in grow.items()
        if base or (account, currency) in lacking
    )


def _ratios(
    connection: "Connection", brand: int, base_currency: str, wanted: Iterable[tuple[date, str]], carry_days: int
) -> Ratios:
    foreign = {(day, currency) for day, currency in wanted if currency != base_currency}
    if not foreign:
        # Most events are in the base currency, and rates would take most of their time.
        return {}
    days = {day for day, _ in foreign}
    rates = read_rates(connection, brand, first=min(days) - timedelta(days=carry_days), last=max(days))
    ratios = daily_ratios(rates, base_currency, carry_days)
    return _as_ratios(ratios.filter(pl.col("day").is_in(days)))


def _as_ratios(ratios: pl.DataFrame) -> Ratios:
    rows = ratios.select("day", "currency", "numerator", "denominator").iter_rows()
    return {(day, currency): (numerator, denominator) for day, currency, numerator, denominator in rows}
