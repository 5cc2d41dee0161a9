"""The partitions that assets share: a day of the brand's books, a connected channel, a shard of the SKUs."""

from collections.abc import Iterable

import dagster as dg

from assets.forecasting.shards import KEYS
from resources.settings import load_settings


def _daily() -> dg.DailyPartitionsDefinition:
    current = load_settings().current
    # end_offset: today's orders belong to a partition today, not tomorrow.
    return dg.DailyPartitionsDefinition(current.books_start.isoformat(), timezone=current.timezone, end_offset=1)


DAILY = _daily()
CHANNELS = dg.DynamicPartitionsDefinition(name="channels")
"""The names of connected channels."""
SHARDS = dg.StaticPartitionsDefinition(KEYS)
"""SKUs that are forecast together."""


def day_range(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """First and last day of the run."""
    return context.partition_keys[0], context.partition_keys[-1]


def keep_channels(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Have Dagster know just these channels: `dagster asset materialize --partition NAME` takes no others."""
    known, wanted = set(instance.get_dynamic_partitions("channels")), set(names)
    if missing := sorted(wanted - known):
        instance.add_dynamic_partitions("channels", missing)
    for gone in sorted(known - wanted):
        instance.delete_dynamic_partition("channels", gone)
