"""The journal: append only. Entries are written whole, chained by hashes, and never changed; a correction is a further entry.

Belongs here: the tables `accounts`, `journal_entries`, `postings`. Does not belong here: which account an event touches
(`assets/finance/posting` and `rules`), and which months are closed (`periods`).

Two ways lead in. `post` compares what should stand of orders and stock with what stands, and appends the difference.
`append_entries` writes entries of their own key, once. Triggers hold both to the rules, whoever writes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from resources.store.bulk import fetch, ids_by_code, insert_few, insert_frame, read_frame, reserve_ids, upsert_frame
from resources.store.ledger_chain import ENTRY, FIRST_HASH, LEG, canonical_text, chained, cleaned, hashes, head
from resources.store.orders import DAY, INSTANT, INT, TEXT
from resources.store.periods import PeriodClosed, closed_months, next_open_day

if TYPE_CHECKING:
    from sqlalchemy import Connection

POSTINGS: dict[str, pl.DataType] = {
    "posting_id": INT,
    "entry_id": INT,
    "day": DAY,
    "event_day": DAY,
    "recorded_at": INSTANT,
    "kind": TEXT,
    "order_id": INT,
    "order_number": TEXT,
    "channel": TEXT,
    "country": TEXT,
    "description": TEXT,
    "reference": TEXT,
    "account": TEXT,
    "account_name": TEXT,
    "account_type": TEXT,
    "subaccount": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "base_amount_minor": INT,
}
WANTED: dict[str, pl.DataType] = {
    "order_id": INT,
    "subject": TEXT,
    "day": DAY,
    "account": TEXT,
    "currency": TEXT,
    "amount_minor": INT,
    "base_amount_minor": INT,
    "rate_numerator": INT,
    "rate_denominator": INT,
}
_KEY = ["order_id", "subject", "day", "account", "currency"]
_EVENT = ["order_id", "subject", "day"]
_FEW = 1000
# Up to here statements of single rows are quicker than frames.
_LEAN_ENTRIES, _LEAN_LEGS = 10, 60


class LedgerError(Exception):
    """An entry that cannot be written; the message says which and why."""


class KeyTaken(LedgerError):
    """Another entry has this key."""


class Unbalanced(LedgerError):
    """Debits and credits differ."""


class UnknownAccount(LedgerError):
    """An account that the chart does not have."""


class AlreadyReversed(LedgerError):
    """The entry was taken back before."""


@dataclass(frozen=True)
class Leg:
    """An amount on an account: debit positive, credit negative. Without a base amount no rate is known.

    The rate, where it is known, is what one unit of the currency is worth in the base currency, as a ratio.
    """

    account: str
    currency: str
    amount_minor: int
    base_amount_minor: int | None
    rate_numerator: int | None = None
    rate_denominator: int | None = None


@dataclass(frozen=True)
class Entry:
    """A journal entry before it is written. `entry_day` is the day of the books where it is not the event's own day."""

    key: str
    day: date
    kind: str
    description: str
    legs: tuple[Leg, ...]
    reference: str | None = None
    channel: str | None = None
    reversal_of: int | None = None
    entry_day: date | None = None


def write_accounts(connection: "Connection", brand: int, accounts: pl.DataFrame) -> dict[str, int]:
    """Make the chart of accounts (code, name, type) stand in the store. Returns ids by code, sub-accounts included."""
    rows = accounts.select(pl.lit(brand, INT).alias("brand_id"), "code", "name", "type")
    upsert_frame(connection, "accounts", rows, ["brand_id", "code"], {"name": "excluded.name"})
    return ids_by_code(connection, "SELECT code, id FROM accounts WHERE brand_id = :brand", {"brand": brand})


