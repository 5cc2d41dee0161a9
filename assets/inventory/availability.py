"""How many units each channel may show: what can be sold there, less what rules and scarcity hold back. Pure.

Belongs here: levels by place, supply beyond stock, bundles, safety buffers and caps. Does not belong here: who gets the units
that are too few for all (`allocation`), and what a channel shows now (`publication`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import polars as pl

from assets.inventory.allocation import Lying, Scarcity, candidates, exclusive_shares

AVAILABLE_SCHEMA: dict[str, pl.DataType] = {
    "channel": pl.String(),
    "sku": pl.String(),
    "available": pl.Int64(),
    "counted": pl.Boolean(),
    "stock": pl.Int64(),
    "promised_beyond": pl.Int64(),
    "pooled": pl.Int64(),
}
CUTS = pl.Enum(["", "uncounted", "allocated", "cap", "buffer", "beyond_stock"])
TARGET_SCHEMA: dict[str, pl.DataType] = {
    "channel": pl.String(),
    "sku": pl.String(),
    "quantity": pl.Int64(),
    "available": pl.Int64(),
    "reason": CUTS,
    "exclusive": pl.Boolean(),
    "shares": pl.String(),
}
LEVEL_COLUMNS = ("sku", "location", "on_hand", "reserved", "counted")
SUPPLY_COLUMNS = ("sku", "kind", "limit", "from", "until")
BUNDLE_COLUMNS = ("bundle", "component", "units")
PLACE_COLUMNS = ("channel", "location")
RULE_COLUMNS = ("channel", "sku", "buffer", "most")
# More than anybody has: bundles of bundles multiply their units, and the product must stay a number.
_MANY = 10**9


class InvalidBundle(ValueError):
    """Bundles that cannot be put together; the message names them."""


@dataclass(frozen=True)
class Stock:
    """What there is to sell, and which channel sells from where.

    levels: sku, location, on_hand and reserved (units; expired reservations are no longer in it), counted (whether the SKU
        was ever counted there, so that its level is a stock and not only a difference).
    supply: one row a SKU at most: sku, kind (stock, made_to_order or pre_order), limit (units that may be sold beyond
        stock), from and until (the days of a pre-order, both inclusive, null where open).
    bundles: bundle, component, units (1 or more of the component in one bundle). Components may be bundles.
    places: channel, location. A channel that has no place sells nothing and has no rows.
    """

    levels: pl.DataFrame
    supply: pl.DataFrame
    bundles: pl.DataFrame
    places: pl.DataFrame
    today: date

    def __post_init__(self) -> None:
        _require("levels", self.levels, LEVEL_COLUMNS)
        _require("supply", self.supply, SUPPLY_COLUMNS, at_least={"limit": 0})
        _require("bundles", self.bundles, BUNDLE_COLUMNS, at_least={"units": 1})
        _require("places", self.places, PLACE_COLUMNS)
        _once("supply", self.supply, ["sku"])

    @cached_property
    def parts(self) -> pl.DataFrame:
        """The bundles down to what is no bundle: bundle, component, units."""
        return resolved(self.bundles)


def available_to_sell(stock: Stock) -> pl.DataFrame:
    """What each channel could sell of each SKU that has a level, a supply or components (`AVAILABLE_SCHEMA`).

    - stock: units in the channel's places, on hand less reserved; below 0 where more was sold than there is. A bundle's is
      what can be put together from stock.
    - available: stock and what may be sold beyond it, never below 0. What any place owes counts against the limit, which is
      the brand's and not the place's. A bundle's is the minimum over its components, down to those that are no bundles; its
      own level and supply are not looked at.
    - promised_beyond: the part of `available` that is not in stock.
    - counted: whether the stock is known. It is where one of the channel's places was counted, where none of them ever had
      the SKU and another place was counted (none is there), and where the SKU is made to order or on pre-order (it starts
      from none). The numbers above are null where it is not. A place that was never counted adds nothing, and takes away
      what it owes. A bundle is counted where all its components are.
    - pooled: what all channels could sell together, the same on each of them; null where nobody counted it.

    Raises InvalidBundle for bundles that contain themselves.
    """
    reaches = _reaches(stock.places)
    single = _singles(stock, list(reaches))
    if stock.parts.height:
        single = single.filter(~pl.col("sku").is_in(stock.parts["bundle"].unique().implode()))
    wide = pl.concat([single, _bundles(stock.parts, single, len(reaches))])
    long = [_of_channel(wide, channel, n) for n, channels in enumerate(reaches.values()) for channel in channels]
    return pl.concat(long) if long else pl.DataFrame(schema=AVAILABLE_SCHEMA)


def targets(stock: Stock, available: pl.DataFrame, rules: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    """What each channel is to show of each SKU in `available` (`TARGET_SCHEMA`; quantity is null where it is uncounted).

    rules: channel and sku (null for all of them), buffer (units never shown), most (units shown at most, null for no cap).
    One rule holds, the most specific: channel and SKU, then SKU, then channel, then neither.

    quantity = max(0, min(given - buffer, most)), where `given` is all that is available, or the channel's part of it if the
    SKU is exclusive (`exclusive_shares`). A buffer holds for single pieces too: a rule of buffer 0 lets the last one be sold.

    reason is what cut the quantity below what is available: buffer, cap, allocated or uncounted; else beyond_stock where
    more is shown than there is, or nothing. shares is null, or names those exclusive SKUs that are made of the same pieces.

    Raises ValueError for missing columns, numbers below 0 and two rules of the same scope.
    """
    _require("rules", rules, RULE_COLUMNS, at_least={"buffer": 0, "most": 0})
    _once("rules", rules, ["channel", "sku"])
    rows = by_channel(available)
    if not rows:
        return pl.DataFrame(schema=TARGET_SCHEMA)
    held = {channel: _rules_of(channel, rules) for channel in rows}
    few = candidates(rows.values(), stock.parts, scarcity)
    offers = pl.concat(together(_offers(rows[channel], few, held[channel]) for channel in rows))
    shares = exclusive_shares(offers, few, _lying(stock), stock.parts, scarcity)
    given = by_channel(shares)
    wanted = (_wanted(rows[channel], held[channel], given.get(channel, shares.clear())) for channel in rows)
    return pl.concat(together(wanted))


def together(plans: Iterable[pl.LazyFrame]) -> list[pl.DataFrame]:
    """The frames of these plans, worked out side by side. The streaming engine takes thrice as long for frames like ours."""
    return pl.collect_all(plans, engine="in-memory")


def by_channel(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows of each channel, by its name. Joins on the SKU alone take a fraction of the time of one on channel and SKU."""
    runs = frame.select(pl.col("channel").rle()).unnest("channel")
    if runs["value"].is_unique().all():
        ends = runs["len"].cum_sum()
        parts = {
            row["value"]: frame.slice(end - row["len"], row["len"])
            for row, end in zip(runs.to_dicts(), ends, strict=True)
        }
    else:
        parts = {str(channel): rows for (channel,), rows in frame.partition_by("channel", as_dict=True).items()}
    return dict(sorted(parts.items()))


