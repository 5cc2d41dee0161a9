"""Rows that everything else hangs on: the brand, its channels and its locations, made when first named."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from resources.settings import Settings
from resources.store.bulk import ids_by_code, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection


def find_brand(connection: "Connection", slug: str) -> int | None:
    """Id of a brand that has been made."""
    return run(connection, "SELECT id FROM brands WHERE slug = :slug", {"slug": slug}).scalar()


def brand_id(connection: "Connection", settings: Settings) -> int:
    """Id of the settings' brand, which is made on first use."""
    found = find_brand(connection, settings.brand)
    if found is not None:
        return found
    current = settings.current
    row = {
        "slug": settings.brand,
        "name": current.name,
        "base_currency": current.base_currency,
        "timezone": current.timezone,
        "created_at": datetime.now(UTC),
    }
    # Of two that make it at once on PostgreSQL, the second waits here and finds it.
    marks = ", ".join(f":{name}" for name in row)
    run(connection, f"INSERT INTO brands ({', '.join(row)}) VALUES ({marks}) ON CONFLICT (slug) DO NOTHING", row)
    made = find_brand(connection, settings.brand)
    assert made is not None
    return made


def channel_ids(connection: "Connection", brand: int, codes: Iterable[str]) -> dict[str, int]:
    """Ids by code; a channel's code is its kind. Missing ones are made."""
    return _ensure(connection, "channels", brand, {code: {"kind": code} for code in codes})


def location_ids(connection: "Connection", brand: int, codes: Iterable[str]) -> dict[str, int]:
    """Ids by code. Missing ones are made, with the code for a name."""
    return _ensure(connection, "locations", brand, {code: {"name": code} for code in codes})


def _ensure(connection: "Connection", table: str, brand: int, wanted: dict[str, dict[str, str]]) -> dict[str, int]:
    known = ids_by_code(connection, f"SELECT code, id FROM {table} WHERE brand_id = :brand", {"brand": brand})
    for code in wanted.keys() - known.keys():
        known[code] = insert_row(connection, table, {"brand_id": brand, "code": code, **wanted[code]})
    return known
