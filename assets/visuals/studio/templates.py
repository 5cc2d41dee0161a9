"""The layouts: what each kind of page shows, and where.

Belongs here: hierarchy, margins and proportions. Does not belong here: how a text is broken (`text`) or fitted (`layout`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from assets.visuals.briefs import Brief, Texts
from assets.visuals.colour import contrast, luminance, mixed
from assets.visuals.studio.layout import Box, Drawn, Page, Theme, Words
from assets.visuals.studio.plates import Side, arch, diamond, pattern, plate, solid_of
from assets.visuals.studio.text import set_text


@dataclass(frozen=True)
class Wanted:
    """What one page is made from."""

    brief: Brief
    words: Texts
    photo: bytes | None
    seed: int


def draw(page: Page, wanted: Wanted) -> None:
    """Fill the page. Raises TextDoesNotFit, FontError."""
    if not wanted.brief.transparent:
        page.rect(page.box, page.theme.ground)
    _LAYOUTS[wanted.brief.template](page, wanted)


def _banner(page: Page, wanted: Wanted) -> None:
    """A picture and a message, arranged as the preset's manner has it; the house signs at the foot."""
    wide = page.width >= page.height * 1.45
    share = (
        (0.40 if page.width >= page.height * 2.2 else 0.46)
        if wide
        else 0.46
        if page.height >= page.width * 1.6
        else 0.55
    )
    scene = _scene(page, share, wide)
    _picture(page, scene, wanted)
    field = _clear_of_buttons(page, _framed(page, scene))
    sizes = _Sizes.of(page, 1.8, 2.5)
    measure = min(field.width, page.unit * 84)
    headline = min(page.unit * (11.4 if wide else 10.0), measure / 5.2) * page.theme.preset.scale
    above = _signed(page, field, sizes, page.theme.preset.align)
    page.stack(
        above, _message(page, wanted.words, sizes, headline), align=page.theme.preset.align, upright=scene.upright
    )


def _social(page: Page, wanted: Wanted) -> None:
    """Words as the picture; beside one where the brief brings a photograph or names a plate."""
    if wanted.photo is not None or wanted.brief.plate != "auto":
        _banner(page, wanted)
        return
    u, theme, words = page.unit, page.theme, wanted.words
    manner = _manner(theme)
    sizes = _Sizes.of(page, 2.05, 3.0)
    inner = _framed(page, _Scene(page.box, page.box, manner=manner))
    if manner == "arcade":
        crown = page.width * 0.15
        inner = Box(inner.x + u * 3.5, inner.y + crown, inner.width - u * 7, inner.height - crown)
    inner = _clear_of_buttons(page, inner)
    large = {"poster": 15.0, "stage": 13.0}.get(manner, 11.4) * theme.preset.scale
    side = u * 8.5
    mark = _mark(page, Box(inner.x, inner.y, inner.width, side), theme.preset.align)
    closing = [
        Words(
            "caption",
            words.caption,
            theme.label if not words.call_to_action else theme.text,
            sizes.label,
            theme.muted,
            floor=sizes.floor,
        ),
        Words(
            "call_to_action",
            words.call_to_action,
            theme.label,
            sizes.label,
            theme.ink,
            gap=sizes.label * 0.9,
            floor=sizes.floor,
            underlined=True,
        ),
    ]
    foot = sizes.label * 4.6
    below = Box(inner.x, inner.bottom - foot, inner.width, foot)
    if theme.preset.align == "left":
        caption = replace(closing[0], style=theme.label, size=sizes.label)
        call = closing[1]
        if not page.row(below, *((call, caption) if call.text.strip() else (caption, None))):
            page.stack(below, [caption, call], align="left", upright="bottom")
    else:
        page.stack(below, closing, align="centre", upright="bottom")
    items = [
        *_eyebrow(page, words.eyebrow, sizes),
        Words(
            "headline",
            words.headline,
            theme.display,
            u * large,
            theme.ink,
            gap=sizes.text * 1.1,
            floor=u * 2.4,
            yields=True,
        ),
        *_ornament(page, marked=True),
        Words(
            "body", words.body, theme.text, sizes.text, theme.muted, gap=sizes.text * 1.3, floor=u * 1.5, widest=u * 62
        ),
    ]
    body = Box(inner.x, mark.bottom + u * 3, inner.width, below.y - u * 3 - mark.bottom - u * 3)
    page.stack(body, items, align=theme.preset.align, upright="bottom" if manner in ("poster", "stage") else "middle")


