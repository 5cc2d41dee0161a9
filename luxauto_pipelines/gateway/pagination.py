"""Pages of a list that is ordered by id: an opaque cursor says where the next one begins."""

import base64
import binascii
import re
from typing import Annotated

from fastapi import Query

from luxauto_pipelines.gateway.problems import Problem

MAX_PAGE = 200
_CONTENT = re.compile(r"([a-z_]{1,32}):(0|[1-9]\d{0,18})")

PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(min_length=1, max_length=128, pattern="^[A-Za-z0-9_-]+$", description="`next_cursor` of the page before."),
]


def write_cursor(kind: str, number: int) -> str:
    """An opaque text for a place in the list of this kind."""
    return base64.urlsafe_b64encode(f"{kind}:{number}".encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str | None) -> int | None:
    """The place, or None where there is no cursor. Raises Problem 422 for anything that `write_cursor` did not write."""
    if cursor is None:
        return None
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        match = _CONTENT.fullmatch(content)
    except (binascii.Error, UnicodeError, ValueError):
        match = None
    if match is None or match[1] != kind or int(match[2]) >= 2**63 or write_cursor(kind, int(match[2])) != cursor:
        errors = [{"pointer": "query/cursor", "message": "is not a cursor of this list"}]
        raise Problem(422, "Invalid request", "the cursor is not one that this list gave out", errors)
    return int(match[2])
