"""Jobs that begin with a picture: retouching and inpainting as diffusers' own pipelines do it."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resources.gpu.engine import Engine, EngineOptions, InvalidJob, Job
from tests.resources.gpu.tiny_sdxl import tiny_pipeline

CLOSE = 1e-4


def photo(width: int = 64, height: int = 64) -> Image.Image:
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = np.stack([across, down, 0.5 + 0.5 * np.sin(9 * across * down)], axis=-1)
    return Image.fromarray((waves * 255).astype(np.uint8))


def half_mask(width: int = 64, height: int = 64) -> Image.Image:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[:, width // 2 :] = 255
    return Image.fromarray(mask)


def png(picture: Image.Image) -> bytes:
    with BytesIO() as file:
        picture.save(file, "PNG")
        return file.getvalue()


def stock(kind: str, job: Job, image: Image.Image, mask: Image.Image | None = None, **made: Any) -> Any:
    """What diffusers' pipeline of that kind paints of a job."""
    import diffusers
    import torch

    kinds: Any = diffusers
    whole = tiny_pipeline(**made)
    parts = whole.components | {"requires_aesthetics_score": False}
    parts = {name: part for name, part in parts.items() if name not in ("image_encoder", "feature_extractor")}
    pipeline = (kinds.StableDiffusionXLImg2ImgPipeline if kind == "image" else kinds.StableDiffusionXLInpaintPipeline)(
        **parts, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    pictures: dict[str, Any] = {"image": image}
    if mask is not None:
        pictures |= {"mask_image": mask, "width": job.width, "height": job.height}
    return pipeline(
        job.prompt,
        negative_prompt=job.negative or None,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance,
        strength=job.strength,
        generator=torch.Generator().manual_seed(job.seed),
        output_type="latent",
        **pictures,
        **({"original_size": (job.height, job.width), "target_size": (job.height, job.width)}),
    ).images


def job_of(image: Image.Image, mask: Image.Image | None = None, **other: Any) -> Job:
    given: dict[str, Any] = {"prompt": "a red bag", "seed": 3, "negative": "blur", "steps": 6}
    given |= {"width": image.width, "height": image.height}
    given |= {"image": png(image), "mask": None if mask is None else png(mask)}
    return Job(**(given | other))


@pytest.mark.parametrize("strength", [0.35, 0.8, 1.0])
def test_retouching_is_that_of_the_stock_pipeline(sdxl_engine: Engine, strength: float) -> None:
    job = job_of(photo(), strength=strength)
    assert _apart(sdxl_engine.paint([job]).values, stock("image", job, photo())) < CLOSE


@pytest.mark.parametrize("strength", [0.5, 0.8, 1.0])
def test_inpainting_is_that_of_the_stock_pipeline(sdxl_engine: Engine, strength: float) -> None:
    job = job_of(photo(96, 64), half_mask(96, 64), strength=strength)
    assert _apart(sdxl_engine.paint([job]).values, stock("inpaint", job, photo(96, 64), half_mask(96, 64))) < CLOSE


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_unet_made_for_inpainting_sees_mask_and_picture_as_in_the_stock_pipeline(strength: float) -> None:
    engine = Engine.of_pipeline(tiny_pipeline(in_channels=9), EngineOptions(device="cpu"), "tiny")
    job = job_of(photo(), half_mask(), strength=strength)
    assert _apart(engine.paint([job]).values, stock("inpaint", job, photo(), half_mask(), in_channels=9)) < CLOSE


def test_a_unet_made_for_inpainting_refuses_jobs_without_a_mask() -> None:
    engine = Engine.of_pipeline(tiny_pipeline(in_channels=9), EngineOptions(device="cpu"), "tiny")
    for job in (Job("a red bag", 1), job_of(photo())):
        with pytest.raises(InvalidJob, match="only inpaints") as caught:
            engine.paint([job])
        assert caught.value.field == "mask"


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "lcm", "euler_ancestral"])
def test_where_the_mask_is_black_the_latents_are_the_picture_s_own(sdxl_engine: Engine, sampler: str) -> None:
    import torch

    job = job_of(photo(), half_mask(), sampler=sampler, strength=0.7)
    painted = sdxl_engine.paint([job]).values
    generator = torch.Generator().manual_seed(job.seed)
    pixels = torch.from_numpy(np.asarray(photo(), dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.inference_mode():
        own = sdxl_engine._pictures.encode(pixels, generator)
    assert _apart(painted[..., :4], own[..., :4]) < CLOSE < _apart(painted[..., 4:], own[..., 4:])


def test_pictures_of_one_batch_are_painted_as_alone(sdxl_engine: Engine) -> None:
    jobs = [job_of(photo(), half_mask(), seed=seed, strength=0.7) for seed in (1, 2)]
    together = sdxl_engine.paint(jobs).values
    for index, job in enumerate(jobs):
        assert _apart(together[index : index + 1], sdxl_engine.paint([job]).values) < CLOSE


def test_cancelling_leaves_the_other_pictures_masks_in_place(sdxl_engine: Engine) -> None:
    upper = Image.fromarray(np.repeat(np.array([[255]] * 32 + [[0]] * 32, dtype=np.uint8), 64, axis=1))
    jobs = [job_of(photo(), mask, seed=seed, strength=0.7) for seed, mask in ((1, half_mask()), (2, upper))]
    numbers: list[int] = []
    left = sdxl_engine.paint(
        jobs,
        on_step=lambda step: numbers.append(step.number),
        is_cancelled=lambda index: index == 0 and len(numbers) > 1,
    )
    assert left.indices == (1,)
    assert _apart(left.values, sdxl_engine.paint([jobs[1]]).values) < CLOSE


def test_a_picture_of_another_size_is_scaled_and_transparency_becomes_white(sdxl_engine: Engine) -> None:
    clear = Image.new("RGBA", (200, 100), (255, 0, 0, 0))
    white = Image.new("RGB", (64, 64), "white")
    one, other = (Job("a red bag", 1, width=64, height=64, steps=4, image=png(image)) for image in (clear, white))
    assert _apart(sdxl_engine.paint([one]).values, sdxl_engine.paint([other]).values) < CLOSE


def test_a_file_that_breaks_off_is_refused_by_its_field(sdxl_engine: Engine) -> None:
    cut = png(photo())[:-400]
    cases: list[tuple[str, dict[str, Any]]] = [
        ("image", {"image": cut}),
        ("mask", {"image": png(photo()), "mask": cut}),
    ]
    for field, given in cases:
        with pytest.raises(InvalidJob, match="breaks off") as caught:
            sdxl_engine.paint([Job("a red bag", 1, width=64, height=64, steps=2, **given)])
        assert caught.value.field == field


def _apart(one: Any, other: Any) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())
