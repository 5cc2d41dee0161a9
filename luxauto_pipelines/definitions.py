"""The code location: every asset, check, job, schedule, sensor and resource, put together. Nothing else is decided here."""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import card_checks
from assets.finance import assets as finance
from assets.finance import checks as finance_checks
from assets.finance import fraud_assets, fraud_checks, fx_assets, reconciliation_assets, reconciliation_checks
from assets.finance import report_assets as finance_reports
from assets.finance import report_checks as finance_report_checks
from assets.forecasting import assets as forecasting
from assets.forecasting import checks as forecasting_checks
from assets.inventory import assets as inventory
from assets.inventory import (
    buying_assets,
    channel_checks,
    policy_assets,
    retail_assets,
    retail_checks,
    valuation_checks,
)
from assets.inventory import channel_assets as channels
from assets.inventory import checks as inventory_checks
from assets.inventory import valuation_assets as valuation
from assets.visuals import assets as visuals
from assets.visuals import checks as visual_checks
from luxauto_pipelines.jobs import JOBS
from luxauto_pipelines.schedules import build_schedules
from luxauto_pipelines.sensors import build_sensors
from resources.gpu.resource import SDXLServer
from resources.io_manager import LakeResource, ParquetIOManager, StoreResource
from resources.log_redaction import redact_logs
from resources.settings import load_settings


def build_definitions(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions of the brand that the settings name; `resource_overrides` replaces resources by key."""
    settings = load_settings()
    return dg.Definitions(
        assets=dg.load_assets_from_modules(
            [
                inventory,
                channels,
                valuation,
                retail_assets,
                buying_assets,
                policy_assets,
                finance,
                fx_assets,
                finance_reports,
                reconciliation_assets,
                fraud_assets,
                forecasting,
                visuals,
            ]
        ),
        asset_checks=[
            *card_checks.CHECKS,
            *inventory_checks.CHECKS,
            *policy_assets.CHECKS,
            *channel_checks.CHECKS,
            *valuation_checks.CHECKS,
            *retail_checks.CHECKS,
            *finance_checks.CHECKS,
            *fx_assets.CHECKS,
            *finance_report_checks.CHECKS,
            *reconciliation_checks.CHECKS,
            *fraud_checks.CHECKS,
            *forecasting_checks.CHECKS,
            *visual_checks.CHECKS,
        ],
        jobs=JOBS,
        schedules=build_schedules(settings),
        sensors=build_sensors(settings),
        resources={
            "io_manager": ParquetIOManager(),
            "lake": LakeResource(),
            "store": StoreResource(),
            "sdxl": _gpu_servers(),
            **(resource_overrides or {}),
        },
        executor=dg.in_process_executor,
    )


def _gpu_servers() -> SDXLServer:
    """Those that the environment names, as for providers of pictures; a step that asks for them where there are none fails."""
    urls = os.environ.get("LUXAUTO_GPU_URLS", "").replace(",", " ").split()
    return SDXLServer(urls=urls, key=os.environ.get("LUXAUTO_GPU_KEY"))


redact_logs()
defs = build_definitions()
