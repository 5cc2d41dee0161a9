"""Amazon's notifications: their payloads against Amazon's schemas, and the queue against a real SQS server."""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest
from moto.server import ThreadedMotoServer

from resources.channels.amazon_notifications import SENDER, delete, message_id, pull, touched
from resources.channels.protocol import ChannelError, ChannelUnavailable, Connection, Touched
from tests.peers.amazon import AmazonPeer
from tests.resources.channels.tools import JumpingClock

SCHEMAS = Path(__file__).parents[3].parent / "shared" / "specs" / "amazon" / "schemas" / "notifications"
NAMES = {
    "ORDER_CHANGE": "OrderChangeNotification.json",
    "LISTINGS_ITEM_MFN_QUANTITY_CHANGE": "ListingsItemMfnQuantityChange.json",
    "LISTINGS_ITEM_ISSUES_CHANGE": "ListingsItemIssuesChangeNotification_2023-12-13.json",
    "FBA_INVENTORY_AVAILABILITY_CHANGES": "FBAInventoryAvailabilityChangeNotification.json",
    "FEED_PROCESSING_FINISHED": "FeedProcessingFinishedNotification.json",
}


@pytest.fixture
def schemas() -> dict[str, dict[str, Any]]:
    if not SCHEMAS.is_dir():
        pytest.skip(f"needs Amazon's schemas in {SCHEMAS}")
    return {kind: json.loads((SCHEMAS / name).read_text()) for kind, name in NAMES.items()}


@pytest.fixture
def peer() -> Iterator[AmazonPeer]:
    with AmazonPeer(clock=JumpingClock()) as peer:
        yield peer


@pytest.fixture(scope="module")
def sqs_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def queue(sqs_url: str, request: pytest.FixtureRequest) -> Connection:
    """A connection with a queue of this test alone."""
    secrets = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    name = f"q{abs(hash(request.node.nodeid)):x}"
    client = sqs_client(sqs_url)
    url = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    options = {"queue_url": url, "aws_region": "eu-west-1", "aws_endpoint_url": sqs_url}
    return Connection("amazon-uk", "amazon", "http://127.0.0.1:9", options, secrets)


def sqs_client(url: str) -> Any:
    return boto3.client(
        "sqs", region_name="eu-west-1", endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret"
    )


def send(queue: Connection, *bodies: str) -> None:
    client = sqs_client(queue.options["aws_endpoint_url"])
    for body in bodies:
        client.send_message(QueueUrl=queue.options["queue_url"], MessageBody=body)


def events(peer: AmazonPeer) -> list[bytes]:
    """One of every kind that the peer sends."""
    peer.add("BAG-1", 7)
    peer.add("FBA-1", 7, channel="AMAZON_EU")
    order_id = peer.buy({"BAG-1": 2}) or ""
    peer.cancel(order_id)
    peer.buy({"FBA-1": 1})
    feed = {"feedProcessingFinishedNotification": {"accountId": "a", "feedId": "1", "feedType": "JSON_LISTINGS_FEED"}}
    feed["feedProcessingFinishedNotification"]["processingStatus"] = "DONE"
    peer._notify("FEED_PROCESSING_FINISHED", feed)
    peer._notify("LISTINGS_ITEM_ISSUES_CHANGE", {"SellerId": "S", "Sku": "BAG-1", "Severities": ["ERROR"]})
    return [body for _, body in peer.webhooks]


def test_the_peers_messages_are_valid_by_amazons_schemas(peer: AmazonPeer, schemas: dict[str, dict[str, Any]]) -> None:
    seen = set()
    for body in events(peer):
        message = json.loads(body)
        kind = message.get("NotificationType") or message["notificationType"]
        jsonschema.Draft7Validator(schemas[kind]).validate(message)
        seen.add(kind)
    assert seen == set(NAMES)


def test_amazons_own_examples_are_understood(schemas: dict[str, dict[str, Any]]) -> None:
    examples = {kind: schema["examples"][0] for kind, schema in schemas.items() if "examples" in schema}
    assert set(NAMES) - set(examples) == {"FBA_INVENTORY_AVAILABILITY_CHANGES"}, "it has no example"
    told = {kind: touched({}, json.dumps(example).encode()) for kind, example in examples.items()}
    assert told == {
        "ORDER_CHANGE": Touched("ORDER_CHANGE", ("SellerSKUID1",), ("SellerSKUID1",), ("903-8868176-2219830",)),
        "LISTINGS_ITEM_MFN_QUANTITY_CHANGE": Touched(
            "LISTINGS_ITEM_MFN_QUANTITY_CHANGE", ("NLS-SHOES-03",), ("NLS-SHOES-03",), quantities={"NLS-SHOES-03": 99}
        ),
        "LISTINGS_ITEM_ISSUES_CHANGE": Touched("LISTINGS_ITEM_ISSUES_CHANGE", ("NLS-SHOES-03",), ("NLS-SHOES-03",)),
        "FEED_PROCESSING_FINISHED": Touched("FEED_PROCESSING_FINISHED"),
    }
    ids = {kind: message_id({}, json.dumps(example).encode()) for kind, example in examples.items()}
    assert ids["ORDER_CHANGE"] == ids["FEED_PROCESSING_FINISHED"] == "d0e9e693-c3ad-4373-979f-ed4ec98dd746"
    assert ids["LISTINGS_ITEM_MFN_QUANTITY_CHANGE"] == "8e009934-da2c-4f9c-9bc7-93f23b7e1f60"


