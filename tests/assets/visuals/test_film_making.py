"""From an order for a film to a motion card: its stills, once, judged, signed, kept; and when none is made."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from assets.visuals.brand_credentials import anchors_of
from assets.visuals.brand_kit import LoadedKit
from assets.visuals.film_making import make_film_order
from assets.visuals.hanging import hang
from assets.visuals.making import delete, make
from assets.visuals.orders import Order
from assets.visuals.prompts import ForbiddenWords
from assets.visuals.provenance import verify
from resources.images.policy import FILE_NAME as POLICY
from resources.store.brand_store import BrandStore
from tests.assets.visuals.kits import load
from tests.assets.visuals.painter import Painter, maker_with

FILM = Order("film-1", "a film of the bag", "promotional_video", width=301, height=401, sku="BAG-1", seed=3)


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedKit:
    return load(tmp_path / "kit", tagline="Slow since 1924")


@pytest.mark.slow
def test_a_film_moves_over_the_accepted_pictures_of_its_sku_and_is_made_once(
    books: BrandStore, loaded: LoadedKit
) -> None:
    maker = maker_with(books, loaded, Painter())
    stills = [
        make(maker, Order(f"still-{n}", f"a bag {n}", sku=sku)).pictures[0]
        for n, sku in enumerate(["BAG-1", "BAG-1", "BELT"])
    ]
    made = make_film_order(maker, FILM)
    [film] = made.pictures
    assert (film.media_type, film.width, film.height, film.provider) == ("video/mp4", 300, 400, "motion")
    assert (made.cost, film.seed, film.sku) == (0, 3, "BAG-1")
    assert film.details["stills"] == [stills[1].public_id, stills[0].public_id]
    assert any("painted nothing of the prompt" in note for note in made.notes)
    assert film.state in ("accepted", "needs_review")
    assert {check["name"] for check in film.checks} >= {"readable", "palette"}
    found = verify(maker.store.get(film.sha256), anchors_of(books.settings))
    assert (found.state, found.source) == ("trusted", "compositeWithTrainedAlgorithmicMedia")
    poster = film.details["poster"]
    assert maker.store.exists(poster)
    row = {"picture": film.public_id, "brief": "film-of-the-bag", "why": None}
    [hung] = hang(books, pl.DataFrame([row], schema={"picture": pl.String, "brief": pl.String, "why": pl.String}))
    assert (hung.id, hung.thumbnail[:4]) == (film.public_id, b"RIFF")

    again = make_film_order(maker, FILM)
    assert (again.replayed, again.pictures) == (True, made.pictures)
    assert [picture.public_id for picture in delete(books, maker.store, "ada", [FILM.key])] == [film.public_id]
    assert not maker.store.exists(film.sha256) and not maker.store.exists(poster)
    assert all(maker.store.exists(still.sha256) for still in stills)


def test_nobody_paints_films_and_they_can_be_switched_off(books: BrandStore, loaded: LoadedKit) -> None:
    maker = maker_with(books, loaded, Painter())
    named = make_film_order(maker, replace(FILM, provider="midjourney"))
    assert (named.state, named.code) == ("failed", "no_candidate")
    assert "makes no films" in str(named.error)
    (books.settings.home / POLICY).write_text("only: {promotional_video: [studio]}\n")
    off = make_film_order(maker, FILM)
    assert (off.state, off.pictures) == ("failed", ())
    assert "comes from studio only" in str(off.error)


def test_words_that_the_kit_forbids_are_in_no_film(books: BrandStore, loaded: LoadedKit) -> None:
    with pytest.raises(ForbiddenWords):
        make_film_order(maker_with(books, loaded, Painter()), replace(FILM, prompt="a bargain"))
