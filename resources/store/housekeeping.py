"""Taking rows away that nobody has used: the only deletions of the store beside personal data."""

from typing import TYPE_CHECKING

from resources.store.bulk import run

if TYPE_CHECKING:
    from sqlalchemy import Connection


def drop_unused_channel(connection: "Connection", brand: int, code: str) -> bool:
    """Delete the channel unless an order or a listing names it. Returns whether it was there and is gone."""
    statement = """
        DELETE FROM channels WHERE brand_id = :brand AND code = :code
        AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.brand_id = :brand AND orders.channel_id = channels.id)
        AND NOT EXISTS (SELECT 1 FROM listings WHERE listings.channel_id = channels.id)
    """
    return run(connection, statement, {"brand": brand, "code": code}).rowcount > 0


def drop_unused_location(connection: "Connection", brand: int, code: str) -> bool:
    """Delete the location unless stock has moved there. Returns whether it was there and is gone."""
    statement = """
        DELETE FROM locations WHERE brand_id = :brand AND code = :code
        AND NOT EXISTS (SELECT 1 FROM stock_movements WHERE stock_movements.location_id = locations.id)
    """
    return run(connection, statement, {"brand": brand, "code": code}).rowcount > 0
