"""SVG from elsewhere, such as a logo or a model's answer, made safe to draw and to show in a browser.

Belongs here: what may stay and what is refused. Does not belong here: drawing.

The rule is an allow-list: elements that draw, attributes that shape and colour, references to the same document. A script, an
event handler, a link, a style sheet, an embedded picture, a font or an entity is taken out or refused, whoever sent it.
"""

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, register_namespace, tostring

from assets.visuals.errors import VisualsError

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
MAX_BYTES = 512 * 1024
MAX_ELEMENTS = 5000

_ELEMENT_NAMES = (
    "svg g path rect circle ellipse line polyline polygon defs clipPath mask linearGradient radialGradient stop use symbol "
    "title desc text tspan pattern marker"
)
_ATTRIBUTE_NAMES = (
    "id d x y x1 y1 x2 y2 cx cy r rx ry fx fy width height points transform viewBox preserveAspectRatio version opacity fill "
    "fill-opacity fill-rule clip-rule clip-path mask stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin "
    "stroke-miterlimit stroke-dasharray stroke-dashoffset color display visibility offset stop-color stop-opacity "
    "gradientUnits gradientTransform spreadMethod clipPathUnits maskUnits maskContentUnits patternUnits patternContentUnits "
    "patternTransform markerWidth markerHeight refX refY orient marker-start marker-mid marker-end dx dy rotate text-anchor "
    "dominant-baseline font-family font-size font-weight font-style letter-spacing textLength lengthAdjust href role "
    "aria-label vector-effect paint-order"
)
_ELEMENTS, _ATTRIBUTES = frozenset(_ELEMENT_NAMES.split()), frozenset(_ATTRIBUTE_NAMES.split())
_URL = re.compile(r"url\(\s*['\"]?([^)'\"]*)", re.IGNORECASE)


class UnsafeSvg(VisualsError):
    """What was given is no SVG that can be drawn safely; the message says why."""


@dataclass(frozen=True)
class SafeSvg:
    """A picture that was cleaned. `removed` names each thing that was taken out; `view_box` is x, y, width, height."""

    markup: str
    view_box: tuple[float, float, float, float]
    removed: tuple[str, ...]


def sanitise(markup: str | bytes) -> SafeSvg:
    """The SVG with nothing in it but shapes. Raises UnsafeSvg for broken XML, entities, no SVG, too much, or no size."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    content = markup.encode() if isinstance(markup, str) else markup
    if len(content) > MAX_BYTES:
        raise UnsafeSvg(f"it has {len(content):,} bytes, and {MAX_BYTES:,} are allowed: simplify its paths")
    try:
        root = fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UnsafeSvg(f"it is no XML that can be read safely ({type(error).__name__}): export it again") from error
    if _local(root.tag) != "svg" or not root.tag.startswith(f"{{{SVG}}}"):
        raise UnsafeSvg(f'its first element is <{_local(root.tag)}>, not <svg xmlns="{SVG}">: give an SVG')
    if sum(1 for _ in root.iter()) > MAX_ELEMENTS:
        raise UnsafeSvg(f"it has more than {MAX_ELEMENTS:,} elements: simplify it")
    removed: list[str] = []
    _clean(root, removed)
    _refuse_circles(root)
    register_namespace("", SVG)
    register_namespace("xlink", XLINK)
    return SafeSvg(tostring(root, encoding="unicode"), _view_box(root), tuple(sorted(set(removed))))


def recoloured(markup: str, colour: str) -> str:
    """The same shapes in one colour, as for a stamp or for a dark ground. `markup` was sanitised."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(markup)
    for element in root.iter():
        for name in ("fill", "stroke", "stop-color", "color"):
            if element.get(name, "none") not in ("none", "transparent"):
                element.set(name, colour)
    if root.get("fill") is None:
        root.set("fill", colour)
    return tostring(root, encoding="unicode")


