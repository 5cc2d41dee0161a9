"""A brand's style as a LoRA: small matrices that are added to the model's weights, and taken off again.

They are merged into the weights in place: nothing is computed besides in a step, nothing compiled is compiled again,
and fused and fp8 layers work alike. What the weights were is kept beside, so that taking a LoRA off restores them bit
for bit.

Belongs here: files of LoRAs, and merging. Does not belong here: when which is used.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.gpu.loading import Model

_FUSED = {"to_q": ("to_qkv", 0), "to_k": ("to_qkv", 1), "to_v": ("to_qkv", 2)}
_FUSED_CROSS = {"to_k": ("to_kv", 0), "to_v": ("to_kv", 1)}
_ENDINGS = {
    f".{name}.weight": role
    for role, names in {
        "down": ("lora_A", "lora.down", "lora_linear_layer.down"),
        "up": ("lora_B", "lora.up", "lora_linear_layer.up"),
    }.items()
    for name in names
}


class InvalidLora(ValueError):
    """A LoRA cannot be used; the message names it and says why."""


@dataclass(frozen=True, eq=False)
class _Change:
    """Rows `first` to `last` of a layer's weight (out, in, …) gain up (out, rank, …) @ down (rank, in, …), times
    `alpha` / rank.
    """

    layer: Any
    first: int
    last: int
    down: Any
    up: Any
    factor: float


@dataclass(frozen=True, eq=False)
class Lora:
    """One that is loaded: its name, where from, how many layers it changes, and whether prompts are read differently
    with it.
    """

    name: str
    path: Path
    layers: int
    changes_text: bool
    _changes: tuple[_Change, ...]


class Loras:
    """Those that are loaded, by name, and the one that is merged. May be called from several threads."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._loaded: dict[str, Lora] = {}
        self._merged: tuple[Lora, float] | None = None
        self._originals: list[tuple[Any, Any]] = []
        self._lock = threading.RLock()

    def __contains__(self, name: object) -> bool:
        return name in self._loaded

    def __getitem__(self, name: str) -> Lora:
        return self._loaded[name]

    def names(self) -> list[str]:
        return sorted(self._loaded)

    def load(self, name: str, path: Path) -> Lora:
        """Read a safetensors file in diffusers' or Kohya's format; a name that is taken is replaced. Raises
        InvalidLora.
        """
        changes = tuple(_read(self._model, name, path))
        encoders = {id(module) for encoder in self._model.text_encoders for module in encoder.modules()}
        lora = Lora(name, path, len(changes), any(id(change.layer) in encoders for change in changes), changes)
        with self._lock:
            self._take_off_if(name)
            self._loaded[name] = lora
        return lora

    def unload(self, name: str) -> None:
        """Forget one, and take it off. Raises KeyError where it is not loaded."""
        with self._lock:
            del self._loaded[name]
            self._take_off_if(name)

    def merge(self, name: str | None, scale: float = 1.0) -> None:
        """Have the weights as this one makes them, and no other. Raises KeyError where it is not loaded."""
        with self._lock:
            wanted = None if name is None else (self._loaded[name], scale)
            if wanted == self._merged:
                return
            self._take_off()
            if wanted is None:
                return
            try:
                self._put_on(*wanted)
            except BaseException:
                # Memory may run out in the middle: half a LoRA is none.
                self._take_off()
                raise

    def _put_on(self, lora: Lora, scale: float) -> None:
        import torch

        by_layer: dict[int, list[_Change]] = {}
        for change in lora._changes:
            by_layer.setdefault(id(change.layer), []).append(change)
        with torch.no_grad():
            for changes in by_layer.values():
                weight = _weight(changes[0].layer, self._model.device)
                merged = weight.float()
                if merged is weight:
                    merged = weight.clone()
                for change in changes:
                    merged[change.first : change.last] += _delta(change, self._model.device, scale).reshape(
                        merged[change.first : change.last].shape
                    )
                self._replace(changes[0].layer, merged)
        self._merged = (lora, scale)

    def _replace(self, layer: Any, weight: Any) -> None:
        for tensor in _tensors(layer):
            self._originals.append((tensor, tensor.detach().clone()))
        if hasattr(layer, "replace_weight"):
            layer.replace_weight(weight)
        else:
            layer.weight.data.copy_(weight)

    def _take_off_if(self, name: str) -> None:
        if self._merged is not None and self._merged[0].name == name:
            self._take_off()

    def _take_off(self) -> None:
        import torch

        with torch.no_grad():
            for tensor, original in self._originals:
                tensor.data.copy_(original)
        self._originals = []
        self._merged = None


def _weight(layer: Any, device: Any) -> Any:
    """The weight as it was loaded; an fp8 layer keeps it on the host."""
    return layer.original.to(device) if hasattr(layer, "original") else layer.weight.data


