"""What the reports of a month share: their partitions, what they read, and what the UI shows of each month.

Belongs here: how such an asset is declared and its rows are handed over. Does not belong here: what a report says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from assets.finance.reports.model import CELLS, Report
from assets.partitions import MONTHLY, UNTIL_MONTH_END, months_of
from assets.presentation import Group, asset_options, metadata_of
from resources.io_manager import PARTITION_COLUMN

MONTH: dict[str, pl.DataType] = {"month": pl.Date()}
MONTHLY_CELLS: dict[str, pl.DataType] = {**MONTH, **CELLS}


def month_options(
    schema: Mapping[str, pl.DataType],
    *,
    reads: Sequence[str] = (),
    after: Sequence[str] = (),
    beside: Sequence[str] = (),
    group: Group = "finance",
) -> Any:
    """What an asset of a month declares. `schema` has the column `month`.

    `reads` are assets of days, of which it gets all until the month's end: a balance is of all of them, and an event of an
    earlier month that was closed by then is posted in this one. `after` are those that it only has to come after, `beside`
    likewise, of the same month.
    """
    cut_by: Any = {PARTITION_COLUMN: "month"}
    return {
        **asset_options(group, schema, kinds={"parquet"}, **cut_by),
        "partitions_def": MONTHLY,
        "ins": {name: dg.AssetIn(partition_mapping=UNTIL_MONTH_END) for name in reads},
        "deps": [*(dg.AssetDep(name, partition_mapping=UNTIL_MONTH_END) for name in after), *beside],
    }


def within_months(context: dg.AssetExecutionContext, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows whose `day` is in a month of the run."""
    months = months_of(context)
    return rows.filter(pl.col("day").is_between(months[0][0], months[-1][1]))


def newest(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of the newest month."""
    return frame.filter(pl.col("month") == pl.col("month").max())


def cells_by_month(reports: Iterable[Report]) -> pl.DataFrame:
    """The cells of reports of a month each, one below the other: the columns MONTHLY_CELLS."""
    frames = [report.frame().select(pl.lit(report.first.replace(day=1)).alias("month"), pl.all()) for report in reports]
    return pl.concat([pl.DataFrame(schema=MONTHLY_CELLS), *frames])


def result_by_month(
    context: dg.AssetExecutionContext,
    frame: pl.DataFrame,
    plot: Callable[[], bytes] | None = None,
    alt: str = "",
    *,
    preview: pl.DataFrame | None = None,
    notes: Mapping[date, Sequence[str]] | None = None,
) -> dg.MaterializeResult[pl.DataFrame]:
    """The run's months in one frame; each month has its own row count, first rows and notes, the newest of them the plot."""
    shown = frame if preview is None else preview
    for key in context.partition_keys:
        month = date.fromisoformat(key)
        extra: dict[str, Any] = {}
        if notes is not None:
            extra["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in notes[month]) or "none")
        mine, told = (rows.filter(pl.col("month") == month) for rows in (frame, shown))
        drawn = plot if key == context.partition_keys[-1] else None
        context.add_asset_metadata(metadata_of(mine, drawn, alt, preview=told, **extra), partition_key=key)
    return dg.MaterializeResult(value=frame)
