"""What is known of a transaction at its moment: one row of numbers each, computed by DuckDB in windows that only look back.

Belongs here: the SQL. Does not belong here: what is suspicious (`rules`, `unsupervised`, `supervised`).

A feature looks at the rows of the same instant and of those before it, and at labels only when they are older than the delay
after which a fraud is reported. So rows that come later never change what was known. A feature whose columns the file lacks is
not made; one that cannot be known for a row is null.

Windows of spenders are those of the Fraud Detection Handbook (Le Borgne et al. 2022, chapter 3): count and mean amount of 1, 7
and 30 days, and for places the share of reported frauds behind a delay of 7 days.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from assets.finance.fraud.columns import ENTITIES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAYS = (1, 7, 30)
DELAY_DAYS = 7
HISTORY_DAYS = 60
"""How far back a spender's usual amount is looked for."""
HISTORY_NEEDED = HISTORY_DAYS + 14
"""Days of earlier rows without which the features of a row would be others; labels are looked for in fewer."""

SPENDERS = ("customer", "card", "device", "address")
PLACES = ("terminal", "channel", "device", "address")
USUAL_DEVIATION = 4.0
"""From so many robust deviations on an amount is counted as one that stands out."""
_PRIOR_ROWS, _PRIOR_SPREAD, _LEAST_SPREAD = 10, 0.5, 0.05


def feature_frame(rows: pl.DataFrame, *, reports: bool = True) -> pl.DataFrame:
    """Features of every row, in the order of `rows`: `transaction` and one Float64 column a feature.

    `rows` are transactions under our names (`columns.as_transactions`). `reports` says whether labels older than the delay
    may be looked at.
    """
    import duckdb

    if not rows.height:
        return pl.DataFrame(schema={"transaction": rows.schema["transaction"]})
    owner = _owner(set(rows.columns))
    with duckdb.connect() as connection:
        # It would be drawn onto standard output.
        connection.execute("SET enable_progress_bar = false")
        connection.register("given", rows.with_row_index("place"))
        parts = [_in_order(connection, part.sql("given")) for part in _parts(set(rows.columns), reports=reports)]
        known = pl.concat([rows.select("transaction", "occurred_at", "amount"), *parts], how="horizontal")
        kept = [name for name in known.columns if not name.startswith("_")]
        carried = known.select(*(n for n in ("occurred_at", "amount", "_usual", "owner_history") if n in known.columns))
        groups = rows.select(*(n for n in dict.fromkeys((owner, "channel")) if n and n in rows.columns))
        connection.register("told", pl.concat([carried, groups], how="horizontal").with_row_index("place"))
        compared = _in_order(connection, _comparison_sql(owner, by_channel="channel" in rows.columns))
    frame = pl.concat([known.select(kept).drop("occurred_at", "amount"), compared], how="horizontal")
    return frame.with_columns(pl.exclude("transaction").cast(pl.Float64))


def feature_names(columns: list[str], *, reports: bool = True) -> list[str]:
    """Names of the features that a file with these columns (under our names) has."""
    row = pl.DataFrame({name: [1.0] if name in _NUMERIC else ["x"] for name in columns})
    moment = pl.lit(0).cast(pl.Datetime("us")).alias("occurred_at")
    return feature_frame(row.with_columns(moment), reports=reports).columns[1:]


_NUMERIC = ("amount", "fraud", "latitude", "longitude", "units", "is_return", "gift_card")


@dataclass
class _Part:
    """Some features and the windows that they need: a query of its own, for a narrow one is sorted faster than a wide one."""

    features: dict[str, str] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=dict)

    def sql(self, table: str) -> str:
        listed = ", ".join(f"{sql} AS {name}" for name, sql in self.features.items())
        named = ", ".join(f"{name} AS ({frame})" for name, frame in self.windows.items())
        return f"SELECT place, {listed} FROM {table}" + (f" WINDOW {named}" if named else "")


def _in_order(connection: "DuckDBPyConnection", query: str) -> pl.DataFrame:
    return connection.sql(query).pl().sort("place").drop("place")


def _owner(has: set[str]) -> str | None:
    """Whose usual amounts a transaction is compared with."""
    return next((name for name in SPENDERS if name in has), None)


def _parts(has: set[str], *, reports: bool) -> Iterator[_Part]:
    """One part for each thing that rows are grouped by, and one for what needs no window."""
    plain = {
        "value": "amount",
        "at_weekend": "(isodow(occurred_at) >= 6)::INT",
        "at_night": "(hour(occurred_at) <= 6)::INT",
    }
    yield _Part(plain | dict(_mismatch(has)) | ({"units_bought": "units"} if "units" in has else {}))
    owner = _owner(has)
    for entity in ENTITIES:
        part = _Part()
        if entity not in has:
            continue
        if entity in SPENDERS:
            part.features.update(_spender(entity, part.windows))
            part.features.update(_company(entity, has, part.windows))
        if entity in PLACES:
            part.features.update(_place(entity, reports and "fraud" in has, part.windows))
        if entity == owner and owner is not None:
            part.features.update(_usual(owner, part.windows))
            part.features.update(_abuse(owner, has, part.windows))
            part.features.update(_distance(owner, has, part.windows))
        yield part
    if owner is not None:
        yield from _first_seen(owner, has)


