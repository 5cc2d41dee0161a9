"""Fonts that are here, and what they say of their own letters: widths, kerning, ink and outlines.

Belongs here: finding a family, choosing which of several has a letter, shaping. Does not belong here: lines and boxes (`text`).

Families come from installed font packages first, then from the system's font folders. HarfBuzz shapes, with the font's kerning,
ligatures and forms of the language; outlines are drawn as paths, so a picture needs no font once it is made and is the same on
every machine that has the same font files.
"""

from __future__ import annotations

import os
import struct
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from assets.visuals.errors import VisualsError

LAST_RESORT = ("EB Garamond", "Inter", "IPAexMincho", "Noto Serif CJK JP", "DejaVu Serif", "DejaVu Sans")
"""Families tried for letters that the kit's own have not."""

Bounds = tuple[float, float, float, float]


class FontError(VisualsError):
    """No installed font can set what was asked for; the message says which letters, and what to install."""


@dataclass(frozen=True)
class Outline:
    """A text as one SVG path, its baseline's start at 0,0, y downwards; `ink` is left, top, right and bottom of the black."""

    path: str
    ink: Bounds
    advance: float


@dataclass(frozen=True)
class Glyph:
    """One glyph on a line, in ems: where it stands, y upwards, and which character of the text it came from."""

    face: Face
    number: int
    x: float
    y: float
    cluster: int


@dataclass(frozen=True)
class Shaped:
    """A line of text as its font sets it, in ems of its size; `ink` has y downwards from the baseline."""

    glyphs: tuple[Glyph, ...]
    advance: float
    ink: Bounds

    @property
    def width(self) -> float:
        """From the first black to the last."""
        return self.ink[2] - self.ink[0]

    def path(self, x: float, y: float, size: float) -> str:
        """SVG path data with the baseline's start at x, y."""
        return "".join(g.face.path_of(g.number, x + g.x * size, y - g.y * size, size) for g in self.glyphs)


class Face:
    """A font file at one weight. Equal arguments give one and the same object: see `find_family`."""

    def __init__(self, path: Path, index: int, family: str, weight: int, italic: bool) -> None:
        hb = _harfbuzz()
        self.path, self.family, self.weight, self.italic = path, family, weight, italic
        face = hb.Face(hb.Blob.from_file_path(str(path)), index)
        self._font = hb.Font(face)
        for axis in face.axis_infos:
            if axis.tag == "wght":
                self._font.set_variations({"wght": min(max(weight, axis.min_value), axis.max_value)})
        self._upem = face.upem
        self._characters = frozenset(face.unicodes)
        self._outlines: dict[int, list[tuple[str, tuple[float, ...]]]] = {}

    def has(self, character: str) -> bool:
        return ord(character) in self._characters

    @property
    def cap_height(self) -> float:
        """Of an H, in ems."""
        shaped = self.shape("H") if self.has("H") else None
        return -shaped.ink[1] if shaped else 0.7

    def shape(self, text: str, *, language: str = "en", ligatures: bool = True) -> Shaped:
        """A text in this face alone, in ems. Letters that it has not become its empty box."""
        hb = _harfbuzz()
        buffer = hb.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.language = language
        features = {"kern": True} if ligatures else {"kern": True, "liga": False, "clig": False}
        hb.shape(self._font, buffer, features)
        x, glyphs = 0.0, []
        for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
            place = ((x + position.x_offset) / self._upem, position.y_offset / self._upem)
            glyphs.append(Glyph(self, info.codepoint, *place, info.cluster))
            x += position.x_advance
        return Shaped(tuple(glyphs), x / self._upem, _ink(glyphs))

    def outline_of(self, text: str, size: float) -> Outline:
        """A short text as a path, such as an initial for a logo."""
        shaped = self.shape(text)
        left, top, right, bottom = (value * size for value in shaped.ink)
        return Outline(shaped.path(0, 0, size), (left, top, right, bottom), shaped.advance * size)

    def ink_of(self, glyph: int) -> Bounds | None:
        """Left, top, right, bottom in ems, y downwards; None for a space."""
        extents = self._font.get_glyph_extents(glyph)
        if extents is None or not (extents.width and extents.height):
            return None
        left, top = extents.x_bearing / self._upem, -extents.y_bearing / self._upem
        return left, top, left + extents.width / self._upem, top - extents.height / self._upem

    def path_of(self, glyph: int, x: float, y: float, size: float) -> str:
        scale = size / self._upem
        parts = []
        for command, numbers in self._outline(glyph):
            placed = (
                f"{(x + value * scale) if n % 2 == 0 else (y - value * scale):.2f}" for n, value in enumerate(numbers)
            )
            parts.append(command + " ".join(placed))
        return "".join(parts)

    def _outline(self, glyph: int) -> list[tuple[str, tuple[float, ...]]]:
        if glyph not in self._outlines:
            pen = _Pen()
            self._font.draw_glyph(glyph, _drawing(), pen)
            self._outlines[glyph] = pen.commands
        return self._outlines[glyph]


