"""The mapping language: the presets that we ship can be read, and a wrong map names its field."""

from typing import get_args

import pytest

from assets.ingestion.mapping import LineKind, MappingError, load_preset, parse_mapping, preset_names
from resources.store.vocabulary import LINE_KINDS

COLUMNS = "columns: {order_number: number, sku: code, quantity: units, unit_price: price, occurred_at: at}\n"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_read(name: str) -> None:
    assert load_preset(name).columns.order_number


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(MappingError, match="shopify-export") as raised:
        load_preset("shopfy")
    assert "'shopfy'" in str(raised.value)
    assert "--map" in str(raised.value)


def test_a_map_needs_only_the_five_columns() -> None:
    mapping = parse_mapping(COLUMNS, "mine.yaml")
    assert mapping.columns.sku == "code"
    assert mapping.channel == "online_store"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "columns"),
        ("columns: {order_number: number}", "columns.sku"),
        ("columns: 7", "columns"),
        (COLUMNS + "colour: red", "colour"),
        (COLUMNS + "currency: eur", "currency"),
        (COLUMNS + "currency: XYZ", "currency"),
        (COLUMNS + "timezone: Mars/Olympus", "timezone"),
        (COLUMNS + "timezone: ../../etc/passwd", "timezone"),
        (COLUMNS + "goods_pattern: '('", "goods_pattern"),
        (COLUMNS + "kinds: [{kind: fee, pattern: '['}]", "kinds.0.pattern"),
        (COLUMNS + "kinds: [{kind: fees}]", "kinds.0.kind"),
        (COLUMNS + "decimal_separator: ';'", "decimal_separator"),
        (COLUMNS + "reshape: magento", "reshape"),
        (COLUMNS + "default_kind: thing", "default_kind"),
        ("columns: [", "not valid YAML"),
        ("- a list", "valid dictionary"),
    ],
)
def test_a_wrong_map_names_the_field(text: str, named: str) -> None:
    with pytest.raises(MappingError) as raised:
        parse_mapping(text, "mine.yaml")
    assert str(raised.value).startswith("mine.yaml")
    assert named in str(raised.value)


def test_the_store_takes_every_kind_but_void_which_is_never_written() -> None:
    assert set(LINE_KINDS) == set(get_args(LineKind)) - {"void"}
