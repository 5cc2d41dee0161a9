"""What is compiled or quantised paints the same, and refuses where it cannot run."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from resources.gpu import fp8
from resources.gpu.engine import Engine, EngineOptions, EngineUnavailable, Job
from tests.resources.gpu.test_engine_loras import matrices, merged_latents, peft_file
from tests.resources.gpu.tiny_sdxl import tiny_pipeline

CLOSE = 1e-4
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3}
JOBS = [Job("a red bag", 1, "blurred", **SMALL), Job("a silk scarf", 2, **SMALL), Job("a gold ring", 3, **SMALL)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is compiled; the environment is as before afterwards."""
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, str(tmp_path / "before")))
    return tmp_path / "compiled"


@pytest.mark.slow
@pytest.mark.parametrize("compile", ["regional", "full"])
def test_a_compiled_engine_paints_the_same(
    sdxl_folder: Path, sdxl_engine: Engine, cache: Path, compile: Any, tmp_path: Path
) -> None:
    options = EngineOptions(device="cpu", max_batch=4, compile=compile, compile_cache=cache, batch_sizes=(1, 2, 4))
    engine = Engine.load(sdxl_folder, options)
    assert engine.compiled == compile
    expected = sdxl_engine.paint(JOBS)
    painted = engine.paint(JOBS)
    assert painted.values.shape == expected.values.shape and _apart(painted.values, expected.values) < CLOSE
    assert any(cache.rglob("*.py")), "what is compiled lies in the folder that was named"

    asked = sdxl_engine.decode(expected)
    for ours, theirs in zip(engine.decode(painted), asked, strict=True):
        assert ours is not None and theirs is not None and abs(ours.astype(int) - theirs.astype(int)).max() <= 1

    if compile == "full":
        # Each further size of batch is minutes of compiling.
        return
    steps: list[int] = []
    left = engine.paint(
        JOBS, on_step=lambda step: steps.append(step.number), is_cancelled=lambda index: index == 1 and len(steps) > 1
    )
    assert left.indices == (0, 2) and _apart(left.values, expected.values[[0, 2]]) < CLOSE

    pairs = matrices(1)
    engine.load_lora("brand", peft_file(tmp_path / "brand.safetensors", pairs))
    job = Job("a red bag", 1, lora="brand", **SMALL)
    assert _apart(engine.paint([job]).values, merged_latents(pairs, 1.0, job)) < CLOSE


@pytest.mark.slow
def test_a_compiled_engine_that_another_thread_loaded_takes_many_shapes(sdxl_folder: Path, sdxl_engine: Engine) -> None:
    """More than the eight that dynamo compiles of one function unless it is told otherwise, which it is thread by thread."""
    made: list[Engine] = []
    options = EngineOptions(device="cpu", max_batch=4, compile="regional", batch_sizes=(1, 2, 3, 4))
    loader = threading.Thread(target=lambda: made.append(Engine.load(sdxl_folder, options)))
    loader.start()
    loader.join(120)
    (engine,) = made
    for width in (64, 96):
        for count in (1, 2, 3, 4):
            for guidance in (1.0, 5.0):
                jobs = [Job("a", seed, width=width, height=64, steps=1, guidance=guidance) for seed in range(count)]
                assert _apart(engine.paint(jobs).values, sdxl_engine.paint(jobs).values) < CLOSE


@pytest.mark.slow
def test_what_was_compiled_is_found_again_in_the_folder(cache: Path) -> None:
    import torch
    from torch._dynamo.utils import counters

    found = []
    for _ in range(2):
        torch._dynamo.reset()
        counters.clear()
        options = EngineOptions(device="cpu", compile="regional", compile_cache=cache)
        Engine.of_pipeline(tiny_pipeline(), options, "tiny").paint(JOBS[:1])
        told = counters["aot_autograd"]
        found.append((told["autograd_cache_hit"], told["autograd_cache_miss"]))
    (_, first_misses), (again, misses) = found
    assert first_misses > 0 and (again, misses) == (first_misses, 0)


