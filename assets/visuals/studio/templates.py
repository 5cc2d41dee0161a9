"""The layouts: what each kind of page shows, and where.

Belongs here: hierarchy, margins and proportions. Does not belong here: how a text is broken (`text`) or fitted (`layout`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from assets.visuals.briefs import Brief, Texts
from assets.visuals.colour import contrast, mixed
from assets.visuals.studio.layout import Box, Drawn, Page, Words
from assets.visuals.studio.plates import arch, diamond, pattern, plate
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
    """A picture and a message side by side, or above each other where the page stands."""
    margin = _margin(page)
    if page.width >= page.height * 1.45:
        share = 0.46 if page.width < page.height * 2.6 else 0.36
        left = page.theme.preset.align == "left"
        visual = Box(page.width * (1 - share) if left else 0, 0, page.width * share, page.height)
        field = Box(0 if left else visual.right, 0, page.width - visual.width, page.height)
        _visual(page, visual, wanted)
        _frame(page, field)
        inner = field.inset(margin * 1.1, margin)
        _signed(page, inner, _message(page, wanted.words, min(field.width, field.height * 1.3)), wanted)
        return
    share = 0.54 if page.height < page.width * 1.5 else 0.56
    visual = Box(0, 0, page.width, page.height * share)
    field = Box(0, visual.bottom, page.width, page.height - visual.bottom)
    if page.theme.preset.frame == "arch":
        visual = Box(margin, margin, page.width - 2 * margin, visual.height - margin)
    _visual(page, visual, wanted)
    if page.theme.preset.frame != "arch":
        _frame(page, field)
    inner = Box(margin, field.y + margin * 0.85, page.width - 2 * margin, field.height - margin * 1.7)
    _signed(page, inner, _message(page, wanted.words, page.width * 0.86), wanted)


def _social(page: Page, wanted: Wanted) -> None:
    """Words as the picture, framed; over a photograph's foot where there is one."""
    if wanted.photo is not None:
        _banner(page, wanted)
        return
    margin = _margin(page)
    _frame(page, page.box)
    u, theme = page.unit, page.theme
    inner = page.box.inset(margin * 1.25)
    if theme.preset.frame == "arch":
        inner = Box(
            inner.x + margin * 0.5, inner.y + page.width * 0.16, inner.width - margin, inner.height - page.width * 0.16
        )
    foot = u * 9
    top = _mark(page, Box(inner.x, inner.y, inner.width, u * 9), theme.preset.align)
    words = wanted.words
    body = Box(inner.x, top.bottom + u * 3, inner.width, inner.bottom - foot - u * 3 - top.bottom)
    items = [
        *_eyebrow(page, words.eyebrow),
        Words(
            "headline",
            words.headline,
            theme.display,
            u * 10.4 * theme.preset.scale,
            theme.ink,
            gap=u * 3.2,
            floor=u * 2.4,
        ),
        *_ornament(page),
        Words("body", words.body, theme.text, u * 2.8, theme.muted, gap=u * 3.4, floor=u * 1.5, widest=u * 62),
    ]
    page.stack(body, items, align=theme.preset.align)
    closing = words.call_to_action or words.caption
    name = "call_to_action" if words.call_to_action else "caption"
    last = [Words(name, closing, theme.label, u * 1.9, theme.ink, floor=u * 1.1, underlined=bool(words.call_to_action))]
    if words.call_to_action and words.caption:
        last.insert(0, Words("caption", words.caption, theme.text, u * 2.0, theme.muted, floor=u * 1.1))
        last[1] = Words(name, closing, theme.label, u * 1.9, theme.ink, gap=u * 1.6, floor=u * 1.1, underlined=True)
    page.stack(Box(inner.x, inner.bottom - foot, inner.width, foot), last, align=theme.preset.align, upright="bottom")


