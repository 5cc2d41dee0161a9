"""From a folder of weights to a model that is ready to paint: types, memory layout, fused projections, compilation.

Belongs here: what is done to the model once, when it is loaded. Does not belong here: what is done for each picture.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resources.gpu import fp8

Compile = Literal["auto", "off", "regional", "full"]
# Two widths of blocks × sizes of batches × with and without guidance: the default of 8 would end in an error.
_RECOMPILATIONS = 256


class EngineUnavailable(RuntimeError):
    """The engine cannot be started as asked; the message says why and what to change."""


@dataclass(frozen=True)
class EngineOptions:
    """How a model is held.

    `device`: `auto` is CUDA where there is a card. `dtype`: `auto` is bfloat16 on a card and float32 on a CPU.
    `compile`: `auto` is `regional` on a card (the transformer blocks, minutes at the first start, seconds from
    `compile_cache`), `full` is the whole UNet and the VAE's decoder, which takes many minutes. `batch_sizes` are those
    that are compiled for: a batch between two is filled up. `fp8` needs Hopper or later. `prompts_remembered` is the
    number of prompts whose embeddings are kept.
    """

    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_batch: int = 8
    channels_last: bool = True
    fuse_qkv: bool = True
    compile: Compile = "auto"
    compile_mode: str | None = None
    compile_cache: Path | None = None
    batch_sizes: tuple[int, ...] = (1, 2, 4, 6, 8, 12, 16, 24, 32)
    attention: Literal["auto", "cudnn"] = "auto"
    fp8: bool = False
    prompts_remembered: int = 512
    threads: int | None = None


@dataclass
class Model:
    """The loaded parts, and how they are to be called: `predict` is the UNet, `decode` the VAE's decoder, compiled or
    not.
    """

    unet: Any
    vae: Any
    text_encoders: tuple[Any, Any]
    tokenizers: tuple[Any, Any]
    scheduler: dict[str, Any]
    zeros_for_no_negative: bool
    channels_last: bool
    device: Any
    dtype: Any
    compiled: Literal["off", "regional", "full"]
    predict: Callable[..., Any]
    decode: Callable[..., Any]

    @property
    def scale_factor(self) -> int:
        """Pixels in a latent's side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)


def load_pipeline(source: Path, options: EngineOptions) -> Any:
    """The stock pipeline from a folder as `save_pretrained` writes it; nothing is fetched. Raises EngineUnavailable."""
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
    from diffusers.utils import logging

    logging.disable_progress_bar()
    if not (source / "model_index.json").is_file():
        raise EngineUnavailable(
            f"{source} holds no SDXL model: there is no model_index.json in it. "
            "Give a folder as diffusers' save_pretrained writes it."
        )
    device = _device(options)
    half = any(source.glob("unet/*.fp16.safetensors")) and not any(
        source.glob("unet/diffusion_pytorch_model.safetensors")
    )
    try:
        return StableDiffusionXLPipeline.from_pretrained(
            source,
            dtype=_dtype(options, device),
            variant="fp16" if half else None,
            local_files_only=True,
            use_safetensors=True,
            add_watermarker=False,
        )
    except (OSError, ValueError, KeyError) as error:
        raise EngineUnavailable(f"{source} cannot be loaded as an SDXL model: {error}") from error


def prepare(pipeline: Any, options: EngineOptions) -> Model:
    """The pipeline's parts on their device, in their layout, fused and compiled as the options say. Raises
    EngineUnavailable.
    """
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = _device(options)
    dtype = _dtype(options, device)
    if options.fp8 and (reason := fp8.why_not(device)):
        raise EngineUnavailable(f"fp8 was asked for, but {reason}; start without it")
    unet, vae = pipeline.unet, pipeline.vae
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    # SDXL's VAE overflows in float16, though not in bfloat16.
    vae_dtype = torch.float32 if dtype == torch.float16 and vae.config.force_upcast else dtype
    for part, wanted in ((unet, dtype), *((encoder, dtype) for encoder in encoders), (vae, vae_dtype)):
        part.to(device).eval()
        if part.dtype != wanted:
            part.to(wanted)
    if options.channels_last:
        unet.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    if options.fuse_qkv:
        _fuse(unet)
        _fuse(vae)
    for part in (unet, vae, *encoders):
        part.requires_grad_(False)
    if options.fp8:
        fp8.convert(unet)
    model = Model(
        unet=unet,
        vae=vae,
        text_encoders=encoders,
        tokenizers=(pipeline.tokenizer, pipeline.tokenizer_2),
        scheduler=dict(pipeline.scheduler.config),
        zeros_for_no_negative=bool(pipeline.config.force_zeros_for_empty_prompt),
        channels_last=options.channels_last,
        device=device,
        dtype=dtype,
        compiled="off",
        predict=unet.forward,
        decode=vae.decode,
    )
    _compile(model, options)
    return model


def _device(options: EngineOptions) -> Any:
    import torch

    name = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise EngineUnavailable(
            f"the device {name} was asked for, but torch {torch.__version__} sees no CUDA card here"
        )
    return torch.device(name)


def _dtype(options: EngineOptions, device: Any) -> Any:
    import torch

    if options.dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[options.dtype]


def _fuse(part: Any) -> None:
    """One matrix for query, key and value; those it was made of are dropped, so that it costs no memory."""
    from diffusers.models.attention_processor import Attention

    part.fuse_qkv_projections()
    for module in part.modules():
        if isinstance(module, Attention):
            gone = ("to_k", "to_v") if module.is_cross_attention else ("to_q", "to_k", "to_v")
            for name in gone:
                delattr(module, name)


def _compile(model: Model, options: EngineOptions) -> None:
    import torch

    wanted = options.compile
    if wanted == "auto":
        wanted = "regional" if model.device.type == "cuda" else "off"
    model.compiled = wanted
    if wanted == "off":
        return
    if options.compile_cache is not None:
        options.compile_cache.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(options.compile_cache / "inductor")
        os.environ["TRITON_CACHE_DIR"] = str(options.compile_cache / "triton")
    # The limit goes with what is compiled: dynamo's own setting holds in the thread that set it, and others paint.
    how: dict[str, Any] = {"fullgraph": True, "dynamic": False, "mode": options.compile_mode}
    how["recompile_limit"] = _RECOMPILATIONS
    if wanted == "regional":
        model.unet.compile_repeated_blocks(**how)
    else:
        model.predict = torch.compile(model.unet.forward, **how)
        model.decode = torch.compile(model.vae.decode, **how)
