"""Publication: the state of every listed thing, what is written, and that writing comes to an end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.inventory.availability import TARGET_SCHEMA
from assets.inventory.publication import COMPARED_SCHEMA, POLICIES, compare, drift, is_echo, plan

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON, BEFORE = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
ITEM: dict[str, Any] = {
    "channel": pl.String,
    "key": pl.String,
    "sku": pl.String,
    "shown": pl.Int64,
    "agreed": pl.Int64,
    "pending": pl.Int64,
    "pending_until": pl.Datetime("us", "UTC"),
    "unwritable": pl.String,
    "policy": pl.String,
}
Row = dict[str, Any]


def item(shown: int | None, agreed: int | None = None, **more: Any) -> Row:
    """A listed bag in the shop, unless told."""
    known = {"channel": "shop", "key": "1", "sku": "BAG", "shown": shown, "agreed": agreed}
    return dict.fromkeys(ITEM) | known | more


def items(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ITEM)


def target(quantity: int | None, **more: Any) -> Row:
    known = {"channel": "shop", "sku": "BAG", "quantity": quantity, "available": quantity, "reason": ""}
    return known | {"exclusive": False, "shares": None} | more


def targets(*rows: Row) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TARGET_SCHEMA)


def verdict(wanted: Row, *listed: Row) -> tuple[str, str]:
    found = compare(targets(wanted), items(*listed), NOW)
    assert found.schema == COMPARED_SCHEMA
    return found.select("state", "action").row(0)


@pytest.mark.parametrize(
    ("wanted", "listed", "state", "action"),
    [
        (target(5), item(5, 5), "clean", "none"),
        (target(5), item(5, None), "clean", "none"),
        (target(3, available=5, reason="buffer"), item(3, 3), "buffered", "none"),
        (target(5), item(3, None), "in_flight", "write"),
        (target(5), item(3, 3), "in_flight", "write"),
        (target(5), item(None, 5), "in_flight", "write"),
        (target(5), item(3, 3, pending=5, pending_until=SOON), "in_flight", "wait"),
        (target(0), item(3, 3, pending=5, pending_until=SOON), "in_flight", "wait"),
        (target(5), item(5, 5, pending=4, pending_until=None), "in_flight", "wait"),
        (target(5), item(3, 3, pending=5, pending_until=NOW), "lost_write", "write"),
        (target(5), item(4, 3, pending=5, pending_until=BEFORE), "lost_write", "write"),
        (target(6), item(5, 3, pending=5, pending_until=BEFORE), "in_flight", "write"),
        (target(5), item(5, 3, pending=5, pending_until=BEFORE), "clean", "none"),
        (target(6), item(3, 3, pending=5, pending_until=BEFORE), "in_flight", "write"),
        (target(5), item(5, 5, unwritable="fulfilled by the channel"), "unwritable", "none"),
        (target(5), item(1, 5, sku=None, unwritable="stock not managed"), "unwritable", "none"),
        (target(5), item(1, 5, sku=None), "unmapped", "hold"),
        (target(5), item(1, 5, sku="SHOE"), "unmapped", "hold"),
        (target(5), item(1, 5, channel="market"), "unmapped", "hold"),
        (target(None), item(1, 5), "uncounted", "hold"),
        (target(None), item(None, None), "uncounted", "hold"),
    ],
)
def test_the_state_of_a_listed_thing_and_what_is_done(wanted: Row, listed: Row, state: str, action: str):
    assert verdict(wanted, listed) == (state, action)


@pytest.mark.parametrize(
    ("wanted", "agreed", "shown", "acts"),
    [
        (5, 5, 8, {"min_wins": "write", "master_wins": "write", "hold": "hold"}),
        (5, 5, 2, {"min_wins": "hold", "master_wins": "write", "hold": "hold"}),
        (5, 6, 8, {"min_wins": "write", "master_wins": "write", "hold": "write"}),
        (5, 6, 2, {"min_wins": "hold", "master_wins": "write", "hold": "hold"}),
        (5, 4, 2, {"min_wins": "write", "master_wins": "write", "hold": "hold"}),
    ],
)
def test_a_foreign_edit_is_met_by_the_policy_of_the_channel(wanted: int, agreed: int, shown: int, acts: dict[str, str]):
    for policy in POLICIES:
        assert verdict(target(wanted), item(shown, agreed, policy=policy)) == ("foreign_edit", acts[policy])
    assert verdict(target(wanted), item(shown, agreed))[1] == acts["min_wins"]


def test_a_foreign_edit_is_told_in_words():
    found = compare(targets(target(5)), items(item(2, 6)), NOW)

    said = (
        "The channel moved from 6 to 2 without us, and ours to 5: held by the policy min_wins until somebody decides."
    )
    assert found["reason"].item() == said


def test_two_things_of_one_channel_with_one_sku_are_both_held():
    found = compare(targets(target(5)), items(item(5, 5), item(3, 3, key="2")), NOW)

    assert found.select("state", "action").rows() == [("collision", "hold")] * 2


def test_a_thing_that_must_not_be_written_collides_with_nothing():
    found = compare(targets(target(5)), items(item(3, 3), item(3, 3, key="2", unwritable="the parent")), NOW)

    assert dict(found.select("key", "action").iter_rows()) == {"1": "write", "2": "none"}


def of_two(*, ours: int, theirs: int, shows: int | None, **more: Any) -> tuple[str, str]:
    """What is done in the shop, and why, with a piece of which the market shows `shows` and is to show `theirs`."""
    wanted = targets(
        target(ours, exclusive=True, shares="BAG"), target(theirs, channel="market", exclusive=True, shares="BAG")
    )
    found = compare(wanted, items(item(0, 0), item(shows, shows, channel="market", **more)), NOW)
    return found.filter(channel="shop").select("action", "reason").row(0)


def test_an_exclusive_piece_waits_until_no_other_channel_has_it():
    assert of_two(ours=1, theirs=0, shows=1) == ("wait", "Waits until market shows no more of it than its own part.")
    assert of_two(ours=1, theirs=0, shows=None)[0] == "wait"
    assert of_two(ours=1, theirs=0, shows=0, pending=1, pending_until=SOON)[0] == "wait"
    assert of_two(ours=1, theirs=0, shows=1, unwritable="fulfilled there")[0] == "wait"
    assert of_two(ours=1, theirs=0, shows=0, pending=1, pending_until=BEFORE)[0] == "write"
    assert of_two(ours=1, theirs=0, shows=0)[0] == "write"
    assert of_two(ours=1, theirs=2, shows=2)[0] == "write"


def test_a_bundle_waits_for_its_piece_on_another_channel():
    wanted = targets(
        target(1, sku="SET", exclusive=True, shares="BAG"), target(0, channel="market", exclusive=True, shares="BAG")
    )
    found = compare(wanted, items(item(0, 0, sku="SET"), item(1, 1, channel="market")), NOW)

    assert found.filter(channel="shop")["action"].item() == "wait"


def test_decreases_are_written_before_increases():
    wanted = targets(*(target(5, sku=sku) for sku in ("A", "B", "C")))
    listed = items(item(3, 3, sku="A", key="1"), item(9, 9, sku="B", key="2"), item(None, sku="C", key="3"))

    writes = plan(compare(wanted, listed, NOW))
    assert writes.select("sku", "order").rows() == [("B", 0), ("A", 1), ("C", 1)]


def test_drift_is_what_is_not_in_step():
    wanted = targets(target(5), target(3, sku="SHOE", available=4, reason="buffer"), target(1, sku="HAT"))
    listed = items(
        item(5, 5), item(3, 3, sku="SHOE", key="2"), item(2, 1, sku="HAT", key="3"), item(1, sku=None, key="4")
    )

    found = drift(compare(wanted, listed, NOW))
    assert found.select("key", "state").rows() == [("3", "foreign_edit"), ("4", "unmapped")]


def test_skus_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pl.Expr, "hash", lambda self: self.str.len_bytes())

    found = compare(targets(target(5), target(3, sku="HAT")), items(item(5, 5), item(3, 3, sku="HAT", key="2")), NOW)
    assert found.select("sku", "wanted", "state").rows() == [("BAG", 5, "clean"), ("HAT", 3, "clean")]


def test_two_targets_of_one_sku_are_refused():
    with pytest.raises(ValueError, match="several targets on shop"):
        compare(targets(target(5), target(3)), items(item(5, 5)), NOW)


def test_nothing_listed_is_nothing_to_do():
    assert compare(targets(target(5)), items(), NOW).is_empty()


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="last_wins is no policy"):
        compare(targets(target(5)), items(item(5, 5, policy="last_wins")), NOW)


@pytest.mark.parametrize(
    ("said", "agreed", "pending", "echo"),
    [(5, 5, None, True), (5, None, 5, True), (5, 4, None, False), (None, None, None, False), (0, 0, None, True)],
)
def test_our_own_write_told_back_is_an_echo(said: int | None, agreed: int | None, pending: int | None, echo: bool):
    assert is_echo(said, agreed, pending) is echo


CHANNELS, SKUS = ("a", "b", "c"), ("BAG", "SHOE", "HAT")
few = st.integers(0, 3)


@st.composite
def published(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    exclusive = draw(st.sets(st.sampled_from(SKUS)))
    wanted = [
        target(draw(st.none() | few), channel=channel, sku=sku, available=3)
        | {"exclusive": sku in exclusive, "shares": sku if sku in exclusive else None}
        for channel in CHANNELS
        for sku in SKUS
        if draw(st.integers(0, 9))
    ]
    maybe = st.none() | few
    listed = [
        item(draw(maybe), draw(maybe), channel=channel, key=str(key), sku=draw(st.sampled_from([None, *SKUS])))
        | {"pending": draw(st.none() | maybe), "pending_until": draw(st.sampled_from([None, SOON, BEFORE]))}
        | {"policy": draw(st.sampled_from([None, *POLICIES]))}
        | {"unwritable": draw(st.sampled_from([None, None, None, "not ours"]))}
        for channel in CHANNELS
        for key in range(draw(st.integers(0, 4)))
    ]
    return targets(*wanted), items(*listed)


def applied(listed: pl.DataFrame, writes: pl.DataFrame) -> pl.DataFrame:
    """What is listed after all writes were done and confirmed."""
    done = writes.select("channel", "key", written="wanted")
    written = pl.col("written")
    return listed.join(done, on=["channel", "key"], how="left", maintain_order="left").select(
        *("channel", "key", "sku"),
        *(pl.coalesce("written", column).alias(column) for column in ("shown", "agreed")),
        pending=pl.when(written.is_null()).then("pending"),
        pending_until=pl.when(written.is_null()).then("pending_until"),
        unwritable="unwritable",
        policy="policy",
    )


@settings(deadline=None, max_examples=100)
@given(published())
def test_every_listed_thing_has_one_verdict_and_only_differences_are_written(both: tuple[pl.DataFrame, pl.DataFrame]):
    wanted, listed = both
    found = compare(wanted, listed, NOW)

    keys = ["channel", "key"]
    assert found.select(keys).sort(keys).equals(listed.select(keys).sort(keys))
    assert found["reason"].null_count() == found["state"].null_count() == found["action"].null_count() == 0
    assert found.filter(~pl.col("state").is_in(["clean", "buffered"]), pl.col("reason") == "").is_empty()
    writes = plan(found)
    assert writes.filter(pl.col("shown").eq_missing(pl.col("wanted"))).is_empty()
    assert writes.filter((pl.col("wanted") < 0) | pl.col("wanted").is_null()).is_empty()
    assert writes["order"].is_sorted()


@settings(deadline=None, max_examples=100)
@given(published())
def test_writing_comes_to_an_end(both: tuple[pl.DataFrame, pl.DataFrame]):
    wanted, listed = both
    first = applied(listed, plan(compare(wanted, listed, NOW)))
    second = plan(compare(wanted, first, NOW))
    # What waited for another channel is written in the second round; nothing else is, and there is no third.
    exclusive = wanted.filter("exclusive").select("channel", "sku")
    assert second.join(exclusive, on=["channel", "sku"], how="anti").is_empty()
    assert plan(compare(wanted, applied(first, second), NOW)).is_empty()


@settings(deadline=None, max_examples=100)
@given(published(), st.integers(0, 99))
def test_the_order_of_the_rows_changes_nothing(both: tuple[pl.DataFrame, pl.DataFrame], seed: int):
    mixed = [rows.sample(fraction=1, shuffle=True, seed=seed) for rows in both]

    one, other = compare(*both, NOW), compare(mixed[0], mixed[1], NOW)
    assert plan(one).equals(plan(other))
    assert drift(one).equals(drift(other))


@settings(deadline=None, max_examples=100)
@given(published())
def test_while_a_plan_is_written_no_exclusive_piece_is_shown_too_often(both: tuple[pl.DataFrame, pl.DataFrame]):
    wanted, listed = both
    now = compare(wanted, listed, NOW)
    raised = plan(now).filter(pl.col("order") == 1).join(wanted.filter("exclusive"), on=["channel", "sku"], how="semi")
    too_much = now.filter(pl.col("shown").is_null() | (pl.col("shown") > pl.col("wanted").fill_null(0)))
    known = too_much.join(wanted.filter("exclusive"), on=["channel", "sku"], how="semi")
    others = raised.join(known.select("sku", other="channel"), on="sku").filter(pl.col("channel") != pl.col("other"))
    assert others.is_empty()
