"""The hash chain over the journal: each entry's hash covers the one before it, its own words and all of its postings.

Belongs here: how an entry is written down for its hash, and proving that nothing was changed, put between or taken out. Does
not belong here: writing entries (`ledger`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.bulk import fetch, read_frame
from resources.store.orders import DAY, INSTANT, INT, TEXT

if TYPE_CHECKING:
    from sqlalchemy import Connection

FIRST_HASH = "0" * 64
ENTRY: dict[str, pl.DataType] = {
    "id": INT,
    "brand_id": INT,
    "key": TEXT,
    "entry_date": DAY,
    "event_date": DAY,
    "recorded_at": INSTANT,
    "kind": TEXT,
    "description": TEXT,
    "reference": TEXT,
    "channel": TEXT,
    "order_id": INT,
    "reversal_of": INT,
}
LEG: dict[str, pl.DataType] = {
    "entry_id": INT,
    "account": TEXT,
    "currency": TEXT,
    "amount_minor": INT,
    "base_amount_minor": INT,
    "rate_numerator": INT,
    "rate_denominator": INT,
}
_CHUNK_ROWS = 20_000
# Between the fields of an entry, and between those of a leg; texts are cleared of both before they are kept.
_FIELD, _PART, _LEG_END = "\x1f", ",", ";"


@dataclass(frozen=True)
class Chain:
    """What `verify` found. `head` is the newest hash: whoever keeps it elsewhere can tell when entries at the end are gone."""

    entries: int
    head: str
    fault: str | None


def chained(previous: str, entries: pl.DataFrame, legs: pl.DataFrame) -> pl.DataFrame:
    """The entries (`ENTRY`, in order) with `previous_hash` and `hash`; `legs` has the columns `LEG`.

    hash = SHA-256 in hexadecimal of the previous hash and the entry's canonical text, in which the legs stand sorted.
    """
    return entries.with_columns(hash=pl.Series(hashes(previous, _canonical(entries, legs)), dtype=TEXT))


def hashes(previous: str, texts: Iterable[str]) -> list[str]:
    """Of entries by their canonical texts, in order, after the entry of the hash `previous`."""
    found: list[str] = []
    for text in texts:
        previous = hashlib.sha256(f"{previous}{_FIELD}{text}".encode()).hexdigest()
        found.append(previous)
    return found


def canonical_text(entry: Sequence[Any], legs: Iterable[Sequence[Any]]) -> str:
    """What `chained` hashes of one entry (columns `ENTRY`) and its legs (`LEG` without the entry's id), without a frame.

    A frame is made for thousands of entries and takes a hundred times as long for one.
    """
    lines = sorted(_PART.join([_written(value) for value in leg]) for leg in legs)
    return _FIELD.join([*map(_written, entry[1:]), _LEG_END.join(lines)])


def head(connection: "Connection", brand: int) -> str:
    """The newest hash of the brand's journal."""
    query = "SELECT hash FROM journal_entries WHERE brand_id = :brand ORDER BY id DESC LIMIT 1"
    found = fetch(connection, query, {"brand": brand})
    return found[0][0] if found else FIRST_HASH


def verify(connection: "Connection", brand: int) -> Chain:
    """Walk the journal from its first entry. `fault` names the first one that does not follow from those before it."""
    count, newest, after = 0, FIRST_HASH, 0
    while (stated := _stated(connection, brand, after)).height:
        last = stated["id"][-1]
        expected = chained(newest, stated.select(*ENTRY), read_legs(connection, brand, after, last))
        previous = [newest, *expected["hash"][:-1]]
        for key, said_previous, said, before, computed in zip(
            stated["key"], stated["previous_hash"], stated["hash"], previous, expected["hash"], strict=True
        ):
            if said_previous != before:
                return Chain(
                    count, before, f"entry {key} does not follow the one before it: entries were taken out or put in"
                )
            if said != computed:
                return Chain(count, before, f"entry {key} or one of its postings was changed after it was written")
            count += 1
        newest, after = stated["hash"][-1], last
    return Chain(count, newest, None)


def read_legs(connection: "Connection", brand: int, after: int, last: int) -> pl.DataFrame:
    """Postings of the entries with an id in (after, last], with the columns `LEG`."""
    query = """
        SELECT p.entry_id, a.code, p.currency, p.amount_minor, p.base_amount_minor, p.rate_numerator, p.rate_denominator
        FROM postings p JOIN accounts a ON a.id = p.account_id
        WHERE p.brand_id = :brand AND p.entry_id > :after AND p.entry_id <= :last
    """
    return read_frame(connection, query, LEG, {"brand": brand, "after": after, "last": last})


def cleaned(text: str | None) -> str | None:
    """A text as the journal keeps it: without control characters, null where nothing is left."""
    return "".join(c if c.isprintable() else " " for c in text).strip() or None if text else None


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return "" if value is None else str(value)


def _stated(connection: "Connection", brand: int, after: int) -> pl.DataFrame:
    query = f"""
        SELECT {", ".join(ENTRY)}, previous_hash, hash FROM journal_entries
        WHERE brand_id = :brand AND id > :after ORDER BY id LIMIT {_CHUNK_ROWS}
    """
    schema = {**ENTRY, "previous_hash": TEXT, "hash": TEXT}
    return read_frame(connection, query, schema, {"brand": brand, "after": after})


def _canonical(entries: pl.DataFrame, legs: pl.DataFrame) -> Any:
    parts = [pl.col(name).cast(TEXT).fill_null("") for name in LEG if name != "entry_id"]
    lines = legs.select("entry_id", leg=pl.concat_str(*parts, separator=_PART)).sort("entry_id", "leg")
    joined = lines.group_by("entry_id", maintain_order=True).agg(pl.col("leg").str.join(_LEG_END))
    fields = [
        pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f") if dtype == INSTANT else pl.col(name).cast(TEXT).fill_null("")
        for name, dtype in ENTRY.items()
        # An id is where the entry lies, not what it says.
        if name != "id"
    ]
    with_legs = entries.join(joined, left_on="id", right_on="entry_id", how="left", maintain_order="left")
    return with_legs.select(pl.concat_str(*fields, pl.col("leg").fill_null(""), separator=_FIELD)).to_series()
