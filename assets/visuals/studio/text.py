"""Text set in boxes: broken into lines, balanced, hyphenated, and measured by the ink of its letters.

Belongs here: one text in one width. Does not belong here: which fonts there are (`fonts`) and where a text stands (`layout`).

A line is as wide as its black, not as its advances: letters then stand exactly on the margin, and none leaves its box.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from assets.visuals.brand_kit import Typeface
from assets.visuals.errors import VisualsError
from assets.visuals.studio.fonts import Bounds, FontSet, Shaped, font_set
from assets.visuals.studio.typography import dressed

SOFT_HYPHEN = "\u00ad"
NO_BREAK = "\u00a0\u202f\u2060"
_AFTER = "-‐–—/"
# What must not begin a line of Japanese or Chinese, and what must not end one (JIS X 4051, kinsoku shori).
_NOT_FIRST = "、。，．,.・：；:;？！?!）」』】〉》〕］｝)]}ーゝゞ々〜…‥’”％ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
_NOT_LAST = "（「『【〈《〔［｛([{‘“¥￥$€£"
_HYPHEN_COST = 0.4
_LITTLE_WORD, _LITTLE_WORD_COST = 3, 0.1
_DICTIONARIES = {"en": "en_GB", "de": "de_DE", "pt": "pt_PT"}


@dataclass(frozen=True)
class Style:
    """How a text is set; `leading` is the distance of baselines in ems, `tracking` the space between letters in ems."""

    fonts: FontSet
    tracking: float = 0.0
    uppercase: bool = False
    leading: float = 1.3
    balanced: bool = False

    @classmethod
    def of(cls, face: Typeface, fallback: tuple[str, ...], *, leading: float = 1.3, balanced: bool = False) -> Style:
        """From a kit's typeface. Raises FontError where nothing is installed that could set it."""
        fonts = font_set(face.family, face.weight, face.italic, fallback)
        return cls(fonts, face.tracking / 1000, face.uppercase, leading, balanced)


@dataclass(frozen=True)
class Block:
    """Lines of one size in one width. Heights are in pixels, from the highest black of the first line."""

    lines: tuple[Shaped, ...]
    size: float
    width: float
    leading: float

    @property
    def ink_width(self) -> float:
        return max((line.width * self.size for line in self.lines), default=0.0)

    @property
    def height(self) -> float:
        """Down to the lowest black of the last line, and to where a g would end."""
        if not self.lines:
            return 0.0
        below = max(self.lines[-1].ink[3], 0.2) * self.size
        return self.first_baseline + (len(self.lines) - 1) * self.leading * self.size + below

    @property
    def first_baseline(self) -> float:
        return max(-self.lines[0].ink[1], 0.0) * self.size if self.lines else 0.0

    def paths(self, x: float, y: float, align: str) -> Iterator[str]:
        """SVG path data of each line, the block's left upper corner at x, y; `align` is left, centre or right."""
        for line, (left, baseline) in zip(self.lines, self._places(x, y, align), strict=True):
            yield line.path(left, baseline, self.size)

    def ink(self, x: float, y: float, align: str) -> Bounds:
        """Left, top, right and bottom of all black, placed like `paths`."""
        boxes = []
        for line, (left, baseline) in zip(self.lines, self._places(x, y, align), strict=True):
            a, b, c, d = (value * self.size for value in line.ink)
            boxes.append((left + a, baseline + b, left + c, baseline + d))
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    def _places(self, x: float, y: float, align: str) -> Iterator[tuple[float, float]]:
        share = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
        for number, line in enumerate(self.lines):
            free = self.width - line.width * self.size
            yield (
                x + free * share - line.ink[0] * self.size,
                y + self.first_baseline + number * self.leading * self.size,
            )


def set_text(text: str, style: Style, size: float, width: float, language: str, *, hyphenate: bool) -> Block | None:
    """The text in lines of at most `width` pixels, as few as can be; None where a word is wider.

    Raises FontError for letters that no font has, and VisualsError for a script written from the right.
    """
    prepared = prepare(text, style, language)
    if not prepared:
        return Block((), size, width, style.leading)
    lines: list[Shaped] = []
    for paragraph in prepared.split("\n"):
        broken = _break(paragraph, style, width / size, language, hyphenate)
        if broken is None:
            return None
        lines += [_shaped(line, style, language) for line in broken]
    block = Block(tuple(lines), size, width, style.leading)
    # Tall letters, such as capitals with accents, must not touch the line above.
    closest = max((max(a.ink[3], 0.0) - b.ink[1] for a, b in pairwise(lines)), default=0.0)
    return replace(block, leading=max(block.leading, closest + 0.06))


def prepare(text: str, style: Style, language: str) -> str:
    """Composed, with single spaces and the language's marks, in capitals where the style says so; written line ends stay."""
    plain = unicodedata.normalize("NFC", text)
    if any(unicodedata.bidirectional(c) in ("R", "AL") for c in plain):
        raise VisualsError(
            f"{text[:30]!r} is written from the right, which the studio does not set yet: choose another provider"
        )
    lines = [dressed(re.sub(r"[ \t\r\f\v]+", " ", line).strip(), language) for line in plain.split("\n")]
    plain = "".join(
        c for c in "\n".join(line for line in lines if line) if c == "\n" or unicodedata.category(c) != "Cc"
    )
    return capitals(plain, language) if style.uppercase else plain


