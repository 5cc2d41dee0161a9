"""What each channel shows beside what it is to show: one comparison, which is the plan of writes and the drift report. Pure.

Belongs here: the state of each listed thing, what is done about it, and why in words. Does not belong here: what is to be shown
(`availability`), and how it is read and written (`resources/channels`).
"""

from datetime import datetime

import polars as pl

from assets.inventory.availability import CUTS, by_channel, together

POLICIES = ("min_wins", "master_wins", "hold")
IN_STEP = ("clean", "buffered")
STATES = pl.Enum(
    [*IN_STEP, "in_flight", "lost_write", "foreign_edit", "unmapped", "collision", "unwritable", "uncounted"]
)
ACTIONS = pl.Enum(["write", "wait", "hold", "none"])
COMPARED_SCHEMA: dict[str, pl.DataType] = {
    "channel": pl.String(),
    "key": pl.String(),
    "sku": pl.String(),
    "shown": pl.Int64(),
    "wanted": pl.Int64(),
    "available": pl.Int64(),
    "state": STATES,
    "action": ACTIONS,
    "order": pl.Int8(),
    "reason": pl.String(),
}
ITEM_COLUMNS = ("channel", "key", "sku", "shown", "agreed", "pending", "pending_until", "unwritable", "policy")
TARGET_COLUMNS = ("channel", "sku", "quantity", "available", "reason", "exclusive", "shares")

_shown, _wanted, _agreed, _pending = pl.col("shown"), pl.col("wanted"), pl.col("agreed"), pl.col("pending")
_HELD_BACK = {
    "buffer": "A safety buffer is held back.",
    "cap": "No more than the cap is shown.",
    "allocated": "The units are too few for all channels, and others have them.",
}


