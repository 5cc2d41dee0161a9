"""What the studio gives to a film: the opening, the closing, pictures of a brief, and the poster.

Belongs here: cards and pages at a film's size. Does not belong here: layouts (`assets.visuals.studio`) and moves (`plan`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief, refuse_forbidden_words
from assets.visuals.colour import contrast
from assets.visuals.motion.plan import LONGEST_SIDE, FilmPlan, Still
from assets.visuals.studio.layout import Page, Theme
from assets.visuals.studio.plates import leading, plate
from assets.visuals.studio.render import rasterise, render, with_text

_FINER = 1.3
"""Pages are drawn larger than the frame, so that the window which nears them stays sharp."""


def stills_of(
    loaded: LoadedKit, brief: Brief, size: tuple[int, int], language: str, photo: bytes | None = None
) -> Iterator[Still]:
    """A brief as stills: its picture over the whole frame, then its page with its words, in the film's sides.

    The picture is the photograph, or else cloth, arches or a horizon in the product's colour or the brand's. A logo or a
    pattern is a page alone. Raises InvalidBrief for words that the kit forbids, TextDoesNotFit and FontError.
    """
    refuse_forbidden_words(loaded.kit, brief)
    finer = min(_FINER, LONGEST_SIDE / max(size))
    large = (round(size[0] * finer), round(size[1] * finer))
    if brief.template not in ("logo", "pattern"):
        picture = _plate(loaded, brief, large, language) if photo is None else photo
        yield Still(f"{brief.id}-picture", picture, drawn=photo is None)
    page = render(loaded, brief, large, language, photo).content
    yield Still(f"{brief.id}-page", page, page=True, drawn=photo is None)


def opening_brief(plan: FilmPlan, name: str) -> Brief:
    """The eyebrow and the headline alone: what one reads in two seconds."""
    words = {"eyebrow": plan.texts.eyebrow, "headline": plan.texts.headline.strip() or name}
    return _brief(plan, "opening", "social", words)


def closing_brief(plan: FilmPlan) -> Brief:
    return _brief(plan, "closing", "logo", {"caption": plan.texts.call_to_action})


def opening_card(loaded: LoadedKit, plan: FilmPlan) -> Any:
    """The title, as an array (height, width, 3)."""
    return _card(loaded, opening_brief(plan, loaded.kit.name), plan)


def closing_card(loaded: LoadedKit, plan: FilmPlan) -> Any:
    """The logo, the name and what to do next, as an array (height, width, 3)."""
    return _card(loaded, closing_brief(plan), plan)


def poster_of(frame: Any, kind: Literal["png", "webp"], metadata: Mapping[str, str]) -> bytes:
    """A frame as a picture for thumbnails; a PNG holds the film's metadata as text."""
    from PIL import Image

    out = io.BytesIO()
    picture = Image.fromarray(frame)
    if kind == "webp":
        picture.save(out, format="WEBP", quality=90, method=4)
        return out.getvalue()
    picture.save(out, format="PNG", compress_level=6)
    return with_text(out.getvalue(), metadata)


def _brief(plan: FilmPlan, part: str, template: Literal["social", "logo"], words: Mapping[str, str]) -> Brief:
    said: dict[str, Any] = {
        "id": f"film-{part}",
        "template": template,
        "preset": plan.preset,
        "texts": {plan.language: dict(words)},
        "seed": plan.seed,
        "variant": "stacked",
    }
    return Brief.model_validate(said)


def _card(loaded: LoadedKit, brief: Brief, plan: FilmPlan) -> Any:
    import numpy as np
    from PIL import Image

    refuse_forbidden_words(loaded.kit, brief)
    drawn = render(loaded, brief, plan.size, plan.language)
    with Image.open(io.BytesIO(drawn.content), formats=("PNG",)) as picture:
        return np.asarray(picture.convert("RGB"))


def _plate(loaded: LoadedKit, brief: Brief, size: tuple[int, int], language: str) -> bytes:
    theme = Theme.of(loaded, loaded.kit.presets[brief.preset])
    page = Page(*size, theme, language)
    tone = brief.product.colour if brief.product else None
    plate(page, page.box, brief.seed, tone=tone)
    # Drawn cloth has no edge that an eye could rest on; the mark is one.
    side = min(size) * 0.2
    page.logo(page.box.centred(side, side), _seen_on(loaded, leading(page, brief.seed, tone=tone)))
    return rasterise(page.svg(loaded.kit.name), *size)


def _seen_on(loaded: LoadedKit, ground: str) -> str:
    """The colour of the kit that stands out most from a plate's leading colour."""
    palette = loaded.kit.palette
    return max((palette.of("background"), palette.of("deep")), key=lambda c: contrast(c, ground))
