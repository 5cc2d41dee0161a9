"""Rules: trees of all, any and not over comparisons of features, as written in YAML or JSON.

Belongs here: what a rule may say, its canonical form and version. Does not belong here: SQL (`compiler`), rows (`evaluator`).

A comparison has a feature and one operator: `{feature: net_spend, gte: 1000}`. What is not known makes every comparison
false, `ne`, `not_in` and `has_none` too; only `known` asks for it. So every rule is true or false of every customer.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from assets.marketing.segments.catalogue import FEATURES, OPERATORS, Feature
from assets.marketing.segments.errors import SegmentError

LANGUAGE = 1
MAX_DEPTH, MAX_COMPARISONS, MAX_VALUES = 32, 500, 10_000
LARGEST = 10**15
"""Amounts and counts above it are not exact as binary fractions, so no rule may hold them."""
_LISTS = ("in", "not_in", "has_any", "has_all", "has_none", "between")

Scalar = bool | int | float | str | date
Value = Scalar | tuple[Scalar, ...]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Comparison(_Node):
    """One feature against a value; `value` is a tuple for operators on lists."""

    feature: str
    operator: str
    value: Value


class AllOf(_Node):
    """True where all parts are; without parts, true."""

    parts: "tuple[Rule, ...]"


class AnyOf(_Node):
    """True where one part is; without parts, false."""

    parts: "tuple[Rule, ...]"


class Not(_Node):
    """True where the part is not."""

    part: "Rule"


Rule = Comparison | AllOf | AnyOf | Not


class Segment(_Node):
    """A named rule. The name and the description are not part of the version."""

    name: str
    description: str = ""
    rule: Rule


def read_segment(text: str) -> Segment:
    """A segment from YAML or JSON: a mapping with name, rule and perhaps description. Raises SegmentError."""
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}: " if where else ""
        raise SegmentError(
            f"{line}this is neither YAML nor JSON ({getattr(error, 'problem', error)}). Correct it."
        ) from (error)
    except (RecursionError, ValueError) as error:
        raise SegmentError(f"the file cannot be read as YAML or JSON ({error}). Correct it.") from error
    return parse_segment(data)


def parse_segment(data: object) -> Segment:
    """A segment from what YAML or JSON gave. Raises SegmentError."""
    if not isinstance(data, Mapping):
        raise SegmentError("a segment is a mapping with name and rule. Write `name: …` and `rule: …`.")
    if unknown := sorted(map(str, set(data) - {"name", "description", "rule"})):
        raise SegmentError(f"segment: {unknown[0]!r} is not known. It has name, description and rule.")
    name, description = data.get("name"), data.get("description", "")
    if not isinstance(name, str) or not name.strip() or len(name) > 128:
        raise SegmentError("name: a text of 1 to 128 characters is needed. Write `name: winter_vip`.")
    if not isinstance(description, str):
        raise SegmentError("description: it must be a text. Put it in quotes.")
    if "rule" not in data:
        raise SegmentError("rule: it is missing. Write a comparison, or all, any or not.")
    return Segment(name=name.strip(), description=description, rule=parse_rule(data["rule"]))


def parse_rule(data: object, place: str = "rule") -> Rule:
    """A rule from what YAML or JSON gave; `place` names it in messages. Raises SegmentError."""
    rule = _parse(data, place, 1)
    if (count := sum(1 for _ in comparisons(rule))) > MAX_COMPARISONS:
        raise SegmentError(
            f"{place}: {count} comparisons are more than {MAX_COMPARISONS}. Use `in` with a list instead."
        )
    return rule


def comparisons(rule: Rule) -> Iterator[Comparison]:
    """Every comparison of a rule, from left to right."""
    match rule:
        case Comparison():
            yield rule
        case Not():
            yield from comparisons(rule.part)
        case AllOf() | AnyOf():
            for part in rule.parts:
                yield from comparisons(part)


def plain(rule: Rule) -> dict[str, Any]:
    """The rule as JSON would hold it; `parse_rule` reads it back."""
    match rule:
        case Comparison():
            return {"feature": rule.feature, rule.operator: _plain_value(rule.value)}
        case Not():
            return {"not": plain(rule.part)}
        case AllOf():
            return {"all": [plain(part) for part in rule.parts]}
        case AnyOf():
            return {"any": [plain(part) for part in rule.parts]}


def canonical(rule: Rule) -> str:
    """One text for rules that say the same in another order or spelling: keys, parts and lists sorted, doubles dropped."""
    return _dump(_canonical(rule))


def version(rule: Rule) -> str:
    """16 hex digits of SHA-256 over the canonical form and the language's number."""
    return hashlib.sha256(f"{LANGUAGE}\n{canonical(rule)}".encode()).hexdigest()[:16]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error, where SafeLoader would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            name = key.value
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _parse(data: object, place: str, depth: int) -> Rule:
    if depth > MAX_DEPTH:
        raise SegmentError(f"{place}: it is nested deeper than {MAX_DEPTH}. Split it into several segments.")
    if not isinstance(data, Mapping):
        raise SegmentError(f"{place}: {_shown(data)} is no rule. Write {{feature: …, gte: …}}, or all, any or not.")
    if "feature" in data:
        return _comparison(data, place)
    if len(data) != 1 or (key := next(iter(data))) not in ("all", "any", "not"):
        found = ", ".join(map(str, data)) or "nothing"
        raise SegmentError(
            f"{place}: it has {found}. Write a comparison with `feature`, or exactly one of all, any, not."
        )
    inner = data[key]
    if key == "not":
        return Not(part=_parse(inner, f"{place}.not", depth + 1))
    if not isinstance(inner, list) or not inner:
        raise SegmentError(f"{place}.{key}: a list with at least one rule is needed. Write `- ` before each.")
    parts = tuple(_parse(part, f"{place}.{key}[{n}]", depth + 1) for n, part in enumerate(inner))
    return AllOf(parts=parts) if key == "all" else AnyOf(parts=parts)