def resolved(bundles: pl.DataFrame) -> pl.DataFrame:
    """The bundles down to what is no bundle, at any depth: bundle, component, units. Raises InvalidBundle for a cycle."""
    _refuse_cycles(bundles)
    inner = bundles.select(component="bundle", inside="component", units_inside="units")
    parts = _added_up(bundles.select(BUNDLE_COLUMNS))
    while (nested := parts.filter(pl.col("component").is_in(inner["component"].implode()))).height:
        opened = nested.join(inner, on="component").select(
            "bundle", component="inside", units=(pl.col("units") * pl.col("units_inside")).clip(upper_bound=_MANY)
        )
        parts = _added_up(pl.concat([parts.join(nested, on=["bundle", "component"], how="anti"), opened]))
    return parts


def _refuse_cycles(bundles: pl.DataFrame) -> None:
    nested = bundles.filter(pl.col("component").is_in(bundles["bundle"].implode())).sort("bundle", "component")
    graph = TopologicalSorter[str]()
    for bundle, component in nested.select("bundle", "component").iter_rows():
        graph.add(bundle, component)
    try:
        graph.prepare()
    except CycleError as error:
        # The sorter tells the cycle from what is needed to what needs it.
        raise InvalidBundle(f"a bundle contains itself: {' in '.join(error.args[1])}") from None


def _added_up(parts: pl.DataFrame) -> pl.DataFrame:
    units = pl.col("units").clip(upper_bound=_MANY).sum().clip(upper_bound=_MANY)
    return parts.group_by("bundle", "component").agg(units.cast(pl.Int64))


def _reaches(places: pl.DataFrame) -> dict[tuple[str, ...], list[str]]:
    """The distinct sets of places and the channels that sell from each; the first is that of all places together.

    Channels that sell from the same places are reckoned only once.
    """
    reaches: dict[tuple[str, ...], list[str]] = {tuple(places["location"].unique().sort()): []}
    sells = places.group_by("channel").agg(pl.col("location").unique().sort()).sort("channel")
    for channel, locations in sells.iter_rows():
        reaches.setdefault(tuple(locations), []).append(channel)
    return reaches


