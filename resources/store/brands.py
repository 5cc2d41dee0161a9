"""Rows that everything else hangs on: the brand, its channels and its locations, made when first named."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from resources.settings import Settings
from resources.store.models import Brand, Channel, Location


def find_brand(connection: Connection, slug: str) -> int | None:
    """Id of a brand that has been made."""
    return connection.scalar(select(Brand.id).where(Brand.slug == slug))


def brand_id(connection: Connection, settings: Settings) -> int:
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
    return connection.execute(insert(Brand).values(row)).inserted_primary_key[0]


def channel_ids(connection: Connection, brand: int, codes: Iterable[str]) -> dict[str, int]:
    """Ids by code; a channel's code is its kind. Missing ones are made."""
    return _ensure(connection, Channel, brand, {code: {"kind": code} for code in codes})


def location_ids(connection: Connection, brand: int, codes: Iterable[str]) -> dict[str, int]:
    """Ids by code. Missing ones are made, with the code for a name."""
    return _ensure(connection, Location, brand, {code: {"name": code} for code in codes})


def _ensure(
    connection: Connection,
    model: type[Channel] | type[Location],
    brand: int,
    wanted: dict[str, dict[str, str]],
) -> dict[str, int]:
    query = select(model.code, model.id).where(model.brand_id == brand)
    known = {code: id for code, id in connection.execute(query)}
    missing = [{"brand_id": brand, "code": code, **values} for code, values in wanted.items() if code not in known]
    if missing:
        connection.execute(insert(model), missing)
        known = {code: id for code, id in connection.execute(query)}
    return known
