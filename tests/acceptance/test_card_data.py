"""Card numbers planted at every entrance: each is refused or put aside, and a search of all bytes that are kept finds none.

The fields are those of the gateway's own OpenAPI document, so that a route which is added tomorrow is planted in as well.
"""

import base64
import copy
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import polars as pl
import pytest
from starlette.testclient import TestClient

from assets.ingestion.mapping import load_preset
from assets.ingestion.reference import columns_of
from luxauto_pipelines.gateway.app import BASE, create_app
from luxauto_pipelines.gateway.telemetry import configure_logging
from luxauto_pipelines.ingest import ingest_orders, ingest_reference
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from tests.byte_search import forms_of, found_in

CARDS = ("4111111111111111", "5555555555554444", "378282246310005", "6011111111111117")


def groups(number: str) -> list[str]:
    return [number[start : start + 4] for start in range(0, len(number), 4)]


def in_digits(number: str, zero: int) -> str:
    return "".join(chr(zero + int(digit)) for digit in number)


# Ten ways to write a number, all of them as text.
FORMATS: dict[str, Callable[[str], str]] = {
    "plain": lambda number: number,
    "in a sentence": lambda number: f"paid with {number} yesterday",
    "blanks": lambda number: " ".join(groups(number)),
    "dashes": lambda number: "-".join(groups(number)),
    "each digit apart": lambda number: " ".join(number),
    "full width": lambda number: in_digits(number, 0xFF10),
    "arabic": lambda number: in_digits(number, 0x0660),
    "mathematical": lambda number: in_digits(number, 0x1D7D8),
    "invisible in between": lambda number: "\u200b".join(groups(number)),
    "json in a text": lambda number: json.dumps({"card": {"number": number}}),
}
ASCII = ("plain", "dashes")
# What is no text of one field, in an object beside the others.
OTHER_SHAPES: list[dict[str, Any]] = [
    {CARDS[0]: "as a name"},
    {"number": int(CARDS[0])},
    {f"part{n}": part for n, part in enumerate(groups(CARDS[0]))},
    {"parts": groups(CARDS[1])},
    {"cvv": "123"},
]
PLANTED = [(name, write(CARDS[index % len(CARDS)])) for index, (name, write) in enumerate(FORMATS.items())]


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return resolved(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    for several in ("anyOf", "oneOf", "allOf"):
        choices = [resolved(choice, document) for choice in schema.get(several, ())]
        if choices:
            return next((choice for choice in choices if choice.get("type") != "null"), choices[0])
    return schema


def sample(schema: dict[str, Any], document: dict[str, Any], depth: int = 0) -> Any:
    """A value of about this shape, with every field there is."""
    schema = resolved(schema, document)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object" if depth < 6:
            named = {n: sample(s, document, depth + 1) for n, s in schema.get("properties", {}).items()}
            return named or {"note": "a note"}
        case "array":
            return [sample(schema.get("items", {}), document, depth + 1)]
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0)) + 1
        case "boolean":
            return True
        case _:
            return "a-text"


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all texts in a body."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
    elif isinstance(value, str):
        yield path


def planted(body: Any, path: tuple[Any, ...], text: Any) -> Any:
    if not path:
        return text
    changed = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = text
    return changed


def body_schema(operation: dict[str, Any]) -> dict[str, Any] | None:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("schema")


