"""Rules: the SQL says what the evaluator says, spelling does not matter, and mistakes are told with their place."""

import json
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from assets.marketing.segments.compiler import compile_rule
from assets.marketing.segments.errors import SegmentError
from assets.marketing.segments.evaluator import holds
from assets.marketing.segments.preview import members_of
from assets.marketing.segments.rules import canonical, parse_rule, plain, read_segment, version
from tests.assets.marketing.segments.trees import WORDS, customers, rules

SLOW = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@given(data=rules(), frame=customers())
@SLOW
def test_the_sql_finds_whom_the_evaluator_finds(data: dict[str, Any], frame: pl.DataFrame) -> None:
    rule = parse_rule(data)
    expected = [row["customer"] for row in frame.iter_rows(named=True) if holds(rule, row)]
    assert members_of(rule, frame) == sorted(expected)


@given(data=rules(), frame=customers())
@SLOW
def test_a_rule_and_its_opposite_share_everybody_out(data: dict[str, Any], frame: pl.DataFrame) -> None:
    inside = members_of(parse_rule(data), frame)
    outside = members_of(parse_rule({"not": data}), frame)
    assert sorted(inside + outside) == sorted(frame["customer"])


@given(data=rules(), frame=customers())
@SLOW
def test_json_yaml_and_the_canonical_form_read_back_as_the_same_rule(data: dict[str, Any], frame: pl.DataFrame) -> None:
    rule = parse_rule(data)
    told = plain(rule)
    assert version(parse_rule(json.loads(json.dumps(told)))) == version(rule)
    assert version(parse_rule(yaml.safe_load(yaml.safe_dump(told)))) == version(rule)
    again = parse_rule(json.loads(canonical(rule)))
    assert canonical(again) == canonical(rule)
    assert members_of(again, frame) == members_of(rule, frame)


def test_values_are_never_part_of_the_sql() -> None:
    for word in WORDS[2:]:
        compiled = compile_rule(parse_rule({"feature": "country", "in": [word, "x"]}))
        assert compiled.members == compile_rule(parse_rule({"feature": "country", "in": ["y"]})).members
        assert compiled.parameters == ([word, "x"],)


def test_a_missing_value_is_outside_of_every_comparison_but_known() -> None:
    for rule in ({"ne": "FR"}, {"not_in": ["FR"]}, {"eq": "FR"}):
        assert not holds(parse_rule({"feature": "country", **rule}), {"country": None})
    assert holds(parse_rule({"feature": "country", "known": False}), {"country": None})
    assert holds(parse_rule({"not": {"feature": "country", "eq": "FR"}}), {})


def test_order_doubles_and_spelling_of_numbers_make_no_other_version() -> None:
    one = {"all": [{"feature": "orders", "gte": 2}, {"feature": "country", "in": ["FR", "IT"]}]}
    same = {"all": [{"feature": "country", "in": ["IT", "FR", "IT"]}, {"feature": "orders", "gte": 2.0}]}
    other = {"all": [{"feature": "orders", "gte": 3}, {"feature": "country", "in": ["FR", "IT"]}]}
    assert version(parse_rule(one)) == version(parse_rule(same)) != version(parse_rule(other))
    assert version(parse_rule({"any": [one]})) == version(parse_rule(one))


def test_versions_stay_what_they_were() -> None:
    # Launched campaigns keep them: whoever changes the canonical form raises LANGUAGE.
    rule = parse_rule({"all": [{"feature": "net_spend", "gte": 1000}, {"not": {"feature": "is_vip", "is": True}}]})
    assert canonical(rule) == '{"all":[{"feature":"net_spend","gte":1000},{"not":{"feature":"is_vip","is":true}}]}'
    assert version(rule) == "b84169d84fa3bb8a"


def test_a_file_in_yaml_is_a_segment() -> None:
    segment = read_segment("name: winter\ndescription: For coats\nrule: {feature: last_order, lt: 2026-01-31}\n")
    assert (segment.name, segment.description) == ("winter", "For coats")
    assert plain(segment.rule) == {"feature": "last_order", "lt": "2026-01-31"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"feature": "net_spent", "gte": 1}, r"rule\.feature: .*Did you mean 'net_spend'"),
        ({"feature": ["x"], "gte": 1}, "luxauto segment features"),
        ({"feature": "net_spend", "above": 1}, r"rule\.net_spend: it has above; a number takes exactly one of eq"),
        ({"feature": "net_spend", "gt": 1, "lt": 2}, "two comparisons under all"),
        ({"feature": "net_spend"}, "no operator"),
        ({"feature": "net_spend", "gte": "1000"}, r"rule\.net_spend\.gte: '1000' is no number. .*without quotes"),
        ({"feature": "net_spend", "gte": True}, "is no number"),
        ({"feature": "net_spend", "gte": float("nan")}, "too large"),
        ({"feature": "net_spend", "lte": 10**16}, "too large"),
        ({"feature": "country", "in": "FR"}, "is not a list"),
        ({"feature": "country", "in": []}, "is not a list"),
        ({"feature": "country", "in": ["FR", False]}, r"rule\.country\.in\[1\]: False is no text .*quotes"),
        ({"feature": "country", "eq": "a\x00b"}, "printable"),
        ({"feature": "orders", "between": [5, 1]}, "is no range"),
        ({"feature": "orders", "between": [1, 2, 3]}, "is no range"),
        ({"feature": "last_order", "gt": "2026-02-30"}, "is no day"),
        ({"feature": "last_order", "gt": 20260130}, "is no day"),
        ({"feature": "is_vip", "is": "yes"}, "neither true nor false"),
        ({"feature": "vip_tier", "eq": "diamond"}, "platinum, gold, silver, none"),
        ({"feature": "country", "known": 1}, "neither true nor false"),
        ({"all": []}, r"rule\.all: a list with at least one"),
        ({"all": [{"any": [{"feature": "orders", "gte": 1}, "x"]}]}, r"rule\.all\[0\]\.any\[1\]: 'x' is no rule"),
        ({"all": [], "any": []}, "exactly one of all, any, not"),
        ({"none": []}, "exactly one of all, any, not"),
        ({}, "it has nothing"),
        (["x"], "is no rule"),
        ({"any": [{"feature": "orders", "eq": n} for n in range(501)]}, "501 comparisons"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(data: object, words: str) -> None:
    with pytest.raises(SegmentError, match=words):
        parse_rule(data)


def test_nesting_has_an_end() -> None:
    data: dict[str, Any] = {"feature": "orders", "gte": 1}
    for _ in range(2000):
        data = {"not": data}
    with pytest.raises(SegmentError, match="nested deeper"):
        parse_rule(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "neither YAML nor JSON"),
        ("name: a\nname: b\nrule: {}", "given twice"),
        ("- x", "mapping with name and rule"),
        ("rule: {feature: orders, gte: 1}", "name: a text"),
        ("name: a", "rule: it is missing"),
        ("name: a\nrules: {}", "'rules' is not known"),
        ("name: a\nrule: !!python/object/apply:os.system [ls]", "neither YAML nor JSON"),
        ("[" * 5000, "YAML or JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(SegmentError, match=words):
        read_segment(text)
