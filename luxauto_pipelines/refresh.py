"""Bringing the assets up to date with the store, through Dagster.

Belongs here: which assets and days are stale, and the run that makes them. Does not belong here: what an asset computes.

It looks at levels, not at events: the lake's rows are compared with the store's, so that a run which was killed, or an
ingest that nobody refreshed, is made good by the next one.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TextIO

import polars as pl

from assets.forecasting.shards import KEYS
from assets.partitions import month_end
from luxauto_pipelines.instance import MODULE, child_environment
from luxauto_pipelines.jobs import (
    CHANNEL_ASSETS,
    DAILY_ASSETS,
    MONTHLY_ASSETS,
    SHARDED_ASSETS,
    VISUAL_ASSETS,
    WEEKLY_ASSETS,
)
from resources.lake import Lake, MissingAsset
from resources.settings import Settings, open_books
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog, read_costs
from resources.store.ledger import posting_days
from resources.store.orders import line_days
from resources.store.rates import read_rates
from resources.store.reconciliation import last_change
from resources.store.stock import movement_days
from resources.store.stock_valuation import unvalued_days, valued_days

RECONCILED_ASSETS = ("payout_reconciliation", "unmatched_items", "purchase_matches")
VALUE_ASSETS = ("catalog", "sku_costs", "fx_rates")
# Values can be taken back and computed again: their number is then the same.
_VALUES = """
    SELECT day, CAST(sum(coalesce(value_minor, 0) + variance_minor) OVER (PARTITION BY day) AS BIGINT) AS total
    FROM movement_costs