def _product_card(page: Page, wanted: Wanted) -> None:
    """The piece above, its name and what it is made of below."""
    product = wanted.brief.product
    assert product is not None
    u, theme, margin = page.unit, page.theme, _margin(page) * 0.62
    wide = page.width >= page.height * 1.25
    if wide:
        visual = Box(margin, margin, page.width * 0.54 - margin, page.height - 2 * margin)
        field = Box(
            visual.right + margin * 1.4, margin, page.width - visual.right - margin * 2.4, page.height - 2 * margin
        )
    else:
        share = 0.66 if page.height >= page.width * 1.2 else 0.58
        visual = Box(margin, margin, page.width - 2 * margin, page.height * share - margin)
        field = Box(margin, visual.bottom, page.width - 2 * margin, page.height - visual.bottom)
    _visual(page, visual, wanted, tone=product.colour)
    words = wanted.words
    price = (
        _price(product.price, product.currency, page.language) if product.price is not None and product.currency else ""
    )
    items: list[Words | Drawn] = [
        *_eyebrow(page, words.eyebrow or product.type, size=1.55),
        Words("name", words.headline or product.name, theme.display, u * 6.2, theme.ink, gap=u * 1.9, floor=u * 2),
        Words(
            "material",
            words.body or product.material,
            theme.text,
            u * 2.15,
            theme.muted,
            gap=u * 1.7,
            floor=u * 1.4,
            widest=u * 60,
        ),
    ]
    if product.colour:
        items.append(Drawn(u * 2.4, u * 2.4, _swatch(product.colour), gap=u * 2.1))
    items += [
        Words("price", price, theme.label, u * 1.9, theme.ink, gap=u * 2.2, floor=u * 1.3),
        Words(
            "call_to_action",
            words.call_to_action,
            theme.label,
            u * 1.6,
            theme.ink,
            gap=u * 2.2,
            floor=u * 1.2,
            underlined=True,
        ),
        Words("caption", words.caption, theme.text, u * 1.6, theme.muted, gap=u * 1.8, floor=u * 1.2),
    ]
    page.stack(field if wide else field.inset(0, u * 3), items, align="left" if wide else theme.preset.align)


def _lookbook(page: Page, wanted: Wanted) -> None:
    """A page of a book: a picture that bleeds at one side, a headline that stands on air, small print at the edge."""
    u, theme, margin, words = page.unit, page.theme, _margin(page), wanted.words
    if page.width > page.height * 1.15:
        visual = Box(0, 0, page.width * 0.5, page.height)
        field = Box(
            visual.right + margin * 1.5,
            margin * 1.2,
            page.width - visual.right - margin * 3,
            page.height - margin * 2.4,
        )
        _visual(page, visual, wanted)
    else:
        left = page.width * 0.2
        visual = Box(left, 0, page.width - left, page.height * 0.66)
        _visual(page, visual, wanted)
        edge = words.eyebrow or wanted.brief.campaign
        if edge.strip():
            edges = Box(left - margin * 0.5 - u * 2.2, margin, u * 2.6, visual.height - margin)
            page.upright_label(edges, Words("eyebrow", edge, theme.label, u * 1.5, theme.muted, floor=u * 0.8))
        mark = u * 7
        page.logo(Box(margin * 0.75, margin * 0.8, mark, mark), theme.ink)
        field = Box(
            left, visual.bottom + margin * 0.8, page.width - left - margin, page.height - visual.bottom - margin * 2.3
        )
    headline = u * 7.4 * min(theme.preset.scale, 1.2)
    items = [
        *(_eyebrow(page, words.eyebrow) if page.width > page.height * 1.15 else []),
        Words("headline", words.headline, theme.display, headline, theme.ink, gap=u * 3, floor=u * 2.2),
        Words("body", words.body, theme.text, u * 1.95, theme.muted, gap=u * 2.8, floor=u * 1.25, widest=u * 58),
        Words(
            "call_to_action", words.call_to_action, theme.label, u * 1.4, theme.ink, gap=u * 3, floor=u, underlined=True
        ),
    ]
    page.stack(field, items, align="left", upright="middle" if page.width > page.height * 1.15 else "top")
    folio = Box(field.x, page.height - margin * 0.8 - u * 2.2, field.width, u * 2.2)
    page.stack(
        folio,
        [Words("caption", words.caption or theme.kit.kit.name, theme.label, u * 1.1, theme.muted, floor=u * 0.7)],
        align="left",
        upright="bottom",
    )