def append_entries(connection: "Connection", brand: int, entries: Sequence[Entry]) -> dict[str, int]:
    """Write entries, each once: one that stands with the same key and content is left alone. Returns their ids by key.

    Raises KeyTaken where another entry has the key, PeriodClosed for a day of a closed month, Unbalanced unless the legs sum
    to zero in every currency and in the base currency, UnknownAccount for an account whose head no chart has.
    """
    if len(entries) <= _LEAN_ENTRIES and 0 < sum(len(entry.legs) for entry in entries) <= _LEAN_LEGS:
        written = _append_few(connection, brand, entries)
        if written is not None:
            return written
    standing = _standing(connection, brand, {entry.key for entry in entries})
    fresh: dict[str, Entry] = {}
    for entry in entries:
        known = standing.get(entry.key)
        other = fresh.get(entry.key)
        if (known and known.content != _content(entry)) or (other and _content(other) != _content(entry)):
            raise KeyTaken(f"another entry has the key {entry.key!r}: record this one under a key of its own")
        if known is None:
            fresh[entry.key] = entry
    ids = {key: found.id for key, found in standing.items()}
    if not fresh:
        return ids
    _refuse(fresh.values(), closed_months(connection, brand))
    accounts = _account_ids(connection, brand, {leg.account for entry in fresh.values() for leg in entry.legs})
    rows = pl.DataFrame(
        [_row(entry) for entry in fresh.values()],
        schema={name: ENTRY[name] for name in _ROW},
        orient="row",
    )
    legs = pl.DataFrame(
        [(n, *_leg(leg)) for n, entry in enumerate(fresh.values()) for leg in entry.legs],
        schema={"entry": INT, **{name: LEG[name] for name in LEG if name != "entry_id"}},
        orient="row",
    )
    written = _write(connection, brand, rows, legs, accounts)
    return ids | dict(zip(fresh, written, strict=True))


def reverse_entry(connection: "Connection", brand: int, entry_id: int, *, key: str, day: date, description: str) -> int:
    """Take an entry back by an equal and opposite one. Returns its id; the same key again is the same reversal.

    Raises LedgerError for an entry that is not there, AlreadyReversed where another one took it back, PeriodClosed.
    """
    query = "SELECT key FROM journal_entries WHERE brand_id = :brand AND reversal_of = :entry"
    earlier = fetch(connection, query, {"brand": brand, "entry": entry_id})
    if earlier and earlier[0][0] != key:
        raise AlreadyReversed(f"entry {entry_id} was taken back by {earlier[0][0]!r} before")
    query = """
        SELECT a.code, p.currency, p.amount_minor, p.base_amount_minor, p.rate_numerator, p.rate_denominator,
               e.reference, e.channel
        FROM postings p JOIN journal_entries e ON e.id = p.entry_id JOIN accounts a ON a.id = p.account_id
        WHERE p.brand_id = :brand AND e.brand_id = :brand AND e.id = :entry ORDER BY p.id
    """
    rows = fetch(connection, query, {"brand": brand, "entry": entry_id})
    if not rows:
        raise LedgerError(f"there is no entry {entry_id}")
    legs = tuple(Leg(a, c, -amount, None if base is None else -base, n, d) for a, c, amount, base, n, d, *_ in rows)
    entry = Entry(key, day, "reversal", description, legs, rows[0][6], rows[0][7], entry_id)
    return append_entries(connection, brand, [entry])[key]


def find_entry(connection: "Connection", brand: int, key: str) -> int | None:
    """Id of the entry with this key."""
    query = "SELECT id FROM journal_entries WHERE brand_id = :brand AND key = :key"
    rows = fetch(connection, query, {"brand": brand, "key": key})
    return rows[0][0] if rows else None


def newest_day_of(connection: "Connection", brand: int, kind: str) -> date | None:
    """The last day of the books on which there is an entry of a kind."""
    query = "SELECT max(entry_date) FROM journal_entries WHERE brand_id = :brand AND kind = :kind"
    ((day,),) = fetch(connection, query, {"brand": brand, "kind": kind})
    return date.fromisoformat(day) if isinstance(day, str) else day


def kind_of_entry(connection: "Connection", brand: int, entry: int) -> str | None:
    """Such as order, stock or expense; None where there is no such entry."""
    query = "SELECT kind FROM journal_entries WHERE brand_id = :brand AND id = :entry"
    rows = fetch(connection, query, {"brand": brand, "entry": entry})
    return rows[0][0] if rows else None


