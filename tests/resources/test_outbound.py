"""Addresses that a caller chose: what is never reached, and what a peer cannot do to us."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from resources.outbound import (
    OutboundFailed,
    OutboundRefused,
    OutboundSession,
    Rules,
    check_url,
    is_public,
    rules_from_environment,
)

REFUSED = [
    "file:///etc/passwd",
    "gopher://example.com/",
    "ftp://example.com/",
    "ext::sh -c id",
    "//example.com/",
    "example.com",
    "",
    "http://",
    "http:///path",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001::1]/",
    "http://[fd00::1]/",
    "http://[fe80::1%25eth0]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://93.184.215.14:22/",
    "http://93.184.215.14:8080/",
    "http://93.184.215.14:99999/",
    "http://user@93.184.215.14/",
    "http://user:password@93.184.215.14/",
    "http://93.184.215.14@127.0.0.1/",
    "http://93.184.215.14\\@127.0.0.1/",
    "http://93.184.215.14/ a",
    "http://93.184.215.14/\r\nHost: x",
    "http://93.184.215.14\x00/",
    "http://①②⑦.⓪.⓪.①/",
    "http://exa mple.com/",
    "http://93.184.215.14/" + "x" * 3000,
    "http://no-such-host.invalid/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_is_not_of_the_public_internet_is_refused(url: str) -> None:
    with pytest.raises(OutboundRefused):
        check_url(url, Rules())


@pytest.mark.parametrize(
    "url", ["http://93.184.215.14/a?b=c", "https://[2606:4700::1111]/", "https://93.184.215.14:443"]
)
def test_a_public_address_is_allowed(url: str) -> None:
    assert check_url(url, Rules()).port in (80, 443)


def test_production_speaks_https_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUXAUTO_ENV", "production")
    with pytest.raises(OutboundRefused, match="https"):
        check_url("http://93.184.215.14/")
    assert check_url("https://93.184.215.14/").scheme == "https"


def test_listed_peers_alone_may_be_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUXAUTO_OUTBOUND_ALLOW", "127.0.0.1:8901, localhost:9000")
    assert rules_from_environment().allowed == {"127.0.0.1:8901", "localhost:9000"}
    assert check_url("http://127.0.0.1:8901/x").is_allowed_peer
    for url in ("http://127.0.0.1:8902/", "http://localhost:8901/", "http://127.0.0.1/"):
        with pytest.raises(OutboundRefused):
            check_url(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [("8.8.8.8", True), ("2606:4700::1111", True), ("192.0.2.1", False), ("::ffff:8.8.8.8", True), ("ff02::1", False)],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def answer_of(address: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer_of("8.8.8.8") + answer_of("10.0.0.1"))
    with pytest.raises(OutboundRefused):
        check_url("http://shop.example/", Rules())


def test_a_name_that_changes_its_meaning_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [answer_of("8.8.8.8"), answer_of("127.0.0.1")]
    connected: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr(socket, "create_connection", lambda address, *_: connected.append(address))
    check_url("http://rebinding.example/", Rules())
    with pytest.raises(OutboundRefused):
        OutboundSession(Rules()).request("GET", "http://rebinding.example/")
    assert connected == []


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer_of("8.8.8.8"))

    def connect(address: Any, *_: Any) -> Any:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(OutboundFailed):
        OutboundSession(Rules()).request("GET", "http://shop.example/")
    assert asked == [("8.8.8.8", 80)]


class Peer(BaseHTTPRequestHandler):
    """A peer with bad manners, by path."""

    stop = threading.Event()
    seen: list[tuple[str, str, bytes]] = []  # noqa: RUF012 (the test's own record)

    def do_GET(self) -> None:
        getattr(self, self.path[1:].partition("?")[0])()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.headers["Host"], self.headers.get("X-Signature", ""), body))
        self._send(202, b"taken")

    def plain(self) -> None:
        self._send(200, b"hello")

    def redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def large(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._until_closed(b"x" * 65_536, 0)

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._until_closed(b"x", 0.05)

    def drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._until_closed(b"X-A: b\r\n", 0.05)

    def silent(self) -> None:
        self.stop.wait(30)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _until_closed(self, piece: bytes, seconds: float) -> None:
        try:
            while not self.stop.wait(seconds):
                self.wfile.write(piece)
        except OSError:
            return


@pytest.fixture
def peer() -> Iterator[str]:
    Peer.stop.clear()
    Peer.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    Peer.stop.set()
    server.shutdown()
    server.server_close()


def session(peer: str, **bounds: Any) -> OutboundSession:
    return OutboundSession(Rules(allowed=frozenset({peer})), **bounds)


def test_an_allowed_peer_is_asked_and_answers(peer: str) -> None:
    answer = session(peer).request("GET", f"http://{peer}/plain")
    assert (answer.status, answer.body) == (200, b"hello")
    sent = session(peer).request("POST", f"http://{peer}/x", body=b"{}", headers={"X-Signature": "s"})
    assert sent.status == 202
    assert Peer.seen == [(peer, "s", b"{}")]


def test_a_redirect_is_an_answer_and_not_followed(peer: str) -> None:
    answer = session(peer).request("GET", f"http://{peer}/redirect")
    assert (answer.status, answer.headers["Location"]) == (302, "http://169.254.169.254/")


def test_an_answer_without_end_is_cut(peer: str) -> None:
    with pytest.raises(OutboundFailed, match="more than"):
        session(peer, max_bytes=100_000).request("GET", f"http://{peer}/large")


@pytest.mark.parametrize("manner", ["drip", "drip_headers", "silent"])
def test_a_slow_peer_is_given_up_in_time(peer: str, manner: str) -> None:
    started = time.monotonic()
    with pytest.raises(OutboundFailed, match="too long"):
        session(peer, timeout_seconds=0.6).request("GET", f"http://{peer}/{manner}")
    assert time.monotonic() - started < 5


def test_a_proxy_of_the_environment_is_not_used(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert session(peer).request("GET", f"http://{peer}/plain").status == 200


def test_the_certificate_must_be_for_the_name(peer: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        heard.append(connection.recv(1000))
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(OutboundFailed):
        session(name).request("GET", f"https://{name}/secret")
    listener.close()
    assert b"secret" not in heard[0]


def test_tls_asks_for_the_host_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer_of("8.8.8.8"))
    monkeypatch.setattr(socket, "create_connection", lambda *_: ours)

    def wrap(self: ssl.SSLContext, *_: Any, server_hostname: str | None = None, **__: Any) -> Any:
        asked.append((server_hostname, self.verify_mode, self.check_hostname))
        raise ssl.SSLError("enough")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap)
    with pytest.raises(OutboundFailed):
        OutboundSession(Rules()).request("GET", "https://shop.example/")
    assert asked == [("shop.example", ssl.CERT_REQUIRED, True)]
    theirs.close()


def test_what_fails_is_named_without_the_path(peer: str) -> None:
    ask: Callable[[], Any] = lambda: OutboundSession(  # noqa: E731
        Rules(allowed=frozenset({"127.0.0.1:1"}))
    ).request("GET", "http://127.0.0.1:1/?token=abc")
    with pytest.raises(OutboundFailed) as failed:
        ask()
    assert "abc" not in str(failed.value)
