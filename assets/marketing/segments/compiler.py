"""A rule as DuckDB SQL over the view `customer_features`: values are parameters, never part of the text.

Belongs here: expressions. Does not belong here: running them (`preview`).
"""

from dataclasses import dataclass
from typing import Any

from assets.marketing.segments.catalogue import FEATURES, Kind
from assets.marketing.segments.rules import AllOf, AnyOf, Comparison, Not, Rule

VIEW = "customer_features"
_TYPES: dict[Kind, str] = {
    "number": "DOUBLE",
    "date": "DATE",
    "text": "VARCHAR",
    "texts": "VARCHAR",
    "boolean": "BOOLEAN",
}
_SIGNS = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "is": "="}


@dataclass(frozen=True)
class Compiled:
    """A condition with `?` for each of `parameters`, in order. It is never NULL."""

    where: str
    parameters: tuple[Any, ...]

    @property
    def members(self) -> str:
        """SQL of the customers that the rule holds for, by name."""
        return f"SELECT customer FROM {VIEW} WHERE {self.where} ORDER BY customer"

    @property
    def count(self) -> str:
        """SQL of one row: how many it holds for, and how many customers there are."""
        return f"SELECT count(*) FILTER (WHERE {self.where}), count(*) FROM {VIEW}"


def compile_rule(rule: Rule) -> Compiled:
    """The rule as a condition on rows of `customer_features`. Names of columns come from the catalogue alone."""
    parameters: list[Any] = []
    return Compiled(_condition(rule, parameters), tuple(parameters))


def _condition(rule: Rule, parameters: list[Any]) -> str:
    match rule:
        case Comparison():
            return _comparison(rule, parameters)
        case Not():
            return f"(NOT {_condition(rule.part, parameters)})"
        case AllOf():
            return f"({' AND '.join(_condition(part, parameters) for part in rule.parts) or 'TRUE'})"
        case AnyOf():
            return f"({' OR '.join(_condition(part, parameters) for part in rule.parts) or 'FALSE'})"


def _comparison(comparison: Comparison, parameters: list[Any]) -> str:
    feature = FEATURES[comparison.feature]
    column, type_ = f'"{feature.name}"', _TYPES[feature.kind]
    if comparison.operator == "known":
        return f"({column} IS {'NOT ' if comparison.value else ''}NULL)"
    value: Any = comparison.value
    match comparison.operator:
        case "between":
            parameters.extend(value)
            return f"coalesce({column} BETWEEN ?::{type_} AND ?::{type_}, FALSE)"
        case "in" | "not_in":
            parameters.append(_listed(value))
            sign = "NOT " if comparison.operator == "not_in" else ""
            return f"coalesce({sign}list_contains(?::{type_}[], {column}), FALSE)"
        case "has":
            parameters.append(value)
            return f"coalesce(list_contains({column}, ?::{type_}), FALSE)"
        case "has_any" | "has_none":
            parameters.append(_listed(value))
            sign = "NOT " if comparison.operator == "has_none" else ""
            return f"coalesce({sign}list_has_any({column}, ?::{type_}[]), FALSE)"
        case "has_all":
            parameters.append(_listed(value))
            return f"coalesce(list_has_all({column}, ?::{type_}[]), FALSE)"
        case operator:
            parameters.append(value)
            return f"coalesce({column} {_SIGNS[operator]} ?::{type_}, FALSE)"


def _listed(value: object) -> list[Any]:
    assert isinstance(value, tuple)
    # Numbers of two kinds in one list would be refused.
    mixed = any(isinstance(one, float) for one in value)
    return [float(one) for one in value] if mixed else list(value)
