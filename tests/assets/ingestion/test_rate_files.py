"""Files of exchange rates: the central bank's own layouts become rows like any other file's."""

from typing import Any

import polars as pl
import pytest

from assets.finance.money import exponents
from assets.ingestion.mapping import MappingError
from assets.ingestion.rate_files import parse_central_bank, rate_rows

ACTIVE = set(exponents())
DAILY = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <Cube><Cube time="2026-11-25"><Cube currency="USD" rate="1.0834"/><Cube currency="JPY" rate="161.37"/></Cube>
  <Cube time="2026-11-24"><Cube currency="USD" rate="1.0801"/></Cube></Cube>
</gesmes:Envelope>"""


def table(**columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(columns).with_row_index("row_number", 1)


def quotations(rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    return rows.select("date", "base", "quote", "rate", "source").rows()


def test_the_banks_history_has_a_column_a_currency_and_holes() -> None:
    found = rate_rows(
        table(Date=["2026-01-02", "2026-01-05"], USD=["1.0834", "1.0901"], JPY=["161.37", "N/A"], HRK=["7.53", ""]),
        ACTIVE,
    )
    assert quotations(found.rows) == [
        ("2026-01-02", "EUR", "JPY", "161.37", "ecb"),
        ("2026-01-02", "EUR", "USD", "1.0834", "ecb"),
        ("2026-01-05", "EUR", "USD", "1.0901", "ecb"),
    ]
    assert found.withdrawn == ["HRK"]
    assert found.rows["row_number"].to_list() == [1, 2, 3]


def test_numbers_of_a_data_frame_are_the_decimals_that_were_published() -> None:
    from datetime import datetime

    found = rate_rows(table(Date=[datetime(2026, 1, 2)], USD=[1.0834], KRW=[1472.3], TRY=[None]), ACTIVE)
    assert [row[2:4] for row in quotations(found.rows)] == [("KRW", "1472.3"), ("USD", "1.0834")]
    assert found.rows["date"].to_list() == ["2026-01-02"] * 2


def test_a_table_of_our_own_stays_as_it_is() -> None:
    rows = table(date=["2026-01-02"], Base=["EUR"], quote=["USD"], rate=["1.1"])
    assert rate_rows(rows, ACTIVE).rows.equals(rows)


def test_the_banks_xml_is_read_day_by_day() -> None:
    assert quotations(parse_central_bank(DAILY, "daily.xml")) == [
        ("2026-11-25", "EUR", "USD", "1.0834", "ecb"),
        ("2026-11-25", "EUR", "JPY", "161.37", "ecb"),
        ("2026-11-24", "EUR", "USD", "1.0801", "ecb"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>not found", "not the central bank's XML"),
        (b"<Envelope/>", "holds no exchange rates"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "not the central bank's XML"),
    ],
)
def test_another_document_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(MappingError, match=said):
        parse_central_bank(content, "daily.xml")


@pytest.mark.parametrize("columns", [{"USD": ["1.1"]}, {"date": ["2026-01-02"], "price": ["1"]}])
def test_a_table_of_neither_shape_says_what_is_needed(columns: dict[str, list[str]]) -> None:
    with pytest.raises(MappingError, match="date, base, quote and rate"):
        rate_rows(table(**columns), ACTIVE)
