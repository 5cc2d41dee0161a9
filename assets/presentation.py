"""What a person sees of an asset in the Dagster UI: row count, preview, plot; and the tags and owners all assets share.

Belongs here: metadata. Does not belong here: drawing (`charts`) and words for columns (`columns`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, overload

import dagster as dg
import polars as pl

from assets.columns import table_schema

PREVIEW_ROWS = 8
MAX_CELL = 60
TEAMS = {
    "inventory": "team:inventory",
    "finance": "team:finance",
    "forecasting": "team:planning",
    "visuals": "team:brand",
}
Group = Literal["inventory", "finance", "forecasting", "visuals"]


def asset_options(
    group: Group,
    schema: Mapping[str, pl.DataType],
    *,
    kinds: set[str],
    words: Mapping[str, str] | None = None,
    **metadata: Any,
) -> Any:
    """What every asset of a group declares in the same way: group, owner, kinds, columns, and that a range is one run.

    `words` are of columns that mean something else here than in the glossary.
    """
    return {
        "group_name": group,
        "owners": [TEAMS[group]],
        "kinds": {"polars", *kinds},
        "tags": {"domain": group},
        "metadata": {"dagster/column_schema": table_schema(schema, words), **metadata},
        "backfill_policy": dg.BackfillPolicy.single_run(),
    }


@overload
def result(
    frame: pl.DataFrame, *, preview: pl.DataFrame | None = ..., **extra: Any
) -> dg.MaterializeResult[pl.DataFrame]: ...
@overload
def result(
    frame: pl.DataFrame, plot: Callable[[], bytes] | None, alt: str, *, preview: pl.DataFrame | None = ..., **extra: Any
) -> dg.MaterializeResult[pl.DataFrame]: ...
def result(
    frame: pl.DataFrame,
    plot: Callable[[], bytes] | None = None,
    alt: str = "",
    *,
    preview: pl.DataFrame | None = None,
    **extra: Any,
) -> dg.MaterializeResult[pl.DataFrame]:
    """The asset's value with its row count, its first rows and, where there is one, its plot as an inline picture."""
    return dg.MaterializeResult(value=frame, metadata=metadata_of(frame, plot, alt, preview=preview, **extra))


def metadata_of(
    frame: pl.DataFrame,
    plot: Callable[[], bytes] | None = None,
    alt: str = "",
    *,
    preview: pl.DataFrame | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """The metadata that `result` attaches, for outputs that are made otherwise."""
    from assets.charts import inline_png

    shown = preview if preview is not None else frame
    metadata: dict[str, Any] = {
        "dagster/row_count": frame.height,
        "preview": dg.MetadataValue.md(markdown_table(shown.head(PREVIEW_ROWS))),
        **extra,
    }
    if plot is not None:
        metadata["plot"] = dg.MetadataValue.md(inline_png(plot(), alt))
    return metadata


def count_days(
    context: dg.AssetExecutionContext, frame: pl.DataFrame, day: str = "day", asset: str | None = None
) -> None:
    """Give each day of a ranged run its own row count; `day` is the column that the partitions are cut by.

    `asset` names one of a run that makes several.
    """
    if len(context.partition_keys) > 1:
        counts = {str(key): count for key, count in frame.group_by(day).len().iter_rows()}
        for key in context.partition_keys:
            context.add_asset_metadata({"dagster/row_count": counts.get(key, 0)}, asset_key=asset, partition_key=key)


def markdown_table(frame: pl.DataFrame) -> str:
    """A small frame as a Markdown table; cells are cut and escaped."""
    if not frame.height:
        return "*no rows*"
    head = f"| {' | '.join(frame.columns)} |\n|{' --- |' * frame.width}\n"
    return head + "\n".join(f"| {' | '.join(_cell(value) for value in row)} |" for row in frame.iter_rows())


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:MAX_CELL]
