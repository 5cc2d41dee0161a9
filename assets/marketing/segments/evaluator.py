"""A rule asked of one customer, in Python: what the compiled SQL must agree with.

Belongs here: the meaning of each operator, as plainly as it can be said.
"""

from collections.abc import Mapping
from typing import Any

from assets.marketing.segments.rules import AllOf, AnyOf, Comparison, Not, Rule


def holds(rule: Rule, customer: Mapping[str, Any]) -> bool:
    """Whether the rule is true of a customer, given by name of feature; None or missing is what is not known."""
    match rule:
        case Comparison():
            return _compares(rule, customer.get(rule.feature))
        case Not():
            return not holds(rule.part, customer)
        case AllOf():
            return all(holds(part, customer) for part in rule.parts)
        case AnyOf():
            return any(holds(part, customer) for part in rule.parts)


def _compares(comparison: Comparison, found: Any) -> bool:
    wanted: Any = comparison.value
    if comparison.operator == "known":
        return (found is not None) == wanted
    if found is None:
        return False
    match comparison.operator:
        case "eq" | "is":
            return found == wanted
        case "ne":
            return found != wanted
        case "gt":
            return found > wanted
        case "gte":
            return found >= wanted
        case "lt":
            return found < wanted
        case "lte":
            return found <= wanted
        case "between":
            return wanted[0] <= found <= wanted[1]
        case "in":
            return found in wanted
        case "not_in":
            return found not in wanted
        case "has":
            return wanted in found
        case "has_any":
            return any(one in found for one in wanted)
        case "has_all":
            return all(one in found for one in wanted)
        case "has_none":
            return not any(one in found for one in wanted)
    raise AssertionError(comparison.operator)
