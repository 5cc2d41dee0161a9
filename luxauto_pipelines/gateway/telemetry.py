"""What the gateway tells about itself: one JSON line a request, and counters for Prometheus.

Belongs here: how lines and counters look, and what must never be in them. Does not belong here: the audit log, which is
evidence and lives in the store.

Redacted are secrets by their field's name, and tokens and card data wherever they stand in a text.
"""

import json
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from resources.card_data import redact as redact_cards
from resources.card_data import redact_value
from resources.log_redaction import redact_logs

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|token$|api_?key|signature|credential|cvv|cvc", re.I
)
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*|(?i:bearer\s+)[\w.~+/=-]{8,}|\b(?:sk|pk|rk)[-_](?:live|test|ant|proj)[-_][\w-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
# A number below has too few digits for a card's.
_SHORTEST_CARD = 10**12
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)

REQUESTS = Counter("luxauto_http_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram("luxauto_http_request_seconds", "Time to the answer's end.", ["method", "route"], buckets=_BUCKETS)

log = structlog.get_logger("luxauto.gateway")
_request_counters: dict[tuple[str, str, int], Any] = {}
_second_counters: dict[tuple[str, str], Any] = {}


def redact(text: str) -> str:
    """The text without tokens, passwords in URLs, keys and card data."""
    return redact_cards(_SECRET_TEXT.sub(REDACTED, text))


def redact_event(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the same for every field of a line, however deep."""
    for name, value in event.items():
        if value is None or (isinstance(value, (int, float)) and abs(value) < _SHORTEST_CARD):
            continue
        event[name] = _redacted(name, value)
    return event


def _redacted(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted("", item) for item in value]
    if value is None or isinstance(value, (int, float)):
        return redact_value(value)
    return redact(str(value))


def configure_logging(level: str) -> None:
    """JSON lines on standard error, for this package's log and the standard library's alike."""
    redact_logs()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    rendered = [redact_event, structlog.processors.JSONRenderer()]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def tell_request(line: dict[str, Any]) -> None:
    """The line of a request that went well. The same as `log.info`, in a quarter of its time."""
    if log.is_enabled_for(logging.INFO):
        line |= {"event": "request", "level": "info", "timestamp": datetime.now(UTC).isoformat()}
        line["path"] = redact(line["path"])
        sys.stderr.write(json.dumps(line) + "\n")


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. `route` is a template such as `/alerts/{alert_id}`: a path would make a series of each id."""
    key = (method, route, status)
    requests = _request_counters.get(key)
    if requests is None:
        requests = _request_counters[key] = REQUESTS.labels(method, route, str(status))
    times = _second_counters.get((method, route))
    if times is None:
        times = _second_counters[method, route] = SECONDS.labels(method, route)
    requests.inc()
    times.observe(seconds)


def exposition() -> tuple[bytes, str]:
    """Every worker's counters together, as Prometheus reads them, and their media type."""
    registry = REGISTRY
    if os.environ.get(MULTIPROCESS_VARIABLE):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
