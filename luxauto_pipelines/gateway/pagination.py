"""Pages of a list that is ordered by id: a cursor says where the next one begins."""

from typing import Annotated

from fastapi import Query

MAX_PAGE = 200
_PREFIX = "before-"

PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(pattern=rf"^{_PREFIX}(0|[1-9][0-9]{{0,17}})$", description="`next_cursor` of the page before."),
]


def write_cursor(number: int) -> str:
    """The text for a place in a list."""
    return f"{_PREFIX}{number}"


def read_cursor(cursor: str | None) -> int | None:
    """The place of a cursor that fits the pattern of `Cursor`; None where there is no cursor."""
    return None if cursor is None else int(cursor.removeprefix(_PREFIX))
