"""Two years of the demo maison's trade: customers, orders, returns, and the frauds planted among them.

What belongs here: the simulation, day by day, in memory. What the house decides beforehand is in `maison`,
its stock in `stockroom`, and the formats and the truth in `files`.

A day is the same day in UTC, in Paris and where the customer is, because nobody here buys near midnight: so
every total by day or month holds whichever of the three a reader takes.
"""

import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np

from luxauto_pipelines.demo import stockroom
from luxauto_pipelines.demo.maison import (
    EXPONENTS,
    Maison,
    launch_factor,
    on_sale,
    price_list,
    sale_on,
    season_factor,
)
from luxauto_pipelines.demo.stockroom import PurchaseOrder, StockOut, Stockroom, StockRow, at

CHANNELS = ("online_store", "physical_store", "marketplace", "wholesale")

RETURN_RATES = {"bags": 0.05, "ready-to-wear": 0.22, "shoes": 0.18, "scarves": 0.04}
"""The chance that a line comes back, by category; times `RETURN_FACTORS` of its channel."""

RETURN_FACTORS = {"online_store": 1.15, "physical_store": 0.55, "marketplace": 1.2, "wholesale": 0.0}

WEEKDAYS = {
    "online_store": (1.08, 1.00, 0.98, 0.98, 0.92, 0.94, 1.10),
    "physical_store": (0.85, 0.90, 0.95, 1.05, 1.25, 2.00, 0.00),
    "marketplace": (1.05, 1.00, 1.00, 1.00, 0.95, 0.95, 1.05),
    "wholesale": (1.40, 1.40, 1.40, 1.40, 1.40, 0.00, 0.00),
}
"""How busy each channel is from Monday to Sunday; each row has the mean 1.0."""


@dataclass(frozen=True, slots=True)
class Country:
    """Where customers are. `tax` is in hundred-thousandths of the net price. The hours of trade are UTC, and
    lie in summer and in winter inside one day of UTC, of Paris and of the country."""

    currency: str
    zone: str
    language: str
    tax: int
    tax_name: str
    opens: int
    closes: int


COUNTRIES = {
    "FR": Country("EUR", "Europe/Paris", "fr", 20_000, "TVA 20 %", 8, 20),
    "IT": Country("EUR", "Europe/Rome", "it", 22_000, "IVA 22 %", 8, 20),
    "DE": Country("EUR", "Europe/Berlin", "de", 19_000, "MwSt 19 %", 8, 20),
    "ES": Country("EUR", "Europe/Madrid", "es", 21_000, "IVA 21 %", 8, 20),
    "GB": Country("GBP", "Europe/London", "en", 20_000, "VAT 20 %", 8, 20),
    "CH": Country("CHF", "Europe/Zurich", "de", 8_100, "MWST 8.1 %", 8, 20),
    "US": Country("USD", "America/New_York", "en", 8_875, "Sales tax 8.875 %", 13, 21),
    "JP": Country("JPY", "Asia/Tokyo", "ja", 10_000, "Consumption tax 10 %", 1, 12),
    "SG": Country("USD", "Asia/Singapore", "en", 0, "", 2, 13),
}
"""Nobody in SG buys, except in one planted fraud."""