def _product_card(page: Page, wanted: Wanted) -> None:
    """The piece, or cloth in its colour; then its name, what it is made of, and its price; the house signs at the foot."""
    product = wanted.brief.product
    assert product is not None
    u, theme, words = page.unit, page.theme, wanted.words
    wide = page.width >= page.height * 1.25
    share = 0.5 if wide else 0.68 if page.height >= page.width * 1.2 else 0.6
    scene = _scene(page, share, wide)
    _picture(page, scene, wanted)
    field = _framed(page, scene)
    sizes = _Sizes.of(page, 1.75, 2.3)
    left = theme.preset.align == "left"
    align = "left" if left else "centre"
    amount = (
        _price(product.price, product.currency, page.language) if product.price is not None and product.currency else ""
    )
    price = Words("price", amount, theme.label, sizes.label, theme.ink, gap=sizes.text * 1.2, floor=sizes.floor)
    name = Words(
        "name",
        words.headline or product.name,
        theme.display,
        u * (8.4 if left else 7.4) * min(theme.preset.scale, 1.15),
        theme.ink,
        gap=sizes.text,
        floor=u * 2,
        yields=True,
    )
    material = Words(
        "material",
        words.body or product.material,
        theme.text,
        sizes.text,
        theme.muted,
        gap=sizes.text * 0.85,
        floor=u * 1.4,
        widest=u * 48,
    )
    more = [
        Words(
            "call_to_action",
            words.call_to_action,
            theme.label,
            sizes.label,
            theme.ink,
            gap=sizes.text * 1.6,
            floor=sizes.floor,
            underlined=True,
        ),
        Words("caption", words.caption, theme.text, sizes.label, theme.muted, gap=sizes.text, floor=sizes.floor),
    ]
    swatch: list[Words | Drawn] = []
    if wanted.photo is not None and product.colour:
        swatch = [Drawn(u * 2.4, u * 2.4, _swatch(product.colour), gap=u * 2.1)]
    field = _signed(page, field, sizes, align)
    [kicker] = _eyebrow(page, words.eyebrow or product.type, sizes)
    head = sizes.label * 1.7
    # A caption as a book sets it: kind and price on one line, the name under them.
    if left and not wide and page.row(Box(field.x, field.y, field.width, head), kicker, price):
        top = head + sizes.text * 1.25
        under = Box(field.x, field.y + top, field.width, field.height - top)
        page.stack(under, [name, material, *swatch, *more], align="left", upright="top")
        return
    page.stack(field, [kicker, name, material, *swatch, price, *more], align=align)


def _lookbook(page: Page, wanted: Wanted) -> None:
    """A page of a book: a picture with its own air, a headline under or beside it, small print at the edge."""
    u, theme, margin, words = page.unit, page.theme, _margin(page), wanted.words
    spread = page.width > page.height * 1.15
    manner = _manner(theme)
    bleeds = not spread and manner in ("split", "stage", "poster")
    sizes = _Sizes.of(page, 1.35, 2.0)
    if bleeds:
        left = page.width * 0.2
        picture = Box(left, 0, page.width - left, page.height * 0.66)
        scene = _Scene(
            picture,
            Box(
                left,
                picture.bottom + max(margin * 0.8, u * 5.6),
                page.width - left - margin,
                page.height - picture.bottom - margin * 1.35,
            ),
            manner=manner,
        )
        edge = words.eyebrow or wanted.brief.campaign
        if edge.strip():
            edges = Box(left - margin * 0.5 - u * 2.2, margin, u * 2.6, picture.height - margin)
            page.upright_label(edges, Words("eyebrow", edge, theme.label, sizes.label, theme.muted, floor=u * 0.8))
        _mark(page, Box(margin * 0.75, margin * 0.8, u * 7, u * 7), "left")
        field = scene.field
        if manner == "poster":
            page.rect(Box(0, 0, u * 1.5, page.height), theme.ink)
    else:
        scene = _scene(page, 0.5 if spread else 0.66, spread)
        field = scene.field
    _picture(page, scene, wanted)
    if not bleeds:
        field = _framed(page, scene)
    align = "left" if bleeds or theme.preset.align == "left" else "centre"
    items = [
        *([] if bleeds else _eyebrow(page, words.eyebrow, sizes)),
        Words(
            "headline",
            words.headline,
            theme.display,
            u * (7.6 if not spread else 8.6) * min(theme.preset.scale, 1.25),
            theme.ink,
            gap=sizes.text * 1.2,
            floor=u * 2.2,
            yields=True,
        ),
        Words(
            "body", words.body, theme.text, sizes.text, theme.muted, gap=sizes.text * 1.2, floor=u * 1.25, widest=u * 46
        ),
        Words(
            "call_to_action",
            words.call_to_action,
            theme.label,
            sizes.label,
            theme.ink,
            gap=sizes.text * 2.0,
            floor=u,
            underlined=True,
        ),
    ]
    foot = sizes.label * 1.7
    page.stack(
        Box(field.x, field.y, field.width, field.height - foot - sizes.label * 1.4),
        items,
        align=align,
        upright="top" if bleeds else "middle",
    )
    folio = Words("caption", words.caption or theme.kit.kit.name, theme.label, sizes.label, theme.muted, floor=u * 0.7)
    page.stack(Box(field.x, field.bottom - foot, field.width, foot), [folio], align=align, upright="bottom")


