"""What the outside world starts. Switched on only where the installation says `automation: true`."""

import json

import dagster as dg

from assets.inventory.buying.ahead import AHEAD
from assets.inventory.levels import low_stock
from luxauto_pipelines.channel_sensors import build_channel_sensors
from luxauto_pipelines.jobs import replenishment
from luxauto_pipelines.visual_sensors import build_visual_sensors
from resources.settings import Settings
from resources.store.alerts import unresolved_ids
from resources.store.brand_store import BrandStore
from resources.store.stock import raise_alerts, read_levels, stock_version

INTERVAL_SECONDS = 10
RECONCILER_INTERVAL_SECONDS = 2
WEBHOOK_INTERVAL_SECONDS = 5


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The low-stock sensor, those of connected channels and of pictures, and those that look after workflows and webhooks."""
    running = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        job=replenishment,
        name="low_stock_sensor",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=running,
        description="When a SKU falls to its reorder point, or an alert looks ahead, start the replenishment job, once.",
    )
    def low_stock_sensor(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SensorResult:
        return evaluate(context.cursor, store)

    return [
        low_stock_sensor,
        *build_channel_sensors(settings),
        *build_visual_sensors(settings),
        workflow_reconciler,
        webhook_deliveries,
    ]


@dg.sensor(
    name="workflow_reconciler",
    minimum_interval_seconds=RECONCILER_INTERVAL_SECONDS,
    # It does nothing where nobody has executed a workflow, and without it none would go on: always on.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts, continues, undoes and ends workflows as their journal calls for it.",
)
def workflow_reconciler(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SkipReason:
    from luxauto_pipelines.workflows.reconciler import reconcile_all

    tally = reconcile_all(store, context.instance)
    for key, fault in tally.faults.items():
        context.log.error(f"workflow {key}: {fault}")
    return dg.SkipReason(f"{tally.seen} workflows looked after, {len(tally.faults)} could not be")


def evaluate(cursor: str | None, store: BrandStore) -> dg.SensorResult:
    """One tick: bring the alerts up to date and request one run for those that are newer than the cursor.

    An alert is a row with an id before any run is asked for, so that a tick which is repeated asks for the same run key,
    and a SKU that stays low asks for none. Alerts that look ahead are raised by runs; one that a replenishment raised itself
    is attended to by that run.
    """
    seen = json.loads(cursor) if cursor else {"version": None, "alert": 0}
    with store.read() as (connection, brand):
        version = stock_version(connection, brand)
        ahead = unresolved_ids(connection, brand, AHEAD)
        if version == seen["version"] and max(ahead, default=0) <= seen["alert"]:
            return dg.SensorResult(skip_reason="no stock has moved", cursor=cursor)
        low = low_stock(read_levels(connection, brand))
    with store.write() as (connection, brand):
        levels = raise_alerts(connection, brand, low)
    alerts = sorted([*levels, *ahead])
    fresh = [alert for alert in alerts if alert > seen["alert"] and not ahead.get(alert, {}).get("attended")]
    new_cursor = json.dumps({"version": version, "alert": max([*alerts, seen["alert"]])})
    if not fresh:
        return dg.SensorResult(skip_reason=f"{len(alerts)} alerts, none of them new", cursor=new_cursor)
    newest = fresh[-1]
    key = f"{'ahead' if newest in ahead else 'low-stock'}-{newest}"
    request = dg.RunRequest(run_key=key, tags={"luxauto/alerts": ",".join(map(str, fresh[:20]))})
    return dg.SensorResult(run_requests=[request], cursor=new_cursor)


@dg.sensor(
    name="webhook_deliveries",
    minimum_interval_seconds=WEBHOOK_INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells those who subscribed of workflow events, until they take them.",
)
def webhook_deliveries(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SkipReason:
    from luxauto_pipelines.workflows.webhooks import deliver_due

    delivered, missed = deliver_due(store)
    return dg.SkipReason(f"{delivered} delivered, {missed} to be tried again")
