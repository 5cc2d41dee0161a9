"""Which jobs are painted together, and in which order: one thread that paints, and others that decode and encode behind it.

Belongs here: the bounded queue, the choice of a batch, cancelling, and the way from a job to its file. Does not belong here:
painting (`engine`), requests of several images and who waits for them (`tasks`), HTTP.

A batch begins when it is full, or when the oldest job of all has waited for the window; one that waited behind another batch
has done so already. From then on the batch with the oldest job goes first: so no job is overtaken for longer than the window
and the batch that then runs, however odd its shape.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from resources.gpu.jobs import InvalidJob, Job
from resources.gpu.metrics import Metrics

if TYPE_CHECKING:
    import numpy as np

WINDOW_SECONDS = 0.03
LONGEST_RETRY_AFTER = 120
MOST_FAILURES = 5
"""Batches of one job that fail one after the other, through no fault of a job. A card can be lost to its process for good."""
# Latents of batches that wait to be decoded are held on the card.
_BATCHES_AHEAD = 2
_WEIGHT_OF_THE_NEWEST = 0.3


class Painter(Protocol):
    """What is asked of the engine."""

    def paint(
        self,
        jobs: Sequence[Job],
        on_step: Callable[[Any], None] | None = None,
        is_cancelled: Callable[[int], bool] | None = None,
    ) -> Any: ...

    def decode(self, latents: Any) -> "list[np.ndarray | None]": ...


class QueueFull(Exception):
    """There is no room for so many jobs. `retry_after`: whole seconds until there probably is."""

    def __init__(self, wanted: int, waiting: int, capacity: int, retry_after: int) -> None:
        super().__init__(
            f"{waiting} of {capacity} places in the queue are taken, and {wanted} were asked for; "
            f"ask again in {retry_after} s"
        )
        self.retry_after = retry_after


class JobCancelled(Exception):
    """Nobody wants the image any more."""


class QueueClosed(Exception):
    """The server stopped before the image was finished."""


@dataclass(eq=False)
class Ticket:
    """One job on its way. `encode` makes the file of its pixels, `on_step(step, place)` is called after each step with its
    place in the batch; both in other threads. `future` holds the file, JobCancelled, QueueClosed, or what went wrong. Times
    are seconds of the monotonic clock.
    """

    job: Job
    encode: "Callable[[np.ndarray], bytes]"
    on_step: Callable[[Any, int], None] = lambda step, place: None
    future: "Future[bytes]" = field(default_factory=Future)
    is_cancelled: bool = False
    is_settled: bool = False
    entered: float = 0.0
    started: float = 0.0
    painted: float = 0.0
    finished: float = 0.0

    def __post_init__(self) -> None:
        self.shape = self.job.shape()
        # Whoever stops waiting for a future must not end it: `Batcher.cancel` does.
        self.future.set_running_or_notify_cancel()


class Batcher:
    """Paints what is submitted, in batches of equal shape.

    `window` is seconds, `capacity` the images that may wait, `max_batch` the images painted at once, `encoders` the threads
    that write files.
    """

    def __init__(
        self,
        engine: Painter,
        metrics: Metrics,
        *,
        max_batch: int = 16,
        window: float = WINDOW_SECONDS,
        capacity: int = 64,
        encoders: int = 4,
    ) -> None:
        self.max_batch, self.window, self.capacity = max_batch, window, capacity
        self.seconds_per_image = 0.0
        self._engine, self._metrics = engine, metrics
        self._waiting: deque[Ticket] = deque()
        self._running: set[Ticket] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._failures = 0
        self._ahead = threading.BoundedSemaphore(_BATCHES_AHEAD)
        self._decoder = ThreadPoolExecutor(1, "decode")
        self._encoders = ThreadPoolExecutor(encoders, "encode")
        metrics.watch(metrics.waiting, lambda: self.waiting)
        metrics.watch(metrics.running, lambda: self.running)
        metrics.capacity.set(capacity)
        self._thread = threading.Thread(target=self._paint_until_closed, name="paint", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait for a batch."""
        return len(self._waiting)

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be expected of it but by a new process: its thread ended, or the engine fails again and again."""
        return not self._closing and (not self._thread.is_alive() or self._failures >= MOST_FAILURES)

    @property
    def running(self) -> int:
        """Images that are painted, decoded or encoded."""
        return len(self._running)

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take all of them or none. Raises QueueFull."""
        with self._changed:
            if self._closing or len(self._waiting) + len(tickets) > self.capacity:
                raise QueueFull(len(tickets), len(self._waiting), self.capacity, self._retry_after(len(tickets)))
            now = time.monotonic()
            for ticket in tickets:
                ticket.entered = now
            self._waiting.extend(tickets)
            self._changed.notify_all()

    def cancel(self, ticket: Ticket) -> bool:
        """Give a job up, whatever it is doing: a waiting one is never begun, the engine stops with one that it paints.

        False where it had ended.
        """
        return self._give_up(ticket, JobCancelled())

    def close(self) -> None:
        """Give up what waits or runs, which ends in QueueClosed, and end the threads."""
        with self._changed:
            self._closing = True
            tickets = [*self._waiting, *self._running]
            self._changed.notify_all()
        for ticket in tickets:
            self._give_up(ticket, QueueClosed())
        self._thread.join()
        self._decoder.shutdown()
        self._encoders.shutdown()

    def _give_up(self, ticket: Ticket, why: Exception) -> bool:
        with self._changed:
            if ticket.is_settled:
                return False
            ticket.is_cancelled = True
            stage = "running"
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                stage = "waiting"
                self._changed.notify_all()
        if self._settle(ticket, why):
            self._metrics.cancellations.labels(stage).inc()
            return True
        return False

    def _paint_until_closed(self) -> None:
        while batch := self._next_batch():
            self._metrics.batch_size.observe(len(batch))
            self._paint(batch)

    def _next_batch(self) -> list[Ticket]:
        """The jobs to begin with now; waits for them. Empty once the queue is closed."""
        with self._changed:
            while not self._closing:
                if not self._waiting:
                    self._changed.wait()
                    continue
                left = self._waiting[0].entered + self.window - time.monotonic()
                batch = self._ripe(left)
                if batch:
                    return self._begin(batch)
                self._changed.wait(left)
            return []

    def _ripe(self, left: float) -> list[Ticket]:
        """The batch that may begin when the oldest job is to wait for `left` more seconds."""
        groups: dict[tuple[object, ...], list[Ticket]] = {}
        for ticket in self._waiting:
            group = groups.setdefault(ticket.shape, [])
            group.append(ticket)
            if left > 0 and len(group) == self.max_batch:
                return group
        return [] if left > 0 else groups[self._waiting[0].shape][: self.max_batch]

    def _begin(self, batch: list[Ticket]) -> list[Ticket]:
        chosen = set(batch)
        self._waiting = deque(ticket for ticket in self._waiting if ticket not in chosen)
        self._running |= chosen
        now = time.monotonic()
        for ticket in batch:
            ticket.started = now
            self._metrics.queue_seconds.observe(now - ticket.entered)
        return batch

    def _paint(self, batch: list[Ticket]) -> None:
        began = time.monotonic()
        try:
            latents = self._engine.paint(
                [ticket.job for ticket in batch],
                on_step=lambda step: self._tell(batch, step),
                is_cancelled=lambda place: batch[place].is_cancelled,
            )
        except Exception as error:
            self._paint_apart(batch, error)
            return
        self._failures = 0
        took = time.monotonic() - began
        self._metrics.paint_seconds.observe(took)
        self._learn(took / len(batch))
        for ticket in batch:
            ticket.painted = time.monotonic()
        self._ahead.acquire()
        self._decoder.submit(self._decode, batch, latents)

    def _paint_apart(self, batch: list[Ticket], error: Exception) -> None:
        """A batch that failed is halved: one that is too large gets through, and a job at fault falls alone."""
        left = [ticket for ticket in batch if not ticket.is_cancelled]
        if len(batch) == 1 or not left:
            for ticket in left:
                self._failures += not isinstance(error, InvalidJob)
                self._fail(ticket, error)
            return
        middle = math.ceil(len(left) / 2)
        for half in (left[:middle], left[middle:]):
            if half:
                self._paint(half)

    def _tell(self, batch: list[Ticket], step: Any) -> None:
        self._metrics.steps.inc()
        for place, ticket in enumerate(batch):
            if not ticket.is_cancelled:
                ticket.on_step(step, place)

    def _decode(self, batch: list[Ticket], latents: Any) -> None:
        began = time.monotonic()
        try:
            pictures = self._engine.decode(latents)
        except Exception as error:
            for ticket in batch:
                self._fail(ticket, error)
            return
        finally:
            self._ahead.release()
        self._metrics.decode_seconds.observe(time.monotonic() - began)
        for ticket, picture in zip(batch, pictures, strict=True):
            if picture is None:
                self._settle(ticket, JobCancelled())
            elif not ticket.is_cancelled:
                self._encoders.submit(self._encode, ticket, picture)

    def _encode(self, ticket: Ticket, picture: "np.ndarray") -> None:
        began = time.monotonic()
        try:
            content = ticket.encode(picture)
        except Exception as error:
            self._fail(ticket, error)
            return
        ticket.finished = time.monotonic()
        self._metrics.encode_seconds.observe(ticket.finished - began)
        if self._settle(ticket, content):
            self._metrics.image_seconds.observe(ticket.finished - ticket.entered)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        if self._settle(ticket, error):
            self._metrics.failures.inc()

    def _settle(self, ticket: Ticket, outcome: bytes | Exception) -> bool:
        """Give a ticket its outcome, once."""
        with self._changed:
            self._running.discard(ticket)
            if ticket.is_settled:
                return False
            ticket.is_settled = True
        if isinstance(outcome, Exception):
            ticket.future.set_exception(outcome)
        else:
            ticket.future.set_result(outcome)
        return True

    def _learn(self, seconds: float) -> None:
        before = self.seconds_per_image or seconds
        self.seconds_per_image = before + _WEIGHT_OF_THE_NEWEST * (seconds - before)

    def _retry_after(self, wanted: int) -> int:
        """When so many places are probably free."""
        excess = len(self._waiting) + wanted - self.capacity
        seconds = (len(self._running) + max(excess, 1)) * self.seconds_per_image
        return min(max(1, math.ceil(seconds)), LONGEST_RETRY_AFTER)
