"""`luxauto demo`: the invented maison taken through the real ingest and the real run, and what came out in eleven lines.

Belongs here: the order of the steps, the figures and their summary. Does not belong here: the maison itself, or any figure
that is not read from the assets.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from assets.finance.money import to_decimal
from luxauto_pipelines.console import err, progress
from luxauto_pipelines.demo.files import write_demo
from luxauto_pipelines.demo.maison import NAME
from luxauto_pipelines.demo.pictures import FOLDER, SHEET, lay_out_pictures, picture_figures, write_pictures_briefs
from luxauto_pipelines.ingest import IngestResult, ingest_orders, ingest_reference
from luxauto_pipelines.instance import reload
from resources.lake import Lake
from resources.settings import BrandSettings, load_settings, save_brand
from resources.store.brand_store import BrandStore

SLUG = "demo"
Take = Callable[[BrandStore, Callable[[str], None]], IngestResult]


def run_demo(
    seed: int,
    until: date | None,
    ingest: Callable[[Take], IngestResult],
    refresh: Callable[[BrandStore], dict[str, Any]],
) -> dict[str, Any]:
    """Make the files (once), ingest them, refresh, and find the figures. Again, it finds everything up to date."""
    os.environ.setdefault("LUXAUTO_BRAND", SLUG)
    settings = load_settings()
    folder = settings.home / "demo" / settings.brand
    last_day = until or _last_day_of(folder, seed) or datetime.now(UTC).date() - timedelta(days=1)
    if _last_day_of(folder, seed) != last_day:
        write_demo(folder, seed=seed, until=last_day)
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    first = date.fromisoformat(truth["first_day"]).replace(day=1)
    save_brand(settings, settings.brand, BrandSettings(name=NAME, country="FR", books_start=first), automation=True)
    err.print(f"1/3 {NAME}: {truth['counts']['orders']:,} orders of two years, in {folder}", soft_wrap=True)
    for kind in ("catalog", "rates", "stock"):
        ingest(lambda books, tell, kind=kind: ingest_reference(books, folder / f"{kind}.csv", kind, tell))
    taken = ingest(lambda books, tell: _orders(books, folder / "orders.csv.gz", tell))
    err.print(f"2/3 ingested: {taken.new:,} new order lines, {taken.known:,} known, {taken.quarantined:,} put aside")
    books = reload()
    write_pictures_briefs(books)
    made = refresh(books)
    err.print(f"3/3 {len(made['assets'])} assets materialized" if made["assets"] else "3/3 everything was up to date")
    with progress() as bar:
        task = bar.add_task("pictures, by name", total=None)
        lay_out_pictures(books, lambda name: bar.update(task, description=name))
    return figures(books)


def figures(books: BrandStore) -> dict[str, Any]:
    """What the assets say; amounts are in the base currency."""
    lake, settings = Lake(books.settings.lake_url, books.settings.brand), books.settings
    base = settings.current.base_currency
    days = lake.read("financial_report")
    margins, plan = lake.read("margin_by_sku"), lake.read("reorder_plan")
    forecasts, backtest = lake.read("demand_forecast"), lake.read("forecast_backtest")
    orders, alerts = lake.read("purchase_orders"), lake.read("stock_alerts")
    channel = _best_channel(lake.read("margin_by_channel"))
    best = margins.row(0, named=True)
    ahead = plan.filter(pl.col("stockout_on").is_not_null()).sort("stockout_on")
    costed = margins.drop_nulls("base_margin_minor")
    models = forecasts.group_by("model").agg(pl.col("sku").n_unique()).sort("sku", descending=True)
    return {
        "name": settings.current.name,
        "first_day": days["day"].min(),
        "last_day": days["day"].max(),
        "currency": base,
        "net_revenue": to_decimal(_total(days, "base_net_revenue_minor"), base),
        "orders": int(days["orders"].sum()),
        "returns": to_decimal(_total(days, "base_returns_minor"), base),
        "gross_margin": _total(costed, "base_margin_minor") / max(_total(costed, "base_revenue_minor"), 1),
        "skus_with_cost": costed.height,
        "skus": margins.height,
        "best_sku": {"sku": best["sku"], "name": best["name"], "revenue": to_decimal(best["base_revenue_minor"], base)},
        "best_channel": {"channel": channel["channel"], "revenue": to_decimal(channel["base_revenue_minor"], base)},
        "stockouts_ahead": ahead.height,
        "first_stockouts": ahead.select("sku", "stockout_on").head(3).to_dicts(),
        "alerts": alerts.height,
        "skus_to_order": plan.filter(pl.col("recommended_quantity") > 0).height,
        "purchase_orders": orders["number"].n_unique(),
        "forecasts": forecasts["sku"].n_unique(),
        "models": dict(models.iter_rows()),
        "weighted_pinball": _pinball(backtest),
        "report": _shown(settings.home / "reports" / settings.brand / "executive.html"),
        **{f"visual_{name}": value for name, value in picture_figures(lake).items()},
        "gallery": _shown(settings.home / "reports" / settings.brand / "gallery.html"),
        "contact_sheet": _shown(settings.home / "reports" / settings.brand / FOLDER / SHEET),
    }


def summary(found: dict[str, Any]) -> list[str]:
    """The figures in eleven lines."""
    money = "{} {:,}".format
    base, best, channel = found["currency"], found["best_sku"], found["best_channel"]
    models = ", ".join(f"{n} {m}" for m, n in found["models"].items())
    first_out = ", ".join(f"{r['sku']} on {r['stockout_on']}" for r in found["first_stockouts"]) or "none"
    net, back = money(base, found["net_revenue"]), money(base, found["returns"])
    return [
        f"{found['name']}, {found['first_day']} to {found['last_day']}",
        f"  Net revenue     {net} in {found['orders']:,} orders; {back} returned",
        f"  Gross margin    {found['gross_margin']:.1%} on {found['skus_with_cost']} of {found['skus']} SKUs "
        "whose cost is known",
        f"  Best SKU        {best['sku']} ({best['name']}), {money(base, best['revenue'])}",
        f"  Best channel    {channel['channel']}, {money(base, channel['revenue'])}",
        f"  Stock-outs      {found['stockouts_ahead']} ahead: {first_out}; {found['alerts']} alerts open",
        f"  To order        {found['skus_to_order']} SKUs; {found['purchase_orders']} purchase orders drafted",
        f"  Forecasts       {found['forecasts']} SKUs: {models}; weighted pinball loss "
        f"{found['weighted_pinball']:.2f} on the last 13 weeks",
        f"  Pictures        {found['visual_pictures']} for {found['visual_briefs']} briefs in {found['visual_languages']} "
        f"languages, by the studio; {found['contact_sheet']} and {found['gallery']}",
        f"  Report          {found['report']} (and executive.xlsx beside it)",
        "  Dagster UI      make up   then open http://127.0.0.1:3000",
    ]


def _total(frame: pl.DataFrame, column: str) -> int:
    return int(frame[column].sum())


def _best_channel(margins: pl.DataFrame) -> dict[str, Any]:
    """Of all months together."""
    sums = margins.group_by("channel").agg(pl.col("base_revenue_minor").sum())
    return sums.sort("base_revenue_minor", "channel", descending=[True, False]).row(0, named=True)


def _pinball(backtest: pl.DataFrame) -> float:
    """Of the newest weeks that nothing which was chosen had seen; 0 without history."""
    from assets.forecasting.scores import score

    scores = score(backtest.filter("locked").with_columns(unique_id=pl.col("sku"), y=pl.col("units")))
    return scores.weighted_pinball or 0.0 if scores else 0.0


def _orders(books: BrandStore, path: Path, tell: Callable[[str], None]) -> IngestResult:
    from assets.ingestion.mapping import load_preset

    return ingest_orders(books, path, load_preset("luxauto"), "luxauto", tell)


def _last_day_of(folder: Path, seed: int) -> date | None:
    """The last day of a maison of this seed that was made here before: it does not grow a day a day."""
    try:
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return date.fromisoformat(truth["until"]) if truth["seed"] == seed else None


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
