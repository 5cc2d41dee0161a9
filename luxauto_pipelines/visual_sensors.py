"""What starts the making of pictures: a kit, a brief or a product that is new; a batch that is due or has ended.

Belongs here: when a run is asked for, and under which key. Does not belong here: which pictures a brand needs
(`assets/visuals/planned`), and making them.

A brief is asked for once in each version: a run that failed is for a person to look at, since pictures cost money. Where many
shots wait, they are left to a batch, and those that the batch did not bring are then asked for like others.
"""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.visuals.made import VISUALS
from assets.visuals.planned import PLANNED
from luxauto_pipelines.jobs import picture_making, visual_planning
from luxauto_pipelines.picture_batches import maker_of, missing_briefs
from luxauto_pipelines.visual_jobs import picture_batch_collection, picture_batch_submission
from resources.lake import Lake, MissingAsset
from resources.settings import Settings
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assets.visuals.batch_making import Batched
    from assets.visuals.making import Maker
    from resources.channels.transport import Clock
    from resources.store.image_batches import BatchRow

PLANNING_INTERVAL_SECONDS = 60
MAKING_INTERVAL_SECONDS = 30
BATCHES_INTERVAL_SECONDS = 60
ASKING_INTERVAL_SECONDS = 180
"""A vendor is asked about a batch at most so often."""
AGAIN_AFTER = timedelta(minutes=30)
"""A batch that is still open so long after its run was asked for, as that failed, is asked for again."""
MOST_AT_ONCE = 10
BRIEF_TAG = "luxauto/brief"
BATCH_TAG = "luxauto/batch"
_SUBMISSION, _OF = "submission", "#"


def build_visual_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """New products and briefs, the pictures that are missing, and batches of them."""
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

    @dg.sensor(
        jobs=[picture_batch_submission, picture_batch_collection, picture_making],
        name="picture_batches",
        minimum_interval_seconds=BATCHES_INTERVAL_SECONDS,
        default_status=running,
        description="Orders many shots that wait as one batch at half the price, takes in batches that have ended, and has "
        "the pictures judged and kept that they brought.",
    )
    def picture_batches(context: dg.SensorEvaluationContext, store: dg.ResourceParam[BrandStore]) -> dg.SensorResult:
        return look_after_batches(store, context.cursor)

    return [new_product_briefs, missing_pictures, picture_batches]


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
    maker = maker_of(store)
    if maker is None:
        return dg.SensorResult(skip_reason="no brand kit: luxauto brand init", cursor=cursor)
    waiting = _by_themselves(store, maker, waiting)
    able = _made_by_somebody(store, maker, waiting)
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


def look_after_batches(store: BrandStore, cursor: str | None, clock: "Clock | None" = None) -> dg.SensorResult:
    """One tick: a run that hands in a batch of many shots that wait, one for each batch that has ended, and one for each brief
    whose picture a batch brought. The cursor holds what was asked for and when."""
    from assets.visuals.batch_making import REMEMBERED, are_enough, batched
    from resources.channels.transport import Clock
    from resources.images.batches import open_picture_batches

    now = (clock or Clock()).now()
    asked: dict[str, str] = json.loads(cursor) if cursor else {}
    batches = open_picture_batches(store, clock=clock)
    try:
        known = batched(batches, now)
        recent = batches.batches(now - REMEMBERED)
        pending = [row for row in recent if row.is_open]
        requests = [
            _collection(row, now, asked)
            for row in pending
            if _is_due(row.request_key, now, asked) and batches.is_to_be_collected(row, ASKING_INTERVAL_SECONDS)
        ]
        missing = missing_briefs(store)
        requests += _brought([row for row in recent if not row.is_open], missing, asked)
        waiting = [row for row in missing if row not in known]
        maker = maker_of(store) if waiting and _is_due(_SUBMISSION, now, asked) else None
        if maker is not None and are_enough(maker, batches, waiting):
            requests.append(_submission(batches.policy.batch_from, now, asked))
    finally:
        batches.close()
    names = {row.request_key for row in recent} | {_SUBMISSION}
    kept = json.dumps({name: at for name, at in asked.items() if name.split(_OF)[0] in names})
    if not requests:
        return dg.SensorResult(skip_reason=f"{len(pending)} batches are open, nothing is due", cursor=kept)
    return dg.SensorResult(run_requests=requests, cursor=kept)