"""
Progress = Callable[[str, int, int], None]
_STEP = re.compile(r" - (?P<step>[a-z_]+) - STEP_(?P<end>SUCCESS|FAILURE)")


class RefreshFailed(Exception):
    """The run failed; the message names the steps and the log."""


@dataclass(frozen=True)
class Plan:
    """What is stale: assets by name, the days of the daily ones, and the months, as their first days, of the monthly ones."""

    assets: tuple[str, ...]
    first_day: date | None = None
    last_day: date | None = None
    first_month: date | None = None
    last_month: date | None = None

    @property
    def is_empty(self) -> bool:
        return not self.assets


def plan(books: BrandStore, *, everything: bool = False) -> Plan:
    """What has to be made so that the assets tell what the store holds."""
    with books.read() as (connection, brand):
        lines, movements = line_days(connection, brand), movement_days(connection, brand)
        postings = posting_days(connection, brand)
        valued, unvalued = valued_days(connection, brand), unvalued_days(connection, brand)
        reconciled_at = last_change(connection, brand)
        catalog, costs, rates = (
            read_catalog(connection, brand),
            read_costs(connection, brand),
            read_rates(connection, brand),
        )
    if not lines.height and not movements.height and not postings.height:
        return Plan(())
    lake = Lake(books.settings.lake_url, books.settings.brand)
    graph = _Graph.load()
    days = pl.concat([lines["day"], movements["day"], postings["day"]]).unique().sort()
    open_books(books.settings, days[0])
    stale_days = sorted(
        {
            *_stale_days(lake, "transactions", "line_id", lines),
            *_stale_days(lake, "stock_movements", "movement_id", movements),
            *_stale_days(lake, f"({_VALUES})", "total", valued),
            *unvalued["day"],
            *_stale_days(lake, "ledger", "posting_id", postings, day="event_day"),
            *graph.days_behind(days.to_list()),
        }
    )
    roots = set(graph.out_of_date()) | (set(DAILY_ASSETS) if stale_days else set())
    roots |= {
        name for name, rows in {"catalog": catalog, "sku_costs": costs}.items() if not _same_rows(lake, name, rows)
    } | ({"fx_rates"} if not _same_rates(lake, books, rates) else set())
    if reconciled_at is not None:
        roots |= graph.made_before(reconciled_at.timestamp(), RECONCILED_ASSETS)
    months = pl.date_range(days.dt.month_start()[0], days[-1], "1mo", eager=True).to_list()
    behind = sorted(graph.months_behind(months))
    # What is not of days, such as the catalogue, is read by every month alike.
    every_month = everything or bool(graph.with_descendants(roots - set(DAILY_ASSETS)) & set(MONTHLY_ASSETS))
    roots |= set(MONTHLY_ASSETS) if behind else set()
    assets = graph.keys if everything else graph.with_descendants(roots)
    if everything or (assets & set(DAILY_ASSETS) and not stale_days):
        stale_days = days.to_list()
    wanted = Plan(tuple(sorted(assets)))
    if assets & set(DAILY_ASSETS):
        # The new cost or rate of an old day changes its ledger: then every day is made again.
        whole = bool({"sku_costs", "fx_rates"} & roots)
        first, last = (days.to_list()[0], days.to_list()[-1]) if whole else (stale_days[0], stale_days[-1])
        wanted = replace(wanted, first_day=first, last_day=last)
    if assets & set(MONTHLY_ASSETS):
        stale = [*behind, *(stale_days[:1] if wanted.first_day else [])]
        # What was posted in a month is in the balances of all months after it.
        first = months[0] if every_month or not stale else max(months[0], min(stale).replace(day=1))
        wanted = replace(wanted, first_month=first, last_month=months[-1])
    return wanted


def days_behind(books: BrandStore) -> int:
    """On how many days the store holds other order lines than the lake."""
    with books.read() as (connection, brand):
        lines = line_days(connection, brand)
    return len(_stale_days(Lake(books.settings.lake_url, books.settings.brand), "transactions", "line_id", lines))


def run(settings: Settings, wanted: Plan, progress: Progress) -> Path:
    """Materialize a plan by `dagster asset materialize`, in processes of its own. Returns the path of their log.

    Five runs one after the other: what the days are valued with, the days, the months, the shards that are forecast, what is
    read off them. In one run with a range Dagster would plan every asset for every partition. `progress(step, done, total)` is
    told of every step that ends. Raises RefreshFailed; what is downstream of a failed run is not begun.
    """
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"refresh-{time.strftime('%Y%m%d-%H%M%S')}.log"
    done: set[str] = set()

    def ended(step: str) -> None:
        done.add(step)
        progress(step, len(done & set(wanted.assets)), len(wanted.assets))

    with log.open("w", encoding="utf-8") as file:
        for assets in _stages(wanted):
            failed = materialize(settings, assets, _range(assets, wanted), file, ended)
            if failed is not None:
                steps = ", ".join(failed) or "before the first step"
                raise RefreshFailed(
                    f"the run failed ({steps}). Read {log}, mend the cause and run `luxauto refresh` again."
                )
    return log


def _stages(wanted: Plan) -> list[list[str]]:
    values = [name for name in wanted.assets if name in VALUE_ASSETS]
    days = [name for name in wanted.assets if name in DAILY_ASSETS]
    months = [name for name in wanted.assets if name in MONTHLY_ASSETS]
    shards = [name for name in wanted.assets if name in SHARDED_ASSETS]
    rest = [name for name in wanted.assets if name not in values + days + months + shards]
    return [stage for stage in (values, days, months, shards, rest) if stage]


def _range(assets: list[str], wanted: Plan) -> list[str]:
    """The options that name the partitions of one run."""
    options: list[str] = []
    if set(assets) & set(DAILY_ASSETS):
        options += ["--partition-range", f"{wanted.first_day}...{wanted.last_day}"]
    if set(assets) & set(MONTHLY_ASSETS):
        options += ["--partition-range", f"{wanted.first_month}...{wanted.last_month}"]
    if set(assets) & set(SHARDED_ASSETS):
        options += ["--partition-range", f"{KEYS[0]}...{KEYS[-1]}"]
    return options


def materialize(
    settings: Settings, assets: list[str], options: list[str], log: TextIO, ended: Callable[[str], None]
) -> list[str] | None:
    """One run of `dagster asset materialize` with these options. Returns None when it succeeded, else the steps that failed."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", MODULE, "--select", ",".join(assets)]
    command += options
    failed: list[str] = []
    process = subprocess.Popen(
        command, env=child_environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        log.write(line)
        if found := _STEP.search(line):
            ended(found["step"])
            failed += [found["step"]] if found["end"] == "FAILURE" else []
    return None if process.wait() == 0 else failed


@dataclass(frozen=True)
class _Graph:
    """The asset graph as names: parents of each, when each was last made, and in which order the days and the months were.

    `days_made` and `months_made` tell by asset and partition the number of the event: a later one has a larger number.
    """

    parents: dict[str, set[str]]
    made_at: dict[str, float]
    days_made: dict[str, dict[str, int]]
    months_made: dict[str, dict[str, int]]

    @classmethod
    def load(cls) -> "_Graph":
        import dagster as dg

        from luxauto_pipelines.definitions import defs

        graph = defs.resolve_asset_graph()
        # What is made of a channel is asked of the channel, not of the store; a replay takes long and waits for its week;
        # of pictures `refresh_pictures` knows more.
        apart = (*CHANNEL_ASSETS, *WEEKLY_ASSETS, *VISUAL_ASSETS)
        keys = graph.get_all_asset_keys() - {dg.AssetKey(name) for name in apart}
        with dg.DagsterInstance.get() as instance:
            events = {key: instance.get_latest_materialization_event(key) for key in keys}
            daily, monthly = (
                {
                    name: dict(
                        instance.event_log_storage.get_latest_storage_id_by_partition(
                            dg.AssetKey(name), dg.DagsterEventType.ASSET_MATERIALIZATION
                        )
                    )
                    for name in names
                }
                for names in (DAILY_ASSETS, MONTHLY_ASSETS)
            )
        return cls(
            {key.to_user_string(): {p.to_user_string() for p in graph.get(key).parent_keys} for key in keys},
            {key.to_user_string(): event.timestamp for key, event in events.items() if event},
            daily,
            monthly,
        )

    @property
    def keys(self) -> set[str]:
        return set(self.parents)

    def days_behind(self, days: list[date]) -> Iterable[date]:
        """Days that a daily asset lacks, or has from before its parent's: a run was killed between the two."""
        for day in days:
            key = day.isoformat()
            made = {name: ids.get(key, -1) for name, ids in self.days_made.items()}
            if any(
                own < 0 or any(made.get(parent, -1) > own for parent in self.parents[name])
                for name, own in made.items()
            ):
                yield day

    def months_behind(self, months: list[date]) -> Iterable[date]:
        """Months that a monthly asset lacks, or has from before a day that it reads, which are all until the month's end."""
        for month in months:
            key, end = month.isoformat(), month_end(month).isoformat()
            newest = {
                name: max((number for day, number in made.items() if day <= end), default=-1)
                for name, made in self.days_made.items()
            }
            newest |= {name: made.get(key, -1) for name, made in self.months_made.items()}
            if any(
                newest[name] < 0 or any(newest.get(parent, -1) > newest[name] for parent in self.parents[name])
                for name in MONTHLY_ASSETS
            ):
                yield month

    def out_of_date(self) -> Iterable[str]:
        """Assets that were never made, or whose parent was made after them.

        Of those of months it is not asked whether a day was made later: `months_behind` says which months that concerns.
        """
        for name, parents in self.parents.items():
            own = self.made_at.get(name)
            asked = parents - set(DAILY_ASSETS) - set(MONTHLY_ASSETS) if name in MONTHLY_ASSETS else parents
            if own is None or any(self.made_at.get(parent, 0.0) > own for parent in asked):
                yield name

    def made_before(self, instant: float, names: Iterable[str]) -> set[str]:
        """Those of these assets that are older than a change of what they tell."""
        return {name for name in names if self.made_at.get(name, 0.0) < instant}

    def with_descendants(self, roots: set[str]) -> set[str]:
        reached = set(roots)
        while True:
            more = {name for name, parents in self.parents.items() if parents & reached} - reached
            if not more:
                return reached
            reached |= more


def _stale_days(lake: Lake, asset: str, id_column: str, wanted: pl.DataFrame, day: str = "day") -> list[date]:
    """Days on which the lake's rows are not those of the store, by their number and newest id."""
    count = wanted.columns[1]
    try:
        made = lake.sql(
            f"SELECT {day} AS day, count(*) AS made, max({id_column}) AS newest_made FROM {asset} GROUP BY {day}"
        )
    except MissingAsset:
        made = pl.DataFrame(schema={"day": pl.Date, "made": pl.Int64, "newest_made": pl.Int64})
    compared = wanted.join(made, on="day", how="full", coalesce=True)
    differs = pl.col(count).ne_missing(pl.col("made")) | pl.col("newest").ne_missing(pl.col("newest_made"))
    return compared.filter(differs)["day"].to_list()


def _same_rows(lake: Lake, asset: str, rows: pl.DataFrame) -> bool:
    try:
        return lake.read(asset).equals(rows)
    except MissingAsset:
        return False


def _same_rates(lake: Lake, books: BrandStore, rates: pl.DataFrame) -> bool:
    from assets.finance.fx import daily_ratios

    current = books.settings.current
    return _same_rows(lake, "fx_rates", daily_ratios(rates, current.base_currency, current.fx_carry_days))