def _comparison(data: Mapping[Any, Any], place: str) -> Comparison:
    name = data["feature"]
    feature = FEATURES.get(name) if isinstance(name, str) else None
    if feature is None:
        near = get_close_matches(str(name), FEATURES, 1)
        hint = f"Did you mean {near[0]!r}?" if near else "`luxauto segment features` lists them."
        raise SegmentError(f"{place}.feature: there is no feature {_shown(name)}. {hint}")
    operators = OPERATORS[feature.kind]
    given = [key for key in data if key != "feature"]
    if len(given) != 1 or given[0] not in operators:
        found = ", ".join(map(str, given)) or "no operator"
        raise SegmentError(
            f"{place}.{name}: it has {found}; a {feature.kind} takes exactly one of {', '.join(operators)}. "
            "For two conditions write two comparisons under all."
        )
    operator = str(given[0])
    return Comparison(
        feature=name, operator=operator, value=_value(data[operator], operator, feature, f"{place}.{name}")
    )


def _value(given: object, operator: str, feature: Feature, place: str) -> Value:
    place = f"{place}.{operator}"
    if operator == "known":
        if not isinstance(given, bool):
            raise SegmentError(f"{place}: {_shown(given)} is neither true nor false. Write true or false.")
        return given
    if operator not in _LISTS:
        return _scalar(given, feature, place)
    if not isinstance(given, list) or not given:
        raise SegmentError(f"{place}: {_shown(given)} is not a list. Write [one, two].")
    if len(given) > MAX_VALUES:
        raise SegmentError(f"{place}: {len(given)} values are more than {MAX_VALUES}. Use a feature that groups them.")
    values: tuple[Any, ...] = tuple(_scalar(one, feature, f"{place}[{n}]") for n, one in enumerate(given))
    if operator == "between" and (len(values) != 2 or values[0] > values[1]):
        raise SegmentError(f"{place}: {_shown(given)} is no range. Write [lowest, highest]; both ends count.")
    return values


def _scalar(given: object, feature: Feature, place: str) -> Scalar:
    match feature.kind:
        case "boolean":
            if isinstance(given, bool):
                return given
            raise SegmentError(f"{place}: {_shown(given)} is neither true nor false. Write true or false.")
        case "number":
            if isinstance(given, bool) or not isinstance(given, int | float):
                raise SegmentError(f"{place}: {_shown(given)} is no number. Write digits, without quotes or currency.")
            if not math.isfinite(given) or abs(given) > LARGEST:
                raise SegmentError(f"{place}: {_shown(given)} is too large. The largest is {LARGEST:.0e}.")
            return given
        case "date":
            return _date(given, place)
        case _:
            return _text(given, feature, place)


def _date(given: object, place: str) -> date:
    if type(given) is date:
        return given
    try:
        if isinstance(given, str) and len(given) == 10:
            return date.fromisoformat(given)
    except ValueError:
        pass
    raise SegmentError(f"{place}: {_shown(given)} is no day. Write it as 2026-01-31.")


def _text(given: object, feature: Feature, place: str) -> str:
    if not isinstance(given, str) or not given or len(given) > 256 or not given.isprintable():
        # YAML reads an unquoted NO as false: Norway is the classic.
        raise SegmentError(f"{place}: {_shown(given)} is no text of 1 to 256 printable characters. Put it in quotes.")
    if feature.values and given not in feature.values:
        raise SegmentError(f"{place}: {_shown(given)} is no {feature.name}. It is one of {', '.join(feature.values)}.")
    return given


def _canonical(rule: Rule) -> dict[str, Any]:
    match rule:
        case Comparison():
            value = _plain_value(rule.value)
            if isinstance(value, list) and rule.operator != "between":
                value = sorted({_dump(one): one for one in value}.values(), key=_dump)
            return {"feature": rule.feature, rule.operator: value}
        case Not():
            return {"not": _canonical(rule.part)}
        case AllOf() | AnyOf():
            parts = {_dump(one): one for one in map(_canonical, rule.parts)}
            if len(parts) == 1:
                return next(iter(parts.values()))
            return {"all" if isinstance(rule, AllOf) else "any": [parts[key] for key in sorted(parts)]}


def _plain_value(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