def _known(entity: str, sql: str) -> str:
    # Those without an entity are no group: what one did says nothing of the other.
    return f"CASE WHEN {entity} IS NOT NULL THEN {sql} END"


def _back(entity: str, days: int, until: str = "CURRENT ROW") -> str:
    return f"PARTITION BY {entity} ORDER BY occurred_at RANGE BETWEEN INTERVAL {days} DAY PRECEDING AND {until}"


def _spender(entity: str, windows: dict[str, str]) -> Iterator[tuple[str, str]]:
    for days in DAYS:
        window = f"{entity}_{days}d"
        windows[window] = _back(entity, days)
        yield f"{entity}_count_{days}d", _known(entity, f"count(*) OVER {window}")
        yield f"{entity}_mean_{days}d", _known(entity, f"avg(amount) OVER {window}")
    windows[f"{entity}_hour"] = (
        f"PARTITION BY {entity} ORDER BY occurred_at RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW"
    )
    yield f"{entity}_count_1h", _known(entity, f"count(*) OVER {entity}_hour")


def _place(entity: str, reports: bool, windows: dict[str, str]) -> Iterator[tuple[str, str]]:
    for days in DAYS:
        window = f"{entity}_{days}d"
        windows[window] = _back(entity, days)
        yield f"{entity}_count_{days}d", _known(entity, f"count(*) OVER {window}")
    if not reports:
        return
    for days in DAYS:
        window = f"{entity}_reported_{days}d"
        windows[window] = _back(entity, DELAY_DAYS + days, f"INTERVAL {DELAY_DAYS} DAY PRECEDING")
        frauds, labelled = f"sum(fraud) OVER {window}", f"count(fraud) OVER {window}"
        yield f"{entity}_reported_{days}d", _known(entity, frauds)
        yield f"{entity}_reported_share_{days}d", _known(entity, f"{frauds} / nullif({labelled}, 0)")


def _usual(owner: str, windows: dict[str, str]) -> Iterator[tuple[str, str]]:
    # What was given back says nothing of what is usually spent.
    windows["owner_usual"] = _back(owner, HISTORY_DAYS, "INTERVAL 1 MICROSECOND PRECEDING")
    spent = "CASE WHEN amount > 0 THEN amount END"
    yield "_usual", _known(owner, f"quantile_disc({spent}, [0.25, 0.5, 0.75]) OVER owner_usual")
    yield "owner_history", _known(owner, f"count({spent}) OVER owner_usual")
    windows["owner_ever"] = f"PARTITION BY {owner} ORDER BY occurred_at"
    age = "date_diff('second', min(occurred_at) OVER owner_ever, occurred_at) / 86400.0"
    yield "owner_age_days", _known(owner, age)


def _first_seen(owner: str, has: set[str]) -> Iterator[_Part]:
    """Whether the owner is at this place or in this country for the first time, and how often the country was seen at all."""
    for other in ("terminal", "device", "address", "country", "shipping_country"):
        if other in has and other != owner:
            first = f"CASE WHEN {owner} IS NOT NULL THEN (count(*) OVER pair = 1)::INT END"
            yield _Part({f"first_time_{other}": first}, {"pair": f"PARTITION BY {owner}, {other} ORDER BY occurred_at"})
    for country in ("country", "shipping_country"):
        if country in has:
            seen = _known(country, "count(*) OVER everybody - 1")
            yield _Part({f"{country}_seen": seen}, {"everybody": f"PARTITION BY {country} ORDER BY occurred_at"})


