"""The wire shape of OpenAI's Images API, which others speak too: what is asked, what is read, what it costs.

Belongs here: bodies and answers, for single calls and for batches alike. Does not belong here: sending them (`openai_images`,
`openai_batches`).

How a vendor departs from OpenAI stands in the registry's `options`, as `Dialect` has them.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resources.images.costs import Tokens, gpu_cost, picture_cost, token_cost
from resources.images.grid import FORMATS, NoPicture, open_picture
from resources.images.protocol import Generated, Image, ImageRequest, Poisoned, Quality, Refused, SwitchedOff
from resources.images.registry import Gpu, Model, PerImage, PerToken

if TYPE_CHECKING:
    from openai.types import ImagesResponse

SentField = Literal[
    "quality",
    "output_format",
    "background",
    "moderation",
    "safety_identifier",
    "response_format",
    "seed",
    "negative_prompt",
]
_SQUARE = 1024**2
_PROMPT_OVERHEAD = 64
"""Tokens that a vendor may add around a prompt."""
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}\b")
_MOST_COLOURS = 10
_ASPECT_TOLERANCE = 0.05
"""Vendors round the sides of a ratio to what their models make."""


class Dialect(BaseModel):
    """A vendor's own way, from the registry's `options`. The defaults are OpenAI's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sends: tuple[SentField, ...] = ("quality", "output_format", "background", "moderation", "safety_identifier")
    qualities: dict[Quality, str] = Field(default_factory=dict, description="The vendor's words, where not OpenAI's")
    models: dict[Quality, str] = Field(default_factory=dict, description="Another model by quality")
    vector_suffix: str = Field("", description="What makes a model's name that of its twin that draws SVG")
    ratios: tuple[Annotated[str, Field(pattern=r"^\d+:\d+$")], ...] = Field(
        default=(), description="Where sizes are asked as ratios"
    )
    palette: bool = Field(False, description="Whether `controls.colors` are understood")
    moderation: Literal["auto", "low"] = "auto"
    size_exponent: float = Field(0.5, ge=0, le=2, description="Tokens grow with pixels to this power, at the most")
    reference_tokens: int = Field(7000, ge=0, description="The most input tokens that one reference takes")


_QUALITY_WORDS: Mapping[Quality, str] = {"low": "low", "medium": "medium", "high": "high", "ultra": "xhigh"}


@dataclass(frozen=True)
class Asked:
    """What a call sends, whether it is an edit, and the size to hold its pictures against (None: only the ratio)."""

    body: Mapping[str, Any]
    extra: Mapping[str, Any]
    references: tuple[tuple[str, bytes, str], ...]
    size: tuple[int, int] | None
    notes: tuple[str, ...]

    @property
    def is_edit(self) -> bool:
        return bool(self.references)


@lru_cache(maxsize=64)
def _dialect(text: str) -> Dialect:
    return Dialect.model_validate_json(text)


def dialect(model: Model) -> Dialect:
    """Raises SwitchedOff where the registry's options cannot be understood."""
    try:
        return _dialect(json.dumps(model.options, sort_keys=True))
    except (ValidationError, TypeError) as error:
        where = "; ".join(
            f"options.{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in (error.errors() if isinstance(error, ValidationError) else ())
        )
        raise SwitchedOff(f"{model.id}: {where or error}. Correct image_models.yaml", "options") from error


def ask(model: Model, request: ImageRequest, end_user: str | None = None) -> Asked:
    """The body for a request. Raises Refused for what this model does not take, before anything is sent.

    `end_user` is hashed: vendors want to tell users apart, not to know them.
    """
    _refuse(model, request)
    way = dialect(model)
    size, told, notes = _size(model, way, request)
    body: dict[str, Any] = {
        "model": _model_name(model, way, request),
        "prompt": request.prompt,
        "n": request.count,
        "size": told,
    }
    extra: dict[str, Any] = {}
    optional: dict[str, Any] = {
        "quality": way.qualities.get(request.quality, _QUALITY_WORDS[request.quality]),
        "output_format": request.format,
        "background": "transparent" if request.transparent else "opaque",
        "moderation": way.moderation,
        "safety_identifier": safety_identifier(end_user) if end_user else None,
        "response_format": "b64_json",
    }
    references = tuple(_reference(model, place, content) for place, content in enumerate(request.references))
    if references:
        # images.edit knows no such field.
        optional.pop("moderation")
    body |= {name: optional[name] for name in way.sends if optional.get(name) is not None}
    if "seed" in way.sends and request.seed is not None:
        extra["seed"] = request.seed
    if "negative_prompt" in way.sends and request.negative:
        extra["negative_prompt"] = request.negative
    if way.palette and (colours := _palette(request)):
        extra["controls"] = {"colors": [{"rgb": _rgb(colour)} for colour in colours]}
    return Asked(body, extra, references, size, notes)


