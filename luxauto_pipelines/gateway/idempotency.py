"""Answering a repeated POST with its first answer.

Belongs here: when an answer is kept, and for how long a request in progress is believed to be alive. Does not belong here: the
rows (`resources/store/idempotency.py`).

The claim is a row of its own transaction before the route runs. While it runs the claim is renewed; when the worker dies it
lapses, and the next request with the key takes it over.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from luxauto_pipelines.gateway.dependencies import Principal, state_of
from luxauto_pipelines.gateway.problems import Problem, problem_of, respond
from resources.store.brand_store import BrandStore
from resources.store.idempotency import Claim, Held, Scope, StoredAnswer, claim, drop, finish, renew

HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[\x21-\x7e]+$"
KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=30)
_RENEW_SECONDS = LEASE.total_seconds() / 3
_KEY = re.compile(KEY_PATTERN)
_NOT_KEPT = (401, 403, 429)


async def answer_once(
    request: Request, principal: Principal, key: str, handle: Callable[[Request], Awaitable[Response]]
) -> Response:
    """The first answer to this principal, route, key and body. Raises Problem 409 and 422, and what the route raises."""
    if not 0 < len(key) <= 255 or not _KEY.match(key):
        errors = [
            {"pointer": f"header/{HEADER}", "message": "must be 1 to 255 printable ASCII characters without spaces"}
        ]
        raise Problem(422, "Invalid request", f"{HEADER} is not valid", errors)
    route = f"{request.method} {request.url.path}"
    scope = Scope(principal.subject, route[:512], key)
    digest = hashlib.sha256(await request.body() + b"\0" + request.url.query.encode()).hexdigest()
    books = state_of(request).books
    claimed = await run_in_threadpool(_claim, books, scope, digest)
    if claimed.answer is not None:
        return _replay(claimed.answer)
    if claimed.held is None:
        raise _refusal(claimed)
    request.scope["luxauto.effect_key"] = hashlib.sha256(
        "\0".join((principal.subject, route, key)).encode()
    ).hexdigest()
    return await _first(request, books, claimed.held, handle)


async def _first(
    request: Request, books: BrandStore, held: Held, handle: Callable[[Request], Awaitable[Response]]
) -> Response:
    renewal = asyncio.create_task(_keep_alive(books, held))
    try:
        response = await handle(request)
    except Exception as error:
        problem = problem_of(error)
        if not _is_kept(problem.status):
            await run_in_threadpool(_drop, books, held)
            raise
        response = respond(problem, request.scope.get("luxauto.request_id"))
    except BaseException:
        # Cancelled: whether the effect happened is unknown here, so that the claim is left to lapse.
        raise
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal
    body = getattr(response, "body", None)
    if body is None or not _is_kept(response.status_code):
        await run_in_threadpool(_drop, books, held)
    else:
        answer = StoredAnswer(response.status_code, cast(bytes, body).decode(), response.headers.get("content-type"))
        await run_in_threadpool(_finish, books, held, answer)
    return response


def _is_kept(status: int) -> bool:
    return status < 500 and status not in _NOT_KEPT


def _replay(answer: StoredAnswer) -> Response:
    headers = {"Idempotent-Replayed": "true"}
    return Response(answer.body, answer.status, headers=headers, media_type=answer.media_type)


def _refusal(claimed: Claim) -> Problem:
    if claimed.in_progress:
        detail = "the first request with this key is still being worked on"
        return Problem(409, "Request in progress", detail, headers={"Retry-After": "1"})
    return Problem(409, "Idempotency key reused", f"this {HEADER} was used with another body")


async def _keep_alive(books: BrandStore, held: Held) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        # A store that is away for a moment is no reason to end the request.
        with suppress(Exception):
            await run_in_threadpool(_renew, books, held)


def _claim(books: BrandStore, scope: Scope, digest: str) -> Claim:
    return claim(books, scope, digest, datetime.now(UTC), LEASE)


def _renew(books: BrandStore, held: Held) -> None:
    renew(books, held, datetime.now(UTC) + LEASE)


def _finish(books: BrandStore, held: Held, answer: StoredAnswer) -> None:
    finish(books, held, answer, datetime.now(UTC) + KEPT)


def _drop(books: BrandStore, held: Held) -> None:
    drop(books, held)
