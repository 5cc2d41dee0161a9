"""Caps: counted again by hand over every span."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.marketing.timing.errors import TimingError
from assets.marketing.timing.frequency import ALL_CHANNELS, Cap, Sent, broken_cap, next_send, next_uncapped
from assets.marketing.timing.quiet_hours import default_table, is_quiet

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
channels = st.sampled_from(["email", "sms"])
sends = st.lists(st.builds(lambda c, h: Sent(c, START + h * HOUR), channels, st.integers(0, 120)), max_size=12)
caps = st.lists(
    st.builds(
        Cap,
        st.sampled_from(["email", "sms", ALL_CHANNELS]),
        st.integers(1, 3),
        st.integers(1, 60).map(lambda h: h * HOUR),
    ),
    max_size=3,
)


def crowded(all_sends: list[Sent], new: Sent, cap: Cap) -> bool:
    """Whether some span of the cap's length that holds the new one holds too many: every span that starts at a send."""
    counted = [one.at for one in all_sends if cap.channel in (one.channel, ALL_CHANNELS)]
    spans = [(start, start + cap.span) for start in counted if start <= new.at < start + cap.span]
    return cap.channel in (new.channel, ALL_CHANNELS) and any(
        sum(start <= one < end for one in counted) > cap.count for start, end in spans
    )


@given(past=sends, channel=channels, hour=st.integers(0, 130), limits=caps)
@settings(max_examples=300, deadline=None)
def test_the_time_found_is_the_earliest_that_breaks_no_cap(
    past: list[Sent], channel: str, hour: int, limits: list[Cap]
) -> None:
    def breaks(at: datetime) -> bool:
        new = Sent(channel, at)
        return any(crowded([*past, new], new, cap) for cap in limits)

    at = START + hour * HOUR
    found = next_uncapped(past, channel, at, limits)
    assert not breaks(found)
    assert all(breaks(at + n * HOUR) for n in range((found - at) // HOUR))
    assert next_uncapped(past, channel, found, limits) == found
    assert broken_cap(past, channel, found, limits) is None


def test_a_cap_over_all_channels_counts_them_together() -> None:
    cap = Cap(ALL_CHANNELS, 2, 24 * HOUR)
    past = [Sent("sms", START), Sent("email", START + HOUR)]
    assert broken_cap(past, "email", START + 2 * HOUR, [cap]) == cap
    assert next_uncapped(past, "email", START + 2 * HOUR, [cap]) == START + 24 * HOUR


def test_what_is_planned_for_later_is_counted_too() -> None:
    cap = Cap("email", 1, 24 * HOUR)
    assert next_uncapped([Sent("email", START + 12 * HOUR)], "email", START, [cap]) == START + 36 * HOUR


def test_a_time_after_a_cap_is_moved_out_of_the_night() -> None:
    rules = default_table().rules("sms", "US-NJ")
    past = [Sent("sms", datetime(2026, 3, 7, 1, 30, tzinfo=UTC))]
    cap = Cap("sms", 1, 24 * HOUR)
    found = next_send(past, "sms", START + timedelta(days=6), ["America/New_York"], rules, [cap])
    # The cap ends at 20:30 in New Jersey; the morning after clocks were put forward.
    assert found == datetime(2026, 3, 8, 12, tzinfo=UTC)
    assert not is_quiet(found, ["America/New_York"], rules)


@pytest.mark.parametrize(("count", "span"), [(0, HOUR), (1, timedelta(0))])
def test_a_cap_of_nothing_is_refused(count: int, span: timedelta) -> None:
    with pytest.raises(TimingError, match="above 0"):
        Cap("email", count, span)
