"""What the clock starts. Switched on only where the installation says `automation: true`."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from assets.forecasting.shards import KEYS
from assets.partitions import MONTHLY, keep_channels
from luxauto_pipelines.jobs import (
    CHANNEL_TAG,
    channel_sync,
    daily_close,
    demand_forecasting,
    freshness,
    month_end,
    monthly_reports,
    nightly_forecast,
    picture_gallery,
    reconcile_payouts,
    retention,
    weekly_backtest,
)
from resources.settings import Settings
from resources.store.brand_store import BrandStore
from resources.store.connections import read_connections


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """What a night and a month's end start, by the brand's clock, and each channel's sync by the hour."""
    running = dg.DefaultScheduleStatus.RUNNING if settings.automation else dg.DefaultScheduleStatus.STOPPED
    zone = settings.current.timezone

    @dg.schedule(
        job=daily_close,
        cron_schedule="30 1 * * *",
        execution_timezone=zone,
        default_status=running,
        name="daily_close_schedule",
        description="At half past one, close the day that has just ended.",
    )
    def close_yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        ended = _yesterday(context, zone).isoformat()
        return dg.RunRequest(run_key=ended, partition_key=ended)

    @dg.schedule(
        job=monthly_reports,
        cron_schedule="15 3 * * *",
        execution_timezone=zone,
        default_status=running,
        name="monthly_reports_schedule",
        description="At a quarter past three, after the close, write the reports of the month of the day that was closed.",
    )
    def report_running_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        ended = _yesterday(context, zone)
        return dg.RunRequest(run_key=ended.isoformat(), partition_key=ended.replace(day=1).isoformat())

    @dg.schedule(
        job=channel_sync,
        cron_schedule="10 * * * *",
        execution_timezone="UTC",
        default_status=running,
        name="channel_sync_schedule",
        description="Ten minutes past every hour, bring each connected channel and our stock together.",
    )
    def sync_every_channel(
        context: dg.ScheduleEvaluationContext, store: dg.ResourceParam[BrandStore]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        with store.read() as (connection, brand):
            names = [channel.name for channel in read_connections(connection, brand, store.vault)]
        keep_channels(context.instance, names)
        hour = context.scheduled_execution_time.strftime("%Y-%m-%dT%H")
        requests = [dg.RunRequest(f"{name}-{hour}", partition_key=name, tags={CHANNEL_TAG: name}) for name in names]
        return requests or dg.SkipReason("no channel is connected")

    @dg.schedule(
        job=demand_forecasting,
        cron_schedule="0 3 * * *",
        execution_timezone=zone,
        default_status=running,
        name="demand_forecasting_schedule",
        description="At three, after the close: demand and its forecast, all shards in one run.",
    )
    def forecast_every_shard(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        night = context.scheduled_execution_time.strftime("%Y-%m-%d")
        shards = {
            "dagster/asset_partition_range_start": KEYS[0],
            "dagster/asset_partition_range_end": KEYS[-1],
        }
        return dg.RunRequest(night, tags=shards)

    @dg.schedule(
        job=month_end,
        cron_schedule="0 4 3 * *",
        execution_timezone=zone,
        default_status=running,
        name="month_end_schedule",
        description="On the third, when the rates of the last working day are known, revalue the month that is over.",
    )
    def revalue_last_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        month = f"{_end_of_last_month(context, zone):%Y-%m}"
        return dg.RunRequest(month, {"ops": {"revalue_foreign_balances": {"config": {"month": month}}}})

    @dg.schedule(
        job=daily_close,
        cron_schedule="20 4 3 * *",
        execution_timezone=zone,
        default_status=running,
        name="month_close_schedule",
        description="After the revaluation on the third, close the last day of the month once more: it was booked on it.",
    )
    def close_last_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        ended = _end_of_last_month(context, zone)
        return dg.RunRequest(run_key=f"{ended:%Y-%m} revalued", partition_key=ended.isoformat())

    @dg.schedule(
        job=monthly_reports,
        cron_schedule="40 4 3 * *",
        execution_timezone=zone,
        default_status=running,
        name="month_end_reports_schedule",
        description="Then write the reports of that month and of all others, which the catalogue of now is read into.",
    )
    def report_every_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        ended = _end_of_last_month(context, zone)
        first, last = MONTHLY.get_first_partition_key(), (ended + timedelta(days=1)).isoformat()
        months = {
            "dagster/asset_partition_range_start": first or last,
            "dagster/asset_partition_range_end": last,
        }
        return dg.RunRequest(f"{ended:%Y-%m} revalued", tags=months)

    return [
        close_yesterday,
        report_running_month,
        forecast_every_shard,
        sync_every_channel,
        revalue_last_month,
        close_last_month,
        report_every_month,
        dg.ScheduleDefinition(
            name="reconciliation_schedule",
            job=reconcile_payouts,
            cron_schedule="45 2 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At a quarter to three, match what processors and banks have told, and book it.",
        ),
        dg.ScheduleDefinition(
            name="nightly_forecast_schedule",
            job=nightly_forecast,
            cron_schedule="30 3 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At half past three, after the forecast: the plan of orders, and reports.",
        ),
        dg.ScheduleDefinition(
            name="weekly_backtest_schedule",
            job=weekly_backtest,
            cron_schedule="0 5 * * 0",
            execution_timezone=zone,
            default_status=running,
            description="On Sundays at five, replay the last half year under each way of buying.",
        ),
        dg.ScheduleDefinition(
            name="picture_gallery_schedule",
            job=picture_gallery,
            cron_schedule="30 5 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At half past five, judge the pictures and hang them in the gallery.",
        ),
        dg.ScheduleDefinition(
            name="freshness_schedule",
            job=freshness,
            cron_schedule="0 8 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At eight in the morning, ask whether order lines arrive and models of pictures go on.",
        ),
        dg.ScheduleDefinition(
            name="retention_schedule",
            job=retention,
            cron_schedule="15 2 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At a quarter past two, delete what names a person and has been kept for long enough.",
        ),
    ]


def _yesterday(context: dg.ScheduleEvaluationContext, zone: str) -> date:
    return (context.scheduled_execution_time.astimezone(ZoneInfo(zone)) - timedelta(days=1)).date()


def _end_of_last_month(context: dg.ScheduleEvaluationContext, zone: str) -> date:
    return context.scheduled_execution_time.astimezone(ZoneInfo(zone)).date().replace(day=1) - timedelta(days=1)
