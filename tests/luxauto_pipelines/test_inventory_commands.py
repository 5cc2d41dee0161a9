"""`luxauto inventory` as a person or a script runs it, against a shop on loopback and on both databases.

Does not belong here: what should be shown (`tests/assets/inventory`), the store's rules (`tests/resources/store`).
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stamina
from typer.testing import CliRunner, Result

from assets.ingestion.mapping import MappingError
from luxauto_pipelines.cli import app
from resources.store import Store
from resources.store.audit import read_page
from resources.store.brand_store import BrandStore
from resources.store.connections import UnknownConnection, save_connection
from resources.store.locks import Busy, exclusively
from resources.store.reservations import NotEnough, TakenReference, UnknownReservation
from resources.store.stock_keeping import InvalidStockKeeping
from resources.tables import UnreadableTable
from tests.peers.shopify import ShopifyPeer
from tests.peers.vendor import Fault
from tests.peers.woocommerce import WooCommercePeer

pytestmark = pytest.mark.usefixtures("installation")
on_both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, home: Path) -> str:
    """SQLite, unless a test is about both."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("postgres_url")
    home.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{home / 'store.db'}"


@pytest.fixture
def installation(home: Path, store: Store) -> Iterator[None]:
    """A store of today's schema; waiting before another try is not what is tested here."""
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    (home / "dagster" / ".storage-made").touch()
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)
    stamina.instrumentation.set_on_retry_hooks(hooks)


@pytest.fixture
def shop(books: BrandStore) -> Iterator[WooCommercePeer]:
    """A shop with three things that show 3 each, connected as `shop`."""
    with WooCommercePeer() as peer:
        for sku in ("BAG", "BELT", "RING"):
            peer.add(sku, 3)
        connect(books, peer, "shop")
        yield peer


def connect(books: BrandStore, peer: Any, name: str) -> None:
    with books.write() as (connection, brand):
        since = datetime.now(UTC) - timedelta(hours=1)
        save_connection(connection, brand, books.vault, peer.connection(name), orders_since=since)


def luxauto(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["inventory", *(str(one) for one in arguments)], input=stdin)


def said(*arguments: object) -> Any:
    result = luxauto(*arguments, "--format", "json")
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    return json.loads(result.stdout)


def done(*arguments: object) -> str:
    result = luxauto(*arguments)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result.stdout


