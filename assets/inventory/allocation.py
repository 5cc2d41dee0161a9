"""Who gets units that are too few for all channels: single numbered pieces, and stock at or below the brand's threshold. Pure.

Belongs here: which SKUs are exclusive, and each channel's part of them. Does not belong here: what can be sold, buffers and
caps (`availability`).

A unit is given away where it lies. Units of all places that the same channels sell from are one pool, and each pool is shared
out among the channels that sell from it. So no two channels are given the same unit, whatever places they have in common.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

Rule = Literal["shared", "priority", "pro_rata"]
SHARE_SCHEMA: dict[str, pl.DataType] = {
    "channel": pl.String(),
    "sku": pl.String(),
    "given": pl.Int64(),
    "shares": pl.String(),
}
_BEST = ("priority", "channel")


@dataclass(frozen=True)
class Scarcity:
    """What the brand does when there is too little for all.

    channels: channel, priority (the lowest number first, then by name), weight (1 or more; for pro_rata). One row a channel;
        a channel that is not in it is given nothing of what is exclusive.
    listed: channel, sku. Only a channel that lists a SKU is given any of it.
    numbered: sku. Single pieces, whatever the rule: they go to one channel, the listed one of the highest priority.
    rule: priority gives all to the listed channel of the highest priority that sells from where the units lie; pro_rata
        splits by weight; shared lets every channel show everything.
    scarce_at: units that all channels together could sell, at or below which the rule holds.
    """

    channels: pl.DataFrame
    listed: pl.DataFrame
    numbered: pl.DataFrame
    rule: Rule = "shared"
    scarce_at: int = 0

    def __post_init__(self) -> None:
        if self.channels.filter((pl.col("weight") < 1) | pl.col("channel").is_duplicated()).height:
            raise ValueError("every channel has one row and a weight of 1 or more: see Scarcity")


@dataclass(frozen=True)
class Lying:
    """Where the units lie.

    levels: sku, location, units (what can be relied on; below 0 where units are owed).
    beyond: sku, limit (units that may be sold beyond stock today).
    places: channel, location.
    """

    levels: pl.LazyFrame
    beyond: pl.DataFrame
    places: pl.DataFrame


def candidates(available: Iterable[pl.DataFrame], parts: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    """The numbered and the scarce SKUs, and the bundles made of them: sku.

    available: sku, pooled (units that all channels together could sell). parts: bundle, component, units, down to what is no
    bundle.
    """
    scarce = [rows.filter(pl.col("pooled") <= scarcity.scarce_at).select("sku") for rows in available]
    found = pl.concat([*(scarce if scarcity.rule != "shared" else []), scarcity.numbered.select("sku")]).unique()
    made_of_it = parts.join(found, left_on="component", right_on="sku", how="semi").select(sku="bundle")
    return pl.concat([found, made_of_it]).unique()


def exclusive_shares(
    offers: pl.DataFrame, few: pl.DataFrame, lying: Lying, parts: pl.DataFrame, scarcity: Scarcity
) -> pl.DataFrame:
    """The exclusive SKUs and what each channel is given of them (`SHARE_SCHEMA`), a row for every channel, with 0 too.

    offers: channel, sku, available (units, more than 0), pooled (units that all channels together could sell), room (units
        that rules would let it show). few: the `candidates`; nothing else is offered.
    parts: bundle, component, units, down to what is no bundle.

    Exclusive are numbered SKUs, SKUs that are scarce while a rule shares them out, and bundles of any of those: a bundle can
    be on no channel that its pieces are not on. A piece that no channel lists is given away by the listings of its bundles.
    `shares` is the same for exclusive SKUs that are linked by common pieces; one alone has its own name.

    Of a numbered SKU one unit is given to one channel. The sum that is given never exceeds what all channels together could
    sell, nor a channel's own `available`. A channel whose rule leaves no room for a SKU is passed over.
    """
    listed = scarcity.listed.lazy().select("channel", "sku")
    # These hold a row for everything there is. All that follows is of the few that matter.
    whole = [table.join(few.lazy(), on="sku", how="semi") for table in (listed, lying.levels)]
    listed, levels = pl.collect_all(whole, engine="in-memory")
    listing = _listing(listed, parts, scarcity)
    bundle = pl.col("sku").is_in(parts["bundle"].unique().implode())
    given = _given(offers.filter(~bundle), listing, levels, lying, scarcity)
    linked = parts.join(given, left_on="component", right_on="sku", how="semi")
    # A bundle is looked at after its pieces: it can only be where they are.
    built = _given_bundles(_held(offers.filter(bundle), linked, given), listing, scarcity)
    given = pl.concat([given, built])
    everywhere = given.select("sku").unique().join(lying.places.select("channel").unique(), how="cross")
    return (
        everywhere.join(given, on=["channel", "sku"], how="left")
        .join(_links(linked), on="sku", how="left")
        .select("channel", "sku", pl.col("given").fill_null(0), pl.coalesce("shares", "sku").alias("shares"))
        .sort("channel", "sku")
    )


def _listing(listed: pl.DataFrame, parts: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    """Which channel could sell which SKU, and its rank: channel, sku, priority, weight."""
    listed = listed.unique()
    inside = listed.join(parts.select(sku="bundle", component="component"), on="sku").select("channel", sku="component")
    by_bundles = inside.join(listed, on="sku", how="anti").unique()
    ranks = scarcity.channels.select("channel", "priority", "weight")
    return pl.concat([listed, by_bundles]).join(ranks, on="channel")


def _given(
    offers: pl.DataFrame, listing: pl.DataFrame, levels: pl.DataFrame, lying: Lying, scarcity: Scarcity
) -> pl.DataFrame:
    """The exclusive SKUs that are no bundles: channel (null where none can take it), sku, given."""
    exclusive = _exclusive(offers, scarcity)
    takers = _takers(offers, listing, exclusive)
    claims = _pools(levels, lying.beyond, lying.places).join(takers, on=["sku", "channel"])
    return _cut(exclusive, takers, _split(claims, scarcity))


def _exclusive(offers: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    """The SKUs that are exclusive by themselves: sku, most (units to give away, at most 1 of a numbered one), numbered."""
    numbered = pl.col("sku").is_in(scarcity.numbered["sku"].implode())
    scarce = pl.col("pooled") <= scarcity.scarce_at if scarcity.rule != "shared" else pl.lit(False)
    most = pl.when(numbered).then(pl.col("pooled").clip(0, 1)).otherwise(pl.col("pooled").clip(0))
    return offers.filter(numbered | scarce).select("sku", most=most, numbered=numbered).unique()


def _takers(offers: pl.DataFrame, listing: pl.DataFrame, exclusive: pl.DataFrame) -> pl.DataFrame:
    """Who can be given what, best first; only the best for a numbered SKU. With the columns of all three."""
    found = offers.filter(pl.col("room") > 0).join(exclusive, on="sku").join(listing, on=["channel", "sku"])
    found = found.sort("sku", *_BEST)
    return found.filter(~pl.col("numbered") | pl.col("sku").is_first_distinct())


def _pools(levels: pl.DataFrame, beyond: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Units that the same channels can sell: sku, pool, units, channel (a row for each of them)."""
    pools = places.unique().group_by("location").agg(pl.col("channel").sort())
    pools = pools.with_columns(pool=pl.col("channel").list.join("\n"))
    lying = levels.join(pools.select("location", "pool"), on="location")
    owed = levels.group_by("sku").agg(owed=pl.col("units").clip(None, 0).sum())
    left = (pl.col("limit") + pl.col("owed").fill_null(0)).clip(0)
    everybody = "\n".join(places["channel"].unique().sort())
    # What is promised beyond stock lies nowhere, and every channel can sell it.
    promised = beyond.join(owed, on="sku", how="left").select("sku", pool=pl.lit(everybody), units=left)
    units = pl.concat([lying.select("sku", "pool", pl.col("units").clip(0)), promised])
    sellers = pl.concat([pools.select("pool", "channel").explode("channel"), _everybody(places, everybody)]).unique()
    return units.group_by("sku", "pool").agg(pl.col("units").sum()).join(sellers, on="pool")


