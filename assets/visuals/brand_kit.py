"""The brand kit: what the brand looks and sounds like, in one file that every picture is made from and judged by.

Belongs here: what a `brand.yaml` may say, reading one, its version, and a first one for a new brand. Does not belong here: how
a picture is drawn from it (`studio`), or whether a picture keeps to it (`quality`).

A kit's version is a hash of all it says and of the files it names, so a picture can be followed to the kit it was made from.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.visuals.colour import contrast
from assets.visuals.errors import VisualsError
from assets.visuals.presets import PRESETS
from assets.visuals.svg_safety import SafeSvg, UnsafeSvg, sanitise

FILE_NAME = "brand.yaml"
READABLE = 4.5
"""Contrast that WCAG 2.2 (AA) asks of text; large text and graphics need `SEEN`."""
SEEN = 3.0

Hex = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
Words = Annotated[str, Field(min_length=1, max_length=500)]
Role = Literal["background", "surface", "ink", "muted", "accent", "deep", "on_deep"]
PresetName = Literal[
    "minimalist_luxury",
    "haute_couture",
    "streetwear_premium",
    "vintage_glamour",
    "modern_elegance",
    "avant_garde",
    "classic_timeless",
    "bohemian_luxury",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Colour(_Part):
    """A colour of the brand by its name and its value."""

    name: Words
    hex: Hex


class Palette(_Part):
    """Colours by what they are for. `ink` and `muted` are read on `background` and `surface`, `on_deep` on `deep`."""

    background: Colour
    surface: Colour
    ink: Colour
    muted: Colour
    accent: Colour
    deep: Colour
    on_deep: Colour
    extra: tuple[Colour, ...] = ()

    def of(self, role: Role) -> str:
        """The value of a role's colour, `#RRGGBB`."""
        return getattr(self, role).hex

    def colours(self) -> dict[str, str]:
        """Every colour's value by its role, or by its name where it has none."""
        roles = {role: getattr(self, role).hex for role in type(self).model_fields if role != "extra"}
        return roles | {colour.name: colour.hex for colour in self.extra}


class Typeface(_Part):
    """A family, and how it is set. `tracking` is space added after each letter, in thousandths of the size."""

    family: Words
    weight: int = Field(400, ge=100, le=900)
    italic: bool = False
    tracking: int = Field(0, ge=-100, le=500)
    uppercase: bool = False


class Typefaces(_Part):
    """`display` for headlines, `text` for reading, `label` for small capitals; `fallback` where a script is missing."""

    display: Typeface
    text: Typeface
    label: Typeface
    fallback: tuple[Words, ...] = ()


class Preset(_Part):
    """A style: the words for a model that paints, and the choices of the renderer that typesets."""

    description: Words
    prompt: Words
    negative: str = Field("", max_length=500)
    ground: Literal["background", "surface", "deep", "accent"] = "background"
    align: Literal["left", "centre"] = "centre"
    frame: Literal["none", "hairline", "double", "corners", "arch", "bar"] = "none"
    ornament: Literal["none", "rule", "diamond", "monogram"] = "rule"
    scale: float = Field(1.0, ge=0.6, le=1.8, description="size of headlines beside the usual one")
    margin: float = Field(1.0, ge=0.6, le=1.6, description="white space at the edges beside the usual one")
    display: Typeface | None = None
    label: Typeface | None = None


class Voice(_Part):
    """How the brand speaks."""

    tone: tuple[Words, ...] = Field(min_length=1)
    person: Literal["first_plural", "second", "third"] = "third"
    description: str = Field("", max_length=2000)


class Forbidden(_Part):
    """Words that no text or prompt may hold, and marks (others' names) that no picture may show."""

    words: tuple[Words, ...] = ()
    marks: tuple[Words, ...] = ()


class Reference(_Part):
    """A picture that shows what is meant; the path is from the kit's folder."""

    path: Words
    note: str = Field("", max_length=500)


