"""What is left when every rule was applied, and the best guess for each: which order, and why it was not taken.

Belongs here: suggestions, from frames to a frame. Does not belong here: matching itself, which never guesses.
"""

from collections.abc import Mapping
from datetime import date

import polars as pl

from assets.finance.payouts.banked import NAMES
from assets.finance.payouts.frames import DAY, INT, TEXT
from assets.finance.payouts.matching import open_lines, open_pools, resolve
from assets.finance.payouts.words import shown

UNMATCHED: dict[str, pl.DataType] = {
    "item": TEXT,
    "item_id": INT,
    "processor": TEXT,
    "kind": TEXT,
    "day": DAY,
    "age_days": INT,
    "amount_minor": INT,
    "currency": TEXT,
    "reference": TEXT,
    "suggestion": TEXT,
    "suggested_order": TEXT,
}
_UNEXPLAINED = ("adjustment", "reserve", "other")
_NEAR_SHARE = 20
_NEAR_DAYS = 30


def unmatched_items(
    lines: pl.DataFrame,
    orders: pl.DataFrame,
    report: pl.DataFrame,
    bank: pl.DataFrame,
    active: pl.DataFrame,
    processors: Mapping[str, str],
    on_account: frozenset[str],
    today: date,
) -> pl.DataFrame:
    """Everything that should have a counterpart and has none (columns UNMATCHED): lines, payouts, bank lines, orders."""
    parts = [
        _lines(lines, orders, active, processors),
        _unexplained(lines),
        _payouts(report),
        _bank(bank, active),
        _orders(orders, lines, active, processors, on_account),
    ]
    age = (pl.lit(today) - pl.col("day")).dt.total_days().cast(INT)
    return (
        pl.concat([part.select(*(n for n in UNMATCHED if n != "age_days")) for part in parts])
        .with_columns(age.alias("age_days"))
        .select(*UNMATCHED)
        .sort("day", "item", "item_id", nulls_last=True)
    )


def _lines(
    lines: pl.DataFrame, orders: pl.DataFrame, active: pl.DataFrame, processors: Mapping[str, str]
) -> pl.DataFrame:
    left = open_lines(lines, active)
    known = active.select("line_id", "order_id")
    pools = open_pools(orders, active)
    named = resolve(left, lines, orders, known, processors)
    numbers = orders.select("order_id", "number", "placed_on").unique("order_id")
    guesses = [
        _of_the_order(named, pools, numbers, lines, active),
        _of_a_near_number(named, pools, numbers),
        _of_the_amount(named, pools, numbers),
        _of_a_near_amount(named, pools, numbers),
    ]
    best = (
        pl.concat([g.with_columns(rank_=pl.lit(n)) for n, g in enumerate(guesses)])
        .sort("line_id", "rank_", "apart", "suggested_order")
        .unique("line_id", keep="first", maintain_order=True)
    )
    nothing = (
        pl.when(pl.col("named") > 1)
        .then(pl.format("{} orders have the number {}: say which", "named", "order_ref"))
        .when(pl.col("order_ref").is_not_null())
        .then(pl.format("no order has the number {}: was its file taken in?", "order_ref"))
        .otherwise(pl.lit("it names no order, and no order has about this amount near its day"))
    )
    return named.join(best, on="line_id", how="left").select(
        pl.lit("settlement_line").alias("item"),
        pl.col("line_id").alias("item_id"),
        "processor",
        "kind",
        pl.col("occurred_on").alias("day"),
        pl.col("gross_minor").alias("amount_minor"),
        "currency",
        pl.coalesce("order_ref", "external_id").alias("reference"),
        pl.coalesce("suggestion", nothing).alias("suggestion"),
        "suggested_order",
    )


_GUESS = ["line_id", "suggested_order", "suggestion", "apart"]


def _of_the_order(
    named: pl.DataFrame, pools: pl.DataFrame, numbers: pl.DataFrame, lines: pl.DataFrame, active: pl.DataFrame
) -> pl.DataFrame:
    """The order that the line names: what is open of it, and whether another line of this amount has it."""
    twins = (
        active.filter(pl.col("line_id").is_not_null())
        .select("order_id", "pool", "amount_minor", twin="line_id")
        .unique(["order_id", "pool", "amount_minor"], keep="first", maintain_order=True)
    )
    sure = named.filter(pl.col("named") == 1).join(pools, on=["order_id", "pool"]).join(numbers, on="order_id")
    sure = sure.join(
        twins, left_on=["order_id", "pool", "gross_minor"], right_on=["order_id", "pool", "amount_minor"], how="left"
    )
    seen = pl.when(pl.col("currency") == pl.col("order_currency")).then("size").otherwise("shown")
    comparable = (pl.col("currency") == pl.col("order_currency")) | (
        pl.col("shown_currency") == pl.col("order_currency")
    )
    words = (
        pl.when(pl.col("twin").is_not_null())
        .then(pl.format("a second one of this amount for order {}: line {} is matched with it", "number", "twin"))
        .when(pl.col("whole_minor") == 0)
        .then(pl.format("order {} has nothing {} in the books", "number", "pool"))
        .when(~comparable)
        .then(
            pl.format(
                "order {} is in {}: no rate of the day says that the amounts are the same", "number", "order_currency"
            )
        )
        .when(pl.col("open_minor") == 0)
        .then(pl.format("nothing of order {} is open any more", "number"))
        .otherwise(
            pl.format(
                "the amount differs from what is open of order {} by {} {}",
                "number",
                shown(seen - pl.col("open_minor"), "order_currency"),
                "order_currency",
            )
        )
    )
    return sure.select(
        "line_id",
        pl.col("number").alias("suggested_order"),
        words.alias("suggestion"),
        (seen - pl.col("open_minor")).abs().alias("apart"),
    )


