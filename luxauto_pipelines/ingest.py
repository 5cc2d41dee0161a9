"""Taking a file in: read, judge, put aside what cannot be taken, write the rest in one transaction.

Belongs here: the order of those steps, for the command line and whatever else brings files. Does not belong here: how a file
is read (`resources/tables`), what its rows mean (`assets/ingestion`), where they go (`resources/store`).
"""

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from assets.ingestion.lines import REJECTED, Defaults, normalise, today_in
from assets.ingestion.mapping import OrderMapping
from assets.ingestion.reference import Kind, normalise_reference
from resources.files import write_file
from resources.settings import BrandSettings, Settings, save_brand
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.catalog import write_catalog
from resources.store.orders import ImportRecord, write_order_lines
from resources.store.rates import write_rates
from resources.store.retention import QUARANTINE
from resources.store.stock import write_movements
from resources.store.vocabulary import CHANNEL_KINDS
from resources.tables import SourceTable, read_table
from resources.vault import Vault

Progress = Callable[[str], None]
Count = Callable[[int, int], None]
DEFAULT_LOCATION = "main"


@dataclass(frozen=True)
class IngestResult:
    """What became of the rows of one file. `rows_in` = `taken` + `quarantined`, `taken` = `new` + `known` + `void`."""

    file: str
    rows_in: int
    taken: int
    new: int
    known: int
    void: int
    quarantined: int
    quarantine_file: str | None
    reasons: list[dict[str, Any]]
    kinds: list[dict[str, Any]]
    first_day: date | None
    last_day: date | None
    currencies: list[str]

    @property
    def exit_code(self) -> int:
        """0: all taken; 2: some rows were put aside; 1: nothing could be read."""
        if self.rows_in and not self.taken:
            return 1
        return 2 if self.quarantined else 0

    def as_dict(self) -> dict[str, Any]:
        return {k: v.isoformat() if isinstance(v, date) else v for k, v in asdict(self).items()}


def ingest_orders(
    books: BrandStore,
    path: Path,
    mapping: OrderMapping,
    mapping_name: str,
    progress: Progress,
    count: Count = lambda done, total: None,
) -> IngestResult:
    """Take order lines in. Idempotent: rows that the store has are counted as known and change nothing.

    `progress` hears which stage begins, `count` how many rows of how many have been read, then written.
    """
    progress("reading")
    source = read_table(path)
    rows_in = source.height
    count(rows_in, rows_in)
    described = books.settings.brand in books.settings.brands
    books = books if described else _described_by(books, mapping)
    settings = books.settings
    current = settings.current
    progress("checking")
    today = today_in(current.timezone, datetime.now(UTC))
    defaults = Defaults(current.base_currency, current.timezone, today, CHANNEL_KINDS)
    judged = normalise(source.rows, mapping, defaults)
    if not described and judged.lines.height:
        save_brand(settings, settings.brand, current)
    lines = _without_addresses(judged.lines, books.vault)
    rejected, quarantine = put_aside(settings, source, judged.rejected, path)
    sold = lines.filter(pl.col("kind") != "void")
    progress("writing")
    with books.write() as (connection, brand):
        about = ImportRecord("orders", path.name, source.sha256, mapping_name, rows_in, rejected.height)
        written = write_order_lines(connection, brand, about, sold, count, books.vault)
        record(connection, brand, "ingest.orders", path.name, {"new": written.new, "known": written.known})
    _open_books(settings, sold["local_date"])
    void = lines.filter(pl.col("kind") == "void")["row_number"].n_unique()
    return _result(path, rows_in, written.new, written.known, void, rejected, quarantine, sold)


def ingest_reference(
    books: BrandStore, path: Path, kind: Kind, progress: Progress, count: Count = lambda done, total: None
) -> IngestResult:
    """Take a catalogue, stock movements or exchange rates in. Idempotent like `ingest_orders`, and tells as much."""
    progress("reading")
    return take_reference(books, read_table(path), path, kind, progress, count)


