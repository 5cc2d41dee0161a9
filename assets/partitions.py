"""The partitions that assets share: a day and a month of the brand's books, a channel, a brief, a shard of the SKUs."""

import calendar
import warnings
from collections.abc import Iterable
from datetime import date

import dagster as dg

from assets.forecasting.shards import KEYS
from resources.settings import load_settings


def _daily() -> dg.DailyPartitionsDefinition:
    current = load_settings().current
    # end_offset: today's orders belong to a partition today, not tomorrow.
    return dg.DailyPartitionsDefinition(current.books_start.isoformat(), timezone=current.timezone, end_offset=1)


def _monthly() -> dg.MonthlyPartitionsDefinition:
    current = load_settings().current
    # end_offset: the running month is there as far as its days are closed.
    first = current.books_start.replace(day=1)
    return dg.MonthlyPartitionsDefinition(first.isoformat(), timezone=current.timezone, end_offset=1)


def _until_month_end() -> dg.TimeWindowPartitionMapping:
    with warnings.catch_warnings():
        # Days that are still to come belong to the running month; to say so is in beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(start_offset=-12 * 50, allow_nonexistent_upstream_partitions=True)


DAILY = _daily()
MONTHLY = _monthly()
UNTIL_MONTH_END = _until_month_end()
"""A month is made of its days and of all before them: fifty years back, which is more than books hold."""
CHANNELS = dg.DynamicPartitionsDefinition(name="channels")
"""The names of connected channels."""
BRIEFS = dg.DynamicPartitionsDefinition(name="briefs")
"""Briefs that pictures are made for."""
SHARDS = dg.StaticPartitionsDefinition(KEYS)
"""SKUs that are forecast together."""


def day_range(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """First and last day of the run."""
    return context.partition_keys[0], context.partition_keys[-1]


def months_of(context: dg.AssetExecutionContext) -> list[tuple[date, date]]:
    """First and last day of each month of the run."""
    firsts = [date.fromisoformat(key) for key in context.partition_keys]
    return [(first, month_end(first)) for first in firsts]


def month_end(day: date) -> date:
    """The last day of the month that a day is in."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def keep_channels(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Have Dagster know just these channels: `dagster asset materialize --partition NAME` takes no others."""
    _keep(instance, CHANNELS, names)


def keep_briefs(instance: dg.DagsterInstance, ids: Iterable[str]) -> None:
    """Have Dagster know just these briefs."""
    _keep(instance, BRIEFS, ids)


def _keep(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, wanted: Iterable[str]) -> None:
    name, keys = str(partitions.name), list(dict.fromkeys(wanted))
    known = set(instance.get_dynamic_partitions(name))
    if missing := [key for key in keys if key not in known]:
        instance.add_dynamic_partitions(name, missing)
    for gone in sorted(known - set(keys)):
        instance.delete_dynamic_partition(name, gone)
