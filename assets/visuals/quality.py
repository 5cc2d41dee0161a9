"""Whether a picture is good enough to be shown: checks on its bytes, and a score whose parts are told.

Belongs here: what is measured, the limits and the score. Does not belong here: what happens to a picture that fails.

A check that could not be made, as where no reader of text is installed, is `skipped`: it neither passes nor counts. The limits
were found on synthetic scenes and on typeset pages; `Limits` changes them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from assets.visuals.colour import ciede2000, lab, rgb_of

if TYPE_CHECKING:
    from PIL.Image import Image

Status = Literal["passed", "warned", "failed", "skipped"]
TextReader = Callable[[bytes], Iterable[str]]
"""Gives what it reads in a picture: its readings one after the other, the quickest first."""
NudityScorer = Callable[[bytes], float]
"""Gives 0 (none) to 1."""

MAX_PIXELS = 64_000_000
WEIGHTS: dict[str, float] = {
    "blank": 3,
    "blur": 2,
    "noise": 2,
    "resolution": 1.5,
    "aspect": 0.5,
    "palette": 2,
    "duplicate": 1,
    "legibility": 2,
    "nudity": 2,
}
FAILED_AT_MOST = 0.49
"""A picture that fails a check scores no more, however good it is elsewhere."""


@dataclass(frozen=True)
class Limits:
    """Where a check warns and fails. Distances are CIEDE2000, sharpness is the Laplacian's variance at 512 pixels."""

    deviation: float = 3.0
    sharpness: float = 60.0
    soft: float = 150.0
    noise_entropy: float = 7.5
    noise_sharpness: float = 2000.0
    shortest_side: int = 512
    aspect: float = 0.01
    palette_warn: float = 12.0
    palette_fail: float = 20.0
    duplicate_bits: int = 6
    duplicate_likeness: float = 0.97
    legible: float = 0.9
    illegible: float = 0.6
    nudity: float = 0.5


@dataclass(frozen=True)
class Check:
    """One check's outcome. `score` is 0 to 1, None where it was skipped; `value` is what was measured, in the check's unit."""

    name: str
    status: Status
    score: float | None
    value: float | str | None
    message: str

    def __post_init__(self) -> None:
        if self.score is not None:
            object.__setattr__(self, "score", round(self.score, 4))


@dataclass(frozen=True)
class Report:
    """All checks of one picture. `score` is their weighted mean without the skipped, at most 0.49 where one failed."""

    width: int
    height: int
    format: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        found = {check.status for check in self.checks}
        return "failed" if "failed" in found else "warned" if "warned" in found else "passed"

    @property
    def score(self) -> float:
        counted = [(WEIGHTS[c.name], c.score) for c in self.checks if c.score is not None and c.name in WEIGHTS]
        if not counted:
            return 0.0
        mean = sum(weight * score for weight, score in counted) / sum(weight for weight, _ in counted)
        return round(min(mean, FAILED_AT_MOST) if self.status == "failed" else mean, 4)

    def as_dict(self) -> dict[str, Any]:
        parts = [{**vars(check), "weight": WEIGHTS.get(check.name, 0)} for check in self.checks]
        size = {"width": self.width, "height": self.height, "format": self.format}
        return {"status": self.status, "score": self.score, **size, "checks": parts}


@dataclass(frozen=True)
class Fingerprint:
    """What a picture looks like from afar: 64 bits, the same of its mirror image, and a small grey picture."""

    bits: int
    mirrored: int
    grey: Any = field(compare=False, repr=False)


def judge(
    content: bytes,
    *,
    palette: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    others: Mapping[str, Fingerprint] | None = None,
    texts: Sequence[str] = (),
    reader: TextReader | None = None,
    nudity: NudityScorer | None = None,
    limits: Limits = Limits(),
) -> Report:
    """Check a picture's bytes.

    `palette` holds the brand's colours (`#RRGGBB`), `size` what was asked for, `others` the pictures it must not repeat,
    `texts` what should be read in it. What is not given is not checked, and is said to be skipped.
    """
    try:
        picture = _opened(content)
    except Exception as error:
        unreadable = Check("readable", "failed", 0.0, None, f"it cannot be read as a picture: {error}"[:200])
        return Report(0, 0, "", (unreadable,))
    rgb = _on_white(picture)
    grey = rgb.convert("L")
    blank = _blank(grey, limits)
    plain = blank.status == "failed"
    checks = (
        blank,
        _not_for_blank("blur") if plain else _blur(grey, limits),
        _not_for_blank("noise") if plain else _noise(grey, limits),
        _resolution(picture.size, size, limits),
        _aspect(picture.size, size, limits),
        _palette(rgb, palette, limits),
        _not_for_blank("duplicate") if plain else _duplicate(_fingerprint(grey), others, limits),
        _legibility(content, texts, reader, limits),
        _nudity(content, nudity, limits),
    )
    return Report(*picture.size, picture.format or "", checks)


