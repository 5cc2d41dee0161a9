"""Two years of the demo maison's trade: customers, orders, returns, stock, and what was planted among them.

What belongs here: the simulation, day by day, in memory. What the house decides beforehand is in `maison`, what is
worth remembering of the result in `truth`, and the file formats in `files`.

A day is the same day in UTC, in Paris and where the customer is, because nobody here buys near midnight: so every
total by day or month holds whichever of the three a reader takes. What comes in during a day (deliveries, returns)
is sold from the next day on, so that stock is never negative at any moment, whatever the order of a day's events.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from luxauto_pipelines.demo.maison import (
    EXPONENTS,
    Item,
    Maison,
    Season,
    launch_factor,
    on_sale,
    price_list,
    sale_on,
    season_factor,
    skus_by_pull,
)

ATELIER = "atelier-paris"
"""The one location that orders draw on and returns come back to."""

BOUTIQUE = "boutique-saint-honore"
"""Display pieces only; they go back to the atelier before they are sold."""

CHANNELS = ("online_store", "physical_store", "marketplace", "wholesale")

RETURN_RATES = {"bags": 0.05, "ready-to-wear": 0.22, "shoes": 0.18, "scarves": 0.04}
"""The chance that a line sold at retail comes back, before `_RETURN_FACTOR`."""

WEEKDAYS = {
    "online_store": (1.08, 1.00, 0.98, 0.98, 0.92, 0.94, 1.10),
    "physical_store": (0.85, 0.90, 0.95, 1.05, 1.25, 2.00, 0.00),
    "marketplace": (1.05, 1.00, 1.00, 1.00, 0.95, 0.95, 1.05),
    "wholesale": (1.40, 1.40, 1.40, 1.40, 1.40, 0.00, 0.00),
}
"""How busy each channel is from Monday to Sunday; each row has the mean 1.0."""


@dataclass(frozen=True, slots=True)
class Customer:
    """An invented person or shop; addresses are under example.com and example.org, which nobody can own."""

    id: str
    email: str
    name: str
    country: str


@dataclass(frozen=True, slots=True)
class Order:
    """The head of a sale or a return. `customer` is None for a walk-in, `original` is empty for a sale."""

    number: str
    occurred_at: datetime
    channel: str
    country: str
    currency: str
    customer: Customer | None
    original: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order; `unit_price` in minor units of the order's currency, net of tax.

    Signs: a sale's lines have quantity 1 or more, and its discounts and fees a negative price. A return's lines have
    a negative quantity and the signs of price of the lines they undo.
    """

    order: Order
    line_type: str
    sku: str
    description: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class StockRow:
    """One stock movement that no order makes; `quantity` is signed."""

    occurred_at: datetime
    sku: str
    location: str
    kind: str
    quantity: int
    reference: str


@dataclass(frozen=True, slots=True)
class Fraud:
    """One planted fraud: all its orders and refunds, and what gives it away."""

    kind: str
    order_numbers: tuple[str, ...]
    customer_id: str
    why: str


@dataclass(frozen=True, slots=True)
class StockOut:
    """The planted stock-out: the shelf is empty from `first` to `last`, whole days, both included."""

    sku: str
    first: date
    last: date
    lost_units: int


@dataclass(frozen=True, slots=True)
class OpenPurchaseOrder:
    """Ordered from the supplier, not delivered by the last day."""

    reference: str
    sku: str
    quantity: int
    due_on: date


@dataclass(frozen=True, slots=True)
class Trade:
    """All that happened. `low_skus` were left without a reorder on purpose, the most wanted first;
    `empty_days` counts the days on which a launched SKU, other than in the planted window, had nothing to sell."""

    lines: list[Line]
    stock: list[StockRow]
    frauds: list[Fraud]
    stock_out: StockOut
    low_skus: tuple[str, ...]
    open_orders: list[OpenPurchaseOrder]
    empty_days: dict[str, int]


def simulate(maison: Maison, seed: int) -> Trade:
    """Let the house trade from its first day to its last; the same arguments give the same trade."""
    house = _open_house(maison, seed)
    for index, day in enumerate(house.days):
        house.index = index
        if index == 0 or any(change.on == day for change in maison.price_changes):
            house.prices = price_list(maison, day)
        _notice_empty_shelves(house, day)
        _sell(house, day)
        _take_returns(house, day)
        _receive(house, day)
        _move_stock(house, day)
        if day.weekday() == 0:
            _reorder(house, day)
        _close_day(house)
    return Trade(
        lines=sorted(house.lines, key=lambda line: (line.order.occurred_at, line.order.number)),
        stock=sorted(house.stock, key=lambda row: (row.occurred_at, row.reference, row.sku, row.quantity)),
        frauds=house.frauds(),
        stock_out=_planted_stock_out(house),
        low_skus=house.low_skus,
        open_orders=[order for due in sorted(house.arrivals) for order in house.arrivals[due]],
        empty_days=dict(sorted(house.empty_days.items())),
    )


