"""What a call cost, from what its answer says was used and the registry's prices.

Belongs here: the arithmetic, exact in decimals and rounded once. Does not belong here: how much a call may use (its adapter).
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from resources.images.protocol import MICROS
from resources.images.registry import Gpu, PerImage, PerToken, Quality


@dataclass(frozen=True)
class Tokens:
    """Tokens by kind."""

    text_in: int = 0
    image_in: int = 0
    text_out: int = 0
    image_out: int = 0


def token_cost(price: PerToken, used: Tokens, *, batch: bool = False) -> int:
    """Millionths of a US dollar. Dollars a million tokens are millionths a token, so that nothing is lost before rounding."""
    exact = (
        _exact(price.text_in) * used.text_in
        + _exact(price.image_in) * used.image_in
        + _exact(price.text_out) * used.text_out
        + _exact(price.image_out) * used.image_out
    )
    return _rounded(exact / 2 if batch else exact)


def picture_cost(price: PerImage, quality: Quality, count: int, *, vector: bool = False) -> int:
    """Millionths of a US dollar of so many pictures, made in jobs of `images_per_job`. KeyError for an unpriced quality."""
    jobs = -(-count // price.images_per_job)
    usd = price.svg[quality] if vector and price.svg else price.usd[quality]
    return _rounded(_exact(usd) * jobs * MICROS)


def gpu_cost(price: Gpu, count: int) -> int:
    """Millionths of a US dollar: the share of an hour that so many pictures take on a server of our own."""
    return _rounded(_exact(price.usd_per_hour) / _exact(price.images_per_hour) * count * MICROS)


def _exact(usd: float) -> Decimal:
    # Through its shortest text: 0.04 is four cents, not the binary number nearest to them.
    return Decimal(repr(float(usd)))


def _rounded(micros: Decimal) -> int:
    """Half a millionth counts as one, so that a sum of many is never systematically too low."""
    return int(micros.quantize(Decimal(1), rounding=ROUND_HALF_UP))
