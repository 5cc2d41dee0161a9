"""The words that a model is given: those of whoever asks, then what the brand's kit says of how it looks.

Belongs here: composing a prompt, and refusing what the kit forbids before anybody is asked. Does not belong here: what a
provider makes of it.

The words of whoever asks stand first and whole. What the kit adds follows by its weight as far as there is room, and what did
not fit is said.
"""

import hashlib
import unicodedata
from dataclasses import dataclass

from assets.visuals.brand_kit import BrandKit, forbidden_in
from assets.visuals.briefs import Brief, Product
from assets.visuals.errors import VisualsError
from assets.visuals.presets import StylePreset

ROOM = 4000
"""Characters that every model of the registry takes."""
_ALWAYS_UNWANTED = "watermark, signature, other brands' logos"


class ForbiddenWords(VisualsError):
    """The words hold what the kit forbids; `found` names them by the field."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        self.found = tuple(found)
        named = "; ".join(f"{field}: it holds {word!r}" for field, word in found)
        super().__init__(f"{named}. The brand kit forbids that; write it otherwise")


@dataclass(frozen=True)
class Prompt:
    """What is asked for and what is not wanted. `left_out` names the parts of the kit for which there was no room."""

    text: str
    negative: str
    left_out: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits, for credentials and rows that must not tell the words."""
        return hashlib.sha256(f"{self.text}\0{self.negative}".encode()).hexdigest()[:16]


def compose(
    kit: BrandKit,
    preset: StylePreset,
    words: str,
    *,
    shot: str = "",
    product: Product | None = None,
    negative: str = "",
    room: int = ROOM,
) -> Prompt:
    """The prompt of a picture. Raises ForbiddenWords, and VisualsError where there are no words at all."""
    words, shot, negative = plain(words), plain(shot), plain(negative)
    refuse_forbidden(kit, {"prompt": words, "shot": shot, **_said_of(product)})
    subject = [part for part in (words, shot, _product(product)) if part]
    if not subject:
        raise VisualsError("there is nothing to be seen: write a prompt, or name a product or a shot")
    style = kit.presets[preset]
    palette = ", ".join(f"{name} {value}" for name, value in _colours(kit))
    added = {
        "style": style.prompt,
        "palette": f"Keep to this palette: {palette}",
        "mood": f"Mood: {', '.join(kit.voice.tone)}",
        "lettering": "No lettering in the picture",
        "donts": " ".join(_sentence(text) for text in kit.donts),
        "dos": " ".join(_sentence(text) for text in kit.dos),
    }
    text = " ".join(_sentence(part) for part in subject)
    left_out = []
    for name, part in added.items():
        longer = f"{text} {_sentence(part)}" if part else text
        if len(longer) <= room:
            text = longer
        else:
            left_out.append(name)
    unwanted = [negative, style.negative, ", ".join(kit.forbidden.marks), _ALWAYS_UNWANTED]
    return Prompt(text, ", ".join(part for part in unwanted if part)[:room], tuple(left_out))


def words_of(brief: Brief, language: str) -> str:
    """What a layout's brief means for a model that paints: its theme, and no word of it as lettering."""
    said = brief.words(language)
    theme = [said.headline, said.body, brief.campaign]
    return " ".join(_sentence(part) for part in dict.fromkeys(plain(text) for text in theme) if part)


def refuse_forbidden(kit: BrandKit, said: dict[str, str]) -> None:
    """Raises ForbiddenWords where a text holds a word or a mark of the kit's lists; `said` holds texts by their field."""
    found = [(field, word) for field, text in said.items() for word in forbidden_in(kit, text)]
    if found:
        raise ForbiddenWords(found)


def plain(text: str) -> str:
    """In one line, composed (NFC), without characters that are not seen."""
    kept = "".join(
        " " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c
        for c in unicodedata.normalize("NFC", text)
        if unicodedata.category(c) not in ("Cf", "Cs", "Co")
    )
    return " ".join(kept.split())


def _said_of(product: Product | None) -> dict[str, str]:
    return {} if product is None else {f"product.{name}": getattr(product, name) for name in ("name", "material")}


def _product(product: Product | None) -> str:
    if product is None:
        return ""
    parts = [product.name, product.material, f"in the colour {product.colour}" if product.colour else ""]
    return ", ".join(plain(part) for part in parts if part)


def _colours(kit: BrandKit) -> list[tuple[str, str]]:
    named = [
        getattr(kit.palette, role) for role in ("background", "surface", "ink", "muted", "accent", "deep", "on_deep")
    ]
    return [(colour.name, colour.hex.upper()) for colour in (*named, *kit.palette.extra)]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?…。！？" else f"{text}."
