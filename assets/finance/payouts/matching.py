"""Which order a settlement line belongs to: by what it names, or by an amount and a date that fit only one.

Belongs here: the rules, from frames to matches. Does not belong here: payouts (`banked`), suggestions for what is left
(`unmatched`), entries (`events`).

An order has pools that lines use up: what was paid, what was refunded, what was disputed and won back. No pool is used beyond
its amount, and no line twice. Lines are taken in the order of their time and key, so that their order in a file is nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from assets.finance.money import divide_half_even, exponent_of
from assets.finance.payouts.frames import DAY, INT, SETTLEMENT, TEXT
from assets.finance.payouts.words import shown

POOLS = {"charge": "paid", "refund": "refunded", "chargeback": "disputed", "chargeback_reversal": "won"}
_SIGNS = {"paid": 1, "refunded": -1, "disputed": -1, "won": 1}

LINES: dict[str, pl.DataType] = {"line_id": INT, "processor": TEXT, "source": TEXT, **SETTLEMENT}
ORDERS: dict[str, pl.DataType] = {
    "order_id": INT,
    "number": TEXT,
    "channel": TEXT,
    "external_id": TEXT,
    "placed_on": DAY,
    "currency": TEXT,
    "paid_minor": INT,
    "refunded_minor": INT,
}
ACTIVE: dict[str, pl.DataType] = {
    "match_id": INT,
    "line_id": INT,
    "bank_line_id": INT,
    "order_id": INT,
    "payout_id": INT,
    "pool": TEXT,
    "rule": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "order_amount_minor": INT,
    "order_currency": TEXT,
}
MATCHES: dict[str, pl.DataType] = {
    "line_id": INT,
    "order_id": INT,
    "pool": TEXT,
    "rule": TEXT,
    "amount_minor": INT,
    "currency": TEXT,
    "order_amount_minor": INT,
    "order_currency": TEXT,
    "flag": TEXT,
}


@dataclass(frozen=True)
class Limits:
    """How far amounts and dates may be apart. `fx_tolerance` is a share, in millionths."""

    date_window: int = 3
    fx_tolerance: int = 30_000
    bank_early: int = 2
    bank_late: int = 10


def normalised(reference: pl.Expr) -> pl.Expr:
    """A number as it is compared: without #, blanks and the difference of cases. Null where nothing is left."""
    plain = reference.str.replace_all(r"[#\s]", "").str.to_uppercase()
    return pl.when(plain != "").then(plain)


def open_pools(orders: pl.DataFrame, active: pl.DataFrame) -> pl.DataFrame:
    """What of each order's pools is not used up: order_id, order_currency, pool, whole_minor, open_minor."""
    paid, refunded = pl.col("paid_minor"), pl.col("refunded_minor")
    sizes = {"paid": paid, "refunded": refunded, "disputed": paid, "won": paid}
    wide = [
        orders.select(
            "order_id", pl.col("currency").alias("order_currency"), pool=pl.lit(pool), whole_minor=size.cast(INT)
        )
        for pool, size in sizes.items()
    ]
    used = (
        active.filter(pl.col("order_id").is_not_null())
        .group_by("order_id", "order_currency", "pool")
        .agg(pl.col("order_amount_minor").sum().alias("used"))
    )
    return (
        pl.concat(wide)
        .join(used, on=["order_id", "order_currency", "pool"], how="left")
        .with_columns((pl.col("whole_minor") - pl.col("used").fill_null(0)).alias("open_minor"))
        .drop("used")
    )


def open_lines(lines: pl.DataFrame, active: pl.DataFrame) -> pl.DataFrame:
    """Lines that should have an order and have none yet, in the order in which they are taken.

    Adds pool, `size` (what it uses of the pool, in its own currency), and `shown` in `shown_currency`, what the client saw.
    """
    pool = pl.col("kind").replace_strict(POOLS, default=None, return_dtype=TEXT)
    sign = pl.col("pool").replace_strict(_SIGNS, default=None, return_dtype=INT)
    told = pl.col("presentment_currency").is_not_null() & pl.col("presentment_minor").is_not_null()
    return (
        lines.join(active.select("line_id").drop_nulls(), on="line_id", how="anti")
        .with_columns(pool.alias("pool"), normalised(pl.col("order_ref")).alias("ref"))
        .filter(pl.col("pool").is_not_null())
        .with_columns(
            (pl.col("gross_minor") * sign).alias("size"),
            pl.when(told).then(pl.col("presentment_minor").abs()).otherwise(pl.col("gross_minor").abs()).alias("shown"),
            pl.when(told).then("presentment_currency").otherwise("currency").alias("shown_currency"),
        )
        .sort("occurred_at", "processor", "line_key", "line_id")
        .with_row_index("rank")
    )


