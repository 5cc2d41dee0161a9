"""Taking a statement in: read, clean of card data and of people, put aside what cannot be taken, write the rest.

Belongs here: the order of those steps. Does not belong here: how a vendor writes (`assets/finance/payouts`), what is matched
(`assets/finance/reconcile`).
"""

import gzip
import hashlib
import io
import zlib
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from assets.finance.payouts.bank_csv import parse_map
from assets.finance.payouts.banked import NAMES
from assets.finance.payouts.frames import BankFile, Reading, Settlement, StatementError
from assets.finance.payouts.reading import read_statement
from assets.finance.purchase_matching import Invoice, read_invoices
from assets.finance.reconcile import POOLED_SOURCES
from luxauto_pipelines.ingest import QUARANTINE
from resources.card_numbers import has_card_data, redact
from resources.files import write_file
from resources.settings import open_books
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.reconciliation import StatementRecord, write_bank, write_payouts, write_settlement

PROCESSORS = {"shopify_payments": "shopify", "stripe": "stripe", "paypal": "paypal", "amazon": "amazon"}
_IDS = ("line_key", "payout_ref", "order_ref", "external_id", "original_id", "end_to_end_id")
_WORDS = ("description", "reference", "counterparty")
_EMAIL = r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
_IBAN = r"\b[A-Z]{2}\d{2}[ ]?(?:[A-Z0-9]{4}[ ]?){2,7}[A-Z0-9]{0,4}?([A-Z0-9]{4})\b"
# Seventeen digits of an order at Amazon, of which some would pass for a card's.
_AMAZON_ORDER = r"^\d{3}-\d{7}-\d{7}$"
_CARD_DATA = "holds card data"


@dataclass(frozen=True)
class Take:
    """How a file is to be taken: its format, whose clearing it moves, which bank account, and a bank's map."""

    kind: str | None = None
    processor: str | None = None
    account: str | None = None
    map_file: Path | None = None
    decimal: str = ""
    dates: str = ""


@dataclass(frozen=True)
class StatementResult:
    """What became of a file's lines: `new` and `known` were taken, `aside` not, `skipped` are no money yet."""

    file: str
    source: str
    processor: str | None
    accounts: list[str]
    new: int
    known: int
    aside: int
    skipped: int
    payouts: int
    reasons: list[dict[str, Any]]
    quarantine_file: str | None

    @property
    def exit_code(self) -> int:
        """0: all taken; 2: some rows were put aside; 1: nothing could be taken."""
        if self.aside and not self.new + self.known:
            return 1
        return 2 if self.aside else 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def take_statement(books: BrandStore, path: Path, how: Take, actor: str) -> StatementResult:
    """Take a file's lines in. Idempotent: lines that the store has are counted as known and change nothing.

    Raises StatementError for a file that cannot be taken as a whole; then nothing of it was.
    """
    if has_card_data(path.name):
        raise StatementError("the name of the file has card data in it. Give it another name; nothing was taken.")
    content = _content(path)
    bank_map = None
    if how.map_file is not None:
        if not how.map_file.is_file():
            raise StatementError(f"{how.map_file} is not a file. Check the path after --map.")
        bank_map = parse_map(how.map_file.read_text(encoding="utf-8"), str(how.map_file))
    reading = Reading(books.settings.current.timezone, how.decimal, how.dates, how.account or "")  # pyright: ignore[reportArgumentType]
    found = read_statement(content, reading, kind=how.kind, bank_map=bank_map)
    lines, with_cards = _without_cards(found.lines)
    aside = _redacted(pl.concat([found.aside, with_cards]).sort("row_number"))
    digest = hashlib.sha256(content).hexdigest()
    file = StatementRecord(found.source, path.name, digest, actor, aside.height)
    if isinstance(found, BankFile) and with_cards.height:
        raise StatementError(f"row {with_cards['row_number'][0]} has card data in it. Take it out; nothing was taken.")
    if isinstance(found, Settlement):
        processor = how.processor or PROCESSORS[found.source]
        counts = _write_settlement(books, file, processor, lines, found, actor)
        accounts: list[str] = []
    else:
        processor = None
        counts, accounts = _write_bank(books, file, lines, found, how, actor)
    first = lines["occurred_on" if isinstance(found, Settlement) else "booked_on"].min()
    if isinstance(first, date):
        open_books(books.settings, first)
    return StatementResult(
        file=str(path),
        source=found.source,
        processor=processor,
        accounts=accounts,
        new=counts[0],
        known=counts[1],
        aside=aside.height,
        skipped=found.skipped,
        payouts=found.payouts.height if isinstance(found, Settlement) else 0,
        reasons=aside.group_by("field", "reason")
        .agg(pl.len().alias("rows"))
        .sort("rows", "field", descending=True)
        .to_dicts(),
        quarantine_file=_put_aside(books, aside, path, digest),
    )


def read_invoice_file(path: Path, decimal: str = "", dates: str = "") -> tuple[list[Invoice], list[dict[str, Any]]]:
    """Suppliers' invoices of a CSV, and the rows that cannot be taken: row_number, field, reason. Raises StatementError."""
    invoices, aside = read_invoices(_content(path), decimal, dates)
    told = ([i.supplier, i.number, i.order_number or "", *(line.sku for line in i.lines)] for i in invoices)
    if any(has_card_data(text) for texts in told for text in texts):
        raise StatementError("an invoice has card data in it. Take it out; nothing was taken.")
    return invoices, _redacted(aside.frame()).drop("row").to_dicts()


