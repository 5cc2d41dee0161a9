"""What becomes of a request when a vendor misbehaves: over real sockets, with faults laid out beforehand."""

import ipaddress
import logging
import ssl
import traceback
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import httpx2 as httpx
import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resources.breaker import StoreBreaker
from resources.channels.protocol import (
    ChannelError,
    ChannelUnavailable,
    CredentialsRefused,
    OutcomeUnknown,
    RequestRefused,
)
from resources.channels.transport import Dial, Limit, Token, TokenSource, Tools, Transport
from resources.store.brand_store import BrandStore
from tests.peers.postgres import free_port
from tests.peers.vendor import TOO_MANY, Asked, Fault, Reply, VendorPeer
from tests.resources.channels.tools import ClosedBreaker, JumpingClock, MemoryLimiter

PASSWORD = "cs_5ecret-of-the-shop"
ATTEMPTS = 5


class Shop(VendorPeer):
    """Keeps one quantity, counts how often it was set, and knows tokens if it is given any."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.sets: list[int] = []
        self.tokens: set[str] | None = None
        self.repeats: int | None = None
        """The status of a refusal that repeats every secret of the request."""
        super().__init__(tls)

    def answer(self, asked: Asked) -> Reply:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if asked.path == "/token":
            assert self.tokens is not None
            self.tokens = {f"t0ken-number-{self.count('POST', '/token')}"}
            return Reply(200, {"access_token": min(self.tokens)})
        if self.repeats is not None:
            basic = b64decode(token.removeprefix("Basic ")) if token.startswith("Basic ") else b""
            said = f"unknown: {token} {basic.decode()} {asked.headers.get('x-shopify-access-token')}"
            return Reply(self.repeats, {"message": said})
        if self.tokens is not None and token not in self.tokens:
            return Reply(401, {"message": f"the token {token} is not known"})
        if asked.method == "PUT":
            self.sets.append(asked.json()["quantity"])
        return Reply(200, {"quantity": self.sets[-1] if self.sets else None})


class Caller:
    """A transport to a peer, and the tools that it was given."""

    def __init__(
        self, url: str, breaker: Any = None, limiter: Any = None, inspect: Any = lambda answer: None, **dial: Any
    ) -> None:
        self.clock = JumpingClock()
        self.breaker = breaker or ClosedBreaker()
        self.limiter = limiter or MemoryLimiter(self.clock)
        tools = Tools(self.breaker, self.limiter, self.clock)
        self.transport = Transport(Dial("shop", url, **dial), tools, inspect)

    def read(self, **request: Any) -> Any:
        return self.transport.read("GET", "/stock", **request).json()["quantity"]

    def write(self, quantity: int = 7) -> Any:
        return self.transport.write("PUT", "/stock?secret=1", json={"quantity": quantity}).json()["quantity"]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as peer:
        yield peer


@pytest.fixture(autouse=True)
def _without_pauses() -> Iterator[None]:
    """Growing pauses between attempts are stamina's, and not waited for."""
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


def test_an_answer_is_given_as_it_came(shop: Shop) -> None:
    caller = Caller(shop.url, headers={"X-Version": "3"})
    assert caller.write(5) == 5
    assert caller.read(params={"page": 2}) == 5
    assert [(a.method, a.path, dict(a.query)) for a in shop.asked][1] == ("GET", "/stock", {"page": "2"})
    assert (shop.asked[1].headers["x-version"], shop.asked[1].headers["user-agent"]) == ("3", "luxauto")
    assert caller.breaker.successes == 2


@pytest.mark.parametrize("work", [Caller.read, Caller.write])
def test_a_refused_connection_is_tried_again_and_nothing_was_done(work: Callable[[Caller], Any]) -> None:
    caller = Caller(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ChannelUnavailable, match=r"shop does not answer .* /stock: ConnectError") as caught:
        work(caller)
    assert "secret" not in str(caught.value)
    assert len(caller.breaker.failures) == ATTEMPTS


