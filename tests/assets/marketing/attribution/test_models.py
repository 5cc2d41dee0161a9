"""Each model beside cases computed by hand, naive ways to the same answer, and what must hold whatever the journeys."""

from itertools import combinations, groupby
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.marketing.attribution.credit import MICRO, apportion, attribute
from assets.marketing.attribution.errors import AttributionError
from assets.marketing.attribution.journeys import Journeys, journeys_of
from assets.marketing.attribution.models import MODELS, RULES, Settings, removal_effects, touch_shares
from tests.assets.marketing.attribution.journeys_drawn import CHANNELS, Row, journeys, rows

# Three paths, of which the first is worth 10.00 and the second 5.01.
BY_HAND = [
    (["a", "b", "c", "a"], 1, 1000, 0),
    (["b", "c"], 1, 501, 1),
    (["a"], 0, 0, 1),
]


def values(found: list[Row], model: str, chosen: Settings | None = None) -> dict[str, int]:
    return {channel: one.value_minor for channel, one in attribute(journeys_of(found), chosen).credits[model].items()}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("first", {"a": 1000, "b": 501, "c": 0}),
        ("last", {"a": 1000, "b": 0, "c": 501}),
        # a 500, b 250 + 250.5, c 250 + 250.5: the cent that is left goes to the earlier.
        ("linear", {"a": 500, "b": 501, "c": 500}),
        # 1/8, 1/4, 1/2, 1 of 15/8; 1/2, 1 of 3/2: a 9/15, b 2/15 + 1/3, c 4/15 + 2/3.
        ("time_decay", {"a": 600, "b": 300, "c": 601}),
        # 40/10/10/40; both halves of two.
        ("position_based", {"a": 800, "b": 351, "c": 350}),
        # a, b and c share 1000, b and c share 501.
        ("shapley", {"a": 333, "b": 584, "c": 584}),
    ],
)
def test_each_rule_gives_what_was_computed_by_hand(model: str, expected: dict[str, int]) -> None:
    assert values(BY_HAND, model) == expected


def test_markov_gives_what_was_computed_by_hand() -> None:
    # Of 4: start -> a 2, start -> b 2; a -> b 1, -> conversion 1, -> lost 1; b -> c 3; c -> a 1, -> conversion 1, -> lost 1.
    found = removal_effects(journeys_of(BY_HAND))
    assert found.base == pytest.approx(0.5)
    # h(a) = 1/3 + h(b)/3, h(b) = h(c) = 1/3 + h(a)/3, so all are 1/2.
    # Without a: start -> b (1/2) -> c -> conversion 1/3: 1/6. Without b or c: start -> a (1/2) -> conversion 1/3: 1/6.
    assert found.effects == pytest.approx([2 / 3, 2 / 3, 2 / 3])


def test_markovs_credit_follows_the_removal_effects() -> None:
    found = attribute(journeys_of([(["a"], 3, 300, 1), (["b"], 1, 100, 3)]))
    assert found.removal.effects == pytest.approx([0.75, 0.25])
    assert [one.value_minor for one in found.credits["markov"].values()] == [300, 100]


def test_a_half_life_in_days_halves_a_touch_that_old() -> None:
    one = Journeys(
        channels=("a", "b"),
        codes=np.array([0, 1], dtype=np.int32),
        starts=np.array([0, 2]),
        conversions=np.array([1]),
        value_minor=np.array([300]),
        nulls=np.array([0]),
        age_days=np.array([7.0, 0.0]),
    )
    assert touch_shares(one, "time_decay", Settings(half_life_days=7)) == pytest.approx([1 / 3, 2 / 3])
    assert touch_shares(one, "time_decay", Settings(half_life_days=3.5)) == pytest.approx([1 / 5, 4 / 5])


def test_touches_of_long_ago_still_share_what_they_brought() -> None:
    one = Journeys(
        channels=("a",),
        codes=np.array([0, 0], dtype=np.int32),
        starts=np.array([0, 2]),
        conversions=np.array([1]),
        value_minor=np.array([1]),
        nulls=np.array([0]),
        age_days=np.array([100_000.0, 100_000.0]),
    )
    assert touch_shares(one, "time_decay", Settings()) == pytest.approx([0.5, 0.5])


@given(journeys())
def test_every_model_sums_to_conversions_and_to_the_cent_of_revenue(drawn: Journeys) -> None:
    found = attribute(drawn)
    assert set(found.credits) == set(MODELS)
    for credits in found.credits.values():
        assert sum(one.conversions_micro for one in credits.values()) == drawn.total_conversions * MICRO
        assert sum(one.value_minor for one in credits.values()) == drawn.total_value_minor
        assert min(one.value_minor for one in credits.values()) >= 0


@given(journeys(), st.sampled_from(RULES))
def test_shares_of_a_journey_sum_to_one(drawn: Journeys, rule: str) -> None:
    shares = touch_shares(drawn, rule, Settings())
    assert np.add.reduceat(shares, drawn.starts[:-1]) == pytest.approx(1.0)