def compare(targets: pl.DataFrame, items: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Every listed thing, its state and what to do (`COMPARED_SCHEMA`; by channel, otherwise in no order to rely on).

    targets: channel, sku, quantity, available, reason, exclusive, shares, as `availability.targets` returns them.
    items: channel, key, sku (ours; null where it is mapped to none), shown (as last read; null: no number), agreed (what we and
        the channel last agreed on, by a write that was confirmed or a reading that was accepted; null: never), pending (a
        write that is queued or whose outcome is unknown), pending_until (UTC: until when it may still take effect; null: no
        end is known), unwritable (why it must not be written), policy (of the channel; null: min_wins).

    state and action, the first that holds:

    - unwritable, none: the channel says that it must not be written.
    - unmapped, hold: no SKU of ours, or one that no target is known of.
    - collision, hold: another writable thing of the channel has the same SKU.
    - uncounted, hold: the stock is unknown, so that nothing may be published.
    - in_flight, wait: a write may still take effect; another one now could be overtaken by it.
    - clean or, where less is shown than available, buffered; none: it shows what is wanted.
    - in_flight, write: never agreed on; or no number is shown; or ours alone moved; or it shows the pending write.
    - lost_write, write: what is wanted was written, and cannot take effect any more, and something else is shown.
    - foreign_edit: theirs moved. master_wins writes. hold holds, min_wins writes if too much is shown and holds otherwise: an
      oversell is worse than a missed sale. If ours moved too, hold and min_wins both write if too much is shown, and min_wins
      also if ours rose, because new stock is meant to be sold.

    An increase of an exclusive SKU waits (action wait) while another channel shows or may show more than its own target of
    that SKU, or of one that `shares` says is made of the same pieces. No number shown may be any number.

    order is 0 for a decrease and 1 for an increase, null where nothing is wanted. Raises ValueError for missing columns, an
    unknown policy and two targets of one channel and SKU.
    """
    _check(targets, items)
    wanted = targets.select(
        "channel", "sku", "available", "exclusive", wanted="quantity", cut=pl.col("reason").cast(CUTS)
    )
    of_channel = by_channel(wanted)
    found = _matched({c: (rows, of_channel.get(c, wanted.clear())) for c, rows in by_channel(items).items()})
    if not found:
        return pl.DataFrame(schema=COMPARED_SCHEMA)
    # Nearly everything is in step. Words and rules for what is not are worked out of those few alone.
    in_step = [_in_step(rows.lazy().filter(_settled())) for rows in found]
    others = [rows.lazy().filter(~_settled()) for rows in found]
    *clean, rest = together([*in_step, pl.concat(others)])
    shares = targets.filter("exclusive").select("channel", "sku", "shares")
    return pl.concat([*clean, _out_of_step(rest, shares, now)])


def plan(compared: pl.DataFrame) -> pl.DataFrame:
    """The writes, decreases before increases: an interrupted plan has oversold less, not more."""
    return compared.filter(pl.col("action") == "write").sort("order", "channel", "sku", "key")


def drift(compared: pl.DataFrame) -> pl.DataFrame:
    """What does not show what is wanted, or cannot be compared."""
    return compared.filter(~pl.col("state").is_in(IN_STEP)).sort("channel", "state", "sku", "key", nulls_last=True)


def is_echo(said: int | None, agreed: int | None, pending: int | None) -> bool:
    """Whether a channel that says it shows `said` only tells what we wrote, so that there is nothing to look into."""
    return said is not None and said in (agreed, pending)


def _matched(channels: dict[str, tuple[pl.DataFrame, pl.DataFrame]]) -> list[pl.DataFrame]:
    """The things of each channel (items and targets, by its name) with their targets, and whether another has the same SKU."""
    listed = [items.lazy().select(*ITEM_COLUMNS, collides=_collides(items)) for items, _ in channels.values()]
    wanted = [rows.lazy().drop("channel") for _, rows in channels.values()]
    by_hash = pl.col("sku").hash().alias("hash")
    plans = [
        theirs.with_columns(by_hash).join(ours.with_columns(by_hash), on="hash", how="left").drop("hash")
        for theirs, ours in zip(listed, wanted, strict=True)
    ]
    found = together(plans)
    for n, (channel, (items, _)) in enumerate(channels.items()):
        # Numbers join in half the time of texts. Should two texts ever have one number, they are joined as what they are.
        if (found[n]["sku"] != found[n]["sku_right"]).any():
            [found[n]] = together([listed[n].join(wanted[n], on="sku", how="left")])
        if found[n].height != items.height:
            raise ValueError(f"a SKU has several targets on {channel}: one of each channel and SKU is needed")
    return found


def _collides(items: pl.DataFrame) -> pl.Expr:
    writable = items.filter(pl.col("unwritable").is_null() & pl.col("sku").is_not_null())["sku"]
    # Most often there is none, and to know that is cheaper than to know which.
    if writable.n_unique() == len(writable):
        return pl.lit(False)
    twice = writable.filter(writable.is_duplicated()).unique()
    return pl.col("unwritable").is_null() & pl.col("sku").is_in(twice.implode()).fill_null(False)


def _settled() -> pl.Expr:
    undisturbed = pl.col("unwritable").is_null() & ~pl.col("collides") & _pending.is_null()
    return (undisturbed & (_shown == _wanted)).fill_null(False)


def _in_step(found: pl.LazyFrame) -> pl.LazyFrame:
    return found.select(
        "channel",
        "key",
        "sku",
        "shown",
        "wanted",
        "available",
        state=_state_in_step(),
        action=pl.lit("none", ACTIONS),
        order=pl.lit(0, pl.Int8),
        reason=_reason_in_step(),
    )


def _state_in_step() -> pl.Expr:
    return pl.when(_wanted < pl.col("available")).then(pl.lit("buffered", STATES)).otherwise(pl.lit("clean", STATES))


def _reason_in_step() -> pl.Expr:
    # One look-up in a short list, because nearly all rows come by here.
    words = pl.Series([_HELD_BACK.get(cut, "") for cut in CUTS.categories])
    return pl.lit(words).gather(pl.col("cut").to_physical())


def _out_of_step(found: pl.DataFrame, shares: pl.DataFrame, now: datetime) -> pl.DataFrame:
    judged = _judged(found, now)
    kept = judged.join(_kept_back(judged.join(shares, on=["channel", "sku"])), on=["channel", "key"], how="left")
    waits = pl.col("blocked_by").is_not_null()
    waiting = pl.format("Waits until {} shows no more of it than its own part.", "blocked_by")
    return kept.select(
        "channel",
        "key",
        "sku",
        "shown",
        "wanted",
        "available",
        "state",
        action=pl.when(waits).then(pl.lit("wait", ACTIONS)).otherwise("action"),
        order=_increase().cast(pl.Int8),
        reason=pl.when(waits).then(waiting).otherwise("reason"),
    )


def _increase() -> pl.Expr:
    return _wanted > _shown.fill_null(0)


def _judged(found: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """With state, action and reason of each by itself, and `live`: whether a write may still take effect."""
    live = _pending.is_not_null() & (pl.col("pending_until").is_null() | (pl.col("pending_until") > now))
    # A write that is over and shows was done, whatever was answered.
    agreed = pl.when(_pending == _shown).then(_pending).otherwise(_agreed)
    found = found.with_columns(live=live.fill_null(False), agreed=agreed, policy=pl.col("policy").fill_null("min_wins"))
    verdict = pl.when(False).then(_verdict("clean", "none", pl.lit("")))
    for holds, state, action, reason in _rules():
        verdict = verdict.when(holds).then(_verdict(state, action, reason))
    return found.with_columns(verdict.otherwise(_foreign()).alias("verdict")).unnest("verdict")


def _verdict(state: str | pl.Expr, action: str | pl.Expr, reason: pl.Expr) -> pl.Expr:
    state = pl.lit(state, STATES) if isinstance(state, str) else state
    action = pl.lit(action, ACTIONS) if isinstance(action, str) else action
    return pl.struct(state.alias("state"), action.alias("action"), reason.alias("reason"))


def _rules() -> list[tuple[pl.Expr, str | pl.Expr, str, pl.Expr]]:
    """When, state, action, reason: everything that no policy decides, the first that holds first."""
    unknown = pl.format("SKU {} is none of ours, or has no target here.", "sku")
    return [
        (
            pl.col("unwritable").is_not_null(),
            "unwritable",
            "none",
            pl.format("It must not be written: {}.", "unwritable"),
        ),
        (pl.col("sku").is_null(), "unmapped", "hold", pl.lit("It is mapped to no SKU of ours.")),
        (pl.col("exclusive").is_null(), "unmapped", "hold", unknown),
        (pl.col("collides"), "collision", "hold", pl.format("Several things on this channel are SKU {}.", "sku")),
        (_wanted.is_null(), "uncounted", "hold", pl.lit("Its stock was never counted, so what to show is unknown.")),
        (pl.col("live"), "in_flight", "wait", pl.format("A write of {} may still take effect.", "pending")),
        (_shown == _wanted, _state_in_step(), "none", _reason_in_step()),
        (_shown.is_null(), "in_flight", "write", pl.format("No number is shown; {} is wanted.", "wanted")),
        (
            _pending.is_not_null() & (_pending == _wanted),
            "lost_write",
            "write",
            pl.format("{} was written, and {} is shown: the write was lost.", "pending", "shown"),
        ),
        (
            _agreed.is_null(),
            "in_flight",
            "write",
            pl.format("First write: {} is shown, {} is wanted.", "shown", "wanted"),
        ),
        (_shown == _agreed, "in_flight", "write", pl.format("Ours moved from {} to {}.", "agreed", "wanted")),
    ]


def _foreign() -> pl.Expr:
    """Somebody else changed what is shown: what the channel's policy says."""
    policy, too_much, both = pl.col("policy"), _shown > _wanted, _wanted != _agreed
    writes = (
        (policy == "master_wins")
        | (too_much & ((policy == "min_wins") | both))
        | ((policy == "min_wins") & (_wanted > _agreed))
    )
    theirs = pl.format("The channel moved from {} to {} without us", "agreed", "shown")
    ours = pl.when(both).then(pl.format(", and ours to {}", "wanted")).otherwise(pl.lit(""))
    done = pl.when(writes).then(pl.format("written by the policy {}", "policy"))
    held = done.otherwise(pl.format("held by the policy {} until somebody decides", "policy"))
    action = pl.when(writes).then(pl.lit("write", ACTIONS)).otherwise(pl.lit("hold", ACTIONS))
    return _verdict("foreign_edit", action, pl.format("{}{}: {}.", theirs, ours, held))


def _kept_back(exclusive: pl.DataFrame) -> pl.DataFrame:
    """Increases of exclusive SKUs that must wait: channel, key, blocked_by (the channels that have too much, by name)."""
    rising = exclusive.filter((pl.col("action") == "write") & _increase()).select("channel", "key", "shares")
    may_show = pl.max_horizontal(_shown, pl.when("live").then(_pending))
    too_much = _shown.is_null() | (may_show > _wanted.fill_null(0))
    over = exclusive.filter(too_much).select("shares", other="channel").unique()
    blocked = rising.join(over, on="shares").filter(pl.col("channel") != pl.col("other"))
    return blocked.group_by("channel", "key").agg(pl.col("other").sort().str.join(", ").alias("blocked_by"))


def _check(targets: pl.DataFrame, items: pl.DataFrame) -> None:
    for name, frame, columns in (("targets", targets, TARGET_COLUMNS), ("items", items, ITEM_COLUMNS)):
        missing = sorted(set(columns) - set(frame.columns))
        if missing:
            raise ValueError(f"{name} lacks the columns {', '.join(missing)}")
    unknown = set(items["policy"].drop_nulls().unique()) - set(POLICIES)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is no policy: {', '.join(POLICIES)} are")
