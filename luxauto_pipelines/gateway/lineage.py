"""Telling Dagster what requests did to the store, so that lineage and automation see it.

Belongs here: runless observations of assets, gathered and sent by one thread a process. Does not belong here: what a request
changes (`routers`), or the record of who did it (the audit log, which is written with the deed).

An event costs Dagster's SQLite about 15 ms, a recorded sale one: so there is at most one event per asset and second, with the
count. It is an observation and no materialization, as the asset's Parquet has not changed; `luxauto refresh` makes it follow.
What a killed process had gathered is not told. Nothing is lost by that: a refresh compares rows, not events.
"""

import threading
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from luxauto_pipelines.gateway.telemetry import log

INTERVAL_SECONDS = 1.0
STOP_SECONDS = 10.0
SOURCE = "gateway"


class Lineage:
    """Counts by asset, and the thread that sends them. `instance` is Dagster's; it is opened by the thread if not given."""

    def __init__(self, instance: Any = None, interval: float = INTERVAL_SECONDS) -> None:
        self._instance = instance
        self._interval = interval
        self._changed = threading.Condition()
        self._counts: Counter[str] = Counter()
        self._worker: tuple[threading.Thread, threading.Event] | None = None

    def report(self, **rows: int) -> None:
        """Note that so many rows of an asset were written: `report(transactions=1)`. Returns at once."""
        with self._changed:
            self._counts.update({asset: count for asset, count in rows.items() if count})
            if self._worker is None and self._counts:
                stop = threading.Event()
                thread = threading.Thread(target=self._work, args=(stop,), name="lineage", daemon=True)
                self._worker = (thread, stop)
                thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Send what is left, and end. A later report begins anew."""
        with self._changed:
            worker, self._worker = self._worker, None
            if worker is None:
                return
            worker[1].set()
            self._changed.notify_all()
        worker[0].join(STOP_SECONDS)

    def _work(self, stop: threading.Event) -> None:
        with ExitStack() as opened:
            instance = self._instance
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._counts or stop.is_set())
                # One interval's requests are one event.
                stop.wait(self._interval)
                with self._changed:
                    counts, self._counts = self._counts, Counter()
                if not counts:
                    # Told to stop, and nothing is left.
                    return
                try:
                    # A process that is never told anything does not load Dagster.
                    instance = instance or _open_instance(opened)
                    _observe(instance, counts)
                except Exception as error:
                    # The rows are in the store, where a refresh finds them: no request is to fail for this.
                    log.warning("asset observations not reported", rows=dict(counts), error=str(error))


def _open_instance(opened: ExitStack) -> Any:
    import dagster as dg

    return opened.enter_context(dg.DagsterInstance.get())


def _observe(instance: Any, counts: Counter[str]) -> None:
    import dagster as dg

    for asset, count in sorted(counts.items()):
        metadata = {"rows": count, "source": SOURCE, "reported_at": datetime.now(UTC).isoformat()}
        instance.report_runless_asset_event(dg.AssetObservation(asset_key=asset, metadata=metadata))


lineage = Lineage()
"""The process's own."""
