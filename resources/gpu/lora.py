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


class InvalidLora(ValueError):
    """A LoRA cannot be used; the message names it and says why."""


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
            if wanted is not None:
                self._put_on(*wanted)

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
    from diffusers import StableDiffusionXLPipeline

    if not path.is_file():
        raise InvalidLora(f"LoRA {name!r}: there is no file {path}")
    try:
        tensors, alphas = StableDiffusionXLPipeline.lora_state_dict(
            str(path.parent),
            weight_name=path.name,
            local_files_only=True,
            use_safetensors=True,
            unet_config=model.unet.config,
        )
    except Exception as error:
        raise InvalidLora(f"LoRA {name!r}: {path} cannot be read as one: {error}") from error
    pairs = _pairs(tensors)
    if not pairs:
        raise InvalidLora(f"LoRA {name!r}: {path} holds no pair of LoRA matrices")
    roots = {"unet": model.unet, "text_encoder": model.text_encoders[0], "text_encoder_2": model.text_encoders[1]}
    for key, pair in pairs.items():
        part, _, inside = key.partition(".")
        if "down" not in pair or "up" not in pair:
            raise InvalidLora(f"LoRA {name!r}: {key} has one matrix where two are needed")
        layer, first, last = _target(roots.get(part), inside, name)
        rank = pair["down"].shape[0]
        alpha = float((alphas or {}).get(f"{key}.alpha", pair.get("alpha", rank)))
        _check_fit(name, key, layer, last - first, pair)
        yield _Change(layer, first, last, pair["down"], pair["up"], alpha / rank)


def _pairs(tensors: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By layer: the two matrices, whatever a file calls them."""
    endings = {
        ".lora_A.weight": "down",
        ".lora_B.weight": "up",
        ".lora.down.weight": "down",
        ".lora.up.weight": "up",
        ".lora_linear_layer.down.weight": "down",
        ".lora_linear_layer.up.weight": "up",
        ".alpha": "alpha",
    }
    pairs: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        for ending, role in endings.items():
            if key.endswith(ending):
                layer = key.removesuffix(ending).replace(".processor.", ".").replace("_lora", "")
                pairs.setdefault(layer, {})[role] = tensor
    return {layer: pair for layer, pair in pairs.items() if "down" in pair or "up" in pair}


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