def _of_a_near_number(named: pl.DataFrame, pools: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """An open order of just this amount whose number differs by one sign: one too many, one missing or one mistyped."""
    wrong = _unnamed(named).filter(pl.col("ref").str.len_chars().is_between(3, 24)).select("line_id", "ref", *_SEEN)
    wanted = _open(pools, numbers).filter(pl.col("number").str.len_chars().is_between(3, 24))
    wanted = wanted.with_columns(ref=pl.col("number").str.replace_all(r"[#\s]", "").str.to_uppercase())
    a, b = _with_variants(wrong), _with_variants(wanted)
    pairs = a.join(b, left_on=["variant", *_SEEN], right_on=["variant", *_OPEN], suffix="_of_order")
    return pairs.unique(["line_id", "order_id"]).select(
        "line_id",
        pl.col("number").alias("suggested_order"),
        pl.format("order {} has just this amount, and its number is like {}", "number", "ref").alias("suggestion"),
        pl.lit(0, INT).alias("apart"),
    )


def _of_the_amount(named: pl.DataFrame, pools: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """The open order of just this amount that is nearest in time."""
    return _nearest(_unnamed(named), _open(pools, numbers), exact=True)


def _of_a_near_amount(named: pl.DataFrame, pools: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """The open order of about this amount, a twentieth at most away, not more than a month off."""
    return _nearest(_unnamed(named), _open(pools, numbers), exact=False)


_SEEN = ["pool", "shown_currency", "shown"]
_OPEN = ["pool", "order_currency", "open_minor"]


def _unnamed(named: pl.DataFrame) -> pl.DataFrame:
    return named.filter(pl.col("named").is_null())


def _open(pools: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    return pools.filter((pl.col("open_minor") > 0) & pl.col("pool").is_in(["paid", "refunded"])).join(
        numbers, on="order_id"
    )


def _with_variants(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row once for its reference and once for each sign that is left out of it: those that share one are near."""
    longest = rows["ref"].str.len_chars().max()
    parts = [rows.with_columns(variant="ref")]
    for place in range(int(longest or 0)):  # pyright: ignore[reportArgumentType]
        without = pl.col("ref").str.slice(0, place) + pl.col("ref").str.slice(place + 1)
        parts.append(rows.filter(pl.col("ref").str.len_chars() > place).with_columns(variant=without))
    return pl.concat(parts)


def _nearest(left: pl.DataFrame, wanted: pl.DataFrame, *, exact: bool) -> pl.DataFrame:
    days = (pl.col("placed_on") - pl.col("occurred_on")).dt.total_days()
    if exact:
        found = left.sort("occurred_on").join_asof(
            wanted.sort("placed_on", "order_id"),
            left_on="occurred_on",
            right_on="placed_on",
            by_left=_SEEN,
            by_right=_OPEN,
            strategy="nearest",
            check_sortedness=False,
            coalesce=False,
        )
        words = pl.format("order {} has just this amount, {} days away", "number", days.abs())
        apart = days.abs()
    else:
        found = left.sort("shown").join_asof(
            wanted.sort("open_minor", "order_id"),
            left_on="shown",
            right_on="open_minor",
            by_left=_SEEN[:2],
            by_right=_OPEN[:2],
            strategy="nearest",
            check_sortedness=False,
            coalesce=False,
        )
        by = pl.col("shown") - pl.col("open_minor")
        found = found.filter((by.abs() * _NEAR_SHARE <= pl.col("shown")) & (days.abs() <= _NEAR_DAYS))
        words = pl.format(
            "order {} differs by {} {} and {} days", "number", shown(by, "order_currency"), "order_currency", days.abs()
        )
        apart = by.abs()
    number = pl.col("number").alias("suggested_order")
    found = found.filter(pl.col("number").is_not_null()).with_columns(order_currency=pl.col("shown_currency"))
    return found.select("line_id", number, words.alias("suggestion"), apart.cast(INT).alias("apart"))


def _unexplained(lines: pl.DataFrame) -> pl.DataFrame:
    """What a processor booked besides orders. Reserves that were given back in full explain themselves."""
    held = (
        lines.filter(pl.col("kind") == "reserve")
        .group_by("processor", "currency")
        .agg(pl.col("net_minor").sum().alias("held"))
    )
    rows = lines.filter(pl.col("kind").is_in(_UNEXPLAINED) & (pl.col("net_minor") != 0))
    rows = rows.join(held, on=["processor", "currency"], how="left")
    rows = rows.filter((pl.col("kind") != "reserve") | (pl.col("held") != 0))
    words = (
        pl.when(pl.col("kind") == "reserve")
        .then(pl.format("the processor keeps {} {} back in all", shown(-pl.col("held")), "currency"))
        .otherwise(pl.lit("it belongs to no order: record what it was (`luxauto finance record`)"))
    )
    return rows.select(
        pl.lit("settlement_line").alias("item"),
        pl.col("line_id").alias("item_id"),
        "processor",
        "kind",
        pl.col("occurred_on").alias("day"),
        pl.col("net_minor").alias("amount_minor"),
        "currency",
        pl.coalesce("description", "external_id").alias("reference"),
        words.alias("suggestion"),
        pl.lit(None, TEXT).alias("suggested_order"),
    )


def _payouts(report: pl.DataFrame) -> pl.DataFrame:
    return report.filter(~pl.col("state").is_in(["banked", "nothing_due"])).select(
        pl.lit("payout").alias("item"),
        pl.col("payout_id").alias("item_id"),
        "processor",
        pl.col("state").alias("kind"),
        pl.col("paid_on").alias("day"),
        pl.col("expected_minor").alias("amount_minor"),
        "currency",
        pl.col("payout_ref").alias("reference"),
        pl.col("explanation").alias("suggestion"),
        pl.lit(None, TEXT).alias("suggested_order"),
    )


def _bank(bank: pl.DataFrame, active: pl.DataFrame) -> pl.DataFrame:
    """Bank lines that name a processor and no payout was found for."""
    text = pl.concat_str(
        "counterparty", "reference", "description", separator=" ", ignore_nulls=True
    ).str.to_lowercase()
    named = pl.coalesce(*(pl.when(text.str.contains(name, literal=True)).then(pl.lit(name)) for name in sorted(NAMES)))
    free = bank.join(active.select("bank_line_id").drop_nulls(), on="bank_line_id", how="anti")
    return (
        free.with_columns(named.alias("processor"))
        .filter(pl.col("processor").is_not_null())
        .select(
            pl.lit("bank_line").alias("item"),
            pl.col("bank_line_id").alias("item_id"),
            "processor",
            pl.lit("payout").alias("kind"),
            pl.col("booked_on").alias("day"),
            "amount_minor",
            "currency",
            pl.coalesce("end_to_end_id", "reference").alias("reference"),
            pl.format("no payout of {} is of this amount: was its statement taken in?", "processor").alias(
                "suggestion"
            ),
            pl.lit(None, TEXT).alias("suggested_order"),
        )
    )


def _orders(
    orders: pl.DataFrame,
    lines: pl.DataFrame,
    active: pl.DataFrame,
    processors: Mapping[str, str],
    on_account: frozenset[str],
) -> pl.DataFrame:
    """Orders that a processor should have paid for and of which something is open, since its first statement."""
    clears = pl.col("channel").replace_strict(dict(processors), default=pl.col("channel"), return_dtype=TEXT)
    since = lines.group_by("processor").agg(pl.col("occurred_on").min().alias("since"))
    placed = (
        orders.filter(~pl.col("channel").is_in(list(on_account)))
        .with_columns(clears.alias("processor"))
        .join(since, on="processor")
        .filter(pl.col("placed_on") >= pl.col("since"))
    )
    pools = open_pools(placed, active).filter(pl.col("pool").is_in(["paid", "refunded"]) & (pl.col("open_minor") != 0))
    joined = pools.join(placed, left_on=["order_id", "order_currency"], right_on=["order_id", "currency"])
    what = pl.when(pl.col("pool") == "paid").then(pl.lit("payment")).otherwise(pl.lit("refund"))
    words = (
        pl.when(pl.col("open_minor") == pl.col("whole_minor"))
        .then(pl.format("the {} of order {} is in no statement", what, "number"))
        .when(pl.col("open_minor") > 0)
        .then(pl.format("a part of the {} of order {} is in no statement", what, "number"))
        .otherwise(pl.format("more was matched with order {} than it is about: was it changed since?", "number"))
    )
    return joined.select(
        pl.lit("order").alias("item"),
        pl.col("order_id").alias("item_id"),
        "processor",
        pl.col("pool").alias("kind"),
        pl.col("placed_on").alias("day"),
        (pl.col("open_minor") * pl.when(pl.col("pool") == "paid").then(1).otherwise(-1))
        .cast(INT)
        .alias("amount_minor"),
        pl.col("order_currency").alias("currency"),
        pl.col("number").alias("reference"),
        words.alias("suggestion"),
        pl.lit(None, TEXT).alias("suggested_order"),
    )
