"""A LoRA is merged into the weights as its matrices say, in any file format and layout, and taken off without a trace."""

from pathlib import Path
from typing import Any

import pytest

from resources.gpu.engine import Engine, EngineOptions, InvalidJob, InvalidLora, Job
from tests.resources.gpu.tiny_sdxl import tiny_pipeline

CLOSE = 1e-4
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3}
BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0"
# Self-attention, cross-attention, what fused projections leave alone, a projection of the block, a convolution.
LAYERS = (
    *(f"{BLOCK}.attn1.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")),
    *(f"{BLOCK}.attn2.{name}" for name in ("to_q", "to_k", "to_v")),
    f"{BLOCK}.ff.net.2",
    "down_blocks.1.attentions.0.proj_in",
    "down_blocks.0.resnets.0.conv1",
)
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


def matrices(seed: int, rank: int = 2, layers: tuple[str, ...] = LAYERS) -> dict[str, tuple[Any, Any]]:
    """Random (down, up) for each layer of the UNet."""
    import torch

    unet, generator = tiny_pipeline().unet, torch.Generator().manual_seed(seed)
    found = {}
    for layer in layers:
        out, inside, *kernel = unet.get_submodule(layer).weight.shape
        down = torch.randn(rank, inside, *kernel, generator=generator)
        found[layer] = (down, torch.randn(out, rank, *[1 for _ in kernel], generator=generator) * 0.3)
    return found


def write(path: Path, tensors: dict[str, Any]) -> Path:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def peft_file(path: Path, pairs: dict[str, tuple[Any, Any]], part: str = "unet") -> Path:
    names = {f"{part}.{layer}": pair for layer, pair in pairs.items()}
    downs = {f"{name}.lora_A.weight": down for name, (down, _) in names.items()}
    return write(path, downs | {f"{name}.lora_B.weight": up for name, (_, up) in names.items()})


def kohya_file(path: Path, pairs: dict[str, tuple[Any, Any]], alpha: float) -> Path:
    import torch

    tensors: dict[str, Any] = {}
    for layer, (down, up) in pairs.items():
        name = "lora_unet_" + layer.replace(".", "_")
        tensors |= {
            f"{name}.lora_down.weight": down,
            f"{name}.lora_up.weight": up,
            f"{name}.alpha": torch.tensor(alpha),
        }
    return write(path, tensors)


def merged_latents(pairs: dict[str, tuple[Any, Any]], factor: float, job: Job) -> Any:
    """What diffusers' pipeline paints when the weights are changed by hand."""
    import torch

    pipeline = tiny_pipeline()
    for layer, (down, up) in pairs.items():
        weight = pipeline.unet.get_submodule(layer).weight
        weight.data += factor * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    return pipeline(
        job.prompt,
        width=job.width,
        height=job.height,
        num_inference_steps=job.steps,
        guidance_scale=job.guidance,
        generator=torch.Generator().manual_seed(job.seed),
        output_type="latent",
    ).images


@pytest.fixture(params=[True, False], ids=["fused", "apart"])
def engine(request: pytest.FixtureRequest, sdxl_folder: Path) -> Engine:
    return Engine.load(sdxl_folder, EngineOptions(device="cpu", fuse_qkv=request.param))


@pytest.mark.parametrize("scale", [1.0, 0.4, -0.5])
def test_a_lora_changes_the_picture_as_its_matrices_say(engine: Engine, tmp_path: Path, scale: float) -> None:
    pairs = matrices(1)
    lora = engine.load_lora("brand", peft_file(tmp_path / "brand.safetensors", pairs))
    assert (lora.name, lora.layers, lora.changes_text) == ("brand", len(LAYERS), False)
    job = Job("a red bag", 1, lora="brand", lora_scale=scale, **SMALL)
    ours, theirs = engine.paint([job]).values, merged_latents(pairs, scale, job)
    assert _apart(ours, theirs) < CLOSE < _apart(ours, engine.paint([Job("a red bag", 1, **SMALL)]).values)


def test_kohya_s_files_are_read_with_their_alpha(sdxl_folder: Path, tmp_path: Path) -> None:
    engine = Engine.load(sdxl_folder, EngineOptions(device="cpu"))
    linear = matrices(2, rank=4, layers=tuple(layer for layer in LAYERS if "conv" not in layer))
    engine.load_lora("brand", kohya_file(tmp_path / "kohya.safetensors", linear, alpha=2.0))
    job = Job("a red bag", 1, lora="brand", **SMALL)
    assert _apart(engine.paint([job]).values, merged_latents(linear, 2.0 / 4, job)) < CLOSE


def test_taking_a_lora_off_restores_every_picture_and_weight_bit_for_bit(engine: Engine, tmp_path: Path) -> None:
    plain = Job("a red bag", 1, **SMALL)
    before, weights = engine.paint([plain]).values, _weights(engine)
    engine.load_lora("brand", peft_file(tmp_path / "brand.safetensors", matrices(1)))
    changed = engine.paint([Job("a red bag", 1, lora="brand", **SMALL)]).values
    assert _apart(changed, before) > CLOSE
    assert (engine.paint([plain]).values == before).all(), "a job without it is painted without it"
    engine.paint([Job("a red bag", 1, lora="brand", **SMALL)])
    engine.unload_lora("brand")
    assert all((now == then).all() for now, then in zip(_weights(engine), weights, strict=True))
    assert (engine.paint([plain]).values == before).all()
    with pytest.raises(InvalidJob, match="not loaded"):
        engine.paint([Job("a red bag", 1, lora="brand", **SMALL)])