@given(journeys())
def test_the_chain_converts_as_often_as_the_paths_did(drawn: Journeys) -> None:
    base = drawn.total_conversions / (drawn.total_conversions + drawn.total_nulls)
    assert removal_effects(drawn).base == pytest.approx(base)


@given(rows())
def test_removal_effects_do_not_change_when_repeated_touches_become_one(drawn: list[Row]) -> None:
    collapsed = [([channel for channel, _ in groupby(path)], n, value, nulls) for path, n, value, nulls in drawn]
    before, after = removal_effects(journeys_of(drawn)), removal_effects(journeys_of(collapsed))
    assert after.effects == pytest.approx(before.effects, abs=1e-9)


@given(rows())
def test_removal_effects_are_those_of_a_chain_without_the_channel(drawn: list[Row]) -> None:
    found = removal_effects(journeys_of(drawn))
    names = journeys_of(drawn).channels
    for channel, effect in zip(names, found.effects, strict=True):
        assert effect == pytest.approx(1 - converting(drawn, removed=channel) / found.base, abs=1e-9)


def converting(drawn: list[Row], removed: str) -> float:
    """The chance to convert where `removed` leads nowhere, by walking the chain until nobody is under way."""
    states = ["start", *CHANNELS, "converted", "lost"]
    place = {name: number for number, name in enumerate(states)}
    counts = np.zeros((len(states), len(states)))
    for path, conversions, _, nulls in drawn:
        for one, following in zip(["start", *path], path, strict=False):
            counts[place[one], place[following]] += conversions + nulls
        counts[place[path[-1]], place["converted"]] += conversions
        counts[place[path[-1]], place["lost"]] += nulls
    matrix = np.zeros_like(counts)
    seen = counts.sum(axis=1) > 0
    matrix[seen] = counts[seen] / counts[seen].sum(axis=1, keepdims=True)
    matrix[place[removed]] = 0.0
    for end in ("converted", "lost"):
        matrix[place[end], place[end]] = 1.0
    for _ in range(40):
        matrix = matrix @ matrix
    return matrix[place["start"], place["converted"]]


@given(rows(("mail", "search")))
def test_a_channel_that_no_path_has_gets_nothing(drawn: list[Row]) -> None:
    known = journeys_of(drawn)
    more = Journeys(
        (*known.channels, "press"), known.codes, known.starts, known.conversions, known.value_minor, known.nulls
    )
    for credits in attribute(more).credits.values():
        assert credits["press"].conversions_micro == 0
        assert credits["press"].value_minor == 0


@settings(max_examples=50)
@given(rows())
def test_shapley_is_the_average_over_all_coalitions(drawn: list[Row]) -> None:
    found = attribute(journeys_of(drawn)).credits["shapley"]
    expected = by_coalitions(drawn, journeys_of(drawn).channels)
    for channel, one in found.items():
        assert one.conversions_micro / MICRO == pytest.approx(expected[channel], abs=2e-6)


def by_coalitions(drawn: list[Row], names: tuple[str, ...]) -> dict[str, float]:
    """The definition: marginal worth over the table of coalitions, weighted by |S|! (n - |S| - 1)! / n!."""

    def worth(coalition: frozenset[str]) -> int:
        return sum(conversions for path, conversions, *_ in drawn if coalition.issuperset(path))

    n, shares = len(names), {}
    for channel in names:
        others = [name for name in names if name != channel]
        shares[channel] = sum(
            factorial(size) * factorial(n - size - 1) / factorial(n) * (worth(s | {channel}) - worth(s))
            for size in range(n)
            for s in map(frozenset, combinations(others, size))
        )
    return shares


@given(rows(("mail", "search", "social")))
def test_channels_that_do_the_same_get_the_same_from_shapley(drawn: list[Row]) -> None:
    swap = {"mail": "search", "search": "mail"}
    mirrored = [([swap.get(channel, channel) for channel in path], n, value, nulls) for path, n, value, nulls in drawn]
    found = attribute(journeys_of([*drawn, *mirrored])).credits["shapley"]
    if {"mail", "search"} <= set(found):
        assert abs(found["mail"].value_minor - found["search"].value_minor) <= 1


@given(st.integers(0, 10**13), st.lists(st.floats(0, 1e12), min_size=1, max_size=8).filter(any))
def test_shares_sum_to_what_is_shared_and_are_off_by_less_than_one(total: int, weights: list[float]) -> None:
    shares = apportion(total, np.array(weights))
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - total * (weight / sum(weights))) < 1.01 + total * 1e-13


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([(["a"], 0, 0, 5)], "there are no conversions"),
        ([([], 1, 0, 0)], "empty path"),
        ([(["a"], 1, -5, 0)], "negative value"),
        ([(["a"], -1, 0, 0)], "negative conversions"),
        ([(["a"], 1, 5, 0), (["b"], 0, 5, 1)], "value but no conversions"),
    ],
)
def test_journeys_that_cannot_be_are_refused(wrong: list[Row], words: str) -> None:
    with pytest.raises(AttributionError, match=words):
        journeys_of(wrong)


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(AttributionError, match="half_life_days"):
        Settings(half_life_days=0)
    with pytest.raises(AttributionError, match="at most 1"):
        Settings(first_share=0.7, last_share=0.5)