def post(
    connection: "Connection", brand: int, wanted: pl.DataFrame, accounts: dict[str, int], first: date, last: date
) -> int:
    """Append what is missing so that the journal of [first, last] says just `wanted`. Returns how many entries that took.

    `wanted` (`WANTED`; subject and rates may be missing): one event is an order on a day, or the movements of stock of one
    kind (subject) that belong to no order. base_amount_minor is null where no rate is known. One entry per event the first
    time; where the event or its valuation has changed since, a further entry of the difference. What belongs to a closed
    month is dated on the first day of the next open one.
    """
    optional = [name for name in WANTED if name not in wanted.columns]
    wanted = wanted.with_columns(pl.lit(None, WANTED[name]).alias(name) for name in optional).select(*WANTED)
    delta = _difference(wanted, _posted(connection, brand, first, last))
    if not delta.height:
        return 0
    events = delta.select(_EVENT).unique(maintain_order=True).sort("day", "order_id", "subject")
    rows = _event_rows(connection, brand, events, first, last)
    numbered = events.with_row_index("entry")
    legs = delta.join(numbered, on=_EVENT, nulls_equal=True).sort("entry", "account", "currency")
    codes = set(legs["account"].unique()) - set(accounts)
    known = accounts | (_account_ids(connection, brand, codes) if codes else {})
    _write(connection, brand, rows, legs.select("entry", *(n for n in LEG if n != "entry_id")), known)
    return rows.height


def read_postings(
    connection: "Connection", brand: int, first: date, last: date, *, by_event_day: bool = False
) -> pl.DataFrame:
    """Postings dated in [first, last] (of events in it, if `by_event_day`), with the columns POSTINGS. Debit positive."""
    day = "event_date" if by_event_day else "entry_date"
    return _read(connection, brand, f"e.{day} BETWEEN :first AND :last", {"first": first, "last": last})


def read_entry(connection: "Connection", brand: int, entry: int) -> pl.DataFrame:
    """The postings of one entry, with the columns POSTINGS."""
    return _read(connection, brand, "e.id = :entry", {"entry": entry})


def read_unvalued(connection: "Connection", brand: int, first: date, last: date) -> list[Entry]:
    """Booked events of [first, last] of which a leg has no base amount and no later entry gave it one. Without their texts."""
    query = """
        SELECT e.key, e.event_date, e.kind, a.code, p.currency, p.amount_minor, p.base_amount_minor
        FROM journal_entries e JOIN postings p ON p.entry_id = e.id JOIN accounts a ON a.id = p.account_id
        WHERE e.brand_id = :brand AND e.event_date BETWEEN :first AND :last AND e.kind NOT IN ('order', 'stock')
              AND EXISTS (SELECT 1 FROM postings u WHERE u.entry_id = e.id AND u.base_amount_minor IS NULL)
              AND NOT EXISTS (SELECT 1 FROM journal_entries r WHERE r.brand_id = :brand AND r.key = 'rate:' || e.key)
        ORDER BY e.id, p.id
    """
    schema = {"key": TEXT, "day": DAY, "kind": TEXT, **{n: LEG[n] for n in list(LEG)[1:5]}}
    rows = read_frame(connection, query, schema, {"brand": brand, "first": first, "last": last})
    found: dict[tuple[str, date, str], list[Leg]] = {}
    for key, day, kind, *leg in rows.iter_rows():
        found.setdefault((key, day, kind), []).append(Leg(*leg))
    return [Entry(key, day, kind, "", tuple(legs)) for (key, day, kind), legs in found.items()]


def posting_days(connection: "Connection", brand: int) -> pl.DataFrame:
    """Day of the event, postings, newest: how many postings there are of each day, and the greatest id."""
    query = """
        SELECT e.event_date, count(*), max(p.id) FROM postings p JOIN journal_entries e ON e.id = p.entry_id
        WHERE p.brand_id = :brand GROUP BY e.event_date ORDER BY e.event_date
    """
    return read_frame(connection, query, {"day": DAY, "postings": INT, "newest": INT}, {"brand": brand})


