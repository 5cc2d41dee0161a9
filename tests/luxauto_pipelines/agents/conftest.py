"""The finance agent as a workflow or a request calls it, and the rows that it leaves."""

from collections.abc import Callable
from typing import Any

import pytest

from luxauto_pipelines.agents.finance_inventory import AGENT
from luxauto_pipelines.agents.registry import Call, Undone
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch

Do = Callable[..., dict[str, Any]]
Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def do(books: BrandStore) -> Do:
    """Call a method of the agent; every call has a key of its own if none is given."""
    count = iter(range(10**6))

    def call(method: str, key: str | None = None, undoes: str | None = None, **parameters: Any) -> dict[str, Any]:
        undone = None if undoes is None else Undone(undoes, {}, None)
        return dict(AGENT.call(method, Call(books, key or f"call-{next(count)}", undoes=undone), parameters))

    return call


@pytest.fixture
def rows(books: BrandStore) -> Rows:
    """Rows of a query on the store."""

    def read(query: str) -> list[tuple[Any, ...]]:
        with books.read() as (connection, _):
            return [tuple(row) for row in fetch(connection, query, {})]

    return read