def _singles(stock: Stock, reaches: Sequence[tuple[str, ...]]) -> pl.DataFrame:
    """One row a SKU that has a level or a supply: sku, and for each reach available_N, stock_N and counted_N."""
    owns = [pl.col("location").is_in(list(locations)) for locations in reaches]
    levels = stock.levels.lazy().select(
        "sku",
        "counted",
        *(pl.when(own).then(_certain()).otherwise(0).alias(f"stock_{n}") for n, own in enumerate(owns)),
        *((own & pl.col("counted")).alias(f"counted_{n}") for n, own in enumerate(owns)),
        *(own.alias(f"seen_{n}") for n, own in enumerate(owns)),
    )
    any_of = pl.col("^(counted|seen).*$").any()
    sums = levels.group_by("sku").agg(any_of, pl.col("^stock_.*$").sum()).collect(engine="streaming")
    limits = _limits(stock, owns)
    known = pl.concat([sums, limits.join(sums, on="sku", how="anti").select("sku")], how="diagonal")
    return known.join(limits, on="sku", how="left").select(
        "sku", *(column for n in range(len(reaches)) for column in _sellable(n))
    )


def _certain() -> pl.Expr:
    """Units of a level that can be relied on: of a place that nobody counted only what it owes is known."""
    units = pl.col("on_hand") - pl.col("reserved")
    return pl.when("counted").then(units).otherwise(units.clip(upper_bound=0))


def _limits(stock: Stock, owns: Iterable[pl.Expr]) -> pl.DataFrame:
    """SKUs that may be sold beyond stock today: sku, and for each reach left_N, the limit less what other places owe."""
    limits = _beyond(stock.supply, stock.today)
    owed = stock.levels.join(limits, on="sku", how="semi").with_columns(owed=_certain().clip(upper_bound=0))
    elsewhere = [pl.when(own).then(0).otherwise("owed").sum().alias(f"left_{n}") for n, own in enumerate(owns)]
    sums = owed.group_by("sku").agg(*elsewhere)
    lefts = [(pl.col("limit") + pl.col(s).fill_null(0)).clip(0).alias(s) for s in sums.columns if s != "sku"]
    return limits.join(sums, on="sku", how="left").select("sku", *lefts)


def _beyond(supply: pl.DataFrame, today: date) -> pl.DataFrame:
    """Units that may be sold beyond stock today: sku, limit."""
    begun = pl.col("from").is_null() | (pl.col("from") <= today)
    open_still = pl.col("until").is_null() | (pl.col("until") >= today)
    pre_order = (pl.col("kind") == "pre_order") & begun & open_still
    return supply.filter((pl.col("kind") == "made_to_order") | pre_order).select("sku", pl.col("limit").fill_null(0))


def _sellable(reach: int) -> list[pl.Expr]:
    left = pl.col(f"left_{reach}")
    none_there = ~pl.col(f"seen_{reach}") & pl.col("counted")
    counted = left.is_not_null() | (pl.col(f"counted_{reach}") | none_there).fill_null(False)
    units = pl.col(f"stock_{reach}").fill_null(0)
    return [
        pl.when(counted).then((units + left.fill_null(0)).clip(0)).alias(f"available_{reach}"),
        pl.when(counted).then(units).alias(f"stock_{reach}"),
        counted.alias(f"counted_{reach}"),
    ]


