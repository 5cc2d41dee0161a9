"""Webhooks of the channels: checked, written down, answered at once. What they mean is found out later."""

import hashlib
import json
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from luxauto_pipelines.gateway.card_guard import in_body
from luxauto_pipelines.gateway.dependencies import Books, limit_by_address
from luxauto_pipelines.gateway.problems import PROBLEM_RESPONSES, Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.webhook_signatures import Source, find_source, secret_of, sender_for, variable_of
from resources.card_data import find_card_data, redact, redact_value
from resources.channels.protocol import ChannelError, Sender
from resources.channels.senders import Senders
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.inbox import receive

router = make_router("/webhooks", "Webhooks")

_BODY = {"required": True, "content": {"application/json": {"schema": {}}, "*/*": {"schema": {"type": "string"}}}}
_LONGEST_ID = 255

ChannelInAddress = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="Name of a connected channel; or woocommerce, shopify, ebay, where one is connected.",
    ),
]
Code = Annotated[str, Query(min_length=1, max_length=255, pattern=r"^[^\x00]*$", description="What eBay chose.")]


class Receipt(BaseModel):
    """The message is on disk, or was none."""

    success: bool = True
    duplicate: bool = Field(description="It had come before; nothing was written")


class Answer(BaseModel):
    """The proof that we are who eBay was told."""

    model_config = ConfigDict(populate_by_name=True)

    response: str = Field(alias="challengeResponse")


async def senders_of(request: Request) -> Senders:
    """The process's one Senders."""
    state = request.app.state
    if not hasattr(state, "webhook_senders"):
        state.webhook_senders = Senders()
    return state.webhook_senders


@router.post(
    "/{channel}",
    dependencies=[Depends(limit_by_address)],
    openapi_extra={"requestBody": _BODY, "security": []},
    responses={status: PROBLEM_RESPONSES[status] for status in (401, 404, 413, 422, 503)},
)
async def webhook(
    channel: ChannelInAddress, request: Request, books: Books, senders: Annotated[Senders, Depends(senders_of)]
) -> Receipt:
    """Take a message in. It is signed by the channel, not by a token; a message that came before is answered like the first."""
    source = await run_in_threadpool(_found, books, channel)
    body = await request.body()
    if source.kind == "woocommerce" and _is_ping(request, body):
        return Receipt(duplicate=False)
    new = await run_in_threadpool(_take, books, source, senders, dict(request.headers), body)
    return Receipt(duplicate=not new)


@router.get(
    "/{channel}",
    dependencies=[Depends(limit_by_address)],
    openapi_extra={"security": []},
    responses={status: PROBLEM_RESPONSES[status] for status in (404, 422, 503)},
)
async def challenge(channel: ChannelInAddress, challenge_code: Code, books: Books) -> Answer:
    """Answer eBay, which asks whether this address is ours before it sends anything there."""
    from resources.channels.ebay_notifications import challenge_response

    source = await run_in_threadpool(_found, books, channel)
    if source.kind != "ebay":
        raise Problem(404, "Not found", f"{channel} sends no challenges")
    secrets = source.connection.secrets if source.connection else {}
    address = source.connection.options.get("notification_url") if source.connection else None
    token = secrets.get("verification_token")
    if not token or not address:
        lacks = "the secret verification_token and the option notification_url, the address as eBay was told it"
        raise Problem(503, "Channel not available", f"the connection of {channel} needs {lacks}")
    return Answer(challengeResponse=challenge_response(challenge_code, token, str(address))["challengeResponse"])


def _found(books: BrandStore, channel: str) -> Source:
    source = find_source(books, channel)
    if source is None:
        raise Problem(404, "Not found", f"no channel {channel} is connected")
    return source


def _is_ping(request: Request, body: bytes) -> bool:
    from resources.channels.woocommerce_answers import is_ping

    return is_ping(request.headers, body)


def _take(books: BrandStore, source: Source, senders: Senders, headers: dict[str, str], body: bytes) -> bool:
    """Verify, keep. Returns whether the message is new."""
    sender = sender_for(books, source, senders)
    if isinstance(sender, str):
        raise Problem(503, "Channel not available", sender)
    secret = secret_of(source)
    if secret is None:
        lacks = f"set {variable_of(source.name)}, or connect the channel with its webhook_secret"
        raise Problem(503, "Channel not available", f"no secret is configured for {source.name}: {lacks}")
    try:
        is_signed = sender.verify(secret, headers, body)
    except ChannelError as error:
        raise Problem(503, "Channel not available", f"the signature cannot be verified now: {error}") from error
    if not is_signed:
        raise Problem(
            401, "Unauthorized", "the signature is not the channel's", headers={"WWW-Authenticate": "Signature"}
        )
    return _keep(books, source.name, sender, headers, body)


def _keep(books: BrandStore, channel: str, sender: Sender, headers: dict[str, str], body: bytes) -> bool:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem(422, "Invalid request", "the body is not UTF-8") from error
    if "\0" in text:
        raise Problem(422, "Invalid request", "the body must not hold a NUL character")
    kept = {name: headers[name] for name in sender.kept_headers if name in headers}
    number = sender.message_id(headers, body)[:_LONGEST_ID]
    place = in_body(body) or find_card_data([number, kept])
    if place is not None:
        # A refused message comes again and again. It only says where to look: what is no card data is enough for that.
        text, kept = _without_card_data(text), redact_value(kept)
        number = hashlib.sha256(number.encode()).hexdigest() if find_card_data(number) is not None else number
    with books.write() as (connection, brand):
        new = receive(connection, brand, channel, number, kept, text)
        if new and place is not None:
            record(connection, brand, "card_data.redacted", f"inbox/{channel}", {"place": place}, actor=channel)
        return new


def _without_card_data(text: str) -> str:
    try:
        return json.dumps(redact_value(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return redact(text)
