"""Card numbers by the ways in that are no text of an operation: integers and tracks, statements, invoices, archives, logs.

Afterwards no byte of any file of the installation holds one. What does not belong here: texts of operations, order lines and
webhooks, which `test_card_data` plants in, and what a card number looks like (`tests/resources/test_card_data.py`).
"""

import gzip
import io
import itertools
import json
import logging
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import structlog
from starlette.testclient import TestClient

from luxauto_pipelines.cli import main
from luxauto_pipelines.gateway.app import BASE, create_app
from resources.settings import load_settings
from tests.acceptance.card_planting import FORMS, NUMBERS, Operation, Sent, leftovers, operations, spread, traces
from tests.assets.finance.payouts import samples

pytestmark = pytest.mark.slow
TRACES = traces()


@pytest.fixture
def installed(home: Path, migrated_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation on SQLite whose standard error goes to a file of it; the process's logging is as before afterwards."""
    (home / "logs").mkdir(parents=True)
    shutil.copy(migrated_file, home / "store.db")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{home / 'store.db'}")
    monkeypatch.setenv("LUXAUTO_RATE_LIMIT", "off")
    before, hook, root = logging.getLogRecordFactory(), sys.excepthook, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with (home / "logs" / "gateway.log").open("w", encoding="utf-8", buffering=1) as log:
        monkeypatch.setattr(sys, "stderr", log)
        yield home
    logging.setLogRecordFactory(before)
    sys.excepthook = hook
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def gateway(installed: Path) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


def remains(home: Path) -> list[str]:
    """What is left of the numbers in the store and its -wal, the lake, the logs, the quarantine and Dagster's home."""
    return leftovers([home], TRACES)


def found_in(text: str) -> list[bytes]:
    content = text.encode()
    return [form for form in TRACES if form in content]


# The gateway


def send(client: TestClient, sent: Sent) -> Any:
    headers: dict[str, Any] = {name: value.encode() for name, value in sent.headers.items()}
    body = None if sent.body is None else json.dumps(sent.body).encode()
    if body is not None:
        headers["content-type"] = "application/json"
    return client.request(sent.method, sent.path, params=sent.query, headers=headers, content=body)


def test_no_field_takes_an_integer_a_track_or_a_number_as_it_is_printed(gateway: TestClient, installed: Path) -> None:
    document = gateway.get("/openapi.json").json()
    wrong: list[str] = []
    tried = 0
    numbers = itertools.cycle(NUMBERS)
    for operation in operations(document):
        for place, plant in operation.places():
            for form in ("integer", "track 1", "track 2", "spaces"):
                answer = send(gateway, plant(FORMS[form](next(numbers))))
                tried += 1
                if answer.status_code not in (401, 404, 405, 422):
                    wrong.append(f"{operation.name}, {place}, {form}: {answer.status_code}")
                if found_in(answer.text):
                    wrong.append(f"{operation.name}, {place}, {form}: is told again")
    assert wrong == []
    assert tried > 600
    assert remains(installed) == []


def with_bodies(document: dict[str, Any]) -> list[tuple[Operation, Sent]]:
    """Operations that take a JSON object, webhooks of channels aside."""
    found = [(operation, operation.clean()) for operation in operations(document)]
    return [(operation, sent) for operation, sent in found if isinstance(sent.body, dict)]


def test_no_operation_takes_a_number_that_is_spread_over_fields(gateway: TestClient, installed: Path) -> None:
    wrong = []
    for operation, sent in with_bodies(gateway.get("/openapi.json").json()):
        for what, fields in spread(NUMBERS[0]):
            for where, body in (("beside", {**sent.body, **fields}), ("within", {**sent.body, "metadata": fields})):
                answer = send(gateway, sent.with_body(body, what))
                title = answer.json().get("title")
                if answer.status_code != 422 or title != "Card data refused" or found_in(answer.text):
                    wrong.append(f"{operation.name}, {where}, {what}: {answer.status_code} {title}")
    assert wrong == []
    assert remains(installed) == []


def test_without_a_number_nothing_is_taken_for_card_data(gateway: TestClient) -> None:
    taken = []
    for operation in operations(gateway.get("/openapi.json").json()):
        answer = send(gateway, operation.clean())
        assert "Card data" not in answer.text, operation.name
        taken += [operation.name] if answer.status_code < 300 else []
    assert len(taken) > 15


def test_a_key_under_which_an_answer_is_kept_is_no_way_in(gateway: TestClient, installed: Path) -> None:
    body = {"workflow_type": "custom", "workflow_data": {"note": NUMBERS[0]}}
    for key in ("a-key", NUMBERS[1], NUMBERS[2]):
        answer = gateway.post(f"{BASE}/workflows/create", json=body, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["title"]) == (422, "Card data refused")
    answer = gateway.get("/healthz", headers={"X-Request-Id": NUMBERS[3]})
    assert NUMBERS[3] not in str(answer.headers)
    assert remains(installed) == []


# Files


def luxauto(*arguments: object) -> tuple[int, str]:
    """Exit code and everything that a command says, as its process would."""
    said = io.StringIO()
    before, sys.argv = sys.argv, ["luxauto", *(str(argument) for argument in arguments)]
    try:
        with redirect_stdout(said), redirect_stderr(said):
            main()
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    finally:
        sys.argv = before
    return 0, said.getvalue()


TABLES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "catalog": (
        ("ingest", "catalog"),
        {"sku": "BAG", "product": "BAG", "product_name": "Bag", "category": "bags", "subcategory": "totes"}
        | {"collection": "SS26", "size": "M", "color": "noir", "supplier": "Tannerie", "remark": "none"},
    ),
    "levels": (("inventory", "import"), {"sku": "BAG", "quantity": "5", "location": "main", "remark": "none"}),
    "pieces": (("inventory", "import"), {"sku": "RING", "quantity": "1", "location": "main", "serial": "R-1"}),
    "fx": (
        ("fx", "import"),
        {"date": "2026-11-03", "base": "EUR", "quote": "USD", "rate": "1.1", "source": "bank", "remark": "none"},
    ),
}


