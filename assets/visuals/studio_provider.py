"""The studio among those who make pictures: what it sets for an order, asked and answered like any provider.

Belongs here: which page answers a request that comes with no layout, and what has to be said about that. Does not belong here:
how a page is drawn (`studio`), and who is chosen (`resources/images/choice`).

The studio sets words and shapes. Of a prompt it paints nothing, and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assets.visuals.briefs import CONTENT_TYPES, LONGEST, NEEDS_HEADLINE, SHORTEST, Brief, Product
from assets.visuals.errors import VisualsError
from assets.visuals.presets import StylePreset

if TYPE_CHECKING:
    from assets.visuals.brand_kit import BrandKit, LoadedKit
    from resources.images.protocol import Generated, ImageRequest

NAME = "studio"
PAINTS_NOTHING = "the studio sets words and shapes: it painted nothing of the prompt"
_WORDS_OF_THE_KIT = "no words came with the request: it shows the brand's own"
_SEEDS = 2**32


@dataclass(frozen=True)
class Layout:
    """What the studio sets: a brief in one language, with its photograph if there is one. The request has size and format.

    `of_the_kit`: its words are the kit's, as none were given. `prompted`: somebody wrote words to be painted, too.
    """

    brief: Brief
    language: str = "en"
    photo: bytes | None = None
    of_the_kit: bool = False
    prompted: bool = False

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of all that decides what the page looks like, besides the request."""
        photo = hashlib.sha256(self.photo).hexdigest() if self.photo is not None else ""
        return hashlib.sha256(f"{self.brief.hash}:{self.brief.id}:{self.language}:{photo}".encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        # Whoever names a request by what it says meets no object's address, nor a photograph's bytes.
        return f"Layout({self.hash})"


def layout_of(
    kit: BrandKit,
    content_type: str,
    preset: StylePreset,
    language: str = "en",
    product: Product | None = None,
    photo: bytes | None = None,
    *,
    prompted: bool = True,
) -> Layout | None:
    """The page that answers a request of this content type with nothing but the kit's words; None where none does.

    A headline is the kit's tagline, or else its name; a product that is not named is the brand itself.
    """
    template = CONTENT_TYPES.get(content_type)
    if template is None:
        return None
    headline = kit.tagline.strip() or kit.name
    said: dict[str, Any] = {"id": f"api-{content_type.replace('_', '-')}", "template": template, "preset": preset}
    if template in NEEDS_HEADLINE:
        said["texts"] = {language: {"headline": headline[:160]}}
    if template == "product_card":
        said["product"] = product or Product.model_validate({"name": kit.name[:120], "material": kit.tagline[:160]})
    return Layout(Brief.model_validate(said), language, photo, of_the_kit=product is None, prompted=prompted)


class StudioProvider:
    """An `ImageProvider` of one brand's kit."""

    def __init__(self, loaded: LoadedKit) -> None:
        self._loaded = loaded

    def unavailable(self) -> str | None:
        return None

    def estimate(self, request: ImageRequest) -> int:
        return 0

    def generate(self, request: ImageRequest, key: str, is_cancelled: Callable[[], bool] = lambda: False) -> Generated:
        """Set the page, in as many variations as are wanted. Raises Refused for what cannot be set, and Cancelled."""
        from resources.images.protocol import Generated, Image, Refused

        layout = self._layout(request)
        notes = [*([_WORDS_OF_THE_KIT] if layout.of_the_kit else []), *([PAINTS_NOTHING] if layout.prompted else [])]
        images = []
        try:
            for seed, page in self._pages(layout, request, is_cancelled):
                details = {"metadata": dict(page.metadata), "texts": [placed.text for placed in page.texts]}
                kind = f"image/{page.name.rsplit('.', 1)[1]}"
                images.append(Image(page.content, kind, page.width, page.height, seed, details=details))
                notes += page.notes
        except VisualsError as error:
            raise Refused(str(error), "cannot_be_set") from error
        return Generated(tuple(images), NAME, 0, notes=tuple(dict.fromkeys(notes)))

    def _layout(self, request: ImageRequest) -> Layout:
        from resources.images.protocol import Refused

        given = request.layout
        if isinstance(given, Brief):
            given = Layout(given, given.each_language()[0])
        if given is None:
            photo = request.references[0] if request.references else None
            given = layout_of(self._loaded.kit, request.content_type, "minimalist_luxury", photo=photo)
        if not isinstance(given, Layout):
            raise Refused(f"the studio has no page for {request.content_type}: it paints nothing", "no_layout")
        if min(request.width, request.height) < SHORTEST or max(request.width, request.height) > LONGEST:
            raise Refused(f"the studio's sides have {SHORTEST} to {LONGEST} pixels", "size")
        return given

    def _pages(self, layout: Layout, request: ImageRequest, is_cancelled: Callable[[], bool]) -> Iterator[Any]:
        from assets.visuals.briefs import refuse_forbidden_words
        from assets.visuals.studio.render import render
        from resources.images.protocol import Cancelled

        refuse_forbidden_words(self._loaded.kit, layout.brief)
        first = layout.brief.seed if request.seed is None else request.seed % _SEEDS
        # A page has no half transparency of JPEG's: what is asked for beside PNG and WebP is written from PNG.
        format = "webp" if request.format == "webp" else "png"
        for number in range(request.count):
            if is_cancelled():
                raise Cancelled("whoever asked for the page does not want it any more", "cancelled")
            seed = (first + number) % _SEEDS
            brief = layout.brief.model_copy(update={"seed": seed, "format": format})
            page = render(self._loaded, brief, (request.width, request.height), layout.language, layout.photo)
            yield seed, page
