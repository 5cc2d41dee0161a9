"""What pictures may cost, as the registry estimates it before anybody is asked.

Belongs here: the sums. Does not belong here: what was spent (`resources/images/budgets`).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from assets.visuals.orders import VIDEO_TYPES, Order, Quality
from resources.images.registry import Gpu, Model, PerImage, PerToken, read_registry

if TYPE_CHECKING:
    from assets.visuals.making import Maker

_PIXELS = 1024 * 1024


def each_usd(model: Model, quality: Quality, pixels: int = _PIXELS) -> float | None:
    """US dollars of a picture, or of a job where several are paid together; None where it is not sold in that quality."""
    price, share = model.price, max(pixels / _PIXELS, 1.0)
    if isinstance(price, PerImage):
        return price.usd.get(quality)
    if isinstance(price, PerToken):
        return price.tokens[quality] * max(price.image_out, price.text_out) / 1_000_000 * share
    if isinstance(price, Gpu):
        return price.usd_per_hour / price.images_per_hour * share
    return 0.0


def estimated_usd(maker: "Maker", orders: Sequence[Order]) -> Decimal:
    """The most that orders cost where nothing has to be made again: of the dearest that would be asked."""
    from assets.visuals.making import find_made, wanted_of

    models = read_registry(maker.books.settings.home).by_id
    total = 0.0
    for order in orders:
        if order.content_type in VIDEO_TYPES or find_made(maker, order) is not None:
            continue
        able = [one.model for one in maker.images.candidates(wanted_of(maker, order)) if one.rejected is None]
        prices = [each_usd(models[one], order.quality, order.width * order.height) for one in able if one in models]
        total += max((price for price in prices if price is not None), default=0.0) * order.count
    return Decimal(str(round(total, 6)))
