"""The demand that is expected of one item, from the forecast that the lake holds.

Belongs here: which rows are read and what is answered. Does not belong here: how demand is forecast (`assets/forecasting`).
"""

import hashlib
import threading
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.forecasting.daily import WEEK, Day, Week, carried_on, spread, weekday_profile
from assets.forecasting.models import NO_HISTORY
from assets.ingestion.lines import today_in
from luxauto_pipelines.agents.finance_inventory.errors import UnknownItem
from luxauto_pipelines.agents.finance_inventory.parameters import ForecastRequest
from luxauto_pipelines.agents.registry import Call
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore
from resources.store.catalog_codes import find_sku
from resources.store.sales import has_sold, last_sale, units_by_day

if TYPE_CHECKING:
    from sqlalchemy import Connection

PROFILE_WEEKS = 26
_DIGITS = 4
# Prophet draws from numpy's one generator.
_one_fit = threading.Lock()


def forecast(call: Call, wanted: ForecastRequest) -> dict[str, Any]:
    """Units expected on each of the coming days, from the day that the forecast begins on or today, whichever is later.

    The weekly forecast is spread over days by the SKU's weekday profile, or the brand's where the SKU has sold too little; the
    days of a week sum to the week. An old forecast (the books ended long ago) is told for the days that it is of. A SKU
    without sales has no forecast: model `no_history` and empty numbers. Raises UnknownItem, and MissingAsset where sales
    wait for a refresh.
    """
    books = call.books
    lake = Lake(books.settings.lake_url, books.settings.brand)
    with books.read() as (connection, brand):
        sku = find_sku(connection, brand, wanted.item_id)
        if sku is None:
            raise UnknownItem(f"there is no SKU and no listed item {wanted.item_id!r}")
        rows = _rows(lake, connection, brand, sku)
        if not rows.height:
            return _nothing_known(books, lake, wanted, sku)
        profile, whose = _profile(connection, brand, sku, rows["week"][0])
    today = today_in(books.settings.current.timezone, datetime.now(UTC))
    first = _first_day(rows, today)
    weeks = _weeks(lake, sku, rows, first + timedelta(days=wanted.forecast_period_days))
    days = [d for d in spread(weeks, profile) if d.day >= first][: wanted.forecast_period_days]
    made_at = _made_at(lake)
    return {
        **_identity(wanted, sku, made_at, days[0].day),
        **_totals(days),
        "confidence_score": _score(lake, sku),
        "recommended_order_quantity": _recommended(lake, sku),
        "forecast_period": _period(days[0].day, wanted.forecast_period_days),
        "generated_at": made_at.isoformat(),
        "model": rows["model"][0],
        "weekday_profile": whose,
        "reason": _reason(lake, sku),
        "daily": [_as_row(day) for day in days],
    }


def _rows(lake: Lake, connection: "Connection", brand: int, sku: str) -> pl.DataFrame:
    try:
        rows = lake.scan("demand_forecast").filter(pl.col("sku") == sku).sort("week").collect()
    except MissingAsset:
        # A SKU that never sold has no forecast, whatever is refreshed.
        if has_sold(connection, brand, sku):
            raise
        rows = pl.DataFrame()
    return rows


def _nothing_known(books: BrandStore, lake: Lake, wanted: ForecastRequest, sku: str) -> dict[str, Any]:
    with books.read() as (connection, brand):
        sold = last_sale(connection, brand, sku)
    reason = (
        "No sale on record, so there is no forecast."
        if sold is None
        else f"Its sales (the last on {sold}) are in no complete week that has been refreshed yet."
    )
    now = datetime.now(UTC)
    today = today_in(books.settings.current.timezone, now)
    return {
        **_identity(wanted, sku, None, today),
        "predicted_demand": None,
        "confidence_interval": {"lower": None, "upper": None},
        "confidence_score": None,
        "recommended_order_quantity": _recommended(lake, sku),
        "forecast_period": _period(today, wanted.forecast_period_days),
        "generated_at": now.replace(hour=0, minute=0, second=0, microsecond=0).isoformat(),
        "model": NO_HISTORY,
        "weekday_profile": None,
        "reason": reason,
        "daily": [],
    }


