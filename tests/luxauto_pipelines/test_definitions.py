"""The code location: it imports lean, is complete, and says of every asset what a person has to know.

What belongs here: the definitions as they stand, and the instance files. What does not: what any asset computes.
"""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from assets.partitions import DAILY, MONTHLY, UNTIL_MONTH_END
from luxauto_pipelines.definitions import build_definitions, defs
from luxauto_pipelines.jobs import CHANNEL_ASSETS, DAILY_ASSETS, JOBS, MONTHLY_ASSETS, PICTURES, SHARDED_ASSETS

ROOT = Path(__file__).parents[2]
HEAVY = (
    "prophet",
    "great_expectations",
    "torch",
    "diffusers",
    "transformers",
    "sklearn",
    "matplotlib",
    "cmdstanpy",
    "duckdb",
    "openai",
    "anthropic",
    "av",
    "PIL",
)
GROUPS = {"inventory", "finance", "forecasting", "visuals"}
PARENTS: dict[str, list[str]] = {
    "catalog": [],
    "sku_costs": [],
    "fx_rates": [],
    "transactions": [],
    "stock_movements": [],
    "stock_levels": ["stock_movements"],
    "channel_orders": [],
    "channel_listings": [],
    "stock_drift": ["channel_listings", "stock_levels"],
    "published_stock": ["channel_listings", "channel_orders", "stock_drift"],
    "movement_costs": ["sku_costs", "stock_movements"],
    "sell_through": ["catalog", "stock_movements"],
    "weeks_of_cover": ["catalog", "demand_history", "stock_levels"],
    "markdown_effect": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "stock_turns": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "stock_valuation": ["fx_rates", "ledger", "movement_costs", "sku_costs", "stock_movements"],
    "ledger": ["fx_rates", "movement_costs", "transactions"],
    "financial_report": ["fx_rates", "ledger", "movement_costs", "sku_costs", "transactions"],
    "profit_and_loss": ["financial_report", "ledger"],
    "margin_by_channel": ["financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "margin_by_collection": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "margin_by_sku": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "margin_by_colour": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "margin_by_size": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "margin_by_country": ["catalog", "financial_report", "fx_rates", "movement_costs", "sku_costs", "transactions"],
    "balance_sheet": ["ledger"],
    "trial_balance": ["ledger"],
    "cash_flow": ["ledger"],
    "vat_report": ["ledger"],
    "fx_revaluation": ["fx_rates", "ledger"],
    "receivables_ageing": ["ledger"],
    "revenue_waterfall": [
        "financial_report",
        "fx_rates",
        "ledger",
        "movement_costs",
        "profit_and_loss",
        "sku_costs",
        "transactions",
    ],
    "cohort_value": ["financial_report", "fx_rates", "ledger", "transactions"],
    "payout_reconciliation": ["ledger"],
    "unmatched_items": ["ledger"],
    "fraud_scores": ["fx_rates", "transactions"],
    "anomalies": ["ledger", "transactions"],
    "purchase_matches": ["purchase_orders", "stock_movements"],
    "demand_history": ["stock_movements", "transactions"],
    "demand_forecast": ["catalog", "demand_history"],
    "forecast_backtest": ["catalog", "demand_history"],
    "forecast_accuracy": ["demand_forecast", "demand_history"],
    "demand_forecast_by_channel": ["demand_forecast", "transactions"],
    "forecast_hierarchy": ["catalog", "demand_forecast", "demand_history", "forecast_backtest"],
    "policy_comparison": ["catalog", "demand_history", "sku_costs"],
    "reorder_plan": ["catalog", "demand_forecast", "forecast_backtest", "sku_costs", "stock_levels"],
    "stock_alerts": ["demand_forecast", "demand_history", "forecast_backtest", "reorder_plan", "stock_levels"],
    "supplier_lead_times": ["catalog", "purchase_orders", "stock_movements"],
    "transfer_plan": ["reorder_plan", "stock_levels", "stock_movements"],
    "markdown_plan": ["catalog", "reorder_plan", "stock_levels"],
    "open_to_buy": ["catalog", "demand_forecast", "markdown_plan", "purchase_orders", "stock_levels"],
    "purchase_orders": ["catalog", "reorder_plan", "sku_costs"],
    "executive_report": [
        "catalog",
        "demand_forecast",
        "demand_history",
        "financial_report",
        "ledger",
        "margin_by_sku",
        "reorder_plan",
        "stock_levels",
        "transactions",
    ],
    "brand_kit": [],
    "visual_briefs": ["brand_kit", "catalog"],
    "generated_visuals": ["visual_briefs"],
    "visual_quality": ["generated_visuals"],
}


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    return defs.resolve_asset_graph()


def in_a_fresh_interpreter(code: str) -> Any:
    """What the code, run by a new Python in the repository, prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_the_definitions_loads_no_heavy_library() -> None:
    loaded = in_a_fresh_interpreter(
        "import json, sys, luxauto_pipelines.definitions; print(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    )
    assert "dagster" in loaded
    assert set(HEAVY) & set(loaded) == set()


def test_the_definitions_can_be_loaded() -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_job_resolves_and_makes_something() -> None:
    for job in JOBS:
        resolved = defs.resolve_job_def(job.name)
        assert resolved.nodes, job.name
        assert job.description, job.name


def test_the_daily_close_is_of_one_day_the_reports_of_one_month_and_the_other_jobs_of_all() -> None:
    assert isinstance(defs.resolve_job_def("daily_close").partitions_def, dg.DailyPartitionsDefinition)
    assert isinstance(defs.resolve_job_def("monthly_reports").partitions_def, dg.MonthlyPartitionsDefinition)
    for name in ("nightly_forecast", "replenishment", "freshness"):
        assert defs.resolve_job_def(name).partitions_def is None, name


def test_a_sync_is_of_one_channel() -> None:
    job = defs.resolve_job_def("channel_sync")
    assert isinstance(job.partitions_def, dg.DynamicPartitionsDefinition)
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == set(CHANNEL_ASSETS)


def test_jobs_that_make_no_movements_do_not_compare_levels_with_them() -> None:
    """Sales since the last close would fail the check, and so stop the orders that they call for."""
    check = dg.AssetCheckKey(dg.AssetKey("stock_levels"), "equal_the_movements")
    for job in JOBS:
        layer = defs.resolve_job_def(job.name).asset_layer
        makes_both = {"stock_levels", "stock_movements"} <= {k.to_user_string() for k in layer.executable_asset_keys}
        assert makes_both or check not in layer.asset_graph.asset_check_keys, job.name


def test_the_graph_is_the_one_that_was_designed(graph: AssetGraph) -> None:
    found = {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }
    assert found == PARENTS


@pytest.mark.parametrize("name", sorted(PARENTS))
def test_an_asset_says_what_it_is_whose_it_is_and_what_its_columns_mean(name: str, graph: AssetGraph) -> None:
    asset = graph.get(dg.AssetKey(name))
    assert asset.description
    assert "\n" not in asset.description
    assert asset.owners
    assert len(asset.kinds) >= 2
    assert asset.group_name in GROUPS
    assert asset.check_keys, "has no check"
    schema = cast("dg.TableSchema", asset.metadata["dagster/column_schema"])
    assert schema.columns
    assert [column.name for column in schema.columns if not column.description] == []


def test_partitions_are_days_months_channels_briefs_and_shards(graph: AssetGraph) -> None:
    partitions = {
        key.to_user_string(): type(graph.get(key).partitions_def)
        for key in graph.get_all_asset_keys()
        if graph.get(key).partitions_def is not None
    }
    by_day = dict.fromkeys(DAILY_ASSETS, dg.DailyPartitionsDefinition)
    by_shard = dict.fromkeys(SHARDED_ASSETS, dg.StaticPartitionsDefinition)
    by_month = dict.fromkeys(MONTHLY_ASSETS, dg.MonthlyPartitionsDefinition)
    dynamic = dict.fromkeys((*CHANNEL_ASSETS, PICTURES), dg.DynamicPartitionsDefinition)
    assert partitions == by_day | by_month | by_shard | dynamic


@pytest.mark.parametrize("name", MONTHLY_ASSETS)
def test_a_month_is_made_of_all_days_until_its_end(name: str, graph: AssetGraph) -> None:
    days, months = DAILY, MONTHLY
    for parent in graph.get(dg.AssetKey(name)).parent_keys & {dg.AssetKey(one) for one in DAILY_ASSETS}:
        mapping = graph.get_partition_mapping(dg.AssetKey(name), parent)
        found = mapping.get_upstream_mapped_partitions_result_for_partitions(
            months.subset_with_partition_keys(["2020-03-01"]), months, days
        )
        keys = list(found.partitions_subset.get_partition_keys())
        assert (keys[0], keys[-1], len(keys)) == ("2020-01-01", "2020-03-31", 91)


def test_the_running_month_is_one_of_the_months_though_some_of_its_days_are_to_come() -> None:
    running = MONTHLY.get_partition_keys()[-1]
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    assert running == today.replace(day=1).isoformat()
    found = UNTIL_MONTH_END.get_upstream_mapped_partitions_result_for_partitions(
        MONTHLY.subset_with_partition_keys([running]), MONTHLY, DAILY
    )
    assert list(found.partitions_subset.get_partition_keys()) == DAILY.get_partition_keys()
    assert list(found.required_but_nonexistent_subset.get_partition_keys()) == []


def test_every_check_says_what_it_asks(graph: AssetGraph) -> None:
    specs = [spec for definition in defs.asset_checks or [] for spec in definition.check_specs]
    assert specs
    assert [spec.name for spec in specs if not spec.description] == []
    assert {spec.asset_key.to_user_string() for spec in specs} == set(PARENTS)


@pytest.mark.parametrize(("automation", "status"), [(None, "STOPPED"), ("false", "STOPPED"), ("true", "RUNNING")])
def test_schedules_and_sensors_start_as_the_installation_says(
    automation: str | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if automation is not None:
        monkeypatch.setenv("LUXAUTO_AUTOMATION", automation)
    built = build_definitions()
    schedules = cast("list[dg.ScheduleDefinition]", built.schedules)
    sensors = cast("list[dg.SensorDefinition]", built.sensors)
    assert {schedule.name: schedule.default_status.value for schedule in schedules} == dict.fromkeys(
        (
            "daily_close_schedule",
            "monthly_reports_schedule",
            "month_close_schedule",
            "month_end_reports_schedule",
            "demand_forecasting_schedule",
            "nightly_forecast_schedule",
            "weekly_backtest_schedule",
            "freshness_schedule",
            "picture_gallery_schedule",
            "channel_sync_schedule",
            "retention_schedule",
            "month_end_schedule",
            "reconciliation_schedule",
        ),
        status,
    )
    assert {sensor.name: sensor.default_status.value for sensor in sensors} == {
        "low_stock_sensor": status,
        "channel_inbox": status,
        "channel_notifications": status,
        "reservation_expiry": status,
        "new_product_briefs": status,
        "missing_pictures": status,
        "picture_batches": status,
        # What somebody has executed is looked after in any case.
        "workflow_reconciler": "RUNNING",
        "webhook_deliveries": "RUNNING",
    }
    assert all(definition.description for definition in (*schedules, *sensors))


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-03-10T00:30:00+00:00", "2026-03-09"),
        # The nights on which Paris puts its clocks forwards and back.
        ("2026-03-29T00:30:00+00:00", "2026-03-28"),
        ("2026-10-24T23:30:00+00:00", "2026-10-24"),
    ],
)
def test_the_daily_close_is_of_the_day_that_has_just_ended_in_the_brands_zone(now: str, closed: str) -> None:
    schedules = cast("list[dg.ScheduleDefinition]", build_definitions().schedules)
    schedule = next(found for found in schedules if found.name == "daily_close_schedule")
    assert schedule.execution_timezone == "Europe/Paris"
    context = dg.build_schedule_context(scheduled_execution_time=datetime.fromisoformat(now))
    request = cast("dg.RunRequest", schedule(context))
    assert (request.run_key, request.partition_key) == (closed, closed)


def asked_at(name: str, now: str) -> dg.RunRequest:
    """What a schedule asks for at an instant."""
    schedules = cast("list[dg.ScheduleDefinition]", build_definitions().schedules)
    schedule = next(found for found in schedules if found.name == name)
    context = dg.build_schedule_context(scheduled_execution_time=datetime.fromisoformat(now))
    return cast("dg.RunRequest", schedule(context))


def test_a_night_writes_the_reports_of_the_month_of_the_day_that_was_closed() -> None:
    in_the_month = asked_at("monthly_reports_schedule", "2026-03-10T02:15:00+00:00")
    assert (in_the_month.run_key, in_the_month.partition_key) == ("2026-03-09", "2026-03-01")
    after_it = asked_at("monthly_reports_schedule", "2026-04-01T01:15:00+00:00")
    assert (after_it.run_key, after_it.partition_key) == ("2026-03-31", "2026-03-01")


def test_after_the_revaluation_its_day_is_closed_again_and_every_month_is_reported() -> None:
    close = asked_at("month_close_schedule", "2026-03-03T03:20:00+00:00")
    assert close.partition_key == "2026-02-28"
    # A night has asked for that day before, by another key.
    assert close.run_key != "2026-02-28"
    reports = asked_at("month_end_reports_schedule", "2026-03-03T03:40:00+00:00")
    assert reports.tags["dagster/asset_partition_range_start"] == MONTHLY.get_first_partition_key()
    assert reports.tags["dagster/asset_partition_range_end"] == "2026-03-01"


def test_dagster_itself_finds_the_workspace_valid(home: Path) -> None:
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    home.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "luxauto" in done.stdout + done.stderr


def instance_of(folder: Path, file: Path) -> dg.DagsterInstance:
    """The instance that a process in whose $DAGSTER_HOME the file lies would have."""
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return dg.DagsterInstance.from_config(str(folder))


def assert_works(instance: dg.DagsterInstance) -> None:
    """It queues, watches and repeats runs as the file says, and keeps what is written to it."""
    from dagster._core.run_coordinator import QueuedRunCoordinator

    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert not instance.telemetry_enabled
    assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4  # pyright: ignore[reportOptionalMemberAccess]

    @dg.asset
    def kept() -> int:
        return 1

    assert dg.materialize([kept], instance=instance).success
    assert instance.get_latest_materialization_event(dg.AssetKey("kept")) is not None
    assert instance.get_runs_count() == 1


def test_the_instance_file_loads(tmp_path: Path) -> None:
    with instance_of(tmp_path / "dagster", ROOT / "dagster.yaml") as instance:
        assert_works(instance)


def test_the_instance_file_for_postgresql_loads_on_a_real_server(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_url.replace("postgresql://", "postgresql+psycopg2://")
    monkeypatch.setenv("DAGSTER_PG_URL", url)
    with instance_of(tmp_path / "dagster", ROOT / "deploy" / "dagster.postgres.yaml") as instance:
        assert_works(instance)
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
    # A second process finds what the first has written.
    with instance_of(tmp_path / "again", ROOT / "deploy" / "dagster.postgres.yaml") as instance:
        assert instance.get_runs_count() == 1


def test_the_instance_file_for_postgresql_differs_in_its_storage_only() -> None:
    plain = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    postgres = yaml.safe_load((ROOT / "deploy" / "dagster.postgres.yaml").read_text(encoding="utf-8"))
    assert postgres.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_PG_URL"}}}
    assert postgres == plain