@pytest.mark.parametrize(
    ("header", "slept"),
    [
        ("7", [7.0]),
        ("0.5", [0.5]),
        ("-3", [0.0]),
        ("86400", [900.0]),
        (format_datetime(datetime(2026, 11, 22, 12, 0, 40, tzinfo=UTC), usegmt=True), [40.0]),
        (format_datetime(datetime(2026, 11, 22, 11, tzinfo=UTC), usegmt=True), [0.0]),
        ("soon", []),
        (None, []),
    ],
)
def test_too_many_requests_waits_as_told_and_writes_once(shop: Shop, header: str | None, slept: list[float]) -> None:
    reply = Reply(429, TOO_MANY.body, {"Retry-After": header} if header else {})
    shop.faults.append(Fault("reply", reply=reply))
    caller = Caller(shop.url)
    assert caller.write() == 7
    assert (shop.sets, shop.count("PUT")) == ([7], 2)
    assert caller.clock.slept == slept
    assert caller.breaker.failures == []


def test_too_many_requests_for_ever_is_said(shop: Shop) -> None:
    shop.faults.append(Fault("reply", times=99, reply=TOO_MANY))
    with pytest.raises(ChannelUnavailable, match="too many requests"):
        Caller(shop.url).write()
    assert (shop.sets, shop.count("PUT")) == ([], ATTEMPTS)


@pytest.mark.parametrize("kind", ["reply", "reset_before", "reset_after"])
def test_a_read_is_tried_again(shop: Shop, kind: str) -> None:
    shop.faults.append(Fault(kind, times=ATTEMPTS - 1))
    caller = Caller(shop.url)
    assert caller.read() is None
    assert shop.count("GET") == ATTEMPTS
    assert (len(caller.breaker.failures), caller.breaker.successes) == (ATTEMPTS - 1, 1)


def test_a_read_that_never_works_says_why(shop: Shop) -> None:
    shop.faults.append(Fault("reply", times=99, reply=Reply(502)))
    with pytest.raises(ChannelUnavailable, match=r"shop does not answer GET /stock: HTTP 502\. Try again later"):
        Caller(shop.url).read()
    assert shop.count("GET") == ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        (Fault("reply"), []),
        (Fault("reply_after", reply=Reply(500)), [7]),
        (Fault("reset_before"), []),
        (Fault("reset_after"), [7]),
        (Fault("hang_after"), [7]),
        (Fault("late"), []),
        # The vendor has done it, and its answer cannot be read.
        (Fault("reply_after", reply=Reply(200, b"no gzip", {"Content-Encoding": "gzip"})), [7]),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_a_write_without_a_clear_answer_is_unknown_and_not_sent_again(
    shop: Shop, fault: Fault, done: list[int]
) -> None:
    shop.faults.append(fault)
    caller = Caller(shop.url, timeout_seconds=0.5)
    with pytest.raises(OutcomeUnknown, match="shop: PUT /stock was") as caught:
        caller.write()
    assert "secret" not in str(caught.value)
    assert (shop.sets, shop.count("PUT"), len(caller.breaker.failures)) == (done, 1, 1)


def with_tokens(shop: Shop, **dial: Any) -> Caller:
    """A caller that fetches its tokens from the same peer, as the connectors do: under the connection's name."""
    shop.tokens = set()
    plain = Caller(shop.url, **dial)

    def fetch() -> Token:
        told = plain.transport.read("POST", "/token").json()
        return Token(told["access_token"], plain.clock.now() + timedelta(hours=1))

    caller = Caller(shop.url, breaker=plain.breaker, token=TokenSource(fetch, plain.clock))
    caller.clock = plain.clock
    return caller


def test_a_token_is_fetched_once_and_again_before_it_ends(shop: Shop) -> None:
    caller = with_tokens(shop)
    assert [caller.write(n) for n in (1, 2)] == [1, 2]
    assert shop.count("POST", "/token") == 1
    caller.clock.sleep(3541)
    assert caller.write(3) == 3
    assert shop.count("POST", "/token") == 2


def test_a_token_that_ends_early_is_renewed_once_and_the_write_done_once(shop: Shop) -> None:
    caller = with_tokens(shop)
    caller.write(1)
    shop.tokens = set()
    assert caller.write(2) == 2
    assert shop.sets == [1, 2]
    assert (shop.count("POST", "/token"), shop.count("PUT")) == (2, 3)


def test_many_threads_renew_a_token_once(shop: Shop) -> None:
    caller = with_tokens(shop)
    caller.write(0)
    shop.tokens = set()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(caller.write, range(1, 5)))
    assert sorted(shop.sets) == [0, 1, 2, 3, 4]
    assert shop.count("POST", "/token") == 2