def attempts(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Requests with a number in one field each: method, address and the options of the client."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield from _in_parameters(method, path, operation)
            schema = body_schema(operation)
            if schema and "/webhooks/" not in path:
                address = _filled(path)
                body = sample(schema, document)
                assert list(texts(body)) or body == {} or method != "post"
                for place in texts(body):
                    for _, text in PLANTED:
                        yield method, address, {"json": planted(body, place, text)}
                for extra in OTHER_SHAPES:
                    yield method, address, {"json": {**body, **extra} if isinstance(body, dict) else [*body, extra]}


def _in_parameters(method: str, path: str, operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for parameter in operation.get("parameters", ()):
        for name, text in PLANTED:
            if parameter["in"] == "path":
                yield method, _filled(path, parameter["name"], text), {}
            elif parameter["in"] == "query":
                yield method, _filled(path), {"params": {parameter["name"]: text}}
            elif name in ASCII:
                yield method, _filled(path), {"headers": {parameter["name"]: text}, "json": {}}


def _filled(path: str, name: str = "", text: str = "") -> str:
    for part in path.split("/"):
        if part.startswith("{"):
            path = path.replace(part, quote(text, safe="") if part == f"{{{name}}}" else "some-id")
    return path


@pytest.fixture
def home_of_one(home: Path, migrated_file: Path) -> Path:
    """An installation on SQLite."""
    home.mkdir(parents=True)
    (home / "store.db").write_bytes(migrated_file.read_bytes())
    return home


@pytest.fixture
def app(home_of_one: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LUXAUTO_WEBHOOK_SECRET_WOOCOMMERCE", "w1")
    monkeypatch.delenv("LUXAUTO_RATE_LIMIT", raising=False)
    return create_app()


def is_clean(text: str) -> bool:
    return not any(form in text.encode() for number in CARDS for form in forms_of(number))


@pytest.mark.slow
def test_no_field_of_any_operation_takes_a_card_number(app: Any, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = app.openapi()
    wrong: list[str] = []
    count = 0
    with TestClient(app, raise_server_exceptions=False) as client:
        for method, address, options in attempts(document):
            answer = client.request(method.upper(), address, **options)
            count += 1
            refused = answer.status_code == 422 and answer.json()["type"].endswith("card-data-refused")
            # Probes and Prometheus take nothing, and what is asked for by no route is not there.
            if not refused or not is_clean(answer.text):
                wrong.append(f"{method} {address.replace(BASE, '')} {str(options)[:120]}: {answer.status_code}")
        assert wrong == []
        assert count > 1000
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if (schema := body_schema(operation)) and "/webhooks/" not in path:
                    answer = client.request(method.upper(), _filled(path), json=sample(schema, document))
                    assert "card-data" not in answer.text, "what holds none is not refused for it"
        assert found_in([home], CARDS) == []
    said = capfd.readouterr()
    assert said.err.count("\n") > count
    assert is_clean(said.err + said.out)


@pytest.mark.slow
def test_a_channels_message_is_kept_without_the_number_in_it(app: Any, home: Path) -> None:
    books: BrandStore = app.state.books
    with TestClient(app) as client:
        for number, (_, text) in enumerate(PLANTED):
            body = json.dumps(
                {"id": number, "customer_note": text, "meta_data": [{"value": groups(CARDS[0])}]}
            ).encode()
            signed = base64.b64encode(hmac.new(b"w1", body, hashlib.sha256).digest()).decode()
            headers = {"X-WC-Webhook-Signature": signed, "X-WC-Webhook-Topic": "orders/updated"}
            answer = client.post(f"{BASE}/webhooks/woocommerce", content=body, headers=headers)
            assert answer.json() == {"success": True, "duplicate": False}
        with books.read() as (connection, _):
            kept = [json.loads(row[0]) for row in run(connection, "SELECT body FROM inbox_messages ORDER BY id")]
            told = run(connection, "SELECT count(*) FROM audit_log WHERE action = 'card_data.redacted'").scalar()
        assert [message["id"] for message in kept] == list(range(len(PLANTED)))
        assert told == len(PLANTED)
        assert found_in([home], CARDS) == []


def files(folder: Path) -> Iterator[tuple[str, Path, int, int]]:
    """Kind, file, rows with a number, and rows without, of a file in which each column is planted in each format."""
    folder.mkdir()
    mapped = load_preset("luxauto").columns.model_dump(exclude_none=True).values()
    kinds = {kind: list(columns_of(kind)) for kind in ("catalog", "stock", "rates")}
    for kind, columns in {"orders": [str(name) for name in mapped], **kinds}.items():
        harmless = dict.fromkeys([*columns, "left_over"], "x")
        bad = [{**harmless, name: text} for name in harmless for _, text in PLANTED]
        spread = {**harmless, **dict(zip(columns, groups(CARDS[0]), strict=False))}
        rows = [*bad, spread, harmless, harmless]
        file = folder / f"{kind}.csv"
        pl.DataFrame(rows).write_csv(file)
        yield kind, file, len(bad) + 1, 2


@pytest.mark.slow
def test_rows_of_files_are_put_aside_without_the_number_in_them(app: Any, home: Path, tmp_path: Path) -> None:
    books: BrandStore = app.state.books
    for kind, file, bad, harmless in files(tmp_path / "files"):
        if kind == "orders":
            result = ingest_orders(books, file, load_preset("luxauto"), "luxauto", lambda stage: None)
        else:
            result = ingest_reference(books, file, kind, lambda stage: None)  # pyright: ignore[reportArgumentType]
        aside = pl.read_parquet(str(result.quarantine_file))
        held = aside.filter(pl.col("reason").str.contains("payment card data"))
        assert (result.rows_in, held.height) == (bad + harmless, bad), kind
        assert held["row"].str.contains("[card data]", literal=True).all()
        assert is_clean(json.dumps(result.as_dict()))
    assert found_in([home], CARDS) == []


@pytest.mark.slow
def test_log_lines_and_a_run_of_dagster_say_no_number(app: Any, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    log = logging.getLogger("anybodys")
    for _, text in PLANTED:
        log.warning("paid: %s", text)

    @dg.asset
    def careless(context: dg.AssetExecutionContext) -> None:
        for name, text in PLANTED:
            context.log.info(text)
            context.add_output_metadata({name: dg.MetadataValue.md(f"| note |\n| {text} |")})
        raise ValueError(" ".join(text for _, text in PLANTED))

    with dg.DagsterInstance.get() as instance:
        assert not dg.materialize([careless], instance=instance, raise_on_error=False).success
    assert found_in([home], CARDS) == []
    said = capfd.readouterr()
    assert said.err.count("[card data]") >= 2 * len(PLANTED)
    assert is_clean(said.err + said.out)
