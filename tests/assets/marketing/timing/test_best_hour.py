"""Curves of hours: what is believed before and after people engage, and the time that comes of it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.marketing.timing.best_hour import (
    HOURS,
    KNOWN_HOURS,
    best_hour,
    draw_hour,
    hours_allowed,
    local_hours,
    personal,
    prior,
    send_at,
    updated,
)
from assets.marketing.timing.errors import TimingError
from assets.marketing.timing.quiet_hours import default_table, is_quiet, zone

TABLE = default_table()


@pytest.mark.parametrize("channel", KNOWN_HOURS)
def test_before_anything_is_seen_the_known_hours_are_best(channel: str) -> None:
    curve = prior(channel)
    ranked = sorted(range(HOURS), key=lambda hour: -curve.weights[hour])
    assert set(ranked[: len(KNOWN_HOURS[channel])]) == set(KNOWN_HOURS[channel])
    assert sum(curve.weights) == pytest.approx(48)


def test_enough_engagement_overrules_what_was_believed_and_little_does_not() -> None:
    assert best_hour(updated(prior("email"), [7] * 3)) == 10
    assert best_hour(updated(prior("email"), [7] * 30)) == 7


def test_the_posterior_mean_is_that_of_a_dirichlet() -> None:
    curve = updated(prior("sms"), [12] * 5 + [3])
    weights = np.array(prior("sms").weights)
    weights[[12, 3]] += [5, 1]
    assert np.allclose(curve.shares, weights / weights.sum())


def test_a_customer_starts_as_the_segment_and_leaves_it_by_own_hours() -> None:
    segment = updated(prior("email"), [20] * 500)
    assert best_hour(personal(segment, [])) == 20
    assert best_hour(personal(segment, [8] * 20)) == 8


def test_only_allowed_hours_are_chosen() -> None:
    hours = hours_allowed(TABLE.rules("sms", "US-RI"))
    assert hours == list(range(9, 18))
    assert best_hour(updated(prior("sms"), [22] * 900), hours) == 12
    generator = np.random.default_rng(5)
    assert {draw_hour(prior("sms"), generator, hours) for _ in range(300)} <= set(hours)
    with pytest.raises(TimingError, match="leave none"):
        best_hour(prior("sms"), [])


def test_sampling_takes_the_best_hour_most_often_and_tries_others() -> None:
    curve, generator = updated(prior("email"), [9] * 60), np.random.default_rng(11)
    drawn = [draw_hour(curve, generator) for _ in range(500)]
    assert max(set(drawn), key=drawn.count) == 9
    assert len(set(updated(prior("email"), []).weights)) == 2
    assert len({draw_hour(prior("email"), generator) for _ in range(500)}) >= 3


def test_hours_are_those_of_the_recipients_clock() -> None:
    instants = [datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)]
    assert local_hours(instants, "Europe/Paris") == [13, 14]


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    hour=st.integers(0, 23),
    name=st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]),
)
@settings(max_examples=150, deadline=None)
def test_the_time_to_send_is_that_hour_or_clamped_into_the_day(at: datetime, hour: int, name: str) -> None:
    rules = TABLE.rules("sms", None)
    found = send_at(at, hour, [name], rules)
    assert found >= at
    assert not is_quiet(found, [name], rules)
    assert found - at < timedelta(hours=49)
    shown = found.astimezone(zone(name)).hour
    assert shown == (hour if 8 <= hour < 21 else 8)


def test_an_hour_that_is_none_is_refused() -> None:
    with pytest.raises(TimingError, match="0 to 23"):
        updated(prior("email"), [24])
    with pytest.raises(TimingError, match="0 to 23"):
        send_at(datetime(2026, 1, 1, tzinfo=UTC), -1, ["Asia/Tokyo"], [])