def _write_settlement(
    books: BrandStore, file: StatementRecord, processor: str, lines: pl.DataFrame, found: Settlement, actor: str
) -> tuple[int, int]:
    # A payout all of whose lines were put aside is known all the same: its sum then says what is missing.
    with books.write() as (connection, brand):
        counts = write_settlement(connection, brand, file, processor, lines)
        write_payouts(connection, brand, processor, _safe(found.payouts, "payout_ref"), found.source in POOLED_SOURCES)
        told = {"source": file.source, "new": counts[0], "known": counts[1], "aside": file.rows_aside}
        record(connection, brand, "finance.statement", file.file_name, told, actor=actor)
    return counts


def _write_bank(
    books: BrandStore, file: StatementRecord, lines: pl.DataFrame, found: BankFile, how: Take, actor: str
) -> tuple[tuple[int, int], list[str]]:
    numbers = sorted({*lines["account"].unique(), *found.statements["account"].unique()})
    if how.account and len(numbers) > 1:
        raise StatementError(
            f"the file is of {len(numbers)} accounts: leave --account out, or take them in one by one."
        )
    hashes = books.vault.pseudonyms("bank-account", [_plain(number) for number in numbers])
    hashed = {number: hashes[_plain(number)] for number in numbers}
    named = {number: how.account or _short(number) for number in numbers}

    def of_account(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            pl.col("account").replace_strict(hashed or {"": ""}, return_dtype=pl.String).alias("account_hash"),
            pl.col("account").replace_strict(named or {"": ""}, return_dtype=pl.String).alias("account"),
        )

    first, last = lines["booked_on"].min(), lines["booked_on"].max()
    statements = of_account(_safe(found.statements, "number")).with_columns(
        pl.col("opened_on").fill_null(pl.lit(first, pl.Date)), pl.col("closed_on").fill_null(pl.lit(last, pl.Date))
    )
    with books.write() as (connection, brand):
        counts = write_bank(connection, brand, file, of_account(_without_people(lines)), statements)
        told = {"source": file.source, "new": counts[0], "known": counts[1]}
        record(connection, brand, "finance.statement", file.file_name, told, actor=actor)
    return counts, sorted(set(named.values()))


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise StatementError(f"{path} is not a file. Check the path.")
    content = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise StatementError(f"{path} cannot be unpacked: {error}. Export it again.") from error
    return content


def _without_cards(lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines whose words were redacted, and those put aside because an id of theirs is card data."""
    words = [name for name in _WORDS if name in lines.columns]
    clean = lines.with_columns(_cleaned(lines[name]) for name in words)
    bad: dict[int, str] = {}
    for name in (name for name in _IDS if name in lines.columns):
        suspects = lines.filter(pl.col(name).str.count_matches(r"\d") >= 12).filter(
            ~pl.col(name).str.contains(_AMAZON_ORDER)
        )
        for number, value in suspects.select("row_number", name).iter_rows():
            if has_card_data(value):
                bad.setdefault(number, name)
    aside = [(number, name, _CARD_DATA, "") for number, name in sorted(bad.items())]
    schema = {"row_number": pl.Int64, "field": pl.String, "reason": pl.String, "row": pl.String}
    kept = clean.filter(~pl.col("row_number").is_in(list(bad)))
    return kept, pl.DataFrame(aside, schema=schema, orient="row")


def _safe(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows whose name is no card data."""
    return rows.filter(pl.Series([not has_card_data(value or "") for value in rows[name]], dtype=pl.Boolean))


def _cleaned(column: pl.Series) -> pl.Series:
    """Words without card numbers, e-mail addresses and account numbers, of which the last four signs stay."""
    hidden = column.str.replace_all(_EMAIL, "[e-mail]").str.replace_all(_IBAN, "[account …$1]")
    texts = {text: redact(text) for text in hidden.drop_nulls().unique()}
    return hidden.replace_strict(texts or {"": ""}, return_dtype=pl.String).alias(column.name)


def _without_people(lines: pl.DataFrame) -> pl.DataFrame:
    """Of the other party only a processor's name is kept."""
    lower = pl.col("counterparty").str.to_lowercase()
    is_processor = pl.any_horizontal(lower.str.contains(name, literal=True) for name in NAMES.values())
    return lines.with_columns(pl.when(is_processor).then("counterparty").alias("counterparty"))


def _redacted(aside: pl.DataFrame) -> pl.DataFrame:
    """The same without card data. Why a row with some was put aside is not told: it may be a piece of the number."""
    has_cards = pl.Series([has_card_data(row or "") for row in aside["row"]], dtype=pl.Boolean)
    reason = pl.when(has_cards).then(pl.lit(_CARD_DATA)).otherwise(_cleaned(aside["reason"]))
    return aside.with_columns(reason.alias("reason"), _cleaned(aside["row"]))


def _put_aside(books: BrandStore, aside: pl.DataFrame, path: Path, digest: str) -> str | None:
    if aside.is_empty():
        return None
    buffer = io.BytesIO()
    aside.write_parquet(buffer)
    folder = books.settings.home / QUARANTINE / books.settings.brand
    return str(write_file(folder / f"{path.name}-{digest[:12]}.parquet", buffer.getvalue()))


def _plain(number: str) -> str:
    return "".join(number.split()).upper()


def _short(number: str) -> str:
    """The last four signs of an account's number; a name that is none stays as it is."""
    return _plain(number)[-4:] if sum(sign.isdigit() for sign in number) >= 6 else number
