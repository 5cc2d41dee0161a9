"""Webhooks of the channels: checked, written down, answered at once. What they mean is found out later."""

import hashlib

from fastapi import Depends, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from luxauto_pipelines.gateway.dependencies import Books, limit_by_address
from luxauto_pipelines.gateway.problems import PROBLEM_RESPONSES, Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.webhook_signatures import SENDERS, Sender, WebhookChannel, secret_of
from resources.store.brand_store import BrandStore
from resources.store.inbox import receive

router = make_router("/webhooks", "Webhooks")

_BODY = {"required": True, "content": {"application/json": {"schema": {}}, "*/*": {"schema": {"type": "string"}}}}


class Receipt(BaseModel):
    """The message is on disk."""

    success: bool = True
    duplicate: bool = Field(description="It had come before; nothing was written")


@router.post(
    "/{channel}",
    dependencies=[Depends(limit_by_address)],
    openapi_extra={"requestBody": _BODY, "security": []},
    responses={status: PROBLEM_RESPONSES[status] for status in (401, 413, 422, 503)},
)
async def webhook(channel: WebhookChannel, request: Request, books: Books) -> Receipt:
    """Take a message in. It is signed by the channel, not by a token; a message that came before is answered like the first."""
    sender, secret = _sender(channel)
    body = await request.body()
    if not sender.verify(secret, request.headers, body):
        raise Problem(
            401, "Unauthorized", "the signature is not the channel's", headers={"WWW-Authenticate": "Signature"}
        )
    new = await run_in_threadpool(_keep, books, channel, sender, dict(request.headers), body)
    return Receipt(duplicate=not new)


def _sender(channel: str) -> tuple[Sender, bytes]:
    sender, secret = SENDERS.get(channel), secret_of(channel)
    if sender is None:
        raise Problem(503, "Channel not available", f"messages of {channel} cannot be verified yet")
    if secret is None:
        variable = f"LUXAUTO_WEBHOOK_SECRET_{channel.upper()}"
        raise Problem(503, "Channel not available", f"no secret is configured for {channel}: set {variable}")
    return sender, secret


def _keep(books: BrandStore, channel: str, sender: Sender, headers: dict[str, str], body: bytes) -> bool:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem(422, "Invalid request", "the body is not UTF-8") from error
    if "\0" in text:
        raise Problem(422, "Invalid request", "the body must not hold a NUL character")
    numbers = [headers[name] for name in sender.id_headers if headers.get(name)]
    external_id = numbers[0][:255] if numbers else hashlib.sha256(body).hexdigest()
    kept = {name: headers[name] for name in sender.kept_headers if name in headers}
    with books.write() as (connection, brand):
        return receive(connection, brand, channel, external_id, kept, text)
