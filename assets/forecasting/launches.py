"""The beginning and the end of an item: what a new one will sell, judged by those like it, and when an old one is over.

Here: launch curves of similar items, the level of a new one shrunk with its own first weeks, and the signs that an item is no
longer bought. Not here: items with a history of their own, which the models forecast, and where attributes come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
else:
    Floats = Any

QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
LAUNCH_FORECAST: dict[str, pl.DataType] = {
    "week": pl.Date(),
    "step": pl.Int64(),
    "mean": pl.Float64(),
    **dict.fromkeys((f"q{q}" for q in QUANTILES), pl.Float64()),
}
LIFECYCLE: dict[str, pl.DataType] = {
    "sku": pl.String(),
    "state": pl.String(),
    "weeks_since_sale": pl.Int64(),
    "p_active": pl.Float64(),
    "weekly_decay": pl.Float64(),
}
ACTIVE, DECAYING, ENDED = "active", "decaying", "ended"
WEEK = timedelta(days=7)

PROFILE_WEEKS = 26
"""Weeks of a launch curve; after them an item sells at the curve's second half."""

NEIGHBOURS = 10
"""How many of the most similar items are looked at."""

OLD_MARGIN = 4
"""An item without a launch day that first sold later than so many weeks into the panel was launched in it."""

PROFILE_UNITS = 5.0
"""Units a week that the brand's curve weighs beside those of the similar items."""

STEEP_WEEKS = 4
"""The first weeks of a curve, which are too steep to be smoothed."""

SETTLED_UNITS, LEAST_TRUST = 50.0, 0.2
"""Units that launched items must have sold after their eighth week for their curve to be half known; how much first weeks say
of an item's level while nothing is known of launches."""

LEAST_SPREAD, LONE_SPREAD = 0.25, 0.6
"""Standard deviation of similar items' levels beside their mean: at least, and where a single one is known."""

SEASON_SKUS, SEASON_UNITS = 5, 20.0
"""Fewer old items, or fewer units of them a week, tell nothing of the season."""


def launch_forecast(history: pl.DataFrame, attributes: pl.DataFrame, sku: str, horizon: int) -> pl.DataFrame:
    """What a new item will sell in the `horizon` weeks after the last of `history` (`LAUNCH_FORECAST`).

    Empty if no item like it is known (one of the same category with sales). See `launch_forecasts` for the rest.
    """
    return launch_forecasts(history, attributes, [sku], horizon).drop("sku")


def launch_forecasts(
    history: pl.DataFrame, attributes: pl.DataFrame, skus: Sequence[str], horizon: int
) -> pl.DataFrame:
    """`launch_forecast` of several SKUs at once: sku and `LAUNCH_FORECAST`; a SKU without similar items has no rows.

    `history` is weekly demand (sku, week, units, and units_lost and days_out_of_stock where known). `attributes` has sku and
    category, and where known subcategory, supplier, collection, retail_price_minor and launched_on. Similar are the up to
    `NEIGHBOURS` nearest items of the same category, by 1 for another subcategory, 1/2 for another supplier, 1/2 for another
    collection, the log of the price ratio, and 1/2 for an item older than the panel, of whose launch nothing was seen; an item
    at distance d weighs exp(-d).

    Units in the week of age a of item j are Poisson with the mean level_j * profile_a * season_w * (share of days on offer).
    The profile is pooled over the similar items launched in the panel, and drawn to that of all launches (`PROFILE_UNITS`). The
    season is that of the items older than the panel, a year ago for weeks to come. The new item's level has a gamma
    distribution with the mean and the spread of its similar items' levels (method of moments, less their own Poisson noise),
    updated with its own first weeks: (alpha + sum of units) / (beta + sum of exposure), the Gamma-Poisson (empirical Bayes)
    estimate (Robbins 1956; Casella 1985). First weeks, of the item and of others launched with it, weigh less (a power prior,
    Ibrahim and Chen 2000) while the panel has seen no launch settle: a rush cannot be told from a level then. Quantiles are of
    the negative binomial that follows from the level's spread and the similar items' weekly spread around their curves. A week
    before the launch day is zero.
    """
    panel = _panel(history, attributes)
    rows = []
    if panel is not None:
        brand = _brand(panel)
        for sku in skus:
            if (place := panel.places.get(sku)) is not None:
                rows.extend((sku, *row) for row in _forecast(panel, brand, place, horizon))
    return pl.DataFrame(rows, schema={"sku": pl.String(), **LAUNCH_FORECAST}, orient="row")


