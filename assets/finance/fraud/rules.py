"""Rules that a person edits: which transactions are looked at, or held, whatever the score says.

Belongs here: reading, refusing and applying rules. Does not belong here: the rules (`rules.yaml`), or holding an order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import polars as pl
import yaml

Action = Literal["review", "hold"]
RULES_FILE = "fraud-rules.yaml"
SHIPPED = Path(__file__).with_name("rules.yaml")
_FIELDS = {"name", "when", "action", "reason"}
_TESTS = {
    "above": pl.Expr.gt,
    "below": pl.Expr.lt,
    "at_least": pl.Expr.ge,
    "at_most": pl.Expr.le,
    "equals": pl.Expr.eq,
}


class InvalidRule(ValueError):
    """A rule that cannot be used; the message names the rule, the entry and the remedy."""


@dataclass(frozen=True)
class Condition:
    """One feature compared with one number."""

    feature: str
    test: str
    value: float


@dataclass(frozen=True)
class Rule:
    """What is looked at or held: all conditions have to hold. A feature that is not known for a row holds no condition."""

    name: str
    when: tuple[Condition, ...]
    action: Action
    reason: str

    @property
    def needs(self) -> set[str]:
        return {condition.feature for condition in self.when}


@dataclass(frozen=True)
class Applied:
    """For each row the names and reasons of its rules and the strictest action; and the rules that could not be asked."""

    rows: pl.DataFrame
    left_out: dict[str, list[str]]


def load_rules(own: Path | None = None) -> list[Rule]:
    """The rules of a brand's own file where there is one, else those that are shipped. Raises InvalidRule."""
    path = own if own is not None and own.is_file() else SHIPPED
    return parse_rules(path.read_text(encoding="utf-8"), str(path))


def parse_rules(text: str, source: str = "the rules") -> list[Rule]:
    """Rules from YAML. Raises InvalidRule for the first that is wrong."""
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidRule(f"{source} is no YAML: {error}") from error
    if not isinstance(entries, list):
        raise InvalidRule(f"{source} must be a list of rules, each beginning with `- name:`")
    rules = [_rule(entry, f"{source}, rule {number}") for number, entry in enumerate(entries, 1)]
    twice = {rule.name for rule in rules if sum(other.name == rule.name for other in rules) > 1}
    if twice:
        raise InvalidRule(f"{source}: the name {min(twice)!r} is there twice; give each rule its own")
    return rules


def apply_rules(rules: Iterable[Rule], features: pl.DataFrame) -> Applied:
    """Columns `rules`, `rule_reasons` (lists of text) and `action` (none, review or hold), a row for each of `features`."""
    asked, left_out = [], {}
    for rule in rules:
        if missing := sorted(rule.needs - set(features.columns)):
            left_out[rule.name] = missing
        else:
            asked.append(rule)
    hits = features.select(_holds(rule).alias(str(number)) for number, rule in enumerate(asked))
    names = [pl.when(pl.col(str(n))).then(pl.lit(rule.name)) for n, rule in enumerate(asked)]
    words = [pl.when(pl.col(str(n))).then(pl.lit(rule.reason)) for n, rule in enumerate(asked)]
    held = [pl.col(str(n)) for n, rule in enumerate(asked) if rule.action == "hold"]
    reviewed = [pl.col(str(n)) for n, rule in enumerate(asked) if rule.action == "review"]
    if not asked:
        nothing = pl.lit([], pl.List(pl.String))
        made = {"rules": nothing, "rule_reasons": nothing, "action": pl.lit("none")}
        return Applied(features.with_columns(**made).select(*made), left_out)
    action = pl.when(pl.any_horizontal(held or [pl.lit(False)])).then(pl.lit("hold"))
    action = (
        action.when(pl.any_horizontal(reviewed or [pl.lit(False)])).then(pl.lit("review")).otherwise(pl.lit("none"))
    )
    rows = hits.select(
        pl.concat_list(names).list.drop_nulls().alias("rules"),
        pl.concat_list(words).list.drop_nulls().alias("rule_reasons"),
        action.alias("action"),
    )
    return Applied(rows, left_out)


def _holds(rule: Rule) -> pl.Expr:
    tests = [_TESTS[c.test](pl.col(c.feature), pl.lit(c.value)).fill_null(False) for c in rule.when]
    # Polars takes NaN for the greatest number there is.
    known = [pl.col(c.feature).is_not_null() & pl.col(c.feature).is_not_nan() for c in rule.when]
    return pl.all_horizontal(*tests, *known)


def _rule(entry: Any, source: str) -> Rule:
    if not isinstance(entry, Mapping):
        raise InvalidRule(f"{source} must have name, when, action and reason")
    entry = cast("Mapping[str, Any]", entry)
    for field in sorted(_FIELDS - set(entry)):
        raise InvalidRule(f"{source} has no {field}")
    for field in sorted(set(map(str, entry)) - _FIELDS):
        raise InvalidRule(f"{source} has {field!r}, which no rule has; it may have {', '.join(sorted(_FIELDS))}")
    name = f"{source} ({entry['name']})"
    if entry["action"] not in get_args(Action):
        raise InvalidRule(f"{name}: the action is {entry['action']!r} and may be {' or '.join(get_args(Action))}")
    if not isinstance(entry["when"], Mapping) or not entry["when"]:
        raise InvalidRule(
            f"{name}: `when` must name at least one feature, such as `customer_count_1h: {{at_least: 6}}`"
        )
    for text in ("name", "reason"):
        if not isinstance(entry[text], str) or not entry[text].strip():
            raise InvalidRule(f"{name}: {text} must be words")
    conditions = [c for feature, test in entry["when"].items() for c in _conditions(str(feature), test, name)]
    return Rule(entry["name"].strip(), tuple(conditions), entry["action"], entry["reason"].strip())


def _conditions(feature: str, tests: Any, source: str) -> Iterable[Condition]:
    if not isinstance(tests, Mapping) or not tests:
        raise InvalidRule(f"{source}: {feature} needs a comparison, such as {{at_least: 6}}")
    for test, value in tests.items():
        if test not in _TESTS:
            raise InvalidRule(f"{source}: {feature} has {test!r}, which is none of {', '.join(_TESTS)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidRule(f"{source}: {feature} {test} must be a number and is {value!r}")
        yield Condition(feature, str(test), float(value))