def _logo(page: Page, wanted: Wanted) -> None:
    """The mark and the name, alone, with the air that belongs to them."""
    u, theme, kit = page.unit, page.theme, page.theme.kit.kit
    variant = wanted.brief.variant
    if variant == "auto":
        variant = "horizontal" if page.width > page.height * 1.6 else "stacked"
    clear = page.box.inset(page.width * 0.13, page.height * 0.13)
    if variant == "mark":
        side = min(clear.width, clear.height) * 0.78
        page.logo(page.box.centred(side, side), theme.ink)
        return
    name = Words("name", kit.name, theme.wordmark, u * 6.0, theme.ink, floor=u * 1.5, gap=u * 6)
    tagline = Words(
        "tagline", wanted.words.caption or kit.tagline, theme.label, u * 1.7, theme.muted, gap=u * 2.4, floor=u
    )
    if variant == "wordmark":
        page.stack(clear, [_whole(page, name, clear.width), tagline], align="centre")
    elif variant == "stacked":
        side = min(clear.width * 0.4, clear.height * 0.44)
        mark = Drawn(side, side, lambda on, box: _show_mark(on, box, "mark", theme.ink))
        page.stack(clear, [mark, _whole(page, name, clear.width), tagline], align="centre")
    else:
        side = min(clear.height, clear.width * 0.2)
        gap = side * 0.3
        name = _whole(page, replace(name, size=min(u * 8, side * 0.34)), clear.width - side - gap)
        tagline = replace(tagline, size=min(tagline.size, side * 0.1), gap=side * 0.12)
        wide = min(max(_on_one_line(page, item) for item in (name, tagline)), clear.width - side - gap)
        black, _, end, _ = page.logo_ink()
        x = clear.x + (clear.width - (end - black) * side - gap - wide) / 2
        _show_mark(page, Box(x - black * side, page.height / 2 - side / 2, side, side), "mark", theme.ink)
        page.stack(Box(x + (end - black) * side + gap, clear.y, wide + 1, clear.height), [name, tagline], align="left")


def _pattern(page: Page, wanted: Wanted) -> None:
    theme = page.theme
    tone = mixed(theme.ground, theme.accent, 0.62 if luminance(theme.ground) > 0.2 else 0.85)
    short = min(page.width, page.height)
    pattern(page, page.box, tone, short / (5.0, 3.5, 6.0, 6.0)[wanted.seed % 4], wanted.seed)


_LAYOUTS: dict[str, Callable[[Page, Wanted], None]] = {
    "banner": _banner,
    "social": _social,
    "product_card": _product_card,
    "lookbook": _lookbook,
    "logo": _logo,
    "pattern": _pattern,
}


# Manners: how a preset arranges a picture and its words

Manner = Literal["split", "poster", "stage", "melt", "bookplate", "passepartout", "arcade"]


def _manner(theme: Theme) -> Manner:
    """Of the preset's own choices: ground, frame and alignment."""
    preset = theme.preset
    if preset.frame == "arch":
        return "arcade"
    if preset.frame == "bar":
        return "poster"
    if luminance(theme.ground) < 0.2:
        return "melt" if preset.align == "centre" else "stage"
    if preset.frame == "double":
        return "bookplate"
    return "passepartout" if preset.frame in ("hairline", "corners") else "split"


@dataclass(frozen=True)
class _Scene:
    """Where the picture is and where words may be. `melts` is the side at which it becomes ground."""

    visual: Box
    field: Box
    manner: Manner
    melts: Side = ""
    outline: str | None = None
    upright: str = "middle"


