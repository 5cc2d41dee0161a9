"""The chart of accounts of a fashion house, and which account each kind of order line touches: the table to read and argue
over. Debit is positive, credit negative.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

AccountType = Literal["asset", "liability", "equity", "revenue", "expense"]


@dataclass(frozen=True)
class Account:
    """One line of the chart."""

    code: str
    name: str
    type: AccountType


CLEARING = Account("1100", "Payment clearing", "asset")
INVENTORY = Account("1300", "Inventory", "asset")
GIFT_CARDS = Account("2100", "Gift cards outstanding", "liability")
SALES_TAX = Account("2200", "Sales tax and VAT payable", "liability")
SALES = Account("4000", "Sales of goods", "revenue")
RETURNS = Account("4100", "Sales returns", "revenue")
DISCOUNTS = Account("4200", "Discounts", "revenue")
SHIPPING = Account("4300", "Shipping income", "revenue")
OTHER_SALES = Account("4800", "Other sales", "revenue")
ADJUSTMENTS = Account("4900", "Manual adjustments", "revenue")
COST_OF_GOODS = Account("5000", "Cost of goods sold", "expense")
FEES = Account("6100", "Payment and marketplace fees", "expense")
SAMPLES = Account("6200", "Samples", "expense")
BAD_DEBT = Account("6300", "Bad debt", "expense")

CHART: tuple[Account, ...] = (
    CLEARING,
    INVENTORY,
    GIFT_CARDS,
    SALES_TAX,
    SALES,
    RETURNS,
    DISCOUNTS,
    SHIPPING,
    OTHER_SALES,
    ADJUSTMENTS,
    COST_OF_GOODS,
    FEES,
    SAMPLES,
    BAD_DEBT,
)

# A line credits its account with its amount and debits clearing; a negative amount does the reverse. Kinds that are not
# here (gift, stock_adjustment, test) move no money.
ACCOUNT_OF_KIND: dict[str, Account] = {
    "goods": SALES,
    "refund": RETURNS,
    "discount": DISCOUNTS,
    "shipping": SHIPPING,
    "tax": SALES_TAX,
    "gift_card": GIFT_CARDS,
    "other": OTHER_SALES,
    "adjustment": ADJUSTMENTS,
    "fee": FEES,
    "sample": SAMPLES,
    "bad_debt": BAD_DEBT,
}


def chart_frame() -> pl.DataFrame:
    """The chart as a frame: code, name, type."""
    return pl.DataFrame([(a.code, a.name, a.type) for a in CHART], schema=["code", "name", "type"], orient="row")
