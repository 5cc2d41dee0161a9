"""Which opens and clicks no person did: mail programs that load pictures ahead, scanners that follow every link.

Belongs here: the rule. It is asked whenever events are read and deletes nothing, so a better rule mends the past too.

An event is a machine's where one of these holds, the first of them being its reason:

1. `prefetch`: an open whose user agent is bare `Mozilla/5.0`, as Apple's mail privacy sends it;
2. `robot`: the user agent names a bot, crawler, spider, scanner or monitor, or a library such as curl (Cubot is a telephone);
3. `instant`: it came within 2 seconds of delivery, and nobody reads that fast;
4. `burst`: within 2 seconds of it, for the same message, two different links were followed: it and all events beside it.

Google's picture proxy asks when a person opens, so it is none of them.
"""

import polars as pl

SECONDS = 2
EVENTS: dict[str, pl.DataType] = {
    "send": pl.String(),
    "kind": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "delivered_at": pl.Datetime("us", "UTC"),
    "user_agent": pl.String(),
    "link": pl.String(),
}
_ROBOTS = r"(?i)bot\b|crawler|spider|scanner|monitor|^curl/|^wget/|python-|go-http-client|headlesschrome"
_TELEPHONES = r"(?i)cubot"


def with_machines(events: pl.DataFrame) -> pl.DataFrame:
    """Add `machine_reason`, null where a person did it. `events` has EVENTS; kind is opened or clicked, link null for opens."""
    near = pl.duration(seconds=SECONDS)
    numbered = events.with_row_index("event")
    clicks = numbered.filter((pl.col("kind") == "clicked") & pl.col("link").is_not_null()).select("send", "at", "link")
    beside = (
        numbered.select("event", "send", mine="at")
        .join(clicks, on="send")
        .filter((pl.col("at") - pl.col("mine")).abs() <= near)
        .group_by("event")
        .agg(pl.col("link").n_unique().alias("links"))
    )
    agent = pl.col("user_agent").str.strip_chars()
    reason = (
        pl.when((pl.col("kind") == "opened") & (agent == "Mozilla/5.0"))
        .then(pl.lit("prefetch"))
        .when(agent.str.contains(_ROBOTS) & ~agent.str.contains(_TELEPHONES))
        .then(pl.lit("robot"))
        .when(pl.col("at") - pl.col("delivered_at") <= near)
        .then(pl.lit("instant"))
        .when(pl.col("links") >= 2)
        .then(pl.lit("burst"))
        .alias("machine_reason")
    )
    return numbered.join(beside, on="event", how="left").sort("event").with_columns(reason).drop("event", "links")
