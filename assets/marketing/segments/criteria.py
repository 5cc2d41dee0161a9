"""The API's `criteria` as a rule: sections by what they are about, short forms for what is asked most.

Belongs here: translation. Does not belong here: what a comparison may hold (`rules`), or counting (`preview`).

`{"demographics": {"country": ["FR", "IT"], "age": {"min": 25, "max": 45}}, "vip_status": true}`: all sections, and all entries
of a section, must hold. An entry names a feature of its section; its value is

* one value: equal to it (`has` for lists of the customer, such as channels),
* a list: one of them,
* a mapping: each of its operators, `min` and `max` beside those of the language; `min_orders: 2` is short for it.

`lifecycle_stage` and `vip_status` take the value itself. A rule of the language, with all, any, not or feature, is taken too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from assets.marketing.segments.catalogue import FEATURES, OPERATORS, TIERS, Feature, Group
from assets.marketing.segments.errors import SegmentError
from assets.marketing.segments.rules import Rule, parse_rule

_SECTIONS: dict[str, tuple[Group, ...]] = {
    "demographics": (Group.demographics,),
    "behavior": (Group.behavior,),
    "purchase_history": (Group.purchase_history, Group.rfm, Group.predicted_value),
    "engagement": (Group.engagement,),
}
_SPELLINGS = {"behaviour": "behavior"}
_ALIASES = {
    "location": "country",
    "locations": "country",
    "countries": "country",
    "channel": "channels",
    "category": "categories",
    "total_spent": "net_spend",
    "total_spend": "net_spend",
    "lifetime_value": "net_spend",
    "total_orders": "orders",
    "order_count": "orders",
    "purchase_count": "orders",
    "purchases": "orders",
    "last_purchase_days": "days_since_last_order",
    "days_since_last_purchase": "days_since_last_order",
    "avg_order_value": "average_order_value",
}
_BOUNDS = {"min": "gte", "max": "lte"}


def rule_of(criteria: object, place: str = "criteria") -> Rule:
    """The rule that criteria mean. Raises SegmentError with the field and what to do."""
    if not isinstance(criteria, Mapping) or not criteria:
        raise SegmentError(
            f"{place}: a mapping with at least one of {_sections()} is needed. For everybody write "
            '{"purchase_history": {"orders": {"min": 0}}}.'
        )
    if set(criteria) & {"all", "any", "not", "feature"}:
        return parse_rule(criteria, place)
    return parse_rule({"all": list(_rules(criteria, place))}, place)


def _rules(criteria: Mapping[Any, Any], place: str) -> Iterator[dict[str, Any]]:
    for key, value in criteria.items():
        section = _SPELLINGS.get(key, key)
        where = f"{place}.{key}"
        if section == Group.lifecycle_stage:
            yield from _entry(FEATURES["lifecycle_stage"], value, where)
        elif section == Group.vip_status:
            yield _vip(value, where)
        elif section not in _SECTIONS:
            raise SegmentError(f"{where}: there is no such section. It is one of {_sections()}.")
        elif not isinstance(value, Mapping) or not value:
            raise SegmentError(f'{where}: a mapping of features is needed. Write {{"{_first(section)}": …}}.')
        else:
            for name, wanted in value.items():
                yield from _named(str(name), wanted, section, f"{where}.{name}")


def _named(name: str, wanted: Any, section: str, place: str) -> Iterator[dict[str, Any]]:
    bound = next((word for word in _BOUNDS if name.startswith(f"{word}_") or name.endswith(f"_{word}")), None)
    plain = name if bound is None else name.removeprefix(f"{bound}_").removesuffix(f"_{bound}")
    plain = _ALIASES.get(plain, plain)
    feature = FEATURES.get(plain)
    if feature is None or feature.group not in _SECTIONS[section]:
        known = ", ".join(one.name for one in FEATURES.values() if one.group in _SECTIONS[section])
        raise SegmentError(f"{place}: {section} has no such feature. It has {known}.")
    if bound is not None and isinstance(wanted, list | Mapping):
        raise SegmentError(f"{place}: one value is needed beside {bound}. Write {{{plain!r}: {{{bound!r}: …}}}}.")
    yield from _entry(feature, wanted if bound is None else {bound: wanted}, place)


def _entry(feature: Feature, wanted: Any, place: str) -> Iterator[dict[str, Any]]:
    if isinstance(wanted, Mapping):
        if not wanted:
            raise SegmentError(f"{place}: the mapping is empty. Write {{'min': …}} or leave it out.")
        for operator, value in wanted.items():
            yield _checked({"feature": feature.name, _BOUNDS.get(operator, operator): value}, place)
    elif isinstance(wanted, list | tuple):
        if feature.kind in ("boolean", "date"):
            raise SegmentError(f"{place}: a {feature.kind} takes one value. Take it out of the list.")
        yield _checked({"feature": feature.name, "has_any" if feature.kind == "texts" else "in": wanted}, place)
    else:
        yield _checked({"feature": feature.name, OPERATORS[feature.kind][0]: wanted}, place)


def _vip(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"feature": "is_vip", "is": value}
    tiers = value if isinstance(value, list) else [value]
    if not tiers or any(one not in TIERS for one in tiers):
        raise SegmentError(f"{place}: {value!r} is no tier. Write true, false, or of {', '.join(TIERS)} one or a list.")
    return {"feature": "vip_tier", "in": tiers}


def _checked(rule: dict[Any, Any], place: str) -> dict[str, Any]:
    parse_rule(rule, place)
    return rule


def _sections() -> str:
    return ", ".join([*_SECTIONS, Group.lifecycle_stage, Group.vip_status])


def _first(section: str) -> str:
    return next(one.name for one in FEATURES.values() if one.group in _SECTIONS[section])
