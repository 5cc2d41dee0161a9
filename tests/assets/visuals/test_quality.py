"""Quality of pictures: each fault is found by its own check, a good picture has none, what cannot be checked is skipped."""

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from assets.visuals.quality import FAILED_AT_MOST, Report, alike, fingerprint, judge, palette_distance
from assets.visuals.text_reader import CannotRead, find_text_reader, known_language
from tests.assets.visuals.scenes import COLOURS, encoded, scene

PINK_AND_GREEN = ("#FF00AA", "#00FF44", "#11EEFF", "#FFEE00")


def status(report: Report, name: str) -> str:
    return next(check.status for check in report.checks if check.name == name)


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if check.status == "failed"}


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), dtype=np.uint8))


def test_a_good_picture_passes_and_what_could_not_be_checked_does_not():
    report = judge(encoded(scene()), palette=COLOURS, size=(1024, 1024), others={})
    assert report.status == "passed"
    assert report.score > 0.9
    assert {c.name for c in report.checks if c.status == "skipped"} == {"legibility", "nudity"}
    assert all(c.score is None for c in report.checks if c.status == "skipped")


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        (Image.new("RGB", (1024, 1024), "#F8F4EC"), "blank"),
        (scene().filter(ImageFilter.GaussianBlur(12)), "blur"),
        (scene().resize((40, 40)).resize((1024, 1024), Image.Resampling.BICUBIC), "blur"),
        (noise(), "noise"),
        (scene(size=(400, 400)), "resolution"),
        (scene(colours=PINK_AND_GREEN), "palette"),
    ],
)
def test_a_fault_is_found_by_its_check_and_caps_the_score(picture: Image.Image, name: str):
    report = judge(encoded(picture), palette=COLOURS)
    assert name in failed(report)
    assert report.score <= FAILED_AT_MOST


@pytest.mark.parametrize(
    "picture",
    [
        scene(),
        scene(size=(768, 768)),
        ImageOps.expand(scene(size=(300, 300)), 500, "#F8F4EC"),
        scene(3),
    ],
)
def test_white_space_and_size_are_no_blur(picture: Image.Image):
    assert status(judge(encoded(picture)), "blur") == "passed"


def test_a_sharp_thing_before_an_unsharp_ground_is_sharp():
    picture = scene().filter(ImageFilter.GaussianBlur(20))
    picture.paste(scene(5).crop((300, 300, 620, 620)), (350, 350))
    assert status(judge(encoded(picture)), "blur") == "passed"


@pytest.mark.parametrize(
    ("size", "aspect", "resolution"),
    [
        ((1024, 1024), "passed", "passed"),
        ((1080, 1350), "failed", "failed"),
        ((512, 512), "passed", "passed"),
        ((900, 1000), "failed", "passed"),
    ],
)
def test_size_is_checked_beside_what_was_asked_for(size: tuple[int, int], aspect: str, resolution: str):
    report = judge(encoded(scene()), size=size)
    assert (status(report, "aspect"), status(report, "resolution")) == (aspect, resolution)


def test_the_palette_distance_of_the_brands_own_colours_is_small():
    assert palette_distance(encoded(Image.new("RGB", (64, 64), COLOURS[4])), COLOURS) < 0.5
    assert palette_distance(encoded(scene()), COLOURS) < 6
    assert palette_distance(encoded(scene(colours=PINK_AND_GREEN)), COLOURS) > 20


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        (scene(size=(768, 768)).filter(ImageFilter.GaussianBlur(0.6)), "same"),
        (ImageOps.mirror(scene()), "mirrored"),
        (scene(1), None),
        (ImageOps.flip(scene()), None),
    ],
)
def test_near_duplicates_are_found_with_their_mirror_images(changed: Image.Image, kind: str | None):
    assert alike(fingerprint(encoded(changed)), fingerprint(encoded(scene()))) == kind
    report = judge(encoded(changed), others={"first.png": fingerprint(encoded(scene()))})
    assert status(report, "duplicate") == ("failed" if kind else "passed")


def test_a_jpeg_of_low_quality_is_still_a_duplicate():
    jpeg = encoded(scene(), "JPEG", quality=40)
    assert alike(fingerprint(jpeg), fingerprint(encoded(scene()))) == "same"


