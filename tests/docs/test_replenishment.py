"""The page about buying: its example of settings is one, and the settings that it names exist."""

import re
from pathlib import Path

import pytest

from assets.inventory.buying.ahead import AHEAD
from assets.inventory.buying.settings import BuyingSettings, load_buying

PAGE = (Path(__file__).parents[2] / "docs" / "replenishment.md").read_text(encoding="utf-8")


def test_the_example_of_settings_is_taken(tmp_path: Path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "buying.yaml").write_text(example, encoding="utf-8")
    settings = load_buying(tmp_path)
    assert settings.item("BAG", "bags").pack_size == 6
    assert settings.service_level("A-high") == 0.98


@pytest.mark.parametrize("name", sorted(BuyingSettings.model_fields))
def test_every_setting_is_explained_on_the_page_or_where_it_is_declared(name: str):
    assert f"`{name}`" in PAGE or f"{name}:" in PAGE or BuyingSettings.model_fields[name].description, name


def test_every_alert_that_looks_ahead_is_explained():
    assert all(f"`{kind}`" in PAGE for kind in AHEAD)
