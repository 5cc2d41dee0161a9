"""Policies of replenishment in numbers: when to order and how much, safety stock, and service levels.

Here: arithmetic over arrays, a SKU an element. Not here: where stock, forecasts and costs come from, the words a buyer reads
(`assets/inventory/reorder.py`), and the replay of history (`assets/inventory/simulation`).

Safety stock covers the forecast's own error over the protection interval, lead time and review period together. The spread of
sales is another thing: a season that is foreseen needs no safety stock (Silver, Pyke & Thomas, Inventory and Production
Management in Supply Chains, 4th ed., 2017, ch. 6; "SPT" below).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Units = NDArray[np.int64]

SMOOTH, ERRATIC, INTERMITTENT, LUMPY = CLASSES = ("smooth", "erratic", "intermittent", "lumpy")
_ADI_LIMIT, _CV2_LIMIT = 1.32, 0.49
_ROUNDING = 1e-9
_STEPS_OF_SEARCH = 80


class InvalidPolicy(ValueError):
    """A number that no policy can have; the message names it and what is possible."""


# When and how much


def reorder_to_level(position: ArrayLike, reorder_point: ArrayLike, order_up_to: ArrayLike) -> Units:
    """(R, s, S): at a review, a position at s or below is filled up to S; units, rounded up. SPT 6.4.

    A fixed reorder point, such as "at 10 or fewer, up to 50", is the same with constants.
    """
    position, up_to = np.asarray(position), np.asarray(order_up_to, dtype=np.float64)
    wanted = whole_units(np.maximum(up_to - position, 0))
    return np.where(position <= np.asarray(reorder_point) + _ROUNDING, wanted, 0)


def order_up_to_level(position: ArrayLike, order_up_to: ArrayLike) -> Units:
    """(R, S): each review fills the position up to S; units, rounded up. SPT 6.4."""
    return whole_units(np.maximum(np.asarray(order_up_to, dtype=np.float64) - np.asarray(position), 0))


def reorder_in_lots(position: ArrayLike, reorder_point: ArrayLike, lot: ArrayLike) -> Units:
    """(s, nQ): the fewest lots of Q units that lift a position at s or below above s. SPT 6.4.

    Raises InvalidPolicy for a lot below 1.
    """
    size = np.asarray(lot, dtype=np.int64)
    if np.any(size < 1):
        raise InvalidPolicy(f"a lot has 1 unit or more, not {size.min()}")
    short = np.asarray(reorder_point, dtype=np.float64) - np.asarray(position)
    lots = np.floor(short / size + _ROUNDING) + 1
    return np.where(short >= -_ROUNDING, lots, 0).astype(np.int64) * size


def in_lots(wanted: ArrayLike, order_multiple: ArrayLike = 1, min_order_quantity: ArrayLike = 0) -> Units:
    """What has to be ordered to get `wanted` units: none for none, else the least order, rounded up to whole multiples."""
    wanted, multiple = np.asarray(wanted, dtype=np.int64), np.asarray(order_multiple, dtype=np.int64)
    least = np.asarray(min_order_quantity, dtype=np.int64)
    if np.any(multiple < 1) or np.any(least < 0):
        raise InvalidPolicy("an order multiple is 1 or more, and a minimum order quantity 0 or more")
    return np.where(wanted > 0, -(-np.maximum(wanted, least) // multiple) * multiple, 0)


def economic_order_quantity(demand_per_year: ArrayLike, order_cost: ArrayLike, holding_per_year: ArrayLike) -> Floats:
    """Units whose ordering and holding together cost least: sqrt(2 K D / h), 0 where an order costs nothing. SPT 4.2.

    Infinite where holding costs nothing and an order something.
    """
    demand = np.asarray(demand_per_year, dtype=np.float64)
    cost, holding = np.asarray(order_cost, dtype=np.float64), np.asarray(holding_per_year, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = 2 * cost * demand / holding
    return np.sqrt(np.where(cost * demand > 0, squared, 0.0))


def whole_units(units: ArrayLike) -> Units:
    """Rounded up; what adding up leaves behind the decimal point is no further unit."""
    return np.ceil(np.asarray(units, dtype=np.float64) - _ROUNDING).astype(np.int64)


# Safety stock


def error_sigma(actual: ArrayLike, forecast: ArrayLike) -> Floats:
    """sqrt of E[(Σ y − Σ ŷ)²]: the standard error of a forecast's sum over windows of one length.

    actual, forecast: sums over the window, shape (windows, SKUs). Returns one number a SKU. A bias counts as error.
    """
    error = np.asarray(actual, dtype=np.float64) - np.asarray(forecast, dtype=np.float64)
    return np.sqrt(np.mean(error**2, axis=0))


def protection_sigma(error: ArrayLike, mean_per_week: ArrayLike, lead_time_sd_weeks: float) -> Floats:
    """Standard deviation of demand less forecast over a protection interval of random length, in units.

    σ_P² = E[(Σ y − Σ ŷ)²] + (mean weekly ŷ)² Var(L): demand's and the lead time's errors are independent (SPT 6.10).
    """
    if lead_time_sd_weeks < 0:
        raise InvalidPolicy(f"the standard deviation of a lead time is 0 or more, not {lead_time_sd_weeks}")
    mean = np.asarray(mean_per_week, dtype=np.float64)
    return np.sqrt(np.asarray(error, dtype=np.float64) ** 2 + mean**2 * lead_time_sd_weeks**2)


def conformal_quantile(scores: ArrayLike, level: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The score that a new one of the same kind does not exceed with probability `level`, from earlier `scores`.

    Split conformal prediction's quantile, at (n + 1)/n of the level (Vovk, Gammerman & Shafer, Algorithmic Learning in a
    Random World, 2005); the largest score where there are too few for the level. `weights` count a score more or less. Raises
    InvalidPolicy without scores.
    """
    values = np.asarray(scores, dtype=np.float64).ravel()
    levels = _shares(level, "level")
    if not len(values):
        raise InvalidPolicy("a quantile needs at least one score: make forecasts of earlier weeks too")
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    needed = np.minimum(levels * (1 + 1 / len(values)), 1) * reached[-1]
    return values[order][np.minimum(np.searchsorted(reached, needed - _ROUNDING * reached[-1]), len(values) - 1)]


