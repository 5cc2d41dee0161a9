"""The ring of data keys in the store, and its rotation: a new key seals, and everything is sealed anew, row by row.

Belongs here: the table `vault_keys`, and the list of what is sealed. Does not belong here: how texts are sealed
(`resources/vault`), or what they say (`customers`, `connections`).

Whoever seals reads the active key in the transaction of the deed and holds it, so that a key is retired only when nobody is
about to write with it. A key is destroyed only in a transaction that has seen nothing left that it sealed.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.audit import record
from resources.store.bulk import as_instant, fetch, run
from resources.vault import Vault
from resources.vault.ring import Ring, WrappedKey
from resources.vault.wrapping import KEY_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from resources.store.brand_store import BrandStore

AT_ONCE = 200


@dataclass(frozen=True)
class Sealed:
    """Columns of a table that are sealed. `place` names the row, from the column `id`, and where the text stands."""

    table: str
    id: str
    columns: tuple[str, ...]
    purpose: str
    place: Callable[[int, str], str]
    was_plain: bool
    """Whether an earlier version wrote the texts as they are; otherwise it sealed them by the key file alone."""


def profile_place(customer: int, column: str) -> str:
    """What a text of a client's profile is bound to."""
    return f"customer:{customer}:{column}"


PROFILES = Sealed(
    "customer_profiles", "customer_id", ("email", "name", "phone"), "customer-profile", profile_place, True
)
CREDENTIALS = Sealed(
    "channel_connections",
    "channel_id",
    ("secrets",),
    "channel-credentials",
    lambda channel, _: f"channel:{channel}",
    False,
)
EVERYTHING_SEALED = (PROFILES, CREDENTIALS)


@dataclass(frozen=True)
class KeyState:
    """A data key: what became of it, and how many rows it seals in each table."""

    key_id: str
    state: str
    wrapped_with: str
    created_at: datetime
    retired_at: datetime | None
    destroyed_at: datetime | None
    rows: int


@dataclass(frozen=True)
class VaultState:
    """The ring. `unsealed`: rows as an earlier version wrote them. `wrapping_key`: what new data keys are encrypted with."""

    keys: list[KeyState]
    unsealed: int
    wrapping_key: str

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left for a rotation to do."""
        living = [key for key in self.keys if key.state != "destroyed"]
        return not self.unsealed and len(living) <= 1 and all(k.wrapped_with == self.wrapping_key for k in living)


@dataclass
class Rotated:
    """What a rotation did. `resumed`: it went on with one that was interrupted."""

    key_id: str = ""
    resumed: bool = False
    resealed: int = 0
    rewrapped: int = 0
    destroyed: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def open_ring(connection: "Connection", vault: Vault) -> Ring:
    """The ring to read with. Its keys are opened when they are needed."""
    rows = fetch(
        connection, "SELECT key_id, state, wrapped, wrapped_with FROM vault_keys WHERE state <> 'destroyed'", {}
    )
    active = next((row[0] for row in rows if row[1] == "active"), None)
    return Ring(vault, {row[0]: WrappedKey(row[0], row[2], row[3]) for row in rows}, active)


def open_ring_to_seal(connection: "Connection", vault: Vault) -> Ring:
    """The ring to seal with in this write transaction; the first key is made when there is none."""
    if not _hold_active(connection):
        _add_key(connection, vault)
        _hold_active(connection)
    return open_ring(connection, vault)


def read_state(books: "BrandStore") -> VaultState:
    """The ring of the installation, with all its brands."""
    with books.read() as (connection, _):
        rows = fetch(
            connection,
            "SELECT key_id, state, wrapped_with, created_at, retired_at, destroyed_at FROM vault_keys ORDER BY id",
            {},
        )
        counts = {row[0]: _rows_under(connection, row[0]) for row in rows}
        unsealed = sum(_count(connection, sealed, "key_id IS NULL", {}) for sealed in EVERYTHING_SEALED)
    times = [tuple(None if at is None else as_instant(at) for at in row[3:]) for row in rows]
    keys = [
        KeyState(row[0], row[1], row[2], made or datetime.now(UTC), retired, destroyed, counts[row[0]])
        for row, (made, retired, destroyed) in zip(rows, times, strict=True)
    ]
    return VaultState(keys, unsealed, books.vault.wrapping_key().name)


def rotate(books: "BrandStore", tell: Callable[[int, int], None] = lambda done, total: None) -> Rotated:
    """Make a new data key, seal everything with it, and destroy the keys that nothing is sealed with any more.

    Each step is a transaction of its own and leaves everything readable: what was interrupted, is gone on with by the next
    rotation, which makes no further key then. `tell` hears how many rows of how many are sealed anew.
    """
    done = Rotated()
    with books.store.write("vault:rotate") as connection:
        done.resumed = bool(fetch(connection, "SELECT 1 FROM vault_keys WHERE state = 'retired'", {}))
        if not done.resumed:
            _retire_active(connection)
            _add_key(connection, books.vault)
    with books.store.write("vault:rotate") as connection:
        done.rewrapped = _rewrap(connection, books.vault)
    total = _left(books)
    for sealed in EVERYTHING_SEALED:
        for resealed in _reseal(books, sealed):
            done.resealed += resealed
            tell(done.resealed, total)
    with books.store.write("vault:rotate") as connection:
        done.destroyed = _destroy_unused(connection)
        done.key_id = fetch(connection, "SELECT key_id FROM vault_keys WHERE state = 'active'", {})[0][0]
    with books.write() as (connection, brand):
        details = {name: value for name, value in done.as_dict().items() if name != "key_id"}
        record(connection, brand, "vault.rotated", done.key_id, details)
    return done


def _hold_active(connection: "Connection") -> bool:
    # SQLite's one writer holds everything; on PostgreSQL a rotation waits for this transaction.
    share = "" if connection.dialect.name == "sqlite" else " FOR SHARE"
    return bool(fetch(connection, f"SELECT key_id FROM vault_keys WHERE state = 'active'{share}", {}))


def _add_key(connection: "Connection", vault: Vault) -> None:
    """Put an active key there, unless another transaction has just done so."""
    key_id, key = secrets.token_hex(8), secrets.token_bytes(KEY_BYTES)
    wrapping = vault.wrapping_key()
    values = {
        "key_id": key_id,
        "wrapped": wrapping.wrap(key_id, key),
        "name": wrapping.name,
        "now": datetime.now(UTC),
    }
    statement = """
        INSERT INTO vault_keys (key_id, state, wrapped, wrapped_with, created_at)
        VALUES (:key_id, 'active', :wrapped, :name, :now) ON CONFLICT DO NOTHING
    """
    run(connection, statement, values)


def _retire_active(connection: "Connection") -> None:
    values = {"now": datetime.now(UTC)}
    run(connection, "UPDATE vault_keys SET state = 'retired', retired_at = :now WHERE state = 'active'", values)


def _rewrap(connection: "Connection", vault: Vault) -> int:
    """Encrypt the keys with today's wrapping key, where another did."""
    wrapping = vault.wrapping_key()
    query = "SELECT key_id, wrapped, wrapped_with FROM vault_keys WHERE state <> 'destroyed' AND wrapped_with <> :name"
    rows = fetch(connection, query, {"name": wrapping.name})
    for key_id, wrapped, name in rows:
        key = vault.wrapping_key_named(name).unwrap(key_id, wrapped)
        values = {"id": key_id, "wrapped": wrapping.wrap(key_id, key), "name": wrapping.name}
        run(connection, "UPDATE vault_keys SET wrapped = :wrapped, wrapped_with = :name WHERE key_id = :id", values)
    return len(rows)


