"""Which planned pictures are ordered together, and one batch of them: through the real service, against OpenAI's peer."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.visuals.batch_making import are_enough, batched, for_batches, gather, hand_in, identity_of, is_urgent
from assets.visuals.brand_files import briefs_folder, kit_folder
from assets.visuals.brand_kit import read_kit
from assets.visuals.brief_orders import orders_of
from assets.visuals.making import REROLLS, Maker, delete, make, open_maker
from assets.visuals.planned import planned_of
from assets.visuals.planned_files import plan_briefs
from resources.images.batches import BatchError, PictureBatches, open_picture_batches
from resources.images.policy import FILE_NAME as POLICY
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.catalog import read_catalog
from resources.store.image_calls import counted
from tests.assets.visuals.kits import write_kit
from tests.peers.openai_peer import KEY, OpenAIPeer
from tests.peers.sdk_peer import Error
from tests.peers.vendor import Fault
from tests.resources.store.test_catalog import write as write_products

PAGE = "briefs: [{id: mark, template: logo}, {id: paper, template: pattern}]"
Rows = list[dict[str, Any]]


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIPeer]:
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("LUXAUTO_GPU")]:
        monkeypatch.delenv(name)
    with OpenAIPeer() as running:
        running.batch_steps = None
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        monkeypatch.setenv(REROLLS, "0")
        yield running


@pytest.fixture
def house(books: BrandStore) -> BrandStore:
    """A kit, two written briefs, two bags: six shots."""
    write_kit(kit_folder(books.settings))
    folder = briefs_folder(books.settings)
    folder.mkdir(parents=True)
    (folder / "pages.yaml").write_text(PAGE, encoding="utf-8")
    for sku, name in (("BAG-1", "Aurore"), ("BAG-2", "Seine")):
        write_products(books, {"sku": sku, "product": name[:3].upper(), "product_name": name, "category": "bags"})
    return books


def planned(books: BrandStore) -> Rows:
    with books.read() as (connection, brand):
        found = plan_briefs(books.settings, read_catalog(connection, brand))
    assert found is not None
    return found.frame.to_dicts()


def tools(books: BrandStore) -> tuple[Maker, PictureBatches]:
    loaded = read_kit(kit_folder(books.settings) / "brand.yaml")
    return open_maker(books, loaded, signed=False), open_picture_batches(books)


def settings(home: Path, **said: Any) -> None:
    (home / POLICY).write_text(yaml.safe_dump(said), encoding="utf-8")


def test_shots_are_for_a_batch_and_pages_that_somebody_wrote_are_not(house: BrandStore, peer: OpenAIPeer) -> None:
    rows = planned(house)
    maker, batches = tools(house)
    found = for_batches(maker, batches, rows)
    assert {row["source"] for row in rows if row not in found} == {"file"}
    assert len(found) == 6
    assert is_urgent(replace(planned_of(found[0]), campaign="autumn"))
    gathered = gather(maker, batches, rows)
    assert gathered is not None
    assert [piece.brief for piece in gathered.pieces] == [row["brief"] for row in found]
    assert peer.asked == []


def test_nothing_is_for_a_batch_where_nobody_works_one_off(
    house: BrandStore, peer: OpenAIPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    maker, batches = tools(house)
    assert for_batches(maker, batches, planned(house)) == []
    assert gather(maker, batches, planned(house)) is None
    # A model that is asked by itself is the best there is.
    monkeypatch.setenv("RECRAFT_API_KEY", "nobody-is-asked")
    assert gather(*tools(house), planned(house)) is None


def test_what_the_batch_brought_is_judged_and_kept_for_the_very_orders_and_nobody_is_asked_again(
    house: BrandStore, peer: OpenAIPeer
) -> None:
    maker, batches = tools(house)
    rows = [row for row in planned(house) if row["source"] == "shot_list"]
    gathered = gather(maker, batches, rows)
    assert gathered is not None
    row = hand_in(batches, gathered)
    assert hand_in(batches, gathered).id == row.id
    assert len(peer.batches) == 1
    assert gather(maker, batches, rows) is None, "they are in an open batch"
    assert {identity_of(one) for one in rows} == batched(batches).open

    lost = next(item for item in row.items if item.brief == rows[5]["brief"])
    peer.plans[lost.custom_id] = "expired"
    peer.finish(row.vendor_id or "")
    batches.collect()
    known = batched(batches)
    assert (known.open, len(known.made), known.not_made) == (frozenset(), 5, {identity_of(rows[5])})

    costs = []
    for one in rows[:5]:
        [order] = orders_of(planned_of(one), maker.loaded.version, briefs_folder(house.settings), "dagster")
        made = make(maker, order)
        assert (made.state, made.provider, made.tries, len(made.pictures)) == ("made", "openai", 1, 1)
        assert made.pictures[0].checks and made.pictures[0].brief == one["brief"]
        costs.append(made.cost)
    assert peer.paid_calls() == 0
    with house.read() as (connection, brand):
        assert sum(costs) == counted(connection, brand)
    assert abs(sum(costs) - peer.billed) <= 5, "each is rounded for itself, by half a millionth"
    # The one that it did not bring is made like others, at the whole price.
    [order] = orders_of(planned_of(rows[5]), maker.loaded.version, briefs_folder(house.settings), "dagster")
    assert make(maker, order).state == "made"
    assert peer.paid_calls() == 1


def test_a_picture_that_is_taken_back_leaves_no_bytes_behind_when_the_batch_is_old(
    house: BrandStore, peer: OpenAIPeer
) -> None:
    maker, batches = tools(house)
    rows = [row for row in planned(house) if row["source"] == "shot_list"][:1]
    gathered = gather(maker, batches, rows)
    assert gathered is not None
    row = hand_in(batches, gathered)
    peer.finish(row.vendor_id or "")
    [step] = batches.collect()
    [raw] = next(iter(step.batch.results.values()))["images"]
    [order] = orders_of(planned_of(rows[0]), maker.loaded.version, briefs_folder(house.settings), "dagster")
    [picture] = make(maker, order).pictures
    assert maker.store.exists(raw)
    assert [one.public_id for one in delete(house, maker.store, "ada", [order.key])] == [picture.public_id]
    assert maker.store.exists(raw), "the answer is still remembered"


def test_the_budget_decides_how_many_are_handed_in(house: BrandStore, peer: OpenAIPeer, home: Path) -> None:
    maker, batches = tools(house)
    gathered = gather(maker, batches, planned(house))
    assert gathered is not None
    each = batches.estimate(gathered.model, gathered.pieces[0].wanted)
    settings(home, budget_usd_per_day=each * 4.5 / 1e6)
    maker, batches = tools(house)
    few = gather(maker, batches, planned(house))
    assert few is not None
    assert (len(few.pieces), few.left) == (4, 2)
    row = hand_in(batches, few)
    assert row.reserved_micros <= each * 4.5
    none = gather(maker, batches, planned(house))
    assert none is None or none.pieces == ()
    if none is not None:
        with pytest.raises(BatchError, match="budgets"):
            hand_in(batches, none)


def test_what_somebody_was_asked_for_before_does_not_count_towards_a_batch(
    house: BrandStore, peer: OpenAIPeer, home: Path
) -> None:
    rows = planned(house)
    maker, _ = tools(house)
    shot = next(row for row in rows if row["source"] == "shot_list")
    [order] = orders_of(planned_of(shot), maker.loaded.version, briefs_folder(house.settings), "dagster")
    peer.queue("server_error", times=5)
    assert make(maker, order).state == "failed"
    peer.faults.clear()
    with house.write() as (connection, brand):
        run(connection, "DELETE FROM circuit_breakers WHERE brand_id = :brand", {"brand": brand})
    for least, expected in ((6, False), (5, True), (0, False)):
        settings(home, batch_from=least)
        assert are_enough(*tools(house), rows) is expected, least


def test_a_batch_holds_as_many_as_it_may_and_the_rest_is_counted(house: BrandStore, peer: OpenAIPeer) -> None:
    maker, batches = tools(house)
    gathered = gather(maker, batches, planned(house), most=4)
    assert gathered is not None
    assert (len(gathered.pieces), gathered.left) == (4, 2)


def test_the_same_pictures_may_be_handed_in_again_where_the_vendor_refused_them(
    house: BrandStore, peer: OpenAIPeer
) -> None:
    error = Error(429, "credit_balance_exhausted", "You exceeded your current quota", "insufficient_quota")
    peer.faults.append(Fault("reply", reply=peer.error(error), matches=lambda asked: asked.path == "/v1/batches"))
    maker, batches = tools(house)
    rows = planned(house)
    gathered = gather(maker, batches, rows)
    assert gathered is not None
    first = hand_in(batches, gathered)
    assert (first.state, peer.batches) == ("failed", {})
    known = batched(batches, datetime.now(UTC))
    assert len(known.not_made) == 6
    again = gather(maker, batches, rows)
    assert again is not None
    second = hand_in(batches, again)
    assert (second.state, second.request_key) == ("submitted", f"{first.request_key}/2")


def test_a_brief_whose_words_the_kit_forbids_is_left_to_whoever_says_so(house: BrandStore, peer: OpenAIPeer) -> None:
    rows = planned(house)
    word = read_kit(kit_folder(house.settings) / "brand.yaml").kit.forbidden.words[0]
    shots = [row for row in rows if row["source"] == "shot_list"]
    shots[1] |= {"prompt": f"a {word} bag"}
    gathered = gather(*tools(house), shots)
    assert gathered is not None
    assert [piece.brief for piece in gathered.pieces] == [row["brief"] for row in (shots[0], *shots[2:])]
