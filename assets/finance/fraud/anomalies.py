"""What is odd in the books: documents that are there twice, round sums, digits, prices and refunds that do not fit.

Belongs here: pure functions from postings and order lines to rows of ANOMALIES. Does not belong here: what clients do
(`unsupervised`). An anomaly is a question, not a verdict.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import polars as pl

INT, TEXT = pl.Int64(), pl.String()
ANOMALIES: dict[str, pl.DataType] = {
    "kind": TEXT,
    "subject": TEXT,
    "day": pl.Date(),
    "channel": TEXT,
    "sku": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "strength": pl.Float64(),
    "reason": TEXT,
}
"""`strength` orders rows of one kind, the oddest first; kinds are not compared by it."""

KINDS = (
    "duplicate_document",
    "round_sum",
    "first_digits",
    "price_outlier",
    "refund_above_sale",
    "refund_without_sale",
)
SPENDING_KINDS = ("expense", "marketing", "supplier_invoice", "purchase")
DUPLICATE_DAYS = 30
LARGE_SET = 500
"""Fewer amounts than this are not asked for their first digits: chance alone would fail them."""
_MAD_LIMITS = ((0.006, "close"), (0.012, "acceptable"), (0.015, "marginal"))
Conformity = Literal["close", "acceptable", "marginal", "none"]
CHI_SQUARE_5_PERCENT = 15.507
"""Of eight degrees of freedom."""

PRICE_DEVIATIONS, PRICE_RATIO = 6.0, 2.0
PRICE_SHARE = 0.01
_LEAST_PRICES = 8


@dataclass(frozen=True)
class Benford:
    """How the first digits 1 to 9 of `count` amounts fall. `mad` is the mean absolute deviation from Benford's shares.

    Conformity is Nigrini's (2012, Benford's Law, table 7.1): close to 0.006, acceptable to 0.012, marginal to 0.015.
    """

    count: int
    shares: tuple[float, ...]
    mad: float
    chi_square: float
    conformity: Conformity


def benford_share(digit: int) -> float:
    """Share of amounts that begin with the digit: log10(1 + 1/d)."""
    return math.log10(1 + 1 / digit)


def benford(amounts: Sequence[int] | pl.Series) -> Benford | None:
    """First digits of amounts, whatever their sign and unit. None where there are fewer than LARGE_SET other than zero."""
    known = pl.Series("amount", amounts, pl.Int64).drop_nulls()
    digits = known.filter(known != 0).cast(pl.String).str.strip_chars_start("-").str.head(1).cast(pl.Int64)
    count = digits.len()
    if count < LARGE_SET:
        return None
    seen = dict(digits.value_counts().iter_rows())
    shares = tuple(seen.get(digit, 0) / count for digit in range(1, 10))
    wanted = [benford_share(digit) for digit in range(1, 10)]
    mad = sum(abs(share - want) for share, want in zip(shares, wanted, strict=True)) / 9
    chi_square = count * sum((share - want) ** 2 / want for share, want in zip(shares, wanted, strict=True))
    conformity = next((word for limit, word in _MAD_LIMITS if mad <= limit), "none")
    return Benford(count, shares, mad, chi_square, conformity)  # pyright: ignore[reportArgumentType]


def find_anomalies(postings: pl.DataFrame, valued: pl.DataFrame) -> pl.DataFrame:
    """All of them as rows of ANOMALIES. `postings` are POSTINGS of the ledger, `valued` order lines with amounts."""
    documents = spending_documents(postings)
    found = [
        duplicate_documents(documents),
        round_sums(documents),
        first_digits(documents),
        price_outliers(valued),
        refunds_above_sale(valued),
        refunds_without_sale(valued),
    ]
    return pl.concat(found).sort("kind", "strength", "subject", descending=[False, True, False])


def spending_documents(postings: pl.DataFrame) -> pl.DataFrame:
    """What was spent, one row a journal entry: expenses, marketing and suppliers' invoices.

    Columns entry_id, day, reference, description, party (sub-account that is credited most: a supplier's, or a bank's),
    amount_minor (all debits), currency. What a reversal took back is left out: the newest document of its party, amount,
    currency and reference.
    """
    documents = _entries(postings.filter(pl.col("kind").is_in(SPENDING_KINDS)))
    taken_back = pl.col("amount_minor").neg()
    reversals = _entries(postings.filter(pl.col("kind") == "reversal").with_columns(taken_back))
    same = ["party", "amount_minor", "currency", "reference"]
    number = pl.int_range(pl.len()).over(same).alias("number")
    newest = documents.sort("day", "entry_id", descending=True).with_columns(number)
    kept = newest.join(reversals.with_columns(number), on=[*same, "number"], how="anti", nulls_equal=True)
    return kept.drop("number").sort("day", "entry_id")


def _entries(postings: pl.DataFrame) -> pl.DataFrame:
    """One row an entry and currency that debits anything: its debits and whom it credits most."""
    by = ["entry_id", "currency"]
    debits = (
        postings.filter(pl.col("amount_minor") > 0)
        .group_by(by)
        .agg(pl.col("day", "reference", "description").first(), pl.col("amount_minor").sum())
    )
    credited = postings.filter(pl.col("amount_minor") < 0).sort("amount_minor", "subaccount")
    parties = credited.group_by(by, maintain_order=True).agg(pl.col("subaccount").first().alias("party"))
    documents = debits.join(parties, on=by, how="left")
    return documents.select("entry_id", "day", "reference", "description", "party", "amount_minor", "currency")


def duplicate_documents(documents: pl.DataFrame) -> pl.DataFrame:
    """Documents of one party, amount and currency within a month: by the same number, or by none that tells them apart.

    The later one of each pair is told. Two numbers that differ by more than punctuation are two documents.
    """
    number = pl.col("reference").str.to_lowercase().str.replace_all(r"[^a-z0-9]", "")
    same = ["party", "amount_minor", "currency"]
    keyed = documents.with_columns(number.alias("number")).sort("day", "entry_id")
    pairs = keyed.join(keyed, on=same, suffix="_before", nulls_equal=True).filter(
        (pl.col("entry_id") != pl.col("entry_id_before"))
        & (
            (pl.col("day_before") < pl.col("day"))
            | ((pl.col("day_before") == pl.col("day")) & (pl.col("entry_id_before") < pl.col("entry_id")))
        )
    )
    alike = pl.col("number") == pl.col("number_before")
    unnumbered = (
        pl.col("number").is_null()
        & pl.col("number_before").is_null()
        & (pl.col("description") == pl.col("description_before"))
    )
    near = pl.col("day") - pl.col("day_before") <= timedelta(DUPLICATE_DAYS)
    # Rent and salaries are the same every month: without a number only a few days make them one.
    close = pl.col("day") - pl.col("day_before") <= timedelta(7)
    twice = pairs.filter((alike & near) | (unnumbered.fill_null(False) & close)).unique("entry_id", keep="first")
    reason = pl.format("the same amount and number as entry {} of {}", "entry_id_before", "day_before")
    without = pl.format("the same amount and text as entry {} of {}, and no number", "entry_id_before", "day_before")
    return _rows(
        twice,
        kind="duplicate_document",
        subject=pl.format("entry {}", "entry_id"),
        strength=pl.col("amount_minor").cast(pl.Float64),
        reason=pl.when(alike.fill_null(False)).then(reason).otherwise(without),
    )


def round_sums(documents: pl.DataFrame) -> pl.DataFrame:
    """Amounts with at most two digits other than zero, of 1,000 units and more, where the party's amounts seldom are so.

    Minor units of two decimals are assumed for the 1,000; what is round is so in any unit.
    """
    digits = pl.col("amount_minor").cast(pl.String).str.strip_chars_end("0").str.len_chars()
    large = pl.col("amount_minor") >= 100_000
    marked = documents.with_columns(((digits <= 2) & large).alias("round"))
    habit = pl.col("round").mean().over("party", "currency")
    return _rows(
        marked.filter(pl.col("round") & (habit <= 0.5)),
        kind="round_sum",
        subject=pl.format("entry {}", "entry_id"),
        strength=pl.col("amount_minor").cast(pl.Float64),
        reason=pl.lit("a large round sum from a party whose amounts seldom are round"),
    )


def first_digits(documents: pl.DataFrame) -> pl.DataFrame:
    """Parties and the whole whose many amounts do not begin as amounts do (Benford): MAD beyond Nigrini's last limit."""
    found = []
    groups = [("all spending", documents), *((str(party), part) for (party,), part in documents.group_by("party"))]
    for name, part in groups:
        digits = benford(part["amount_minor"])
        if digits is not None and digits.conformity == "none" and digits.chi_square > CHI_SQUARE_5_PERCENT:
            figures = f"mean deviation {digits.mad:.4f}, chi-square {digits.chi_square:.0f}"
            words = f"first digits of {digits.count} amounts: {figures}"
            found.append({"kind": "first_digits", "subject": name, "strength": digits.mad, "reason": words})
    return pl.DataFrame(
        found, schema={n: t for n, t in ANOMALIES.items() if n in ("kind", "subject", "strength", "reason")}
    ).select(
        pl.col(n) if n in ("kind", "subject", "strength", "reason") else pl.lit(None, t).alias(n)
        for n, t in ANOMALIES.items()
    )


