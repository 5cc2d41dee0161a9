"""Bytes lie under their own sum, whole or not at all, in a folder or an object store."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.images.picture_store import FOLDER, MissingPicture, PictureStore, open_picture_store
from resources.lake import Lake
from resources.settings import load_settings


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PictureStore:
    root = str(tmp_path / "lake") if request.param == "local" else f"memory://{tmp_path.name}"
    return PictureStore(Lake(root, "maison"))


def test_bytes_come_back_by_their_sum(store: PictureStore) -> None:
    sha256 = store.put(b"a picture")
    assert sha256 == hashlib.sha256(b"a picture").hexdigest() == store.put(b"a picture")
    assert store.exists(sha256) and store.get(sha256) == b"a picture"
    assert [name for name, _ in store.sums()] == [sha256]


def test_what_was_deleted_is_missing_and_may_be_deleted_again(store: PictureStore) -> None:
    sha256 = store.put(b"a picture")
    store.delete(sha256)
    store.delete(sha256)
    assert not store.exists(sha256)
    with pytest.raises(MissingPicture, match=f"the picture {sha256} is not in the store"):
        store.get(sha256)


def test_an_empty_store_has_nothing(store: PictureStore) -> None:
    assert list(store.sums()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_what_is_no_sum_names_no_file(store: PictureStore, name: str) -> None:
    with pytest.raises(MissingPicture, match="is no SHA-256"):
        store.get(name)


def test_damaged_bytes_are_not_given_out(tmp_path: Path) -> None:
    store = PictureStore(Lake(str(tmp_path), "maison"))
    sha256 = store.put(b"a picture")
    (tmp_path / "maison" / FOLDER / sha256[:2] / sha256).write_bytes(b"a pictur")
    with pytest.raises(MissingPicture, match="is damaged"):
        store.get(sha256)


def test_many_who_put_the_same_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    store, content = PictureStore(Lake(str(tmp_path), "maison")), bytes(200_000)
    with ThreadPoolExecutor(8) as pool:
        sums = set(pool.map(lambda _: store.put(content), range(32)))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == [*sums] and files[0].read_bytes() == content


def test_it_lies_beside_the_assets_of_the_brand_and_is_none_of_them(home: Path) -> None:
    settings = load_settings()
    store = open_picture_store(settings)
    store.put(b"a picture")
    assert store.lake.assets() == []
    assert (Path(settings.lake_url) / settings.brand / FOLDER).is_dir()
