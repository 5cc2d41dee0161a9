"""What starts the making of pictures: a kit, a brief or a product that is new.

Belongs here: when a run is asked for, and under which key. Does not belong here: which pictures a brand needs
(`assets/visuals/planned`), and making them.

A brief is asked for once in each version: a run that failed is for a person to look at, since pictures cost money.
"""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.visuals.made import VISUALS
from assets.visuals.planned import PLANNED
from luxauto_pipelines.jobs import picture_making, visual_planning
from resources.lake import Lake, MissingAsset
from resources.settings import Settings
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLANNING_INTERVAL_SECONDS = 60
MAKING_INTERVAL_SECONDS = 30
MOST_AT_ONCE = 10
BRIEF_TAG = "luxauto/brief"


def build_visual_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """New products and briefs, and the pictures that are missing."""
    running = dg.DefaultSensorStatus.RUNNING if settings.automation else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        job=visual_planning,
        name="new_product_briefs",
        minimum_interval_seconds=PLANNING_INTERVAL_SECONDS,
        default_status=running,
        description="When the brand kit, a brief or the catalogue has changed, say anew which pictures are needed.",
    )
    def new_product_briefs(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SensorResult:
        return ask_for_planning(store, context.cursor)

    @dg.sensor(
        job=picture_making,
        name="missing_pictures",
        minimum_interval_seconds=MAKING_INTERVAL_SECONDS,
        default_status=running,
        description="Has the pictures made that a brief asks for and nobody has made, where a provider can and may.",
    )
    def missing_pictures(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SensorResult:
        return ask_for_pictures(store, context.cursor)

    return [new_product_briefs, missing_pictures]


def ask_for_planning(store: BrandStore, cursor: str | None) -> dg.SensorResult:
    """One tick: a run where what briefs are made of is not what it was."""
    found = _version(store)
    if found is None:
        return dg.SensorResult(skip_reason="no brand kit: luxauto brand init", cursor=cursor)
    if found == cursor:
        return dg.SensorResult(skip_reason="kit, briefs and catalogue are as they were", cursor=cursor)
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=found)], cursor=found)


def ask_for_pictures(store: BrandStore, cursor: str | None) -> dg.SensorResult:
    """One tick: runs for the first briefs without pictures, newest products first. The cursor holds what was asked for."""
    lake = Lake(store.settings.lake_url, store.settings.brand)
    planned = _read(lake, "visual_briefs", PLANNED)
    made = _read(lake, "generated_visuals", VISUALS).filter(pl.col("picture").is_not_null())
    identity = ["brief", "brief_hash"]
    missing = planned.join(made.select(identity), on=identity, how="anti", maintain_order="left")
    asked: dict[str, str] = json.loads(cursor) if cursor else {}
    waiting = [row for row in missing.iter_rows(named=True) if asked.get(row["brief"]) != row["brief_hash"]]
    if not waiting:
        return dg.SensorResult(skip_reason=f"{missing.height} briefs without pictures, all asked for", cursor=cursor)
    able = _made_by_somebody(store, waiting)
    chosen = able[:MOST_AT_ONCE]
    if not chosen:
        return dg.SensorResult(
            skip_reason=f"{len(waiting)} briefs wait for a provider: luxauto visuals providers says why", cursor=cursor
        )
    asked |= {row["brief"]: row["brief_hash"] for row in chosen}
    known = set(planned["brief"])
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"{row['brief']}:{row['brief_hash']}",
                partition_key=row["brief"],
                tags={BRIEF_TAG: row["brief"]},
            )
            for row in chosen
        ],
        cursor=json.dumps({brief: hashed for brief, hashed in asked.items() if brief in known}),
    )


def _made_by_somebody(store: BrandStore, rows: "Sequence[Mapping[str, Any]]") -> "list[Mapping[str, Any]]":
    """Those of the briefs that a provider can and may make now; each kind of picture is asked about once."""
    from assets.visuals.brand_files import briefs_folder, find_kit
    from assets.visuals.brief_orders import orders_of
    from assets.visuals.making import open_maker, wanted_of
    from assets.visuals.planned import planned_of

    loaded = find_kit(store.settings)
    if loaded is None:
        return []
    maker, answers, able = open_maker(store, loaded, signed=False), {}, []
    for row in rows:
        kind = (row["source"], row["content_type"], row["width"], row["height"])
        if kind not in answers:
            orders = orders_of(planned_of(row), loaded.version, briefs_folder(store.settings))
            found = maker.images.candidates(wanted_of(maker, orders[0]))
            answers[kind] = any(one.rejected is None for one in found)
        if answers[kind]:
            able.append(row)
            if len(able) == MOST_AT_ONCE:
                break
    return able


def _version(store: BrandStore) -> str | None:
    """A text that changes with the kit, the written briefs and the catalogue; None without a kit. Cheap to ask for."""
    from assets.visuals.brand_files import briefs_folder, kit_folder
    from resources.store.catalog import catalog_version

    kit = kit_folder(store.settings)
    files = [file for folder in (kit, briefs_folder(store.settings)) for file in folder.glob("*") if file.is_file()]
    if not (kit / "brand.yaml").is_file():
        return None
    with store.read() as (connection, brand):
        version = catalog_version(connection, brand)
    newest = max(file.stat().st_mtime_ns for file in files)
    return f"{version}|{len(files)}|{newest}"


def _read(lake: Lake, asset: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    try:
        return lake.read(asset)
    except MissingAsset:
        return pl.DataFrame(schema=schema)