@dataclass(frozen=True, slots=True)
class Customer:
    """An invented person or shop; addresses are under example.com and example.org, which nobody can own."""

    id: str
    email: str
    name: str


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

    Signs: a sale's lines have quantity 1 or more, and its discounts and fees a negative price. A return's
    lines have a negative quantity, and the price (with its sign) of what they undo: so the amount, quantity
    times price, is always what the house is owed. Shipping and marketplace fees are not given back.
    """

    order: Order
    line_type: str
    sku: str
    description: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class Fraud:
    """One planted fraud: all its orders and refunds by day, and what gives it away."""

    kind: str
    order_numbers: tuple[str, ...]
    customer_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Trade:
    """All that happened, lines and stock rows in time order. `low_skus` were planted to be short at the end;
    `empty_days` counts by SKU the other days that began with nothing to sell."""

    lines: list[Line]
    stock: list[StockRow]
    frauds: list[Fraud]
    stock_out: StockOut
    low_skus: tuple[str, ...]
    open_purchase_orders: list[PurchaseOrder]
    empty_days: dict[str, int]


def simulate(maison: Maison, seed: int) -> Trade:
    """Let the house trade from its first day to its last; the same arguments give the same trade."""
    room = stockroom.open_stockroom(maison, seed)
    book = _Book(room, np.random.default_rng([seed, 2]), price_list(maison, maison.first_day))
    _know_customers(book)
    planted = _planted_visits(maison, np.random.default_rng([seed, 3]))
    for index, day in enumerate(maison.days()):
        stockroom.begin_day(room, index)
        if any(change.on == day for change in maison.price_changes):
            book.prices = price_list(maison, day)
        visits = [visit for channel in CHANNELS for visit in _visits(book, day, channel)] + planted[day]
        for visit in sorted(visits, key=lambda visit: visit.at):
            _serve(book, visit, day)
        _take_returns(book, day)
        stockroom.end_day(room)
    return Trade(
        lines=sorted(book.lines, key=lambda line: (line.order.occurred_at, line.order.number)),
        stock=sorted(room.rows, key=lambda row: (row.occurred_at, row.reference, row.sku)),
        frauds=_frauds(book),
        stock_out=stockroom.planted_stock_out(room),
        low_skus=room.low_skus,
        open_purchase_orders=stockroom.open_purchase_orders(room),
        empty_days=dict(sorted(room.empty_days.items())),
    )


@dataclass(frozen=True, slots=True)
class _Visit:
    """Somebody wants something; whether an order comes of it depends on the stock. `kind` is "sale",
    "gift_card", "press" or a fraud's kind; `basket` is units by SKU."""

    at: datetime
    channel: str
    country: str
    basket: dict[str, int]
    kind: str = "sale"


@dataclass(frozen=True, slots=True)
class _Refund:
    """Goods on their way back, with their part of the order's discount and tax, in minor units."""

    order: Order
    sku: str
    quantity: int
    unit_price: int
    discount: int
    tax: int
    kind: str


@dataclass(slots=True)
class _Book:
    """The house's memory of its customers and orders. `prices` are those of the day, see `price_list`;
    `regulars` holds a customer the more often the likelier she is to come again."""

    room: Stockroom
    rng: np.random.Generator
    prices: dict[tuple[str, str], int]
    lines: list[Line] = field(default_factory=list)
    refunds_due: defaultdict[date, list[_Refund]] = field(default_factory=lambda: defaultdict(list))
    regulars: defaultdict[tuple[str, str], list[Customer]] = field(default_factory=lambda: defaultdict(list))
    fraudsters: dict[str, Customer] = field(default_factory=dict)
    fraud_orders: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)


# --- demand -------------------------------------------------------------------------------------------------

_ORDERS_A_DAY = {"online_store": 6.2, "physical_store": 4.5, "marketplace": 2.3, "wholesale": 0.26}
_GROWTH_A_YEAR = 0.08

_COUNTRY_SHARES = {
    "online_store": {
        "FR": 0.30,
        "IT": 0.10,
        "DE": 0.09,
        "ES": 0.05,
        "GB": 0.14,
        "US": 0.18,
        "JP": 0.09,
        "CH": 0.05,
    },
    "physical_store": {"FR": 0.46, "IT": 0.13, "GB": 0.15, "US": 0.12, "JP": 0.10, "CH": 0.04},
    "marketplace": {"FR": 0.22, "IT": 0.14, "DE": 0.24, "ES": 0.10, "GB": 0.16, "US": 0.14},
    "wholesale": {"IT": 0.15, "DE": 0.20, "GB": 0.15, "US": 0.25, "JP": 0.15, "CH": 0.10},
}


def _visits(book: _Book, day: date, channel: str) -> list[_Visit]:
    """Who comes to a channel on a day, and for what, were everything in stock."""
    rng = book.rng
    sale = sale_on(day) is not None and channel in ("online_store", "physical_store")
    growth = 1 + _GROWTH_A_YEAR * book.room.today / 365
    busy = season_factor(day) * WEEKDAYS[channel][day.weekday()] * growth * (1.2 if sale else 1.0)
    skus, shares = _demand_shares(book, day, sale)
    countries, chances = zip(*_COUNTRY_SHARES[channel].items(), strict=True)
    visits = []
    for country in rng.choice(countries, rng.poisson(_ORDERS_A_DAY[channel] * busy), p=chances).tolist():
        hours = COUNTRIES[country].opens, COUNTRIES[country].closes
        moment = at(day, 0) + timedelta(seconds=int(rng.integers(hours[0] * 3600, hours[1] * 3600)))
        if channel == "online_store" and rng.random() < (0.03 if day.month == 12 else 0.01):
            visits.append(_Visit(moment, channel, country, {}, "gift_card"))
        else:
            visits.append(_Visit(moment, channel, country, _basket(rng, channel, skus, shares)))
    if channel == "physical_store" and day.weekday() < 5 and rng.random() < 0.07:
        wish = skus[int(rng.choice(len(skus), p=shares))]
        visits.append(_Visit(at(day, 9, int(rng.integers(60))), channel, "FR", {wish: 1}, "press"))
    return visits


