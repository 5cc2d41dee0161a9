"""The journal as a Beancount file: one transaction an entry, so that another program proves the books.

Belongs here: the text. Does not belong here: Beancount itself, which reads the file elsewhere.

Each posting is in its own currency. What it is worth in the base currency stands beside it as metadata. A posting of a base
amount alone has an amount of zero: it changes no balance in any currency.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date

import polars as pl

from assets.finance.money import to_decimal

_ROOTS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "revenue": "Income",
    "expense": "Expenses",
}
_WORD = re.compile(r"[A-Za-z0-9]+")
_HEAD = """\
option "title" "{title}"
option "operating_currency" "{base}"
"""


def render_beancount(postings: pl.DataFrame, base_currency: str, title: str) -> str:
    """The file: commodities, accounts and transactions in the order of days and entries. `postings`: columns POSTINGS."""
    ordered = postings.sort("day", "entry_id", "posting_id")
    names = account_names(ordered)
    parts = [_HEAD.format(title=_quoted(title), base=base_currency), *_openings(ordered, names)]
    columns = ("entry_id", "day", "kind", "description", "order_number", "reference", "channel")
    amounts = ("subaccount", "amount_minor", "currency", "base_amount_minor")
    before: int | None = None
    for row in ordered.select(*columns, *amounts).iter_rows():
        entry, day, kind, text, order, reference, channel, account, minor, currency, base = row
        if entry != before:
            parts.append(_transaction(entry, day, kind, text, order, reference, channel))
            before = entry
        parts.append(f"  {names[account]}  {to_decimal(minor, currency)} {currency}")
        # In the base currency itself the amount says it all.
        if base is not None and (currency != base_currency or base != minor):
            parts.append(f"    base: {to_decimal(base, base_currency)} {base_currency}")
    return "\n".join(parts) + "\n"


def account_names(postings: pl.DataFrame) -> dict[str, str]:
    """Beancount's name of each sub-account, such as Assets:PaymentClearing:Shopify; equal ones get their code besides."""
    kinds = (
        postings.select("subaccount", "account", "account_name", "account_type").unique("subaccount").sort("subaccount")
    )
    names: dict[str, str] = {}
    taken: set[str] = set()
    for sub, head, name, type in kinds.iter_rows():
        part = sub.partition(".")[2]
        # The name of a sub-account repeats its part after a colon.
        wanted = [_ROOTS[type], _component(name.partition(":")[0], head), *([_component(part, part)] if part else [])]
        full = ":".join(wanted)
        if full in taken:
            full = f"{full}-{_component(sub, 'X')}"
        while full in taken:
            full += "-X"
        taken.add(full)
        names[sub] = full
    return names


def _openings(postings: pl.DataFrame, names: dict[str, str]) -> Iterator[str]:
    if not postings.height:
        return
    first = postings["day"][0]
    yield from (f"{first} commodity {currency}" for currency in postings["currency"].unique().sort())
    yield ""
    opened = postings.group_by("subaccount").agg(pl.col("day").min()).sort("subaccount")
    for sub, day in opened.iter_rows():
        yield f'{day} open {names[sub]}\n  code: "{_quoted(sub)}"'


def _transaction(
    entry: int, day: date, kind: str, text: str, order: str | None, reference: str | None, channel: str | None
) -> str:
    told = {"entry": str(entry), "kind": kind, "order": order, "reference": reference, "channel": channel}
    meta = "".join(f'\n  {key}: "{_quoted(value)}"' for key, value in told.items() if value)
    return f'\n{day} * "{_quoted(text or kind)}"{meta}'


def _component(text: str, otherwise: str) -> str:
    """A part of an account's name: ASCII letters and digits, beginning with a capital or a digit."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = _WORD.findall(plain)
    joined = "".join(word[0].upper() + word[1:] for word in words)
    return joined or "X" + "".join(f"{ord(sign):x}" for sign in otherwise)


def _quoted(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace('"', '\\"').split())
