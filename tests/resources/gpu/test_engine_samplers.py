"""Each sampler's table gives the pictures that diffusers' scheduler of that name gives, step numbers and noise included."""

from typing import Any

import pytest

from resources.gpu.engine import Engine, EngineOptions, Job
from resources.gpu.samplers import SAMPLERS, schedule
from tests.resources.gpu.tiny_sdxl import tiny_pipeline

CLOSE = 1e-4


def stock_scheduler(name: str, config: Any) -> Any:
    import diffusers

    kinds: Any = diffusers
    classes = {
        "euler": (kinds.EulerDiscreteScheduler, {}),
        "euler_ancestral": (kinds.EulerAncestralDiscreteScheduler, {}),
        "dpmpp_2m": (kinds.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
        "euler_trailing": (kinds.EulerDiscreteScheduler, {"timestep_spacing": "trailing"}),
        "lcm": (kinds.LCMScheduler, {}),
    }
    made, options = classes[name]
    return made.from_config(config, **options)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("steps", "guidance"), [(1, 1.0), (4, 1.0), (20, 5.0)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_paints_as_the_scheduler_of_its_name(name: str, steps: int, guidance: float, prediction: str) -> None:
    import torch

    stock = tiny_pipeline(prediction_type=prediction)
    stock.scheduler = stock_scheduler(name, stock.scheduler.config)
    theirs = stock(
        "a red bag",
        width=64,
        height=64,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(7)],
        output_type="latent",
    ).images
    engine = Engine.of_pipeline(tiny_pipeline(prediction_type=prediction), EngineOptions(device="cpu"), "tiny")
    job = Job("a red bag", 7, width=64, height=64, steps=steps, guidance=guidance, sampler=name)
    seen: list[int] = []
    ours = engine.paint([job], on_step=lambda step: seen.append(step.number)).values
    assert len(seen) == steps
    # Latents of random weights reach 60 here: a difference is told for a deviation of 1, as a real picture's latents have.
    assert float((ours - theirs).abs().max() / theirs.std()) < CLOSE


@pytest.mark.parametrize("name", ["euler_ancestral", "lcm", "dpmpp_2m"])
def test_samplers_with_noise_or_memory_also_paint_alike_in_a_batch_that_one_leaves(
    sdxl_engine: Engine, name: str
) -> None:
    jobs = [Job("a red bag", seed, width=64, height=64, steps=6, guidance=1.0, sampler=name) for seed in (1, 2, 3)]
    numbers: list[int] = []
    latents = sdxl_engine.paint(
        jobs,
        on_step=lambda step: numbers.append(step.number),
        is_cancelled=lambda index: index == 1 and len(numbers) > 2,
    )
    assert latents.indices == (0, 2)
    for row, index in enumerate(latents.indices):
        alone = sdxl_engine.paint([jobs[index]]).values
        assert float((latents.values[row] - alone[0]).abs().max()) < CLOSE


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_schedule_ends_without_noise(name: str) -> None:
    config = tiny_pipeline().scheduler.config
    last = schedule(name, 8, config).steps[-1]
    assert last.noise == 0
    # A perfect model, which gives back the picture that was noised: the last step then ends at that picture.
    picture, noise = 0.7, -1.3
    latents = last.clean * picture + last.dirty * noise
    assert last.latents * latents + last.x0 * picture == pytest.approx(picture, abs=0.01)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_perfect_model_is_followed_from_noise_to_its_picture(name: str) -> None:
    """Of a model that always answers with the noise that was added, every sampler makes the same picture."""
    steps = schedule(name, 10, tiny_pipeline().scheduler.config)
    picture, generator = 0.7, iter([0.3, -1.1, 0.6, 1.2, -0.4, 0.9, -0.2, 0.5, -0.8, 0.1])
    latents = steps.initial_noise * 1.5
    before = 0.0
    for step in steps.steps:
        noise = (latents - step.clean * picture) / step.dirty
        expected = step.x0_latents * latents + step.x0_output * noise
        assert expected == pytest.approx(picture, abs=1e-3)
        latents = step.latents * latents + step.x0 * expected + step.x0_before * before
        latents += step.noise * next(generator) if step.noise else 0.0
        before = expected
    assert latents == pytest.approx(picture, abs=0.01)


def test_starting_half_way_drops_the_first_half_and_what_it_would_have_known() -> None:
    whole = schedule("dpmpp_2m", 10, tiny_pipeline().scheduler.config)
    half = whole.after(0.5)
    assert [step.timestep for step in half.steps] == [step.timestep for step in whole.steps[5:]]
    assert half.steps[0].x0_before == 0.0 != whole.steps[5].x0_before
    assert half.steps[0].x0 == pytest.approx(whole.steps[5].x0 + whole.steps[5].x0_before)


def test_an_unknown_sampler_is_not_there() -> None:
    with pytest.raises(KeyError):
        schedule("ddim", 10, {})
