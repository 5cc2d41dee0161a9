"""Quiet hours across clock changes and the date line, against a clock that is walked minute by minute."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.marketing.timing.errors import TimingError
from assets.marketing.timing.quiet_hours import (
    Hours,
    default_table,
    is_quiet,
    next_allowed,
    read_table,
    recipient_zones,
    zone,
    zones_of,
)

ZONES = [
    *("Europe/Paris", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Atlantic/Azores", "America/New_York"),
    *(
        "America/Chicago",
        "America/Phoenix",
        "America/Los_Angeles",
        "America/St_Johns",
        "America/Santiago",
        "Asia/Kathmandu",
    ),
    *("America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Africa/Casablanca", "Asia/Tokyo"),
    *(
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "Antarctica/Troll",
        "Asia/Kolkata",
    ),
]
MINUTE = timedelta(minutes=1)
TABLE = default_table()

windows = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 1439), st.integers(1, 1440))
    .map(sorted)
    .filter(lambda w: w[0] < w[1])
    .map(lambda w: (w[0], w[1])),
)
all_hours = (
    st.lists(windows, min_size=7, max_size=7).filter(lambda week: any(week)).map(lambda week: Hours(tuple(week)))
)
instants = st.datetimes(datetime(2010, 1, 1), datetime(2028, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))


def changes(name: str) -> list[datetime]:
    """Hours of UTC around which the zone's clock is put, found by looking at every hour of some years."""
    place, found = zone(name), []
    for year in (2011, 2026):
        at = datetime(year, 1, 1, tzinfo=UTC)
        while at.year == year:
            if at.astimezone(place).utcoffset() != (at + timedelta(hours=1)).astimezone(place).utcoffset():
                found.append(at)
            at += timedelta(hours=1)
    return found


def walked(at: datetime, name: str, rules: list[Hours]) -> datetime:
    """The first allowed instant, by asking the wall's clock at every minute."""
    if not is_quiet(at, [name], rules):
        return at
    at = at.replace(second=0, microsecond=0) + MINUTE
    place = zone(name)
    while True:
        local = at.astimezone(place)
        minute = local.hour * 60 + local.minute
        days = [hours.week[local.weekday()] for hours in rules]
        if all(day is not None and day[0] <= minute < day[1] for day in days):
            return at
        at += MINUTE


@given(name=st.sampled_from(ZONES), at=instants, hours=all_hours)
@settings(max_examples=150, deadline=None)
def test_it_is_the_earliest_minute_that_is_allowed(name: str, at: datetime, hours: Hours) -> None:
    found = next_allowed(at, [name], [hours])
    assert found == walked(at, name, [hours])
    assert not is_quiet(found, [name], [hours])
    assert next_allowed(found, [name], [hours]) == found


@pytest.mark.parametrize("name", ZONES)
def test_around_every_clock_change_too(name: str) -> None:
    nightly = [Hours((window,) * 7) for window in ((90, 100), (0, 130), (150, 1440), (1435, 1440), (480, 1260))]
    for change in changes(name):
        for minutes in range(-26 * 60, 5 * 60, 47):
            at = change + timedelta(minutes=minutes, seconds=13)
            for hours in nightly:
                assert next_allowed(at, [name], [hours]) == walked(at, name, [hours]), (name, at, hours)


def test_a_day_that_was_skipped_at_the_date_line_has_no_hours() -> None:
    friday_only = Hours((None, None, None, None, (600, 660), None, None))
    # Samoa went from Thursday 29 December 2011 to Saturday: its Friday never was.
    found = next_allowed(datetime(2011, 12, 29, 12, tzinfo=UTC), ["Pacific/Apia"], [friday_only])
    assert found.astimezone(zone("Pacific/Apia")).isoformat() == "2012-01-06T10:00:00+14:00"


def test_an_hour_that_comes_twice_is_allowed_twice() -> None:
    hours = Hours(((90, 100),) * 7)
    first = next_allowed(datetime(2026, 10, 24, 22, tzinfo=UTC), ["Europe/London"], [hours])
    second = next_allowed(first + timedelta(minutes=10), ["Europe/London"], [hours])
    assert second - first == timedelta(hours=1)