def test_a_lora_that_cannot_be_merged_to_its_end_is_taken_off_again(engine: Engine, tmp_path: Path) -> None:
    plain, styled = Job("a red bag", 1, **SMALL), Job("a red bag", 1, lora="brand", **SMALL)
    before = engine.paint([plain]).values
    lora = engine.load_lora("brand", peft_file(tmp_path / "brand.safetensors", matrices(1)))
    whole = engine.paint([styled]).values
    engine.paint([plain])
    layer = lora._changes[-1].layer
    kept, layer.weight = layer.weight, None
    with pytest.raises(AttributeError):
        engine.paint([styled])
    layer.weight = kept
    assert (engine.paint([plain]).values == before).all()
    assert (engine.paint([styled]).values == whole).all()


def test_one_lora_is_swapped_for_another_and_back(engine: Engine, tmp_path: Path) -> None:
    for number, name in enumerate(("spring", "autumn")):
        engine.load_lora(name, peft_file(tmp_path / f"{name}.safetensors", matrices(number)))
    assert engine.lora_names() == ["autumn", "spring"]
    jobs = {name: Job("a red bag", 1, lora=name, **SMALL) for name in engine.lora_names()}
    spring, autumn, again = (engine.paint([jobs[name]]).values for name in ("spring", "autumn", "spring"))
    assert (spring == again).all() and _apart(spring, autumn) > CLOSE
    assert _apart(autumn, merged_latents(matrices(1), 1.0, jobs["autumn"])) < CLOSE


def test_a_name_that_is_taken_is_replaced_also_while_it_is_merged(engine: Engine, tmp_path: Path) -> None:
    job = Job("a red bag", 1, lora="brand", **SMALL)
    engine.load_lora("brand", peft_file(tmp_path / "one.safetensors", matrices(1)))
    first = engine.paint([job]).values
    engine.load_lora("brand", peft_file(tmp_path / "two.safetensors", matrices(2)))
    second = engine.paint([job]).values
    assert _apart(second, first) > CLOSE and _apart(second, merged_latents(matrices(2), 1.0, job)) < CLOSE


def test_a_lora_of_a_text_encoder_is_not_taken_for_the_prompt_as_it_was(sdxl_folder: Path, tmp_path: Path) -> None:
    import torch

    engine = Engine.load(sdxl_folder, EngineOptions(device="cpu"))
    plain, styled = Job("a red bag", 1, **SMALL), Job("a red bag", 1, lora="words", **SMALL)
    before = engine.paint([plain]).values
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        pair = (torch.randn(2, 16, generator=generator), torch.randn(16, 2, generator=generator))
        lora = engine.load_lora("words", peft_file(tmp_path / f"{seed}.safetensors", {TEXT: pair}, "text_encoder_2"))
        assert lora.changes_text
        ours, fresh = engine.paint([styled]).values, Engine.load(sdxl_folder, EngineOptions(device="cpu"))
        fresh._model.text_encoders[1].get_submodule(TEXT).weight.data += pair[1] @ pair[0]
        assert _apart(ours, fresh.paint([plain]).values) < CLOSE < _apart(ours, before)
        assert (engine.paint([plain]).values == before).all()


def test_files_that_do_not_fit_are_refused_by_what_is_wrong(engine: Engine, tmp_path: Path) -> None:
    import torch

    pairs = matrices(1, layers=LAYERS[:1])
    (down, up) = pairs[LAYERS[0]]
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no safetensors")
    refused = {
        "no file": tmp_path / "missing.safetensors",
        "cannot be read": broken,
        "no pair": write(tmp_path / "other.safetensors", {"unet.some.weight": down}),
        "does not have": peft_file(tmp_path / "foreign.safetensors", {"mid_block.attentions.7.proj_in": (down, up)}),
        "is a DoRA": write(tmp_path / "dora.safetensors", {f"unet.{LAYERS[0]}.dora_scale": down}),
        "one matrix": write(tmp_path / "half.safetensors", {f"unet.{LAYERS[0]}.lora_A.weight": down}),
        "another model": peft_file(tmp_path / "wide.safetensors", {LAYERS[0]: (torch.randn(2, 99), up)}),
        "no part of SDXL": peft_file(tmp_path / "third.safetensors", {"layers.0": (down, up)}, "text_encoder_3"),
    }
    for said, path in refused.items():
        with pytest.raises(InvalidLora, match=said):
            engine.load_lora("brand", path)
    assert engine.lora_names() == []
    with pytest.raises(KeyError):
        engine.unload_lora("brand")


def _weights(engine: Engine) -> list[Any]:
    model = engine._model
    return [weight.clone() for part in (model.unet, *model.text_encoders) for weight in part.state_dict().values()]


def _apart(one: Any, other: Any) -> float:
    return float((one - other).abs().max())