# Service levels


def factor_for_cycles(level: ArrayLike) -> Floats:
    """z, the standard deviations of safety stock with which this share of cycles ends without a stock-out. SPT 6.7."""
    from scipy.special import ndtri

    return ndtri(_shares(level, "cycle service level"))


def factor_for_fill(fill_rate: ArrayLike, sigma: ArrayLike, cycle_demand: ArrayLike) -> Floats:
    """z, the standard deviations of safety stock that deliver this share of units from stock: σ L(z) = (1 − fill) · demand.

    sigma: of the protection interval. cycle_demand: units between two orders (the lot Q, or the mean over a review). Units
    that are short are taken as those of the cycle's end alone. SPT 6.7.4. Never below −4.
    """
    share = _shares(fill_rate, "fill rate")
    short = (1 - share) * np.asarray(cycle_demand, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = np.where(np.asarray(sigma) > 0, short / np.asarray(sigma, dtype=np.float64), np.inf)
    return _where_it_falls_to(normal_loss, loss, -4.0, 8.0)


def level_for_fill_of_gamma(fill_rate: ArrayLike, mean: ArrayLike, sigma: ArrayLike, cycle_demand: ArrayLike) -> Floats:
    """The stock that delivers this share of units where demand over the protection interval is gamma distributed, in units.

    For demand that is far from normal: slow or lumpy, whose normal curve would reach below zero (Burgin, The gamma
    distribution and inventory control, Operational Research Quarterly 26, 1975).
    """
    mean, sigma = np.asarray(mean, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
    short = (1 - _shares(fill_rate, "fill rate")) * np.asarray(cycle_demand, dtype=np.float64)
    return _where_it_falls_to(lambda level: gamma_loss(level, mean, sigma), short, 0.0, mean + 40 * sigma + 1)


def normal_loss(z: ArrayLike) -> Floats:
    """E[(Z − z)⁺] of a standard normal Z: φ(z) − z (1 − Φ(z)). SPT appendix II."""
    from scipy.special import ndtr

    z = np.asarray(z, dtype=np.float64)
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) - z * ndtr(-z)


def gamma_loss(level: ArrayLike, mean: ArrayLike, sigma: ArrayLike) -> Floats:
    """E[(X − level)⁺] of a gamma distributed X with this mean and standard deviation; certain where sigma is 0."""
    from scipy.special import gammaincc

    level, mean = np.asarray(level, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    sigma = np.asarray(sigma, dtype=np.float64)
    certain = (sigma <= 0) | (mean <= 0)
    scale = np.where(certain, 1.0, sigma**2 / np.where(mean > 0, mean, 1.0))
    shape = np.where(certain, 1.0, mean / scale)
    x = np.maximum(level, 0) / scale
    loss = shape * scale * gammaincc(shape + 1, x) - np.maximum(level, 0) * gammaincc(shape, x) + np.maximum(-level, 0)
    return np.where(certain, np.maximum(mean - level, 0), np.maximum(loss, 0))


# Kinds of demand


def demand_classes(history: ArrayLike) -> NDArray[np.str_]:
    """smooth, erratic, intermittent or lumpy, of each SKU (rows) by its units a week (columns).

    By the mean interval between selling weeks (1.32) and the squared coefficient of variation of what they sold (0.49):
    Syntetos, Boylan & Croston, On the categorization of demand patterns, JORS 56, 2005. Without a sale: lumpy.
    """
    units = np.asarray(history, dtype=np.float64)
    selling = units > 0
    count = selling.sum(axis=1)
    times = np.maximum(count, 1)
    interval = np.where(count > 0, units.shape[1] / times, np.inf)
    mean = units.sum(axis=1, where=selling) / times
    spread = np.sqrt(((units - mean[:, None]) ** 2).sum(axis=1, where=selling) / times)
    with np.errstate(divide="ignore", invalid="ignore"):
        cv2 = np.where(count > 0, (spread / mean) ** 2, np.inf)
    rare, wild = interval >= _ADI_LIMIT, cv2 >= _CV2_LIMIT
    return np.select([~rare & ~wild, ~rare, ~wild], [SMOOTH, ERRATIC, INTERMITTENT], LUMPY)


def _where_it_falls_to(function: Any, value: ArrayLike, low: ArrayLike, high: ArrayLike) -> Floats:
    """Where a falling function has a value, between two bounds: by bisection, for all elements at once."""
    value = np.asarray(value, dtype=np.float64)
    low, high, value = (np.array(one, dtype=np.float64) for one in np.broadcast_arrays(low, high, value))
    for _ in range(_STEPS_OF_SEARCH):
        middle = (low + high) / 2
        above = function(middle) > value
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def _shares(share: ArrayLike, name: str) -> Floats:
    shares = np.asarray(share, dtype=np.float64)
    if not np.all((shares > 0) & (shares < 1)):
        raise InvalidPolicy(f"the {name} is a share between 0 and 1 (0.95, not {share})")
    return shares