@given(at=instants, names=st.lists(st.sampled_from(zones_of("US")), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_several_zones_must_all_agree(at: datetime, names: list[str]) -> None:
    rules = TABLE.rules("sms", "US-TX")
    found = next_allowed(at, names, rules)
    assert not any(is_quiet(found, [name], rules) for name in names)
    assert found == at or is_quiet(found - MINUTE, names, rules)


@pytest.mark.parametrize(
    ("jurisdiction", "zone_name", "local", "expected"),
    [
        ("US-FL", "America/New_York", "2026-03-06T20:00", "2026-03-07T08:00"),
        ("US-NY", "America/New_York", "2026-03-06T20:30", "2026-03-06T20:30"),
        ("US-TX", "America/Chicago", "2026-03-07T21:00", "2026-03-08T12:00"),
        ("US-RI", "America/New_York", "2026-03-06T18:00", "2026-03-07T10:00"),
        ("US", "America/New_York", "2026-03-06T18:30", "2026-03-07T10:00"),
        ("FR", "Europe/Paris", "2026-03-06T21:00", "2026-03-07T08:00"),
    ],
)
def test_hours_of_the_shipped_table(jurisdiction: str, zone_name: str, local: str, expected: str) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=zone(zone_name))
    found = next_allowed(at, [zone_name], TABLE.rules("sms", jurisdiction)).astimezone(zone(zone_name))
    assert found.isoformat(timespec="minutes")[:16] == expected


def test_states_do_not_speak_for_mail() -> None:
    assert TABLE.rules("email", "US-TX") == TABLE.rules("email", None)


def test_every_state_narrows_its_country_and_none_forbids_a_whole_day() -> None:
    for code in TABLE.jurisdictions:
        rules = TABLE.rules("sms", code)
        for day in range(2, 9):
            at = datetime(2026, 3, day, 5, tzinfo=UTC)
            assert next_allowed(at, ["America/New_York"], rules) < at + timedelta(hours=15)


def test_a_recipient_without_a_zone_has_all_of_the_country() -> None:
    assert recipient_zones("Asia/Tokyo", "US", "Europe/Paris") == ("Asia/Tokyo",)
    assert recipient_zones(None, "FR", "Europe/Rome") == ("Europe/Paris",)
    assert {"America/New_York", "Pacific/Honolulu"} <= set(recipient_zones(None, "US", "Europe/Paris"))
    assert recipient_zones(None, None, "Europe/Rome") == ("Europe/Rome",)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: zone("Mars/Base"), "Europe/Paris"),
        (lambda: zones_of("XX"), "ISO 3166"),
        (lambda: next_allowed(datetime(2026, 1, 1), ["Asia/Tokyo"], TABLE.rules("sms", None)), "offset"),
        (lambda: TABLE.rules("pigeon", None), "pigeon"),
        (lambda: next_allowed(datetime(2026, 1, 1, tzinfo=UTC), ["Asia/Tokyo"], [Hours((None,) * 7)]), "no minute"),
        (lambda: read_table("house: [{channels: [sms], allow: {mon: '21:00-08:00'}}]"), "end after it starts"),
        (lambda: read_table("house: [{channels: [sms], allow: {mon-sun: '8-9'}}]"), "08:00-21:00"),
        (lambda: read_table("house: [{channels: [sms], allow: {funday: '08:00-09:00'}}]"), "funday"),
        (
            lambda: read_table("house: [{channels: [sms], allow: {mon-wed: '08:00-09:00', tue: '08:00-09:00'}}]"),
            "twice",
        ),
        (lambda: read_table("jurisdictions: {}"), "house"),
        (
            lambda: read_table("house: []\njurisdictions: {NO: {channels: [sms], allow: {mon: '08:00-09:00'}}}"),
            "quotes",
        ),
    ],
)
def test_what_is_wrong_is_said(ask, words: str) -> None:
    with pytest.raises(TimingError, match=words):
        ask()
