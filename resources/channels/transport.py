"""One way to every vendor: breaker, rate limit, token, retries, and a clear word on whether a write may have happened.

Belongs here: what is the same for all vendors. Does not belong here: paths, bodies and answers (the connectors), or where
breakers and buckets are kept (`resources/breaker.py`, `resources/channels/limits.py`).
"""

import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from threading import BoundedSemaphore, Lock
from typing import Any, Protocol

import httpx2 as httpx
import stamina

from resources.channels.protocol import (
    ChannelUnavailable,
    CredentialsRefused,
    OutcomeUnknown,
    QuotaExhausted,
    RequestRefused,
)

# A breaker keeps what failed. What was tried again and went well is nobody's concern, and must not mix with a command's output.
stamina.instrumentation.set_on_retry_hooks([])

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_LONGEST_WAIT = 900.0
_EARLY = timedelta(seconds=60)
# It logs every address with its query, in which a vendor may want a signature or a client's e-mail address.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Clock:
    """Time, so that a test need not wait for it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Breaker(Protocol):
    """Stops calls to a vendor that fails, for all processes. `name` is the connection's."""

    def allow(self, name: str) -> float:
        """0 when a call may be made now, else the seconds until one may. In the half-open state one caller is let through."""
        ...

    def succeeded(self, name: str) -> None: ...

    def failed(self, name: str, why: str) -> None: ...


class Limiter(Protocol):
    """Buckets of a vendor's limits, shared by all processes. `bucket` is `connection/operation`."""

    def take(self, bucket: str, cost: float, rate: float, capacity: float) -> float:
        """Take `cost`, or say after how many seconds it could be taken (0: it was taken). Rate per second."""
        ...

    def told(
        self, bucket: str, *, available: float | None = None, rate: float | None = None, capacity: float | None = None
    ) -> None:
        """What the vendor's answer says of the bucket; it counts more than what we believed."""
        ...

    def take_of_day(self, bucket: str, cost: int, quota: int, resets_at: datetime) -> bool:
        """Take of a quota that is refilled at once at `resets_at`; False when it is used up."""
        ...


@dataclass(frozen=True)
class Limit:
    """A token bucket as the vendor documents it; the live values come from its answers."""

    bucket: str
    rate: float
    """Refilled a second."""
    capacity: float
    cost: float = 1.0


@dataclass(frozen=True)
class Token:
    """A bearer token and when it is to be renewed."""

    value: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class Tools:
    """What every connector is given: kept in the store in production, in memory in a connector's own tests."""

    breaker: Breaker
    limiter: Limiter
    clock: Clock


