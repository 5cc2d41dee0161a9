"""What a person sees: the graph, an asset with its plot, a run and its checks, and the executive report, in Chromium.

What belongs here: pages of the running web server and the report's file, opened in a real browser. Pictures of them are
left in `tests/output/ui`. What does not: whether the figures are right.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from assets.inventory.assets import STOCK_LEVELS
from resources.lake import Lake
from tests.ui.conftest import OUTPUT, Server, until

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20_000
REPLENISHED = {"stock_levels", "stock_alerts", "reorder_plan", "purchase_orders"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"NOTHING OF THE UI IS TESTED: needs a browser at {CHROMIUM} (apt-get install chromium)")

    OUTPUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """An empty tab at the web server."""
    context = browser.new_context(base_url=server.url, viewport={"width": 1600, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    # Dagster greets a new person with a dialog.
    opened.add_locator_handler(
        opened.get_by_text("Join the Dagster community"),
        lambda: opened.get_by_role("button", name="Skip").click(),
    )
    yield opened
    context.close()


def picture(page: Page, name: str, **options: Any) -> None:
    """A screenshot, when what was fading in has done so."""
    page.evaluate(
        "Promise.allSettled(document.getAnimations().filter(a => a instanceof CSSTransition).map(a => a.finished))"
    )
    page.screenshot(path=OUTPUT / f"{name}.png", **options)


def test_the_graph_shows_the_three_groups(page: Page) -> None:
    page.goto("/asset-groups")
    for group in ("finance", "forecasting", "inventory", "visuals"):
        # Dagster measures each name in a hidden twin of it.
        page.get_by_text(group, exact=True).filter(visible=True).last.click(trial=True)
    expect(page.get_by_text("fetching statuses")).to_have_count(0)
    picture(page, "graph")


def test_the_graph_of_a_group_shows_its_assets_and_that_their_checks_passed(page: Page, server: Server) -> None:
    location = server.repository["repositoryLocationName"]
    # Dagster draws only what the window shows.
    page.set_viewport_size({"width": 5600, "height": 6000})
    page.goto(f"/locations/{location}/asset-groups/inventory/lineage")
    for asset in ("stock_movements", "stock_levels", "reorder_plan", "purchase_orders", "stock_alerts"):
        page.get_by_text(asset, exact=True).first.click(trial=True)
    page.get_by_text("6 / 6 Passed").first.wait_for()
    picture(page, "graph-inventory")


def test_an_asset_says_what_it_is_and_shows_its_first_rows_and_its_plot(page: Page) -> None:
    page.goto("/assets/executive_report")
    page.get_by_text("The state of the house on one page").first.wait_for()
    page.get_by_text("Net revenue", exact=False).first.wait_for()
    page.get_by_text("First day of the month").first.wait_for()
    picture(page, "asset")
    page.locator("table", has_text="gross_sales").last.wait_for()
    plot = page.get_by_role("row", name="plot").get_by_text("[Show Markdown]")
    plot.click()
    image = page.locator("img[src^='data:image/png']")
    image.wait_for()
    width, height, alt = image.evaluate("image => [image.naturalWidth, image.naturalHeight, image.alt]")
    assert (width, height, alt) == (640, 280, "Net revenue by month")
    picture(page, "asset-plot")


def test_an_asset_is_made_by_a_click(page: Page, server: Server) -> None:
    page.goto("/assets/catalog")
    page.get_by_text("Every SKU with its product").first.wait_for()
    page.get_by_role("button", name="Materialize").first.click()

    def launched() -> str | None:
        runs = [run for run in server.runs() if run["assetSelection"] == [{"path": ["catalog"]}]]
        return runs[0]["runId"] if runs else None

    run = server.finished(until("a run that makes the catalogue", 20, launched), 60)
    assert run["status"] == "SUCCESS"
    page.goto(f"/runs/{run['runId']}")
    page.get_by_text("Success").first.wait_for()
    picture(page, "run-of-a-click")


def test_a_job_that_is_started_over_graphql_succeeds_and_its_checks_are_seen(page: Page, server: Server) -> None:
    run = server.finished(server.launch("replenishment"), 90)
    assert run["status"] == "SUCCESS", run
    steps = {step["stepKey"]: step["status"] for step in run["stepStats"]}
    assert set(steps) > REPLENISHED
    assert set(steps.values()) == {"SUCCESS"}
    query = """
        query($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode { assetChecksOrError {
          ... on AssetChecks { checks { name blocking executionForLatestMaterialization {
            runId status evaluation { severity } } } } } } } }
    """
    found = server.ask(query, asset={"path": ["reorder_plan"]})["assetNodeOrError"]["assetChecksOrError"]["checks"]
    assert [check["name"] for check in found] == ["quantities_can_be_ordered"]
    latest = found[0]["executionForLatestMaterialization"]
    assert (latest["runId"], latest["status"]) == (run["runId"], "SUCCEEDED")
    page.goto(f"/runs/{run['runId']}")
    page.get_by_text("Success").first.wait_for()
    page.get_by_text("RUN_SUCCESS").first.wait_for()
    picture(page, "run")
    page.goto("/assets/reorder_plan?view=checks")
    page.get_by_text("Recommended quantities are whole packs").first.wait_for()
    page.get_by_text("Passed").first.wait_for()
    picture(page, "checks")


def test_schedules_and_the_sensor_are_shown_switched_on(page: Page) -> None:
    page.goto("/automation")
    schedules = (
        "daily_close_schedule",
        "demand_forecasting_schedule",
        "monthly_reports_schedule",
        "nightly_forecast_schedule",
        "weekly_backtest_schedule",
        "freshness_schedule",
        "channel_sync_schedule",
        "month_end_schedule",
        "month_close_schedule",
        "month_end_reports_schedule",
        "reconciliation_schedule",
        "retention_schedule",
        "picture_gallery_schedule",
    )
    sensors = (
        "low_stock_sensor",
        "channel_inbox",
        "channel_notifications",
        "reservation_expiry",
        "new_product_briefs",
        "missing_pictures",
        "picture_batches",
        "workflow_reconciler",
        "webhook_deliveries",
    )
    for name in (*schedules, *sensors):
        page.get_by_text(name, exact=True).first.wait_for()
    # Nothing is chosen, so that the boxes which are checked are the switches.
    expect(page.locator("input[type=checkbox]:checked")).to_have_count(len(schedules) + len(sensors))
    picture(page, "automation")


@pytest.mark.parametrize(("device", "width", "height"), [("desk", 1280, 900), ("pocket", 390, 844)])
def test_the_executive_report_opens_with_nothing_from_elsewhere(
    device: str, width: int, height: int, browser: Browser, server: Server
) -> None:
    file = server.installation.home / "reports" / "maison" / "executive.html"
    page = browser.new_page(viewport={"width": width, "height": height})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    page.get_by_text("Maison Essai").first.wait_for()
    picture(page, f"executive-report-{device}", full_page=True)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert wrong == []
    drawn = page.locator("svg").evaluate_all("all => all.map(svg => svg.getBoundingClientRect().width)")
    assert any(shown > 200 for shown in drawn)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_lake_holds_the_columns_that_the_assets_declare(server: Server) -> None:
    import dagster as dg

    from luxauto_pipelines.definitions import defs
    from luxauto_pipelines.jobs import CHANNEL_ASSETS, VISUAL_ASSETS, WEEKLY_ASSETS

    lake = Lake(str(server.installation.home / "lake"), "maison")
    graph = defs.resolve_asset_graph()
    # No channel is connected here, no week has passed and there is no brand kit: those assets are looked at in
    # `tests/assets/inventory` and `tests/assets/visuals`.
    apart = (*CHANNEL_ASSETS, *WEEKLY_ASSETS, *VISUAL_ASSETS)
    for key in graph.get_all_asset_keys() - {dg.AssetKey(name) for name in apart}:
        declared: Any = graph.get(key).metadata["dagster/column_schema"]
        assert lake.read(key.path[-1]).columns == [column.name for column in declared.columns], key
    assert lake.read("stock_levels").schema == STOCK_LEVELS


def test_a_port_that_is_taken_is_said_to_be_so(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    said = server.installation.luxauto("up", "--port", port, expected=1)
    assert f"port {port} of 127.0.0.1 is taken" in " ".join(said.split())
