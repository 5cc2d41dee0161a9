"""How each model stands: what it can be asked now, and how it did here.

Belongs here: reading it from providers and the store. Does not belong here: what is made of it (`choice`), and writing any of
it (`failover`, `budgets`).
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import Any

from resources.channels.transport import Clock
from resources.images.budgets import today
from resources.images.choice import Standing
from resources.images.failover import Switches
from resources.images.policy import ImagePolicy
from resources.images.protocol import ImageProvider, ImageRequest
from resources.images.registry import Model, Registry
from resources.store.brand_store import BrandStore
from resources.store.image_calls import Record, in_flight, judged, records
from resources.store.limits import breakers

MEASURED_DAYS = 30
_FRESH_SECONDS = 5.0
_TIMED = 50
_NOTHING = Record({}, 0, 0, ())
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProviderStatistics:
    """How a model did within thirty days: calls by outcome, pictures, cost in millionths of a US dollar, the median seconds of
    calls that brought pictures, and the share that did not fail by its fault; None where nothing is known."""

    model: str
    provider: str
    calls: Mapping[str, int]
    images: int
    cost: int
    seconds: float | None
    success: float | None
    in_flight: int
    unavailable: str | None
    shut: str | None


class Standings:
    """The brand's. May be shared by threads."""

    def __init__(
        self,
        books: BrandStore,
        registry: Registry,
        providers: Mapping[str, ImageProvider],
        switches: Switches,
        clock: Clock,
        policy: ImagePolicy,
    ) -> None:
        self._books = books
        self._registry = registry
        self._providers = providers
        self._switches = switches
        self._clock = clock
        self._policy = policy
        self._guard = threading.Lock()
        # What was measured changes slowly, and reading thousands of rows for each picture would not.
        self._measured: dict[str, tuple[float, Mapping[str, Record], Mapping[str, tuple[float, int]]]] = {}

    def now(self, content_type: str) -> Callable[[Model, ImageRequest], Standing]:
        """How models stand at this moment for pictures of a content type."""
        by_model, scores = self._measurements(content_type)
        rows, flying = self._moment()

        def standing(model: Model, request: ImageRequest) -> Standing:
            record = by_model.get(model.id, _NOTHING)
            why, wait = self._switches.shut(model, rows)
            known = Standing(
                None,
                judged=scores.get(model.id, (0.0, 0)),
                made=record.made,
                troubles=record.troubles,
                seconds=record.seconds[:_TIMED],
                in_flight=flying.get(model.id, 0),
                shut=why,
                wait=wait,
            )
            provider = self._providers.get(model.id)
            if provider is None:
                return replace(known, estimate=0, unavailable="nobody opened it")
            return replace(known, estimate=_estimated(provider, model, request), unavailable=provider.unavailable())

        return standing

    def statistics(self) -> tuple[ProviderStatistics, ...]:
        """Every model of the registry, in its order."""
        by_model, _ = self._measurements("", fresh=True)
        rows, flying = self._moment()
        return tuple(
            self._told(model, by_model.get(model.id, _NOTHING), rows, flying) for model in self._registry.models
        )

    def _told(
        self, model: Model, record: Record, rows: Mapping[str, Mapping[str, Any]], flying: Mapping[str, int]
    ) -> ProviderStatistics:
        counted = record.made + record.troubles
        provider = self._providers.get(model.id)
        return ProviderStatistics(
            model.id,
            model.provider,
            dict(record.calls),
            record.images,
            record.cost_micros,
            round(median(record.seconds), 3) if record.seconds else None,
            round(record.made / counted, 4) if counted else None,
            flying.get(model.id, 0),
            provider.unavailable() if provider else "nobody opened it",
            self._switches.shut(model, rows)[0],
        )

    def _moment(self) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, int]]:
        since = self._clock.now() - timedelta(minutes=self._policy.call_minutes)
        with self._books.read() as (connection, brand):
            rows = {row["name"]: row for row in breakers(connection, brand)}
            return rows, in_flight(connection, brand, since)

    def _measurements(
        self, content_type: str, *, fresh: bool = False
    ) -> tuple[Mapping[str, Record], Mapping[str, tuple[float, int]]]:
        with self._guard:
            known = self._measured.get(content_type)
        if known is None or fresh or time.monotonic() - known[0] > _FRESH_SECONDS:
            since = today(self._clock) - timedelta(days=MEASURED_DAYS)
            with self._books.read() as (connection, brand):
                by_model, scores = records(connection, brand, since), judged(connection, brand, content_type)
            known = (time.monotonic(), by_model, scores)
            with self._guard:
                self._measured[content_type] = known
        return known[1], known[2]


def _estimated(provider: ImageProvider, model: Model, request: ImageRequest) -> int | None:
    try:
        return provider.estimate(request)
    except Exception as error:
        # A price that cannot be used keeps this model from being asked, not the others.
        _log.warning("%s cannot say what it costs: %s", model.id, error)
        return None