def price_outliers(lines: pl.DataFrame) -> pl.DataFrame:
    """Goods sold at a price far from the product's usual one: robust deviation of the logarithm of price over median.

    By SKU, channel and currency. Prices that one line in a hundred has, or two of them, are a tariff and not odd. No model is
    needed for it: on public sales this ratio ranks better than an isolation forest.
    """
    sold = lines.filter(
        (pl.col("kind") == "goods")
        & (pl.col("quantity") > 0)
        & (pl.col("amount_minor") > 0)
        & pl.col("sku").is_not_null()
    ).with_columns((pl.col("amount_minor") / pl.col("quantity")).alias("price"))
    by = ["sku", "channel", "currency"]
    ratio = (pl.col("price") / pl.col("price").median().over(by)).log()
    compared = sold.with_columns(ratio.alias("ratio"), pl.len().over(by).alias("prices"))
    # Most goods have one price, whose deviation is nothing: a twentieth is the least that counts as usual.
    spread = (1.4826 * pl.col("ratio").abs().median().over(by)).clip(lower_bound=0.05)
    so_far = pl.col("ratio").abs().rank("max", descending=True).over(by)
    odd = compared.with_columns((pl.col("ratio").abs() / spread).alias("deviations"), so_far.alias("so_far")).filter(
        (pl.col("prices") >= _LEAST_PRICES)
        & (pl.col("so_far") <= (pl.col("prices") * PRICE_SHARE).clip(lower_bound=2))
        & (pl.col("deviations") >= PRICE_DEVIATIONS)
        & (pl.col("ratio").abs() >= math.log(PRICE_RATIO))
    )
    return _rows(
        odd,
        kind="price_outlier",
        subject=pl.format("{}/{}", "channel", "order_number"),
        strength=pl.col("ratio").abs(),
        reason=pl.format(
            "sold at {}% of the product's usual price", (pl.col("ratio").exp() * 100).round(0).cast(pl.Int64)
        ),
    )