def test_a_compiled_batch_is_filled_up_to_a_size_that_is_compiled(sdxl_folder: Path, sdxl_engine: Engine) -> None:
    """Without compiling: the engine is told that it was."""
    engine = Engine.load(sdxl_folder, EngineOptions(device="cpu", max_batch=4, batch_sizes=(1, 2, 4)))
    engine._model.compiled = "full"
    shown: list[int] = []
    predict = engine._model.predict
    engine._model.predict = lambda rows, *arguments, **named: (
        shown.append(len(rows)) or predict(rows, *arguments, **named)
    )
    jobs = [
        Job("a red bag", seed, width=64, height=64, steps=3, guidance=1.0, sampler="euler_ancestral")
        for seed in (1, 2, 3)
    ]
    steps: list[int] = []
    left = engine.paint(
        jobs, on_step=lambda step: steps.append(step.number), is_cancelled=lambda index: index == 0 and len(steps) > 1
    )
    assert shown == [4, 4, 2] and left.indices == (1, 2)
    assert _apart(left.values, sdxl_engine.paint(jobs).values[1:]) < CLOSE


def test_fp8_is_refused_where_it_cannot_run(sdxl_folder: Path) -> None:
    with pytest.raises(EngineUnavailable, match="fp8 was asked for, but it needs a CUDA card, and the device is cpu"):
        Engine.load(sdxl_folder, EngineOptions(device="cpu", fp8=True))


def test_eight_bit_rows_keep_each_value_within_a_sixteenth() -> None:
    import torch

    rows = torch.randn(64, 512, generator=torch.Generator().manual_seed(1)) * torch.logspace(-4, 4, 64).unsqueeze(1)
    values, scale = fp8.quantised(rows)
    assert values.dtype == torch.float8_e4m3fn and scale.shape == (64, 1)
    largest = rows.abs().amax(dim=1, keepdim=True)
    off = (values.float() * scale - rows).abs()
    # A sixteenth of the value, and below the smallest normal number of the row half of the step there.
    assert (off <= torch.maximum(rows.abs() / 16, largest * 2**-10 / 448)).all()
    assert (fp8.quantised(torch.zeros(2, 8))[0].float() == 0).all()


def test_an_fp8_layer_answers_as_its_linear_layer_within_what_eight_bits_give() -> None:
    """On the CPU's own scaled product of e4m3 matrices, which takes the same arguments as the card's."""
    import torch

    torch.manual_seed(0)
    linear = torch.nn.Linear(512, 64).to(torch.bfloat16).requires_grad_(False)
    layer = fp8.layer_class()(linear)
    inputs = torch.randn(3, 5, 512, dtype=torch.bfloat16)
    answer, expected = layer(inputs), linear(inputs)
    assert answer.shape == expected.shape and answer.dtype == torch.bfloat16
    off = (answer - expected).float().norm() / expected.float().norm()
    assert 0.001 < off < 0.06
    other = torch.randn_like(linear.weight)
    layer.replace_weight(other)
    moved = torch.nn.functional.linear(inputs, other, linear.bias)
    assert (layer(inputs) - moved).float().norm() / moved.float().norm() < 0.06


def test_fp8_takes_the_wide_linear_layers_of_the_transformer_blocks_alone() -> None:
    unet = tiny_pipeline().unet
    kinds = fp8.layer_class()
    converted = fp8.convert(unet, least_features=16)
    layers = {name for name, module in unet.named_modules() if isinstance(module, kinds)}
    assert converted == len(layers) > 0
    assert all(".transformer_blocks." in name for name in layers)
    assert any(name.endswith("attn1.to_q") for name in layers) and any(name.endswith("ff.net.2") for name in layers)
    assert fp8.convert(tiny_pipeline().unet) == 0, "the tiny model's layers are too narrow to gain"


def test_a_lora_on_fp8_layers_is_added_to_the_weights_as_they_were_and_taken_off_exactly(tmp_path: Path) -> None:
    import torch

    engine = Engine.of_pipeline(tiny_pipeline(), EngineOptions(device="cpu", fuse_qkv=False), "tiny")
    kinds = fp8.layer_class()
    fp8.convert(engine._model.unet, least_features=16)
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    pairs = matrices(1, layers=(layer,))
    module = engine._model.unet.get_submodule(layer)
    assert isinstance(module, kinds)
    values, scale = module.values.clone(), module.scale.clone()
    engine.load_lora("brand", peft_file(tmp_path / "brand.safetensors", pairs))
    engine.loras.merge("brand", 0.5)
    down, up = pairs[layer]
    wanted, wanted_scale = fp8.quantised(module.original + 0.5 * up @ down)
    assert torch.equal(module.values.float(), wanted.float()) and torch.allclose(module.scale.T, wanted_scale)
    engine.loras.merge(None)
    assert torch.equal(module.values.float(), values.float()) and torch.equal(module.scale, scale)


def _apart(one: Any, other: Any) -> float:
    return float((one - other).abs().max())
