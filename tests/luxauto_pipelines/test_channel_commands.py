"""`luxauto channel` as a person or a script runs it: against a shop that answers, one that refuses, and one that is not there.

Does not belong here: what each vendor's check looks at (`tests/resources/channels`).
"""

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from luxauto_pipelines.cli import app
from luxauto_pipelines.onboarding import CREDENTIALS, OPTIONS, InvalidConnection, variable
from resources.channels.connectors import KINDS, SECRETS
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.connections import UnknownConnection, read_connection
from resources.store.locks import Busy, exclusively
from tests.peers.amazon import AmazonPeer
from tests.peers.ebay import EbayPeer
from tests.peers.shopify import ShopifyPeer
from tests.peers.woocommerce import KEY, SECRET, WooCommercePeer

LUXAUTO = Path(sys.executable).with_name("luxauto")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def installation(home: Path, migrated_file: Path) -> Iterator[None]:
    """A store of today's schema; waiting before another try is not what is tested here."""
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / ".storage-made").touch()
    (home / "store.db").write_bytes(migrated_file.read_bytes())
    stamina.set_testing(True, attempts=5)
    hooks = stamina.instrumentation.get_on_retry_hooks()
    yield
    stamina.instrumentation.set_on_retry_hooks(hooks)
    stamina.set_testing(False)


@pytest.fixture
def shop() -> Iterator[WooCommercePeer]:
    with WooCommercePeer() as peer:
        peer.add("BAG", 3)
        yield peer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "shop.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def tls_shop(certificate: Path) -> Iterator[WooCommercePeer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with WooCommercePeer(tls=context) as peer:
        peer.add("BAG", 3)
        yield peer


def luxauto(*arguments: object, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], input=stdin, env=env)


def said(result: Result) -> Any:
    assert isinstance(result.exception, (SystemExit, type(None))), repr(result.exception)
    return json.loads(result.stdout)


def add(peer: WooCommercePeer, *more: object, name: str = "shop") -> Result:
    keys = ("--key", KEY, "--secret", SECRET)
    return luxauto("channel", "add", name, "--kind", "woocommerce", "--url", peer.url, *keys, *more)


def books() -> BrandStore:
    settings = load_settings()
    return BrandStore(settings, open_store(settings.database_url))


def kept(name: str = "shop") -> Any:
    mine = books()
    with mine.read() as (connection, brand):
        return read_connection(connection, brand, mine.vault, name)


def names() -> list[str]:
    return [row["name"] for row in said(luxauto("channel", "list", "--format", "json"))]


def test_a_channel_is_tested_and_then_saved(shop: WooCommercePeer):
    result = add(shop)

    assert result.exit_code == 0, result.output
    assert "shop is connected" in result.stdout
    assert kept().reached.secrets == {"key": KEY, "secret": SECRET}
    assert all(asked.method == "GET" or asked.path.endswith("/batch") for asked in shop.asked)
    assert shop.stock("BAG") == 3


def test_secrets_are_never_printed_nor_audited_nor_stored_as_they_are(shop: WooCommercePeer, home: Path):
    told = [add(shop).output, add(shop, "--format", "json").output]
    told += [luxauto("channel", *words).output for words in (("test",), ("list",), ("list", "--format", "json"))]

    assert not any(SECRET in text or KEY in text for text in told)
    assert SECRET.encode() not in (home / "store.db").read_bytes()


def test_a_wrong_secret_saves_nothing_and_ends_with_1(shop: WooCommercePeer):
    result = luxauto(
        *("channel", "add", "shop", "--kind", "woocommerce", "--url", shop.url, "--format", "json"),
        *("--key", KEY, "--secret", "wrong"),
    )

    assert result.exit_code == 1
    told = said(result)
    assert (told["saved"], told["findings"][0]["state"]) == (False, "fault")
    assert "Make a REST API key" in told["findings"][0]["remedy"]
    assert names() == []


