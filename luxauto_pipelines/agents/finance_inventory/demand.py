"""The demand that is expected of one item, from the forecast that the lake holds.

Belongs here: which rows are read and what is answered. Does not belong here: how demand is forecast (`assets/forecasting`).
"""

import hashlib
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.forecasting.champions import ENSEMBLE
from assets.forecasting.daily import WEEK, Day, Week, carried_on, spread, weekday_profile
from assets.forecasting.ensemble import BOOSTING, NO_HISTORY, STATISTICAL
from assets.forecasting.launches import launch_forecast
from assets.forecasting.members import PROPHET
from assets.forecasting.schemas import BACKTEST_SCHEMA
from assets.forecasting.served import HORIZON_WEEKS, LAUNCH
from assets.ingestion.lines import today_in
from luxauto_pipelines.agents.finance_inventory.errors import UnknownItem
from luxauto_pipelines.agents.finance_inventory.parameters import ForecastRequest
from luxauto_pipelines.agents.registry import Call
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog
from resources.store.catalog_codes import find_sku
from resources.store.sales import has_sold, last_sale, units_by_day

if TYPE_CHECKING:
    from sqlalchemy import Connection

PROFILE_WEEKS = 26
_DIGITS = 4
_MODELS = {
    ENSEMBLE: "The ensemble of Prophet, Theta, IMAPA, TSB, the recent mean and boosting",
    PROPHET: "Prophet, which lost less than the ensemble twice in a row",
    STATISTICAL: "The mean of Theta, IMAPA, TSB and the recent mean, which lost less than the ensemble twice in a row",
    BOOSTING: "Boosting over all SKUs, which lost less than the ensemble twice in a row",
    LAUNCH: "A new item: the curve of items like it, at the level that its own first weeks suggest",
}


def forecast(call: Call, wanted: ForecastRequest) -> dict[str, Any]:
    """Units expected on each of the coming days, from the day that the forecast begins on or today, whichever is later.

    The weekly forecast is spread over days by the SKU's weekday profile, or the brand's where the SKU has sold too little; the
    days of a week sum to the week. An item that is newer than the last refresh is forecast at once by items like it. An old
    forecast (the books ended long ago) is told for the days that it is of. A SKU without sales or items like it has none: model
    `no_history` and empty numbers. Raises UnknownItem, and MissingAsset where sales wait for a refresh.
    """
    return _forecast(call.books, wanted)


def forecast_of(books: BrandStore, item: str, days: int) -> dict[str, Any]:
    """The same for a SKU or an item id and so many days. Raises as `forecast` does."""
    return _forecast(books, ForecastRequest(item_id=item, forecast_period_days=days))


def _forecast(books: BrandStore, wanted: ForecastRequest) -> dict[str, Any]:
    lake = Lake(books.settings.lake_url, books.settings.brand)
    with books.read() as (connection, brand):
        sku = find_sku(connection, brand, wanted.item_id)
        if sku is None:
            raise UnknownItem(f"there is no SKU and no listed item {wanted.item_id!r}")
        rows = _rows(lake, connection, brand, sku)
        if not rows.height:
            rows = _at_once(lake, connection, brand, sku)
        if not rows.height:
            return _nothing_known(books, lake, wanted, sku)
        profile, whose = _profile(connection, brand, sku, rows["week"][0])
    today = today_in(books.settings.current.timezone, datetime.now(UTC))
    first = _first_day(rows, today)
    weeks = _weeks(rows, first + timedelta(days=wanted.forecast_period_days))
    days = [d for d in spread(weeks, profile) if d.day >= first][: wanted.forecast_period_days]
    made_at, locked = _made_at(lake, rows["shard"][0]), _locked(lake, sku, rows["shard"][0])
    return {
        **_identity(wanted, sku, made_at, days[0].day),
        **_totals(days),
        "confidence_score": _score(locked),
        "recommended_order_quantity": _recommended(lake, sku),
        "forecast_period": _period(days[0].day, wanted.forecast_period_days),
        "generated_at": made_at.isoformat(),
        "model": rows["model"][0],
        "weekday_profile": whose,
        "reason": _reason(rows, locked),
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


def _at_once(lake: Lake, connection: "Connection", brand: int, sku: str) -> pl.DataFrame:
    """The forecast of an item that came after the last refresh, by items like it; no rows where there are none."""
    with suppress(MissingAsset):
        history = lake.read("demand_history")
        curve = launch_forecast(history, read_catalog(connection, brand), sku, HORIZON_WEEKS)
        return curve.with_columns(
            pl.lit(history["shard"][0] if history.height else None).alias("shard"),
            pl.lit(LAUNCH).alias("model"),
            lower=pl.min_horizontal("q0.1", "mean"),
            upper=pl.max_horizontal("q0.9", "mean"),
        )
    return pl.DataFrame()


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


def _weeks(rows: pl.DataFrame, until: date) -> list[Week]:
    """Weeks from the forecast's first to the one that holds the day before `until`."""
    weeks = [Week(*row) for row in rows.select("week", "mean", "lower", "upper").iter_rows()]
    needed = -(-(until - weeks[0].monday).days // WEEK.days)
    return weeks if needed <= len(weeks) else carried_on(weeks, needed)


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


def _score(locked: pl.DataFrame) -> float | None:
    """1 less the WAPE on weeks that nothing which was chosen had seen, not below 0; None where none could be held out."""
    sold = locked["units"].sum() if locked.height else 0
    if not sold:
        return None
    wape = float((locked["units"] - locked["mean"]).abs().sum()) / float(sold)
    return round(min(max(0.0, 1 - wape), 1.0), _DIGITS)


def _reason(rows: pl.DataFrame, locked: pl.DataFrame) -> str:
    """One sentence on who forecasts the SKU, and how well that went."""
    words = _MODELS.get(rows["model"][0], rows["model"][0])
    if not locked.height:
        return f"{words}. No week could be held out to try it on."
    units = locked["units"]
    off, held = (
        (units - locked["mean"]).abs().sum() / locked.height,
        units.is_between(locked["q0.1"], locked["q0.9"]).sum(),
    )
    tried = f"On the last {locked.height} weeks, unseen, it was off by {off:.1f} units a week"
    return f"{words}. {tried}; its 80 % interval held {held} times."


def _locked(lake: Lake, sku: str, shard: str) -> pl.DataFrame:
    with suppress(MissingAsset):
        rows = lake.scan("forecast_backtest", [shard])
        return rows.filter((pl.col("sku") == sku) & pl.col("locked")).collect()
    return pl.DataFrame(schema=BACKTEST_SCHEMA)


def _recommended(lake: Lake, sku: str) -> int | None:
    """What the reorder plan says; None where the SKU is not in it."""
    with suppress(MissingAsset):
        found = lake.scan("reorder_plan").filter(pl.col("sku") == sku).collect()
        return found["recommended_quantity"][0] if found.height else None
    return None


def _made_at(lake: Lake, shard: str) -> datetime:
    made = lake.filesystem.modified(lake.path("demand_forecast", shard))
    return made.replace(tzinfo=UTC) if made.tzinfo is None else made.astimezone(UTC)