def test_a_new_token_that_is_refused_too_is_a_matter_of_credentials(shop: Shop) -> None:
    caller = with_tokens(shop)
    shop.faults.append(
        Fault("reply", times=99, matches=lambda a: a.path == "/stock", reply=Reply(401, {"errors": "no"}))
    )
    with pytest.raises(CredentialsRefused, match=r"shop refuses the credentials \(401\): no"):
        caller.write()
    assert (shop.count("POST", "/token"), shop.count("PUT"), shop.sets) == (2, 2, [])


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_credentials_is_not_tried_again(shop: Shop, status: int) -> None:
    shop.faults.append(Fault("reply", times=99, reply=Reply(status, {"message": "lacks  write_inventory"})))
    caller = Caller(shop.url)
    with pytest.raises(CredentialsRefused, match="lacks write_inventory"):
        caller.write()
    assert shop.count("PUT") == 1
    assert caller.breaker.failures == []


def test_a_wrong_request_tells_what_the_vendor_says(shop: Shop) -> None:
    shop.faults.append(Fault("reply", reply=Reply(422, {"errors": {"quantity": "is too big"}})))
    with pytest.raises(RequestRefused, match=r"shop refuses PUT /stock \(422\).*is too big") as caught:
        Caller(shop.url).write()
    assert (caught.value.status, caught.value.body) == (422, {"errors": {"quantity": "is too big"}})
    shop.faults.append(Fault("reply", reply=Reply(404, b"")))
    with pytest.raises(RequestRefused, match="no reason given"):
        Caller(shop.url).read()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_names_the_new_address(shop: Shop, status: int) -> None:
    reply = Reply(status, b"", {"Location": "https://www.shop.example/stock?consumer_secret=1"})
    shop.faults.append(Fault("reply", reply=reply))
    with pytest.raises(RequestRefused, match=r"to https://www\.shop\.example/stock: correct the connection") as caught:
        Caller(shop.url, basic=("user", PASSWORD)).write()
    assert (caught.value.status, shop.count("PUT")) == (status, 1)


def test_an_inspection_may_say_that_nothing_was_done_yet(shop: Shop) -> None:
    """Shopify answers 200 to what it has throttled, and another vendor may do so with 503."""
    for status in (200, 503):
        shop.faults.append(Fault("reply", reply=Reply(status, {"throttled": 3})))
    caller = Caller(shop.url, inspect=lambda answer: answer.json().get("throttled"))
    assert caller.write() == 7
    assert (shop.sets, shop.count("PUT"), caller.clock.slept) == ([7], 3, [3, 3])


def test_a_limit_is_waited_for_by_the_clock(shop: Shop) -> None:
    caller = Caller(shop.url)
    for _ in range(3):
        caller.read(limit=Limit("all", rate=0.5, capacity=1))
    assert caller.clock.slept == [2.0, 2.0]
    assert caller.limiter.buckets.keys() == {"shop/all"}


def test_after_repeated_failures_calls_stop_until_one_tries(shop: Shop, books: BrandStore) -> None:
    clock = JumpingClock()
    breaker = StoreBreaker(books, clock)
    caller, other = Caller(shop.url, breaker), Caller(shop.url, breaker)
    shop.faults.append(Fault("reply", times=6))
    with pytest.raises(ChannelUnavailable, match="HTTP 503"):
        caller.read()
    for _ in range(2):
        with pytest.raises(ChannelUnavailable, match=r"left alone for 60 s.*`luxauto channel test shop`"):
            other.write()
    assert shop.count("GET") == 5 and shop.count("PUT") == 0
    clock.sleep(60)
    # The try fails, and its own next attempt is stopped like everybody's.
    with pytest.raises(ChannelUnavailable, match="left alone for 120 s"):
        caller.read()
    clock.sleep(120)
    others: list[str] = []
    shop.faults.append(Fault("meanwhile", act=lambda: others.append(_refusal(other))))
    assert caller.write() == 7
    assert others == ["ChannelUnavailable"]
    assert (other.write(8), shop.sets) == (8, [7, 8])


@pytest.mark.parametrize("begins", ["a fresh process", "a token that the vendor has forgotten"])
def test_a_try_that_needs_a_token_first_closes_the_breaker(shop: Shop, books: BrandStore, begins: str) -> None:
    clock = JumpingClock()
    breaker = StoreBreaker(books, clock)
    caller = with_tokens(shop, breaker=breaker)
    if begins != "a fresh process":
        caller.write(1)
        shop.tokens = set()
    for _ in range(5):
        breaker.failed("shop", "HTTP 503")
    clock.sleep(60)
    assert caller.write(2) == 2
    assert breaker.allow("shop") == 0