def _reseal(books: "BrandStore", sealed: Sealed) -> Iterator[int]:
    """Seal rows that another key sealed, or none, with the active one: some hundred in each transaction."""
    columns = ", ".join(sealed.columns)
    query = f"""
        SELECT t.{sealed.id}, t.key_id, {columns} FROM {sealed.table} t
        WHERE t.{sealed.id} > :after AND (t.key_id IS NULL OR t.key_id <> :active) ORDER BY t.{sealed.id} LIMIT {AT_ONCE}
    """
    changes = ", ".join(f"{name} = :{name}" for name in sealed.columns)
    unchanged = " AND ".join(f"coalesce({name}, '') = :was_{name}" for name in sealed.columns)
    change = f"UPDATE {sealed.table} SET {changes}, key_id = :key_id WHERE {sealed.id} = :id AND {unchanged}"
    after = -1
    while True:
        with books.store.write("vault:reseal") as connection:
            ring = open_ring_to_seal(connection, books.vault)
            rows = fetch(connection, query, {"active": ring.active, "after": after})
            resealed = 0
            for row, key_id, *texts in rows:
                values = {"id": row, "key_id": ring.active, **_sealed_anew(ring, sealed, row, key_id, texts)}
                # What somebody else has changed since is already sealed with the active key.
                resealed += run(connection, change, values).rowcount
        if not rows:
            return
        after = rows[-1][0]
        yield resealed


def _sealed_anew(ring: Ring, sealed: Sealed, row: int, key_id: str | None, texts: list[str | None]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in zip(sealed.columns, texts, strict=True):
        place = sealed.place(row, name)
        is_plain = key_id is None and sealed.was_plain
        plain = text if text is None or is_plain else ring.unseal(sealed.purpose, text, place)
        values[name] = None if plain is None else ring.seal(sealed.purpose, plain, place)
        values[f"was_{name}"] = text or ""
    return values


def _destroy_unused(connection: "Connection") -> int:
    """Forget retired keys, unless something is sealed with them still."""
    retired = [row[0] for row in fetch(connection, "SELECT key_id FROM vault_keys WHERE state = 'retired'", {})]
    unused = [key_id for key_id in retired if not _rows_under(connection, key_id)]
    for key_id in unused:
        values = {"id": key_id, "now": datetime.now(UTC)}
        run(
            connection,
            "UPDATE vault_keys SET state = 'destroyed', wrapped = '', destroyed_at = :now WHERE key_id = :id",
            values,
        )
    return len(unused)


def _left(books: "BrandStore") -> int:
    with books.read() as (connection, _):
        active = fetch(connection, "SELECT key_id FROM vault_keys WHERE state = 'active'", {})[0][0]
        other = "key_id IS NULL OR key_id <> :active"
        return sum(_count(connection, sealed, other, {"active": active}) for sealed in EVERYTHING_SEALED)


def _rows_under(connection: "Connection", key_id: str) -> int:
    return sum(_count(connection, sealed, "key_id = :key_id", {"key_id": key_id}) for sealed in EVERYTHING_SEALED)


def _count(connection: "Connection", sealed: Sealed, condition: str, values: dict[str, Any]) -> int:
    return fetch(connection, f"SELECT count(*) FROM {sealed.table} WHERE {condition}", values)[0][0]