def match_lines(
    lines: pl.DataFrame,
    orders: pl.DataFrame,
    active: pl.DataFrame,
    processors: Mapping[str, str],
    ratios: pl.DataFrame,
    limits: Limits,
) -> pl.DataFrame:
    """Matches (columns MATCHES) for lines (LINES) that have none in `active` (ACTIVE) yet.

    `orders` as ORDERS, a row an order and currency. `processors`: who clears a channel's payments. `ratios` as of
    `fx.daily_ratios`. Matched again with what was found as `active`, nothing more is found.
    """
    pending = open_lines(lines, active)
    found = pl.DataFrame(schema=MATCHES)
    while True:
        left = pending.join(found, on="line_id", how="anti", maintain_order="left")
        known = pl.concat([active.select("line_id", "order_id"), found.select("line_id", "order_id")])
        pools = open_pools(orders, pl.concat([active.select(_USED), found.select(_USED)]))
        new = _by_reference(resolve(left, lines, orders, known, processors), pools, ratios, limits)
        if new.is_empty():
            new = _by_amount(left, orders, pools, processors, limits)
        if new.is_empty():
            return found.sort("line_id")
        # What was found may tell the order of a refund, or leave only one order for another line.
        found = pl.concat([found, new])


_USED = ["order_id", "order_currency", "pool", "order_amount_minor"]


def resolve(
    pending: pl.DataFrame,
    lines: pl.DataFrame,
    orders: pl.DataFrame,
    known: pl.DataFrame,
    processors: Mapping[str, str],
) -> pl.DataFrame:
    """Each line with the one order that it names: adds order_id, `by` (how), `other` and `named` (how many orders it may mean).

    An order is named by its number, by the channel's id of it, or through the movement that the line is about. Where numbers
    of several channels are the same, those that the line's processor clears are meant; `other` says that it clears none.
    """
    names = orders.select("order_id", "channel", "number", "external_id").unique("order_id")
    clears = pl.col("channel").replace_strict(dict(processors), default=pl.col("channel"), return_dtype=TEXT)
    keyed = pl.concat(
        [
            names.select("order_id", clears.alias("clears"), normalised(pl.col("number")).alias("key"), by=pl.lit(0)),
            names.select(
                "order_id", clears.alias("clears"), normalised(pl.col("external_id")).alias("key"), by=pl.lit(1)
            ),
        ]
    ).drop_nulls("key")
    wanted = pl.concat(
        [
            pending.select("line_id", "processor", key="ref"),
            pending.select("line_id", "processor", key=normalised(pl.col("external_id"))),
        ]
    ).drop_nulls("key")
    direct = wanted.unique().join(keyed, on="key")
    originals = (
        lines.select("processor", "line_id", original_id="external_id")
        .drop_nulls("original_id")
        .join(known.drop_nulls(), on="line_id")
        .select("processor", "original_id", "order_id")
        .unique()
    )
    through = pending.select("line_id", "processor", "original_id").join(originals, on=["processor", "original_id"])
    candidates = pl.concat(
        [
            direct.select("line_id", "order_id", "by", other=pl.col("clears") != pl.col("processor")),
            through.select("line_id", "order_id", by=pl.lit(2), other=pl.lit(False)),
        ]
    )
    # The best way to name an order counts; of numbers, those of the processor's own channels.
    best = candidates.with_columns((pl.col("other").cast(pl.Int32) * 3 + pl.col("by")).alias("cost")).filter(
        pl.col("cost") == pl.col("cost").min().over("line_id")
    )
    one = best.group_by("line_id").agg(
        pl.col("order_id").min(),
        pl.col("by").min(),
        pl.col("other").min(),
        pl.col("order_id").n_unique().alias("named"),
    )
    return pending.join(one, on="line_id", how="left", maintain_order="left")


_RULES = {0: "reference", 1: "external_id", 2: "original"}


