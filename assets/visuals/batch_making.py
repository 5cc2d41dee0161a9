"""Planned pictures that are not urgent, ordered together at half the price.

Belongs here: which briefs are for a batch, and one batch out of them. Does not belong here: paying, handing in and taking in
(`resources/images/batches`), and when it is done (`luxauto_pipelines/visual_sensors`).

What a batch brought is judged, signed and kept when the brief is made: `making` asks for the same key, and finds it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from assets.visuals.brand_files import briefs_folder
from assets.visuals.brief_orders import orders_of
from assets.visuals.errors import VisualsError
from assets.visuals.making import find_made, wanted_of
from assets.visuals.planned import PlannedBrief, planned_of
from resources.images.batches import MOST_ITEMS, BatchError, Piece

if TYPE_CHECKING:
    from assets.visuals.making import Maker
    from resources.images.batches import PictureBatches
    from resources.images.service import Wanted
    from resources.store.image_batches import BatchRow

REMEMBERED = timedelta(days=30)
"""What was in a batch that ended since then is not put into another one by itself: it is made by itself, if at all."""
Identity = tuple[str | None, str | None]
"""A brief and the hash of what it says."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Gathered:
    """Pictures for one batch of a model; `left` of the briefs did not get into it, for its size or the budget."""

    model: str
    pieces: tuple[Piece, ...]
    left: int = 0


@dataclass(frozen=True)
class Batched:
    """Briefs that batches have or had: of `open` ones, those that were `made`, and those that were not."""

    open: frozenset[Identity]
    made: frozenset[Identity]
    not_made: frozenset[Identity]

    def __contains__(self, row: Row) -> bool:
        identity = identity_of(row)
        return identity in self.open or identity in self.made or identity in self.not_made


def identity_of(row: Row) -> Identity:
    """Of a row of `PLANNED`."""
    return row["brief"], row["brief_hash"]


def batched(batches: PictureBatches, now: datetime | None = None) -> Batched:
    """What batches have, and had within `REMEMBERED`."""
    rows = batches.batches((now or datetime.now(UTC)) - REMEMBERED)
    pending = {(item.brief, item.brief_hash) for row in rows if row.is_open for item in row.items}
    ended = [(row, item) for row in rows if not row.is_open for item in row.items]
    made = {(item.brief, item.brief_hash) for row, item in ended if is_made(row, item.custom_id)}
    others = {(item.brief, item.brief_hash) for _, item in ended} - made
    return Batched(frozenset(pending), frozenset(made), frozenset(others - pending))


def is_made(row: BatchRow, custom_id: str) -> bool:
    """Whether an item of a batch that has ended brought its picture."""
    return row.results.get(custom_id, {}).get("outcome") == "made"


def is_urgent(planned: PlannedBrief) -> bool:
    """Pages that somebody wrote, and what a campaign waits for, are not put off for a day."""
    return planned.source != "shot_list" or planned.layout is not None or planned.campaign is not None


def for_batches(maker: Maker, batches: PictureBatches, rows: Iterable[Row]) -> list[Row]:
    """Those of the briefs that are not urgent and that a model would make now which works off batches; asks nobody."""
    model_of = _models(maker, batches)
    return [row for row in rows if row["source"] == "shot_list" and model_of(planned_of(row)) is not None]


def gather(maker: Maker, batches: PictureBatches, rows: Iterable[Row], most: int = MOST_ITEMS) -> Gathered | None:
    """The pictures of briefs for one batch: those of the model and the campaign that most are for, as far as the budgets
    reach. Briefs with pictures, and those that anybody was asked for, are left out. None where there is nothing."""
    model_of = _models(maker, batches)
    groups: dict[tuple[str, str | None], list[Piece]] = {}
    over: Counter[tuple[str, str | None]] = Counter()
    for row in rows:
        planned = planned_of(row)
        model = model_of(planned)
        if model is None:
            continue
        group = groups.setdefault((model, planned.campaign), [])
        if len(group) < most:
            group += _pieces(maker, batches, planned)
        else:
            # Whether it is free is asked when its turn comes.
            over[model, planned.campaign] += 1
    if not any(groups.values()):
        return None
    (model, campaign), pieces = max(groups.items(), key=lambda one: len(one[1]) + over[one[0]])
    chosen = _within(batches, model, campaign, pieces)
    return Gathered(model, tuple(chosen), len(pieces) - len(chosen) + over[model, campaign])


def are_enough(maker: Maker, batches: PictureBatches, rows: Sequence[Row]) -> bool:
    """Whether so many of the briefs could be in one batch now that `batch_from` has one handed in."""
    least = batches.policy.batch_from
    if not least or len(rows) < least:
        return False
    found = gather(maker, batches, rows, min(least, MOST_ITEMS))
    return found is not None and bool(found.pieces) and len(found.pieces) + found.left >= least


def hand_in(batches: PictureBatches, gathered: Gathered) -> BatchRow:
    """One batch of them. The same pictures are handed in once, but where an earlier batch of them was given up.

    Raises BatchError, Refused and BudgetReached.
    """
    if not gathered.pieces:
        raise BatchError("the budgets of images.yaml reach for none of these pictures today")
    names = "\n".join(sorted(piece.wanted.key for piece in gathered.pieces))
    stem = f"shots/{hashlib.sha256(names.encode()).hexdigest()[:16]}"
    key, number = stem, 1
    while (known := batches.find(key)) is not None and not known.is_open:
        number += 1
        key = f"{stem}/{number}"
    return batches.submit(gathered.pieces, key, gathered.model)


def _pieces(maker: Maker, batches: PictureBatches, planned: PlannedBrief) -> list[Piece]:
    try:
        orders = orders_of(planned, maker.loaded.version, briefs_folder(maker.books.settings), principal="dagster")
        wanted = [wanted_of(maker, order) for order in orders if find_made(maker, order) is None]
    except VisualsError:
        # Whoever makes it by itself says what is wrong with it.
        return []
    return [Piece(one, planned.brief, planned.hash) for one in wanted if batches.is_free(one.key)]


def _within(batches: PictureBatches, model: str, campaign: str | None, pieces: Sequence[Piece]) -> list[Piece]:
    """As many, from the first one on, as the budgets reach for."""
    room = batches.room(campaign)
    left = room.day if room.campaign is None else min(room.day, room.campaign)
    chosen = []
    for piece in pieces:
        left -= batches.estimate(model, piece.wanted)
        if left < 0:
            break
        chosen.append(piece)
    return chosen


def _models(maker: Maker, batches: PictureBatches) -> Callable[[PlannedBrief], str | None]:
    """The model that a brief is for, where that works off batches; each kind of picture is asked about once."""
    known: dict[tuple[Any, ...], str | None] = {}

    def model_of(planned: PlannedBrief) -> str | None:
        if is_urgent(planned):
            return None
        kind = (planned.content_type, planned.width, planned.height, planned.style_preset)
        if kind not in known:
            known[kind] = _chosen(maker, batches, planned)
        return known[kind]

    return model_of


def _chosen(maker: Maker, batches: PictureBatches, planned: PlannedBrief) -> str | None:
    try:
        [order] = orders_of(planned, maker.loaded.version, briefs_folder(maker.books.settings))
        wanted: Wanted = wanted_of(maker, order)
    except (VisualsError, ValueError):
        return None
    best = next((one for one in maker.images.candidates(wanted) if one.rejected is None), None)
    return best.model if best is not None and batches.unavailable(best.model) is None else None
