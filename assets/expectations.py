"""Asset checks: Great Expectations suites on an asset's rows, and SQL that asks the lake for rows that should not exist.

Belongs here: running a rule and reporting it. Does not belong here: the rules, which stand in each domain's `checks.py`.

Great Expectations takes seconds to import, so that happens where a suite runs. Its context is ephemeral, in memory.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from assets.partitions import DAILY, MONTHLY
from resources.lake import Lake

SAMPLE_ROWS = 10
START_TAG, END_TAG, ONE_TAG = (
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
    "dagster/partition",
)


@dataclass(frozen=True)
class Rule:
    """One expectation, such as Rule("line_is_unique", "ExpectColumnValuesToBeUnique", {"column": "line_id"}, "…")."""

    name: str
    expectation: str
    arguments: dict[str, Any] = field(hash=False)
    description: str
    blocking: bool = True


def suite(
    asset: str, rules: Sequence[Rule], *, prepare: "Prepare | None" = None, partitioned: bool = False
) -> dg.AssetChecksDefinition:
    """The rules of one asset as its checks, run together on the run's partitions, or on all rows when there are none.

    `prepare` may add columns that a rule is about. A blocking rule that fails stops what is downstream in the run.
    """
    specs = [
        dg.AssetCheckSpec(rule.name, asset=asset, blocking=rule.blocking, description=rule.description)
        for rule in rules
    ]

    @dg.multi_asset_check(name=f"{asset}_suite", specs=specs)
    def checks(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
        frame = lake.read(asset, run_days(context.run.tags) if partitioned else None)
        yield from run_suite(asset, prepare(frame) if prepare else frame, rules)

    return checks


Prepare = Any


def run_suite(asset: str, frame: pl.DataFrame, rules: Sequence[Rule]) -> Iterator[dg.AssetCheckResult]:
    """Validate a frame by Great Expectations and report each rule with a sample of the rows that break it."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations import expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    # Its progress bars would fill the run's log.
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    batch = (
        context.data_sources.add_pandas("lake").add_dataframe_asset(asset).add_batch_definition_whole_dataframe("rows")
    )
    wanted = gx.ExpectationSuite(
        name=asset,
        expectations=[getattr(expectations, r.expectation)(**r.arguments, meta={"rule": r.name}) for r in rules],
    )
    report = batch.get_batch({"dataframe": frame.to_pandas()}).validate(wanted, result_format="COMPLETE")
    by_name = {result.expectation_config.meta["rule"]: result for result in report.results}  # pyright: ignore
    for rule in rules:
        yield _gx_result(asset, rule, by_name[rule.name], frame)


def sql_check(
    asset: str, name: str, query: str, description: str, *, blocking: bool = True
) -> dg.AssetChecksDefinition:
    """A check that passes when `query`, over the lake's views, finds no row. What it finds is shown."""

    @dg.asset_check(asset=asset, name=name, description=description, blocking=blocking)
    def check(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        return rows_found(lake.sql(query), blocking=blocking)

    return check


def monthly_check(
    asset: str, name: str, query: str, description: str, *, blocking: bool = True
) -> dg.AssetChecksDefinition:
    """A `sql_check` of an asset with a partition a month: rows that `query` finds count by their column `month`.

    A run answers for its own months; one that was started for the check alone, for all.
    """

    @dg.asset_check(asset=asset, name=name, description=description, blocking=blocking)
    def check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        found, months = lake.sql(query), run_months(context.run.tags)
        if months is not None:
            found = found.filter(pl.col("month").cast(pl.Date).is_in(months))
        return rows_found(found, blocking=blocking)

    return check


def rows_found(offending: pl.DataFrame, *, blocking: bool = True) -> dg.AssetCheckResult:
    """The result of a check that looked for rows which should not exist."""
    from assets.presentation import markdown_table

    return dg.AssetCheckResult(
        passed=not offending.height,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "rows_found": offending.height,
            "sample": dg.MetadataValue.md(markdown_table(offending.head(SAMPLE_ROWS))),
        },
    )


def _gx_result(asset: str, rule: Rule, result: Any, frame: pl.DataFrame) -> dg.AssetCheckResult:
    from assets.presentation import markdown_table

    indexes: Iterable[int] = result.result.get("unexpected_index_list") or []
    sample = frame[[i for i in indexes if isinstance(i, int)][:SAMPLE_ROWS]] if indexes else frame.clear()
    figures = {k: v for k, v in result.result.items() if k in ("observed_value", "unexpected_count", "element_count")}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=rule.name,
        passed=bool(result.success),
        severity=dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "rows": frame.height,
            "expectation": dg.MetadataValue.json(
                {"type": rule.expectation, **json.loads(json.dumps(rule.arguments, default=str))}
            ),
            "result": dg.MetadataValue.json(json.loads(json.dumps(figures, default=str))),
            "sample": dg.MetadataValue.md(markdown_table(sample)),
        },
    )


def run_days(tags: Mapping[str, str]) -> list[str] | None:
    """Partitions of the run; None, which means all, for a check that was started by itself."""
    return _run_keys(tags, DAILY)


def run_months(tags: Mapping[str, str]) -> list[date] | None:
    """The months of the run, as their first days; None likewise."""
    keys = _run_keys(tags, MONTHLY)
    return None if keys is None else [date.fromisoformat(key) for key in keys]


def _run_keys(tags: Mapping[str, str], partitions: dg.TimeWindowPartitionsDefinition) -> list[str] | None:
    if ONE_TAG in tags:
        return [tags[ONE_TAG]]
    if START_TAG in tags:
        return list(partitions.get_partition_keys_in_range(dg.PartitionKeyRange(tags[START_TAG], tags[END_TAG])))
    return None
