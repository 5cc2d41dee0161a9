"""The assets of pictures and their checks, run as Dagster runs them, with the studio and with nobody who paints.

Does not belong here: how a picture is made (`test_making`), or what asks for a run (`tests/luxauto_pipelines`).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest

from assets.visuals import assets as visuals
from assets.visuals.brand_files import briefs_folder, kit_folder
from assets.visuals.checks import CHECKS, gate
from assets.visuals.made import checks_of
from resources.io_manager import LakeResource, ParquetIOManager, StoreResource
from resources.lake import Lake
from resources.store.brand_store import BrandStore
from resources.store.pictures import decide, list_pictures
from tests.assets.visuals.kits import write_kit
from tests.resources.store.test_catalog import write as write_products

BRIEFS = """
briefs:
  - id: autumn-hero
    template: banner
    sizes: [hero]
    texts:
      en: {headline: The quiet weight of good cloth}
      fr: {headline: Le poids discret d’une belle étoffe}
  - id: mark
    template: logo
"""
ASSETS: list[Any] = [visuals.brand_kit, visuals.visual_briefs, visuals.generated_visuals, visuals.visual_quality]
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "RECRAFT_API_KEY", "LUXAUTO_GPU_URLS", "MIDJOURNEY_GATEWAY_URL")


@pytest.fixture(autouse=True)
def nobody_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def house(books: BrandStore) -> BrandStore:
    """A brand with a kit, two written briefs and one bag."""
    write_kit(kit_folder(books.settings))
    folder = briefs_folder(books.settings)
    folder.mkdir(parents=True)
    (folder / "autumn.yaml").write_text(BRIEFS, encoding="utf-8")
    write_products(books, {"sku": "BAG-1", "product": "AUR", "product_name": "Aurore", "category": "bags"})
    return books


def materialized(instance: dg.DagsterInstance, *assets: Any, brief: str | None = None) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*ASSETS, dg.AssetSpec("catalog"), *CHECKS],
        selection=dg.AssetSelection.assets(*assets),
        partition_key=brief,
        instance=instance,
        resources={"io_manager": ParquetIOManager(), "lake": LakeResource(), "store": StoreResource()},
        raise_on_error=False,
    )


def outcomes(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def lake_of(books: BrandStore) -> Lake:
    return Lake(books.settings.lake_url, books.settings.brand)


def test_without_a_kit_nothing_is_asked_for_and_it_is_said_how_to_make_one(
    books: BrandStore, instance: dg.DagsterInstance
) -> None:
    result = materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    assert result.success
    assert lake_of(books).read("visual_briefs").is_empty()
    check = outcomes(result)["can_be_used"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "luxauto brand init" in str(check.metadata["findings"].value)


def test_a_kit_that_cannot_be_used_fails_and_names_the_field(house: BrandStore, instance: dg.DagsterInstance) -> None:
    write_kit(kit_folder(house.settings), palette__ink__hex="#F0F0F0")
    result = materialized(instance, visuals.brand_kit)
    assert not result.success
    failure = result.failure_data_for_node("brand_kit")
    assert failure is not None
    assert "palette.ink" in str(failure.user_failure_data.description if failure.user_failure_data else failure.error)


def test_the_kit_is_shown_with_its_palette(house: BrandStore, instance: dg.DagsterInstance) -> None:
    result = materialized(instance, visuals.brand_kit)
    assert result.success
    frame = lake_of(house).read("brand_kit")
    assert {"colour", "typeface", "style", "shot", "forbidden word"} <= set(frame["section"])
    assert frame["kit_version"].n_unique() == 1
    [event] = result.get_asset_materialization_events()
    assert "data:image/png;base64," in str(event.materialization.metadata["plot"].value)


def test_briefs_become_partitions_those_of_files_and_those_of_the_shot_list(
    house: BrandStore, instance: dg.DagsterInstance
) -> None:
    assert materialized(instance, visuals.brand_kit, visuals.visual_briefs).success
    frame = lake_of(house).read("visual_briefs")
    keys = ["autumn-hero", "mark", "aur-front", "aur-detail", "aur-worn"]
    assert frame["brief"].to_list() == keys
    assert instance.get_dynamic_partitions("briefs") == keys
    (briefs_folder(house.settings) / "autumn.yaml").unlink()
    assert materialized(instance, visuals.visual_briefs).success
    assert instance.get_dynamic_partitions("briefs") == keys[2:]


def test_a_briefs_pictures_are_made_judged_signed_and_shown(house: BrandStore, instance: dg.DagsterInstance) -> None:
    materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    result = materialized(instance, visuals.generated_visuals, brief="autumn-hero")
    assert result.success
    frame = lake_of(house).read("generated_visuals", ["autumn-hero"])
    assert frame["language"].to_list() == ["en", "fr"]
    assert set(frame["state"]) == {"accepted"}
    assert set(frame["provider"]) == {"studio"}
    assert frame["picture_score"].min() > 0.8  # pyright: ignore[reportOperatorIssue]
    [event] = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert str(metadata["contact_sheet"].value).count("data:image/webp") == 2
    checks = outcomes(result)
    passed = {name for name, one in checks.items() if one.passed}
    assert {"every_order_was_filled", "credentials_hold", "gate_palette", "gate_blank", "gate_duplicate"} <= passed
    # No checker is installed: that is told, and nothing has passed.
    assert (checks["gate_nudity"].passed, checks["gate_nudity"].severity) == (False, dg.AssetCheckSeverity.WARN)


def test_making_a_brief_again_brings_the_same_pictures(house: BrandStore, instance: dg.DagsterInstance) -> None:
    materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    materialized(instance, visuals.generated_visuals, brief="mark")
    first = lake_of(house).read("generated_visuals", ["mark"])
    materialized(instance, visuals.generated_visuals, brief="mark")
    again = lake_of(house).read("generated_visuals", ["mark"])
    assert again["picture"].to_list() == first["picture"].to_list()
    with house.read() as (connection, brand):
        assert len(list_pictures(connection, brand)) == 1


def test_a_shot_that_nobody_can_make_has_no_picture_and_the_reasons(
    house: BrandStore, instance: dg.DagsterInstance
) -> None:
    materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    result = materialized(instance, visuals.generated_visuals, brief="aur-front")
    assert result.success
    frame = lake_of(house).read("generated_visuals", ["aur-front"])
    assert frame["picture"].to_list() == [None]
    assert frame["state"].to_list() == ["failed"]
    [event] = result.get_asset_materialization_events()
    candidates = cast("Any", event.materialization.metadata["candidates"].value)
    rejected = {one["model"]: one["rejected"] for one in candidates}
    assert "OPENAI_API_KEY" in rejected["gpt-image-2.5-flare"]
    assert all(rejected.values())
    check = outcomes(result)["every_order_was_filled"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)


def test_an_unknown_brief_is_a_failure_that_says_what_to_do(house: BrandStore, instance: dg.DagsterInstance) -> None:
    materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    instance.add_dynamic_partitions("briefs", ["no-such"])
    result = materialized(instance, visuals.generated_visuals, brief="no-such")
    assert not result.success


def test_the_gallery_shows_what_stands_and_a_rejected_picture_no_more(
    house: BrandStore, instance: dg.DagsterInstance, home: Path
) -> None:
    materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    for brief in ("autumn-hero", "mark"):
        materialized(instance, visuals.generated_visuals, brief=brief)
    result = materialized(instance, visuals.visual_quality)
    assert result.success
    assert outcomes(result)["scores_are_shares"].passed
    page = (home / "reports" / house.settings.brand / "gallery.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 3
    assert "<script" not in page
    quality = lake_of(house).read("visual_quality")
    assert quality["picture"].n_unique() == 3
    mark = lake_of(house).read("generated_visuals", ["mark"])["picture"][0]
    with house.write() as (connection, brand):
        decide(connection, brand, mark, "rejected", "anna", "too small", datetime.now(UTC))
    materialized(instance, visuals.visual_quality)
    assert lake_of(house).read("visual_quality")["picture"].n_unique() == 2


def test_a_picture_that_was_changed_on_disk_breaks_its_credentials(
    house: BrandStore, instance: dg.DagsterInstance, home: Path
) -> None:
    materialized(instance, visuals.brand_kit, visuals.visual_briefs)
    materialized(instance, visuals.generated_visuals, brief="mark")
    sha = lake_of(house).read("generated_visuals", ["mark"])["sha256"][0]
    [file] = [path for path in home.rglob(f"*{sha}*") if path.is_file()]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    result = materialized(instance, visuals.generated_visuals, brief="mark")
    assert not outcomes(result)["credentials_hold"].passed


def rows(*found: tuple[str, str, str]) -> pl.DataFrame:
    """Rows of `checks_of`: state, status and message of one picture each."""
    frame = pl.DataFrame(
        [
            {
                "picture": f"p{number}",
                "brief": "b",
                "state": state,
                "checks": json.dumps([{"name": "blur", "status": status, "message": message}]),
            }
            for number, (state, status, message) in enumerate(found)
        ],
        schema=dict.fromkeys(("picture", "brief", "state", "checks"), pl.String()),
    )
    return checks_of(frame)


@pytest.mark.parametrize(
    ("found", "passed", "severity"),
    [
        ([("accepted", "passed", ""), ("accepted", "warned", "")], True, dg.AssetCheckSeverity.WARN),
        ([("accepted", "failed", "soft"), ("accepted", "passed", "")], False, dg.AssetCheckSeverity.ERROR),
        ([("needs_review", "failed", "soft")], False, dg.AssetCheckSeverity.WARN),
        ([("approved", "failed", "soft")], True, dg.AssetCheckSeverity.WARN),
        ([("accepted", "skipped", "no reader is installed")], False, dg.AssetCheckSeverity.WARN),
        ([("accepted", "skipped", ""), ("accepted", "passed", "")], True, dg.AssetCheckSeverity.WARN),
        ([], True, dg.AssetCheckSeverity.WARN),
    ],
)
def test_a_gate_fails_for_what_stands_warns_for_what_waits_and_passes_nothing_that_it_did_not_see(
    found: list[tuple[str, str, str]], passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    result = gate(rows(*found))
    assert (result.passed, result.severity) == (passed, severity)
