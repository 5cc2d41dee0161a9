"""From a kit and a brief to files: SVG drawn as PNG or WebP, with what they were made from written into them.

Belongs here: the bytes. Does not belong here: what a page shows (`templates`), and signing (`assets.visuals.provenance`).
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief, pixels, refuse_forbidden_words
from assets.visuals.errors import VisualsError
from assets.visuals.studio.layout import Page, Placed, Theme
from assets.visuals.studio.templates import Wanted, draw

RENDERER = "luxauto studio 1"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One finished picture. `metadata` is what stands in the file, `notes` what was not as asked, such as another typeface."""

    name: str
    content: bytes
    svg: str
    width: int
    height: int
    language: str
    metadata: Mapping[str, str]
    texts: tuple[Placed, ...]
    notes: tuple[str, ...]


def render_brief(loaded: LoadedKit, brief: Brief, photo: bytes | None = None) -> Iterator[Picture]:
    """Each size in each language. The same arguments give the same bytes, with the same fonts.

    Raises InvalidBrief for words that the kit forbids, TextDoesNotFit and FontError for what cannot be set.
    """
    refuse_forbidden_words(loaded.kit, brief)
    for language in brief.each_language():
        for size in brief.sizes:
            yield render(loaded, brief, pixels(size), language, photo)


def render(
    loaded: LoadedKit, brief: Brief, size: tuple[int, int], language: str, photo: bytes | None = None
) -> Picture:
    """One picture of `size` pixels."""
    width, height = size
    theme = Theme.of(loaded, loaded.kit.presets[brief.preset])
    page = Page(width, height, theme, language)
    seed = int.from_bytes(hashlib.sha256(f"{brief.seed}:{brief.id}".encode()).digest()[:4], "big")
    words = brief.words(language)
    draw(page, Wanted(brief, words, photo, brief.seed if brief.seed < 100 else seed))
    title = words.headline or (brief.product.name if brief.product else "") or brief.campaign or loaded.kit.name
    svg = page.svg(title)
    metadata = {
        "Software": RENDERER,
        "Title": title,
        "luxauto:provider": "studio",
        "luxauto:brand_kit": loaded.version,
        "luxauto:brief": brief.hash,
        "luxauto:template": brief.template,
        "luxauto:preset": brief.preset,
        "luxauto:language": language,
        "luxauto:seed": str(brief.seed),
    }
    if photo is not None:
        metadata["luxauto:photo"] = hashlib.sha256(photo).hexdigest()[:12]
    content = rasterise(svg, width, height)
    content = with_text(content, metadata) if brief.format == "png" else _webp(content, metadata)
    name = f"{brief.id}-{language}-{width}x{height}.{brief.format}"
    return Picture(name, content, svg, width, height, language, metadata, tuple(page.placed), tuple(theme.notes))


def rasterise(svg: str, width: int, height: int) -> bytes:
    """PNG of an SVG that holds no text elements, so that no font of the system has a say. Raises VisualsError."""
    import resvg_py

    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, height=height, skip_system_fonts=True))
    except ValueError as error:
        raise VisualsError(f"the picture cannot be drawn: {error}") from error


def with_text(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The PNG with international text chunks (iTXt) after its header; pixels stay as they are."""
    if png[:8] != _PNG:
        raise VisualsError("this is no PNG: text can be written into PNG alone")
    end = 8 + 12 + struct.unpack(">I", png[8:12])[0]
    chunks = b"".join(_chunk(b"iTXt", f"{k}\0\0\0\0\0".encode("latin-1") + v.encode()) for k, v in texts.items())
    return png[:end] + chunks + png[end:]


def text_of(png: bytes) -> dict[str, str]:
    """What `with_text` wrote, and other text that a PNG, or our XMP that a WebP or a JPEG holds."""
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG", "WEBP", "JPEG")) as picture:
        if picture.format == "PNG":
            picture.load()
            return {key: str(value) for key, value in getattr(picture, "text", {}).items()}
        return _from_xmp(picture.info.get("xmp", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _webp(png: bytes, texts: Mapping[str, str]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        opaque = picture.convert("RGBA").getchannel("A").getextrema() == (255, 255)
        whole = picture.convert("RGB") if opaque else picture.convert("RGBA")
        whole.save(out, format="WEBP", quality=92, method=4, xmp=xmp_of(texts))
    return out.getvalue()


_NAMESPACE = "urn:luxauto:visuals"


def xmp_of(texts: Mapping[str, str]) -> bytes:
    """Text as XMP, for formats that have no text chunks; `text_of` reads it again."""
    from xml.sax.saxutils import escape

    said = "".join(
        f"<lux:text rdf:parseType='Resource'><lux:key>{escape(k)}</lux:key><lux:value>{escape(v)}</lux:value></lux:text>"
        for k, v in texts.items()
    )
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description rdf:about='' xmlns:lux='{_NAMESPACE}'>{said}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def _from_xmp(xmp: bytes) -> dict[str, str]:
    from defusedxml.ElementTree import fromstring

    if not xmp:
        return {}
    space = f"{{{_NAMESPACE}}}"
    return {
        entry.findtext(f"{space}key", ""): entry.findtext(f"{space}value", "")
        for entry in fromstring(xmp).iter(f"{space}text")
    }
