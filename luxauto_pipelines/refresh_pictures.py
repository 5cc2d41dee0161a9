"""Bringing a brand's pictures up to date: the kit and the briefs as assets, and the pages that somebody wrote briefs for.

Belongs here: which of them are stale, and the runs that make them. Does not belong here: pictures that cost money. The shots of
products are made by the sensor (`visual_sensors`), by the UI, or by `luxauto visuals generate`.

It looks at levels: what the kit, the briefs and the catalogue say now, against what the lake has.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from assets.visuals.made import VISUALS
from assets.visuals.planned import PLANNED
from luxauto_pipelines.jobs import PICTURE_QUALITY, PICTURES, PLANNING_ASSETS
from luxauto_pipelines.refresh import RefreshFailed, materialize
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog


@dataclass(frozen=True)
class PicturePlan:
    """What is stale: assets by name, in the order of making, and the briefs whose pictures are to be made."""

    assets: tuple[str, ...] = ()
    briefs: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.assets


def plan_pictures(books: BrandStore, *, everything: bool = False) -> PicturePlan:
    """Nothing where there is no kit. Raises InvalidBrandKit and InvalidBrief."""
    from assets.visuals.planned_files import plan_briefs

    with books.read() as (connection, brand):
        catalog = read_catalog(connection, brand)
    planned = plan_briefs(books.settings, catalog)
    if planned is None:
        return PicturePlan()
    lake = Lake(books.settings.lake_url, books.settings.brand)
    identity = ("brief", "brief_hash")
    known = _read(lake, "visual_briefs", PLANNED).select(identity)
    kit = _read(lake, "brand_kit", {"kit_version": pl.String()})["kit_version"].unique().to_list()
    replan = everything or not known.equals(planned.frame.select(identity)) or kit != [planned.kit_version]
    made = _read(lake, PICTURES, VISUALS).filter(pl.col("picture").is_not_null()).select(identity)
    pages = planned.frame.filter(pl.col("source") == "file")
    missing = pages if everything else pages.join(made, on=identity, how="anti")
    judged = lake.filesystem.exists(lake.path(PICTURE_QUALITY))
    assets = [*(PLANNING_ASSETS if replan else ()), *([PICTURES] if missing.height else [])]
    if missing.height or (made.height and not judged):
        assets.append(PICTURE_QUALITY)
    return PicturePlan(tuple(assets), tuple(missing["brief"]))


def make_pictures(books: BrandStore, wanted: PicturePlan, progress: Callable[[str, int, int], None]) -> Path:
    """Materialize a plan in processes of its own: the briefs, their pictures, how good they are. Returns their log's path.

    Raises RefreshFailed.
    """
    folder = books.settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"pictures-{time.strftime('%Y%m%d-%H%M%S')}.log"
    done: list[str] = []

    def ended(step: str) -> None:
        done.append(step)
        progress(step, min(len(set(done)), len(wanted.assets)), len(wanted.assets))

    with log.open("w", encoding="utf-8") as file:
        for assets in _stages(wanted):
            for options in _ranges(wanted.briefs) if assets == [PICTURES] else [[]]:
                failed = materialize(books.settings, assets, options, file, ended)
                if failed is not None:
                    steps = ", ".join(failed) or "before the first step"
                    raise RefreshFailed(
                        f"the pictures could not be made ({steps}). Read {log}, mend the cause and run `luxauto refresh` again."
                    )
    return log


def runs_of(keys: Sequence[str], wanted: Iterable[str]) -> list[tuple[str, str]]:
    """First and last key of the unbroken stretches of `keys` that hold just the wanted ones."""
    chosen, stretches = set(wanted), []
    begin: str | None = None
    for number, key in enumerate(keys):
        if key not in chosen:
            continue
        begin = begin or key
        if number + 1 == len(keys) or keys[number + 1] not in chosen:
            stretches.append((begin, key))
            begin = None
    return stretches


def _stages(wanted: PicturePlan) -> list[list[str]]:
    planning = [name for name in PLANNING_ASSETS if name in wanted.assets]
    rest = [[name] for name in (PICTURES, PICTURE_QUALITY) if name in wanted.assets]
    return [*([planning] if planning else []), *rest]


def _ranges(briefs: Sequence[str]) -> list[list[str]]:
    # Only now: the briefs that were planned a moment ago are partitions since then.
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        keys = instance.get_dynamic_partitions("briefs")
    return [["--partition-range", f"{first}...{last}"] for first, last in runs_of(keys, briefs)]


def _read(lake: Lake, asset: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    try:
        return lake.read(asset)
    except MissingAsset:
        return pl.DataFrame(schema=schema)