class FontSet:
    """A family with others to fall back on, letter by letter, in the order given."""

    def __init__(self, faces: Iterable[Face], notes: Iterable[str] = ()) -> None:
        self.faces = tuple(faces)
        self.notes = tuple(notes)
        self._shaped = lru_cache(maxsize=20_000)(self._shape)

    @property
    def first(self) -> Face:
        return self.faces[0]

    def can_set(self, text: str) -> bool:
        """Whether each of the text's letters is in one of the faces."""
        return all(_joins(c) or c.isspace() or any(face.has(c) for face in self.faces) for c in text)

    def shape(self, text: str, *, tracking: float = 0.0, language: str = "en") -> Shaped:
        """One line, in ems; `tracking` is added between letters, in ems. Raises FontError for letters that no font has."""
        return self._shaped(text, tracking, language)

    def _shape(self, text: str, tracking: float, language: str) -> Shaped:
        x, glyphs = 0.0, []
        for face, start, part in self._runs(text):
            shaped = face.shape(part, language=language, ligatures=abs(tracking) < 0.02)
            added, last = 0.0, None
            for glyph in shaped.glyphs:
                if last is not None and glyph.cluster != last:
                    added += tracking
                last = glyph.cluster
                glyphs.append(Glyph(face, glyph.number, x + glyph.x + added, glyph.y, start + glyph.cluster))
            x += shaped.advance + added + tracking
        return Shaped(tuple(glyphs), max(x - tracking, 0.0), _ink(glyphs))

    def _runs(self, text: str) -> Iterator[tuple[Face, int, str]]:
        """Parts of the text with the face that sets each: the first that has all of its letters."""
        begun, current = 0, None
        missing = sorted({c for c in text if not _joins(c) and not any(face.has(c) for face in self.faces)})
        if missing:
            raise FontError(_missing(missing))
        if not any(_is_wide(character) for character in text):
            # Greek in one face with its figures: letters of two would not match. Japanese is set with another's Latin.
            whole = next((face for face in self.faces if all(_joins(c) or face.has(c) for c in text)), None)
            if whole is not None:
                yield whole, 0, text
                return
        for place, character in enumerate(text):
            if current is not None and (_joins(character) or (character.isspace() and current.has(character))):
                continue
            face = next((face for face in self.faces if face.has(character)), self.first)
            if face is not current:
                if current is not None:
                    yield current, begun, text[begun:place]
                begun, current = place, face
        if current is not None:
            yield current, begun, text[begun:]


def font_set(family: str, weight: int, italic: bool, fallback: tuple[str, ...] = ()) -> FontSet:
    """The family and those behind it, as far as they are installed. What is not there is said in `notes`.

    Raises FontError where not one of them is.
    """
    return _font_set(family, weight, italic, (*fallback, *LAST_RESORT))


@lru_cache(maxsize=128)
def _font_set(family: str, weight: int, italic: bool, fallback: tuple[str, ...]) -> FontSet:
    names = list(dict.fromkeys((family, *fallback)))
    found = {name: face for name in names if (face := _find(name, weight, italic)) is not None}
    if not found:
        raise FontError(
            f"none of these families is installed: {', '.join(names)}. Install one, such as the package fontpkg-eb-garamond"
        )
    notes = []
    if family not in found:
        notes.append(f"{family} is not installed; {next(iter(found))} is set instead")
    return FontSet(found.values(), notes)


def find_family(family: str, weight: int = 400, italic: bool = False) -> Face:
    """The family's face nearest to a weight. Raises FontError where it is not installed."""
    found = _find(family, weight, italic)
    if found is None:
        raise FontError(f"the family {family!r} is not installed: `luxauto brand show` lists those that are")
    return found


def installed_families() -> list[str]:
    """Names of all families that can be used here."""
    return sorted({*_packaged(), *_system()}, key=str.casefold)