def estimate(model: Model, request: ImageRequest, *, batch: bool = False) -> int:
    """The most that it may cost, in millionths of a US dollar.

    A prompt has at most one token a byte, whatever the vendor's tokenizer, and is taken as read once a picture.
    """
    if isinstance(model.price, PerImage):
        return picture_cost(model.price, request.quality, request.count, vector=request.format == "svg")
    if isinstance(model.price, Gpu):
        return gpu_cost(model.price, request.count)
    if not isinstance(model.price, PerToken):
        return 0
    way = dialect(model)
    pixels = request.width * request.height / _SQUARE
    out = math.ceil(model.price.tokens[request.quality] * max(1.0, pixels**way.size_exponent))
    text = len(request.prompt.encode()) + len(request.negative.encode()) + _PROMPT_OVERHEAD
    used = Tokens(
        text_in=text * request.count,
        image_in=way.reference_tokens * len(request.references) * request.count,
        image_out=out * request.count,
    )
    return token_cost(model.price, used, batch=batch)


def read(
    model: Model, request: ImageRequest, asked: Asked, answer: "ImagesResponse", *, batch: bool = False
) -> Generated:
    """The pictures of an answer, each decoded whole. One that is unusable is left out and said, as the others are paid for.

    Raises Poisoned, with what was billed, where none is usable.
    """
    cost, used, notes = _cost(model, request, answer, batch)
    images: list[Image] = []
    faults: list[tuple[str, str]] = []
    for place, item in enumerate(answer.data or ()):
        try:
            images.append(_image(request, asked, item.b64_json, item.revised_prompt))
        except _Unusable as error:
            faults.append((error.code, f"picture {place + 1} {error}"))
    if not images:
        code, why = faults[0] if faults else ("no_images", "it holds no picture")
        raise Poisoned(f"{model.id}: it answered as if all were well, but {why}", code, cost)
    said = [*asked.notes, *notes, *(f"{why}, and was left out" for _, why in faults)]
    if len(images) + len(faults) < request.count:
        said.append(f"{len(answer.data or ())} pictures came of the {request.count} that were wanted")
    return Generated(
        images=tuple(images[: request.count]),
        model=str(asked.body["model"]),
        cost=cost,
        usage=used,
        call_id=getattr(answer, "_request_id", None),
        notes=tuple(said),
    )


def safety_identifier(end_user: str) -> str:
    """64 hexadecimal digits that stand for a user and do not tell who it is."""
    return hashlib.sha256(f"luxauto end user\0{end_user}".encode()).hexdigest()


class _Unusable(Exception):
    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def _refuse(model: Model, request: ImageRequest) -> None:
    name, sizes = model.id, model.sizes
    short, long = sorted((request.width, request.height))
    if not request.prompt.strip():
        raise Refused(f"{name}: there is no prompt; write what is to be seen", "prompt")
    if len(request.prompt) > model.most_prompt:
        raise Refused(
            f"{name}: the prompt has {len(request.prompt):,} characters, and {model.most_prompt:,} are taken", "prompt"
        )
    if not 1 <= request.count <= model.most_images:
        raise Refused(f"{name} makes 1 to {model.most_images} pictures at once, not {request.count}", "count")
    if request.format not in model.formats:
        raise Refused(f"{name} does not write {request.format}; it writes {', '.join(model.formats)}", "format")
    if request.transparent and ("transparent" not in model.supports or request.format not in ("png", "webp")):
        raise Refused(f"{name} makes no transparent ground as {request.format}", "transparent")
    if len(request.references) > model.most_references:
        raise Refused(f"{name} takes {model.most_references} references, not {len(request.references)}", "references")
    if short < sizes.smallest or long > sizes.longest:
        raise Refused(
            f"{name} makes sides of {sizes.smallest} to {sizes.longest} pixels, not {request.width}x{request.height}",
            "size",
        )
    if sizes.ratio and long > sizes.ratio * short:
        raise Refused(f"{name}: {request.width}x{request.height} is longer than {sizes.ratio:g} to 1", "size")
    if sizes.most_pixels and short * long > sizes.most_pixels:
        raise Refused(f"{name} makes at most {sizes.most_pixels:,} pixels, not {short * long:,}", "size")


def _size(model: Model, way: Dialect, request: ImageRequest) -> tuple[tuple[int, int] | None, str, tuple[str, ...]]:
    width, height = request.width, request.height
    if way.ratios:
        told = min(way.ratios, key=lambda ratio: abs(math.log(_ratio(ratio) * height / width)))
        return None, told, (f"made at {told}, the nearest that it makes to {width}x{height}",)
    step = model.sizes.multiple_of
    rounded = _rounded_sides(model, width, height)
    if rounded == (width, height):
        return rounded, f"{width}x{height}", ()
    made = f"{rounded[0]}x{rounded[1]}"
    return rounded, made, (f"made at {made} for {width}x{height}, as sides are multiples of {step}",)


