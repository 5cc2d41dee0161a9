"""The assets of pictures: the kit they are made from, the briefs that ask for them, the pictures, and how good they are.

Belongs here: when pictures are made, and what is shown of them. Does not belong here: how one is made and judged (`making`),
which are needed (`planned`), or the rules that they must keep (`checks`).
"""

from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from assets.partitions import keep_briefs
from assets.presentation import asset_options, result
from assets.visuals.planned import PLANNED
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit

MOST_BRIEFS = 20_000
"""Dagster shows no more partitions well; the newest products' briefs are kept."""
KIT: dict[str, pl.DataType] = {
    "section": pl.String(),
    "name": pl.String(),
    "value": pl.String(),
    "kit_version": pl.String(),
}
_NO_KIT = "no brand kit yet: make one with `luxauto brand init`"


@dg.asset(**asset_options("visuals", KIT, kinds={"yaml", "parquet"}))
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


@dg.asset(deps=["brand_kit"], **asset_options("visuals", PLANNED, kinds={"yaml", "parquet"}))
def visual_briefs(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[BrandStore], catalog: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    """Which pictures the brand needs: briefs that somebody wrote, and the kit's shots of every product and colour."""
    from assets.visuals.planned_files import plan_briefs

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