def refused(kind: type[Exception], *arguments: object) -> str:
    result = luxauto(*arguments)
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def file(folder: Path, *lines: str, name: str = "stock.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def on_hand(sku: str) -> dict[str, int]:
    return {row["location"]: row["on_hand"] for row in said("levels", sku)}


def audited(books: BrandStore, action: str) -> list[dict[str, Any]]:
    with books.read() as (connection, brand):
        rows = read_page(connection, brand, None, 100)
    return [row for row in rows if row["action"] == action]


def details(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(row["details"]) if isinstance(row["details"], str) else row["details"]


@on_both_databases
def test_an_import_brings_stock_to_what_the_file_says_and_the_same_file_again_moves_nothing(tmp_path: Path):
    path = file(tmp_path, "SKU;Quantity;Location", "bag;5;", "BAG;2;Paris", "belt;0;main")
    first = said("import", path)
    assert (first["rows_in"], first["changed"], first["units"], first["rejected"]) == (3, 3, 7, [])
    assert on_hand("BAG") == {"main": 5, "paris": 2}

    again = said("import", path)
    assert (again["changed"], again["same"], again["units"]) == (0, 3, 0)
    assert len(said("history", "BAG")) == 2

    done("import", file(tmp_path, "sku,quantity", "bag,4"))
    assert [(row["kind"], row["quantity"], row["reference"]) for row in said("history", "bag")] == [
        ("adjustment", -1, "stock.csv"),
        ("opening", 2, "stock.csv"),
        ("opening", 5, "stock.csv"),
    ]


def test_bad_rows_are_put_aside_with_field_and_reason_and_cost_no_good_one(tmp_path: Path):
    path = file(
        tmp_path,
        *("sku,quantity,location", "GOOD,1,main", "A,abc,main", "B,-1,main", ",1,main", "C,,main", "D,1.5,main"),
        *("E,1,main", "E,2,main", "F,3,main", "F,3,main", "G,1000000001,main", f"{'X' * 129},1,main", "ragged"),
    )
    result = luxauto("import", path, "--format", "json")
    told = json.loads(result.stdout)

    assert result.exit_code == 2
    assert [(row["row_number"], row["field"]) for row in told["rejected"]] == [
        *((2, "quantity"), (3, "quantity"), (4, "sku"), (5, "quantity"), (6, "quantity"), (7, "quantity")),
        *((8, "quantity"), (11, "quantity"), (12, "sku"), (13, "row")),
    ]
    assert {row["sku"]: row["on_hand"] for row in said("levels")} == {"GOOD": 1, "F": 3}
    assert pl.read_parquet(told["quarantine_file"]).height == len(told["rejected"])
    assert "Put aside" in luxauto("import", path).stdout


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
def test_workbooks_and_parquet_are_read_like_csv(tmp_path: Path, ending: str):
    rows = pl.DataFrame({"sku": ["bag", "17850"], "quantity": [4, 2], "location": ["main", None]})
    path = tmp_path / f"stock.{ending}"
    rows.write_excel(path) if ending == "xlsx" else rows.write_parquet(path)

    assert said("import", path)["changed"] == 2
    assert (on_hand("BAG"), on_hand("17850")) == ({"main": 4}, {"main": 2})


@on_both_databases
def test_rows_of_numbered_pieces_are_one_unit_each(tmp_path: Path):
    path = file(
        tmp_path, "sku,quantity,serial", "ring,,1/9", "ring,1,2/9", "ring,2,3/9", "ring,,1/9", "ring,4,", "bag,2,"
    )
    told = said("import", path)

    assert told["pieces"] == 2
    assert [row["row_number"] for row in told["rejected"]] == [3, 4, 5]
    assert (on_hand("RING"), on_hand("BAG")) == ({"main": 2}, {"main": 2})
    assert [(row["serial"], row["state"]) for row in said("pieces", "ring")] == [
        ("1/9", "in_stock"),
        ("2/9", "in_stock"),
    ]
    assert said("import", path)["pieces"] == 0


def test_a_piece_that_is_known_elsewhere_is_put_aside(tmp_path: Path):
    done("import", file(tmp_path, "sku,serial,location", "ring,1/9,main"))
    told = said("import", file(tmp_path, "sku,serial,location", "ring,1/9,paris"))

    assert "in_stock at main" in told["rejected"][0]["reason"]


def test_a_set_has_no_stock_of_its_own_to_import(tmp_path: Path):
    done("import", file(tmp_path, "sku,quantity", "bag,5", "belt,5"))
    done("bundle", "gift", "bag=1", "belt=2")
    told = said("import", file(tmp_path, "sku,quantity", "bag,6", "gift,3"))

    assert (told["changed"], told["rejected"][0]["row_number"]) == (1, 2)
    assert "count its components" in told["rejected"][0]["reason"]


def test_a_file_that_cannot_be_read_or_has_other_columns_is_one_error(tmp_path: Path):
    assert "is not a file" in refused(UnreadableTable, "import", tmp_path / "nowhere.csv")
    assert "'quantity'" in refused(MappingError, "import", file(tmp_path, "sku,colour", "bag,red"))


@on_both_databases
def test_a_sync_shows_our_stock_and_takes_orders_in(shop: WooCommercePeer, tmp_path: Path):
    done("import", file(tmp_path, "sku,quantity", "bag,10", "belt,5"))
    assert "shop" in done("sync")
    assert (shop.stock("BAG"), shop.stock("BELT"), shop.stock("RING")) == (10, 5, 3)

    shop.buy({"BAG": 2})
    (report,) = said("sync", "--channel", "shop")
    assert (report["orders"], report["units_moved"], report["error"]) == (1, 2, None)
    assert on_hand("BAG") == {"main": 8}
    assert (said("history", "bag")[0]["kind"], said("history", "bag")[0]["actor"]) == ("sale", "shop")


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(shop: WooCommercePeer, tmp_path: Path):
    done("import", file(tmp_path, "sku,quantity", "bag,10", "belt,1"))
    (report,) = said("sync", "--dry-run")
    planned = [(row["sku"], row["shown"], row["wanted"]) for row in report["planned"]]

    assert planned == [("BELT", 3, 1), ("BAG", 3, 10)]
    assert "Would be written" in done("sync", "--dry-run")
    assert (shop.stock("BAG"), shop.stock("BELT")) == (3, 3)
    assert shop.count("POST") == 0


def test_only_the_named_skus_are_synced(shop: WooCommercePeer, tmp_path: Path):
    done("import", file(tmp_path, "sku,quantity", "bag,10", "belt,5"))
    assert "never been read" in luxauto("sync", "--sku", "belt").stderr
    assert (shop.stock("BAG"), shop.stock("BELT")) == (3, 3)

    done("drift", "--read")
    done("sync", "--sku", "belt")
    assert (shop.stock("BAG"), shop.stock("BELT")) == (3, 5)
    assert "NOPE" in refused(InvalidStockKeeping, "sync", "--sku", "nope")


def test_a_channel_that_fails_is_told_with_exit_code_1_and_stops_no_other(books: BrandStore, shop: WooCommercePeer):
    with ShopifyPeer() as other:
        other.add("BAG", 1)
        connect(books, other, "other")
        done("set", "bag", 7)
        shop.faults.append(Fault("reply", times=100))
        result = luxauto("sync", "--format", "json")
        assert isinstance(result.exception, SystemExit), repr(result.exception)

        errors = {report["channel"]: report["error"] for report in json.loads(result.stdout)}
        assert (result.exit_code, errors["other"]) == (1, None)
        assert "503" in errors["shop"]
        assert other.stock("BAG") == 7


def test_an_unknown_channel_is_named_with_those_that_there_are(shop: WooCommercePeer):
    for command in ("sync", "drift", "repair"):
        assert "there are shop" in refused(UnknownConnection, command, "--channel", "shp")


@on_both_databases
def test_a_sync_that_must_not_wait_ends_where_another_one_writes(books: BrandStore, shop: WooCommercePeer):
    with exclusively(books, "channel:shop"):
        assert "channel:shop" in refused(Busy, "sync", "--no-wait")
    done("sync", "--no-wait")


@on_both_databases
def test_without_a_channel_the_way_to_one_is_said():
    result = luxauto("sync")
    assert result.exit_code == 0
    assert "luxauto channel add" in result.stderr


@on_both_databases
def test_drift_counts_the_classes_and_reads_only_when_asked(shop: WooCommercePeer, tmp_path: Path):
    done("import", file(tmp_path, "sku,quantity", "bag,10", "belt,5"))
    assert "nothing has been read" in luxauto("drift").stderr
    done("sync")
    shop.edit("BELT", 1)

    before = said("drift")
    assert {row["state"]: row["items"] for row in before["counts"]} == {"clean": 2, "unmapped": 1}
    told = said("drift", "--read")
    assert {row["state"]: row["items"] for row in told["counts"]} == {"clean": 1, "foreign_edit": 1, "unmapped": 1}
    found = {row["sku"]: (row["state"], row["shown"], row["wanted"], row["action"]) for row in told["differences"]}
    assert found["BELT"] == ("foreign_edit", 1, 5, "hold")
    assert "foreign_edit" in done("drift")


def test_drift_that_cannot_read_a_channel_says_so_and_ends_with_0(shop: WooCommercePeer):
    shop.faults.append(Fault("reply", times=100))
    result = luxauto("drift", "--read", "--format", "json")

    assert result.exit_code == 0
    assert "503" in json.loads(result.stdout)["errors"]["shop"]


@on_both_databases
def test_a_repair_is_shown_first_then_asked_for_then_audited(books: BrandStore, shop: WooCommercePeer):
    done("set", "belt", 5)
    done("sync")
    shop.edit("BELT", 1)
    done("sync")
    assert shop.stock("BELT") == 1

    assert "Would be written" in done("repair", "--dry-run")
    no = luxauto("repair", stdin="n\n")
    assert (no.exit_code, shop.stock("BELT"), audited(books, "inventory.repair")) == (0, 1, [])

    yes = luxauto("repair", stdin="y\n")
    assert (yes.exit_code, shop.stock("BELT")) == (0, 5)
    (row,) = audited(books, "inventory.repair")
    (write,) = details(row)["writes"]
    assert row["subject"] == "shop"
    assert (write["sku"], write["shown"], write["wanted"], write["state"]) == ("BELT", 1, 5, "confirmed")
    assert said("repair", "--yes")["written"] == []


def test_a_repair_of_one_channel_leaves_what_was_edited_at_another(books: BrandStore, shop: WooCommercePeer):
    with ShopifyPeer() as other:
        other.add("BELT", 3)
        connect(books, other, "other")
        done("set", "belt", 5)
        done("sync")
        shop.edit("BELT", 1)
        other.edit("BELT", 2)

        told = said("repair", "--channel", "shop", "--sku", "belt", "--yes")
        assert [row["channel"] for row in told["written"]] == ["shop"]
        assert (shop.stock("BELT"), other.stock("BELT")) == (5, 2)


def test_an_order_that_was_not_taken_in_yet_is_no_edit_to_repair(shop: WooCommercePeer):
    done("set", "bag", 5)
    done("sync")
    shop.buy({"BAG": 2})

    assert said("repair", "--yes")["written"] == []
    assert (shop.stock("BAG"), on_hand("BAG")) == (3, {"main": 3})


def test_stock_is_set_with_who_and_why(books: BrandStore):
    assert "(+4)" in done("set", "bag", 4, "--reason", "found in the safe")
    assert "(-3)" in done("set", "BAG", 1, "--location", "Main")

    newest, oldest = said("history", "bag")
    assert (oldest["reason"], oldest["on_hand"], newest["quantity"]) == ("found in the safe", 4, -3)
    assert newest["actor"] not in (None, "")
    assert [details(row)["moved"] for row in audited(books, "inventory.set")] == [-3, 4]
    assert len(said("history", "bag", "--most", 1)) == 1
    assert "NOPE" in refused(InvalidStockKeeping, "history", "nope")
    assert "below 0" in refused(InvalidStockKeeping, "set", "bag", "--", "-1")


@on_both_databases
def test_a_count_shows_the_variance_and_writes_only_when_one_is_sure(books: BrandStore, tmp_path: Path):
    done("set", "bag", 5)
    done("set", "belt", 2)
    path = file(tmp_path, "sku,counted,location", "bag,4,main", "belt,2,main", "new,1,main", name="count.csv")
    told = said("count", path, "--dry-run")
    assert [(row["sku"], row["expected"], row["counted"], row["variance"]) for row in told["compared"]] == [
        ("BAG", 5, 4, -1),
        ("BELT", 2, 2, 0),
        ("NEW", None, 1, 1),
    ]
    assert luxauto("count", path, stdin="n\n").exit_code == 0
    assert on_hand("BAG") == {"main": 5}

    assert "1 of 3 places are as expected" in done("count", path, "--yes")
    assert on_hand("BAG") == {"main": 4}
    assert said("history", "bag")[0]["reason"] == "count count.csv"
    assert audited(books, "inventory.count")[0]["subject"] == "count.csv"


@on_both_databases
def test_units_are_promised_released_and_fetched():
    done("set", "bag", 5)
    done("reserve", "bag", 2, "--for", "Mme Durand", "--hours", 48)
    done("reserve", "bag", 1, "--for", "M. Petit", "--until", "2099-01-01T18:00")
    assert "2 available" in refused(NotEnough, "reserve", "bag", 3, "--for", "others")
    assert "Durand" in refused(TakenReference, "reserve", "bag", 1, "--for", "Mme Durand")
    assert [row["reference"] for row in said("reservations")] == ["Mme Durand", "M. Petit"]
    (level,) = said("levels", "bag")
    assert (level["on_hand"], level["reserved"], level["available"]) == (5, 3, 2)

    done("fetch", "Mme Durand")
    done("release", "M. Petit")
    (level,) = said("levels", "bag")
    assert (level["on_hand"], level["reserved"], level["available"]) == (3, 0, 3)
    assert "Durand" in refused(UnknownReservation, "release", "Mme Durand")
    assert {row["state"] for row in said("reservations", "--all")} == {"consumed", "released"}


@pytest.mark.parametrize(
    "words", [("--until", "yesterday"), ("--until", "2001-01-01"), ("--until", "2099-01-01", "--hours", 1)]
)
def test_a_promise_ends_at_a_time_that_is_to_come(words: tuple[object, ...]):
    done("set", "bag", 5)
    assert luxauto("reserve", "bag", 1, "--for", "X", *words).exit_code == 2


def test_a_promised_unit_is_not_shown(shop: WooCommercePeer):
    done("set", "bag", 5)
    done("reserve", "bag", 2, "--for", "Mme Durand")
    done("sync")

    assert shop.stock("BAG") == 3


def test_a_rule_holds_units_back_until_it_ends(shop: WooCommercePeer):
    done("set", "bag", 5)
    done("rule", "--channel", "shop", "--sku", "bag", "--buffer", 1, "--most", 3)
    assert said("rules") == [{"channel": "shop", "sku": "BAG", "buffer": 1, "most": 3}]
    done("sync")
    assert shop.stock("BAG") == 3

    done("rule", "--channel", "shop", "--sku", "bag")
    assert said("rules") == []
    done("sync")
    assert shop.stock("BAG") == 5
    assert "no channel" in refused(InvalidStockKeeping, "rule", "--channel", "nope", "--buffer", 1)


@on_both_databases
def test_a_set_is_shown_as_often_as_its_components_are_there(shop: WooCommercePeer):
    done("set", "bag", 5)
    done("set", "belt", 4)
    done("bundle", "ring", "bag=1", "belt=2")
    done("sync")
    assert shop.stock("RING") == 2

    shop.buy({"RING": 1})
    done("sync")
    assert (on_hand("BAG"), on_hand("BELT"), shop.stock("RING")) == ({"main": 4}, {"main": 2}, 1)
    assert "set of" in luxauto("levels", "ring").stderr
    assert "no set any more" in done("bundle", "ring")
    assert "BRACELET" in refused(InvalidStockKeeping, "bundle", "ring", "bracelet=1")
    assert luxauto("bundle", "ring", "bag").exit_code == 2


def test_what_is_made_to_order_is_shown_beyond_the_stock(shop: WooCommercePeer):
    done("set", "bag", 1)
    assert "--limit" in refused(InvalidStockKeeping, "supply", "bag", "made_to_order")
    done("supply", "bag", "made_to_order", "--limit", 4)
    done("sync")
    assert shop.stock("BAG") == 5

    done("supply", "bag", "stock")
    done("sync")
    assert shop.stock("BAG") == 1
    assert "pre_order" in refused(InvalidStockKeeping, "supply", "bag", "later")


def test_a_numbered_piece_is_registered_once():
    done("set", "ring", 1)
    done("piece", "ring", "1/9")
    assert "is known" in refused(InvalidStockKeeping, "piece", "ring", "1/9")

    result = luxauto("piece", "ring", "2/9")
    assert "2 numbered pieces and 1 units" in result.stderr
    assert [row["serial"] for row in said("pieces", "ring")] == ["1/9", "2/9"]


def test_tables_are_for_people(shop: WooCommercePeer):
    done("set", "bag", 5)
    done("reserve", "bag", 1, "--for", "X")
    done("rule", "--buffer", 1)
    for command in (("levels",), ("history", "bag"), ("reservations",), ("rules",)):
        assert re.search(r"[│┃]", done(*command))
    assert "No piece" in done("pieces", "bag")