# --- the house from the inside ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Country:
    """Where customers are. `tax` is in hundred-thousandths of the net price; hours are UTC and lie, in summer and
    in winter, inside one day there, in UTC and in Paris."""

    currency: str
    zone: str
    tax: int
    tax_name: str
    opens: int
    closes: int
    shop: str = ""


COUNTRIES = {
    "FR": _Country("EUR", "Europe/Paris", 20_000, "TVA 20 %", 8, 20, "fr"),
    "IT": _Country("EUR", "Europe/Rome", 22_000, "IVA 22 %", 8, 20, "it"),
    "DE": _Country("EUR", "Europe/Berlin", 19_000, "MwSt 19 %", 8, 20, "de"),
    "ES": _Country("EUR", "Europe/Madrid", 21_000, "IVA 21 %", 8, 20, "es"),
    "GB": _Country("GBP", "Europe/London", 20_000, "VAT 20 %", 8, 20, "en"),
    "CH": _Country("CHF", "Europe/Zurich", 8_100, "MWST 8.1 %", 8, 20, "de"),
    "US": _Country("USD", "America/New_York", 8_875, "Sales tax 8.875 %", 13, 21, "en"),
    "JP": _Country("JPY", "Asia/Tokyo", 10_000, "Consumption tax 10 %", 1, 12, "ja"),
    "SG": _Country("USD", "Asia/Singapore", 0, "", 2, 13, "en"),
}
"""The house has no trade in SG (no delivery duty paid there yet): one planted fraud alone ships to it."""


@dataclass(slots=True)
class _Visit:
    """Somebody wants something; whether an order comes of it depends on the stock."""

    at: datetime
    channel: str
    country: str
    basket: dict[str, int]
    kind: str = "sale"
    customer: Customer | None = None
    fraud: str = ""


@dataclass(frozen=True, slots=True)
class _Refund:
    """Goods on their way back, with the part of the order's discount and tax that was theirs (minor units)."""

    order: Order
    sku: str
    quantity: int
    unit_price: int
    discount: int
    tax: int
    fraud: str = ""