def _logo(page: Page, wanted: Wanted) -> None:
    """The mark and the name, alone, with the air that belongs to them."""
    u, theme, kit = page.unit, page.theme, page.theme.kit.kit
    variant = wanted.brief.variant
    if variant == "auto":
        variant = "horizontal" if page.width > page.height * 1.6 else "stacked"
    clear = page.box.inset(page.width * 0.14, page.height * 0.14)
    if variant == "mark":
        side = min(clear.width, clear.height)
        page.logo(page.box.centred(side, side), theme.ink)
        return
    name = Words("name", kit.name, theme.wordmark, u * 6.4, theme.ink, floor=u * 1.5, gap=u * 6)
    tagline = Words(
        "tagline", wanted.words.caption or kit.tagline, theme.label, u * 1.7, theme.muted, gap=u * 2.6, floor=u
    )
    if variant == "wordmark":
        page.stack(clear, [name, tagline], align="centre")
    elif variant == "stacked":
        side = min(clear.width * 0.5, clear.height * 0.52)
        mark = Drawn(side, side, lambda on, box: on.logo(box, theme.ink))
        page.stack(clear, [mark, name, tagline], align="centre")
    else:
        side = min(clear.height, clear.width * 0.24)
        name = replace(name, size=min(u * 9, side * 0.34))
        wide = min(max(_on_one_line(page, item) for item in (name, tagline)), clear.width - side * 1.28)
        x = clear.x + (clear.width - side * 1.28 - wide) / 2
        page.logo(Box(x, page.height / 2 - side / 2, side, side), theme.ink)
        page.stack(Box(x + side * 1.28, clear.y, wide + 1, clear.height), [name, tagline], align="left")


def _pattern(page: Page, wanted: Wanted) -> None:
    theme = page.theme
    tone = mixed(theme.ground, theme.accent, 0.62)
    pattern(page, page.box, tone, min(page.width, page.height) / (5 + wanted.seed % 3), turned=bool(wanted.seed % 2))


_LAYOUTS: dict[str, Callable[[Page, Wanted], None]] = {
    "banner": _banner,
    "social": _social,
    "product_card": _product_card,
    "lookbook": _lookbook,
    "logo": _logo,
    "pattern": _pattern,
}


# Parts that several layouts have


def _margin(page: Page) -> float:
    return page.unit * 6.6 * page.theme.preset.margin


def _visual(page: Page, box: Box, wanted: Wanted, tone: str | None = None) -> None:
    page.areas["visual"] = box.bounds
    outline = arch(box) if page.theme.preset.frame == "arch" and box.y > 0 else None
    kind = "" if wanted.brief.plate == "auto" else wanted.brief.plate
    page.clipped(box, lambda on, area: plate(on, area, wanted.seed, photo=wanted.photo, tone=tone, kind=kind), outline)


def _message(page: Page, words: Texts, measure: float) -> list[Words | Drawn]:
    u, theme = page.unit, page.theme
    size = min(u * 8.0, measure / 6.5) * theme.preset.scale
    return [
        *_eyebrow(page, words.eyebrow),
        Words("headline", words.headline, theme.display, size, theme.ink, gap=u * 2.6, floor=u * 2.2),
        *_ornament(page),
        Words("body", words.body, theme.text, u * 2.45, theme.muted, gap=u * 2.8, floor=u * 1.4, widest=u * 56),
        Words(
            "call_to_action",
            words.call_to_action,
            theme.label,
            u * 1.8,
            theme.ink,
            gap=u * 3.6,
            floor=u * 1.1,
            underlined=True,
        ),
        Words("caption", words.caption, theme.text, u * 1.55, theme.muted, gap=u * 2.2, floor=u * 1.1),
    ]


