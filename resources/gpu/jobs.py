"""What can be painted: one job is one picture, and jobs of one shape can share a batch.

Belongs here: a job's fields and what no engine can paint. Does not belong here: what depends on the model that is
loaded (its samplers, its LoRAs), which `engine.Engine.check` refuses.
"""

import math
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

LEAST_SIDE, LARGEST_SIDE = 64, 2048
LARGEST_STEPS = 150
LARGEST_GUIDANCE = 30.0
LARGEST_LORA_SCALE = 2.0
LONGEST_PROMPT = 4000
LARGEST_SEED = 2**63 - 1
LARGEST_PICTURE = 64_000_000
_ALIGNED = 8


class InvalidJob(ValueError):
    """`field` of a job is such that it cannot be painted; the message says why and what to give instead."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Job:
    """One picture: words, seed and size, and optionally a picture to begin with (`image`) and where it may change
    (`mask`).

    `image` and `mask` are files of pictures, scaled to `width` and `height`; white in the mask is painted, black is
    kept. `strength` is how much of the way from noise is gone: 1 forgets the image, 0.3 retouches it. `guidance` of 1
    or less asks the model once a step instead of twice, as few-step models want. `guided` is the part of the steps (0
    to 1) in which guidance is used. Raises InvalidJob.
    """

    prompt: str
    seed: int
    negative: str = ""
    width: int = 1024
    height: int = 1024
    steps: int = 30
    guidance: float = 5.0
    sampler: str = "euler"
    lora: str | None = None
    lora_scale: float = 1.0
    image: bytes | None = None
    mask: bytes | None = None
    strength: float = 0.8
    guided: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        self._check_words()
        self._check_size()
        self._check_numbers()
        self._check_pictures()

    @property
    def kind(self) -> str:
        """`text`, `image` or `inpaint`: what it begins with."""
        if self.image is None:
            return "text"
        return "image" if self.mask is None else "inpaint"

    @property
    def is_guided(self) -> bool:
        """Whether the model is asked for the negative too."""
        return self.guidance > 1.0

    def shape(self) -> tuple[object, ...]:
        """Jobs of equal shape can be painted in one batch: what is left to differ is words, seed, guidance and
        pictures.
        """
        return (
            self.width,
            self.height,
            self.steps,
            self.sampler,
            self.is_guided,
            self.guided if self.is_guided else None,
            (self.lora, self.lora_scale) if self.lora is not None else None,
            self.kind,
            self.strength if self.image is not None else None,
        )

    def _check_words(self) -> None:
        for field, words in (("prompt", self.prompt), ("negative", self.negative)):
            if len(words) > LONGEST_PROMPT:
                raise InvalidJob(field, f"has {len(words)} characters, the most is {LONGEST_PROMPT}")
        if not self.prompt.strip():
            raise InvalidJob("prompt", "is empty; say what is to be seen")

    def _check_size(self) -> None:
        for field, side in (("width", self.width), ("height", self.height)):
            if side % _ALIGNED:
                raise InvalidJob(field, f"is {side}; give a multiple of {_ALIGNED}, such as {_nearest_aligned(side)}")
            if not LEAST_SIDE <= side <= LARGEST_SIDE:
                raise InvalidJob(field, f"is {side}; give {LEAST_SIDE} to {LARGEST_SIDE} pixels")

    def _check_numbers(self) -> None:
        _within("seed", self.seed, 0, LARGEST_SEED)
        _within("steps", self.steps, 1, LARGEST_STEPS)
        _within("guidance", self.guidance, 0.0, LARGEST_GUIDANCE)
        _within("lora_scale", self.lora_scale, -LARGEST_LORA_SCALE, LARGEST_LORA_SCALE)
        first, last = self.guided
        if not 0.0 <= first <= last <= 1.0:
            raise InvalidJob("guided", f"is {first} to {last}; give a part of the steps, such as 0 to 0.6")

    def _check_pictures(self) -> None:
        if self.mask is not None and self.image is None:
            raise InvalidJob("mask", "is given without an image; give the image that it belongs to")
        for field, content in (("image", self.image), ("mask", self.mask)):
            if content is not None:
                _check_picture(field, content)
        if self.image is None:
            return
        if not (math.isfinite(self.strength) and 0.0 < self.strength <= 1.0):
            raise InvalidJob("strength", f"is {self.strength}; give more than 0, up to 1")
        if int(self.steps * self.strength) < 1:
            raise InvalidJob("strength", f"of {self.strength} leaves none of {self.steps} steps; raise one of the two")


def _within(field: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InvalidJob(field, f"is {value}; give {least} to {most}")


def _nearest_aligned(side: int) -> int:
    return min(max(round(side / _ALIGNED) * _ALIGNED, LEAST_SIDE), LARGEST_SIDE)


def _check_picture(field: str, content: bytes) -> None:
    """The header alone is read; that all of it can be decoded is found when it is painted."""
    try:
        with Image.open(BytesIO(content)) as picture:
            width, height = picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidJob(field, f"is no picture that can be read ({error}); give PNG, JPEG or WebP") from error
    if width * height > LARGEST_PICTURE:
        raise InvalidJob(field, f"has {width} × {height} pixels; give at most {LARGEST_PICTURE}")
