"""Pictures are remembered by all that decides what they look like, within a limit, and never taken from who uses them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from resources.images.cache import Cached, ContentCache, content_key, words_key
from resources.images.picture_store import PictureStore, open_picture_store
from resources.images.policy import ImagePolicy
from resources.images.protocol import Generated, Image, ImageRequest
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.image_cache import needed_sums
from resources.store.image_calls import Call, Ended, begin_call, end_call
from resources.store.pictures import Picture, delete_pictures, keep_pictures
from tests.resources.channels.tools import JumpingClock
from tests.resources.images.scripted import Scripted, model, service, wanted

ONE = model("one")
REQUEST = ImageRequest("a bag", seed=1, references=(b"photo",), kit_version="v1", options={"steps": 30})


class Page:
    hash = "abc"


CHANGES: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": "a belt"},
    "negative": {"negative": "text"},
    "content_type": {"content_type": "banner_ad"},
    "width": {"width": 1088},
    "height": {"height": 1088},
    "quality": {"quality": "low"},
    "count": {"count": 2},
    "format": {"format": "webp"},
    "seed": {"seed": 2},
    "no seed": {"seed": None},
    "transparent": {"transparent": True},
    "kit": {"kit_version": "v2"},
    "options": {"options": {"steps": 31}},
    "references": {"references": (b"photo", b"photo")},
    "layout": {"layout": Page()},
}


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def shelf(books: BrandStore) -> PictureStore:
    return open_picture_store(books.settings)


def made(content: bytes) -> Generated:
    return Generated((Image(content, "image/png", 8, 4, 3, "<svg/>", {"page": 1}),), "one", 50_000, notes=("a note",))


def keep(cache: ContentCache, key: str, content: bytes) -> None:
    answer = made(content)
    cache.keep(key, ONE, answer, cache.saved(answer))


def picture(sha256: str) -> Picture:
    return Picture(
        *("p1", "order", "product_photo", "one", "one", sha256, "image/png", 8, 4, 10, 0.9, "accepted", "v1"),
        created_at=JumpingClock().now(),
        created_by="test",
    )


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_changes_the_picture_changes_its_key(change: str) -> None:
    assert content_key(ONE, REQUEST) != content_key(ONE, replace(REQUEST, **CHANGES[change]))


def test_spaces_and_ways_to_write_a_letter_do_not_change_the_key_and_the_model_does() -> None:
    spaced = replace(REQUEST, prompt="  a\n bag ")
    assert content_key(ONE, REQUEST) == content_key(ONE, spaced)
    composed, decomposed = replace(REQUEST, prompt="caf\u00e9"), replace(REQUEST, prompt="cafe\u0301")
    assert content_key(ONE, composed) == content_key(ONE, decomposed)
    snapshot = ONE.model_copy(update={"model": "one-2026-11-01"})
    assert content_key(ONE, REQUEST) != content_key(snapshot, REQUEST) != content_key(model("two"), REQUEST)


def test_a_filter_judges_words_and_references_whatever_size_is_asked() -> None:
    assert words_key(REQUEST) == words_key(replace(REQUEST, width=2048, seed=9, quality="low", count=3))
    assert (
        words_key(REQUEST) != words_key(replace(REQUEST, prompt="a belt")) != words_key(replace(REQUEST, references=()))
    )


def test_what_was_kept_comes_back_as_it_was(books: BrandStore, shelf: PictureStore, clock: JumpingClock) -> None:
    cache = ContentCache(books, shelf, clock, ImagePolicy())
    keep(cache, "k", b"bytes")
    answer = made(b"bytes")
    assert cache.look("k") == Cached(answer.images, "one", "one", 50_000, ("a note",))
    assert cache.look("other") is None
    assert (cache.statistics().hits, cache.statistics().entries, cache.statistics().bytes) == (1, 1, 5)


def test_what_was_not_used_for_longest_goes_first_and_its_bytes_with_it(
    books: BrandStore, shelf: PictureStore, clock: JumpingClock
) -> None:
    cache = ContentCache(books, shelf, clock, ImagePolicy(cache_megabytes=0.002))
    for number in range(3):
        keep(cache, f"k{number}", bytes([number]) * 1000)
        clock.sleep(100)
    # The first is used, and so the second has not been for longest.
    assert {name for name in ("k0", "k1", "k2") if cache.look(name)} == {"k1", "k2"}
    clock.sleep(100)
    assert cache.look("k1")
    clock.sleep(100)
    keep(cache, "k3", b"3" * 1000)
    assert {name for name in ("k0", "k1", "k2", "k3") if cache.look(name)} == {"k1", "k3"}
    assert len(list(shelf.sums())) == 2
    told = cache.statistics()
    assert (told.evicted, told.entries, told.bytes, told.most_bytes) == (2, 2, 2000, 2000)


def test_what_is_in_use_is_not_evicted_though_it_is_too_much(
    books: BrandStore, shelf: PictureStore, clock: JumpingClock
) -> None:
    cache = ContentCache(books, shelf, clock, ImagePolicy(cache_megabytes=0))
    keep(cache, "k", b"bytes")
    assert cache.look("k") is not None
    clock.sleep(61)
    assert (cache.evict(), cache.look("k"), list(shelf.sums())) == (1, None, [])


def test_bytes_that_a_delivered_picture_or_another_entry_uses_stay_until_it_does_not(
    books: BrandStore, shelf: PictureStore, clock: JumpingClock
) -> None:
    cache = ContentCache(books, shelf, clock, ImagePolicy(cache_megabytes=0))
    keep(cache, "k1", b"delivered")
    keep(cache, "k2", b"shared")
    clock.sleep(61)
    keep(cache, "k3", b"shared")
    sha256 = shelf.put(b"delivered")
    with books.write() as (connection, brand):
        keep_pictures(connection, brand, [picture(sha256)])
    cache.evict()
    assert shelf.get(sha256) == b"delivered" and cache.look("k1") is None
    assert cache.look("k3") is not None and cache.look("k2") is None
    with books.write() as (connection, brand):
        delete_pictures(connection, brand, ["p1"], "test", clock.now())
    clock.sleep(61)
    keep(cache, "k1", b"delivered")
    clock.sleep(61)
    cache.evict()
    assert list(shelf.sums()) == []


def test_whatever_is_kept_and_evicted_at_once_every_entry_has_its_bytes_and_all_bytes_an_entry(
    books: BrandStore, shelf: PictureStore, clock: JumpingClock
) -> None:
    cache = ContentCache(books, shelf, clock, ImagePolicy(cache_megabytes=0.001))
    contents = [bytes([number]) * 300 for number in range(4)]

    def work(thread: int) -> None:
        dice = Random(thread)
        for number in range(25):
            keep(cache, f"{thread}-{number % 5}", dice.choice(contents))
            clock.sleep(dice.choice([1.0, 61.0]))
            cache.look(f"{dice.randrange(4)}-{dice.randrange(5)}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    with books.read() as (connection, brand):
        needed = needed_sums(connection, brand)
    assert needed == {sha256 for sha256, _ in shelf.sums()}
    assert cache.statistics().evicted > 10


def test_an_entry_whose_bytes_are_gone_or_damaged_is_a_miss_and_is_forgotten(
    books: BrandStore, shelf: PictureStore, clock: JumpingClock
) -> None:
    cache = ContentCache(books, shelf, clock, ImagePolicy())
    keep(cache, "gone", b"gone")
    keep(cache, "damaged", b"damaged")
    shelf.delete(shelf.put(b"gone"))
    Path(shelf._path(shelf.put(b"damaged"))).write_bytes(b"something else")
    assert cache.look("gone") is None and cache.look("damaged") is None
    assert cache.statistics().entries == 0


def test_bytes_of_a_process_that_was_killed_before_it_wrote_them_down_go_after_a_week(
    books: BrandStore, shelf: PictureStore
) -> None:
    shelf.put(b"nobody's")
    needed = shelf.put(b"delivered")
    with books.write() as (connection, brand):
        keep_pictures(connection, brand, [picture(needed)])
    early = ContentCache(books, shelf, JumpingClock(next(shelf.sums())[1]), ImagePolicy())
    assert early.tidy() == 0
    late = JumpingClock(next(shelf.sums())[1])
    late.sleep(8 * 86_400)
    assert ContentCache(books, shelf, late, ImagePolicy()).tidy() == 1
    assert [sha256 for sha256, _ in shelf.sums()] == [needed]


def test_all_files_are_listed_once_a_day_by_one_of_all_processes(books: BrandStore, shelf: PictureStore) -> None:
    shelf.put(b"nobody's")
    clock = JumpingClock(next(shelf.sums())[1])
    caches = [ContentCache(books, shelf, clock, ImagePolicy()) for _ in range(3)]
    caches[0].tidy_if_due()
    clock.sleep(8 * 86_400)
    caches[1].tidy_if_due()
    assert list(shelf.sums()) == []
    shelf.put(b"nobody's")
    clock.sleep(3600)
    caches[2].tidy_if_due()
    assert len(list(shelf.sums())) == 1


def test_an_identical_request_is_answered_from_the_cache_and_costs_nothing(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one")
    asked = service(books, [one], clock=clock)
    first, second = asked.make(wanted(key="k1")), asked.make(wanted(key="k2"))
    assert second.images == first.images and (second.cached, second.cost, len(one.calls)) == (True, 0, 1)
    told = asked.statistics().cache
    assert (told.hits, told.misses, told.joined, told.entries) == (1, 1, 0, 1)
    assert asked.statistics().left_of_day == asked.statistics().budget_of_day - first.cost


def test_a_fresh_one_is_made_anew_and_leaves_what_is_remembered(books: BrandStore, clock: JumpingClock) -> None:
    one = Scripted("one")
    asked = service(books, [one], clock=clock)
    first = asked.make(wanted(key="k1"))
    rolled = asked.make(wanted(key="k1#1", fresh=True))
    assert rolled.images != first.images and len(one.calls) == 2
    assert asked.make(wanted(key="k3")).images == first.images
    assert asked.make(wanted(key="k1#1", fresh=True)).images == rolled.images and len(one.calls) == 2


def test_the_best_candidates_picture_is_used_though_it_cannot_be_asked_now(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one"), Scripted("two")
    asked = service(books, [one, two], clock=clock)
    first = asked.make(wanted(key="k1"))
    one.reason = "no key"
    away = asked.make(wanted(key="k2"))
    assert (away.model, away.cached, away.images) == ("one", True, first.images)
    assert asked.make(wanted("a belt", key="k3")).model == "two"
    one.reason = None
    assert asked.make(wanted("a belt", key="k4")).model == "one", "a lesser one's picture is not used in its place"


def test_the_picture_of_one_that_a_queue_alone_had_chosen_is_used_when_the_queue_is_gone(
    books: BrandStore, clock: JumpingClock
) -> None:
    one, two = Scripted("one"), Scripted("two")
    asked = service(books, [one, two], [model("one", 0.9, parallel=1), model("two", 0.88)], clock)
    with books.write() as (connection, brand):
        number = begin_call(connection, brand, Call("o", "one", "one", "c", 0, clock.now().date(), clock.now()))
    assert asked.make(wanted(key="k1")).model == "two"
    with books.write() as (connection, brand):
        end_call(connection, brand, number, Ended("released", "refused", 0), clock.now())
    assert asked.candidates(wanted())[0].model == "one"
    assert asked.make(wanted(key="k2")).cached and not one.calls


def test_a_lesser_candidates_picture_is_used_when_the_better_one_fails(books: BrandStore, clock: JumpingClock) -> None:
    from resources.images.protocol import Unavailable

    one, two = Scripted("one"), Scripted("two")
    asked = service(books, [one, two], clock=clock)
    asked.make(wanted(key="k1", provider="two"))
    one.script.append(Unavailable("HTTP 500"))
    outcome = asked.make(wanted(key="k2"))
    assert (outcome.model, outcome.cached, outcome.cost, len(two.calls)) == ("two", True, 0, 1)
    assert [attempt.outcome for attempt in outcome.attempts] == ["unavailable"]


def test_a_block_and_counters_are_no_entries(books: BrandStore, shelf: PictureStore, clock: JumpingClock) -> None:
    from resources.images.protocol import Blocked

    cache = ContentCache(books, shelf, clock, ImagePolicy(blocked_hours=2))
    cache.block(REQUEST, ONE, Blocked("violence", "code", "output", ("a", "b")))
    cache.count("joined")
    assert cache.statistics().entries == 0 and cache.look(words_key(REQUEST)) is None
    known = cache.blocked(REQUEST)
    assert known and (str(known[1]), known[1].code, known[1].stage) == ("violence", "code", "output")
    clock.sleep(3 * 3600)
    assert cache.blocked(REQUEST) is None
    cache.tidy()
    with books.read() as (connection, _):
        assert run(connection, "SELECT content_key FROM image_cache").scalars().all() == ["count:joined"]
