"""A vendor's server on loopback: keeps state, logs what it was asked, and misbehaves on demand.

Each vendor's own peer says in `answer` what a request does and what is answered. Faults are laid out beforehand: the next
request that a fault matches meets it, so that a test is the same every time.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came. Header names are in lower case; a query parameter that comes twice counts once."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Reply:
    """An answer. `body` that is no bytes is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What befalls the next `times` requests that `matches`.

    kinds: `reply` (gives `reply`, nothing is done), `reset_before` (connection reset, nothing is done), `reset_after` (done,
    then reset), `hang_after` (done, then no answer until the peer closes: the client's time-out), `late` (nothing is done, no
    answer is given; it is done when `VendorPeer.settle` is called), `reply_after` (done, then `reply` is given instead),
    `meanwhile` (calls `act` first, then answers as usual).
    """

    kind: str
    times: int = 1
    matches: Callable[[Asked], bool] = lambda asked: True
    reply: Reply = Reply(503)
    act: Callable[[], object] = lambda: None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up, or was killed, is no news."""


TOO_MANY = Reply(429, {"message": "Too Many Requests"})


class VendorPeer:
    """The server. Subclasses implement `answer`, which runs under a lock: one request after the other."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.weather: Callable[[Asked], Fault | None] = lambda asked: None
        """Asked before `faults` about every request: a fault for it, or none."""
        self._lock = threading.RLock()
        self._late: list[Asked] = []
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def count(self, method: str, part: str = "") -> int:
        """How many requests with this method and this text in their path have come."""
        with self._lock:
            return sum(asked.method == method and part in asked.path for asked in self.asked)

    def settle(self) -> None:
        """Writes whose clients gave up take effect now."""
        with self._lock:
            late, self._late = self._late, []
            for asked in late:
                self.answer(asked)

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fault(self, asked: Asked) -> Fault | None:
        if (sudden := self.weather(asked)) is not None:
            return sudden
        for fault in self.faults:
            if fault.times > 0 and fault.matches(asked):
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
                return fault
        return None

    def _serve(self, asked: Asked) -> Reply | str:
        """The reply, or "reset" or "hang"."""
        with self._lock:
            self.asked.append(asked)
            fault = self._fault(asked)
        kind = fault.kind if fault else None
        if fault and kind == "meanwhile":
            fault.act()
        with self._lock:
            if fault and kind == "reply":
                return fault.reply
            if kind == "reset_before":
                return "reset"
            if kind == "late":
                self._late.append(asked)
                return "hang"
            reply = self.answer(asked)
        if kind == "reset_after":
            return "reset"
        if kind == "hang_after":
            return "hang"
        return fault.reply if fault and kind == "reply_after" else reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Small answers in two segments would wait for each other (Nagle and delayed acknowledgement).
            disable_nagle_algorithm = True

            def _handle(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                asked = Asked(self.command, parts.path, query, headers, self.rfile.read(length))
                reply = peer._serve(asked)
                if isinstance(reply, str):
                    if reply == "hang":
                        peer._closing.wait()
                    # Without lingering, closing sends a reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                sent = {"content-type": "application/json", **{k.lower(): v for k, v in reply.headers.items()}}
                for name, value in sent.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