def test_stock_of_amazons_warehouses_tells_its_sku(peer: AmazonPeer) -> None:
    told = [touched({}, body) for body in events(peer)]
    assert Touched("FBA_INVENTORY_AVAILABILITY_CHANGES", ("FBA-1",), ("FBA-1",)) in told


def test_a_kind_that_concerns_nothing_here_is_about_nothing() -> None:
    body = json.dumps({"NotificationType": "PRICING_HEALTH", "Payload": {}}).encode()
    assert touched({}, body) is None


def test_a_notification_in_eventbridges_envelope_is_the_same(peer: AmazonPeer) -> None:
    for body in events(peer):
        wrapped = json.dumps({"version": "0", "detail-type": "x", "detail": json.loads(body)}).encode()
        assert touched({}, wrapped) == touched({}, body)
        assert message_id({}, wrapped) == message_id({}, body)


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b"null", b"{}", b'{"NotificationType": "ORDER_CHANGE", "Payload": {}}']
)
def test_what_is_no_notification_is_refused_and_still_has_an_id(body: bytes) -> None:
    with pytest.raises(ValueError):
        touched({}, body)
    assert len(message_id({}, body)) == 64


def test_no_webhook_is_ever_taken_for_amazons(peer: AmazonPeer) -> None:
    assert not any(SENDER.verify(b"secret", {}, body) for body in events(peer))
    assert not SENDER.verify(b"", {"authorization": "Bearer x"}, b"{}")


def test_messages_repeated_and_out_of_order_have_one_id_each(peer: AmazonPeer) -> None:
    bodies = events(peer)
    shuffled = bodies * 3
    random.Random(7).shuffle(shuffled)
    assert {message_id({}, body) for body in shuffled} == {message_id({}, body) for body in bodies}
    assert len({message_id({}, body) for body in shuffled}) == len(bodies)


def test_messages_are_pulled_stored_and_then_deleted(queue: Connection, peer: AmazonPeer) -> None:
    sent = [body.decode() for body in events(peer)]
    send(queue, *sent)
    pulled = pull(queue, len(sent))
    assert {body.decode() for _, _, body in pulled} == set(sent)
    assert {identity for _, identity, _ in pulled} == {message_id({}, body.encode()) for body in sent}
    delete(queue, [receipt for receipt, _, _ in pulled])
    assert pull(queue, 10) == []


def test_what_is_not_deleted_comes_again_with_the_same_id(queue: Connection, peer: AmazonPeer) -> None:
    send(queue, events(peer)[0].decode())
    ((_, first, _),) = pull(queue, 1)
    ((receipt, again, _),) = pull(queue, 1)
    assert first == again
    delete(queue, [receipt])
    assert pull(queue, 1) == []


def test_more_than_ten_messages_are_pulled_and_deleted(queue: Connection) -> None:
    sqs_client(queue.options["aws_endpoint_url"]).set_queue_attributes(
        QueueUrl=queue.options["queue_url"], Attributes={"VisibilityTimeout": "60"}
    )
    send(queue, *(json.dumps({"number": number}) for number in range(23)))
    pulled = pull(queue, 100)
    assert len({identity for _, identity, _ in pulled}) == 23
    delete(queue, [receipt for receipt, _, _ in pulled])
    assert pull(queue, 100) == []


def test_an_empty_queue_gives_nothing_and_nothing_is_deleted(queue: Connection) -> None:
    assert pull(queue, 10) == []
    delete(queue, [])


def test_a_queue_that_is_not_there_is_reported(queue: Connection) -> None:
    options = {**queue.options, "queue_url": queue.options["queue_url"] + "-gone"}
    with pytest.raises(ChannelUnavailable, match="Check queue_url"):
        pull(Connection("amazon-uk", "amazon", "", options, queue.secrets), 1)


def test_a_connection_without_a_queue_is_told_what_to_add() -> None:
    with pytest.raises(ChannelError, match="queue_url"):
        pull(Connection("amazon-uk", "amazon", "", {}, {}), 1)


def test_without_boto3_the_message_says_what_to_install(queue: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ChannelError, match="pip install boto3"):
        pull(queue, 1)
