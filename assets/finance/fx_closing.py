"""The month's end in foreign money: realised gains stay, unrealised ones are taken back on the first day of the next month.

Belongs here: what has to be posted so that the books say what `revaluation` found. Does not belong here: those sums.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from assets.finance.accounts import Chart
from assets.finance.booking import append
from assets.finance.fx import daily_ratios
from assets.finance.revaluation import REALISED, REVALUATION, revalue, unrealised_of
from resources.settings import BrandSettings
from resources.store.ledger import Entry, Leg, newest_day_of, read_postings
from resources.store.rates import read_rates

if TYPE_CHECKING:
    from sqlalchemy import Connection


class OutOfOrder(Exception):
    """A month is to be revalued after a later one."""


def revalue_month(
    connection: "Connection", brand: int, current: BrandSettings, chart: Chart, month: date, *, dry_run: bool = False
) -> tuple[pl.DataFrame, int]:
    """Revalue every foreign monetary balance at the end of a month. Returns what was found (REVALUED) and how many entries.

    Only differences to what was posted before are: the same month again posts nothing, and after a corrected rate a further
    entry. Raises PeriodClosed where the month, or the one after it, is closed, and OutOfOrder where something would have to be
    posted before a later month's revaluation, which counts what was realised until then.
    """
    end = month_end(month)
    postings = read_postings(connection, brand, date.min, end + timedelta(days=1))
    rates = read_rates(connection, brand, first=end - timedelta(days=current.fx_carry_days), last=end)
    ratios = daily_ratios(rates, current.base_currency, current.fx_carry_days)
    found = revalue(postings, ratios, current.base_currency, chart, end)
    entries = list(_entries(found, postings, chart, end))
    later = newest_day_of(connection, brand, REVALUATION)
    if entries and later is not None and later > end + timedelta(days=1):
        raise OutOfOrder(
            f"{later:%Y-%m} has revaluations already: revalue months in their order, and this difference with it"
        )
    if entries and not dry_run:
        append(connection, brand, entries, chart)
    return found, len(entries)


def month_end(month: date) -> date:
    """The last day of a month."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _entries(found: pl.DataFrame, postings: pl.DataFrame, chart: Chart, end: date) -> Iterator[Entry]:
    earlier = postings.filter(pl.col("kind") == REVALUATION)
    count = earlier["entry_id"].n_unique()
    realised = _posted(earlier.filter(pl.col("reference") == REALISED))
    unrealised = _posted(earlier.filter((pl.col("reference") == unrealised_of(end)) & (pl.col("day") <= end)))
    for row in found.iter_rows(named=True):
        place = (row["subaccount"], row["currency"])
        name = f"{place[0]} in {place[1]}"
        # The count makes the key of a further entry another one, also where a rate goes to and fro.
        key = f"revaluation:{end:%Y-%m}:{place[0]}:{place[1]}:{count}"
        gained = (row["realised_minor"] or 0) - realised.get(place, 0) if row["realised_minor"] is not None else 0
        if gained:
            legs = _legs(place, gained, chart, "realised")
            yield Entry(f"{key}:realised", end, REVALUATION, f"Realised on {name}", legs, REALISED)
        if row["unrealised_minor"] is None:
            continue
        moved = row["unrealised_minor"] - unrealised.get(place, 0)
        if moved:
            reference, following = unrealised_of(end), end + timedelta(days=1)
            legs, back = _legs(place, moved, chart, "unrealised"), _legs(place, -moved, chart, "unrealised", moved)
            yield Entry(f"{key}:unrealised", end, REVALUATION, f"Revaluation of {name}", legs, reference)
            yield Entry(f"{key}:back", following, REVALUATION, f"Revaluation of {name}, taken back", back, reference)


def _legs(place: tuple[str, str], minor: int, chart: Chart, which: str, sign: int | None = None) -> tuple[Leg, ...]:
    """Base amounts alone: on the account, and on gains or losses. What is taken back goes where it was (`sign`)."""
    account, currency = place
    result = chart.of_role(f"{which}_gains" if (sign or minor) > 0 else f"{which}_losses").code
    return Leg(account, currency, 0, minor), Leg(result, currency, 0, -minor)


def _posted(postings: pl.DataFrame) -> dict[tuple[str, str], int]:
    sums = postings.group_by("subaccount", "currency").agg(pl.col("base_amount_minor").sum())
    return {(account, currency): base for account, currency, base in sums.iter_rows()}
