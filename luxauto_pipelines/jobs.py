"""The jobs: which assets are made together, and what is done for connected channels between two whole syncs."""

import dagster as dg

from luxauto_pipelines.visual_jobs import VISUAL_JOBS
from resources.store.brand_store import BrandStore

DAILY_ASSETS = ("transactions", "stock_movements", "movement_costs", "ledger", "financial_report")
MONTHLY_ASSETS = (
    "balance_sheet",
    "cash_flow",
    "margin_by_channel",
    "margin_by_collection",
    "margin_by_colour",
    "margin_by_country",
    "margin_by_size",
    "profit_and_loss",
    "receivables_ageing",
    "revenue_waterfall",
    "sell_through",
    "trial_balance",
    "vat_report",
)
SHARDED_ASSETS = ("demand_history", "demand_forecast", "forecast_backtest")
WEEKLY_ASSETS = ("policy_comparison",)
CHANNEL_ASSETS = ("channel_orders", "channel_listings", "stock_drift", "published_stock")
PLANNING_ASSETS = ("brand_kit", "visual_briefs")
PICTURES, PICTURE_QUALITY = "generated_visuals", "visual_quality"
VISUAL_ASSETS = (*PLANNING_ASSETS, PICTURES, PICTURE_QUALITY)
CHANNEL_TAG = "luxauto/channel"

# Levels are the store's of this moment, the lake's movements those of the days that were closed. Only a run that makes
# both may ask whether they agree; elsewhere the first sale after the close would stop the orders that it calls for.
_LEVELS_AND_MOVEMENTS = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("stock_levels"), "equal_the_movements"))

daily_close = dg.define_asset_job(
    "daily_close",
    selection=dg.AssetSelection.assets("fx_rates", "catalog", "sku_costs", *DAILY_ASSETS),
    description="Close one day of the books: movements, order lines, ledger and report.",
    tags={"luxauto/job": "daily_close"},
)
monthly_reports = dg.define_asset_job(
    "monthly_reports",
    selection=dg.AssetSelection.assets(*MONTHLY_ASSETS),
    description="Write the reports of one month, as far as its days are closed.",
    tags={"luxauto/job": "monthly_reports"},
)
nightly_forecast = dg.define_asset_job(
    "nightly_forecast",
    selection=dg.AssetSelection.assets(
        "margin_by_sku",
        "fx_revaluation",
        "cohort_value",
        "payout_reconciliation",
        "unmatched_items",
        "fraud_scores",
        "anomalies",
        "stock_levels",
        "stock_valuation",
        "weeks_of_cover",
        "markdown_effect",
        "stock_turns",
        "stock_alerts",
        "forecast_accuracy",
        "forecast_hierarchy",
        "demand_forecast_by_channel",
        "reorder_plan",
        "transfer_plan",
        "markdown_plan",
        "open_to_buy",
        "supplier_lead_times",
        "executive_report",
    )
    - _LEVELS_AND_MOVEMENTS,
    description="Plan the orders and write the reports over all closed days.",
    tags={"luxauto/job": "nightly_forecast"},
)
demand_forecasting = dg.define_asset_job(
    "demand_forecasting",
    selection=dg.AssetSelection.assets(*SHARDED_ASSETS),
    description="Read demand off the books and forecast it, a shard of the SKUs a partition.",
    tags={"luxauto/job": "demand_forecasting"},
)
weekly_backtest = dg.define_asset_job(
    "weekly_backtest",
    selection=dg.AssetSelection.assets(*WEEKLY_ASSETS),
    description="Replay the last half year under each way of buying, and say what it would have earned.",
    tags={"luxauto/job": "weekly_backtest"},
)
replenishment = dg.define_asset_job(
    "replenishment",
    selection=dg.AssetSelection.assets("stock_levels", "stock_alerts", "reorder_plan", "purchase_orders")
    - _LEVELS_AND_MOVEMENTS,
    description="Look at the stock, renew the reorder plan and draft the purchase orders that it asks for.",
    tags={"luxauto/job": "replenishment"},
)
freshness = dg.define_asset_job(
    "freshness",
    selection=dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey("transactions"), "is_fresh"),
        dg.AssetCheckKey(dg.AssetKey("channel_listings"), "is_fresh"),
        dg.AssetCheckKey(dg.AssetKey(PICTURES), "providers_go_on"),
    ),
    description="Ask whether order lines still arrive, channels were read lately, and models of pictures go on.",
    tags={"luxauto/job": "freshness"},
)
visual_planning = dg.define_asset_job(
    "visual_planning",
    selection=dg.AssetSelection.assets(*PLANNING_ASSETS),
    description="Read the brand kit, and say which pictures the brand needs.",
    tags={"luxauto/job": "visual_planning"},
)
picture_making = dg.define_asset_job(
    "picture_making",
    selection=dg.AssetSelection.assets(PICTURES),
    description="Make the pictures of one brief, by whoever is best for it within the budget.",
    tags={"luxauto/job": "picture_making"},
)
picture_gallery = dg.define_asset_job(
    "picture_gallery",
    selection=dg.AssetSelection.assets(PICTURE_QUALITY),
    description="Judge all pictures together, and hang them in the gallery.",
    tags={"luxauto/job": "picture_gallery"},
)
channel_sync = dg.define_asset_job(
    "channel_sync",
    selection=dg.AssetSelection.assets(*CHANNEL_ASSETS),
    description="Bring one connected channel and our stock together: its orders, its listings, its drift, its stock.",
    tags={"luxauto/job": "channel_sync"},
)


