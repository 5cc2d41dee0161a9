"""Machines' opens, and when silence is long enough."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from assets.marketing.timing.machine_opens import EVENTS, with_machines
from assets.marketing.timing.sunset import stage

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15"


def event(
    seconds: float, kind: str = "opened", agent: str | None = IPHONE, link: str | None = None, send: str = "s1"
) -> dict:
    at = AT + timedelta(seconds=seconds)
    return {"send": send, "kind": kind, "at": at, "delivered_at": AT, "user_agent": agent, "link": link}


def reasons(*events: dict) -> list[str | None]:
    return with_machines(pl.DataFrame(list(events), schema=EVENTS))["machine_reason"].to_list()


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        (IPHONE, None),
        (None, None),
        ("Mozilla/5.0", "prefetch"),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", "robot"),
        ("python-requests/2.33", "robot"),
        ("Mozilla/5.0 (Linux; Android 12; CUBOT X70)", None),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", None),
    ],
)
def test_user_agents(agent: str | None, reason: str | None) -> None:
    assert reasons(event(3600, agent=agent)) == [reason]


def test_a_scanner_that_takes_every_link_and_the_picture_is_a_machine_throughout() -> None:
    scan = [event(60 + n / 10, "clicked", link=f"https://maison.example/{n}") for n in range(5)]
    assert reasons(event(60.1), *scan) == ["burst"] * 6


def test_two_clicks_of_a_person_are_a_persons() -> None:
    later = [event(n, "clicked", link=f"https://maison.example/{n}") for n in (60, 70)]
    same = [event(60 + n, "clicked", link="https://maison.example/1", send="s2") for n in (0, 1)]
    others = [event(60, "clicked", link=f"https://maison.example/{n}", send=f"t{n}") for n in (0, 1)]
    assert reasons(*later, *same, *others) == [None] * 6


def test_nobody_reads_within_two_seconds() -> None:
    assert reasons(event(1.5), event(2.5)) == ["instant", None]


def test_order_and_number_of_events_stay() -> None:
    events = [event(n, send=f"s{n}") for n in (9000, 1, 500)]
    found = with_machines(pl.DataFrame(events, schema=EVENTS))
    assert found.drop("machine_reason").equals(pl.DataFrame(events, schema=EVENTS))
    assert with_machines(pl.DataFrame(schema=EVENTS)).height == 0


def days(*numbers: float) -> list[datetime]:
    return [AT + timedelta(days=number) for number in numbers]


WEEKLY = days(*range(1, 400, 7))


def test_who_reacts_is_engaged_whatever_is_sent() -> None:
    assert stage(AT, days(390), WEEKLY, None, days(400)[0]) == "engaged"


def test_silence_of_half_a_year_asks_once_and_then_stops() -> None:
    assert stage(AT, [], WEEKLY, None, days(180)[0]) == "engaged"
    assert stage(AT, [], WEEKLY, None, days(181)[0]) == "win_back"
    (asked,) = days(190)
    assert stage(AT, [], WEEKLY, asked, days(219)[0]) == "win_back"
    assert stage(AT, [], WEEKLY, asked, days(220)[0]) == "sunset"


def test_an_answer_to_the_win_back_starts_anew() -> None:
    (asked,) = days(190)
    assert stage(AT, days(200), WEEKLY, asked, days(230)[0]) == "engaged"
    assert stage(AT, days(200), WEEKLY, asked, days(395)[0]) == "win_back"


def test_who_was_hardly_written_to_is_not_blamed_for_silence() -> None:
    assert stage(AT, [], WEEKLY[:11], None, days(399)[0]) == "engaged"
    assert stage(AT, [], WEEKLY[:12], None, days(399)[0]) == "win_back"