def _rounded_sides(model: Model, width: int, height: int) -> tuple[int, int]:
    """Up to a multiple, so that nothing has to be enlarged; down where that would be too long or too many pixels."""
    sizes, step = model.sizes, model.sizes.multiple_of
    up = (math.ceil(width / step) * step, math.ceil(height / step) * step)
    is_fine = (
        max(up) <= sizes.longest
        and (not sizes.most_pixels or up[0] * up[1] <= sizes.most_pixels)
        and (not sizes.ratio or max(up) <= sizes.ratio * min(up))
    )
    if is_fine:
        return up
    down = (max(step, width // step * step), max(step, height // step * step))
    if sizes.ratio and max(down) > sizes.ratio * min(down):
        # Each side for itself may leave the ratio; the shorter one then grows.
        return (down[0], up[1]) if down[0] > down[1] else (up[0], down[1])
    return down


def _ratio(text: str) -> float:
    across, _, down = text.partition(":")
    return int(across) / int(down)


def _model_name(model: Model, way: Dialect, request: ImageRequest) -> str:
    name = way.models.get(request.quality, model.model or model.id)
    return name + way.vector_suffix if request.format == "svg" else name


def _reference(model: Model, place: int, content: bytes) -> tuple[str, bytes, str]:
    try:
        _, kind = open_picture(content)
    except NoPicture as error:
        raise Refused(f"{model.id}: reference {place + 1} {error}", "references") from error
    if len(content) >= 50_000_000:
        raise Refused(
            f"{model.id}: reference {place + 1} has {len(content):,} bytes; 50 MB are the limit", "references"
        )
    media_type = FORMATS[kind]
    return f"reference-{place + 1}.{media_type.rpartition('/')[2]}", content, media_type


def _palette(request: ImageRequest) -> Sequence[str]:
    """The colours given, or else those that the prompt names as #rrggbb, as a brand's kit does."""
    given = request.options.get("palette")
    if given is not None:
        return list(given)
    return list(dict.fromkeys(_COLOUR.findall(request.prompt)))[:_MOST_COLOURS]


def _rgb(colour: object) -> list[int]:
    text = str(colour).lstrip("#")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError as error:
        raise Refused(f"palette: {colour!r} is no colour; write it as #rrggbb", "palette") from error
    return [red, green, blue]


def _cost(
    model: Model, request: ImageRequest, answer: "ImagesResponse", batch: bool
) -> tuple[int, dict[str, Any], Sequence[str]]:
    if isinstance(model.price, PerImage):
        # They are billed as made, those that cannot be used or did not come included.
        count = max(len(answer.data or ()), request.count)
        return picture_cost(model.price, request.quality, count, vector=request.format == "svg"), {"images": count}, ()
    if isinstance(model.price, Gpu):
        return gpu_cost(model.price, request.count), {"images": request.count}, ()
    if not isinstance(model.price, PerToken):
        return 0, {}, ()
    usage = answer.usage
    if usage is None:
        return estimate(model, request, batch=batch), {}, ("it told no usage; the most that it may cost counts",)
    out = usage.output_tokens_details
    text_out = out.text_tokens if out is not None else 0
    taken_in = usage.input_tokens_details
    used = Tokens(
        text_in=usage.input_tokens - taken_in.image_tokens,
        image_in=taken_in.image_tokens,
        text_out=text_out,
        image_out=usage.output_tokens - text_out,
    )
    told = usage.to_dict() | ({"svg": answer.svg_usage.to_dict()} if answer.svg_usage else {})
    return token_cost(model.price, used, batch=batch), told, ()


def _image(request: ImageRequest, asked: Asked, encoded: str | None, revised: str | None) -> Image:
    if not encoded:
        raise _Unusable("came without bytes", "no_bytes")
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _Unusable("is no base64", "unusable_image") from error
    details = {"revised_prompt": revised} if revised else {}
    # Of several pictures nobody tells how each one's seed was drawn from the one that was sent.
    seed = asked.extra.get("seed") if request.count == 1 else None
    if request.format == "svg":
        return _vector(content, request, details)
    try:
        picture, kind = open_picture(content)
    except NoPicture as error:
        raise _Unusable(str(error), "unusable_image") from error
    if asked.size is not None and picture.size != asked.size:
        raise _Unusable(
            f"has {picture.width}x{picture.height} pixels, not {asked.size[0]}x{asked.size[1]}", "wrong_size"
        )
    if asked.size is None:
        wanted, got = _ratio(str(asked.body["size"])), picture.width / picture.height
        if abs(got / wanted - 1) > _ASPECT_TOLERANCE:
            raise _Unusable(f"has {picture.width}x{picture.height} pixels, not {asked.body['size']}", "wrong_size")
    return Image(content, FORMATS[kind], picture.width, picture.height, seed=seed, details=details)


def _vector(content: bytes, request: ImageRequest, details: Mapping[str, Any]) -> Image:
    """As it came and with its own media type: whoever shows it cleans and draws it."""
    try:
        markup = content.decode()
    except UnicodeDecodeError as error:
        raise _Unusable("is no SVG: it is not text", "unusable_image") from error
    if "<svg" not in markup[:2000]:
        raise _Unusable("is no SVG", "unusable_image")
    return Image(content, "image/svg+xml", request.width, request.height, markup=markup, details=details)