def take_reference(
    books: BrandStore,
    source: SourceTable,
    path: Path,
    kind: Kind,
    progress: Progress,
    count: Count = lambda done, total: None,
) -> IngestResult:
    """Take the rows of a reference file in that has been read; `path` is what it is called."""
    rows_in = source.height
    count(rows_in, rows_in)
    progress("checking")
    settings = books.settings
    current = settings.current
    today = today_in(current.timezone, datetime.now(UTC))
    judged = normalise_reference(
        source.rows, kind, currency=current.base_currency, timezone=current.timezone, today=today
    )
    rejected, quarantine = put_aside(settings, source, judged.rejected, path)
    progress("writing")
    with books.write() as (connection, brand):
        if kind == "catalog":
            new, known = write_catalog(connection, brand, judged.lines)
        elif kind == "stock":
            new, known = write_movements(connection, brand, judged.lines, DEFAULT_LOCATION)
        else:
            new, known = write_rates(connection, brand, judged.lines)
        record(connection, brand, f"ingest.{kind}", path.name, {"new": new, "known": known})
    count(new + known, new + known)
    if kind == "stock":
        _open_books(settings, judged.lines["local_date"])
    return _result(path, rows_in, new, known, 0, rejected, quarantine, judged.lines)


def put_aside(
    settings: Settings, source: SourceTable, judged: pl.DataFrame, path: Path
) -> tuple[pl.DataFrame, str | None]:
    """The rows that are not taken (columns REJECTED), ragged and withheld ones too, and the file that they are kept in."""
    ragged = source.ragged.select(
        "row_number",
        pl.lit("row").alias("field"),
        pl.lit("has another number of cells than the header").alias("reason"),
        pl.col("raw").alias("row"),
    )
    rejected = pl.concat([judged, ragged.select(*REJECTED), source.withheld.select(*REJECTED)]).sort("row_number")
    if not rejected.height:
        return rejected, None
    # The rows are as the source wrote them, names and addresses included: they stay out of the lake.
    folder = settings.home / QUARANTINE / settings.brand
    buffer = io.BytesIO()
    rejected.write_parquet(buffer)
    return rejected, str(write_file(folder / f"{path.name}-{source.sha256[:12]}.parquet", buffer.getvalue()))


def _described_by(books: BrandStore, mapping: OrderMapping) -> BrandStore:
    """A brand that nobody described takes the currency and the zone of the first file that it takes rows from."""
    settings = books.settings
    default = BrandSettings()
    brand = default.model_copy(
        update={
            "name": settings.brand.replace("-", " ").title(),
            "base_currency": mapping.currency or default.base_currency,
            "timezone": mapping.timezone or default.timezone,
        }
    )
    brands = {**settings.brands, settings.brand: brand}
    return BrandStore(settings.model_copy(update={"brands": brands}), books.store)


def _open_books(settings: Settings, days: pl.Series) -> None:
    """Daily partitions begin early enough for every row."""
    first = days.min()
    current = settings.current
    if isinstance(first, date) and first < current.books_start:
        save_brand(settings, settings.brand, current.model_copy(update={"books_start": first.replace(day=1)}))


def _without_addresses(lines: pl.DataFrame, vault: Vault) -> pl.DataFrame:
    """An e-mail address is no name for a customer: where a source uses it as one, its keyed hash takes its place."""
    addresses = lines.filter(pl.col("customer").str.contains("@", literal=True))["customer"].unique()
    if not addresses.len():
        return lines
    names = vault.pseudonyms("customer-address", [a.lower() for a in addresses])
    hidden = pl.col("customer").str.to_lowercase().replace_strict(names, default=None)
    return lines.with_columns(
        pl.when(pl.col("customer").str.contains("@", literal=True)).then(hidden).otherwise("customer").alias("customer")
    )


def _result(
    path: Path,
    rows_in: int,
    new: int,
    known: int,
    void: int,
    rejected: pl.DataFrame,
    file: str | None,
    lines: pl.DataFrame,
) -> IngestResult:
    days = lines["local_date"] if "local_date" in lines.columns else pl.Series([], dtype=pl.Date)
    kinds: list[dict[str, Any]] = []
    if "amount_minor" in lines.columns:
        kinds = (
            lines.filter(~pl.col("cumulative") | (pl.col("amount_minor") != 0))
            .group_by("kind", "currency")
            .agg(pl.len().alias("lines"), pl.col("quantity").sum(), pl.col("amount_minor").sum())
            .sort("lines", descending=True)
            .to_dicts()
        )
    return IngestResult(
        file=str(path),
        rows_in=rows_in,
        taken=rows_in - rejected.height,
        new=new,
        known=known,
        void=void,
        quarantined=rejected.height,
        quarantine_file=file,
        reasons=rejected.group_by("field", "reason")
        .agg(pl.len().alias("rows"))
        .sort("rows", descending=True)
        .to_dicts(),
        kinds=kinds,
        first_day=days.min(),  # pyright: ignore[reportArgumentType]
        last_day=days.max(),  # pyright: ignore[reportArgumentType]
        currencies=sorted({k["currency"] for k in kinds}),
    )
