"""Tables to journeys: rows of paths with counts, or rows of single touches with customer and time.

Belongs here: which column is what, and what is wrong with a row. Does not belong here: reading files (`resources/tables`).
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from assets.marketing.attribution.errors import AttributionError
from assets.marketing.attribution.holdouts import Incremental, Side, incremental_of
from assets.marketing.attribution.journeys import Journeys

_PATHS = {
    "path": ("path", "journey", "channel_path", "channels", "touchpoints"),
    "conversions": ("conversions", "total_conversions", "conversion", "converted", "orders"),
    "value": ("conversion_value", "total_conversion_value", "value", "revenue", "total_revenue"),
    "nulls": ("null_paths", "nulls", "null", "total_null", "total_nulls", "non_conversions"),
    "returns": ("returns", "returned_value", "returned", "refunds", "refunded_value"),
}
_TOUCHES = {
    "customer": ("customer", "customer_id", "user", "user_id", "cookie", "visitor", "visitor_id", "person"),
    "time": ("time", "timestamp", "at", "datetime", "occurred_at", "date", "day"),
    "channel": ("channel", "source", "touchpoint"),
    "conversions": ("conversion", "conversions", "converted", "orders"),
    "value": _PATHS["value"],
    "returns": _PATHS["returns"],
}
_HOLDOUT = {
    "channel": ("channel",),
    "treated_n": ("treated_n", "treated", "n_treated", "treatment_n"),
    "treated_conversions": ("treated_conversions", "treatment_conversions"),
    "treated_value": ("treated_value", "treated_revenue", "treatment_value"),
    "treated_sd": ("treated_value_sd", "treated_sd"),
    "holdout_n": ("holdout_n", "holdout", "n_holdout", "control_n"),
    "holdout_conversions": ("holdout_conversions", "control_conversions"),
    "holdout_value": ("holdout_value", "holdout_revenue", "control_value"),
    "holdout_sd": ("holdout_value_sd", "holdout_sd"),
}
ROLES = tuple(dict.fromkeys((*_PATHS, *_TOUCHES)))
_DAY = 86_400_000_000


def journeys_of_table(
    table: pl.DataFrame,
    exponent: int,
    *,
    columns: Mapping[str, str] | None = None,
    separator: str = ">",
    window_days: float | None = None,
) -> Journeys:
    """Journeys of either form; `columns` names columns that are called otherwise, by ROLES. Amounts have `exponent` digits.

    A table with customer, time and channel has touches; `window_days` leaves out those too long before what they led to.
    Raises AttributionError that names the column and the first row at fault.
    """
    given = dict(columns or {})
    if unknown := set(given) - set(ROLES):
        raise AttributionError(
            f"{', '.join(sorted(unknown))}: no such column is asked for. There are {', '.join(ROLES)}."
        )
    touches, paths = _find(table, _TOUCHES, given), _find(table, _PATHS, given)
    if {"customer", "time", "channel"} <= set(touches):
        return _from_touches(table, _required(table, touches, "conversions"), exponent, window_days)
    if "path" not in paths:
        raise AttributionError(
            "the table has neither paths (path, conversions) nor touches (customer, time, channel, conversion). "
            f"It has: {_names(table)}. Name the columns with --column, such as --column path=journey_text."
        )
    if window_days is not None:
        raise AttributionError("a window needs the times of touches: give rows of customer, time, channel, conversion")
    return _from_paths(table, _required(table, paths, "conversions"), exponent, separator)


def holdouts_of_table(table: pl.DataFrame, exponent: int, confidence: float = 0.95) -> dict[str, Incremental]:
    """A holdout a row: channel, treated_n, treated_conversions, holdout_n, holdout_conversions; values, sd optional."""
    found = _find(table, _HOLDOUT, {})
    for role in ("channel", "treated_n", "treated_conversions", "holdout_n", "holdout_conversions"):
        found = _required(table, found, role)
    names = _text(table, found["channel"])
    counts = {role: _whole(table, found[role]) for role in found if role.endswith(("_n", "_conversions"))}
    amounts = {role: _numbers(table, found[role]) * 10**exponent for role in found if role.endswith(("_value", "_sd"))}
    results: dict[str, Incremental] = {}
    for row, channel in enumerate(names):
        if channel in results:
            raise AttributionError(f"the holdouts name {channel!r} twice. Keep the latest.")
        treated, holdout = (_side(side, row, counts, amounts) for side in ("treated", "holdout"))
        results[channel] = incremental_of(channel, treated, holdout, confidence)
    return results


def _side(side: str, row: int, counts: Mapping[str, NDArray], amounts: Mapping[str, NDArray]) -> Side:
    value, spread = amounts.get(f"{side}_value"), amounts.get(f"{side}_sd")
    return Side(
        n=int(counts[f"{side}_n"][row]),
        conversions=int(counts[f"{side}_conversions"][row]),
        value_minor=None if value is None else round(float(value[row])),
        value_sd_minor=None if spread is None else float(spread[row]),
    )


def _from_paths(table: pl.DataFrame, found: Mapping[str, str], exponent: int, separator: str) -> Journeys:
    if not separator.strip():
        raise AttributionError("the separator of a path is empty. Give one such as '>'.")
    gross, returned = _amount(table, found, "value", exponent), _amount(table, found, "returns", exponent)
    grouped = (
        pl.DataFrame(
            {
                "path": table[found["path"]].cast(pl.String),
                "conversions": _whole(table, found["conversions"]),
                "nulls": _whole(table, found["nulls"]) if "nulls" in found else np.zeros(table.height, dtype=np.int64),
                "value": _net(table, gross, returned),
            }
        )
        .filter((pl.col("conversions") > 0) | (pl.col("nulls") > 0) | (pl.col("value") > 0))
        .group_by("path", maintain_order=True)
        .sum()
    )
    # Taken apart at the bare sign, whatever blanks are around it: names lose theirs below, once each and not once a touch.
    lists = grouped["path"].fill_null("").str.split(separator.strip())
    lengths = lists.list.len().to_numpy().astype(np.int64)
    channels, codes = _coded(lists.explode(empty_as_null=True))
    if (codes < 0).any():
        path = grouped["path"][int(np.searchsorted(np.cumsum(lengths), int((codes < 0).argmax()), side="right"))]
        raise AttributionError(
            f"the path {path or ''!r} has an empty step. Write channels with {separator.strip()!r} between them, and for "
            "nothing a name such as direct."
        )
    return Journeys(
        channels=channels,
        codes=codes,
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        conversions=grouped["conversions"].to_numpy(),
        value_minor=grouped["value"].to_numpy(),
        nulls=grouped["nulls"].to_numpy(),
        returned_minor=int(returned.sum()),
    )


def _from_touches(table: pl.DataFrame, found: Mapping[str, str], exponent: int, window_days: float | None) -> Journeys:
    """A customer's touches up to a purchase are one journey, the next begins after it; what leads to none is a null path.

    The row of a purchase may be a touch itself; without a channel it is only the purchase.
    """
    returned = _amount(table, found, "returns", exponent)
    channels, codes = _coded(table[found["channel"]].cast(pl.String))
    conversions = _whole(table, found["conversions"])
    value = _net(table, _amount(table, found, "value", exponent), returned)
    if (at := _first((value > 0) & (conversions == 0))) is not None:
        raise AttributionError(f"row {_row(table, at)} has a value but no conversion. Correct one or the other.")
    if (at := _first((codes < 0) & (conversions == 0))) is not None:
        raise AttributionError(f"row {_row(table, at)} has neither a channel nor a conversion. Name its channel.")
    times = _times(table, found["time"])
    customers = _customers(table, found["customer"])
    order = (
        pl.DataFrame({"customer": customers, "time": times})
        .select(pl.arg_sort_by("customer", "time", maintain_order=True))
        .to_series()
        .to_numpy()
    )
    customers, times, codes = customers[order], times[order], codes[order]
    conversions, value = conversions[order], value[order]
    begins = np.ones(times.size, dtype=bool)
    begins[1:] = (customers[1:] != customers[:-1]) | (conversions[:-1] > 0)
    del customers, order
    first = np.flatnonzero(begins)
    last = np.append(first[1:], times.size) - 1
    age = (np.repeat(times[last], last - first + 1) - times) / _DAY
    journey = np.cumsum(begins) - 1
    bought, worth = conversions[last], value[last]
    kept = codes >= 0
    if window_days is not None:
        if not window_days > 0:
            raise AttributionError(f"a window of {window_days} days is none. Give a number above 0.")
        kept &= (age <= window_days) | (bought[journey] == 0)
    lengths = np.bincount(journey[kept], minlength=first.size)
    touched = lengths > 0
    return Journeys(
        channels=channels,
        codes=codes[kept],
        starts=np.concatenate([[0], np.cumsum(lengths[touched])]),
        conversions=bought[touched],
        value_minor=worth[touched],
        nulls=(bought[touched] == 0).astype(np.int64),
        age_days=age[kept],
        returned_minor=int(returned.sum()),
        untouched_conversions=int(bought[~touched].sum()),
        untouched_minor=int(worth[~touched].sum()),
    )


def _find(table: pl.DataFrame, aliases: Mapping[str, Sequence[str]], given: Mapping[str, str]) -> dict[str, str]:
    plain = {re.sub(r"[\s\-.]+", "_", name.strip().lower()): name for name in reversed(table.columns)}
    found = {}
    for role, names in aliases.items():
        if role in given:
            if given[role] not in table.columns:
                raise AttributionError(f"there is no column {given[role]!r} ({role}). The table has: {_names(table)}.")
            found[role] = given[role]
        elif name := next((plain[name] for name in names if name in plain), None):
            found[role] = name
    return found


def _required(table: pl.DataFrame, found: dict[str, str], role: str) -> dict[str, str]:
    if role not in found:
        raise AttributionError(f"the table has no column {role}. It has: {_names(table)}. Add it, or name it.")
    return found


def _names(table: pl.DataFrame) -> str:
    return ", ".join(name for name in table.columns if name != "row_number")


def _coded(names: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Channels in alphabetical order and each name's place among them, -1 for an empty one. Blanks around names don't count."""
    raw = names.unique().drop_nulls()
    stripped = raw.str.strip_chars()
    channels = stripped.filter(stripped != "").unique().sort()
    place = {name: number for number, name in enumerate(channels)}
    of_raw = np.array([*(place.get(name, -1) for name in stripped), -1], dtype=np.int32)
    physical = names.cast(pl.Enum(raw)).to_physical().cast(pl.Int64).fill_null(raw.len()).to_numpy()
    return tuple(channels), of_raw[physical]


