"""`luxauto ingest` as a person or a script runs it: a process, its exit code, what it prints and what it leaves behind.

Does not belong here: what rows mean (`tests/assets/ingestion`), or the store's rules (`tests/resources/store`).
"""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.ingestion.mapping import load_preset
from luxauto_pipelines.ingest import ingest_orders
from luxauto_pipelines.instance import reload

LUXAUTO = Path(sys.executable).with_name("luxauto")
HEADER = "order_number,line_type,sku,quantity,unit_price,currency,occurred_at,channel,customer_id"
LINES_OF_A_KILLED_INGEST = 40_000
FIELDS = {
    "file", "rows_in", "taken", "new", "known", "void", "quarantined", "quarantine_file", "reasons", "kinds",
    "first_day", "last_day", "currencies",
}  # fmt: skip


def luxauto(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(LUXAUTO), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def ingest_json(*arguments: object) -> tuple[int, dict[str, Any]]:
    done = luxauto("ingest", *arguments, "--format", "json")
    assert done.returncode in (0, 1, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def orders(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def line(
    number: object, sku: str = "BAG", quantity: object = 1, price: str = "10.00", at: str = "2025-03-01T10:00:00Z"
) -> str:
    return f"{number},goods,{sku},{quantity},{price},EUR,{at},online_store,7"


def totals(home: Path) -> list[tuple[Any, ...]]:
    """Lines, units and money of each table, read without any of our code."""
    with sqlite3.connect(home / "store.db") as connection:
        queries = (
            "SELECT count(*), sum(quantity), sum(amount_minor) FROM order_lines",
            "SELECT count(*), sum(quantity), max(local_date) FROM stock_movements",
            "SELECT count(*), sum(amount_minor), count(DISTINCT order_id) FROM transactions",
            "SELECT count(*), count(DISTINCT number), min(local_date) FROM orders",
            "SELECT count(*), sum(rows_new), sum(rows_known) FROM imports",
        )
        return [connection.execute(query).fetchone() for query in queries]


def test_a_file_that_is_taken_whole_ends_with_0_and_is_known_the_next_time(home: Path, tmp_path: Path) -> None:
    file = orders(tmp_path / "orders.csv", line(1, quantity=2), line(1, "BELT"), line(2, quantity=-1))
    code, told = ingest_json("orders", file, "--preset", "luxauto")
    assert code == 0
    assert set(told) == FIELDS
    assert {name: told[name] for name in ("rows_in", "taken", "new", "known", "void", "quarantined")} == {
        "rows_in": 3, "taken": 3, "new": 3, "known": 0, "void": 0, "quarantined": 0,
    }  # fmt: skip
    assert (told["file"], told["first_day"], told["last_day"]) == (str(file), "2025-03-01", "2025-03-01")
    assert told["kinds"] == [{"kind": "goods", "currency": "EUR", "lines": 3, "quantity": 2, "amount_minor": 2000}]
    assert (told["quarantine_file"], told["reasons"], told["currencies"]) == (None, [], ["EUR"])
    before = totals(home)
    code, again = ingest_json("orders", file, "--preset", "luxauto")
    assert (code, again["new"], again["known"]) == (0, 0, 3)
    assert totals(home) == before


def test_rows_that_are_put_aside_end_with_2_and_lie_in_a_parquet_file_with_their_reasons(
    home: Path, tmp_path: Path
) -> None:
    file = orders(tmp_path / "orders.csv", line(1), line(2, quantity="many"), line(3, price="NaN"), "4,goods", line(5))
    code, told = ingest_json("orders", file, "--preset", "luxauto")
    assert code == 2
    assert (told["rows_in"], told["taken"], told["new"], told["quarantined"]) == (5, 2, 2, 3)
    quarantine = pl.read_parquet(told["quarantine_file"])
    assert quarantine.columns == ["row_number", "field", "reason", "row"]
    assert quarantine.select("row_number", "field").rows() == [(2, "quantity"), (3, "unit_price"), (4, "row")]
    assert json.loads(quarantine["row"][0])["quantity"] == "many"
    assert quarantine["row"][2] == "4,goods"
    assert sum(reason["rows"] for reason in told["reasons"]) == 3
    assert Path(told["quarantine_file"]).is_relative_to(home / "quarantine")
    assert not list((home / "lake").rglob("*quarantine*"))


def test_a_file_of_which_nothing_can_be_taken_ends_with_1_and_describes_no_brand(home: Path, tmp_path: Path) -> None:
    file = orders(tmp_path / "orders.csv", line(1, quantity="many"), line(2, quantity="0"))
    code, told = ingest_json("orders", file, "--preset", "luxauto")
    assert (code, told["taken"], told["quarantined"]) == (1, 0, 2)
    assert not (home / "luxauto.yaml").exists()
    assert ingest_json("orders", orders(file, line(1)), "--preset", "luxauto")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["orders", "{file}", "--preset", "shopfy"], ["shopfy", "shopify-export", "online-retail"]),
        (["orders", "{file}"], ["--preset", "--map"]),
        (["orders", "{file}", "--preset", "online-retail"], ["InvoiceNo", "order_number"]),
        (["orders", "{file}", "--map", "nowhere.yaml"], ["nowhere.yaml", "not a file"]),
        (["orders", "nowhere.csv", "--preset", "luxauto"], ["nowhere.csv", "not a file"]),
        (["orders", "{file}", "--map", "{map}"], ["columns.sku", "docs/ingest.md"]),
        (["stock", "{file}"], ["kind"]),
    ],
)
def test_what_a_person_can_mend_is_one_message_and_1(
    home: Path, tmp_path: Path, arguments: list[str], named: list[str]
) -> None:
    file = orders(tmp_path / "orders.csv", line(1))
    wrong_map = tmp_path / "map.yaml"
    wrong_map.write_text("columns: {order_number: number}\n", encoding="utf-8")
    done = luxauto("ingest", *(argument.format(file=file, map=wrong_map) for argument in arguments))
    assert done.returncode == 1
    assert done.stdout == ""
    said = " ".join(done.stderr.split())
    assert said.startswith("error:")
    assert "Traceback" not in said
    assert all(text in said for text in named), said
    # A wrong preset must not decide on the brand's currency.
    assert not (home / "luxauto.yaml").exists()


