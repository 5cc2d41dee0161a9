"""Times as people export them: the day on the source's own clock, and the instant."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.ingestion.clock import local_and_utc


def read(*texts: str | None, zone: str = "Europe/Paris", formats: tuple[str, ...] = ()) -> list[tuple[str, str] | None]:
    rows = pl.DataFrame({"x": texts}, schema={"x": pl.String})
    found = rows.select(*local_and_utc(rows, "x", zone, formats))
    return [None if at is None else (day.isoformat(), at.isoformat()) for day, at in found.iter_rows()]


@pytest.mark.parametrize(
    ("text", "day", "instant"),
    [
        ("2025-01-15", "2025-01-15", "2025-01-14T23:00:00+00:00"),
        ("2025-01-15 10:30", "2025-01-15", "2025-01-15T09:30:00+00:00"),
        ("2025-07-15T10:30:45", "2025-07-15", "2025-07-15T08:30:45+00:00"),
        ("2025-07-15T10:30:45.123456", "2025-07-15", "2025-07-15T08:30:45.123456+00:00"),
        ("2025-01-15T23:30:00Z", "2025-01-15", "2025-01-15T23:30:00+00:00"),
        ("2025-01-15T23:30:00-05:00", "2025-01-15", "2025-01-16T04:30:00+00:00"),
        ("2025-01-15 00:30:00 +0530", "2025-01-15", "2025-01-14T19:00:00+00:00"),
        ("15.01.2025", "2025-01-15", "2025-01-14T23:00:00+00:00"),
        ("15.01.2025 10:30", "2025-01-15", "2025-01-15T09:30:00+00:00"),
        ("2025/01/15 10:30:45", "2025-01-15", "2025-01-15T09:30:45+00:00"),
        ("20250115", "2025-01-15", "2025-01-14T23:00:00+00:00"),
    ],
)
def test_a_time_keeps_its_own_day_and_gets_an_instant(text: str, day: str, instant: str) -> None:
    assert read(text) == [(day, instant)]


def test_an_hour_that_daylight_saving_skips_counts_from_the_one_before_it() -> None:
    assert read("2025-03-30 01:59", "2025-03-30 02:30", "2025-03-30 03:00") == [
        ("2025-03-30", "2025-03-30T00:59:00+00:00"),
        ("2025-03-30", "2025-03-30T01:30:00+00:00"),
        ("2025-03-30", "2025-03-30T01:00:00+00:00"),
    ]


def test_in_the_hour_that_occurs_twice_the_first_is_meant() -> None:
    assert read("2025-10-26 02:30", "2025-10-26T02:30:00+01:00") == [
        ("2025-10-26", "2025-10-26T00:30:00+00:00"),
        ("2025-10-26", "2025-10-26T01:30:00+00:00"),
    ]


def test_day_and_month_are_decided_for_the_file_and_not_row_by_row() -> None:
    formats = ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")
    american = read("3/4/2025 10:00", "12/31/2025 10:00", formats=formats, zone="UTC")
    assert [told and told[0] for told in american] == ["2025-03-04", "2025-12-31"]
    european = read("3/4/2025 10:00", "31/12/2025 10:00", formats=formats, zone="UTC")
    assert [told and told[0] for told in european] == ["2025-04-03", "2025-12-31"]


def test_rows_of_the_other_order_are_not_understood_rather_than_guessed() -> None:
    formats = ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")
    found = read("12/31/2025 10:00", "12/30/2025 10:00", "31/12/2025 10:00", formats=formats)
    assert found[2] is None
    assert None not in found[:2]


@pytest.mark.parametrize("text", [None, "", "soon", "2025-02-30", "2025-13-01 10:00", "2025-01-01 25:00", "10:00"])
def test_what_is_no_time_is_none(text: str | None) -> None:
    assert read(text) == [None]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Asia/Kolkata", "UTC"])
def test_typed_columns_are_read_like_text(zone: str) -> None:
    naive, aware = datetime(2025, 1, 15, 23, 30), datetime(2025, 1, 15, 23, 30, tzinfo=UTC)
    for value in (naive, naive.date()):
        rows = pl.DataFrame({"x": [value]})
        typed = rows.select(*local_and_utc(rows, "x", zone)).row(0)
        assert typed[0] == date(2025, 1, 15)
        assert typed[1].isoformat() == (read(str(value), zone=zone)[0] or ("", ""))[1]
    rows = pl.DataFrame({"x": [aware]})
    assert rows.select(*local_and_utc(rows, "x", zone)).row(0)[1] == aware


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_an_instant_with_an_offset_is_exact(value: datetime) -> None:
    assert read(value.isoformat()) == [(value.date().isoformat(), value.isoformat())]


@given(st.text(max_size=25))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert len(read(text)) == 1