def _tensors(layer: Any) -> tuple[Any, ...]:
    return (layer.values, layer.scale) if hasattr(layer, "replace_weight") else (layer.weight,)


def _delta(change: _Change, device: Any, scale: float) -> Any:
    """(out, in × kernel) of one change."""
    down = change.down.to(device).float().flatten(1)
    up = change.up.to(device).float().flatten(1)
    return (up @ down) * (change.factor * scale)


def _read(model: Model, name: str, path: Path) -> Iterator[_Change]:
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
    from safetensors import safe_open

    if not path.is_file():
        raise InvalidLora(f"LoRA {name!r}: there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
        read: Any = StableDiffusionXLPipeline.lora_state_dict
        tensors, alphas = read(
            str(path.parent),
            weight_name=path.name,
            local_files_only=True,
            use_safetensors=True,
            unet_config=model.unet.config,
        )
    except Exception as error:
        raise InvalidLora(f"LoRA {name!r}: {path} cannot be read as one: {error}") from error
    if any("dora_scale" in each for each in names):
        # Diffusers would leave the scales out and paint something else.
        raise InvalidLora(f"LoRA {name!r}: {path} is a DoRA, which is not merged; train it as a plain LoRA")
    pairs = _pairs(name, tensors | (alphas or {}))
    roots = {"unet": model.unet, "text_encoder": model.text_encoders[0], "text_encoder_2": model.text_encoders[1]}
    for key, pair in pairs.items():
        part, _, inside = key.partition(".")
        if "down" not in pair or "up" not in pair:
            raise InvalidLora(f"LoRA {name!r}: {key} has one matrix where two are needed")
        layer, first, last = _target(roots.get(part), inside, name)
        rank = pair["down"].shape[0]
        alpha = float(pair.get("alpha", rank))
        _check_fit(name, key, layer, last - first, pair)
        yield _Change(layer, first, last, pair["down"], pair["up"], alpha / rank)


def _pairs(name: str, tensors: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By layer: the two matrices and the alpha, whatever a file calls them."""
    pairs: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        layer, role = _layer_and_role(key)
        if role is None:
            raise InvalidLora(
                f"LoRA {name!r} holds {key}, which is no pair of LoRA matrices; LoHa, LoKr and DoRA are not merged"
            )
        pairs.setdefault(layer, {})[role] = tensor
    return pairs


def _layer_and_role(key: str) -> tuple[str, str | None]:
    """`unet.….attn1.processor.to_out_lora.down.weight` is the `down` of `unet.….attn1.to_out.0`."""
    key = key.replace(".processor.", ".").replace("_lora.", ".lora.")
    is_alpha = key.endswith(".alpha")
    role = "alpha" if is_alpha else None
    layer = key.removesuffix(".alpha")
    for ending, matrix in _ENDINGS.items():
        if layer.endswith(ending):
            layer, role = layer.removesuffix(ending), role or matrix
            break
    return (f"{layer}.0" if layer.endswith(".to_out") else layer), role


def _target(root: Any, path: str, name: str) -> tuple[Any, int, int]:
    """The layer that a path names, and the rows of its weight: a part of them where projections are fused."""
    if root is None:
        raise InvalidLora(f"LoRA {name!r} changes {path}, which is no part of SDXL")
    steps = path.split(".")
    owner = root
    for step in steps[:-1]:
        owner = _child(owner, step)
        if owner is None:
            raise InvalidLora(
                f"LoRA {name!r} changes {path}, which this model does not have; was it made for another model?"
            )
    layer = _child(owner, steps[-1])
    if hasattr(layer, "weight") or hasattr(layer, "replace_weight"):
        return layer, 0, _rows(layer)
    for fused in (_FUSED, _FUSED_CROSS):
        whole, part = fused.get(steps[-1], (None, 0))
        layer = _child(owner, whole) if whole else None
        if layer is not None:
            height = _rows(layer) // (3 if fused is _FUSED else 2)
            return layer, part * height, (part + 1) * height
    raise InvalidLora(f"LoRA {name!r} changes {path}, which this model does not have; was it made for another model?")


def _child(module: Any, name: str) -> Any:
    return module._modules.get(name)


def _rows(layer: Any) -> int:
    return layer.out_features if hasattr(layer, "out_features") else layer.weight.shape[0]


def _check_fit(name: str, key: str, layer: Any, rows: int, pair: dict[str, Any]) -> None:
    columns = layer.in_features if hasattr(layer, "in_features") else layer.weight[0].numel()
    up, down = pair["up"].flatten(1), pair["down"].flatten(1)
    if up.shape != (rows, down.shape[0]) or down.shape[1] != columns:
        raise InvalidLora(
            f"LoRA {name!r}: {key} is {tuple(up.shape)} × {tuple(down.shape)}, the layer {rows} × {columns}; "
            "was it made for another model?"
        )
