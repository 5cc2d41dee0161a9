"""Markup that a model wrote, turned into pixels: SVG by the renderer here, HTML by a browser where one is installed.

Belongs here: drawing what others wrote, so that it reaches nothing outside itself. Does not belong here: asking for it
(`resources/images/claude`), and the studio's own pages (`studio`).

SVG goes through the allow-list of `svg_safety`, and its text is set in the studio's fonts. HTML goes through one of tags and
attributes, and is shown by a headless browser under a policy that runs no script and fetches nothing.
"""

import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from assets.visuals.errors import VisualsError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
_SECONDS = 60
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
_NO_NETWORK = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # Whatever the policy lets through goes to a proxy where nobody listens, this machine's own addresses included.
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class CannotRasterise(VisualsError):
    """The markup cannot be drawn, here or at all; the message says which."""


class Rasteriser:
    """Draws markup; `kinds` says which: SVG, and HTML where a browser is installed."""

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("svg",) if _browser() is None else ("svg", "html")

    def __call__(self, kind: str, markup: str, size: tuple[int, int]) -> bytes:
        """PNG of `svg` or `html` markup at that size (width and height in pixels).

        Raises UnsafeSvg for what is no SVG that can be drawn safely, and CannotRasterise.
        """
        if kind == "svg":
            return _svg(markup, size)
        if kind == "html":
            return _html(markup, size)
        raise CannotRasterise(f"{kind!r} is no markup that can be drawn: give svg or html")


def _svg(markup: str, size: tuple[int, int]) -> bytes:
    import resvg_py

    from assets.visuals.svg_safety import SVG, nested, sanitise

    width, height = size
    # A drawing of another shape is fitted in whole: the renderer alone would give a picture of another size.
    inner = nested(sanitise(markup).markup, 0, 0, width, height, "drawing")
    canvas = f'<svg xmlns="{SVG}" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{inner}</svg>'
    try:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=canvas,
                width=width,
                height=height,
                skip_system_fonts=True,
                font_files=list(_fonts()),
                font_family="Jost",
                sans_serif_family="Jost",
                serif_family="EB Garamond",
            )
        )
    except ValueError as error:
        raise CannotRasterise(f"the SVG cannot be drawn: {error}") from error


@lru_cache(maxsize=1)
def _fonts() -> tuple[str, ...]:
    """The files of the families that come with the project: the same text on every machine."""
    from assets.visuals.studio.fonts import packaged_files

    return tuple(str(path) for path in packaged_files())


def _browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def _html(markup: str, size: tuple[int, int]) -> bytes:
    browser = _browser()
    if browser is None:
        raise CannotRasterise("HTML needs a browser, and none is installed: install chromium, or ask for SVG")
    with tempfile.TemporaryDirectory(prefix="luxauto-html-") as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        page.write_text(_framed(markup, size), encoding="utf-8")
        command = [
            *(browser, "--headless=new", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run"),
            *(*_NO_NETWORK, "--disable-extensions"),
            *(f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}", f"--screenshot={shot}"),
            # Its own sandbox does not start for root, as in a container; scripts are off in any case.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            page.as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, text=True)
        except subprocess.TimeoutExpired as error:
            raise CannotRasterise(f"the browser did not draw the HTML within {_SECONDS} s: simplify it") from error
        if not shot.is_file():
            raise CannotRasterise(f"the browser drew no HTML: {done.stderr.strip()[-200:]}")
        return shot.read_bytes()


def _framed(markup: str, size: tuple[int, int]) -> str:
    """A page of that size with the policy first, so that nothing after it is free of it."""
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    style = f"<style>html,body{{margin:0;width:{size[0]}px;height:{size[1]}px;overflow:hidden}}</style>"
    return f"<!doctype html><html><head>{head}{style}</head><body>{cleaned_html(markup)}</body></html>"


def cleaned_html(markup: str) -> str:
    """Without what leads elsewhere: links, refreshes, frames, forms, scripts."""
    import nh3

    tags = nh3.ALLOWED_TAGS - {"a", "img", "map", "area"} | {
        "section",
        "main",
        "svg",
        "path",
        "rect",
        "circle",
        "line",
        "g",
    }
    drawing = {
        "d",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "fill",
        "stroke",
        "stroke-width",
        "viewBox",
    }
    allowed = {"*": {"style", "width", "height", *drawing}}
    return nh3.clean(markup, tags=tags, attributes=allowed, url_schemes=set(), link_rel=None)
