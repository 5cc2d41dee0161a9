"""Banks: a CSV of any layout, read by a map that says which column holds what (YAML, see docs/reconciliation.md)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from assets.finance.money import to_decimal
from assets.finance.payouts.cells import day_of, day_order, decimal_sign, key_of, minor_of, numbered, raw, table_of
from assets.finance.payouts.frames import (
    BANK,
    STATEMENTS,
    Aside,
    BadRow,
    BankFile,
    Reading,
    StatementError,
    check_balance,
    frame_of,
)

SOURCE = "bank_csv"


class BankColumns(BaseModel):
    """Names of columns. `amount`, or both `debit` and `credit`, are needed, and `booked_on`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    booked_on: str
    value_on: str | None = None
    amount: str | None = None
    debit: str | None = None
    credit: str | None = None
    balance: str | None = None
    currency: str | None = None
    counterparty: str | None = None
    reference: str | None = None
    end_to_end_id: str | None = None
    id: str | None = None

    @model_validator(mode="after")
    def _has_amounts(self) -> "BankColumns":
        if (self.amount is None) == (self.debit is None or self.credit is None):
            raise ValueError("give either `amount`, or `debit` and `credit`")
        return self


class BankMap(BaseModel):
    """How one bank's CSV is read. `opening` and `closing` are balances that the file leads from and to, as it writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: BankColumns
    currency: str | None = None
    account: str | None = None
    decimal_separator: Literal[".", ","] | None = None
    date_format: str | None = None
    dates: Literal["dmy", "mdy"] | None = None
    newest_first: bool = False
    opening: str | None = None
    closing: str | None = None


def parse_map(text: str, name: str) -> BankMap:
    """A map from YAML. Raises StatementError naming the field that is wrong."""
    try:
        return BankMap.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise StatementError(f"{name} is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise StatementError(f"{name}: {problems}. See docs/reconciliation.md for the fields of a map.") from error


def parse_bank_csv(text: str, reading: Reading, how: BankMap) -> BankFile:
    """Lines of the file. Raises StatementError for missing columns and for balances that do not follow from the lines."""
    aside = Aside()
    table = table_of(text, aside)
    named = {name: column.strip().lower() for name, column in how.columns.model_dump().items() if column}
    if missing := [how.columns.model_dump()[name] for name, column in named.items() if column not in table.columns]:
        raise StatementError(f"the file has no column {missing[0]!r}. It has: {', '.join(table.columns)}.")
    account = reading.account or how.account
    if not account:
        raise StatementError("a CSV names no account: give --account, or `account` in the map.")
    money = [column for name, column in named.items() if name in ("amount", "debit", "credit", "balance")]
    sign = decimal_sign((r[c] for _, r in table.rows for c in money), reading.decimal or how.decimal_separator or "")
    dates = [row[named["booked_on"]] for _, row in table.rows]
    order = "dmy" if how.date_format else day_order(dates, reading.dates or how.dates or "")
    lines: list[dict[str, Any]] = []
    for number, row in table.rows:
        try:
            line = _line({name: row[column] for name, column in named.items()}, how, sign, order)
        except BadRow as error:
            aside.put(number, error, raw(row))
        else:
            lines.append(line | {"account": account, "row_number": number})
    for line, key in zip(lines, numbered([line["line_key"] for line in lines]), strict=True):
        line["line_key"] = key
    statement = _statement(lines[::-1] if how.newest_first else lines, how, account, sign, bool(aside.rows))
    return BankFile(SOURCE, frame_of(lines, BANK), frame_of(statement, STATEMENTS), aside.frame())


def _line(row: dict[str, str], how: BankMap, sign: str, order: str) -> dict[str, Any]:
    currency = (row.get("currency") or how.currency or "").upper()
    if "amount" in row:
        amount = minor_of(row["amount"], currency, sign, "amount")
    else:
        paid, got = (minor_of(row[name] or "0", currency, sign, name) for name in ("debit", "credit"))
        amount = got - abs(paid)
    booked = _day(row["booked_on"], "booked_on", how, order)
    reference = row.get("reference", "")
    identity = (row["id"],) if row.get("id") else (booked, amount, currency, reference, row.get("counterparty", ""))
    return {
        "line_key": key_of(*identity),
        "booked_on": booked,
        "value_on": _day(row["value_on"], "value_on", how, order) if row.get("value_on") else booked,
        "amount_minor": amount,
        "currency": currency,
        "counterparty": row.get("counterparty") or None,
        "reference": reference or None,
        "end_to_end_id": row.get("end_to_end_id") or None,
        "balance": minor_of(row["balance"], currency, sign, "balance") if row.get("balance") else None,
    }


def _day(text: str, field: str, how: BankMap, order: str) -> date:
    if how.date_format is None:
        return day_of(text, field, order)
    try:
        return datetime.strptime(text, how.date_format).date()  # noqa: DTZ007
    except ValueError:
        raise BadRow(field, f"{text!r} is not written as {how.date_format}") from None


def _statement(
    lines: Sequence[dict[str, Any]], how: BankMap, account: str, sign: str, has_gaps: bool
) -> list[dict[str, Any]]:
    """The statement that the lines make up, oldest first, once its balances are found to follow from them."""
    currencies = {line["currency"] for line in lines}
    if not lines or len(currencies) > 1:
        return []
    currency = currencies.pop()
    opening = minor_of(how.opening, currency, sign, "opening") if how.opening else None
    closing = minor_of(how.closing, currency, sign, "closing") if how.closing else None
    if "balance" in how.columns.model_dump(exclude_none=True):
        if opening is None and lines[0]["balance"] is not None:
            opening = lines[0]["balance"] - lines[0]["amount_minor"]
        if closing is None:
            closing = lines[-1]["balance"]
    if opening is None or closing is None:
        return []
    if has_gaps:
        raise StatementError("rows that cannot be read stand between the balances: mend them; nothing was taken.")
    amounts = [line["amount_minor"] for line in lines]
    check_balance("the file", opening, amounts, closing, lambda minor: f"{to_decimal(minor, currency)} {currency}")
    first, last = lines[0]["booked_on"], lines[-1]["booked_on"]
    about = {"account": account, "number": f"{first} to {last}", "currency": currency, "opened_on": first}
    return [{**about, "opening_minor": opening, "closing_minor": closing, "closed_on": last}]
