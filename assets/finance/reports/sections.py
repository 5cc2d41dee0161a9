"""Where an account stands in the statements: by its type and the first digits of its code, whatever the chart calls it.

Belongs here: the order of the statements. Does not belong here: the chart (`accounts`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """Accounts that stand together."""

    key: str
    title: str


SALES = Section("sales", "Sales of goods")
OTHER_INCOME = Section("other_income", "Other income")
COST = Section("cost", "Cost of sales")
OPERATING = Section("operating", "Operating expenses")
FINANCIAL = Section("financial", "Exchange differences")
INCOME_SECTIONS = (SALES, OTHER_INCOME, COST, OPERATING, FINANCIAL)

CUSTOMERS = Section("from_customers", "Received from customers")
TAXES = Section("taxes", "Sales tax and VAT")
SUPPLIERS = Section("suppliers", "Goods and suppliers")
FEES = Section("fees", "Payment and marketplace fees")
DISPUTES = Section("disputes", "Chargebacks")
MARKETING = Section("marketing", "Marketing")
OTHER_OPERATING = Section("other_operating", "Other operating payments")
INTERCOMPANY = Section("intercompany", "Within the group")
OWNERS = Section("owners", "Owners")
EXCHANGE = Section("exchange", "Exchange differences")
OPERATING_CASH = (CUSTOMERS, TAXES, SUPPLIERS, FEES, DISPUTES, MARKETING, OTHER_OPERATING)
FINANCING_CASH = (INTERCOMPANY, OWNERS)

CASH = ("1000", "1100")
"""Banks, and what processors and marketplaces hold for us."""
EXCHANGE_ACCOUNTS = "7"
RECEIVABLE, TAX_PAYABLE, INPUT_TAX = "1200", "2200", "1400"
GROSS, RETURNS, DISCOUNTS, SHIPPING, GOODS_COST = "4000", "4100", "4200", "4300", "5000"

# The longest prefix counts.
_CASH_PREFIXES: dict[str, Section] = {
    "115": DISPUTES,
    "12": CUSTOMERS,
    "13": SUPPLIERS,
    "14": TAXES,
    "18": INTERCOMPANY,
    "19": EXCHANGE,
    "20": SUPPLIERS,
    "21": CUSTOMERS,
    "22": TAXES,
    "28": INTERCOMPANY,
    "3": OWNERS,
    "4": CUSTOMERS,
    "5": SUPPLIERS,
    "61": FEES,
    "635": DISPUTES,
    "64": MARKETING,
    "7": EXCHANGE,
}


def income_section(code: str, type: str) -> Section:
    """Where a revenue or expense account stands in the profit and loss."""
    if code.startswith(EXCHANGE_ACCOUNTS):
        return FINANCIAL
    if type == "revenue":
        return SALES if code[:2] in ("40", "41", "42") else OTHER_INCOME
    return COST if code.startswith("5") else OPERATING


def cash_section(code: str) -> Section:
    """What a payment against this account was for."""
    for length in range(len(code), 0, -1):
        if code[:length] in _CASH_PREFIXES:
            return _CASH_PREFIXES[code[:length]]
    return OTHER_OPERATING
