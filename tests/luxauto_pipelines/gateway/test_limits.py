"""How often one may ask, and how much one may spend."""

import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import parse

from luxauto_pipelines.gateway.dependencies import Budget, Principal, Reservation, Spend, requires, spends
from luxauto_pipelines.gateway.limits import Limiter, SQLiteStorage
from luxauto_pipelines.gateway.problems import Problem
from luxauto_pipelines.gateway.routing import router as make_router
from resources.store import spending
from resources.store.brand_store import BrandStore
from tests.luxauto_pipelines.gateway.conftest import SECRET, Peer, until
from tests.peers.postgres import free_port

DAY = date(2026, 5, 1)


def test_beyond_the_limit_is_a_429_that_says_when(make_peer: Callable[..., Peer]) -> None:
    peer = make_peer(ENV="production", JWT_SECRET_KEY=SECRET, RATE_LIMIT="3/minute")
    headers = peer.bearer()
    answers = [peer.get("/alerts", headers=headers) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["title"] == "Too many requests"


def test_each_principal_has_a_limit_of_its_own_whatever_the_token(make_peer: Callable[..., Peer]) -> None:
    peer = make_peer(ENV="production", JWT_SECRET_KEY=SECRET, RATE_LIMIT="2/minute")
    subjects = ["a", "a", "a", "b"]
    answers = [peer.get("/alerts", headers=peer.bearer(subject=subject)).status_code for subject in subjects]
    assert answers == [200, 200, 429, 200]


def test_guessing_tokens_is_limited_by_address(make_peer: Callable[..., Peer]) -> None:
    peer = make_peer(ENV="production", JWT_SECRET_KEY=SECRET, RATE_LIMIT="3/minute")
    guesses = [peer.get("/alerts", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(5)]
    assert guesses == [401, 401, 401, 429, 429]
    assert peer.get("/alerts", headers=peer.bearer()).status_code == 200


def test_webhooks_are_limited_by_address(make_peer: Callable[..., Peer]) -> None:
    peer = make_peer(RATE_LIMIT="2/minute")
    assert [peer.post("/webhooks/shopify").status_code for _ in range(3)] == [503, 503, 429]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of this test alone."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs a Redis server: apt-get install redis-server")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        until("Redis answers", lambda: _listens(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(30)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def test_several_hosts_count_together_in_redis(tmp_path: Path, redis_url: str) -> None:
    limiters = [Limiter(parse("50/minute"), tmp_path / host, redis_url) for host in ("one", "two")]
    taken = 0
    for number in range(80):
        with suppress(Problem):
            limiters[number % 2].take("subject:ann")
            taken += 1
    assert taken == 50
    assert not (tmp_path / "one").exists()
    for limiter in limiters:
        limiter.close()


def test_two_processes_count_together(tmp_path: Path) -> None:
    item = parse("100/minute")
    limiters = [Limiter(item, tmp_path, None) for _ in range(3)]

    def take(number: int) -> bool:
        try:
            limiters[number % 3].take("somebody")
        except Problem:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(take, range(300))) == 100


def test_a_window_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = Limiter(parse("1/second"), tmp_path, None)
    limiter.take("somebody")
    with pytest.raises(Problem):
        limiter.take("somebody")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 1.1)
    assert limiter.take("somebody") is not None


def test_the_counter_behaves_as_other_storages_do(tmp_path: Path) -> None:
    storage = SQLiteStorage(f"luxauto+sqlite://{tmp_path / 'x.db'}")
    assert storage.check()
    assert [storage.incr("k", 60), storage.incr("k", 60, 4), storage.get("k"), storage.get("other")] == [1, 5, 5, 0]
    assert storage.get_expiry("k") == pytest.approx(time.time() + 60, abs=5)
    storage.clear("k")
    storage.incr("l", 60)
    assert (storage.get("k"), storage.reset()) == (0, 1)
    storage.close()
    assert not storage.check()


def test_a_counter_that_is_held_elsewhere_lets_requests_through(tmp_path: Path) -> None:
    limiter = Limiter(parse("1/minute"), tmp_path, None)
    holder = sqlite3.connect(tmp_path / "rate-limits.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert limiter.take("somebody") is None
    assert not limiter.allows("event", 10, 60)
    holder.execute("ROLLBACK")
    assert limiter.take("somebody") is not None


def test_a_hit_costs_little(tmp_path: Path) -> None:
    limiter = Limiter(parse("1000000/minute"), tmp_path, None)
    best = min(_seconds(lambda: limiter.take("somebody"), 500) for _ in range(20))
    assert best < 100e-6, f"{best * 1e6:.0f} µs"


def _seconds(do: Callable[[], Any], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        do()
    return (time.perf_counter() - started) / times


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from("rsx"), st.integers(0, 40), st.integers(0, 40)), max_size=25),
    ceiling=st.integers(0, 100),
)
def test_reservations_never_pass_the_ceiling(
    books: BrandStore, steps: list[tuple[str, int, int]], ceiling: int
) -> None:
    open_reservations: list[int] = []
    total = 0
    with books.write() as (connection, brand):
        connection.exec_driver_sql("DELETE FROM spending")
        for kind, micros, actual in steps:
            if kind == "r":
                granted = spending.reserve(connection, brand, "somebody", DAY, micros, ceiling)
                assert granted == (total + micros <= ceiling)
                if granted:
                    open_reservations.append(micros)
                    total += micros
            elif open_reservations:
                reserved = open_reservations.pop()
                # An effect never costs more than was set aside for it; released ones cost nothing.
                really = min(actual, reserved) if kind == "s" else 0
                spending.settle(connection, brand, "somebody", DAY, reserved, really)
                total += really - reserved
            assert spending.spent(connection, brand, "somebody", DAY) == total <= max(ceiling, 0)


