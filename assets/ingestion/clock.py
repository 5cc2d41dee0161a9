"""Times as people export them: with an offset, without one, in many formats; the local day and the instant."""

from datetime import timedelta

import polars as pl

_ISO = r"^(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)\s*(?P<offset>Z|[+-]\d{2}:?\d{2})?)?$"
_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%Y%m%d",
)


def local_and_utc(rows: pl.DataFrame, name: str, zone: str, formats: tuple[str, ...] = ()) -> list[pl.Expr]:
    """Two expressions: `local_date`, the day on the source's own clock, and `occurred_at`, the instant in UTC.

    A time with an offset keeps its own day. One without is on the clock of `zone`; in the hour that occurs twice the first
    is meant, and an hour that daylight saving skips counts from the one before it.
    """
    dtype, column = rows.schema[name], pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        utc = column.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        return [column.dt.convert_time_zone(zone).dt.date().alias("local_date"), utc.alias("occurred_at")]
    if dtype == pl.String:
        return _from_text(rows, name, zone, formats)
    wall = column.cast(pl.Datetime("us"), strict=False)
    # The lines of an order share its time, and placing one in a zone is slow.
    walls = rows.select(wall.unique().alias("wall")).with_columns(_in_zone(pl.col("wall"), zone).alias("instant"))
    instant = wall.replace_strict(walls["wall"], walls["instant"], return_dtype=pl.Datetime("us", "UTC"))
    return [wall.dt.date().alias("local_date"), instant.alias("occurred_at")]


def _from_text(rows: pl.DataFrame, name: str, zone: str, formats: tuple[str, ...]) -> list[pl.Expr]:
    text = pl.col(name).str.strip_chars()
    parts = text.str.extract_groups(_ISO)
    day, time, offset = (parts.struct.field(field) for field in ("day", "time", "offset"))
    seconds = pl.when(time.str.len_bytes() == 5).then(time + ":00").otherwise(time).fill_null("00:00:00")
    wall = (day + " " + seconds).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    chosen = _best_format(rows[name], formats)
    if chosen:
        wall = pl.coalesce(wall, text.str.to_datetime(chosen, time_unit="us", strict=False))
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    digits = offset.str.replace_all(r"\D", "")
    minutes = sign * (
        digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(2, 2).cast(pl.Int64, strict=False)
    )
    minutes = pl.when(offset == "Z").then(0).otherwise(minutes)
    shifted = (wall - pl.duration(minutes=minutes)).dt.replace_time_zone("UTC")
    return [
        wall.dt.date().alias("local_date"),
        pl.coalesce(shifted, _in_zone(wall, zone)).alias("occurred_at"),
    ]


def _best_format(column: pl.Series, formats: tuple[str, ...]) -> str | None:
    """The one format that reads most of the column: day and month must not be guessed row by row."""
    odd = column.drop_nulls().str.strip_chars()
    odd = odd.filter(~odd.str.contains(_ISO))
    if not odd.len():
        return None
    candidates = [*formats, *_FORMATS]
    read = {fmt: odd.str.to_datetime(fmt, strict=False).is_not_null().sum() for fmt in candidates}
    best = max(candidates, key=lambda fmt: read[fmt])
    return best if read[best] else None


def _in_zone(wall: pl.Expr, zone: str) -> pl.Expr:
    placed = wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    skipped = (wall - timedelta(hours=1)).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(placed, skipped.dt.offset_by("1h")).dt.convert_time_zone("UTC")