class Touched(dg.Config):
    """Messages of one channel, by their ids in the inbox. What they are about is for whoever looks at the run."""

    channel: str
    messages: list[int]
    keys: list[str]
    orders: list[str]


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1, delay=2))
def work_on_messages(context: dg.OpExecutionContext, config: Touched, store: dg.ResourceParam[BrandStore]) -> None:
    """Look again at what a channel's messages are about, and bring what moved to every channel."""
    from assets.inventory.inbox import work

    worked = work(store, config.channel, config.messages)
    for note in worked.notes:
        context.log.info(f"{config.channel}: {note}")
    counts = {"processed": worked.processed, "put_off": worked.put_off, "troubled": worked.troubled}
    context.log.info(f"{counts}; SKUs {', '.join(sorted(worked.skus)) or 'none'}")


@dg.job(tags={"luxauto/job": "channel_inbox_sync"})
def channel_inbox_sync() -> None:
    """Work on messages that a connected channel has sent."""
    work_on_messages()


class Skus(dg.Config):
    """SKUs whose available units have changed for no order's sake."""

    skus: list[str]


@dg.op
def publish_skus(context: dg.OpExecutionContext, config: Skus, store: dg.ResourceParam[BrandStore]) -> None:
    """Release what has expired, and bring these SKUs to every channel. A channel that fails stops no other."""
    from assets.inventory.channel_sync import Order, sync

    reports = sync(store, Order(skus=tuple(config.skus), actor="expiry"), tell=context.log.info)
    failed = {report.channel: report.error for report in reports if report.error is not None}
    if failed:
        raise dg.Failure("; ".join(f"{name}: {error}" for name, error in failed.items()))


@dg.job(tags={"luxauto/job": "stock_publication"})
def stock_publication() -> None:
    """Bring some SKUs to every connected channel."""
    publish_skus()


@dg.op
def purge_what_is_old(context: dg.OpExecutionContext, store: dg.ResourceParam[BrandStore]) -> None:
    """Delete profiles, bodies of messages, answers and quarantine files that have been kept for long enough."""
    from datetime import UTC, datetime

    from resources.store.retention import purge

    context.log.info(f"deleted: {purge(store, datetime.now(UTC), actor='retention').as_dict()}")


class Month(dg.Config):
    """A month of the books that is over, such as 2026-10."""

    month: str


@dg.op
def revalue_foreign_balances(
    context: dg.OpExecutionContext, config: Month, store: dg.ResourceParam[BrandStore]
) -> None:
    """Bring foreign balances to the month's closing rates. What was posted before is posted once."""
    from datetime import date

    from assets.finance.booking import load_chart
    from assets.finance.fx_closing import revalue_month

    chart = load_chart(store.settings.home)
    with store.write() as (connection, brand):
        month = date.fromisoformat(f"{config.month}-01")
        found, entries = revalue_month(connection, brand, store.settings.current, chart, month)
    lacking = found["closing_minor"].null_count()
    context.log.info(f"{found.height} foreign balances, {entries} entries, {lacking} without a rate")


@dg.job(tags={"luxauto/job": "month_end"})
def month_end() -> None:
    """Revalue foreign balances at the end of a month."""
    revalue_foreign_balances()


@dg.job(tags={"luxauto/job": "retention"})
def retention() -> None:
    """Delete what names a person and has been kept for long enough."""
    purge_what_is_old()


@dg.op
def match_and_book(context: dg.OpExecutionContext, store: dg.ResourceParam[BrandStore]) -> None:
    """Match settlement lines, payouts and suppliers' invoices, and book what has arrived or matches."""
    from assets.finance.purchases import take_invoices
    from assets.finance.reconcile import reconcile

    context.log.info(f"{reconcile(store, 'reconcile_payouts')}; {take_invoices(store, [], 'reconcile_payouts')}")


@dg.job(tags={"luxauto/job": "reconcile_payouts"})
def reconcile_payouts() -> None:
    """Match payouts, the bank and suppliers' invoices, and book what is settled."""
    match_and_book()


JOBS = [
    daily_close,
    monthly_reports,
    demand_forecasting,
    nightly_forecast,
    replenishment,
    weekly_backtest,
    freshness,
    visual_planning,
    picture_making,
    picture_gallery,
    *VISUAL_JOBS,
    channel_sync,
    channel_inbox_sync,
    stock_publication,
    retention,
    month_end,
]