class Shot(_Part):
    """One picture that a product of a type needs."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    content_type: Literal[
        "product_photo", "lifestyle_image", "fashion_lookbook", "social_media_post", "banner_ad", "design_mockup"
    ] = "product_photo"
    description: Words
    width: int = Field(1024, ge=512, le=2048)
    height: int = Field(1024, ge=512, le=2048)


class BrandKit(_Part):
    """All of it. `read_kit` also checks the files that it names and gives it its version."""

    kit: Literal[1] = Field(1, description="version of this format")
    name: Words
    tagline: str = Field("", max_length=200)
    voice: Voice
    palette: Palette
    typefaces: Typefaces
    logo: Words
    presets: dict[PresetName, Preset]
    dos: tuple[Words, ...] = ()
    donts: tuple[Words, ...] = ()
    forbidden: Forbidden = Forbidden()
    references: tuple[Reference, ...] = ()
    shots: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Annotated[tuple[Shot, ...], Field(min_length=1)]]


@dataclass(frozen=True)
class Finding:
    """What is wrong with a kit: where, what, and what to do about it. A `warning` lets the kit be used."""

    field: str
    problem: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}. {self.remedy}"


@dataclass(frozen=True)
class LoadedKit:
    """A kit that can be used: its version, its logo made safe, and what one may want to better."""

    kit: BrandKit
    version: str
    logo: SafeSvg
    folder: Path
    warnings: tuple[Finding, ...] = ()


class InvalidBrandKit(VisualsError):
    """The kit cannot be used; `findings` name each field and its remedy."""

    def __init__(self, where: str, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join([f"{where} cannot be used:", *(f"  {finding}" for finding in self.findings)]))


def read_kit(file: Path) -> LoadedKit:
    """The kit of a `brand.yaml` and the files beside it. Raises InvalidBrandKit with all that is wrong, not the first alone."""
    if not file.is_file():
        remedy = "Make one with `luxauto brand init`, or correct the path"
        raise InvalidBrandKit(str(file), [Finding(file.name, "there is no such file", remedy)])
    kit = _parsed(file)
    findings = [*_contrasts(kit.palette), *_presets(kit), *_words(kit)]
    logo, content = None, {}
    for field, path in [("logo", kit.logo), *((f"references.{n}.path", r.path) for n, r in enumerate(kit.references))]:
        found = _content(file.parent, field, path)
        if isinstance(found, Finding):
            findings.append(found)
            continue
        content[path] = hashlib.sha256(found).hexdigest()
        if field == "logo":
            try:
                logo = sanitise(found)
            except UnsafeSvg as error:
                findings.append(Finding("logo", f"{path} cannot be drawn", f"{error}"))
        elif (fault := _image_fault(found)) is not None:
            findings.append(Finding(field, f"{path} {fault}", "Give a PNG, JPEG or WebP file"))
    if logo is None or any(not finding.warning for finding in findings):
        raise InvalidBrandKit(str(file), findings)
    if logo.removed:
        removed = ", ".join(logo.removed)
        remedy = "Save the logo without it, so that others draw it as we do"
        findings.append(Finding("logo", f"left out of it, as it does not draw: {removed}", remedy, warning=True))
    return LoadedKit(kit, version_of(kit, content), logo, file.parent, tuple(findings))


def version_of(kit: BrandKit, files: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that change with anything that the kit says and with the content of its files."""
    said = {"kit": kit.model_dump(mode="json"), "files": dict(files)}
    canonical = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def forbidden_in(kit: BrandKit, text: str) -> list[str]:
    """Words and marks of the kit's lists that stand in a text as words of their own, however they are written."""
    plain = _folded(text)
    listed = (*kit.forbidden.words, *kit.forbidden.marks)
    return [word for word in listed if re.search(rf"(?<!\w){re.escape(_folded(word))}(?!\w)", plain)]