def _signed(page: Page, box: Box, items: list[Words | Drawn], wanted: Wanted) -> None:
    """The message, and the house's name at the foot."""
    u, theme = page.unit, page.theme
    name = Words("name", theme.kit.kit.name, theme.wordmark, u * 1.9, theme.ink, floor=u * 1.1)
    foot = u * 3
    page.stack(Box(box.x, box.bottom - foot, box.width, foot), [name], align=theme.preset.align, upright="bottom")
    page.stack(Box(box.x, box.y, box.width, box.height - foot - u * 2.4), items, align=theme.preset.align)


def _eyebrow(page: Page, text: str, size: float = 1.8) -> list[Words]:
    u, theme = page.unit, page.theme
    colour = theme.accent if contrast(theme.accent, theme.ground) >= 4.5 else theme.muted
    return [Words("eyebrow", text, theme.label, u * size, colour, floor=u * 1.1)]


def _ornament(page: Page) -> list[Drawn]:
    u, theme, kind = page.unit, page.theme, page.theme.preset.ornament
    if kind == "rule":
        return [Drawn(u * 7, u * 0.16, lambda on, box: on.rect(box, theme.accent), gap=u * 3.4)]
    if kind == "diamond":

        def draw(on: Page, box: Box) -> None:
            y, x = box.y + box.height / 2, box.x + box.width / 2
            on.hairline(box.x, y, x - u * 1.3, y, theme.accent, u * 0.12)
            on.hairline(x + u * 1.3, y, box.right, y, theme.accent, u * 0.12)
            diamond(on, x, y, box.height / 2, theme.accent)

        return [Drawn(u * 15, u * 1.2, draw, gap=u * 3)]
    if kind == "monogram":
        return [Drawn(u * 5, u * 5, lambda on, box: on.logo(box, theme.accent), gap=u * 3)]
    return []


def _on_one_line(page: Page, item: Words) -> float:
    block = set_text(item.text, item.style, item.size, 1e6, page.language, hyphenate=False)
    return block.ink_width if block else 0.0


def _mark(page: Page, box: Box, align: str) -> Box:
    side = min(box.width, box.height)
    x = box.x + (box.width - side) * (0.5 if align == "centre" else 0.0)
    placed = Box(x, box.y, side, side)
    page.logo(placed, page.theme.ink)
    page.areas["mark"] = placed.bounds
    return placed


def _frame(page: Page, box: Box) -> None:
    u, theme, kind = page.unit, page.theme, page.theme.preset.frame
    inset = _margin(page) * 0.42
    line = max(1.0, u * 0.13)
    inner = box.inset(inset)
    if kind in ("hairline", "double"):
        page.rect(inner, stroke=theme.accent, line=line)
    if kind == "double":
        page.rect(inner.inset(u * 0.75), stroke=theme.accent, line=line * 0.55)
    if kind == "corners":
        length = u * 5
        for x, way in ((inner.x, 1), (inner.right, -1)):
            for y, down in ((inner.y, 1), (inner.bottom, -1)):
                page.path(
                    f"M{x + way * length:.2f} {y:.2f}H{x:.2f}V{y + down * length:.2f}", stroke=theme.accent, line=line
                )
    if kind == "arch":
        page.path(arch(inner), stroke=theme.accent, line=line)
    if kind == "bar":
        page.rect(Box(box.x, box.y, u * 1.5, box.height), theme.ink)


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

    try:
        text = format_currency(
            amount, currency, locale=language.replace("-", "_"), currency_digits=amount % 1 != 0, format=None
        )
    except UnknownLocaleError:
        text = format_currency(amount, currency, locale="en")
    if amount % 1 == 0:
        from babel.numbers import get_currency_precision

        digits = get_currency_precision(currency)
        for mark in (".", ",", "\u066b"):
            text = text.replace(mark + "0" * digits, "") if digits else text
    return text
