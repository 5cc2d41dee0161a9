"""Requests that were taken: who waits for them, how far they are, and what came of them.

Belongs here: one request's way from its tickets to its answer, idempotency keys, and giving up what nobody waits for. Does not
belong here: which jobs are painted when (`batching`), and HTTP (`http_api`).

All of it lives in one event loop: the threads of `batching` only ever hand it a call to make. What is known here dies with the
process; a client that asks again under its key and with its seed gets the same picture painted anew.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from resources.gpu.batching import Batcher, JobCancelled, QueueClosed, Ticket
from resources.gpu.encoding import encode, facts_of
from resources.gpu.jobs import InvalidJob, Job
from resources.gpu.metrics import Metrics
from resources.gpu.wire import Asked, WireError, refusal

logger = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
UNNOTICED_SECONDS = 5.0
KEEP_SECONDS = 600.0
KEEP_BYTES = 512 * 2**20

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Event:
    """What happened to a task; `data` is JSON. The last one is `done`, `failed` or `cancelled`."""

    name: str
    data: dict[str, Any]


@dataclass(eq=False)
class Task:
    """One request. `is_detached`: nobody has to wait for it to be worked on. `files` are in the order of its jobs."""

    id: str
    asked: Asked
    key: str | None
    is_detached: bool
    created: float = field(default_factory=time.time)
    tickets: list[Ticket] = field(default_factory=list)
    outcome: Literal["done", "failed", "cancelled"] | None = None
    files: list[bytes] = field(default_factory=list)
    error: WireError | None = None
    is_fetched: bool = False
    ended: float = 0.0
    waiters: int = 0
    expected_until: float = 0.0
    events: list[Event] = field(default_factory=list)
    steps: dict[int, tuple[Any, int]] = field(default_factory=dict)
    """The newest step of each image that is being painted, and its place in the batch."""
    progress: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Steps done of steps to do, of each image that was begun."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> State:
        if self.outcome is not None:
            return self.outcome
        return "running" if any(ticket.started for ticket in self.tickets) else "queued"

    @property
    def size(self) -> int:
        """Bytes of its files, and of the picture and mask that came with it."""
        job = self.asked.jobs[0]
        return sum(map(len, self.files)) + len(job.image or b"") + len(job.mask or b"")

    def timing(self) -> dict[str, float]:
        """Seconds that the slowest image took in each stage."""
        stages = {
            "queued": [ticket.started - ticket.entered for ticket in self.tickets],
            "painting": [ticket.painted - ticket.started for ticket in self.tickets],
            "finishing": [ticket.finished - ticket.painted for ticket in self.tickets],
            "total": [ticket.finished - ticket.entered for ticket in self.tickets],
        }
        return {name: round(max(seconds), 4) for name, seconds in stages.items()}

    def tell(self, name: str, **data: Any) -> None:
        """Add an event and wake those who wait for one."""
        self.events.append(Event(name, {"job": self.id, **data}))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changes(self, seconds: float | None = None) -> None:
        """Wait for the next event, or for so long."""
        changed = self._changed
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), seconds)

    async def ends(self) -> None:
        """Wait for its end."""
        while self.outcome is None:
            await self.changes()


class Tasks:
    """All tasks of one server, by id and by idempotency key.

    A task that has a key and lost its last waiter is kept for `grace` seconds, so that a retry can join it. What has ended is
    remembered for `keep_seconds`, and while all of it together has no more than `keep_bytes`.
    """

    def __init__(
        self,
        batcher: Batcher,
        metrics: Metrics,
        model: str,
        *,
        grace: float = GRACE_SECONDS,
        keep_seconds: float = KEEP_SECONDS,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        self._batcher, self._metrics, self._model = batcher, metrics, model
        self._grace, self._keep_seconds, self._keep_bytes = grace, keep_seconds, keep_bytes
        self._by_id: dict[str, Task] = {}
        self._by_key: dict[str, Task] = {}
        self._loop = asyncio.get_running_loop()
        self._ending: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._by_id.values()))

    @property
    def active(self) -> list[Task]:
        """Those that have not ended."""
        return [task for task in self if task.outcome is None]

    def begin(self, asked: Asked, key: str | None, is_detached: bool) -> Task:
        """Take a request, or join the one that came under this key.

        Raises QueueFull, and WireError where the key belongs to another request.
        """
        self._forget_old()
        known = self._by_key.get(key) if key else None
        if known is not None and known.outcome in (None, "done"):
            if known.asked.fingerprint != asked.fingerprint:
                raise WireError(
                    422,
                    "this idempotency key came with another request; give each request a key of its own",
                    "idempotency_key_reused",
                    "Idempotency-Key",
                )
            self._metrics.joined.inc()
            known.is_detached |= is_detached
            self._expect(known)
            return known
        task = Task(f"imgjob_{uuid.uuid4().hex}", asked, key, is_detached)
        task.tickets = [self._ticket(task, number, job) for number, job in enumerate(asked.jobs)]
        self._batcher.submit(task.tickets)
        self._by_id[task.id] = task
        if key:
            self._by_key[key] = task
        task.tell("queued", images=len(task.tickets))
        self._expect(task)
        ending = self._loop.create_task(self._end(task))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        return task

    def find(self, id: str) -> Task | None:
        """The task of this id, while it is remembered."""
        self._forget_old()
        return self._by_id.get(id)

    def cancel(self, task: Task) -> None:
        """Give a task up; nothing where it has ended."""
        for ticket in task.tickets:
            self._batcher.cancel(ticket)

    def enter(self, task: Task) -> None:
        """Somebody waits for it."""
        task.waiters += 1
        task.expected_until = 0.0

    def leave(self, task: Task) -> None:
        """Somebody waits no longer; where nobody else does, it is given up."""
        task.waiters -= 1
        if task.outcome is None and not task.is_detached:
            self._loop.call_later(self._grace if task.key else 0, self._cancel_if_left, task)

    def _expect(self, task: Task) -> None:
        """Whoever asked is about to wait. One who hangs up before that is noticed by nothing else."""
        task.expected_until = self._loop.time() + UNNOTICED_SECONDS
        self._loop.call_at(task.expected_until, self._cancel_if_left, task)

    def _cancel_if_left(self, task: Task) -> None:
        is_expected = self._loop.time() < task.expected_until
        if task.waiters == 0 and task.outcome is None and not task.is_detached and not is_expected:
            self.cancel(task)

    def _ticket(self, task: Task, number: int, job: Job) -> Ticket:
        body, facts = task.asked.body, facts_of(job, self._model)

        def on_step(step: Any, place: int) -> None:
            self._call(self._stepped, task, number, step, place)

        return Ticket(job, lambda picture: encode(picture, body.output_format, facts, body.output_compression), on_step)

    def _call(self, function: Callable[..., None], *values: Any) -> None:
        # At a forced end the loop may be gone before the thread that paints is.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *values)

    def _stepped(self, task: Task, number: int, step: Any, place: int) -> None:
        if task.outcome is None and not task.tickets[number].future.done():
            task.steps[number] = (step, place)
            task.progress[number] = (step.number, step.of)
            task.tell("step", image=number, step=step.number, of=step.of)

    async def _end(self, task: Task) -> None:
        """Follow a task's images to their end."""

        async def follow(number: int, ticket: Ticket) -> bytes:
            content = await asyncio.wrap_future(ticket.future)
            task.steps.pop(number, None)
            task.tell("image", image=number, seed=ticket.job.seed)
            self._metrics.images.labels(task.asked.body.output_format).inc()
            return content

        following = [asyncio.ensure_future(follow(number, ticket)) for number, ticket in enumerate(task.tickets)]
        try:
            task.files = list(await asyncio.gather(*following))
            task.outcome = "done"
        except JobCancelled:
            task.outcome = "cancelled"
            task.error = WireError(410, "the job was cancelled", "cancelled", headers={"x-should-retry": "false"})
        except QueueClosed:
            task.outcome = "failed"
            task.error = WireError(503, "the server was stopped before the image was finished", "stopped")
        except InvalidJob as error:
            task.outcome, task.error = "failed", refusal(error)
        except Exception as error:
            logger.exception("job %s failed", task.id)
            told = f"the image could not be painted: {type(error).__name__}: {error}"
            task.outcome = "failed"
            task.error = WireError(500, told, "generation_failed", headers={"x-should-retry": "false"})
        # Without all of its images a request has no use for the others.
        self.cancel(task)
        await asyncio.gather(*following, return_exceptions=True)
        task.steps.clear()
        task.ended = time.monotonic()
        self._metrics.requests.labels(task.outcome).inc()
        if task.error is None:
            task.tell("done")
        else:
            task.tell(task.outcome, **task.error.body())

    def _forget_old(self) -> None:
        ended = [task for task in self if task.outcome is not None and task.waiters == 0]
        now, held = time.monotonic(), sum(task.size for task in ended)
        for task in sorted(ended, key=lambda task: task.ended):
            if held <= self._keep_bytes and now - task.ended <= self._keep_seconds:
                return
            held -= task.size
            del self._by_id[task.id]
            if task.key and self._by_key.get(task.key) is task:
                del self._by_key[task.key]
