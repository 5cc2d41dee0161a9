"""The API's criteria become rules of the language."""

from typing import Any

import pytest

from assets.marketing.segments.criteria import rule_of
from assets.marketing.segments.errors import SegmentError
from assets.marketing.segments.rules import parse_rule, version

GTE = {"feature": "orders", "gte": 3}


@pytest.mark.parametrize(
    ("criteria", "rules"),
    [
        ({"demographics": {"country": "FR"}}, [{"feature": "country", "eq": "FR"}]),
        ({"demographics": {"location": ["FR", "IT"]}}, [{"feature": "country", "in": ["FR", "IT"]}]),
        (
            {"demographics": {"age_min": 25, "age_max": 45}},
            [{"feature": "age", "gte": 25}, {"feature": "age", "lte": 45}],
        ),
        (
            {"demographics": {"age": {"min": 25, "lt": 45}}},
            [{"feature": "age", "gte": 25}, {"feature": "age", "lt": 45}],
        ),
        ({"behavior": {"channels": "shopify"}}, [{"feature": "channels", "has": "shopify"}]),
        ({"behaviour": {"categories": ["bags"]}}, [{"feature": "categories", "has_any": ["bags"]}]),
        ({"purchase_history": {"min_orders": 3}}, [GTE]),
        ({"purchase_history": {"min_total_spent": 5000}}, [{"feature": "net_spend", "gte": 5000}]),
        ({"purchase_history": {"rfm_total": {"gte": 12}}}, [{"feature": "rfm_total", "gte": 12}]),
        ({"purchase_history": {"p_alive": {"min": 0.5}}}, [{"feature": "p_alive", "gte": 0.5}]),
        ({"engagement": {"engagement_level": ["high"]}}, [{"feature": "engagement_level", "in": ["high"]}]),
        ({"lifecycle_stage": "lapsed"}, [{"feature": "lifecycle_stage", "eq": "lapsed"}]),
        ({"lifecycle_stage": ["new", "active"]}, [{"feature": "lifecycle_stage", "in": ["new", "active"]}]),
        ({"vip_status": True}, [{"feature": "is_vip", "is": True}]),
        ({"vip_status": "gold"}, [{"feature": "vip_tier", "in": ["gold"]}]),
        ({"vip_status": False, "purchase_history": {"orders_min": 3}}, [{"feature": "is_vip", "is": False}, GTE]),
        ({"any": [GTE]}, [GTE]),
        (GTE, [GTE]),
    ],
)
def test_each_form_means_a_rule(criteria: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    assert version(rule_of(criteria)) == version(parse_rule({"all": rules}))


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        ({}, "at least one of demographics"),
        (None, "at least one of"),
        ({"spending": {}}, r"criteria\.spending: there is no such section"),
        ({"demographics": {}}, r"criteria\.demographics: a mapping of features"),
        ({"demographics": {"orders": 1}}, r"criteria\.demographics\.orders: .*It has country"),
        ({"demographics": {"age": "old"}}, r"criteria\.demographics\.age.*is no number"),
        ({"demographics": {"min_age": [1, 2]}}, "one value is needed"),
        ({"demographics": {"age": {}}}, "mapping is empty"),
        ({"demographics": {"age": {"above": 3}}}, "a number takes exactly one of"),
        ({"lifecycle_stage": "dead"}, "prospect"),
        ({"vip_status": "diamond"}, "is no tier"),
        ({"vip_status": []}, "is no tier"),
        ({"vip_status": [["gold"]]}, "is no tier"),
        ({3: 4}, "no such section"),
        ({"purchase_history": {"first_order": ["2026-01-01"]}}, "takes one value"),
    ],
)
def test_a_mistake_is_told_with_its_field(criteria: object, words: str) -> None:
    with pytest.raises(SegmentError, match=words):
        rule_of(criteria)