def _everybody(places: pl.DataFrame, pool: str) -> pl.DataFrame:
    return places.select(pool=pl.lit(pool), channel="channel")


def _split(claims: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    """Each pool shared out by the rule: channel, sku, given. Claims: sku, pool, units, channel, priority, weight."""
    pool = ["sku", "pool"]
    if scarcity.rule == "pro_rata":
        weighed, total = pl.col("units") * pl.col("weight"), pl.col("weight").sum().over(pool)
        claims = claims.with_columns(share=weighed // total, rest=weighed % total)
        # The largest remainder: what whole parts leave goes one by one to those who were cut most.
        claims = claims.sort(*pool, "rest", *_BEST, descending=[False, False, True, False, False])
        left = pl.col("units") - pl.col("share").sum().over(pool)
        share = pl.col("share") + (pl.int_range(pl.len()).over(pool) < left).cast(pl.Int64)
    else:
        claims = claims.sort(*pool, *_BEST)
        share = pl.when(pl.struct(pool).is_first_distinct()).then("units").otherwise(0)
    return claims.with_columns(share=share).group_by("channel", "sku").agg(given=pl.col("share").sum())


def _cut(exclusive: pl.DataFrame, takers: pl.DataFrame, given: pl.DataFrame) -> pl.DataFrame:
    """Shares cut to what the channel, and all channels together, can sell (less where a place owes units): see `_given`."""
    found = takers.join(given, on=["channel", "sku"], how="left").sort("sku", *_BEST)
    found = found.with_columns(given=pl.min_horizontal(pl.col("given").fill_null(0), "available"))
    upto = pl.col("given").cum_sum().over("sku")
    before = upto - pl.col("given")
    cut = found.with_columns(given=pl.min_horizontal(upto, "most") - pl.min_horizontal(before, "most"))
    nobody = exclusive.join(cut, on="sku", how="anti").select(pl.lit(None, pl.String).alias("channel"), "sku", given=0)
    return pl.concat([cut.select("channel", "sku", "given"), nobody.cast({"given": pl.Int64})])


def _held(bundles: pl.DataFrame, linked: pl.DataFrame, given: pl.DataFrame) -> pl.DataFrame:
    """The offers of bundles, cut to what the channel is given of their exclusive pieces; `linked`: whether they have any."""
    pieces = bundles.select("channel", "sku").join(linked, left_on="sku", right_on="bundle")
    of_it = given.select("channel", "given", component="sku")
    can = pl.col("given").fill_null(0) // pl.col("units")
    most = pieces.join(of_it, on=["channel", "component"], how="left").group_by("channel", "sku").agg(most=can.min())
    return bundles.join(most, on=["channel", "sku"], how="left").select(
        "channel",
        "sku",
        "pooled",
        available=pl.min_horizontal("available", "most"),
        room=pl.min_horizontal("room", "most"),
        linked=pl.col("most").is_not_null(),
    )


def _given_bundles(offers: pl.DataFrame, listing: pl.DataFrame, scarcity: Scarcity) -> pl.DataFrame:
    """The exclusive bundles: channel (null where none can take it), sku, given.

    Those of exclusive pieces are where their pieces are. Others are scarce only together: nobody knows which unit of which
    place goes into one, so that no more is shared out than the worst placed taker could sell.
    """
    exclusive = _exclusive(offers, scarcity)
    takers = _takers(offers, listing, exclusive)
    least = pl.col("available").min().over("sku")
    claims = takers.with_columns(units=pl.min_horizontal(least, "most"), pool=pl.lit(""))
    apart = _cut(exclusive, takers, _split(claims, scarcity))
    follows = pl.col("linked") & ~pl.col("sku").is_in(scarcity.numbered["sku"].implode())
    along = offers.filter(follows).select("channel", "sku", given="available")
    return pl.concat([apart.join(along, on="sku", how="anti"), along])


def _links(linked: pl.DataFrame) -> pl.DataFrame:
    """Exclusive SKUs that have a piece in common, directly or by others: sku, shares (the first of their names)."""
    named = linked.select("bundle", "component", shares="component")
    while True:
        least = pl.col("shares").min()
        spread = named.with_columns(least.over("component")).with_columns(least.over("bundle"))
        if spread.equals(named):
            return pl.concat([named.select("shares", sku=side) for side in ("bundle", "component")]).unique()
        named = spread
