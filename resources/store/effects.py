"""What agents have done: the first result of each call by its key.

Belongs here: the table `effects`. Does not belong here: answers of the gateway to requests (`idempotency`).
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.bulk import as_json, insert_row, run

if TYPE_CHECKING:
    from sqlalchemy import Connection


def find_effect(connection: "Connection", brand: int, key: str) -> dict[str, Any] | None:
    """The result that a call with this key had, if there was one."""
    query = "SELECT result FROM effects WHERE brand_id = :brand AND key = :key"
    return as_json(run(connection, query, {"brand": brand, "key": key}).scalar())


def keep_effect(connection: "Connection", brand: int, key: str, method: str, result: dict[str, Any]) -> dict[str, Any]:
    """Write the result in the transaction of the deed itself, and give it back."""
    row = {"brand_id": brand, "key": key, "method": method, "result": result, "recorded_at": datetime.now(UTC)}
    insert_row(connection, "effects", row)
    return result