@lru_cache(maxsize=256)
def _find(family: str, weight: int, italic: bool) -> Face | None:
    if family in _packaged():
        import fontpkg

        path = fontpkg.path(family, weight, "italic" if italic else "normal", nearest=True)
        return Face(path, 0, family, weight, italic)
    files = _system().get(family)
    if not files:
        return None
    best = min(files, key=lambda file: (file.italic != italic, abs(file.weight - weight), str(file.path)))
    return Face(best.path, best.index, family, weight, italic)


@lru_cache(maxsize=1)
def _packaged() -> frozenset[str]:
    import fontpkg

    return frozenset(family.name for family in fontpkg.families().values())


def packaged_files() -> list[Path]:
    """The files of the families that come with the project, for a renderer that sets text by itself."""
    import fontpkg

    return sorted(file.path for family in fontpkg.families().values() for file in family.files)


@dataclass(frozen=True)
class _File:
    path: Path
    index: int
    weight: int
    italic: bool


@lru_cache(maxsize=1)
def _system() -> dict[str, list[_File]]:
    """Families of the system's font folders, and of matplotlib's, which always brings DejaVu and STIX."""
    found: dict[str, list[_File]] = {}
    paths = {path.resolve() for folder in _folders() if folder.is_dir() for path in folder.rglob("*.[ot]t[fc]")}
    for path in sorted(paths):
        for family, file in _described(path):
            found.setdefault(family, []).append(file)
    return found


def _folders() -> list[Path]:
    import importlib.util

    home = Path.home()
    folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts", home / ".fonts"]
    if sys.platform == "darwin":
        folders += [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    if sys.platform == "win32":
        folders.append(Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts")
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin:
        folders.append(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf")
    return folders


def _described(path: Path) -> Iterator[tuple[str, _File]]:
    hb = _harfbuzz()
    try:
        blob = hb.Blob.from_file_path(str(path))
        for index in range(hb.Face.count(blob) if path.suffix == ".ttc" else 1):
            face = hb.Face(blob, index)
            family = face.get_name(16) or face.get_name(1)
            table = face.reference_table("OS/2").data
            if family and len(table) >= 64 and face.glyph_count:
                (weight,), (selection,) = struct.unpack(">H", table[4:6]), struct.unpack(">H", table[62:64])
                yield family, _File(path, index, weight or 400, bool(selection & 1))
    except (OSError, ValueError, RuntimeError, hb.HarfBuzzError):
        return


def _harfbuzz() -> Any:
    """The module, which has no types that a checker can read."""
    import uharfbuzz

    return uharfbuzz


class _Pen:
    """Collects what HarfBuzz draws, as SVG's commands."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, tuple[float, ...]]] = []


@lru_cache(maxsize=1)
def _drawing() -> Any:
    functions = _harfbuzz().DrawFuncs()
    functions.set_move_to_func(lambda x, y, pen: pen.commands.append(("M", (x, y))))
    functions.set_line_to_func(lambda x, y, pen: pen.commands.append(("L", (x, y))))
    functions.set_quadratic_to_func(lambda a, b, x, y, pen: pen.commands.append(("Q", (a, b, x, y))))
    functions.set_cubic_to_func(lambda a, b, c, d, x, y, pen: pen.commands.append(("C", (a, b, c, d, x, y))))
    functions.set_close_path_func(lambda pen: pen.commands.append(("Z", ())))
    return functions


def _ink(glyphs: list[Glyph]) -> Bounds:
    boxes = []
    for glyph in glyphs:
        ink = glyph.face.ink_of(glyph.number)
        if ink is not None:
            boxes.append((ink[0] + glyph.x, ink[1] - glyph.y, ink[2] + glyph.x, ink[3] - glyph.y))
    if not boxes:
        return 0.0, 0.0, 0.0, 0.0
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _joins(character: str) -> bool:
    """Marks and joiners belong to the letter before them; HarfBuzz composes them or leaves them out."""
    return unicodedata.category(character) in ("Mn", "Me", "Cf")


def _missing(characters: list[str]) -> str:
    shown = ", ".join(f"{character} (U+{ord(character):04X})" for character in characters[:5])
    more = f" and {len(characters) - 5} more" if len(characters) > 5 else ""
    return (
        f"no installed font has {shown}{more}. Install one that has (for Japanese: Debian's fonts-ipaexfont-mincho) and name "
        "its family under typefaces.fallback in brand.yaml"
    )