def capitals(text: str, language: str) -> str:
    """As the language writes them: Greek loses its accents, Turkish keeps its dots."""
    if language.startswith("el"):
        decomposed = unicodedata.normalize("NFD", text.upper())
        return unicodedata.normalize("NFC", decomposed.replace("\u0301", ""))
    if language[:2] in ("tr", "az"):
        text = text.replace("i", "İ").replace("ı", "I")
    return text.upper()


def longest_word(text: str, style: Style, language: str) -> float:
    """Width in ems of what cannot be broken without a hyphen."""
    prepared = prepare(text, style, language)
    widths = [0.0]
    for paragraph in prepared.split("\n"):
        breaks = [
            0,
            *(place for place, hyphen in _opportunities(paragraph, language, False) if not hyphen),
            len(paragraph),
        ]
        widths += [_width(paragraph[a:b].strip(), style, language) for a, b in pairwise(breaks)]
    return max(widths)


def _break(text: str, style: Style, width: float, language: str, hyphenate: bool) -> list[str] | None:
    """Lines of a paragraph: as few as can be, and of those ways the evenest."""
    places = [(0, False), *_opportunities(text, language, hyphenate), (len(text), False)]

    def line(i: int, j: int) -> str:
        plain = text[places[i][0] : places[j][0]].strip(" ").replace(SOFT_HYPHEN, "")
        return plain + "-" if places[j][1] else plain

    def fits(i: int, j: int) -> bool:
        return _width(line(i, j), style, language) <= width + 1e-9

    last = len(places) - 1
    count, at = 0, 0
    while at < last:
        nearest = at
        for j in range(at + 1, last + 1):
            if fits(at, j):
                nearest = j
            elif _width(line(at, j), style, language) > width * 1.5:
                break
        if nearest == at:
            return None
        count, at = count + 1, nearest

    costs: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for number in range(1, count + 1):
        step: dict[int, tuple[float, int]] = {}
        for i, (cost, _) in costs[-1].items():
            for j in range(i + 1, last + 1):
                wide = _width(line(i, j), style, language)
                if wide > width * 1.5:
                    break
                if wide > width + 1e-9 or (number == count) != (j == last):
                    continue
                total = cost + _cost(wide / width, style, final=number == count, hyphen=places[j][1])
                total += _awkward(text, places[j][0])
                if j not in step or total < step[j][0]:
                    step[j] = (total, i)
        costs.append(step)
    if last not in costs[-1]:
        return None
    lines, j = [], last
    for number in range(count, 0, -1):
        i = costs[number][j][1]
        lines.append(line(i, j))
        j = i
    return lines[::-1]


def _cost(filled: float, style: Style, *, final: bool, hyphen: bool) -> float:
    cost = _HYPHEN_COST if hyphen else 0.0
    if final and not style.balanced:
        # A paragraph ends where it ends, but not with a crumb.
        return cost + (0.3 if filled < 0.25 else 0.0)
    return cost + (1 - filled) ** 2


def _opportunities(text: str, language: str, hyphenate: bool) -> list[tuple[int, bool]]:
    """Where a line may end: the index of what begins the next one, and whether a hyphen is written."""
    found: dict[int, bool] = {}
    for i in range(1, len(text)):
        before, after = text[i - 1], text[i]
        if before == " ":
            found[i] = False
        elif after == " " or before in NO_BREAK or after in NO_BREAK:
            continue
        elif before == SOFT_HYPHEN:
            found[i] = True
        elif _parts_after_dash(text, i) or _parts_cjk(before, after):
            found[i] = False
    if hyphenate:
        for word in re.finditer(r"[^\W\d_]{6,}", text):
            for place in _hyphens(word[0], language):
                found.setdefault(word.start() + place, True)
    return sorted(found.items())


@lru_cache(maxsize=4096)
def _hyphens(word: str, language: str) -> tuple[int, ...]:
    """Places in a word where its language allows a hyphen, at least three letters from each end; none without a dictionary."""
    import pyphen

    name = pyphen.language_fallback(_DICTIONARIES.get(language, language.replace("-", "_")))
    if name is None:
        return ()
    return tuple(place for place in pyphen.Pyphen(lang=name).positions(word) if 3 <= place <= len(word) - 3)


def _parts_after_dash(text: str, i: int) -> bool:
    return text[i - 1] in _AFTER and i > 1 and text[i - 2].isalpha() and text[i].isalnum()


def _parts_cjk(before: str, after: str) -> bool:
    return (_is_cjk(before) or _is_cjk(after)) and after not in _NOT_FIRST and before not in _NOT_LAST


def _awkward(text: str, place: int) -> float:
    """What a break costs: some after a little word, which belongs to the next one.

    In a script without spaces nothing after a comma, much before a particle.
    """
    before, after = text[place - 1 : place], text[place : place + 1]
    if before == " ":
        word = text[:place].split()[-1] if text[:place].split() else ""
        word = word.replace("’", "")
        return _LITTLE_WORD_COST if word.isalpha() and len(word) <= _LITTLE_WORD else 0.0
    if not (before and after and _is_cjk(before) and _is_cjk(after)) or before in "、。，．！？・」":
        return 0.0
    return 0.5 if "\u3041" <= after <= "\u309f" else 0.12


def _is_cjk(character: str) -> bool:
    code = ord(character)
    return 0x2E80 <= code <= 0x30FF or 0x31F0 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0xFF01 <= code <= 0xFF9F


def _shaped(line: str, style: Style, language: str) -> Shaped:
    return style.fonts.shape(line.replace(SOFT_HYPHEN, ""), tracking=style.tracking, language=language)


def _width(line: str, style: Style, language: str) -> float:
    return _shaped(line, style, language).width
