"""Availability: what each channel may show, and that units that are too few are shown once."""

from collections.abc import Collection
from datetime import date, timedelta
from itertools import combinations
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.allocation import Rule, Scarcity
from assets.inventory.availability import (
    AVAILABLE_SCHEMA,
    TARGET_SCHEMA,
    InvalidBundle,
    Stock,
    available_to_sell,
    resolved,
    targets,
)

TODAY = date(2026, 11, 20)
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
Row = tuple[Any, ...]


def frame(rows: list[Row], **columns: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns, orient="row")


def levels(*rows: Row) -> pl.DataFrame:
    """sku, location, on_hand, and reserved (0) and counted (True) where they are given."""
    full = [(*row, *(0, True)[len(row) - 3 :]) for row in rows]
    return frame(full, sku=pl.String, location=pl.String, on_hand=pl.Int64, reserved=pl.Int64, counted=pl.Boolean)


def supply(*rows: Row) -> pl.DataFrame:
    full = [(*row, *(None, None)[len(row) - 3 :]) for row in rows]
    columns = {"sku": pl.String, "kind": pl.String, "limit": pl.Int64, "from": pl.Date, "until": pl.Date}
    return frame(full, **columns)


def bundles(*rows: Row) -> pl.DataFrame:
    return frame(list(rows), bundle=pl.String, component=pl.String, units=pl.Int64)


def places(**of: str) -> pl.DataFrame:
    rows = [(channel, location) for channel, locations in of.items() for location in locations.split()]
    return frame(rows, channel=pl.String, location=pl.String)


def stock(
    *rows: Row, sells: dict[str, str] | None = None, more: pl.DataFrame | None = None, sets: pl.DataFrame | None = None
) -> Stock:
    """Levels, and who sells from where: the shop from Paris unless told."""
    known = {"supply": supply() if more is None else more, "bundles": bundles() if sets is None else sets}
    return Stock(levels(*rows), places=places(**(sells or {"shop": "paris"})), today=TODAY, **known)


def available(room: Stock) -> dict[tuple[str, str], int | None]:
    found = available_to_sell(room)
    assert found.schema == AVAILABLE_SCHEMA
    return {(channel, sku): units for channel, sku, units in found.select("channel", "sku", "available").iter_rows()}


def rules(*rows: Row) -> pl.DataFrame:
    return frame(list(rows), channel=pl.String, sku=pl.String, buffer=pl.Int64, most=pl.Int64)


def scarcity(
    rule: Rule = "shared",
    scarce_at: int = 0,
    *,
    numbered: tuple[str, ...] = (),
    listed: list[Row] | None = None,
    ranks: list[Row] | None = None,
) -> Scarcity:
    channels = ranks or [("a", 1, 1), ("b", 2, 1), ("c", 3, 2)]
    everything = [(channel, sku) for channel, *_ in channels for sku in ("BAG", "SHOE", "SET")]
    return Scarcity(
        frame(channels, channel=pl.String, priority=pl.Int64, weight=pl.Int64),
        frame(everything if listed is None else listed, channel=pl.String, sku=pl.String),
        pl.DataFrame({"sku": list(numbered)}, schema={"sku": pl.String}),
        rule,
        scarce_at,
    )


def wanted(room: Stock, scarce: Scarcity | None = None, *of: Row) -> dict[tuple[str, str], tuple[int | None, str]]:
    found = targets(room, available_to_sell(room), rules(*of), scarce or scarcity())
    assert found.schema == TARGET_SCHEMA
    return {(row["channel"], row["sku"]): (row["quantity"], row["reason"]) for row in found.to_dicts()}


def quantities(room: Stock, scarce: Scarcity, sku: str = "BAG", *of: Row) -> dict[str, int | None]:
    return {channel: units for (channel, name), (units, _) in wanted(room, scarce, *of).items() if name == sku}


EVERYWHERE = {"a": "paris", "b": "paris", "c": "paris"}


def test_a_channel_sells_what_its_places_have_less_what_is_reserved():
    room = stock(
        ("BAG", "paris", 5, 2), ("BAG", "lyon", 4), ("SHOE", "lyon", 7), sells={"shop": "paris lyon", "market": "paris"}
    )

    assert available(room) == {
        ("market", "BAG"): 3,
        ("market", "SHOE"): 0,
        ("shop", "BAG"): 7,
        ("shop", "SHOE"): 7,
    }


def test_what_was_sold_and_is_not_there_is_never_below_nothing():
    assert available(stock(("BAG", "paris", 1, 3))) == {("shop", "BAG"): 0}


def test_a_sku_that_was_never_counted_is_unknown():
    found = available_to_sell(stock(("BAG", "paris", 5, 0, False)))

    assert found.drop("channel", "sku").rows() == [(None, False, None, None, None)]


