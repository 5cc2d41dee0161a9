"""A process that drives many workflows at once while its database comes and goes: `python -m tests.peers.driver NAME COUNT`.

Prints a line of JSON with the keys of its workflows when all have ended. Every third workflow fails at its end and is undone.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from luxauto_pipelines.workflows.reconciler import reconcile
from resources.settings import load_settings
from resources.store import StoreError, journal, open_store
from resources.store.brand_store import BrandStore
from tests.peers.inline import Engine, act, open_instance, work_off

PATIENCE_SECONDS = 400
_T = TypeVar("_T")


def main(name: str, count: int) -> None:
    """Create the workflows, execute them and look after them until each has ended."""
    settings = load_settings()
    books = BrandStore(settings, _insist(lambda: open_store(settings.database_url)))
    with open_instance() as instance:
        engine = Engine(books, instance)
        keys = [_insist(lambda n=number: engine.create(*_tasks(n), name=f"{name} {n}")) for number in range(count)]
        for key in keys:
            _insist(lambda key=key: engine.execute(key))
        left = set(keys)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left and time.monotonic() < deadline:
            work_off(instance)
            for key in sorted(left):
                _insist(lambda key=key: reconcile(books, instance, key))
                if _insist(lambda key=key: engine.state(key)) in journal.ENDED:
                    left.discard(key)
    json.dump({"keys": keys, "left": sorted(left)}, sys.stdout)


def _tasks(number: int) -> list[dict[str, Any]]:
    last = act("c", ["b"], point="after_effect", action="refuse") if number % 3 == 0 else act("c", ["b"])
    return [act("a", retry_count=2), act("b", ["a"], retry_count=2), last]


def _insist(ask: Callable[[], _T]) -> _T:
    """As a client does that is told 503: ask again until the database is back."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (DBAPIError, StoreError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
