"""The assets of pictures: the kit they are made from, the briefs that ask for them, the pictures, and how good they are.

Belongs here: when pictures are made, and what is shown of them. Does not belong here: how one is made and judged (`making`),
which are needed (`planned`), or the rules that they must keep (`checks`).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.partitions import BRIEFS, keep_briefs
from assets.presentation import asset_options, markdown_table, metadata_of, result
from assets.visuals.columns import WORDS
from assets.visuals.made import QUALITY, VISUALS, judged_rows, rows_of
from assets.visuals.planned import PLANNED, planned_of
from resources.files import write_file
from resources.io_manager import PARTITION_COLUMN
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.making import Maker
    from assets.visuals.orders import Made

MOST_BRIEFS = 20_000
"""Dagster shows no more partitions well; the newest products' briefs are kept."""
KIT: dict[str, pl.DataType] = {
    "section": pl.String(),
    "name": pl.String(),
    "value": pl.String(),
    "kit_version": pl.String(),
}
_BY_BRIEF: dict[str, Any] = {PARTITION_COLUMN: "brief"}
_NO_KIT = "no brand kit yet: make one with `luxauto brand init`"


@dg.asset(**asset_options("visuals", KIT, words=WORDS, kinds={"yaml", "parquet"}))
def brand_kit(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """What the brand looks and sounds like: colours, typefaces, styles, shots, words that it does not use."""
    from assets.visuals.brand_files import find_kit
    from assets.visuals.brand_kit import InvalidBrandKit
    from assets.visuals.palette_card import palette_card

    try:
        loaded = find_kit(store.settings)
    except InvalidBrandKit as error:
        raise dg.Failure(str(error), metadata={"findings": len(error.findings)}, allow_retries=False) from error
    if loaded is None:
        context.log.info(_NO_KIT)
        return result(pl.DataFrame(schema=KIT), None, "", note=_NO_KIT)
    frame = pl.DataFrame(_said(loaded), schema=KIT)
    notes = [str(finding) for finding in loaded.warnings]
    return result(
        frame,
        lambda: palette_card(loaded),
        f"Palette and typefaces of {loaded.kit.name}",
        kit_version=loaded.version,
        warnings=dg.MetadataValue.json(notes),
    )


@dg.asset(deps=["brand_kit", "catalog"], **asset_options("visuals", PLANNED, words=WORDS, kinds={"yaml", "parquet"}))
def visual_briefs(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Which pictures the brand needs: briefs that somebody wrote, and the kit's shots of every product and colour."""
    from assets.visuals.planned_files import plan_briefs
    from resources.store.catalog import read_catalog

    # Of the store: a house may have pictures before it has books.
    with store.read() as (connection, brand):
        catalog = read_catalog(connection, brand)
    planned = plan_briefs(store.settings, catalog)
    if planned is None:
        keep_briefs(context.instance, [])
        context.log.info(_NO_KIT)
        return result(pl.DataFrame(schema=PLANNED), None, "", note=_NO_KIT)
    kept = planned.frame.head(MOST_BRIEFS)
    keep_briefs(context.instance, kept["brief"].to_list())
    counts = dict(kept.group_by("source").len().sort("source").iter_rows())
    return result(
        kept,
        None,
        "",
        pictures=int(kept["pictures"].sum()),
        sources=dg.MetadataValue.json(counts),
        types_without_shots=dg.MetadataValue.json(planned.without),
        left_out=planned.frame.height - kept.height,
    )


@dg.asset(
    partitions_def=BRIEFS,
    pool="images",
    **asset_options("visuals", VISUALS, words=WORDS, kinds={"image", "parquet"}, **_BY_BRIEF),
)
def generated_visuals(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore], visual_briefs: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """The pictures of a brief: made by whoever is best for it within the budget, judged, signed; a row for each."""
    from assets.visuals.brand_files import find_kit
    from assets.visuals.making import open_maker

    wanted = visual_briefs.filter(pl.col("brief").is_in(list(context.partition_keys)))
    unknown = sorted(set(context.partition_keys) - set(wanted["brief"]))
    if unknown:
        raise dg.Failure(
            f"no brief {', '.join(unknown[:5])}: materialize visual_briefs, or correct the id", allow_retries=False
        )
    loaded = find_kit(store.settings)
    if loaded is None:
        raise dg.Failure(_NO_KIT, allow_retries=False)
    maker = open_maker(store, loaded)
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(wanted.iter_rows(named=True), 1):
        answers = list(_made(maker, row))
        own = [found for order, made in answers for found in rows_of(row, order, made)]
        rows += own
        context.log.info(f"{number} of {wanted.height}: {row['brief']}, {_in_short(own)}")
        context.add_asset_metadata(
            {"dagster/row_count": len(own), **_shown(maker, own, [made for _, made in answers])},
            partition_key=row["brief"],
        )
    frame = pl.DataFrame(rows, schema=VISUALS)
    return dg.MaterializeResult(value=frame, metadata=metadata_of(frame) if len(context.partition_keys) > 1 else {})


@dg.asset(**asset_options("visuals", QUALITY, words=WORDS, kinds={"html", "parquet"}))
def visual_quality(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore], generated_visuals: pl.LazyFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Each check of each picture that stands; and the gallery, a page with all of them."""
    from assets.visuals.brand_files import find_kit
    from assets.visuals.gallery import render_gallery
    from assets.visuals.hanging import hang

    now = datetime.now(UTC)
    pictures = hang(store, generated_visuals.collect())
    frame = judged_rows(pictures)
    loaded = find_kit(store.settings)
    extra: dict[str, Any] = {"pictures": len(pictures)}
    if loaded is not None:
        page = render_gallery(loaded.kit, loaded.version, pictures, now)
        file = write_file(store.settings.home / "reports" / store.settings.brand / "gallery.html", page.encode())
        extra["gallery"] = dg.MetadataValue.path(file)
        context.log.info(f"gallery: {file}")
    counts = frame.group_by("check", "status").len().sort("check", "status")

    def plot() -> bytes:
        from assets.charts import bar_ranking

        means = frame.drop_nulls("score").group_by("check").agg(pl.col("score").mean()).sort("score", descending=True)
        return bar_ranking(
            means["check"].to_list(), [round(s, 3) for s in means["score"]], "Mean score by check, 0 to 1"
        )

    extra["outcomes"] = dg.MetadataValue.md(markdown_table(counts))
    return result(frame, plot, "Mean score by check", **extra)


def _made(maker: "Maker", row: dict[str, Any]) -> Iterator[tuple[Any, "Made"]]:
    from assets.visuals.brand_files import briefs_folder
    from assets.visuals.brief_orders import orders_of
    from assets.visuals.making import make

    folder = briefs_folder(maker.books.settings)
    for order in orders_of(planned_of(row), maker.loaded.version, folder, principal="dagster"):
        yield order, make(maker, order)


def _in_short(rows: Sequence[dict[str, Any]]) -> str:
    states = [row["state"] for row in rows]
    counted = ", ".join(f"{states.count(state)} {state.replace('_', ' ')}" for state in dict.fromkeys(states))
    return counted or "nothing was ordered"


def _shown(maker: "Maker", rows: Sequence[dict[str, Any]], made: Sequence["Made"]) -> dict[str, Any]:
    """What Dagster shows of a brief's pictures: thumbnails on a sheet, provider and why, cost, seeds, checks."""
    from assets.visuals.hanging import sheet

    candidates = [
        vars(one) | {"parts": dict(one.parts)} for one in next((m.candidates for m in made if m.candidates), ())
    ]
    shown: dict[str, Any] = {
        "outcome": _in_short(rows),
        "cost_usd": sum(one.cost for one in made) / 1_000_000,
        "providers": ", ".join(sorted({row["provider"] for row in rows if row["provider"]})) or "none",
        "why": next((row["why"] for row in rows if row["why"]), ""),
        "candidates": dg.MetadataValue.json(candidates),
        "checks": dg.MetadataValue.json({row["picture"]: row["checks"] for row in rows if row["picture"]}),
        "seeds": dg.MetadataValue.json([row["seed"] for row in rows if row["seed"] is not None]),
        "faults": dg.MetadataValue.json([one.error for one in made if one.error]),
    }
    if picture := sheet(maker, rows):
        shown["contact_sheet"] = dg.MetadataValue.md(picture)
    return shown


def _said(loaded: "LoadedKit") -> list[dict[str, Any]]:
    kit = loaded.kit
    rows = [
        ("house", "name", kit.name),
        ("house", "tagline", kit.tagline),
        ("voice", "tone", ", ".join(kit.voice.tone)),
    ]
    rows += [("colour", role, colour) for role, colour in kit.palette.colours().items()]
    for role in ("display", "text", "label"):
        face = getattr(kit.typefaces, role)
        rows.append(("typeface", role, f"{face.family} {face.weight}"))
    rows += [("style", name, preset.description) for name, preset in kit.presets.items()]
    rows += [("shot", f"{kind}/{shot.name}", shot.description) for kind, listed in kit.shots.items() for shot in listed]
    rows += [("do", str(number), text) for number, text in enumerate(kit.dos, 1)]
    rows += [("don't", str(number), text) for number, text in enumerate(kit.donts, 1)]
    rows += [("forbidden word", word, "") for word in kit.forbidden.words]
    rows += [("forbidden mark", mark, "") for mark in kit.forbidden.marks]
    return [
        {"section": section, "name": name, "value": value, "kit_version": loaded.version}
        for section, name, value in rows
    ]