def _folded(text: str) -> str:
    """Without case, accents, width and invisible characters, spaces alike."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(c for c in decomposed if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    return " ".join(kept.split())


def _parsed(file: Path) -> BrandKit:
    import yaml

    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        finding = Finding(file.name, "it is not UTF-8", "Save it as UTF-8")
        raise InvalidBrandKit(str(file), [finding]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else file.name
        problem = getattr(error, "problem", None) or "it is no YAML"
        remedy = "Correct it; colours need quotes, as # begins a comment"
        raise InvalidBrandKit(str(file), [Finding(place, str(problem), remedy)]) from error
    if not isinstance(said, dict):
        finding = Finding(file.name, "it holds no fields", "`luxauto brand init` writes one to begin with")
        raise InvalidBrandKit(str(file), [finding])
    try:
        return BrandKit.model_validate(said)
    except ValidationError as error:
        raise InvalidBrandKit(str(file), [_finding(fault) for fault in error.errors()]) from error


def _finding(fault: Any) -> Finding:
    # Where pydantic names the key of a mapping itself, its place ends in "[key]".
    field = ".".join(str(part) for part in fault["loc"] if part != "[key]") or FILE_NAME
    kind, context = fault["type"], fault.get("ctx", {})
    given = fault.get("input")
    if kind == "missing":
        return Finding(field, "it is missing", "Add it; `luxauto brand init --to DIR` writes an example")
    if kind == "extra_forbidden":
        return Finding(field, "there is no such field", "Correct its name or remove it")
    if kind == "string_pattern_mismatch" and context.get("pattern", "").startswith("^#"):
        return Finding(field, f"{given!r} is no colour", 'Write six hexadecimal digits in quotes, such as "#1F1C18"')
    if kind == "none_required" or given is None:
        return Finding(field, "it is empty", 'Write a value; a colour needs quotes, such as "#1F1C18"')
    if kind == "literal_error":
        return Finding(field, f"{given!r} is not known", f"Choose {context['expected']}")
    return Finding(field, f"{fault['msg']}, not {given!r}"[:300], "Correct the value")


def _contrasts(palette: Palette) -> Iterable[Finding]:
    pairs: tuple[tuple[Role, Role, float, bool], ...] = (
        ("ink", "background", READABLE, False),
        ("ink", "surface", READABLE, False),
        ("muted", "background", READABLE, False),
        ("muted", "surface", READABLE, True),
        ("on_deep", "deep", READABLE, False),
        ("accent", "background", SEEN, True),
        ("accent", "deep", SEEN, True),
    )
    for front, back, needed, warning in pairs:
        ratio = contrast(palette.of(front), palette.of(back))
        if ratio < needed:
            problem = f"{palette.of(front)} on {back} {palette.of(back)} has a contrast of {ratio:.2f}:1"
            what = "text" if needed == READABLE else "what is drawn"
            remedy = f"WCAG asks {needed:g}:1 of {what}: make one of them darker or lighter"
            yield Finding(f"palette.{front}.hex", problem, remedy, warning)


def _presets(kit: BrandKit) -> Iterable[Finding]:
    for name in PRESETS:
        if name not in kit.presets:
            yield Finding(f"presets.{name}", "it is missing", "Add it; `luxauto brand init --to DIR` writes an example")


def _words(kit: BrandKit) -> Iterable[Finding]:
    """A kit that uses a word it forbids contradicts itself."""
    said = {"name": kit.name, "tagline": kit.tagline}
    said |= {f"presets.{name}.prompt": preset.prompt for name, preset in kit.presets.items()}
    for field, text in said.items():
        for word in forbidden_in(kit, text):
            yield Finding(field, f"it holds {word!r}, which the kit forbids", "Change the text or the list")


def _content(folder: Path, field: str, path: str) -> bytes | Finding:
    file = folder / path
    if Path(path).is_absolute() or not file.resolve().is_relative_to(folder.resolve()):
        return Finding(field, f"{path} lies outside the kit's folder", "Put the file beside brand.yaml")
    if not file.is_file():
        return Finding(field, f"there is no file {path}", f"Put it into {folder}, or correct the path")
    return file.read_bytes()


def _image_fault(content: bytes) -> str | None:
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as picture:
            picture.verify()
    except Exception:
        return "is no picture that can be read"
    return None
