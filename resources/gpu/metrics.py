"""What the GPU server counts, in Prometheus' form.

Belongs here: names, buckets and reading the memory. Does not belong here: when something is counted (`batching`, `http_api`).
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_SIZES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32)


class Metrics:
    """The counters of one server; each has a registry of its own."""

    def __init__(self) -> None:
        self.memory: Callable[[], Mapping[str, int]] = dict
        """Bytes by kind; whoever loads a model says how they are read."""
        registry = self._registry = CollectorRegistry()

        def histogram(name: str, help: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(f"luxauto_gpu_{name}", help, buckets=buckets, registry=registry)

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"luxauto_gpu_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str) -> Gauge:
            return Gauge(f"luxauto_gpu_{name}", help, registry=registry)

        self.waiting = gauge("queue_depth", "Images that wait for a batch.")
        self.running = gauge("images_in_progress", "Images that are painted, decoded or encoded.")
        self.capacity = gauge("queue_capacity", "Images that may wait at most.")
        self.ready = gauge("ready", "1 while requests are taken.")
        self.batch_size = histogram("batch_size", "Images that began in one batch.", _SIZES)
        self.queue_seconds = histogram("queue_seconds", "From an image's coming to the start of its batch.")
        self.paint_seconds = histogram("paint_seconds", "Painting of one batch.")
        self.decode_seconds = histogram("decode_seconds", "Decoding of one batch.")
        self.encode_seconds = histogram("encode_seconds", "Writing one image's file.")
        self.image_seconds = histogram("image_seconds", "From an image's coming to its file.")
        self.steps = counter("steps", "Steps of batches.")
        self.images = counter("images", "Images that were finished.", "format")
        self.requests = counter("requests", "Requests for images by how they ended.", "outcome")
        self.joined = counter("joined_requests", "Requests that joined one under the same idempotency key.")
        self.cancellations = counter("cancellations", "Images that were cancelled, by what they were doing.", "stage")
        self.refusals = counter("refusals", "Requests for images that were not taken, by reason.", "reason")
        self.failures = counter("failures", "Images that could not be painted, decoded or encoded.")
        registry.register(_Memory(self))
        ProcessCollector(registry=registry)

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self._registry)

    def watch(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Have a gauge read its value when it is asked for."""
        gauge.set_function(read)


class _Memory(Collector):
    """What the engine says of its memory, read when it is asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("luxauto_gpu_memory_bytes", "Memory of the model and of its card.", labels=["kind"])
        for kind, size in self._metrics.memory().items():
            family.add_metric([kind], size)
        yield family
