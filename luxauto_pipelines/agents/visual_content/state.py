"""How the agent stands, in counts of real rows."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.pictures import count_pictures

if TYPE_CHECKING:
    from resources.images.registry import Model

NAME = "visual_content"
VERSION = "1.0"
FILMS = "motion"
"""Who makes films: always here, as nobody is asked."""
_PERFORMANCE = """
    SELECT provider, count(*), sum(CASE WHEN state = 'settled' AND images > 0 THEN 1 ELSE 0 END), sum(coalesce(seconds, 0))
    FROM image_calls WHERE brand_id = :brand AND state <> 'reserved' GROUP BY provider
"""
_ORDERS = "SELECT count(DISTINCT request_key) FROM pictures WHERE brand_id = :brand"


def status(books: BrandStore) -> dict[str, Any]:
    """The contract's status object. A provider's requests are calls that have ended; their time is in seconds."""
    with books.read() as (connection, brand):
        calls = fetch(connection, _PERFORMANCE, {"brand": brand})
        orders = fetch(connection, _ORDERS, {"brand": brand})[0][0]
        by_state = count_pictures(connection, brand)
    performance = {str(row[0]): _performance(int(row[1]), int(row[2]), float(row[3])) for row in calls}
    time = sum(one["total_time"] for one in performance.values())
    made = sum(one["successful_requests"] for one in performance.values())
    folder = _folder(books)
    return {
        "agent_name": NAME,
        "version": VERSION,
        "available_providers": _able(books),
        "generation_count": orders,
        "avg_generation_time": round(time / made, 3) if made else None,
        "provider_performance": performance,
        "pictures": by_state,
        "output_directory": folder,
        "cache_directory": folder,
    }


def _performance(total: int, successful: int, seconds: float) -> dict[str, Any]:
    return {
        "total_requests": total,
        "successful_requests": successful,
        "total_time": round(seconds, 3),
        "avg_time": round(seconds / total, 3) if total else None,
        "success_rate": round(successful / total, 4) if total else None,
    }


def _folder(books: BrandStore) -> str:
    """Where pictures lie, those that the cache remembers among them."""
    from resources.images.picture_store import FOLDER
    from resources.lake import Lake

    return str(Lake(books.settings.lake_url, books.settings.brand).folder(FOLDER))


def _able(books: BrandStore) -> list[str]:
    """Providers with a model that is neither retired nor disabled, and whose key and address are there. Asks nobody."""
    from resources.images.registry import RegistryError, read_registry

    try:
        models = read_registry(books.settings.home).models
    except RegistryError:
        # Whoever wants a picture is told what is wrong with it.
        return []
    today = datetime.now(UTC).date()
    able = (
        model.provider for model in models if not model.disabled and not model.retired(today) and _is_reachable(model)
    )
    return [*dict.fromkeys(able), FILMS]


def _is_reachable(model: "Model") -> bool:
    has_key = model.key_variable is None or model.key_optional or bool(os.environ.get(model.key_variable))
    has_url = model.url_variable is None or model.url is not None or bool(os.environ.get(model.url_variable))
    return has_key and has_url