def _profile(connection: "Connection", brand: int, sku: str, first_week: date) -> tuple[tuple[float, ...], str]:
    units = units_by_day(connection, brand, sku, first_week - PROFILE_WEEKS * WEEK, first_week - timedelta(days=1))
    of_sku = dict(units.select("day", "of_sku").iter_rows())
    of_brand = dict(units.select("day", "of_brand").iter_rows())
    return weekday_profile(of_sku, of_brand)


def _first_day(rows: pl.DataFrame, today: date) -> date:
    begins, ends = rows["week"][0], rows["week"][-1] + WEEK
    return today if begins <= today < ends else begins


def _weeks(lake: Lake, sku: str, rows: pl.DataFrame, until: date) -> list[Week]:
    """Weeks from the forecast's first to the one that holds the day before `until`."""
    weeks = [Week(*row) for row in rows.select("week", "mean", "lower", "upper").iter_rows()]
    needed = -(-(until - weeks[0].monday).days // WEEK.days)
    if needed <= len(weeks):
        return weeks
    history = lake.scan("demand_history").filter(pl.col("sku") == sku).sort("week").collect()
    units = history["units_sold"].cast(pl.Float64).to_numpy()
    with _one_fit:
        return carried_on(weeks, needed, rows["model"][0], sku, units, history["week"][0])


def _totals(days: list[Day]) -> dict[str, Any]:
    return {
        "predicted_demand": round(sum(day.mean for day in days), _DIGITS),
        "confidence_interval": {
            "lower": round(sum(day.lower for day in days), _DIGITS),
            "upper": round(sum(day.upper for day in days), _DIGITS),
        },
    }


def _as_row(day: Day) -> dict[str, Any]:
    return {
        "date": day.day.isoformat(),
        "mean": round(day.mean, _DIGITS),
        "lower": round(day.lower, _DIGITS),
        "upper": round(day.upper, _DIGITS),
    }


def _identity(wanted: ForecastRequest, sku: str, made_at: datetime | None, first: date) -> dict[str, Any]:
    named = f"{sku}|{made_at}|{first}|{wanted.forecast_period_days}"
    digest = hashlib.sha256(named.encode()).hexdigest()[:24]
    return {"forecast_id": f"fc-{digest}", "item_id": wanted.item_id, "sku": sku}


def _period(first: date, days: int) -> dict[str, Any]:
    last = first + timedelta(days=days - 1)
    return {"days": days, "start_date": first.isoformat(), "end_date": last.isoformat()}


def _score(lake: Lake, sku: str) -> float | None:
    """1 less the WAPE of the model on weeks that it had not seen, not below 0; None where none could be held out."""
    with suppress(MissingAsset):
        found = lake.scan("forecast_accuracy").filter((pl.col("sku") == sku) & pl.col("chosen")).collect()
        if found.height and found["wape"][0] is not None:
            return round(min(max(0.0, 1 - found["wape"][0]), 1.0), _DIGITS)
    return None


def _reason(lake: Lake, sku: str) -> str | None:
    with suppress(MissingAsset):
        found = lake.scan("forecast_accuracy").filter((pl.col("sku") == sku) & pl.col("chosen")).collect()
        return found["reason"][0] if found.height else None
    return None


def _recommended(lake: Lake, sku: str) -> int | None:
    """What the reorder plan says; None where the SKU is not in it."""
    with suppress(MissingAsset):
        found = lake.scan("reorder_plan").filter(pl.col("sku") == sku).collect()
        return found["recommended_quantity"][0] if found.height else None
    return None


def _made_at(lake: Lake) -> datetime:
    made = lake.filesystem.modified(lake.path("demand_forecast"))
    return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)
