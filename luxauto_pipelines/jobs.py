"""The jobs: which assets are made together."""

import dagster as dg

DAILY_ASSETS = ("transactions", "stock_movements", "ledger", "financial_report")

daily_close = dg.define_asset_job(
    "daily_close",
    selection=dg.AssetSelection.assets("fx_rates", "catalog", "sku_costs", *DAILY_ASSETS),
    description="Close one day of the books: movements, order lines, ledger and report.",
    tags={"luxauto/job": "daily_close"},
)
nightly_forecast = dg.define_asset_job(
    "nightly_forecast",
    selection=dg.AssetSelection.assets(
        "profit_and_loss",
        "margin_by_sku",
        "margin_by_channel",
        "margin_by_collection",
        "stock_levels",
        "stock_alerts",
        "demand_history",
        "demand_forecast",
        "forecast_accuracy",
        "reorder_plan",
        "executive_report",
    ),
    description="Forecast demand, plan the orders and write the reports over all closed days.",
    tags={"luxauto/job": "nightly_forecast"},
)
replenishment = dg.define_asset_job(
    "replenishment",
    selection=dg.AssetSelection.assets(
        "catalog", "sku_costs", "stock_levels", "stock_alerts", "reorder_plan", "purchase_orders"
    ),
    description="Look at the stock, renew the reorder plan and draft the purchase orders that it asks for.",
    tags={"luxauto/job": "replenishment"},
)
freshness = dg.define_asset_job(
    "freshness",
    selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("transactions"), "is_fresh")),
    description="Ask whether new order lines still arrive.",
    tags={"luxauto/job": "freshness"},
)

JOBS = [daily_close, nightly_forecast, replenishment, freshness]
