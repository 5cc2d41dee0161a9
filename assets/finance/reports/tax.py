"""Sales tax and VAT by jurisdiction: what was supplied, what tax was charged and given back, what the ledger owes for it.

Belongs here: account 2200 and the orders behind it. Does not belong here: how much tax an order bears (its channel says that),
and the form of any authority.

A jurisdiction is the country of the order, else that of the sub-account. Member states of the European Union stand together,
as the one-stop-shop return asks for each of them by quarter.
"""

from collections.abc import Collection
from functools import cache

import polars as pl

from assets.finance.reports.evidence import evidence
from assets.finance.reports.model import NOT_GIVEN, Column, Report, Row, Value, all_of
from assets.finance.reports.sections import DISCOUNTS, GROSS, INPUT_TAX, RETURNS, SHIPPING, TAX_PAYABLE
from assets.finance.reports.sources import Sources, unvalued_note, valued, within
from assets.finance.reports.span import TIMES, Span, bucket, bucket_key, bucket_label, buckets

_SUPPLIES = [GROSS, RETURNS, DISCOUNTS, SHIPPING, "4800"]
_EU = (
    *("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE"),
    *("IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE"),
)
_ALSO = {"EL": "GR", "EIRE": "IE", "HOLLAND": "NL", "CZECH REPUBLIC": "CZ", "THE NETHERLANDS": "NL"}
_PARTS = (
    ("taxed", "Supplies with tax, net"),
    ("untaxed", "Supplies without tax"),
    ("charged", "Tax charged"),
    ("returned", "Tax given back"),
    ("settled", "Paid and corrected"),
)
_BALANCE = ("charged", "returned", "settled")


def vat_report(sources: Sources, span: Span, by: str = "quarter") -> Report:
    """Per jurisdiction: supplies with and without tax, tax charged and given back, and what moved account 2200 otherwise.

    `due` adds up to the movement of account 2200, what is owed positive; input tax (1400) stands beside it.
    """
    by = by if by in TIMES else "quarter"
    keys = buckets(span, by)
    columns = (*(Column(key, bucket_label(by, key)) for key in keys), Column("total", "Total", sums=all_of(keys)))
    facts = _facts(sources, span)
    value = pl.col("value")
    sums = facts.group_by("part", "jurisdiction", bucket(by).alias("bucket")).agg(
        value.sum(), value.count().alias("known")
    )
    leaves: dict[tuple[str, str], Value] = {}
    for part, place, key, minor, known in sums.iter_rows():
        row = "input" if part == "input" else f"{place or NOT_GIVEN}/{part}"
        leaves[row, bucket_key(by, key)] = minor if known else None
    places = facts.filter(pl.col("part") != "input")["jurisdiction"].unique().to_list()
    rows = _rows(places, {row for row, _ in leaves})
    notes = (
        "Amounts are worth what they were on their day; an OSS return in euro takes the rate of the quarter's last day.",
    )
    return Report.of(
        "vat_report",
        "Sales tax and VAT",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        (*notes, *unvalued_note(facts.lazy().with_columns(value.alias("value_minor")))),
        lambda row, columns: _behind(facts, by, row, columns),
    )


def _facts(sources: Sources, span: Span) -> pl.DataFrame:
    """Postings of the report with `part`, `jurisdiction` and `value`, which is positive for supplies and for tax owed."""
    accounts = [TAX_PAYABLE, INPUT_TAX, *_SUPPLIES]
    now = within(sources.postings, span.first, span.last).filter(pl.col("account").is_in(accounts))
    postings = valued(now, sources).collect()
    tax = pl.col("account") == TAX_PAYABLE
    own = pl.col("subaccount").str.split_exact(".", 1).struct.field("field_1")
    taxed = (
        postings.filter(tax & pl.col("order_id").is_not_null())
        .select("order_id", own.alias("of_tax"))
        .unique("order_id", keep="first", maintain_order=True)
    )
    # Of an order that was refunded tax and all, the supply is still one with tax.
    joined = postings.join(taxed.with_columns(pl.lit(True).alias("bears_tax")), on="order_id", how="left")
    sold = pl.col("kind") == "order"
    part = (
        pl.when(pl.col("account") == INPUT_TAX)
        .then(pl.lit("input"))
        .when(tax & ~sold)
        .then(pl.lit("settled"))
        .when(tax)
        .then(pl.when(_credit()).then(pl.lit("charged")).otherwise(pl.lit("returned")))
        .when("bears_tax")
        .then(pl.lit("taxed"))
        .otherwise(pl.lit("untaxed"))
    )
    # Input tax is one row, wherever it was paid.
    place = pl.when(pl.col("account") != INPUT_TAX).then(pl.coalesce("country", pl.when(tax).then(own), "of_tax"))
    return joined.with_columns(
        part.alias("part"), place.alias("jurisdiction"), (-pl.col("value_minor")).alias("value")
    ).drop("of_tax", "bears_tax")


def _credit() -> pl.Expr:
    # A difference of the base amount alone goes with the sign of that.
    amount = pl.col("amount_minor")
    return pl.when(amount != 0).then(amount < 0).otherwise(pl.col("base_amount_minor").fill_null(0) <= 0)


def _rows(places: list[str | None], given: set[str]) -> list[Row]:
    union = sorted(p for p in places if p is not None and country_code(p) in _EU)
    others = sorted(p for p in places if p is not None and country_code(p) not in _EU)
    rows: list[Row] = []
    for title, members in (("Member states of the European Union", union), ("Elsewhere", others)):
        if members:
            rows.append(Row(title, title, "heading"))
            rows += [row for place in members for row in _place_rows(place, place, given)]
    if None in places:
        rows += _place_rows(NOT_GIVEN, "Country not given", given)
    due = [row.key for row in rows if row.key.endswith("/due")]
    return [
        *rows,
        Row("due", "Tax owed, as account 2200 has moved", "total", sums=all_of(due)),
        Row("input", "Input tax, as account 1400 has moved (negative: to be claimed)"),
    ]


def _place_rows(key: str, title: str, given: set[str]) -> list[Row]:
    lines = [Row(f"{key}/{part}", label, depth=2) for part, label in _PARTS if f"{key}/{part}" in given]
    sums = all_of(line.key for line in lines if line.key.rpartition("/")[2] in _BALANCE)
    return [
        Row(f"{key}/", title, "heading", depth=1),
        *lines,
        Row(f"{key}/due", "Tax owed", "subtotal", depth=2, sums=sums),
    ]


def _behind(facts: pl.DataFrame, by: str, row: str, columns: Collection[str]) -> pl.DataFrame:
    place, _, part = row.rpartition("/")
    if row == "input":
        mine = facts.filter(pl.col("part") == "input")
    else:
        here = pl.col("jurisdiction").is_null() if place == NOT_GIVEN else pl.col("jurisdiction") == place
        mine = facts.filter(here, pl.col("part") == part)
    cut = mine.with_columns(bucket(by).alias("bucket"))
    wanted = [value for value in cut["bucket"].unique() if bucket_key(by, value) in columns]
    return evidence(cut.filter(pl.col("bucket").is_in(wanted)), pl.col("value"))


def country_code(name: str) -> str | None:
    """The ISO 3166 code of a country, written as a code or by its English name; null where it is neither."""
    upper = name.strip().upper()
    return _ALSO.get(upper) or _codes().get(upper)


@cache
def _codes() -> dict[str, str]:
    from babel import Locale

    territories = {code: name for code, name in Locale("en").territories.items() if len(code) == 2 and code.isalpha()}
    return {name.upper(): code for code, name in territories.items()} | {code: code for code in territories}