def _customers(table: pl.DataFrame, name: str) -> NDArray:
    column = table[name]
    if (at := _first(column.is_null().to_numpy())) is not None:
        raise AttributionError(f"row {_row(table, at)} has no {name}. Leave touches of nobody out.")
    if column.dtype.is_integer():
        return column.to_numpy()
    known = column.unique(maintain_order=True).alias(name)
    numbers = pl.DataFrame({name: known, "number": np.arange(known.len(), dtype=np.int64)})
    return column.to_frame().join(numbers, on=name, how="left", maintain_order="left")["number"].to_numpy()


def _times(table: pl.DataFrame, name: str) -> NDArray[np.int64]:
    """Microseconds. Text with an offset is read as such; without one all times are taken to be of one zone."""
    column = table[name]
    if column.dtype == pl.String:
        tries = []
        for zone in ("UTC", None):
            try:
                tries.append(column.str.to_datetime(time_unit="us", time_zone=zone, strict=False))
            except pl.exceptions.ComputeError:
                continue
        tries.append(column.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
        column = min(tries, key=lambda one: one.null_count())
    elif column.dtype.is_temporal():
        column = column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
    else:
        raise AttributionError(
            f"the column {name!r} holds {column.dtype}, no times. Write them as 2026-11-26 14:05:00."
        )
    if (at := _first(column.is_null().to_numpy())) is not None:
        shown = table[name][at]
        raise AttributionError(f"row {_row(table, at)}: {name} {shown!r} is no time. Write 2026-11-26 14:05:00.")
    return column.to_physical().to_numpy()


def _net(table: pl.DataFrame, gross: NDArray[np.int64], returned: NDArray[np.int64]) -> NDArray[np.int64]:
    if (at := _first(returned > gross)) is not None:
        raise AttributionError(f"row {_row(table, at)}: more was returned than was bought. Correct one or the other.")
    return gross - returned


def _amount(table: pl.DataFrame, found: Mapping[str, str], role: str, exponent: int) -> NDArray[np.int64]:
    if role not in found:
        return np.zeros(table.height, dtype=np.int64)
    minor = np.rint(_numbers(table, found[role]) * 10**exponent)
    if (at := _first(minor > 2**53)) is not None:
        raise AttributionError(f"row {_row(table, at)}: {found[role]} is too large. Check its unit.")
    return minor.astype(np.int64)


def _whole(table: pl.DataFrame, name: str) -> NDArray[np.int64]:
    numbers = _numbers(table, name)
    if (at := _first(numbers != np.floor(numbers))) is not None:
        raise AttributionError(f"row {_row(table, at)}: {name} is {numbers[at]:g}. Give a whole number.")
    return numbers.astype(np.int64)


def _numbers(table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """Numbers of 0 or more; an empty cell is 0."""
    column = table[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars().replace({"": None, "true": "1", "false": "0", "True": "1", "False": "0"})
    numbers = column.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & column.is_not_null()) | ~numbers.fill_null(0.0).is_finite()
    if (at := _first(wrong.to_numpy())) is not None:
        raise AttributionError(
            f"row {_row(table, at)}: {name} {table[name][at]!r} is no number. Write one such as 12.50."
        )
    values = numbers.fill_null(0.0).to_numpy()
    if (at := _first(values < 0)) is not None:
        raise AttributionError(
            f"row {_row(table, at)}: {name} is negative ({values[at]:g}). What came back belongs in a column returns."
        )
    return values


def _text(table: pl.DataFrame, name: str) -> list[str]:
    names = table[name].cast(pl.String).fill_null("").str.strip_chars()
    if (at := _first((names == "").to_numpy())) is not None:
        raise AttributionError(f"row {_row(table, at)} names no {name}")
    return names.to_list()


def _first(wrong: NDArray) -> int | None:
    return int(wrong.argmax()) if wrong.any() else None


def _row(table: pl.DataFrame, at: int) -> int:
    return int(table["row_number"][at]) if "row_number" in table.columns else at + 1
