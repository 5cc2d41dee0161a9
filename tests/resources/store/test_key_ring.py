"""Personal data and credentials are sealed; keys change while everything stays readable, also where the power is cut."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.channels.protocol import Connection
from resources.store.audit import read_page
from resources.store.brand_store import BrandStore
from resources.store.bulk import insert_frame, insert_row, run
from resources.store.connections import read_connections, save_connection
from resources.store.customers import UnknownCustomer, erase_profile, read_profile, seal_profiles
from resources.store.key_ring import CREDENTIALS, open_ring, read_state, rotate
from resources.vault import Vault, VaultError
from tests.conftest import ROOT

ROTATE = """
import sys
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store import key_ring
key_ring.AT_ONCE = 20
settings = load_settings()
books = BrandStore(settings, open_store(settings.database_url))

def told(done, total):
    print(done, flush=True)
    sys.stdin.readline()

key_ring.rotate(books, told)
"""
KMS = """
import base64, json, sys
asked = json.load(sys.stdin)
swapped = bytes(byte ^ 0x5A for byte in base64.b64decode(asked.get("plaintext") or asked["ciphertext"]))
wanted = "ciphertext" if asked["operation"] == "wrap" else "plaintext"
print(json.dumps({wanted: base64.b64encode(swapped).decode()}))
"""


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LUXAUTO_VAULT_KEY", "LUXAUTO_VAULT_OLD_KEYS", "LUXAUTO_KMS_COMMAND"):
        monkeypatch.delenv(name, raising=False)


def add_customers(books: BrandStore, count: int, *, sealed: bool = True) -> None:
    """Clients 1 to `count`, sealed or as an earlier version wrote them."""
    with books.write() as (connection, brand):
        for number in range(1, count + 1):
            row = {"brand_id": brand, "external_id": str(number), "first_seen": "2026-01-01"}
            insert_row(connection, "customers", row)
        ids = [row[0] for row in run(connection, "SELECT id FROM customers ORDER BY id")]
        profiles = pl.DataFrame(
            {
                "customer_id": ids,
                "brand_id": [brand] * count,
                "email": [f"client-{number}@example.com" for number in range(1, count + 1)],
                "name": [None if number % 3 == 0 else f"Anna Lind {number}" for number in range(1, count + 1)],
                "phone": [None] * count,
            },
            schema_overrides={"phone": pl.String()},
        )
        insert_frame(
            connection, "customer_profiles", seal_profiles(connection, books.vault, profiles) if sealed else profiles
        )


def add_channel(books: BrandStore, name: str = "shop") -> None:
    with books.write() as (connection, brand):
        reached = Connection(name, "woocommerce", "https://shop.example.com", {}, {"secret": f"cs_hush_{name}"})
        save_connection(connection, brand, books.vault, reached)


def everything(books: BrandStore) -> tuple[list[Any], list[Any]]:
    """What is sealed, opened: all profiles, and the channels' secrets."""
    with books.write() as (connection, brand):
        names = [row[0] for row in run(connection, "SELECT external_id FROM customers ORDER BY id")]
        profiles = [read_profile(connection, brand, books.vault, name, reason="a test") for name in names]
        return profiles, [dict(c.reached.secrets) for c in read_connections(connection, brand, books.vault)]


def stored(books: BrandStore) -> str:
    with books.read() as (connection, _):
        tables = ("customer_profiles", "channel_connections", "vault_keys")
        return " ".join(str(row) for table in tables for row in run(connection, f"SELECT * FROM {table}"))


def keys_in_use(books: BrandStore) -> set[str | None]:
    with books.read() as (connection, _):
        query = "SELECT key_id FROM customer_profiles UNION SELECT key_id FROM channel_connections"
        return {row[0] for row in run(connection, query)}


def test_nothing_personal_and_no_credential_can_be_read_in_the_tables(books: BrandStore) -> None:
    add_customers(books, 3)
    add_channel(books)
    profiles, secrets = everything(books)
    assert [profile.email for profile in profiles] == [f"client-{n}@example.com" for n in (1, 2, 3)]
    assert [profile.name for profile in profiles] == ["Anna Lind 1", "Anna Lind 2", None]
    assert secrets == [{"secret": "cs_hush_shop"}]
    for word in ("example.com/", "client-", "Lind", "cs_hush"):
        assert word not in stored(books)


def test_a_profile_is_read_for_a_reason_that_the_audit_log_keeps_and_erased_for_good(books: BrandStore) -> None:
    add_customers(books, 2)
    with books.write() as (connection, brand):
        read_profile(connection, brand, books.vault, "1", reason="return 4711", actor="anna")
        erase_profile(connection, brand, "1", reason="asked to", actor="anna")
        told = [(row["actor"], row["action"], row["details"]) for row in read_page(connection, brand, None, 2)]
    told = [(actor, action, json.loads(d) if isinstance(d, str) else d) for actor, action, d in told]
    assert told == [
        ("anna", "profile.erased", {"reason": "asked to"}),
        ("anna", "profile.read", {"reason": "return 4711"}),
    ]
    with books.write() as (connection, brand), pytest.raises(UnknownCustomer, match="'1'"):
        read_profile(connection, brand, books.vault, "1", reason="again")
    with books.write() as (connection, brand):
        assert read_profile(connection, brand, books.vault, "2", reason="still there").email == "client-2@example.com"