def test_a_place_that_was_never_counted_adds_nothing_and_takes_what_it_owes():
    sells = {"shop": "paris lyon"}

    assert available(stock(("BAG", "paris", 5), ("BAG", "lyon", 9, 0, False), sells=sells)) == {("shop", "BAG"): 5}
    assert available(stock(("BAG", "paris", 5), ("BAG", "lyon", -2, 0, False), sells=sells)) == {("shop", "BAG"): 3}


@pytest.mark.parametrize(
    ("kind", "since", "until", "units"),
    [
        ("made_to_order", None, None, 4),
        ("made_to_order", TOMORROW, TOMORROW, 4),
        ("stock", None, None, 0),
        ("pre_order", None, None, 4),
        ("pre_order", TODAY, TODAY, 4),
        ("pre_order", TOMORROW, None, 0),
        ("pre_order", None, YESTERDAY, 0),
    ],
)
def test_supply_beyond_stock_is_sold_while_it_holds_and_what_is_owed_counts_against_it(
    kind: str, since: date | None, until: date | None, units: int
):
    more = supply(("BAG", kind, 10, since, until))

    assert available(stock(("BAG", "paris", -6), more=more)) == {("shop", "BAG"): units}


def test_what_another_place_owes_counts_against_the_limit_too():
    room = stock(
        ("BAG", "paris", 1),
        ("BAG", "lyon", -8),
        more=supply(("BAG", "made_to_order", 10)),
        sells={"a": "paris", "b": "lyon"},
    )

    assert available(room) == {("a", "BAG"): 3, ("b", "BAG"): 2}


def test_what_is_made_to_order_needs_no_count():
    found = available_to_sell(stock(more=supply(("BAG", "made_to_order", 3))))

    assert found.select("available", "counted", "stock", "promised_beyond").rows() == [(3, True, 0, 3)]
    assert wanted(stock(more=supply(("BAG", "made_to_order", 3)))) == {("shop", "BAG"): (3, "beyond_stock")}


def test_a_bundle_is_as_many_as_its_scarcest_component_allows():
    sets = bundles(("SET", "BAG", 1), ("SET", "SHOE", 2))

    assert available(stock(("BAG", "paris", 4), ("SHOE", "paris", 5), sets=sets))["shop", "SET"] == 2


def test_a_bundle_of_bundles_needs_the_pieces_of_both():
    sets = bundles(("BIG", "SET", 2), ("BIG", "BAG", 1), ("SET", "BAG", 3))

    assert resolved(sets).filter(bundle="BIG").rows() == [("BIG", "BAG", 7)]
    assert available(stock(("BAG", "paris", 13), sets=sets))["shop", "BIG"] == 1


@pytest.mark.parametrize("rows", [[("BAG", "paris", 4, 0, False), ("SHOE", "paris", 4)], [("SHOE", "paris", 4)]])
def test_a_bundle_with_a_component_of_unknown_stock_is_unknown(rows: list[Row]):
    room = stock(*rows, sets=bundles(("SET", "BAG", 1), ("SET", "SHOE", 1)))

    assert available(room)["shop", "SET"] is None


def test_bundles_that_contain_each_other_are_named():
    with pytest.raises(InvalidBundle, match=r"ONE in TWO in ONE|TWO in ONE in TWO"):
        resolved(bundles(("ONE", "TWO", 1), ("TWO", "ONE", 1), ("TWO", "BAG", 1)))


def test_many_bundles_inside_each_other_stay_a_number():
    nested = [(f"SET{n}", f"SET{n + 1}", 1000) for n in range(12)]

    assert available(stock(("SET12", "paris", 10**6), sets=bundles(*nested)))["shop", "SET0"] == 0


@pytest.mark.parametrize(
    ("of", "quantity", "reason"),
    [
        ([], 10, ""),
        ([(None, None, 1, None)], 9, "buffer"),
        ([(None, None, 1, None), ("a", None, 2, None)], 8, "buffer"),
        ([(None, None, 1, None), ("a", None, 2, None), (None, "BAG", 3, None)], 7, "buffer"),
        ([(None, "BAG", 3, None), ("a", "BAG", 0, 4)], 4, "cap"),
        ([("b", "BAG", 3, 1), ("a", "SHOE", 3, 1)], 10, ""),
        ([(None, None, 0, 3), ("a", None, 0, None)], 10, ""),
        ([(None, None, 20, None)], 0, "buffer"),
    ],
)
def test_the_most_specific_rule_holds_alone(of: list[Row], quantity: int, reason: str):
    assert wanted(stock(("BAG", "paris", 10), sells=EVERYWHERE), None, *of)["a", "BAG"] == (quantity, reason)