def new_skus(history: pl.DataFrame, attributes: pl.DataFrame, younger_than: int = PROFILE_WEEKS) -> list[str]:
    """SKUs that were launched in the panel less than so many weeks ago, or never sold yet and are not older than the panel."""
    panel = _panel(history, attributes)
    if panel is None:
        return []
    width = len(panel.weeks)
    return sorted(sku for sku, n in panel.places.items() if panel.launched[n] and width - panel.start[n] < younger_than)


# --- the end ------------------------------------------------------------------------------------------------

DEATH_RATE = 1 / 104
"""The chance a week, before anything is seen of it, that an item is taken off the range: about once in two years."""

ENDED_BELOW = 0.05
SILENT_WEEKS = 8
DECAY_WEEKS = 13
YEAR = 52
DECAY_ODDS = 0.005


def lifecycle(history: pl.DataFrame) -> pl.DataFrame:
    """Whether each item is still bought (`LIFECYCLE`), sorted by sku.

    `p_active` is the chance that an item silent for n weeks is still on the range, if it sells in a week with the chance p it
    had up to its last sale, and leaves the range with the chance h = `DEATH_RATE` a week (the beta-geometric/beta-Bernoulli
    model of Fader, Hardie and Shang 2010 with its two rates known):

        alive = ((1 - h)(1 - p))^n        gone = sum over k < n of h ((1 - h)(1 - p))^k        p_active = alive / (alive + gone)

    Weeks wholly out of stock are not silent: nothing could be bought. `state` is "ended" if p_active is below `ENDED_BELOW`
    after at least `SILENT_WEEKS` silent weeks; "decaying" if the last 13 weeks sold less than the same weeks a
    year ago by more than chance explains (one-sided exact test of equal Poisson rates at `DECAY_ODDS`), the 13 before them did
    too, and the last sold less than those before them (both at 0.05); else "active". Beside last year, because a season falls
    as well, and so does the rush of a launch; an item with less than 78 weeks is not judged. `weekly_decay` is what a decaying
    item keeps from week to week, the 52nd root of the last weeks' ratio to last year's; 1 for the others.
    """
    rows = []
    for (sku,), weeks in history.sort("sku", "week").group_by("sku", maintain_order=True):
        units, open_days = _sales_in_stock(weeks)
        on_offer = [sold for sold, days in zip(units, open_days, strict=True) if days > 0]
        silent = next((n for n, sold in enumerate(reversed(on_offer)) if sold > 0), len(on_offer))
        active = _p_active(on_offer, silent)
        decay = _decay(units, open_days)
        ended = active < ENDED_BELOW and silent >= SILENT_WEEKS
        rows.append(
            (sku, ENDED if ended else DECAYING if decay < 1 else ACTIVE, silent, active, 1.0 if ended else decay)
        )
    return pl.DataFrame(rows, schema=LIFECYCLE, orient="row")


