"""What is ordered and what was delivered.

Belongs here: an order's fields, what makes two orders the same, and the answer. Does not belong here: how a picture comes about
(`making`), and its row (`resources/store/pictures`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from assets.visuals.briefs import CONTENT_TYPES, Brief, Product
from assets.visuals.presets import StylePreset

if TYPE_CHECKING:
    from resources.images.service import Attempt, Candidate
    from resources.store.pictures import Picture

Quality = Literal["low", "medium", "high", "ultra"]
FileFormat = Literal["png", "webp", "jpeg"]
VIDEO_TYPES = ("video_commercial", "promotional_video")
TEMPLATE_TYPES = {template: content_type for content_type, template in CONTENT_TYPES.items()}
"""The content type of each layout of the studio."""
LONGEST_KEY = 200


@dataclass(frozen=True)
class Order:
    """Pictures that are wanted. The same `key` is the same order: what it brought is brought again, and nothing is made twice.

    `prompt` holds the words of whoever asks, `shot` what the kit says of the shot. `layout` is what the studio sets, in
    `language`; those who paint are told of its product and its theme. `brief` names what the pictures are variations of:
    they may look alike. `photo` is what they start from (PNG, JPEG or WebP). Sizes are pixels; `rerolls` how often a picture
    that fails may be asked for again, None for the maker's own number.
    """

    key: str
    prompt: str = ""
    content_type: str = "product_photo"
    preset: StylePreset = "minimalist_luxury"
    provider: str | None = None
    width: int = 1024
    height: int = 1024
    quality: Quality = "high"
    count: int = 1
    format: FileFormat = "png"
    seed: int | None = None
    negative: str = ""
    shot: str = ""
    product: Product | None = None
    photo: bytes | None = None
    brief: str | None = None
    layout: Brief | None = None
    language: str = "en"
    sku: str | None = None
    campaign: str | None = None
    principal: str = "system"
    rerolls: int | None = None

    @property
    def request_key(self) -> str:
        """The key as rows have it: a hash where it is long."""
        return self.key if len(self.key) <= LONGEST_KEY else hashlib.sha256(self.key.encode()).hexdigest()

    @property
    def request_id(self) -> str:
        """What others call the order by."""
        return f"req_{hashlib.sha256(self.key.encode()).hexdigest()[:24]}"

    @property
    def asked(self) -> str:
        """Sixteen hexadecimal digits of what is to be seen: equal for orders whose pictures may repeat each other."""
        names = ("prompt", "content_type", "preset", "shot", "brief", "language", "sku", "negative")
        said: dict[str, Any] = {name: getattr(self, name) for name in names}
        said["layout"] = self.layout.hash if self.layout else None
        said["product"] = self.product.model_dump(mode="json") if self.product else None
        said["photo"] = hashlib.sha256(self.photo).hexdigest() if self.photo is not None else None
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]

    def picture_id(self, number: int) -> str:
        """The id of its picture of that number, from 0: known before there is a row."""
        return f"pic_{hashlib.sha256(f'{self.key}#{number}'.encode()).hexdigest()[:24]}"


@dataclass(frozen=True)
class Made:
    """What came of an order. `cost` is in millionths of a US dollar, failed tries included; `replayed` says that it was there.

    `blocked`: a filter refused it. `failed`: `error` says why, `code` tells reasons apart as the service of pictures does, and
    each of `candidates` and `attempts` says its part.
    """

    state: Literal["made", "blocked", "failed"]
    request_id: str
    pictures: tuple[Picture, ...] = ()
    provider: str | None = None
    model: str | None = None
    cost: int = 0
    seconds: float = 0.0
    tries: int = 0
    cached: bool = False
    joined: bool = False
    replayed: bool = False
    candidates: tuple[Candidate, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None
    code: str | None = None

    @property
    def score(self) -> float | None:
        """The mean of its pictures' scores, 0 to 1."""
        scores = [picture.score for picture in self.pictures]
        return round(sum(scores) / len(scores), 4) if scores else None