@dataclass(frozen=True)
class _Sizes:
    """The two small sizes of a page; the headline is the third."""

    label: float
    text: float
    floor: float

    @classmethod
    def of(cls, page: Page, label: float, text: float) -> _Sizes:
        """In hundredths of the page. Type of a small page is larger beside it, as nobody reads below 11 pixels."""
        more = max(1.0, min(1.25, 12.5 / (label * page.unit)))
        return cls(label * page.unit * more, text * page.unit * more, page.unit * 1.1)


def _scene(page: Page, share: float, wide: bool) -> _Scene:
    """A picture that takes `share` of the page's length, and the field beside or under it."""
    margin, manner = _margin(page), _manner(page.theme)
    return _beside(page, share, margin, manner) if wide else _above(page, share, margin, manner)


def _beside(page: Page, share: float, margin: float, manner: Manner) -> _Scene:
    width, height, u = page.width, page.height, page.unit
    if manner == "melt":
        visual = Box(0, 0, width * (share + 0.24), height)
        gone = solid_of(visual, "right").right
        return _Scene(visual, Box(gone, 0, width - gone, height).inset(margin * 0.9, margin), manner, "right")
    if manner == "stage":
        top = height * 0.16
        visual = Box(width * (1 - share), top, width * share, height - top)
        field = Box(margin, margin, visual.x - margin * 2, height - 2 * margin)
        return _Scene(visual, field, manner, upright="bottom")
    if manner == "poster":
        visual = Box(width * (1 - share * 0.92), 0, width * share * 0.92, height)
        field = Box(u * 1.5, 0, visual.x - u * 1.5, height).inset(margin, margin)
        return _Scene(visual, field, manner, upright="bottom")
    if manner == "bookplate":
        edge = _frame_inset(page) + u * 2.2
        visual = Box(edge, edge, width * share - edge, height - 2 * edge)
        field = Box(visual.right, 0, width - visual.right - edge + u * 2.2, height).inset(margin * 0.85, margin)
        return _Scene(visual, field, manner)
    if manner == "passepartout":
        edge = margin * 0.8
        visual = Box(edge, edge, width * share - edge, height - 2 * edge)
        field = Box(visual.right, 0, width - visual.right, height).inset(margin, margin)
        return _Scene(visual, field, manner)
    if manner == "arcade":
        tall = height - margin * 0.9
        wide = min(width * share - margin, tall * 0.82)
        visual = Box(margin + (width * share - margin - wide) / 2, height - tall, wide, tall)
        field = Box(visual.right, 0, width - visual.right, height).inset(margin, margin)
        return _Scene(visual, field, manner, outline=arch(visual))
    visual = Box(width * (1 - share), 0, width * share, height)
    return _Scene(visual, Box(0, 0, visual.x, height).inset(margin * 1.15, margin), manner)


def _above(page: Page, share: float, margin: float, manner: Manner) -> _Scene:
    width, height, u = page.width, page.height, page.unit

    def under(visual: Box, side: float, air: float = 0.8, foot: float = 0.9) -> Box:
        top = visual.bottom + margin * air
        return Box(side, top, width - 2 * side, height - margin * foot - top)

    if manner == "melt":
        visual = Box(0, 0, width, height * min(share + 0.14, 0.8))
        gone = solid_of(visual, "bottom")
        return _Scene(visual, under(gone, margin, 0.1, 1.0), manner, "bottom")
    if manner == "stage":
        visual = Box(width * 0.2, 0, width * 0.8, height * share)
        return _Scene(visual, under(visual, margin * 0.9), manner, upright="top")
    if manner == "poster":
        visual = Box(u * 1.5, 0, width - u * 1.5, height * share)
        field = under(visual, margin)
        return _Scene(
            visual, Box(field.x + u * 1.5, field.y, field.width - u * 1.5, field.height), manner, upright="top"
        )
    if manner == "bookplate":
        edge = _frame_inset(page) + u * 2.2
        visual = Box(edge, edge, width - 2 * edge, height * share - edge)
        return _Scene(visual, under(visual, edge + margin * 0.4, 0.55, 0.95), manner)
    if manner == "passepartout":
        edge = margin * 0.85
        visual = Box(edge, edge, width - 2 * edge, height * share - edge)
        return _Scene(visual, under(visual, margin, 0.75, 0.75), manner)
    if manner == "arcade":
        tall = height * share - margin * 0.8
        wide = min(width - 2.2 * margin, tall * 0.86)
        visual = Box((width - wide) / 2, margin * 0.8, wide, tall)
        return _Scene(visual, under(visual, margin, 0.7, 0.75), manner, outline=arch(visual))
    visual = Box(0, 0, width, height * share)
    return _Scene(visual, under(visual, margin, 0.75, 0.8), manner)


