"""What the clock starts. Switched on only where the installation says `automation: true`."""

import dagster as dg

from luxauto_pipelines.jobs import daily_close, freshness, nightly_forecast
from resources.settings import Settings


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Daily close, nightly forecast and the freshness check, in the brand's time zone."""
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
        from datetime import timedelta
        from zoneinfo import ZoneInfo

        ended = (context.scheduled_execution_time.astimezone(ZoneInfo(zone)) - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=ended, partition_key=ended)

    return [
        close_yesterday,
        dg.ScheduleDefinition(
            name="nightly_forecast_schedule",
            job=nightly_forecast,
            cron_schedule="30 3 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At half past three, after the close: forecasts, plan and reports.",
        ),
        dg.ScheduleDefinition(
            name="freshness_schedule",
            job=freshness,
            cron_schedule="0 8 * * *",
            execution_timezone=zone,
            default_status=running,
            description="At eight in the morning, ask whether new order lines still arrive.",
        ),
    ]
