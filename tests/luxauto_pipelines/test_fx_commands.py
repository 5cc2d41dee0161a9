"""`luxauto fx …`: rates come in from files and from the bank's address, once, and amounts are converted by them."""

import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from luxauto_pipelines import cli
from resources.store.brand_store import BrandStore
from resources.store.rates import read_rates
from tests.assets.ingestion.test_rate_files import DAILY

HISTORY = "Date,USD,JPY,HRK,\n2026-01-05,1.0901,N/A,N/A,\n2026-01-02,1.0834,161.37,7.53,\n"


@pytest.fixture(autouse=True)
def _installation(books: BrandStore) -> None:
    books.settings.home.mkdir(parents=True, exist_ok=True)


def fx(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli.app, ["fx", *words, "--format", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def stored(books: BrandStore) -> list[tuple[Any, ...]]:
    with books.read() as (connection, brand):
        rates = read_rates(connection, brand)
    return [(str(day), quote, str(rate.normalize()), source) for day, _, quote, rate, source in rates.rows()]


def test_the_banks_history_is_taken_in_once(books: BrandStore, tmp_path: Path) -> None:
    file = tmp_path / "eurofxref-hist.csv"
    file.write_text(HISTORY)
    found = fx("import", str(file))
    assert (found["rows_in"], found["new"], found["quarantined"], found["withdrawn"]) == (3, 3, 0, ["HRK"])
    again = fx("import", str(file))
    assert (again["new"], again["known"]) == (0, 3)
    assert stored(books) == [
        ("2026-01-02", "JPY", "161.37", "ecb"),
        ("2026-01-02", "USD", "1.0834", "ecb"),
        ("2026-01-05", "USD", "1.0901", "ecb"),
    ]


@pytest.mark.parametrize(
    ("name", "content"), [("eurofxref-daily.xml", DAILY), ("eurofxref-hist.csv", HISTORY.encode())]
)
def test_an_archive_of_one_file_is_read_like_the_file(tmp_path: Path, name: str, content: bytes) -> None:
    archive = tmp_path / "eurofxref.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(name, content)
    assert fx("import", str(archive))["new"] == 3


def test_bad_rows_are_put_aside_with_their_reasons(books: BrandStore, tmp_path: Path) -> None:
    rows = [
        ("2026-01-02", "EUR", "USD", "1.1"),
        ("2026-01-02", "EUR", "GBP", "0"),
        ("2026-01-02", "EUR", "CHF", "-1"),
        ("2026-01-02", "EUR", "SEK", "NaN"),
        ("2026-01-02", "EUR", "XYZ", "1"),
        ("2026-01-02", "EUR", "EUR", "1"),
        ("2999-01-02", "EUR", "USD", "1.1"),
        ("yesterday", "EUR", "USD", "1.1"),
    ]
    file = tmp_path / "rates.csv"
    pl.DataFrame(rows, schema=["date", "base", "quote", "rate"], orient="row").write_csv(file)
    found = fx("import", str(file), "--source", "Manual", code=2)
    assert (found["new"], found["quarantined"]) == (1, 7)
    reasons = {reason["reason"] for reason in found["reasons"]}
    assert {"is 0", "is negative", "is in the future", "is not an ISO 4217 code such as EUR"} <= reasons
    assert stored(books) == [("2026-01-02", "USD", "1.1", "manual")]


@pytest.mark.parametrize("row", ["EUR,USD,2", "USD,EUR,0.5"])
def test_what_was_entered_by_hand_overrides_the_bank(tmp_path: Path, row: str) -> None:
    file, own = tmp_path / "eurofxref-hist.csv", tmp_path / "own.csv"
    file.write_text(HISTORY)
    own.write_text(f"date,base,quote,rate\n2026-01-05,{row}\n")
    fx("import", str(file))
    assert fx("convert", "10", "EUR", "USD", "--on", "2026-01-05")["worth"] == 10.9
    fx("import", str(own), "--source", "manual")
    assert fx("convert", "10", "EUR", "USD", "--on", "2026-01-05")["worth"] == 20.0


def test_a_rate_is_carried_to_its_limit_and_no_further(tmp_path: Path) -> None:
    file = tmp_path / "eurofxref-hist.csv"
    file.write_text(HISTORY)
    fx("import", str(file))
    (usd,) = [row for row in fx("show", "--on", "2026-01-12") if row["currency"] == "USD"]
    assert (usd["quoted_on"], usd["carried"]) == ("2026-01-05", True)
    assert [row["currency"] for row in fx("show", "--on", "2026-01-13")] == []
    assert fx("convert", "10", "JPY", "USD", "--on", "2026-01-02")["worth"] == 0.07
    done = CliRunner().invoke(cli.app, ["fx", "convert", "10", "JPY", "USD", "--on", "2026-02-02"])
    assert (done.exit_code, "No rate leads from JPY to USD" in done.output) == (1, True)


@pytest.mark.parametrize("amount", ["much", "NaN", "Infinity", "1e30", "1.005"])
def test_what_is_no_amount_is_not_converted(amount: str) -> None:
    done = CliRunner().invoke(cli.app, ["fx", "convert", amount, "EUR", "USD"])
    assert (done.exit_code, "Invalid value" in done.output) == (2, True)


class Bank(BaseHTTPRequestHandler):
    """The central bank: answers 304 to who has its newest file."""

    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("If-None-Match"))
        if self.path != "/daily.xml":
            self.send_error(404)
        elif self.headers.get("If-None-Match") == '"v1"':
            self.send_response(304)
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("ETag", '"v1"')
            self.send_header("Content-Length", str(len(DAILY)))
            self.end_headers()
            self.wfile.write(DAILY)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Bank.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    monkeypatch.setenv("LUXAUTO_OUTBOUND_ALLOW", address)
    monkeypatch.setenv("LUXAUTO_FX_URL", f"http://{address}/daily.xml")
    yield f"http://{address}"
    server.shutdown()
    server.server_close()


def test_the_bank_is_asked_only_for_what_changed(books: BrandStore, bank: str) -> None:
    assert fx("fetch")["new"] == 3
    done = CliRunner().invoke(cli.app, ["fx", "fetch"])
    assert "Nothing new" in done.output
    assert Bank.asked == [None, '"v1"']
    assert ("2026-11-25", "USD", "1.0834", "ecb") in stored(books)


@pytest.mark.parametrize(
    ("address", "said"),
    [("{bank}/gone.xml", "answered 404"), ("http://169.254.169.254/x", "not of the public internet")],
)
def test_an_address_that_does_not_serve_is_told(
    bank: str, address: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["luxauto", "fx", "fetch", "--url", address.format(bank=bank)])
    with pytest.raises(SystemExit):
        cli.main()
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_public_history_is_taken_in_whole(books: BrandStore, shared_data: Path) -> None:
    found = fx("import", str(shared_data / "ecb_fx.parquet"))
    holes = pl.read_parquet(shared_data / "ecb_fx.parquet").drop("Date", *found["withdrawn"])
    assert found["new"] == holes.height * holes.width - sum(holes.null_count().row(0))
    assert found["quarantined"] == 0
    assert fx("convert", "1299.00", "USD", "JPY", "--on", "2010-03-07")["quoted_on"] == "2010-03-05"
