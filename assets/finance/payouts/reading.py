"""A statement's bytes, whatever vendor made them: the layout is told by what is in the file, not by its name."""

from collections.abc import Callable

from assets.finance.payouts import amazon, paypal, shopify, stripe
from assets.finance.payouts.bank_csv import SOURCE as BANK_CSV
from assets.finance.payouts.bank_csv import BankMap, parse_bank_csv
from assets.finance.payouts.camt import SOURCE as CAMT
from assets.finance.payouts.camt import is_camt, parse_camt
from assets.finance.payouts.cells import as_text, header_of
from assets.finance.payouts.frames import BankFile, Reading, Settlement, StatementError
from assets.finance.payouts.mt940 import SOURCE as MT940
from assets.finance.payouts.mt940 import is_mt940, parse_mt940

STRIPE_JSON = "stripe_json"
_TABLES: dict[str, set[str]] = {
    shopify.SOURCE: shopify.COLUMNS,
    stripe.SOURCE: stripe.COLUMNS,
    paypal.SOURCE: paypal.COLUMNS,
    amazon.SOURCE: amazon.COLUMNS,
}
_PARSERS: dict[str, Callable[[str, Reading], Settlement | BankFile]] = {
    shopify.SOURCE: shopify.parse_shopify,
    stripe.SOURCE: stripe.parse_stripe,
    STRIPE_JSON: stripe.parse_stripe_json,
    paypal.SOURCE: paypal.parse_paypal,
    amazon.SOURCE: amazon.parse_amazon,
    CAMT: parse_camt,
    MT940: parse_mt940,
}
FORMATS = (*_PARSERS, BANK_CSV)


def format_of(text: str) -> str | None:
    """Which of FORMATS a text is; None where nothing tells, as with a bank's CSV."""
    if is_camt(text):
        return CAMT
    if stripe.is_stripe_json(text):
        return STRIPE_JSON
    if is_mt940(text):
        return MT940
    columns = set(header_of(text))
    return next((name for name, needed in _TABLES.items() if needed <= columns), None)


def read_statement(
    content: bytes, reading: Reading, *, kind: str | None = None, bank_map: BankMap | None = None
) -> Settlement | BankFile:
    """Read a statement. `kind` names its format where it should not be told from its content; a map makes it a bank's CSV.

    Raises StatementError for what is of no format, damaged, or does not add up.
    """
    text = as_text(content)
    if not text.strip():
        raise StatementError("the file is empty. Export it again.")
    if kind is not None and kind not in FORMATS:
        raise StatementError(f"{kind!r} is no format. Give one of {', '.join(FORMATS)}.")
    found = kind or (BANK_CSV if bank_map is not None else format_of(text))
    if found is None:
        known = ", ".join(name for name in FORMATS if name != BANK_CSV)
        raise StatementError(f"the file is none of {known}. A bank's CSV needs a map: give --map FILE.")
    if found == BANK_CSV:
        if bank_map is None:
            raise StatementError("a bank's CSV needs a map: give --map FILE.")
        return parse_bank_csv(text, reading, bank_map)
    if found in _TABLES and (missing := sorted(_TABLES[found] - set(header_of(text)))):
        raise StatementError(f"a {found} file has a column {missing[0]!r}, and this one has not.")
    return _PARSERS[found](text, reading)
