"""Markup that a model wrote, drawn by the real renderer and the real browser, and what it may not reach."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from assets.visuals import rasterising
from assets.visuals.rasterising import CannotRasterise, Rasteriser
from assets.visuals.svg_safety import UnsafeSvg

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}">{}</svg>'
RED = (255, 0, 0, 255)
needs_browser = pytest.mark.skipif(
    "html" not in Rasteriser().kinds, reason="NO HTML IS DRAWN: needs a browser (apt-get install chromium)"
)


class Listener:
    """A server that notes who comes."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        paths = self.paths

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path)
                self.send_response(404)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def drawn(kind: str, markup: str, size: tuple[int, int] = (300, 200)) -> Image.Image:
    picture = Image.open(io.BytesIO(Rasteriser()(kind, markup, size))).convert("RGBA")
    assert picture.size == size
    return picture


def reaching(url: str) -> str:
    return f'<div style="width:100%;height:100%;background:url({url}/style.png)">x</div><img src="{url}/img.png">'


# SVG


def test_svg_fills_the_canvas():
    picture = drawn("svg", SVG.format(30, 20, '<rect width="30" height="20" fill="#f00"/>'))
    assert {picture.getpixel((x, y)) for x in (0, 299) for y in (0, 199)} == {RED}


def test_svg_of_another_shape_is_fitted_in_whole():
    picture = drawn("svg", SVG.format(10, 10, '<rect width="10" height="10" fill="#f00"/>'))
    assert picture.getbbox() == (50, 0, 250, 200)
    assert picture.getpixel((150, 100)) == RED


def test_text_is_set_in_the_fonts_that_come_along_whatever_the_machine_has():
    words = SVG.format(300, 200, '<text x="20" y="120" font-size="80" font-family="No Such Font">Seine</text>')
    assert drawn("svg", words).getbbox() is not None


def test_references_within_a_drawing_still_lead_there():
    shapes = '<defs><linearGradient id="g"><stop offset="0" stop-color="#f00"/></linearGradient></defs>'
    picture = drawn("svg", SVG.format(30, 20, f'{shapes}<rect width="30" height="20" fill="url(#g)"/>'))
    assert picture.getpixel((150, 100)) == RED


def test_scripts_and_pictures_from_elsewhere_are_left_out(listener: Listener, tmp_path: Path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    markup = SVG.format(
        30,
        20,
        f'<script>1</script><image href="{listener.url}/x.png" width="30" height="20"/>'
        f'<image href="{(tmp_path / "red.png").as_uri()}" width="30" height="20"/>'
        f'<rect width="30" height="20" fill="url({listener.url}/#g)"/><circle cx="2" cy="2" r="1" fill="#0f0"/>',
    )
    picture = drawn("svg", markup)
    assert RED not in {colour for _, colour in picture.getcolors(100_000) or ()}
    assert picture.getpixel((20, 20)) == (0, 255, 0, 255)
    assert listener.paths == []


@pytest.mark.parametrize(
    "markup",
    [
        '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + SVG.format(9, 9, "<text>&b;</text>"),
        '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + SVG.format(9, 9, "<text>&x;</text>"),
        SVG.format(9, 9, "<rect")[:-6],
        "<html></html>",
        SVG.format(9, 9, '<g id="a"><use href="#a"/></g>'),
    ],
    ids=["entities", "file", "broken", "html", "circle"],
)
def test_what_is_no_safe_svg_is_refused(markup: str):
    with pytest.raises(UnsafeSvg):
        Rasteriser()("svg", markup, (300, 200))


def test_another_kind_is_refused():
    with pytest.raises(CannotRasterise, match="svg or html"):
        Rasteriser()("pdf", "%PDF", (300, 200))


# HTML


@needs_browser
@pytest.mark.parametrize("size", [(256, 256), (600, 400), (1080, 1350)])
def test_html_fills_the_canvas(size: tuple[int, int]):
    picture = drawn("html", '<div style="width:100%;height:100%;background:#f00"></div>', size)
    assert {picture.getpixel((x, y)) for x in (0, size[0] - 1) for y in (0, size[1] - 1)} == {RED}


@needs_browser
def test_html_reaches_no_address_even_if_one_of_two_barriers_fails(listener: Listener, monkeypatch: pytest.MonkeyPatch):
    page = reaching(listener.url)
    policy = rasterising._POLICY
    drawn("html", page)
    assert listener.paths == []
    monkeypatch.setattr(rasterising, "_POLICY", "default-src * 'unsafe-inline'")
    drawn("html", page)
    assert listener.paths == [], "the flags alone"
    monkeypatch.setattr(rasterising, "_POLICY", policy)
    monkeypatch.setattr(rasterising, "_NO_NETWORK", ())
    drawn("html", page)
    assert listener.paths == [], "the policy alone"
    monkeypatch.setattr(rasterising, "_POLICY", "default-src * 'unsafe-inline'")
    drawn("html", page)
    assert "/style.png" in listener.paths, "without both it would have: the case itself"


@needs_browser
def test_html_reads_no_file_and_runs_no_script(tmp_path: Path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    source = (tmp_path / "red.png").as_uri()
    script = "document.body.style.background='#f00'"
    page = (
        f'<div style="height:100px;background:url({source})">x</div><script>{script}</script><p onload="{script}">y</p>'
    )
    picture = drawn("html", page + f'<svg width="9" height="9" onload="{script}"></svg>')
    assert RED not in {colour for _, colour in picture.getcolors(100_000) or ()}


def test_without_a_browser_svg_alone_is_offered_and_html_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rasterising, "BROWSERS", ("no-such-browser",))
    assert Rasteriser().kinds == ("svg",)
    with pytest.raises(CannotRasterise, match="install chromium, or ask for SVG"):
        Rasteriser()("html", "<p>x</p>", (300, 200))
