"""The partitions that assets share: a day of the brand's books."""

import dagster as dg

from resources.settings import load_settings


def _daily() -> dg.DailyPartitionsDefinition:
    current = load_settings().current
    # end_offset: today's orders belong to a partition today, not tomorrow.
    return dg.DailyPartitionsDefinition(current.books_start.isoformat(), timezone=current.timezone, end_offset=1)


DAILY = _daily()


def day_range(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """First and last day of the run."""
    return context.partition_keys[0], context.partition_keys[-1]
