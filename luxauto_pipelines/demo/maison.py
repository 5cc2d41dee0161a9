"""The demo maison: what it sells, at which prices, from when on, and how its year goes.

What belongs here: the catalogue, the price lists of five currencies, the collections' launch dates, the sale
periods and the season. All of it is decided by the house. What customers then do with it is in `trade`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

NAME = "Maison Orsenna"

EXPONENTS = {"EUR": 2, "GBP": 2, "USD": 2, "JPY": 0, "CHF": 2}
"""Decimals of each currency the house sells in (ISO 4217)."""

Season = str
"""How a style leans in the year: "" (not at all), "winter" or "summer"."""


@dataclass(frozen=True, slots=True)
class Item:
    """One SKU. `first_price` is its net EUR price at launch in whole euros, `cost` is in cents of EUR;
    `pull` is how much of the demand it draws beside the others."""

    sku: str
    product: str
    product_name: str
    category: str
    subcategory: str
    collection: str
    size: str
    color: str
    launched_on: date
    first_price: int
    cost: int
    lead_time_days: int
    min_order_quantity: int
    supplier: str
    season: Season
    pull: float


@dataclass(frozen=True, slots=True)
class PriceChange:
    """The house's yearly price rise: whole percent by category, from the day `on`, of all launched before."""

    on: date
    percent: dict[str, int]


@dataclass(frozen=True, slots=True)
class Maison:
    """The house over the days `first_day` to `until`, both included."""

    first_day: date
    until: date
    items: tuple[Item, ...]
    price_changes: tuple[PriceChange, ...]

    def days(self) -> list[date]:
        """Every day of trade, oldest first."""
        return [self.first_day + timedelta(n) for n in range((self.until - self.first_day).days + 1)]


def found_maison(seed: int, until: date) -> Maison:
    """The house as it is over the two years that end with `until`; the same arguments give the same house."""
    rng = np.random.default_rng([seed, 1])
    first_day = _two_years_before(until) + timedelta(1)
    items = [item for style in STYLES for item in _items_of(style, first_day, until, rng)]
    changes = [
        PriceChange(on, {category: int(rng.integers(3, 9)) for category in sorted(CATEGORIES)})
        for year in range(first_day.year, until.year + 1)
        if first_day < (on := date(year, 2, 1)) <= until
    ]
    return Maison(first_day, until, tuple(items), tuple(changes))


def price_list(maison: Maison, on: date) -> dict[tuple[str, str], int]:
    """Net retail prices in force on a day, by (sku, currency), in minor units of that currency.

    A list price is the EUR price times the house's own factor for the currency, set to a tidy step. It does
    not follow the exchange rate from day to day, as no luxury house's prices do.
    """
    prices = {}
    for item in maison.items:
        numerator, denominator = item.first_price, 1
        for change in maison.price_changes:
            if item.launched_on < change.on <= on:
                numerator *= 100 + change.percent[item.category]
                denominator *= 100
        for currency, per_mille in _LIST_FACTOR.items():
            step = 1000 if currency == "JPY" else 10 if item.first_price >= 300 else 5
            units = step * max(1, _round_half_up(numerator * per_mille, denominator * 1000 * step))
            prices[item.sku, currency] = units * 10 ** EXPONENTS[currency]
    return prices


def season_factor(day: date, season: Season = "") -> float:
    """How busy a day is, about 1.0 in the mean, before weekdays: quiet in August, busy before Christmas."""
    factor = MONTHS[day.month - 1]
    if day.month == 12:
        # Presents are bought until the evening of the 23rd, and then the streets are empty.
        factor = 1.30 + 0.035 * day.day if day.day <= 23 else 0.45 if day.day <= 26 else 0.95
    return factor * LEANINGS[season][day.month - 1]


def launch_factor(item: Item, day: date) -> float:
    """How much more than its usual demand a SKU draws after its launch; 0 before it."""
    age = (day - item.launched_on).days
    return 0.0 if age < 0 else 1.0 + 5.0 * float(np.exp(-age / 14))


def sale_on(day: date) -> tuple[str, int] | None:
    """The name of the sale running on a day and its percent off, or None."""
    return SALES.get(day.month) if day.day >= 6 else None


def on_sale(item: Item, day: date) -> bool:
    """Whether a SKU takes part in the sales: never a bag or a ribbon, and nothing of the last half year."""
    plain = item.category != "bags" and item.subcategory != "ribbons"
    return plain and (day - item.launched_on).days > 180


