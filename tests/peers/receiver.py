"""A receiver of webhooks on loopback, which keeps what it took and checks signatures by the specification itself.

Written from the Standard Webhooks specification, not from the code that signs: `webhook-id`, `webhook-timestamp` and
`webhook-signature` over `id.timestamp.body`, at most five minutes old, the same id taken once.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_SECONDS = 300


class Receiver:
    """Takes messages at `url`. `answers` are the statuses of the next requests, then 200; None lets one hang."""

    def __init__(self) -> None:
        self.answers: list[int | None] = []
        self.secrets: dict[str, str] = {}
        self.taken: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def peer(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.peer}/hook"

    @property
    def kinds(self) -> list[str]:
        """Kinds of the events that were taken, in order."""
        return [message["type"] for message in self.taken.values()]

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        self.requests.append(headers)
        self.meanwhile()
        if fault := self._fault(headers, body):
            self.refused.append(fault)
            return 401
        answer = self.answers.pop(0) if self.answers else 200
        if answer is None:
            self._closing.wait(60)
            return 500
        if 200 <= answer < 300:
            self.taken.setdefault(headers["webhook-id"], json.loads(body))
        return answer

    def _fault(self, headers: dict[str, str], body: bytes) -> str | None:
        message, at = headers["webhook-id"], headers["webhook-timestamp"]
        if abs(time.time() - int(at)) > TOLERANCE_SECONDS:
            return "too old"
        secret = self.secrets.get(message.rsplit("-", 1)[0])
        if secret is None:
            return "not mine"
        key = base64.b64decode(secret.split("_", 1)[1])
        right = base64.b64encode(hmac.new(key, f"{message}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
        given = [part.split(",", 1)[1] for part in headers["webhook-signature"].split(" ") if part.startswith("v1,")]
        return None if any(hmac.compare_digest(right, one) for one in given) else "wrong signature"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