def test_a_map_of_ones_own_is_followed(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "ventes.csv"
    file.write_text('facture;ref;qté;prix;le\n1;sac-1;2;"1.299,50";31.12.2024 23:45\n', encoding="cp1252")
    map_file = tmp_path / "map.yaml"
    map_file.write_text(
        "columns: {order_number: facture, sku: ref, quantity: qté, unit_price: prix, occurred_at: le}\n"
        "currency: CHF\ntimezone: Europe/Zurich\ndecimal_separator: ','\nchannel: physical_store\n",
        encoding="utf-8",
    )
    code, told = ingest_json("orders", file, "--map", map_file)
    assert (code, told["new"], told["first_day"], told["currencies"]) == (0, 1, "2024-12-31", ["CHF"])
    assert told["kinds"][0]["amount_minor"] == 259900
    written = (home / "luxauto.yaml").read_text(encoding="utf-8")
    assert "base_currency: CHF" in written
    assert "timezone: Europe/Zurich" in written


def test_reference_files_are_taken_and_known_again(tmp_path: Path) -> None:
    files = {
        "catalog": "sku,product_name,retail_price,cost\nbag-1,Sac,1299.00,310\nbelt-1,Ceinture,cheap,\n",
        "stock": "sku,occurred_at,kind,quantity\nbag-1,2025-01-01,opening,10\nbag-1,2025-01-02,receipt,0\n",
        "rates": "date,base,quote,rate\n2025-01-02,EUR,USD,1.0321\n2025-01-02,EUR,EUR,1\n",
    }
    for kind, content in files.items():
        path = tmp_path / f"{kind}.csv"
        path.write_text(content, encoding="utf-8")
        for new, known in ((1, 0), (0, 1)) if kind == "catalog" else ((1, 0),):
            code, told = ingest_json(kind, path)
            assert (code, told["new"], told["known"], told["quarantined"]) == (2, new, known, 1), (kind, told)


def test_a_table_for_people_says_what_was_put_aside(tmp_path: Path) -> None:
    file = orders(tmp_path / "orders.csv", line(1), line(2, quantity="many"))
    done = luxauto("ingest", "orders", file, "--preset", "luxauto")
    assert done.returncode == 2
    assert "is not a whole number" in " ".join(done.stdout.split())
    assert ".parquet" in done.stdout


def test_two_brands_of_an_installation_live_apart(home: Path, tmp_path: Path) -> None:
    file = orders(tmp_path / "orders.csv", line(1))
    for brand in ("aurore", "boreal"):
        done = luxauto("--brand", brand, "ingest", "orders", file, "--preset", "luxauto", "--format", "json")
        assert json.loads(done.stdout)["new"] == 1
    assert totals(home)[0] == (2, 2, 2000)


def test_an_ingest_counts_the_rows_that_it_reads_and_writes(tmp_path: Path) -> None:
    file = orders(tmp_path / "orders.csv", *(line(n) for n in range(30)))
    told: list[Any] = []
    ingest_orders(
        reload(), file, load_preset("luxauto"), "luxauto", told.append, lambda done, total: told.append((done, total))
    )
    assert told[:4] == ["reading", (30, 30), "checking", "writing"]
    assert told[-1] == (60, 60), "thirty lines and the movements that follow from them"


def test_init_tells_programs_what_it_made(home: Path) -> None:
    done = luxauto("init", "--name", "Maison Essai", "--currency", "CHF", "--timezone", "Europe/Zurich", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "home": str(home),
        "brand": "maison",
        "automation": False,
        "name": "Maison Essai",
        "base_currency": "CHF",
        "timezone": "Europe/Zurich",
        "country": None,
        "books_start": "2020-01-01",
        "allocation": "shared",
        "scarce_at": 0,
        "costing": "weighted_average",
        "fx_carry_days": 7,
    }


def test_a_process_killed_while_it_writes_leaves_nothing_half_done(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        line(n // 4, f"SKU-{n % 500}", at=f"2025-03-{1 + n % 28:02d}T10:00:00Z")
        for n in range(LINES_OF_A_KILLED_INGEST)
    )
    file = orders(tmp_path / "orders.csv", *lines)
    small = orders(tmp_path / "first.csv", line("first"))
    undisturbed = tmp_path / "undisturbed"
    for folder, taken in ((undisturbed, (small, file)), (home, (small,))):
        monkeypatch.setenv("LUXAUTO_HOME", str(folder))
        monkeypatch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        for one in taken:
            books = reload()
            ingest_orders(books, one, load_preset("luxauto"), "luxauto", lambda stage: None)
            books.store.close()
    before = totals(home)
    log = home / "store.db-wal"
    grown = (log.stat().st_size if log.exists() else 0) + 1_000_000
    process = subprocess.Popen(
        [str(LUXAUTO), "ingest", "orders", str(file), "--preset", "luxauto"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not log.exists() or log.stat().st_size < grown:
        assert process.poll() is None, "the ingest ended before it could be killed"
    process.kill()
    process.communicate()
    assert process.returncode == -9
    assert totals(home) == before
    code, told = ingest_json("orders", file, "--preset", "luxauto")
    assert (code, told["new"], told["known"]) == (0, LINES_OF_A_KILLED_INGEST, 0)
    assert totals(home) == totals(undisturbed)
