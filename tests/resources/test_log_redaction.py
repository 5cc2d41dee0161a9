"""No log line and no traceback of a process says a card number, whoever writes it."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from resources.card_data import REDACTED
from resources.log_redaction import redact_logs
from tests.conftest import ROOT

CARD = "4111 1111 1111 1111"
RAISE = f"""
from resources.log_redaction import redact_logs
redact_logs()
raise ValueError("paid with {CARD}")
"""


@pytest.fixture(autouse=True)
def _redacted() -> Iterator[None]:
    before, hook = logging.getLogRecordFactory(), sys.excepthook
    redact_logs()
    yield
    logging.setLogRecordFactory(before)
    sys.excepthook = hook


def test_a_message_and_its_arguments_say_no_card_number(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("somebody.elses")
    log.warning("paid with %s", CARD)
    log.warning("paid with {card}".format(card="４１１１１１１１１１１１１１１１"))
    log.warning("paid %s of %d", {"note": [CARD]}, 4111111111111111)
    assert "1111" not in caplog.text
    assert "４１１１" not in caplog.text
    assert caplog.text.count(REDACTED) == 4


def test_a_traceback_says_none_either(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(f"{CARD} was declined") from KeyError("5555555555554444")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    assert f"ValueError: {REDACTED} was declined" in caplog.text
    assert "4111" not in caplog.text.replace('ValueError(f"{CARD}', "")
    assert '5555555555554444"' not in caplog.text.split("KeyError: ")[1]


def test_what_is_no_card_number_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").warning("order %s at %s: %s €", "403-1234567-1234567", 1732622761123, "1 234,50")
    assert "order 403-1234567-1234567 at 1732622761123: 1 234,50 €" in caplog.text


def test_structlog_over_the_standard_library_is_redacted_as_well(caplog: pytest.LogCaptureFixture) -> None:
    log = structlog.wrap_logger(
        logging.getLogger("structured"),
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log.warning("paid", note=CARD, nested={"cards": [CARD]})
    assert "1111" not in caplog.text


def test_the_traceback_that_ends_a_process_says_none() -> None:
    ended = subprocess.run([sys.executable, "-c", RAISE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"ValueError: paid with {REDACTED}" in ended.stderr
    assert "1111" not in ended.stderr


def test_a_handler_that_fails_tells_no_number_either(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    handler = logging.StreamHandler(closed)
    closed.close()
    log = logging.getLogger("somebody.elses.closed")
    log.addHandler(handler)
    try:
        log.error("paid with %s, %s", CARD, "cash")
        log.error("paid with %(card)s", {"card": CARD})
        log.error("paid with " + CARD)
    finally:
        log.removeHandler(handler)
    told = capsys.readouterr().err
    assert told.count("--- Logging error ---") == 3
    assert "1111" not in told
