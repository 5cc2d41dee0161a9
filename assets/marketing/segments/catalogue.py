"""The features of a customer that rules may speak of: name, kind, group and what each means.

Belongs here: words and kinds. Does not belong here: how a feature is computed (`features`), or what a rule is (`rules`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Kind = Literal["number", "text", "texts", "date", "boolean"]

STAGES = ("prospect", "new", "active", "reactivated", "at_risk", "lapsed", "lost")
TIERS = ("platinum", "gold", "silver", "none")
LEVELS = ("high", "medium", "low", "none")


class Group(StrEnum):
    """What a feature is about; the API's criteria are named after these."""

    demographics = "demographics"
    behavior = "behavior"
    purchase_history = "purchase_history"
    engagement = "engagement"
    lifecycle_stage = "lifecycle_stage"
    vip_status = "vip_status"
    rfm = "rfm"
    predicted_value = "predicted_value"


@dataclass(frozen=True)
class Feature:
    """One column of `customer_features`. `values` are all that a text may be, empty where anything may."""

    name: str
    kind: Kind
    group: Group
    meaning: str
    values: tuple[str, ...] = ()


def _features(group: Group, *rows: tuple[str, Kind, str] | tuple[str, Kind, str, tuple[str, ...]]) -> list[Feature]:
    return [Feature(name, kind, group, meaning, *more) for name, kind, meaning, *more in rows]


_ALL = [
    *_features(
        Group.demographics,
        ("country", "text", "ISO 3166 code of the newest order, else of the profile"),
        ("language", "text", "language of the profile, such as fr"),
        ("gender", "text", "as the profile says it, in lower case"),
        ("age", "number", "whole years, from the profile's year of birth"),
        ("city", "text", "as the profile says it"),
    ),
    *_features(
        Group.behavior,
        ("channels", "texts", "channels that the customer bought on"),
        ("last_channel", "text", "channel of the newest order"),
        ("categories", "texts", "categories that the customer bought"),
        ("favourite_category", "text", "category with the largest spend; of equal ones the first by name"),
    ),
    *_features(
        Group.purchase_history,
        ("orders", "number", "orders with goods"),
        ("orders_365d", "number", "of those, in the last 365 days"),
        ("units", "number", "pieces bought, before returns"),
        ("gross_spend", "number", "paid for goods, before returns; base currency"),
        ("net_spend", "number", "goods less discounts, returns and refunds; base currency"),
        ("net_spend_365d", "number", "the same, of the last 365 days"),
        ("average_order_value", "number", "gross_spend an order; base currency"),
        ("largest_order", "number", "gross value of the largest order; base currency"),
        ("first_order", "date", "day of the first order"),
        ("last_order", "date", "day of the newest order"),
        ("days_since_first_order", "number", "days from the first order to the day of reckoning"),
        ("days_since_last_order", "number", "days from the newest order to the day of reckoning"),
        ("returned_units", "number", "pieces sent back"),
        ("return_rate", "number", "returned_units a unit bought, 0 and more"),
    ),
    *_features(
        Group.rfm,
        ("recency_score", "number", "1 to 5: fifth of the customers by newest order; 5 is the latest"),
        ("frequency_score", "number", "1 to 5: fifth by orders; 5 is the most"),
        ("monetary_score", "number", "1 to 5: fifth by net spend; 5 is the most"),
        ("rfm", "text", "the three scores as digits, such as 545"),
        ("rfm_total", "number", "their sum, 3 to 15"),
    ),
    *_features(
        Group.predicted_value,
        ("p_alive", "number", "chance that the customer has not left, 0 to 1 (BG/NBD)"),
        ("predicted_orders_365d", "number", "days with an order to expect in the next 365 days (BG/NBD)"),
        ("predicted_order_value", "number", "what such a day is expected to bring; base currency (gamma-gamma)"),
        ("predicted_value_365d", "number", "the product of both: revenue, not margin, not discounted; base currency"),
    ),
    *_features(
        Group.engagement,
        ("sends_90d", "number", "messages delivered in the last 90 days"),
        ("opens_90d", "number", "of the last 90 days, machines' left out"),
        ("clicks_90d", "number", "of the last 90 days, machines' left out"),
        ("days_since_engaged", "number", "days since the newest open or click of a person"),
        ("engagement_level", "text", "high: a click in 90 days; medium: an open; low: only older; none: never", LEVELS),
    ),
    *_features(
        Group.lifecycle_stage,
        ("lifecycle_stage", "text", "where the customer stands with the house; see the table of stages", STAGES),
    ),
    *_features(
        Group.vip_status,
        ("vip_tier", "text", "platinum: the 1 % with the largest net spend; gold: 5 %; silver: 20 %", TIERS),
        ("is_vip", "boolean", "platinum or gold"),
    ),
]

FEATURES: dict[str, Feature] = {feature.name: feature for feature in _ALL}

OPERATORS: dict[Kind, tuple[str, ...]] = {
    "number": ("eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "not_in", "known"),
    "date": ("eq", "ne", "gt", "gte", "lt", "lte", "between", "known"),
    "text": ("eq", "ne", "in", "not_in", "known"),
    "texts": ("has", "has_any", "has_all", "has_none", "known"),
    "boolean": ("is", "known"),
}