def fingerprint(content: bytes) -> Fingerprint:
    """Of a picture's bytes, to compare others with. Raises an exception of Pillow for what is no picture."""
    return _fingerprint(_on_white(_opened(content)).convert("L"))


def palette_distance(content: bytes, palette: Sequence[str]) -> float:
    """How far a picture's six main colours lie from the nearest of the palette, in CIEDE2000, weighted by their area."""
    return _distance(_on_white(_opened(content)), palette)


def alike(one: Fingerprint, other: Fingerprint, limits: Limits = Limits()) -> str | None:
    """`"same"` or `"mirrored"` where two pictures show the same, None where they do not.

    Bits alone would call all pages of one layout the same, so the small grey pictures must agree too.
    """
    if _bits_apart(one.bits, other.bits) <= limits.duplicate_bits and _likeness(one.grey, other.grey) >= (
        limits.duplicate_likeness
    ):
        return "same"
    if _bits_apart(one.mirrored, other.bits) <= limits.duplicate_bits and _likeness(one.grey[:, ::-1], other.grey) >= (
        limits.duplicate_likeness
    ):
        return "mirrored"
    return None


# The checks


def _blank(grey: Image, limits: Limits) -> Check:
    import numpy as np

    deviation = float(np.asarray(grey, dtype=np.float32).std())
    if deviation < limits.deviation:
        return Check("blank", "failed", 0.0, round(deviation, 2), "it shows nothing: one even tone")
    return Check("blank", "passed", 1.0, round(deviation, 2), f"grey values deviate by {deviation:.1f}")


def _blur(grey: Image, limits: Limits) -> Check:
    """By the sharpest parts: white space and an unsharp background are no faults."""
    _, sharpest = _sharpness(grey)
    score = _between(sharpest, limits.sharpness, limits.soft)
    value = round(sharpest, 1)
    if sharpest < limits.sharpness:
        return Check("blur", "failed", 0.0, value, f"nothing in it is sharp ({value} of at least {limits.sharpness:g})")
    status: Status = "warned" if sharpest < limits.soft else "passed"
    return Check("blur", status, 0.5 + score / 2, value, f"sharpness {value}")


def _noise(grey: Image, limits: Limits) -> Check:
    overall, _ = _sharpness(grey)
    entropy = grey.entropy()
    value = round(entropy, 2)
    if entropy > limits.noise_entropy and overall > limits.noise_sharpness:
        return Check("noise", "failed", 0.0, value, f"it looks like noise ({value} bits a pixel, rough all over)")
    return Check("noise", "passed", 1.0, value, f"{value} bits a pixel")


def _resolution(found: tuple[int, int], asked: tuple[int, int] | None, limits: Limits) -> Check:
    width, height = found
    value = f"{width}x{height}"
    if asked is not None:
        share = min(1.0, width / asked[0], height / asked[1])
        if share < 1:
            return Check("resolution", "failed", share / 2, value, f"smaller than the {asked[0]}x{asked[1]} asked for")
        return Check("resolution", "passed", 1.0, value, f"at least the {asked[0]}x{asked[1]} asked for")
    share = min(1.0, min(width, height) / limits.shortest_side)
    if share < 1:
        return Check("resolution", "failed", share / 2, value, f"a side is below {limits.shortest_side} pixels")
    return Check("resolution", "passed", 1.0, value, f"no side is below {limits.shortest_side} pixels")


def _aspect(found: tuple[int, int], asked: tuple[int, int] | None, limits: Limits) -> Check:
    if asked is None:
        return Check("aspect", "skipped", None, None, "no size was asked for")
    off = abs(math.log((found[0] / found[1]) / (asked[0] / asked[1])))
    if off > limits.aspect:
        message = f"its sides are {found[0] / found[1]:.3f}:1, asked for were {asked[0] / asked[1]:.3f}:1"
        return Check("aspect", "failed", max(0.0, 0.5 - off), round(off, 4), message)
    return Check("aspect", "passed", 1.0, round(off, 4), "its sides have the ratio asked for")


def _palette(rgb: Image, palette: Sequence[str], limits: Limits) -> Check:
    if not palette:
        return Check("palette", "skipped", None, None, "no brand kit was given")
    distance = _distance(rgb, palette)
    value, score = round(distance, 2), 1 - _between(distance, 0, limits.palette_fail)
    if distance > limits.palette_fail:
        return Check("palette", "failed", 0.0, value, f"its colours are not the brand's ({value} from the palette)")
    status: Status = "warned" if distance > limits.palette_warn else "passed"
    return Check("palette", status, score, value, f"its main colours lie {value} from the palette")


def _duplicate(found: Fingerprint, others: Mapping[str, Fingerprint] | None, limits: Limits) -> Check:
    if others is None:
        return Check("duplicate", "skipped", None, None, "there were no pictures to compare with")
    for name, other in others.items():
        kind = alike(found, other, limits)
        if kind:
            shown = f"it shows the same as {name}" if kind == "same" else f"it is the mirror image of {name}"
            return Check("duplicate", "failed", 0.0, name, shown)
    return Check("duplicate", "passed", 1.0, None, f"unlike {len(others)} others")