def test_transparency_is_judged_on_white():
    picture = scene().convert("RGBA")
    picture.putalpha(0)
    assert "blank" in failed(judge(encoded(picture)))


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(scene())[:500]])
def test_what_is_no_picture_fails_without_an_exception(content: bytes):
    report = judge(content, palette=COLOURS)
    assert (report.status, report.score) == ("failed", 0.0)


def test_an_absent_reader_is_skipped_and_a_broken_one_too():
    def broken(content: bytes) -> list[str]:
        raise RuntimeError("no model")

    assert status(judge(encoded(scene()), texts=["Maison"]), "legibility") == "skipped"
    assert status(judge(encoded(scene()), texts=["Maison"], reader=broken), "legibility") == "skipped"


@pytest.mark.parametrize(
    ("read", "outcome"), [("MAISON 0RSENNA, Paris", "passed"), ("xx", "failed"), ("maison paris", "warned")]
)
def test_words_that_are_read_are_counted(read: str, outcome: str):
    report = judge(encoded(scene()), texts=["Maison Orsenna", "Paris"], reader=lambda _: [read])
    assert status(report, "legibility") == outcome


def test_a_further_reading_is_asked_for_only_while_words_are_missing():
    asked = []

    def reader(content: bytes):
        for reading in ("Maison Orsenna", "Paris", "never"):
            asked.append(reading)
            yield reading

    assert status(judge(encoded(scene()), texts=["Maison Orsenna"], reader=reader), "legibility") == "passed"
    assert asked == ["Maison Orsenna"]
    asked.clear()
    assert status(judge(encoded(scene()), texts=["Maison Orsenna", "Paris"], reader=reader), "legibility") == "passed"
    assert asked == ["Maison Orsenna", "Paris"]


def test_nudity_is_judged_by_the_hook():
    assert status(judge(encoded(scene()), nudity=lambda _: 0.9), "nudity") == "failed"
    assert status(judge(encoded(scene()), nudity=lambda _: 0.1), "nudity") == "passed"


def test_tesseract_reads_what_is_written():
    reader = find_text_reader()
    if reader is None:
        pytest.skip("needs tesseract: sh tests/install-servers.sh")
    from PIL import ImageDraw, ImageFont

    picture = Image.new("RGB", (900, 512), "white")
    ImageDraw.Draw(picture).text((60, 200), "MAISON ORSENNA 1299", fill="black", font=ImageFont.load_default(64))
    report = judge(encoded(picture), texts=["Maison Orsenna 1299"], reader=reader)
    assert status(report, "legibility") == "passed"


@pytest.mark.parametrize(
    ("language", "installed", "by"),
    [("fr", ("eng", "fra"), "fra"), ("fr", ("eng",), "eng"), ("nl", ("eng",), "eng"), ("ja", ("eng", "jpn"), "jpn")],
)
def test_latin_letters_are_read_by_the_english_ones_too(language: str, installed: tuple[str, ...], by: str):
    assert known_language(language, installed) == by


@pytest.mark.parametrize(("language", "package"), [("ja", "jpn"), ("ru", "rus"), ("el", "ell"), ("zh", "chi-sim")])
def test_letters_that_the_reader_does_not_know_are_skipped_not_failed(language: str, package: str):
    with pytest.raises(CannotRead, match=f"install tesseract-ocr-{package}"):
        known_language(language, ("eng", "osd"))

    def reader(content: bytes):
        yield known_language(language, ("eng", "osd"))

    [check] = [c for c in judge(encoded(scene()), texts=["Орсенна"], reader=reader).checks if c.name == "legibility"]
    assert (check.status, check.score) == ("skipped", None)
    assert f"tesseract-ocr-{package}" in check.message


def test_the_score_is_the_weighted_mean_of_its_parts():
    report = judge(encoded(scene()), palette=COLOURS, size=(1024, 1024))
    said = report.as_dict()
    counted = [part for part in said["checks"] if part["score"] is not None]
    mean = sum(p["score"] * p["weight"] for p in counted) / sum(p["weight"] for p in counted)
    assert said["score"] == pytest.approx(mean, abs=1e-4)