def _collection(row: "BatchRow", now: datetime, asked: dict[str, str]) -> dg.RunRequest:
    asked[row.request_key] = now.isoformat()
    return dg.RunRequest(
        run_key=f"{row.request_key}:{now:%Y%m%dT%H%M%S}",
        job_name=picture_batch_collection.name,
        run_config={"ops": {"collect_picture_batches": {"config": {"batches": [row.request_key]}}}},
        tags={BATCH_TAG: row.request_key},
    )


def _submission(least: int, now: datetime, asked: dict[str, str]) -> dg.RunRequest:
    asked[_SUBMISSION] = now.isoformat()
    return dg.RunRequest(
        run_key=f"{_SUBMISSION}:{now:%Y%m%dT%H%M%S}",
        job_name=picture_batch_submission.name,
        run_config={"ops": {"submit_picture_batch": {"config": {"least": least}}}},
    )


def _brought(
    ended: "Sequence[BatchRow]", missing: "Sequence[Mapping[str, Any]]", asked: dict[str, str]
) -> list[dg.RunRequest]:
    """Runs for briefs whose pictures a batch has brought, some at a time; each once."""
    from assets.visuals.batch_making import identity_of, is_made

    wanted = {identity_of(row) for row in missing}
    requests = []
    for row in ended:
        for item in row.items:
            name = f"{row.request_key}{_OF}{item.brief}"
            if name in asked or (item.brief, item.brief_hash) not in wanted or not is_made(row, item.custom_id):
                continue
            if len(requests) == MOST_AT_ONCE:
                return requests
            asked[name] = str(item.brief_hash)
            requests.append(
                dg.RunRequest(
                    run_key=name,
                    job_name=picture_making.name,
                    partition_key=item.brief,
                    tags={BRIEF_TAG: str(item.brief), BATCH_TAG: row.request_key},
                )
            )
    return requests


def _is_due(name: str, now: datetime, asked: "Mapping[str, str]") -> bool:
    return name not in asked or now - datetime.fromisoformat(asked[name]) >= AGAIN_AFTER


def _by_themselves(
    store: BrandStore, maker: "Maker", waiting: "Sequence[Mapping[str, Any]]"
) -> "Sequence[Mapping[str, Any]]":
    """Briefs that no batch has, has brought or is about to have."""
    from assets.visuals.batch_making import are_enough, batched, for_batches, identity_of
    from resources.images.batches import open_picture_batches

    batches = open_picture_batches(store)
    try:
        known: Batched = batched(batches)
        new = [row for row in waiting if row not in known]
        left: set[Any] = set()
        if are_enough(maker, batches, new):
            left = {identity_of(row) for row in for_batches(maker, batches, new)}
    finally:
        batches.close()
    return [row for row in waiting if identity_of(row) not in known.open | known.made | left]


def _made_by_somebody(
    store: BrandStore, maker: "Maker", rows: "Sequence[Mapping[str, Any]]"
) -> "list[Mapping[str, Any]]":
    """Those of the briefs that a provider can and may make now; each kind of picture is asked about once."""
    from assets.visuals.brand_files import briefs_folder
    from assets.visuals.brief_orders import orders_of
    from assets.visuals.making import wanted_of
    from assets.visuals.planned import planned_of

    answers: dict[Any, bool] = {}
    able: list[Mapping[str, Any]] = []
    for row in rows:
        kind = (row["source"], row["content_type"], row["width"], row["height"])
        if kind not in answers:
            orders = orders_of(planned_of(row), maker.loaded.version, briefs_folder(store.settings))
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
