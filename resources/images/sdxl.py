"""Stable Diffusion XL on our own GPU servers, as a provider.

Belongs here: what a request means for the server, what its work cost, and its errors in the protocol's words. Does not belong
here: speaking to one server (`resources/gpu/client`), and choosing among several (`resources/gpu/fleet`).

What it costs is the machine's time: nobody bills a picture that failed. The server knows the effect's key, and seeds are drawn
from it here, so that asking again brings the same picture.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resources.gpu import client as gpu
from resources.gpu.fleet import Fleet
from resources.images.grid import FORMATS, NoPicture, open_picture
from resources.images.protocol import (
    MICROS,
    Cancelled,
    Generated,
    Image,
    ImageRequest,
    Poisoned,
    Quality,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
)
from resources.images.registry import Gpu, Model

USUAL_STEPS = 30
"""Those of the pictures by which the registry says how many an hour are made."""
_QUALITIES: Mapping[Quality, gpu.Quality] = {"low": "low", "medium": "medium", "high": "high", "ultra": "high"}
"""The server makes steps of them, by what its model needs; it has no better than high."""
_STEPS: Mapping[Quality, int] = {"low": 15, "medium": 24, "high": 42, "ultra": 42}
_NUMBERS = ("guidance", "lora_scale", "strength")
_NAMES = ("sampler", "lora")
_SEEDS = 2**32
_OFF_CODES = ("invalid_api_key", "model_not_found")
_HOUR = 3600


class SdxlProvider:
    """An ImageProvider. Of several `urls` the server with the least to do is asked. May be shared by threads."""

    def __init__(self, model: Model, urls: Sequence[str], key: str | None) -> None:
        self._model = model
        self._urls = [url.strip() for url in urls if url.strip()]
        self._key = key
        self._fleet = Fleet(self._urls, key) if self._urls else None

    def unavailable(self) -> str | None:
        """Why it cannot be asked: switched off, no address, or no key where one is needed. Asks nobody."""
        model = self._model
        if model.disabled:
            return " ".join(model.disabled.split())
        if not self._urls:
            return f"{model.id}: no GPU server is known; start `luxauto gpu serve` and set {model.url_variable or 'its url'}"
        for url in self._urls:
            if not url.startswith(("http://", "https://")):
                return f"{model.id}: {url!r} is no address; give one that begins with http:// or https://"
        if not self._key and not model.key_optional:
            return f"{model.id}: no key; set {model.key_variable or 'key_variable in image_models.yaml'}"
        return None

    def estimate(self, request: ImageRequest) -> int:
        """The GPU's time by the registry's pictures an hour, by pixels and steps; in millionths of a US dollar."""
        price = self._price()
        pixels = request.width * request.height / 1024**2
        given = request.options.get("steps")
        steps = (given if isinstance(given, int) and given > 0 else _STEPS[request.quality]) / USUAL_STEPS
        usd = price.usd_per_hour / price.images_per_hour * request.count * pixels * steps
        return math.ceil(usd * MICROS)

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        """Ask once. Every picture's seed is known; with a reference, that picture is changed by `options["strength"]`.

        Raises the protocol's errors; a server that died twice made nothing that anybody has, and is Unavailable.
        """
        why = self.unavailable()
        if why or self._fleet is None:
            raise SwitchedOff(why or "no GPU server", "unavailable")
        asked = self._asked(request, key)
        if is_cancelled():
            raise Cancelled(f"{self._model.id}: not wanted any more; nothing was sent", "cancelled")
        # Headers take neither every letter nor every length.
        digest = hashlib.sha256(key.encode()).hexdigest()
        try:
            answer = self._fleet.generate(asked, idempotency_key=f"luxauto-{digest}", is_cancelled=is_cancelled)
        except gpu.GpuError as error:
            raise self._as_protocol(error) from error
        return self._brought(answer, asked)

    def close(self) -> None:
        """Let go of the connections."""
        if self._fleet is not None:
            self._fleet.close()

    def _asked(self, request: ImageRequest, key: str) -> gpu.GenerationRequest:
        model, options = self._model, request.options
        if not 1 <= request.count <= model.most_images:
            raise Refused(f"{model.id} makes 1 to {model.most_images} pictures at once, not {request.count}", "count")
        if len(request.references) > model.most_references:
            raise Refused(
                f"{model.id} takes {model.most_references} reference, not {len(request.references)}", "references"
            )
        if request.format not in model.formats or request.format == "svg":
            raise Refused(f"{model.id} does not write {request.format}", "format")
        if request.transparent:
            raise Refused(f"{model.id} paints no transparent ground", "transparent")
        if strange := sorted(set(options) - {"steps", *_NUMBERS, *_NAMES}):
            raise Refused(f"{model.id} does not know the options {', '.join(strange)}", "options")
        seed = request.seed
        if seed is None:
            seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % _SEEDS
        return gpu.GenerationRequest(
            prompt=request.prompt,
            negative_prompt=request.negative,
            count=request.count,
            width=request.width,
            height=request.height,
            quality=_QUALITIES[request.quality],
            seed=seed,
            steps=_steps(options),
            guidance=_number(options, "guidance"),
            sampler=_name(options, "sampler"),
            lora=_name(options, "lora"),
            lora_scale=_number(options, "lora_scale"),
            image=request.references[0] if request.references else None,
            strength=_number(options, "strength") if request.references else None,
            output_format=request.format,
            model=model.model or None,
        )

    def _brought(self, answer: gpu.Generated, asked: gpu.GenerationRequest) -> Generated:
        """Raises Poisoned where what came is not what was asked for."""
        cost = self._cost(answer.timing)
        images = []
        for one in answer.images:
            try:
                opened, kind = open_picture(one.content)
            except NoPicture as error:
                raise Poisoned(
                    f"{self._model.id}: a picture of {answer.server} {error}", "unusable_image", cost
                ) from error
            if opened.size != (asked.width, asked.height):
                size = f"{opened.width}x{opened.height}, not {asked.width}x{asked.height}"
                raise Poisoned(f"{self._model.id}: a picture of {answer.server} has {size}", "wrong_size", cost)
            details = {"job": answer.job_id, "server": answer.server}
            images.append(Image(one.content, FORMATS[kind], *opened.size, seed=one.seed, details=details))
        timing = answer.timing
        usage = {
            **answer.usage,
            "seconds": {
                "queued": timing.queued,
                "painting": timing.painting,
                "finishing": timing.finishing,
                "total": timing.total,
            },
        }
        notes = ("the server died while it painted, and was asked once more",) if answer.attempts > 1 else ()
        return Generated(tuple(images), answer.model, cost, usage, answer.job_id, notes)

    def _cost(self, timing: gpu.Timing) -> int:
        """Of the seconds that the GPU worked on it. Those of a batch shared with others count for each of them."""
        seconds = timing.painting + timing.finishing
        return math.ceil(self._price().usd_per_hour / _HOUR * seconds * MICROS)

    def _price(self) -> Gpu:
        price = self._model.price
        if not isinstance(price, Gpu):
            raise ValueError(
                f"{self._model.id}: the price of our own server is of the kind gpu; correct image_models.yaml"
            )
        return price

    def _as_protocol(self, error: gpu.GpuError) -> Exception:
        what = f"{self._model.id}: {error}"
        if isinstance(error, gpu.Busy):
            return Throttled(what, error.code, error.retry_after)
        if isinstance(error, gpu.Cancelled):
            return Cancelled(what, error.code or "cancelled")
        if isinstance(error, gpu.Refused):
            if error.code in _OFF_CODES or error.param == "url":
                return SwitchedOff(what, error.code)
            return Refused(what, error.param or error.code)
        if error.code == "unusable_answer":
            return Poisoned(what, error.code)
        return Unavailable(what, error.code or "server_error")


def _steps(options: Mapping[str, Any]) -> int | None:
    given = options.get("steps")
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given > 0):
        return given
    raise Refused(f"steps is {given!r}; give a whole number from 1", "steps")


def _number(options: Mapping[str, Any], name: str) -> float | None:
    given = options.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise Refused(f"{name} is {given!r}; give a number", name)
    return float(given)


def _name(options: Mapping[str, Any], name: str) -> str | None:
    given = options.get(name)
    if given is None or (isinstance(given, str) and given):
        return given
    raise Refused(f"{name} is {given!r}; give a name", name)