def _abuse(owner: str, has: set[str], windows: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Returns of a year as a share of purchases, and gift cards of a week."""
    if "is_return" in has:
        windows["owner_year"] = _back(owner, 365)
        returns = "sum(is_return) OVER owner_year"
        purchases = "sum(1 - is_return) OVER owner_year"
        yield "owner_returns_365d", _known(owner, returns)
        yield "owner_return_share_365d", _known(owner, f"{returns} / nullif({purchases}, 0)")
    if "gift_card" in has:
        windows["owner_week"] = _back(owner, 7)
        yield "owner_gift_cards_7d", _known(owner, "count(*) FILTER (WHERE gift_card > 0) OVER owner_week")
        yield "owner_gift_card_amount_7d", _known(owner, "sum(gift_card) OVER owner_week")


def _distance(owner: str, has: set[str], windows: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Kilometres from the owner's transaction before (great circle, haversine), and the speed that it would take."""
    if not {"latitude", "longitude"} <= has:
        return
    windows["owner_before"] = f"PARTITION BY {owner} ORDER BY occurred_at, place"
    lat, lon = "lag(latitude) OVER owner_before", "lag(longitude) OVER owner_before"
    half = (
        f"pow(sin(radians(latitude - {lat}) / 2), 2) "
        f"+ cos(radians({lat})) * cos(radians(latitude)) * pow(sin(radians(longitude - {lon}) / 2), 2)"
    )
    # Rounding may lift the root above one; `least` would take one for a root that is not known.
    km = f"2 * 6371.0 * asin(CASE WHEN {half} > 1 THEN 1 ELSE sqrt({half}) END)"
    hours = "greatest(date_diff('second', lag(occurred_at) OVER owner_before, occurred_at) / 3600.0, 1 / 60)"
    yield "km_from_last", _known(owner, km)
    yield "km_per_hour", _known(owner, f"{km} / {hours}")


def _company(who: str, has: set[str], windows: dict[str, str]) -> Iterator[tuple[str, str]]:
    """How many different cards a customer, device or address has used in a week, and customers a device or address."""
    for of in {"customer": ("card",), "device": ("card", "customer"), "address": ("card", "customer")}.get(who, ()):
        if of in has:
            windows[f"{who}_7d"] = _back(who, 7)
            yield f"{who}_{of}s_7d", _known(who, f"count(DISTINCT {of}) OVER {who}_7d")


def _mismatch(has: set[str]) -> Iterator[tuple[str, str]]:
    for one, other in (
        ("country", "card_country"),
        ("country", "ip_country"),
        ("country", "shipping_country"),
        ("card_country", "ip_country"),
    ):
        if {one, other} <= has:
            yield f"{other}_differs_from_{one}", f"(upper({one}) <> upper({other}))::INT"


def _comparison_sql(owner: str | None, *, by_channel: bool) -> str:
    """How far the amount is from what its owner spends, and from what everybody spends, in robust deviations.

    Everybody is of the channel, over the thirty days before. The spread of a short history is drawn towards half of its
    median, as much as ten more rows would do, and is at first no narrower than everybody's. The quartiles of a normal
    distribution lie 1.349 standard deviations apart.
    """
    group = "channel, day" if by_channel else "day"
    over = "PARTITION BY channel " if by_channel else ""
    same = "d.day = t.day" + (" AND d.channel IS NOT DISTINCT FROM t.channel" if by_channel else "")
    own = f", {_OWN_DEVIATION}" if owner else ""
    lately = f", {_lately(owner)}" if owner else ""
    carried = f", occurred_at, {owner}" if owner else ""
    window = f"WINDOW lately AS ({_back(owner, 14, 'INTERVAL 1 MICROSECOND PRECEDING')})" if owner else ""
    return f"""
    WITH t AS (
        SELECT *, CAST(occurred_at AS DATE) AS day FROM told
    ), of_day AS (
        SELECT {group}, count(*) AS n, quantile_cont(amount, [0.25, 0.5, 0.75]) AS q FROM t GROUP BY {group}
    ), d AS (
        SELECT {group}, sum(n * q[2]) OVER before / sum(n) OVER before AS middle,
               sum(n * (q[3] - q[1])) OVER before / sum(n) OVER before / 1.349 AS spread, sum(n) OVER before AS seen
        FROM of_day
        WINDOW before AS ({over}ORDER BY day RANGE BETWEEN INTERVAL 30 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING)
    ), s AS (
        SELECT place{carried.replace(", ", ", t.")},
               CASE WHEN seen >= {_ENOUGH} THEN (amount - middle) / nullif(spread, 0) END AS population_deviation,
               amount / nullif(middle, 0) AS population_ratio{own}
        FROM t LEFT JOIN d ON {same}
    )
    SELECT * EXCLUDE (place{carried}), place{lately} FROM s {window}
    """


_ENOUGH = 50
_PRIOR = f"{_PRIOR_ROWS} * {_PRIOR_SPREAD} * _usual[2]"
_SHRUNK = f"(owner_history * (_usual[3] - _usual[1]) / 1.349 + {_PRIOR}) / (owner_history + {_PRIOR_ROWS})"
# Of somebody who has bought once or twice little is known but that everybody's purchases differ.
_SPREAD = f"greatest({_SHRUNK}, coalesce(spread, 0) * 3 / (owner_history + 2))"
_WIDER = f"({_SPREAD}) * sqrt(1 + 1 / (owner_history + 1)) + {_LEAST_SPREAD} * coalesce(middle, _usual[2])"
_OWN_DEVIATION = f"""
    (amount - _usual[2]) / nullif({_WIDER}, 0) AS owner_deviation,
    amount / nullif(_usual[2], 0) AS owner_ratio,
    _usual[2] AS owner_median
"""


def _lately(owner: str) -> str:
    """What the owner's amounts of the fortnight before were like: fraud seldom stays alone."""
    unusual = f"count(*) FILTER (WHERE owner_deviation >= {USUAL_DEVIATION}) OVER lately"
    return f"""
        {_known(owner, unusual)} AS owner_unusual_14d,
        {_known(owner, "max(owner_deviation) OVER lately")} AS owner_highest_deviation_14d
    """
