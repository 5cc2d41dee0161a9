"""Linear layers in eight-bit floats: e4m3 with a scale for each row, of the weights once and of the activations as they
come.

Two thirds of the UNet's work are its linear layers, and Hopper's tensor cores do them twice as fast in fp8.
Convolutions and attention stay as they are, so the whole gains a factor of 1.47 at most.

Belongs here: the quantised layer and where it can run. Does not belong here: which engine uses it.
"""

from typing import Any

LARGEST = 448.0  # of e4m3
_ALIGNED = 16
# Small ones (the embeddings of time and size) are as much launch as work.
_LEAST_FEATURES = 512


def why_not(device: Any) -> str | None:
    """Why fp8 cannot be used on a device; None where it can."""
    import torch

    if device.type != "cuda":
        return f"it needs a CUDA card, and the device is {device.type}"
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < (9, 0):
        card = torch.cuda.get_device_name(device)
        return f"row-wise fp8 needs compute capability 9.0 (Hopper) or later, and {card} has {major}.{minor}"
    return None


def convert(unet: Any, least_features: int = _LEAST_FEATURES) -> int:
    """Replace the linear layers of the transformer blocks by fp8 ones; their number."""
    from diffusers.models.attention import BasicTransformerBlock

    layer = layer_class()
    converted = 0
    for block in [module for module in unet.modules() if isinstance(module, BasicTransformerBlock)]:
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if _fits(child, least_features):
                    setattr(parent, name, layer(child))
                    converted += 1
    return converted


def quantised(rows: Any) -> tuple[Any, Any]:
    """(…, features) as e4m3 and the scale of each row (…, 1, float32): rows = values × scale, within 1/16 of each
    value.
    """
    import torch

    scale = rows.float().abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / LARGEST
    return (rows.float() / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scale


def _fits(module: Any, least_features: int) -> bool:
    import torch

    return (
        type(module) is torch.nn.Linear
        and module.in_features >= least_features
        and module.in_features % _ALIGNED == 0
        and module.out_features % _ALIGNED == 0
    )


def layer_class() -> Any:
    """The layer's class; made when asked for, as torch is not imported with this module."""
    global _layer
    if _layer is None:
        _layer = _make_layer_class()
    return _layer


_layer: Any = None


def _make_layer_class() -> Any:
    import torch

    class Fp8Linear(torch.nn.Module):
        """A linear layer with weights in e4m3; answers in the type that it is asked in."""

        values: Any
        scale: Any

        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            values, scale = quantised(linear.weight.data)
            self.register_buffer("values", values)
            self.register_buffer("scale", scale.reshape(1, -1).contiguous())
            self.bias = linear.bias
            # Kept on the host: a LoRA is added to the weights as they were, and the sum is quantised.
            self.original = linear.weight.data.cpu()

        def forward(self, inputs: Any) -> Any:
            rows = inputs.reshape(-1, self.in_features)
            values, scale = quantised(rows)
            answer = torch.ops.aten._scaled_mm(
                values,
                self.values.t(),
                scale_a=scale,
                scale_b=self.scale,
                bias=self.bias,
                out_dtype=inputs.dtype,
                use_fast_accum=True,
            )
            return answer.reshape(*inputs.shape[:-1], self.out_features)

        def replace_weight(self, weight: Any) -> None:
            """Quantise another weight (out, in) into the same memory, so that nothing compiled has to be compiled
            again.
            """
            values, scale = quantised(weight)
            self.values.copy_(values)
            self.scale.copy_(scale.reshape(1, -1))

    return Fp8Linear