def test_many_at_once_do_not_spend_more_than_the_ceiling(books: BrandStore) -> None:
    def reserve(_: int) -> bool:
        with books.write() as (connection, brand):
            return spending.reserve(connection, brand, "somebody", DAY, 7, 100)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(reserve, range(40))) == 14
    with books.read() as (connection, brand):
        assert spending.spent(connection, brand, "somebody", DAY) == 98
        assert spending.spent(connection, brand, "another", DAY) == 0


def test_a_negative_estimate_is_a_fault(books: BrandStore) -> None:
    with books.write() as (connection, brand), pytest.raises(ValueError, match="negative"):
        spending.reserve(connection, brand, "somebody", DAY, -1, 100)


def budget(books: BrandStore, usd: str = "1") -> Budget:
    return Budget(books, Principal("somebody", ("admin",), None, "r", "a"), Decimal(usd))


def test_what_is_not_spent_is_given_back(books: BrandStore) -> None:
    for cost in ("0.10", "0.20"):
        with budget(books).reserve(Decimal("0.60")) as reservation:
            reservation.settle(Decimal(cost))
    with pytest.raises(RuntimeError), budget(books).reserve(Decimal("0.70")):
        raise RuntimeError("the provider failed")
    with budget(books).reserve(Decimal("0.70")):
        pass
    with pytest.raises(Problem) as refused, budget(books).reserve(Decimal("0.000001")):
        pytest.fail("the ceiling was reached")
    assert (refused.value.status, refused.value.title) == (429, "Cost ceiling reached")
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 86_400


def test_a_route_can_set_its_cost_aside(make_peer: Callable[..., Peer]) -> None:
    peer = make_peer(ENV="production", JWT_SECRET_KEY=SECRET, COST_CEILING_USD="0.10")
    routes = make_router("/test-costs", "Test")

    @routes.post("/fixed", dependencies=[requires("status:read")])
    def fixed(reserved: Annotated[Reservation, spends(Decimal("0.04"))], fail: bool = False) -> dict[str, str]:
        if fail:
            raise Problem(503, "Provider", "it failed")
        return {"reserved": str(reserved.estimate_usd)}

    @routes.post("/chosen", dependencies=[requires("status:read")])
    def chosen(budget: Spend) -> dict[str, str]:
        with budget.reserve(Decimal("0.08")) as reserved:
            reserved.settle(Decimal("0.01"))
        return {}

    peer.app.router.routes.extend(routes.routes)
    headers = peer.bearer()
    assert [peer.post("/test-costs/fixed?fail=1", headers=headers).status_code for _ in range(5)] == [503] * 5
    assert [peer.post("/test-costs/chosen", headers=headers).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert [peer.post("/test-costs/fixed", headers=headers).status_code for _ in range(2)] == [200, 429]
    refused = peer.post("/test-costs/fixed", headers=headers)
    assert refused.json()["title"] == "Cost ceiling reached"
    assert peer.post("/test-costs/fixed", headers=peer.bearer(subject="another")).status_code == 200
