"""Exchange rates from files and from the central bank's address, into the store.

Belongs here: reading what a publisher hands out, and asking for it. Does not belong here: its layout (`assets/ingestion/
rate_files`), the rows (`resources/store/rates`), what follows from them (`assets/finance/fx`).
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from assets.finance.money import exponents
from assets.ingestion.lines import today_in
from assets.ingestion.mapping import MappingError
from assets.ingestion.rate_files import parse_central_bank, rate_rows
from luxauto_pipelines.ingest import IngestResult, take_reference
from resources.files import write_file
from resources.outbound import OutboundFailed, OutboundSession
from resources.store.brand_store import BrandStore
from resources.tables import SourceTable, UnreadableTable, read_table, refuse_named, withheld_from

URL_VARIABLE = "LUXAUTO_FX_URL"
URL = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
_STATE = "exchange-rates.json"
_NOT_MODIFIED = 304
_MOST_BYTES = 50_000_000


@dataclass(frozen=True)
class Imported:
    """What became of a file of rates. `withdrawn` are currencies that it has and that are not in use any more."""

    result: IngestResult
    withdrawn: list[str]


def import_rates(
    books: BrandStore,
    path: Path,
    *,
    source: str | None = None,
    progress: Callable[[str], None] = lambda stage: None,
    count: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Take a file of rates in: XML or CSV (zipped or not) of the European Central Bank, or a table of our own.

    `source` names where the rates are from if the file does not. Bad rows are put aside; the same file again changes nothing.
    Raises MappingError and UnreadableTable.
    """
    progress("reading")
    read = _read(path)
    found = rate_rows(read.rows, set(exponents()))
    rows = found.rows
    if source is not None:
        rows = rows.with_columns(pl.lit(source.strip().lower()).alias("source"))
    result = take_reference(books, replace(read, rows=rows), path, "rates", progress, count)
    return Imported(result, found.withdrawn)


def fetch_rates(books: BrandStore, url: str | None = None) -> Imported | None:
    """Ask the central bank for its newest rates and take them in; None where it has nothing new.

    The address is `url`, else $LUXAUTO_FX_URL, else that of the daily file. What was asked before is asked for only if it
    changed since. Raises OutboundRefused for an address that may not be reached, OutboundFailed without an answer.
    """
    address = url or os.environ.get(URL_VARIABLE) or URL
    file = books.settings.home / _STATE
    asked = f"{books.settings.brand} {address}"
    known = _state(file).get(asked, {})
    answer = OutboundSession(timeout_seconds=30, max_bytes=_MOST_BYTES).request("GET", address, headers=known)
    if answer.status == _NOT_MODIFIED:
        return None
    if answer.status != 200:
        raise OutboundFailed(f"{address} answered {answer.status}: check the address, or give another with --url")
    rows = parse_central_bank(answer.body, address)
    active = pl.col("quote").is_in(list(exponents()))
    found = rate_rows(rows.filter(active), set(exponents()))
    day = today_in(books.settings.current.timezone, datetime.now(UTC))
    table = withheld_from(found.rows, hashlib.sha256(answer.body).hexdigest())
    result = take_reference(books, table, Path(f"ecb-{day}.xml"), "rates", lambda stage: None)
    tags = {name.lower(): value for name, value in answer.headers.items()}
    conditions = {"If-None-Match": tags.get("etag"), "If-Modified-Since": tags.get("last-modified")}
    _remember(file, asked, {name: value for name, value in conditions.items() if value})
    return Imported(result, rows.filter(~active)["quote"].unique().sort().to_list())


def _read(path: Path) -> SourceTable:
    name = path.name.lower()
    if not path.is_file() or not name.endswith((".xml", ".zip")):
        return read_table(path)
    refuse_named(path)
    content = path.read_bytes()
    if name.endswith(".zip"):
        name, content = _only_member(path, content)
    digest = hashlib.sha256(content).hexdigest()
    if name.endswith(".xml"):
        return withheld_from(parse_central_bank(content, path.name), digest)
    if name.endswith(".csv"):
        rows = pl.read_csv(io.BytesIO(content), infer_schema=False).with_row_index("row_number", 1)
        return withheld_from(rows, digest)
    raise MappingError(f"{path} holds {name}, which is no .csv or .xml")


def _only_member(path: Path, content: bytes) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise UnreadableTable(f"{path} holds {len(members)} files. Give an archive of one, or the file itself.")
            if members[0].file_size > _MOST_BYTES:
                raise UnreadableTable(f"{path} holds a file of more than {_MOST_BYTES} bytes. Give it in parts.")
            return members[0].filename.lower(), archive.read(members[0])
    except zipfile.BadZipFile as error:
        raise UnreadableTable(f"{path} is no archive: {error}. Fetch it again.") from error


def _state(file: Path) -> dict[str, dict[str, str]]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # Without it everything is asked for again, which changes nothing.
        return {}


def _remember(file: Path, asked: str, conditions: dict[str, str]) -> None:
    write_file(file, json.dumps(_state(file) | {asked: conditions}).encode())
