"""From an order to pictures: once, judged, asked for again within limits, signed, kept; and taken back."""

import io
import json
import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures

from assets.visuals.brand_credentials import anchors_of
from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief, Product
from assets.visuals.errors import VisualsError
from assets.visuals.making import NUDITY, REROLLS, Maker, delete, make, open_maker
from assets.visuals.orders import Order
from assets.visuals.prompts import ForbiddenWords
from assets.visuals.provenance import new_credentials, sign, verify
from assets.visuals.studio.render import text_of, with_text
from resources.images.policy import FILE_NAME as POLICY
from resources.images.protocol import Blocked
from resources.images.registry import RegistryError
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch
from tests.assets.visuals.kits import load
from tests.assets.visuals.painter import PRICE, Painter, blank, good, maker_with, off_brand, register
from tests.assets.visuals.scenes import encoded, scene

ORDER = Order("order-1", "a bag on marble")


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedKit:
    return load(tmp_path / "kit", tagline="Slow since 1924")


def rows(books: BrandStore, query: str) -> list[tuple[Any, ...]]:
    with books.read() as (connection, _):
        return [tuple(row) for row in fetch(connection, query, {})]


def opened(maker: Maker, sha256: str) -> Pictures.Image:
    return Pictures.open(io.BytesIO(maker.store.get(sha256)))