def _by_reference(named: pl.DataFrame, pools: pl.DataFrame, ratios: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """Lines that name one order, as far as its pool reaches."""
    sure = named.filter((pl.col("named") == 1) & (pl.col("size") > 0))
    joined = sure.join(pools.filter(pl.col("open_minor") > 0), on=["order_id", "pool"])
    own, seen = pl.col("currency") == pl.col("order_currency"), pl.col("shown_currency") == pl.col("order_currency")
    priced = joined.with_columns(
        pl.when(own).then("size").when(seen).then("shown").alias("takes"), (own | seen).alias("is_told")
    )
    told = _fill(priced.filter("is_told"))
    # A pool that was matched exactly in its own currency is not open for what would have to be converted.
    rest = priced.filter(~pl.col("is_told")).join(told.select("line_id"), on="line_id", how="anti")
    rest = rest.join(told.select("order_id", "pool").unique(), on=["order_id", "pool"], how="anti")
    return pl.concat([told, _converted(rest, ratios, limits)]).unique("line_id", keep="first").sort("line_id")


def _fill(priced: pl.DataFrame) -> pl.DataFrame:
    """One line that is just what is open, or all lines of the pool together, or as many from the first as fit."""
    pool = ["order_id", "order_currency", "pool"]
    exact = pl.col("takes") == pl.col("open_minor")
    ranked = priced.sort("rank", "order_currency").with_columns(
        exact.any().over(pool).alias("has_exact"),
        (exact & (exact.cum_sum().over(pool) == 1)).alias("is_first_exact"),
        (pl.col("takes").sum().over(pool) == pl.col("open_minor")).alias("adds_up"),
        (pl.col("takes").cum_sum().over(pool) <= pl.col("open_minor")).alias("fits"),
    )
    chosen = ranked.filter(
        pl.when("has_exact").then("is_first_exact").otherwise(pl.col("adds_up") | (pl.col("fits") & ~pl.col("other")))
    ).with_columns(
        pl.when("has_exact")
        .then(pl.lit(""))
        .when("adds_up")
        .then(pl.lit("_sum"))
        .otherwise(pl.lit("_partial"))
        .alias("how")
    )
    is_part = pl.col("how") == "_partial"
    rule = pl.col("by").replace_strict(_RULES, return_dtype=TEXT) + pl.col("how")
    flag = pl.when(is_part).then(
        pl.format("part of {} {} that are open", shown("open_minor", "order_currency"), "order_currency")
    )
    return chosen.select(_match(rule, pl.col("takes"), flag))


def _converted(rest: pl.DataFrame, ratios: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """A line in another currency than its order settles all that is open, where the day's rates say about the same."""
    if rest.is_empty():
        return pl.DataFrame(schema=MATCHES)
    pool = ["order_id", "order_currency", "pool"]
    # With two lines, nobody can tell how much of the order each one paid.
    alone = rest.filter(pl.len().over(pool) == 1)
    base = ratios.select("currency", day="day", n="numerator", d="denominator")
    worth = _worth(alone, base, "currency", "size", "line_worth")
    worth = _worth(worth, base, "order_currency", "open_minor", "order_worth")
    apart = (pl.col("line_worth") - pl.col("order_worth")).abs().cast(pl.Int128) * 1_000_000
    near = worth.filter(apart <= pl.col("order_worth").cast(pl.Int128) * limits.fx_tolerance)
    rule = pl.col("by").replace_strict(_RULES, return_dtype=TEXT) + pl.lit("_converted")
    flag = pl.format(
        "{} {} for {} {}: within the tolerance of the day's rate",
        shown("size"),
        "currency",
        shown("open_minor", "order_currency"),
        "order_currency",
    )
    return near.select(_match(rule, pl.col("open_minor"), flag))


def _worth(rows: pl.DataFrame, base: pl.DataFrame, currency: str, amount: str, into: str) -> pl.DataFrame:
    """What an amount is worth in millionths of the base currency's major unit; null without a rate."""
    scaled = pl.col(amount).cast(pl.Int128) * pl.lit(10, pl.Int128).pow(6)
    digits = pl.lit(10, pl.Int128).pow(exponent_of(pl.col(currency)))
    joined = rows.join(
        base, left_on=[currency, "occurred_on"], right_on=["currency", "day"], how="left", maintain_order="left"
    )
    numerator, denominator = (pl.col(name).fill_null(1).cast(pl.Int128) for name in ("n", "d"))
    # The base currency has no ratio to itself; any other without one is not known.
    unknown = pl.col("n").is_null() & pl.col(currency).is_in(base["currency"].unique().implode())
    value = divide_half_even(scaled * numerator, digits * denominator)
    return joined.with_columns(pl.when(~unknown).then(value).cast(INT, strict=False).alias(into)).drop("n", "d")


def _by_amount(
    left: pl.DataFrame, orders: pl.DataFrame, pools: pl.DataFrame, processors: Mapping[str, str], limits: Limits
) -> pl.DataFrame:
    """Lines that name nothing: each the only one of its amount near in time, for the only order that the processor clears."""
    left = left.filter(pl.col("ref").is_null() & pl.col("original_id").is_null())
    clears = pl.col("channel").replace_strict(dict(processors), default=pl.col("channel"), return_dtype=TEXT)
    placed = orders.select("order_id", "placed_on", clears.alias("processor")).unique("order_id")
    # Nothing of the pool may be used up: a part of an order is no sign of the whole.
    whole = pools.filter((pl.col("open_minor") == pl.col("whole_minor")) & (pl.col("open_minor") > 0)).join(
        placed, on="order_id"
    )
    some = left.filter((pl.col("size") > 0) & pl.col("pool").is_in(["paid", "refunded"]))
    group = ["processor", "pool", "cur", "amount"]
    a = some.select("line_id", "processor", "pool", cur="shown_currency", amount="shown", day="occurred_on")
    b = whole.select("order_id", "processor", "pool", cur="order_currency", amount="open_minor", day="placed_on")
    # A refund may come long after its order was placed.
    late = pl.when(pl.col("pool") == "refunded").then(365).otherwise(limits.date_window)
    near = only_within(a, b, group, "line_id", "order_id", late, pl.lit(limits.date_window))
    joined = near.join(some, on="line_id").join(
        whole.select("order_id", "pool", "order_currency", "open_minor"), on=["order_id", "pool"]
    )
    joined = joined.filter(pl.col("shown_currency") == pl.col("order_currency"))
    return joined.select(_match(pl.lit("amount_and_date"), pl.col("open_minor"), pl.lit(None, TEXT)))


def only_within(
    a: pl.DataFrame, b: pl.DataFrame, group: list[str], a_id: str, b_id: str, back: pl.Expr, ahead: pl.Expr
) -> pl.DataFrame:
    """Pairs of a and b (both with `day`) of one group, b at most `back` days before a and `ahead` after, each other's only one.

    Rows are counted in sorted order, so that a thousand equal amounts cost no million pairs.
    """
    b = b.filter(pl.all_horizontal(pl.col(group).is_not_null()))
    ab = _only(a, b, group, a_id, b_id, -back, ahead)
    ba = _only(b, a, group, b_id, a_id, -ahead, back)
    return ab.join(ba, on=[a_id, b_id])


def _only(
    a: pl.DataFrame, b: pl.DataFrame, group: list[str], a_id: str, b_id: str, first: pl.Expr, last: pl.Expr
) -> pl.DataFrame:
    counted = b.sort("day", b_id).select(*group, "day", b_id, n=pl.int_range(1, pl.len() + 1).over(group))
    ends = a.with_columns(
        (pl.col("day") + pl.duration(days=last)).alias("upto"),
        (pl.col("day") + pl.duration(days=first) - pl.duration(days=1)).alias("before"),
    )
    high = ends.sort("upto", a_id).join_asof(
        counted.rename({"day": "b_day"}), left_on="upto", right_on="b_day", by=group, check_sortedness=False
    )
    low = ends.sort("before", a_id).join_asof(
        counted.select(*group, b_day="day", m="n"), left_on="before", right_on="b_day", by=group, check_sortedness=False
    )
    both = high.join(low.select(a_id, *group, "m"), on=[a_id, *group])
    return both.filter(pl.col("n").fill_null(0) - pl.col("m").fill_null(0) == 1).select(a_id, b_id)


def _match(rule: pl.Expr, takes: pl.Expr, flag: pl.Expr) -> list[pl.Expr]:
    return [
        pl.col("line_id"),
        pl.col("order_id"),
        pl.col("pool"),
        rule.alias("rule"),
        pl.col("gross_minor").alias("amount_minor"),
        pl.col("currency"),
        takes.cast(INT).alias("order_amount_minor"),
        pl.col("order_currency"),
        flag.cast(TEXT).alias("flag"),
    ]
