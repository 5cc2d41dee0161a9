"""A maker of pictures for tests: a provider by its protocol, in this process, that paints what it is told to and counts."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image as Pictures

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.making import Maker, open_maker
from resources.images.protocol import Blocked, Generated, Image, ImageRequest
from resources.images.registry import OVERRIDES
from resources.store.brand_store import BrandStore
from tests.assets.visuals.scenes import encoded, scene

PRICE = 50_000
ENTRY: dict[str, Any] = {
    "id": "painter",
    "provider": "painter",
    "adapter": "painter",
    "content_types": ["product_photo", "lifestyle_image", "design_mockup", "banner_ad"],
    "sizes": {"smallest": 64, "longest": 4096},
    "formats": ["png"],
    "supports": ["seed", "references", "negative", "transparent"],
    "most_images": 4,
    "most_references": 4,
    "price": {"kind": "per_image", "usd": {"low": 0.05, "medium": 0.05, "high": 0.05, "ultra": 0.05}},
    "prior": {"quality": 0.99},
    "seconds": 1.0,
}


def blank() -> bytes:
    return encoded(Pictures.new("RGB", (1024, 1024), "#F8F4EC"))


def off_brand(seed: int = 0) -> bytes:
    return encoded(scene(seed, colours=("#00FF00", "#FF00FF", "#0000FF", "#FFFF00")))


def good(seed: int = 0, size: tuple[int, int] = (1024, 1024)) -> bytes:
    return encoded(scene(seed, size))


@dataclass
class Painter:
    """Paints each of `paints` in turn, then scenes by the request's seed or its number. `asked` holds the requests."""

    paints: list[bytes] = field(default_factory=list)
    blocks: Blocked | None = None
    asked: list[ImageRequest] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    knows_seeds: bool = True
    markup: str | None = None
    kind: str = "svg"
    before: Callable[[], None] = lambda: None
    painted: int = 0

    def unavailable(self) -> str | None:
        return None

    def estimate(self, request: ImageRequest) -> int:
        return PRICE * request.count

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        self.asked.append(request)
        self.keys.append(key)
        self.before()
        if self.blocks is not None:
            raise self.blocks
        images = [self._one(request, n) for n in range(request.count)]
        return Generated(tuple(images), "painter", PRICE * request.count, {"images": request.count})

    def _one(self, request: ImageRequest, number: int) -> Image:
        self.painted += 1
        seed = (request.seed or 0) + number if self.knows_seeds else None
        content = self.paints.pop(0) if self.paints else good(1000 * self.painted + number)
        width, height = Pictures.open(io.BytesIO(content)).size if content[:4] in (b"\x89PNG", b"RIFF") else (0, 0)
        details = {"kind": self.kind} if self.markup else {}
        return Image(content, "image/png", width, height, seed, self.markup, details)


def finds_much(content: bytes) -> float:
    """A checker of nudity that sees it everywhere."""
    return 0.9 if content else 0.0


def register(home: Path, **changes: Any) -> None:
    """Put the painter into the installation's registry."""
    home.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"models": [json.loads(json.dumps({**ENTRY, **changes}))]})
    (home / OVERRIDES).write_text(text, encoding="utf-8")


def maker_with(books: BrandStore, loaded: LoadedKit, painter: Painter, **options: Any) -> Maker:
    """A maker whose painter is registered."""
    register(books.settings.home)
    return open_maker(books, loaded, given={"painter": painter}, **options)