def _read(connection: "Connection", brand: int, which: str, values: dict[str, Any]) -> pl.DataFrame:
    query = f"""
        SELECT p.id, e.id, e.entry_date, e.event_date, e.recorded_at, e.kind, e.order_id, o.number,
               coalesce(c.code, e.channel), o.country, e.description, coalesce(e.reference, o.number), p.account_id,
               p.amount_minor, p.currency, p.base_amount_minor
        FROM postings p
        JOIN journal_entries e ON e.id = p.entry_id
        LEFT JOIN orders o ON o.id = e.order_id
        LEFT JOIN channels c ON c.id = o.channel_id
        WHERE e.brand_id = :brand AND {which}
        ORDER BY p.id
    """
    named = ("account", "account_name", "account_type", "subaccount")
    schema: dict[str, pl.DataType] = {}
    for name, dtype in POSTINGS.items():
        if name not in named:
            schema |= {"account_id": INT, name: dtype} if name == "amount_minor" else {name: dtype}
    rows = read_frame(connection, query, schema, {"brand": brand, **values})
    return rows.join(_named_accounts(connection, brand), on="account_id", maintain_order="left").select(*POSTINGS)


@dataclass(frozen=True)
class _Standing:
    id: int
    content: tuple[Any, ...]


_ROW = ("key", "entry_date", "event_date", "kind", "description", "reference", "channel", "order_id", "reversal_of")


def _row(entry: Entry) -> tuple[Any, ...]:
    texts = (entry.kind, cleaned(entry.description) or entry.kind, cleaned(entry.reference), cleaned(entry.channel))
    return (cleaned(entry.key), entry.entry_day or entry.day, entry.day, *texts, None, entry.reversal_of)


def _leg(leg: Leg) -> tuple[Any, ...]:
    return tuple(getattr(leg, name) for name in LEG if name != "entry_id")


def _content(entry: Entry) -> tuple[Any, ...]:
    """What makes two entries the same: not how they were worded, nor at which rate they were valued."""
    amounts: dict[tuple[str, str], int] = {}
    for leg in entry.legs:
        place = (leg.account, leg.currency)
        amounts[place] = amounts.get(place, 0) + leg.amount_minor
    told = tuple(sorted((*place, amount) for place, amount in amounts.items() if amount))
    # Where nothing but base amounts is posted, they are what the entry says.
    base = () if told else tuple(sorted((leg.account, leg.currency, leg.base_amount_minor or 0) for leg in entry.legs))
    return (entry.kind, entry.day.isoformat(), told, base)


