"""What the GPU server is asked and answers, in the shape of OpenAI's Images API with SDXL's own fields beside it.

Belongs here: fields, their limits, jobs made of them, and errors as JSON. Does not belong here: HTTP (`http_api`).

A field that is not known is refused by its name: a picture painted without what was asked for is worse than none.
"""

import hashlib
import json
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, TypeVar

from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources.gpu.jobs import LARGEST_SEED, InvalidJob, Job

SEEDS = 2**32
MODEL_ALIAS = "sdxl"
_CLIP_TOKENS = 77
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_QUALITY_STEPS = {"low": 0.5, "medium": 0.8, "auto": 1.0, "high": 1.4}
# How a job's fields are called here.
_NAMES = {"negative": "negative_prompt", "width": "size", "height": "size"}
_CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "greater_than_equal": "integer_out_of_range",
    "less_than_equal": "integer_out_of_range",
}


class WireError(Exception):
    """What is answered instead of pictures."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """As OpenAI's SDK reads it."""
        return error_body(self.message, self.code, self.param, "invalid_request_error" if self.status < 500 else None)


def error_body(message: str, code: str, param: str | None = None, kind: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind or "server_error", "param": param, "code": code}}


class Generation(BaseModel):
    """The body of POST /v1/images/generations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    model: str | None = None
    n: int = Field(1, ge=1, le=10)
    size: str = "auto"
    quality: Literal["auto", "low", "medium", "high"] = "auto"
    output_format: Literal["png", "webp", "jpeg"] = "png"
    output_compression: int | None = Field(None, ge=0, le=100, description="Quality of WebP and JPEG files.")
    response_format: Literal["b64_json"] = "b64_json"
    background: Literal["auto", "opaque"] = "auto"
    stream: Literal[False] = Field(False, description="Ask for text/event-stream with the header Accept instead.")
    negative_prompt: str = ""
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED - 10, description="Of the first image; others count up.")
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    lora: str | None = None
    lora_scale: float | None = None


class Edit(Generation):
    """The fields of POST /v1/images/edits; its files are `image` and `mask`."""

    strength: float | None = None


B = TypeVar("B", bound=Generation)


@dataclass(frozen=True)
class Defaults:
    """What a request is given that does not say: `steps` are those of quality `auto`."""

    steps: int = 30
    guidance: float = 5.0
    sampler: str = "euler"
    size: str = "1024x1024"
    strength: float = 0.8


@dataclass(frozen=True)
class Asked:
    """A request that can be painted: its fields, and a job for each image. `fingerprint` is equal for equal requests."""

    body: Generation
    jobs: tuple[Job, ...]
    fingerprint: str

    @property
    def size(self) -> str:
        """Width and height as the wire has them."""
        return f"{self.jobs[0].width}x{self.jobs[0].height}"


def read_generation(content: bytes) -> Generation:
    """The fields of a JSON body. Raises WireError naming the first one that is wrong."""
    try:
        fields = json.loads(content)
    except ValueError as error:
        raise WireError(400, f"the body is no JSON: {error}", "invalid_json") from error
    if not isinstance(fields, dict):
        raise WireError(400, "the body is not a JSON object", "invalid_json")
    return _validated(Generation, fields, strict=True)


def read_edit(fields: Mapping[str, str]) -> Edit:
    """The fields of a form. Raises WireError naming the first one that is wrong."""
    return _validated(Edit, dict(fields), strict=False)


def jobs_of(body: Generation, defaults: Defaults, image: bytes | None = None, mask: bytes | None = None) -> Asked:
    """The jobs of a request; without a seed one is drawn. Raises WireError naming the field that is wrong."""
    width, height = _size(defaults.size if body.size == "auto" else body.size)
    if body.lora is None and body.lora_scale is not None:
        raise WireError(400, "lora_scale is given without a lora", "invalid_value", "lora_scale")
    first = random.SystemRandom().randrange(SEEDS) if body.seed is None else body.seed
    strength = body.strength if isinstance(body, Edit) else None
    fields: dict[str, Any] = {
        "prompt": body.prompt,
        "negative": body.negative_prompt,
        "width": width,
        "height": height,
        "steps": math.ceil(defaults.steps * _QUALITY_STEPS[body.quality]) if body.steps is None else body.steps,
        "guidance": defaults.guidance if body.guidance is None else body.guidance,
        "sampler": body.sampler or defaults.sampler,
        "lora": body.lora,
        "lora_scale": 1.0 if body.lora_scale is None else body.lora_scale,
        "image": image,
        "mask": None if mask is None else _painted_where_transparent(mask),
        "strength": defaults.strength if strength is None else strength,
    }
    try:
        jobs = tuple(Job(seed=first + number, **fields) for number in range(body.n))
    except InvalidJob as error:
        raise refusal(error) from error
    return Asked(body, jobs, _fingerprint(body, image, mask))


def refusal(error: InvalidJob) -> WireError:
    """What cannot be painted, as the wire says it."""
    name = _NAMES.get(error.field, error.field)
    return WireError(400, f"{name}: {error.message}", "invalid_value", name)


def usage_of(asked: Asked) -> dict[str, Any]:
    """OpenAI's usage. CLIP reads 77 tokens of the prompt, and as many of the negative where an image is guided; an image
    token is one place of the latents, 8 × 8 pixels.
    """
    one = asked.jobs[0]
    text_tokens = _CLIP_TOKENS * (2 if one.is_guided else 1)
    places = (one.width // 8) * (one.height // 8)
    image_tokens = places if one.image is not None else 0
    output = places * len(asked.jobs)
    return {
        "input_tokens": text_tokens + image_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": image_tokens},
        "output_tokens": output,
        "output_tokens_details": {"image_tokens": output, "text_tokens": 0},
        "total_tokens": text_tokens + image_tokens + output,
    }


def _validated(kind: type[B], fields: dict[str, Any], *, strict: bool) -> B:
    try:
        return kind.model_validate(fields, strict=strict)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or None
        code = _CODES.get(first["type"], "invalid_type" if first["type"].endswith("_type") else "invalid_value")
        said = "is not known here" if code == "unknown_parameter" else first["msg"]
        raise WireError(400, f"{name}: {said}", code, name) from error


def _size(size: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(size)
    if found is None:
        raise WireError(
            400, f"size: is {size!r}; give auto or width and height, as in 1024x1024", "invalid_value", "size"
        )
    return int(found[1]), int(found[2])


def _painted_where_transparent(mask: bytes) -> bytes:
    """OpenAI's masks are transparent where it is painted; the engine's are white there."""
    try:
        with Image.open(BytesIO(mask)) as picture:
            if not picture.has_transparency_data:
                raise WireError(
                    400, "mask: has no alpha channel; make it transparent where it is painted", "invalid_value", "mask"
                )
            alpha = picture.convert("RGBA").getchannel("A")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise WireError(400, f"mask: is no picture that can be read ({error})", "invalid_value", "mask") from error
    white = BytesIO()
    alpha.point([255 - value for value in range(256)]).save(white, "PNG", compress_level=1)
    return white.getvalue()


def _fingerprint(body: Generation, image: bytes | None, mask: bytes | None) -> str:
    said = [type(body).__name__, body.model_dump_json()]
    said += ["" if content is None else hashlib.sha256(content).hexdigest() for content in (image, mask)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
