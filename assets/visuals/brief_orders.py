"""From a planned brief to the orders that make its pictures: one for each size and language.

Belongs here: what an order takes from its brief, and its key. Does not belong here: how it is made (`making`).

The key holds the hashes of brief and kit: an unchanged brief brings the pictures that it brought, a changed one new ones.
"""

from pathlib import Path
from typing import get_args

from assets.visuals.briefs import InvalidBrief, Product, pixels
from assets.visuals.orders import Order
from assets.visuals.planned import PlannedBrief
from assets.visuals.presets import StylePreset


def orders_of(planned: PlannedBrief, kit_version: str, photos: Path, principal: str = "system") -> list[Order]:
    """The orders of a brief; `photos` is the folder that its photograph's path begins in.

    Raises InvalidBrief where the photograph cannot be read.
    """
    prefix = f"brief/{planned.brief}/{planned.hash}/{kit_version}"
    preset = _preset(planned.style_preset)
    layout = planned.layout
    if layout is None:
        return [
            Order(
                f"{prefix}/{planned.width}x{planned.height}",
                content_type=planned.content_type,
                preset=preset,
                width=planned.width,
                height=planned.height,
                shot=planned.prompt,
                product=_product(planned),
                brief=planned.brief,
                sku=planned.sku,
                campaign=planned.campaign,
                principal=principal,
            )
        ]
    photo = _photo(photos, planned.brief, layout.photo)
    orders = []
    for language in layout.each_language():
        for size in layout.sizes:
            width, height = pixels(size)
            orders.append(
                Order(
                    f"{prefix}/{language}/{width}x{height}",
                    content_type=planned.content_type,
                    preset=preset,
                    # Words are set by who sets words: a model that paints would spell them.
                    provider="studio",
                    width=width,
                    height=height,
                    format=layout.format,
                    seed=layout.seed,
                    product=layout.product,
                    photo=photo,
                    brief=planned.brief,
                    layout=layout,
                    language=language,
                    sku=planned.sku,
                    campaign=planned.campaign,
                    principal=principal,
                )
            )
    return orders


def _product(planned: PlannedBrief) -> Product | None:
    if planned.product_name is None:
        return None
    return Product.model_validate({"name": planned.product_name, "sku": planned.sku or ""})


def _preset(name: str) -> StylePreset:
    found = next((known for known in get_args(StylePreset) if known == name), None)
    if found is None:
        raise InvalidBrief(f"style_preset: {name!r} is none of {', '.join(get_args(StylePreset))}")
    return found


def _photo(folder: Path, brief: str, name: str | None) -> bytes | None:
    if name is None:
        return None
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise InvalidBrief(
            f"brief {brief}: photo {folder / name} cannot be read ({error.strerror}): check the path"
        ) from error