def test_an_order_brings_a_judged_and_signed_picture_whose_row_says_why(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    maker = maker_with(books, loaded, painter)
    made = make(maker, replace(ORDER, width=800, height=1000, seed=7, sku="BAG-1", brief="autumn", principal="ada"))
    [picture] = made.pictures
    assert (made.state, made.provider, made.model, made.cost, made.replayed) == (
        "made",
        "painter",
        "painter",
        PRICE,
        False,
    )
    assert (picture.width, picture.height, picture.media_type) == (800, 1000, "image/png")
    assert (picture.state, picture.sku, picture.brief, picture.created_by) == ("accepted", "BAG-1", "autumn", "ada")
    assert (picture.seed, picture.cost_micros, picture.kit_version) == (7, PRICE, loaded.version)
    assert {check["name"] for check in picture.checks} >= {
        "blank",
        "blur",
        "palette",
        "resolution",
        "duplicate",
        "nudity",
    }
    assert picture.details["candidates"][0]["model"] == "painter"
    assert any(one["rejected"] for one in picture.details["candidates"])
    assert picture.details["attempts"][0]["outcome"] == "made"

    content = maker.store.get(picture.sha256)
    assert Pictures.open(io.BytesIO(content)).size == (800, 1000)
    found = verify(content, anchors_of(books.settings))
    assert (found.state, found.source) == ("trusted", "trainedAlgorithmicMedia")
    assert found.said is not None
    assert found.said["prompt"] == picture.details["prompt_hash"]
    assert (found.said["model"], found.said["seed"], found.said["brand_kit"]) == ("painter", "7", loaded.version)
    said = text_of(content)
    assert said["luxauto:provider"] == "painter"
    for told in (json.dumps(dict(found.said)), json.dumps(said), json.dumps(picture.details)):
        assert "marble" not in told


def test_the_model_is_told_of_the_brand_and_of_the_product(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    photo = encoded(scene(3), "JPEG")
    order = replace(
        ORDER,
        product=Product.model_validate({"name": "Seine tote"}),
        shot="From the front",
        photo=photo,
        negative="people",
    )
    make(maker_with(books, loaded, painter), order)
    [asked] = painter.asked
    assert asked.prompt.startswith("a bag on marble. From the front. Seine tote.")
    assert loaded.kit.palette.accent.hex in asked.prompt
    assert asked.negative.startswith("people, ")
    assert asked.references == (photo,)


def test_the_same_key_brings_the_same_pictures_and_asks_nobody(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    maker = maker_with(books, loaded, painter)
    first = make(maker, replace(ORDER, count=3))
    again = make(maker_with(books, loaded, painter), replace(ORDER, count=3))
    assert len(painter.asked) == 1
    assert again.replayed
    assert again.pictures == first.pictures
    assert (again.cost, again.provider, again.notes) == (first.cost, first.provider, first.notes)


def test_the_same_order_at_once_is_made_once(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    maker = maker_with(books, loaded, painter)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: make(maker, ORDER), range(4)))
    assert len(painter.asked) == 1
    assert {one.pictures[0].public_id for one in made} == {ORDER.picture_id(0)}
    assert rows(books, "SELECT count(*) FROM pictures") == [(1,)]


def test_an_equal_wish_of_another_order_comes_from_the_cache_and_is_no_duplicate(
    books: BrandStore, loaded: LoadedKit
) -> None:
    painter = Painter()
    maker = maker_with(books, loaded, painter)
    make(maker, ORDER)
    other = make(maker, replace(ORDER, key="order-2"))
    assert len(painter.asked) == 1
    assert (other.cached, other.cost, other.pictures[0].state) == (True, 0, "accepted")


def test_a_picture_that_fails_is_asked_for_again_with_another_seed_and_the_failed_try_is_recorded(
    books: BrandStore, loaded: LoadedKit
) -> None:
    painter = Painter(paints=[blank(), off_brand(), good(5)])
    made = make(maker_with(books, loaded, painter), replace(ORDER, seed=7))
    [picture] = made.pictures
    assert (picture.state, made.tries, made.cost, picture.cost_micros) == ("accepted", 3, 3 * PRICE, PRICE)
    assert len({request.seed for request in painter.asked}) == 3
    assert len(set(painter.keys)) == 3
    tries = picture.details["tries"]
    assert [(one["try"], one["status"], one["chosen"]) for one in tries] == [
        (1, "failed", False),
        (2, "failed", False),
        (3, "passed", True),
    ]
    assert tries[0]["failed"] == ["blank"] and tries[1]["failed"] == ["palette"]


def test_rerolls_end_at_their_number_and_the_best_waits_for_a_person(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter(paints=[blank(), off_brand(), blank(), good()])
    made = make(maker_with(books, loaded, painter), ORDER)
    [picture] = made.pictures
    assert len(painter.asked) == 3
    assert picture.state == "needs_review"
    assert picture.details["status"] == "failed"
    assert [one["chosen"] for one in picture.details["tries"]] == [False, True, False]
    none = make(
        maker_with(books, loaded, Painter(paints=[off_brand(1)])), replace(ORDER, key="2", prompt="x", rerolls=0)
    )
    assert (none.tries, none.pictures[0].state) == (1, "needs_review")


def test_only_the_variations_that_failed_are_asked_for_again(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter(paints=[good(1), blank(), good(2), good(3)])
    made = make(maker_with(books, loaded, painter), replace(ORDER, count=3))
    assert [request.count for request in painter.asked] == [3, 1]
    assert [picture.state for picture in made.pictures] == ["accepted"] * 3
    assert made.cost == 4 * PRICE


def test_a_budget_that_is_spent_ends_rerolls_and_says_so(books: BrandStore, loaded: LoadedKit) -> None:
    books.settings.home.mkdir(parents=True, exist_ok=True)
    (books.settings.home / POLICY).write_text("budget_usd_per_day: 0.08\n")
    painter = Painter(paints=[off_brand(), good()])
    made = make(maker_with(books, loaded, painter), ORDER)
    assert len(painter.asked) == 1
    assert made.pictures[0].state == "needs_review"
    assert any("budget" in note for note in made.notes)
    refused = make(maker_with(books, loaded, painter), replace(ORDER, key="order-2", prompt="a belt"))
    assert (refused.state, refused.code, refused.pictures) == ("failed", "budget", ())


def test_what_a_filter_refused_is_not_asked_again(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter(blocks=Blocked("not that", "moderation_blocked", "input", ("violence",)))
    made = make(maker_with(books, loaded, painter), ORDER)
    assert (made.state, made.pictures, len(painter.asked)) == ("blocked", (), 1)
    assert (made.attempts[0].stage, made.attempts[0].categories) == ("input", ("violence",))
    assert rows(books, "SELECT count(*) FROM pictures") == [(0,)]


def test_a_filter_that_refuses_a_reroll_ends_it_and_what_came_before_is_kept(
    books: BrandStore, loaded: LoadedKit
) -> None:
    painter = Painter(paints=[off_brand()])

    def block_the_second() -> None:
        painter.blocks = Blocked("not that") if len(painter.asked) > 1 else None

    painter.before = block_the_second
    made = make(maker_with(books, loaded, painter), ORDER)
    assert (made.state, len(painter.asked), made.pictures[0].state) == ("made", 2, "needs_review")
    assert any("in vain" in note for note in made.notes)


def test_a_picture_like_an_earlier_one_is_found_and_one_of_its_own_brief_is_not(
    books: BrandStore, loaded: LoadedKit
) -> None:
    same = good(9)
    first = make(maker_with(books, loaded, Painter(paints=[same])), replace(ORDER, brief="autumn"))
    of_brief = replace(ORDER, key="2", prompt="a bag by day", brief="autumn", rerolls=0)
    assert make(maker_with(books, loaded, Painter(paints=[same])), of_brief).pictures[0].state == "accepted"
    other = replace(ORDER, key="3", prompt="a bag by night", brief="winter", rerolls=0)
    [picture] = make(maker_with(books, loaded, Painter(paints=[same])), other).pictures
    check = next(check for check in picture.checks if check["name"] == "duplicate")
    assert (picture.state, check["status"]) == ("needs_review", "failed")
    assert first.pictures[0].public_id in check["message"]
    mirrored = io.BytesIO()
    Pictures.open(io.BytesIO(same)).transpose(Pictures.Transpose.FLIP_LEFT_RIGHT).save(mirrored, "PNG")
    turned = replace(ORDER, key="4", prompt="a bag in a mirror", rerolls=0)
    [picture] = make(maker_with(books, loaded, Painter(paints=[mirrored.getvalue()])), turned).pictures
    assert "mirror image" in next(check for check in picture.checks if check["name"] == "duplicate")["message"]


@pytest.mark.parametrize(("side", "state"), [(700, "accepted"), (400, "needs_review")])
def test_a_small_picture_is_enlarged_a_little_and_more_only_for_a_person_to_see(
    books: BrandStore, loaded: LoadedKit, side: int, state: str
) -> None:
    painter = Painter(paints=[good(4, (side, side))])
    [picture] = make(maker_with(books, loaded, painter), ORDER).pictures
    assert (picture.width, picture.height, picture.state) == (1024, 1024, state)
    assert any("enlarged" in note for note in picture.details["notes"])
    assert any(check["name"] == "enlarged" for check in picture.checks) == (state == "needs_review")
    assert len(painter.asked) == 1, "a larger picture would not come of asking again"


@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_another_format_is_written_signed_and_says_what_it_is(
    books: BrandStore, loaded: LoadedKit, format: Any
) -> None:
    maker = maker_with(books, loaded, Painter())
    [picture] = make(maker, replace(ORDER, format=format)).pictures
    assert (picture.media_type, opened(maker, picture.sha256).format) == (f"image/{format}", format.upper())
    content = maker.store.get(picture.sha256)
    assert text_of(content)["luxauto:model"] == "painter"
    assert verify(content, anchors_of(books.settings)).state == "trusted"


def test_credentials_of_the_provider_are_kept_as_ingredient_through_another_size(
    books: BrandStore, loaded: LoadedKit
) -> None:
    theirs = new_credentials("Painter Inc", datetime.now(UTC))
    signed = sign(good(6), theirs, title="by painter", software="painter 1", source="trainedAlgorithmicMedia", said={})
    maker = maker_with(books, loaded, Painter(paints=[signed]))
    [picture] = make(maker, replace(ORDER, width=640, height=800)).pictures
    found = verify(maker.store.get(picture.sha256), anchors_of(books.settings))
    assert (found.state, found.source) == ("trusted", "trainedAlgorithmicMedia")
    assert found.actions == ("c2pa.opened", "c2pa.edited")
    assert len(found.ingredients) == 1


def test_credentials_that_somebody_broke_are_left_out_and_that_is_said(books: BrandStore, loaded: LoadedKit) -> None:
    theirs = new_credentials("Painter Inc", datetime.now(UTC))
    signed = sign(good(6), theirs, title="by painter", software="painter 1", source="trainedAlgorithmicMedia", said={})
    changed = with_text(signed, {"Comment": "added afterwards"})
    assert verify(changed).state == "invalid"
    maker = maker_with(books, loaded, Painter(paints=[changed]))
    [picture] = make(maker, ORDER).pictures
    found = verify(maker.store.get(picture.sha256), anchors_of(books.settings))
    assert (found.state, found.ingredients) == ("trusted", ())
    assert any("broken" in note for note in picture.details["notes"])


def test_the_studio_sets_a_layout_whose_words_are_read_and_is_not_asked_again(
    books: BrandStore, loaded: LoadedKit
) -> None:
    brief = Brief.model_validate(
        {"id": "hero", "template": "social", "texts": {"de": {"headline": "Das leise Gewicht guten Tuchs"}}}
    )
    order = Order("s", content_type="social_media_post", layout=brief, language="de", brief="hero", provider="studio")
    maker = maker_with(books, loaded, Painter())
    made = make(maker, order)
    [picture] = made.pictures
    assert (made.provider, made.cost, made.tries) == ("studio", 0, 1)
    checks = {check["name"]: check for check in picture.checks}
    assert checks["legibility"]["status"] in ("passed", "skipped")
    assert checks["legibility"]["status"] == "passed" or "no reader" in checks["legibility"]["message"]
    content = maker.store.get(picture.sha256)
    assert verify(content).source == "algorithmicMedia"
    assert text_of(content)["luxauto:template"] == "social"
    assert not any("painted nothing" in note for note in made.notes)


def test_a_wish_without_a_layout_gets_the_kits_page_and_is_told_so(books: BrandStore, loaded: LoadedKit) -> None:
    order = Order("b", "a banner of a bag", "banner_ad", "vintage_glamour", provider="studio", width=1200, height=628)
    made = make(maker_with(books, loaded, Painter()), order)
    assert made.pictures[0].state == "accepted"
    assert any("painted nothing of the prompt" in note for note in made.notes)


def test_a_page_of_the_kit_is_no_duplicate_of_itself_for_another_prompt(books: BrandStore, loaded: LoadedKit) -> None:
    maker = maker_with(books, loaded, Painter())
    orders = [Order(str(n), prompt, "banner_ad", provider="studio") for n, prompt in enumerate(["a bag", "a belt"])]
    assert [make(maker, order).pictures[0].state for order in orders] == ["accepted", "accepted"]


@pytest.mark.parametrize(
    ("kind", "markup"),
    [
        (
            "svg",
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="steal()"><script>steal()</script>'
            '<a href="https://evil.example"><rect width="9" height="9"/></a><rect id="kept" width="3" height="3"/></svg>',
        ),
        ("html", '<h1 onclick="steal()">kept</h1><script>steal()</script><img src="https://evil.example/x.png">'),
    ],
)
def test_what_a_model_wrote_is_kept_cleaned(books: BrandStore, loaded: LoadedKit, kind: str, markup: str) -> None:
    maker = maker_with(books, loaded, Painter(markup=markup, kind=kind))
    [picture] = make(maker, ORDER).pictures
    kept = maker.store.get(picture.details["markup"]).decode()
    assert "kept" in kept
    assert "steal" not in kept and "evil" not in kept


def test_what_a_model_wrote_and_nobody_can_clean_is_not_kept(books: BrandStore, loaded: LoadedKit) -> None:
    maker = maker_with(books, loaded, Painter(markup="<svg onload=steal()>"))
    [picture] = make(maker, ORDER).pictures
    assert picture.details["markup"] is None


def test_a_model_that_makes_one_picture_a_call_is_called_for_each(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    register(books.settings.home, most_images=1)
    made = make(open_maker(books, loaded, given={"painter": painter}), replace(ORDER, count=3, provider="painter"))
    assert [request.count for request in painter.asked] == [1, 1, 1]
    assert len({picture.sha256 for picture in made.pictures}) == 3
    assert made.cost == 3 * PRICE


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "a bargain"}, ForbiddenWords),
        ({"prompt": " "}, VisualsError),
        ({"provider": "crayon"}, RegistryError),
    ],
)
def test_a_wrong_order_is_refused_before_anybody_is_asked(
    books: BrandStore, loaded: LoadedKit, changes: dict[str, Any], error: type[Exception]
) -> None:
    painter = Painter()
    with pytest.raises(error):
        make(maker_with(books, loaded, painter), replace(ORDER, **changes))
    assert painter.asked == []
    assert rows(books, "SELECT count(*) FROM image_calls") == [(0,)]


def test_bytes_that_are_no_picture_are_never_delivered_as_accepted(books: BrandStore, loaded: LoadedKit) -> None:
    made = make(maker_with(books, loaded, Painter(paints=[b"no picture"] * 3)), ORDER)
    assert all(picture.state == "needs_review" for picture in made.pictures)


def test_nobody_able_is_told_with_each_candidate_and_its_reason(books: BrandStore, loaded: LoadedKit) -> None:
    made = make(
        maker_with(books, loaded, Painter()), replace(ORDER, content_type="fashion_lookbook", provider="painter")
    )
    assert (made.state, made.code) == ("failed", "no_candidate")
    assert [one.rejected for one in made.candidates] == ["makes no fashion_lookbook"]


def test_an_order_is_taken_back_with_its_bytes_and_again_without_harm(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    maker = maker_with(books, loaded, painter)
    made = make(maker, replace(ORDER, count=2))
    kept = make(maker, replace(ORDER, key="other", prompt="a belt"))
    gone = delete(books, maker.store, "ada", [ORDER.key, "never-made"])
    assert [picture.public_id for picture in gone] == [picture.public_id for picture in made.pictures]
    assert not any(maker.store.exists(picture.sha256) for picture in made.pictures)
    assert maker.store.exists(kept.pictures[0].sha256)
    assert delete(books, maker.store, "ada", [ORDER.key]) == []
    again = make(maker, replace(ORDER, count=2))
    assert (again.state, again.code) == ("failed", "deleted")
    assert len(painter.asked) == 2


def test_an_order_that_is_not_wanted_any_more_asks_nobody(books: BrandStore, loaded: LoadedKit) -> None:
    painter = Painter()
    made = make(maker_with(books, loaded, painter), ORDER, lambda: True)
    assert (made.state, made.code, painter.asked) == ("failed", "cancelled", [])


def test_a_checker_of_nudity_that_an_installation_names_is_asked(
    books: BrandStore, loaded: LoadedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NUDITY, "tests.assets.visuals.painter:finds_much")
    [picture] = make(maker_with(books, loaded, Painter()), replace(ORDER, rerolls=0)).pictures
    assert picture.state == "needs_review"
    assert next(check["status"] for check in picture.checks if check["name"] == "nudity") == "failed"
    monkeypatch.setenv(NUDITY, "tests.assets.visuals.painter:nobody")
    with pytest.raises(VisualsError, match=NUDITY):
        maker_with(books, loaded, Painter())


def test_the_number_of_rerolls_is_a_setting_that_is_checked(
    books: BrandStore, loaded: LoadedKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REROLLS, "0")
    painter = Painter(paints=[blank()])
    assert make(maker_with(books, loaded, painter), ORDER).tries == 1
    monkeypatch.setenv(REROLLS, "many")
    with pytest.raises(VisualsError, match=REROLLS):
        maker_with(books, loaded, painter)


def _dies_after_the_answer(database_url: str, kit: Path, tries: int, counted: Path) -> None:
    """Another process: it makes the order and kills itself when so many pictures have been paid and judged."""
    from assets.visuals import making
    from assets.visuals.brand_kit import read_kit

    books = BrandStore(load_settings(database_url=database_url), open_store(database_url))
    painter = Painter(paints=[blank(), good(5)])
    maker = maker_with(books, read_kit(kit), painter)
    judged, seen = making._taken, 0

    def die(*arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        taken = judged(*arguments)
        if seen == tries:
            counted.write_text(str(len(painter.asked)))
            os.kill(os.getpid(), signal.SIGKILL)
        return taken

    making._taken = die
    make(maker, ORDER)


@pytest.mark.parametrize("tries", [1, 2])
def test_a_process_killed_between_the_answer_and_the_row_is_not_billed_twice(
    books: BrandStore, loaded: LoadedKit, tmp_path: Path, tries: int
) -> None:
    counted = tmp_path / "counted"
    process = multiprocessing.get_context("spawn").Process(
        target=_dies_after_the_answer,
        args=(books.settings.database_url, loaded.folder / "brand.yaml", tries, counted),
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert counted.read_text() == str(tries)
    assert rows(books, "SELECT count(*) FROM pictures") == [(0,)]
    painter = Painter(paints=[good(5)][: 2 - tries])
    made = make(maker_with(books, loaded, painter), ORDER)
    assert len(painter.asked) == 2 - tries
    assert (made.state, made.pictures[0].state, made.tries, made.cost) == ("made", "accepted", 2, 2 * PRICE)
    assert rows(books, "SELECT sum(cost_micros) FROM image_calls")[0][0] == 2 * PRICE