def _legibility(content: bytes, texts: Sequence[str], reader: TextReader | None, limits: Limits) -> Check:
    wanted = [word for text in texts for word in _words(text)]
    if not wanted:
        return Check("legibility", "skipped", None, None, "no text was expected")
    if reader is None:
        return Check("legibility", "skipped", None, None, "no reader of text is installed")
    try:
        share = _share_read(wanted, reader(content), limits.legible)
    except Exception as error:
        return Check("legibility", "skipped", None, None, f"the reader of text failed: {error}"[:200])
    message = f"{share:.0%} of {len(wanted)} words are read"
    score = _between(share, 0, limits.legible)
    if share < limits.illegible:
        return Check("legibility", "failed", score / 2, round(share, 3), message)
    return Check("legibility", "warned" if share < limits.legible else "passed", score, round(share, 3), message)


def _share_read(wanted: Sequence[str], readings: Iterable[str], enough: float) -> float:
    """The share of words that any reading has; no further one is asked for when it is enough."""
    read: list[str] = []
    share = 0.0
    for reading in readings:
        read += _words(reading)
        share = sum(_is_among(word, read) for word in wanted) / len(wanted)
        if share >= enough:
            break
    return share


def _nudity(content: bytes, scorer: NudityScorer | None, limits: Limits) -> Check:
    if scorer is None:
        return Check("nudity", "skipped", None, None, "no checker of nudity is installed")
    try:
        value = float(scorer(content))
    except Exception as error:
        return Check("nudity", "skipped", None, None, f"the checker of nudity failed: {error}"[:200])
    if value >= limits.nudity:
        return Check("nudity", "failed", 0.0, round(value, 3), "it may show nudity: have a person look at it")
    return Check("nudity", "passed", 1 - value, round(value, 3), "nothing found")


def _not_for_blank(name: str) -> Check:
    return Check(name, "skipped", None, None, "it shows nothing")


# What they measure


def _opened(content: bytes) -> Image:
    from PIL import Image

    picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP", "GIF"))
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width}x{picture.height} are more than {MAX_PIXELS:,} pixels")
    picture.load()
    return picture


def _on_white(picture: Image) -> Image:
    """As one sees it on a page: what is transparent is white."""
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        page = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(page, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _sharpness(grey: Image) -> tuple[float, float]:
    """Variance of the Laplacian at 512 pixels: of the whole picture, and the mean of the four sharpest of 64 tiles."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(grey.resize((512, 512), Image.Resampling.LANCZOS), dtype=np.float32)
    edges = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:] - 4 * pixels[1:-1, 1:-1]
    tiles = edges[:504, :504].reshape(8, 63, 8, 63).transpose(0, 2, 1, 3).reshape(64, -1).var(axis=1)
    return float(edges.var()), float(np.sort(tiles)[-4:].mean())


def _distance(rgb: Image, palette: Sequence[str]) -> float:
    import numpy as np
    from PIL import Image

    small = rgb.resize((128, 128), Image.Resampling.BOX)
    reduced = small.quantize(6, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    counts = np.bincount(np.asarray(reduced).ravel(), minlength=6)[:6]
    colours = np.array(reduced.getpalette() or [], dtype=np.float64)[: 6 * 3].reshape(-1, 3)
    counts = counts[: len(colours)]
    brand = lab([rgb_of(colour) for colour in palette])
    nearest = ciede2000(lab(colours)[:, None, :], brand[None, :, :]).min(axis=1)
    return float((nearest * counts).sum() / max(counts.sum(), 1))


def _fingerprint(grey: Image) -> Fingerprint:
    import numpy as np
    from PIL import Image

    small = np.asarray(grey.resize((64, 64), Image.Resampling.BOX), dtype=np.float32)
    return Fingerprint(_difference_bits(grey), _difference_bits(grey, mirrored=True), small)


def _difference_bits(grey: Image, *, mirrored: bool = False) -> int:
    """Whether each of 8 by 8 places is brighter than its neighbour to the right (dHash)."""
    import numpy as np
    from PIL import Image

    small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    small = small[:, ::-1] if mirrored else small
    return int("".join("1" if bit else "0" for bit in (small[:, :-1] > small[:, 1:]).ravel()), 2)


def _bits_apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def _likeness(one: Any, other: Any) -> float:
    """Correlation of two small grey pictures, 1 for the same up to brightness and contrast."""
    import numpy as np

    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else 1.0


def _words(text: str) -> list[str]:
    import unicodedata

    plain = "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))
    split = "".join(c if c.isalnum() else " " for c in plain).split()
    return [word for word in split if len(word) > 1]


def _is_among(word: str, read: Sequence[str]) -> bool:
    """Whether a word was read, with one letter in five wrong at most, alone or run into its neighbours."""
    from difflib import SequenceMatcher

    if word in read or word in "".join(read):
        return True
    return any(SequenceMatcher(None, word, other).ratio() >= 0.8 for other in read)


def _between(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
