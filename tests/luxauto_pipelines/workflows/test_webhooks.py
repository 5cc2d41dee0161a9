"""Telling others of workflow events: signed, tried until taken, given up in the end, and never to whom it must not go."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import dagster as dg
import pytest

from luxauto_pipelines.sensors import build_sensors
from luxauto_pipelines.workflows import webhooks as deliverer
from luxauto_pipelines.workflows.webhooks import (
    ATTEMPTS,
    FIRST_DELAY_SECONDS,
    LEASE,
    LONGEST_DELAY_SECONDS,
    deliver_due,
)
from resources.store import webhooks
from resources.store.bulk import run
from tests.peers.inline import Engine, act
from tests.peers.receiver import Receiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    monkeypatch.setenv("LUXAUTO_OUTBOUND_ALLOW", made.peer)
    yield made
    made.close()


def subscribe(engine: Engine, receiver: Receiver, key: str = "sub", kinds: tuple[str, ...] = (), url: str = "") -> None:
    with engine.books.write() as (connection, brand):
        webhooks.subscribe(connection, brand, unique(engine, key), url or receiver.url, kinds, "anna")
    receiver.secrets[unique(engine, key)] = deliverer.signing_secret(engine.books, unique(engine, key))


def unique(engine: Engine, key: str) -> str:
    # Keys are unique in the whole store, and tests share one on PostgreSQL.
    return f"{engine.books.settings.brand[-20:]}_{key}"


def deliveries(engine: Engine) -> list[dict[str, Any]]:
    with engine.books.read() as (connection, brand):
        query = (
            "SELECT state, attempts, next_at, last_answer FROM webhook_deliveries WHERE brand_id = :brand ORDER BY id"
        )
        return [dict(row._mapping) for row in run(connection, query, {"brand": brand})]


def wait_seconds(engine: Engine) -> float:
    """How long until the first delivery is tried again."""
    found = deliveries(engine)[0]["next_at"]
    due = datetime.fromisoformat(found).replace(tzinfo=UTC) if isinstance(found, str) else found
    return (due - datetime.now(UTC)).total_seconds()


def make_due(engine: Engine) -> None:
    """Let the time pass that a delivery waits for."""
    with engine.books.write() as (connection, brand):
        query = "UPDATE webhook_deliveries SET next_at = :now WHERE brand_id = :brand"
        run(connection, query, {"now": datetime.now(UTC) - timedelta(seconds=1), "brand": brand})


def test_a_subscriber_is_told_of_everything_in_order_and_can_check_who_said_so(
    engine: Engine, receiver: Receiver
) -> None:
    subscribe(engine, receiver)
    key = engine.run(act("a"))
    assert deliver_due(engine.books) == (5, 0)
    assert receiver.refused == []
    assert receiver.kinds == engine.kinds(key)
    messages = list(receiver.taken.values())
    assert [message["data"]["sequence"] for message in messages] == [1, 2, 3, 4, 5]
    assert {message["data"]["workflow_id"] for message in messages} == {key}
    assert messages[3]["data"]["task"] == "a"
    assert datetime.fromisoformat(messages[0]["timestamp"]).tzinfo is not None
    assert deliver_due(engine.books) == (0, 0)


def test_what_was_signed_with_another_secret_is_not_taken(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    receiver.secrets[unique(engine, "sub")] = deliverer.signing_secret(engine.books, "another")
    engine.create(act("a"))
    assert deliver_due(engine.books) == (0, 1)
    assert receiver.refused == ["wrong signature"]


def test_each_subscription_has_a_secret_of_its_own_that_stays_the_same(engine: Engine) -> None:
    one, other = (deliverer.signing_secret(engine.books, key) for key in ("one", "other"))
    assert one != other
    assert one == deliverer.signing_secret(engine.books, "one")
    assert one.startswith("whsec_")


def test_a_subscriber_is_told_only_of_the_kinds_it_asked_for(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver, kinds=("workflow.completed", "step.failed"))
    engine.run(act("a"), act("b", ["a"], point="before_effect", times=9, allow_failure=True))
    deliver_due(engine.books)
    assert receiver.kinds == ["step.failed", "workflow.completed"]


def test_what_happened_before_the_subscription_is_not_told(engine: Engine, receiver: Receiver) -> None:
    key = engine.create(act("a"))
    subscribe(engine, receiver)
    engine.cancel(key)
    deliver_due(engine.books)
    assert receiver.kinds == ["workflow.cancelled"]


@pytest.mark.parametrize("answer", [500, 404, 302, 429])
def test_what_is_not_taken_is_sent_again_under_the_same_id(engine: Engine, receiver: Receiver, answer: int) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    receiver.answers = [answer, answer]
    for expected in ((0, 1), (0, 1), (1, 0)):
        assert deliver_due(engine.books) == expected
        make_due(engine)
    assert len({headers["webhook-id"] for headers in receiver.requests}) == 1
    assert len(receiver.requests) == 3
    assert receiver.kinds == ["workflow.created"]
    assert [d["state"] for d in deliveries(engine)] == ["delivered"]


def test_it_waits_longer_each_time_and_gives_up_in_the_end(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    receiver.answers = [500] * 99
    waited = []
    for _ in range(ATTEMPTS - 1):
        assert deliver_due(engine.books) == (0, 1)
        waited.append(wait_seconds(engine))
        assert deliver_due(engine.books) == (0, 0)
        make_due(engine)
    assert waited[0] == pytest.approx(FIRST_DELAY_SECONDS, abs=4)
    assert waited[-1] == pytest.approx(LONGEST_DELAY_SECONDS, abs=60)
    assert all(later >= earlier - 30 for earlier, later in pairwise(waited))
    assert deliver_due(engine.books) == (0, 1)
    make_due(engine)
    assert deliver_due(engine.books) == (0, 0)
    assert len(receiver.requests) == ATTEMPTS
    (delivery,) = deliveries(engine)
    assert (delivery["state"], delivery["attempts"], delivery["last_answer"]) == ("failed", ATTEMPTS, "it answered 500")


def test_a_receiver_that_hangs_is_left_and_tried_again(
    engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "TIMEOUT_SECONDS", 0.5)
    subscribe(engine, receiver)
    engine.create(act("a"))
    receiver.answers = [None]
    assert deliver_due(engine.books) == (0, 1)
    assert "took too long" in deliveries(engine)[0]["last_answer"]
    make_due(engine)
    monkeypatch.setattr(deliverer, "TIMEOUT_SECONDS", 5.0)
    assert deliver_due(engine.books) == (1, 0)


def test_a_receiver_that_is_not_there_is_tried_again(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    receiver.close()
    assert deliver_due(engine.books) == (0, 1)
    assert [d["state"] for d in deliveries(engine)] == ["pending"]


def test_an_address_that_is_not_of_the_public_internet_is_not_reached_unless_it_was_allowed(
    engine: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(engine, receiver)
    subscribe(engine, receiver, "metadata", url="http://169.254.169.254/latest")
    engine.create(act("a"))
    monkeypatch.delenv("LUXAUTO_OUTBOUND_ALLOW")
    assert deliver_due(engine.books) == (0, 2)
    assert receiver.requests == []


def test_a_receiver_that_fails_does_not_keep_others_from_being_told(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver, "gone", url="http://127.0.0.1:9/hook")
    subscribe(engine, receiver, "there")
    engine.create(act("a"))
    assert deliver_due(engine.books) == (1, 1)
    assert receiver.kinds == ["workflow.created"]


def test_who_unsubscribed_is_told_nothing_more_not_even_what_was_due(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    key = engine.create(act("a"))
    with engine.books.write() as (connection, brand):
        assert webhooks.unsubscribe(connection, brand, unique(engine, "sub"))
        assert not webhooks.unsubscribe(connection, brand, unique(engine, "sub"))
        assert webhooks.subscriptions(connection, brand) == []
    engine.cancel(key)
    assert deliver_due(engine.books) == (0, 0)
    assert receiver.requests == []


def test_who_unsubscribes_while_it_is_being_told_is_not_told_again(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    receiver.answers = [500]

    def unsubscribe() -> None:
        with engine.books.write() as (connection, brand):
            webhooks.unsubscribe(connection, brand, unique(engine, "sub"))

    receiver.meanwhile = unsubscribe
    deliver_due(engine.books)
    make_due(engine)
    assert deliver_due(engine.books) == (0, 0)
    assert len(receiver.requests) == 1


def test_a_second_deliverer_leaves_what_the_first_is_sending(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    rounds: list[tuple[int, int]] = []
    receiver.meanwhile = lambda: rounds.append(deliver_due(engine.books))
    assert deliver_due(engine.books) == (1, 0)
    assert rounds == [(0, 0)]


def test_two_deliverers_at_once_send_each_message_once(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    for _ in range(6):
        engine.create(act("a"))
    start = threading.Barrier(2)
    counts: list[tuple[int, int]] = []

    def deliver() -> None:
        start.wait(30)
        counts.append(deliver_due(engine.books))

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(delivered for delivered, _ in counts) == 6
    assert len(receiver.requests) == len(receiver.taken) == 6


def test_what_a_deliverer_took_and_never_sent_is_sent_when_its_lease_is_over(
    engine: Engine, receiver: Receiver
) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    with engine.books.write() as (connection, brand):
        assert len(webhooks.take_due(connection, brand, 20, LEASE)) == 1
    assert deliver_due(engine.books) == (0, 0)
    assert wait_seconds(engine) > LEASE.total_seconds() - 60
    make_due(engine)
    assert deliver_due(engine.books) == (1, 0)


def test_a_tick_of_the_sensor_delivers(engine: Engine, receiver: Receiver) -> None:
    subscribe(engine, receiver)
    engine.create(act("a"))
    sensor = next(s for s in build_sensors(engine.books.settings) if s.name == "webhook_deliveries")
    answer = sensor(dg.build_sensor_context(engine.instance, resources={"store": engine.books}))
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == "1 delivered, 0 to be tried again"
    assert receiver.kinds == ["workflow.created"]
