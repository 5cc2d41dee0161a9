"""When pictures are asked for: a new product, brief or kit; a brief without pictures that somebody can make; once each.

Also which pictures a refresh makes. Does not belong here: making them (`tests/assets/visuals`).
"""

import json
import os

import dagster as dg
import polars as pl
import pytest

from assets.visuals.brand_files import briefs_folder, kit_folder
from assets.visuals.made import VISUALS
from assets.visuals.planned import PLANNED
from assets.visuals.planned_files import plan_briefs
from luxauto_pipelines.refresh_pictures import plan_pictures, runs_of
from luxauto_pipelines.visual_sensors import MOST_AT_ONCE, ask_for_pictures, ask_for_planning
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog
from tests.assets.visuals.kits import write_kit
from tests.resources.store.test_catalog import write as write_products

PAGE = "briefs: [{id: mark, template: logo}, {id: paper, template: pattern}]"


@pytest.fixture(autouse=True)
def nobody_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("LUXAUTO_GPU")]:
        monkeypatch.delenv(name)


@pytest.fixture
def house(books: BrandStore) -> BrandStore:
    """A kit, two written briefs, one bag."""
    write_kit(kit_folder(books.settings))
    folder = briefs_folder(books.settings)
    folder.mkdir(parents=True)
    (folder / "pages.yaml").write_text(PAGE, encoding="utf-8")
    write_products(books, {"sku": "BAG-1", "product": "AUR", "product_name": "Aurore", "category": "bags"})
    return books


def lake_of(books: BrandStore) -> Lake:
    return Lake(books.settings.lake_url, books.settings.brand)


def planned(books: BrandStore) -> pl.DataFrame:
    """Written into the lake as the asset writes it."""
    with books.read() as (connection, brand):
        found = plan_briefs(books.settings, read_catalog(connection, brand))
    assert found is not None
    lake_of(books).write("visual_briefs", found.frame)
    lake_of(books).write("brand_kit", pl.DataFrame({"kit_version": [found.kit_version]}))
    return found.frame


def made(books: BrandStore, briefs: pl.DataFrame) -> None:
    for row in briefs.iter_rows(named=True):
        values = dict.fromkeys(VISUALS) | {"brief": row["brief"], "brief_hash": row["brief_hash"], "picture": "pic_1"}
        lake_of(books).write("generated_visuals", pl.DataFrame([values], schema=VISUALS), row["brief"])


def partitions(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or ()]


def test_planning_is_asked_for_when_kit_brief_or_catalogue_have_changed_and_only_then(house: BrandStore) -> None:
    first = ask_for_planning(house, None)
    assert len(first.run_requests or ()) == 1
    again = ask_for_planning(house, first.cursor)
    assert not again.run_requests
    write_products(house, {"sku": "BAG-2", "product": "SEI", "product_name": "Seine", "category": "bags"})
    product = ask_for_planning(house, again.cursor)
    assert [request.run_key for request in product.run_requests or ()] == [product.cursor]
    (briefs_folder(house.settings) / "more.yaml").write_text("{id: more, template: logo}", encoding="utf-8")
    brief = ask_for_planning(house, product.cursor)
    assert len(brief.run_requests or ()) == 1
    assert not ask_for_planning(house, brief.cursor).run_requests


def test_without_a_kit_nothing_is_planned(books: BrandStore) -> None:
    assert not ask_for_planning(books, None).run_requests
    assert plan_pictures(books).is_empty


def test_pictures_are_asked_for_where_somebody_can_make_them_each_version_of_a_brief_once(house: BrandStore) -> None:
    planned(house)
    first = ask_for_pictures(house, None)
    assert partitions(first) == ["mark", "paper"]
    # The shots wait: nobody here paints.
    again = ask_for_pictures(house, first.cursor)
    assert partitions(again) == []
    assert "wait for a provider" in str(again.skip_reason)
    (briefs_folder(house.settings) / "pages.yaml").write_text(
        PAGE.replace("logo", "pattern, seed: 7"), encoding="utf-8"
    )
    planned(house)
    changed = ask_for_pictures(house, again.cursor)
    assert partitions(changed) == ["mark"]
    assert set(json.loads(changed.cursor or "{}")) == {"mark", "paper"}


def test_shots_are_asked_for_when_somebody_paints(house: BrandStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody-is-asked-here")
    frame = planned(house)
    assert partitions(ask_for_pictures(house, None)) == frame["brief"].to_list()


def test_what_has_pictures_is_not_asked_for_and_few_at_once(house: BrandStore) -> None:
    many = ", ".join(f"{{id: paper-{n}, template: pattern, seed: {n}}}" for n in range(MOST_AT_ONCE + 5))
    (briefs_folder(house.settings) / "pages.yaml").write_text(f"briefs: [{many}]", encoding="utf-8")
    frame = planned(house)
    made(house, frame.head(2))
    first = ask_for_pictures(house, None)
    assert partitions(first) == [f"paper-{n}" for n in range(2, MOST_AT_ONCE + 2)]
    assert len(partitions(ask_for_pictures(house, first.cursor))) == 3


def test_a_refresh_makes_written_briefs_and_leaves_what_costs_money(house: BrandStore) -> None:
    first = plan_pictures(house)
    assert first.assets == ("brand_kit", "visual_briefs", "generated_visuals", "visual_quality")
    assert first.briefs == ("mark", "paper")
    frame = planned(house)
    assert plan_pictures(house).assets == ("generated_visuals", "visual_quality")
    made(house, frame.filter(pl.col("source") == "file"))
    lake_of(house).write("visual_quality", pl.DataFrame({"picture": ["pic_1"]}))
    assert plan_pictures(house).is_empty
    assert plan_pictures(house, everything=True).briefs == ("mark", "paper")
    write_kit(kit_folder(house.settings), tagline="Paris")
    assert plan_pictures(house).assets == ("brand_kit", "visual_briefs")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("abc", [("a", "c")]),
        ("ace", [("a", "a"), ("c", "c"), ("e", "e")]),
        ("abde", [("a", "b"), ("d", "e")]),
        ("", []),
        ("xe", [("e", "e")]),
    ],
)
def test_briefs_are_made_in_unbroken_stretches_of_partitions(wanted: str, expected: list[tuple[str, str]]) -> None:
    assert runs_of("abcde", wanted) == expected


def test_the_schema_of_planned_briefs_is_the_assets(house: BrandStore) -> None:
    assert dict(planned(house).schema) == PLANNED