def test_an_address_where_nobody_listens_is_found_out_and_leaves_the_breaker_closed():
    where = ("--kind", "woocommerce", "--url", NOBODY, "--key", "ck", "--secret", "cs")
    assert luxauto("channel", "add", "shop", *where).exit_code == 1
    assert names() == []

    assert luxauto("channel", "add", "shop", *where, "--no-test").exit_code == 0
    for _ in range(2):
        result = luxauto("channel", "test", "shop", "--format", "json")
        assert result.exit_code == 1
        assert "Connection refused" in said(result)["shop"][0]["message"]
    (row,) = said(luxauto("channel", "list", "--format", "json"))
    assert row["breaker"] == "closed"


def test_a_test_that_works_closes_the_breaker_that_a_sync_has_opened(shop: WooCommercePeer):
    add(shop)
    luxauto("channel", "add", "shop", "--url", NOBODY, "--no-test")
    assert luxauto("inventory", "sync").exit_code == 1
    assert said(luxauto("channel", "list", "--format", "json"))[0]["breaker"] == "open"

    assert luxauto("channel", "add", "shop", "--url", shop.url).exit_code == 0
    assert said(luxauto("channel", "list", "--format", "json"))[0]["breaker"] == "closed"


def test_a_self_signed_certificate_is_refused_with_the_way_out(tls_shop: WooCommercePeer):
    result = add(tls_shop, "--format", "json")

    assert result.exit_code == 1
    assert "--ca-file" in said(result)["findings"][0]["remedy"]
    assert names() == []


@pytest.mark.parametrize("how", ["insecure", "ca-file"])
def test_a_shop_with_a_self_signed_certificate_is_synced(tls_shop: WooCommercePeer, certificate: Path, how: str):
    trust = ("--insecure",) if how == "insecure" else ("--ca-file", certificate)
    assert add(tls_shop, *trust).exit_code == 0
    assert luxauto("inventory", "set", "bag", 8).exit_code == 0

    assert luxauto("inventory", "sync", "--channel", "shop").exit_code == 0
    assert tls_shop.stock("BAG") == 8
    assert luxauto("channel", "test", "shop").exit_code == 0


def test_a_certificate_that_is_gone_later_is_said_of_its_channel_alone(
    tls_shop: WooCommercePeer, certificate: Path, tmp_path: Path, shop: WooCommercePeer
):
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate.read_bytes())
    assert add(tls_shop, "--ca-file", file).exit_code == 0
    assert add(shop, name="other").exit_code == 0
    file.unlink()

    result = luxauto("inventory", "sync", "--format", "json")
    errors = {report["channel"]: report["error"] for report in said(result)}
    assert result.exit_code == 1
    assert errors["other"] is None
    assert str(file) in errors["shop"]


def test_the_same_name_again_changes_it_and_keeps_what_is_not_given(shop: WooCommercePeer):
    since = datetime.now(UTC) - timedelta(days=3)
    add(shop, "--priority", 7, "--option", "batch_size=20", "--location", "Paris", "--orders-since", since.isoformat())

    result = luxauto("channel", "add", "shop", "--weight", 3, "--option", "timeout_seconds=2.5", "--credential", "key=")
    assert "shop is changed" in result.stdout
    now = kept()
    assert (now.priority, now.weight, now.locations, now.orders_seen_until) == (7, 3, ("paris",), since)
    assert now.reached.options == {"batch_size": 20, "timeout_seconds": 2.5}
    assert now.reached.secrets == {"key": KEY, "secret": SECRET}

    luxauto("channel", "add", "shop", "--option", "batch_size=")
    assert kept().reached.options == {"timeout_seconds": 2.5}


def test_secrets_come_from_the_environment_and_from_standard_input(shop: WooCommercePeer):
    where = ("channel", "add", "shop-eu", "--kind", "woocommerce", "--url", shop.url)
    named = {"LUXAUTO_CHANNEL_SHOP_EU_KEY": KEY, "LUXAUTO_CHANNEL_SHOP_EU_SECRET": SECRET}
    assert luxauto(*where, env=named).exit_code == 0

    lines = f"# of the shop\n\nKEY = {KEY}\nsecret={SECRET}\nwebhook_secret=a=b\n"
    assert luxauto(*where, "--secrets-from-stdin", stdin=lines, env={"LUXAUTO_CHANNEL_SHOP_EU_KEY": ""}).exit_code == 0
    assert kept("shop-eu").reached.secrets == {"key": KEY, "secret": SECRET, "webhook_secret": "a=b"}


