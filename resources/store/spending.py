"""What a principal's requests cost on a day, reservations included, so that a ceiling holds however many run at once."""

from datetime import date
from typing import TYPE_CHECKING

from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection


def reserve(connection: "Connection", brand: int, principal: str, day: date, micros: int, ceiling: int) -> bool:
    """Add `micros` (millionths of a US dollar) to the day if the sum stays at or below `ceiling`; whether it was added."""
    if micros < 0:
        raise ValueError(f"cannot reserve {micros} millionths; an estimate is not negative")
    if micros > ceiling:
        return False
    statement = """
        INSERT INTO spending (brand_id, principal, day, spent_micros) VALUES (:brand, :principal, :day, :micros)
        ON CONFLICT (brand_id, principal, day) DO UPDATE SET spent_micros = spending.spent_micros + excluded.spent_micros
        WHERE spending.spent_micros + excluded.spent_micros <= :ceiling
        RETURNING spent_micros
    """
    values = {"brand": brand, "principal": principal, "day": day, "micros": micros, "ceiling": ceiling}
    return run(connection, statement, values).scalar() is not None


def settle(connection: "Connection", brand: int, principal: str, day: date, reserved: int, actual: int) -> None:
    """Put what it really cost in the place of what was reserved; `actual` 0 releases it."""
    run(
        connection,
        "UPDATE spending SET spent_micros = spent_micros + :difference "
        "WHERE brand_id = :brand AND principal = :principal AND day = :day",
        {"difference": actual - reserved, "brand": brand, "principal": principal, "day": day},
    )


def spent(connection: "Connection", brand: int, principal: str, day: date) -> int:
    """Millionths of a US dollar."""
    query = "SELECT spent_micros FROM spending WHERE brand_id = :brand AND principal = :principal AND day = :day"
    return run(connection, query, {"brand": brand, "principal": principal, "day": day}).scalar() or 0
