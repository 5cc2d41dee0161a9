"""`luxauto visuals import`: real files in real folders, a real store, real credentials."""

import hashlib
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from assets.visuals.brand_credentials import anchors_of
from assets.visuals.brand_files import kit_folder
from assets.visuals.brand_kit import read_kit
from assets.visuals.downloads import what_it_tells
from assets.visuals.errors import VisualsError
from assets.visuals.provenance import new_credentials, sign, verify
from luxauto_pipelines import cli
from resources.images.picture_store import open_picture_store
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.pictures import Picture, decide, delete_pictures, list_pictures
from tests.assets.visuals.kits import write_kit
from tests.assets.visuals.scenes import encoded, scene
from tests.peers.midjourney_peer import grid

JOB = "0b7e5f7c-3a55-4f0e-9d0a-5d6a8e1f2c3b"
OTHER_JOB = "9c1d2e3f-1111-4222-8333-abcdefabcdef"
DESCRIPTION = f"A calfskin tote, soft light -- quiet --ar 4:5 --seed 4711 --v 7 Job ID: {JOB}"


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli.app, ["visuals", "import", *words, "--format", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def outcomes(said: Any) -> dict[str, str]:
    return {one["file"]: one["outcome"] for one in said["pictures"]}


def rows(books: BrandStore) -> list[Picture]:
    with books.read() as (connection, brand):
        return list_pictures(connection, brand, limit=500)


def kept(books: BrandStore, picture: Picture) -> bytes:
    return open_picture_store(books.settings).get(picture.sha256)


def described(picture: Image.Image, description: str = DESCRIPTION) -> bytes:
    text = PngInfo()
    text.add_itxt("Description", description)
    text.add_text("Author", "u12345")
    return encoded(picture, pnginfo=text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloads"
    made.mkdir()
    return made


@pytest.fixture
def kit(books: BrandStore) -> Path:
    """The installation's own kit."""
    return write_kit(kit_folder(load_settings()))


# What files tell


@pytest.mark.parametrize(
    ("name", "job", "place", "is_grid", "prompt"),
    [
        (f"u1234_A_calfskin_tote_soft_light_{JOB}_2.png", JOB, 2, False, "A calfskin tote soft light"),
        (f"anna_A_calfskin_tote_{JOB}.png", JOB, None, True, "A calfskin tote"),
        (f"anna_A_calfskin_tote_{JOB} (1).png", JOB, None, True, "A calfskin tote"),
        (f"{JOB}_grid_0.webp", JOB, None, True, None),
        (f"{JOB}_0_3.jpeg", JOB, 3, False, None),
        (f"{JOB.upper()}_1.PNG", JOB, 1, False, None),
        (f"anna_{JOB}_0_640_N.webp", JOB, 0, False, None),
        ("IMG_2231.jpg", None, None, False, None),
        ("0b7e5f7c-3a55.png", None, None, False, None),
    ],
)
def test_names_tell_job_place_and_the_first_words(
    name: str, job: str | None, place: int | None, is_grid: bool, prompt: str | None
):
    told = what_it_tells(name, b"")
    assert (told.job, told.place, told.is_grid, told.prompt) == (job, place, is_grid, prompt)
    assert told.provider == ("midjourney" if job else None)
    assert told.shortened is (prompt is not None)


def test_the_description_in_a_file_wins_over_its_name():
    told = what_it_tells(f"u1_A_calfskin_{OTHER_JOB}_1.png", described(scene(1)))
    assert told.job == JOB
    assert told.prompt == "A calfskin tote, soft light -- quiet"
    assert told.parameters == "--ar 4:5 --seed 4711 --v 7"
    assert (told.seed, told.place, told.shortened) == (4711, 1, False)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_the_description_is_read_from_exif_and_from_xmp(format: str):
    exif = Image.Exif()
    exif[0x010E] = DESCRIPTION
    escaped = DESCRIPTION.replace("calfskin", "calf &amp; kid")
    packet = (
        f"<x><dc:description><rdf:Alt><rdf:li xml:lang='x-default'>{escaped}</rdf:li></rdf:Alt></dc:description></x>"
    )
    assert what_it_tells("a.img", encoded(scene(1), format, exif=exif)).seed == 4711
    told = what_it_tells("a.img", encoded(scene(1), format, xmp=packet.encode()))
    assert (told.seed, told.prompt) == (4711, "A calf & kid tote, soft light -- quiet")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", encoded(scene(1))[:500]])
def test_what_cannot_be_read_tells_what_its_name_says(content: bytes):
    assert what_it_tells(f"{JOB}_0_3.png", content).job == JOB


def test_a_camera_s_description_is_no_prompt():
    assert what_it_tells("IMG_1.png", described(scene(1), "OLYMPUS DIGITAL CAMERA --seed 4")).provider is None


def test_a_seed_that_no_store_can_hold_is_left_out():
    told = what_it_tells("a.png", described(scene(1), f"tote --seed 9999999999999999999 Job ID: {JOB}"))
    assert (told.seed, told.job) == (None, JOB)


# What becomes of them


def test_downloads_are_judged_signed_kept_and_recorded(folder: Path, books: BrandStore, kit: Path):
    (folder / f"u1_A_calfskin_{JOB}_0.png").write_bytes(described(scene(1)))
    (folder / "x").mkdir()
    (folder / "x" / f"u1_a_silk_scarf_{OTHER_JOB}_3.webp").write_bytes(encoded(scene(2), "WEBP", quality=95))
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"x")
    said = run(str(folder), "--content-type", "lifestyle_image", "--campaign", "autumn")
    assert said["files"] == 2 and said["outcomes"] == {"accepted": 2}
    first, second = sorted(rows(books), key=lambda row: row.id)
    assert (first.provider, first.seed, first.content_type, first.campaign) == (
        "midjourney",
        4711,
        "lifestyle_image",
        "autumn",
    )
    assert first.details["prompt"] == "A calfskin tote, soft light -- quiet" and first.details["job"] == JOB
    assert (second.details["prompt"], second.details["prompt_is_shortened"]) == ("a silk scarf", True)
    assert (second.media_type, second.width, second.height) == ("image/webp", 1024, 1024)
    for row in (first, second):
        content = kept(books, row)
        assert hashlib.sha256(content).hexdigest() == row.sha256 and len(content) == row.bytes
        verdict = verify(content, anchors_of(books.settings))
        assert (verdict.state, verdict.source) == ("trusted", "trainedAlgorithmicMedia")
        assert "calfskin" not in json.dumps(dict(verdict.said or {})), "no word of a prompt is in credentials"
        assert row.kit_version and row.score > 0.5
    assert Image.open(io.BytesIO(kept(books, first))).info["Description"] == DESCRIPTION


def test_the_same_folder_twice_changes_nothing(folder: Path, books: BrandStore, kit: Path):
    for number in range(3):
        (folder / f"{number}.png").write_bytes(described(scene(number)))
    run(str(folder))
    before = rows(books)
    stored = sorted(books.settings.home.rglob("*"))
    (folder / "2.png").rename(folder / "renamed.png")
    said = run(str(folder))
    assert set(outcomes(said).values()) == {"known"}
    assert {one["id"] for one in said["pictures"]} == {row.public_id for row in before}
    assert rows(books) == before
    assert [file for file in sorted(books.settings.home.rglob("*")) if file not in stored and file.suffix == ""] == []


def test_a_picture_that_is_there_already_is_refused_however_it_was_saved(folder: Path, books: BrandStore, kit: Path):
    picture = scene(3)
    (folder / "a.png").write_bytes(described(picture))
    run(str(folder))
    (there,) = rows(books)
    (folder / "b.jpg").write_bytes(encoded(picture.resize((700, 700)), "JPEG", quality=80))
    (folder / "c.png").write_bytes(encoded(ImageOps.mirror(picture)))
    (folder / "d.png").write_bytes(kept(books, there))
    (folder / "e.png").write_bytes(encoded(scene(4)))
    said = run(str(folder), code=2)
    assert outcomes(said) == {
        "a.png": "known",
        "b.jpg": "duplicate",
        "c.png": "duplicate",
        "d.png": "known",
        "e.png": "accepted",
    }
    assert {one["id"] for one in said["pictures"][:4]} == {there.public_id}
    assert len(rows(books)) == 2


def test_two_that_are_alike_in_one_folder_are_one(folder: Path, books: BrandStore, kit: Path):
    (folder / "a.png").write_bytes(encoded(scene(3)))
    (folder / "b.webp").write_bytes(encoded(scene(3), "WEBP", quality=90))
    assert outcomes(run(str(folder), code=2)) == {"a.png": "accepted", "b.webp": "duplicate"}


def test_a_broken_file_leaves_the_others_alone(folder: Path, books: BrandStore, kit: Path):
    (folder / "a.png").write_bytes(encoded(scene(1)))
    (folder / "b.png").write_bytes(encoded(scene(2))[:4000])
    (folder / "c.jpg").write_bytes(b"<html>404</html>")
    (folder / "d.png").write_bytes(b"")
    (folder / "e.png").symlink_to(folder / "gone.png")
    (folder / "f.png").write_bytes(encoded(scene(5)))
    said = run(str(folder), code=2)
    assert outcomes(said) == {
        "a.png": "accepted",
        "b.png": "broken",
        "c.jpg": "broken",
        "d.png": "broken",
        "e.png": "broken",
        "f.png": "accepted",
    }
    assert all(one["why"] for one in said["pictures"] if one["outcome"] == "broken")
    assert len(rows(books)) == 2


def test_odd_kinds_of_pictures_stop_nobody(folder: Path, books: BrandStore, kit: Path):
    (folder / "a-gif.png").write_bytes(encoded(scene(1), "GIF"))
    (folder / "b-deep.png").write_bytes(encoded(scene(2).convert("L").convert("I;16")))
    (folder / "c-palette.png").write_bytes(encoded(scene(3).quantize(32)))
    (folder / "d-print.jpg").write_bytes(encoded(scene(4).convert("CMYK"), "JPEG", quality=95))
    (folder / "e-two.jpg").write_bytes(encoded(scene(5), "MPO", save_all=True, append_images=[scene(6)]))
    (folder / "f-clear.webp").write_bytes(encoded(scene(7).convert("RGBA"), "WEBP", lossless=True))
    said = run(str(folder), "--provider", "midjourney", code=2)
    found = outcomes(said)
    assert found["a-gif.png"] == "broken"
    taken = {one["file"]: one for one in said["pictures"] if one["outcome"] in ("accepted", "needs_review")}
    assert {"c-palette.png", "d-print.jpg", "e-two.jpg", "f-clear.webp"} <= taken.keys()
    assert len(rows(books)) == len(taken)
    kinds = {row.details["file"]: row.media_type for row in rows(books)}
    assert kinds["e-two.jpg"] == "image/jpeg"


def test_what_a_check_warns_of_waits_for_a_person(folder: Path, books: BrandStore, kit: Path):
    small = scene(1).resize((400, 400))
    (folder / "small.png").write_bytes(encoded(small))
    (folder / "blank.png").write_bytes(encoded(Image.new("RGB", (800, 800), "#F8F4EC")))
    said = run(str(folder))
    assert set(outcomes(said).values()) == {"needs_review"}
    assert {row.state for row in rows(books)} == {"needs_review"}


def test_what_a_person_rejected_is_refused_when_it_comes_again(folder: Path, books: BrandStore, kit: Path):
    (folder / "a.png").write_bytes(encoded(scene(1)))
    run(str(folder))
    (there,) = rows(books)
    with books.write() as (connection, brand):
        decide(connection, brand, there.public_id, "rejected", "anna", None, datetime.now(UTC))
    (folder / "a.png").rename(folder / "b.png")
    (folder / "c.jpg").write_bytes(encoded(scene(1), "JPEG", quality=85))
    said = run(str(folder), code=2)
    assert outcomes(said) == {"b.png": "known", "c.jpg": "duplicate"}
    assert "rejected" in said["pictures"][0]["why"]


def test_what_was_deleted_does_not_come_back(folder: Path, books: BrandStore, kit: Path):
    (folder / "a.png").write_bytes(encoded(scene(1)))
    run(str(folder))
    (there,) = rows(books)
    with books.write() as (connection, brand):
        delete_pictures(connection, brand, [there.public_id], "anna", datetime.now(UTC))
    said = run(str(folder))
    assert outcomes(said) == {"a.png": "known"} and "deleted" in said["pictures"][0]["why"]
    assert [row.state for row in rows(books)] == ["deleted"]


def test_an_import_that_is_killed_is_finished_by_the_next_and_nothing_is_there_twice(
    folder: Path, books: BrandStore, kit: Path
):
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(described(scene(number)))
    command = [sys.executable, "-m", "luxauto_pipelines.cli", "visuals", "import", str(folder)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 120
        while len(rows(books)) < 3:
            assert running.poll() is None and time.monotonic() < deadline, "it did not begin"
            time.sleep(0.005)
    finally:
        running.kill()
        running.wait()
    before = len(rows(books))
    assert 3 <= before < 12
    said = run(str(folder))
    assert said["outcomes"] == {"known": before, "accepted": 12 - before}
    there = rows(books)
    assert len({row.details["source_sha256"] for row in there}) == len(there) == 12
    for row in there:
        assert verify(kept(books, row), anchors_of(books.settings)).state == "trusted"


# Grids


def test_a_grid_becomes_four_rows_of_its_exact_quarters(folder: Path, books: BrandStore, kit: Path):
    name = f"anna_a_tote_{JOB}.png"
    content = grid("a tote", 5, 1200, 1500)
    (folder / name).write_bytes(content)
    (folder / f"anna_a_scarf_{OTHER_JOB}_1.png").write_bytes(encoded(scene(2)))
    said = run(str(folder), "--split", "grids")
    assert len(said["pictures"]) == 5
    assert not {"broken", "duplicate", "known"} & {one["outcome"] for one in said["pictures"]}
    whole = Image.open(io.BytesIO(content)).convert("RGB")
    quarters = sorted((row for row in rows(books) if row.details["quarter"]), key=lambda row: row.details["place"])
    assert [row.details["place"] for row in quarters] == [0, 1, 2, 3]
    for row in quarters:
        left, top = row.details["place"] % 2 * 600, row.details["place"] // 2 * 750
        shown = Image.open(io.BytesIO(kept(books, row))).convert("RGB")
        assert shown.tobytes() == whole.crop((left, top, left + 600, top + 750)).tobytes()
        assert row.details["job"] == JOB
    assert set(outcomes(run(str(folder), "--split", "grids")).values()) == {"known"}
    assert len(rows(books)) == 5


def test_without_the_option_a_grid_stays_whole(folder: Path, books: BrandStore, kit: Path):
    (folder / f"anna_a_tote_{JOB}.png").write_bytes(grid("a tote", 5, 1200, 1500))
    run(str(folder))
    assert [(row.width, row.height) for row in rows(books)] == [(1200, 1500)]


def test_an_odd_size_is_no_grid(folder: Path, books: BrandStore, kit: Path):
    (folder / "odd.png").write_bytes(grid("a tote", 5, 1201, 1500))
    said = run(str(folder), "--split", "all", code=2)
    assert outcomes(said) == {"odd.png": "broken"} and "no grid" in said["pictures"][0]["why"]
    assert rows(books) == []


# Where they come from


def provider_signed(content: bytes) -> bytes:
    theirs = new_credentials("A provider", datetime.now(UTC))
    return sign(
        content, theirs, title="theirs", software="painter 3", source="trainedAlgorithmicMedia", said={"a": "b"}
    )


def test_a_provider_s_credentials_stay_as_ingredient_of_the_picture_and_of_quarters(
    folder: Path, books: BrandStore, kit: Path
):
    (folder / "whole.png").write_bytes(provider_signed(encoded(scene(1))))
    run(str(folder))
    (row,) = rows(books)
    verdict = verify(kept(books, row), anchors_of(books.settings))
    assert verdict.state == "trusted" and verdict.ingredients and "c2pa.opened" in verdict.actions
    assert row.details["credentials"] == {"state": "untrusted", "signer": "A provider"}
    (folder / "whole.png").unlink()
    (folder / "grid.png").write_bytes(provider_signed(grid("a bag", 3, 1400, 1400)))
    run(str(folder), "--split", "all")
    for quarter in (one for one in rows(books) if one.details["quarter"]):
        verdict = verify(kept(books, quarter), anchors_of(books.settings))
        assert verdict.state == "trusted" and verdict.ingredients


def test_broken_credentials_wait_for_a_person_and_are_not_signed_over(folder: Path, books: BrandStore, kit: Path):
    changed = scene(1)
    changed.putpixel((3, 3), (1, 2, 3))
    (folder / "a.png").write_bytes(_with_pixels_of(provider_signed(encoded(scene(1))), changed))
    said = run(str(folder))
    assert outcomes(said) == {"a.png": "needs_review"} and "changed after it was signed" in said["pictures"][0]["why"]
    (row,) = rows(books)
    assert row.details["signed"] is False and verify(kept(books, row)).state == "invalid"


def _with_pixels_of(signed: bytes, changed: Image.Image) -> bytes:
    """The signed file's credentials in a file with other pixels."""
    begin = signed.index(b"caBX") - 4
    length = int.from_bytes(signed[begin : begin + 4], "big") + 12
    plain = encoded(changed)
    after_header = 8 + 25
    return plain[:after_header] + signed[begin : begin + length] + plain[after_header:]


def test_nobody_s_work_is_signed_as_a_machine_s(folder: Path, books: BrandStore, kit: Path):
    (folder / "photo.jpg").write_bytes(encoded(scene(1), "JPEG", quality=95))
    run(str(folder))
    (row,) = rows(books)
    assert (row.provider, row.details["signed"]) == ("download", False)
    assert verify(kept(books, row)).state == "absent"
    (folder / "photo.jpg").write_bytes(encoded(scene(2), "JPEG", quality=95))
    run(str(folder), "--provider", "ideogram")
    assert verify(kept(books, rows(books)[0])).is_intact and rows(books)[0].provider == "ideogram"
    (folder / "photo.jpg").write_bytes(described(scene(4)))
    run(str(folder), "--no-sign")
    assert verify(kept(books, rows(books)[0])).state == "absent"


def test_a_prompt_with_a_forbidden_mark_waits_for_a_person(folder: Path, books: BrandStore, kit: Path):
    loaded = read_kit(kit)
    word = (*loaded.kit.forbidden.words, *loaded.kit.forbidden.marks)[0]
    (folder / "a.png").write_bytes(described(scene(1), f"a tote, {word}, soft light Job ID: {JOB}"))
    said = run(str(folder))
    assert outcomes(said) == {"a.png": "needs_review"} and word in said["pictures"][0]["why"]


def test_without_a_kit_colours_are_skipped_and_the_rest_is_done(folder: Path, books: BrandStore):
    (folder / "a.png").write_bytes(described(scene(1)))
    assert run(str(folder))["brand_kit"] is None
    (row,) = rows(books)
    assert row.state == "accepted" and row.kit_version == ""
    assert {check["name"]: check["status"] for check in row.checks}["palette"] == "skipped"


@pytest.mark.parametrize("words", [["--provider", "Some One"], ["--sku", "NO-SUCH"]])
def test_what_cannot_be_used_is_said_before_anything_is_taken(folder: Path, books: BrandStore, words: list[str]):
    (folder / "a.png").write_bytes(encoded(scene(1)))
    with pytest.raises(Exception, match=r"lower-case|no SKU"):
        run(str(folder), *words)
    assert rows(books) == []


def test_a_folder_without_pictures_and_one_that_is_not_there_are_said(folder: Path):
    for path in (folder, folder / "gone"):
        with pytest.raises(VisualsError, match="check the path"):
            run(str(path))


def test_one_file_can_be_given(folder: Path, books: BrandStore, kit: Path):
    (folder / "a.png").write_bytes(described(scene(1)))
    assert outcomes(run(str(folder / "a.png"))) == {"a.png": "accepted"}
    assert load_settings().home == books.settings.home
