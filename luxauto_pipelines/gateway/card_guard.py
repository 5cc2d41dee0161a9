"""The gateway's entrance for card data: a request that holds any is refused before a route, a key or a log sees it.

Belongs here: the address, the headers that are kept, and the body of every operation. Does not belong here: what card data
looks like (`resources/card_data`), or messages of channels, which are redacted instead (`routers/inbox`).
"""

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl

from fastapi import Request

from luxauto_pipelines.gateway.problems import Problem
from resources.card_data import find_card_data, places_of_card_data
from resources.card_numbers import has_card_data, may_hold_card_data, redact

# Those that a route reads, keeps or logs; all others are forgotten with the request.
HEADERS = (b"idempotency-key", b"x-request-id", b"last-event-id", b"if-none-match")
_MESSAGE = (
    "holds what looks like payment card data, which is taken nowhere; send the processor's token and the last four"
)


async def refuse_card_data(request: Request, *, body: bool = True) -> None:
    """Raises Problem 422 that names the place by a pointer and repeats nothing."""
    place = _in_address(request) or _in_headers(request)
    places = [] if place is None else [place]
    if not places and body and request.method not in ("GET", "HEAD", "OPTIONS"):
        places = in_body(await request.body())
    if places:
        errors = [{"pointer": place, "message": _MESSAGE} for place in places]
        raise Problem(422, "Card data refused", f"card data is taken nowhere, and there is some in {places[0]}", errors)


def in_body(content: bytes) -> list[str]:
    """Pointers to card data in a body, JSON or not."""
    if not may_hold_card_data(content):
        return []
    try:
        return [f"#{place}" for place in places_of_card_data(json.loads(content))]
    except (ValueError, RecursionError):
        return ["#"] if has_card_data(content.decode("utf-8", "replace")) else []


def _in_address(request: Request) -> str | None:
    path, query = request.url.path, request.scope["query_string"]
    # What is between slashes is one value each: numbers of neighbours are not one number.
    if may_hold_card_data(path.encode()) and _any(path.split("/")):
        return "path"
    if query and may_hold_card_data(query):
        named = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        place = find_card_data(dict(named)) or next((f"/{redact(n)}" for n, v in named if find_card_data({n: v})), None)
        return None if place is None else f"query{place}"
    return None


def _in_headers(request: Request) -> str | None:
    for name, value in request.scope["headers"]:
        if name in HEADERS and may_hold_card_data(value) and has_card_data(value.decode("latin-1")):
            return f"header/{name.decode()}"
    return None


def _any(values: Iterable[str]) -> bool:
    return any(has_card_data(value) for value in values)
