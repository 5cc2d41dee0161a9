"""Every refusal and failure as RFC 9457 `application/problem+json`.

Belongs here: the shape of a problem, which error becomes which status, and how the statuses are documented. Does not belong
here: deciding that something is wrong (whoever finds it raises `Problem`), and what a caller may do (`authorization`).

A problem never repeats what was sent: it may have been a card number.
"""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from luxauto_pipelines.agents.registry import AgentError, AgentUnavailable
from resources.card_data import redact
from resources.settings import SettingsError
from resources.store.engine import StoreError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
STATUSES = (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503)
_MAX_ERRORS = 100


class Problem(Exception):
    """A request that will not be answered as asked. `errors` are dicts of `pointer` and `message`."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors or []
        self.headers = dict(headers or {})

    def body(self, request_id: str | None) -> dict[str, Any]:
        """The members of RFC 9457, and `success` and `errors` beside them."""
        return {
            "type": f"urn:luxauto:problem:{re.sub(r'[^a-z0-9]+', '-', self.title.lower()).strip('-')}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:luxauto:request:{request_id or 'unknown'}",
            "success": False,
            "errors": self.errors,
        }


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to whoever asked. What nobody foresaw is a 500 that tells nothing of the inside."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error.errors())
        case ValidationError():
            return _invalid(error.errors(include_input=False, include_url=False, include_context=False))
        case HTTPException():
            return _from_http(error)
        case AgentUnavailable():
            return _unavailable("Agent not available", str(error))
        case AgentError():
            return Problem(422, "Not possible", redact(str(error)))
        case SettingsError():
            return _unavailable(
                "Installation not usable", "a setting of this installation is wrong; see `luxauto doctor`"
            )
        case IntegrityError():
            return Problem(409, "Conflict", "this contradicts something that is already stored")
        case DataError():
            return Problem(422, "Value cannot be stored", "a value is outside what the store can hold")
        case StoreError() | SQLAlchemyError():
            return _unavailable("Store not available", "the store does not answer; try again")
        case _:
            return Problem(500, "Internal error", "this is a fault of the gateway; quote `instance` when you report it")


def respond(problem: Problem, request_id: str | None) -> Response:
    """The problem as an HTTP answer. ASCII only, so that no half of a surrogate pair can break it."""
    return Response(
        json.dumps(problem.body(request_id)).encode(),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def add_handlers(app: FastAPI) -> None:
    """Let every error of the app leave it as a problem."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(_methods_at(app, request))
        if problem.status >= 500 and not isinstance(error, (Problem, AgentUnavailable)):
            # Nobody said so on purpose: the log line of this request tells where it came from.
            request.scope["luxauto.error"] = error
        return respond(problem, request.scope.get("luxauto.request_id"))

    for kind in (
        Problem,
        RequestValidationError,
        ValidationError,
        HTTPException,
        AgentError,
        SettingsError,
        StoreError,
        SQLAlchemyError,
        Exception,
    ):
        app.add_exception_handler(kind, handle)


def _methods_at(app: FastAPI, request: Request) -> list[str]:
    """What may be done at this address. Starlette names the methods of the first route there only."""
    found: set[str] = set()
    for route in app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


def pointer(location: Iterable[Any]) -> str:
    """A validation error's place: `#/items/0/sku` in the body, `query/limit` elsewhere."""
    where, *parts = [str(part) for part in location] or ["body"]
    escaped = [redact(part).replace("~", "~0").replace("/", "~1") for part in parts]
    return "#" + "".join(f"/{part}" for part in escaped) if where == "body" else "/".join([where, *escaped])


def _invalid(found: Iterable[Any]) -> Problem:
    errors = []
    for fault in list(found)[:_MAX_ERRORS]:
        location = [part for part in fault["loc"] if not (isinstance(part, str) and "[" in part)]
        if fault["type"] == "json_invalid":
            return Problem(422, "Invalid JSON", "the body is not JSON", [{"pointer": "#", "message": "not JSON"}])
        message = "unknown field" if fault["type"] == "extra_forbidden" else redact(str(fault["msg"]))
        errors.append({"pointer": pointer(location), "message": message})
    places = ", ".join(dict.fromkeys(error["pointer"] for error in errors[:5]))
    return Problem(422, "Invalid request", f"these are not valid: {places}", errors)


def _from_http(error: HTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    detail = redact(str(error.detail or phrase))
    return Problem(error.status_code, phrase, detail, headers=error.headers)


def _unavailable(title: str, detail: str) -> Problem:
    return Problem(503, title, detail, headers={"Retry-After": str(RETRY_SECONDS)})


SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "instance", "success", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "success": {"const": False},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}

_MEANINGS = {
    400: "The body cannot be read",
    401: "No token, or one that is not valid",
    403: "The caller's roles do not allow this",
    404: "No such thing",
    405: "Not for this method",
    409: "It contradicts the present state, or the Idempotency-Key was used for something else",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "A field is not valid",
    429: "Too many requests, or the day's cost ceiling is reached",
    500: "A fault of the gateway",
    503: "A provider or resource is not available",
}


def _documented(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return answer


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {status: _documented(status) for status in STATUSES}
