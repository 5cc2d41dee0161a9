"""Requests to addresses that a caller chose: webhooks, repositories, pages. Guards against requests forged through us (SSRF).

Belongs here: what may be reached, and reaching it at the very address that was checked. Does not belong here: requests to the
vendors that this project knows by itself.

Only http and https (https alone in production), ports 80 and 443, no credentials, and only addresses of the public internet;
LUXAUTO_OUTBOUND_ALLOW names further peers as `host:port,host:port`. No proxy of the environment is used and no redirect
followed: `check_url` each of them. Size and time of an answer are bounded.
"""

import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:\-]{1,253}")
# Python takes these to be global, but what they lead to is not in the address's own hands.
_TRANSLATED = [ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")]


class OutboundRefused(Exception):
    """An address that must not be reached; the message says why."""


class OutboundFailed(Exception):
    """The peer did not answer, or not within bounds. Whether it got the request is not known."""


@dataclass(frozen=True)
class Rules:
    """What may be reached. `allowed` are peers as `host:port` for which no other rule counts."""

    https_only: bool = False
    allowed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Target:
    """A URL that was taken apart and found to be allowed as far as its text goes."""

    scheme: str
    host: str
    port: int
    path: str
    is_allowed_peer: bool


@dataclass(frozen=True)
class Answer:
    """What the peer said. A redirect is an answer like any other."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def rules_from_environment() -> Rules:
    """The rules of this installation."""
    listed = os.environ.get("LUXAUTO_OUTBOUND_ALLOW", "")
    allowed = frozenset(peer.strip().lower() for peer in listed.split(",") if peer.strip())
    return Rules(os.environ.get("LUXAUTO_ENV", "development") == "production", allowed)


def check_url(url: str, rules: Rules | None = None, *, resolve: bool = True) -> Target:
    """Raises OutboundRefused unless the URL, and every address its host has now, may be reached."""
    chosen = rules or rules_from_environment()
    target = _taken_apart(url, chosen)
    if not target.is_allowed_peer:
        _check_scheme_and_port(target, chosen)
        if resolve:
            _resolve(target.host, target.port, any_address=False)
    return target


@dataclass
class OutboundSession:
    """Sends requests under the rules. Each uses a connection of its own: what was checked is what is connected to."""

    rules: Rules = field(default_factory=rules_from_environment)
    timeout_seconds: float = 10.0
    max_bytes: int = 1_000_000

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """One request and its answer; the time is for all of it. Raises OutboundRefused and OutboundFailed."""
        target = check_url(url, self.rules, resolve=False)
        seconds = timeout_seconds or self.timeout_seconds
        connection = _connection(target, seconds)
        watchdog = threading.Timer(seconds, connection.abort)
        watchdog.daemon = True
        # Before the watchdog starts: when it bites, this time is over.
        deadline = time.monotonic() + seconds
        watchdog.start()
        try:
            connection.request(
                method,
                target.path,
                body=body,
                headers={"Accept-Encoding": "identity", "User-Agent": "luxauto", **(headers or {})},
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.headers), self._read(response))
            if connection.is_aborted:
                # An answer that ends with its connection looks whole when it is cut.
                raise TimeoutError
            return answer
        except (HTTPError, OSError, ValueError) as error:
            if isinstance(error.__cause__, OutboundRefused):
                raise error.__cause__ from None
            why = "took too long" if time.monotonic() >= deadline else f"failed ({type(error).__name__})"
            raise OutboundFailed(f"{method} to {target.host}:{target.port} {why}") from error
        finally:
            watchdog.cancel()
            connection.close()

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        body = bytearray()
        while chunk := response.read1(65_536):
            body += chunk
            if len(body) > self.max_bytes:
                raise OutboundFailed(f"the answer has more than {self.max_bytes} bytes")
        return bytes(body)


class _Checked:
    """Connects to an address that passed the check, and to no other that the name may mean a moment later."""

    host: str
    port: Any
    timeout: Any
    is_allowed_peer: bool
    _open: socket.socket | None = None
    is_aborted = False

    def _new_conn(self) -> socket.socket:
        try:
            addresses = _resolve(self.host, self.port, any_address=self.is_allowed_peer)
        except OutboundRefused as error:
            raise urllib3.exceptions.NewConnectionError(self, str(error)) from error  # pyright: ignore[reportArgumentType]
        fault: Exception | None = None
        for address in addresses:
            try:
                self._open = socket.create_connection((str(address), self.port), self.timeout)
            except OSError as error:
                fault = error
                continue
            if self.is_aborted:
                self._open.close()
                raise TimeoutError
            return self._open
        raise urllib3.exceptions.NewConnectionError(self, "no address answers") from fault  # pyright: ignore[reportArgumentType]

    def abort(self) -> None:
        """End whatever waits for the peer, in whichever phase."""
        self.is_aborted = True
        if self._open is not None:
            with suppress(OSError):
                self._open.shutdown(socket.SHUT_RDWR)


class _Plain(_Checked, HTTPConnection):
    pass


class _Secure(_Checked, HTTPSConnection):
    pass


def _connection(target: Target, seconds: float) -> Any:
    if target.scheme == "https":
        # The name is what the certificate is checked against, whichever address is connected to.
        made: Any = _Secure(target.host, target.port, timeout=seconds, cert_reqs="CERT_REQUIRED")
    else:
        made = _Plain(target.host, target.port, timeout=seconds)
    made.is_allowed_peer = target.is_allowed_peer
    return made


def _taken_apart(url: str, rules: Rules) -> Target:
    if len(url) > MAX_URL or not url.isascii() or re.search(r"[\s\\\x00-\x1f\x7f]", url):
        raise OutboundRefused("a URL is up to 2,048 printable ASCII characters without spaces and backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise OutboundRefused("this is not a URL") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise OutboundRefused("only http and https may be reached")
    if "@" in parts.netloc:
        raise OutboundRefused("a URL must not hold a user name or password")
    if not _HOST.fullmatch(host):
        raise OutboundRefused("the URL has no usable host")
    number = DEFAULT_PORTS[parts.scheme] if port is None else port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, number, path, f"{host}:{number}" in rules.allowed)


def _check_scheme_and_port(target: Target, rules: Rules) -> None:
    if rules.https_only and target.scheme != "https":
        raise OutboundRefused("only https may be reached from production")
    if target.port not in DEFAULT_PORTS.values():
        raise OutboundRefused(f"port {target.port} may not be reached; only 80 and 443")


def _resolve(host: str, port: int, *, any_address: bool) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OutboundRefused(f"the host {host} is not known") from error
    addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
    if not any_address:
        _refuse_private(host, addresses)
    return addresses


def _refuse_private(host: str, addresses: Iterable[Address]) -> None:
    for address in addresses:
        # One private address among public ones is enough: it may be the one that is taken.
        if not is_public(address):
            raise OutboundRefused(f"the host {host} has an address that is not of the public internet")


def is_public(address: Address) -> bool:
    """Whether the address belongs to the public internet and to one host."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
