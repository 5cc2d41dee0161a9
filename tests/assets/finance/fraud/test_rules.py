"""Rules that a person edits: they are refused with the remedy, and hold what they say."""

from pathlib import Path

import polars as pl
import pytest

from assets.finance.fraud.features import feature_names
from assets.finance.fraud.rules import SHIPPED, InvalidRule, apply_rules, load_rules, parse_rules

ONE = """
- name: burst
  when: {customer_count_1h: {at_least: 6}, value: {below: 50}}
  action: hold
  reason: many small ones
- name: large
  when: {value: {above: 100}}
  action: review
  reason: a large one
"""


def test_every_condition_of_a_rule_has_to_hold() -> None:
    features = pl.DataFrame(
        {"customer_count_1h": [6.0, 6.0, 5.0, None, 6.0], "value": [10.0, 200.0, 10.0, 10.0, float("nan")]}
    )
    applied = apply_rules(parse_rules(ONE), features)
    assert applied.rows.rows() == [
        (["burst"], ["many small ones"], "hold"),
        (["large"], ["a large one"], "review"),
        ([], [], "none"),
        ([], [], "none"),
        ([], [], "none"),
    ]
    assert applied.left_out == {}


def test_the_strictest_action_counts() -> None:
    text = ONE.replace("value: {below: 50}", "value: {above: 50}")
    applied = apply_rules(parse_rules(text), pl.DataFrame({"customer_count_1h": [9.0], "value": [500.0]}))
    assert applied.rows.rows() == [(["burst", "large"], ["many small ones", "a large one"], "hold")]


def test_a_rule_that_cannot_be_asked_is_named() -> None:
    applied = apply_rules(parse_rules(ONE), pl.DataFrame({"value": [500.0, 1.0]}))
    assert applied.left_out == {"burst": ["customer_count_1h"]}
    assert applied.rows["action"].to_list() == ["review", "none"]
    assert apply_rules([], pl.DataFrame({"value": [1.0, 2.0]})).rows["action"].to_list() == ["none", "none"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("action: hold", "action: block", "rule 1 (burst): the action is 'block' and may be review or hold"),
        ("at_least: 6", "at_least: six", "customer_count_1h at_least must be a number and is 'six'"),
        ("at_least: 6", "more_than: 6", "'more_than', which is none of above, below"),
        ("at_least: 6", "at_least: true", "must be a number"),
        ("  reason: many small ones\n", "", "rule 1 has no reason"),
        ("  reason: a large one", "  because: it is", "rule 2 has no reason"),
        ("  reason: a large one", "  reason: ''", "reason must be words"),
        ("name: large", "name: burst", "the name 'burst' is there twice"),
        ("when: {value: {above: 100}}", "when: {}", "must name at least one feature"),
        ("when: {value: {above: 100}}", "when: {value: 100}", "value needs a comparison"),
        ("- name: burst", "- name: [", "is no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(before: str, after: str, said: str) -> None:
    assert before in ONE
    with pytest.raises(InvalidRule) as raised:
        parse_rules(ONE.replace(before, after), "mine.yaml")
    assert said in str(raised.value)
    assert "mine.yaml" in str(raised.value)


@pytest.mark.parametrize("text", ["rules: 1", "just words", "- 1"])
def test_what_is_no_list_of_rules_is_refused(text: str) -> None:
    with pytest.raises(InvalidRule):
        parse_rules(text)


def test_the_rules_that_are_shipped_are_valid_and_name_features_that_exist() -> None:
    who = ("customer", "card", "device", "address", "terminal", "channel")
    where = ("country", "card_country", "ip_country", "shipping_country", "latitude", "longitude")
    what = ("transaction", "occurred_at", "amount", "fraud", "units", "is_return", "gift_card")
    every = feature_names([*what, *who, *where])
    rules = load_rules()
    assert rules == parse_rules(SHIPPED.read_text(encoding="utf-8"))
    assert {rule.action for rule in rules} == {"review", "hold"}
    assert {rule.name: rule.needs - set(every) for rule in rules if rule.needs - set(every)} == {}


def test_a_file_of_the_house_wins(tmp_path: Path) -> None:
    own = tmp_path / "fraud-rules.yaml"
    assert load_rules(own) == load_rules()
    own.write_text(ONE, encoding="utf-8")
    assert [rule.name for rule in load_rules(own)] == ["burst", "large"]
