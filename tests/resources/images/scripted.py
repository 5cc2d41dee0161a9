"""Providers that do what a test has written down, and models to go with them. They bill what they say and count their calls."""

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from resources.channels.transport import Clock
from resources.images.picture_store import open_picture_store
from resources.images.policy import ImagePolicy
from resources.images.protocol import Generated, Image, ImageError, ImageProvider, ImageRequest, Poisoned
from resources.images.registry import Model, Registry
from resources.images.service import ImageService, Wanted
from resources.store.brand_store import BrandStore

PRICE = 50_000
"""What a picture costs, in millionths of a US dollar, where a test says nothing else."""


def model(id: str, quality: float = 0.8, **changes: Any) -> Model:
    """A model that can make most things."""
    said = {
        "id": id,
        "provider": id.replace("-", "_"),
        "adapter": "openai_images",
        "model": id,
        "content_types": ["product_photo", "banner_ad"],
        "sizes": {"smallest": 64, "longest": 4096},
        "formats": ["png", "webp"],
        "supports": ["seed", "references", "negative", "transparent"],
        "most_images": 4,
        "most_references": 4,
        "price": {"kind": "per_image", "usd": dict.fromkeys(("low", "medium", "high", "ultra"), PRICE / 1e6)},
        "prior": {"quality": quality},
        "seconds": 10.0,
        "parallel": 4,
    }
    return Model.model_validate(said | changes)


def png(text: str) -> bytes:
    """A small picture whose pixels follow from a text."""
    out = io.BytesIO()
    Pillow.frombytes("RGB", (8, 4), sha256(text.encode()).digest() * 3).save(out, "PNG")
    return out.getvalue()


@dataclass
class Scripted:
    """Answers with `script`, one entry a call, and then makes pictures for ever.

    An entry is an error to be raised, a function of the request that gives an answer, or None for a picture. `log` is a file
    that all processes write a line to for each call.
    """

    name: str
    script: list[ImageError | Callable[[ImageRequest], Generated] | None] = field(default_factory=list)
    cost: int = PRICE
    estimated: int | None = None
    reason: str | None = None
    log: Path | None = None
    before: Callable[[], object] = lambda: None
    calls: list[tuple[str, ImageRequest]] = field(default_factory=list)
    billed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def unavailable(self) -> str | None:
        return self.reason

    def estimate(self, request: ImageRequest) -> int:
        return (self.cost if self.estimated is None else self.estimated) * request.count

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        with self._lock:
            self.calls.append((key, request))
            number = len(self.calls)
            step = self.script.pop(0) if self.script else None
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{self.name} {key}\n")
        self.before()
        if isinstance(step, ImageError):
            with self._lock:
                self.billed += step.cost if isinstance(step, Poisoned) else 0
            raise step
        made = step(request) if step is not None else self._made(request, number)
        with self._lock:
            self.billed += made.cost
        return made

    def _made(self, request: ImageRequest, number: int) -> Generated:
        images = tuple(
            Image(png(f"{self.name} {request.prompt} {number} {n}"), "image/png", 8, 4, request.seed)
            for n in range(request.count)
        )
        return Generated(images, self.name, self.cost * request.count, {"images": request.count})


def registry_of(*models: Model) -> Registry:
    return Registry(models)


def service(
    books: BrandStore,
    providers: Sequence[Scripted] | Mapping[str, ImageProvider],
    models: Sequence[Model] = (),
    clock: Clock | None = None,
    marks: Mapping[str, str] | None = None,
    **policy: Any,
) -> ImageService:
    """A service on these providers; their models, better ones first, where a test names none."""
    by_id: Mapping[str, ImageProvider]
    by_id = providers if isinstance(providers, Mapping) else {provider.name: provider for provider in providers}
    models = models or [model(name, quality=0.9 - 0.1 * n) for n, name in enumerate(by_id)]
    store = open_picture_store(books.settings)
    return ImageService(books, Registry(tuple(models)), by_id, ImagePolicy(**policy), store, clock, marks)


def wanted(prompt: str = "a bag of calfskin", key: str = "k1", **more: Any) -> Wanted:
    """A request for one picture; `more` are fields of it or of what is wanted."""
    of_wanted = {
        name: more.pop(name)
        for name in [*more]
        if name in Wanted.__dataclass_fields__ and name not in ("request", "key")
    }
    return Wanted(ImageRequest(prompt, **more), key, **of_wanted)
