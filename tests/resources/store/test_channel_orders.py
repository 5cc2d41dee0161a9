"""Orders of channels, told again and again in any order: stock and books say what the newest telling says, and no more.

Does not belong here: what a vendor's answer means (`tests/resources/channels`).
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.finance.accounts import CHART
from assets.finance.posting import value_lines, wanted_postings
from assets.ingestion.mapping import load_preset
from luxauto_pipelines.ingest import ingest_orders
from luxauto_pipelines.instance import reload
from resources.channels.protocol import ChannelOrder, Connection, OrderLine
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from resources.store.catalog_codes import sku_ids
from resources.store.channel_items import save_mapping
from resources.store.channel_orders import Books, Taken, take_order, unmapped_orders
from resources.store.connections import read_connection, save_connection
from resources.store.orders import read_order_lines
from resources.store.stock_keeping import Counted, add_piece, read_pieces, save_bundle, set_level

DAY, START = date(2026, 3, 1), datetime(2026, 3, 1, 12, tzinfo=UTC)
# What each line sells, and what leaves stock for one unit of it. GHOST is a SKU that nobody knows.
SOLD = {"L1": "BAG", "L2": "SET", "L3": "BOX", "L4": "GHOST"}
PARTS = {"BAG": {"BAG": 1}, "SET": {"BAG": 1, "BELT": 2}, "BOX": {"BAG": 2, "BELT": 4, "SCARF": 3}, "GHOST": {}}
DIGITS = {"EUR": 2, "JPY": 0, "KWD": 3}
TELL = """
import sys
from tests.resources.store.test_channel_orders import tell_all
print("ready", flush=True)
sys.stdin.read(1)
tell_all(int(sys.argv[1]))
"""


def line(line_id: str, taken: int, kept: int | None = None, price: str = "100", sku: str | None = None) -> OrderLine:
    name = sku or SOLD[line_id]
    return OrderLine(
        line_id, name, f"key-{line_id}", name.title(), taken, taken if kept is None else kept, Decimal(price)
    )


def order(version: int, *lines: OrderLine, currency: str = "EUR", **more: Any) -> ChannelOrder:
    values: dict[str, Any] = {"order_id": "77", "number": "1077", "state": "processing", "country": "FR"} | more
    values |= {name: Decimal(value) for name, value in values.items() if name in AMOUNTS}
    return ChannelOrder(
        placed_at=START, updated_at=START + timedelta(hours=version), currency=currency, lines=lines, **values
    )


AMOUNTS = ("shipping", "tax", "discount", "refunded_besides")


def prepare(books: BrandStore, name: str = "woocommerce", locations: tuple[str, ...] = ()) -> BrandStore:
    """A connected channel, sets of sets, and stock."""
    with books.write() as (connection, brand):
        for sku in ("BAG", "BELT", "SCARF"):
            set_level(connection, brand, Counted(sku, "main", 50, "anna", "count"), DAY)
        save_bundle(connection, brand, "SET", {"BAG": 1, "BELT": 2})
        save_bundle(connection, brand, "BOX", {"SET": 2, "SCARF": 3})
        reached = Connection(name, "woocommerce", "http://127.0.0.1", {}, {"key": "ck"})
        save_connection(connection, brand, books.vault, reached, locations=locations)
    return books


def tell(books: BrandStore, told: ChannelOrder, name: str = "woocommerce") -> Taken:
    with books.write() as (connection, brand):
        channel = read_connection(connection, brand, books.vault, name)
        return take_order(connection, Books(brand, "Europe/Paris", DIGITS[told.currency]), channel, told)


def rows(books: BrandStore, query: str) -> list[Any]:
    with books.read() as (connection, brand):
        return [tuple(row) for row in fetch(connection, query, {"brand": brand})]


def moved(books: BrandStore) -> dict[tuple[str, str], int]:
    """Units by what moved them and SKU; what has come back altogether is left out."""
    query = """
        SELECT m.reference, s.sku, CAST(sum(m.quantity) AS BIGINT) FROM stock_movements m JOIN skus s ON s.id = m.sku_id
        WHERE m.brand_id = :brand AND m.kind IN ('sale', 'return') GROUP BY m.reference, s.sku HAVING sum(m.quantity) <> 0
    """
    return {(reference, sku): units for reference, sku, units in rows(books, query)}


def booked(books: BrandStore) -> dict[str, int]:
    """Minor units by kind of line."""
    query = "SELECT kind, CAST(sum(amount_minor) AS BIGINT) FROM order_lines WHERE brand_id = :brand GROUP BY kind"
    return dict(rows(books, query))


def money(books: BrandStore) -> dict[str, int]:
    return dict(rows(books, "SELECT type, CAST(amount_minor AS BIGINT) FROM transactions WHERE brand_id = :brand"))


def on_hand(books: BrandStore) -> dict[str, int]:
    query = """
        SELECT s.sku || '@' || l.code, CAST(sum(m.quantity) AS BIGINT) FROM stock_movements m
        JOIN skus s ON s.id = m.sku_id JOIN locations l ON l.id = m.location_id
        WHERE m.brand_id = :brand AND m.kind <> 'reservation' GROUP BY s.sku, l.code
    """
    return dict(rows(books, query))


@dataclass
class Expected:
    """What store and books should say, worked out from the tellings alone."""

    newest: ChannelOrder | None = None
    was_sale: bool = False

    def hear(self, told: ChannelOrder) -> None:
        if self.newest is None or told.updated_at >= self.newest.updated_at:
            self.newest = told
            self.was_sale |= any(each.kept for each in told.lines)

    def moved(self) -> dict[tuple[str, str], int]:
        assert self.newest
        return {
            (f"woocommerce:77:{each.line_id}", part): -each.taken * units
            for each in self.newest.lines
            for part, units in PARTS[SOLD[each.line_id]].items()
            if each.taken
        }

    def kept(self) -> dict[str, int]:
        assert self.newest
        return {SOLD[each.line_id]: each.kept for each in self.newest.lines if each.kept}

    def money(self) -> int:
        newest = self.newest
        assert newest
        is_over = not any(each.kept for each in newest.lines) and newest.refunded_besides == 0
        if is_over or not self.was_sale:
            return 0
        digits = DIGITS[newest.currency]
        sums = [each.unit_price * each.kept for each in newest.lines]
        sums += [newest.shipping, newest.tax, -newest.discount, -newest.refunded_besides]
        return sum(int(one.scaleb(digits).to_integral_value(ROUND_HALF_EVEN)) for one in sums)


def assert_is(books: BrandStore, expected: Expected) -> None:
    assert moved(books) == expected.moved()
    query = """
        SELECT code, CAST(sum(quantity) AS BIGINT) FROM order_lines WHERE brand_id = :brand AND kind = 'goods'
        GROUP BY code HAVING sum(quantity) <> 0
    """
    assert dict(rows(books, query)) == expected.kept()
    assert sum(money(books).values()) == expected.money()
    assert sum(booked(books).values()) == expected.money()
    trail = rows(
        books,
        "SELECT import_key, reference, actor, reason FROM stock_movements WHERE brand_id = :brand AND kind <> 'opening'",
    )
    assert all(all(said) for said in trail)
    assert len({key for key, *_ in trail}) == len(trail)


def postings(books: BrandStore) -> pl.DataFrame:
    with books.read() as (connection, brand):
        lines = read_order_lines(connection, brand, date(2020, 1, 1), date(2030, 1, 1))
    costs = pl.DataFrame(
        {"sku": ["BAG"], "valid_from": [date(2020, 1, 1)], "cost_minor": [1234], "currency": ["EUR"]},
        schema={"sku": pl.String, "valid_from": pl.Date, "cost_minor": pl.Int64, "currency": pl.String},
    )
    ratios = pl.DataFrame(
        schema={"day": pl.Date, "currency": pl.String, "numerator": pl.Decimal(38, 0), "denominator": pl.Decimal(38, 0)}
    )
    return wanted_postings(value_lines(lines, costs, ratios, "EUR"))


@st.composite
def tellings(draw: st.DrawFn) -> list[ChannelOrder]:
    """An order as it stood at several times, the oldest first."""
    currency = draw(st.sampled_from(sorted(DIGITS)))
    price = st.sampled_from(["0.005", "0.335", "33.333333", "100", "4000.5"])
    amount = st.sampled_from(["0", "0.005", "7.5", "19.99"])

    def one(version: int) -> ChannelOrder:
        lines = []
        for line_id in draw(st.lists(st.sampled_from(sorted(SOLD)), unique=True)):
            ordered = draw(st.integers(0, 4))
            lines.append(line(line_id, draw(st.integers(0, ordered)), draw(st.integers(0, ordered)), draw(price)))
        state = draw(st.sampled_from(["processing", "completed", "refunded", "cancelled"]))
        return order(version, *lines, currency=currency, state=state, **{name: draw(amount) for name in AMOUNTS})

    return [one(version) for version in range(draw(st.integers(1, 6)))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), story=tellings())
def test_whatever_is_told_in_whatever_order_the_newest_telling_is_what_stands(
    books: BrandStore, data: st.DataObject, story: list[ChannelOrder]
) -> None:
    number = len(rows(books, "SELECT id FROM brands WHERE :brand > 0"))
    mine = prepare(BrandStore(books.settings.model_copy(update={"brand": f"b{number}"}), books.store))
    heard = [*story, *data.draw(st.lists(st.sampled_from(story), max_size=4), label="told again")]
    if data.draw(st.booleans(), label="out of order"):
        heard = data.draw(st.permutations(heard))
    expected = Expected()
    for told in heard:
        tell(mine, told)
        expected.hear(told)
        assert_is(mine, expected)
    found = postings(mine)
    sums = found.group_by("order_id", "day", "currency").agg(pl.col("amount_minor").sum())
    assert sums["amount_minor"].to_list() == [0] * sums.height
    assert set(found["account"]) <= {account.code for account in CHART}


def story_of(seed: int) -> list[ChannelOrder]:
    chance = random.Random(seed)
    return [
        order(
            version,
            *(
                line(each, chance.randint(0, 5), chance.randint(0, 5), chance.choice(["9.99", "12.345"]))
                for each in SOLD
            ),
            shipping=chance.choice(["0", "5.90"]),
            tax=chance.choice(["0", "20"]),
            refunded_besides=chance.choice(["0", "3"]),
        )
        for version in range(12)
    ]


def tell_all(seed: int) -> None:
    """In a process of its own: every telling of the story, in an order of its own, some of them twice."""
    books = reload()
    told = story_of(1) + story_of(1)[::2]
    random.Random(seed).shuffle(told)
    for one in told:
        tell(books, one)


def everything(story: Sequence[ChannelOrder]) -> Expected:
    expected = Expected()
    for told in story:
        expected.hear(told)
    return expected


def test_two_threads_that_tell_the_same_order_move_it_once(books: BrandStore) -> None:
    prepare(books)
    story = story_of(1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda told: tell(books, told), [*story, *reversed(story), *story]))
    assert_is(books, everything(story))


def test_two_processes_that_tell_the_same_order_move_it_once(books: BrandStore, home: Path) -> None:
    prepare(books)
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", TELL]
    running = [
        subprocess.Popen([*command, str(seed)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in (2, 3)
    ]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.communicate("\n")
        assert process.returncode == 0
    assert_is(books, everything(story_of(1)))


def test_the_same_telling_again_writes_no_row(books: BrandStore) -> None:
    prepare(books)
    told = order(0, line("L1", 2), line("L2", 1), shipping="5", tax="20", discount="3")
    assert tell(books, told).is_new
    count = """
        SELECT (SELECT count(*) FROM stock_movements), (SELECT count(*) FROM order_lines), (SELECT count(*) FROM transactions),
               (SELECT count(*) FROM imports), (SELECT count(*) FROM orders) WHERE :brand > 0
    """
    before = rows(books, count)
    again = tell(books, told)
    assert (again.is_new, again.is_stale, again.moved) == (False, False, Counter())
    assert rows(books, count) == before


def test_an_older_telling_than_the_last_is_not_believed(books: BrandStore) -> None:
    prepare(books)
    tell(books, order(2, line("L1", 1)))
    assert tell(books, order(1, line("L1", 5))).is_stale
    assert moved(books) == {("woocommerce:77:L1", "BAG"): -1}


def test_a_refund_with_restock_puts_back_and_one_without_only_gives_money_back(books: BrandStore) -> None:
    prepare(books)
    tell(books, order(0, line("L1", 3)))
    tell(books, order(1, line("L1", 3, 2)))
    assert (on_hand(books)["BAG@main"], sum(money(books).values())) == (47, 200_00)
    tell(books, order(2, line("L1", 1, 1)))
    assert (on_hand(books)["BAG@main"], sum(money(books).values())) == (49, 100_00)
    assert money(books) == {"sale": 300_00, "refund": -200_00}


def test_a_cancelled_order_gives_back_all_its_money_as_a_refund(books: BrandStore) -> None:
    prepare(books)
    amounts = {"shipping": "10", "tax": "20", "discount": "5"}
    tell(books, order(0, line("L1", 1), **amounts))
    tell(books, order(1, line("L1", 0), state="cancelled", **amounts))
    assert money(books) == {"sale": 125_00, "refund": -125_00}
    assert on_hand(books)["BAG@main"] == 50
    tell(books, order(2, line("L1", 1), **amounts))
    assert sum(money(books).values()) == 125_00


def test_an_order_that_is_not_paid_yet_holds_stock_and_no_money(books: BrandStore) -> None:
    prepare(books)
    tell(books, order(0, line("L1", 2, 0), state="on-hold", shipping="5"))
    assert (on_hand(books)["BAG@main"], money(books)) == (48, {})
    tell(books, order(1, line("L1", 2, 2), shipping="5"))
    assert (on_hand(books)["BAG@main"], money(books)) == (48, {"sale": 205_00})


def test_a_price_that_is_corrected_is_booked_anew_for_every_unit(books: BrandStore) -> None:
    prepare(books)
    tell(books, order(0, line("L1", 3, price="100")))
    tell(books, order(1, line("L1", 3, price="80")))
    assert booked(books) == {"goods": 240_00}
    assert on_hand(books)["BAG@main"] == 47


@pytest.mark.parametrize(("currency", "price", "minor"), [("JPY", "18000", 18000), ("KWD", "12.345", 12345)])
def test_currencies_without_digits_and_with_three_are_booked_exactly(
    books: BrandStore, currency: str, price: str, minor: int
) -> None:
    prepare(books)
    tell(books, order(0, line("L1", 2, price=price), currency=currency, shipping="1"))
    assert booked(books) == {"goods": 2 * minor, "shipping": 10 ** DIGITS[currency]}


def test_amounts_of_half_a_cent_leave_nothing_behind_when_all_is_given_back(books: BrandStore) -> None:
    prepare(books)
    for version, kept in enumerate((1, 2, 3, 0)):
        tell(books, order(version, line("L1", kept, price="0.335")))
    assert booked(books) == {"goods": 0}


class TestWhatNobodyKnows:
    """Lines of SKUs that are not ours yet."""

    def test_it_moves_nothing_and_is_reported_and_its_money_is_booked(self, books: BrandStore) -> None:
        prepare(books)
        taken = tell(books, order(0, line("L4", 2), line("L1", 1)))
        assert taken.unmapped == ["GHOST"]
        assert moved(books) == {("woocommerce:77:L1", "BAG"): -1}
        assert booked(books) == {"goods": 300_00}

    def test_it_moves_once_the_mapping_exists_and_is_booked_once(self, books: BrandStore) -> None:
        prepare(books)
        told = order(0, line("L4", 2))
        tell(books, told)
        assert waiting(books) == []
        with books.write() as (connection, brand):
            channel = read_connection(connection, brand, books.vault, "woocommerce")
            save_mapping(connection, brand, channel, "GHOST", sku_ids(connection, brand, ["BELT"])["BELT"])
        assert waiting(books) == ["77"]
        for _ in range(2):
            assert tell(books, told).unmapped == []
        assert waiting(books) == []
        assert moved(books) == {("woocommerce:77:L4", "BELT"): -2}
        assert rows(
            books,
            "SELECT s.sku, l.quantity FROM order_lines l JOIN skus s ON s.id = l.sku_id WHERE l.brand_id = :brand",
        ) == [("BELT", 2)]

    def test_it_moves_once_the_sku_is_in_the_catalogue(self, books: BrandStore) -> None:
        prepare(books)
        tell(books, order(0, line("L4", 2)))
        with books.write() as (connection, brand):
            sku_ids(connection, brand, ["GHOST"])
        assert waiting(books) == ["77"]
        tell(books, order(0, line("L4", 2)))
        assert on_hand(books)["GHOST@main"] == -2

    def test_what_was_given_back_meanwhile_is_not_moved_later(self, books: BrandStore) -> None:
        prepare(books)
        tell(books, order(0, line("L4", 2)))
        tell(books, order(1, line("L4", 0), state="cancelled"))
        with books.write() as (connection, brand):
            sku_ids(connection, brand, ["GHOST"])
        tell(books, order(1, line("L4", 0), state="cancelled"))
        assert moved(books) == {}
        assert sum(money(books).values()) == 0


def waiting(books: BrandStore) -> list[str]:
    with books.read() as (connection, brand):
        return unmapped_orders(connection, brand, read_connection(connection, brand, books.vault, "woocommerce"))


class TestPlacesAndPieces:
    """Which location and which numbered piece."""

    def test_units_come_back_to_where_they_were_taken_from(self, books: BrandStore) -> None:
        prepare(books, locations=("paris", "main"))
        with books.write() as (connection, brand):
            set_level(connection, brand, Counted("BAG", "paris", 2, "anna", "count"), DAY)
        tell(books, order(0, line("L1", 51)))
        assert (on_hand(books)["BAG@paris"], on_hand(books)["BAG@main"]) == (0, 1)
        tell(books, order(1, line("L1", 0)))
        assert (on_hand(books)["BAG@paris"], on_hand(books)["BAG@main"]) == (2, 50)

    def test_a_set_that_is_changed_meanwhile_gives_back_what_was_taken_for_it(self, books: BrandStore) -> None:
        prepare(books)
        tell(books, order(0, line("L2", 3)))
        with books.write() as (connection, brand):
            save_bundle(connection, brand, "SET", {"SCARF": 5})
        tell(books, order(1, line("L2", 1)))
        assert moved(books) == {("woocommerce:77:L2", "BAG"): -1, ("woocommerce:77:L2", "BELT"): -2}
        tell(books, order(2, line("L2", 0)))
        assert moved(books) == {}

    def test_numbered_pieces_go_lowest_first_and_come_back(self, books: BrandStore) -> None:
        prepare(books)
        with books.write() as (connection, brand):
            for serial in ("No. 10", "No. 2", "No. 9"):
                add_piece(connection, brand, "BAG", serial, "main")
        tell(books, order(0, line("L1", 2)))
        assert states(books) == {"No. 10": "in_stock", "No. 2": "sold", "No. 9": "sold"}
        ((reason,),) = rows(books, "SELECT reason FROM stock_movements WHERE brand_id = :brand AND kind = 'sale'")
        assert reason == "order 1077 (processing), pieces No. 2, No. 9"
        tell(books, order(1, line("L1", 0)))
        assert set(states(books).values()) == {"in_stock"}

    def test_the_piece_that_lies_where_the_unit_is_taken_from_goes(self, books: BrandStore) -> None:
        prepare(books, locations=("main",))
        with books.write() as (connection, brand):
            add_piece(connection, brand, "BAG", "1", "paris")
            add_piece(connection, brand, "BAG", "2", "main")
        tell(books, order(0, line("L1", 1)))
        assert states(books) == {"1": "in_stock", "2": "sold"}


def states(books: BrandStore) -> dict[str, str]:
    with books.read() as (connection, brand):
        return dict(read_pieces(connection, brand, "BAG").select("serial", "state").iter_rows())


HEADER = (
    "Order Number,Order Status,Order Date,Country Code (Billing),Email (Billing),Order Currency,Cart Discount Amount,"
    "Order Shipping Amount,Order Refund Amount,Order Total Amount,Order Total Tax Amount,SKU,Item Name,Quantity,Item Cost\n"
)
# The same orders as an export of the shop writes them and as the channel tells them.
BOTH_WAYS = {
    "a discount": (
        "1077,Completed,2026-03-01 13:00,FR,a@example.com,EUR,10.00,5.90,0.00,175.90,30.00,BAG,Bag,1,100.00\n"
        "1077,Completed,2026-03-01 13:00,FR,a@example.com,EUR,10.00,5.90,0.00,175.90,30.00,BELT,Belt,2,25.00\n",
        order(
            0, line("1", 1, sku="BAG"), line("2", 2, price="25", sku="BELT"), shipping="5.90", tax="30", discount="10"
        ),
    ),
    "money given back": (
        "1077,Completed,2026-03-01 13:00,FR,a@example.com,EUR,0.00,0.00,12.00,60.00,0.00,SCARF,Scarf,1,60.00\n",
        order(0, line("1", 1, price="60", sku="SCARF"), refunded_besides="12"),
    ),
    "three digits": (
        "1077,Completed,2026-03-01 13:00,KW,a@example.com,KWD,0.000,1.000,0.000,13.345,0.000,SCARF,Scarf,1,12.345\n",
        order(0, line("1", 1, price="12.345", sku="SCARF"), currency="KWD", shipping="1", country="KW"),
    ),
    "no digits": (
        "1077,Completed,2026-03-01 13:00,JP,a@example.com,JPY,100,500,0,18400,0,SCARF,Scarf,2,9000\n",
        order(0, line("1", 2, price="9000", sku="SCARF"), currency="JPY", shipping="500", discount="100", country="JP"),
    ),
}


def ingest(books: BrandStore, path: Path, content: str) -> int:
    """How many rows of an export are new."""
    path.write_text(HEADER + content, encoding="utf-8")
    mine = BrandStore(load_settings(brand=books.settings.brand), books.store)
    result = ingest_orders(mine, path, load_preset("woocommerce-export"), "woocommerce-export", lambda stage: None)
    assert result.exit_code == 0
    return result.new


def figures(books: BrandStore) -> dict[str, Any]:
    """All that the books and the stock say of the one order."""
    lines = """
        SELECT l.kind, l.code, s.sku, l.quantity, l.unit_price_micros, l.amount_minor, l.currency, l.occurrence, l.local_date
        FROM order_lines l LEFT JOIN skus s ON s.id = l.sku_id WHERE l.brand_id = :brand ORDER BY l.kind, l.code
    """
    orders = "SELECT number, country, currency, local_date FROM orders WHERE brand_id = :brand"
    return {
        "lines": rows(books, lines),
        "orders": rows(books, orders),
        "money": money(books),
        "stock": on_hand(books),
        "postings": postings(books).drop("order_id").sort(pl.all()).rows(),
    }


@pytest.mark.parametrize(("export", "told"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_an_order_comes_to_the_same_whether_its_channel_tells_it_or_an_export(
    books: BrandStore, tmp_path: Path, export: str, told: ChannelOrder
) -> None:
    by_file = prepare(BrandStore(books.settings.model_copy(update={"brand": "file"}), books.store))
    ingest(by_file, tmp_path / "export.csv", export)
    by_channel = prepare(BrandStore(books.settings.model_copy(update={"brand": "channel"}), books.store))
    tell(by_channel, told)
    assert figures(by_channel) == figures(by_file)
    # So that an export which comes after it adds nothing.
    assert ingest(by_channel, tmp_path / "again.csv", export) == 0
    assert figures(by_channel) == figures(by_file)


@pytest.mark.parametrize(("export", "told"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_an_order_that_a_file_brought_is_taken_over_without_moving_again(
    books: BrandStore, tmp_path: Path, export: str, told: ChannelOrder
) -> None:
    prepare(books)
    ingest(books, tmp_path / "export.csv", export)
    before = figures(books)
    for version in range(2):
        assert tell(books, replace(told, updated_at=told.updated_at + timedelta(hours=version))).moved == Counter()
    assert figures(books) == before
    assert waiting(books) == []


def test_what_changes_after_an_order_was_taken_over_moves_and_is_booked(books: BrandStore, tmp_path: Path) -> None:
    prepare(books)
    export, told = BOTH_WAYS["a discount"]
    ingest(books, tmp_path / "export.csv", export)
    tell(books, told)
    back = replace(
        told,
        updated_at=told.updated_at + timedelta(hours=1),
        state="cancelled",
        lines=tuple(replace(each, taken=0, kept=0) for each in told.lines),
    )
    tell(books, back)
    assert (on_hand(books)["BAG@main"], on_hand(books)["BELT@main"]) == (50, 50)
    assert money(books) == {"sale": 175_90, "refund": -175_90}


def test_a_line_that_joins_an_order_after_it_was_taken_over_moves_like_any_other(
    books: BrandStore, tmp_path: Path
) -> None:
    prepare(books)
    export, told = BOTH_WAYS["money given back"]
    ingest(books, tmp_path / "export.csv", export)
    tell(books, told)
    more = replace(told, lines=(*told.lines, line("2", 1, sku="BAG"), line("3", 1, sku="GHOST")))
    assert tell(books, more).unmapped == ["GHOST"]
    with books.write() as (connection, brand):
        sku_ids(connection, brand, ["GHOST"])
    assert waiting(books) == ["77"]
    tell(books, more)
    assert {sku: units for (_, sku), units in moved(books).items() if sku != "SCARF"} == {"BAG": -1, "GHOST": -1}
    assert waiting(books) == []
