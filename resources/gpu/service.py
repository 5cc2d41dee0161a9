"""The state of a server: loading its model, ready, draining; and what it has while it is ready.

Belongs here: when requests are taken. Does not belong here: sockets, signals and HTTP (`server`, `http_api`).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from resources.gpu.batching import WINDOW_SECONDS, Batcher
from resources.gpu.loading import EngineOptions
from resources.gpu.metrics import Metrics
from resources.gpu.tasks import GRACE_SECONDS, KEEP_SECONDS, Task, Tasks
from resources.gpu.wire import MODEL_ALIAS, Defaults, WireError

if TYPE_CHECKING:
    from resources.gpu.engine import Engine

logger = logging.getLogger(__name__)

LINGER_SECONDS = 15.0
"""How long a draining server keeps results that were asked for asynchronously and were not fetched."""

State = Literal["loading", "ready", "draining", "failed"]


@dataclass(frozen=True)
class ServiceOptions:
    """What is served, and how. `window` and `grace` are seconds, `capacity` images that may wait, `warm_up` sizes that are
    painted once before the first request, `loras` files by name.
    """

    source: Path
    engine: EngineOptions = field(default_factory=EngineOptions)
    defaults: Defaults = field(default_factory=Defaults)
    key: str | None = None
    window: float = WINDOW_SECONDS
    capacity: int = 64
    grace: float = GRACE_SECONDS
    keep_seconds: float = KEEP_SECONDS
    loras: tuple[tuple[str, Path], ...] = ()
    warm_up: tuple[tuple[int, int], ...] = ()


class Service:
    """One model and its queue."""

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self.metrics = Metrics()
        self.state: State = "loading"
        self.failure = ""
        self.began = int(time.time())
        self._engine: Engine | None = None
        self._batcher: Batcher | None = None
        self._tasks: Tasks | None = None
        self.metrics.watch(self.metrics.ready, lambda: float(self.state == "ready"))

    @property
    def engine(self) -> "Engine":
        """Raises WireError 503 while there is none."""
        if self._engine is None:
            raise self._not_ready()
        return self._engine

    @property
    def batcher(self) -> Batcher:
        """Raises WireError 503 while there is none."""
        if self._batcher is None:
            raise self._not_ready()
        return self._batcher

    @property
    def tasks(self) -> Tasks:
        """Raises WireError 503 while there are none."""
        if self._tasks is None:
            raise self._not_ready()
        return self._tasks

    @property
    def is_broken(self) -> bool:
        """Whether only a new process can help."""
        return self.state == "failed" or (self._batcher is not None and self._batcher.is_broken)

    def take_requests(self) -> None:
        """Raises WireError 503 unless new requests are taken."""
        if self.state != "ready":
            raise self._not_ready()

    def check_model(self, name: str | None) -> None:
        """Raises WireError 404 for a model that is not served."""
        if name not in (None, MODEL_ALIAS, self.engine.model):
            raise WireError(
                404,
                f"model: {name!r} is not served here; give {self.engine.model} or {MODEL_ALIAS}",
                "model_not_found",
                "model",
            )

    async def load(self, on_ready: Callable[[], None]) -> None:
        """Load the model in a thread of its own. What goes wrong is in `failure`."""
        try:
            engine = await self._loaded()
        except Exception as error:
            logger.exception("the model %s cannot be loaded", self.options.source)
            self.state, self.failure = "failed", f"{type(error).__name__}: {error}"
            return
        options = self.options
        self._batcher = Batcher(
            engine,
            self.metrics,
            max_batch=engine.max_batch,
            window=options.window,
            capacity=options.capacity,
        )
        self._tasks = Tasks(
            self._batcher,
            self.metrics,
            engine.model,
            grace=options.grace,
            keep_seconds=options.keep_seconds,
        )
        self.metrics.memory = engine.memory
        self._engine = engine
        if self.state == "loading":
            self.state = "ready"
            on_ready()

    async def drain(self) -> None:
        """Take nothing new, and return once all that was taken has ended and been fetched."""
        self.state = "draining"
        if self._tasks is None:
            return
        for task in self._tasks.active:
            await task.ends()
        deadline = time.monotonic() + LINGER_SECONDS
        while any(self._is_awaited(task) for task in self._tasks) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Cancel what is left."""
        if self._batcher is not None:
            self._batcher.close()

    @staticmethod
    def _is_awaited(task: Task) -> bool:
        return bool(task.outcome == "done" and not task.is_fetched and (task.is_detached or task.waiters))

    def _loaded(self) -> "asyncio.Future[Engine]":
        """The engine, from a thread that does not keep a process from ending."""
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[Engine] = loop.create_future()

        def tell(give: Callable[[Any], None], value: Any) -> None:
            if not loaded.done():
                give(value)

        def load() -> None:
            try:
                engine = self._load()
            except Exception as error:
                loop.call_soon_threadsafe(tell, loaded.set_exception, error)
            else:
                loop.call_soon_threadsafe(tell, loaded.set_result, engine)

        threading.Thread(target=load, name="load", daemon=True).start()
        return loaded

    def _load(self) -> "Engine":
        from resources.gpu.engine import Engine

        engine = Engine.load(self.options.source, self.options.engine)
        for name, path in self.options.loras:
            engine.load_lora(name, path)
        if self.options.warm_up:
            engine.warm_up(self.options.warm_up)
        return engine

    def _not_ready(self) -> WireError:
        said = {
            "loading": "the model is being loaded; ask again soon",
            "draining": "this server is stopping and takes nothing new; ask another one",
            "failed": f"the model could not be loaded: {self.failure}",
        }
        reason = said.get(self.state, "the server is not ready")
        return WireError(503, reason, self.state, headers={"Retry-After": "5"})
