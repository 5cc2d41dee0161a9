"""One way to the Selling Partner API: its token, its rates, and answers as JSON.

Belongs here: what every operation needs. Does not belong here: paths and bodies (`amazon.py`, `amazon_feeds.py`).
"""

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx

from resources.channels.amazon_limits import RATES, limit_of, live_rate
from resources.channels.protocol import ChannelError, ChannelUnavailable, Connection, CredentialsRefused, RequestRefused
from resources.channels.transport import Clock, Dial, Token, TokenSource, Tools, Transport

AUTH_URL = "https://api.amazon.com/auth/o2/token"
TOKEN_HEADER = "x-amz-access-token"
_AUTH_HOSTS = ("api.amazon.com", "api.amazon.co.uk", "api.amazon.co.jp")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SECRETS = ("client_id", "client_secret", "refresh_token")


class Api:
    """The operations' transport, and another one that never carries the token for foreign addresses."""

    def __init__(self, connection: Connection, tools: Tools) -> None:
        """Raises ChannelError where a secret is missing or `auth_url` is not the vendor's."""
        missing = [name for name in _SECRETS if not connection.secrets.get(name)]
        if missing:
            raise ChannelError(f"{connection.name} lacks the secrets {', '.join(missing)}: add them to the connection")
        options = connection.options
        self.name = connection.name
        self.clock: Clock = tools.clock
        self._limiter = tools.limiter
        self._secrets = connection.secrets
        self._auth_url = _checked_auth_url(connection.name, str(options.get("auth_url", AUTH_URL)))
        self._told: dict[str, float] = {}
        verify = options.get("ca_file") or not options.get("insecure", False)
        patience = float(options.get("timeout_seconds", 30.0))
        self._token = TokenSource(self._fetch_token, tools.clock)
        self._outside = Transport(Dial(connection.name, "", verify=verify, timeout_seconds=patience), tools)
        dial = Dial(
            connection.name,
            connection.url,
            token=self._token,
            token_header=TOKEN_HEADER,
            token_prefix="",
            verify=verify,
            timeout_seconds=patience,
        )
        self._transport = Transport(dial, tools, self._inspect)

    def read(self, operation: str, path: str, **request: Any) -> Any:
        """The answer's JSON, decimal numbers as Decimal. Raises what Transport.read raises."""
        method = request.pop("method", "GET")
        answer = self._transport.read(
            method, path, limit=limit_of(operation), extensions={"operation": operation}, **request
        )
        try:
            return parsed(answer.content)
        except ValueError as error:
            raise ChannelUnavailable(f"{self.name}: the answer to {operation} is not JSON. Try again later.") from error

    def write(self, operation: str, method: str, path: str, body: Any) -> Any:
        """Like `read`, for what changes something; None where the answer is no JSON. Raises what Transport.write raises."""
        answer = self._transport.write(
            method,
            path,
            limit=limit_of(operation),
            extensions={"operation": operation},
            content=encoded(body),
            headers={"Content-Type": "application/json"},
        )
        try:
            return parsed(answer.content)
        except ValueError:
            return None

    def upload(self, url: str, content: bytes, content_type: str) -> None:
        """Put a document to a pre-signed address. It has no effect until it is named in a later call, so it may be repeated."""
        self._foreign("PUT", url, content=content, headers={"Content-Type": content_type})

    def download(self, url: str) -> bytes:
        """The document at a pre-signed address."""
        return self._foreign("GET", url).content

    def check_token(self) -> None:
        """Fetch a token where there is none. Raises CredentialsRefused, ChannelUnavailable."""
        self._token.current()

    def close(self) -> None:
        self._transport.close()
        self._outside.close()

    def _foreign(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            return self._outside.read(method, url, **request)
        except CredentialsRefused as refused:
            raise ChannelUnavailable(f"{self.name}: a pre-signed address is no longer valid. Try again.") from refused

    def _fetch_token(self) -> Token:
        form = {"grant_type": "refresh_token", **{name: self._secrets[name] for name in _SECRETS}}
        try:
            told = parsed(self._outside.read("POST", self._auth_url, data=form).content)
            lasts = timedelta(seconds=int(told["expires_in"]))
            return Token(told["access_token"], self.clock.now() + lasts)
        except RequestRefused as refused:
            raise CredentialsRefused(
                f"{self.name}: Login with Amazon gives no token: {refused}. Authorise the application again in Seller "
                "Central and store the new refresh token and client secret."
            ) from refused
        except (ValueError, KeyError, TypeError) as error:
            raise ChannelUnavailable(f"{self.name}: Login with Amazon answers no token ({error})") from error

    def _inspect(self, answer: httpx.Response) -> float | None:
        operation = str(answer.request.extensions.get("operation", ""))
        if operation not in RATES:
            return None
        bucket, table = f"{self.name}/{operation}", RATES[operation]
        rate = live_rate(answer.headers)
        if rate is not None and self._told.get(operation) != rate:
            self._told[operation] = rate
            self._limiter.told(bucket, rate=rate, capacity=table.burst)
        if answer.status_code == 429 and "retry-after" not in answer.headers:
            # All processes wait for the next drop of the bucket, not this one alone.
            rate = self._told.get(operation, table.per_second)
            self._limiter.told(bucket, available=0.0, rate=rate, capacity=table.burst)
            return 0.0
        if answer.status_code == 403 and _is_about_the_token(answer):
            # An expired token is answered with 403, not 401.
            self._token.refused(answer.request.headers.get(TOKEN_HEADER, ""))
            return 0.0
        return None


def parsed(content: bytes) -> Any:
    """JSON with decimal numbers as Decimal. Raises ValueError."""
    return json.loads(content, parse_float=Decimal)


def encoded(body: Any) -> bytes:
    """JSON with each Decimal as the number that it is, digit by digit."""
    text = json.dumps(body, default=_marked)
    return re.sub(r'"\\u0000([0-9.]+)\\u0000"', r"\1", text).encode()


def _marked(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"\0{value:f}\0"
    raise TypeError(f"{value!r} cannot be sent as JSON")


def _is_about_the_token(answer: httpx.Response) -> bool:
    return re.search(r"token[^.]*expired", answer.text[:2000], re.IGNORECASE) is not None


def _checked_auth_url(name: str, url: str) -> str:
    parts = urlsplit(url)
    if (parts.scheme == "https" and parts.hostname in _AUTH_HOSTS) or parts.hostname in _LOOPBACK:
        return url
    raise ChannelError(f"{name}: auth_url is {url}, which is not Amazon's: leave it out, or use {AUTH_URL}")
