"""Amazon's notifications: what one is about, and fetching them from the seller's own queue (SQS).

Belongs here: reading a message, taking messages from the queue and deleting them. Does not belong here: what is done about
one. They come by the queue alone, whose policy lets only Amazon in: nothing signs them, so no webhook may bring one. They come
more than once and in any order; `message_id` is the same each time.

Options of the connection: `queue_url`; `aws_region` (else from the queue's address); `aws_endpoint_url` (another SQS). Secrets:
`aws_access_key_id`, `aws_secret_access_key` (else from the machine's own role).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from resources.channels.amazon_api import parsed
from resources.channels.protocol import ChannelError, ChannelUnavailable, Connection, Headers, Sender, Touched

_MOST_AT_ONCE = 10


def touched(headers: Headers, body: bytes) -> Touched | None:
    """What the message is about; None for a kind that concerns neither stock nor orders. Raises ValueError for no message."""
    message = _message(body)
    try:
        return _touched(str(_get(message, "notificationType")), _get(message, "payload"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a notification of another form: {error!r}") from error


def message_id(headers: Headers, body: bytes) -> str:
    """The NotificationId; of something that has none, its digest, so that it can still be told apart."""
    try:
        return str(_get(_get(_message(body), "notificationMetadata"), "notificationId"))
    except (ValueError, KeyError, TypeError):
        return hashlib.sha256(body).hexdigest()


SENDER = Sender(
    verify=lambda secret, headers, body: False,
    message_id=message_id,
    touched=touched,
    kept_headers=(),
)
"""No webhook is ever taken for Amazon's: its messages come by its queue."""


def pull(connection: Connection, most: int, wait_seconds: int = 0) -> list[tuple[str, str, bytes]]:
    """Up to `most` messages: (receipt for `delete`, message id, body). Store them first, delete them afterwards: what is not
    deleted comes again.

    Raises ChannelError where the queue is not set up, ChannelUnavailable where it does not answer.
    """
    client, queue_url = _client(connection)
    found: list[tuple[str, str, bytes]] = []
    while len(found) < most:
        wanted = min(_MOST_AT_ONCE, most - len(found))
        told = _asked(
            connection,
            client.receive_message,
            QueueUrl=queue_url,
            MaxNumberOfMessages=wanted,
            WaitTimeSeconds=0 if found else wait_seconds,
        )
        messages = told.get("Messages", [])
        for message in messages:
            body = message["Body"].encode()
            found.append((message["ReceiptHandle"], message_id({}, body), body))
        if not messages:
            break
    return found


def delete(connection: Connection, receipts: Sequence[str]) -> None:
    """Forget messages that are stored. Raises ChannelUnavailable where one could not be: it comes again, with the same id."""
    client, queue_url = _client(connection)
    for first in range(0, len(receipts), _MOST_AT_ONCE):
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt}
            for number, receipt in enumerate(receipts[first : first + _MOST_AT_ONCE])
        ]
        told = _asked(connection, client.delete_message_batch, QueueUrl=queue_url, Entries=entries)
        if told.get("Failed"):
            raise ChannelUnavailable(
                f"{connection.name}: {len(told['Failed'])} messages were not deleted from {queue_url}"
            )


def _touched(kind: str, payload: Mapping[str, Any]) -> Touched | None:
    if kind == "ORDER_CHANGE":
        change = payload["OrderChangeNotification"]
        skus = tuple(dict.fromkeys(item["SellerSKU"] for item in change["Summary"]["OrderItems"]))
        return Touched(kind, keys=skus, skus=skus, order_ids=(change["AmazonOrderId"],))
    if kind == "LISTINGS_ITEM_MFN_QUANTITY_CHANGE":
        sku = payload["Sku"]
        return Touched(kind, keys=(sku,), skus=(sku,), quantities={sku: int(payload["Quantity"])})
    if kind == "LISTINGS_ITEM_ISSUES_CHANGE":
        return Touched(kind, keys=(payload["Sku"],), skus=(payload["Sku"],))
    if kind == "FBA_INVENTORY_AVAILABILITY_CHANGES":
        return Touched(kind, keys=(payload["SKU"],), skus=(payload["SKU"],))
    # A feed tells no listing: those that it changed are known from our own record of the write.
    return Touched(kind) if kind == "FEED_PROCESSING_FINISHED" else None


def _message(body: bytes) -> Mapping[str, Any]:
    message = parsed(body)
    if not isinstance(message, dict):
        raise ValueError("a notification is a JSON object")
    # EventBridge puts the notification into an envelope.
    return message["detail"] if "detail-type" in message else message


def _get(holder: Mapping[str, Any], name: str) -> Any:
    """Most kinds begin their names with a capital letter, FEED_PROCESSING_FINISHED does not."""
    return holder[name] if name in holder else holder[name[0].upper() + name[1:]]


def _client(connection: Connection) -> tuple[Any, str]:
    queue_url = connection.options.get("queue_url")
    if not queue_url:
        raise ChannelError(f"{connection.name} has no option queue_url: add the address of the SQS queue")
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ChannelError(
            f"{connection.name}: reading the queue needs boto3, which is not installed: pip install boto3"
        ) from error
    told = re.search(r"//sqs\.([a-z0-9-]+)\.", queue_url)
    client = boto3.client(
        "sqs",
        region_name=connection.options.get("aws_region") or (told.group(1) if told else "us-east-1"),
        endpoint_url=connection.options.get("aws_endpoint_url"),
        aws_access_key_id=connection.secrets.get("aws_access_key_id"),
        aws_secret_access_key=connection.secrets.get("aws_secret_access_key"),
        config=Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 3}),
    )
    return client, str(queue_url)


def _asked(connection: Connection, call: Any, **request: Any) -> Mapping[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**request)
    except (BotoCoreError, ClientError) as error:
        raise ChannelUnavailable(
            f"{connection.name}: the queue does not answer ({error}). Check queue_url, the keys and the queue's policy."
        ) from error
