"""Ids of a few SKUs by their codes, without reading the whole catalogue.

Does not belong here: whole files of SKUs (`orders.ensure_skus`, `catalog`).
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import fetch, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection


def sku_ids(connection: "Connection", brand: int, codes: Iterable[str]) -> dict[str, int]:
    """Ids by code; unknown ones are made without a name."""
    wanted = sorted(set(codes))
    known = known_skus(connection, brand, wanted)
    for code in wanted:
        if code not in known:
            row = {"brand_id": brand, "sku": code, "updated_at": datetime.now(UTC)}
            known[code] = insert_row(connection, "skus", row)
    return known


def known_skus(connection: "Connection", brand: int, codes: Iterable[str]) -> dict[str, int]:
    """Ids by code of those that there are."""
    wanted = list(codes)
    if not wanted:
        return {}
    query = f"SELECT sku, id FROM skus WHERE brand_id = :brand AND sku IN ({among(connection, 'codes')})"
    rows: Any = fetch(connection, query, {"brand": brand, "codes": json.dumps(wanted)})
    return dict(rows)


def not_in_capitals(connection: "Connection", brand: int) -> set[str]:
    """SKUs that are kept as somebody wrote them; ingests keep theirs in capitals."""
    query = "SELECT sku FROM skus WHERE brand_id = :brand AND sku <> upper(sku)"
    return set(run(connection, query, {"brand": brand}).scalars())


def skus_by_id(connection: "Connection", ids: Iterable[int]) -> set[str]:
    """Codes of SKUs by their ids."""
    wanted = sorted(set(ids))
    if not wanted:
        return set()
    return set(run(connection, f"SELECT sku FROM skus WHERE id IN ({', '.join(map(str, wanted))})").scalars())


def find_sku(connection: "Connection", brand: int, code: str) -> str | None:
    """The SKU of this code, or of the newest listing with this item id; None where there is neither."""
    query = """
        SELECT coalesce(
            (SELECT sku FROM skus WHERE brand_id = :brand AND sku = :code),
            (SELECT s.sku FROM listings l JOIN skus s ON s.id = l.sku_id
             WHERE l.brand_id = :brand AND l.external_id = :code ORDER BY l.seen_at DESC, l.id DESC LIMIT 1))
    """
    return run(connection, query, {"brand": brand, "code": code}).scalar()


def among(connection: "Connection", parameter: str) -> str:
    """SQL that gives the rows of a JSON list of texts, bound as a text."""
    if connection.dialect.name == "sqlite":
        return f"SELECT value FROM json_each(:{parameter})"
    return f"SELECT json_array_elements_text(CAST(:{parameter} AS json))"
