"""GraphQL over the transport: what an answer of Shopify with status 200 really says.

Belongs here: token, points, top-level errors, pages. Does not belong here: what a document asks for, or what its data mean.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2 as httpx

from resources.channels import shopify_documents as documents
from resources.channels.protocol import (
    ChannelError,
    ChannelUnavailable,
    Connection,
    CredentialsRefused,
    OutcomeUnknown,
    RequestRefused,
)
from resources.channels.transport import Dial, Limit, Token, TokenSource, Tools, Transport

API_VERSION = "2026-10"
# Of the Standard plan; each answer tells the real ones.
_POINTS_A_SECOND, _MOST_POINTS = 100.0, 2000.0
# A mutation is 10 points and a little; the first answer to each document tells its real cost.
_FIRST_GUESS = {documents.LIST_ITEMS: 200.0, documents.ORDERS: 200.0, documents.READ_ITEMS: 200.0}
_USUAL_GUESS = 15.0


class Graph:
    """Reads raise ChannelUnavailable, CredentialsRefused or RequestRefused; writes OutcomeUnknown besides."""

    def __init__(self, connection: Connection, tools: Tools) -> None:
        self._name = connection.name
        self._limiter = tools.limiter
        self._costs = dict(_FIRST_GUESS)
        self._tokens: Transport | None = None
        self.served_version: str | None = None
        self._transport = Transport(self._dial(connection, tools), tools, self._inspect)

    def read(self, document: str, **variables: Any) -> Mapping[str, Any]:
        return self._data(document, variables, changes=False)

    def write(self, document: str, **variables: Any) -> Mapping[str, Any]:
        return self._data(document, variables, changes=True)

    def pages(self, document: str, of: str, **variables: Any) -> Iterator[list[Mapping[str, Any]]]:
        """The nodes of the connection `of`, page by page."""
        after = None
        while True:
            page = self.read(document, after=after, **variables)[of]
            if page["nodes"]:
                yield page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def close(self) -> None:
        self._transport.close()
        if self._tokens is not None:
            self._tokens.close()

    def _data(self, document: str, variables: Mapping[str, Any], *, changes: bool) -> Mapping[str, Any]:
        send = self._transport.write if changes else self._transport.read
        cost = self._costs.get(document, _USUAL_GUESS)
        limit = Limit("graphql", _POINTS_A_SECOND, _MOST_POINTS, cost)
        sent = {"query": document, "variables": variables}
        answer = send("POST", f"/admin/api/{API_VERSION}/graphql.json", limit=limit, json=sent)
        body = _parsed(answer)
        self.served_version = answer.headers.get("x-shopify-api-version")
        self._costs[document] = float(_cost(body).get("requestedQueryCost") or cost)
        data, errors = body.get("data"), _errors(body)
        # A mutation that was carried out is told as such, whatever else went wrong in its answer.
        is_done = changes and any((data or {}).values())
        if (errors and not is_done) or not data or (changes and not is_done):
            raise self._failure(errors, changes)
        return data

    def _failure(self, errors: list[Mapping[str, Any]], changes: bool) -> ChannelError:
        said = "; ".join(str(error.get("message")) for error in errors) or "no data and no reason given"
        codes = {code_of(error) for error in errors}
        if not errors or codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"}:
            return (OutcomeUnknown if changes else ChannelUnavailable)(f"{self._name} failed: {said}")
        if "ACCESS_DENIED" in codes:
            return CredentialsRefused(
                f"{self._name} lacks a permission: {said}. Grant it to the app and install it again."
            )
        return RequestRefused(f"{self._name} refuses the request: {said}", 200, errors)

    def _inspect(self, answer: httpx.Response) -> float | None:
        """Tells the limiter; the seconds to wait where the answer is that there are too few points left."""
        if answer.status_code != 200:
            return None
        body = _parsed(answer)
        cost = _cost(body)
        status = cost.get("throttleStatus") or {}
        available, rate = status.get("currentlyAvailable"), status.get("restoreRate")
        if available is not None and rate:
            available, rate = float(available), float(rate)
            capacity = float(status.get("maximumAvailable") or _MOST_POINTS)
            self._limiter.told(f"{self._name}/graphql", available=available, rate=rate, capacity=capacity)
        if "THROTTLED" not in {code_of(error) for error in _errors(body)}:
            return None
        if available is None or not rate:
            return 1.0
        return max(0.0, (float(cost.get("requestedQueryCost") or 0) - available) / rate)

    def _dial(self, connection: Connection, tools: Tools) -> Dial:
        options, secrets = connection.options, connection.secrets
        verify = False if options.get("insecure") else options.get("ca_file") or True
        plain = Dial(
            connection.name, connection.url, verify=verify, timeout_seconds=float(options.get("timeout_seconds", 30.0))
        )
        if token := secrets.get("access_token"):
            return replace(plain, headers={"X-Shopify-Access-Token": token})
        if not (secrets.get("client_id") and secrets.get("client_secret")):
            raise CredentialsRefused(
                f"{connection.name} has no credentials: give `access_token`, or `client_id` and `client_secret`."
            )
        self._tokens = tokens = Transport(plain, tools)
        source = TokenSource(lambda: _fetch_token(tokens, secrets, tools), tools.clock)
        return replace(plain, token=source, token_header="X-Shopify-Access-Token", token_prefix="")


def code_of(error: Mapping[str, Any]) -> str | None:
    return (error.get("extensions") or {}).get("code")


def _fetch_token(transport: Transport, secrets: Mapping[str, str], tools: Tools) -> Token:
    form = {
        "grant_type": "client_credentials",
        "client_id": secrets["client_id"],
        "client_secret": secrets["client_secret"],
    }
    name = transport.dial.name
    try:
        told = _parsed(transport.read("POST", "/admin/oauth/access_token", data=form))
    except RequestRefused as error:
        raise CredentialsRefused(f"{name} gives no token for this client id and secret: {error}") from error
    if not told.get("access_token"):
        raise CredentialsRefused(
            f"{name} gives no token for this client id and secret: is the app installed in the shop?"
        )
    lasts = timedelta(seconds=int(told.get("expires_in") or 86_399))
    return Token(str(told["access_token"]), tools.clock.now() + lasts)


def _parsed(answer: httpx.Response) -> Mapping[str, Any]:
    """The answer's object; an empty one where it is something else, as from a proxy in between."""
    try:
        body = json.loads(answer.content, parse_float=Decimal)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _errors(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The top-level errors, but for an address that the app is not approved to see: the order is shown without it."""
    told = body.get("errors") or []
    if not isinstance(told, list):
        return [{"message": str(told)}]
    return [
        error
        for error in told
        if not (code_of(error) == "ACCESS_DENIED" and (error.get("path") or [""])[-1] == "shippingAddress")
    ]


def _cost(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return (body.get("extensions") or {}).get("cost") or {}
