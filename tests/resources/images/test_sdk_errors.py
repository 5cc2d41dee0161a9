"""What an answer that is an error means, where the vendors' peers do not go."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from resources.images.protocol import ImageError, Refused, SwitchedOff, Throttled, Unavailable, Uncertain
from resources.images.sdk_errors import from_answer, retry_after, translated


def test_a_date_to_ask_again_at_is_seconds_from_now():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = retry_after({"retry-after": later})
    assert seconds is not None
    assert 80 < seconds <= 91


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
def test_when_to_ask_again_is_never_before_now_nor_invented(headers: dict[str, str], seconds: float | None):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (301, "<html>moved</html>", SwitchedOff),
        (400, {"code": "invalid_value", "message": "no"}, Refused),
        (400, {"code": "billing_hard_limit_reached", "message": "no"}, SwitchedOff),
        (408, None, Unavailable),
        (409, None, Unavailable),
        (410, None, SwitchedOff),
        (413, None, Refused),
        (422, {"message": "no"}, Refused),
        (429, {"type": "insufficient_quota", "message": "no"}, SwitchedOff),
        (429, None, Throttled),
        (499, None, Uncertain),
        (500, ["odd"], Unavailable),
        (502, "<html>" + "x" * 1_000_000, Unavailable),
        (504, None, Uncertain),
        (599, None, Unavailable),
    ],
)
def test_each_status_has_its_meaning_and_a_short_message(status: int, body: object, error: type[ImageError]):
    told = from_answer(status, body, {}, "model-x")
    assert type(told) is error
    assert told.code
    assert str(told).startswith("model-x: ")
    assert len(str(told)) < 500


def test_what_the_sdk_cannot_even_send_is_switched_off():
    class Unsendable(Exception):
        pass

    assert isinstance(translated(Unsendable("no key"), "model-x"), SwitchedOff)