def refunds_above_sale(lines: pl.DataFrame) -> pl.DataFrame:
    """Goods taken back for more a unit than the client ever paid for one of them before."""
    back, bought = _returns(lines)
    paid = back.join(bought, on=["customer", "sku", "currency"], suffix="_sold").filter(
        pl.col("occurred_at_sold") <= pl.col("occurred_at")
    )
    highest = paid.group_by("line_id").agg(pl.col("unit_sold").max().alias("paid"))
    above = back.join(highest, on="line_id").filter(pl.col("unit") > pl.col("paid") * 1.005 + 1)
    return _rows(
        above,
        kind="refund_above_sale",
        subject=pl.format("{}/{}", "channel", "order_number"),
        strength=pl.col("unit") / pl.col("paid"),
        reason=pl.format(
            "refunded at {}% of what was paid", (pl.col("unit") / pl.col("paid") * 100).round(0).cast(pl.Int64)
        ),
    )


def refunds_without_sale(lines: pl.DataFrame) -> pl.DataFrame:
    """Goods taken back of a known client who has not bought as many before.

    Not asked where the sale may lie before the first line: in the first sixty days.
    """
    back, bought = _returns(lines)
    moves = pl.concat(
        [
            back.select("customer", "sku", "occurred_at", "line_id", -pl.col("units").alias("units")),
            bought.select("customer", "sku", "occurred_at", "line_id", "units"),
        ]
    ).sort("occurred_at", "units", descending=[False, True])
    balance = moves.with_columns(pl.col("units").cum_sum().over("customer", "sku").alias("kept"))
    first = lines["day"].min()
    if first is None:
        return _rows(
            back.clear(), kind="refund_without_sale", subject=pl.lit(""), strength=pl.lit(0.0), reason=pl.lit("")
        )
    beyond = back.join(balance.select("line_id", "kept"), on="line_id").filter(
        (pl.col("kept") < 0) & (pl.col("day") >= first + timedelta(60))  # pyright: ignore[reportOperatorIssue]
    )
    return _rows(
        beyond,
        kind="refund_without_sale",
        subject=pl.format("{}/{}", "channel", "order_number"),
        strength=pl.col("amount_minor").abs().cast(pl.Float64),
        reason=pl.format("{} more taken back than the client has bought", -pl.col("kept")),
    )


def _returns(lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines of goods that came back and that were sold, of known clients, with units and the amount of one."""
    goods = lines.filter(
        (pl.col("kind") == "goods")
        & pl.col("customer").is_not_null()
        & pl.col("sku").is_not_null()
        & (pl.col("quantity") != 0)
    ).with_columns(
        pl.col("quantity").abs().alias("units"),
        (pl.col("amount_minor") / pl.col("quantity")).alias("unit"),
    )
    return goods.filter(pl.col("quantity") < 0), goods.filter(pl.col("quantity") > 0)


def _rows(found: pl.DataFrame, *, kind: str, subject: pl.Expr, strength: pl.Expr, reason: pl.Expr) -> pl.DataFrame:
    made = {"kind": pl.lit(kind), "subject": subject, "strength": strength, "reason": reason}
    return found.select(
        made.get(name, pl.col(name) if name in found.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in ANOMALIES.items()
    )
