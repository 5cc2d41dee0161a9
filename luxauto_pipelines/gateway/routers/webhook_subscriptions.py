"""Webhooks out: URLs that are told of workflow events. What comes in from channels is `inbox`."""

import uuid
from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, Field, StringConstraints

from luxauto_pipelines.gateway.dependencies import Books, Caller, requires
from luxauto_pipelines.gateway.problems import Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Key, Strict
from luxauto_pipelines.workflows.webhooks import signing_secret
from resources.outbound import OutboundRefused, check_url
from resources.store import webhooks

router = make_router("/webhook-subscriptions", "Webhook subscriptions")
Kind = Annotated[str, StringConstraints(pattern=r"^(workflow|step|approval)\.[a-z_]{1,40}$")]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2048, pattern=r"^https?://[!-~]+$")]


class Subscribe(Strict):
    """Where to, and of what."""

    url: Url = Field(examples=["https://hooks.example.com/luxauto"])
    kinds: list[Kind] = Field(
        default_factory=list, max_length=30, description="Such as workflow.completed; none means all."
    )


class SubscriptionView(BaseModel):
    subscription_id: str
    url: str
    kinds: list[str]
    created_at: datetime


class Subscribed(BaseModel):
    success: bool = True
    subscription: SubscriptionView
    secret: str = Field(description="For checking `webhook-signature`; see standardwebhooks.com. Shown only here.")


class SubscriptionList(BaseModel):
    subscriptions: list[SubscriptionView]


@router.post("", dependencies=[requires("webhook:write")])
def subscribe(wanted: Subscribe, books: Books, caller: Caller) -> Subscribed:
    """Have events delivered to a URL on the public internet, signed, and tried again until it takes them."""
    try:
        check_url(wanted.url)
    except OutboundRefused as error:
        errors = [{"pointer": "#/url", "message": str(error)}]
        raise Problem(422, "Address refused", f"this URL may not be reached: {error}", errors) from error
    key = f"whs_{uuid.uuid4().hex}"
    with books.write() as (connection, brand):
        made = webhooks.subscribe(connection, brand, key, wanted.url, tuple(wanted.kinds), caller.subject)
        caller.record(connection, brand, "webhook.subscribe", key, {"url": wanted.url, "kinds": wanted.kinds})
    return Subscribed(subscription=_view(made), secret=signing_secret(books, key))


@router.get("", dependencies=[requires("webhook:write")])
def list_subscriptions(books: Books, caller: Caller) -> SubscriptionList:
    """Those that are in force."""
    with books.read() as (connection, brand):
        found = [s for s in webhooks.subscriptions(connection, brand) if caller.owns(s.owner)]
    return SubscriptionList(subscriptions=[_view(subscription) for subscription in found])


@router.delete("/{subscription_id}", dependencies=[requires("webhook:write")], status_code=204)
def unsubscribe(subscription_id: Key, books: Books, caller: Caller) -> Response:
    """Stop it, and what was still due to it."""
    with books.write() as (connection, brand):
        mine = [s.key for s in webhooks.subscriptions(connection, brand) if caller.owns(s.owner)]
        if subscription_id not in mine:
            raise Problem(404, "Unknown subscription", "there is no subscription of this id")
        webhooks.unsubscribe(connection, brand, subscription_id)
        caller.record(connection, brand, "webhook.unsubscribe", subscription_id, {})
    return Response(status_code=204)


def _view(subscription: webhooks.Subscription) -> SubscriptionView:
    return SubscriptionView(
        subscription_id=subscription.key,
        url=subscription.url,
        kinds=list(subscription.kinds),
        created_at=subscription.created_at,
    )