def test_a_line_that_is_no_pair_is_refused_without_being_repeated(shop: WooCommercePeer):
    result = luxauto(
        *("channel", "add", "shop", "--kind", "woocommerce", "--url", shop.url, "--secrets-from-stdin"), stdin=SECRET
    )

    assert isinstance(result.exception, InvalidConnection)
    assert SECRET not in str(result.exception)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_named_with_where_it_is_found(kind: str):
    result = luxauto("channel", "add", "mine", "--kind", kind, "--url", NOBODY)

    assert isinstance(result.exception, InvalidConnection)
    needed = ("client_id", "client_secret") if kind == "shopify" else SECRETS[kind]
    for name in needed:
        assert CREDENTIALS[kind][name] in str(result.exception)
        assert variable("mine", name) in str(result.exception)


def test_each_kind_is_connected_with_its_own_names_of_key_and_secret():
    with ShopifyPeer() as shopify, AmazonPeer() as amazon, EbayPeer() as ebay:
        for kind, peer in (("shopify", shopify), ("amazon", amazon), ("ebay", ebay)):
            like = peer.connection(kind)
            words = ["--key", like.secrets["client_id"], "--secret", like.secrets["client_secret"]]
            if refresh := like.secrets.get("refresh_token"):
                words += ["--credential", f"refresh_token={refresh}"]
            if token := like.secrets.get("verification_token"):
                words += ["--webhook-secret", token]
            words += [word for name, value in like.options.items() for word in ("--option", f"{name}={value}")]
            result = luxauto("channel", "add", kind, "--kind", kind, "--url", peer.url, *words)

            assert result.exit_code == 0, result.output
            assert dict(kept(kind).reached.secrets) == dict(like.secrets)
            assert dict(kept(kind).reached.options) == dict(like.options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--url", "shop.example"), "is no URL"),
        (("--kind", "magento"), "not 'magento'"),
        (("--kind", "ebay"), "is a channel of the kind woocommerce"),
        (("--option", "batchsize=3"), "has no option batchsize"),
        (("--credential", "token=x"), "has no credential token"),
        (("--option", "batch_size"), "NAME=VALUE"),
        (("--ca-file", "nowhere.pem"), "nowhere.pem is not a file"),
        (("--option", "sale_states=[x"), "is no list in JSON"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(shop: WooCommercePeer, words: tuple[str, ...], message: str):
    add(shop)
    before = kept()
    result = luxauto("channel", "add", "shop", *words)

    assert isinstance(result.exception, InvalidConnection)
    assert message in str(result.exception)
    assert kept() == before


def test_orders_cannot_be_taken_in_from_a_day_that_has_not_come(shop: WooCommercePeer):
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    assert add(shop, "--orders-since", tomorrow).exit_code == 2
    assert names() == []


def test_options_that_connectors_read_are_those_that_can_be_given():
    read = {
        kind: set(re.findall(r'options(?:\.get\(|\[)"(\w+)"', _sources(kind)))
        | set(re.findall(r'"(\w+)" in options', _sources(kind)))
        for kind in KINDS
    }
    common = {"timeout_seconds", "ca_file", "insecure"}

    assert {kind: found - common for kind, found in read.items()} == {kind: set(OPTIONS[kind]) for kind in KINDS}


def _sources(kind: str) -> str:
    """The modules of a kind; what eBay asks for before it sends anything is read by the gateway."""
    root = Path(__file__).parents[2]
    files = sorted((root / "resources" / "channels").glob(f"{kind}*.py"))
    files += [root / "luxauto_pipelines" / "gateway" / "routers" / "inbox.py"] if kind == "ebay" else []
    return "".join(path.read_text(encoding="utf-8") for path in files)


def test_the_list_says_how_far_each_channel_is_read(shop: WooCommercePeer):
    shop.add("FOREIGN", 1)
    add(shop)
    luxauto("inventory", "set", "BAG", 2)
    luxauto("inventory", "sync")

    (row,) = said(luxauto("channel", "list", "--format", "json"))
    assert (row["items"], row["mapped"], row["last_error"]) == (2, 1, None)
    assert row["listed_at"] is not None
    assert "shop" in luxauto("channel", "list").stdout


def test_what_has_no_sku_of_ours_is_shown_and_can_be_mapped(shop: WooCommercePeer):
    shop.add("Sac [/b] noir", 5)
    add(shop)
    luxauto("inventory", "set", "BAG-NOIR", 4)
    luxauto("inventory", "sync")
    shop.buy({"Sac [/b] noir": 2})
    luxauto("inventory", "sync")

    found = said(luxauto("channel", "unmapped", "shop", "--format", "json"))["unmapped"]
    assert {row["what"] for row in found if row["channel_sku"] == "Sac [/b] noir"} == {"item", "order line"}
    assert "Sac [/b] noir" in luxauto("channel", "unmapped").stdout

    assert luxauto("channel", "map", "shop", "Sac [/b] noir", "bag-noir").exit_code == 0
    luxauto("inventory", "sync")
    assert shop.stock("Sac [/b] noir") == 2
    rows = said(luxauto("channel", "unmapped", "--format", "json"))["unmapped"]
    assert [row["channel_sku"] for row in rows] == ["BAG"]

    assert luxauto("channel", "map", "shop", "Sac [/b] noir", "--forget").exit_code == 0
    assert luxauto("channel", "map", "shop", "BAG", "nothing-of-ours").exit_code == 1


def test_several_items_of_one_sku_are_shown_as_a_collision(shop: WooCommercePeer):
    shop.add("BAG-TWIN", 1)
    add(shop)
    luxauto("inventory", "set", "BAG", 2)
    luxauto("channel", "map", "shop", "BAG-TWIN", "BAG")
    luxauto("inventory", "sync")

    (row,) = said(luxauto("channel", "unmapped", "--format", "json"))["collisions"]
    assert (row["channel"], row["sku"], row["items"]) == ("shop", "BAG", 2)
    assert (shop.stock("BAG"), shop.stock("BAG-TWIN")) == (3, 1)


def test_a_sku_in_small_letters_at_the_channel_is_ours_in_capitals(shop: WooCommercePeer):
    shop.add("belt-brown", 1)
    add(shop)
    luxauto("inventory", "set", "belt-brown", 6)
    luxauto("inventory", "sync")
    assert shop.stock("belt-brown") == 6

    shop.buy({"belt-brown": 2})
    luxauto("inventory", "sync")
    (row,) = said(luxauto("inventory", "levels", "BELT-BROWN", "--format", "json"))
    assert row["on_hand"] == 4


def test_a_channel_is_removed_only_when_one_is_sure(shop: WooCommercePeer):
    add(shop)
    assert luxauto("channel", "remove", "shop", stdin="n\n").exit_code == 1
    assert names() == ["shop"]

    result = luxauto("channel", "remove", "shop", "--yes")
    assert "What stays: its orders" in result.stdout
    assert names() == []
    assert isinstance(luxauto("channel", "remove", "shop", "--yes").exception, UnknownConnection)


def test_a_channel_is_not_removed_while_somebody_writes_to_it(shop: WooCommercePeer):
    add(shop)
    with exclusively(books(), "channel:shop"):
        result = luxauto("channel", "remove", "shop", "--yes")

    assert isinstance(result.exception, Busy)
    assert names() == ["shop"]


def test_a_process_says_in_one_message_what_is_wrong(shop: WooCommercePeer):
    add(shop)
    done = subprocess.run(
        [str(LUXAUTO), "channel", "test", "shp"], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "no channel 'shp' is connected: there are shop" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
