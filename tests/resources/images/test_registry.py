"""What the registry says of models, the installation's changes to it, and what a name leads to on which day."""

from datetime import date
from pathlib import Path

import pytest

from resources.images.registry import OVERRIDES, Registry, RegistryError, read_registry
from tests.resources.images.scripted import model

TODAY = date(2026, 11, 26)


def write(home: Path, text: str) -> Path:
    (home / OVERRIDES).write_text(text)
    return home


def test_the_projects_own_can_be_read_and_its_replacements_live() -> None:
    registry = read_registry()
    assert len({one.id for one in registry.models}) == len(registry.models)
    for one in registry.models:
        if one.replacement:
            assert not registry.by_id[one.replacement].retired(TODAY)


def test_dalle_3_leads_to_the_living_model_and_says_so() -> None:
    (found,) = read_registry().named("dalle_3", TODAY)
    assert found.model.id == "gpt-image-2.5-flare"
    assert found.note == "dalle_3 is answered by gpt-image-2.5-flare-2026-09-08"
    (found,) = read_registry().named("dall-e-3", TODAY)
    assert found.model.id == "gpt-image-2.5-flare"
    assert found.note == "dall-e-3 was retired on 2026-05-12; gpt-image-2.5-flare stands for it"


def test_a_model_that_ends_soon_is_itself_until_its_last_day() -> None:
    registry = read_registry()
    (before,) = registry.named("gpt-image-1-mini", date(2026, 11, 30))
    (after,) = registry.named("gpt-image-1-mini", date(2026, 12, 1))
    assert (before.model.id, before.note) == ("gpt-image-1-mini", None)
    assert (after.model.id, after.note) == (
        "gpt-image-2.5-flare",
        "gpt-image-1-mini was retired on 2026-12-01; gpt-image-2.5-flare stands for it",
    )


def test_a_provider_leads_to_its_living_models() -> None:
    found = read_registry().named("openai", TODAY)
    assert [one.model.id for one in found] == ["gpt-image-2.5-flare", "gpt-image-2.6-sunburst", "gpt-image-1-mini"]


def test_an_alias_of_a_retired_model_leads_on_to_its_replacements_replacement() -> None:
    registry = Registry(
        (
            model("a", aliases=["house"], retires="2026-01-01", replacement="b"),
            model("b", retires="2026-06-01", replacement="c"),
            model("c"),
        )
    )
    (found,) = registry.named("house", TODAY)
    assert (found.model.id, found.note) == ("c", "house is answered by c")
    (found,) = registry.named("house", date(2026, 3, 1))
    assert found.model.id == "b"


def test_replacements_that_go_round_end() -> None:
    registry = Registry(
        (
            model("a", retires="2026-01-01", replacement="b"),
            model("b", retires="2026-01-01", replacement="a"),
        )
    )
    assert [one.model.id for one in registry.named("a", TODAY)] == ["b"]


def test_a_name_that_nothing_has_is_told_with_all_that_there_are() -> None:
    with pytest.raises(RegistryError, match=r"there is no provider 'dalle'; there are .*dalle_3.*recraft.*studio"):
        read_registry().named("dalle", TODAY)


def test_an_installation_adds_models_and_changes_fields(tmp_path: Path) -> None:
    text = """
models:
  - {id: midjourney-gateway, disabled: null, url: "https://gateway.example"}
  - id: house-flux
    provider: house
    adapter: openai_images
    url: http://10.0.0.4:8000/v1
    key_optional: true
    content_types: [product_photo]
    sizes: {smallest: 512, longest: 2048}
    formats: [png]
    price: {kind: none}
    prior: {quality: 0.7}
    seconds: 5
"""
    registry = read_registry(write(tmp_path, text))
    assert registry.by_id["midjourney-gateway"].disabled is None
    assert registry.by_id["midjourney-gateway"].url == "https://gateway.example"
    assert registry.by_id["house-flux"].parallel == 1
    assert read_registry().by_id["midjourney-gateway"].disabled is not None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models:\n  - {id: studio, seconds: 0}", "studio: seconds: Input should be greater than 0"),
        ("models:\n  - {id: studio, prior: {quality: 2}}", "studio: prior.quality: Input should be less than or equal"),
        ("models:\n  - {id: studio, colour: red}", "studio: colour: Extra inputs are not permitted"),
        ("models:\n  - {id: studio, replacement: nobody}", "replacement 'nobody' is no model's id"),
        (
            "models:\n  - {id: studio, available: 2026-05-02, retires: 2026-05-01}",
            "retires (2026-05-01) must be after available (2026-05-02)",
        ),
        (
            "models:\n  - {id: studio, aliases: [dalle_3]}",
            "gpt-image-2.5-flare: the alias 'dalle_3' is studio's, too; take it from one of them",
        ),
        ("models:\n  - {id: studio, aliases: [recraft-v4]}", "the alias 'recraft-v4' is the id of another model"),
        ("models: studio", "write a list under `models`"),
        ("models:\n  - studio", "each entry with its `id`"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_file_entry_and_field(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(RegistryError) as caught:
        read_registry(write(tmp_path, text))
    assert fault in str(caught.value) and str(tmp_path / OVERRIDES) in str(caught.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = "models:\n  - {id: studio, seconds: 0}\n  - {id: sdxl-1.0, parallel: 0}"
    with pytest.raises(RegistryError) as caught:
        read_registry(write(tmp_path, text))
    assert "studio: seconds" in str(caught.value) and "sdxl-1.0: parallel" in str(caught.value)


def test_the_studio_makes_as_many_variations_as_the_contract_allows() -> None:
    assert read_registry().by_id["studio"].most_images >= 4
