"""What a picture that somebody downloaded tells of itself: who painted it, from which words and seed, in which job.

Belongs here: file names and the text in files. Does not belong here: what is done with such a picture (`taking_in`).

Midjourney names its files `author_words_of_the_prompt_JOB_PLACE.png` (a grid has no place; the CDN says `grid_0` or `0_1`) and
writes the whole prompt, with its parameters and the job's id, into the description of PNG, and of XMP and EXIF elsewhere. All
of it can be changed by anybody, so that it is a hint and no proof.
"""

from __future__ import annotations

import html
import io
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MIDJOURNEY = "midjourney"
LARGEST_SEED = 2**63 - 1
_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NAME = re.compile(rf"^(?:(?P<words>.*?)_)?(?P<job>{_ID})(?:_(?P<rest>[a-z0-9_]+))?$", re.IGNORECASE)
_COPY = re.compile(r"\s*\(\d{1,3}\)$")
_JOB = re.compile(rf"\bJob ID:\s*({_ID})", re.IGNORECASE)
_SEED = re.compile(r"--seed\s+(\d{1,19})\b")
_PARAMETERS = re.compile(r"\s(?=--[a-z])", re.IGNORECASE)
_DESCRIPTION = re.compile(rb"<dc:description>.*?<rdf:li[^>]*>(.*?)</rdf:li>", re.DOTALL)
_IMAGE_DESCRIPTION = 0x010E
_LONGEST = 4000


@dataclass(frozen=True)
class Told:
    """What a file says. `shortened`: the prompt is of its name alone, which holds but the first words. `place` is 0 to 3."""

    provider: str | None = None
    job: str | None = None
    prompt: str | None = None
    parameters: str | None = None
    seed: int | None = None
    place: int | None = None
    is_grid: bool = False
    shortened: bool = False


def what_it_tells(name: str, content: bytes) -> Told:
    """Read a file's name and the text in it. Raises nothing: what cannot be read tells nothing."""
    named = _of_name(name)
    description = " ".join(_description(content).split())[:_LONGEST]
    found = _JOB.search(description)
    if not found and not (named.job and description):
        return named
    said = description[: found.start()] if found else description
    words, *parameters = _PARAMETERS.split(said.strip(), maxsplit=1)
    seed = _SEED.search(said)
    return Told(
        provider=MIDJOURNEY,
        job=found[1].lower() if found else named.job,
        prompt=words.strip() or named.prompt,
        parameters=parameters[0].strip() if parameters else None,
        seed=int(seed[1]) if seed and int(seed[1]) <= LARGEST_SEED else None,
        place=named.place,
        is_grid=named.is_grid,
        shortened=not words.strip() and named.shortened,
    )


def _of_name(name: str) -> Told:
    stem = _COPY.sub("", PurePath(name).stem)
    found = _NAME.match(stem)
    if not found:
        return Told()
    rest = (found["rest"] or "").lower()
    is_grid = rest == "" or rest.startswith("grid")
    place = re.fullmatch(r"(?:0_)?([0-3])(?:_.*)?", rest)
    # The first part is the author's name, who is nobody's concern.
    words = (found["words"] or "").partition("_")[2].replace("_", " ").strip()
    return Told(
        provider=MIDJOURNEY,
        job=found["job"].lower(),
        prompt=words or None,
        place=int(place[1]) if place and not is_grid else None,
        is_grid=is_grid,
        shortened=bool(words),
    )


def _description(content: bytes) -> str:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.format == "PNG":
                picture.load()
            return _of_text(picture) or _of_exif(picture) or _of_xmp(picture)
    except Exception:
        return ""


def _of_text(picture: Image) -> str:
    texts = {str(key).casefold(): str(value) for key, value in getattr(picture, "text", {}).items()}
    return texts.get("description", "")


def _of_exif(picture: Image) -> str:
    said = picture.getexif().get(_IMAGE_DESCRIPTION)
    return said.strip("\0 ") if isinstance(said, str) else ""


def _of_xmp(picture: Image) -> str:
    packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    packet = packet.encode() if isinstance(packet, str) else packet
    found = _DESCRIPTION.search(packet)
    return html.unescape(found[1].decode("utf-8", "replace")) if found else ""