class TokenSource:
    """Fetches a bearer token when there is none or it is about to end, and again when the vendor refuses it."""

    def __init__(self, fetch: Callable[[], Token], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._token: Token | None = None

    def current(self) -> str:
        with self._lock:
            if self._token is None or self._token.expires_at - _EARLY <= self._clock.now():
                self._token = self._fetch()
            return self._token.value

    def refused(self, value: str) -> None:
        """The vendor does not take this one any more; the next `current` is a new one."""
        with self._lock:
            if self._token is not None and self._token.value == value:
                self._token = None


@dataclass(frozen=True)
class Dial:
    """How a vendor is called: where, as whom, and how patiently."""

    name: str
    """The connection's name, for messages, breaker and buckets."""
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    token: TokenSource | None = None
    token_header: str = "Authorization"
    token_prefix: str = "Bearer "
    verify: bool | str = True
    """False for no check of the certificate, or the path of a CA's file."""
    timeout_seconds: float = 30.0
    concurrency: int = 4
    attempts: int = 5
    patience_seconds: float = 30.0
    """For how long a call waits for its rate limit, before it gives up unsent."""


class Transport:
    """Requests to one connection."""

    def __init__(
        self, dial: Dial, tools: Tools, inspect: Callable[[httpx.Response], float | None] = lambda answer: None
    ) -> None:
        """`inspect` sees every answer before anything else does: it may tell the limiter what the headers say, and gives the
        seconds to wait where the answer means "not now, nothing was done" (Shopify says so with a 200)."""
        self.dial = dial
        self._tools = tools
        self._inspect = inspect
        self._slots = BoundedSemaphore(dial.concurrency)
        self._client = httpx.Client(
            base_url=dial.url,
            headers={"User-Agent": "luxauto", **dial.headers},
            auth=dial.basic,
            verify=_verification(dial.verify),
            timeout=dial.timeout_seconds,
            trust_env=False,
            follow_redirects=False,
        )

    def read(self, method: str, path: str, *, limit: Limit | None = None, **request: Any) -> httpx.Response:
        """A request that changes nothing, tried again as long as that may help. `request` goes to httpx (params, json, …).

        Raises ChannelUnavailable, CredentialsRefused, RequestRefused, QuotaExhausted.
        """
        return self._send(_Call(method, path, limit, request, changes=False))

    def write(self, method: str, path: str, *, limit: Limit | None = None, **request: Any) -> httpx.Response:
        """A request that changes something. Sent again only where the vendor surely did not act on it.

        Raises OutcomeUnknown where it may have, and what `read` raises where it has not.
        """
        return self._send(_Call(method, path, limit, request, changes=True))

    def close(self) -> None:
        self._client.close()

    def _send(self, call: "_Call") -> httpx.Response:
        try:
            for attempt in stamina.retry_context(
                on=_again, attempts=self.dial.attempts, timeout=None, wait_initial=0.5, wait_max=20.0
            ):
                with attempt:
                    return self._once(call)
        except _NotNow as last:
            raise ChannelUnavailable(f"{self.dial.name} does not answer {call}: {last}. Try again later.") from last
        raise AssertionError("the loop above returns or raises")

    def _once(self, call: "_Call") -> httpx.Response:
        # Before the breaker is asked: a token is fetched under the same name, and must not find that this call is the one try.
        token = self.dial.token.current() if self.dial.token else None
        self._admit(call.limit)
        sent = dict(call.request)
        if token is not None:
            sent["headers"] = {**sent.get("headers", {}), self.dial.token_header: f"{self.dial.token_prefix}{token}"}
        try:
            with self._slots:
                answer = self._client.request(call.method, call.path, **sent)
        except httpx.RequestError as error:
            raise self._lost(call, error) from error
        if self.dial.token is not None and token is not None and answer.status_code == 401 and not call.is_renewed:
            # An expired token: nothing was done. A new one that is refused too is a matter of credentials.
            call.is_renewed = True
            self.dial.token.refused(token)
            self._tools.breaker.succeeded(self.dial.name)
            raise _NotNow("the token has ended", wait=0.0)
        return self._judged(call, answer)

    def _admit(self, limit: Limit | None) -> None:
        wait = self._tools.breaker.allow(self.dial.name)
        if wait > 0:
            raise ChannelUnavailable(
                f"{self.dial.name} has failed repeatedly and is left alone for {wait:.0f} s. "
                f"`luxauto channel test {self.dial.name}` says what is wrong."
            )
        if limit is None:
            return
        bucket = f"{self.dial.name}/{limit.bucket}"
        while (seconds := self._tools.limiter.take(bucket, limit.cost, limit.rate, limit.capacity)) > 0:
            if seconds > self.dial.patience_seconds:
                until = self._tools.clock.now() + timedelta(seconds=seconds)
                raise QuotaExhausted(
                    f"{self.dial.name}: {limit.bucket} may be called again at {until:%H:%M:%S} UTC", until
                )
            self._tools.clock.sleep(seconds)

    def _lost(self, call: "_Call", error: httpx.RequestError) -> Exception:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self._tools.breaker.failed(self.dial.name, why)
        if call.changes and not isinstance(error, _NEVER_SENT):
            return OutcomeUnknown(f"{self.dial.name}: {call} was sent and not answered ({why})")
        return _NotNow(why)

    def _judged(self, call: "_Call", answer: httpx.Response) -> httpx.Response:
        name, status = self.dial.name, answer.status_code
        wait = self._inspect(answer)
        if wait is None and status == 429:
            wait = _retry_after(answer, self._tools.clock.now())
        if wait is not None or status == 429:
            self._tools.breaker.succeeded(name)
            if wait is not None:
                self._tools.clock.sleep(min(wait, _LONGEST_WAIT))
            raise _NotNow("too many requests", wait=None if wait is None else 0.0)
        if status >= 500:
            self._tools.breaker.failed(name, f"HTTP {status}")
            if call.changes:
                raise OutcomeUnknown(f"{name}: {call} was answered with HTTP {status}")
            raise _NotNow(f"HTTP {status}")
        self._tools.breaker.succeeded(name)
        if status in (401, 403):
            raise CredentialsRefused(f"{name} refuses the credentials ({status}): {self._reason(answer)}")
        if status >= 400:
            raise RequestRefused(f"{name} refuses {call} ({status}): {self._reason(answer)}", status, _body(answer))
        if status >= 300:
            where = answer.headers.get("location", "elsewhere").partition("?")[0]
            raise RequestRefused(f"{name} redirects {call} to {where}: correct the connection's URL", status)
        return answer

    def _reason(self, answer: httpx.Response) -> str:
        """What the vendor says, without the secrets of the request, which some repeat."""
        said = _body(answer)
        if isinstance(said, dict):
            said = said.get("message") or said.get("error_description") or said.get("errors") or said
        reason = " ".join(str(said).split())
        sent = [v.rpartition(" ")[2] for n, v in answer.request.headers.items() if _is_secret(n, self.dial)]
        for secret in [*sent, *(self.dial.basic or ())[1:]]:
            reason = reason.replace(secret, "…") if secret else reason
        return reason[:300] or "no reason given"


@dataclass
class _Call:
    method: str
    path: str
    limit: Limit | None
    request: dict[str, Any]
    changes: bool
    is_renewed: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


class _NotNow(Exception):
    """Nothing was done, and the same request may be sent again: after `wait` seconds more, or after a growing pause."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _again(error: Exception) -> bool | float:
    if not isinstance(error, _NotNow):
        return False
    return True if error.wait is None else error.wait


def _retry_after(answer: httpx.Response, now: datetime) -> float | None:
    """Seconds that the header asks for, as a number or as a date."""
    told = answer.headers.get("retry-after")
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(told) - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _verification(verify: bool | str) -> Any:
    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    return _public_authorities() if verify else False


@cache
def _public_authorities() -> ssl.SSLContext:
    """Reading all of them takes longer than most requests, and each sync opens every channel anew."""
    return httpx.create_ssl_context(trust_env=False)


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text


def _is_secret(header: str, dial: Dial) -> bool:
    return header == dial.token_header.lower() or any(part in header for part in ("auth", "token", "api-key"))