def _basket(rng: np.random.Generator, channel: str, skus: list[str], shares: np.ndarray) -> dict[str, int]:
    """Units wanted by SKU: mostly one piece at retail, several of each of a few SKUs in wholesale."""
    if channel == "wholesale":
        picks = rng.choice(len(skus), int(rng.integers(3, 7)), p=shares, replace=False)
        return {skus[pick]: int(rng.integers(2, 6)) for pick in picks}
    picks = rng.choice(len(skus), int(rng.choice((1, 2, 3), p=(0.80, 0.16, 0.04))), p=shares)
    return {skus[pick]: 1 for pick in picks}


def _demand_shares(book: _Book, day: date, sale: bool) -> tuple[list[str], np.ndarray]:
    """Every launched SKU and its part of a day's demand; the parts sum to 1."""
    skus, weights = [], []
    for sku, item in book.room.items.items():
        factor = launch_factor(item, day)
        if factor > 0:
            # How busy the day is shows in the number of visits; here only what they are for.
            leaning = season_factor(day, item.season) / season_factor(day)
            skus.append(sku)
            weights.append(item.pull * factor * leaning * (1.7 if sale and on_sale(item, day) else 1.0))
    shares = np.asarray(weights)
    return skus, shares / shares.sum()


# --- orders -------------------------------------------------------------------------------------------------

_SHIPPING = {"EUR": (15, 28), "GBP": (12, 24), "USD": (18, 32), "JPY": (2000, 3600), "CHF": (15, 28)}
"""Standard and express, in whole units of the currency."""

_FREE_FROM = 300
"""Euros of list price from which standard delivery is free."""

_GIFT_CARDS = {
    "EUR": (250, 500, 1000),
    "GBP": (200, 400, 900),
    "USD": (300, 500, 1000),
    "JPY": (30_000, 50_000, 150_000),
    "CHF": (250, 500, 1000),
}
_MARKETPLACE_FEE = 15
_WHOLESALE_PERCENT = 50


def _serve(book: _Book, visit: _Visit, day: date) -> None:
    """Make an order of what is in stock; what is not is lost, for nobody waits or takes another colour."""
    if visit.kind == "gift_card":
        _sell_gift_card(book, visit)
        return
    wholesale = visit.channel == "wholesale"
    wanted = _fraud_basket(book, visit.kind) if visit.kind in _FRAUDS else visit.basket
    goods = {
        sku: quantity
        for sku, quantity in wanted.items()
        if stockroom.take(book.room, sku, quantity, for_shops_of_others=wholesale)
    }
    if not goods:
        return
    order = _new_order(book, visit)
    if visit.kind == "press":
        _write_free(book, order, goods, "Press sample")
        return
    _write_sale(book, order, goods, day, visit.kind)
    if _earns_a_gift(book, order, goods, day):
        ribbon = stockroom.fullest(book.room, "ribbons")
        if stockroom.take(book.room, ribbon, 1):
            _write_free(book, order, {ribbon: 1}, "Gift with purchase")


def _new_order(book: _Book, visit: _Visit) -> Order:
    currency = COUNTRIES[visit.country].currency
    number = _number(book, "M", 100_000)
    order = Order(number, visit.at, visit.channel, visit.country, currency, _customer(book, visit))
    if visit.kind in _FRAUDS:
        book.fraud_orders[visit.kind].append(number)
    return order


