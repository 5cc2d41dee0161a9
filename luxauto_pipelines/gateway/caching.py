"""Answers that need not be sent again: entity tags on reads."""

import hashlib
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

MEDIA_TYPE = "application/json"


def etag_json(request: Request, payload: Any, tag_of: Any = None) -> Response:
    """The payload (a model, or what JSON has) with an entity tag; 304 without it when `If-None-Match` names that tag.

    `tag_of` is what the tag is made of where the payload also says when it was made; such a tag is a weak one.
    """
    body = to_json(payload, inf_nan_mode="null")
    compared = body if tag_of is None else to_json(tag_of, inf_nan_mode="null")
    tag = f'{"" if tag_of is None else "W/"}"{hashlib.sha256(compared).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=MEDIA_TYPE)


def matches(header: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names this entity tag."""
    if header is None:
        return False
    # Weak comparison, as RFC 9110 asks for here.
    opaque = tag.removeprefix("W/")
    return header.strip() == "*" or opaque in (part.strip().removeprefix("W/") for part in header.split(","))
