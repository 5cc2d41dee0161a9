"""Who would make the pictures of briefs, as a table shows it: candidates with their prices and their ends.

Belongs here: joining what the choice says with what the registry says. Does not belong here: choosing (`resources/images`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.visuals.briefs import read_briefs
from assets.visuals.orders import Order, Quality
from luxauto_pipelines.agents.visual_content.prices import each_usd
from resources.images.registry import Model, Registry, read_registry

if TYPE_CHECKING:
    from assets.visuals.making import Maker
    from resources.images.service import Candidate

WARNED_DAYS = 90


def candidates_for(
    maker: "Maker", file: Path | None, provider: str | None, quality: Quality, principal: str
) -> list[dict[str, Any]]:
    """Of each order of the briefs, or of a product photo, every model: score, parts, price, and why it would not be asked."""
    from assets.visuals.making import wanted_of

    registry = read_registry(maker.books.settings.home)
    today = datetime.now(UTC).date()
    found = []
    for of, order in _orders(maker, file, provider, quality, principal):
        candidates = maker.images.candidates(wanted_of(maker, order))
        able = [one for one in candidates if one.rejected is None]
        shown = [_row(one, registry, today, quality, first=bool(able) and one is able[0]) for one in candidates]
        found.append({"of": of, "content_type": order.content_type, "candidates": shown})
    return found


def price_of(model: Model, quality: Quality) -> str:
    """US dollars of a picture of 1024 × 1024, as the registry estimates it."""
    each = each_usd(model, quality)
    if each is None:
        return "not sold"
    kinds = {"per_token": "by tokens", "gpu": "of our GPU"}
    job = model.price.kind == "per_image" and getattr(model.price, "images_per_job", 1) > 1
    kind = "a job" if job else kinds.get(model.price.kind, "")
    return f"${each:.4f} {kind}".strip() if model.price.kind != "none" else "nothing"


def lifecycle_of(model: Model, day: date) -> str | None:
    """What is to be known about when it began and ends."""
    follows = f"; {model.replacement} replaces it" if model.replacement else ""
    if model.retires is not None and day >= model.retires:
        return f"retired on {model.retires}{follows}"
    if model.retires is not None and (model.retires - day).days <= WARNED_DAYS:
        return f"retires on {model.retires}, in {(model.retires - day).days} days{follows}"
    if model.available is not None and day < model.available:
        return f"available from {model.available}"
    return None


def _orders(
    maker: "Maker", file: Path | None, provider: str | None, quality: Quality, principal: str
) -> list[tuple[str, Order]]:
    from luxauto_pipelines.visuals_made import Asked, orders_of_brief

    if file is None:
        prompt = f"a piece of {maker.loaded.kit.name}"
        return [
            ("A product photo", Order("providers", prompt, provider=provider, quality=quality, principal=principal))
        ]
    asked = Asked(provider, quality, None, principal)
    return [
        (f"{order.brief}, {order.language}, {order.width}x{order.height}", order)
        for brief in read_briefs(file)
        for order in orders_of_brief(maker.loaded, brief, None, asked)
    ]


def _row(one: "Candidate", registry: Registry, today: date, quality: Quality, *, first: bool) -> dict[str, Any]:
    model = registry.by_id.get(one.model)
    able = "would be asked first" if first else "would be asked next"
    return {
        "model": one.model,
        "provider": one.provider,
        "score": None if one.score is None else round(one.score, 4),
        "parts": {name: round(value, 4) for name, value in one.parts.items()},
        "price": price_of(model, quality) if model else None,
        "chosen": first,
        "rejected": one.rejected,
        "outcome": f"no: {one.rejected}" if one.rejected else able,
        "note": one.note,
        "lifecycle": lifecycle_of(model, today) if model else None,
    }


def sentence_of(row: Mapping[str, Any]) -> str:
    """A row's outcome in a table: why not, or what its score comes from; and its end, where that is not the reason."""
    known = row["rejected"] or ""
    lifecycle = row["lifecycle"] if "retired" not in known else None
    return "; ".join(part for part in (row["outcome"], None if known else row["note"], lifecycle) if part)