def _write_sale(book: _Book, order: Order, goods: dict[str, int], day: date, kind: str) -> None:
    """The lines of a sale, and the returns that will come of it.

    Discount and tax are rounded by goods line and then summed, so that a return can undo its part to the
    cent.
    """
    percent_off = _percent_off(book, order, day, kind)
    country = COUNTRIES[order.country]
    # A marketplace collects the tax itself, and shops of others account for it themselves.
    taxed = order.channel in ("online_store", "physical_store")
    amount, discounts, tax = 0, 0, 0
    for sku, quantity in goods.items():
        item = book.room.items[sku]
        price = book.prices[sku, order.currency]
        if order.channel == "wholesale":
            price = _percent(price, _WHOLESALE_PERCENT)
        discount = _percent(price * quantity, percent_off) if on_sale(item, day) else 0
        line_tax = _tax(price * quantity - discount, country) if taxed else 0
        book.lines.append(Line(order, "goods", sku, item.product_name, quantity, price))
        _plan_return(book, _Refund(order, sku, quantity, price, discount, line_tax, kind), day)
        amount, discounts, tax = amount + price * quantity, discounts + discount, tax + line_tax
    if discounts and (sale := sale_on(day)):
        book.lines.append(Line(order, "discount", "", f"{sale[0]} {sale[1]} %", 1, -discounts))
    if order.channel == "online_store" and (shipping := _shipping(book, order, goods)):
        book.lines.append(Line(order, "shipping", "", shipping[0], 1, shipping[1]))
        tax += _tax(shipping[1], country)
    if tax:
        book.lines.append(Line(order, "tax", "", country.tax_name, 1, tax))
    if order.channel == "marketplace":
        fee = _percent(amount, _MARKETPLACE_FEE)
        book.lines.append(Line(order, "fee", "", f"Marketplace commission {_MARKETPLACE_FEE} %", 1, -fee))


def _percent_off(book: _Book, order: Order, day: date, kind: str) -> int:
    """The sale's percent for this order: not every piece is marked down, and no fraud depends on a sale."""
    sale = sale_on(day)
    if sale is None or kind in _FRAUDS or order.channel not in ("online_store", "physical_store"):
        return 0
    return sale[1] if book.rng.random() < 0.7 else 0


def _shipping(book: _Book, order: Order, goods: dict[str, int]) -> tuple[str, int] | None:
    standard, express = (units * 10 ** EXPONENTS[order.currency] for units in _SHIPPING[order.currency])
    if book.rng.random() < 0.08:
        return "Express delivery", express
    return ("Standard delivery", standard) if _list_value(book, goods) < _FREE_FROM else None


def _earns_a_gift(book: _Book, order: Order, goods: dict[str, int], day: date) -> bool:
    """Before Christmas, online orders from 2,500 euros of list price on get a ribbon."""
    advent = day.month == 12 and day.day <= 20
    return advent and order.channel == "online_store" and _list_value(book, goods) >= 2500


def _list_value(book: _Book, goods: dict[str, int]) -> int:
    return sum(book.room.items[sku].first_price * quantity for sku, quantity in goods.items())


def _write_free(book: _Book, order: Order, goods: dict[str, int], description: str) -> None:
    book.lines += [Line(order, "goods", sku, description, quantity, 0) for sku, quantity in goods.items()]


def _sell_gift_card(book: _Book, visit: _Visit) -> None:
    """A gift card is a debt of the house until it is spent, and untaxed until then; it draws on no stock."""
    order = _new_order(book, visit)
    amount = int(book.rng.choice(_GIFT_CARDS[order.currency])) * 10 ** EXPONENTS[order.currency]
    book.lines.append(Line(order, "gift_card", "", "Gift card", 1, amount))


# --- customers ----------------------------------------------------------------------------------------------