def _bundles(parts: pl.DataFrame, singles: pl.DataFrame, reaches: int) -> pl.DataFrame:
    """The bundles, in the columns of `_singles`."""
    found = parts.join(singles, left_on="component", right_on="sku", how="left")
    sums = []
    for n in range(reaches):
        counted = pl.col(f"counted_{n}").fill_null(False).all()
        sums += [
            pl.when(counted).then((pl.col(f"available_{n}") // pl.col("units")).min()).alias(f"available_{n}"),
            pl.when(counted).then((pl.col(f"stock_{n}").clip(0) // pl.col("units")).min()).alias(f"stock_{n}"),
            counted.alias(f"counted_{n}"),
        ]
    return found.group_by("bundle").agg(*sums).rename({"bundle": "sku"}).select(singles.columns)


def _of_channel(wide: pl.DataFrame, channel: str, reach: int) -> pl.DataFrame:
    available, stock = pl.col(f"available_{reach}"), pl.col(f"stock_{reach}")
    return wide.select(
        pl.lit(channel).alias("channel"),
        "sku",
        available.alias("available"),
        pl.col(f"counted_{reach}").alias("counted"),
        stock.alias("stock"),
        (available - stock.clip(0)).clip(0).alias("promised_beyond"),
        pl.col("available_0").alias("pooled"),
    )


@dataclass(frozen=True)
class _Rules:
    """The rules of a channel: those that name a SKU (sku, buffer, most), and the one for all others."""

    named: pl.DataFrame
    buffer: int
    most: int | None


def _rules_of(channel: str, rules: pl.DataFrame) -> _Rules:
    here = rules.filter(pl.col("channel") == channel)
    anywhere = rules.filter(pl.col("channel").is_null())
    named = here.filter(pl.col("sku").is_not_null())
    others = anywhere.filter(pl.col("sku").is_not_null()).join(named, on="sku", how="anti")
    general = [rows.filter(pl.col("sku").is_null()) for rows in (here, anywhere)]
    buffer, most = next((rows.select("buffer", "most").row(0) for rows in general if rows.height), (0, None))
    return _Rules(pl.concat([named, others]).select("sku", "buffer", "most"), buffer or 0, most)


def _ruled(rows: pl.LazyFrame, special: pl.DataFrame, rules: _Rules) -> pl.LazyFrame:
    """With the columns of `special` (by SKU; buffer and most among them), which is laid over the rule for all others."""
    unnamed = pl.col("buffer").is_null()
    return rows.join(special.lazy(), on="sku", how="left", maintain_order="left").with_columns(
        buffer=pl.when(unnamed).then(pl.lit(rules.buffer, pl.Int64)).otherwise("buffer"),
        most=pl.when(unnamed).then(pl.lit(rules.most, pl.Int64)).otherwise("most"),
    )


def _offers(rows: pl.DataFrame, few: pl.DataFrame, rules: _Rules) -> pl.LazyFrame:
    """What `exclusive_shares` looks at, of one channel."""
    offered = rows.lazy().join(few.lazy(), on="sku", how="semi").filter(pl.col("available") > 0)
    room = pl.min_horizontal(pl.col("available") - pl.col("buffer"), "most").clip(0)
    return _ruled(offered, rules.named, rules).select("channel", "sku", "available", "pooled", room=room)


def _lying(stock: Stock) -> Lying:
    levels = stock.levels.lazy().select("sku", "location", units=_certain())
    return Lying(levels, _beyond(stock.supply, stock.today), stock.places)


def _wanted(rows: pl.DataFrame, rules: _Rules, given: pl.DataFrame) -> pl.LazyFrame:
    """The targets of one channel; `given` are the exclusive SKUs: sku, given, shares."""
    special = rules.named.join(given.select("sku", "given", "shares"), on="sku", how="full", coalesce=True)
    available, buffer, most = pl.col("available"), pl.col("buffer"), pl.col("most")
    mine = pl.coalesce("given", "available")
    quantity = pl.min_horizontal(mine - buffer, most).clip(0)
    return _ruled(rows.lazy(), special, rules).select(
        "channel",
        "sku",
        quantity=pl.when("counted").then(quantity),
        available="available",
        reason=pl.when(~pl.col("counted"))
        .then(_cut("uncounted"))
        .when(mine < available)
        .then(_cut("allocated"))
        .when(most < available - buffer)
        .then(_cut("cap"))
        .when((buffer > 0) & (available > 0))
        .then(_cut("buffer"))
        .when(pl.col("promised_beyond") > 0)
        .then(_cut("beyond_stock"))
        .otherwise(_cut("")),
        exclusive=pl.col("given").is_not_null(),
        shares="shares",
    )


def _cut(reason: str) -> pl.Expr:
    return pl.lit(reason, CUTS)


def _require(name: str, frame: pl.DataFrame, columns: Iterable[str], at_least: dict[str, int] | None = None) -> None:
    missing = sorted(set(columns) - set(frame.columns))
    if missing:
        raise ValueError(f"{name} lacks the columns {', '.join(missing)}")
    for column, least in (at_least or {}).items():
        below = frame.filter(pl.col(column) < least)
        if below.height:
            raise ValueError(f"{name} holds a {column} below {least}: {below.row(0, named=True)}")


def _once(name: str, frame: pl.DataFrame, columns: list[str]) -> None:
    twice = frame.filter(pl.struct(columns).is_duplicated())
    if twice.height:
        raise ValueError(f"{name} holds {twice.select(columns).row(0)} more than once")