def planted(good: dict[str, Any]) -> list[dict[str, Any]]:
    """The good row, and it again with a number in each of its columns, in each form."""
    numbers = itertools.cycle(NUMBERS)
    rows = [good]
    for name in good:
        rows += [{**good, name: str(write(next(numbers)))} for write in FORMS.values()]
    return rows


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    return pl.DataFrame(rows).write_csv().encode()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def of_kind(name: str, rows: list[dict[str, Any]], ending: str) -> bytes:
    if ending == "parquet":
        buffer = io.BytesIO()
        pl.DataFrame(rows).write_parquet(buffer)
        return buffer.getvalue()
    content = as_csv(rows)
    return {"csv": content, "csv.gz": gzip.compress(content), "zip": zipped(f"{name}.csv", content)}[ending]


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_a_file_that_hold_a_number_are_put_aside_without_it(name: str, installed: Path, tmp_path: Path) -> None:
    command, good = TABLES[name]
    rows = planted(good)
    for ending in ("csv", "zip") if name == "fx" else ("parquet", "csv.gz"):
        file = tmp_path / f"{name}.{ending}"
        file.write_bytes(of_kind(name, rows, ending))
        code, said = luxauto(*command, file, "--format", "json")
        assert code == 2, said
        assert found_in(said) == []
        assert remains(installed) == []
    (aside, *_) = (installed / "quarantine").rglob("*.parquet")
    assert "[card data]" in pl.read_parquet(aside).write_json()


def test_a_file_with_a_number_in_its_name_or_its_header_is_refused(installed: Path, tmp_path: Path) -> None:
    command, good = TABLES["catalog"]
    (named := tmp_path / f"{NUMBERS[0]}.csv").write_bytes(as_csv([good]))
    (headed := tmp_path / "headed.csv").write_bytes(as_csv([{**good, NUMBERS[1]: "x"}]))
    (statement := tmp_path / f"statement {NUMBERS[2]}.csv").write_text(samples.SHOPIFY)
    (rates := tmp_path / f"{NUMBERS[3]}.xml").write_text("<x/>")
    for arguments in (
        (*command, named),
        (*command, headed),
        ("finance", "reconcile", "import", statement),
        ("fx", "import", rates),
    ):
        code, said = luxauto(*arguments)
        assert code == 1, arguments
        assert "card data" in said
        assert remains(installed) == []


def cells_of(text: str, separator: str) -> list[str]:
    """The statement again and again, with a number in each cell of its second row, in the forms by turns."""
    lines = text.splitlines()
    numbers, forms = itertools.cycle(NUMBERS), itertools.cycle(f for f in FORMS if f != "JSON in a text")
    first = lines[1].split(separator)
    found = []
    for place in range(len(first)):
        for _ in range(3):
            value = str(FORMS[next(forms)](next(numbers)))
            changed = [*first[:place], f'"{value}"' if '"' in first[place] else value, *first[place + 1 :]]
            found.append("\n".join([lines[0], separator.join(changed), *lines[2:]]) + "\n")
    return found


def words_of(text: str, *words: str) -> list[str]:
    """The statement with a number in the place of each of the words, in every form."""
    numbers = itertools.cycle(NUMBERS)
    return [text.replace(word, str(write(next(numbers))), 1) for word in words for write in FORMS.values()]