_FIRST_NAMES = {
    "fr": "Camille Élise Margaux Hélène Inès Capucine Solange Bastien Thibault Armelle Maxence",
    "it": "Chiara Ginevra Beatrice Ludovica Tommaso Fiamma Ottavia Lorenzo Serena Viola",
    "de": "Annika Friederike Klara Leonie Matthias Johanna Henrike Jonas Theresa Wiebke",
    "es": "Lucía Carmen Jimena Álvaro Rocío Pilar Martina Ignacio Leire Nuria",
    "en": "Imogen Harriet Rosalind Beatrix Theodore Clementine Audrey Marcus Juliet Sloane Nathaniel Paige",
    "ja": "Ayaka Haruka Mio Sakura Kenji Naomi Yuki Reina Takumi Hinata",
}
_LAST_NAMES = {
    "fr": "Aubrun Delacombe Vautrin Lesquen Mirebeau Carradec Fontval Rochebrune Tessandier Valcourt",
    "it": "Bellandi Corsaro Fontebuoni Marchesani Novaresi Ravasi Salvadei Tornaghi Vallarsa Zambelli",
    "de": "Ahrenfeld Brandtner Eichwald Hollenbeck Lindacker Morgenthal Rautenberg Seeliger Winterfeld",
    "es": "Alcazaba Belmonte Carvajales Fuentidea Herranz Montalban Olivarez Quintanar Robledal Valdecasas",
    "en": "Ashcombe Blackwood Carrington Fairholm Hartwell Kingsmere Thornbury",
    "ja": "Amemori Fujisaka Hoshikawa Kazamori Minamoto Nagahara Shirakawa Tachibana Umezono",
}
_SHOPS = {
    "IT": ("Galleria Montefosco", "Casa Brunalba"),
    "DE": ("Kaufhaus Lindenhof", "Modehaus Sternau"),
    "GB": ("Harrow & Finch", "Kestrel House"),
    "US": ("Alder & Wren", "Bellweather Stores", "Northgate Row"),
    "JP": ("Hanamizu Department Store", "Tsukimori"),
    "CH": ("Maison Clairval", "Seehof Mode"),
}
_PRESS = (
    Customer("P-001", "shopping@belvedere.example.org", "Revue Belvédère"),
    Customer("P-002", "shopping@letoffe.example.org", "L'Étoffe"),
    Customer("P-003", "shopping@carnetgris.example.org", "Le Carnet Gris"),
)
_NEW_SHARE = {"retail": 0.35, "marketplace": 0.60}

_KNOWN_BEFORE = 800
"""Customers the house knew before the first day; most will not buy again."""


def _customer(book: _Book, visit: _Visit) -> Customer | None:
    """Who buys: press, a shop, a walk-in, a new customer, or one of those who came before."""
    rng = book.rng
    if visit.kind in _FRAUDS:
        if visit.kind not in book.fraudsters:
            book.fraudsters[visit.kind] = _new_customer(book, "retail", visit.country)
        return book.fraudsters[visit.kind]
    if visit.kind == "press":
        return _PRESS[int(rng.integers(len(_PRESS)))]
    if visit.channel == "wholesale":
        return _shop(visit.country, int(rng.integers(len(_SHOPS[visit.country]))))
    if visit.channel == "physical_store" and rng.random() < 0.3:
        return None
    circle = "marketplace" if visit.channel == "marketplace" else "retail"
    regulars = book.regulars[circle, visit.country]
    if regulars and rng.random() >= _NEW_SHARE[circle]:
        return regulars[int(rng.integers(len(regulars)))]
    return _welcome(book, circle, visit.country)


def _know_customers(book: _Book) -> None:
    """The customers from before the first day, or its visitors would all be the same few regulars."""
    for circle, channel in (("retail", "online_store"), ("marketplace", "marketplace")):
        for country, share in _COUNTRY_SHARES[channel].items():
            for _ in range(round(share * _KNOWN_BEFORE)):
                _welcome(book, circle, country)


def _welcome(book: _Book, circle: str, country: str) -> Customer:
    """A new customer, with a loyalty of her own: few come often, most come once or twice."""
    customer = _new_customer(book, circle, country)
    book.regulars[circle, country] += [customer] * (int(book.rng.geometric(0.45)) - 1)
    return customer


def _new_customer(book: _Book, circle: str, country: str) -> Customer:
    book.counts["C"] += 1
    number = book.counts["C"]
    language = COUNTRIES[country].language
    first, last = (str(book.rng.choice(names[language].split())) for names in (_FIRST_NAMES, _LAST_NAMES))
    plain = unicodedata.normalize("NFKD", f"{first}.{last}").encode("ascii", "ignore").decode().lower()
    email = f"{plain}.{number}@example.com"
    if circle == "marketplace":
        # A marketplace hides its customers' addresses behind its own.
        email = f"buyer-{number * 7919 % 1_000_003:06d}@example.org"
    return Customer(f"C-{number:05d}", email, f"{first} {last}")


def _shop(country: str, which: int) -> Customer:
    number = 1 + which + sum(len(shops) for code, shops in _SHOPS.items() if code < country)
    return Customer(f"W-{number:03d}", f"buying-{number:03d}@example.org", _SHOPS[country][which])


# --- returns ------------------------------------------------------------------------------------------------


def _plan_return(book: _Book, refund: _Refund, day: date) -> None:
    """Decide at the sale whether and when the goods come back: 5 to 60 days later, mostly in the third
    week."""
    if refund.kind == "refund_abuse":
        _plan_abuse(book, refund, day)
        return
    rate = RETURN_RATES[book.room.items[refund.sku].category] * RETURN_FACTORS[refund.order.channel]
    if refund.kind == "sale" and book.rng.random() < rate:
        book.refunds_due[day + timedelta(5 + int(56 * book.rng.beta(1.8, 4.5)))].append(refund)