def skus_by_pull(items: Sequence[Item], category: str) -> list[str]:
    """The permanent SKUs of a category, the most wanted first."""
    chosen = [item for item in items if item.category == category and item.collection == "Permanent"]
    return [item.sku for item in sorted(chosen, key=lambda item: -item.pull)]


MONTHS = (0.92, 0.88, 1.08, 1.06, 1.02, 0.98, 0.95, 0.55, 1.02, 1.05, 1.18, 1.30)
"""The season by month; December goes by day, see `season_factor`."""

LEANINGS: dict[Season, tuple[float, ...]] = {
    "": (1.0,) * 12,
    "winter": (1.3, 1.1, 0.9, 0.7, 0.6, 0.5, 0.5, 0.8, 1.2, 1.5, 1.5, 1.4),
    "summer": (0.6, 0.8, 1.2, 1.4, 1.6, 1.5, 1.3, 1.0, 0.8, 0.6, 0.6, 0.6),
}

SALES = {1: ("Winter sale", 30), 7: ("Summer sale", 25)}
"""By month, from its sixth day to its last."""

CATEGORIES = ("bags", "ready-to-wear", "shoes", "scarves")

_LIST_FACTOR = {"EUR": 1000, "GBP": 890, "USD": 1190, "JPY": 174_000, "CHF": 1010}


@dataclass(frozen=True, slots=True)
class _Style:
    """One design. `drop` is "" for the permanent line, or the season and how many such drops into the two
    years it was launched; `price` is in euros; colours are given as code and name."""

    code: str
    name: str
    category: str
    subcategory: str
    price: int
    pull: float
    colors: tuple[str, ...]
    sizes: tuple[str, ...] = ("",)
    drop: str = ""
    season: Season = ""


_BLACK, _IVORY, _BURGUNDY, _SAND, _NAVY = "NOI Black", "IVO Ivory", "BOR Burgundy", "SAB Sand", "MAR Navy"
_GREEN, _ROSE, _GOLD, _COGNAC = "VER Bottle green", "ROS Powder pink", "ORO Gold", "COG Cognac"
_HEELS, _TAILORED, _LETTERS = ("36", "37", "38", "39", "40"), ("36", "38", "40", "42"), ("S", "M", "L")
_BAGS, _RTW, _SHOES, _SCARVES = CATEGORIES

STYLES = (
    _Style("AUR", "Aurore top-handle bag", _BAGS, "top-handle", 3450, 3.0, (_BLACK, _COGNAC, _IVORY)),
    _Style("AUM", "Aurore mini bag", _BAGS, "top-handle", 2650, 3.2, (_BLACK, _ROSE, _BURGUNDY)),
    _Style("SEI", "Seine tote", _BAGS, "totes", 1980, 2.8, (_COGNAC, _BLACK, _NAVY)),
    _Style("MIN", "Minuit clutch", _BAGS, "clutches", 1450, 1.6, (_BLACK, _GOLD)),
    _Style("ECU", "Écuyer messenger bag", _BAGS, "crossbody", 2280, 1.5, (_COGNAC, _GREEN)),
    _Style(
        "LUC",
        "Lucarne bucket bag",
        _BAGS,
        "crossbody",
        2150,
        2.6,
        (_BLACK, _SAND, _BURGUNDY),
        drop="autumn 0",
    ),
    _Style("PER", "Perle micro bag", _BAGS, "clutches", 1290, 1.8, (_IVORY, _ROSE), drop="spring 1"),
    _Style("SOL", "Solène wool coat", _RTW, "coats", 3200, 1.8, (_BLACK,), _TAILORED, season="winter"),
    _Style("HAU", "Hauteville silk blouse", _RTW, "shirts", 890, 3.2, (_IVORY, _BLACK), _TAILORED[:3]),
    _Style("MAS", "Marais wool trousers", _RTW, "trousers", 780, 2.4, (_NAVY,), _TAILORED),
    _Style(
        "BRU",
        "Brume cashmere knit",
        _RTW,
        "knitwear",
        980,
        3.4,
        (_SAND, _BURGUNDY),
        _LETTERS,
        season="winter",
    ),
    _Style(
        "OPA",
        "Opale evening dress",
        _RTW,
        "dresses",
        2450,
        1.6,
        (_GREEN,),
        _TAILORED[:3],
        "spring 0",
        "summer",
    ),
    _Style("VEN", "Ventoux tailored jacket", _RTW, "jackets", 1890, 2.2, (_BLACK,), _TAILORED, "autumn 0"),
    _Style("LIG", "Ligne pump", _SHOES, "pumps", 790, 3.6, (_BLACK,), _HEELS),
    _Style("QUA", "Quai loafer", _SHOES, "loafers", 750, 3.6, (_COGNAC,), _HEELS),
    _Style("OND", "Ondine sandal", _SHOES, "sandals", 690, 2.6, (_GOLD,), _HEELS[:4], "spring 0", "summer"),
    _Style("CAV", "Cavalière riding boot", _SHOES, "boots", 1350, 3.0, (_BLACK,), _HEELS, "autumn 1", "winter"),
    _Style("JAR", "Jardin silk square", _SCARVES, "squares", 420, 5.2, (_ROSE, _NAVY, _GREEN, _IVORY)),
    _Style(
        "CON",
        "Constellation silk square",
        _SCARVES,
        "squares",
        440,
        3.2,
        (_NAVY, _GOLD, _BLACK),
        drop="spring 1",
    ),
    _Style(
        "VOI",
        "Voile cashmere stole",
        _SCARVES,
        "stoles",
        650,
        2.6,
        (_SAND, _BLACK, _BURGUNDY),
        season="winter",
    ),
    _Style("RUB", "Ruban twill ribbon", _SCARVES, "ribbons", 120, 5.6, (_ROSE, _GOLD, _NAVY, _GREEN)),
)