def test_what_is_uncounted_has_no_target():
    assert wanted(stock(("BAG", "paris", 5, 0, False))) == {("shop", "BAG"): (None, "uncounted")}


def test_two_rules_of_one_scope_are_refused():
    with pytest.raises(ValueError, match="more than once"):
        wanted(stock(("BAG", "paris", 1)), None, (None, None, 1, None), (None, None, 2, None))


def test_by_priority_the_first_that_lists_it_has_all():
    room = stock(("BAG", "paris", 3), sells=EVERYWHERE)

    assert quantities(room, scarcity("priority", 3)) == {"a": 3, "b": 0, "c": 0}
    assert quantities(room, scarcity("priority", 3, listed=[("c", "BAG"), ("b", "BAG")])) == {"a": 0, "b": 3, "c": 0}
    assert quantities(room, scarcity("priority", 2)) == {"a": 3, "b": 3, "c": 3}
    assert wanted(room, scarcity("priority", 3))["b", "BAG"] == (0, "allocated")


def test_by_priority_each_place_goes_to_the_first_that_sells_from_it():
    room = stock(("BAG", "paris", 1), ("BAG", "lyon", 2), sells={"a": "paris", "b": "paris lyon", "c": "lyon"})

    assert quantities(room, scarcity("priority", 3)) == {"a": 1, "b": 2, "c": 0}


@pytest.mark.parametrize(
    ("units", "parts"),
    [
        (1, {"a": 0, "b": 0, "c": 1}),
        (2, {"a": 1, "b": 0, "c": 1}),
        (3, {"a": 1, "b": 1, "c": 1}),
        (4, {"a": 1, "b": 1, "c": 2}),
        (5, {"a": 1, "b": 1, "c": 3}),
    ],
)
def test_pro_rata_gives_what_is_left_to_the_largest_remainder_and_then_by_priority(units: int, parts: dict[str, int]):
    assert quantities(stock(("BAG", "paris", units), sells=EVERYWHERE), scarcity("pro_rata", 5)) == parts


def test_a_channel_whose_rule_leaves_no_room_is_passed_over():
    room = stock(("BAG", "paris", 2), sells=EVERYWHERE)

    assert quantities(room, scarcity("priority", 2), "BAG", ("a", None, 0, 0)) == {"a": 0, "b": 2, "c": 0}


@pytest.mark.parametrize("rule", ["shared", "priority", "pro_rata"])
def test_a_numbered_piece_and_its_bundle_are_on_one_channel(rule: Rule):
    room = stock(
        ("BAG", "paris", 1),
        ("SHOE", "paris", 50),
        sells=EVERYWHERE,
        sets=bundles(("SET", "BAG", 1), ("SET", "SHOE", 1)),
    )
    found = targets(room, available_to_sell(room), rules(), scarcity(rule, numbered=("BAG",)))

    shown = found.filter(pl.col("quantity") > 0, pl.col("sku") != "SHOE")
    assert shown.select("channel", "sku", "quantity").rows() == [("a", "BAG", 1), ("a", "SET", 1)]
    linked = found.filter("exclusive")
    assert set(linked["sku"]) == {"BAG", "SET"}
    assert linked["shares"].unique().to_list() == ["BAG"]


def test_a_piece_that_only_bundles_list_is_given_to_one_of_them():
    room = stock(("BAG", "paris", 1), sells=EVERYWHERE, sets=bundles(("SET", "BAG", 1)))
    scarce = scarcity(numbered=("BAG",), listed=[("b", "SET"), ("c", "SET")])

    assert quantities(room, scarce, "SET") == {"a": 0, "b": 1, "c": 0}


SKUS = ("BAG", "SHOE", "SET")
LOCATIONS = ("paris", "lyon", "nice")
CHANNELS = ("a", "b", "c")


