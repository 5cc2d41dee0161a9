"""What is ordered when not everything can be: within every limit, in whole packs, and no poorer with more money."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.buying import choice
from assets.inventory.buying.choice import (
    AS_PLANNED,
    GREEDY,
    MILP,
    Choice,
    Limits,
    Offer,
    Terms,
    choose,
    expected_profit,
)


def offer(sku: str = "BAG", **more) -> Offer:
    known = {"supplier": "Arnolfi", "currency": "EUR", "unit_cost": 100, "margin": 200, "quantity": 10}
    known |= {"position": 0, "mean": 8.0, "sigma": 3.0, "holding": 5.0}
    return Offer(sku=sku, **(known | more))


def spent(offers: list[Offer], chosen: Choice, currency: str = "EUR") -> int:
    return sum(chosen.quantities.get(o.sku, 0) * (o.unit_cost or 0) for o in offers if o.currency == currency)


def test_without_a_limit_everything_recommended_is_ordered():
    chosen = choose([offer(), offer("BELT", margin=None), offer("NONE", quantity=0)], Limits())
    assert (chosen.quantities, chosen.method) == ({"BAG": 10, "BELT": 10}, AS_PLANNED)


def test_a_budget_goes_to_what_earns_most_for_it():
    offers = [offer("RICH", margin=900), offer("POOR", margin=50)]
    chosen = choose(offers, Limits({"EUR": 800}))
    assert chosen.method == MILP
    assert chosen.quantities["RICH"] > chosen.quantities["POOR"]
    assert spent(offers, chosen) <= 800


def test_the_choice_is_the_best_of_all_that_can_be_enumerated():
    offers = [
        offer("A", margin=310, quantity=4),
        offer("B", margin=150, unit_cost=70, quantity=6, min_order_quantity=2),
    ]
    offers.append(offer("C", margin=500, unit_cost=260, quantity=3, position=6))
    for budget in range(0, 1600, 90):
        best = 0.0
        for units in product(range(5), range(0, 7, 2), range(4)):
            if sum(n * (o.unit_cost or 0) for n, o in zip(units, offers, strict=True)) <= budget:
                best = max(best, sum(expected_profit(o, n) for n, o in zip(units, offers, strict=True)))
        chosen = choose(offers, Limits({"EUR": budget}))
        assert chosen.profit == pytest.approx(best, abs=1e-3)
        assert chosen.profit == pytest.approx(
            sum(expected_profit(o, chosen.quantities[o.sku]) for o in offers), abs=1e-6
        )


def test_currencies_have_budgets_of_their_own():
    offers = [offer("BAG"), offer("HAT", currency="USD", supplier="Acme")]
    chosen = choose(offers, Limits({"EUR": 300}))
    assert spent(offers, chosen) <= 300
    assert chosen.quantities["HAT"] > 3, "nobody limited what is paid in dollars"


def test_a_container_is_not_overfilled():
    offers = [offer("BAG", volume=0.5, weight=2.0), offer("BELT", volume=0.1, weight=1.0)]
    chosen = choose(offers, Limits(suppliers={"Arnolfi": Terms(volume=2.0, weight=9.0)}))
    assert chosen.quantities["BAG"] * 0.5 + chosen.quantities["BELT"] * 0.1 <= 2.0 + 1e-9
    assert chosen.quantities["BAG"] * 2.0 + chosen.quantities["BELT"] * 1.0 <= 9.0 + 1e-9
    assert sum(chosen.quantities.values()) > 0


def test_a_supplier_is_ordered_from_for_its_minimum_or_not_at_all():
    offers = [offer("BAG", quantity=3), offer("BELT", quantity=3), offer("HAT", supplier="Acme", quantity=3)]
    minimum = Limits(suppliers={"Arnolfi": Terms(minimum=500)})
    assert spent(offers[:2], choose(offers, minimum)) >= 500
    few = choose(offers, Limits({"EUR": 450}, minimum.suppliers))
    assert (few.quantities["BAG"], few.quantities["BELT"]) == (0, 0)
    assert few.quantities["HAT"] == 3


def test_a_minimum_that_ties_up_more_than_it_earns_is_not_bought_within_limits():
    slow = offer(quantity=50, min_order_quantity=50, mean=1.0, sigma=0.5, holding=40.0)
    assert choose([slow], Limits({"EUR": 10_000})).quantities == {"BAG": 0}


def test_what_cannot_be_weighed_is_left_out_and_said():
    chosen = choose([offer("A", unit_cost=None), offer("B", margin=None), offer("C")], Limits({"EUR": 10_000}))
    assert set(chosen.left_out) == {"A", "B"}
    assert "cost is unknown" in chosen.left_out["A"]
    assert chosen.quantities.keys() == {"C"}


def test_where_the_solver_finds_nothing_in_time_a_greedy_choice_is_made_and_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "_milp", lambda *_: (None, GREEDY))
    offers = [offer("RICH", margin=900), offer("POOR", margin=50)]
    chosen = choose(offers, Limits({"EUR": 800}))
    assert chosen.method == GREEDY
    assert spent(offers, chosen) <= 800
    assert chosen.quantities["RICH"] > 0


def test_a_large_plan_is_chosen_from_within_its_time():
    offers = [
        offer(
            f"SKU-{n}",
            margin=100 + 7 * n % 300,
            unit_cost=50 + 13 * n % 170,
            quantity=20 + n % 60,
            mean=15 + n % 40,
            sigma=4 + n % 9,
        )
        for n in range(300)
    ]
    chosen = choose(offers, Limits({"EUR": 400_000}), seconds=5)
    assert spent(offers, chosen) <= 400_000
    greedy = choice._worth(
        ladders := [choice._Ladder.of(o) for o in offers], choice._greedy(ladders, Limits({"EUR": 400_000}))
    )
    assert chosen.profit >= greedy - 1e-6


OFFERS = st.lists(
    st.builds(
        Offer,
        sku=st.uuids().map(str),
        supplier=st.sampled_from(["A", "B", None]),
        currency=st.sampled_from(["EUR", "USD"]),
        unit_cost=st.integers(1, 300),
        margin=st.integers(0, 600),
        quantity=st.integers(1, 8),
        position=st.integers(-3, 10),
        mean=st.floats(0, 20),
        sigma=st.floats(0.1, 8),
        min_order_quantity=st.integers(1, 6),
        pack_size=st.none() | st.integers(1, 4),
        holding=st.floats(0, 30),
        volume=st.sampled_from([0.0, 0.5, 1.0]),
    ).map(
        lambda o: replace(
            o, quantity=int(choice.in_lots(o.quantity, o.pack_size or o.min_order_quantity, o.min_order_quantity))
        )
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(OFFERS, st.integers(0, 3000), st.integers(0, 1500), st.integers(0, 600), st.sampled_from([None, 0.0, 4.0]))
def test_limits_hold_lots_are_whole_and_more_money_never_earns_less(offers, budget, more, minimum, room):
    suppliers = {"A": Terms(minimum=minimum, volume=room)}
    earned = []
    for amount in (budget, budget + more):
        chosen = choose(offers, Limits({"EUR": amount}, suppliers))
        earned.append(chosen.profit)
        assert spent(offers, chosen) <= amount
        of_a = [o for o in offers if o.supplier == "A"]
        worth = sum(chosen.quantities[o.sku] * (o.unit_cost or 0) for o in of_a)
        assert worth == 0 or worth >= minimum
        assert room is None or sum(chosen.quantities[o.sku] * o.volume for o in of_a) <= room
        for one in offers:
            units, lot = chosen.quantities[one.sku], one.pack_size or one.min_order_quantity
            assert units == 0 or units >= one.min_order_quantity
            assert units % lot == 0
            assert 0 <= units <= one.quantity
    assert earned[0] >= -1e-6
    assert earned[1] >= earned[0] - 1e-3