def _take_returns(book: _Book, day: date) -> None:
    for refund in book.refunds_due.pop(day, []):
        if not stockroom.take_back(book.room, refund.sku, refund.quantity):
            continue
        sale = refund.order
        moment = at(day, 0) + timedelta(seconds=int(book.rng.integers(9 * 3600, 12 * 3600)))
        number = _number(book, "R", 10_000)
        order = Order(number, moment, sale.channel, sale.country, sale.currency, sale.customer, sale.number)
        name = book.room.items[refund.sku].product_name
        book.lines.append(Line(order, "goods", refund.sku, name, -refund.quantity, refund.unit_price))
        if refund.discount:
            book.lines.append(Line(order, "discount", "", "Discount on returned goods", -1, -refund.discount))
        if refund.tax:
            book.lines.append(Line(order, "tax", "", COUNTRIES[sale.country].tax_name, -1, refund.tax))
        if refund.kind in _FRAUDS:
            book.fraud_orders[refund.kind].append(number)


# --- planted frauds -----------------------------------------------------------------------------------------

_FRAUDS = {
    "card_testing": "A customer new that day places 22 orders of one cheap ribbon each within an hour.",
    "abnormal_order": "A new customer orders twelve of one bag, to a country never shipped to before.",
    "refund_abuse": "A customer returns nine of ten purchases within a fortnight, one of them for 160 % of its price.",
}
_TESTS, _PIECES, _PURCHASES = 22, 12, 10


def _planted_visits(maison: Maison, rng: np.random.Generator) -> defaultdict[date, list[_Visit]]:
    """When the frauds happen: two of them in the last two months, the abuse over the last eleven."""
    visits: defaultdict[date, list[_Visit]] = defaultdict(list)
    day = maison.until - timedelta(int(rng.integers(18, 30)))
    for n in range(_TESTS):
        moment = at(day, 18, 4) + timedelta(seconds=n * 138 + int(rng.integers(60)))
        visits[day].append(_Visit(moment, "online_store", "FR", {}, "card_testing"))
    day = maison.until - timedelta(int(rng.integers(40, 52)))
    visits[day].append(_Visit(at(day, 3, 47), "online_store", "SG", {}, "abnormal_order"))
    for n in range(_PURCHASES):
        day = maison.until - timedelta(330 - n * 31 + int(rng.integers(6)))
        visits[day].append(_Visit(at(day, 11, 10 + n), "online_store", "GB", {}, "refund_abuse"))
    return visits


def _fraud_basket(book: _Book, kind: str) -> dict[str, int]:
    """What a fraud takes: always of the fullest shelf, so that it cannot fail for want of stock."""
    if kind == "card_testing":
        return {stockroom.fullest(book.room, "ribbons"): 1}
    if kind == "abnormal_order":
        return {stockroom.fullest(book.room, "bags"): _PIECES}
    return {stockroom.fullest(book.room, "ready-to-wear"): 1}


def _plan_abuse(book: _Book, refund: _Refund, day: date) -> None:
    """All but the first purchase come back; the refund of the eighth is for a price that was never paid."""
    book.counts["refund_abuse"] += 1
    purchase = book.counts["refund_abuse"]
    if purchase > 1:
        price = _percent(refund.unit_price, 160 if purchase == 8 else 100)
        back = _Refund(refund.order, refund.sku, refund.quantity, price, 0, refund.tax, refund.kind)
        book.refunds_due[day + timedelta(6 + purchase % 7)].append(back)


def _frauds(book: _Book) -> list[Fraud]:
    return [Fraud(kind, tuple(book.fraud_orders[kind]), book.fraudsters[kind].id, why) for kind, why in _FRAUDS.items()]


# --- small arithmetic ---------------------------------------------------------------------------------------


def _number(book: _Book, prefix: str, start: int) -> str:
    book.counts[prefix] += 1
    return f"{prefix}-{start + book.counts[prefix]}"


def _percent(amount: int, percent: int) -> int:
    """A percentage of minor units, halves up."""
    return (2 * amount * percent + 100) // 200


def _tax(amount: int, country: Country) -> int:
    return (2 * amount * country.tax + 100_000) // 200_000
