"""The process of the GPU server: its socket, its signals, and the order of its beginning and its end.

Belongs here: what happens between the command and the application. Does not belong here: requests (`http_api`, `tasks`).

The socket answers before the model is loaded, so that whoever looks after processes sees one that lives and is not ready.
SIGTERM (or Ctrl-C) drains: what was taken is finished, what is new is refused with 503. A second signal ends at once.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from resources.gpu.http_api import build_app
from resources.gpu.service import Service, ServiceOptions

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_CLOSE_SECONDS = 10


class CannotServe(Exception):
    """The server cannot run like this; the message says what to change."""


class _Server(uvicorn.Server):
    """uvicorn's, which leaves the signals to `serve`: its own way to stop refuses connections before work is done."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(options: ServiceOptions, host: str, port: int, tell: Callable[[str], None]) -> int:
    """Run until a signal comes. Returns 0 after a signal, 1 where the model could not be loaded.

    `tell` is given a line once the socket answers, and one once requests are taken. Raises CannotServe where the port cannot
    be used.
    """
    listener = _listen(host, port)
    with listener:
        return asyncio.run(_serve(options, listener, tell))


async def _serve(options: ServiceOptions, listener: socket.socket, tell: Callable[[str], None]) -> int:
    service = Service(options)
    config = uvicorn.Config(
        build_app(service),
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_CLOSE_SECONDS,
        timeout_keep_alive=60,
    )
    server = _Server(config)
    url = _url(listener)

    async def load() -> None:
        await service.load(lambda: tell(f"luxauto GPU server is ready: {service.engine.model} at {url}"))
        if service.state == "failed":
            server.should_exit = True

    async def stop() -> None:
        await service.drain()
        server.should_exit = True

    running = []

    def on_signal() -> None:
        if service.state == "draining":
            server.should_exit = server.force_exit = True
            return
        tell("luxauto GPU server is stopping: what was taken is finished (once more ends it at once)")
        running.append(asyncio.ensure_future(stop()))

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    tell(f"luxauto GPU server is up: {url}, loading {options.source}")
    running.append(asyncio.ensure_future(load()))
    await server.serve([listener])
    for task in running:
        task.cancel()
    await asyncio.to_thread(service.close)
    if service.failure:
        tell(f"luxauto GPU server cannot serve {options.source}: {service.failure}")
        return 1
    return 0


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotServe(
            f"port {port} of {host} cannot be used: {error.strerror}. Stop what listens there, or give another --port."
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