@dataclass(slots=True)
class _House:
    """All that changes from day to day."""

    maison: Maison
    days: list[date]
    items: dict[str, Item]
    rng: np.random.Generator
    season_sums: dict[Season, np.ndarray]
    sold: dict[str, np.ndarray]
    plan: dict[str, float]
    planted_sku: str
    low_skus: tuple[str, ...]
    visits_planted: dict[date, list[_Visit]]
    index: int = 0
    prices: dict[tuple[str, str], int] = field(default_factory=dict)
    on_hand: Counter[str] = field(default_factory=Counter)
    incoming: Counter[str] = field(default_factory=Counter)
    on_order: Counter[str] = field(default_factory=Counter)
    displayed: list[str] = field(default_factory=list)
    arrivals: defaultdict[date, list[OpenPurchaseOrder]] = field(default_factory=lambda: defaultdict(list))
    refunds_due: defaultdict[date, list[_Refund]] = field(default_factory=lambda: defaultdict(list))
    regulars: defaultdict[tuple[str, str], list[Customer]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[Line] = field(default_factory=list)
    stock: list[StockRow] = field(default_factory=list)
    fraud_orders: defaultdict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    empty_from: date | None = None
    empty_to: date | None = None
    lost_units: int = 0
    empty_days: Counter[str] = field(default_factory=Counter)

    def next_number(self, prefix: str, start: int) -> str:
        """The next number of a series, such as R-10001."""
        self.counts[prefix] += 1
        return f"{prefix}-{start + self.counts[prefix]}"

    def frauds(self) -> list[Fraud]:
        """The planted frauds, in the order of `_FRAUDS`."""
        found = []
        for kind, why in _FRAUDS.items():
            orders = self.fraud_orders[kind]
            customer = orders[0].customer
            assert customer is not None
            found.append(Fraud(kind, tuple(order.number for order in orders), customer.id, why))
        return found


def _open_house(maison: Maison, seed: int) -> _House:
    days = maison.days()
    items = {item.sku: item for item in maison.items}
    total_pull = sum(item.pull for item in maison.items)
    house = _House(
        maison=maison,
        days=days,
        items=items,
        rng=np.random.default_rng([seed, 2]),
        season_sums={season: _season_sums(days[0], len(days) + 400, season) for season in ("", "winter", "summer")},
        sold={sku: np.zeros(len(days), dtype=np.int64) for sku in items},
        plan={sku: _UNITS_A_DAY * item.pull / total_pull for sku, item in items.items()},
        planted_sku=skus_by_pull(maison.items, "bags")[1],
        low_skus=_left_low(maison),
        visits_planted=_planted_visits(maison, np.random.default_rng([seed, 3])),
    )
    for item in maison.items:
        quantity = _round_up(_expected(house, item, 0, _reach(house, item)), item.min_order_quantity)
        if item.launched_on < maison.first_day:
            _put(house, _at(days[0], 0, 15), item.sku, ATELIER, "opening", quantity, "OPENING")
            house.on_hand[item.sku] += quantity
        else:
            due = item.launched_on - timedelta(6)
            _order_from_supplier(house, item.sku, quantity, due)
    return house


def _left_low(maison: Maison) -> tuple[str, ...]:
    """The SKUs that nobody reorders in time towards the end: one each of three categories."""
    return tuple(skus_by_pull(maison.items, category)[0] for category in ("scarves", "shoes", "bags"))


# --- selling ---------------------------------------------------------------------------------------------------------

_ORDERS_A_DAY = {"online_store": 7.0, "physical_store": 5.1, "marketplace": 2.6, "wholesale": 0.27}
_UNITS_A_DAY = 22.0
_GROWTH_A_YEAR = 0.08

_COUNTRY_SHARES = {
    "online_store": {"FR": 0.30, "IT": 0.10, "DE": 0.09, "ES": 0.05, "GB": 0.14, "US": 0.18, "JP": 0.09, "CH": 0.05},
    "physical_store": {"FR": 0.46, "IT": 0.13, "GB": 0.15, "US": 0.12, "JP": 0.10, "CH": 0.04},
    "marketplace": {"FR": 0.22, "IT": 0.14, "DE": 0.24, "ES": 0.10, "GB": 0.16, "US": 0.14},
    "wholesale": {"IT": 0.15, "DE": 0.20, "GB": 0.15, "US": 0.25, "JP": 0.15, "CH": 0.10},
}

_SHIPPING = {"EUR": (15, 28), "GBP": (12, 24), "USD": (18, 32), "JPY": (2000, 3600), "CHF": (15, 28)}
"""Standard and express, in whole units; standard is free from `_FREE_FROM` euros of list price on."""
_FREE_FROM = 300
_GIFT_CARDS = {"EUR": (250, 500, 1000), "GBP": (200, 400, 900), "USD": (300, 500, 1000)} | {
    "JPY": (30_000, 50_000, 150_000),
    "CHF": (250, 500, 1000),
}
_MARKETPLACE_FEE = 15
_WHOLESALE_PERCENT = 50


def _sell(house: _House, day: date) -> None:
    visits = [visit for channel in CHANNELS for visit in _visits(house, day, channel)]
    visits += house.visits_planted.get(day, [])
    for visit in sorted(visits, key=lambda visit: visit.at):
        if visit.fraud:
            visit.basket = _fraud_basket(house, visit.fraud, day)
        elif visit.kind == "gift_card":
            _sell_gift_card(house, visit)
            continue
        _serve(house, visit, day)


def _visits(house: _House, day: date, channel: str) -> list[_Visit]:
    """Who comes on a day, and for what, were everything in stock."""
    rng = house.rng
    growth = 1 + _GROWTH_A_YEAR * house.index / 365
    lift = 1.2 if sale_on(day) and channel in ("online_store", "physical_store") else 1.0
    busy = season_factor(day) * WEEKDAYS[channel][day.weekday()] * growth * lift
    shares = _COUNTRY_SHARES[channel]
    skus, wanted = _demand_shares(house, day, lift > 1)
    visits = []
    for code in rng.choice(list(shares), rng.poisson(_ORDERS_A_DAY[channel] * busy), p=list(shares.values())):
        country = COUNTRIES[str(code)]
        at = _at(day, 0) + timedelta(seconds=int(rng.integers(country.opens * 3600, country.closes * 3600)))
        visit = _Visit(at, channel, str(code), {})
        if channel == "wholesale":
            for pick in rng.choice(len(skus), int(rng.integers(3, 7)), p=wanted, replace=False):
                visit.basket[skus[pick]] = int(rng.integers(2, 6))
        elif channel == "online_store" and rng.random() < (0.03 if day.month == 12 else 0.01):
            visit.kind = "gift_card"
        else:
            for pick in rng.choice(len(skus), int(rng.choice((1, 2, 3), p=(0.80, 0.16, 0.04))), p=wanted):
                visit.basket[skus[pick]] = 1
        visits.append(visit)
    if channel == "physical_store" and day.weekday() < 5 and rng.random() < 0.07:
        visits.append(_press_visit(house, day, skus[int(rng.choice(len(skus), p=wanted))]))
    return visits


def _demand_shares(house: _House, day: date, sale: bool) -> tuple[list[str], np.ndarray]:
    """Every launched SKU and its part of a day's demand; the parts sum to 1."""
    skus, weights = [], []
    for sku, item in house.items.items():
        factor = launch_factor(item, day)
        if factor > 0:
            # A leaning is a matter of what is bought, the season of how much: divide the latter out again.
            leaning = season_factor(day, item.season) / season_factor(day)
            skus.append(sku)
            weights.append(item.pull * factor * leaning * (1.7 if sale and on_sale(item, day) else 1.0))
    shares = np.asarray(weights)
    return skus, shares / shares.sum()


def _serve(house: _House, visit: _Visit, day: date) -> None:
    """Make an order of what is in stock; what is not is lost, nobody waits or takes another colour."""
    goods = {}
    for sku, quantity in visit.basket.items():
        if house.on_hand[sku] - quantity >= _kept_back(house, visit.channel, sku):
            house.on_hand[sku] -= quantity
            house.sold[sku][house.index] += quantity
            goods[sku] = quantity
        elif sku == house.planted_sku and house.empty_from and not house.empty_to:
            house.lost_units += quantity
    if not goods:
        return
    order = _new_order(house, visit)
    if visit.kind == "press":
        _write_free(house, order, goods, "Press sample")
        return
    _write_goods(house, order, goods, day, visit.fraud)
    gift = _ribbon_in_stock(house) if _earns_a_gift(house, order, goods, day) else None
    if gift:
        _write_free(house, order, {gift: 1}, "Gift with purchase")
        house.on_hand[gift] -= 1
        house.sold[gift][house.index] += 1


def _kept_back(house: _House, channel: str, sku: str) -> int:
    """What a channel may not touch: wholesale gets nothing that the house's own shops need within six weeks."""
    if channel != "wholesale":
        return 0
    return round(_expected(house, house.items[sku], house.index, house.index + 42))


def _new_order(house: _House, visit: _Visit) -> Order:
    customer = visit.customer or _customer(house, visit)
    order = Order(
        house.next_number("M", 100_000),
        visit.at,
        visit.channel,
        visit.country,
        COUNTRIES[visit.country].currency,
        customer,
    )
    if visit.fraud:
        house.fraud_orders[visit.fraud].append(order)
    return order


def _write_goods(house: _House, order: Order, goods: dict[str, int], day: date, fraud: str) -> None:
    """The lines of a sale, and the returns that will come of it.

    Discount and tax are rounded by line and then summed, so that a return can undo its part to the cent.
    """
    sale = sale_on(day) if order.channel in ("online_store", "physical_store") and house.rng.random() < 0.7 else None
    if fraud or not any(on_sale(house.items[sku], day) for sku in goods):
        sale = None
    country = COUNTRIES[order.country]
    taxed = order.channel in ("online_store", "physical_store")
    amounts, discounts, tax = 0, 0, 0
    for sku, quantity in goods.items():
        price = house.prices[sku, order.currency]
        if order.channel == "wholesale":
            price = _percent(price, _WHOLESALE_PERCENT)
        discount = _percent(price * quantity, sale[1]) if sale and on_sale(house.items[sku], day) else 0
        line_tax = _tax(price * quantity - discount, country) if taxed else 0
        house.lines.append(Line(order, "goods", sku, house.items[sku].product_name, quantity, price))
        _plan_return(house, _Refund(order, sku, quantity, price, discount, line_tax, fraud), day)
        amounts, discounts, tax = amounts + price * quantity, discounts + discount, tax + line_tax
    if sale and discounts:
        house.lines.append(Line(order, "discount", "", f"{sale[0]} {sale[1]} %", 1, -discounts))
    if order.channel == "online_store" and (shipping := _shipping(house, order, goods)):
        house.lines.append(Line(order, "shipping", "", shipping[0], 1, shipping[1]))
        tax += _tax(shipping[1], country)
    if tax:
        house.lines.append(Line(order, "tax", "", country.tax_name, 1, tax))
    if order.channel == "marketplace":
        fee = _percent(amounts, _MARKETPLACE_FEE)
        house.lines.append(Line(order, "fee", "", f"Marketplace commission {_MARKETPLACE_FEE} %", 1, -fee))


def _shipping(house: _House, order: Order, goods: dict[str, int]) -> tuple[str, int] | None:
    standard, express = (units * 10 ** EXPONENTS[order.currency] for units in _SHIPPING[order.currency])
    if house.rng.random() < 0.08:
        return "Express delivery", express
    value = sum(house.items[sku].first_price * quantity for sku, quantity in goods.items())
    return ("Standard delivery", standard) if value < _FREE_FROM else None


def _write_free(house: _House, order: Order, goods: dict[str, int], description: str) -> None:
    for sku, quantity in goods.items():
        house.lines.append(Line(order, "goods", sku, description, quantity, 0))


def _sell_gift_card(house: _House, visit: _Visit) -> None:
    """A gift card is a debt of the house until it is spent, and untaxed until then; it draws on no stock."""
    order = _new_order(house, visit)
    amount = int(house.rng.choice(_GIFT_CARDS[order.currency])) * 10 ** EXPONENTS[order.currency]
    house.lines.append(Line(order, "gift_card", "", "Gift card", 1, amount))


def _earns_a_gift(house: _House, order: Order, goods: dict[str, int], day: date) -> bool:
    """Before Christmas, online orders from 2,500 euros of list price on get a ribbon."""
    if order.channel != "online_store" or day.month != 12 or day.day > 20:
        return False
    return sum(house.items[sku].first_price * quantity for sku, quantity in goods.items()) >= 2500


def _ribbon_in_stock(house: _House) -> str | None:
    ribbons = [sku for sku, item in house.items.items() if item.subcategory == "ribbons" and sku not in house.low_skus]
    fullest = max(ribbons, key=lambda sku: house.on_hand[sku])
    return fullest if house.on_hand[fullest] > 20 else None


def _press_visit(house: _House, day: date, sku: str) -> _Visit:
    paper = _PRESS[int(house.rng.integers(len(_PRESS)))]
    return _Visit(_at(day, 9, int(house.rng.integers(60))), "physical_store", "FR", {sku: 1}, "press", paper)


# --- customers -------------------------------------------------------------------------------------------------------

_FIRST_NAMES = {
    "fr": "Camille Elise Margaux Helene Ines Capucine Solange Bastien Thibault Armelle Victoire Maxence",
    "it": "Chiara Ginevra Beatrice Ludovica Tommaso Fiamma Ottavia Lorenzo Serena Viola",
    "de": "Annika Friederike Klara Leonie Matthias Johanna Henrike Jonas Theresa Wiebke",
    "es": "Lucia Carmen Jimena Alvaro Rocio Pilar Martina Ignacio Leire Nuria",
    "en": "Imogen Harriet Rosalind Beatrix Theodore Clementine Audrey Marcus Juliet Sloane Nathaniel Paige",
    "ja": "Ayaka Haruka Mio Sakura Kenji Naomi Yuki Reina Takumi Hinata",
}
_LAST_NAMES = {
    "fr": "Aubrun Delacombe Vautrin Lesquen Mirebeau Carradec Fontval Rochebrune Tessandier Valcourt Ormesson Brissay",
    "it": "Bellandi Corsaro Fontebuoni Marchesani Novaresi Ravasi Salvadei Tornaghi Vallarsa Zambelli",
    "de": "Ahrenfeld Brandtner Eichwald Hollenbeck Lindacker Morgenthal Rautenberg Seeliger Thalheim Winterfeld",
    "es": "Alcazaba Belmonte Carvajales Fuentidea Herranz Montalban Olivarez Quintanar Robledal Valdecasas",
    "en": "Ashcombe Blackwood Carrington Fairholm Hartwell Kingsmere Lockhart Pemberley Ravensdale Thornbury Whitlock",
    "ja": "Amemori Fujisaka Hoshikawa Kazamori Minamoto Nagahara Shirakawa Tachibana Umezono Yukimura",
}
_SHOPS = {
    "IT": ("Galleria Montefosco", "Casa Brunalba"),
    "DE": ("Kaufhaus Lindenhof", "Modehaus Sternau"),
    "GB": ("Harrow & Finch", "Kestrel House"),
    "US": ("Alder & Wren", "Bellweather Stores", "Northgate Row"),
    "JP": ("Hanamizu Department Store", "Tsukimori"),
    "CH": ("Maison Clairval", "Seehof Mode"),
}
_PRESS = tuple(
    Customer(f"P-{number:03d}", f"shopping@{address}", name, "FR")
    for number, (name, address) in enumerate(
        (
            ("Revue Belvedere", "belvedere.example.org"),
            ("L'Etoffe", "letoffe.example.org"),
            ("Le Carnet Gris", "carnetgris.example.org"),
        ),
        start=1,
    )
)
_NEW_SHARE = {"retail": 0.40, "marketplace": 0.62}


def _customer(house: _House, visit: _Visit) -> Customer | None:
    """Who buys: a shop, a walk-in, a new customer, or a regular (who is likelier the oftener she came before)."""
    rng = house.rng
    if visit.channel == "wholesale":
        return _shop(visit.country, int(rng.integers(len(_SHOPS[visit.country]))))
    if visit.channel == "physical_store" and rng.random() < 0.3:
        return None
    circle = "marketplace" if visit.channel == "marketplace" else "retail"
    regulars = house.regulars[circle, visit.country]
    if not regulars or rng.random() < _NEW_SHARE[circle]:
        customer = _new_customer(house, circle, visit.country)
    else:
        customer = regulars[int(rng.integers(len(regulars)))]
    regulars.append(customer)
    return customer


def _new_customer(house: _House, circle: str, country: str) -> Customer:
    house.counts["customers"] += 1
    number = house.counts["customers"]
    language = COUNTRIES[country].shop
    first, last = (str(house.rng.choice(names[language].split())) for names in (_FIRST_NAMES, _LAST_NAMES))
    if circle == "marketplace":
        # A marketplace hides the address of its customers behind one of its own.
        return Customer(f"C-{number:05d}", f"buyer-{number * 7919 % 1_000_003:06d}@example.org", f"{first} {last}", country)
    return Customer(f"C-{number:05d}", f"{first}.{last}.{number}@example.com".lower(), f"{first} {last}", country)


def _shop(country: str, which: int) -> Customer:
    number = 1 + sum(len(_SHOPS[code]) for code in _SHOPS if code < country) + which
    return Customer(f"W-{number:03d}", f"buying-{number:03d}@example.org", _SHOPS[country][which], country)


# --- returns ---------------------------------------------------------------------------------------------------------

_RETURN_FACTOR = {"online_store": 1.15, "physical_store": 0.55, "marketplace": 1.2, "wholesale": 0.0}


def _plan_return(house: _House, refund: _Refund, day: date) -> None:
    """Decide at the sale whether and when the goods come back: 5 to 60 days later, mostly in the third week."""
    if refund.fraud == "refund_abuse":
        purchase = len(house.fraud_orders["refund_abuse"])
        after = 6 + purchase % 5
        # One refund is claimed at a price never paid, and one purchase kept so that the account looks alive.
        price = _percent(refund.unit_price, 160) if purchase == 17 else refund.unit_price
        if purchase != 1:
            house.refunds_due[day + timedelta(after)].append(
                _Refund(refund.order, refund.sku, refund.quantity, price, 0, refund.tax, refund.fraud)
            )
        return
    rate = RETURN_RATES[house.items[refund.sku].category] * _RETURN_FACTOR[refund.order.channel]
    if refund.fraud or house.rng.random() >= rate:
        return
    after = 5 + int(56 * house.rng.beta(1.8, 4.5))
    house.refunds_due[day + timedelta(after)].append(refund)


def _take_returns(house: _House, day: date) -> None:
    for refund in house.refunds_due.pop(day, []):
        if refund.sku == house.planted_sku and house.empty_from and not house.empty_to:
            continue  # A piece on the shelf would end the stock-out: its owner changes her mind and keeps it.
        sale = refund.order
        country = COUNTRIES[sale.country]
        at = _at(day, 0) + timedelta(seconds=int(house.rng.integers(9 * 3600, 12 * 3600)))
        number = house.next_number("R", 10_000)
        order = Order(number, at, sale.channel, sale.country, sale.currency, sale.customer, sale.number)
        name = house.items[refund.sku].product_name
        house.lines.append(Line(order, "goods", refund.sku, name, -refund.quantity, refund.unit_price))
        if refund.discount:
            house.lines.append(Line(order, "discount", "", "Discount on returned goods", -1, -refund.discount))
        if refund.tax:
            house.lines.append(Line(order, "tax", "", country.tax_name, -1, refund.tax))
        house.incoming[refund.sku] += refund.quantity
        if refund.fraud:
            house.fraud_orders[refund.fraud].append(order)


# --- planted frauds --------------------------------------------------------------------------------------------------

_FRAUDS = {
    "card_testing": "One customer, new that day, places 22 orders of one cheap ribbon within 50 minutes.",
    "abnormal_order": "A new customer's first order is for a dozen of one bag, to a country never shipped to before.",
    "refund_abuse": "One customer returns all but one of ten purchases within days, and one refund is for 160 % of "
    "the price that was paid.",
}


def _planted_visits(maison: Maison, rng: np.random.Generator) -> dict[date, list[_Visit]]:
    """When the frauds happen: the bursts in the last two months, the abuse over the last year."""
    tester = Customer("C-90001", "p.morel.8841@example.com", "Philippe Morellet", "FR")
    stranger = Customer("C-90002", "kw.tan.trading@example.org", "Kai Wen Tanaka-Lim", "SG")
    returner = Customer("C-90003", "georgina.ashdown@example.com", "Georgina Ashdowne", "GB")
    visits: dict[date, list[_Visit]] = {}
    day = maison.until - timedelta(int(rng.integers(18, 30)))
    start = _at(day, 18, 4)
    visits[day] = [
        _Visit(start + timedelta(seconds=n * 138 + int(rng.integers(60))), "online_store", "FR", {}, "sale", tester)
        for n in range(22)
    ]
    day = maison.until - timedelta(int(rng.integers(40, 52)))
    visits.setdefault(day, []).append(_Visit(_at(day, 3, 47), "online_store", "SG", {}, "sale", stranger))
    for n in range(10):
        day = maison.until - timedelta(330 - n * 31 + int(rng.integers(6)))
        visits.setdefault(day, []).append(_Visit(_at(day, 11, 10 + n), "online_store", "GB", {}, "sale", returner))
    kinds = {"C-90001": "card_testing", "C-90002": "abnormal_order", "C-90003": "refund_abuse"}
    for visit in (visit for planted in visits.values() for visit in planted):
        assert visit.customer is not None
        visit.fraud = kinds[visit.customer.id]
    return visits


def _fraud_basket(house: _House, fraud: str, day: date) -> dict[str, int]:
    """What the fraud takes: always the fullest shelf of its kind, so that it cannot fail for want of stock."""
    kinds = {"card_testing": "ribbons", "abnormal_order": "bags", "refund_abuse": "ready-to-wear"}
    shelf = [
        sku
        for sku, item in house.items.items()
        if kinds[fraud] in (item.category, item.subcategory) and item.launched_on < day and sku not in house.low_skus
    ]
    fullest = max(shelf, key=lambda sku: house.on_hand[sku])
    return {fullest: 12 if fraud == "abnormal_order" else 1}


# --- stock and buying ------------------------------------------------------------------------------------------------

_HOLD_PLANTED = 0.40
"""The part of the two years after which the planted SKU's supplier stops delivering."""
_EMPTY_DAYS = 47
_HOLD_LOW_DAYS = 250


def _reorder(house: _House, day: date) -> None:
    """The buyer's Monday: what sells at today's pace must last two lead times and four weeks, else order more.

    Two lead times, because the house would rather tie up money than be asked for what it does not have.
    """
    for sku, item in house.items.items():
        if item.launched_on > day or (sku == house.planted_sku and _planted_on_hold(house)):
            continue
        if sku in house.low_skus and (house.maison.until - day).days < _HOLD_LOW_DAYS:
            _live_from_hand_to_mouth(house, item, day)
            continue
        position = house.on_hand[sku] + house.on_order[sku]
        reach = _reach(house, item)
        if position < _expected(house, item, house.index, house.index + reach - 56):
            wanted = _expected(house, item, house.index, house.index + reach) - position
            late = int(house.rng.integers(-3, 11))
            quantity = _round_up(wanted, item.min_order_quantity)
            _order_from_supplier(house, sku, quantity, day + timedelta(item.lead_time_days + late))


def _reach(house: _House, item: Item) -> int:
    """Days of demand that an order is to last for. The planted SKU is bought leanly, or it would never run out."""
    return (item.lead_time_days if item.sku == house.planted_sku else 2 * item.lead_time_days) + 84


def _live_from_hand_to_mouth(house: _House, item: Item, day: date) -> None:
    """The large order was forgotten: the sample room makes three weeks' need at a time, delivered the next day."""
    short = round(_expected(house, item, house.index, house.index + 21)) - house.on_hand[item.sku]
    if short > 0 and not house.on_order[item.sku]:
        _order_from_supplier(house, item.sku, short, day + timedelta(1))


def _expected(house: _House, item: Item, start: int, stop: int) -> float:
    """Units a buyer expects to sell from day `start` to before day `stop` (day numbers), by last quarter's pace and
    the season he remembers; a SKU without a past is expected to sell as planned, with its launch on top."""
    season = house.season_sums[item.season]
    since = max(0, house.index - 91, (item.launched_on - house.days[0]).days)
    past = 0.0 if house.index <= since else float(season[house.index] - season[since])
    seen = int(house.sold[item.sku][since : house.index].sum()) if past else 0
    # The plan weighs as much as twenty days of experience: one good week is no reason to double an order.
    rate = (seen + 20 * house.plan[item.sku]) / (past + 20)
    launch = 0.0 if past else 45 * house.plan[item.sku] * (item.launched_on >= house.days[0])
    return rate * float(season[stop] - season[start]) + launch


def _order_from_supplier(house: _House, sku: str, quantity: int, due: date) -> None:
    order = OpenPurchaseOrder(house.next_number("PO", 4000), sku, quantity, due)
    house.arrivals[due].append(order)
    house.on_order[sku] += quantity


def _receive(house: _House, day: date) -> None:
    for order in house.arrivals.pop(day, []):
        at = _at(day, 7 + int(house.rng.integers(3)), int(house.rng.integers(60)))
        _put(house, at, order.sku, ATELIER, "receipt", order.quantity, order.reference)
        house.incoming[order.sku] += order.quantity
        house.on_order[order.sku] -= order.quantity


def _planted_on_hold(house: _House) -> bool:
    return house.index >= _HOLD_PLANTED * len(house.days) and house.empty_to is None


def _notice_empty_shelves(house: _House, day: date) -> None:
    """Keep the diary of empty shelves, and let the planted stock-out begin and end."""
    sku = house.planted_sku
    if _planted_on_hold(house):
        for due in list(house.arrivals):
            house.arrivals[due] = [order for order in house.arrivals[due] if order.sku != sku]
        house.on_order[sku] = 0
        if house.empty_from is None and not house.on_hand[sku]:
            house.empty_from = day
        elif house.empty_from and (day - house.empty_from).days == _EMPTY_DAYS:
            house.empty_to = day - timedelta(1)
            item = house.items[sku]
            wanted = house.plan[sku] * (house.season_sums[""][house.index + _reach(house, item)] - house.season_sums[""][house.index])
            _order_from_supplier(house, sku, _round_up(float(wanted), item.min_order_quantity), day)
    for other, item in house.items.items():
        if not house.on_hand[other] and item.launched_on <= day and not (other == sku and house.empty_from and not house.empty_to):
            house.empty_days[other] += 1


def _planted_stock_out(house: _House) -> StockOut:
    if house.empty_from is None or house.empty_to is None:
        raise RuntimeError(f"{house.planted_sku} did not run out and come back in time: choose another seed")
    return StockOut(house.planted_sku, house.empty_from, house.empty_to, house.lost_units)


def _move_stock(house: _House, day: date) -> None:
    """What the house itself does with its stock after hours: display pieces, counts, damage."""
    rng = house.rng
    shelf = [
        sku
        for sku, item in house.items.items()
        if item.launched_on <= day and house.on_hand[sku] >= 6 and sku not in (house.planted_sku, *house.low_skus)
    ]
    if day.weekday() == 0 and day.day <= 7:
        for sku in house.displayed:
            _transfer(house, day, sku, BOUTIQUE, ATELIER)
            house.incoming[sku] += 1
        house.displayed = sorted(str(sku) for sku in rng.choice(shelf, 6, replace=False))
        for sku in house.displayed:
            _transfer(house, day, sku, ATELIER, BOUTIQUE)
            house.on_hand[sku] -= 1
    if (day.month, day.day) in ((1, 31), (7, 31)):
        for sku in sorted(str(sku) for sku in rng.choice(shelf, 7, replace=False)):
            found = 1 if rng.random() < 0.25 else -1
            _put(house, _at(day, 17, 30), sku, ATELIER, "adjustment", found, f"COUNT-{day:%Y-%m}")
            house.incoming[sku] += max(found, 0)
            house.on_hand[sku] += min(found, 0)
    if rng.random() < 0.04:
        sku = str(rng.choice(shelf))
        _put(house, _at(day, 16, 45), sku, ATELIER, "write_off", -1, house.next_number("DAMAGE", 0))
        house.on_hand[sku] -= 1


def _transfer(house: _House, day: date, sku: str, source: str, target: str) -> None:
    reference = house.next_number("T", 2000)
    _put(house, _at(day, 16, 0), sku, source, "transfer", -1, reference)
    _put(house, _at(day, 16, 30), sku, target, "transfer", 1, reference)


def _put(house: _House, at: datetime, sku: str, location: str, kind: str, quantity: int, reference: str) -> None:
    house.stock.append(StockRow(at, sku, location, kind, quantity, reference))


def _close_day(house: _House) -> None:
    house.on_hand.update(house.incoming)
    house.incoming.clear()


# --- small arithmetic ------------------------------------------------------------------------------------------------


def _season_sums(first_day: date, days: int, season: Season) -> np.ndarray:
    factors = [season_factor(first_day + timedelta(n), season) for n in range(days)]
    return np.concatenate(([0.0], np.cumsum(factors)))


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC)


def _round_up(units: float, step: int) -> int:
    return step * max(1, -(-int(np.ceil(units)) // step))


def _percent(amount: int, percent: int) -> int:
    return (2 * amount * percent + 100) // 200


def _tax(amount: int, country: _Country) -> int:
    return (2 * amount * country.tax + 100_000) // 200_000
