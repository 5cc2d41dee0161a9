"""Rows of pictures on both databases: kept, listed, decided once, deleted, and whose bytes are needed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from resources.store import pictures
from resources.store.brand_store import BrandStore
from resources.store.bulk import insert_row
from resources.store.pictures import AlreadyDecided, Picture, UnknownPicture

NOW = datetime(2026, 11, 26, 12, 30, 15, 250_000, tzinfo=UTC)


def picture(number: int = 0, **changes: Any) -> Picture:
    said: dict[str, Any] = {
        "public_id": f"pic_{number}",
        "request_key": f"order-{number}",
        "content_type": "product_photo",
        "provider": "openai",
        "model": "gpt-image-2.5-flare",
        "sha256": f"{number:064x}",
        "media_type": "image/png",
        "width": 1024,
        "height": 768,
        "bytes": 1000,
        "score": 0.875,
        "state": "accepted",
        "kit_version": "0123456789ab",
        "created_at": NOW,
        "created_by": "ada",
        "cost_micros": 52_700,
        "seed": 2**33,
        "fingerprint": f"{number:016x}:{number + 1:016x}",
        "checks": [{"name": "blank", "status": "passed", "score": 1.0, "value": 9.5, "message": "well"}],
        "details": {"asked": f"wish-{number}", "tries": [{"try": 1, "chosen": True}]},
    }
    return Picture(**{**said, **changes})


def keep(books: BrandStore, *rows: Picture) -> None:
    with books.write() as (connection, brand):
        pictures.keep_pictures(connection, brand, rows)


def test_a_picture_is_read_as_it_was_kept(books: BrandStore) -> None:
    kept = picture(brief="autumn", sku="BAG-1", campaign="autumn", note=None)
    keep(books, kept)
    with books.read() as (connection, brand):
        found = pictures.get_picture(connection, brand, "pic_0")
    assert found == Picture(**{**vars(kept), "id": found.id})
    assert found.id > 0
    assert found.created_at.tzinfo is not None


def test_an_id_is_there_once(books: BrandStore) -> None:
    keep(books, picture())
    with pytest.raises(IntegrityError):
        keep(books, picture(1), picture(0))
    with books.read() as (connection, brand):
        assert [row.public_id for row in pictures.list_pictures(connection, brand)] == ["pic_0"]


def test_an_order_brings_its_pictures_in_their_order(books: BrandStore) -> None:
    keep(
        books, *(picture(n, request_key="one", state="deleted" if n == 1 else "accepted") for n in range(3)), picture(9)
    )
    with books.read() as (connection, brand):
        assert [row.public_id for row in pictures.pictures_of(connection, brand, "one")] == ["pic_0", "pic_1", "pic_2"]
        assert pictures.pictures_of(connection, brand, "none") == []


def test_pictures_are_listed_newest_first_page_by_page_and_by_what_they_are(books: BrandStore) -> None:
    states = ("needs_review", "accepted", "needs_review", "rejected", "needs_review")
    keep(books, *(picture(n, state=state, sku=f"SKU-{n % 2}", brief="b") for n, state in enumerate(states)))
    with books.read() as (connection, brand):
        first = pictures.list_pictures(connection, brand, states=("needs_review",), limit=2)
        assert [row.public_id for row in first] == ["pic_4", "pic_2"]
        rest = pictures.list_pictures(connection, brand, states=("needs_review",), before=first[-1].id)
        assert [row.public_id for row in rest] == ["pic_0"]
        both = pictures.list_pictures(connection, brand, states=("accepted", "rejected"), sku="SKU-1", brief="b")
        assert [row.public_id for row in both] == ["pic_3", "pic_1"]
        assert pictures.list_pictures(connection, brand, brief="other") == []
        assert pictures.count_pictures(connection, brand) == {"needs_review": 3, "accepted": 1, "rejected": 1}
        assert [row.public_id for row in pictures.pictures_by_id(connection, brand, ["pic_3", "x", "pic_0"])] == [
            "pic_0",
            "pic_3",
        ]


def test_only_what_stands_for_the_brand_is_not_to_be_repeated(books: BrandStore) -> None:
    states = ("accepted", "approved", "needs_review", "rejected", "deleted", "accepted")
    keep(books, *(picture(n, state=state, fingerprint=None if n == 5 else "00:00") for n, state in enumerate(states)))
    with books.read() as (connection, brand):
        found = pictures.marks(connection, brand)
    assert [(mark.public_id, mark.asked) for mark in found] == [("pic_0", "wish-0"), ("pic_1", "wish-1")]


@pytest.mark.parametrize("before", ["needs_review", "accepted"])
def test_a_person_decides_once(books: BrandStore, before: str) -> None:
    keep(books, picture(state=before))
    with books.write() as (connection, brand):
        decided = pictures.decide(connection, brand, "pic_0", "rejected", "ada", "too dark", NOW)
    assert (decided.state, decided.decided_by, decided.note, decided.decided_at) == ("rejected", "ada", "too dark", NOW)
    with books.write() as (connection, brand), pytest.raises(AlreadyDecided, match="rejected already by ada"):
        pictures.decide(connection, brand, "pic_0", "approved", "bob", None, NOW)
    with books.write() as (connection, brand), pytest.raises(UnknownPicture, match="pic_7"):
        pictures.decide(connection, brand, "pic_7", "approved", "bob", None, NOW)


def test_of_many_who_decide_at_once_one_does(books: BrandStore) -> None:
    keep(books, picture(state="needs_review"))

    def decide(number: int) -> bool:
        try:
            with books.write() as (connection, brand):
                pictures.decide(connection, brand, "pic_0", "approved", f"p{number}", None, NOW)
            return True
        except AlreadyDecided:
            return False

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(decide, range(6))) == 1


def test_a_deleted_picture_is_deleted_once_and_its_bytes_are_needed_as_long_as_another_has_them(
    books: BrandStore,
) -> None:
    same = "a" * 64
    keep(books, picture(0, sha256=same), picture(1, sha256=same), picture(2, details={"markup": "b" * 64}))

    def needed(sha: str) -> bool:
        with books.read() as (connection, _):
            return pictures.is_needed(connection, sha)

    def delete(*ids: str) -> list[str]:
        with books.write() as (connection, brand):
            return [row.public_id for row in pictures.delete_pictures(connection, brand, ids, "ada", NOW)]

    assert needed(same) and needed("b" * 64) and not needed("c" * 64)
    assert delete("pic_0", "pic_0", "nowhere") == ["pic_0"]
    assert needed(same)
    assert delete("pic_0", "pic_1", "pic_2") == ["pic_1", "pic_2"]
    assert not needed(same) and not needed("b" * 64)


def test_bytes_that_the_cache_remembers_are_needed(books: BrandStore) -> None:
    with books.write() as (connection, brand):
        insert_row(
            connection,
            "image_cache",
            {
                "brand_id": brand,
                "content_key": "k" * 64,
                "provider": "openai",
                "model": "m",
                "entry": {"images": [{"sha256": "d" * 64}]},
                "bytes": 10,
                "hits": 0,
                "created_at": NOW,
                "used_at": NOW,
            },
        )
    with books.read() as (connection, _):
        assert pictures.is_needed(connection, "d" * 64)
        assert not pictures.is_needed(connection, "e" * 64)