def _framed(page: Page, scene: _Scene) -> Box:
    """Draw the preset's frame about the page or the picture, and give the field that it leaves for words."""
    u, theme, field = page.unit, page.theme, scene.field
    line = max(1.0, u * 0.11)
    kind = theme.preset.frame
    alone = scene.visual == page.box
    outer = page.box.inset(_frame_inset(page))
    if kind == "arch" and alone:
        page.path(arch(outer), stroke=theme.accent, line=line)
        page.frames.append(("arch", outer))
    elif kind == "bar":
        page.rect(Box(0, 0, u * 1.5, page.height), theme.ink)
        page.frames.append(("bar", Box(0, 0, u * 1.5, page.height)))
    elif kind in ("hairline", "corners") and scene.manner == "passepartout" and not alone:
        page.rect(scene.visual.inset(-u * 1.1), stroke=theme.accent, line=line)
        page.frames.append(("rect", scene.visual.inset(-u * 1.1)))
    elif kind in ("hairline", "double"):
        page.rect(outer, stroke=theme.accent, line=line)
        page.frames.append(("rect", outer))
        if kind == "double":
            page.rect(outer.inset(u * 0.8), stroke=theme.accent, line=line * 0.6)
            page.frames.append(("rect", outer.inset(u * 0.8)))
    elif kind == "corners":
        _corners(page, outer, line)
    if alone:
        return page.box.inset(_margin(page) * 1.25)
    return field


def _frame_inset(page: Page) -> float:
    return _margin(page) * 0.42


def _corners(page: Page, inner: Box, line: float) -> None:
    length = page.unit * 5
    for x, way in ((inner.x, 1), (inner.right, -1)):
        for y, down in ((inner.y, 1), (inner.bottom, -1)):
            page.path(
                f"M{x + way * length:.2f} {y:.2f}H{x:.2f}V{y + down * length:.2f}",
                stroke=page.theme.accent,
                line=line,
            )


# Parts that several layouts have


def _margin(page: Page) -> float:
    return page.unit * 6.6 * page.theme.preset.margin


def _picture(page: Page, scene: _Scene, wanted: Wanted) -> None:
    page.areas["visual"] = solid_of(scene.visual, scene.melts).bounds
    tone = wanted.brief.product.colour if wanted.brief.product else None
    kind = "" if wanted.brief.plate == "auto" else wanted.brief.plate

    def fill(on: Page, area: Box) -> None:
        plate(on, area, wanted.seed, photo=wanted.photo, tone=tone, kind=kind, melts=scene.melts)

    page.clipped(scene.visual, fill, scene.outline)


def _clear_of_buttons(page: Page, box: Box) -> Box:
    """Stories lie under the buttons of the programs that show them: words keep away from the head and the foot."""
    if page.height < page.width * 1.6:
        return box
    top, bottom = max(box.y, page.height * 0.13), min(box.bottom, page.height * 0.87)
    return Box(box.x, top, box.width, bottom - top)


def _signed(page: Page, field: Box, sizes: _Sizes, align: str) -> Box:
    """The house's name at the field's foot. Returns what is left above it."""
    foot = sizes.label * 2.0
    name = Words("house", page.theme.kit.kit.name, page.theme.wordmark, sizes.label, page.theme.ink, floor=sizes.floor)
    page.stack(Box(field.x, field.bottom - foot, field.width, foot), [name], align=align, upright="bottom")
    return Box(field.x, field.y, field.width, field.height - foot - sizes.label * 1.5)


def _message(page: Page, words: Texts, sizes: _Sizes, headline: float) -> list[Words | Drawn]:
    u, theme = page.unit, page.theme
    return [
        *_eyebrow(page, words.eyebrow, sizes),
        Words(
            "headline",
            words.headline,
            theme.display,
            headline,
            theme.ink,
            gap=sizes.text * 1.15,
            floor=u * 2.2,
            yields=True,
        ),
        *_ornament(page),
        Words(
            "body", words.body, theme.text, sizes.text, theme.muted, gap=sizes.text * 1.35, floor=u * 1.4, widest=u * 50
        ),
        Words(
            "call_to_action",
            words.call_to_action,
            theme.label,
            sizes.label,
            theme.ink,
            gap=sizes.text * 2.0,
            floor=u * 1.1,
            underlined=True,
        ),
        Words("caption", words.caption, theme.text, sizes.label, theme.muted, gap=sizes.text, floor=u * 1.1),
    ]