# Without commas in its amounts it can be taken apart at each comma.
PAYPAL = samples.PAYPAL.replace("1.290,00", "1290").replace("-44,18", "-44").replace("1.245,82", "1246")
WORDS = {
    "stripe_json": ("txn_9", "ch_9", "Order 3001", "3001", "Aiko Tanaka", "po_9"),
    "amazon": ("19999999999", "302-1234567-1234567", "Commission", "LUX-BELT-01", "Amazon.de"),
    "camt": ("2026-212", "REF-1", "91000000001", "Shopify International Ltd", "SHOPIFY PAYOUT", "Account fee", "M1"),
    "mt940": ("STARTUMS", "00212", "NONREF", "8327000090031789", "SHOPIFY PAYOUT", "Account fee", "91000000001"),
    "bank": ("SHOPIFY 91000000001", "Müller GmbH", "Rechnung 1001"),
}
STATEMENTS: dict[str, tuple[str, list[str]]] = {
    "shopify": ("csv", cells_of(samples.SHOPIFY, ",")),
    "stripe": ("csv", cells_of(samples.STRIPE, ",")),
    "paypal": ("csv", cells_of(PAYPAL, ",")),
    "stripe_json": ("json", words_of(samples.STRIPE_JSON, *WORDS["stripe_json"])),
    "amazon": ("txt", words_of(samples.AMAZON, *WORDS["amazon"])),
    "camt": ("xml", words_of(samples.CAMT_02, *WORDS["camt"])),
    "mt940": ("sta", words_of(samples.MT940, *WORDS["mt940"])),
    "bank": ("csv", words_of(samples.BANK_CSV, *WORDS["bank"])),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_leaves_no_number_anywhere(name: str, installed: Path, tmp_path: Path) -> None:
    ending, texts = STATEMENTS[name]
    map_file = tmp_path / "bank.yaml"
    map_file.write_text(samples.BANK_MAP, encoding="utf-8")
    options = ("--map", map_file, "--account", "main") if name == "bank" else ()
    codes = []
    for number, text in enumerate(texts):
        file = tmp_path / f"{name}-{number}.{ending}"
        file.write_bytes(text.encode())
        code, said = luxauto("finance", "reconcile", "import", file, "--format", "json", *options)
        codes.append(code)
        assert found_in(said) == [], said
    assert {0, 2} & set(codes), "some of them were taken, so that the store is searched too"
    assert remains(installed) == []


def test_a_suppliers_invoice_leaves_no_number_anywhere(installed: Path, tmp_path: Path) -> None:
    good = {
        "supplier": "Tannerie",
        "invoice_number": "F-17",
        "invoice_date": "2026-11-03",
        "purchase_order": "PO-000001",
    }
    good |= {"sku": "BAG", "quantity": "10", "unit_price": "310.00", "currency": "EUR", "tax": "620.00"}
    for number, row in enumerate(planted(good)[1:]):
        file = tmp_path / f"invoice-{number}.csv"
        file.write_bytes(as_csv([row]))
        _, said = luxauto("finance", "match", file, "--format", "json")
        assert found_in(said) == [], said
    assert remains(installed) == []


# What is said


def test_logs_hold_no_number(gateway: TestClient, installed: Path) -> None:
    lines = structlog.get_logger("luxauto.test")
    for (form, write), number in zip(FORMS.items(), itertools.cycle(NUMBERS), strict=False):
        text = str(write(number))
        logging.getLogger("a.library").error("declined %s", text)
        lines.error(f"declined {text}", card=text, more={"deep": [text]}, **{"integer": write(number)})
        for told in (logging.getLogger("a.library").exception, lines.exception):
            try:
                raise ValueError(f"{form}: {text}")
            except ValueError:
                told("failed")
        gateway.get(
            f"{BASE}/alerts/{text}", headers={"User-Agent": number, "Referer": f"https://shop.example/?c={number}"}
        )
    for handler in logging.getLogger().handlers:
        handler.flush()
    said = (installed / "logs" / "gateway.log").read_text(encoding="utf-8")
    assert said.count("[card data]") > 5 * len(FORMS)
    assert remains(installed) == []


@dg.op(config_schema={"note": dg.Noneable(str)})
def declining(context: dg.OpExecutionContext) -> None:
    for (_, write), number in zip(FORMS.items(), itertools.cycle(NUMBERS), strict=False):
        context.log.warning(f"declined {write(number)}")
        context.log_event(dg.AssetObservation("payments", metadata={"note": str(write(number))}))
    raise ValueError(f"{NUMBERS[0]} was declined")


@dg.job
def paying() -> None:
    declining()


def test_a_run_that_logs_and_raises_a_number_leaves_none_in_dagsters_home(installed: Path, tmp_path: Path) -> None:
    command, good = TABLES["catalog"]
    (file := tmp_path / "catalog.csv").write_bytes(as_csv(planted(good)))
    assert luxauto(*command, file)[0] == 2
    with dg.DagsterInstance.get() as instance:
        done = paying.execute_in_process(
            instance=instance, raise_on_error=False, run_config={"ops": {"declining": {"config": {"note": None}}}}
        )
        assert not done.success
        told = [entry.user_message for entry in instance.all_logs(done.run_id)]
        assert sum("[card data]" in text for text in told) >= len(FORMS)
        from luxauto_pipelines.definitions import build_definitions

        job = build_definitions().resolve_implicit_global_asset_job_def()
        made = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("catalog")])
        assert made.success
    settings = load_settings()
    assert list(Path(settings.lake_url, settings.brand, "catalog").glob("*.parquet"))
    assert remains(installed) == []


def test_the_search_would_find_what_is_left(tmp_path: Path) -> None:
    for place, number in enumerate(NUMBERS):
        for form, write in FORMS.items():
            (tmp_path / "left.txt").write_text(f"{place} {write(number)} {form}", encoding="utf-8")
            assert remains(tmp_path) != [], form
    (tmp_path / "left.txt").write_text("nothing", encoding="utf-8")
    assert remains(tmp_path) == []
