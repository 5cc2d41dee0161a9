"""Connecting a channel: what each vendor asks for, where a person finds it, and whether what was given works.

Belongs here: names of credentials and options, reading them from arguments, environment and lines, the check before anything is
saved. Does not belong here: how a vendor is spoken to (`resources/channels`), or the rows (`resources/store/connections`).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from resources.breaker import StoreBreaker
from resources.channels.connectors import SECRETS, open_connector
from resources.channels.protocol import ChannelError, Connection, Finding
from resources.channels.transport import Clock
from resources.store.brand_store import BrandStore

CREDENTIALS: dict[str, dict[str, str]] = {
    "woocommerce": {
        "key": "the consumer key (ck_…): WooCommerce, Settings, Advanced, REST API, Add key, permission Read/Write",
        "secret": "the consumer secret (cs_…), shown once beside the consumer key",
        "webhook_secret": "the Secret field of the webhook: WooCommerce, Settings, Advanced, Webhooks",
    },
    "shopify": {
        "client_id": "the client ID: dev.shopify.com, Apps, the app, Settings",
        "client_secret": "the client secret: dev.shopify.com, Apps, the app, Settings",
        "access_token": "the Admin API access token (shpat_…) of a custom app that was made before 2026",
        "webhook_secret": "the app's API secret key, where only an access token is given",
    },
    "amazon": {
        "client_id": "the LWA client identifier: Seller Central, Apps and Services, Develop Apps, LWA credentials",
        "client_secret": "the LWA client secret, beside the client identifier",
        "refresh_token": "the refresh token: Develop Apps, the menu beside Edit App, Authorise",
        "aws_access_key_id": "an AWS access key that may read and delete messages of the queue",
        "aws_secret_access_key": "the secret of that AWS access key",
    },
    "ebay": {
        "client_id": "the App ID of the production keyset: developer.ebay.com, Application Keysets",
        "client_secret": "the Cert ID of the production keyset",
        "refresh_token": "the seller's refresh token: the consent page of User Tokens, exchanged for tokens (docs/channels.md)",
        "verification_token": "the token that you made up for eBay's Alerts and Notifications, 32 to 80 characters",
    },
}
"""What each kind may be given, and where a person finds it."""

_COMMON = ("timeout_seconds", "settle_seconds", "orders_overlap_seconds", "fresh_within_hours", "insecure", "ca_file")
OPTIONS: dict[str, tuple[str, ...]] = {
    "woocommerce": ("batch_size", "concurrency", "sale_states"),
    "shopify": ("location", "currency"),
    "amazon": (
        *("seller_id", "marketplace_id", "currency", "product_type", "stock_patch", "recipients", "auth_url"),
        *("feed_above", "feed_poll_seconds", "feed_wait_seconds", "queue_url", "aws_region", "aws_endpoint_url"),
    ),
    "ebay": (
        *("marketplace_id", "merchant_location_key", "scopes", "auth_url"),
        *("batch_size", "daily_quota", "revisions_per_day", "notification_url"),
    ),
}
"""What each kind's connector understands besides the common ones; its module says what it means."""