_COLOR_CURVE = (1.4, 1.0, 0.75, 0.6)
_SIZE_CURVES = {1: (1.0,), 3: (0.8, 1.2, 0.9), 4: (0.8, 1.2, 1.1, 0.7), 5: (0.6, 1.1, 1.3, 1.1, 0.7)}
_PREFIX = {"bags": "BAG", "ready-to-wear": "RTW", "shoes": "SHO", "scarves": "SCA"}


@dataclass(frozen=True, slots=True)
class _Making:
    """How a category is made: supplier, days from order to delivery, smallest order, cost as percent of
    price."""

    supplier: str
    lead_time_days: int
    min_order_quantity: int
    cost_percent: int


_MAKING = {
    "bags": _Making("Pelletteria Arnolfi", 49, 6, 24),
    "ready-to-wear": _Making("Ateliers du Loing", 56, 8, 29),
    "shoes": _Making("Calzaturificio Val d'Adda", 42, 10, 26),
    "scarves": _Making("Soieries de la Croix-Haute", 35, 20, 19),
    "knitwear": _Making("Lanificio Bressan", 63, 8, 27),
}


def _items_of(style: _Style, first_day: date, until: date, rng: np.random.Generator) -> list[Item]:
    launched_on, collection = _launch(style.drop, first_day, until, rng)
    making = _MAKING.get(style.subcategory) or _MAKING[style.category]
    items = []
    for color, of_color in zip(style.colors, _COLOR_CURVE, strict=False):
        code, color_name = color.split(" ", 1)
        share = of_color / sum(_COLOR_CURVE[: len(style.colors)])
        curve = _SIZE_CURVES[len(style.sizes)]
        for size, of_size in zip(style.sizes, curve, strict=True):
            pull = style.pull * share * of_size / sum(curve) * float(rng.lognormal(0, 0.12))
            parts = (_PREFIX[style.category], style.code, code, size)
            items.append(
                Item(
                    sku="-".join(part for part in parts if part),
                    product=style.code,
                    product_name=style.name,
                    category=style.category,
                    subcategory=style.subcategory,
                    collection=collection,
                    size=size,
                    color=color_name,
                    launched_on=launched_on,
                    first_price=style.price,
                    cost=style.price * making.cost_percent + int(rng.integers(-style.price, style.price)),
                    lead_time_days=making.lead_time_days,
                    min_order_quantity=making.min_order_quantity,
                    supplier=making.supplier,
                    season=style.season,
                    pull=pull,
                )
            )
    return items


def _launch(drop: str, first_day: date, until: date, rng: np.random.Generator) -> tuple[date, str]:
    """The launch date and collection of a style; a permanent one was there before the first day."""
    if not drop:
        return first_day - timedelta(int(rng.integers(300, 1800))), "Permanent"
    season, nth = drop.split(" ")
    month, day = (3, 5) if season == "spring" else (9, 10)
    # Two months at either end, so that a launch has both a before and an after in the files.
    dates = [
        on
        for year in range(first_day.year, until.year + 1)
        if first_day + timedelta(60) <= (on := date(year, month, day)) <= until - timedelta(60)
    ]
    on = dates[int(nth) % len(dates)]
    return on, f"{'Spring-Summer' if season == 'spring' else 'Autumn-Winter'} {on.year}"


def _two_years_before(until: date) -> date:
    day = until.day if (until.month, until.day) != (2, 29) else 28
    return date(until.year - 2, until.month, day)


def _round_half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
