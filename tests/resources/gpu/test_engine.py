"""The engine paints what diffusers' own pipeline paints, alone and in batches, and lets go of what is cancelled."""

import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resources.gpu.engine import Engine, EngineOptions, EngineUnavailable, InvalidJob, Job, Step
from tests.resources.gpu.tiny_sdxl import tiny_pipeline, write_tiny_sdxl

CLOSE = 1e-4
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 4}
BAGS = [
    Job("a red bag", 1, "blurred", **SMALL),
    Job("a silk scarf", 2, **SMALL),
    Job("a gold ring", 3, "plastic", **SMALL),
]


def stock_latents(pipeline: Any, job: Job, **other: Any) -> Any:
    """What diffusers' pipeline paints of a job."""
    import torch

    return pipeline(
        job.prompt,
        negative_prompt=job.negative or None,
        width=job.width,
        height=job.height,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance,
        generator=torch.Generator().manual_seed(job.seed),
        output_type="latent",
        **other,
    ).images


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference of any value; the latents here reach 17."""
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize(
    "job", [*BAGS, Job("a hat", 4, width=96, height=64, steps=5), Job("a hat", 5, guidance=0.0, **SMALL)]
)
def test_latents_are_those_of_the_stock_pipeline(sdxl_engine: Engine, stock_pipeline: Any, job: Job) -> None:
    assert apart(sdxl_engine.paint([job]).values, stock_latents(stock_pipeline, job)) < CLOSE


def test_pixels_are_those_of_the_stock_pipeline(sdxl_engine: Engine, stock_pipeline: Any) -> None:
    import torch

    (ours,) = sdxl_engine.decode(sdxl_engine.paint(BAGS[:1]))
    theirs = stock_pipeline(
        "a red bag",
        negative_prompt="blurred",
        width=64,
        height=64,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).images[0]
    assert ours is not None and ours.dtype == np.uint8 and ours.shape == (64, 64, 3)
    assert np.abs(ours.astype(float) - theirs * 255).max() <= 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"guidance": 4.99},
        {"negative": "blurry"},
        {"prompt": "a red hat"},
        {"seed": 2},
        {"steps": 5},
        {"guided": (0.0, 0.75)},
    ],
)
def test_the_comparison_sees_small_differences(sdxl_engine: Engine, stock_pipeline: Any, other: dict[str, Any]) -> None:
    job = Job(**({"prompt": "a red bag", "seed": 1, "negative": "blurred", **SMALL} | other))
    assert apart(sdxl_engine.paint([job]).values, stock_latents(stock_pipeline, BAGS[0])) > 2 * CLOSE


def test_an_empty_negative_is_encoded_where_the_model_was_not_trained_with_zeros() -> None:
    def pipeline() -> Any:
        made = tiny_pipeline()
        made.register_to_config(force_zeros_for_empty_prompt=False)
        return made

    engine = Engine.of_pipeline(pipeline(), EngineOptions(device="cpu"), "tiny")
    assert apart(engine.paint(BAGS[1:2]).values, stock_latents(pipeline(), BAGS[1])) < CLOSE


def test_a_model_that_predicts_velocity_is_painted_as_by_the_stock_pipeline() -> None:
    made: dict[str, Any] = {"prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    engine = Engine.of_pipeline(tiny_pipeline(**made), EngineOptions(device="cpu"), "tiny")
    assert apart(engine.paint(BAGS[:1]).values, stock_latents(tiny_pipeline(**made), BAGS[0])) < CLOSE


@pytest.mark.parametrize(
    "options", [{"channels_last": False}, {"fuse_qkv": False}, {"channels_last": False, "fuse_qkv": False}]
)
def test_memory_layout_and_fused_projections_change_nothing(
    sdxl_folder: Path, stock_pipeline: Any, options: dict[str, Any]
) -> None:
    engine = Engine.load(sdxl_folder, EngineOptions(device="cpu", **options))
    assert apart(engine.paint(BAGS[:1]).values, stock_latents(stock_pipeline, BAGS[0])) < CLOSE


@pytest.mark.parametrize("guidance", [1.0, 8.0])
def test_a_model_distilled_with_guidance_as_an_input_is_asked_once_a_step(guidance: float) -> None:
    engine = Engine.of_pipeline(tiny_pipeline(guidance_features=16), EngineOptions(device="cpu"), "tiny")
    job, other = (Job("a red bag", 1, guidance=each, **SMALL) for each in (guidance, guidance + 1.5))
    ours = engine.paint([job, job]).values
    assert apart(ours[:1], stock_latents(tiny_pipeline(guidance_features=16), job)) < CLOSE
    assert apart(ours[:1], engine.paint([other]).values) > CLOSE


@pytest.mark.parametrize(("dtype", "most"), [("bfloat16", 0.03), ("float16", 0.004)])
def test_half_as_many_bits_paint_nearly_the_same(sdxl_engine: Engine, dtype: Any, most: float) -> None:
    engine = Engine.of_pipeline(tiny_pipeline(), EngineOptions(device="cpu", dtype=dtype), "tiny")
    whole, half = sdxl_engine.paint(BAGS), engine.paint(BAGS)
    assert engine.dtype == dtype and half.values.dtype == whole.values.dtype
    assert 0 < (half.values - whole.values).norm() / whole.values.norm() < most
    for ours, theirs in zip(engine.decode(half), sdxl_engine.decode(whole), strict=True):
        assert 0 <= _pixels_apart(ours, theirs) <= 8


def test_float16_leaves_the_vae_in_float32_where_the_model_asks_for_it() -> None:
    pipeline = tiny_pipeline()
    pipeline.vae.register_to_config(force_upcast=True)
    engine = Engine.of_pipeline(pipeline, EngineOptions(device="cpu", dtype="float16"), "tiny")
    assert str(engine._model.vae.dtype) == "torch.float32"
    assert engine.decode(engine.paint(BAGS[:1]))[0] is not None


def test_the_same_seed_gives_the_same_bytes_also_from_an_engine_that_was_loaded_again(
    sdxl_folder: Path, sdxl_engine: Engine
) -> None:
    engines = (sdxl_engine, sdxl_engine, Engine.load(sdxl_folder, EngineOptions(device="cpu")))
    first, again, fresh = (engine.decode(engine.paint(BAGS[:1]))[0] for engine in engines)
    assert first is not None and again is not None and fresh is not None
    assert first.tobytes() == again.tobytes() == fresh.tobytes()


def test_a_batch_gives_what_each_job_gives_alone(sdxl_engine: Engine) -> None:
    together = sdxl_engine.paint(BAGS)
    pixels = sdxl_engine.decode(together)
    for index, job in enumerate(BAGS):
        alone = sdxl_engine.paint([job])
        assert apart(together.values[index : index + 1], alone.values) < CLOSE
        assert _pixels_apart(pixels[index], sdxl_engine.decode(alone)[0]) <= 1


def test_jobs_of_one_batch_can_have_guidance_of_their_own(sdxl_engine: Engine, stock_pipeline: Any) -> None:
    jobs = [Job("a red bag", 1, guidance=guidance, **SMALL) for guidance in (3.0, 7.5)]
    together = sdxl_engine.paint(jobs)
    for index, job in enumerate(jobs):
        assert apart(together.values[index : index + 1], stock_latents(stock_pipeline, job)) < CLOSE


def test_remembered_prompts_give_the_same_latents_bit_for_bit(sdxl_folder: Path) -> None:
    engine = Engine.load(sdxl_folder, EngineOptions(device="cpu", prompts_remembered=2))
    first = engine.paint(BAGS[:1]).values
    assert (engine.prompts.hits, engine.prompts.misses, len(engine.prompts)) == (0, 2, 2)
    assert (engine.paint(BAGS[:1]).values == first).all()
    assert (engine.prompts.hits, engine.prompts.misses) == (2, 2)
    engine.paint(BAGS[2:])
    assert len(engine.prompts) == 2
    assert (engine.paint(BAGS[:1]).values == first).all()
    assert (engine.prompts.hits, engine.prompts.misses) == (2, 6)


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_cancelling_one_of_a_batch_leaves_the_others_as_they_are(sdxl_engine: Engine, cancelled: int) -> None:
    asked: list[int] = []

    def is_cancelled(index: int) -> bool:
        asked.append(index)
        return index == cancelled and asked.count(index) > 2

    whole = sdxl_engine.decode(sdxl_engine.paint(BAGS))
    latents = sdxl_engine.paint(BAGS, is_cancelled=is_cancelled)
    pixels = sdxl_engine.decode(latents)
    assert latents.cancelled == (cancelled,) and pixels[cancelled] is None
    for index in latents.indices:
        assert _pixels_apart(pixels[index], whole[index]) == 0
    assert asked.count(cancelled) == 3, "what has left is not asked for again"


def test_a_batch_whose_jobs_are_all_cancelled_ends_at_once(sdxl_engine: Engine) -> None:
    steps: list[Step] = []
    latents = sdxl_engine.paint(BAGS, on_step=steps.append, is_cancelled=lambda _: len(steps) == 2)
    assert [step.number for step in steps] == [1, 2]
    assert latents.indices == () and sdxl_engine.decode(latents) == [None, None, None]


def test_a_job_that_is_cancelled_during_the_last_step_is_not_given(sdxl_engine: Engine) -> None:
    steps: list[Step] = []
    latents = sdxl_engine.paint(
        BAGS[:2], on_step=steps.append, is_cancelled=lambda index: index == 1 and len(steps) == 4
    )
    assert latents.indices == (0,) and len(latents.values) == 1


def test_each_step_is_told_and_shows_a_small_picture_when_asked(sdxl_engine: Engine) -> None:
    steps: list[Step] = []
    sdxl_engine.paint(BAGS, on_step=steps.append, is_cancelled=lambda index: index == 1 and len(steps) > 1)
    assert [(step.number, step.of) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    previews = [step.preview(0) for step in steps]
    assert all(preview is not None for preview in previews) and len(set(previews)) > 1
    with Image.open(BytesIO(previews[0] or b"")) as picture:
        assert picture.format == "WEBP" and picture.size == (8, 8)
    assert steps[0].preview(1) is not None and steps[-1].preview(1) is None
    assert steps[-1].preview(0) != steps[-1].preview(2)


def test_the_map_of_previews_is_the_best_linear_one_for_the_model_s_own_vae() -> None:
    """A VAE that keeps colours as they are in three of its channels: its previews have those colours."""
    import torch

    pipeline = tiny_pipeline()
    engine = Engine.of_pipeline(pipeline, EngineOptions(device="cpu"), "tiny")

    class Posterior:
        def __init__(self, mean: Any) -> None:
            self.mean, self.latent_dist = mean, self

        def sample(self, generator: torch.Generator) -> Any:
            return self.mean

    def encode(pixels: Any) -> Posterior:
        small = torch.nn.functional.avg_pool2d(pixels, 8)
        return Posterior(torch.cat([small[:, [2, 0, 1]] * 3 + 0.5, small[:, :1] * 0], dim=1))

    engine._model.vae.encode = encode
    colours = torch.tensor([[-1.0, -1, -1], [1, -1, -1], [0, 1, 0], [1, 1, 1]]).T.reshape(1, 3, 2, 2)
    pixels = colours.repeat_interleave(64, dim=2).repeat_interleave(64, dim=3)
    latents = engine._pictures.encode(pixels, torch.Generator())[0]
    with Image.open(BytesIO(engine._pictures.preview(latents))) as preview:
        seen = np.asarray(preview.convert("RGB")).astype(int)
    for (row, column), colour in {
        (4, 4): (0, 0, 0),
        (4, 12): (255, 0, 0),
        (12, 4): (127, 255, 127),
        (12, 12): (255, 255, 255),
    }.items():
        assert np.abs(seen[row, column] - np.array(colour)).max() < 24


def test_pictures_can_be_decoded_while_the_next_batch_is_painted(sdxl_engine: Engine) -> None:
    expected = sdxl_engine.decode(sdxl_engine.paint(BAGS))
    finished = sdxl_engine.paint(BAGS)
    decoded: list[Any] = []
    decoder = threading.Thread(target=lambda: decoded.extend(sdxl_engine.decode(finished)))

    def on_step(step: Step) -> None:
        if step.number == 1:
            decoder.start()
            decoder.join(60)

    again = sdxl_engine.paint(BAGS, on_step=on_step)
    assert not decoder.is_alive() and len(decoded) == 3
    for index in range(3):
        assert _pixels_apart(decoded[index], expected[index]) == 0
        assert _pixels_apart(sdxl_engine.decode(again)[index], expected[index]) == 0


def test_threads_that_paint_at_once_take_turns(sdxl_engine: Engine) -> None:
    expected = [sdxl_engine.paint([job]).values for job in BAGS]
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: sdxl_engine.paint([BAGS[n]]).values})) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all((found[n] == expected[n]).all() for n in range(3))


def test_guidance_for_a_part_of_the_steps_is_none_for_the_rest(sdxl_engine: Engine) -> None:
    calls: list[int] = []
    predict = sdxl_engine._model.predict

    def counted(shown: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(len(shown))
        return predict(shown, *arguments, **named)

    sdxl_engine._model.predict = counted
    try:
        part = sdxl_engine.paint([Job("a red bag", 1, guided=(0.0, 0.5), **SMALL)])
        none = sdxl_engine.paint([Job("a red bag", 1, guided=(0.0, 0.0), **SMALL)])
    finally:
        sdxl_engine._model.predict = predict
    assert calls == [2, 2, 1, 1, 1, 1, 1, 1]
    plain = sdxl_engine.paint([Job("a red bag", 1, guidance=1.0, **SMALL)])
    assert apart(none.values, plain.values) < CLOSE < apart(part.values, plain.values)


def test_a_batch_of_unlike_or_too_many_or_no_jobs_is_refused(sdxl_engine: Engine) -> None:
    with pytest.raises(ValueError, match="one shape"):
        sdxl_engine.paint([BAGS[0], Job("a red bag", 1, width=128, height=64, steps=4)])
    with pytest.raises(ValueError, match="1 to 4 jobs, not 5"):
        sdxl_engine.paint([BAGS[0]] * 5)
    with pytest.raises(ValueError, match="1 to 4 jobs, not 0"):
        sdxl_engine.paint([])


@pytest.mark.parametrize(
    ("field", "given", "said"),
    [
        ("sampler", {"sampler": "ddim"}, "euler, euler_ancestral"),
        ("lora", {"lora": "brand"}, "loaded: none"),
        ("steps", {"sampler": "lcm", "steps": 60}, "cannot be done by lcm"),
    ],
)
def test_what_this_model_cannot_paint_is_refused_by_its_field(
    sdxl_engine: Engine, field: str, given: dict[str, Any], said: str
) -> None:
    job = Job(**({"prompt": "a red bag", "seed": 1, **SMALL} | given))
    for refuse in (sdxl_engine.check, lambda job: sdxl_engine.paint([job])):
        with pytest.raises(InvalidJob, match=said) as caught:
            refuse(job)
        assert caught.value.field == field


def test_an_engine_says_what_it_is(sdxl_engine: Engine) -> None:
    assert sdxl_engine.model == "tiny-sdxl" and sdxl_engine.max_batch == 4
    assert set(sdxl_engine.few_step) <= set(sdxl_engine.samplers)
    assert (sdxl_engine.device, sdxl_engine.dtype, sdxl_engine.compiled) == ("cpu", "float32", "off")
    parts = tiny_pipeline()
    counted = sum(
        p.numel() * 4
        for part in (parts.unet, parts.vae, parts.text_encoder, parts.text_encoder_2)
        for p in part.parameters()
    )
    # Fused projections take the place of those that they are made of; two buffers of positions come with the encoders.
    assert 0 <= sdxl_engine.memory()["weights"] - counted < 4000


def test_warming_up_paints_each_size(sdxl_folder: Path) -> None:
    engine = Engine.load(sdxl_folder, EngineOptions(device="cpu", max_batch=2))
    before = engine.paint(BAGS[:1]).values
    engine.warm_up([(64, 64), (96, 64)])
    assert (engine.paint(BAGS[:1]).values == before).all()


def test_a_folder_without_a_model_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"model_index\.json"):
        Engine.load(tmp_path)
    broken = write_tiny_sdxl(tmp_path / "broken")
    for file in broken.glob("unet/*.safetensors"):
        file.unlink()
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        Engine.load(broken, EngineOptions(device="cpu"))


def test_a_card_that_is_not_there_is_refused(sdxl_folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a card")
    with pytest.raises(EngineUnavailable, match="sees no CUDA card"):
        Engine.load(sdxl_folder, EngineOptions(device="cuda"))


def test_the_engine_is_imported_without_what_it_computes_with() -> None:
    import subprocess
    import sys

    code = "import sys, resources.gpu.engine; print([n for n in ('torch', 'diffusers', 'transformers') if n in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def _pixels_apart(one: np.ndarray | None, other: np.ndarray | None) -> int:
    assert one is not None and other is not None
    return int(np.abs(one.astype(int) - other.astype(int)).max())
