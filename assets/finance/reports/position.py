"""Balance sheet, trial balance and general ledger: what stands in the books on a day, in the base currency.

Belongs here: balances. Does not belong here: what was earned (`income`), open items of customers (`receivables`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import polars as pl

from assets.finance.reports.evidence import evidence
from assets.finance.reports.model import Column, Report, ReportError, Row, Term, Value, all_of
from assets.finance.reports.sources import Sources, unvalued_note, valued, within
from assets.finance.reports.span import Span, ends

BASE = "base"
MOST_POSTINGS = 200_000
_SIDES = (("asset", "Assets", 1), ("liability", "Liabilities", -1), ("equity", "Equity", -1))
_RESULT = "result"


def balance_sheet(sources: Sources, span: Span, by: str = "month") -> Report:
    """Assets, liabilities and equity at the end of each month (or other bucket) of the span, from all postings until then.

    Revenue and expenses that were not carried to retained earnings stand in equity as the result. Raises ReportError for
    another than the base currency.
    """
    sources.in_base_only("balance_sheet")
    days = ends(span, by)
    columns = tuple(Column(day.isoformat(), f"at {day}") for day in days)
    postings = valued(within(sources.postings, None, span.last), sources)
    leaves, names = _balances(postings, days)
    rows = _sides(names)
    report = Report.of(
        "balance_sheet",
        "Balance sheet",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        unvalued_note(postings),
        lambda row, columns: pl.concat(_balance_evidence(postings, row, column) for column in columns),
    )
    crooked = [c.key for c in columns if report.cell("total_assets", c.key) != report.cell("total_claims", c.key)]
    broken = (f"Assets and claims differ at {', '.join(crooked)}.",) if crooked else ()
    return replace(report, notes=(*broken, *report.notes))


def _balances(
    postings: pl.LazyFrame, days: Sequence[date]
) -> tuple[dict[tuple[str, str], Value], dict[str, tuple[str, str]]]:
    """Balances by row and day, debit positive for assets and credit positive for the rest."""
    wanted = pl.DataFrame({"end": days}).lazy().set_sorted("end")
    value = pl.col("value_minor")
    moves = (
        postings.group_by("account", "account_name", "account_type", "day")
        .agg(value.sum(), value.count().alias("known"))
        .sort("day")
        .join_asof(wanted, left_on="day", right_on="end", strategy="forward")
        .group_by("account", "account_name", "account_type", "end")
        .agg(value.sum(), pl.col("known").sum())
        .collect()
    )
    names: dict[str, tuple[str, str]] = {}
    by_row: dict[str, dict[date, tuple[int, int]]] = {}
    for account, name, type, end, minor, known in moves.iter_rows():
        flow = type in ("revenue", "expense")
        row = _RESULT if flow else account
        if not flow:
            names[account] = (name, type)
        signed = minor if type == "asset" else -minor
        before = by_row.setdefault(row, {}).get(end, (0, 0))
        by_row[row][end] = (before[0] + signed, before[1] + known)
    leaves: dict[tuple[str, str], Value] = {}
    for row, of_day in by_row.items():
        total, known, begun = 0, 0, False
        for day in days:
            minor, count = of_day.get(day, (0, 0))
            total, known, begun = total + minor, known + count, begun or day in of_day
            leaves[row, day.isoformat()] = total if known or not begun else None
    return leaves, names


def _sides(names: dict[str, tuple[str, str]]) -> tuple[Row, ...]:
    rows: list[Row] = []
    claims: list[str] = []
    for type, title, _ in _SIDES:
        lines = [
            Row(code, f"{code}  {name}", depth=1) for code, (name, of_type) in sorted(names.items()) if of_type == type
        ]
        if type == "equity":
            lines.append(Row(_RESULT, "Result not carried to retained earnings", depth=1))
        total = f"total_{ {'asset': 'assets', 'liability': 'liabilities', 'equity': 'equity'}[type] }"
        rows += [Row(type, title, "heading"), *lines]
        kind = "total" if type == "asset" else "subtotal"
        rows.append(Row(total, f"Total {title.lower()}", kind, sums=all_of(line.key for line in lines)))
        claims += [] if type == "asset" else [total]
    rows.append(Row("total_claims", "Total liabilities and equity", "total", sums=all_of(claims)))
    return tuple(rows)


def _balance_evidence(postings: pl.LazyFrame, row: str, column: str) -> pl.DataFrame:
    until = postings.filter(pl.col("day") <= date.fromisoformat(column))
    flows = pl.col("account_type").is_in(["revenue", "expense"])
    chosen = until.filter(flows if row == _RESULT else (pl.col("account") == row) & ~flows).collect()
    sign = pl.when(pl.col("account_type") == "asset").then(1).otherwise(-1)
    return evidence(chosen, pl.col("value_minor") * sign)


def trial_balance(sources: Sources, span: Span) -> Report:
    """Every account in every currency: opening, debit, credit, closing; then all of them in the base currency.

    Debit is positive. Each currency's openings and closings add up to zero, its debits are its credits.
    """
    sources.in_base_only("trial_balance")
    postings = valued(within(sources.postings, None, span.last), sources)
    own = _movements(postings, span, "amount_minor", ["account", "account_name", "currency"])
    base = _movements(postings, span, "value_minor", ["account", "account_name"]).with_columns(
        pl.lit(BASE).alias("currency")
    )
    sections: dict[str, str] = {currency: currency for currency in own["currency"].unique().sort()}
    if list(sections) != [sources.base_currency]:
        sections[BASE] = sources.base_currency
    found = pl.concat([own, base.select(own.columns)])
    columns = (
        Column("opening", "Opening"),
        Column("debit", "Debit"),
        Column("credit", "Credit"),
        Column("closing", "Closing", sums=(("opening", 1), ("debit", 1), ("credit", -1))),
    )
    leaves: dict[tuple[str, str], Value] = {}
    rows: list[Row] = []
    for section, currency in sections.items():
        mine = found.filter(pl.col("currency") == section).sort("account")
        title = f"All currencies, in {currency}" if section == BASE else currency
        rows.append(Row(f"in/{section}", title, "heading"))
        for account, name, _, opening, debit, credit in mine.iter_rows():
            key = f"{account}/{section}"
            rows.append(Row(key, f"{account}  {name}", depth=1, currency=currency))
            leaves |= {(key, "opening"): opening, (key, "debit"): debit, (key, "credit"): credit}
        keys = [f"{account}/{section}" for account in mine["account"]]
        rows.append(Row(f"total/{section}", f"Total {title}", "total", currency=currency, sums=all_of(keys)))
    return Report.of(
        "trial_balance",
        "Trial balance",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        unvalued_note(postings),
        lambda row, columns: pl.concat(_movement_evidence(postings, span, row, c) for c in columns),
    )


def _movements(postings: pl.LazyFrame, span: Span, amount: str, keys: list[str]) -> pl.DataFrame:
    value, before = pl.col(amount), pl.col("day") < span.first
    return (
        postings.filter(value.is_not_null())
        .group_by(keys)
        .agg(
            value.filter(before).sum().alias("opening"),
            value.filter(~before & (value > 0)).sum().alias("debit"),
            (-value.filter(~before & (value < 0)).sum()).alias("credit"),
        )
        .collect()
    )


def _movement_evidence(postings: pl.LazyFrame, span: Span, row: str, column: str) -> pl.DataFrame:
    account, _, section = row.rpartition("/")
    value = pl.col("value_minor" if section == BASE else "amount_minor")
    before = pl.col("day") < span.first
    of_column = {"opening": before, "debit": ~before & (value > 0), "credit": ~before & (value < 0)}[column]
    chosen = postings.filter(pl.col("account") == account, of_column)
    if section != BASE:
        chosen = chosen.filter(pl.col("currency") == section)
    return evidence(chosen.collect(), value * (-1 if column == "credit" else 1))


def general_ledger(sources: Sources, span: Span) -> Report:
    """Every posting of the span by account, between the opening and the closing balance. Raises ReportError for too many."""
    postings = valued(within(sources.postings, None, span.last), sources)
    sources.in_base_only("general_ledger")
    before = pl.col("day") < span.first
    now = postings.filter(~before)
    count = now.select(pl.len()).collect().item()
    if count > MOST_POSTINGS:
        raise ReportError(
            f"{count} postings from {span} are more than a general ledger of {MOST_POSTINGS} lines holds: name fewer days"
        )
    value = pl.col("value_minor")
    opening = postings.filter(before).group_by("account", "account_name").agg(value.sum()).collect()
    accounts = pl.concat([opening.select("account", "account_name"), now.select("account", "account_name").collect()])
    openings = dict(opening.select("account", "value_minor").iter_rows())
    rows: list[Row] = []
    leaves: dict[tuple[str, str], Value] = {}
    by_account = now.sort("day", "entry_id", "posting_id").collect().partition_by("account", as_dict=True)
    for account, name in (
        accounts.unique()
        .sort("account", "account_name")
        .unique("account", keep="first", maintain_order=True)
        .iter_rows()
    ):
        mine = by_account.get((account,))
        terms = _ledger_lines(account, name, openings.get(account, 0), mine, rows, leaves)
        rows.append(Row(f"{account}/closing", "Closing balance", "subtotal", depth=1, sums=terms))
    columns = (
        Column("day", "Day", "text"),
        Column("entry", "Entry", "text"),
        Column("document", "Order or reference", "text"),
        Column("subaccount", "Account", "text"),
        Column("amount", f"Amount in {sources.currency}"),
    )
    return Report.of(
        "general_ledger",
        "General ledger",
        (span.first, span.last),
        sources.currency,
        columns,
        rows,
        leaves,
        unvalued_note(now),
        lambda row, columns: _ledger_evidence(postings, span, row),
    )


def _ledger_lines(
    account: str,
    name: str,
    opening: int,
    postings: pl.DataFrame | None,
    rows: list[Row],
    leaves: dict[tuple[str, str], Value],
) -> tuple[Term, ...]:
    """The heading, the opening and one line a posting, added to `rows` and `leaves`; the terms of the closing balance."""
    first = f"{account}/opening"
    rows += [Row(account, f"{account}  {name}", "heading"), Row(first, "Opening balance", depth=1)]
    leaves[first, "amount"] = opening
    terms: list[Term] = [(first, 1)]
    if postings is None:
        return tuple(terms)
    document = pl.coalesce("order_number", "reference").alias("document")
    for posting, day, entry, text, document_, sub, minor in postings.select(
        "posting_id", "day", "entry_id", "description", document, "subaccount", "value_minor"
    ).iter_rows():
        key = f"posting/{posting}"
        rows.append(Row(key, text or "", depth=1))
        cells = {"day": day.isoformat(), "entry": str(entry), "document": document_, "subaccount": sub, "amount": minor}
        leaves |= {(key, column): value for column, value in cells.items()}
        terms.append((key, 1))
    return tuple(terms)


def _ledger_evidence(postings: pl.LazyFrame, span: Span, row: str) -> pl.DataFrame:
    kind, _, rest = row.partition("/")
    if kind == "posting":
        chosen = postings.filter(pl.col("posting_id") == int(rest))
    else:
        chosen = postings.filter(pl.col("account") == kind, pl.col("day") < span.first)
    return evidence(chosen.collect(), pl.col("value_minor"))
