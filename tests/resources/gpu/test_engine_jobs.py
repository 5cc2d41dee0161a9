"""What cannot be painted is refused by the field that is wrong, before any model is asked."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from resources.gpu.jobs import InvalidJob, Job


def png(width: int = 64, height: int = 64) -> bytes:
    with BytesIO() as file:
        Image.new("RGB", (width, height), "navy").save(file, "PNG")
        return file.getvalue()


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        ("prompt", {"prompt": "  "}, "is empty"),
        ("prompt", {"prompt": "a" * 4001}, "4001 characters"),
        ("negative", {"negative": "a" * 4001}, "4001 characters"),
        ("width", {"width": 1001}, "such as 1000"),
        ("height", {"height": 70}, "such as 72"),
        ("width", {"width": 2056}, "64 to 2048"),
        ("height", {"height": 0}, "64 to 2048"),
        ("width", {"width": -8}, "64 to 2048"),
        ("steps", {"steps": 0}, "1 to 150"),
        ("steps", {"steps": 151}, "1 to 150"),
        ("seed", {"seed": -1}, "is -1"),
        ("seed", {"seed": 2**63}, "is 9223372036854775808"),
        ("guidance", {"guidance": float("nan")}, "0.0 to 30.0"),
        ("guidance", {"guidance": 31.0}, "0.0 to 30.0"),
        ("lora_scale", {"lora_scale": 2.5}, "-2.0 to 2.0"),
        ("guided", {"guided": (0.7, 0.2)}, "part of the steps"),
        ("mask", {"mask": png()}, "without an image"),
        ("image", {"image": b"no picture"}, "no picture that can be read"),
        ("mask", {"image": png(), "mask": b""}, "no picture that can be read"),
        ("strength", {"image": png(), "strength": 0.0}, "more than 0"),
        ("strength", {"image": png(), "strength": 1.5}, "more than 0"),
        ("strength", {"image": png(), "strength": 0.2, "steps": 4}, "none of 4 steps"),
    ],
)
def test_a_job_that_cannot_be_painted_is_refused_by_its_field(field: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidJob, match=said) as caught:
        Job(**({"prompt": "a red bag", "seed": 1} | given))
    assert caught.value.field == field


def test_an_image_of_too_many_pixels_is_refused_by_its_header_alone() -> None:
    with BytesIO() as file:
        Image.new("1", (9000, 8000)).save(file, "PNG")
        huge = file.getvalue()
    with pytest.raises(InvalidJob, match="9000 × 8000"):
        Job("a red bag", 1, image=huge)


def test_jobs_that_differ_in_words_seed_guidance_and_picture_share_a_shape() -> None:
    first = Job("a red bag", 1, "blur", guidance=5.0, image=png())
    second = Job("a blue hat", 2, "noise", guidance=7.5, image=png(128, 64))
    assert first.shape() == second.shape()


@pytest.mark.parametrize(
    "other",
    [
        {"width": 512},
        {"height": 512},
        {"steps": 29},
        {"guidance": 1.0},
        {"sampler": "lcm"},
        {"lora": "brand"},
        {"image": png()},
        {"image": png(), "mask": png()},
        {"guided": (0.0, 0.5)},
    ],
)
def test_jobs_that_differ_in_what_a_batch_has_in_common_have_other_shapes(other: dict[str, Any]) -> None:
    assert Job("a red bag", 1).shape() != Job("a red bag", 1, **other).shape()


def test_what_is_not_used_does_not_part_jobs() -> None:
    assert Job("a", 1, lora_scale=0.5).shape() == Job("a", 1).shape()
    assert Job("a", 1, strength=0.5).shape() == Job("a", 1).shape()
    assert Job("a", 1, guidance=1.0, guided=(0, 0.5)).shape() == Job("a", 1, guidance=0.0).shape()
