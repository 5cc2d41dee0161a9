"""The gallery: a brand's pictures on one HTML page that needs nothing but itself.

Belongs here: which pictures stand on it, in which order, with which words, and rendering it. Does not belong here: making or
judging pictures, and writing files.

The page has no script, no font and nothing to fetch; a thumbnail is about 8 kB. Every text goes through autoescaping.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from assets.visuals.brand_kit import BrandKit

SIDE = 320
MOST = 600
"""So many stand on the page; with more, a browser takes long to open it. The newest are kept."""
_TEMPLATES = Path(__file__).parent / "templates"
_STATES = {"accepted": "", "approved": "approved", "needs_review": "to be reviewed", "rejected": "rejected"}


@dataclass(frozen=True)
class Hung:
    """One picture on the page. `cost` in US dollars; `checks` have name, status, score and message; `thumbnail` is a WebP."""

    id: str
    brief: str
    title: str
    content_type: str
    state: str
    provider: str
    model: str
    why: str
    width: int
    height: int
    score: float
    cost: float
    seed: int | None
    made_at: datetime
    checks: Sequence[Mapping[str, Any]]
    thumbnail: bytes


def thumbnail(content: bytes, side: int = SIDE) -> bytes:
    """A WebP that fits into a square of `side` pixels. Raises OSError for what is no picture."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as opened:
        picture = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    picture.thumbnail((side, side))
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=82, method=4)
    return out.getvalue()


def data_uri(content: bytes, media_type: str = "image/webp") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def render_gallery(kit: BrandKit, version: str, pictures: Iterable[Hung], made_at: datetime) -> str:
    """The page: a wall for each kind of picture, the newest first; pictures of a brief hang side by side."""
    newest = sorted(pictures, key=lambda one: (one.made_at, one.id), reverse=True)
    shown = newest[:MOST]
    last: dict[str, datetime] = {}
    for one in shown:
        last[one.brief] = max(one.made_at, last.get(one.brief, one.made_at))
    walls: dict[str, list[Hung]] = {}
    for one in sorted(shown, key=lambda one: (last[one.brief], one.brief, one.made_at, one.id), reverse=True):
        walls.setdefault(one.content_type, []).append(one)
    return _template().render(
        kit=kit,
        version=version,
        made_at=made_at,
        walls=walls,
        briefs=len(last),
        shown=len(shown),
        left_out=len(newest) - len(shown),
        states=_STATES,
        totals=_totals(shown),
        uri=data_uri,
    )


def _totals(shown: Sequence[Hung]) -> dict[str, Any]:
    judged = [one.score for one in shown]
    return {
        "cost": sum(one.cost for one in shown),
        "score": sum(judged) / len(judged) if judged else None,
        "waiting": sum(one.state == "needs_review" for one in shown),
        "providers": sorted({one.provider for one in shown}),
    }


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("gallery.html.j2")
