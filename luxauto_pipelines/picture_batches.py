"""Batches of planned pictures, as an installation has them: which briefs wait, one batch of them, and what became of one.

Belongs here: what jobs, sensors and the command line have in common. Does not belong here: which briefs are for a batch
(`assets/visuals/batch_making`), paying and taking in (`resources/images/batches`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.visuals.made import VISUALS
from assets.visuals.planned import PLANNED
from resources.lake import Lake, MissingAsset
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from assets.visuals.making import Maker
    from resources.images.batches import PictureBatches, Step
    from resources.store.image_batches import BatchRow


def submit_batch(store: BrandStore, *, least: int = 1, again: bool = False) -> "tuple[BatchRow | None, str]":
    """One batch of the shots that wait, and what is to be said; None for the batch where there are fewer than `least`.

    `again`: those, too, that were in a batch which did not bring them. Raises BatchError, Refused, BudgetReached.
    """
    from assets.visuals.batch_making import batched, gather, hand_in, identity_of
    from resources.images.batches import open_picture_batches

    maker = maker_of(store)
    if maker is None:
        return None, "no brand kit yet: make one with `luxauto brand init`"
    batches = open_picture_batches(store)
    try:
        known = batched(batches)
        rows = [
            row for row in missing_briefs(store) if row not in known or (again and identity_of(row) in known.not_made)
        ]
        found = gather(maker, batches, rows)
        count = len(found.pieces) + found.left if found else 0
        if found is None or count < least:
            return None, f"{count} pictures wait that a batch could make; a batch is handed in from {least} on"
        row = hand_in(batches, found)
    finally:
        batches.close()
    left = f"; {found.left} are left for another one" if found.left else ""
    return row, f"batch {row.request_key}: {len(row.items)} pictures of {row.model}, {row.state}{left}"


def maker_of(store: BrandStore) -> "Maker | None":
    """What would make pictures here, unsigned; None where there is no kit."""
    from assets.visuals.brand_files import find_kit
    from assets.visuals.making import open_maker

    loaded = find_kit(store.settings)
    return None if loaded is None else open_maker(store, loaded, signed=False)


def missing_briefs(store: BrandStore) -> list[dict[str, Any]]:
    """Rows of planned briefs that no picture of the lake is of, in the order of the plan."""
    lake = Lake(store.settings.lake_url, store.settings.brand)
    identity = ["brief", "brief_hash"]
    planned = _read(lake, "visual_briefs", PLANNED)
    made = _read(lake, "generated_visuals", VISUALS).filter(pl.col("picture").is_not_null())
    return planned.join(made.select(identity), on=identity, how="anti", maintain_order="left").to_dicts()


def made_briefs(row: "BatchRow") -> Sequence[str]:
    """Briefs of a batch whose pictures have come."""
    from assets.visuals.batch_making import is_made

    return list(dict.fromkeys(item.brief for item in row.items if item.brief and is_made(row, item.custom_id)))


def brought(store: BrandStore, batches: "PictureBatches") -> list[str]:
    """Briefs whose pictures batches have brought, and which have none in the lake: they are to be made."""
    from assets.visuals.batch_making import batched, identity_of

    made = batched(batches).made
    return [row["brief"] for row in missing_briefs(store) if identity_of(row) in made]


def told(step: "Step") -> str:
    """What was done about a batch, in a line."""
    row = step.batch
    made = sum(one.get("outcome") == "made" for one in row.results.values())
    said = {
        "handed_in": "was handed in",
        "waits": f"waits, {step.done} of {len(row.items)} done",
        "ended": f"{row.state}: {made} of {len(row.items)} pictures for {(row.cost_micros or 0) / 1_000_000:.6f} USD",
        "given_up": "was given up",
    }[step.change]
    return f"batch {row.request_key} {said}" + (f" ({step.note})" if step.note else "")


def _read(lake: Lake, asset: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    try:
        return lake.read(asset)
    except MissingAsset:
        return pl.DataFrame(schema=schema)
