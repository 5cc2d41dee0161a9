"""Posting rules: what each event means in accounts, written out once more, and that no event is taken which does not add up."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.finance.accounts import Chart, InvalidChart, default_chart, head_of, parse_chart, sub_account
from assets.finance.rules import Event, InvalidEvent, legs_of, posting_rules, rule_table
from resources.store.vocabulary import LINE_KINDS, MOVEMENT_KINDS

DAY = date(2026, 3, 10)
STRIPE, MAIN = {"processor": "stripe"}, {"bank": "main"}
# Event, its amounts and names, and the legs that an accountant would write: debit positive.
BOOKED: dict[str, tuple[dict[str, int], dict[str, str], dict[str, int]]] = {
    "payout": (
        {"gross": 10000, "fee": 290, "net": 9710},
        STRIPE | MAIN,
        {"1000.main": 9710, "6100.stripe": 290, "1100.stripe": -10000},
    ),
    "withheld_tax": ({"amount": 80}, {"processor": "amazon", "country": "US"}, {"2200.US": 80, "1100.amazon": -80}),
    "clearing_transfer": (
        {"amount": 60},
        {"from_processor": "shopify", "into_processor": "paypal"},
        {"1100.shopify": -60, "1100.paypal": 60},
    ),
    "fee": ({"amount": 50}, STRIPE, {"6100.stripe": 50, "1100.stripe": -50}),
    "chargeback": (
        {"amount": 9000, "fee": 1500},
        STRIPE,
        {"1150.stripe": 9000, "6100.stripe": 1500, "1100.stripe": -10500},
    ),
    "chargeback_won": ({"amount": 9000}, STRIPE, {"1100.stripe": 9000, "1150.stripe": -9000}),
    "chargeback_lost": ({"amount": 9000}, STRIPE, {"6350.stripe": 9000, "1150.stripe": -9000}),
    "expense": (
        {"amount": 1000, "tax": 200},
        {"category": "rent", "country": "FR"} | MAIN,
        {"6500.rent": 1000, "1400.FR": 200, "1000.main": -1200},
    ),
    "marketing": ({"amount": 700}, {"channel": "facebook"} | MAIN, {"6400.facebook": 700, "1000.main": -700}),
    "revenue": ({"amount": 70}, MAIN, {"1000.main": 70, "4800": -70}),
    "adjustment": ({"amount": 70}, MAIN, {"1000.main": 70, "4900": -70}),
    "transfer": ({"amount": 70}, {"from_bank": "a", "into_bank": "b"}, {"1000.a": -70, "1000.b": 70}),
    "purchase": (
        {"amount": 500, "tax": 100},
        {"supplier": "tannery", "country": "IT"} | MAIN,
        {"2050.tannery": 500, "1400.IT": 100, "1000.main": -600},
    ),
    "supplier_invoice": (
        {"goods": 500, "tax": 100},
        {"supplier": "tannery", "country": "IT"},
        {"2050.tannery": 500, "1400.IT": 100, "2000.tannery": -600},
    ),
    "supplier_payment": ({"amount": 600}, {"supplier": "tannery"} | MAIN, {"2000.tannery": 600, "1000.main": -600}),
    "customer_payment": ({"amount": 600}, {"channel": "wholesale"} | MAIN, {"1000.main": 600, "1200.wholesale": -600}),
    "gift_card_sold": ({"amount": 100}, STRIPE, {"1100.stripe": 100, "2100": -100}),
    "gift_card_used": ({"amount": 100}, STRIPE, {"2100": 100, "1100.stripe": -100}),
    "write_down": ({"amount": 100}, {}, {"5200": 100, "1350": -100}),
    "inventory_adjustment": ({"amount": 100}, {}, {"1350": 100, "5100": -100}),
    "intercompany_charge": ({"amount": 100}, {"company": "us"}, {"1800.us": 100, "4800": -100}),
    "intercompany_cost": (
        {"amount": 100},
        {"company": "us", "category": "design"},
        {"6500.design": 100, "2800.us": -100},
    ),
}


def event(type: str, amounts: dict[str, int], names: dict[str, str], **other: Any) -> Event:
    return Event(type, "key", DAY, "EUR", amounts, names, **other)


def booked(happened: Event, chart: Chart | None = None) -> dict[str, int]:
    return {leg.account: leg.amount_minor for leg in legs_of(happened, chart or default_chart())}


def test_every_rule_is_written_out_here() -> None:
    assert set(BOOKED) == set(posting_rules().events) == {row["event"] for row in rule_table()}


@pytest.mark.parametrize("type", BOOKED)
def test_an_event_is_booked_as_an_accountant_would(type: str) -> None:
    amounts, names, legs = BOOKED[type]
    assert booked(event(type, amounts, names)) == legs


@pytest.mark.parametrize("type", BOOKED)
def test_an_event_without_names_stands_on_the_heads(type: str) -> None:
    amounts, _, legs = BOOKED[type]
    heads: dict[str, int] = {}
    for account, amount in legs.items():
        heads[head_of(account)] = heads.get(head_of(account), 0) + amount
    expected = {account: amount for account, amount in heads.items() if amount}
    if not expected:
        with pytest.raises(InvalidEvent, match="name two different accounts"):
            booked(event(type, amounts, {}))
    else:
        assert booked(event(type, amounts, {})) == expected


@pytest.mark.parametrize("type", BOOKED)
def test_a_needed_amount_is_asked_for(type: str) -> None:
    amounts, names, _ = BOOKED[type]
    for name in posting_rules().events[type].amounts:
        with pytest.raises(InvalidEvent, match=f"amounts.{name}: a {type} needs it"):
            booked(event(type, {n: a for n, a in amounts.items() if n != name}, names))


@given(st.sampled_from(sorted(BOOKED)), st.lists(st.integers(-(10**12), 10**12), min_size=3, max_size=3))
def test_whatever_is_booked_balances_or_is_refused(type: str, values: list[int]) -> None:
    amounts, names, _ = BOOKED[type]
    told = dict(zip(amounts, values, strict=False))
    try:
        legs = booked(event(type, told, names))
    except InvalidEvent:
        assert type == "payout" or not any(told.values())
        return
    assert sum(legs.values()) == 0
    assert all(legs.values())


@given(st.sampled_from(sorted(BOOKED)))
def test_the_opposite_amounts_are_the_opposite_entry(type: str) -> None:
    amounts, names, legs = BOOKED[type]
    opposite = booked(event(type, {name: -amount for name, amount in amounts.items()}, names))
    assert opposite == {account: -amount for account, amount in legs.items()}


def test_money_that_changes_its_currency_goes_through_the_exchange_account() -> None:
    names = {"from_bank": "us", "into_bank": "main", "into_currency": "JPY"}
    happened = replace(event("transfer", {"amount": 10000, "into_amount": 1500}, names), currency="USD")
    legs = {(leg.account, leg.currency): leg.amount_minor for leg in legs_of(happened, default_chart())}
    assert legs == {
        ("1000.us", "USD"): -10000,
        ("1900", "USD"): 10000,
        ("1900", "JPY"): -1500,
        ("1000.main", "JPY"): 1500,
    }


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (event("payout", {"gross": 100, "fee": 3, "net": 96}, {}), "differ by 0.01 EUR|differ by 1.00 EUR"),
        (event("fee", {"amount": 1, "tip": 2}, {}), "amounts.tip"),
        (event("fee", {"amount": 1}, {"bank": "main"}), "dimensions.bank"),
        (event("fee", {"amount": 0}, {}), "not zero"),
        (event("sale", {"amount": 1}, {}), "record it as an order"),
        (event("barter", {"amount": 1}, {}), "no posting rule"),
        (event("transfer", {"amount": 1, "into_amount": 2}, {}), "into_currency"),
    ],
)
def test_an_event_that_cannot_be_is_refused_and_says_why(happened: Event, said: str) -> None:
    with pytest.raises(InvalidEvent, match=said):
        booked(happened)


def test_every_kind_of_line_and_of_movement_has_an_account_or_moves_no_money() -> None:
    rules, chart = posting_rules(), default_chart()
    assert set(rules.order_lines) == set(LINE_KINDS) - {"gift", "stock_adjustment", "test"}
    assert set(rules.stock_movements) - {"variance"} == set(MOVEMENT_KINDS) - {"transfer", "reservation"}
    for role in (*rules.order_lines.values(), *rules.stock_movements.values()):
        assert chart.of_role(role).code
    for rule in rules.events.values():
        assert rule.means
        assert {leg.role for leg in rule.legs} <= {account.role for account in chart.accounts.values()}
        assert {leg.amount for leg in rule.legs} == {*rule.amounts, *rule.may_have}


def test_a_brand_names_its_accounts_adds_some_and_says_who_clears_what() -> None:
    chart = parse_chart(
        """
        accounts:
          - {code: "4000", name: Ventes}
          - {code: "6600", name: Ateliers, type: expense}
        on_account: [b2b]
        processors: {online_store: stripe}
        """
    )
    assert (chart.accounts["4000"].name, chart.of_role("sales").name) == ("Ventes", "Ventes")
    assert chart.accounts["6600"].type == "expense"
    assert chart.paid_through("online_store") == "1100.stripe"
    assert chart.paid_through("shopify") == "1100.shopify"
    assert chart.paid_through("b2b") == "1200.b2b"
    assert chart.paid_through("wholesale") == "1100.wholesale"
    assert default_chart().paid_through("wholesale") == "1200.wholesale"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accounts: [{code: '4000', type: asset}]", "4000 is revenue and stays so"),
        ("accounts: [{code: '6600', name: x}]", "needs a name and a type"),
        ("accounts: [{code: '6600', name: x, type: cost}]", "needs a name and a type"),
        ("accounts: [{code: '4000.x', name: x, type: revenue}]", "sub-account"),
        ("accounts: [{name: x}]", "needs a code"),
        ("accounts: [{code: '4000', colour: red}]", "no setting 'colour'"),
        ("acounts: []", "only accounts"),
        ("accounts: [", "not valid YAML"),
    ],
)
def test_a_chart_that_cannot_be_used_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidChart, match=said):
        parse_chart(text)


@pytest.mark.parametrize(
    ("part", "code"),
    [("shopify", "4000.shopify"), ("Élégance Noir!", "4000.Élégance-Noir"), (" ", "4000"), (None, "4000")],
)
def test_a_sub_account_is_named_after_its_part(part: str | None, code: str) -> None:
    assert sub_account("4000", part) == code
    assert head_of(code) == "4000"
