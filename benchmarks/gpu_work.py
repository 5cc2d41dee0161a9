"""The work in a picture, counted, and how fast the device multiplies matrices, measured: what a rate is a share of.

Belongs here: operations and ceilings. Does not belong here: rates of pictures.
"""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.gpu_model import Size, build

NOMINAL_TFLOPS = 790.0
"""What dense bf16 products reach on a Hopper card with 132 multiprocessors; its data sheet says 989."""


@dataclass(frozen=True)
class Work:
    """TFLOP (two for a multiplication with its addition): of the UNet asked once for one picture, of the VAE's decoder; and the
    share of the UNet's that fp8 takes over, the linear layers of its transformer blocks."""

    unet: float
    decode: float
    linear_share: float

    def of_picture(self, steps: int, guided_steps: int) -> float:
        """A picture's TFLOP, prompts aside, as they are remembered."""
        return self.unet * (steps + guided_steps) + self.decode

    def fp8_gain(self, steps: int, guided_steps: int) -> float:
        """The most that linear layers at twice the speed can give (Amdahl)."""
        whole = self.of_picture(steps, guided_steps)
        linear = self.unet * (steps + guided_steps) * self.linear_share
        return whole / (whole - linear / 2)


def count(size: Size, width: int, height: int) -> Work:
    """Counted on a model without memory, operation by operation."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    pipeline = build(size, "meta", torch.float32)
    unet, vae = pipeline.unet, pipeline.vae
    like = {"device": "meta", "dtype": torch.float32}
    latents = torch.empty(1, 4, height // 8, width // 8, **like)
    tokens = torch.empty(1, 77, unet.config.cross_attention_dim, **like)
    pooled = torch.empty(1, pipeline.text_encoder_2.config.projection_dim, **like)
    given = {"text_embeds": pooled, "time_ids": torch.empty(1, 6, **like)}
    linear = _linear_work(unet)
    with torch.no_grad():
        with FlopCounterMode(display=False) as counted:
            unet(latents, torch.empty(1, **like), encoder_hidden_states=tokens, added_cond_kwargs=given)
        with FlopCounterMode(display=False) as decoded:
            vae.decode(latents)
    whole = counted.get_total_flops()
    return Work(whole / 1e12, decoded.get_total_flops() / 1e12, linear[0] / whole)


def measured_tflops(device: str, dtype: Any) -> float:
    """What products of large square matrices reach here now, in TFLOP/s."""
    import torch

    side = 8192 if device.startswith("cuda") else 512
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return _rate(lambda: one @ other, side, device)


def measured_fp8_tflops(device: str) -> float:
    """The same in e4m3 with a scale for each row, as the fp8 layers do it."""
    import torch

    from resources.gpu.fp8 import quantised

    side = 8192 if device.startswith("cuda") else 512
    (one, scale), (other, other_scale) = (quantised(torch.randn(side, side, device=device)) for _ in range(2))
    return _rate(
        lambda: torch.ops.aten._scaled_mm(
            one,
            other.t(),
            scale_a=scale,
            scale_b=other_scale.reshape(1, -1),
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        ),
        side,
        device,
    )


def synchronise(device: str) -> None:
    """Wait until the device has done what it was given."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _rate(multiply: Any, side: int, device: str) -> float:
    for _ in range(5):
        multiply()
    seconds = []
    for _ in range(5):
        synchronise(device)
        began = time.perf_counter()
        for _ in range(10):
            multiply()
        synchronise(device)
        seconds.append((time.perf_counter() - began) / 10)
    return 2 * side**3 / median(seconds) / 1e12


def _linear_work(unet: Any) -> list[float]:
    """A sum that grows, while the UNet runs, by the work of the linear layers that fp8 would replace."""
    import torch
    from diffusers.models.attention import BasicTransformerBlock

    work = [0.0]

    def add(layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        work[0] += 2.0 * output.numel() * layer.in_features

    for block in unet.modules():
        if isinstance(block, BasicTransformerBlock):
            for layer in block.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.register_forward_hook(add)
    return work
