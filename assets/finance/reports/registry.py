"""Which reports there are, and what each can be asked for: the one list behind commands, routes, assets and exports.

Belongs here: names. Does not belong here: any sum.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Literal

from assets.finance.reports.cash import cash_flow
from assets.finance.reports.cohorts import cohort_value
from assets.finance.reports.income import profit_and_loss, revenue_waterfall
from assets.finance.reports.margins import DIMENSIONS, margin_by_dimension
from assets.finance.reports.model import Report, ReportError, UnknownReport
from assets.finance.reports.payouts import payouts
from assets.finance.reports.position import balance_sheet, general_ledger, trial_balance
from assets.finance.reports.receivables import receivables_ageing
from assets.finance.reports.sources import Sources
from assets.finance.reports.span import PLACES, TIMES, Span
from assets.finance.reports.tax import vat_report

Since = Literal["books", "year", "month"]
STATEMENTS = (
    "profit_and_loss",
    "balance_sheet",
    "trial_balance",
    "cash_flow",
    "revenue_waterfall",
    "vat_report",
    "receivables_ageing",
    "payouts",
)
"""What an export holds unless others are named."""


@dataclass(frozen=True)
class Definition:
    """A report that can be asked for: by which buckets, whether compared with other days, and what it reads.

    `history`: it needs all days until the last. `lines`: it reads order lines too. `since`: where it begins unless told
    otherwise, with the books, or with the year or month of its last day.
    """

    name: str
    says: str
    make: Callable[..., Report]
    by: tuple[str, ...] = ()
    compares: bool = False
    history: bool = False
    lines: bool = False
    since: Since = "books"

    def begin(self, last: date) -> date | None:
        """The first day unless one is named; null for the first of the books."""
        return {"books": None, "year": last.replace(month=1, day=1), "month": last.replace(day=1)}[self.since]


def _definitions() -> list[Definition]:
    flows = (*TIMES, *PLACES)
    margins = [
        Definition(
            f"margin_by_{by}", f"Revenue, cost and margin by {title}.", partial(margin_by_dimension, by=by), lines=True
        )
        for by, title in DIMENSIONS.items()
    ]
    return [
        Definition("profit_and_loss", "Revenue less expenses, account by account.", profit_and_loss, flows, True),
        Definition(
            "balance_sheet", "Assets, liabilities and equity on days.", balance_sheet, TIMES, history=True, since="year"
        ),
        Definition("trial_balance", "Every account in every currency.", trial_balance, history=True, since="year"),
        Definition("general_ledger", "Every posting, account by account.", general_ledger, history=True, since="month"),
        Definition("cash_flow", "What moved banks and clearing accounts.", cash_flow, TIMES, history=True),
        Definition("revenue_waterfall", "Gross sales to margin.", revenue_waterfall, flows, compares=True, lines=True),
        *margins,
        Definition("vat_report", "Sales tax and VAT by jurisdiction.", vat_report, TIMES),
        Definition("receivables_ageing", "What wholesale customers owe.", receivables_ageing, history=True),
        Definition("payouts", "What processors hold and paid out.", payouts, history=True, since="year"),
        Definition("cohort_value", "Customers by first purchase.", cohort_value, history=True, lines=True),
    ]


REPORTS: dict[str, Definition] = {definition.name: definition for definition in _definitions()}
TABLES = (
    "stock_valuation",
    "sell_through",
    "weeks_of_cover",
    "markdown_effect",
    "stock_turns",
    "payout_reconciliation",
)
"""Assets of other modules that an export takes by name, once they are there, as the tables that they are."""


def find_report(name: str) -> Definition:
    """By its name, hyphens as good as underscores. Raises UnknownReport, which names those that there are."""
    try:
        return REPORTS[name.replace("-", "_")]
    except KeyError:
        raise UnknownReport(f"there is no report {name!r}; there are {', '.join(REPORTS)}") from None


def make_report(name: str, sources: Sources, span: Span, by: str | None = None, compare: str | None = None) -> Report:
    """The report of these days. Raises UnknownReport, and ReportError for what it cannot be asked for."""
    definition = find_report(name)
    options: dict[str, str] = {}
    if by is not None:
        if by not in definition.by:
            offered = ", ".join(definition.by) or "no other columns than its own"
            raise ReportError(f"{definition.name} is not by {by!r}; it offers {offered}")
        options["by"] = by
    if compare is not None:
        if not definition.compares:
            able = ", ".join(d.name for d in REPORTS.values() if d.compares)
            raise ReportError(f"{definition.name} is not compared with other days; these are: {able}")
        options["compare"] = compare
    return definition.make(sources, span, **options)