def _eyebrow(page: Page, text: str, sizes: _Sizes) -> list[Words]:
    theme = page.theme
    colour = theme.accent if contrast(theme.accent, theme.ground) >= 4.5 else theme.muted
    return [Words("eyebrow", text, theme.label, sizes.label, colour, floor=sizes.floor)]


def _ornament(page: Page, *, marked: bool = False) -> list[Drawn]:
    """The preset's; a page that shows the mark already has no second one."""
    u, theme, kind = page.unit, page.theme, page.theme.preset.ornament
    if kind == "rule":
        return [Drawn(u * 6, max(1.0, u * 0.13), lambda on, box: on.rect(box, theme.accent), gap=u * 3.2)]
    if kind == "diamond" or (kind == "monogram" and marked):

        def draw(on: Page, box: Box) -> None:
            y, x = box.y + box.height / 2, box.x + box.width / 2
            on.hairline(box.x, y, x - u * 1.2, y, theme.accent, max(1.0, u * 0.1))
            on.hairline(x + u * 1.2, y, box.right, y, theme.accent, max(1.0, u * 0.1))
            diamond(on, x, y, box.height / 2, theme.accent)

        return [Drawn(u * 13, u * 0.95, draw, gap=u * 3)]
    if kind == "monogram":
        return [Drawn(u * 5, u * 5, lambda on, box: _show_mark(on, box, "ornament", theme.accent), gap=u * 2.6)]
    return []


def _whole(page: Page, item: Words, width: float) -> Words:
    """A name that stands on one line, smaller if it must; one that would be less than half its size is broken instead."""
    wide = _on_one_line(page, item)
    return replace(item, size=item.size * width / wide * 0.999) if width < wide < width * 2.2 else item


def _on_one_line(page: Page, item: Words) -> float:
    block = set_text(item.text, item.style, item.size, 1e6, page.language, hyphenate=False)
    return block.ink_width if block else 0.0


def _mark(page: Page, box: Box, align: str) -> Box:
    """The mark at the box's head: in its middle, or with its black on the left margin, where the words begin too."""
    side = min(box.width, box.height)
    x = box.x + (box.width - side) / 2 if align == "centre" else box.x - page.logo_ink()[0] * side
    placed = Box(x, box.y, side, side)
    _show_mark(page, placed, "mark", page.theme.ink)
    return placed


def _show_mark(page: Page, box: Box, name: str, colour: str) -> None:
    page.logo(box, colour)
    left, top, right, bottom = page.logo_ink()
    page.areas[name] = (
        box.x + left * box.width,
        box.y + top * box.height,
        box.x + right * box.width,
        box.y + bottom * box.height,
    )


def _swatch(colour: str) -> Callable[[Page, Box], None]:
    def draw(on: Page, box: Box) -> None:
        radius = box.height / 2
        on.circle(box.x + box.width / 2, box.y + radius, radius * 0.78, colour)
        on.circle(
            box.x + box.width / 2,
            box.y + radius,
            radius,
            stroke=mixed(on.theme.ink, on.theme.ground, 0.5),
            line=max(1, radius * 0.06),
        )

    return draw


def _price(amount: Decimal, currency: str, language: str) -> str:
    """As the language writes amounts, without decimals where there are none."""
    from babel.core import UnknownLocaleError
    from babel.numbers import format_currency

    # Spanish parts thousands from the fifth digit on.
    grouped = language not in ("es", "es-ES") or amount >= 10_000
    try:
        text = format_currency(
            amount,
            currency,
            locale=language.replace("-", "_"),
            currency_digits=amount % 1 != 0,
            format=None,
            group_separator=grouped,
        )
    except UnknownLocaleError:
        text = format_currency(amount, currency, locale="en")
    if amount % 1 == 0:
        from babel.numbers import get_currency_precision

        digits = get_currency_precision(currency)
        for mark in (".", ",", "\u066b"):
            text = text.replace(mark + "0" * digits, "") if digits else text
    return text
