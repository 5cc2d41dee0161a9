"""Several GPU servers behind one object: each request goes to the one that has the least to do.

Belongs here: choosing a server, and going to another when one is full or gone. Does not belong here: asking one (`client`).

A request keeps its idempotency key and its seed wherever it is asked, so the picture is the same, whichever server paints it.
"""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from resources.gpu.client import (
    RESTART_SECONDS,
    SEEDS,
    SILENCE_SECONDS,
    Busy,
    Client,
    Generated,
    GenerationRequest,
    GpuError,
    Health,
    Progress,
    Queue,
    Refused,
    ServedModel,
    Unreachable,
)

PUT_ASIDE_SECONDS = 5.0
_PROBE_SECONDS = 2.0


class Fleet:
    """Servers at `urls`, all with one `key` and serving the same model. May be shared by threads.

    `in_flight` is how many requests it has under way at once; more of them wait for their turn. A single server that dies is
    waited for `restart_seconds`; where there are several, another is asked.
    """

    def __init__(
        self,
        urls: Sequence[str],
        key: str | None = None,
        *,
        in_flight: int = 64,
        silence_seconds: float = SILENCE_SECONDS,
        restart_seconds: float = RESTART_SECONDS,
        put_aside_seconds: float = PUT_ASIDE_SECONDS,
    ) -> None:
        if not urls:
            raise Refused("no GPU server is named; give their addresses, as in http://gpu-1:8200", "urls")
        wait = restart_seconds if len(urls) == 1 else 0.0
        self.clients = tuple(
            Client(url, key, silence_seconds=silence_seconds, restart_seconds=wait) for url in dict.fromkeys(urls)
        )
        # Whoever chooses a server had better not wait long for one that hangs.
        self._probes = {client.url: Client(client.url, key, silence_seconds=_PROBE_SECONDS) for client in self.clients}
        self._put_aside_seconds = put_aside_seconds
        self._aside: dict[str, float] = {}
        self._sent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(in_flight)
        self._asking = ThreadPoolExecutor(len(self.clients), "gpu-queues")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._asking.shutdown(wait=False)
        for client in (*self.clients, *self._probes.values()):
            client.close()

    def generate(
        self,
        request: GenerationRequest,
        *,
        idempotency_key: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Generated:
        """As `Client.generate`, by the server with the shortest queue; where that is full or gone, by the next.

        Raises what the last server raised: Busy, with the shortest time to wait, only where all that answer are full.
        """
        key = idempotency_key or uuid.uuid4().hex
        if request.seed is None:
            request = replace(request, seed=random.SystemRandom().randrange(SEEDS))
        busy: list[Busy] = []
        gone: list[Unreachable] = []
        tried: set[str] = set()
        with self._turns:
            while (client := self._least_busy(tried)) is not None:
                tried.add(client.url)
                try:
                    with self._counted(client, request.count):
                        made = client.generate(
                            request, idempotency_key=key, on_progress=on_progress, is_cancelled=is_cancelled
                        )
                except Busy as error:
                    busy.append(error)
                except Unreachable as error:
                    gone.append(error)
                    self._put_aside(client)
                else:
                    return replace(made, attempts=made.attempts + sum(error.sent for error in gone))
        raise min(busy, key=lambda error: error.retry_after) if busy else gone[-1]

    def models(self) -> list[ServedModel]:
        """The models that any of them serves, each once. Raises Unreachable where none answers."""
        found: dict[str, ServedModel] = {}
        failures: list[GpuError] = []
        for client in self.clients:
            try:
                found |= {model.id: model for model in client.models()}
            except GpuError as error:
                failures.append(error)
        if not found and failures:
            raise failures[-1]
        return list(found.values())

    def health(self) -> dict[str, Health]:
        """Each server's, by its address."""
        states = self._asking.map(lambda client: self._probes[client.url].health(), self.clients)
        return {client.url: state for client, state in zip(self.clients, states, strict=True)}

    def queues(self) -> dict[str, Queue | None]:
        """Each server's queue by its address; None for one that does not answer."""
        queues = self._asking.map(self._queue, self.clients)
        return {client.url: queue for client, queue in zip(self.clients, queues, strict=True)}

    def queue_depth(self) -> int:
        """Images that wait or are painted on all that answer. Raises Unreachable where none does."""
        depths = [queue.depth for queue in self.queues().values() if queue is not None]
        if not depths:
            raise Unreachable(f"none of {', '.join(client.url for client in self.clients)} answers")
        return sum(depths)

    def cancel(self, job_id: str) -> bool:
        """Stop a job, wherever it is. False where no server that answers knows it, or it had ended."""
        for client in self.clients:
            try:
                if client.cancel(job_id):
                    return True
            except Unreachable:
                continue
        return False

    def _least_busy(self, tried: set[str]) -> Client | None:
        """The untried server with the least to do; one that lately did not answer only where there is no other."""
        left = [client for client in self.clients if client.url not in tried]
        if len(left) < 2:
            return left[0] if left else None
        now = time.monotonic()
        near = [client for client in left if self._aside.get(client.url, 0.0) <= now] or left
        queues = list(self._asking.map(self._queue, near))
        answering = [(client, queue) for client, queue in zip(near, queues, strict=True) if queue is not None]
        for client, queue in zip(near, queues, strict=True):
            if queue is None:
                self._put_aside(client)
        if not answering:
            return left[0]
        # What was sent a moment ago may not stand in the server's queue yet.
        return min(answering, key=lambda each: (max(each[1].depth, self._sent[each[0].url]), random.random()))[0]

    def _queue(self, client: Client) -> Queue | None:
        try:
            return self._probes[client.url].queue()
        except Unreachable:
            return None

    def _put_aside(self, client: Client) -> None:
        self._aside[client.url] = time.monotonic() + self._put_aside_seconds

    @contextmanager
    def _counted(self, client: Client, images: int) -> Iterator[None]:
        with self._lock:
            self._sent[client.url] += images
        try:
            yield
        finally:
            with self._lock:
                self._sent[client.url] -= images
