"""The jobs: which assets are made together."""

import dagster as dg

DAILY_ASSETS = ("transactions", "stock_movements", "ledger", "financial_report")

# Levels are the store's of this moment, the lake's movements those of the days that were closed. Only a run that makes
# both may ask whether they agree; elsewhere the first sale after the close would stop the orders that it calls for.
_LEVELS_AND_MOVEMENTS = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("stock_levels"), "equal_the_movements"))

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
    )
    - _LEVELS_AND_MOVEMENTS,
    description="Forecast demand, plan the orders and write the reports over all closed days.",
    tags={"luxauto/job": "nightly_forecast"},
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
    selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("transactions"), "is_fresh")),
    description="Ask whether new order lines still arrive.",
    tags={"luxauto/job": "freshness"},
)

JOBS = [daily_close, nightly_forecast, replenishment, freshness]
