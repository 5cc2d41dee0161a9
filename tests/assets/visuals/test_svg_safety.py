"""SVG from elsewhere: what draws stays, what acts or reaches out does not."""

import pytest

from assets.visuals.svg_safety import UnsafeSvg, nested, recoloured, sanitise

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">'


def svg(inside: str) -> str:
    return f"{HEAD}{inside}</svg>"


@pytest.mark.parametrize(
    ("inside", "gone"),
    [
        ("<script>alert(1)</script>", "script"),
        ('<rect width="1" height="1" onclick="alert(1)"/>', "onclick"),
        ('<image href="https://example.com/a.png"/>', "image"),
        ("<style>@import url(https://example.com/x.css)</style>", "style"),
        ("<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'/></foreignObject>", "foreignObject"),
        ('<use href="https://example.com/a.svg#b"/>', "example.com"),
        ('<use xlink:href="data:image/svg+xml;base64,AAAA"/>', "base64"),
        ('<a href="javascript:alert(1)"><rect width="1" height="1"/></a>', "javascript"),
        ('<rect width="1" height="1" fill="url(https://example.com/#a)"/>', "example.com"),
        ('<rect width="1" height="1" fill="u\\72l(https://example.com/#a)"/>', "example.com"),
        ('<rect width="1" height="1" style="fill:url(//example.com)"/>', "example.com"),
        ('<rect width="1" height="1"><set attributeName="onload" to="alert(1)"/></rect>', "onload"),
        ('<rect width="1" height="1"><animate attributeName="href" values="javascript:1"/></rect>', "animate"),
        ("<!-- a remark -->", "remark"),
    ],
)
def test_what_acts_or_reaches_out_is_taken_out(inside: str, gone: str):
    safe = sanitise(svg('<circle cx="5" cy="5" r="4" fill="#111111"/>' + inside))
    assert gone not in safe.markup
    assert "circle" in safe.markup
    assert safe.view_box == (0, 0, 10, 10)


def test_what_was_taken_out_is_said():
    assert sanitise(svg('<script/><rect onload="x" width="1" height="1"/>')).removed == ("<script>", "attribute onload")


def test_what_draws_stays():
    inside = (
        '<defs><linearGradient id="g"><stop offset="0" stop-color="#FFF"/></linearGradient></defs>'
        '<rect width="4" height="4" style="fill:url(#g);stroke:#000000"/><use href="#g"/>'
    )
    safe = sanitise(svg(inside))
    assert safe.removed == ()
    assert 'fill="url(#g)"' in safe.markup
    assert 'stroke="#000000"' in safe.markup


@pytest.mark.parametrize(
    "markup",
    [
        "no xml",
        '<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + svg("<text>&a;</text>"),
        '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + svg("<text>&x;</text>"),
        "<html/>",
        '<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 0 5"/>',
        svg('<g id="a"><use href="#a"/></g>'),
        svg("<g/>" * 5001),
        svg(
            "".join(f'<g id="n{n}"><use href="#n{n + 1}"/><use href="#n{n + 1}"/></g>' for n in range(40))
            + '<g id="n40"/>'
        ),
    ],
)
def test_what_cannot_be_drawn_safely_is_refused(markup: str):
    with pytest.raises(UnsafeSvg):
        sanitise(markup)


def test_a_part_keeps_its_ids_to_itself():
    logo = sanitise(
        svg('<defs><clipPath id="c"><rect width="9" height="9"/></clipPath></defs><g clip-path="url(#c)"/>')
    )
    part = nested(logo.markup, 1, 2, 30, 30, "logo1")
    assert 'id="logo1-c"' in part
    assert "url(#logo1-c)" in part


def test_one_colour_leaves_what_is_hollow():
    one = recoloured(
        sanitise(svg('<g fill="none" stroke="#123456"><path fill="#654321" d="M0 0"/></g>')).markup, "#FFFFFF"
    )
    assert "#123456" not in one
    assert "#654321" not in one
    assert 'fill="none"' in one
