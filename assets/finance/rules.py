"""The posting rules, read from `posting_rules.yaml`: which accounts each business event touches, and with what.

Belongs here: reading the table and applying it to one event. Does not belong here: order lines in bulk (`posting`), exchange
rates and the store (`booking`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from assets.finance.accounts import Account, Chart, default_chart, sub_account
from assets.finance.money import to_decimal

RULES_FILE = Path(__file__).parent / "posting_rules.yaml"
_IN_GENERAL = ("sale", "refund", "partial_refund", "exchange")


class InvalidEvent(ValueError):
    """An event that no rule fits; the message names the field and the remedy."""


@dataclass(frozen=True)
class Event:
    """Something that happened to the house's money. `amounts` are minor units by name, `dimensions` who and where."""

    type: str
    key: str
    day: date
    currency: str
    amounts: dict[str, int]
    dimensions: dict[str, str] = field(default_factory=dict)
    description: str = ""
    reference: str | None = None
    channel: str | None = None


class RawLeg(NamedTuple):
    """One side of an entry before it is valued: debit positive."""

    account: str
    currency: str
    amount_minor: int


@dataclass(frozen=True)
class RuleLeg:
    """A row of a rule's table."""

    role: str
    sign: int
    amount: str
    by: str | None = None
    currency: str | None = None
    when: str | None = None
    unless: str | None = None


@dataclass(frozen=True)
class Rule:
    """What an event means. `amounts` must be told, `may_have` can be; `names` are its dimensions."""

    means: str
    legs: tuple[RuleLeg, ...]
    amounts: tuple[str, ...]
    may_have: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """The whole table. The first two map a kind to the role of the account beside clearing, or beside inventory."""

    order_lines: dict[str, str]
    stock_movements: dict[str, str]
    events: dict[str, Rule]


@cache
def posting_rules() -> Rules:
    """The table as it is shipped."""
    given = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))
    return Rules(
        given["order_lines"],
        given["stock_movements"],
        {name: _rule(entry) for name, entry in given["events"].items()},
    )


def account_of_kind() -> dict[str, Account]:
    """The account beside clearing for each kind of order line that moves money."""
    chart = default_chart()
    return {kind: chart.of_role(role) for kind, role in posting_rules().order_lines.items()}


def rule_table() -> list[dict[str, str]]:
    """The rules of events as rows for a person: event, meaning, amounts, names, debits and credits."""
    return [
        {
            "event": name,
            "means": rule.means,
            "amounts": ", ".join([*rule.amounts, *(f"[{other}]" for other in rule.may_have)]),
            "names": ", ".join(rule.names),
            "debit": "; ".join(f"{leg.role}: {leg.amount}" for leg in rule.legs if leg.sign > 0),
            "credit": "; ".join(f"{leg.role}: {leg.amount}" for leg in rule.legs if leg.sign < 0),
        }
        for name, rule in posting_rules().events.items()
    ]


def legs_of(event: Event, chart: Chart) -> list[RawLeg]:
    """The legs of an event, one for each account and currency, none of them zero; they sum to zero in each currency.

    Raises InvalidEvent for an unknown type, missing or unknown amounts and dimensions, and amounts that do not add up.
    """
    rule = _rule_of(event)
    sums: dict[tuple[str, str], int] = {}
    for leg in rule.legs:
        amount = event.amounts.get(leg.amount, 0) * leg.sign
        if not amount or (leg.when and leg.when not in event.amounts) or (leg.unless and leg.unless in event.amounts):
            continue
        currency = event.dimensions[leg.currency] if leg.currency else event.currency
        place = (_account(leg, event, chart), currency)
        sums[place] = sums.get(place, 0) + amount
    legs = [RawLeg(account, currency, amount) for (account, currency), amount in sums.items() if amount]
    _must_balance(legs, event)
    if not legs:
        hint = "name two different accounts" if any(event.amounts.values()) else "give an amount that is not zero"
        raise InvalidEvent(f"amounts: this {event.type} moves nothing from one account to another; {hint}")
    return legs


def _rule_of(event: Event) -> Rule:
    rules = posting_rules().events
    if event.type not in rules:
        hint = "; record it as an order" if event.type in _IN_GENERAL else f"; give one of {', '.join(sorted(rules))}"
        raise InvalidEvent(f"type: no posting rule is called {event.type!r}{hint}")
    rule = rules[event.type]
    told = set(event.amounts)
    if missing := [name for name in rule.amounts if name not in told]:
        raise InvalidEvent(f"amounts.{missing[0]}: a {event.type} needs it")
    if unknown := sorted(told - {*rule.amounts, *rule.may_have}):
        raise InvalidEvent(f"amounts.{unknown[0]}: a {event.type} has {', '.join((*rule.amounts, *rule.may_have))}")
    if unknown := sorted(set(event.dimensions) - set(rule.names)):
        raise InvalidEvent(f"dimensions.{unknown[0]}: a {event.type} has {', '.join(rule.names) or 'none'}")
    if "into_amount" in told and not event.dimensions.get("into_currency"):
        raise InvalidEvent("dimensions.into_currency: an into_amount stands beside its currency")
    return rule


def _account(leg: RuleLeg, event: Event, chart: Chart) -> str:
    account = chart.of_role(leg.role)
    part = event.dimensions.get(leg.by or account.per)
    if part is None and account.per == "channel":
        part = event.channel
    return sub_account(account.code, part)


def _must_balance(legs: list[RawLeg], event: Event) -> None:
    sums: dict[str, int] = {}
    for leg in legs:
        sums[leg.currency] = sums.get(leg.currency, 0) + leg.amount_minor
    for currency, rest in sums.items():
        if rest:
            told = ", ".join(f"{name} {to_decimal(amount, event.currency)}" for name, amount in event.amounts.items())
            differ = to_decimal(abs(rest), currency)
            raise InvalidEvent(f"amounts: they do not add up: {told}; the two sides differ by {differ} {currency}")


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        entry["means"],
        tuple(_leg(leg) for leg in entry["legs"]),
        tuple(entry["amounts"]),
        tuple(entry.get("may_have", ())),
        tuple(entry.get("names", ())),
    )


def _leg(entry: Mapping[str, str]) -> RuleLeg:
    side = "debit" if "debit" in entry else "credit"
    return RuleLeg(
        entry[side],
        1 if side == "debit" else -1,
        entry["amount"],
        entry.get("by"),
        entry.get("currency"),
        entry.get("when"),
        entry.get("unless"),
    )