def _standing(connection: "Connection", brand: int, keys: set[str]) -> dict[str, _Standing]:
    """Entries that have these keys, in pieces that both databases bind."""
    found: dict[str, tuple[int, Entry, list[Leg]]] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), _FEW // 2):
        some = {f"k{n}": key for n, key in enumerate(ordered[start : start + _FEW // 2])}
        query = f"""
            SELECT e.key, e.id, e.event_date, e.kind, a.code, p.currency, p.amount_minor, p.base_amount_minor
            FROM journal_entries e JOIN postings p ON p.entry_id = e.id JOIN accounts a ON a.id = p.account_id
            WHERE e.brand_id = :brand AND e.key IN ({", ".join(f":{name}" for name in some)})
        """
        for key, number, day, kind, *leg in fetch(connection, query, {"brand": brand, **some}):
            event_day = date.fromisoformat(day) if isinstance(day, str) else day
            entry = found.setdefault(key, (number, Entry(key, event_day, kind, "", ()), []))
            entry[2].append(Leg(*leg))
    return {
        key: _Standing(number, _content(Entry(key, entry.day, entry.kind, "", tuple(legs))))
        for key, (number, entry, legs) in found.items()
    }


def _refuse(entries: Iterable[Entry], closed: set[date]) -> None:
    for entry in entries:
        day = entry.entry_day or entry.day
        if day.replace(day=1) in closed:
            raise PeriodClosed(day)
        sums: dict[str, int] = {}
        for leg in entry.legs:
            sums[leg.currency] = sums.get(leg.currency, 0) + leg.amount_minor
        if not entry.legs or any(sums.values()):
            raise Unbalanced(f"{entry.key}: debits and credits differ: {sums or 'there are no legs'} in minor units")
        base = sum(leg.base_amount_minor or 0 for leg in entry.legs)
        if base:
            raise Unbalanced(f"{entry.key}: debits and credits differ by {base} minor units of the base currency")


def _account_ids(connection: "Connection", brand: int, codes: set[str]) -> dict[str, int]:
    """Ids by code. Sub-accounts of a known head are made; raises UnknownAccount."""
    query = "SELECT code, id, name, type FROM accounts WHERE brand_id = :brand"
    known = {code: (number, name, type) for code, number, name, type in fetch(connection, query, {"brand": brand})}
    missing = sorted(codes - set(known))
    for code in missing:
        top, point, part = code.partition(".")
        if not point or not part or top not in known:
            raise UnknownAccount(f"no account {top} is in the chart: add it to chart.yaml")
    if missing:
        rows = [(brand, code, f"{known[h][1]}: {part}", known[h][2]) for code, h, part in _parts(missing)]
        schema = {"brand_id": INT, "code": TEXT, "name": TEXT, "type": TEXT}
        insert_frame(connection, "accounts", pl.DataFrame(rows, schema=schema, orient="row"))
        known = {code: (number, *rest) for code, number, *rest in fetch(connection, query, {"brand": brand})}
    return {code: known[code][0] for code in codes}


def _parts(codes: list[str]) -> Iterable[tuple[str, str, str]]:
    for code in codes:
        top, _, part = code.partition(".")
        yield code, top, part


def _append_few(connection: "Connection", brand: int, entries: Sequence[Entry]) -> dict[str, int] | None:
    """Write a few entries in three statements. None, and nothing written, where a key or an account needs a closer look."""
    by_key = {entry.key: entry for entry in entries}
    codes = {leg.account for entry in entries for leg in entry.legs}
    months = {(entry.entry_day or entry.day).replace(day=1) for entry in entries}
    found = _look_up(connection, brand, list(by_key), sorted(codes), sorted(months))
    if len(by_key) < len(entries) or found.keys_taken:
        return None
    _refuse(entries, closed_months(connection, brand) if found.some_closed else set())
    if len(found.accounts) < len(codes):
        return None
    now = datetime.now(UTC)
    rows: list[tuple[Any, ...]] = []
    for number, entry in zip(found.ids, entries, strict=True):
        key, entry_date, event_date, *rest = _row(entry)
        rows.append((number, brand, key, entry_date, event_date, now, *rest))
    legs = [[_leg(leg) for leg in entry.legs] for entry in entries]
    sealed = hashes(found.head, (canonical_text(row, own) for row, own in zip(rows, legs, strict=True)))
    postings = [
        (brand, row[0], found.accounts[account], *rest)
        for row, own in zip(rows, legs, strict=True)
        for account, *rest in own
    ]
    # The postings first: an entry seals those that are there. In one statement, at whose end they must balance.
    insert_few(connection, "postings", _POSTING, postings)
    chain = zip(rows, [found.head, *sealed], sealed, strict=False)
    insert_few(connection, "journal_entries", _SEALED, [(*row, before, own) for row, before, own in chain])
    return dict(zip(by_key, found.ids, strict=True))


_POSTING = ("brand_id", "entry_id", "account_id", *list(LEG)[2:])
_SEALED = (*ENTRY, "previous_hash", "hash")


@dataclass
class _Found:
    """What a few entries need to know of the store."""

    ids: list[int]
    head: str = FIRST_HASH
    accounts: dict[str, int] = field(default_factory=dict)
    keys_taken: bool = False
    some_closed: bool = False


def _look_up(connection: "Connection", brand: int, keys: list[str], codes: list[str], months: list[date]) -> _Found:
    """Ids for the entries, the newest hash, the accounts that there are, whether a key is taken or a month closed."""
    sqlite = connection.dialect.name == "sqlite"
    values = {f"k{n}": key for n, key in enumerate(keys)} | {f"a{n}": code for n, code in enumerate(codes)}
    values |= {f"m{n}": month for n, month in enumerate(months)} | {"brand": brand, "count": len(keys)}
    found = _Found([])
    for what, text, number in fetch(connection, _lookup(sqlite, len(keys), len(codes), len(months)), values):
        if what == "account":
            found.accounts[text] = number
        elif what == "head":
            found.head = text
        elif what == "id":
            found.ids.append(number)
        elif what == "key":
            found.keys_taken = True
        else:
            found.some_closed = True
    found.ids = sorted(found.ids) if not sqlite else list(range(found.ids[0], found.ids[0] + len(keys)))
    return found


@lru_cache(maxsize=64)
def _lookup(sqlite: bool, keys: int, codes: int, months: int) -> str:
    def marks(letter: str, count: int) -> str:
        return ", ".join(f":{letter}{n}" for n in range(count))

    drawn = "nextval(pg_get_serial_sequence('journal_entries', 'id')) FROM generate_series(1, :count)"
    return f"""
        SELECT 'id' AS what, '' AS text, {"coalesce(max(id), 0) + 1 FROM journal_entries" if sqlite else drawn}
        UNION ALL
        SELECT 'head', hash, id FROM
            (SELECT hash, id FROM journal_entries WHERE brand_id = :brand ORDER BY id DESC LIMIT 1) newest
        UNION ALL
        SELECT 'account', code, id FROM accounts WHERE brand_id = :brand AND code IN ({marks("a", codes)})
        UNION ALL
        SELECT 'key', key, id FROM journal_entries WHERE brand_id = :brand AND key IN ({marks("k", keys)})
        UNION ALL
        SELECT 'closed', '', id FROM accounting_periods
        WHERE brand_id = :brand AND status = 'closed' AND month IN ({marks("m", months)})
    """


def _write(
    connection: "Connection", brand: int, rows: pl.DataFrame, legs: pl.DataFrame, accounts: dict[str, int]
) -> list[int]:
    """Append entries (columns `_ROW`) and their legs (`entry`: the row, and `LEG`). Returns the entries' ids in order."""
    ids = _reserve(connection, rows.height)
    now = pl.lit(datetime.now(UTC)).cast(INSTANT)
    entries = rows.with_columns(id=pl.Series(ids, dtype=INT), brand_id=pl.lit(brand, INT), recorded_at=now)
    placed = legs.with_columns(entry_id=pl.lit(pl.Series(ids, dtype=INT)).gather(pl.col("entry"))).drop("entry")
    previous = head(connection, brand)
    sealed = chained(previous, entries.select(*ENTRY), placed.select(*LEG))
    before = pl.Series([previous, *sealed["hash"][:-1]], dtype=TEXT)
    # The postings first: an entry seals those that are there.
    insert_frame(
        connection,
        "postings",
        placed.select(
            pl.lit(brand, INT).alias("brand_id"),
            "entry_id",
            pl.col("account").replace_strict(accounts, return_dtype=INT).alias("account_id"),
            *(name for name in LEG if name not in ("entry_id", "account")),
        ),
    )
    insert_frame(connection, "journal_entries", sealed.with_columns(previous_hash=before))
    return ids


def _reserve(connection: "Connection", count: int) -> list[int]:
    if connection.dialect.name == "sqlite" or count > _FEW:
        start = reserve_ids(connection, "journal_entries", count)
        return list(range(start, start + count))
    query = "SELECT nextval(pg_get_serial_sequence('journal_entries', 'id')) FROM generate_series(1, :count)"
    return sorted(number for (number,) in fetch(connection, query, {"count": count}))


def _posted(connection: "Connection", brand: int, first: date, last: date) -> pl.DataFrame:
    """What stands of the orders and the stock movements of these days: `_KEY`, posted_minor, posted_base."""
    query = """
        SELECT e.order_id, CASE WHEN e.kind = 'stock' THEN e.reference END, e.event_date, a.code, p.currency,
               CAST(sum(p.amount_minor) AS BIGINT), CAST(sum(p.base_amount_minor) AS BIGINT)
        FROM postings p JOIN journal_entries e ON e.id = p.entry_id JOIN accounts a ON a.id = p.account_id
        WHERE e.brand_id = :brand AND e.event_date BETWEEN :first AND :last AND e.kind IN ('order', 'stock')
        GROUP BY 1, 2, 3, 4, 5
    """
    schema = {**{name: WANTED[name] for name in _KEY}, "posted_minor": INT, "posted_base": INT}
    return read_frame(connection, query, schema, {"brand": brand, "first": first, "last": last})


def _difference(wanted: pl.DataFrame, stands: pl.DataFrame) -> pl.DataFrame:
    amount, base = pl.col("amount_minor"), pl.col("base_amount_minor")
    posted, posted_base = pl.col("posted_minor"), pl.col("posted_base")
    return (
        wanted.join(stands, on=_KEY, how="full", coalesce=True, nulls_equal=True)
        .with_columns(
            amount.fill_null(0) - posted.fill_null(0),
            pl.when(base.is_not_null() | posted_base.is_not_null()).then(base.fill_null(0) - posted_base.fill_null(0)),
        )
        .filter((amount != 0) | (base.fill_null(0) != 0))
        .select(*WANTED)
    )


def _event_rows(connection: "Connection", brand: int, events: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """Entries for the events, one each, in their order: the columns `_ROW`."""
    query = """
        SELECT order_id, CASE WHEN kind = 'stock' THEN reference END, event_date, count(*) FROM journal_entries
        WHERE brand_id = :brand AND event_date BETWEEN :first AND :last AND kind IN ('order', 'stock') GROUP BY 1, 2, 3
    """
    schema = {**{name: WANTED[name] for name in _EVENT}, "earlier": INT}
    earlier = read_frame(connection, query, schema, {"brand": brand, "first": first, "last": last})
    numbered = events.join(earlier, on=_EVENT, how="left", maintain_order="left", nulls_equal=True)
    count, of_order = pl.col("earlier").fill_null(0), pl.col("order_id").is_not_null()
    name = pl.when(of_order).then(pl.format("order:{}", pl.col("order_id"))).otherwise(pl.format("stock:{}", "subject"))
    closed = closed_months(connection, brand)
    moved = {month: next_open_day(month, closed) for month in closed}
    day = pl.col("day")
    entry_day = (
        day.dt.truncate("1mo").replace_strict(moved, default=None, return_dtype=DAY) if moved else pl.lit(None, DAY)
    )
    first_words = pl.when(of_order).then(pl.lit("Order")).otherwise(pl.format("Stock: {}", "subject"))
    later_words = (
        pl.when(of_order).then(pl.lit("Correction of an order")).otherwise(pl.format("Correction: {}", "subject"))
    )
    return numbered.select(
        key=pl.format("{}:{}:{}", name, day.cast(TEXT), count),
        entry_date=pl.coalesce(entry_day, day),
        event_date=day,
        kind=pl.when(of_order).then(pl.lit("order")).otherwise(pl.lit("stock")),
        description=pl.when(count == 0).then(first_words).otherwise(later_words),
        reference=pl.col("subject"),
        channel=pl.lit(None, TEXT),
        order_id=pl.col("order_id"),
        reversal_of=pl.lit(None, INT),
    )


def _named_accounts(connection: "Connection", brand: int) -> pl.DataFrame:
    query = "SELECT id, code, name, type FROM accounts WHERE brand_id = :brand"
    schema = {"account_id": INT, "subaccount": TEXT, "own_name": TEXT, "account_type": TEXT}
    rows = read_frame(connection, query, schema, {"brand": brand})
    heads = rows.select(account="subaccount", account_name="own_name")
    split = rows.with_columns(account=pl.col("subaccount").str.split(".").list.first())
    return split.join(heads, on="account", how="left").drop("own_name")
