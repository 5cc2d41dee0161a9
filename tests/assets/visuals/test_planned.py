"""Which pictures a brand needs: rows of briefs that somebody wrote, and of the shots of a catalogue."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.visuals.brand_kit import LoadedKit, Shot
from assets.visuals.briefs import Brief
from assets.visuals.planned import LONGEST_ID, PLANNED, planned_of, shots, to_frame, written
from resources.store.catalog import CATALOG
from tests.assets.visuals.kits import load


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedKit:
    return load(tmp_path)


def catalog(*rows: dict[str, Any]) -> pl.DataFrame:
    empty = dict.fromkeys(CATALOG)
    return pl.DataFrame([{**empty, **row} for row in rows], schema=CATALOG)


def shot(name: str) -> Shot:
    return Shot.model_validate({"name": name, "description": "Flat"})


BAG: dict[str, Any] = {"sku": "BAG-1", "product": "AUR", "name": "Aurore", "category": "bags", "color": "Black"}


def test_a_product_has_each_shot_of_its_type_once_whatever_sizes_it_comes_in(loaded: LoadedKit) -> None:
    rows = catalog(BAG, {**BAG, "sku": "BAG-2", "size": "M"}, {**BAG, "sku": "BAG-3", "color": "Rosé"})
    found, without = shots(loaded.kit, rows)
    names = [shot.name for shot in loaded.kit.shots["bags"]]
    assert [brief.brief for brief in found] == [
        f"aur-{colour}-{name}" for colour in ("black", "rose") for name in names
    ]
    assert {brief.sku for brief in found} == {"BAG-1", "BAG-3"}
    assert without == []


def test_the_subcategorys_list_comes_before_the_categorys_and_others_are_told(loaded: LoadedKit) -> None:
    kit = loaded.kit.model_copy(update={"shots": {"bags": loaded.kit.shots["bags"], "top_handle": (shot("only"),)}})
    rows = catalog({**BAG, "subcategory": "Top-handle"}, {**BAG, "sku": "S", "product": "SC", "category": "scarves"})
    found, without = shots(kit, rows)
    assert [brief.brief for brief in found] == ["aur-black-only"]
    assert without == ["scarves"]
    with_other = kit.model_copy(update={"shots": {**kit.shots, "other": (shot("plain"),)}})
    assert shots(with_other, rows)[1] == []


def test_new_products_come_first(loaded: LoadedKit) -> None:
    rows = catalog(
        {**BAG, "product": "OLD", "launched_on": date(2020, 1, 1)},
        {**BAG, "sku": "B", "product": "UNKNOWN"},
        {**BAG, "sku": "C", "product": "NEW", "launched_on": date(2026, 1, 1)},
    )
    found, _ = shots(loaded.kit, rows)
    assert list(dict.fromkeys(brief.brief.split("-")[0] for brief in found)) == ["new", "old", "unknown"]


def test_names_without_latin_letters_and_long_ones_stay_apart(loaded: LoadedKit) -> None:
    rows = catalog(
        {**BAG, "product": "鞄"},
        {**BAG, "sku": "B", "product": "傘"},
        {**BAG, "sku": "C", "product": "x" * 200 + "1"},
        {**BAG, "sku": "D", "product": "x" * 200 + "2"},
    )
    found, _ = shots(loaded.kit, rows)
    ids = [brief.brief for brief in found]
    assert len(set(ids)) == len(ids) == 4 * len(loaded.kit.shots["bags"])
    assert max(map(len, ids)) <= LONGEST_ID


def test_a_brief_comes_back_out_of_its_row_whole(loaded: LoadedKit) -> None:
    page = Brief.model_validate(
        {
            "id": "autumn",
            "template": "banner",
            "sizes": ["hero", "story"],
            "texts": {"en": {"headline": "Cloth"}, "fr": {"headline": "Étoffe"}},
        }
    )
    briefs = [*written([page]), *shots(loaded.kit, catalog(BAG))[0]]
    frame = to_frame(briefs)
    assert dict(frame.schema) == PLANNED
    assert [planned_of(row) for row in frame.iter_rows(named=True)] == briefs
    assert briefs[0].pictures == 4
    assert briefs[0].content_type == "banner_ad"


def test_the_hash_changes_with_what_is_wanted_and_with_nothing_else(loaded: LoadedKit) -> None:
    one, again = (shots(loaded.kit, catalog(BAG))[0] for _ in range(2))
    assert [brief.hash for brief in one] == [brief.hash for brief in again]
    renamed = shots(loaded.kit, catalog({**BAG, "name": "Aurora"}))[0]
    assert [brief.brief for brief in renamed] == [brief.brief for brief in one]
    assert not {brief.hash for brief in renamed} & {brief.hash for brief in one}
