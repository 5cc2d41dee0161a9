"""What every request passes, whatever it asks for: an id, security headers, a size limit, a log line, a count.

Belongs here: pure ASGI, as each layer costs. Does not belong here: anything that depends on who asks (`dependencies`).
"""

import re
import time
import uuid
from typing import Any

from sqlalchemy.exc import StatementError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from luxauto_pipelines.gateway import telemetry
from luxauto_pipelines.gateway.configuration import GatewaySettings
from luxauto_pipelines.gateway.problems import Problem, problem_of, respond
from resources.card_numbers import has_card_data

DOCS = ("/docs", "/redoc")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_DOCS_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    b"font-src https://fonts.gstatic.com; img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; "
    b"worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_NO_STORE = (b"cache-control", b"no-store")


class Shell:
    """The outermost layer. It sees every answer, those of the framework's own error pages included."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._body_limit = settings.body_limit
        self._hosts = frozenset(host.lower() for host in settings.hosts)
        headers = [*_HEADERS, *([_HSTS] if settings.is_production else [])]
        self._headers = [*headers, (b"content-security-policy", _API_POLICY)]
        self._docs_headers = [*headers, (b"content-security-policy", _DOCS_POLICY)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        given, length = _read_headers(scope)
        request_id = given or uuid.uuid4().hex
        scope["luxauto.request_id"] = request_id
        added = self._docs_headers if scope["path"].startswith(DOCS) else self._headers
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message.get("headers", ())
                headers = message["headers"] = [*own, *added, (b"x-request-id", request_id.encode())]
                if not any(name == b"cache-control" for name, _ in own):
                    headers.append(_NO_STORE)
                window = scope.get("luxauto.rate_window")
                if window is not None and status != 429:
                    headers += [(name.lower().encode(), value.encode()) for name, value in window.headers().items()]
            await send(message)

        try:
            refusal = self._refusal(scope, length)
            if refusal is not None:
                await respond(refusal, request_id)(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except Exception as error:
            scope["luxauto.error"] = error
            if not status:
                await respond(problem_of(error), request_id)(scope, receive, send_with_headers)
        finally:
            _tell(scope, status, time.perf_counter() - started_at)

    def _refusal(self, scope: Scope, length: bytes | None) -> Problem | None:
        if self._hosts and _host(scope) not in self._hosts:
            return Problem(400, "Bad Request", "this gateway is not known under that host")
        # A database that ends strings at NUL must not be asked for one.
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            return Problem(422, "Invalid request", "the address must not hold a NUL character")
        if length is not None and length.isdigit() and int(length[:20]) > self._body_limit:
            # Refused before it is read; a body that does not state its length is counted while it comes.
            return Problem(413, "Content Too Large", f"a body may have at most {self._body_limit} bytes")
        return None


def _host(scope: Scope) -> str:
    hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    # Two of them are a trick.
    return re.sub(r":\d*$", "", hosts[0]) if len(hosts) == 1 else ""


def _read_headers(scope: Scope) -> tuple[str | None, bytes | None]:
    request_id: str | None = None
    length: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value) and not has_card_data(value.decode()):
            request_id = value.decode()
        elif name == b"content-length":
            length = value
    return request_id, length


def _tell(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    route: Any = scope.get("route")
    telemetry.count(method, getattr(route, "path_format", None) or "unmatched", status, seconds)
    principal = scope.get("luxauto.principal")
    client = scope.get("client")
    line = {
        "request_id": scope["luxauto.request_id"],
        "method": method,
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1000, 2),
        "subject": principal.subject if principal else None,
        "address": client[0] if client else None,
    }
    error = scope.get("luxauto.error")
    if error is None:
        telemetry.tell_request(line)
        return
    if isinstance(error, StatementError):
        # The values of a statement are other people's data.
        error.hide_parameters = True
    telemetry.log.error("request failed", **line, exc_info=error)