def with_end_of_life(forecasts: pl.DataFrame, cycle: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """`forecasts` (sku, step and `columns` of units) with demand that tends to zero for items that are over.

    Each of `columns` is multiplied with p_active of an ended item, and with weekly_decay to the power of the step for a
    decaying one; the others, and SKUs that `cycle` does not know, stay as they are.
    """
    kept = (
        pl.when(pl.col("state") == ENDED)
        .then(pl.col("p_active"))
        .when(pl.col("state") == DECAYING)
        .then(pl.col("weekly_decay").pow(pl.col("step")))
        .otherwise(1.0)
    )
    known = forecasts.join(cycle, on="sku", how="left", maintain_order="left")
    return known.with_columns(pl.col(name) * kept for name in columns).select(forecasts.columns)


def _sales_in_stock(weeks: pl.DataFrame) -> tuple[list[float], list[int]]:
    """Units of each week without those lost, and its days in stock."""
    lost = weeks["units_lost"] if "units_lost" in weeks.columns else 0.0
    out = weeks["days_out_of_stock"] if "days_out_of_stock" in weeks.columns else pl.Series([0] * weeks.height)
    return (weeks["units"] - lost).to_list(), (7 - out).clip(lower_bound=0).to_list()


def _p_active(units: list[float], silent: int) -> float:
    seen = units[: len(units) - silent]
    if not seen:
        return 1.0
    sells = (sum(sold > 0 for sold in seen) + 0.5) / (len(seen) + 1)
    stays = (1 - DEATH_RATE) * (1 - sells)
    alive = stays**silent
    gone = DEATH_RATE * (1 - alive) / (1 - stays)
    return alive / (alive + gone)


def _decay(units: list[float], days: list[int]) -> float:
    """What is kept from week to week; below 1 only for a fall below last year that chance does not explain and that goes on."""
    if len(units) < YEAR + 2 * DECAY_WEEKS:
        return 1.0
    # By the weeks that they end before the last: the latest quarter, the one before, and the same of last year.
    ends = [len(units) - n for n in (0, DECAY_WEEKS, YEAR, YEAR + DECAY_WEEKS)]
    sold = [sum(units[end - DECAY_WEEKS : end]) for end in ends]
    seen = [sum(days[end - DECAY_WEEKS : end]) for end in ends]
    if min(seen) == 0:
        return 1.0
    falls = ((2, 0, DECAY_ODDS), (3, 1, 0.05), (1, 0, 0.05))
    if any(_odds_of_fall(sold, seen, before, after) >= odds for before, after, odds in falls):
        return 1.0
    return ((sold[0] + 0.5) / seen[0] / ((sold[2] + 0.5) / seen[2])) ** (1 / YEAR)


def _odds_of_fall(sold: list[float], seen: list[int], before: int, after: int) -> float:
    """The chance of so few units after as there were, or fewer, if nothing changed (exact conditional test)."""
    from scipy.stats import binom

    units = round(sold[before]) + round(sold[after])
    return float(binom.cdf(round(sold[after]), units, seen[after] / (seen[before] + seen[after])))


# --- the panel ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Panel:
    """Items by weeks: `units` sold in stock and `exposure`, the season times the share of days on offer.

    `start` is the column of an item's first week on offer (beyond the last for one to come), `launched` whether that was seen.
    `first_share` is the part of the first week that it was on offer. `season_ahead` is the season of a week to come.
    """

    weeks: list[date]
    places: dict[str, int]
    units: Floats
    exposure: Floats
    start: list[int]
    launched: "NDArray[np.bool_]"
    first_share: list[float]
    traits: dict[str, "NDArray[np.int64]"]
    prices: Floats
    season: Floats

    def season_ahead(self, column: int) -> float:
        """A year before, where the panel goes back so far."""
        while column >= len(self.weeks):
            column -= 52
        return float(self.season[column]) if column >= 0 else 1.0


TRAITS = {"subcategory": 1.0, "supplier": 0.5, "collection": 0.5}
OLD_DISTANCE = 0.5


def _panel(history: pl.DataFrame, attributes: pl.DataFrame) -> _Panel | None:
    import numpy as np

    if history.is_empty():
        return None
    ends = history.select(pl.date_range(pl.col("week").min(), pl.col("week").max(), "1w"))
    weeks: list[date] = ends["week"].to_list()
    known = attributes.filter(pl.col("category").is_not_null()).unique("sku", keep="first", maintain_order=True)
    places = {sku: n for n, sku in enumerate(known["sku"])}
    units, exposure = np.zeros((len(places), len(weeks))), np.zeros((len(places), len(weeks)))
    first_sale = dict(history.group_by("sku").agg(pl.col("week").min()).iter_rows())
    launch_days = known["launched_on"].to_list() if "launched_on" in known.columns else [None] * known.height
    start, launched, first_share = [], [], []
    for sku, day in zip(places, launch_days, strict=True):
        begun = _begun(day, first_sale.get(sku), weeks)
        start.append(begun[0])
        launched.append(begun[1])
        first_share.append(begun[2])
        n = places[sku]
        exposure[n, begun[0] :] = 1.0
        if begun[0] < len(weeks):
            exposure[n, begun[0]] = begun[2]
    columns_of = history.with_columns(column=(pl.col("week") - weeks[0]).dt.total_days() // 7)
    for (sku,), rows in columns_of.group_by("sku"):
        if sku in places:
            sold, days = _sales_in_stock(rows)
            columns = rows["column"].to_list()
            units[places[sku], columns] = sold
            exposure[places[sku], columns] *= np.asarray(days) / 7
            # What sold before its launch day sold: the day is wrong, not the sale.
            exposure[
                places[sku], [c for c, s in zip(columns, sold, strict=True) if s > 0 and c < start[places[sku]]]
            ] = 1.0
    seen = np.asarray(launched, dtype=bool)
    season = _season(units, seen)
    price = known["retail_price_minor"].to_list() if "retail_price_minor" in known.columns else [None] * known.height
    codes = [name for name in ("category", *TRAITS) if name in known.columns]
    traits = {name: known[name].cast(pl.String).rank("dense").fill_null(0).cast(pl.Int64).to_numpy() for name in codes}
    prices = np.asarray([float(value) if value else np.nan for value in price])
    return _Panel(weeks, places, units, exposure * season, start, seen, first_share, traits, prices, season)


def _begun(day: date | None, first_sale: date | None, weeks: list[date]) -> tuple[int, bool, float]:
    """The column of the first week on offer, whether the launch is seen, and the part of the first week on offer."""
    if day is None:
        column = len(weeks) if first_sale is None else (first_sale - weeks[0]).days // 7
        return column, column > OLD_MARGIN, 1.0
    column = (day - timedelta(days=day.weekday()) - weeks[0]).days // 7
    if first_sale is not None:
        column = min(column, (first_sale - weeks[0]).days // 7)
    return (column, True, (7 - day.weekday()) / 7) if column >= 0 and day >= weeks[0] else (0, False, 1.0)


def _season(units: Floats, launched: "NDArray[np.bool_]") -> Floats:
    """By week, how much the items older than the panel sell beside their mean week; ones where they are too few to tell.

    Drawn to one, by half in the log after a year: a season seen once cannot be told from a trend.
    """
    import numpy as np

    old = units[~launched]
    total = old.sum(axis=0)
    recent = total[-52:]
    if old.shape[0] < SEASON_SKUS or recent.mean() < SEASON_UNITS:
        return np.ones(units.shape[1])
    padded = np.pad(total, 1, mode="edge")
    smooth = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return np.clip(smooth / recent.mean(), 0.2, 5.0) ** (len(total) / (len(total) + 52))


# --- the curve ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Brand:
    """What is the same for every new item: the curve of all launches, how far it is known, and who is on offer and sells."""

    curve: Floats
    trust: float
    there: "NDArray[np.bool_]"
    sold: "NDArray[np.bool_]"


def _brand(panel: _Panel) -> _Brand:
    import numpy as np

    everyone = np.flatnonzero(panel.launched).tolist()
    curve = _pooled(panel, everyone, np.ones(len(everyone)), np.ones(PROFILE_WEEKS))
    settled = float(_by_age(panel, everyone)[0][:, 8:].sum())
    trust = LEAST_TRUST + (1 - LEAST_TRUST) * settled / (settled + SETTLED_UNITS)
    return _Brand(curve, trust, panel.exposure.sum(axis=1) > 0, panel.units.sum(axis=1) > 0)


def _forecast(panel: _Panel, brand: _Brand, place: int, horizon: int) -> list[tuple[Any, ...]]:
    import numpy as np
    from scipy.stats import nbinom

    near, weights = _similar(panel, brand, place)
    if not near:
        return []
    width, start = len(panel.weeks), panel.start[place]
    profile = _profile(panel, brand, near, weights)
    alpha, beta = _prior(panel, brand, near, weights, profile)
    age = np.arange(width) - start
    mine = panel.exposure[place] * np.where(age >= 0, profile[np.clip(age, 0, PROFILE_WEEKS)], 1.0)
    alpha, beta = alpha + brand.trust * panel.units[place].sum(), beta + brand.trust * mine.sum()
    spread = _weekly_spread(panel, near, weights, profile)
    shape = 1 / (1 / alpha + spread + spread / alpha)
    means = []
    for column in range(width, width + horizon):
        share = panel.first_share[place] if column == start else float(column > start)
        curve = profile[min(max(column - start, 0), PROFILE_WEEKS)]
        means.append(float(share * panel.season_ahead(column) * curve * alpha / beta))
    mean = np.asarray(means)[:, None]
    # A week before the launch has the mean zero, of which the distribution is not defined.
    fans = nbinom.ppf(np.asarray(QUANTILES), shape, shape / (shape + np.maximum(mean, 1e-12)))
    steps = enumerate(zip(means, fans.tolist(), strict=True), start=1)
    return [(panel.weeks[-1] + step * WEEK, step, mean, *fan) for step, (mean, fan) in steps]


def _similar(panel: _Panel, brand: _Brand, place: int) -> tuple[list[int], Floats]:
    """The nearest items of the same category that were on offer for a week at least, and their weights."""
    import numpy as np

    # One that has been on offer and never sold counts only if its launch was seen: else it may not be on offer at all.
    candidates = (panel.traits["category"] == panel.traits["category"][place]) & brand.there
    candidates &= brand.sold | panel.launched
    candidates[place] = False
    found = np.flatnonzero(candidates)
    if not brand.sold[found].any():
        return [], np.zeros(0)
    distance = np.where(panel.launched[found], 0.0, OLD_DISTANCE)
    for name, weight in TRAITS.items():
        if name in panel.traits:
            distance += weight * (panel.traits[name][found] != panel.traits[name][place])
    distance += np.nan_to_num(np.abs(np.log(panel.prices[found] / panel.prices[place])))
    nearest = np.argsort(distance, kind="stable")[:NEIGHBOURS]
    return found[nearest].tolist(), np.exp(-distance[nearest])


def _profile(panel: _Panel, brand: _Brand, near: list[int], weights: Floats) -> Floats:
    """Demand by week of age beside the mean of the first `PROFILE_WEEKS`; the last entry is for every older week."""
    import numpy as np

    launches = [(n, w) for n, w in zip(near, weights, strict=True) if panel.launched[n]]
    curve = _pooled(panel, [n for n, _ in launches], np.asarray([w for _, w in launches]), brand.curve)
    return np.append(curve, curve[PROFILE_WEEKS // 2 :].mean())


def _pooled(panel: _Panel, items: list[int], weights: Floats, prior: Floats) -> Floats:
    """The curve that the items have in common, each at its own level, drawn to `prior`; fitted by turns."""
    import numpy as np

    curve = prior.copy()
    units, exposure = _by_age(panel, items)
    if units.sum() == 0:
        return curve
    for _ in range(20):
        expected = (exposure * curve).sum(axis=1)
        level = np.where(expected > 0, units.sum(axis=1) / np.maximum(expected, 1e-9), 0.0)
        at_level = (weights[:, None] * exposure * level[:, None]).sum(axis=0)
        curve = ((weights[:, None] * units).sum(axis=0) + PROFILE_UNITS * prior) / (at_level + PROFILE_UNITS)
        padded = np.append(curve, curve[-1])[STEEP_WEEKS - 1 :]
        curve[STEEP_WEEKS:] = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
        curve /= curve.mean()
    return curve


def _by_age(panel: _Panel, items: list[int]) -> tuple[Floats, Floats]:
    """Units and exposure of items by week of age, as far as the profile goes; no exposure where nothing was seen."""
    import numpy as np

    units, exposure = np.zeros((len(items), PROFILE_WEEKS)), np.zeros((len(items), PROFILE_WEEKS))
    for row, n in enumerate(items):
        seen = min(len(panel.weeks) - panel.start[n], PROFILE_WEEKS)
        if seen > 0:
            span = slice(panel.start[n], panel.start[n] + seen)
            units[row, :seen], exposure[row, :seen] = panel.units[n, span], panel.exposure[n, span]
    return units, exposure


def _levels(panel: _Panel, near: list[int], profile: Floats) -> tuple[Floats, Floats]:
    """Units and exposure, at a profile of one, of each similar item: its first weeks, or its last if it is old."""
    units, exposure = _by_age(panel, near)
    exposure = exposure * profile[:-1]
    for row, n in enumerate(near):
        if not panel.launched[n]:
            units[row], exposure[row] = 0.0, 0.0
            recent = panel.exposure[n, -PROFILE_WEEKS:]
            units[row, : len(recent)] = panel.units[n, -PROFILE_WEEKS:]
            exposure[row, : len(recent)] = recent * profile[-1]
    return units.sum(axis=1), exposure.sum(axis=1)


def _prior(panel: _Panel, brand: _Brand, near: list[int], weights: Floats, profile: Floats) -> tuple[float, float]:
    """Alpha and beta of the gamma distribution of similar items' levels."""
    import numpy as np

    units, exposure = _levels(panel, near, profile)
    seen = exposure > 0
    units, exposure, weights = units[seen], exposure[seen], weights[seen]
    # A level seen for few weeks is mostly noise.
    trust = weights * exposure / (exposure + 2)
    trust *= np.where(panel.launched[np.asarray(near)[seen]], brand.trust, 1.0)
    level = units / exposure
    mean = float((trust * level).sum() / trust.sum())
    mean = max(mean, 0.5 / float(exposure.sum()))
    variance = float((trust * (level - mean) ** 2).sum() / trust.sum() - mean * (trust / exposure).sum() / trust.sum())
    least = LONE_SPREAD if len(level) == 1 else LEAST_SPREAD
    variance = max(variance, (least * mean) ** 2)
    return mean**2 / variance, mean / variance


def _weekly_spread(panel: _Panel, near: list[int], weights: Floats, profile: Floats) -> float:
    """Squared coefficient of variation of similar items' weeks around their curves, beyond Poisson's."""
    import numpy as np

    units, exposure = _by_age(panel, near)
    expected = exposure * profile[:-1]
    total = expected.sum(axis=1, keepdims=True)
    fitted = np.where(total > 0, units.sum(axis=1, keepdims=True) / np.maximum(total, 1e-9), 0.0) * expected
    beyond = (weights[:, None] * ((units - fitted) ** 2 - fitted)).sum()
    scale = (weights[:, None] * fitted**2).sum()
    return float(np.clip(beyond / scale, 0.02, 1.0)) if scale > 0 else 0.25