@st.composite
def scarce_brands(draw: st.DrawFn) -> tuple[Stock, pl.DataFrame, Scarcity]:
    counts = st.tuples(st.integers(-3, 6), st.integers(0, 2), st.sampled_from([True, True, True, False]))
    cells = draw(st.dictionaries(st.tuples(st.sampled_from(SKUS[:2]), st.sampled_from(LOCATIONS)), counts))
    reach = st.sets(st.sampled_from(LOCATIONS), min_size=1).map(lambda found: " ".join(sorted(found)))
    limits = draw(st.dictionaries(st.sampled_from(SKUS[:2]), st.integers(0, 3)))
    parts = draw(st.dictionaries(st.sampled_from(SKUS[:2]), st.integers(1, 2)))
    room = Stock(
        levels(*((*cell, *count) for cell, count in cells.items())),
        supply(*((sku, "made_to_order", limit) for sku, limit in limits.items())),
        bundles(*(("SET", sku, units) for sku, units in parts.items())),
        places(**{channel: draw(reach) for channel in CHANNELS}),
        TODAY,
    )
    scopes = st.tuples(st.sampled_from([None, *CHANNELS]), st.sampled_from([None, *SKUS]))
    amounts = st.tuples(st.integers(0, 2), st.none() | st.integers(0, 4))
    of = draw(st.dictionaries(scopes, amounts, max_size=4))
    scarce = scarcity(
        draw(st.sampled_from(["shared", "priority", "pro_rata"])),
        draw(st.integers(0, 8)),
        numbered=tuple(draw(st.sets(st.sampled_from(SKUS)))),
        listed=sorted(draw(st.sets(st.tuples(st.sampled_from(CHANNELS), st.sampled_from(SKUS))))),
        ranks=[(channel, draw(st.integers(1, 2)), draw(st.integers(1, 3))) for channel in CHANNELS],
    )
    return room, rules(*((*scope, *amount) for scope, amount in of.items())), scarce


@settings(deadline=None, max_examples=150)
@given(scarce_brands())
def test_exclusive_units_are_shown_once_whatever_places_channels_have_in_common(
    brand: tuple[Stock, pl.DataFrame, Scarcity],
):
    room, of, scarce = brand
    found = targets(room, available_to_sell(room), of, scarce)

    assert not found.select(pl.struct("channel", "sku").is_duplicated().any()).item()
    shown = found.drop_nulls("quantity")
    assert shown.filter(~pl.col("quantity").is_between(0, pl.col("available"))).is_empty()
    exclusive = shown.filter("exclusive")
    for some in (set(group) for n in (2, 3) for group in combinations(CHANNELS, n)):
        there = together(lying(room), some)
        assert all(units <= (there[sku] or 0) for sku, units in added_up(exclusive, some).items())
    for sku in set(exclusive["sku"]) - {"SET"}:
        by = set(scarce.listed.filter(sku=sku)["channel"])
        # What a listed channel's places owe is taken from what all of them show.
        assert not by or added_up(exclusive, by).get(sku, 0) <= (together(room, by)[sku] or 0)
    numbered = shown.filter(pl.col("sku").is_in(scarce.numbered["sku"].implode()), pl.col("quantity") > 0)
    assert numbered["sku"].is_unique().all()
    assert numbered.filter(pl.col("quantity") > 1).is_empty()
    assert pieces_are_on_one_channel(room, shown, numbered)


def added_up(shown: pl.DataFrame, channels: Collection[str]) -> dict[str, int]:
    sums = shown.filter(pl.col("channel").is_in(list(channels))).group_by("sku").agg(pl.col("quantity").sum())
    return dict(sums.iter_rows())


def lying(room: Stock) -> Stock:
    """Without what is owed anywhere: the units that are there."""
    there = pl.when("counted").then((pl.col("on_hand") - pl.col("reserved")).clip(0)).otherwise(0)
    held = room.levels.with_columns(on_hand=there, reserved=0, counted=True)
    return Stock(held.cast(room.levels.schema), room.supply, room.bundles, room.places, room.today)


def together(room: Stock, channels: Collection[str]) -> dict[str, int | None]:
    """What one channel with the places of all of these could sell."""
    reach = room.places.filter(pl.col("channel").is_in(list(channels)))["location"].unique()
    one = Stock(room.levels, room.supply, room.bundles, places(one=" ".join(reach)), room.today)
    return {sku: units for (_, sku), units in available(one).items()}


def pieces_are_on_one_channel(room: Stock, shown: pl.DataFrame, numbered: pl.DataFrame) -> bool:
    """No bundle of a numbered piece is on a channel that the piece is not given to."""
    pieces = resolved(room.bundles).join(numbered, left_on="component", right_on="sku").select("bundle", at="channel")
    sets = shown.filter(pl.col("quantity") > 0).join(pieces, left_on="sku", right_on="bundle")
    return sets.filter(pl.col("channel") != pl.col("at")).is_empty()


@settings(deadline=None, max_examples=60)
@given(scarce_brands(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(brand: tuple[Stock, pl.DataFrame, Scarcity], random: Any):
    room, of, scarce = brand
    rows, more = (
        part.sample(fraction=1, shuffle=True, seed=random.randrange(99)) for part in (room.levels, room.supply)
    )
    mixed = Stock(rows, more, room.bundles.reverse(), room.places.reverse(), TODAY)

    one, other = (targets(s, available_to_sell(s), of, scarce).sort("channel", "sku") for s in (room, mixed))
    assert one.equals(other)