_WITHOUT_IT_STILL_RIGHT = {
    "woocommerce": ("version", "webhooks"),
    "shopify": ("version", "write_products", "read_locations", "read_all_orders"),
    "amazon": ("notifications",),
    "ebay": ("quota", "listings", "notifications"),
}
_ALIASES = {"key": "client_id", "secret": "client_secret"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?")
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


class InvalidConnection(ChannelError):
    """Something about the connection cannot be as it was given; the message says what to give."""


@dataclass(frozen=True)
class Checked:
    """One finding of a check. `state`: ok, note (works, but look at it) or fault (stock or orders cannot be right)."""

    what: str
    state: Literal["ok", "note", "fault"]
    message: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def check_name(name: str) -> None:
    """Raises InvalidConnection for a name that would not do in addresses and variables."""
    if not _NAME.fullmatch(name):
        raise InvalidConnection(f"{name!r} is no name for a channel: letters, digits, - and _, 64 at most")


def checked_url(kind: str, url: str) -> str:
    """The URL as it is kept. Raises InvalidConnection for what is no address of a server."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address or parts.query or parts.fragment or parts.username:
        raise InvalidConnection(f"{url!r} is no URL for {kind}: give one such as {_EXAMPLES[kind]}")
    return url.rstrip("/")


def is_readable_on_its_way(url: str) -> bool:
    """Whether what is sent there crosses a network without encryption."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def checked_options(kind: str, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Options as their connector takes them: numbers, true and false, lists in JSON. Raises InvalidConnection."""
    known = (*OPTIONS[kind], *_COMMON)
    unknown = [name for name in pairs if name not in known]
    if unknown:
        raise InvalidConnection(f"{kind} has no option {', '.join(unknown)}: known are {', '.join(sorted(known))}")
    return {name: _typed(name, value) for name, value in pairs.items()}


def checked_credentials(kind: str, pairs: Mapping[str, str]) -> dict[str, str]:
    """Credentials under the names that this kind knows them by: `key` and `secret` mean what each vendor calls so."""
    found = {_named(kind, name): value for name, value in pairs.items() if value}
    unknown = [name for name in found if name not in CREDENTIALS[kind]]
    if unknown:
        known = ", ".join(CREDENTIALS[kind])
        raise InvalidConnection(f"{kind} has no credential {', '.join(unknown)}: known are {known}")
    return found


def credentials_of_environment(kind: str, channel: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Those that stand in variables such as LUXAUTO_CHANNEL_<CHANNEL>_<CREDENTIAL>."""
    names = (*_ALIASES, *CREDENTIALS[kind])
    found = {name: environment.get(variable(channel, name), "") for name in names}
    return checked_credentials(kind, {name: value for name, value in found.items() if value})


def variable(channel: str, credential: str) -> str:
    """The name of the variable that a credential is read from."""
    return re.sub(r"[^A-Z0-9]", "_", f"LUXAUTO_CHANNEL_{channel}_{credential}".upper())


def pairs_of(given: Iterable[str], what: str) -> dict[str, str]:
    """NAME=VALUE, many times. The value is not repeated in what is raised: it may be a secret."""
    found: dict[str, str] = {}
    for number, text in enumerate(given, start=1):
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InvalidConnection(f"{what} {number} is not of the form NAME=VALUE")
        found[name.strip().lower()] = value.strip()
    return found


def lines_of(text: str) -> list[str]:
    """Lines that say something: no blank ones and no remarks."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def missing_credentials(kind: str, channel: str, secrets: Mapping[str, str]) -> list[str]:
    """What the kind cannot do without and has not been given, each with where it is found and how it can be given."""
    needed = SECRETS[kind]
    if kind == "shopify" and not secrets.get("access_token"):
        needed = ("client_id", "client_secret")
    return [
        f"{name}: {CREDENTIALS[kind][name]}. Give it with {_flag(name)}, or in {variable(channel, name)}."
        for name in needed
        if not secrets.get(name)
    ]


def check_connection(books: BrandStore, connection: Connection) -> list[Checked]:
    """Call the vendor, only reading, and judge what is found. Raises nothing that a finding can say.

    The channel's circuit breaker does not stand in the way, and is closed when the vendor answers.
    """
    try:
        with closing(open_connector(books, connection, breaker=_Asking(books))) as connector:
            found = connector.check()
    except ChannelError as error:
        remedy = "Options are given with --option NAME=VALUE; docs/channels.md says where each is found."
        found = [Finding("settings", False, str(error), remedy)]
    checked = [_judged(connection, finding) for finding in found]
    if connection.options.get("insecure"):
        remedy = "Give the certificate with --ca-file PATH as soon as you have it."
        checked.append(Checked("certificate", "note", "The server's certificate is not checked (--insecure).", remedy))
    return checked


def works(checked: Iterable[Checked]) -> bool:
    """Whether stock and orders of the channel can be kept right."""
    return all(one.state != "fault" for one in checked)


def tell_retries(tell: Callable[[str], None]) -> None:
    """What is tried again is said to `tell`, in place of a log on standard output, where a command's data go."""
    import stamina

    def hook(details: stamina.instrumentation.RetryDetails) -> None:
        tell(f"again in {details.wait_for:.0f} s: {details.caused_by}")

    stamina.instrumentation.set_on_retry_hooks([hook])


_EXAMPLES = {
    "woocommerce": "https://shop.example.com",
    "shopify": "https://your-shop.myshopify.com",
    "amazon": "https://sellingpartnerapi-eu.amazon.com",
    "ebay": "https://api.ebay.com",
}


class _Asking:
    """A person asks what is wrong: that call is always made, and its failure stops nobody else."""

    def __init__(self, books: BrandStore) -> None:
        self._shared = StoreBreaker(books, Clock())

    def allow(self, name: str) -> float:
        return 0.0

    def succeeded(self, name: str) -> None:
        self._shared.succeeded(name)

    def failed(self, name: str, why: str) -> None:
        pass


def _flag(credential: str) -> str:
    short = {**{name: name for name in _ALIASES}, **{long: name for name, long in _ALIASES.items()}}.get(credential)
    return f"--{short} …" if short else f"--credential {credential}=…"


def _named(kind: str, name: str) -> str:
    if kind == "ebay" and name == "webhook_secret":
        return "verification_token"
    return name if kind == "woocommerce" else _ALIASES.get(name, name)


def _typed(name: str, value: str) -> Any:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value.startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise InvalidConnection(f"the option {name} is no list in JSON: {error}") from error
    if not _NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def _judged(connection: Connection, finding: Finding) -> Checked:
    if finding.ok:
        return Checked(finding.name, "ok", finding.message, finding.remedy or "")
    state = "note" if finding.name in _WITHOUT_IT_STILL_RIGHT[connection.kind] else "fault"
    remedy = finding.remedy or ""
    if _UNTRUSTED in finding.message:
        remedy = (
            "The server's certificate is not signed by an authority that this machine knows. Give the certificate (PEM) "
            "with --ca-file PATH, or, for a try, --insecure."
        )
    return Checked(finding.name, state, finding.message, remedy)
