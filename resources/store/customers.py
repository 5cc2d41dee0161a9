"""Who the clients are: sealed as they are written, opened for a named reason, erased on request.

Belongs here: the table `customer_profiles`. Does not belong here: what they bought (`orders`), keys (`key_ring`).

Nobody reads a profile without a row in the audit log that says who, whose and why.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import polars as pl

from resources.store.audit import record
from resources.store.bulk import fetch, run
from resources.store.key_ring import PROFILES, open_ring, open_ring_to_seal, profile_place
from resources.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Connection


class UnknownCustomer(Exception):
    """No client of this number is known, or nothing is kept of who they are."""


@dataclass(frozen=True)
class Profile:
    """Who a client is, as far as it is kept. `customer` is the number that the source gave."""

    customer: str
    email: str | None
    name: str | None
    phone: str | None

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


def seal_profiles(connection: "Connection", vault: Vault, profiles: pl.DataFrame) -> pl.DataFrame:
    """Rows of `customer_profiles` (customer_id, brand_id, email, name, phone) with their texts sealed, and the key's id."""
    ring = open_ring_to_seal(connection, vault)
    sealed = {
        name: [
            None if text is None else ring.seal(PROFILES.purpose, text, profile_place(customer, name))
            for customer, text in profiles.select("customer_id", name).iter_rows()
        ]
        for name in PROFILES.columns
    }
    return profiles.with_columns(
        *(pl.Series(name, texts, dtype=pl.String) for name, texts in sealed.items()),
        pl.lit(ring.active, pl.String).alias("key_id"),
    )


def read_profile(
    connection: "Connection", brand: int, vault: Vault, customer: str, *, reason: str, actor: str | None = None
) -> Profile:
    """Open a client's profile. The audit log tells of it, in the transaction of the reading. Raises UnknownCustomer."""
    number, key_id, *texts = _find(connection, brand, customer)
    ring = open_ring(connection, vault)
    # Where no key is named, the texts stand as an earlier version wrote them.
    opened = [
        text if text is None or key_id is None else ring.unseal(PROFILES.purpose, text, profile_place(number, name))
        for name, text in zip(PROFILES.columns, texts, strict=True)
    ]
    record(connection, brand, "profile.read", f"customer {number}", {"reason": reason}, actor=actor)
    return Profile(customer, *opened)


def erase_profile(
    connection: "Connection", brand: int, customer: str, *, reason: str, actor: str | None = None
) -> None:
    """Forget who a client is; what they bought stays. Raises UnknownCustomer."""
    number, *_ = _find(connection, brand, customer)
    run(connection, "DELETE FROM customer_profiles WHERE customer_id = :id", {"id": number})
    record(connection, brand, "profile.erased", f"customer {number}", {"reason": reason}, actor=actor)


def _find(
    connection: "Connection", brand: int, customer: str
) -> tuple[int, str | None, str | None, str | None, str | None]:
    query = """
        SELECT p.customer_id, p.key_id, p.email, p.name, p.phone
        FROM customer_profiles p JOIN customers c ON c.id = p.customer_id
        WHERE c.brand_id = :brand AND c.external_id = :customer
    """
    rows = fetch(connection, query, {"brand": brand, "customer": customer})
    if not rows:
        raise UnknownCustomer(f"nothing is kept of who the client {customer!r} is")
    return rows[0]  # pyright: ignore[reportReturnType]