def nested(svg: str, x: float, y: float, width: float, height: float, name: str) -> str:
    """A sanitised SVG as a part of another, fitted into a box. `name` makes its ids its own."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(svg)
    box = " ".join(f"{value:g}" for value in _view_box(root))
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif _local(key) == "href":
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(" in value:
                element.set(key, _URL.sub(lambda found: f"url(#{name}-{found[1].lstrip('#')}", value))
    for key in ("x", "y", "width", "height", "viewBox", "preserveAspectRatio"):
        root.attrib.pop(key, None)
    root.attrib |= {"x": f"{x:.3f}", "y": f"{y:.3f}", "width": f"{width:.3f}", "height": f"{height:.3f}"}
    root.attrib |= {"viewBox": box, "preserveAspectRatio": "xMidYMid meet"}
    return tostring(root, encoding="unicode")


def _clean(element: Element, removed: list[str]) -> None:
    for key, value in list(element.attrib.items()):
        name = _local(key)
        foreign = key.startswith("{") and not key.startswith(f"{{{XLINK}}}")
        if name == "style" and not foreign:
            del element.attrib[key]
            _style_to_attributes(element, value, removed)
        elif foreign or name not in _ATTRIBUTES or not _stays_inside(name, value):
            del element.attrib[key]
            removed.append(f"attribute {name}")
    for child in list(element):
        tag = child.tag if isinstance(child.tag, str) else ""
        if not tag.startswith(f"{{{SVG}}}") or _local(tag) not in _ELEMENTS:
            removed.append(f"<{_local(tag) or 'comment'}>")
            _drop(element, child)
        else:
            _clean(child, removed)


def _style_to_attributes(element: Element, style: str, removed: list[str]) -> None:
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if not name:
            continue
        if name in _ATTRIBUTES and name != "href" and value and _stays_inside(name, value):
            element.set(name, value)
        else:
            removed.append(f"style {name}")


def _stays_inside(name: str, value: str) -> bool:
    """Whether a value points nowhere but into its own document."""
    if name == "href":
        return bool(re.fullmatch(r"#[\w.:-]+", value.strip()))
    if "\\" in value or "/*" in value:
        return False
    return all(target.strip().startswith("#") for target in _URL.findall(value))


def _drop(parent: Element, child: Element) -> None:
    children = list(parent)
    place = children.index(child)
    if child.tail and child.tail.strip():
        if place:
            children[place - 1].tail = (children[place - 1].tail or "") + child.tail
        else:
            parent.text = (parent.text or "") + child.tail
    parent.remove(child)


def _refuse_circles(root: Element) -> None:
    """`use` of something that uses it again never ends, and a chain of them grows without bound."""
    held: dict[str, Element] = {name: element for element in root.iter() if (name := element.get("id"))}
    sizes: dict[int, int] = {}

    def size(element: Element, path: frozenset[int]) -> int:
        if id(element) in path:
            raise UnsafeSvg("an element uses itself: take the circle out")
        if id(element) in sizes:
            return sizes[id(element)]
        total, inside = 1, path | {id(element)}
        if len(inside) > 200:
            raise UnsafeSvg("its elements are nested too deeply: simplify it")
        for child in element:
            total += size(child, inside)
        for key, value in element.attrib.items():
            if _local(key) == "href" and (target := held.get(value.strip()[1:])) is not None:
                total += size(target, inside)
        if total > 4 * MAX_ELEMENTS:
            raise UnsafeSvg("its <use> elements multiply without bound: draw the shapes themselves")
        sizes[id(element)] = total
        return total

    size(root, frozenset())


def _view_box(root: Element) -> tuple[float, float, float, float]:
    given = root.get("viewBox")
    try:
        if given:
            x, y, width, height = (float(part) for part in given.replace(",", " ").split())
        else:
            x = y = 0.0
            width, height = (float(re.sub(r"px$", "", root.get(side, ""))) for side in ("width", "height"))
    except ValueError as error:
        raise UnsafeSvg("it has no viewBox of four numbers and no width and height in pixels: add one") from error
    if not (0 < width < 1e6 and 0 < height < 1e6 and abs(x) < 1e6 and abs(y) < 1e6):
        raise UnsafeSvg("its viewBox has no area, or too much of it: correct it")
    return x, y, width, height


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
