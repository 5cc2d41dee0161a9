"""Pictures to and from latents: files that a job begins with, the VAE's two halves, and previews.

Belongs here: pixels and the VAE. Does not belong here: noise and steps.
"""

import threading
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from resources.gpu.jobs import InvalidJob
from resources.gpu.loading import Model

_PREVIEW_QUALITY = 80
_SWATCHES = 16


@dataclass(frozen=True)
class Latents:
    """What `paint` gives and `decode` takes: the finished latents (n, 4, height / 8, width / 8, float32) of the jobs
    `indices`.

    `count` jobs were asked for; those not among `indices` were cancelled. `ready` is when a card has them (None on a
    CPU).
    """

    values: Any
    indices: tuple[int, ...]
    count: int
    ready: Any = None

    @property
    def cancelled(self) -> tuple[int, ...]:
        return tuple(sorted(set(range(self.count)) - set(self.indices)))


class Pictures:
    """The VAE of a model: files to latents, latents to pixels. May be called from several threads."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lock = threading.RLock()
        self._stream: Any = None
        self._colours: Any = None

    def encode(self, pixels: Any, generator: Any) -> Any:
        """(1, 3, height, width) in -1 to 1 as latents (1, 4, …, float32), drawn from the VAE's distribution with
        `generator`.
        """
        with self._lock:
            pixels = _laid_out(self._model, pixels.to(self._model.device, self._model.vae.dtype))
            drawn = self._model.vae.encode(pixels).latent_dist.sample(generator)
        return self._scaled(drawn.float())

    def decode(self, latents: Latents) -> list[np.ndarray | None]:
        """Each job's pixels, uint8 (height, width, 3); None for those that were cancelled.

        One picture at a time: at this size one fills a card, memory stays small, and no picture depends on its
        neighbours.
        """
        import torch

        painted: list[np.ndarray | None] = [None] * latents.count
        with torch.inference_mode(), self._lock, self._own_stream(latents):
            for row, index in enumerate(latents.indices):
                painted[index] = self._decode_one(latents.values[row : row + 1])
        return painted

    def preview(self, expected: Any) -> bytes:
        """A WebP of the picture that latents (4, height, width) promise, one pixel for each, by a linear map of their
        channels.
        """
        import torch

        with torch.inference_mode():
            colours = self._linear_colours()
            values = expected.float().permute(1, 2, 0)
            values = torch.cat([values, torch.ones_like(values[..., :1])], dim=-1) @ colours
            pixels = values.mul(127.5).add(127.5).clamp(0, 255).round().to(torch.uint8).cpu().numpy()
        with BytesIO() as file:
            Image.fromarray(pixels).save(file, "WEBP", quality=_PREVIEW_QUALITY, method=0)
            return file.getvalue()

    def _decode_one(self, latents: Any) -> np.ndarray:
        import torch

        unscaled = _laid_out(self._model, self._unscaled(latents).to(self._model.vae.dtype).clone())
        pixels = self._model.decode(unscaled, return_dict=False)[0]
        pixels = pixels[0].float().mul(127.5).add(127.5).clamp(0, 255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).contiguous().cpu().numpy()

    def _linear_colours(self) -> Any:
        """(channels + 1, 3): the least squares from this VAE's latents, and one, to colours, learnt once from random
        swatches.
        """
        import torch

        with self._lock:
            if self._colours is None:
                tile = 4 * self._model.scale_factor
                generator = torch.Generator().manual_seed(0)
                swatches = torch.rand(1, 3, _SWATCHES, _SWATCHES, generator=generator) * 2 - 1
                pixels = swatches.repeat_interleave(tile, dim=2).repeat_interleave(tile, dim=3)
                latents = self.encode(pixels, torch.Generator().manual_seed(0))
                side = latents.shape[-1]
                colours = torch.nn.functional.adaptive_avg_pool2d(pixels, (side, side))
                known = latents[0].flatten(1).T.double().cpu()
                known = torch.cat([known, torch.ones_like(known[:, :1])], dim=1)
                solved = torch.linalg.lstsq(known, colours[0].flatten(1).T.double(), driver="gelsd").solution
                self._colours = solved.float().to(self._model.device)
            return self._colours

    def _own_stream(self, latents: Latents) -> Any:
        """On a card the decoder has a stream of its own, so that copies to the host do not wait for the next batch's
        steps.
        """
        import torch

        if latents.ready is None:
            return torch.cuda.stream(None)
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._model.device)
        self._stream.wait_event(latents.ready)
        latents.values.record_stream(self._stream)
        return torch.cuda.stream(self._stream)

    def _scaled(self, latents: Any) -> Any:
        mean, deviation = self._statistics(latents)
        return (latents - mean) * self._model.vae.config.scaling_factor / deviation

    def _unscaled(self, latents: Any) -> Any:
        mean, deviation = self._statistics(latents)
        return latents * deviation / self._model.vae.config.scaling_factor + mean

    def _statistics(self, latents: Any) -> tuple[Any, Any]:
        import torch

        config = self._model.vae.config
        mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
        if mean is None or deviation is None:
            return 0.0, 1.0
        like = {"device": latents.device, "dtype": latents.dtype}
        return torch.tensor(mean, **like).view(1, -1, 1, 1), torch.tensor(deviation, **like).view(1, -1, 1, 1)


def read_image(content: bytes, width: int, height: int) -> Any:
    """A file's picture as (1, 3, height, width), float32 in -1 to 1; what is transparent is laid on white. Raises
    InvalidJob.
    """
    import torch

    with _opened("image", content) as picture:
        if picture.has_transparency_data:
            opaque = Image.new("RGBA", picture.size, "white")
            opaque.alpha_composite(picture.convert("RGBA"))
            picture = opaque
        pixels = np.asarray(_fitted(picture.convert("RGB"), width, height), dtype=np.float32)
    return torch.from_numpy(pixels / 255.0 * 2.0 - 1.0).permute(2, 0, 1).unsqueeze(0)


def read_mask(content: bytes, width: int, height: int) -> Any:
    """A file's mask as (1, 1, height, width), float32: 1 where it is painted (grey 128 and up), 0 where it is kept.
    Raises InvalidJob.
    """
    import torch

    with _opened("mask", content) as picture:
        grey = np.asarray(_fitted(picture.convert("L"), width, height), dtype=np.float32) / 255.0
    return torch.from_numpy((grey >= 0.5).astype(np.float32))[None, None]


def _opened(field: str, content: bytes) -> Image.Image:
    try:
        picture = Image.open(BytesIO(content))
        picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidJob(field, f"is a picture that breaks off or is damaged ({error}); send it again") from error
    return picture


def _fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS)


def _laid_out(model: Model, tensor: Any) -> Any:
    import torch

    return tensor.contiguous(memory_format=torch.channels_last) if model.channels_last else tensor