def _refusal(caller: Caller) -> str:
    try:
        return str(caller.write(9))
    except ChannelError as error:
        return type(error).__name__


class CountingLimiter(MemoryLimiter):
    """Tells when a caller has been let through and is about to send."""

    def __init__(self) -> None:
        super().__init__(JumpingClock())
        self.let_through = Semaphore(0)

    def take(self, bucket: str, cost: float, rate: float, capacity: float) -> float:
        self.let_through.release()
        return 0.0


def test_no_more_requests_are_under_way_than_the_connection_allows(shop: Shop) -> None:
    cap, requests = 3, 8
    arrived, go_on, seen = Semaphore(0), Event(), list[None]()

    def hold() -> None:
        seen.append(None)
        arrived.release()
        assert go_on.wait(30)

    shop.faults.append(Fault("meanwhile", times=requests, matches=lambda asked: asked.path == "/stock", act=hold))
    limiter = CountingLimiter()
    caller, other = Caller(shop.url, limiter=limiter, concurrency=cap), Caller(shop.url)
    with ThreadPoolExecutor(requests) as pool:
        under_way = [pool.submit(caller.read, limit=Limit("all", 1, 1)) for _ in range(requests)]
        assert all(limiter.let_through.acquire(timeout=30) for _ in under_way)
        assert all(arrived.acquire(timeout=30) for _ in range(cap))
        # All want to send. While another connection's requests come and go, none of theirs comes besides those allowed.
        for _ in range(50):
            other.transport.read("GET", "/other")
        held = len(seen)
        go_on.set()
    assert (held, len(seen)) == (cap, requests)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "peer.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


@pytest.fixture
def https_shop(certificate: Path) -> Iterator[Shop]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with Shop(context) as peer:
        yield peer


def test_a_certificate_that_nobody_vouches_for_is_refused(
    https_shop: Shop, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the environment trusts is not what the connection trusts.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(ChannelUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        Caller(https_shop.url).write()
    assert https_shop.asked == []


def test_a_certificate_is_accepted_by_its_authority_or_without_a_check(https_shop: Shop, certificate: Path) -> None:
    assert Caller(https_shop.url, verify=str(certificate)).write(1) == 1
    assert Caller(https_shop.url, verify=False).write(2) == 2
    # For another host's name it does not do.
    with pytest.raises(ChannelUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        Caller(https_shop.url.replace("127.0.0.1", "localhost"), verify=str(certificate)).write(3)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
def test_proxies_of_the_environment_are_ignored(shop: Shop, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    assert Caller(shop.url).read() is None


def test_secrets_are_in_no_error_no_repr_and_no_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Also where the vendor repeats what it was sent."""
    caplog.set_level(logging.DEBUG)
    callers = {
        "t0ken-number": with_tokens(shop),
        PASSWORD: Caller(shop.url, basic=("user", PASSWORD)),
        "shpat_0123456789": Caller(shop.url, headers={"X-Shopify-Access-Token": "shpat_0123456789"}),
    }
    for secret, caller in callers.items():
        told = [repr(caller.transport.dial), repr(caller.transport.dial.token)]
        for status in (400, 401, 403):
            shop.repeats = status
            told += [_traceback(work) for work in (caller.write, caller.read)]
        shop.repeats = None
        for fault in (Fault("reset_before"), Fault("reply", times=ATTEMPTS)):
            shop.faults = [fault]
            told += [_traceback(work) for work in (caller.write, caller.read)]
        assert sum("Traceback" in text for text in told) >= 8
        assert sum("unknown: " in text and "…" in text for text in told) == 6
        assert [text for text in told if secret in text] == []
        assert secret not in caplog.text
    # The query of a request may hold a shop's secret too.
    assert "secret=1" not in caplog.text
    assert "t0ken" not in repr(Token("t0ken-number-1", datetime.now(UTC)))


def _traceback(work: Callable[[], Any]) -> str:
    try:
        return str(work())
    except ChannelError as error:
        return "".join(traceback.format_exception(error)) + repr(error)


def test_a_url_that_is_none_is_said(shop: Shop) -> None:
    with pytest.raises(ChannelUnavailable, match="UnsupportedProtocol"):
        Caller("shop.example").read()
    assert isinstance(Caller(shop.url).transport.read("GET", "/stock"), httpx.Response)