def test_a_text_opens_only_where_it_was_sealed(books: BrandStore) -> None:
    add_customers(books, 2)
    with books.write() as (connection, _):
        run(
            connection,
            "UPDATE customer_profiles SET email = (SELECT p.email FROM customer_profiles p ORDER BY p.customer_id LIMIT 1)",
        )
    with books.write() as (connection, brand), pytest.raises(VaultError, match="customer-profile cannot be opened"):
        read_profile(connection, brand, books.vault, "2", reason="a test")


def test_a_rotation_seals_everything_anew_and_destroys_the_old_key(books: BrandStore) -> None:
    add_customers(books, 5)
    add_channel(books)
    before, (old,) = everything(books), keys_in_use(books)
    done = rotate(books)
    assert (done.resumed, done.resealed, done.destroyed) == (False, 6, 1)
    assert keys_in_use(books) == {done.key_id}
    assert done.key_id != old
    assert everything(books) == before
    state = read_state(books)
    assert [(key.key_id, key.state, key.rows) for key in state.keys] == [
        (old, "destroyed", 0),
        (done.key_id, "active", 6),
    ]
    assert state.is_settled
    with books.read() as (connection, _):
        assert [row[0] for row in run(connection, "SELECT wrapped FROM vault_keys WHERE state = 'destroyed'")] == [""]


def test_what_earlier_versions_wrote_stays_readable_and_is_sealed_by_the_next_rotation(books: BrandStore) -> None:
    add_customers(books, 4, sealed=False)
    add_channel(books)
    with books.write() as (connection, _):
        fernet = books.vault.seal(CREDENTIALS.purpose, json.dumps({"secret": "cs_old"}))
        run(connection, "UPDATE channel_connections SET secrets = :sealed, key_id = NULL", {"sealed": fernet})
    before = everything(books)
    assert before[1] == [{"secret": "cs_old"}]
    assert read_state(books).unsealed == 5
    rotate(books)
    assert everything(books) == before
    assert read_state(books).is_settled
    assert "client-" not in stored(books)
    assert "gAAAA" not in stored(books)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_rotation_that_is_killed_loses_nothing_and_is_gone_on_with(books: BrandStore, steps: int) -> None:
    add_customers(books, 100, sealed=steps != 3)
    add_channel(books)
    before = everything(books)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": database_of(books)}
    process = subprocess.Popen(
        [sys.executable, "-c", ROTATE], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    for step in range(steps):
        assert process.stdout.readline() == f"{20 * (step + 1)}\n"
        if step < steps - 1:
            process.stdin.write("\n")
            process.stdin.flush()
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert everything(books) == before
    assert not read_state(books).is_settled
    done = rotate(books)
    assert done.resumed or steps == 3
    assert done.resealed >= 101 - 20 * steps
    assert everything(books) == before
    assert keys_in_use(books) == {done.key_id}
    assert read_state(books).is_settled


def test_who_writes_while_keys_change_writes_with_the_new_key(books: BrandStore) -> None:
    add_customers(books, 30)
    rotate(books, lambda done, total: add_channel(books, f"shop-{done}"))
    assert len(everything(books)[1]) > 0
    assert read_state(books).is_settled


def test_the_wrapping_key_of_the_environment_takes_the_place_of_the_files(
    books: BrandStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_customers(books, 2)
    before = everything(books)
    monkeypatch.setenv("LUXAUTO_VAULT_KEY", "ab" * 32)
    assert everything(books) == before
    assert not read_state(books).is_settled
    assert rotate(books).rewrapped == 1
    assert everything(books) == before
    monkeypatch.setenv("LUXAUTO_VAULT_KEY", "cd" * 32)
    with pytest.raises(VaultError, match="is none of this process's keys"):
        everything(books)
    monkeypatch.setenv("LUXAUTO_VAULT_OLD_KEYS", "ab" * 32)
    assert rotate(books).rewrapped == 1
    monkeypatch.delenv("LUXAUTO_VAULT_OLD_KEYS")
    assert everything(books) == before


def test_a_kms_keeps_the_wrapping_key(books: BrandStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_customers(books, 2)
    before = everything(books)
    service = tmp_path / "kms.py"
    service.write_text(KMS)
    monkeypatch.setenv("LUXAUTO_KMS_COMMAND", f"{sys.executable} {service}")
    rotate(books)
    assert everything(books) == before
    state = read_state(books)
    assert state.is_settled
    assert state.wrapping_key.startswith("kms:")
    service.write_text("raise SystemExit('AKIA is denied')")
    with books.read() as (connection, _):
        ring = open_ring(connection, Vault(tmp_path / "elsewhere"))
    (key,) = ring.keys.values()
    with pytest.raises(VaultError, match="could not unwrap a key") as raised:
        ring.vault.wrapping_key_named(key.wrapped_with).unwrap("another", key.wrapped)
    assert "AKIA" not in str(raised.value)


@pytest.mark.parametrize("key", ["short", "zz" * 32, "ab" * 31, "YWI="])
def test_a_key_that_is_none_is_refused_by_the_variables_name(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUXAUTO_VAULT_KEY", key)
    with pytest.raises(VaultError, match="LUXAUTO_VAULT_KEY holds no key of 32 bytes"):
        Vault(tmp_path).wrapping_key()


def database_of(books: BrandStore) -> str:
    return books.store.engine.url.render_as_string(hide_password=False)
